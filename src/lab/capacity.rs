//! The largest rate that a server answers with a p99 below some time: doubling until it does not, then halving the difference, then
//! the found rate once more.
//!
//! A step is an open-loop run with a warm-up. What it shows is one of three things: the server holds the rate, it does not, or
//! nothing, because the generator was itself late. Nothing is never taken for something: such a step is made once more, and if it
//! shows nothing again the search goes on below it and says that the generator was the limit.

use std::fmt;

use serde::Serialize;

use crate::lab::load::{self, Error, Options};
use crate::lab::report::{Report, duration, grouped};

/// Share of requests that may be lost, turned away, not sent or not answered for a step to count for the server.
pub const TOLERATED: f64 = 0.001;
/// The search ends when the rate that holds and the one that does not are so near, as a ratio.
const NEAR: f64 = 1.03;
/// Most steps.
const STEPS: usize = 40;
/// Attempts to confirm what was found, each at a rate 5 % below the one before.
const CONFIRMATIONS: usize = 4;
/// Warm-up of a step, as its share, where none is asked for.
const WARM_UP: f64 = 0.25;

/// What a step shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shows {
    /// The server holds the rate.
    Holds,
    /// It does not.
    Fails,
    /// Nothing of the server.
    Nothing,
}

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Requests per second asked for.
    pub rate: u64,
    /// What it shows.
    pub shows: Shows,
    /// Why, in a sentence.
    pub why: String,
    /// 99th percentile, us; `None` if it was refused.
    pub p99: Option<f64>,
    /// Answers per second.
    pub achieved_rate: f64,
    /// Share of requests shed, stalled, not sent, not answered, or answered with an error.
    pub turned_away: f64,
    /// The generator's send lag, 99th percentile, us.
    pub send_lag_p99: f64,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Capacity {
    /// The largest rate that holds and held again in a second run, requests per second; `None` if none did.
    pub capacity: Option<u64>,
    /// The largest rate that held in the search.
    pub held_once: Option<u64>,
    /// The p99 that had to be met, us.
    pub below_us: f64,
    /// Share of requests that might be turned away.
    pub tolerated: f64,
    /// What ended the search above: `server`, `generator`, or `steps`.
    pub limited_by: &'static str,
    /// Every step, in order.
    pub steps: Vec<Step>,
}

/// Searches from `options.rate` on, each step as long as `options.seconds`; `told` hears of each step.
pub fn find(options: &Options, below_us: f64, mut told: impl FnMut(&Step)) -> Result<Capacity, Error> {
    if options.saturate || options.ramp_from.is_some() || matches!(options.source, load::Source::Recorded(_)) {
        return Err(Error::Option("find-capacity", "it asks for rates of its own".into()));
    }
    if !(below_us > 0.0 && below_us.is_finite()) {
        return Err(Error::Option("find-capacity", "a time above 0".into()));
    }
    let warm_up = if options.warm_up > 0.0 { options.warm_up } else { options.seconds * WARM_UP };
    search(options.rate, below_us, |rate| {
        let step = step(rate, below_us, &load::run(&Options { rate, warm_up, hdr: None, ..options.clone() })?);
        told(&step);
        Ok(step)
    })
}

/// What a run shows.
fn step(rate: u64, below_us: f64, report: &Report) -> Step {
    let fine: u64 =
        report.status.iter().filter(|(status, _)| (200..300).contains(*status)).map(|(_, count)| count).sum();
    let all = (report.sent + report.unsent).max(1) as f64;
    let turned_away = (all - (fine - report.shed - report.stalled) as f64) / all;
    let (p99, percent) = (duration(report.p99), turned_away * 100.0);
    // The generator is asked first: a queue that it made itself also costs answers.
    let (shows, why) = if let Some(why) = &report.bottleneck_reason {
        (Shows::Nothing, format!("the generator: {why}"))
    } else if turned_away > TOLERATED {
        (Shows::Fails, format!("{percent:.2} % of the requests were turned away or not answered"))
    } else if report.p99 >= below_us {
        (Shows::Fails, format!("p99 {p99}"))
    } else {
        (Shows::Holds, format!("p99 {p99}"))
    };
    Step {
        rate,
        shows,
        why,
        p99: report.refused("p99").is_none().then_some(report.p99),
        achieved_rate: report.achieved_rate,
        turned_away,
        send_lag_p99: report.send_lag_p99,
    }
}

