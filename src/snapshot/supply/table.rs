//! Hash tables whose buckets are cache lines, because what a look-up in a table far larger than the caches costs is the lines it
//! touches.
//!
//! ```text
//!   W   a line is                                          holds on average
//!   1   ┌────┬────┬────┬────┬─   16 fingerprints           12   pairs of the ads.txt files
//!   2   ├────┴────┼────┴────┼─    8 slots                   5   sellers, apps
//!   4   ├─────────┴─────────┼─    4 slots                   2   systems
//!   8   └───────────────────┴─    2 slots                   1   files
//! ```
//!
//! The high bits of a hash choose the line, the low 32 are the fingerprint, the slot's first word; slots of four words and more
//! have the other half of the hash in their second. A line that is full runs over into the next, and a search ends at a
//! line with room. That is one line for most questions and its neighbour for the others.

use std::array;

/// Words of a line.
pub(super) const WORDS: usize = 16;

/// A cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(align(64))]
pub(super) struct Line(pub(super) [u32; WORDS]);

/// Slots of `W` words. All 0 is an empty slot.
#[derive(Clone, Debug)]
pub(super) struct Table<const W: usize> {
    pub(super) lines: Box<[Line]>,
}

impl<const W: usize> Default for Table<W> {
    fn default() -> Self {
        Table::with_room(0)
    }
}

impl<const W: usize> Table<W> {
    const FILLED: usize = match W {
        1 => 12,
        2 => 5,
        4 => 2,
        _ => 1,
    };

    /// An empty one for this many entries.
    pub(super) fn with_room(entries: usize) -> Table<W> {
        Table { lines: vec![Line::default(); entries / Self::FILLED + 1].into_boxed_slice() }
    }

    /// Bytes of it all.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.lines[..])
    }

    /// Asks memory for the line of a hash: its first word. Whoever needs several lines asks for all before looking at one, so that
    /// the processor waits for them together.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> u32 {
        self.lines.get(place(hash, self.lines.len())).map_or(0, |line| line.0[0])
    }

    /// The slot of a hash.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> Option<&[u32; W]> {
        let mut at = place(hash, self.lines.len());
        for _ in 0..self.lines.len() {
            let slots = self.lines.get(at)?.0.as_chunks::<W>().0;
            // All are compared, whatever the first says: that is a few instructions wide.
            if slots.iter().fold(false, |found, slot| found | is_of(slot, hash)) {
                return slots.iter().find(|slot| is_of(slot, hash));
            }
            if slots.last().is_none_or(|last| last[0] == 0) {
                return None;
            }
            at = if at + 1 == self.lines.len() { 0 } else { at + 1 };
        }
        None
    }

    /// The slot of a hash to write to, all but what tells it from others; and whether it is new. Nothing if the table is full.
    pub(super) fn slot(&mut self, hash: u64) -> Option<(&mut [u32; W], bool)> {
        let lines = self.lines.len();
        let start = place(hash, lines);
        let holds = |slots: &[[u32; W]]| slots.iter().position(|slot| slot[0] == 0 || is_of(slot, hash));
        let (at, slot) = (start..lines)
            .chain(0..start)
            .find_map(|at| holds(self.lines[at].0.as_chunks::<W>().0).map(|slot| (at, slot)))?;
        let slot = &mut self.lines[at].0.as_chunks_mut::<W>().0[slot];
        let is_new = slot[0] == 0;
        let named: [u32; W] = named(hash);
        slot[..named_words(W)].copy_from_slice(&named[..named_words(W)]);
        Some((slot, is_new))
    }

    /// The number of a hash's slot, for [`Table::at`].
    pub(super) fn number(&self, hash: u64) -> Option<u32> {
        let lines = self.lines.len();
        let start = place(hash, lines);
        for at in (start..lines).chain(0..start) {
            let slots = self.lines[at].0.as_chunks::<W>().0;
            if let Some(slot) = slots.iter().position(|slot| is_of(slot, hash)) {
                return u32::try_from(at * (WORDS / W) + slot).ok();
            }
            if slots.iter().any(|slot| slot[0] == 0) {
                return None;
            }
        }
        None
    }

    /// A slot by its number; none if there is no such slot.
    #[inline]
    pub(super) fn at(&self, number: u32) -> Option<&[u32; W]> {
        let slots = WORDS / W;
        let number = number as usize;
        self.lines.get(number / slots)?.0.as_chunks::<W>().0.get(number % slots)
    }
}

