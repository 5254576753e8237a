//! A bid core: the decision, and all it owns.
//!
//! [`BidCore::handle`] is the path of a request, stage by stage. It is synchronous: no clock, no socket, no allocation once
//! warm. So the same code runs under the server, `corebid explain`, the fuzzer and the benchmarks.

pub mod net;
pub mod server;
pub mod service;
pub mod notices;
pub mod alarm;

// The stages, in order.
pub mod admit;
pub mod stalls;
pub mod edge;
pub mod comply;
pub mod supply;
pub mod paths;
pub mod quote;
pub mod eligible;
pub mod asked;
pub mod sale;
pub mod floor;
pub mod fits;
pub mod blocks;
pub mod profile;
pub mod miss;
pub mod frequency;
pub mod budget;
pub mod features;
pub mod score;
pub mod shade;
pub mod price;
pub mod offers;
pub mod choose;
pub mod answer;
pub mod paper;
pub mod train;

// What serves them.
pub mod ids;
pub mod turn_book;
pub mod busy;
pub mod user;
mod pseudonym;
pub mod probe;
pub mod traced;
pub mod response_rate;
pub mod audit;
pub mod tap;

use std::marker::PhantomData;
use std::rc::Rc;

use crate::config::exchange::NoBidForm;
use crate::config::{self, Config, NODES};
use crate::ids::{Snowflake, WORKERS};
use crate::limits;
use crate::metrics::core::CoreMetrics;
use crate::metrics::stage::Stage;
use crate::ring::message::Event;
use crate::ring::spsc::EventSender;
use crate::secrets::Key;
use crate::snapshot::Snapshot;
use crate::snapshot::data::Data;
use crate::snapshot::profiles::Profiles;
use crate::topology::MAX_BID_CORES;
use crate::units::{CoreId, Incarnation, Nanos, Now, UnixMillis, UserKey};
use crate::wire::json;
use crate::wire::notice::Signer;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::refusal;
use crate::wire::openrtb::request::{BidRequest, Parts, ScanError};

use admit::Exchanges;
use answer::Letter;
use audit::{Auditor, Recorder};
use budget::Leases;
use choose::choose;
use comply::Basis;
use edge::duplicates::Duplicates;
use edge::quota::Shares;
use eligible::Scene;
use frequency::FrequencyShard;
use ids::BidIds;
use miss::{Kept, Missed, Misses, Source, Ticket};
use offers::{Estimate, Offer, Offers, keep};
use paper::{Heard, Paper};
use paths::Path;
use probe::Probe;
use profile::{Behind, ProfileShard};
use pseudonym::Pseudonyms;
use quote::Quote;
use score::{Context, Scorer};
use shade::Shades;
use stalls::Stalls;
use train::{RowLog, Sample};
use user::User;

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
    /// Not yet: its user is asked for. [`BidCore::resume`] answers it.
    Parked(Ticket),
}

/// Which time a request is decided. The second time, what counts requests has counted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// As it came.
    First,
    /// After it was parked.
    Again,
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

/// What a bid core is made from: made where the configuration is, carried to the core's thread.
#[derive(Debug)]
pub struct Seed {
    exchanges: Exchanges,
    duplicates_ms: Option<u32>,
    impossible_devices: bool,
    velocity: Option<config::Velocity>,
    pseudonyms: Pseudonyms,
    profiles: Profiles,
    paper: Paper,
    snapshot: Box<Snapshot>,
    auditor: Option<Auditor>,
    row_log: Option<RowLog>,
    score: config::Score,
    source: Option<Source>,
    shares_counts: bool,
}

impl Seed {
    /// The seed of one core. Its reservation ids are none earlier than `not_before`.
    pub fn new(
        config: &Config,
        core: CoreId,
        process: Process,
        notice_key: &Key,
        data: &Data,
    ) -> std::io::Result<Seed> {
        let worker = process.first_worker + u16::from(core.0);
        Ok(Seed {
            exchanges: Exchanges::new(config),
            duplicates_ms: config.edge.duplicates_ms,
            impossible_devices: config.edge.impossible_devices,
            velocity: config.edge.velocity,
            pseudonyms: Pseudonyms::new(data.users.clone(), &config.profiles),
            profiles: data.profiles.clone(),
            paper: Paper {
                node: config.node(),
                incarnation: process.incarnation,
                base: process.base.as_bytes().into(),
                signer: Signer::new(NOTICE_KEY, &notice_key.0),
                reservations: Snowflake::new(worker, process.not_before),
                bids: BidIds::from_kernel()?,
            },
            snapshot: data.snapshot(),
            auditor: None,
            row_log: None,
            score: config.score.clone(),
            source: None,
            shares_counts: false,
        })
    }

