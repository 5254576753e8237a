//! What a campaign wants, in full, as codes: asked of the few whose entries fit.

use super::codes::Dimension;
use super::globe::Disc;

/// What there is of a campaign once, however many leaves it is in.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(super) struct Record {
    /// Flight, Unix seconds.
    pub(super) start: u32,
    pub(super) end: u32,
    /// Its hours, in [`Rules::dayparts`], or [`ALL_HOURS`].
    pub(super) daypart: u32,
    /// Which lists it has: a bit each.
    pub(super) lists: u32,
    /// Where they begin in [`Rules::codes`]: first the ends of all, counted from here, then one after the other.
    pub(super) at: u32,
    /// Shape codes of its creatives, in their order; [`NO_SHAPE`] fills up. Where they do not fit, [`CREATIVES`] has them.
    pub(super) shapes: [u8; SHAPES],
}

const _: () = assert!(size_of::<Record>() == 32);

pub(super) const ALL_HOURS: u32 = u32::MAX;
pub(super) const NO_SHAPE: u8 = u8::MAX;
pub(super) const SHAPES: usize = 8;

/// How many kinds of lists there are: inclusions by dimension, exclusions by dimension, and the three below.
pub(super) const LISTS: usize = CREATIVES as usize + 1;
/// Circles included: places in [`Rules::discs`], like those excluded.
pub(super) const CIRCLES: u32 = excluded(Dimension::Language) + 1;
pub(super) const CIRCLES_EXCLUDED: u32 = CIRCLES + 1;
/// Shape codes of all creatives, in their order.
pub(super) const CREATIVES: u32 = CIRCLES_EXCLUDED + 1;
const _: () = assert!(LISTS <= 32);

/// The list of included codes of a dimension, sorted.
pub(super) const fn included(dimension: Dimension) -> u32 {
    dimension as u32
}

/// The list of excluded codes of a dimension, sorted; of the first [`Dimension::RULED`].
pub(super) const fn excluded(dimension: Dimension) -> u32 {
    Dimension::COUNT as u32 + dimension as u32
}

/// Hours of the week in a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Hours {
    /// In [`super::Index::zones`].
    pub(super) zone: u32,
    pub(super) hours: [u64; 3],
}

/// The records and what they refer to.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) records: Vec<Record>,
    pub(super) codes: Vec<u32>,
    pub(super) dayparts: Vec<Hours>,
    pub(super) discs: Vec<Disc>,
}

impl Rules {
    /// A list of a record; empty if it has none of this kind.
    #[inline]
    pub(super) fn list(&self, record: &Record, list: u32) -> &[u32] {
        let of = &self.codes[record.at as usize..];
        span(record.lists, list, |at| of[at] as usize).map_or(&[], |(start, end)| &of[start..end])
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.records[..])
            + size_of_val(&self.codes[..])
            + size_of_val(&self.dayparts[..])
            + size_of_val(&self.discs[..])
    }
}

/// Where a list begins and ends among those of `lists`, given where they end.
#[inline]
pub(super) fn span(lists: u32, list: u32, end: impl Fn(usize) -> usize) -> Option<(usize, usize)> {
    if lists >> list & 1 == 0 {
        return None;
    }
    let before = (lists & ((1 << list) - 1)).count_ones() as usize;
    let start = if before == 0 { lists.count_ones() as usize } else { end(before - 1) };
    Some((start, end(before)))
}
