//! Fires the static probes of the stages on the way to another probe.

use crate::bid::answer::Backed;
use crate::bid::choose::Chosen;
use crate::bid::comply::Basis;
use crate::bid::eligible::Scene;
use crate::bid::offers::Offer;
use crate::bid::probe::{Probe, Sight};
use crate::bid::quote::Quote;
use crate::bid::shade::Shade;
use crate::bid::user::User;
use crate::metrics::stage::Stage;
use crate::snapshot::supply::{Path, Verdict};
use crate::units::Nanos;
use crate::usdt;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::BidRequest;

/// Tells the inner probe everything, and who traces the program from outside which stage a request enters ([`usdt::stage`]).
#[derive(Debug)]
pub struct Traced<'p, P>(pub &'p mut P);

impl<P: Probe> Probe for Traced<'_, P> {
    #[inline]
    fn enter(&mut self, stage: Stage) {
        usdt::stage(stage);
        self.0.enter(stage);
    }

    #[inline]
    fn scanned(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, deadline: Nanos) {
        self.0.scanned(scene, request, deadline);
    }

    #[inline]
    fn quoted(&mut self, scene: Scene<'_>, quote: Quote) {
        self.0.quoted(scene, quote);
    }

    #[inline]
    fn cleared(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, basis: Basis) {
        self.0.cleared(scene, request, basis);
    }

    #[inline]
    fn supplied(&mut self, scene: Scene<'_>, path: &Path<'_>, verdict: Verdict) {
        self.0.supplied(scene, path, verdict);
    }

    #[inline]
    fn unsold(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, at: u8, reason: NoBidReason) {
        self.0.unsold(scene, request, at, reason);
    }

    #[inline]
    fn listed(&mut self, sight: Sight<'_>) {
        self.0.listed(sight);
    }

    #[inline]
    fn known(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, user: &User<'_>) {
        self.0.known(scene, request, user);
    }

    #[inline]
    fn dropped(&mut self, offer: &Offer, reason: NoBidReason) {
        self.0.dropped(offer, reason);
    }

    #[inline]
    fn scored(&mut self, rows: usize) {
        self.0.scored(rows);
    }

    #[inline]
    fn shaded(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, offer: &Offer, shade: &Shade<'_>) {
        self.0.shaded(scene, request, offer, shade);
    }

    #[inline]
    fn priced(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, offer: &Offer) {
        self.0.priced(scene, request, offer);
    }

    #[inline]
    fn chosen(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, chosen: &Chosen) {
        self.0.chosen(scene, request, chosen);
    }

    #[inline]
    fn reserved(&mut self, scene: Scene<'_>, purse: &[Backed]) {
        self.0.reserved(scene, purse);
    }
}
