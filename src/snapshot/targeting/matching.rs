//! The walk: from a query to its candidates.

use arrayvec::ArrayVec;

use super::codes::{self, Dimension, LABELS, UNNAMED};
use super::entry::{Bits, Entry, set_bit};
use super::globe::{LEVELS, Spot};
use super::query::Query;
use super::rules::{self, ALL_HOURS, CIRCLES, CIRCLES_EXCLUDED, CREATIVES, NO_SHAPE, Record, excluded, included};
use super::{Candidate, Candidates, Index, LEAF, Matched, NONE, Node, Offer};
use crate::limits;
use crate::units::CampaignIx;

/// By which of the request's values a path was chosen, where it has several: a campaign that names more than one of them is
/// met under each, and listed under the first.
#[derive(Clone, Copy)]
struct Met {
    deal: u8,
    shape: u8,
    place: u8,
    category: u8,
}

/// The path did not ask.
const UNASKED: u8 = u8::MAX;
const _: () = assert!(limits::SHAPES < UNASKED as usize);
const _: () = assert!(limits::DEALS < UNASKED as usize);
const _: () = assert!(2 * limits::CATEGORIES < UNASKED as usize);
const _: () = assert!(4 + LEVELS < UNASKED as usize);

/// Entries of a leaf that are looked at together: as many as most leaves have.
const TOGETHER: usize = 32;

/// Nodes still to visit. Each inner node takes one off and puts at most its answers and "do not ask" on, and no path asks
/// the same twice.
const STACK: usize = {
    let singles = Dimension::COUNT - 5;
    (limits::DEALS + 1)
        + (LABELS + 1)
        + (4 + LEVELS + 1)
        + (2 * limits::CATEGORIES + 1)
        + (limits::SHAPES + 1)
        + 2 * singles
};

/// The offer's side of a query.
struct Impression<'q> {
    query: &'q Query,
    bits: Bits,
    /// Codes of the shapes that any campaign has, and their places among those offered.
    shapes: ArrayVec<(u32, u8), { limits::SHAPES }>,
    /// Codes of the deals that any campaign names, and their places.
    deals: ArrayVec<(u32, u8), { limits::DEALS }>,
    /// The floor; prices are 32 bits of micros: one beyond that is above them all, one below 0 is below them all.
    floor: u32,
}

impl Index {
    /// Lists the campaigns that want an impression of the query's request and bid at least its floor, in no particular
    /// order. `out` is cleared first. Allocates nothing.
    pub fn candidates(&self, query: &Query, offer: &Offer<'_>, out: &mut Candidates) -> Matched {
        out.clear();
        let mut matched = Matched::default();
        let impression = self.impression(query, offer);
        matched.shape_known = !impression.shapes.is_empty();
        if !matched.shape_known {
            return matched;
        }
        let mut stack: ArrayVec<(u32, Met), STACK> = ArrayVec::new();
        let met = Met { deal: UNASKED, shape: UNASKED, place: UNASKED, category: UNASKED };
        if !offer.deals_only && self.open != NONE {
            stack.push((self.open, met));
        }
        for &(code, deal) in &impression.deals {
            if let Some(child) = self.child(&self.deals, code) {
                stack.push((child, Met { deal, ..met }));
            }
        }
        while let Some((at, met)) = stack.pop() {
            let node = &self.nodes[at as usize];
            if node.asks != LEAF {
                self.ask(node, met, &impression, &mut stack);
            } else {
                let entries = &self.entries[node.start as usize..][..node.extent as usize];
                if !self.look(entries, met, &impression, out, &mut matched) {
                    break;
                }
            }
        }
        matched.below_floor &= out.is_empty();
        matched
    }

