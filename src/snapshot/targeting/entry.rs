//! What a leaf says of a campaign: half a cache line that turns most of the wrong ones away.
//!
//! A dimension has a few bits. The most named values have one of their own, the others share the rest: an entry that fits may
//! still be wrong, one that does not fit is wrong. What is left to be found out stands in [`Entry::check`].

use super::codes::{Dimension, UNNAMED};

/// A campaign in a leaf.
///
/// ```text
///  0             8                        16                          24       28         32
///  ┌─────────────┬─────────────────┬──────┬─────┬──────┬───────┬──────┬────────┬──────────┐
///  │ plain       │ named           │check │place│inven.│categ. │shape │ cpm    │ campaign │
///  └─────────────┴─────────────────┴──────┴─────┴──────┴───────┴──────┴────────┴──────────┘
///   device channel publisher exchange      any of these (sets)
///   os browser     carrier language
///   connection: a request has one value of each
/// ```
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(super) struct Entry {
    /// What is allowed, exactly.
    pub(super) plain: u64,
    /// What is allowed, lane by lane; the topmost 16 bits are [`Entry::check`].
    pub(super) named: u64,
    /// Where one of the request's bits must be in each lane.
    pub(super) sets: u64,
    /// The most it bids, micros per thousand.
    pub(super) cpm: u32,
    pub(super) campaign: u32,
}

const _: () = assert!(size_of::<Entry>() == 32);

const CHECK_SHIFT: u32 = 48;

impl Entry {
    /// The dimensions that the bits and the path have not settled.
    #[inline]
    pub(super) fn check(&self) -> u16 {
        (self.named >> CHECK_SHIFT) as u16
    }

    pub(super) fn with_check(named: u64, check: u16) -> u64 {
        named | u64::from(check) << CHECK_SHIFT
    }

    /// Whether the bits let a request through.
    #[inline]
    pub(super) fn fits(&self, asked: &Bits) -> bool {
        const TOPS: u64 = 0x8000_8000_8000_8000;
        let wrong = asked.plain & !self.plain | asked.named & !self.named;
        let met = self.sets & asked.sets;
        // The top bit of each 16-bit lane in which there is a bit: the sum carries into it, and not beyond.
        let lanes = (((met & !TOPS) + !TOPS) | met) & TOPS;
        (wrong == 0) & (lanes == TOPS)
    }
}

/// A request's side of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bits {
    pub(super) plain: u64,
    pub(super) named: u64,
    pub(super) sets: u64,
}

/// Where a dimension of one value, known to all, lies in [`Entry::plain`]: shift and width. Code 0 is unknown.
pub(super) const fn plain_lane(dimension: Dimension) -> (u32, u32) {
    match dimension {
        Dimension::Device => (0, 16),
        Dimension::Channel => (16, 4),
        Dimension::Os => (20, 16),
        Dimension::Browser => (36, 12),
        Dimension::Connection => (48, 8),
        _ => unreachable!(),
    }
}

/// The bit of a value.
#[inline]
pub(super) fn plain_bit(dimension: Dimension, code: u32) -> u64 {
    let (shift, width) = plain_lane(dimension);
    debug_assert!(code < width);
    1 << (shift + code)
}

/// All bits of a lane.
pub(super) const fn lane((shift, width): (u32, u32)) -> u64 {
    ((1 << width) - 1) << shift
}

/// Where a dimension of one value that campaigns name lies in [`Entry::named`].
pub(super) const fn named_lane(dimension: Dimension) -> (u32, u32) {
    const WIDTH: u32 = 12;
    match dimension {
        Dimension::Publisher => (0, WIDTH),
        Dimension::Exchange => (WIDTH, WIDTH),
        Dimension::Carrier => (2 * WIDTH, WIDTH),
        Dimension::Language => (3 * WIDTH, WIDTH),
        _ => unreachable!(),
    }
}

/// Values of a dimension in [`Entry::named`] that have a bit of their own.
pub(super) const NAMED_OWN: u32 = 6;

/// The bit of a value; the first is for values that no campaign names.
#[inline]
pub(super) fn named_bit(dimension: Dimension, code: u32) -> u64 {
    let (shift, width) = named_lane(dimension);
    let bit = match code {
        UNNAMED => 0,
        code if code < NAMED_OWN => 1 + code,
        code => 1 + NAMED_OWN + code % (width - 1 - NAMED_OWN),
    };
    1 << (shift + bit)
}

/// Where a dimension of several values begins in [`Entry::sets`]; each has 16 bits.
pub(super) const fn set_shift(dimension: Dimension) -> u32 {
    match dimension {
        Dimension::Place => 0,
        Dimension::Inventory => 16,
        Dimension::Category => 32,
        Dimension::Shape => 48,
        _ => unreachable!(),
    }
}

/// Values of a dimension in [`Entry::sets`] that have a bit of their own.
pub(super) const SET_OWN: u32 = 8;

/// The bit that every request has, for campaigns that do not ask.
#[inline]
pub(super) fn any_bit(dimension: Dimension) -> u64 {
    1 << set_shift(dimension)
}

/// The bit of a value.
#[inline]
pub(super) fn set_bit(dimension: Dimension, code: u32) -> u64 {
    let bit = if code < SET_OWN { 1 + code } else { 1 + SET_OWN + code % (15 - SET_OWN) };
    1 << (set_shift(dimension) + bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_is_wanted_in_every_lane() {
        let entry = Entry { plain: 0b11, named: Entry::with_check(0b100, 0xFFFF), sets: 0, cpm: 1, campaign: 0 };
        for lanes in 0..16u64 {
            for bit in 0..16 {
                let sets = (0..4).map(|at| (lanes >> at & 1) << (16 * at + bit)).sum();
                let entry = Entry { sets, ..entry };
                let asked = Bits { plain: 1, named: 0b100, sets: u64::MAX };
                assert_eq!(entry.fits(&asked), lanes == 15, "{sets:x}");
                assert!(!entry.fits(&Bits { plain: 0b100, ..asked }) && !entry.fits(&Bits { named: 1, ..asked }));
            }
        }
    }

    #[test]
    fn lanes_do_not_overlap_and_hold_all_values() {
        let plain = [Dimension::Device, Dimension::Channel, Dimension::Os, Dimension::Browser, Dimension::Connection];
        let named = [Dimension::Publisher, Dimension::Exchange, Dimension::Carrier, Dimension::Language];
        assert_eq!(plain.map(|of| lane(plain_lane(of))).iter().sum::<u64>(), (1 << 56) - 1);
        assert_eq!(named.map(|of| lane(named_lane(of))).iter().sum::<u64>(), (1 << CHECK_SHIFT) - 1);
        for dimension in named {
            for code in (0..100).chain([UNNAMED]) {
                assert_ne!(named_bit(dimension, code) & lane(named_lane(dimension)), 0);
            }
        }
        for code in 0..100 {
            assert!((1 << 1..1 << 16).contains(&set_bit(Dimension::Place, code)));
        }
    }
}