    /// The same, of a core that records how it treats some requests.
    #[must_use]
    pub fn audited(self, auditor: Option<Auditor>) -> Seed {
        Seed { auditor, ..self }
    }

    /// The same, of a core that logs what its bids were made with.
    #[must_use]
    pub fn logging(self, row_log: Option<RowLog>) -> Seed {
        Seed { row_log, ..self }
    }

    /// The same, of a core that asks `source` for users whom it does not know.
    #[must_use]
    pub fn asking(self, source: Option<Source>) -> Seed {
        Seed { source, ..self }
    }

    /// The same, of a core whose node shares its frequency counts with others, if it does.
    #[must_use]
    pub fn sharing(self, shares_counts: bool) -> Seed {
        Seed { shares_counts, ..self }
    }
}

/// What the cores of one process start have in common.
#[derive(Clone, Debug)]
pub struct Process {
    /// Numbered durably.
    pub incarnation: Incarnation,
    /// Worker id of the first core's reservation ids; the others follow.
    pub first_worker: u16,
    /// Reservation ids up to here may have been used before.
    pub not_before: UnixMillis,
    /// Scheme and authority of notice URLs.
    pub base: String,
}

/// The id of the one notice key there is.
const NOTICE_KEY: u8 = 1;
const _: () = assert!(NODES as usize * MAX_BID_CORES == WORKERS as usize && MAX_BID_CORES == 1 << 4);

/// Everything one bid core decides with. Built on its thread and never leaves it.
#[derive(Debug)]
pub struct BidCore {
    exchanges: Exchanges,
    /// Some exchange is to be told why it gets no bid: else none is looked up for that.
    tells_why: bool,
    /// Moved by the reconciliation core's orders, too.
    pub quotas: Shares,
    duplicates: Duplicates,
    room: edge::Room,
    watch: edge::Watch,
    path: supply::Room,
    pseudonyms: Pseudonyms,
    snapshot: Box<Snapshot>,
    /// Filled by what the stores thread brings.
    pub profiles: ProfileShard,
    /// What waits for it.
    pub misses: Misses,
    frequency: FrequencyShard,
    /// Filled by the reconciliation core's orders.
    pub leases: Leases,
    paper: Paper,
    /// Filled by the reconciliation core's orders.
    pub shades: Shades,
    events: EventSender,
    /// When the loop was kept away.
    pub stalls: Stalls,
    metrics: &'static CoreMetrics,
    scanner: json::Scratch,
    offers: Box<Offers>,
    memory: eligible::Memory,
    scorer: Scorer,
    /// When the answer to the request decided last had to be on its way.
    due: Nanos,
    /// Keeps the compliance log, if there is one.
    auditor: Option<Auditor>,
    /// Keeps the training log, if there is one.
    row_log: Option<RowLog>,
    not_send: PhantomData<Rc<()>>,
}

