//! When a value is as wanted.

use super::cpus::CpuSet;

/// How a value is held against the one that is wanted. `tuning/lib/values.sh` has the same rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It is that value.
    Is,
    /// It is one of those that are accepted.
    OneOf,
    /// A number, at least that large.
    AtLeast,
    /// A number, at most that large.
    AtMost,
    /// Two numbers, at least as far apart.
    Span,
    /// A list of those CPUs. A switch that is 0 or 1 is such a list too, so that `smt` can be about switches and siblings.
    Cpus,
    /// A list that has those CPUs.
    Covers,
    /// A list without bid cores.
    Apart,
    /// A mask of those CPUs.
    Mask,
    /// A mask without bid cores.
    MaskApart,
}

impl Rule {
    /// By its name in a declaration.
    pub fn named(name: &str) -> Option<Rule> {
        Some(match name {
            "is" => Rule::Is,
            "oneof" => Rule::OneOf,
            "atleast" => Rule::AtLeast,
            "atmost" => Rule::AtMost,
            "span" => Rule::Span,
            "cpus" => Rule::Cpus,
            "covers" => Rule::Covers,
            "apart" => Rule::Apart,
            "mask" => Rule::Mask,
            "mask-apart" => Rule::MaskApart,
            _ => return None,
        })
    }

    /// Whether it is about who is kept off the bid cores.
    pub fn keeps_apart(self) -> bool {
        matches!(self, Rule::Apart | Rule::MaskApart)
    }

    /// Whether `current` is as wanted; `None` if it cannot be understood.
    pub fn holds(self, current: &str, want: &str, accept: &str, bid: &CpuSet) -> Option<bool> {
        match self {
            Rule::Is => match number(want) {
                Some(want) if !current.is_empty() => number(current).map(|current| current == want),
                _ => plain(current).then(|| current == want),
            },
            Rule::OneOf => {
                (plain(current) && !current.is_empty()).then(|| accept.split(' ').any(|accepted| accepted == current))
            }
            Rule::AtLeast => Some(number(current)? >= number(want)?),
            Rule::AtMost => Some(number(current)? <= number(want)?),
            Rule::Span => Some(span(current)? >= span(want)?),
            Rule::Cpus => Some(CpuSet::of_list(current)? == CpuSet::of_list(want)?),
            Rule::Covers if current == "all" => Some(true),
            Rule::Covers => Some(CpuSet::of_list(current)?.covers(&CpuSet::of_list(want)?)),
            Rule::Apart => Some(CpuSet::of_list(current)?.is_apart(bid)),
            Rule::Mask => Some(CpuSet::of_mask(current)? == CpuSet::of_mask(want)?),
            Rule::MaskApart => Some(CpuSet::of_mask(current)?.is_apart(bid)),
        }
    }
}

/// A number of at most 18 digits, leading zeros aside.
fn number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let value = || digits.trim_start_matches('0').len() <= 18 && digits.bytes().all(|digit| digit.is_ascii_digit());
    (!digits.is_empty() && value()).then(|| text.parse().ok()).flatten()
}

/// How far two numbers are apart.
fn span(text: &str) -> Option<i64> {
    let mut numbers = text.split_ascii_whitespace();
    let (low, high) = (numbers.next()?, numbers.next()?);
    let port = |digits: &str| (digits.len() <= 6 && !digits.starts_with('-')).then(|| number(digits)).flatten();
    if numbers.next().is_some() || text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
        return None;
    }
    Some(port(high)? - port(low)?)
}

/// Whether it is a word that the kernel might use for a setting.
fn plain(text: &str) -> bool {
    text.len() <= 200 && text.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"_+,:.-".contains(&letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_as_wanted_or_not_or_cannot_be_understood() {
        let bid = CpuSet::of_list("1-3").unwrap();
        let (good, differs, unseen) = (Some(true), Some(false), None);
        for (rule, current, want, told) in [
            (Rule::Is, "0", "0", good),
            (Rule::Is, "00", "0", good),
            (Rule::Is, "1", "0", differs),
            (Rule::Is, "", "1", differs),
            (Rule::Is, "on", "1", unseen),
            (Rule::Is, "performance", "performance", good),
            (Rule::Is, "power save", "performance", unseen),
            (Rule::Is, "-1", "950000", differs),
            (Rule::OneOf, "never", "madvise", good),
            (Rule::OneOf, "always", "madvise", differs),
            (Rule::OneOf, "", "madvise", unseen),
            (Rule::AtLeast, "4096", "4096", good),
            (Rule::AtLeast, "128", "4096", differs),
            (Rule::AtLeast, "-5", "0", differs),
            (Rule::AtLeast, "9999999999999999999", "1", unseen),
            (Rule::AtMost, "10", "10", good),
            (Rule::AtMost, "60", "10", differs),
            (Rule::Span, "1024\t65535", "32768 60999", good),
            (Rule::Span, "40000 41000", "32768 60999", differs),
            (Rule::Span, "40000", "32768 60999", unseen),
            (Rule::Cpus, "1,2", "1-2", good),
            (Rule::Covers, "0-3", "1-3", good),
            (Rule::Covers, "all", "1-3", good),
            (Rule::Covers, "1", "1-3", differs),
            (Rule::Covers, "domain,1", "1-3", unseen),
            (Rule::Apart, "0,4-7", "0", good),
            (Rule::Apart, "0-7", "0", differs),
            (Rule::Mask, "00000000,00000001", "1", good),
            (Rule::MaskApart, "f1", "1", good),
            (Rule::MaskApart, "ff", "1", differs),
            (Rule::MaskApart, "", "1", unseen),
        ] {
            assert_eq!(rule.holds(current, want, "madvise never", &bid), told, "{rule:?} {current:?} {want}");
        }
    }
}
