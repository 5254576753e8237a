//! `/api/tail`: the bid requests that took too long of late, and what took them (docs/TAIL.md).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::{Observed, operator};
use crate::clock;
use crate::metrics::core::CoreMetrics;
use crate::metrics::flight::cause::Cause;
use crate::metrics::flight::records::{Record, Records};
use crate::units::Nanos;

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// From this on a request took too long, us (`tail.threshold_us`).
    pub threshold_us: u32,
    /// Late requests since the start, by what took most of each.
    pub counts: BTreeMap<String, u64>,
    /// The last ones of each core, and of each cause the longest of the last minutes; the last first.
    pub requests: Vec<Request>,
}

/// One bid request that took too long. All times in us are within it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The core, as in the metrics.
    pub core: usize,
    /// Which of the core's it is, from 1 on.
    pub id: u64,
    /// The CPU its turn ended on.
    pub cpu: Option<usize>,
    /// The exchange, if anybody knows it.
    pub exchange: Option<String>,
    /// How it ended: `bid`, the reason for no bid, or `error`.
    pub outcome: String,
    /// Length of its body, bytes.
    pub body_bytes: u32,
    /// When its answer was on its way, Unix time in milliseconds.
    pub answered_ms: u64,
    /// The earliest moment at which it may have come, ns of `CLOCK_BOOTTIME`.
    pub arrived_ns: u64,
    /// When its answer was on its way, by the same clock.
    pub answered_ns: u64,
    /// What lies between the two.
    pub latency_us: f64,
    /// Of that, before it was framed.
    pub queue_us: f64,
    /// Of that, waiting for its user's profile.
    pub parked_us: f64,
    /// The turn of the loop that answered it.
    pub turn: Turn,
    /// Requests decided by its core since it arrived, itself included.
    pub requests_since: u64,
    /// What the core did from when it turned to it until the end of the turn. Empty on machines without a tick counter.
    pub stages: Vec<InStage>,
    /// The longest that any request of the turn was in one stage.
    pub slowest: Option<Slowest>,
    /// If a snapshot was swapped in since it came, or since the last turn with requests before that: how long that took the core.
    pub swap_us: Option<f64>,
    /// Bids of its turn for which the ring to the reconciliation core had no room.
    pub ring_refusals: u64,
    /// What took most of it.
    pub cause: String,
    /// What took how much.
    pub causes: BTreeMap<String, f64>,
    /// Other late requests of its turn that are counted with it and not told.
    pub others: u64,
    /// What the kernel counted of the thread, if it counts.
    pub kernel: Option<Kernel>,
}

/// A turn of a loop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// The wait before it.
    pub waited_us: f64,
    /// From the request's arrival until it began; 0 if the request came later.
    pub began_after_us: f64,
    /// Its length.
    pub took_us: f64,
    /// Bid requests answered in it.
    pub requests: u32,
    /// Bid requests answered in it before this one.
    pub place: u32,
    /// What a request usually takes.
    pub usual_us: f64,
}

/// Time in one stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InStage {
    /// Its name, as in the metrics.
    pub stage: String,
    /// How long.
    pub us: f64,
}

/// The longest time in one stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slowest {
    /// The place in the turn of the request that was in it.
    pub place: u32,
    /// The stage.
    pub stage: String,
    /// How long.
    pub us: f64,
}

/// What the kernel counted over `window_us` before the end of the turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    /// The time over which it counted: since the request came, and up to 5 ms before.
    pub window_us: f64,
    /// The thread ran.
    pub ran_us: f64,
    /// It could have run, and did not.
    pub run_delay_us: f64,
    /// It was taken off its CPU so many times.
    pub involuntary_switches: u64,
    /// Page faults that waited for a disk.
    pub major_faults: u64,
    /// Page faults that did not.
    pub minor_faults: u64,
}

/// Says which requests took too long.
pub(super) async fn show(State(observed): State<Arc<Observed>>) -> Response {
    let view = View::of(&observed.tail, &observed.cores, observed.tail_threshold_us, clock::boot());
    operator::json(StatusCode::OK, &view)
}

impl View {
    /// What is known now.
    pub fn of(records: &Records, cores: &[&CoreMetrics], threshold_us: u32, now: Nanos) -> View {
        let kept = records.kept(now);
        let count = |cause: Cause| (0..kept.len()).map(|core| records.count(core, cause)).sum::<u64>();
        let counts = Cause::ALL.iter().map(|&cause| (cause.label().to_owned(), count(cause)));
        let counts = counts.filter(|&(_, count)| count > 0).collect();
        let of = |(core, records): (usize, &Vec<Record>)| {
            records.iter().map(|record| Request::of(core, cores.get(core).copied(), record)).collect::<Vec<_>>()
        };
        let mut requests: Vec<Request> = kept.iter().enumerate().flat_map(of).collect();
        requests.sort_by_key(|request| std::cmp::Reverse(request.answered_ns));
        View { threshold_us, counts, requests }
    }
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

impl Request {
    fn of(core: usize, metrics: Option<&CoreMetrics>, record: &Record) -> Request {
        let Record { id, answered, late, shares, cause } = record;
        let (flight, turn) = (&late.flight, &late.turn);
        let exchange = flight.exchange.and_then(|id| Some(metrics?.exchange(id)?.name.to_string()));
        let took = Cause::ALL.iter().map(|&cause| (cause, shares.0[cause as usize])).filter(|&(_, ns)| ns > 0);
        // Both within the turn.
        let slowest = late.slowest.filter(|_| turn.has_ticks()).map(|(place, stage, ticks)| {
            let ns = turn.at(turn.ticks[0].saturating_add(ticks)).since(turn.woke);
            Slowest { place, stage: stage.label().to_owned(), us: us(ns) }
        });
        Request {
            core,
            id: *id,
            cpu: (turn.cpu != usize::MAX).then_some(turn.cpu),
            exchange,
            outcome: flight.ended.label().to_owned(),
            body_bytes: flight.bytes,
            answered_ms: answered.0,
            arrived_ns: flight.arrived.0,
            answered_ns: turn.ended.0,
            latency_us: us(late.length_ns()),
            queue_us: us(flight.framed.since(flight.arrived)),
            parked_us: us(flight.parked_ns),
            turn: Turn {
                waited_us: us(turn.woke.since(turn.before)),
                began_after_us: us(turn.woke.since(flight.arrived)),
                took_us: us(turn.ended.since(turn.woke)),
                requests: turn.requests,
                place: flight.place,
                usual_us: us(turn.usual_ns),
            },
            requests_since: late.requests,
            stages: late
                .stages()
                .into_iter()
                .map(|(stage, ns)| InStage { stage: stage.label().to_owned(), us: us(ns) })
                .collect(),
            slowest,
            swap_us: late.swap_ns.map(us),
            ring_refusals: turn.refused,
            cause: cause.label().to_owned(),
            causes: took.map(|(cause, ns)| (cause.label().to_owned(), us(ns))).collect(),
            others: late.others,
            kernel: late.spent.map(|spent| Kernel {
                window_us: us(late.window_ns),
                ran_us: us(spent.ran_ns),
                run_delay_us: us(spent.waited_ns),
                involuntary_switches: spent.involuntary,
                major_faults: spent.major_faults,
                minor_faults: spent.minor_faults,
            }),
        }
    }
}
