//! The breaker of a store: whether it is worth asking.
//!
//! ```text
//!              half of what was asked for in the last second failed
//!     closed ─────────────────────────────────────────────────────► open
//!       ▲                                                            │ back-off: doubled by each failed trial,
//!       │ trials answered                                            ▼ between half of it and all of it, drawn
//!       └──────────────────────────────────────────────────────── half-open
//!                                            a trial failed: open again
//! ```
//!
//! It knows no clock: every question brings the time. What was asked before the last change of state says nothing about
//! the present one, so that each question's [`Permit`] names the state it was asked in.

use crate::profile::fetched::Asking;
use crate::units::Nanos;

/// The last second is looked at, in tenths.
pub const WINDOW_NS: u64 = Nanos::SECOND;
const BUCKETS: usize = 10;
const BUCKET_NS: u64 = WINDOW_NS / BUCKETS as u64;
/// Keys asked for in it below which nothing is concluded.
pub const ENOUGH: u64 = 20;
/// The first back-off, ns: a failover of a partition, or a dropped connection, is over by then.
pub const BACK_OFF_NS: u64 = 100 * Nanos::MS;
/// The longest, ns.
pub const BACK_OFF_MOST_NS: u64 = 10 * Nanos::SECOND;
/// Trials in a row that must be answered.
pub const TRIALS: u32 = 3;

/// How a store stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It answers.
    Closed,
    /// It does not, and is left alone.
    Open {
        /// Until then.
        until: Nanos,
    },
    /// It is tried.
    HalfOpen {
        /// Trials answered.
        answered: u32,
    },
}

/// Leave to ask once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "how it ended is to be told"]
pub struct Permit {
    generation: u64,
}

/// The breaker of one store.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    /// Changes of state.
    generation: u64,
    /// Answered and failed, by tenths of a second; the place of a tenth is its number modulo their count.
    window: [(u64, u64); BUCKETS],
    /// The number of the newest tenth.
    newest: u64,
    /// Back-offs in a row.
    failures: u32,
    trips: u64,
    random: u64,
}

impl Breaker {
    /// A closed one. The seed draws the jitter of its back-off: those of different nodes should differ.
    pub fn new(seed: u64) -> Breaker {
        Breaker {
            state: State::Closed,
            generation: 0,
            window: [(0, 0); BUCKETS],
            newest: 0,
            failures: 0,
            trips: 0,
            random: seed | 1,
        }
    }

    /// How the store stands.
    pub fn state(&mut self, now: Nanos) -> State {
        if let State::Open { until } = self.state
            && now >= until
        {
            self.enter(State::HalfOpen { answered: 0 });
        }
        self.state
    }

    /// What may be asked, and the number of that word: a new [`Asking::Once`] has a new number.
    pub fn asking(&mut self, now: Nanos) -> (Asking, u64) {
        let asking = match self.state(now) {
            State::Closed => Asking::Always,
            State::Open { .. } => Asking::Never,
            State::HalfOpen { .. } => Asking::Once,
        };
        (asking, self.generation)
    }

    /// When the state changes by itself.
    pub fn next_change(&self) -> Nanos {
        match self.state {
            State::Open { until } => until,
            State::Closed | State::HalfOpen { .. } => Nanos::NEVER,
        }
    }

    /// Leave to ask; none while it is open.
    pub fn begin(&mut self, now: Nanos) -> Option<Permit> {
        match self.state(now) {
            State::Open { .. } => None,
            State::Closed | State::HalfOpen { .. } => Some(Permit { generation: self.generation }),
        }
    }

    /// What was asked with this permit ended: so many keys were `answered`, and so many `failed`.
    pub fn ended(&mut self, permit: Permit, answered: u64, failed: u64, now: Nanos) {
        let current = self.state(now);
        if permit.generation != self.generation {
            return;
        }
        match current {
            State::Closed => {
                let bucket = self.bucket(now);
                *bucket = (bucket.0 + answered, bucket.1 + failed);
                let (good, bad) = self.window.iter().fold((0, 0), |sum, tenth| (sum.0 + tenth.0, sum.1 + tenth.1));
                if good + bad >= ENOUGH && bad >= good {
                    self.open(now);
                }
            }
            State::HalfOpen { .. } if failed >= answered => self.open(now),
            State::HalfOpen { answered } if answered + 1 < TRIALS => {
                self.enter(State::HalfOpen { answered: answered + 1 });
            }
            State::HalfOpen { .. } => {
                self.failures = 0;
                self.enter(State::Closed);
            }
            State::Open { .. } => unreachable!("no permit is given while it is open"),
        }
    }

    /// Times it was opened.
    pub fn trips(&self) -> u64 {
        self.trips
    }

    fn open(&mut self, now: Nanos) {
        let longest = BACK_OFF_NS.saturating_mul(1 << self.failures.min(32)).min(BACK_OFF_MOST_NS);
        self.failures = self.failures.saturating_add(1);
        self.trips += 1;
        // Half of it is fixed, and half drawn: nodes that saw the store fail together do not come back together.
        let drawn = longest / 2 + self.draw() % (longest / 2 + 1);
        self.enter(State::Open { until: now.after(drawn) });
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
        self.window = [(0, 0); BUCKETS];
    }

