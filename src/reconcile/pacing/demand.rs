//! What comes by: the money that a campaign would reserve in a tick if it took part in every auction.

use super::{FINE, fine};
use crate::units::Micros;

/// Ticks over which chances are averaged: supply changes within minutes.
const CHANCES_OVER: i128 = 8;
/// Ticks over which it is averaged what comes of a chance taken …
const TAKEN_OVER: i128 = 64;
/// … if that many were taken in them; else over so many.
const TAKEN_LEAST: i128 = 256;

/// An estimate of one campaign's demand on one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Demand {
    /// Chances per tick, fine.
    chances: Option<i128>,
    /// Chances taken, fine, and money reserved for them, fine: sums that fade.
    taken: i128,
    reserved: i128,
}

impl Demand {
    /// What came by in a tick, was let through, and was reserved for.
    pub(super) fn note(&mut self, chances: u64, taken: u64, reserved: Micros) {
        let (chances, taken) = (i128::from(chances) << FINE, i128::from(taken) << FINE);
        let before = self.chances.unwrap_or(chances);
        self.chances = Some(before + (chances - before) / CHANCES_OVER);
        let faded = |sum: i128, by: i128| {
            sum - (sum / TAKEN_OVER).min(sum * by.min(TAKEN_LEAST << FINE) / (TAKEN_LEAST << FINE))
        };
        (self.taken, self.reserved) = (faded(self.taken, taken) + taken, faded(self.reserved, taken) + fine(reserved));
    }

    /// Per tick, where one bid costs `bid` as long as nothing else is known.
    pub(super) fn per_tick(&self, bid: Micros) -> Micros {
        let one = 1 << FINE;
        let each = (self.reserved + fine(bid)) * one / (self.taken + one);
        let money = (self.chances.unwrap_or(0) * each) >> (2 * FINE);
        Micros(i64::try_from(money).unwrap_or(i64::MAX))
    }
}
