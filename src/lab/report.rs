//! What a load run found: for scripts as JSON, for people as a page.

pub mod measured;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::lab::pool::Faults;
use measured::Measured;

/// The quantiles of a report: key, name, and which.
pub const QUANTILES: [(&str, &str, f64); 6] = [
    ("p50", "p50", 0.5),
    ("p90", "p90", 0.9),
    ("p99", "p99", 0.99),
    ("p999", "p99.9", 0.999),
    ("p9999", "p99.99", 0.9999),
    ("max", "max", 1.0),
];

/// The findings of a load run. Times are in microseconds.
///
/// The percentiles are of latency from the intended send time, over every request that was answered **or still waiting
/// when the run ended**: those count with the time they had waited, so that the percentiles never flatter. Requests whose
/// connection broke have no latency; `unanswered` and `faults` tell of them. They are here as they were recorded;
/// [`Report::json`] and the page leave out those that were the generator's own doing.
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
    /// The rate asked for, requests per second; of a ramp or a recording its mean, and 0 when saturating.
    pub asked_rate: f64,
    /// Answers per second, from the start to the end of the schedule or to the last answer, whichever is later.
    pub achieved_rate: f64,
    /// How late the generator was at sending what it could have sent, 99th percentile. Waiting for a free connection is not
    /// in it: that is the server's doing.
    pub send_lag_p99: f64,
    /// The same, 99.9th percentile.
    pub send_lag_p999: f64,
    /// The same, the worst.
    pub send_lag_max: f64,
    /// What the machine does to a thread that only looks at the clock, in the same run: how long somebody who comes at any
    /// moment waits for its turn, 99th percentile ([`crate::lab::hiccup`]).
    pub hiccup_p99: f64,
    /// The same, 99.9th percentile.
    pub hiccup_p999: f64,
    /// The longest gap.
    pub hiccup_max: f64,
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
    /// Percentiles that could not be measured, and why: the generator was itself late.
    pub refused: Vec<Refused>,
    /// Percentiles with fewer than 10 requests beyond them: another run may say something else.
    pub few_samples: Vec<&'static str>,
    /// The generator's time for each request, waiting left out: it can do about a million over this a second.
    pub generator_work: f64,
    /// Share of the run in which the generator was at work, 0 to 1; of several, the busiest.
    pub generator_busy: f64,
    /// Each generator by itself.
    pub generators: Vec<GeneratorReport>,
    /// The generator itself limited the result: neither the rate nor the latencies are the server's.
    pub bottleneck: bool,
    /// Why, in a sentence.
    pub bottleneck_reason: Option<String>,
    /// Every connection always had a request: the latencies are of a closed loop and say nothing of a rate.
    pub saturated: bool,
    /// The order of arrivals: `constant`, `poisson`, `burst:…`, `recorded`, `saturated`.
    pub arrivals: String,
    /// What was drawn was drawn from this.
    pub seed: u64,
    /// Connections asked for.
    pub connections: usize,
    /// Requests for each connection at a time.
    pub pipeline: usize,
    /// Length of the schedule, seconds.
    pub seconds: f64,
    /// Time before it that is not counted, seconds.
    pub warm_up: f64,
    /// What went wrong with connections.
    pub faults: Faults,
    /// The distributions that the figures are taken from.
    #[serde(skip)]
    pub measured: Measured,
}

/// A percentile that is not the server's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its key: `p50` to `max`.
    pub quantile: &'static str,
    /// In a sentence.
    pub why: String,
}

/// One generator of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GeneratorReport {
    /// Its core, if it has one.
    pub core: Option<usize>,
    /// Requests that it sent.
    pub sent: u64,
    /// Share of the run in which it was at work, 0 to 1.
    pub busy: f64,
    /// Share of the run in which it had its core, as far as the kernel counts; it never sleeps.
    pub on_cpu: f64,
    /// Its send lag, 99th percentile.
    pub send_lag_p99: f64,
    /// The worst.
    pub send_lag_max: f64,
    /// What its core did to it, 99th percentile.
    pub hiccup_p99: f64,
}

impl Report {
    /// Looks for signs that the generator measured itself, and says so.
    pub(super) fn judge(&mut self) {
        if self.measured.latency.is_empty() {
            let why = || "no request was answered, or waited at the end".to_owned();
            self.refused.extend(QUANTILES.map(|(key, ..)| Refused { quantile: key, why: why() }));
            return;
        }
        let worn = (!self.saturated && self.generator_busy > 0.95)
            .then(|| format!("its core was busy {:.0} % of the time", self.generator_busy * 100.0));
        for (key, _, quantile) in QUANTILES {
            if let Some(why) = worn.clone().or_else(|| self.measured.refuses(quantile)) {
                self.refused.push(Refused { quantile: key, why });
            }
            if quantile < 1.0 && self.measured.has_few(quantile) {
                self.few_samples.push(key);
            }
        }
        self.bottleneck_reason = if self.saturated {
            (self.generator_busy > 0.97).then(|| {
                format!(
                    "its core had no idle time ({:.0} % busy): the server may be able to do more",
                    self.generator_busy * 100.0
                )
            })
        } else {
            self.refused("p99").map(|refused| refused.why.clone())
        };
        self.bottleneck = self.bottleneck_reason.is_some();
    }

    /// Whether the percentile of this key was refused.
    pub fn refused(&self, key: &str) -> Option<&Refused> {
        self.refused.iter().find(|refused| refused.quantile == key)
    }

