//! How much of what is reserved is spent in the end.

use super::{FINE, fine};
use crate::units::Micros;

/// Ticks over which it is averaged …
const OVER: i128 = 64;
/// … if so many bids were made in them; else over so many.
const BIDS: i128 = 2048;
/// The same, to notice that it is not any more what it was.
const RECENT_OVER: i128 = 8;
const RECENT_BIDS: i128 = 128;
/// Bids that are taken for spent in full as long as nothing is known. Few, because what is silent is counted as it is expected: a
/// small budget on many nodes has few bids to learn from.
const PRIOR: i128 = 1;
/// Above this multiple of what was expected lately, and so many bids beyond, what was known is forgotten.
const JUMP: (i128, i128) = (2, 8);
/// The least that is believed, in 1/65,536: a thousand bids for what one costs.
const LEAST: i128 = (1 << FINE) / 1024;

/// Money reserved and what was or will be billed of it: sums that fade.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    reserved: i128,
    spent: i128,
}

impl Sums {
    fn note(&mut self, reserved: i128, spent: i128, bid: i128, (over, bids): (i128, i128)) {
        let window = bid.saturating_mul(bids).max(1);
        let part = |sum: i128| (sum / over).min(sum * reserved.min(window) / window);
        let (reserved_part, spent_part) = (part(self.reserved), part(self.spent.max(0)));
        self.reserved += reserved - reserved_part;
        self.spent = (self.spent + spent - spent_part).clamp(0, self.reserved);
    }
}

/// An estimate for one campaign on one node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Returns {
    long: Sums,
    recent: Sums,
}

impl Returns {
    /// What was reserved in a tick, and by how much more is billed, or expected to be, than before. A bid costs `bid`.
    pub(super) fn note(&mut self, reserved: Micros, spent: i128, bid: Micros) {
        let (reserved, bid) = (fine(reserved), fine(bid));
        self.long.note(reserved, spent, bid, (OVER, BIDS));
        self.recent.note(reserved, spent, bid, (RECENT_OVER, RECENT_BIDS));
        // Upwards only: to spend too little for minutes is made up for later, to spend too much is not.
        let expected = self.long.spent * self.recent.reserved / self.long.reserved.max(1);
        if self.recent.spent > JUMP.0 * expected + JUMP.1 * bid {
            self.long = self.recent;
        }
    }

    /// Spent per reserved, in 1/65,536: above 0, at most 65,536. A bid costs `bid`.
    pub(super) fn share(&self, bid: Micros) -> i128 {
        let prior = PRIOR * fine(bid).max(1);
        (((self.long.spent + prior) << FINE) / (self.long.reserved + prior)).clamp(LEAST, 1 << FINE)
    }
}
