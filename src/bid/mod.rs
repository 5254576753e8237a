//! A bid core: the decision, and all it owns.
//!
//! [`BidCore::handle`] is the path of a request, stage by stage. It is synchronous: no clock, no socket, no allocation once
//! warm. So the same code runs under the server, `corebid explain`, the fuzzer and the benchmarks.

pub mod net;
pub mod server;
pub mod service;
pub mod desk;

// The stages, in order.
pub mod admit;
pub mod comply;
pub mod eligible;
pub mod profile;
pub mod frequency;
pub mod budget;
pub mod price;
pub mod offers;
pub mod paper;

// What serves them.
pub mod ids;
pub mod probe;

use std::marker::PhantomData;
use std::rc::Rc;

use crate::metrics::core::CoreMetrics;
use crate::metrics::stage::Stage;
use crate::ring::message::Event;
use crate::ring::spsc::EventSender;
use crate::snapshot::Snapshot;
use crate::units::{Nanos, Now};
use crate::wire::json;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{self, BidRequest, ScanError};
use crate::wire::openrtb::response::ResponseWriter;

use admit::Exchanges;
use budget::Leases;
use frequency::FrequencyShard;
use offers::{Offers, choose, keep};
use paper::Paper;
use probe::Probe;
use profile::ProfileShard;

/// One bid request as it came out of the framing.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The last part of its path.
    pub exchange: &'a [u8],
    /// The document.
    pub body: &'a [u8],
    /// When it arrived, as early as is known.
    pub arrived: Nanos,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 200: a bid response of this length was written. It must not leave after `valid_until`.
    Bid {
        /// Bytes of the response.
        length: usize,
        /// The sooner of the deadline and the end of the leases it draws on.
        valid_until: Nanos,
    },
    /// 204.
    NoBid(NoBidReason),
    /// 400: the document is not JSON.
    Broken,
}

impl From<NoBidReason> for Outcome {
    fn from(reason: NoBidReason) -> Outcome {
        Outcome::NoBid(reason)
    }
}

impl From<ScanError> for Outcome {
    fn from(error: ScanError) -> Outcome {
        match error {
            ScanError::Broken => Outcome::Broken,
            ScanError::NotABidRequest => Outcome::NoBid(NoBidReason::NotABidRequest),
            ScanError::TooMuch => Outcome::NoBid(NoBidReason::TooMuch),
        }
    }
}

/// Everything one bid core decides with. Built on its thread and never leaves it.
#[derive(Debug)]
pub struct BidCore {
    exchanges: Exchanges,
    snapshot: Box<Snapshot>,
    profiles: ProfileShard,
    frequency: FrequencyShard,
    leases: Leases,
    paper: Paper,
    events: EventSender,
    metrics: &'static CoreMetrics,
    scanner: json::Scratch,
    offers: Box<Offers>,
    blocks: eligible::Blocks,
    not_send: PhantomData<Rc<()>>,
}

impl BidCore {
    /// Decides one request and writes the bid response, if there is one, into `response`.
    ///
    /// ```compile_fail
    /// fn crosses_threads<T: Send>() {}
    /// crosses_threads::<corebid::bid::BidCore>();
    /// ```
    pub fn handle<P: Probe>(&mut self, now: Now, ask: Ask<'_>, response: &mut [u8], probe: &mut P) -> Outcome {
        self.decide(now, ask, response, probe).unwrap_or_else(|no| no)
    }

    /// The path of a request. Each stage is a line or two; each `?` is a no, with its one reason.
    fn decide<P: Probe>(
        &mut self,
        now: Now,
        ask: Ask<'_>,
        response: &mut [u8],
        probe: &mut P,
    ) -> Result<Outcome, Outcome> {
        let BidCore { snapshot, offers, leases, paper, metrics, .. } = self;

        probe.enter(Stage::Admit);
        let exchange = self.exchanges.by_name(ask.exchange).ok_or(NoBidReason::UnknownExchange)?;
        let deadline = admit::deadline(now, ask.arrived)?;
        if !leases.fresh(now.boot) {
            return Err(NoBidReason::NoLease.into());
        }

        probe.enter(Stage::Scan);
        let mut request = BidRequest::default();
        request::scan(ask.body, &mut self.scanner, &mut request)?;
        let deadline = admit::deadline_with_tmax(now, ask.arrived, deadline, request.tmax, exchange)?;

        probe.enter(Stage::Comply);
        let personal = comply::clear(&request, exchange)?;

        probe.enter(Stage::Match);
        eligible::find(snapshot, &request, exchange, now, &mut self.blocks, offers, probe)?;
        metrics.candidates.add(offers.len() as u64);
        let campaigns = &snapshot.campaigns;

        probe.enter(Stage::Know);
        let user = self.profiles.know(personal, exchange, &request);
        keep(offers, probe, NoBidReason::NoSegment, |offer| campaigns[offer.campaign].wants(user.segments()))?;

        probe.enter(Stage::Cap);
        let day = now.wall.day();
        keep(offers, probe, NoBidReason::FrequencyCap, |offer| {
            self.frequency.admits(&user, &campaigns[offer.campaign], day, now)
        })?;

        probe.enter(Stage::Afford);
        keep(offers, probe, NoBidReason::Budget, |offer| {
            leases.affords(campaigns[offer.campaign].slot, offer.price.per_impression(), now.boot)
        })?;

        probe.enter(Stage::Score);
        let features = eligible::features(&request, &user, now);
        for offer in offers.iter_mut() {
            offer.score = snapshot.model.price_factor(&features.of(&request, offer));
        }

        probe.enter(Stage::Price);
        keep(offers, probe, NoBidReason::Floor, |offer| {
            offer.price = price::price(offer.price, offer.score);
            probe.priced(offer);
            price::clears(offer.price, request.imps[offer.imp as usize].floor)
        })?;

        probe.enter(Stage::Choose);
        let winners = choose(offers);

        probe.enter(Stage::Reserve);
        if !self.events.has_room(winners.len()) {
            metrics.events_refused.add(1);
            return Err(NoBidReason::RingFull.into());
        }

        probe.enter(Stage::Answer);
        let mut writer = ResponseWriter::new(response, request.id.raw);
        let mut valid_until = deadline;
        for winner in &winners {
            let campaign = &campaigns[winner.campaign];
            let money = winner.price.per_impression();
            let Ok(backing) = leases.reserve(campaign.slot, money, now.boot) else { continue };
            let deed = paper.draw(now, campaign, winner.price, backing.lease, user.key());
            if !writer.bid(&deed.bid(campaign, winner, request.imps[winner.imp as usize].id.raw)) {
                leases.cancel(campaign.slot, backing, money);
                break;
            }
            self.events.offer(Event::Reserved(deed.reserved(campaign.slot, money))).expect("room was asked for");
            self.frequency.reserve(&user, campaign, day, now);
            metrics.bid_micros.add(money.0 as u64);
            valid_until = valid_until.min(backing.valid_until);
        }
        let length = writer.finish(exchange.seat.as_bytes()).ok_or(NoBidReason::NoRoom)?;
        Ok(Outcome::Bid { length, valid_until })
    }
}
