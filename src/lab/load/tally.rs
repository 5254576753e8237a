//! What one generator counted, and the sum of several.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hdrhistogram::Histogram;

use super::{Live, Options, Source};
use crate::lab::hiccup::Hiccups;
use crate::lab::latency::{self, Latencies};
use crate::lab::pool::{Faults, Flight, Outcome};
use crate::lab::report::measured::Measured;
use crate::lab::report::{GeneratorReport, Report};
use crate::lab::schedule::Schedule;
use crate::units::Nanos;

/// An answer after this time is late, ns (mission M3).
const LATE_NS: u64 = 8 * Nanos::MS;

/// Counts of everything whose request was due after the warm-up.
pub(super) struct Tally {
    counted_from: Nanos,
    end: Nanos,
    pub(super) latencies: Latencies,
    lag: Histogram<u32>,
    hiccups: Hiccups,
    status: Vec<u64>,
    pub(super) sent: u64,
    pub(super) unsent: u64,
    answered: u64,
    shed: u64,
    stalled: u64,
    late: u64,
    in_time: u64,
    last: Nanos,
    /// Time in turns of the loop that did something, ns.
    busy: u64,
    faults: Faults,
    live: Option<Arc<Live>>,
    core: Option<usize>,
    generators: Vec<GeneratorReport>,
}

impl Tally {
    pub(super) fn new(schedule: &Schedule, core: Option<usize>, log: bool, live: Option<Arc<Live>>) -> Tally {
        let Schedule { counted_from, end, .. } = *schedule;
        Tally {
            counted_from,
            end,
            latencies: Latencies::new(counted_from, end.since(counted_from), log),
            lag: latency::histogram(),
            hiccups: Hiccups::default(),
            status: vec![0; 1000],
            sent: 0,
            unsent: 0,
            answered: 0,
            shed: 0,
            stalled: 0,
            late: 0,
            in_time: 0,
            last: counted_from,
            busy: 0,
            faults: Faults::default(),
            live,
            core,
            generators: Vec::new(),
        }
    }

    /// A request ended.
    #[inline]
    pub(super) fn take(&mut self, flight: Flight, outcome: Outcome<'_>, at: Nanos) {
        let Outcome::Answered(answer) = outcome else {
            if let Some(live) = &self.live {
                live.lost.fetch_add(1, Ordering::Relaxed);
            }
            return;
        };
        let (shed, stalled) = match (answer.status, answer.reason) {
            (204, b"shed") => (true, false),
            (204, b"stalled") => (false, true),
            _ => (false, false),
        };
        if let Some(live) = &self.live {
            live.answered.fetch_add(1, Ordering::Relaxed);
            live.bids.fetch_add(u64::from(answer.status == 200), Ordering::Relaxed);
            live.shed.fetch_add(u64::from(shed || stalled), Ordering::Relaxed);
        }
        if flight.intended < self.counted_from {
            return;
        }
        let latency = at.since(flight.intended);
        self.latencies.record(flight.intended, latency);
        self.answered += 1;
        self.late += u64::from(latency > LATE_NS);
        let decided = matches!(answer.status, 200 | 204) && !shed && !stalled;
        self.shed += u64::from(shed);
        self.stalled += u64::from(stalled);
        self.in_time += u64::from(decided && at.since(flight.sent) <= LATE_NS);
        self.status[usize::from(answer.status)] += 1;
        self.last = at;
    }

    /// A request has no answer at the end: it counts with the time that it has waited.
    pub(super) fn waiting(&mut self, flight: Flight, stopped: Nanos) {
        if flight.intended >= self.counted_from {
            self.latencies.record(flight.intended, stopped.since(flight.intended));
        }
    }

    /// A request that was due at `due` was not sent until the end, though it could have been if there was room.
    pub(super) fn never_sent(&mut self, due: Nanos, stopped: Nanos, roomy: bool) {
        if due >= self.counted_from {
            self.unsent += 1;
            self.latencies.record(due, stopped.since(due));
            if roomy {
                self.lag.saturating_record(stopped.since(due));
            }
        }
    }

    /// A request due at `due` was sent `ns` after it could have been.
    #[inline]
    pub(super) fn lag(&mut self, due: Nanos, ns: u64) {
        if due >= self.counted_from {
            self.lag.saturating_record(ns);
        }
    }

    /// A turn of the loop is over.
    #[inline]
    pub(super) fn turn(&mut self, from: Nanos, to: Nanos, worked: bool) {
        let counts = (self.counted_from..self.end).contains(&from);
        match worked {
            true if counts => self.busy += to.since(from),
            false if counts => self.hiccups.record(to.since(from)),
            _ => {}
        }
    }

