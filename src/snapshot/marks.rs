//! Marks: what a publisher may block, as 64-bit hashes that request and campaign can compare.
//!
//! A blocked parent blocks its children: `IAB7` blocks a campaign in `IAB7-1`, `example.com` one that advertises
//! `shop.example.com`. So a campaign carries the marks of its own categories and domains and of all above them; an entry of
//! `bcat` or `badv` has one mark, its own. Two names that hash alike block one campaign too many, never one too few.

use super::targeting::codes;

const CATEGORY: u64 = 0x3F84_D5B5_B547_0917;
const APP: u64 = 0xD131_0BA6_98DF_B5AC;
const LABEL: u64 = 0x9216_D5D9_8979_FB1B;

/// The mark of a content category in a taxonomy (`cattax`), letter case aside.
#[inline]
pub fn category(taxonomy: u16, name: &[u8]) -> u64 {
    codes::hash(CATEGORY ^ u64::from(taxonomy), name, codes::lower)
}

/// The mark of an app that is advertised, by its id in the store.
#[inline]
pub fn app(id: &[u8]) -> u64 {
    codes::hash(APP, id, |word| word)
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

/// All marks of a campaign: its domains, the app it advertises, and its categories, taxonomy by taxonomy.
pub fn of_campaign<'c>(
    adomain: &[String],
    app: Option<&str>,
    categories: impl Iterator<Item = (u16, &'c [String])>,
) -> Box<[u64]> {
    let mut marks = Vec::new();
    for name in adomain {
        codes::domains(name.as_bytes(), |hash| marks.push(hash));
    }
    marks.extend(app.map(|id| self::app(id.as_bytes())));
    for (taxonomy, names) in categories {
        for name in names {
            marks.push(category(taxonomy, name.as_bytes()));
            marks.extend(parent(taxonomy, name).map(|parent| category(taxonomy, parent.as_bytes())));
        }
    }
    marks.sort_unstable();
    marks.dedup();
    marks.into()
}

/// Whether there are categories, and each of them, or its parent, is among these marks.
pub fn all_within(taxonomy: u16, names: &[String], allowed: &[u64]) -> bool {
    let is_allowed = |name: &str| allowed.contains(&category(taxonomy, name.as_bytes()));
    !names.is_empty() && names.iter().all(|name| is_allowed(name) || parent(taxonomy, name).is_some_and(is_allowed))
}

/// `IAB7` of `IAB7-1`; the names of later taxonomies are numbers, which do not tell.
fn parent(taxonomy: u16, name: &str) -> Option<&str> {
    (taxonomy == CONTENT_1_0).then(|| name.split_once('-')).flatten().map(|(parent, _)| parent)
}

/// IAB Content Taxonomy 1.0, which `cattax` means by default.
pub const CONTENT_1_0: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_block_children_and_not_the_other_way_round() {
        let marks = of_campaign(
            &["shop.example.com".into()],
            Some("app.id"),
            [(1, &["IAB7-1".to_owned()][..]), (6, &["7-1".to_owned()][..])].into_iter(),
        );
        for blocked in ["example.com", "SHOP.example.com", "com"] {
            assert!(marks.contains(&domain(blocked.as_bytes())), "{blocked}");
        }
        for allowed in ["a.shop.example.com", "other.com", "ample.com", ""] {
            assert!(!marks.contains(&domain(allowed.as_bytes())), "{allowed}");
        }
        assert!(marks.contains(&category(1, b"IAB7")) && marks.contains(&category(1, b"iab7-1")));
        assert!(!marks.contains(&category(1, b"IAB7-2")) && !marks.contains(&category(1, b"IAB1")));
        assert!(marks.contains(&category(6, b"7-1")) && !marks.contains(&category(6, b"7")));
        assert!(!marks.contains(&category(6, b"IAB7-1")));
        assert!(marks.contains(&app(b"app.id")) && !marks.contains(&app(b"app")));
    }
}