/// The search itself, over anything that makes steps.
fn search<E>(from: u64, below_us: f64, mut run: impl FnMut(u64) -> Result<Step, E>) -> Result<Capacity, E> {
    let mut steps: Vec<Step> = Vec::new();
    let mut limited_by = "steps";
    // Largest rate that holds, smallest that does not or shows nothing.
    let (mut holds, mut beyond) = (0u64, u64::MAX);
    let mut rate = from.max(1);
    while steps.len() < STEPS - CONFIRMATIONS {
        let mut step = run(rate)?;
        if step.shows == Shows::Nothing {
            steps.push(step);
            step = run(rate)?;
        }
        match step.shows {
            Shows::Holds => holds = rate,
            Shows::Fails => (beyond, limited_by) = (rate, "server"),
            Shows::Nothing => (beyond, limited_by) = (rate, "generator"),
        }
        steps.push(step);
        rate = match (holds, beyond) {
            (_, 1) => break,
            (holds, u64::MAX) => holds.saturating_mul(2),
            // Nothing holds yet: down as fast as up.
            (0, beyond) => beyond / 2,
            (holds, beyond) if (beyond as f64) < holds as f64 * NEAR || beyond - holds <= 1 => break,
            (holds, beyond) => holds + (beyond - holds) / 2,
        };
    }
    let held_once = (holds > 0).then_some(holds);
    let (mut capacity, mut rate) = (None, holds);
    for _ in 0..CONFIRMATIONS {
        if capacity.is_some() || rate == 0 {
            break;
        }
        let step = run(rate)?;
        capacity = (step.shows == Shows::Holds).then_some(rate);
        steps.push(step);
        rate = rate * 19 / 20;
    }
    Ok(Capacity { capacity, held_once, below_us, tolerated: TOLERATED, limited_by, steps })
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.shows {
            Shows::Holds => "holds",
            Shows::Fails => "fails",
            Shows::Nothing => "shows nothing",
        };
        write!(f, "  {:>12} a second   {word:<14} {}", grouped(self.rate), self.why)
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = duration(self.below_us);
        match (self.capacity, self.held_once) {
            (Some(rate), _) => {
                write!(
                    f,
                    "  {} requests a second with p99 below {below}, and so again in a second run.",
                    grouped(rate)
                )?;
            }
            (None, Some(rate)) => {
                write!(
                    f,
                    "  Not found: {} requests a second held p99 below {below} once, and not again.",
                    grouped(rate)
                )?;
            }
            (None, None) => write!(f, "  No rate was found at which p99 is below {below}.")?,
        }
        match self.limited_by {
            "server" => Ok(()),
            "generator" => {
                write!(f, "\n  The generator was the limit: the server may hold more. Give it cores (--cores).")
            }
            _ => write!(f, "\n  The search ended before its steps were fine enough."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(rate: u64, shows: Shows) -> Step {
        let why = String::new();
        Step { rate, shows, why, p99: None, achieved_rate: 0.0, turned_away: 0.0, send_lag_p99: 0.0 }
    }

    /// A server that holds up to `most`, and a generator that measures up to `seen`.
    fn world(from: u64, most: u64, seen: u64) -> Capacity {
        let run = |rate| {
            let shows = match rate {
                rate if rate > seen => Shows::Nothing,
                rate if rate > most => Shows::Fails,
                _ => Shows::Holds,
            };
            Ok::<_, ()>(made(rate, shows))
        };
        search(from, 1_000.0, run).expect("steps")
    }

    #[test]
    fn the_largest_rate_is_found_from_anywhere() {
        for most in [1, 2, 7, 999, 48_000, 1_234_567] {
            for from in [1, 1_000, 5_000_000] {
                let found = world(from, most, u64::MAX);
                let capacity = found.capacity.expect("a rate") as f64;
                assert!(
                    capacity <= most as f64 && capacity * NEAR + 1.0 >= most as f64,
                    "{capacity} of {most} from {from}"
                );
                assert!(found.limited_by == "server" && found.steps.len() <= STEPS);
            }
        }
    }

    #[test]
    fn what_the_generator_cannot_show_is_no_evidence() {
        let found = world(1_000, 1_000_000, 50_000);
        assert_eq!(found.limited_by, "generator");
        assert!(found.capacity.is_some_and(|rate| (48_000..=50_000).contains(&rate)), "{found:?}");
        assert!(found.to_string().contains("the server may hold more"));
        // Each such step was made twice.
        let nothing: Vec<u64> =
            found.steps.iter().filter(|step| step.shows == Shows::Nothing).map(|step| step.rate).collect();
        assert!(nothing.chunks(2).all(|pair| pair.len() == 2 && pair[0] == pair[1]), "{nothing:?}");
    }

    #[test]
    fn a_server_that_holds_nothing_has_no_capacity() {
        let found = world(64, 0, u64::MAX);
        assert_eq!((found.capacity, found.held_once, found.limited_by), (None, None, "server"));
        assert_eq!(found.steps.iter().map(|step| step.rate).collect::<Vec<_>>(), [64, 32, 16, 8, 4, 2, 1]);
    }

    #[test]
    fn what_held_once_is_not_called_found() {
        let mut runs = 0;
        let found = search(1_000, 1.0, |rate| {
            runs += 1;
            Ok::<_, ()>(made(rate, if runs <= 3 { Shows::Holds } else { Shows::Fails }))
        });
        let found = found.expect("steps");
        assert_eq!((found.capacity, found.held_once), (None, Some(4_000)));
        assert!(found.to_string().starts_with("  Not found: 4,000"), "{found:?}");
        assert!(runs <= STEPS);
    }

    #[test]
    fn a_step_counts_only_what_was_answered() {
        let report =
            Report { sent: 1_000, answered: 1_000, status: [(204, 1_000)].into(), p99: 900.0, ..Report::default() };
        let shows = |report: &Report| step(100, 1_000.0, report).shows;
        assert_eq!(shows(&report), Shows::Holds);
        assert_eq!(shows(&Report { p99: 1_000.0, ..report.clone() }), Shows::Fails);
        assert_eq!(shows(&Report { shed: 2, ..report.clone() }), Shows::Fails);
        assert_eq!(shows(&Report { shed: 1, ..report.clone() }), Shows::Holds);
        assert_eq!(shows(&Report { unsent: 2, ..report.clone() }), Shows::Fails);
        assert_eq!(shows(&Report { status: [(204, 990), (500, 10)].into(), ..report.clone() }), Shows::Fails);
        let late = Report { bottleneck_reason: Some("late".into()), unsent: 500, ..report };
        assert_eq!(shows(&late), Shows::Nothing);
    }
}
