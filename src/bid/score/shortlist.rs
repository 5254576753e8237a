//! The shortlist: which offers a model looks at, where there are more than it may.
//!
//! The rank before the model is what an offer would bid if its impression were an average one: its goal by the average chance, and
//! never more than its campaign bids. Every impression keeps its best, so that none goes without for another's sake; and offers
//! for guaranteed deals, which must be bid on, are always looked at.

use arrayvec::ArrayVec;

use crate::limits;
use crate::units::CpmMicros;

/// An offer, as far as it is ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place among the offers.
    pub at: u16,
    /// Its impression.
    pub imp: u8,
    /// What it would bid on the average.
    pub rank: CpmMicros,
    /// It must be bid on.
    pub must: bool,
}

/// Entries, in the order of the offers.
pub type Entries = ArrayVec<Entry, { limits::CANDIDATES }>;

/// Leaves at most `most` entries, or as many as there must be; in the order of the offers again. What is left out had no rank
/// above what stays for its impression.
pub fn shorten(entries: &mut Entries, most: usize) {
    if entries.len() <= most {
        return;
    }
    // Whoever must stay first, then the best of each impression, then by rank; the earlier offer before an equal one.
    entries.sort_unstable_by_key(|entry| (entry.imp, !entry.must, std::cmp::Reverse(entry.rank), entry.at));
    let mut before = None;
    let mut firsts = 0;
    for at in 0..entries.len() {
        let first = before.replace(entries[at].imp) != Some(entries[at].imp);
        if first || entries[at].must {
            entries.swap(firsts, at);
            firsts += 1;
        }
    }
    let kept = most.max(firsts);
    entries[firsts..].sort_unstable_by_key(|entry| (std::cmp::Reverse(entry.rank), entry.at));
    entries.truncate(kept);
    entries.sort_unstable_by_key(|entry| entry.at);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries() -> impl Strategy<Value = Entries> {
        prop::collection::vec((0u8..4, 0i64..20, prop::bool::weighted(0.05)), 0..80).prop_map(|list| {
            let of = |(at, (imp, rank, must)): (usize, (u8, i64, bool))| Entry {
                at: at as u16,
                imp,
                rank: CpmMicros(rank),
                must,
            };
            list.into_iter().enumerate().map(of).collect()
        })
    }

    proptest! {
        #[test]
        fn the_best_are_kept(all in entries(), most in 0usize..40) {
            let mut kept = all.clone();
            shorten(&mut kept, most);
            prop_assert!(kept.is_sorted_by_key(|entry| entry.at));
            prop_assert!(kept.iter().all(|entry| all.contains(entry)));
            // Slowly: the best of every impression and whoever must stay; then the best of the rest.
            let best = |entry: &&Entry| all.iter().filter(|other| other.imp == entry.imp)
                .min_by_key(|other| (!other.must, -other.rank.0, other.at)) == Some(*entry);
            let needed: Vec<_> = all.iter().filter(|entry| entry.must || best(entry)).collect();
            let mut rest: Vec<_> = all.iter().filter(|entry| !needed.contains(entry)).collect();
            rest.sort_by_key(|entry| (-entry.rank.0, entry.at));
            let expected = if all.len() <= most { all.len() } else { most.max(needed.len()) };
            let mut wanted: Vec<_> = needed.into_iter().chain(rest).take(expected).copied().collect();
            wanted.sort_by_key(|entry| entry.at);
            prop_assert_eq!(kept.to_vec(), wanted);
        }
    }
}
