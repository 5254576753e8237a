//! `corebid gate`: is a candidate slower than a baseline? Two binaries on one host, pair by pair of fresh processes ([`run`]), compared
//! by what each pair says ([`stats`], [`judge`]), and by instructions counted ([`vote`]). [`calibrate`] says how often the answer is
//! wrong.

pub mod calibrate;
pub mod judge;
pub mod print;
pub mod run;
pub mod stats;
pub mod vote;

use std::path::Path;

use serde::Serialize;

use crate::clock;
use crate::lab::drill::{self, Halt, Stage};
use crate::market::random::Random;
use crate::units::Nanos;
use judge::{Metric, Verdict};
use run::{Pair, Plan, Run, Side};
use stats::median;

/// Resamples behind an interval.
pub const RESAMPLES: usize = 1000;
/// A pair of whose time the hypervisor gave more than this share to others is left out: stolen time counts as CPU time.
const STOLEN: f64 = 0.1;
/// A share of requests without an answer that is forgiven.
const UNANSWERED: f64 = 0.005;
/// Shares of bids that differ by more than this are told: the two do not do the same work.
const BIDS: f64 = 0.05;

/// What to compare, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The one that is known, and the one that is judged.
    pub sides: [Side; 2],
    /// Pairs of runs.
    pub pairs: usize,
    /// What each pair is asked.
    pub plan: Plan,
    /// The ratio from which on it is too much.
    pub tolerance: f64,
    /// Whether instructions are counted.
    pub vote: Vote,
    /// Of how many requests.
    pub counted: u64,
    /// The ratio from which on there are too many.
    pub instruction_tolerance: f64,
    /// Of the order within pairs, and of the bootstrap.
    pub seed: u64,
}

/// Whether instructions are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    /// No.
    Never,
    /// Where there is valgrind, and both binaries know how; a note says where not.
    IfPossible,
    /// It is an error if they cannot.
    Required,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The answer.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub reason: String,
    /// What was compared; the first decides.
    pub metrics: Vec<Metric>,
    /// Pairs behind it.
    pub pairs: usize,
    /// Pairs that the host spoiled.
    pub left_out: usize,
    /// Requests per second.
    pub rate: u64,
    /// Length of one run, s.
    pub seconds: f64,
    /// The ratio that was tolerated.
    pub tolerance: f64,
    /// With which the order within pairs is the same again.
    pub seed: u64,
    /// How long it took, s.
    pub took: f64,
    /// What the host did: the median over the pairs.
    pub host: run::Host,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Every pair, in the order in which they were made.
    pub runs: Vec<Pair>,
}

/// Compares. `tell` is told of each step.
pub fn compare(options: &Options, tell: &mut dyn FnMut(&str)) -> Result<Report, Halt> {
    let Options { sides: [baseline, candidate], pairs, plan, tolerance, seed, .. } = options;
    let began = clock::boot();
    let stage = drill::backstage("gate")?;
    let mut notes = Vec::new();
    let counted = vote(&stage, options, tell, &mut notes)?;
    let mut random = Random::new(*seed);
    let mut runs = Vec::with_capacity(*pairs);
    for number in 1..=*pairs {
        let pair = run::pair(&stage, [baseline, candidate], plan, &mut random)?;
        tell(&format!("pair {number} of {pairs}: {}", print::pair(&pair)));
        runs.push(pair);
    }
    let kept: Vec<Pair> = runs.iter().copied().filter(|pair| pair.host.stolen <= STOLEN).collect();
    let mut metrics = judge::metrics(&kept, *tolerance, RESAMPLES, *seed);
    metrics.extend(counted);
    let mut verdict = judge::verdict(&metrics);
    let mut reason = print::reason(verdict, &metrics, kept.len());
    if let Some(differs) = work_differs(&kept) {
        // Whoever does less is cheaper, which is no reason to let it pass.
        if verdict == Verdict::Pass {
            (verdict, reason) = (Verdict::Inconclusive, differs.clone());
        }
        notes.push(differs);
    }
    if let Some(unanswered) = unanswered(&runs) {
        reason = if verdict == Verdict::Fail { format!("{unanswered}; {reason}") } else { unanswered };
        verdict = Verdict::Fail;
    }
    let host = host(&runs);
    if host.limited > 0 {
        notes.push(format!(
            "in {} of {} pairs the generator was itself late: their latencies say little",
            host.limited,
            runs.len()
        ));
    }
    Ok(Report {
        verdict,
        reason,
        metrics,
        pairs: kept.len(),
        left_out: runs.len() - kept.len(),
        rate: plan.rate,
        seconds: plan.seconds,
        tolerance: *tolerance,
        seed: *seed,
        took: (clock::boot().since(began) as f64 / Nanos::SECOND as f64).round(),
        host,
        notes,
        runs,
    })
}

