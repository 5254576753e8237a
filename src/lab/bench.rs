//! A bid core on a bench: the production decision with leases that never end and nobody at the other end of its rings.
//! `corebid explain`, the benchmarks, the allocation test and the fuzzer all decide on it.

use crate::bid::probe::{Blind, Probe};
use crate::bid::traced::Traced;
use crate::bid::train::{Row, RowLog, Sample};
use crate::bid::{Ask, BidCore, Outcome, Process, Seed};
use crate::clock;
use crate::config::Config;
use crate::ids::ID_NS;
use crate::limits;
use crate::metrics::core::CoreMetrics;
use crate::ring::message::Event;
use crate::ring::spsc::{self, EventReceiver, Receiver};
use crate::secrets::Key;
use crate::shading::cell::Cell;
use crate::shading::curve::Curve;
use crate::snapshot::Snapshot;
use crate::snapshot::data::Data;
use crate::snapshot::features::Schema;
use crate::units::{CoreId, ExchangeId, Incarnation, LeaseId, Micros, Nanos, Now, UnixMillis};
use crate::wire::openrtb::nobid::NoBidReason;

/// A bid core, and what it wrote last.
#[derive(Debug)]
pub struct Bench {
    core: BidCore,
    events: EventReceiver,
    /// What its bids were made with, if that is logged.
    rows: Option<Receiver<Row>>,
    now: Now,
    /// Bids until its clock moves on.
    until_later: u32,
    response: Box<[u8]>,
}

/// Credit of every campaign: more than any run spends.
const CREDIT: Micros = Micros(1 << 60);

/// The share of every limit: more than any run asks.
const UNLIMITED: u32 = u32::MAX / 2;

/// Answers with bids at one time. The clock of the bench stands, but there are only so many ids for one time.
const BIDS_AT_ONE_TIME: u32 = 250_000;
const _: () = assert!((BIDS_AT_ONE_TIME as usize * limits::BIDS) as u64 * ID_NS < limits::IDS_BORROWED_NS);

impl Bench {
    /// A bid core with these data.
    pub fn new(config: &Config, data: &Data) -> std::io::Result<Bench> {
        Bench::with(config, data, None)
    }

    /// The same, which logs all of its bids for training, in the columns of `schema`.
    pub fn logging(config: &Config, data: &Data, schema: Schema) -> std::io::Result<Bench> {
        Bench::with(config, data, Some(schema))
    }

    fn with(config: &Config, data: &Data, schema: Option<Schema>) -> std::io::Result<Bench> {
        let now = clock::now();
        let (events, receiver) = spsc::events();
        let base = config.server.public_url.clone().unwrap_or_else(|| format!("http://{}", config.server.listen));
        let process = Process { incarnation: Incarnation(1), first_worker: 0, not_before: UnixMillis(0), base };
        let (row_sender, rows) = spsc::ring(limits::ROWS);
        let rows = schema.is_some().then_some(rows);
        let row_log = schema.map(|schema| RowLog::new(schema, Sample::of(1), row_sender));
        let seed = Seed::new(config, CoreId(0), process, &Key([7; 32]), data)?.logging(row_log);
        let metrics: &'static CoreMetrics = Box::leak(Box::new(CoreMetrics::new(config.supply.paths)));
        let mut core = BidCore::new(seed, events, metrics);
        core.leases.renew(Nanos::NEVER);
        for (exchange, id) in config.exchanges.iter().zip(0..) {
            if exchange.qps.is_some() {
                core.quotas.order(ExchangeId(id), UNLIMITED, UNLIMITED);
            }
        }
        for campaign in data.campaigns() {
            let replaced = core.leases.grant(campaign.slot, LeaseId(1), CREDIT, Nanos::NEVER);
            assert!(replaced.is_none(), "two campaigns in one slot");
        }
        let response = vec![0; limits::ANSWER_BUFFER].into();
        Ok(Bench { core, events: receiver, rows, now, until_later: BIDS_AT_ONE_TIME, response })
    }

    /// The time at which this bench stands, for a quarter of a million bids.
    pub fn now(&self) -> Now {
        self.now
    }

    /// Sets the wall clock of this bench, for what must not depend on when it is made.
    pub fn stand_at(&mut self, wall: UnixMillis) {
        self.now.wall = wall;
    }

    /// The campaigns it decides with.
    pub fn snapshot(&self) -> &Snapshot {
        self.core.snapshot()
    }

    /// Has bids shaded by a curve.
    pub fn learn(&mut self, cell: Cell, curve: Curve) {
        self.core.shades.learn(cell, curve);
    }

    /// Decides as `serve` does, watched by nobody.
    #[inline]
    pub fn handle(&mut self, ask: Ask<'_>) -> Outcome {
        let outcome = self.core.handle(self.now, ask, &mut self.response, &mut Traced(Blind));
        while let Some(event) = self.events.take() {
            assert!(matches!(event, Event::Reserved(_) | Event::Shaded(_)), "a decision only reserves");
        }
        self.forget_rows();
        self.pass_time(outcome);
        outcome
    }

    /// Decides; the response, if there is one.
    pub fn handle_with<P: Probe>(&mut self, ask: Ask<'_>, probe: &mut P) -> (Outcome, Option<&[u8]>) {
        let outcome = self.core.handle(self.now, ask, &mut self.response, probe);
        while self.events.take().is_some() {}
        self.forget_rows();
        self.pass_time(outcome);
        match outcome {
            Outcome::Bid { length, .. } => (outcome, Some(&self.response[..length])),
            _ => (outcome, None),
        }
    }

    #[inline]
    fn forget_rows(&mut self) {
        while self.rows.as_mut().is_some_and(|rows| rows.take().is_some()) {}
    }

    #[inline]
    fn pass_time(&mut self, outcome: Outcome) {
        self.until_later -= u32::from(matches!(outcome, Outcome::Bid { .. }));
        if self.until_later == 0 {
            self.until_later = BIDS_AT_ONE_TIME;
            self.now.boot = self.now.boot.after(Nanos::SECOND);
        }
    }

    /// The body that goes with a no-bid, on exchanges that are agreed to get one.
    pub fn refusal(&mut self, ask: Ask<'_>, reason: NoBidReason) -> Option<&[u8]> {
        let length = self.core.refusal(ask, reason, &mut self.response)?;
        Some(&self.response[..length])
    }
}
