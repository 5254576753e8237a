//! Sets of CPUs as the kernel writes them: lists (`0,2-5`) and masks (`ff,ffffffff`).

use std::collections::BTreeSet;
use std::fmt;

/// The most CPUs that are understood, as many as Linux can be built for.
const MOST: usize = 8_192;

/// CPUs by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet(BTreeSet<usize>);

impl CpuSet {
    /// A list; `(null)` is how the kernel says none. `None` for what is no list.
    pub fn of_list(text: &str) -> Option<CpuSet> {
        let mut set = BTreeSet::new();
        if text.is_empty() || text == "(null)" {
            return Some(CpuSet(set));
        }
        let number = |digits: &str| {
            let plain = (1..=4).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
            plain.then(|| digits.parse::<usize>().ok()).flatten()
        };
        for part in text.split(',') {
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            let (low, high) = (number(low)?, number(high)?);
            if low > high || high >= MOST {
                return None;
            }
            set.extend(low..=high);
        }
        Some(CpuSet(set))
    }

    /// A mask, in groups of 32 bits. `None` for what is none.
    pub fn of_mask(text: &str) -> Option<CpuSet> {
        let digits: Vec<u32> =
            text.chars().filter(|&letter| letter != ',').map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
        if !(1..=MOST / 4).contains(&digits.len()) {
            return None;
        }
        let bits = digits.iter().rev().enumerate();
        let set =
            bits.flat_map(|(at, digit)| (0..4).filter(move |bit| digit >> bit & 1 == 1).map(move |bit| 4 * at + bit));
        Some(CpuSet(set.collect()))
    }

    /// The same CPUs as a mask, in groups of 32 bits.
    pub fn to_mask(&self) -> String {
        let top = self.0.last().map_or(0, |cpu| cpu / 32);
        let word =
            |group: usize| self.0.range(32 * group..32 * (group + 1)).fold(0_u32, |word, cpu| word | 1 << (cpu % 32));
        let mut text = format!("{:x}", word(top));
        for group in (0..top).rev() {
            text += &format!(",{:08x}", word(group));
        }
        text
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is one of them.
    pub fn has(&self, cpu: usize) -> bool {
        self.0.contains(&cpu)
    }

    /// Whether all of `other` are among them.
    pub fn covers(&self, other: &CpuSet) -> bool {
        self.0.is_superset(&other.0)
    }

    /// Whether they have none in common.
    pub fn is_apart(&self, other: &CpuSet) -> bool {
        self.0.is_disjoint(&other.0)
    }

    /// Those that are not in `other`.
    pub fn without(&self, other: &CpuSet) -> CpuSet {
        CpuSet(&self.0 - &other.0)
    }

    /// Ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied()
    }
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> CpuSet {
        CpuSet(cpus.into_iter().collect())
    }
}

/// As a list.
impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for cpu in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == cpu => *last = cpu,
                _ => ranges.push((cpu, cpu)),
            }
        }
        for (at, (first, last)) in ranges.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_and_masks_are_the_kernels() {
        let list = |text| CpuSet::of_list(text).map(|set| set.iter().collect::<Vec<_>>());
        assert_eq!(list("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!((list(""), list("(null)")), (Some(vec![]), Some(vec![])));
        for bad in ["x", "1-", "-1", "3-1", "1,,2", "0-99999", "8192", "1 2", "+1"] {
            assert_eq!(list(bad), None, "{bad}");
        }
        let mask = |text| CpuSet::of_mask(text).map(|set| set.to_string());
        assert_eq!(mask("f"), Some("0-3".into()));
        assert_eq!(mask("1,00000000"), Some("32".into()));
        assert_eq!((mask(""), mask("g"), mask("0x1")), (None, None, None));
        assert_eq!(CpuSet::of_list("0-3,36").map(|set| set.to_mask()), Some("10,0000000f".into()));
        assert_eq!(CpuSet::default().to_mask(), "0");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(cpus in proptest::collection::btree_set(0_usize..300, 0..40)) {
            let set = CpuSet(cpus);
            prop_assert_eq!(CpuSet::of_list(&set.to_string()), Some(set.clone()));
            prop_assert_eq!(CpuSet::of_mask(&set.to_mask()), Some(set));
        }
    }
}
