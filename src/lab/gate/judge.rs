//! From pairs of runs to a verdict.
//!
//! CPU time per request decides. It fails if the interval of its ratio lies above 1 and its estimate above the tolerance; it passes if
//! the interval lies below the tolerance. The percentiles of latency cannot let a candidate pass, but can fail it, by the same rule and
//! only where their p-values hold together (Holm). Instruction counts, where there are any, are the same on every run: they fail a
//! candidate by themselves. Everything else is inconclusive: more pairs, or a quieter host, would tell.

use serde::Serialize;

use crate::lab::gate::run::{Pair, Run};
use crate::lab::gate::stats::{holm, interval, signed_rank, smallest_visible, trimmed_mean};
use crate::market::random::Random;

/// A chance of a false alarm that is accepted.
const LEVEL: f64 = 0.05;

/// What is said of a candidate, and of each metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is not worse by as much as is tolerated.
    Pass,
    /// It is worse, and by more than is tolerated.
    Fail,
    /// The runs do not say.
    Inconclusive,
}

impl Verdict {
    /// As JSON has it.
    pub fn label(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Inconclusive => "inconclusive",
        }
    }
}

/// One thing that was compared.
#[derive(Clone, Debug, Serialize)]
pub struct Metric {
    /// `cpu_per_request`, `p50`, `p99`, `p999`, `instructions`.
    pub name: &'static str,
    /// `us`, or `instructions`.
    pub unit: &'static str,
    /// Candidate over baseline, as the pairs say.
    pub ratio: f64,
    /// The 95 % interval of the ratio.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The chance of pairs like these if neither is slower; 0 or 1 of a count.
    pub p: Option<f64>,
    /// The same, corrected for the number of percentiles.
    pub p_adjusted: Option<f64>,
    /// The ratio from which on it is too much.
    pub tolerance: f64,
    /// The smallest ratio that pairs as uncertain as these show four times in five.
    pub smallest_visible: Option<f64>,
    /// Of the baseline, the mean of the middle three fifths of the runs.
    pub baseline: f64,
    /// Of the candidate.
    pub candidate: f64,
    /// By itself.
    pub verdict: Verdict,
}

/// How a metric is read from a run.
pub type Of = fn(&Run) -> f64;

/// What every pair is compared by. The first decides.
pub const METRICS: [(&str, Of); 4] = [
    ("cpu_per_request", |run| run.cpu_us),
    ("p50", |run| run.p50_us),
    ("p99", |run| run.p99_us),
    ("p999", |run| run.p999_us),
];

/// Compares pairs. `seed` is of the bootstrap.
pub fn metrics(pairs: &[Pair], tolerance: f64, resamples: usize, seed: u64) -> Vec<Metric> {
    let mut random = Random::new(seed);
    let mut metrics: Vec<Metric> =
        METRICS.iter().map(|&(name, of)| compare(name, of, pairs, tolerance, resamples, &mut random)).collect();
    let (decides, beside) = metrics.split_at_mut(1);
    let adjusted = holm(&beside.iter().map(|metric| metric.p.unwrap_or(1.0)).collect::<Vec<_>>());
    for (metric, p) in beside.iter_mut().zip(adjusted) {
        metric.p_adjusted = Some(p);
    }
    // One question asked first needs no correction for those beside it.
    // Of few pairs the test cannot say no, so the interval is asked alone.
    decides.iter_mut().for_each(|metric| metric.p_adjusted = metric.p.filter(|_| pairs.len() >= RANKED));
    // One pair shows nothing of chance.
    if pairs.len() > 1 {
        metrics.iter_mut().for_each(|metric| metric.verdict = metric.judged());
    }
    metrics
}

