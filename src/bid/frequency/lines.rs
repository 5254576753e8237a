//! The lines of the frequency shard: what is known of the users whose home they are.
//!
//! ```text
//!   line    0                        8        16                            64
//!           ┌────────────────────────┬────────┬───────── … ─────────────────┐
//!           │ half · reach           │ entry  │ entry                       │      seven entries
//!           └────────────────────────┴────────┴───────── … ─────────────────┘
//!   entry   63     39 38      36 35    34 33     28 27       16 15      0
//!           ┌────────┬──────────┬────────┬─────────┬───────────┬─────────┐
//!           │  tag   │ distance │ window │ period  │ reserved  │ billed  │         0 is empty
//!           └────────┴──────────┴────────┴─────────┴───────────┴─────────┘
//! ```
//!
//! A user's entries stand in the home line, as long as there is room; those beyond in the lines that follow, as far as the home
//! line's reach says. Most users are found in one line, and those with many counts in neighbouring ones.
//!
//! Reservations are three counts of at most 15: of the half TTL in which the line was written last, and of the two before it. All
//! entries of a line pass from one half TTL to the next together; who only reads leaves out what has ended.

use crate::profile::count::{Periods, Window};

/// Entries of a line.
const WAYS: usize = 7;
/// Lines that a user's entries may stand in.
const MOST: usize = 8;
/// Counts per line that a table is made for: users come to lines unevenly.
pub(super) const USUAL: usize = 4;
/// All entries that a user can have.
#[cfg(test)]
pub(super) const FULL: usize = WAYS * MOST;
/// Where an entry's kind begins: tag, distance, window, period.
const KIND: u32 = 28;
/// Where its reservations begin, and how many bits one of the three counts has.
const RESERVED: u32 = 16;
const NIBBLE: u32 = 4;
/// All three.
const ALL_RESERVED: u64 = 0xFFF << RESERVED;
/// What an entry is worth that counts nothing any more.
const WORTHLESS: u32 = 1;

/// Names a count: its tag, window and the low bits of its period, as they stand in an entry of a home line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(u64);

impl Kind {
    /// The low bits of a period, by which entries are told that are over.
    const PERIOD: u32 = 0x3F;
    /// In the place of a lifetime's period, which is 0.
    const LOADED: u64 = 1;
    /// Where the distance stands.
    const DISTANCE: u32 = 8;
    const TAG: u32 = Self::DISTANCE + MOST.ilog2();

    #[inline]
    pub(super) fn new(hash: u64, window: Window, period: u32) -> Kind {
        Kind(Self::tag(hash) | (window as u64) << 6 | u64::from(period & Self::PERIOD))
    }

    #[inline]
    pub(super) fn loaded(hash: u64) -> Kind {
        Kind(Self::tag(hash) | (Window::Lifetime as u64) << 6 | Self::LOADED)
    }

    /// Never 0, so that no entry is.
    #[inline]
    fn tag(hash: u64) -> u64 {
        (hash >> (KIND + Self::TAG)).max(1) << Self::TAG
    }

    /// The same in a line so far from home.
    #[inline]
    fn at(self, distance: usize) -> u64 {
        self.0 | (distance as u64) << Self::DISTANCE
    }
}

/// One count.
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub(super) struct Entry(u64);

impl Entry {
    /// Billed, and the reservations that still live so many half TTLs after its line was written.
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

    /// How far from its user's home line it stands.
    #[inline]
    fn distance(self) -> usize {
        (self.0 >> (KIND + Kind::DISTANCE)) as usize & (MOST - 1)
    }

    #[inline]
    fn is_loaded_mark(self) -> bool {
        self.0 >> KIND & 0xFF == (Window::Lifetime as u64) << 6 | Kind::LOADED && self.0 != 0
    }

    /// What is lost with it: nothing of an empty one, one whose period is over, or one that only held reservations which ended;
    /// little of a mark, which makes a user be asked for again; then what it counts.
    #[inline]
    fn worth(self, periods: Periods, age: u32) -> u32 {
        let window = Window::ALL[(self.0 >> (KIND + 6) & 3) as usize];
        let over = self.0 >> KIND & u64::from(Kind::PERIOD) != u64::from(periods.of(window) & Kind::PERIOD);
        match self.total(age) {
            _ if self.0 == 0 => 0,
            _ if self.is_loaded_mark() => 2,
            0 => WORTHLESS,
            _ if over => WORTHLESS,
            total => 2 + total,
        }
    }
}

/// A cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(super) struct Line {
    /// The half TTL in which it was written last, modulo 2^16.
    half: u16,
    /// In how many of the lines that follow there are entries whose home this is, at most.
    reach: u8,
    entries: [Entry; WAYS],
}

const _: () = assert!(size_of::<Line>() == 64);

impl Line {
    /// The entry of this kind and distance; an empty one if there is none. Without a branch for each: all are compared at once.
    #[inline]
    fn find(&self, kind: u64) -> Entry {
        let pick = |entry: &Entry| if entry.0 >> KIND == kind { entry.0 } else { 0 };
        Entry(self.entries.iter().map(pick).fold(0, |found, entry| found | entry))
    }

    #[inline]
    fn age(&self, half: u16) -> u32 {
        u32::from(half.wrapping_sub(self.half)).min(3)
    }

