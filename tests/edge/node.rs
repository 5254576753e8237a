//! A bid core whose time the test makes.

use corebid::bid::probe::Blind;
use corebid::bid::{Ask, BidCore, Outcome, Process, Seed};
use corebid::config::Config;
use corebid::limits;
use corebid::metrics::core::CoreMetrics;
use corebid::ring::spsc::{self, EventReceiver};
use corebid::secrets::Key;
use corebid::snapshot::data::Data;
use corebid::units::{CoreId, Incarnation, LeaseId, Micros, Nanos, Now, UnixMillis};

/// One bid core of a node, on a clock of the test's own.
pub(crate) struct Core {
    core: BidCore,
    events: EventReceiver,
    pub(crate) metrics: &'static CoreMetrics,
    response: Vec<u8>,
}

/// A core that can pay for everything.
pub(crate) fn core(config: &Config, data: &Data) -> Core {
    let base = "http://127.0.0.1".into();
    let process = Process { incarnation: Incarnation(1), first_worker: 0, not_before: UnixMillis(0), base };
    let seed = Seed::new(config, CoreId(0), process, &Key([7; 32]), data).unwrap();
    let (sender, events) = spsc::events();
    let metrics: &'static CoreMetrics = Box::leak(Box::default());
    let mut core = BidCore::new(seed, sender, metrics);
    core.leases.renew(Nanos::NEVER);
    for campaign in data.campaigns() {
        assert!(core.leases.grant(campaign.slot, LeaseId(1), Micros(1 << 50), Nanos::NEVER).is_none());
    }
    Core { core, events, metrics, response: vec![0; limits::ANSWER_BUFFER] }
}

impl Core {
    pub(crate) fn decide(&mut self, now: Now, body: &str) -> Outcome {
        let ask = Ask { exchange: b"generic", body: body.as_bytes(), arrived: now.boot };
        let outcome = self.core.handle(now, ask, &mut self.response, &mut Blind);
        while self.events.take().is_some() {}
        outcome
    }
}
