//! The one hook that sees a decision from inside: metrics, traces and `explain` are all fed by it, and `handle` stays readable.

use crate::bid::offers::Offer;
use crate::clock;
use crate::metrics::core::CoreMetrics;
use crate::metrics::stage::Stage;
use crate::units::Nanos;
use crate::wire::openrtb::nobid::NoBidReason;

/// Watches a decision. Every method has an empty body to begin with, so that what nobody watches costs nothing.
pub trait Probe {
    /// The request enters a stage, and leaves the one before.
    #[inline]
    fn enter(&mut self, _stage: Stage) {}

    /// A campaign is out for this impression.
    #[inline]
    fn dropped(&mut self, _offer: &Offer, _reason: NoBidReason) {}

    /// A campaign would bid this price.
    #[inline]
    fn priced(&mut self, _offer: &Offer) {}
}

/// Sees nothing.
#[derive(Debug)]
pub struct Blind;

impl Probe for Blind {}

/// One request in this many has its stages timed: a clock read costs about as much as a cheap stage.
pub const SAMPLE: u32 = 256;

/// Times the stages of a sampled request into the metrics.
#[derive(Debug)]
pub struct StageTimer<'m> {
    metrics: &'m CoreMetrics,
    current: Option<(Stage, Nanos)>,
}

impl<'m> StageTimer<'m> {
    /// A timer for one request.
    pub fn new(metrics: &'m CoreMetrics) -> Self {
        StageTimer { metrics, current: None }
    }
}

impl Probe for StageTimer<'_> {
    fn enter(&mut self, stage: Stage) {
        let now = clock::boot();
        if let Some((left, since)) = self.current.replace((stage, now)) {
            self.metrics.stages[left as usize].record(now.since(since));
        }
    }
}

impl Drop for StageTimer<'_> {
    fn drop(&mut self) {
        if let Some((stage, since)) = self.current {
            self.metrics.stages[stage as usize].record(clock::boot().since(since));
        }
    }
}