    /// The report as one object: a refused percentile is `null` there, and stands under `as_recorded` with the others.
    pub fn json(&self) -> Value {
        let mut report = serde_json::to_value(self).expect("numbers and texts");
        let recorded = QUANTILES.map(|(key, ..)| (key.to_owned(), report[key].clone()));
        report["as_recorded"] = Value::Object(recorded.into_iter().collect());
        for refused in &self.refused {
            report[refused.quantile] = Value::Null;
        }
        report
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
            writeln!(f, "  The generator was the bottleneck: {reason}. Ask for less, or give it its own core.")?;
        }
        writeln!(
            f,
            "  latency from the {}",
            if self.saturated { "send time (closed loop)" } else { "intended send time" }
        )?;
        let recorded = [self.p50, self.p90, self.p99, self.p999, self.p9999, self.max];
        for ((key, name, quantile), us) in QUANTILES.into_iter().zip(recorded) {
            match self.refused(key) {
                Some(refused) => writeln!(f, "  {name:<12}{:>14}   {}", "refused", refused.why)?,
                None if self.few_samples.contains(&key) => {
                    let rests = match self.measured.beyond(quantile) {
                        0 => "the longest of all".to_owned(),
                        1 => "one request took longer".to_owned(),
                        beyond => format!("only {beyond} requests took longer"),
                    };
                    writeln!(f, "  {name:<12}{:>14}   {rests}", duration(us))?;
                }
                None => writeln!(f, "  {name:<12}{:>14}", duration(us))?,
            }
        }
        if !self.saturated && self.achieved_rate < self.asked_rate * 0.98 && !self.bottleneck {
            writeln!(
                f,
                "  The server did not keep up: {:.1} % of the rate asked for.",
                self.achieved_rate / self.asked_rate * 100.0
            )?;
        }
        writeln!(
            f,
            "  generator: {} a request (good for about {} a second), {:.0} % busy",
            duration(self.generator_work),
            grouped(if self.generator_work > 0.0 { (1e6 / self.generator_work) as u64 } else { 0 }),
            self.generator_busy * 100.0,
        )?;
        write!(
            f,
            "  send lag p99 {}, worst {}; hiccups of the machine p99 {}, longest {}",
            duration(self.send_lag_p99),
            duration(self.send_lag_max),
            duration(self.hiccup_p99),
            duration(self.hiccup_max)
        )?;
        for one in self.generators.iter().filter(|_| self.generators.len() > 1) {
            let core = one.core.map_or("?".to_owned(), |core| core.to_string());
            let (sent, busy) = (grouped(one.sent), one.busy * 100.0);
            let (lag, hiccup) = (duration(one.send_lag_p99), duration(one.hiccup_p99));
            write!(f, "\n    core {core}: {sent} sent, {busy:.0} % busy, send lag p99 {lag}, hiccups p99 {hiccup}")?;
        }
        Ok(())
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

    /// A run of 100,000 requests at 1 ms whose last part took 50 ms; the generator was late by `lag` ns at all of them, and by
    /// `tail` at the last part.
    fn run(lag: u64, tail: u64, busy: f64) -> Report {
        let mut report = Report { generator_busy: busy, ..Report::default() };
        let Measured { latency, lag: lags, .. } = &mut report.measured;
        for index in 0..100_000 {
            let last = index >= 99_500;
            latency.saturating_record(if last { 50_000_000 } else { 1_000_000 });
            lags.saturating_record(if last { tail } else { lag });
        }
        report.send_lag_p99 = crate::lab::latency::micros(&report.measured.lag, 0.99);
        report.judge();
        report
    }

    fn refused(report: &Report) -> Vec<&str> {
        report.refused.iter().map(|refused| refused.quantile).collect()
    }

    #[test]
    fn what_the_generator_did_itself_is_refused_quantile_by_quantile() {
        for (lag, tail, busy, expected) in [
            (10_000, 10_000, 0.4, &[][..]),
            // Half of the latency at the same quantile is too much.
            (490_000, 24_000_000, 0.4, &[]),
            (520_000, 520_000, 0.4, &["p50", "p90", "p99"]),
            (10_000, 26_000_000, 0.4, &["p999", "p9999", "max"]),
            (10_000, 10_000, 0.96, &["p50", "p90", "p99", "p999", "p9999", "max"]),
        ] {
            let report = run(lag, tail, busy);
            assert_eq!(refused(&report), expected, "{lag} {tail} {busy}");
            assert_eq!(report.bottleneck, expected.contains(&"p99"));
            let (json, page) = (report.json(), report.to_string());
            for (key, name, _) in QUANTILES {
                assert_eq!(json[key].is_null(), expected.contains(&key), "{key}: {json}");
                assert!(json["as_recorded"][key].is_number());
                let line = page.lines().find(|line| line.trim_start().starts_with(&format!("{name} "))).expect(name);
                assert_eq!(line.contains("refused"), expected.contains(&key), "{page}");
            }
        }
    }

    #[test]
    fn nothing_measured_is_no_latency_of_zero() {
        let mut report = Report { unsent: 7, ..Report::default() };
        report.judge();
        let (json, page) = (report.json(), report.to_string());
        assert!(QUANTILES.iter().all(|(key, ..)| json[*key].is_null()) && !page.contains("0.0 us\n  p90"), "{page}");
        assert!(!report.bottleneck, "a server that is silent is not the generator's doing");
    }

    #[test]
    fn a_quantile_of_few_requests_is_marked_and_kept() {
        let mut report = Report::default();
        for index in 0..5_000 {
            report.measured.latency.saturating_record(1_000_000 + index);
        }
        report.judge();
        assert_eq!(report.few_samples, ["p999", "p9999"]);
        assert!(report.json()["p9999"].is_number() && report.to_string().contains("only 5 requests took longer"));
    }
}
