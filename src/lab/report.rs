//! What a load run found: for scripts as JSON, for people as a page.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::lab::pool::Faults;

/// The findings of a load run. Times are in microseconds.
///
/// The percentiles are of latency from the intended send time, over every request that was answered **or still waiting
/// when the run ended**: those count with the time they had waited, so that the percentiles never flatter. Requests whose
/// connection broke have no latency; `unanswered` and `faults` tell of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Requests handed to the kernel.
    pub sent: u64,
    /// Requests answered, whatever the status.
    pub answered: u64,
    /// Requests sent and not answered: connection broken, or still waiting a second after the end.
    pub unanswered: u64,
    /// Requests that fell due and were never sent: no connection became free in time.
    pub unsent: u64,
    /// Answers by status code.
    pub status: BTreeMap<u16, u64>,
    /// 204s whose `x-nobid-reason` is `shed`.
    pub shed: u64,
    /// 204s whose `x-nobid-reason` is `stalled`.
    pub stalled: u64,
    /// Bids and 204s of a decision, neither shed nor stalled, within 8 ms of being **sent**: what an exchange gets out of us.
    /// Without `x-debug` a shed 204 passes for one of a decision.
    pub in_time: u64,
    /// Answers later than 8 ms after the intended send time.
    pub late: u64,
    /// The rate asked for, requests per second; 0 when saturating.
    pub asked_rate: f64,
    /// Answers per second, from the start to the end of the schedule or to the last answer, whichever is later.
    pub achieved_rate: f64,
    /// How late the generator was at sending what it could have sent, 99th percentile. Waiting for a free connection is not
    /// in it: that is the server's doing.
    pub send_lag_p99: f64,
    /// The same, 99.9th percentile.
    pub send_lag_p999: f64,
    /// Median latency.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// 99.99th percentile.
    pub p9999: f64,
    /// The longest.
    pub max: f64,
    /// The generator's time for each request, waiting left out: it can do about a million over this a second.
    pub generator_work: f64,
    /// Share of the run in which the generator was at work, 0 to 1.
    pub generator_busy: f64,
    /// The generator itself limited the result: neither the rate nor the latencies are the server's.
    pub bottleneck: bool,
    /// Why, in a sentence.
    pub bottleneck_reason: Option<String>,
    /// Every connection always had a request: the latencies are of a closed loop and say nothing of a rate.
    pub saturated: bool,
    /// Connections asked for.
    pub connections: usize,
    /// Requests for each connection at a time.
    pub pipeline: usize,
    /// Length of the schedule, seconds.
    pub seconds: f64,
    /// What went wrong with connections.
    pub faults: Faults,
}

impl Report {
    /// Looks for signs that the generator measured itself, and says so.
    pub(super) fn judge(&mut self) {
        self.bottleneck_reason = if self.saturated {
            (self.generator_busy > 0.97).then(|| {
                format!(
                    "its core had no idle time ({:.0} % busy): the server may be able to do more",
                    self.generator_busy * 100.0
                )
            })
        } else if self.generator_busy > 0.95 {
            Some(format!("its core was busy {:.0} % of the time", self.generator_busy * 100.0))
        } else if self.send_lag_p99 > 1000.0 {
            Some(format!(
                "99 % of requests were sent within {} us of their time, which is too late to measure",
                self.send_lag_p99
            ))
        } else if self.send_lag_p99 > 20.0 && self.send_lag_p99 * 2.0 > self.p99 {
            Some(format!("{} us of the p99 of {} us passed before the request was sent", self.send_lag_p99, self.p99))
        } else {
            None
        };
        self.bottleneck = self.bottleneck_reason.is_some();
    }
}

