//! What is counted by supply path: requests and bids by each bid core, wins and spend by the reconciliation core.
//!
//! A table has one writer, which claims a row for a path at first sight and never gives it back, so that readers need no lock: a
//! row is described before its key is stored, and a row without a key is nobody's. Who sends ever new paths fills the table and
//! then counts as [`PathKey::OTHER`]; to make room by forgetting a path would be to forget what it cost.

use std::sync::atomic::{AtomicU64, Ordering};

use super::counter::Counter;
use crate::limits;
use crate::units::{Micros, PathKey};

/// Rows that are looked at for a path, from the one its key names: bounded also for keys that were made to meet.
const PROBES: usize = 16;

/// Counts by path.
#[derive(Debug)]
pub struct Table<C> {
    /// The last is for paths that found no room. Empty: nothing is counted.
    rows: Box<[Row<C>]>,
}

/// Aligned, so that what is counted of a path shares no cache line with another's.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Row<C> {
    /// 0: free.
    key: AtomicU64,
    counts: C,
}

impl<C> Default for Table<C> {
    /// Counts nothing, and takes no memory.
    fn default() -> Self {
        Table { rows: Box::default() }
    }
}

impl<C: Default> Table<C> {
    /// Room for [`limits::PATHS`] paths.
    pub fn with_room() -> Table<C> {
        Table { rows: (0..=limits::PATHS).map(|_| Row::default()).collect() }
    }
}

impl<C> Table<C> {
    /// Whether anything is counted.
    #[inline]
    pub fn is_on(&self) -> bool {
        !self.rows.is_empty()
    }

    /// The counts of a path, and the key it counts under: its own, or [`PathKey::OTHER`] where there was no room for it.
    /// `describe` is called at first sight. The writer only; `None` if nothing is counted.
    #[inline]
    pub fn claim(&self, key: PathKey, describe: impl FnOnce(&C)) -> Option<(PathKey, &C)> {
        let (other, rows) = self.rows.split_last()?;
        let number = key.number();
        for probe in 0..PROBES {
            let row = &rows[(number as usize + probe) % limits::PATHS];
            match row.key.load(Ordering::Relaxed) {
                taken if taken == number && taken > 0 => return Some((key, &row.counts)),
                0 if key > PathKey::OTHER => {
                    describe(&row.counts);
                    row.key.store(number, Ordering::Release);
                    return Some((key, &row.counts));
                }
                _ => {}
            }
        }
        Some((PathKey::OTHER, &other.counts))
    }

    /// Every path that was seen, and the rest under [`PathKey::OTHER`], in no order.
    pub fn iter(&self) -> impl Iterator<Item = (PathKey, &C)> {
        let (other, rows) = match self.rows.split_last() {
            Some((other, rows)) => (Some((PathKey::OTHER, &other.counts)), rows),
            None => (None, &[][..]),
        };
        let known = rows.iter().filter_map(|row| match row.key.load(Ordering::Acquire) {
            0 => None,
            number => Some((PathKey::from_number(number), &row.counts)),
        });
        known.chain(other)
    }
}

/// Words of [`PathCounts::nodes`].
const WORDS: usize = 24;

/// What one bid core counts of a path.
#[derive(Debug, Default)]
pub struct PathCounts {
    /// Requests whose terms were read, tests left out.
    pub requests: Counter,
    /// Bids made.
    pub bids: Counter,
    /// Of these, the bids whose wins may be counted.
    pub measured: Counter,
    /// What the bids would cost at most, micros.
    pub bid_micros: Counter,
    /// Requests that were copies of one bid on a moment ago.
    pub duplicates: Counter,
    /// The exchange, as its position in the configuration.
    exchange: Counter,
    /// The systems of the chain, eight letters a word, filled up with 0.
    nodes: [Counter; WORDS],
}

const _: () = assert!(size_of::<Row<PathCounts>>() == 256);

impl PathCounts {
    /// Letters that are kept of the systems of a chain.
    pub const NODES_BYTES: usize = WORDS * 8;

