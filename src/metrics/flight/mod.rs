//! Requests that took too long: what a bid core knows of each, its flight, and what is made of it off the core.
//!
//! A core notes of each request when it entered which stage ([`Stamps`]), and of each turn what happened in it
//! ([`crate::bid::flight`]). When the turn is over, those that took too long leave it by a ring, with what the kernel counted of
//! the thread meanwhile. The thread that keeps stalls ([`super::stalls::watch`]) gives each its causes ([`cause`]) and keeps the last
//! and the longest ([`records`]).

pub mod cause;
pub mod records;

use super::stage::Stage;
use super::stalls::thread::Spent;
use crate::units::{ExchangeId, Nanos};
use crate::wire::openrtb::nobid::NoBidReason;

/// Flights under way from a bid core to the thread that keeps them: some turns' worth.
pub const CROSSING: usize = 256;

const _: () = assert!(Stage::COUNT <= u16::BITS as usize);

/// When a request entered which stage, in [`crate::clock::ticks`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// One bit for each stage that was entered.
    entered: u16,
    at: [u64; Stage::COUNT],
}

impl Stamps {
    /// Forgets all of them.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.entered = 0;
    }

    /// The request enters a stage, at `ticks`.
    #[inline(always)]
    pub fn stamp(&mut self, stage: Stage, ticks: u64) {
        self.at[stage as usize] = ticks;
        self.entered |= 1 << stage as u16;
    }

    /// The stages that were entered, in order, and when.
    pub fn entered(&self) -> impl Iterator<Item = (Stage, u64)> {
        let entered = |stage: &Stage| self.entered & 1 << *stage as u16 != 0;
        Stage::ALL.iter().copied().filter(entered).map(|stage| (stage, self.at[stage as usize]))
    }
}

/// How a request ended, as the bidder answered it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// With a bid, which may have been withdrawn after that.
    Bid,
    /// With 204.
    NoBid(NoBidReason),
    /// With an error: its document is broken, or its body too long.
    #[default]
    Error,
}

impl Ended {
    /// The name used in answers: `bid`, the reason for none, or `error`.
    pub fn label(self) -> &'static str {
        match self {
            Ended::Bid => "bid",
            Ended::NoBid(reason) => reason.label(),
            Ended::Error => "error",
        }
    }

    /// Whether it was a bid for which the ring to the reconciliation core had no room.
    pub fn is_refused(self) -> bool {
        self == Ended::NoBid(NoBidReason::RingFull)
    }
}

/// One request, while its turn lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flight {
    /// Of this exchange; none if nobody knows the path it came to.
    pub exchange: Option<ExchangeId>,
    /// How it ended.
    pub ended: Ended,
    /// Length of its body as it was sent, bytes; unpacked, if it was parked.
    pub bytes: u32,
    /// The earliest moment at which it may have come.
    pub arrived: Nanos,
    /// When it was framed.
    pub framed: Nanos,
    /// How long it waited for its user's profile, ns.
    pub parked_ns: u64,
    /// Bid requests that were answered in its turn before it.
    pub place: u32,
    /// When the core turned to it, [`crate::clock::ticks`]: the bytes before it were done with.
    pub began: u64,
    /// When its answer was written.
    pub done: u64,
    /// Its stages in between.
    pub stamps: Stamps,
}

impl Flight {
    /// For how long the core worked on it, ticks.
    #[inline]
    pub fn took(&self) -> u64 {
        self.done.wrapping_sub(self.began)
    }
}

/// A turn that answered requests too late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// When the turn before it ended; the loop waited from then on.
    pub before: Nanos,
    /// When it began.
    pub woke: Nanos,
    /// When it ended, with its answers on their way.
    pub ended: Nanos,
    /// [`crate::clock::ticks`] when it began and when it ended.
    pub ticks: [u64; 2],
    /// Bid requests answered in it.
    pub requests: u32,
    /// Bids for which the ring to the reconciliation core had no room.
    pub refused: u64,
    /// How long a request usually takes, ns.
    pub usual_ns: u64,
    /// The CPU it ended on.
    pub cpu: usize,
}