    /// Brings all reservations up to this half TTL.
    #[inline]
    fn pass(&mut self, half: u16) {
        let age = self.age(half);
        self.half = half;
        if age > 0 {
            for entry in &mut self.entries {
                let reserved = (entry.0 & ALL_RESERVED) << (NIBBLE * age) & ALL_RESERVED;
                entry.0 = entry.0 & !ALL_RESERVED | reserved;
            }
        }
    }
}

/// The lines from a user's home on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Home<'l>(&'l [Line; MOST]);

impl Home<'_> {
    /// The entry of a kind, and its line.
    #[inline]
    fn find(&self, kind: Kind) -> Option<(Entry, &Line)> {
        let lines = self.0.iter().take(1 + usize::from(self.0[0].reach)).enumerate();
        lines.map(|(distance, line)| (line.find(kind.at(distance)), line)).find(|(entry, _)| entry.0 != 0)
    }

    /// The count of a kind, if there is one.
    #[inline]
    pub(super) fn billed(&self, kind: Kind) -> Option<u16> {
        self.find(kind).map(|(entry, _)| entry.billed())
    }

    /// What is counted and held of a kind in this half TTL.
    #[inline]
    pub(super) fn total(&self, kind: Kind, half: u16) -> u32 {
        self.find(kind).map_or(0, |(entry, line)| entry.total(line.age(half)))
    }
}

/// All lines.
#[derive(Debug)]
pub(super) struct Lines(Box<[Line]>);

impl Lines {
    /// Room for entries of at least so many homes.
    pub(super) fn with(homes: usize) -> Lines {
        Lines(vec![Line::default(); homes.next_power_of_two() + MOST - 1].into_boxed_slice())
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val::<[Line]>(&self.0)
    }

    /// The home of a hash.
    #[inline]
    pub(super) fn place(&self, hash: u64) -> usize {
        hash as usize & (self.0.len() - MOST)
    }

    #[inline]
    pub(super) fn home(&self, place: usize) -> Home<'_> {
        Home(self.0[place..].first_chunk().expect("the last home has lines behind it"))
    }

    /// The entry of a kind, its line brought up to this half TTL, made if need be; and whether another had to be forgotten for it.
    /// With a bill that is forgotten, all users of its home count as not loaded: nobody knows whose it was.
    #[inline]
    pub(super) fn entry(&mut self, home: usize, kind: Kind, half: u16, periods: Periods) -> (&mut Entry, bool) {
        let reach = usize::from(self.0[home].reach);
        let is_there = |distance: &usize| self.0[home + distance].find(kind.at(*distance)).0 != 0;
        let (distance, evicted) = match (0..=reach).find(is_there) {
            Some(distance) => (distance, false),
            None => self.make(home, kind, half, periods),
        };
        let line = &mut self.0[home + distance];
        line.pass(half);
        let kind = kind.at(distance);
        (line.entries.iter_mut().find(|entry| entry.0 >> KIND == kind).expect("it was found or made"), evicted)
    }

    /// Puts an entry where least is lost, as near to its home as that can be.
    fn make(&mut self, home: usize, kind: Kind, half: u16, periods: Periods) -> (usize, bool) {
        let (mut least, mut at) = (u32::MAX, (0, 0));
        for distance in 0..MOST {
            let line = &self.0[home + distance];
            for (way, entry) in line.entries.iter().enumerate() {
                let worth = entry.worth(periods, line.age(half));
                if worth < least {
                    (least, at) = (worth, (distance, way));
                }
            }
            if least <= WORTHLESS {
                break;
            }
        }
        let (distance, way) = at;
        let old = self.0[home + distance].entries[way];
        let evicted = least > 2;
        if evicted && old.billed() > 0 {
            self.forget_loads(home + distance - old.distance());
        }
        self.0[home + distance].entries[way] = Entry(kind.at(distance) << KIND);
        self.measure(home, half, periods);
        (distance, evicted)
    }

    /// Finds how far the entries of a home reach, so that what is over does not make it long for ever.
    fn measure(&mut self, home: usize, half: u16, periods: Periods) {
        let lives = |distance: &usize| {
            let line = &self.0[home + distance];
            let is_own = |entry: &&Entry| entry.0 != 0 && entry.distance() == *distance;
            let is_new = |entry: &Entry| entry.0 << (64 - KIND) == 0;
            line.entries
                .iter()
                .filter(is_own)
                .any(|entry| is_new(entry) || entry.worth(periods, line.age(half)) > WORTHLESS)
        };
        self.0[home].reach = (1..MOST).rev().find(lives).unwrap_or(0) as u8;
    }

    #[cold]
    fn forget_loads(&mut self, home: usize) {
        self.clear(home, Entry::is_loaded_mark);
    }

    /// Empties all entries of a home.
    pub(super) fn erase(&mut self, home: usize) {
        self.clear(home, |_| true);
    }

    fn clear(&mut self, home: usize, of: fn(Entry) -> bool) {
        for (distance, line) in self.0[home..home + MOST].iter_mut().enumerate() {
            for entry in line.entries.iter_mut().filter(|entry| entry.distance() == distance && of(**entry)) {
                *entry = Entry::default();
            }
        }
    }
}