impl BidCore {
    /// A bid core: takes all the memory it will ever use.
    pub fn new(seed: Seed, events: EventSender, metrics: &'static CoreMetrics) -> BidCore {
        let Seed {
            exchanges,
            duplicates_ms,
            impossible_devices,
            velocity,
            pseudonyms,
            profiles,
            paper,
            mut snapshot,
            auditor,
            row_log,
            score,
            source,
            shares_counts,
        } = seed;
        let tells_why = exchanges.iter().any(|exchange| exchange.rules.no_bid == NoBidForm::Code);
        let behind = if source.is_some() { Behind::Store } else { Behind::Base };
        BidCore {
            quotas: Shares::new(&exchanges),
            shades: Shades::new(&exchanges),
            duplicates: Duplicates::new(duplicates_ms),
            room: edge::Room::default(),
            watch: edge::Watch::new(impossible_devices, velocity),
            path: supply::Room::default(),
            tells_why,
            exchanges,
            pseudonyms,
            scorer: Scorer::new(&score, std::mem::take(&mut snapshot.room)),
            snapshot,
            profiles: ProfileShard::new(profiles, behind),
            misses: Misses::new(source),
            frequency: if shares_counts { FrequencyShard::new().shared() } else { FrequencyShard::new() },
            leases: Leases::new(limits::SLOTS),
            paper,
            events,
            stalls: Stalls::default(),
            metrics,
            scanner: json::Scratch::new(limits::BODY_BYTES),
            offers: Box::default(),
            memory: eligible::Memory::default(),
            due: Nanos(0),
            auditor,
            row_log,
            not_send: PhantomData,
        }
    }

    /// What it decides with.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Decides with another snapshot from now on. The one before has what else is no longer needed, for whoever frees it.
    pub fn swap(&mut self, mut snapshot: Box<Snapshot>) -> Box<Snapshot> {
        self.scorer.swap(&mut snapshot.room);
        std::mem::replace(&mut self.snapshot, snapshot)
    }

    /// Decides one request and writes the bid response, if there is one, into `response`.
    ///
    /// ```compile_fail
    /// fn crosses_threads<T: Send>() {}
    /// crosses_threads::<corebid::bid::BidCore>();
    /// ```
    pub fn handle<P: Probe>(&mut self, now: Now, ask: Ask<'_>, response: &mut [u8], probe: &mut P) -> Outcome {
        if self.auditor.as_mut().is_some_and(Auditor::is_due) {
            return self.recorded(now, ask, Pass::First, response, probe);
        }
        self.decide(now, ask, Pass::First, response, probe).unwrap_or_else(|no| no)
    }

    /// Decides a request that was parked, with what is known by now. It is not parked again.
    pub fn resume<P: Probe>(&mut self, now: Now, kept: &Kept, response: &mut [u8], probe: &mut P) -> Outcome {
        self.watch.count(false);
        let outcome = if kept.audited {
            self.recorded(now, kept.ask(), Pass::Again, response, probe)
        } else {
            self.decide(now, kept.ask(), Pass::Again, response, probe).unwrap_or_else(|no| no)
        };
        self.watch.count(true);
        outcome
    }

    /// Decides, for the compliance log too.
    #[cold]
    fn recorded<P: Probe>(
        &mut self,
        now: Now,
        ask: Ask<'_>,
        pass: Pass,
        response: &mut [u8],
        probe: &mut P,
    ) -> Outcome {
        let exchange = self.exchanges.by_path(ask.exchange).map(|exchange| exchange.id);
        let mut recorder = Recorder::new(probe, now.wall, exchange);
        let outcome = self.decide(now, ask, pass, response, &mut recorder).unwrap_or_else(|no| no);
        if let Outcome::Parked(ticket) = outcome {
            self.misses.audit(ticket);
        } else if let Some(auditor) = &mut self.auditor {
            auditor.record(recorder.ended(outcome));
        }
        outcome
    }