/// The instructions of both.
fn vote(
    stage: &Stage,
    options: &Options,
    tell: &mut dyn FnMut(&str),
    notes: &mut Vec<String>,
) -> Result<Option<Metric>, Halt> {
    if options.vote == Vote::Never {
        return Ok(None);
    }
    let counted = vote::valgrind().and_then(|valgrind| {
        tell("counting instructions under callgrind");
        let counts = |side| vote::count(stage, &valgrind, side, options.counted);
        Ok((counts(&options.sides[0])?, counts(&options.sides[1])?))
    });
    match counted {
        Ok((baseline, candidate)) => {
            tell(&format!("instructions per request: {baseline:.0} and {candidate:.0}"));
            Ok(Some(Metric::counted(baseline, candidate, options.instruction_tolerance)))
        }
        Err(halt) if options.vote == Vote::Required || matches!(halt, Halt::Interrupted) => Err(halt),
        Err(halt) => {
            notes.push(format!("no instruction counts: {halt}"));
            Ok(None)
        }
    }
}

fn host(runs: &[Pair]) -> run::Host {
    let middle = |of: fn(&run::Host) -> f64| median(&runs.iter().map(|pair| of(&pair.host)).collect::<Vec<_>>());
    run::Host {
        lag_p99_us: middle(|host| host.lag_p99_us),
        hiccup_p99_us: middle(|host| host.hiccup_p99_us),
        stolen: middle(|host| host.stolen),
        waited: middle(|host| host.waited),
        limited: runs.iter().filter(|pair| pair.host.limited > 0).count() as u32,
    }
}

/// The share of something over all runs of a side.
fn share(pairs: &[Pair], side: fn(&Pair) -> &Run, part: fn(&Run) -> u64, whole: fn(&Run) -> u64) -> f64 {
    let sum = |of: fn(&Run) -> u64| pairs.iter().map(|pair| of(side(pair))).sum::<u64>();
    sum(part) as f64 / sum(whole).max(1) as f64
}

/// What to say of a candidate that does not answer: in three pairs of four it left more requests than are forgiven, and more than
/// twice as many as the baseline. In a few pairs that is the host's doing.
fn unanswered(pairs: &[Pair]) -> Option<String> {
    let missing = |run: &Run| (run.sent - run.answered.min(run.sent)) as f64 / run.sent.max(1) as f64;
    let worse = |pair: &&Pair| {
        let candidate = missing(&pair.candidate);
        candidate > UNANSWERED && candidate > 2.0 * missing(&pair.baseline)
    };
    let count = pairs.iter().filter(worse).count();
    (pairs.len() >= judge::RANKED && 4 * count >= 3 * pairs.len()).then(|| {
        format!("in {count} of {} pairs the candidate left requests unanswered that the baseline answered", pairs.len())
    })
}

fn work_differs(pairs: &[Pair]) -> Option<String> {
    let bids = |side| share(pairs, side, |run| run.bids, |run| run.answered);
    let (baseline, candidate) = (bids(|pair| &pair.baseline), bids(|pair| &pair.candidate));
    ((candidate - baseline).abs() > BIDS * baseline.max(candidate)).then(|| {
        format!(
            "the two do not do the same work: {:.2} % of answers are bids of the baseline's, {:.2} % of the candidate's",
            baseline * 100.0,
            candidate * 100.0
        )
    })
}

/// Whether a file is there to be run; what is wrong, otherwise.
pub fn is_program(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let problem = |why: &dyn std::fmt::Display| Err(format!("{}: {why}", path.display()));
    match path.metadata() {
        Err(error) => problem(&error),
        Ok(found) if !found.is_file() => problem(&"not a file"),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => problem(&"not a program: it may not be executed"),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(baseline: [u64; 3], candidate: [u64; 3]) -> Pair {
        let run = |[sent, answered, bids]: [u64; 3]| Run { sent, answered, bids, ..Run::default() };
        Pair { baseline: run(baseline), candidate: run(candidate), ..Pair::default() }
    }

    #[test]
    fn a_candidate_that_does_not_answer_fails() {
        let of = |at: usize, bad: usize, good: [u64; 3], missing: [u64; 3]| {
            pair(good, if at < bad { missing } else { good })
        };
        let pairs = |bad, good, missing| (0..8).map(|at| of(at, bad, good, missing)).collect::<Vec<_>>();
        let (all, most, some) = ([1000, 1000, 30], [1000, 998, 30], [1000, 990, 30]);
        assert!(unanswered(&pairs(6, all, some)).is_some_and(|why| why.starts_with("in 6 of 8 pairs")));
        assert_eq!(unanswered(&pairs(5, all, some)), None, "some pairs: the host's doing");
        assert_eq!(unanswered(&pairs(8, all, most)), None, "few requests");
        assert_eq!(unanswered(&pairs(8, some, some)), None, "both");
        assert_eq!(unanswered(&pairs(8, all, some)[..5]), None, "too few pairs");
    }

    #[test]
    fn another_share_of_bids_is_other_work() {
        assert_eq!(work_differs(&[pair([1000, 1000, 100], [1000, 1000, 98])]), None);
        assert!(work_differs(&[pair([1000, 1000, 100], [1000, 1000, 80])]).is_some());
        assert_eq!(work_differs(&[]), None);
    }

    #[test]
    fn what_cannot_be_run_is_told() {
        assert!(is_program(Path::new("/bin/sh")).is_ok());
        assert!(is_program(Path::new("/nowhere/at/all")).is_err_and(|why| why.starts_with("/nowhere/at/all: ")));
        assert!(is_program(Path::new("/etc/passwd")).is_err_and(|why| why.contains("executed")));
        assert!(is_program(Path::new("/")).is_err());
    }
}