    /// Says what the path is: the exchange's position in the configuration, and the systems of the chain, a space between two.
    pub fn describe(&self, exchange: u8, nodes: &[u8]) {
        self.exchange.set(u64::from(exchange));
        for (word, letters) in self.nodes.iter().zip(nodes.chunks(8)) {
            let mut bytes = [0; 8];
            bytes[..letters.len()].copy_from_slice(letters);
            word.set(u64::from_le_bytes(bytes));
        }
    }

    /// The position of the exchange in the configuration.
    pub fn exchange(&self) -> usize {
        self.exchange.get() as usize
    }

    /// The systems of the chain, the owner's first, a space between two.
    pub fn nodes(&self) -> String {
        let bytes: Vec<u8> = self.nodes.iter().flat_map(|word| word.get().to_le_bytes()).collect();
        String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()
    }
}

/// What the reconciliation core counts of a path. Of notices that come again nothing is counted twice, not even after a restart.
#[derive(Debug, Default)]
pub struct PathSales {
    /// The exchange, as notice URLs name it.
    pub exchange: Counter,
    /// Bids that are known to have won, by whichever of win and bill came first.
    pub wins: Counter,
    /// Bills booked.
    pub bills: Counter,
    /// What they came to, micros.
    pub spend_micros: Counter,
}

impl PathSales {
    /// A bill was booked.
    pub fn billed(&self, amount: Micros) {
        self.bills.add(1);
        self.spend_micros.add(amount.0 as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn key(number: u64) -> PathKey {
        PathKey::from_number(number)
    }

    #[test]
    fn a_path_is_described_once_and_found_again() {
        let table: Table<PathCounts> = Table::with_room();
        for round in 0..3 {
            let (own, counts) =
                table.claim(key(77), |counts| counts.describe(4, b"owner.example reseller.example")).unwrap();
            assert_eq!(own, key(77));
            counts.requests.add(1);
            assert_eq!((counts.requests.get(), counts.exchange()), (round + 1, 4));
        }
        let (_, counts) = table.iter().find(|(known, _)| *known == key(77)).unwrap();
        assert_eq!(counts.nodes(), "owner.example reseller.example");
        assert_eq!(table.iter().count(), 2, "it and the rest");
    }

    #[test]
    fn what_finds_no_room_is_counted_together() {
        let table: Table<PathCounts> = Table::with_room();
        // All of them name one row.
        let keys = (1..=40).map(|turn| key(5 + turn * limits::PATHS as u64));
        for (at, key) in keys.clone().enumerate() {
            let (given, counts) = table.claim(key, |_| {}).unwrap();
            counts.requests.add(1);
            assert_eq!(given, if at < PROBES { key } else { PathKey::OTHER });
        }
        let seen: HashSet<_> =
            table.iter().filter(|(_, counts)| counts.requests.get() == 1).map(|(key, _)| key).collect();
        assert_eq!(seen, keys.take(PROBES).collect::<HashSet<_>>());
        let (_, other) = table.iter().find(|(key, _)| *key == PathKey::OTHER).unwrap();
        assert_eq!(other.requests.get(), 40 - PROBES as u64);
        // Told to be one of the rest, as a notice may be, or of no path.
        for rest in [PathKey::OTHER, PathKey::NONE] {
            assert_eq!(table.claim(rest, |_| {}).unwrap().1.requests.get(), 40 - PROBES as u64);
        }
    }

    #[test]
    fn a_table_that_is_off_counts_nothing() {
        let table: Table<PathSales> = Table::default();
        assert!(!table.is_on() && table.claim(key(9), |_| {}).is_none() && table.iter().count() == 0);
    }

    #[test]
    fn the_longest_description_is_kept_whole() {
        let counts = PathCounts::default();
        let text = "x".repeat(PathCounts::NODES_BYTES);
        counts.describe(0, text.as_bytes());
        assert_eq!(counts.nodes(), text);
    }
}
