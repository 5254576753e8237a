//! When each request of an open-loop run is due, whatever became of those before it.
//!
//! A generated schedule is a rate over time and an order of arrivals under it. The rate gives how many requests fall due until
//! some time; its inverse is a closed form, so that due times are counted from the start and do not drift. The order says
//! where on that scale of requests each one lies: at the whole numbers, at the points of a Poisson process, several at one point.
//! A request costs the same however many came before it, and no memory.

mod rate;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::splitmix;
use crate::units::Nanos;
use rate::Rate;

/// Requests that fell due at the very end may still be sent for this long, ns.
const GRACE_NS: u64 = 100 * Nanos::MS;
/// Time for answers after the end, ns.
const DRAIN_NS: u64 = Nanos::SECOND;
/// Most requests of one burst.
const MOST_AT_ONCE: u64 = 1_000_000;

/// In which order requests arrive at a given rate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Arrivals {
    /// At even distances.
    #[default]
    Constant,
    /// As from very many senders who know nothing of each other: a Poisson process.
    Poisson,
    /// So many at once, as often as the rate asks for.
    Bursts(u64),
    /// So many at once every so many milliseconds, and between them at even distances what is left of the rate.
    Beats(u64, f64),
}

impl FromStr for Arrivals {
    type Err = String;

    fn from_str(text: &str) -> Result<Arrivals, String> {
        let count = |digits: &str| match digits.parse() {
            Ok(count) if (1..=MOST_AT_ONCE).contains(&count) => Ok(count),
            _ => Err(format!("a burst has 1 to {MOST_AT_ONCE} requests, not `{digits}`")),
        };
        match text {
            "constant" => Ok(Arrivals::Constant),
            "poisson" => Ok(Arrivals::Poisson),
            _ => match text.strip_prefix("burst:").map(|rest| (rest, rest.split_once('@'))) {
                Some((_, Some((digits, every)))) => match every.parse::<f64>() {
                    Ok(ms) if ms >= 0.001 && is_length(ms) => Ok(Arrivals::Beats(count(digits)?, ms)),
                    _ => Err(format!("`{every}` is not a number of milliseconds between bursts")),
                },
                Some((digits, None)) => Ok(Arrivals::Bursts(count(digits)?)),
                None => Err(format!("`{text}` is none of constant, poisson, burst:COUNT, burst:COUNT@MS")),
            },
        }
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arrivals::Constant => write!(f, "constant"),
            Arrivals::Poisson => write!(f, "poisson"),
            Arrivals::Bursts(count) => write!(f, "burst:{count}"),
            Arrivals::Beats(count, ms) => write!(f, "burst:{count}@{ms}"),
        }
    }
}

/// What a generated schedule is made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Requests per second; after a ramp, at its end.
    pub rate: f64,
    /// Requests per second at which a linear ramp over the whole run begins.
    pub ramp_from: Option<f64>,
    /// Length of the run, the warm-up not in it, seconds.
    pub seconds: f64,
    /// Time before the run, at the rate at which it begins, seconds.
    pub warm_up: f64,
    /// In which order.
    pub arrivals: Arrivals,
    /// Of what is drawn.
    pub seed: u64,
}

/// The requests of a run, one after the other.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// When the first request may be due.
    pub start: Nanos,
    /// When the warm-up is over: requests due before are sent, and not counted.
    pub counted_from: Nanos,
    /// When the run ends; no request is due at or after it.
    pub end: Nanos,
    rate: Rate,
    order: Order,
    /// The next request, counted from 0 over all who share the schedule.
    index: u64,
    /// When it is due; [`Nanos::NEVER`] after the last.
    due: Nanos,
    /// How many share the schedule, each taking every so manieth request.
    sharers: u64,
}

/// Where the next request lies.
#[derive(Clone, Debug)]
enum Order {
    Even,
    /// The state of the draws, and the scale of requests as far as it has come.
    Poisson(u64, f64),
    Bursts(u64),
    Beats {
        count: u64,
        every_ns: f64,
        /// Requests of bursts so far, and of those between.
        together: u64,
        between: u64,
    },
    Recorded(Arc<[u64]>),
}

impl Schedule {
    /// `rate` requests per second (at least 1) at even distances for `seconds`.
    pub fn new(start: Nanos, rate: u64, seconds: f64) -> Schedule {
        let rate = rate.max(1) as f64;
        let arrivals = Arrivals::Constant;
        Schedule::generated(start, &Plan { rate, ramp_from: None, seconds, warm_up: 0.0, arrivals, seed: 0 })
    }

    /// What a plan asks for. The same plan gives the same distances each time.
    pub fn generated(start: Nanos, plan: &Plan) -> Schedule {
        let (mut from, mut to) = (plan.ramp_from.unwrap_or(plan.rate), plan.rate);
        let order = match plan.arrivals {
            Arrivals::Constant => Order::Even,
            Arrivals::Poisson => {
                let mut draws = plan.seed;
                let first = gap(&mut draws);
                Order::Poisson(draws, first)
            }
            Arrivals::Bursts(count) => Order::Bursts(count.max(1)),
            Arrivals::Beats(count, ms) => {
                let in_bursts = count as f64 * 1000.0 / ms;
                (from, to) = ((from - in_bursts).max(0.0), (to - in_bursts).max(0.0));
                Order::Beats { count, every_ns: ms * Nanos::MS as f64, together: 0, between: 0 }
            }
        };
        let (warm_up, length) = (ns(plan.warm_up), ns(plan.seconds));
        let counted_from = start.after(warm_up);
        let rate = Rate::new(from, to, plan.warm_up, plan.seconds);
        Schedule::begin(start, counted_from, counted_from.after(length), rate, order)
    }