    fn impression<'q>(&self, query: &'q Query, offer: &Offer<'_>) -> Impression<'q> {
        let mut impression = Impression {
            query,
            bits: query.bits,
            shapes: ArrayVec::new(),
            deals: ArrayVec::new(),
            floor: u32::try_from(offer.floor.0.max(0)).unwrap_or(u32::MAX),
        };
        for (&shape, place) in offer.shapes.iter().take(limits::SHAPES).zip(0..) {
            let code = self.dictionaries[Dimension::Shape as usize].code(codes::shape(shape));
            if code != UNNAMED && !impression.shapes.iter().any(|&(known, _)| known == code) {
                impression.shapes.push((code, place));
                impression.bits.sets |= set_bit(Dimension::Shape, code);
            }
        }
        if self.asks & Dimension::Deal.bit() != 0 {
            for (deal, place) in offer.deals.iter().take(limits::DEALS).zip(0..) {
                let code = self.dictionaries[Dimension::Deal as usize].code(codes::deal(deal));
                if code != UNNAMED && !impression.deals.iter().any(|&(known, _)| known == code) {
                    impression.deals.push((code, place));
                }
            }
        }
        impression
    }

    /// Puts the children that the request leads to on the stack.
    #[inline]
    fn ask(&self, node: &Node, met: Met, impression: &Impression<'_>, stack: &mut ArrayVec<(u32, Met), STACK>) {
        const INVENTORY: u8 = Dimension::Inventory as u8;
        const PLACE: u8 = Dimension::Place as u8;
        const CATEGORY: u8 = Dimension::Category as u8;
        const SHAPE: u8 = Dimension::Shape as u8;
        if node.any != NONE {
            stack.push((node.any, met));
        }
        let query = impression.query;
        let mut follow = |code: u32, met: Met| {
            if let Some(child) = self.child(node, code) {
                stack.push((child, met));
            }
        };
        match node.asks {
            INVENTORY => query.inventory.iter().for_each(|&code| follow(code, met)),
            PLACE => query.places.iter().zip(0..).for_each(|(&code, place)| follow(code, Met { place, ..met })),
            CATEGORY => {
                query.categories.iter().zip(0..).for_each(|(&code, category)| follow(code, Met { category, ..met }));
            }
            SHAPE => impression.shapes.iter().for_each(|&(code, shape)| follow(code, Met { shape, ..met })),
            one => follow(query.one[usize::from(one)], met),
        }
    }

    #[inline]
    fn child(&self, node: &Node, code: u32) -> Option<u32> {
        if node.present & 1 << (code % 64) == 0 {
            return None;
        }
        let table = &self.children[node.start as usize..][..=node.extent as usize];
        let mut at = place_of(code, node.extent);
        loop {
            let child = table[at as usize];
            if child.node == NONE {
                return None;
            }
            if child.code == code {
                return Some(child.node);
            }
            at = (at + 1) & node.extent;
        }
    }

    /// Goes through a leaf; false if there is no room for what it found.
    #[inline]
    fn look(
        &self,
        entries: &[Entry],
        met: Met,
        impression: &Impression<'_>,
        out: &mut Candidates,
        matched: &mut Matched,
    ) -> bool {
        // First who fits, without a branch to guess wrong; then their records, all of which can be on their way at once.
        for entries in entries.chunks(TOGETHER) {
            let mut fitting = [0; TOGETHER];
            let mut count = 0;
            for (entry, at) in entries.iter().zip(0u8..) {
                fitting[count] = at;
                count += usize::from(entry.fits(&impression.bits));
            }
            for &at in &fitting[..count] {
                let entry = &entries[usize::from(at)];
                // The dearest come first: below the floor all that is left to learn is whether anybody is there.
                let low = entry.cpm < impression.floor;
                if low && (matched.below_floor || !out.is_empty()) {
                    return true;
                }
                let Some(candidate) = self.candidate(entry, met, impression) else { continue };
                if low {
                    matched.below_floor = true;
                } else if out.try_push(candidate).is_err() {
                    matched.full = true;
                    return false;
                }
            }
        }
        true
    }