/// Digits in groups of three.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Microseconds in the unit a person would choose.
pub(crate) fn duration(us: f64) -> String {
    match us {
        us if us < 1000.0 => format!("{us:.1} us"),
        us if us < 1_000_000.0 => format!("{:.2} ms", us / 1000.0),
        us => format!("{:.2} s", us / 1_000_000.0),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = match self.saturated {
            true => "as fast as they are answered".to_owned(),
            false => format!("{} asked for", grouped(self.asked_rate.round() as u64)),
        };
        writeln!(
            f,
            "  {:<12}{:>14}   in {:.1} s on {} connections",
            "sent",
            grouped(self.sent),
            self.seconds,
            self.connections
        )?;
        writeln!(
            f,
            "  {:<12}{:>14}   {} a second, {asked}",
            "answered",
            grouped(self.answered),
            grouped(self.achieved_rate.round() as u64)
        )?;
        for (status, count) in &self.status {
            writeln!(f, "  {:<12}{:>14}", format!("  {status}"), grouped(*count))?;
        }
        for (name, count, note) in [
            ("unanswered", self.unanswered, ""),
            ("unsent", self.unsent, "   no connection was free"),
            ("shed", self.shed, "   204 with the reason `shed`"),
            ("stalled", self.stalled, "   204 with the reason `stalled`"),
            ("late", self.late, "   after 8 ms"),
            ("refused", self.faults.refused, "   attempts to connect"),
            ("reset", self.faults.reset, "   connections"),
            ("unreadable", self.faults.unreadable, "   answers"),
        ] {
            if count > 0 {
                writeln!(f, "  {name:<12}{:>14}{note}", grouped(count))?;
            }
        }
        writeln!(f)?;
        if let Some(reason) = &self.bottleneck_reason {
            writeln!(f, "  The generator was the bottleneck: {reason}.")?;
            writeln!(
                f,
                "  The server's latencies could not be measured and are not shown. Ask for less, or give it its own core."
            )?;
        } else {
            let of = if self.saturated {
                "latency from the send time (closed loop)"
            } else {
                "latency from the intended send time"
            };
            writeln!(f, "  {of}")?;
            for (name, us) in [
                ("p50", self.p50),
                ("p90", self.p90),
                ("p99", self.p99),
                ("p99.9", self.p999),
                ("p99.99", self.p9999),
                ("max", self.max),
            ] {
                writeln!(f, "  {name:<12}{:>14}", duration(us))?;
            }
        }
        if !self.saturated && self.achieved_rate < self.asked_rate * 0.98 && !self.bottleneck {
            writeln!(
                f,
                "  The server did not keep up: {:.1} % of the rate asked for.",
                self.achieved_rate / self.asked_rate * 100.0
            )?;
        }
        write!(
            f,
            "  generator: {} a request (good for about {} a second), {:.0} % busy, send lag p99 {}",
            duration(self.generator_work),
            grouped(if self.generator_work > 0.0 { (1e6 / self.generator_work) as u64 } else { 0 }),
            self.generator_busy * 100.0,
            duration(self.send_lag_p99)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(
            (duration(12.34), duration(1500.0), duration(2_000_000.0)),
            ("12.3 us".into(), "1.50 ms".into(), "2.00 s".into())
        );
    }

    #[test]
    fn a_generator_that_limited_the_run_says_so_and_shows_no_tail() {
        let healthy = Report { p99: 200.0, send_lag_p99: 10.0, generator_busy: 0.4, max: 4242.0, ..Report::default() };
        let sick = [
            Report { generator_busy: 0.99, ..healthy.clone() },
            Report { send_lag_p99: 5000.0, p99: 50_000.0, ..healthy.clone() },
            Report { send_lag_p99: 150.0, ..healthy.clone() },
        ];
        let judged = |mut report: Report| {
            report.judge();
            (report.bottleneck, report.to_string())
        };
        let (bottleneck, page) = judged(healthy);
        assert!(!bottleneck && page.contains("4.24 ms"), "{page}");
        for report in sick {
            let (bottleneck, page) = judged(report);
            assert!(bottleneck && page.contains("bottleneck") && !page.contains("4.24 ms"), "{page}");
        }
    }
}