    /// The path of a request. Each stage is a line or two; each `?` is a no, with its one reason.
    fn decide<P: Probe>(
        &mut self,
        now: Now,
        ask: Ask<'_>,
        pass: Pass,
        response: &mut [u8],
        probe: &mut P,
    ) -> Result<Outcome, Outcome> {
        let BidCore { snapshot, offers, leases, paper, memory, metrics, .. } = self;

        probe.enter(Stage::Admit);
        let exchange = self.exchanges.by_path(ask.exchange).ok_or(NoBidReason::UnknownExchange)?;
        let deadline = admit::deadline(now, ask.arrived, &self.stalls)?;
        self.due = deadline;
        if !leases.fresh(now.boot) {
            return Err(NoBidReason::NoLease.into());
        }
        if pass == Pass::First && exchange.limited && !self.quotas.admit(exchange.id, now.boot) {
            return Err(NoBidReason::Quota.into());
        }
        let scene = Scene { snapshot, exchange, now };

        probe.enter(Stage::Scan);
        let mut request = BidRequest::default();
        let mut parts = Parts::open(ask.body, &mut self.scanner, &mut request)?;
        let deadline = admit::deadline_with_tmax(now, ask.arrived, deadline, request.tmax, exchange)?;
        self.due = deadline;
        probe.scanned(scene, &request, deadline);
        let path = Path::of(metrics, exchange, &mut parts, &mut request, pass);

        probe.enter(Stage::Comply);
        comply::clear(&request, exchange)?;
        let quote = Quote::of(&request, exchange, &scene.exchanged())?;
        probe.quoted(scene, quote);
        edge::clear(scene, &mut parts, &mut request, &mut self.room, &mut self.watch)?;
        let basis = Basis::of(scene, &mut parts, &mut request)?;
        probe.cleared(scene, &request, basis);
        let leave = basis.leave()?;
        edge::pace(&request, exchange, now, leave.personal.as_ref(), &mut self.watch)?;
        let verdict = supply::check(scene, &mut parts, &mut request, &mut self.path, probe)?;

        probe.enter(Stage::Match);
        memory.find(scene, &mut parts, &mut request, &leave, offers, probe)?;
        if pass == Pass::First {
            metrics.candidates.add(offers.len() as u64);
        }
        keep(offers, probe, NoBidReason::Transparency, |offer| {
            snapshot.campaign(offer.campaign).discloses(request.dsa)
        })?;
        supply::suit(scene, verdict, offers, probe)?;

        probe.enter(Stage::Know);
        let copies =
            edge::copies(&parts, &mut request, now, leave.personal.as_ref(), &self.duplicates, &mut self.room, metrics)
                .inspect_err(|no| path.refused(*no))?;
        let known = leave.personal.is_some();
        let key = self.pseudonyms.of(leave.personal.as_ref(), scene, &basis, &mut parts, &mut request)?;
        self.profiles.pass(now.boot);
        let user = User::know(leave.personal, key, &mut self.profiles, &self.frequency);
        if user.is_missing() {
            match self.misses.missed(now, ask, user.key(), deadline, pass) {
                Missed::Parked(ticket) => return Ok(Outcome::Parked(ticket)),
                Missed::NoBid => return Err(NoBidReason::ProfileMissing.into()),
                Missed::Contextual => {}
            }
        }
        probe.known(scene, &request, &user);
        keep(offers, probe, NoBidReason::NoSegment, |offer| user.suits(snapshot.campaign(offer.campaign)))?;

        probe.enter(Stage::Cap);
        let seen = self.frequency.seen(user.key(), now);
        keep(offers, probe, NoBidReason::FrequencyCap, |offer| {
            let campaign = snapshot.campaign(offer.campaign);
            let times = if campaign.together { request.imps.len() } else { 1 };
            user.may_see(campaign, offer.creative, times, &seen)
        })?;

        probe.enter(Stage::Afford);
        if leases.paces() {
            keep(offers, probe, NoBidReason::Paced, |offer| {
                let money = offer.terms(&request).money(offer.price);
                leases.takes_part(snapshot.campaign(offer.campaign).slot, money)
            })?;
        }
        keep(offers, probe, NoBidReason::Budget, |offer| {
            let money = offer.terms(&request).money(offer.price);
            leases.affords(snapshot.campaign(offer.campaign).slot, money, now.boot)
        })?;

        probe.enter(Stage::Score);
        let arm = score::arm(scene, &user, &request);
        score::read(scene, arm, offers, &mut parts, &mut request, memory)?;
        let context = Context { scene, request: &request, user: &user, seen };
        self.scorer.value(context, arm, offers, metrics, probe);
        keep(offers, probe, NoBidReason::Outranked, |offer| offer.estimate != Estimate::None)?;

        probe.enter(Stage::Price);
        let shade = self.shades.open(exchange, &request, now);
        for offer in offers.iter_mut() {
            if let Some(shade) = shade.as_ref().filter(|_| offer.deal.is_none()) {
                probe.shaded(scene, &request, offer, shade);
            }
            offer.price = price::of(offer, &request, shade.as_ref());
            probe.priced(scene, &request, offer);
        }
        keep(offers, probe, NoBidReason::Floor, |offer| price::clears(offer.price, offer.floor))?;

        probe.enter(Stage::Choose);
        let chosen = choose(offers, &request, exchange.takes(), |index| snapshot.campaign(index))?;
        probe.chosen(scene, &request, &chosen);

        probe.enter(Stage::Reserve);
        if !self.events.has_room(chosen.winners.len()) {
            metrics.events_refused.add(1);
            return Err(NoBidReason::RingFull.into());
        }
        if !paper.reservations.has(chosen.winners.len(), now) {
            return Err(NoBidReason::IdsExhausted.into());
        }
        let purse = answer::reserve(scene, &request, &chosen, quote, leases)?;
        probe.reserved(scene, &purse);

        probe.enter(Stage::Answer);
        let sample = self.row_log.as_mut().map_or(Sample::NONE, |log| log.sample(leave.purposes));
        let (gdpr, together, claimed) = (basis.gdpr().said(), chosen.together, path.claimed(leave.purposes));
        let letter = Letter {
            request: &request,
            quote: &quote,
            gdpr,
            together,
            known,
            user: user.key(),
            path: claimed,
            arm,
            sample,
        };
        let written = answer::write(scene, &letter, &purse, memory, paper, leases, response)?;
        if let Some(log) = self.row_log.as_mut().filter(|_| !written.logged.is_empty()) {
            log.log(scene, &mut parts, &mut request, memory, (&user, seen), &written, snapshot.arm(arm));
        }
        if !request.test {
            let bids = written.bids.iter().map(|(backed, _)| &backed.offer);
            self.scorer.count(Context { scene, request: &request, user: &user, seen }, arm, bids, metrics);
        }
        let mut valid_until = deadline;
        for (backed, reserved) in written.bids.iter().filter(|(backed, _)| backed.is_held()) {
            self.events.offer(Event::Reserved(*reserved)).expect("room was asked for");
            let Offer { campaign, creative, .. } = backed.offer;
            user.will_see(snapshot.campaign(campaign), creative, &mut self.frequency, now);
            metrics.bid_micros.add(backed.money.0 as u64);
            path.bid(claimed, backed.money);
            valid_until = valid_until.min(backed.valid_until());
        }
        if let Some(shade) = shade {
            shade.made(&request, &written.bids, &mut self.events, metrics);
        }
        while let Some(user) = self.frequency.stale() {
            self.misses.refresh(user, now.boot);
        }
        if let Some(copies) = copies.filter(|_| !request.test) {
            self.duplicates.note(copies, now.boot);
        }
        Ok(Outcome::Bid { length: written.length, valid_until })
    }

