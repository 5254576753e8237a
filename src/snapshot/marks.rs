//! Marks: what a publisher may block, as 64-bit hashes that request and campaign can compare.
//!
//! A blocked parent blocks its children: `IAB7` blocks a campaign in `IAB7-1`, `example.com` one that advertises
//! `shop.example.com`. So a campaign carries the marks of its own categories and domains and of all above them; an entry of
//! `bcat` or `badv` has one mark, its own. Two names that hash alike block one campaign too many, never one too few.

use super::targeting::codes;

const CATEGORY: u64 = 0x3F84_D5B5_B547_0917;
const LABEL: u64 = 0x9216_D5D9_8979_FB1B;

/// The mark of an IAB content category, letter case aside.
#[inline]
pub fn category(name: &[u8]) -> u64 {
    codes::hash(CATEGORY, name, codes::lower)
}

/// The mark of an advertiser's domain, letter case aside.
#[inline]
pub fn domain(name: &[u8]) -> u64 {
    let mut mark = 0;
    codes::domains(name, |hash| mark = hash);
    mark
}

/// The mark of what campaigns compete for.
pub fn label(name: &[u8]) -> u64 {
    codes::hash(LABEL, name, codes::lower)
}

/// All marks of a campaign with these domains and categories.
pub fn of_campaign(adomain: &[String], cat: &[String]) -> Box<[u64]> {
    let mut marks = Vec::new();
    for name in adomain {
        codes::domains(name.as_bytes(), |hash| marks.push(hash));
    }
    for name in cat {
        marks.push(category(name.as_bytes()));
        if let Some((parent, _)) = name.split_once('-') {
            marks.push(category(parent.as_bytes()));
        }
    }
    marks.sort_unstable();
    marks.dedup();
    marks.into()
}

/// Whether there are categories, and each of them, or its parent, is among these marks.
pub fn all_within(cat: &[String], allowed: &[u64]) -> bool {
    let is_allowed = |name: &str| allowed.contains(&category(name.as_bytes()));
    !cat.is_empty()
        && cat.iter().all(|name| is_allowed(name) || name.split_once('-').is_some_and(|(parent, _)| is_allowed(parent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_block_children_and_not_the_other_way_round() {
        let marks = of_campaign(&["shop.example.com".into()], &["IAB7-1".into()]);
        for blocked in ["example.com", "SHOP.example.com", "com"] {
            assert!(marks.contains(&domain(blocked.as_bytes())), "{blocked}");
        }
        for allowed in ["a.shop.example.com", "other.com", "ample.com", ""] {
            assert!(!marks.contains(&domain(allowed.as_bytes())), "{allowed}");
        }
        assert!(marks.contains(&category(b"IAB7")) && marks.contains(&category(b"iab7-1")));
        assert!(!marks.contains(&category(b"IAB7-2")) && !marks.contains(&category(b"IAB1")));
    }
}