    /// Requests at exact times, ns after `start` and in order. It ends with the last of them.
    pub fn recorded(start: Nanos, offsets_ns: Arc<[u64]>) -> Schedule {
        let end = start.after(offsets_ns.last().map_or(0, |last| last + 1));
        Schedule::begin(start, start, end, Rate::new(0.0, 0.0, 0.0, 0.0), Order::Recorded(offsets_ns))
    }

    fn begin(start: Nanos, counted_from: Nanos, end: Nanos, rate: Rate, order: Order) -> Schedule {
        let mut schedule = Schedule { start, counted_from, end, rate, order, index: 0, due: Nanos::NEVER, sharers: 1 };
        schedule.look();
        schedule
    }

    /// The part of sharer `which` of `sharers`: together they send what this schedule does, each every `sharers`-th request. Asked of
    /// a schedule that nobody has begun.
    pub fn share(mut self, which: u64, sharers: u64) -> Schedule {
        for _ in 0..which {
            self.step();
        }
        self.sharers = sharers.max(1);
        self
    }

    /// Takes what is due in the first `ns` for a warm-up.
    pub fn with_warm_up(mut self, ns: u64) -> Schedule {
        self.counted_from = self.start.after(ns).min(self.end);
        self
    }

    /// When the next request is due; `None` after the last.
    #[inline]
    pub fn due(&self) -> Option<Nanos> {
        (self.due != Nanos::NEVER).then_some(self.due)
    }

    /// The number of the next request, from 0.
    #[inline]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Is done with the next request: sent or given up.
    #[inline]
    pub fn pass(&mut self) {
        for _ in 0..self.sharers {
            if self.due != Nanos::NEVER {
                self.step();
            }
        }
    }

    /// Passes all that is left, and says how many of them count.
    pub fn pass_all(&mut self) -> u64 {
        let mut left = 0;
        while let Some(due) = self.due() {
            left += u64::from(due >= self.counted_from);
            self.pass();
        }
        left
    }

    /// Ends it at `now`: nothing more is due.
    pub fn cut(&mut self, now: Nanos) {
        (self.end, self.due) = (now, Nanos::NEVER);
        self.counted_from = self.counted_from.min(now);
    }

    /// Requests that are due may be sent. A backlog is not: what is sent last must have time to be answered.
    #[inline]
    pub fn sends(&self, now: Nanos) -> bool {
        now < self.end.after(GRACE_NS)
    }

    /// Answers are waited for.
    #[inline]
    pub fn waits(&self, now: Nanos) -> bool {
        now < self.end.after(DRAIN_NS)
    }

    /// One request on, for all who share.
    fn step(&mut self) {
        self.index += 1;
        match &mut self.order {
            Order::Even | Order::Bursts(_) | Order::Recorded(_) => {}
            Order::Poisson(draws, at) => *at += gap(draws),
            Order::Beats { count, every_ns, together, between } => {
                match beat(*count, *every_ns, *together) <= self.rate.when(*between as f64) {
                    true => *together += 1,
                    false => *between += 1,
                }
            }
        }
        self.look();
    }

    /// Finds when the request at [`Schedule::index`] is due.
    fn look(&mut self) {
        let offset = match &self.order {
            Order::Even => self.rate.when(self.index as f64),
            Order::Poisson(_, at) => self.rate.when(*at),
            Order::Bursts(count) => self.rate.when((self.index / count * count) as f64),
            Order::Beats { count, every_ns, together, between } => {
                beat(*count, *every_ns, *together).min(self.rate.when(*between as f64))
            }
            Order::Recorded(offsets) => {
                self.due = offsets.get(self.index as usize).map_or(Nanos::NEVER, |offset| self.start.after(*offset));
                return;
            }
        };
        let due = self.start.after(offset.round() as u64);
        self.due = if due < self.end { due } else { Nanos::NEVER };
    }
}

/// When the burst is that request `index` of all bursts belongs to, ns.
fn beat(count: u64, every_ns: f64, index: u64) -> f64 {
    (index / count) as f64 * every_ns
}

/// A distance of a Poisson process of rate 1: the exponential distribution, by inversion.
fn gap(draws: &mut u64) -> f64 {
    // The middle of one of 2^53 equal parts of (0, 1): never 0, whose logarithm is infinite.
    let part = ((splitmix::next(draws) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    -part.ln()
}

fn ns(seconds: f64) -> u64 {
    (seconds * Nanos::SECOND as f64) as u64
}

/// Whether a length of time is one a run can have, seconds.
pub fn is_length(seconds: f64) -> bool {
    seconds > 0.0 && seconds <= 1e6
}

#[cfg(test)]
mod tests;
