//! A set of the frequency shard: what is known of the users who share it.
//!
//! ```text
//!   line    0                        8        16                            64
//!           ┌────────────────────────┬────────┬───────── … ─────────────────┐
//!           │ half · spilled         │ entry  │ entry                       │      the second line: seven more entries,
//!           └────────────────────────┴────────┴───────── … ─────────────────┘      read only if the first has spilled
//!   entry   63       36 35    34 33     28 27       16 15      0
//!           ┌──────────┬────────┬─────────┬───────────┬─────────┐
//!           │   tag    │ window │ period  │ reserved  │ billed  │                  0 is empty
//!           └──────────┴────────┴─────────┴───────────┴─────────┘
//! ```
//!
//! Reservations are three counts of at most 15: of the current half TTL and of the two before it. All entries of a set pass from one
//! half TTL to the next together, when the set is written; who only reads leaves out what has ended.

use crate::profile::count::{Periods, Window};

/// Entries of a line.
const WAYS: usize = 7;
/// Entries of a set.
pub(super) const FULL: usize = 2 * WAYS;
/// Where an entry's kind begins: tag, window, period.
const KIND: u32 = 28;
/// Where its reservations begin, and how many bits one of the three counts has.
const RESERVED: u32 = 16;
const NIBBLE: u32 = 4;
/// All three.
const ALL_RESERVED: u64 = 0xFFF << RESERVED;

/// Names a count: its tag, window and the low bits of its period, as they stand in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(u64);

impl Kind {
    /// The low bits of a period, by which entries are told that are over.
    const PERIOD: u32 = 0x3F;
    /// In the place of a lifetime's period, which is 0.
    const LOADED: u64 = 1;

    #[inline]
    pub(super) fn new(hash: u64, window: Window, period: u32) -> Kind {
        // The tag is not 0, so that no entry is.
        Kind((hash >> 36).max(1) << 8 | (window as u64) << 6 | u64::from(period & Self::PERIOD))
    }

    #[inline]
    pub(super) fn loaded(hash: u64) -> Kind {
        Kind((hash >> 36).max(1) << 8 | (Window::Lifetime as u64) << 6 | Self::LOADED)
    }
}

/// One count.
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub(super) struct Entry(u64);

impl Entry {
    /// Billed, and the reservations that still live so many half TTLs after the set was written.
    #[inline]
    pub(super) fn total(self, age: u32) -> u32 {
        let reserved = ((self.0 & ALL_RESERVED) >> RESERVED) as u32;
        let living = reserved << (NIBBLE * age.min(3)) & 0xFFF;
        u32::from(self.billed()) + (living & 15) + (living >> 4 & 15) + (living >> 8)
    }

    /// The count itself.
    #[inline]
    pub(super) fn billed(self) -> u16 {
        self.0 as u16
    }

    #[inline]
    pub(super) fn set(&mut self, billed: u16) {
        self.0 = self.0 & !0xFFFF | u64::from(billed);
    }

    #[inline]
    pub(super) fn raise(&mut self, billed: u16) {
        self.set(self.billed().max(billed));
    }

    /// One more reservation of this half TTL.
    #[inline]
    pub(super) fn reserve(&mut self) {
        if self.0 >> RESERVED & 15 < 15 {
            self.0 += 1 << RESERVED;
        }
    }

    /// One more bill, in the place of the oldest reservation.
    #[inline]
    pub(super) fn count(&mut self) {
        self.set(self.billed().saturating_add(1));
        for place in [RESERVED + 2 * NIBBLE, RESERVED + NIBBLE, RESERVED] {
            if self.0 >> place & 15 > 0 {
                self.0 -= 1 << place;
                break;
            }
        }
    }

    #[inline]
    fn is_of(self, kind: Kind) -> bool {
        self.0 >> KIND == kind.0
    }

    #[inline]
    fn is_loaded_mark(self) -> bool {
        let kind = self.0 >> KIND;
        kind & 0xFF == (Window::Lifetime as u64) << 6 | Kind::LOADED
    }