impl Turn {
    /// The moment of a reading of the ticks in this turn: its two ends are known by both clocks, and both go on evenly.
    pub fn at(&self, ticks: u64) -> Nanos {
        let [began, ended] = self.ticks;
        let whole = u128::from(ended.saturating_sub(began)).max(1);
        let part = u128::from(ticks.saturating_sub(began)).min(whole);
        self.woke.after((part * u128::from(self.ended.since(self.woke)) / whole) as u64)
    }

    /// Whether the machine counts ticks, so that there are stages.
    pub fn has_ticks(&self) -> bool {
        self.ticks[1] > self.ticks[0]
    }
}

/// A request that took too long, as its core tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Late {
    /// The request.
    pub flight: Flight,
    /// The turn in which it was answered.
    pub turn: Turn,
    /// Requests decided since it arrived, those of its turn included; not those that were too old to be read.
    pub requests: u64,
    /// A snapshot was swapped in since it arrived, or since the last turn with requests before that; this took so long, ns.
    pub swap_ns: Option<u64>,
    /// The longest stage of any request in its turn, that request's place, and how long it was there, ticks.
    pub slowest: Option<(u32, Stage, u64)>,
    /// What the kernel counted of the thread since it arrived, if it counts.
    pub spent: Option<Spent>,
    /// The time before the turn's end over which that was counted, ns.
    pub window_ns: u64,
    /// As many requests of this turn took too long, beside those that are told.
    pub others: u64,
}

impl Late {
    /// From the earliest moment at which it may have come until its answer was on its way, ns.
    pub fn length_ns(&self) -> u64 {
        self.turn.ended.since(self.flight.arrived)
    }

    /// Its stages in order, and how long it was in each, ns: from the moment when the core turned to it until its turn ended.
    pub fn stages(&self) -> Vec<(Stage, u64)> {
        let Late { flight, turn, .. } = self;
        if !turn.has_ticks() {
            return Vec::new();
        }
        let starts = [(Stage::Frame, flight.began)].into_iter().chain(flight.stamps.entered());
        let starts: Vec<(Stage, Nanos)> = starts.map(|(stage, ticks)| (stage, turn.at(ticks))).collect();
        let ends = starts.iter().skip(1).map(|&(_, at)| at).chain([turn.at(flight.done)]);
        let mut stages: Vec<(Stage, u64)> =
            starts.iter().zip(ends).map(|(&(stage, from), to)| (stage, to.since(from))).collect();
        stages.push((Stage::Account, turn.ended.since(turn.at(flight.done))));
        stages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stages_are_told_in_their_order_and_only_those_entered() {
        let mut stamps = Stamps::default();
        stamps.stamp(Stage::Answer, 9);
        stamps.stamp(Stage::Admit, 3);
        assert_eq!(stamps.entered().collect::<Vec<_>>(), [(Stage::Admit, 3), (Stage::Answer, 9)]);
        stamps.clear();
        assert_eq!(stamps.entered().count(), 0);
    }

    proptest! {
        /// Between its beginning and the end of its turn every moment is of one stage.
        #[test]
        fn stages_make_up_the_time_from_its_beginning_to_the_end_of_its_turn(
            steps in proptest::collection::vec(0u64..40_000, Stage::COUNT + 2), rate in 1u64..5, waited in 0u64..1_000_000,
        ) {
            let woke = Nanos(7 * Nanos::SECOND);
            let total: u64 = steps.iter().sum();
            let turn = Turn { woke, ended: woke.after(total), ticks: [500, 500 + total * rate], ..Turn::default() };
            let mut flight = Flight { arrived: Nanos(woke.0 - waited), began: 500 + steps[0] * rate, ..Flight::default() };
            let mut now = steps[0];
            let mut expected = vec![Stage::Frame];
            for (&stage, step) in Stage::ALL.iter().zip(&steps[1..]).skip(2).filter(|(stage, _)| **stage != Stage::Account) {
                now += step;
                flight.stamps.stamp(stage, 500 + now * rate);
                expected.push(stage);
            }
            flight.done = 500 + now * rate;
            expected.push(Stage::Account);
            let late = Late { flight, turn, ..Late::default() };
            let stages = late.stages();
            prop_assert_eq!(stages.iter().map(|&(stage, _)| stage).collect::<Vec<_>>(), expected);
            let sum: u64 = stages.iter().map(|&(_, ns)| ns).sum();
            prop_assert!(sum.abs_diff(total - steps[0]) <= 1);
            prop_assert_eq!(late.length_ns(), total + waited);
        }
    }
}