    /// The tenth of a second that `now` is in, the others moved on.
    fn bucket(&mut self, now: Nanos) -> &mut (u64, u64) {
        let number = (now.0 / BUCKET_NS).max(self.newest);
        for passed in (self.newest + 1..=number).rev().take(BUCKETS) {
            self.window[passed as usize % BUCKETS] = (0, 0);
        }
        self.newest = number;
        &mut self.window[number as usize % BUCKETS]
    }

    /// Marsaglia's xorshift.
    fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the breaker should do, from a list of all that happened.
    #[derive(Default)]
    struct Naive {
        /// When, answered, failed; since the state began.
        past: Vec<(u64, u64, u64)>,
        /// Trials answered, if it is tried.
        trials: Option<u32>,
        open_until: Option<u64>,
        failures: u32,
    }

    impl Naive {
        fn look(&mut self, now: u64) {
            if self.open_until.is_some_and(|until| now >= until) {
                (self.open_until, self.trials) = (None, Some(0));
                self.past.clear();
            }
        }

        /// Whether it must open.
        fn ended(&mut self, now: u64, good: u64, bad: u64) -> bool {
            if let Some(trials) = &mut self.trials {
                if bad >= good {
                    return true;
                }
                *trials += 1;
                if *trials == TRIALS {
                    (self.trials, self.failures) = (None, 0);
                }
                return false;
            }
            self.past.push((now, good, bad));
            let tenth = |at: u64| at / BUCKET_NS;
            let last = self.past.iter().filter(|(at, ..)| tenth(*at) + BUCKETS as u64 > tenth(now));
            let (good, bad) = last.fold((0, 0), |sum, (_, good, bad)| (sum.0 + good, sum.1 + bad));
            good + bad >= ENOUGH && bad >= good
        }
    }

    proptest! {
        /// Steps of time, and how what was asked in each ended: at once, or only after the next.
        #[test]
        fn as_a_list_of_all_that_happened_says(
            seed: u64,
            steps in prop::collection::vec((0..3 * BUCKET_NS, 0..30u64, 0..30u64, prop::bool::weighted(0.8)), 1..400),
            slow in 0..20u32,
        ) {
            let (mut breaker, mut naive) = (Breaker::new(seed), Naive::default());
            let mut now = Nanos(u64::from(slow) * BUCKET_NS);
            let mut late = None;
            for (step, good, bad, at_once) in steps {
                now = now.after(step);
                naive.look(now.0);
                let permit = breaker.begin(now);
                prop_assert_eq!(permit.is_none(), naive.open_until.is_some());
                // Of an earlier state: it must not count.
                if let Some((permit, generation)) = late.take() && generation != breaker.generation {
                    let before = (breaker.state, breaker.generation, breaker.window);
                    breaker.ended(permit, 0, 1000, now);
                    prop_assert_eq!((breaker.state, breaker.generation, breaker.window), before);
                }
                let Some(permit) = permit else { continue };
                if !at_once {
                    late = Some((permit, breaker.generation));
                    continue;
                }
                let trips = breaker.trips();
                breaker.ended(permit, good, bad, now);
                let opens = naive.ended(now.0, good, bad);
                prop_assert_eq!(breaker.trips() > trips, opens);
                if opens {
                    let State::Open { until } = breaker.state else { panic!("{:?}", breaker.state) };
                    let longest = (BACK_OFF_NS << naive.failures.min(20)).min(BACK_OFF_MOST_NS);
                    prop_assert!((longest / 2..=longest).contains(&until.since(now)), "{} of {longest}", until.since(now));
                    naive = Naive { open_until: Some(until.0), failures: naive.failures + 1, ..Naive::default() };
                }
                let state = breaker.state(now);
                prop_assert_eq!(matches!(state, State::HalfOpen { answered } if naive.trials == Some(answered)), naive.trials.is_some());
                prop_assert_eq!(state == State::Closed, naive.trials.is_none() && naive.open_until.is_none());
            }
        }
    }

    /// The word to ask once is said anew for each trial, so that each core asks once for each.
    #[test]
    fn each_trial_has_a_number() {
        let mut breaker = Breaker::new(7);
        let permit = breaker.begin(Nanos(0)).unwrap();
        breaker.ended(permit, 0, ENOUGH, Nanos(0));
        let (asking, mut number) = breaker.asking(Nanos(0));
        assert_eq!((asking, breaker.begin(Nanos(0))), (Asking::Never, None));
        let mut now = breaker.next_change();
        for trial in 0..TRIALS {
            let (asking, next) = breaker.asking(now);
            assert!(asking == Asking::Once && next > number, "trial {trial}");
            number = next;
            let permit = breaker.begin(now).unwrap();
            now = now.after(1);
            breaker.ended(permit, 1, 0, now);
        }
        assert_eq!((breaker.asking(now).0, breaker.next_change()), (Asking::Always, Nanos::NEVER));
    }
}