    /// The generator is done; its schedule ended at `end`, and it ran for `cpu` ns of the time from which it counted.
    pub(super) fn ended(&mut self, end: Nanos, cpu: u64, faults: Faults) {
        (self.end, self.faults) = (end, faults);
        let length = end.since(self.counted_from);
        self.generators.push(GeneratorReport {
            core: self.core,
            sent: self.sent,
            busy: share(self.busy, length),
            on_cpu: share(cpu, length),
            send_lag_p99: latency::micros(&self.lag, 0.99),
            send_lag_max: latency::round(self.lag.max()),
            hiccup_p99: hundredths(self.hiccups.wait(0.99)),
        });
    }

    /// Adds another generator of the same run.
    pub(super) fn add(&mut self, other: Tally) {
        self.latencies.add(&other.latencies);
        self.lag.add(&other.lag).expect("histograms of one run have the same bounds");
        self.hiccups.add(&other.hiccups);
        self.status.iter_mut().zip(&other.status).for_each(|(mine, theirs)| *mine += theirs);
        self.sent += other.sent;
        self.unsent += other.unsent;
        self.answered += other.answered;
        self.shed += other.shed;
        self.stalled += other.stalled;
        self.late += other.late;
        self.in_time += other.in_time;
        self.last = self.last.max(other.last);
        self.end = self.end.max(other.end);
        self.busy += other.busy;
        self.faults = self.faults.and(other.faults);
        self.generators.extend(other.generators);
    }

    /// Sums up.
    pub(super) fn report(&self, options: &Options) -> Report {
        let length = self.end.since(self.counted_from).max(1);
        let elapsed = self.last.max(self.end).since(self.counted_from).max(1) as f64 / Nanos::SECOND as f64;
        let all = &self.latencies.all;
        let recorded = matches!(options.source, Source::Recorded(_));
        let seconds = if recorded { length as f64 / Nanos::SECOND as f64 } else { options.seconds };
        let statuses = self.status.iter().enumerate().filter(|(_, count)| **count > 0);
        let mut report = Report {
            sent: self.sent,
            answered: self.answered,
            unanswered: self.sent - self.answered,
            unsent: self.unsent,
            status: statuses.map(|(status, count)| (status as u16, *count)).collect(),
            shed: self.shed,
            stalled: self.stalled,
            in_time: self.in_time,
            late: self.late,
            asked_rate: match options.saturate {
                true => 0.0,
                // What a ramp or a recording comes to.
                false if recorded || options.ramp_from.is_some() => (self.sent + self.unsent) as f64 / seconds,
                false => options.rate as f64,
            },
            achieved_rate: (self.answered as f64 / elapsed * 10.0).round() / 10.0,
            send_lag_p99: latency::micros(&self.lag, 0.99),
            send_lag_p999: latency::micros(&self.lag, 0.999),
            send_lag_max: latency::round(self.lag.max()),
            hiccup_p99: hundredths(self.hiccups.wait(0.99)),
            hiccup_p999: hundredths(self.hiccups.wait(0.999)),
            hiccup_max: latency::round(self.hiccups.longest()),
            p50: latency::micros(all, 0.5),
            p90: latency::micros(all, 0.9),
            p99: latency::micros(all, 0.99),
            p999: latency::micros(all, 0.999),
            p9999: latency::micros(all, 0.9999),
            max: latency::round(all.max()),
            generator_work: latency::round(self.busy.checked_div(self.sent).unwrap_or(0)),
            // The busiest one is the one that limits.
            generator_busy: self.generators.iter().map(|one| one.busy).fold(0.0, f64::max),
            generators: self.generators.clone(),
            saturated: options.saturate,
            arrivals: match (recorded, options.saturate) {
                (true, _) => "recorded".into(),
                (false, true) => "saturated".into(),
                (false, false) => options.arrivals.to_string(),
            },
            seed: options.seed,
            connections: options.connections.max(1),
            pipeline: options.pipeline.max(1),
            seconds,
            warm_up: options.warm_up,
            faults: self.faults,
            measured: Measured {
                latency: all.clone(),
                lag: self.lag.clone(),
                hiccups: if options.saturate { Hiccups::default() } else { self.hiccups.clone() },
            },
            ..Report::default()
        };
        report.judge();
        report
    }
}

/// Nanoseconds as microseconds, to a hundredth: hiccups of a quiet machine are below one.
fn hundredths(ns: u64) -> f64 {
    (ns as f64 / 10.0).round() / 100.0
}

/// A part of a time, to a thousandth.
fn share(part: u64, of: u64) -> f64 {
    (part as f64 / of.max(1) as f64 * 1000.0).round() / 1000.0
}