/// The line of a hash, from its high bits.
#[inline]
fn place(hash: u64, lines: usize) -> usize {
    ((u128::from(hash) * lines as u128) >> 64) as usize
}

/// How many of a slot's words tell whose it is.
const fn named_words(words: usize) -> usize {
    if words < 4 { 1 } else { 2 }
}

#[inline]
fn named<const W: usize>(hash: u64) -> [u32; W] {
    let halves = [(hash as u32).max(1), (hash >> 32) as u32];
    array::from_fn(|at| if at < named_words(W) { halves[at] } else { 0 })
}

#[inline]
fn is_of<const W: usize>(slot: &[u32; W], hash: u64) -> bool {
    let named: [u32; W] = named(hash);
    slot[0] == named[0] && (named_words(W) < 2 || slot[1 % W] == named[1 % W])
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    /// A number that looks like a hash (Steele et al., "Fast splittable pseudorandom number generators", 2014).
    fn spread(at: u64) -> u64 {
        let mixed = (at + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// Hashes of few lines, so that lines run over, also the last into the first.
    fn crowded() -> impl Strategy<Value = u64> {
        (0..4u64, 0..40u64).prop_map(|(line, low)| line << 62 | 0x3FFF << 48 | spread(low) >> 32)
    }

    fn as_a_set<const W: usize>(hashes: &[u64], asked: &[u64]) {
        let mut table: Table<W> = Table::with_room(hashes.len());
        let mut known = HashMap::new();
        for (at, hash) in hashes.iter().enumerate() {
            let (slot, is_new) = table.slot(*hash).unwrap();
            assert_eq!(is_new, !known.contains_key(hash));
            if W > named_words(W) {
                slot[W - 1] = at as u32;
            }
            known.insert(*hash, at as u32);
        }
        for hash in hashes.iter().chain(asked) {
            let found = table.find(*hash);
            assert_eq!(found.is_some(), known.contains_key(hash));
            assert_eq!(table.number(*hash).and_then(|number| table.at(number)), found);
            if let (Some(slot), true) = (found, W > named_words(W)) {
                assert_eq!(slot[W - 1], known[hash]);
            }
        }
        assert_eq!(table.at(u32::MAX), None);
    }

    proptest! {
        #[test]
        fn a_table_is_a_map(hashes in prop::collection::vec(crowded(), 0..60), asked in prop::collection::vec(crowded(), 0..60)) {
            // One fingerprint for all hashes of a low half: in a crowd of 40 there are no two.
            let halves: HashSet<u64> = (0..40).map(|low| u64::from((spread(low) >> 32) as u32)).collect();
            prop_assert_eq!(halves.len(), 40);
            let mut one_line_each = HashMap::new();
            let apart = |hash: &u64| *one_line_each.entry(*hash as u32).or_insert(*hash) == *hash;
            let mut all: Vec<u64> = hashes.iter().chain(&asked).copied().collect();
            all.retain(apart);
            let asked: Vec<u64> = all.iter().skip(all.len() / 2).copied().collect();
            all.truncate(all.len() / 2 + 3);
            as_a_set::<1>(&all, &asked);
            as_a_set::<2>(&all, &asked);
            as_a_set::<4>(&hashes, &asked);
            as_a_set::<8>(&hashes, &asked);
        }
    }

    #[test]
    fn a_full_table_ends_every_search() {
        let mut table: Table<1> = Table::with_room(11);
        assert_eq!(table.lines.len(), 1);
        for at in 1..=16 {
            assert!(table.slot(at).unwrap().1);
        }
        assert!(table.slot(17).is_none());
        assert_eq!((table.find(17), table.number(17)), (None, None));
        assert!(table.find(16).is_some());
    }

    #[test]
    fn few_strangers_are_taken_for_friends() {
        let mut table: Table<1> = Table::with_room(1 << 18);
        for at in 0..1 << 18 {
            table.slot(spread(at)).unwrap();
        }
        // 2^21 questions with 12 fingerprints of 32 bits each: 0.006 expected.
        let taken = (0..1 << 21).filter(|at| table.find(spread(at + (1 << 32))).is_some()).count();
        assert_eq!(taken, 0);
    }
}
