//! The compliance log, as far as a bid core goes: of one request in so many, why it was treated as it was.
//!
//! The record is made of what the decision tells its probe, so that requests that are not recorded pay for a countdown. It has no
//! room for anything that tells who is behind a request: no id, address, user agent, page, nor the consent string, which can
//! itself tell people apart. A thread of housekeeping takes the records out of the ring ([`crate::audit`]).

use crate::bid::Outcome;
use crate::bid::answer::Backed;
use crate::bid::choose::Chosen;
use crate::bid::comply::Basis;
use crate::bid::eligible::Scene;
use crate::bid::offers::Offer;
use crate::bid::probe::{Probe, Sight};
use crate::bid::quote::Quote;
use crate::bid::user::User;
use crate::metrics::stage::Stage;
use crate::ring::spsc::{Refused, Sender};
use crate::snapshot::supply::{Path, Verdict};
use crate::units::{ExchangeId, Nanos, UnixMillis};
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{BidRequest, Channel};

/// How one request was treated. What the decision did not come to know is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Treated {
    /// When, to the second.
    pub second: u64,
    /// Whose request it was, unless nobody's.
    pub exchange: Option<ExchangeId>,
    /// How it ended. A bid that is withdrawn because its time has passed is still one here.
    pub outcome: Outcome,
    /// Site, app or screen.
    pub channel: Option<Channel>,
    /// ISO 3166-1 alpha-3, capitals: as the request says, or where its address is.
    pub country: Option<[u8; 3]>,
    /// What the law and the user allow, and why.
    pub basis: Option<Basis>,
    /// `regs.ext.dsa.dsarequired`.
    pub dsa_required: Option<u8>,
    /// What the files say of its supply path; `None` also where nobody asks.
    pub supply: Option<Verdict>,
}

/// Records one request in so many.
#[derive(Debug)]
pub struct Auditor {
    every: u32,
    left: u32,
    ring: Sender<Treated>,
}

impl Auditor {
    /// Records every request whose number is a multiple of `every`.
    ///
    /// # Panics
    /// If that is none.
    pub fn new(every: u32, ring: Sender<Treated>) -> Auditor {
        assert!(every > 0, "one request in none");
        Auditor { every, left: every, ring }
    }

    /// Counts a request; whether it is to be recorded.
    #[inline]
    pub fn is_due(&mut self) -> bool {
        self.left -= 1;
        let due = self.left == 0;
        if due {
            self.left = self.every;
        }
        due
    }

    /// Hands a record on. What a full ring refuses is lost, and counted.
    pub fn record(&mut self, treated: Treated) {
        if let Err(Refused(_)) = self.ring.offer(treated) {}
    }

    /// Records lost.
    pub fn lost(&self) -> u64 {
        self.ring.refused()
    }
}

/// Records a decision for whom another probe watches too.
#[derive(Debug)]
pub struct Recorder<'p, P> {
    watched: &'p mut P,
    treated: Treated,
}

impl<'p, P: Probe> Recorder<'p, P> {
    /// Nothing is known yet, but who asks and when.
    pub fn new(watched: &'p mut P, wall: UnixMillis, exchange: Option<ExchangeId>) -> Self {
        let treated = Treated {
            second: wall.0 / 1000,
            exchange,
            outcome: Outcome::Broken,
            channel: None,
            country: None,
            basis: None,
            dsa_required: None,
            supply: None,
        };
        Recorder { watched, treated }
    }

    /// The record, now that the end is known.
    pub fn ended(self, outcome: Outcome) -> Treated {
        Treated { outcome, ..self.treated }
    }

    fn located(&mut self, country: &[u8]) {
        if let Ok(letters) = <[u8; 3]>::try_from(country)
            && letters.iter().all(u8::is_ascii_alphabetic)
        {
            self.treated.country = Some(letters.map(|letter| letter.to_ascii_uppercase()));
        }
    }
}

impl<P: Probe> Probe for Recorder<'_, P> {
    fn enter(&mut self, stage: Stage) {
        self.watched.enter(stage);
    }

    fn scanned(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, deadline: Nanos) {
        self.treated.channel = Some(request.channel);
        self.watched.scanned(scene, request, deadline);
    }

    fn quoted(&mut self, scene: Scene<'_>, quote: Quote) {
        self.watched.quoted(scene, quote);
    }

    fn cleared(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, basis: Basis) {
        self.treated.basis = Some(basis);
        self.treated.dsa_required = Some(request.dsa.required);
        self.located(request.place().country.raw);
        self.watched.cleared(scene, request, basis);
    }

    fn supplied(&mut self, scene: Scene<'_>, path: &Path<'_>, verdict: Verdict) {
        self.treated.supply = Some(verdict);
        self.watched.supplied(scene, path, verdict);
    }

    fn unsold(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, at: u8, reason: NoBidReason) {
        self.watched.unsold(scene, request, at, reason);
    }

    fn listed(&mut self, sight: Sight<'_>) {
        self.located(sight.asked.country);
        self.watched.listed(sight);
    }

    fn known(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, user: &User<'_>) {
        self.watched.known(scene, request, user);
    }

    fn scored(&mut self, rows: usize) {
        self.watched.scored(rows);
    }

    fn dropped(&mut self, offer: &Offer, reason: NoBidReason) {
        self.watched.dropped(offer, reason);
    }

    fn priced(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, offer: &Offer) {
        self.watched.priced(scene, request, offer);
    }

    fn chosen(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, chosen: &Chosen) {
        self.watched.chosen(scene, request, chosen);
    }

    fn reserved(&mut self, scene: Scene<'_>, purse: &[Backed]) {
        self.watched.reserved(scene, purse);
    }
}
