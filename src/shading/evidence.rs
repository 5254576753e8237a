//! What was seen of one cell: how many bids of each price were made, how many of them won, and which prices there were to beat,
//! where that is told. Older counts for less.

use crate::shading::grid::{self, BINS};
use crate::units::{CpmMicros, Nanos};

/// What is known of a bid that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What was bid.
    pub bid: CpmMicros,
    /// Whether it won.
    pub won: bool,
    /// The least that would have won, where the exchange tells.
    pub to_win: Option<CpmMicros>,
}

/// Counts of one cell. 6 KiB.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Bids made, by price.
    pub tried: Box<[f32; BINS]>,
    /// Of these, the won.
    pub won: Box<[f32; BINS]>,
    /// Prices there were to beat.
    pub beaten: Box<[f32; BINS]>,
    /// Sum of the bids.
    pub weight: f64,
    /// Sum of the prices that were told.
    pub told: f64,
    /// Up to when it was aged.
    aged: Nanos,
}

impl Default for Evidence {
    fn default() -> Evidence {
        let none = || Box::new([0.0; BINS]);
        Evidence { tried: none(), won: none(), beaten: none(), weight: 0.0, told: 0.0, aged: Nanos(0) }
    }
}

impl Evidence {
    /// None, from a time on.
    pub fn new(now: Nanos) -> Evidence {
        Evidence { aged: now, ..Evidence::default() }
    }

    /// Counts a bid.
    pub fn see(&mut self, seen: &Seen) {
        let bin = grid::bin(seen.bid);
        self.tried[bin] += 1.0;
        self.won[bin] += f32::from(u8::from(seen.won));
        self.weight += 1.0;
        if let Some(price) = seen.to_win {
            self.beaten[grid::bin(price)] += 1.0;
            self.told += 1.0;
        }
    }

    /// Lets what is there count for less: half after `half_life` ns.
    pub fn age(&mut self, now: Nanos, half_life: u64) {
        let kept = (-(now.since(self.aged) as f64) / half_life as f64).exp2();
        self.aged = now;
        self.scale(kept);
    }

    fn scale(&mut self, by: f64) {
        let Evidence { tried, won, beaten, weight, told, .. } = self;
        [tried, won, beaten].into_iter().for_each(|counts| counts.iter_mut().for_each(|count| *count *= by as f32));
        *weight *= by;
        *told *= by;
    }

    /// Takes what another has, but as no more than `most` bids.
    pub fn lean_on(&mut self, other: &Evidence, most: f64) {
        let share = (most / other.weight.max(most)) as f32;
        let pairs = [(&mut self.tried, &other.tried), (&mut self.won, &other.won), (&mut self.beaten, &other.beaten)];
        for (ours, theirs) in pairs {
            ours.iter_mut().zip(theirs.iter()).for_each(|(ours, theirs)| *ours += share * theirs);
        }
        self.weight += f64::from(share) * other.weight;
        self.told += f64::from(share) * other.told;
    }

    /// Becomes a copy, in the room it has.
    pub fn copy_from(&mut self, other: &Evidence) {
        self.tried.copy_from_slice(&other.tried[..]);
        self.won.copy_from_slice(&other.won[..]);
        self.beaten.copy_from_slice(&other.beaten[..]);
        (self.weight, self.told, self.aged) = (other.weight, other.told, other.aged);
    }
}
