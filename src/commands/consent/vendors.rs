//! Lists of vendors, and the publisher's restrictions of them.

use serde::{Serialize, Serializer};

use super::Refused;
use super::bits::Bits;

/// Vendors as a string names them: from the first to the last of each entry, both included. Kept as entries, since a short
/// string can name all vendors thousands of times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vendors(pub Vec<(u16, u16)>);

impl Vendors {
    /// Each, in the order of the string.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.iter().flat_map(|&(first, last)| first..=last)
    }

    /// Whether it names a vendor.
    pub fn has(&self, vendor: u16) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&vendor))
    }

    /// The same vendors, each once and in order.
    #[must_use]
    pub(super) fn sorted(mut self) -> Vendors {
        self.0.retain(|(first, last)| first <= last);
        self.0.sort_unstable();
        let mut sorted: Vec<(u16, u16)> = Vec::new();
        for (first, last) in self.0 {
            match sorted.last_mut() {
                Some(before) if u32::from(first) <= u32::from(before.1) + 1 => before.1 = before.1.max(last),
                _ => sorted.push((first, last)),
            }
        }
        Vendors(sorted)
    }

    /// Those whose bit is set, where the first bit is vendor 1's.
    pub(super) fn of_bits(bits: &[bool]) -> Vendors {
        let set = (1_u16..).zip(bits).filter(|(_, set)| **set);
        Vendors(set.map(|(vendor, _)| (vendor, vendor)).collect()).sorted()
    }
}

impl Serialize for Vendors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// How a list writes its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// 16 bits for each id: TCF EU, and TCF Canada until it was corrected.
    Fixed,
    /// Distances in Fibonacci code: GPP.
    Fibonacci,
}

impl Coding {
    /// The entries of a list, and whether an encoder would write the same vendors so.
    pub(super) fn entries(self, bits: &mut Bits<'_>, field: &str) -> Result<(Vendors, bool), Refused> {
        let from = bits.at();
        let vendors = match self {
            Coding::Fixed => bits.ranges(field),
            Coding::Fibonacci => bits.fibonacci_ranges(field),
        }?;
        let canonical = vendors == vendors.clone().sorted() && self.length(&vendors.0) == bits.at() - from;
        Ok((vendors, canonical))
    }

    /// What entries take, bits.
    fn length(self, entries: &[(u16, u16)]) -> usize {
        let mut before = 0;
        let entry = |&(first, last): &(u16, u16)| match self {
            Coding::Fixed => 17 + if first < last { 16 } else { 0 },
            Coding::Fibonacci => {
                let one = fibonacci_length(first - before);
                before = last;
                1 + one + if first < last { fibonacci_length(last - first) } else { 0 }
            }
        };
        12 + entries.iter().map(entry).sum::<usize>()
    }
}

/// What a number from 1 takes in Fibonacci code, bits: one for each Fibonacci number up to it, and the one that ends it.
fn fibonacci_length(value: u16) -> usize {
    let (mut length, mut number, mut next) = (1, 1_u32, 2_u32);
    while number <= u32::from(value) {
        (length, number, next) = (length + 1, next, number + next);
    }
    length
}

/// `OptimizedRange`: the highest vendor, and a bit for each or entries, whichever is shorter. Comes with whether an encoder
/// would write the same vendors so.
pub(super) fn optimized_range(bits: &mut Bits<'_>, field: &str, coding: Coding) -> Result<(Vendors, bool), Refused> {
    let max = bits.short(field, 16)?;
    let as_entries = bits.flag(field)?;
    let (vendors, canonical) = match as_entries {
        true => coding.entries(bits, field)?,
        false => (Vendors::of_bits(&bits.flags(field, usize::from(max))?), true),
    };
    let last = vendors.0.last().map_or(0, |entry| entry.1);
    let canonical = canonical && last == max && as_entries == (coding.length(&vendors.0) <= usize::from(max));
    Ok((vendors, canonical))
}
