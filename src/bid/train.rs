//! The training log, as far as a bid core goes: of some bids, the features they were made with.
//!
//! Which bids is in their ids ([`Sample`]), and those whose rows are logged carry [`Agreed::LOGGED`] in their notices, so that what
//! becomes of them is logged too and of no others, on whichever node and after whichever restart it is heard. Without leave for
//! purposes 9 and 10 nothing is logged; without leave to know the user a row has nothing of the user ([`super::features`]).
//!
//! A thread of housekeeping takes the rows out of the ring ([`crate::training`]).
//!
//! [`Agreed::LOGGED`]: crate::ring::message::Agreed::LOGGED

use std::num::NonZeroU32;

use arrayvec::ArrayString;

use crate::bid::answer::Written;
use crate::bid::eligible::{Memory, Scene};
use crate::bid::features::{self, Facts};
use crate::bid::frequency::Seen;
use crate::bid::offers::Estimate;
use crate::bid::user::User;
use crate::limits;
use crate::ring::spsc::{Refused, Sender};
use crate::snapshot::features::Schema;
use crate::units::{BidId, CampaignId, CpmMicros, ExchangeId, UnixMillis};
use crate::wire::consent::Purposes;
use crate::wire::openrtb::request::{BidRequest, Parts};

/// Which bids are logged: one in so many, by their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample(Option<NonZeroU32>);

impl Sample {
    /// No bid.
    pub const NONE: Sample = Sample(None);

    /// One in `every`; none if that is 0.
    pub const fn of(every: u32) -> Sample {
        Sample(NonZeroU32::new(every))
    }

    /// Whether this bid is: ids are random.
    #[inline]
    pub fn takes(self, bid: BidId) -> bool {
        let low = bid.0.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        self.0.is_some_and(|every| low.is_multiple_of(u64::from(every.get())))
    }
}

/// A bid, and what it was made with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// `Bid.id`.
    pub bid: BidId,
    /// When it was made.
    pub at: UnixMillis,
    /// To whom.
    pub exchange: ExchangeId,
    /// Whose.
    pub campaign: CampaignId,
    /// Which of the campaign's creatives, by its place.
    pub creative: u8,
    /// The arm of a rollout that it is of; empty without one.
    pub arm: ArrayString<{ limits::ARM_NAME_BYTES }>,
    /// What it bid, in the account's currency.
    pub price: CpmMicros,
    /// What the model said of it, a probability; NaN if none was asked.
    pub predicted: f32,
    /// Its features, in the columns of the schema; of these [`Schema::width`].
    pub features: [f32; limits::FEATURES],
}

/// A bid core's end of the log.
#[derive(Debug)]
pub struct RowLog {
    schema: Schema,
    sample: Sample,
    ring: Sender<Row>,
    forbidden: u64,
}

/// What the law asks for: to understand audiences by statistics, and to improve services. A model of what people do with
/// advertisements is both.
const LEARN: Purposes = Purposes::AUDIENCES.and(Purposes::IMPROVE);

impl RowLog {
    /// Logs bids of `sample`, in the columns of `schema`, into `ring`.
    pub fn new(schema: Schema, sample: Sample, ring: Sender<Row>) -> RowLog {
        RowLog { schema, sample, ring, forbidden: 0 }
    }

    /// Which bids of a request may be logged, of what its data may be processed for.
    #[inline]
    pub fn sample(&mut self, purposes: Purposes) -> Sample {
        let allowed = purposes.has(LEARN);
        self.forbidden += u64::from(!allowed);
        if allowed { self.sample } else { Sample::NONE }
    }

    /// Logs those bids of an answer that are to be. Before their impressions are counted: a row has what the bid was made with.
    /// What a full ring refuses is lost, and counted.
    pub fn log<'r>(
        &mut self,
        scene: Scene<'_>,
        parts: &mut Parts<'r, '_>,
        request: &mut BidRequest<'r>,
        memory: &mut Memory,
        (user, seen): (&User<'_>, Seen<'_>),
        written: &Written,
        arm: &str,
    ) {
        // Whoever sends an operating system that is no text is not learnt from.
        if features::read(&self.schema, parts, request, memory).is_err() {
            return;
        }
        let mut facts = Facts::new(scene, request, user, seen);
        let mut row = [f32::NAN; limits::FEATURES];
        facts.shared(&self.schema, &mut row);
        for &(at, bid) in &written.logged {
            let offer = &written.bids[at].0.offer;
            facts.of_offer(&self.schema, offer, &mut row);
            let row = Row {
                bid,
                at: scene.now.wall,
                exchange: scene.exchange.id,
                campaign: scene.snapshot.campaign(offer.campaign).id,
                creative: offer.creative,
                arm: ArrayString::from(arm).unwrap_or_default(),
                price: offer.price,
                predicted: match offer.estimate {
                    Estimate::Chance(chance) => chance.probability() as f32,
                    Estimate::None | Estimate::Factor(_) | Estimate::Average(_) => f32::NAN,
                },
                features: row,
            };
            if let Err(Refused(_)) = self.ring.offer(row) {}
        }
    }

    /// Rows lost for want of room.
    pub fn lost(&self) -> u64 {
        self.ring.refused()
    }

    /// Answers with bids of which nothing may be logged.
    pub fn forbidden(&self) -> u64 {
        self.forbidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_one_bid_in_so_many_and_always_the_same() {
        let bid = |low: u64| BidId(u128::from(low).to_be_bytes());
        assert!(Sample::of(1).takes(bid(7)) && !Sample::of(0).takes(bid(0)) && !Sample::NONE.takes(bid(0)));
        assert_eq!((0..1000).filter(|&low| Sample::of(10).takes(bid(low))).count(), 100);
    }
}