    /// Passes on what a notice says of a bid's price, where that is learnt from. What finds no room is not.
    pub fn tell(&mut self, heard: &Heard) {
        let exchange = self.exchanges.by_key(heard.claim.exchange);
        if let Some(told) = exchange.and_then(|exchange| shade::told(exchange, heard)) {
            let _ = self.events.offer(Event::Told(told));
        }
    }

    /// Overwrites what this core has of a user.
    pub fn erase(&mut self, user: UserKey) {
        self.profiles.erase(user);
        self.frequency.erase(user);
    }

    /// The answer that says why there is no bid, for exchanges that are agreed to get one; its length.
    #[inline]
    pub fn refusal(&mut self, ask: Ask<'_>, reason: NoBidReason, response: &mut [u8]) -> Option<usize> {
        if self.tells_why { self.refuse(ask, reason, response) } else { None }
    }

    /// As [`BidCore::refusal`]: pays for a second look at the request.
    #[cold]
    fn refuse(&mut self, ask: Ask<'_>, reason: NoBidReason, response: &mut [u8]) -> Option<usize> {
        let exchange = self.exchanges.by_path(ask.exchange)?;
        // Who has no time for the request has none for its id.
        let hurried = reason.stage() == Stage::Admit || reason == NoBidReason::NoTime;
        if exchange.rules.no_bid != NoBidForm::Code || hurried {
            return None;
        }
        let mut request = BidRequest::default();
        Parts::open(ask.body, &mut self.scanner, &mut request).ok()?;
        refusal::write(response, request.id.raw, exchange.rules.nbr(reason))
    }
}