    /// What the bits leave open.
    #[inline]
    fn candidate(&self, entry: &Entry, met: Met, impression: &Impression<'_>) -> Option<Candidate> {
        let record = &self.rules.records[entry.campaign as usize];
        let query = impression.query;
        let runs = (record.start <= query.seconds) & (query.seconds < record.end);
        if !runs || record.daypart != ALL_HOURS && !self.in_hours(record.daypart, query) {
            return None;
        }
        let (shape, creative) = self.creative(record, impression)?;
        if met.shape != UNASKED && met.shape != shape {
            return None;
        }
        let check = entry.check();
        if check != 0 && !self.settle(record, check, met, query) {
            return None;
        }
        let deal = (met.deal != UNASKED).then_some(met.deal);
        if deal.is_some() && impression.deals.len() > 1 {
            let named = self.rules.list(record, included(Dimension::Deal));
            let first = impression.deals.iter().find(|(code, _)| named.binary_search(code).is_ok());
            if first.map(|&(_, place)| place) != deal {
                return None;
            }
        }
        Some(Candidate { campaign: CampaignIx(entry.campaign), shape, creative, deal })
    }

    #[inline]
    fn in_hours(&self, daypart: u32, query: &Query) -> bool {
        let rules::Hours { zone, hours } = &self.rules.dayparts[daypart as usize];
        query
            .hours
            .get(*zone as usize)
            .is_some_and(|&hour| hours.get(usize::from(hour / 64)).is_some_and(|hours| hours >> (hour % 64) & 1 == 1))
    }

    /// Asks the campaign's own lists in the dimensions of `check`.
    fn settle(&self, record: &Record, mut check: u16, met: Met, query: &Query) -> bool {
        while check != 0 {
            let dimension = Dimension::ALL[check.trailing_zeros() as usize];
            check &= check - 1;
            let asked = query.codes(dimension);
            let include = self.rules.list(record, included(dimension));
            let first = asked.iter().position(|code| include.binary_search(code).is_ok());
            let met_by = match dimension {
                Dimension::Place => met.place,
                Dimension::Category => met.category,
                _ => UNASKED,
            };
            if met_by != UNASKED && first != Some(usize::from(met_by)) {
                return false;
            }
            // A cell is no place: what it says is that a circle may be near.
            let named = dimension != Dimension::Place || first.is_some_and(|first| first < usize::from(query.names));
            let is_in = first.is_some() && (named || self.in_circle(record, CIRCLES, query.spot.as_ref()));
            if !include.is_empty() && !is_in {
                return false;
            }
            let exclude = self.rules.list(record, excluded(dimension));
            if asked.iter().any(|code| exclude.binary_search(code).is_ok()) {
                return false;
            }
            if dimension == Dimension::Place && self.in_circle(record, CIRCLES_EXCLUDED, query.spot.as_ref()) {
                return false;
            }
        }
        true
    }

    #[inline]
    fn in_circle(&self, record: &Record, list: u32, spot: Option<&Spot>) -> bool {
        let Some(spot) = spot else { return false };
        self.rules.list(record, list).iter().any(|&at| self.rules.discs[at as usize].contains(spot))
    }

    /// The first offered shape the campaign has a creative for, by its place, and that creative.
    #[inline]
    fn creative(&self, record: &Record, impression: &Impression<'_>) -> Option<(u8, u8)> {
        impression.shapes.iter().find_map(|&(code, place)| {
            let at = if record.lists >> CREATIVES & 1 == 0 {
                record.shapes.iter().position(|&of| of != NO_SHAPE && u32::from(of) == code)
            } else {
                self.rules.list(record, CREATIVES).iter().position(|&of| of == code)
            };
            at.map(|at| (place, at as u8))
        })
    }
}

/// Where in a table of children, of `mask + 1` places, to begin to look for a code.
#[inline]
pub(super) fn place_of(code: u32, mask: u32) -> u32 {
    code.wrapping_mul(0x9E37_79B1) >> 7 & mask
}