fn compare(
    name: &'static str,
    of: Of,
    pairs: &[Pair],
    tolerance: f64,
    resamples: usize,
    random: &mut Random,
) -> Metric {
    let logs: Vec<f64> = pairs.iter().map(|pair| log_ratio(of(&pair.baseline), of(&pair.candidate))).collect();
    let (low, high) = interval(&logs, resamples, random);
    let middle = |side: fn(&Pair) -> &Run| trimmed_mean(&pairs.iter().map(|pair| of(side(pair))).collect::<Vec<_>>());
    Metric {
        name,
        unit: "us",
        ratio: trimmed_mean(&logs).exp(),
        low: low.exp(),
        high: high.exp(),
        p: Some(signed_rank(&logs)),
        p_adjusted: None,
        tolerance,
        smallest_visible: Some(smallest_visible(low, high).exp()),
        baseline: middle(|pair| &pair.baseline),
        candidate: middle(|pair| &pair.candidate),
        verdict: Verdict::Inconclusive,
    }
}

/// Both are times above 0, or say nothing.
fn log_ratio(baseline: f64, candidate: f64) -> f64 {
    if baseline > 0.0 && candidate > 0.0 { (candidate / baseline).ln() } else { 0.0 }
}

impl Metric {
    /// Instructions per request, counted of both.
    pub fn counted(baseline: f64, candidate: f64, tolerance: f64) -> Metric {
        let ratio = log_ratio(baseline, candidate).exp();
        Metric {
            name: "instructions",
            unit: "instructions",
            ratio,
            low: ratio,
            high: ratio,
            // Nothing of a count is chance.
            p: Some(if baseline.total_cmp(&candidate).is_eq() { 1.0 } else { 0.0 }),
            p_adjusted: None,
            tolerance,
            smallest_visible: None,
            baseline,
            candidate,
            verdict: if ratio > tolerance { Verdict::Fail } else { Verdict::Pass },
        }
    }

    /// It differs, beyond chance: the interval leaves 1 out, and the test agrees. A test of fewer than [`RANKED`] pairs never does.
    pub fn differs(&self) -> bool {
        let chance = self.p_adjusted.is_none_or(|p| p <= LEVEL);
        chance && (self.low > 1.0 || self.high < 1.0)
    }

    /// By the rules of this module.
    fn judged(&self) -> Verdict {
        if self.differs() && self.low > 1.0 && self.ratio > self.tolerance {
            Verdict::Fail
        } else if self.high < self.tolerance {
            Verdict::Pass
        } else {
            Verdict::Inconclusive
        }
    }
}

/// What the metrics, the one that decides first, say together.
pub fn verdict(metrics: &[Metric]) -> Verdict {
    if metrics.iter().any(|metric| metric.verdict == Verdict::Fail) {
        return Verdict::Fail;
    }
    metrics.first().map_or(Verdict::Inconclusive, |decides| decides.verdict)
}

