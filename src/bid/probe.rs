//! The one hook that sees a decision from inside: metrics, traces and `explain` are all fed by it, and `handle` stays readable.

use crate::bid::answer::Backed;
use crate::bid::choose::Chosen;
use crate::bid::comply::Basis;
use crate::bid::eligible::{Natives, Scene};
use crate::bid::offers::Offer;
use crate::bid::quote::Quote;
use crate::bid::sale::Sale;
use crate::bid::shade::Shade;
use crate::bid::user::User;
use crate::clock;
use crate::metrics::core::CoreMetrics;
use crate::metrics::flight::Stamps;
use crate::metrics::stage::Stage;
use crate::snapshot::supply::{Path, Verdict};
use crate::snapshot::targeting::{Asked, Candidate};
use crate::units::Nanos;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{BidRequest, Imp};

/// An impression as the match sees it: everything that decides whose it may be.
#[derive(Debug)]
pub struct Sight<'s> {
    /// What is decided about.
    pub scene: Scene<'s>,
    /// The request, as far as it is read.
    pub request: &'s BidRequest<'s>,
    /// What the targeting index was asked.
    pub asked: &'s Asked<'s>,
    /// The impression.
    pub imp: &'s Imp<'s>,
    /// Its place in the request.
    pub at: u8,
    /// How it is sold.
    pub sale: &'s Sale<'s>,
    /// Whom the index listed.
    pub candidates: &'s [Candidate],
    /// Reads its native placement.
    pub natives: &'s mut Natives,
}

/// Watches a decision. Every method has an empty body to begin with, so that what nobody watches costs nothing.
pub trait Probe {
    /// The request enters a stage, and leaves the one before.
    #[inline]
    fn enter(&mut self, _stage: Stage) {}

    /// The terms of the request are read; the answer is due before `deadline`.
    #[inline]
    fn scanned(&mut self, _scene: Scene<'_>, _request: &BidRequest<'_>, _deadline: Nanos) {}

    /// The currency of the answer is settled.
    #[inline]
    fn quoted(&mut self, _scene: Scene<'_>, _quote: Quote) {}

    /// What the law and the user allow is known.
    #[inline]
    fn cleared(&mut self, _scene: Scene<'_>, _request: &BidRequest<'_>, _basis: Basis) {}

    /// What the files say of the path that the request took is known. Not said if nobody asks.
    #[inline]
    fn supplied(&mut self, _scene: Scene<'_>, _path: &Path<'_>, _verdict: Verdict) {}

    /// An impression is not sold to us at all. May be said twice.
    #[inline]
    fn unsold(&mut self, _scene: Scene<'_>, _request: &BidRequest<'_>, _at: u8, _reason: NoBidReason) {}

    /// The index has listed its candidates for an impression.
    #[inline]
    fn listed(&mut self, _sight: Sight<'_>) {}

    /// The user is known, or known not to be.
    #[inline]
    fn known(&mut self, _scene: Scene<'_>, _request: &BidRequest<'_>, _user: &User<'_>) {}

    /// A campaign is out for this impression.
    #[inline]
    fn dropped(&mut self, _offer: &Offer, _reason: NoBidReason) {}

    /// A model has scored so many offers.
    #[inline]
    fn scored(&mut self, _rows: usize) {}

    /// A campaign's bid is shaded.
    #[inline]
    fn shaded(&mut self, _scene: Scene<'_>, _request: &BidRequest<'_>, _offer: &Offer, _shade: &Shade<'_>) {}

    /// A campaign would bid this price.
    #[inline]
    fn priced(&mut self, _scene: Scene<'_>, _request: &BidRequest<'_>, _offer: &Offer) {}

    /// The winners are chosen.
    #[inline]
    fn chosen(&mut self, _scene: Scene<'_>, _request: &BidRequest<'_>, _chosen: &Chosen) {}

    /// The winners' money is reserved; who is not among these had none.
    #[inline]
    fn reserved(&mut self, _scene: Scene<'_>, _purse: &[Backed]) {}
}

/// Sees nothing.
#[derive(Debug)]
pub struct Blind;

impl Probe for Blind {}

/// Notes when each stage is entered: a reading of the tick counter and a store.
impl Probe for Stamps {
    #[inline(always)]
    fn enter(&mut self, stage: Stage) {
        self.stamp(stage, clock::ticks());
    }
}

/// One request in this many has its stages timed: a clock read costs about as much as a cheap stage.
pub const SAMPLE: u32 = 256;

/// Times the stages of a sampled request into the metrics, and notes them as those of any other.
#[derive(Debug)]
pub struct StageTimer<'m> {
    metrics: &'m CoreMetrics,
    stamps: &'m mut Stamps,
    current: Option<(Stage, Nanos)>,
    /// Rows that were scored.
    rows: usize,
}

impl<'m> StageTimer<'m> {
    /// A timer for one request.
    pub fn new(metrics: &'m CoreMetrics, stamps: &'m mut Stamps) -> Self {
        StageTimer { metrics, stamps, current: None, rows: 0 }
    }
}

impl Probe for StageTimer<'_> {
    fn enter(&mut self, stage: Stage) {
        self.stamps.enter(stage);
        let now = clock::boot();
        if let Some((left, since)) = self.current.replace((stage, now)) {
            self.metrics.stages[left as usize].record(now.since(since));
            if left == Stage::Score && self.rows > 0 {
                let [rows, ns] = &self.metrics.sampled_scoring;
                rows.add(self.rows as u64);
                ns.add(now.since(since));
            }
        }
    }

    fn scored(&mut self, rows: usize) {
        self.rows += rows;
    }
}

impl Drop for StageTimer<'_> {
    fn drop(&mut self) {
        if let Some((stage, since)) = self.current {
            self.metrics.stages[stage as usize].record(clock::boot().since(since));
        }
    }
}
