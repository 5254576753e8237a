//! `/api/stalls`: the longest turns of the bid cores in the last minutes, and what took them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metrics::stalls::cause::Cause;
use crate::metrics::stalls::longest::Row;
use crate::metrics::stalls::watch::Stalls;
use crate::units::Nanos;

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The longest first.
    pub stalls: Vec<Stall>,
}

/// Once around a bid core's loop that took long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stall {
    /// The core, as in the metrics.
    pub core: usize,
    /// The CPU it ran on when it was over.
    pub cpu: Option<usize>,
    /// When it began, Unix time in milliseconds.
    pub began_ms: u64,
    /// How long it was.
    pub seconds: f64,
    /// For how long of that the loop was kept away, beyond what its requests explain. 0: it was load, and no stall.
    pub kept_seconds: f64,
    /// Whether the wait before the turn ended late, so that requests may have come before it.
    pub late_wait: bool,
    /// Requests in it.
    pub requests: u64,
    /// What took most of it.
    pub cause: String,
    /// What took how much of it, seconds.
    pub causes: BTreeMap<String, f64>,
    /// Times its thread was taken off the CPU; null where the kernel does not count. This and the following are of `window_seconds`.
    pub involuntary_switches: Option<u64>,
    /// Page faults that waited for a disk.
    pub major_faults: Option<u64>,
    /// Page faults that did not.
    pub minor_faults: Option<u64>,
    /// The time before its end over which that was counted.
    pub window_seconds: f64,
}

impl View {
    /// What is known now.
    pub fn of(stalls: &Stalls, now: Nanos) -> View {
        let rows = stalls.longest(now).into_iter().enumerate();
        let mut stalls: Vec<Stall> =
            rows.flat_map(|(core, rows)| rows.into_iter().map(move |row| Stall::of(core, &row))).collect();
        stalls.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
        View { stalls }
    }
}

impl Stall {
    fn of(core: usize, row: &Row) -> Stall {
        let Row { began, long, shares } = row;
        let seconds = |ns: u64| ns as f64 / 1e9;
        let took = Cause::ALL.iter().map(|&cause| (cause, shares.0[cause as usize])).filter(|&(_, ns)| ns > 0);
        Stall {
            core,
            cpu: (long.cpu != usize::MAX).then_some(long.cpu),
            began_ms: began.0,
            seconds: seconds(long.length_ns()),
            kept_seconds: seconds(long.round.kept_ns),
            late_wait: long.round.from < long.round.woke,
            requests: long.round.requests,
            cause: shares.main(long.round.kept_ns > 0).label().to_owned(),
            causes: took.map(|(cause, ns)| (cause.label().to_owned(), seconds(ns))).collect(),
            involuntary_switches: long.spent.map(|spent| spent.involuntary),
            major_faults: long.spent.map(|spent| spent.major_faults),
            minor_faults: long.spent.map(|spent| spent.minor_faults),
            window_seconds: seconds(long.window_ns),
        }
    }
}