/// The rank test of fewer pairs cannot reject: with five that all agree p is 0.0625.
pub const RANKED: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn run(cpu_us: f64, latency_us: f64) -> Run {
        Run { cpu_us, p50_us: latency_us, p99_us: latency_us, p999_us: latency_us, ..Run::default() }
    }

    /// Pairs of which the candidate takes `cpu` and `latency` times as much, with noise of `sigma`.
    fn pairs(count: usize, cpu: f64, latency: f64, sigma: f64) -> Vec<Pair> {
        let mut random = Random::new(11);
        let mut noisy = |value: f64| random.log_normal(value, sigma);
        (0..count)
            .map(|_| Pair {
                baseline: run(noisy(12.0), noisy(90.0)),
                candidate: run(noisy(12.0 * cpu), noisy(90.0 * latency)),
                ..Pair::default()
            })
            .collect()
    }

    fn said(pairs: &[Pair]) -> (Verdict, Vec<Verdict>) {
        let metrics = metrics(pairs, 1.03, 1000, 1);
        (verdict(&metrics), metrics.iter().map(|metric| metric.verdict).collect())
    }

    #[test]
    fn the_table_of_verdicts() {
        use Verdict::{Fail, Inconclusive, Pass};
        for (cpu, latency, sigma, expected) in [
            // The same; better; worse by less than is tolerated; worse by more.
            (1.0, 1.0, 0.01, Pass),
            (0.9, 0.9, 0.01, Pass),
            (1.015, 1.0, 0.005, Pass),
            (1.06, 1.0, 0.01, Fail),
            // Worse by what is tolerated, about; and a host that tells nothing from nothing.
            (1.02, 1.0, 0.03, Inconclusive),
            (1.0, 1.0, 0.3, Inconclusive),
            // The percentiles fail what CPU time lets pass.
            (1.0, 1.2, 0.01, Fail),
            (0.9, 1.2, 0.01, Fail),
        ] {
            assert_eq!(said(&pairs(24, cpu, latency, sigma)).0, expected, "{cpu} {latency} {sigma}");
        }
    }

    #[test]
    fn percentiles_that_say_nothing_do_not_keep_a_candidate_from_passing() {
        let mut pairs = pairs(24, 1.0, 1.0, 0.004);
        for (pair, times) in pairs.iter_mut().zip([5.0, 0.2].into_iter().cycle()) {
            pair.candidate.p999_us *= times;
        }
        let (verdict, each) = said(&pairs);
        assert_eq!((verdict, each[3]), (Verdict::Pass, Verdict::Inconclusive));
    }

    #[test]
    fn few_pairs_decide_what_is_plain() {
        for count in 2..6 {
            let all = [(2.0, 2.0, 0.01), (1.0, 1.0, 0.0002), (1.05, 1.0, 0.1)];
            let [slower, same, noisy] = all.map(|(cpu, latency, sigma)| said(&pairs(count, cpu, latency, sigma)));
            assert_eq!([slower.0, same.0, noisy.0], [Verdict::Fail, Verdict::Pass, Verdict::Inconclusive], "{count}");
            assert!(
                slower.1[1..].iter().all(|beside| *beside == Verdict::Inconclusive),
                "the ranks of few say nothing"
            );
        }
        assert_eq!(said(&pairs(1, 2.0, 2.0, 0.0)).0, Verdict::Inconclusive);
        assert_eq!(said(&[]).0, Verdict::Inconclusive);
    }

    #[test]
    fn few_pairs_of_the_same_seldom_fail() {
        let mut random = Random::new(5);
        for count in 2..6 {
            let alarms = (0..1_000).filter(|_| {
                let noisy = |random: &mut Random| run(random.log_normal(12.0, 0.05), 90.0);
                let pairs: Vec<Pair> = (0..count)
                    .map(|_| Pair { baseline: noisy(&mut random), candidate: noisy(&mut random), ..Pair::default() })
                    .collect();
                said(&pairs).0 == Verdict::Fail
            });
            assert!(alarms.count() <= 50, "{count}");
        }
    }

    #[test]
    fn a_count_fails_by_itself_and_never_lets_pass() {
        let vote = |candidate: f64| Metric::counted(10_000.0, candidate, 1.005);
        assert_eq!([vote(10_000.0), vote(10_050.0), vote(9_000.0)].map(|vote| vote.verdict), [Verdict::Pass; 3]);
        assert_eq!(vote(10_100.0).verdict, Verdict::Fail);
        let mut all = metrics(&pairs(24, 1.0, 1.0, 0.01), 1.03, 1000, 1);
        all.push(vote(10_100.0));
        assert_eq!(verdict(&all), Verdict::Fail);
        let mut noisy = metrics(&pairs(24, 1.0, 1.0, 0.3), 1.03, 1000, 1);
        noisy.push(vote(10_000.0));
        assert_eq!(verdict(&noisy), Verdict::Inconclusive);
    }

    #[test]
    fn what_no_run_measured_differs_from_nothing() {
        let none = vec![Pair::default(); 8];
        assert!(
            metrics(&none, 1.03, 100, 1).iter().all(|metric| (metric.ratio - 1.0).abs() < 1e-12 && !metric.differs())
        );
    }
}