    /// What is lost with it: nothing of an empty one, one whose period is over, or one that only held reservations which ended;
    /// little of a mark, which makes a user be asked for again; then what it counts.
    #[inline]
    fn worth(self, periods: Periods) -> u32 {
        let window = Window::ALL[(self.0 >> (KIND + 6) & 3) as usize];
        let over = self.0 >> KIND & u64::from(Kind::PERIOD) != u64::from(periods.of(window) & Kind::PERIOD);
        match self.total(0) {
            _ if self.0 == 0 => 0,
            _ if self.is_loaded_mark() => 2,
            0 => 1,
            _ if over => 1,
            total => 2 + total,
        }
    }
}

/// The entries of the users who share it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(128))]
pub(super) struct Set {
    first: Line,
    second: Line,
}

const _: () = assert!(size_of::<Set>() == 128);

#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Line {
    /// Of the first line: the half TTL in which the set was written last, modulo 2^16.
    half: u16,
    /// Of the first line: whether there is anything in the second.
    spilled: bool,
    entries: [Entry; WAYS],
}

impl Set {
    /// The entry of a kind, if there is one.
    #[inline]
    pub(super) fn get(&self, kind: Kind) -> Option<Entry> {
        let find = |line: &Line| line.entries.iter().copied().find(|entry| entry.is_of(kind));
        match find(&self.first) {
            None if self.first.spilled => find(&self.second),
            found => found,
        }
    }

    /// What is counted and held of a kind in this half TTL.
    #[inline]
    pub(super) fn total(&self, kind: Kind, half: u16) -> u32 {
        let age = u32::from(half.wrapping_sub(self.first.half));
        self.get(kind).map_or(0, |entry| entry.total(age))
    }

    /// Brings all reservations up to this half TTL.
    #[inline]
    pub(super) fn pass(&mut self, half: u16) {
        let age = u32::from(half.wrapping_sub(self.first.half)).min(3);
        self.first.half = half;
        if age > 0 {
            for entry in self.first.entries.iter_mut().chain(&mut self.second.entries) {
                let reserved = (entry.0 & ALL_RESERVED) << (NIBBLE * age) & ALL_RESERVED;
                entry.0 = entry.0 & !ALL_RESERVED | reserved;
            }
        }
    }

    /// The entry of a kind, made if need be, and whether one had to be forgotten for it. With a bill that is forgotten, all users of
    /// the set count as not loaded: nobody knows whose it was.
    #[inline]
    pub(super) fn entry(&mut self, kind: Kind, periods: Periods) -> (&mut Entry, bool) {
        let found = (0..FULL).find(|&way| self.at(way).is_of(kind));
        let mut evicted = false;
        let way = found.unwrap_or_else(|| {
            let worth = |way: &usize| self.at(*way).worth(periods);
            let way = (0..FULL).min_by_key(worth).expect("a set has entries");
            evicted = worth(&way) > 2;
            if evicted && self.at(way).billed() > 0 {
                self.forget_loads();
            }
            *self.at_mut(way) = Entry(kind.0 << KIND);
            self.first.spilled |= way >= WAYS;
            way
        });
        (self.at_mut(way), evicted)
    }

    #[cold]
    fn forget_loads(&mut self) {
        for way in 0..FULL {
            if self.at(way).is_loaded_mark() {
                *self.at_mut(way) = Entry::default();
            }
        }
        self.first.spilled = self.second.entries.iter().any(|entry| entry.0 != 0);
    }

    #[inline]
    fn at(&self, way: usize) -> Entry {
        if way < WAYS { self.first.entries[way] } else { self.second.entries[way - WAYS] }
    }

    #[inline]
    fn at_mut(&mut self, way: usize) -> &mut Entry {
        if way < WAYS { &mut self.first.entries[way] } else { &mut self.second.entries[way - WAYS] }
    }
}
