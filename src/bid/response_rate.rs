//! How many of an exchange's requests are answered too late, or wrongly, and what is done before it minds: Authorized Buyers sends
//! less to who is beyond 15 % ("response rate", published), others at figures they do not tell.
//!
//! Late is an answer that went to the kernel after its time was up, whatever it says: a 204 that comes late is a timeout to the
//! exchange. So when too many are late, requests that have waited for long are given up sooner: a request's age is looked at
//! before anything is spent on it ([`crate::bid::admit::in_time`]), and the age allowed shrinks until those that are still read are answered
//! in time. It is per exchange: one whose deadline is shorter than ours has its own.

use crate::limits;
use crate::metrics::core::CoreMetrics;
use crate::units::{ExchangeId, Nanos};

/// Beyond this share, in a thousand, there is an alarm and requests are given up sooner: a third of what Authorized Buyers minds.
pub const ALARM: u64 = 50;
/// Below this share, in a thousand, that is taken back. Between the two nothing changes, so that it does not swing.
pub const CALM: u64 = 25;
/// Answers from which on a share says something.
pub const ENOUGH: u64 = 100;
/// Half of what a share is over, ns.
const HALF_NS: u64 = 5 * Nanos::SECOND;
/// The age that is allowed changes once in so long, ns.
const STEP_NS: u64 = Nanos::SECOND;
/// It never becomes less than this, ns: a turn of a busy core.
const LEAST_NS: u64 = Nanos::MS;

/// The exchanges of one core.
#[derive(Debug)]
pub struct Rates {
    exchanges: Box<[Rate]>,
    /// When the next step is due.
    step: Nanos,
    /// When the current half began.
    half: Nanos,
}

/// Answers to one exchange.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    answers: u64,
    /// Late, or invalid.
    bad: u64,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    before: Count,
    current: Count,
    /// Bad ones since the last step: when what was wrong is over, nothing is tightened for it any more.
    fresh: u64,
    limit_ns: u64,
}

impl Rates {
    /// For so many exchanges. Takes all its memory.
    pub fn new(exchanges: usize) -> Rates {
        let rate =
            Rate { before: Count::default(), current: Count::default(), fresh: 0, limit_ns: limits::DEADLINE_NS };
        Rates { exchanges: vec![rate; exchanges].into(), step: Nanos(0), half: Nanos(0) }
    }

    /// So many requests of an exchange were answered, all of them late or none.
    #[inline]
    pub fn answered(&mut self, exchange: ExchangeId, count: u64, late: bool, metrics: &CoreMetrics) {
        let late = if late { count } else { 0 };
        if let Some(rate) = self.exchanges.get_mut(usize::from(exchange.0)) {
            rate.current.answers += count;
            rate.current.bad += late;
            rate.fresh += late;
        }
        if let Some(counts) = metrics.exchange(exchange) {
            counts.answers.add(count);
            counts.late.add(late);
        }
    }

    /// An exchange said that an answer it had in time was invalid.
    #[inline]
    pub fn invalid(&mut self, exchange: ExchangeId, metrics: &CoreMetrics) {
        if let Some(rate) = self.exchanges.get_mut(usize::from(exchange.0)) {
            rate.current.bad += 1;
        }
        if let Some(counts) = metrics.exchange(exchange) {
            counts.invalid.add(1);
        }
    }

    /// The age, ns, that a request of this exchange may have when its answer is on its way.
    #[inline]
    pub fn age_limit_ns(&self, exchange: ExchangeId) -> u64 {
        self.exchanges.get(usize::from(exchange.0)).map_or(limits::DEADLINE_NS, |rate| rate.limit_ns)
    }

    /// Once per turn: looks at the shares when it is time.
    #[inline]
    pub fn turn(&mut self, now: Nanos, metrics: &CoreMetrics) {
        if now >= self.step {
            self.take_steps(now, metrics);
        }
    }

    #[cold]
    fn take_steps(&mut self, now: Nanos, metrics: &CoreMetrics) {
        // A core that slept has steps to make up for.
        let steps = if self.step == Nanos(0) { 1 } else { 1 + now.since(self.step) / STEP_NS };
        self.step = now.after(STEP_NS);
        let halves = now.since(self.half) / HALF_NS;
        if halves > 0 {
            self.half = now;
        }
        for (rate, id) in self.exchanges.iter_mut().zip(0..) {
            match halves {
                0 => {}
                1 => rate.before = std::mem::take(&mut rate.current),
                _ => (rate.before, rate.current) = Default::default(),
            }
            rate.step(steps.min(100));
            if let Some(counts) = metrics.exchange(ExchangeId(id)) {
                let seen = rate.seen();
                counts.recent.set(seen.answers);
                counts.recent_bad.set(seen.bad);
                counts.age_limit_ns.set(rate.limit_ns);
            }
        }
    }
}

impl Rate {
    fn seen(&self) -> Count {
        Count { answers: self.before.answers + self.current.answers, bad: self.before.bad + self.current.bad }
    }

    /// Tightens once, as answers have come meanwhile that say whether it helps; relaxes for all the time that has passed.
    fn step(&mut self, steps: u64) {
        let fresh = std::mem::take(&mut self.fresh);
        let seen = self.seen();
        if is_beyond(ALARM, seen.answers, seen.bad) {
            if fresh > 0 {
                self.limit_ns = (self.limit_ns / 4 * 3).max(LEAST_NS);
            }
        } else if seen.bad * 1000 < seen.answers * CALM || seen.answers < ENOUGH {
            for _ in 0..steps {
                self.limit_ns = (self.limit_ns + self.limit_ns / 20).min(limits::DEADLINE_NS);
            }
        }
    }
}

/// Whether so many bad answers are more than this share, in a thousand, of enough to say so.
pub fn is_beyond(share: u64, answers: u64, bad: u64) -> bool {
    answers >= ENOUGH && bad.saturating_mul(1000) > answers.saturating_mul(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: ExchangeId = ExchangeId(1);

    fn metrics() -> CoreMetrics {
        CoreMetrics::new(false).with_exchanges(["other", "this"])
    }

    /// Runs seconds of a thousand answers each, so many of them late, and says what age is allowed then.
    fn run(rates: &mut Rates, now: &mut Nanos, seconds: u64, late: u64, metrics: &CoreMetrics) -> u64 {
        for _ in 0..seconds {
            rates.answered(ID, 1000 - late, false, metrics);
            rates.answered(ID, late, true, metrics);
            *now = now.after(Nanos::SECOND);
            rates.turn(*now, metrics);
        }
        rates.age_limit_ns(ID)
    }

    #[test]
    fn what_is_late_is_given_up_sooner_and_what_was_is_forgotten() {
        let (metrics, mut now) = (metrics(), Nanos(Nanos::SECOND));
        let mut rates = Rates::new(2);
        assert_eq!(run(&mut rates, &mut now, 20, 50, &metrics), limits::DEADLINE_NS, "5 % is not beyond 5 %");
        let tightened = run(&mut rates, &mut now, 30, 100, &metrics);
        assert_eq!(tightened, Nanos::MS);
        assert_eq!(rates.age_limit_ns(ExchangeId(0)), limits::DEADLINE_NS, "another exchange has its own");
        // Between the two shares nothing changes, once the window has turned over.
        run(&mut rates, &mut now, 11, 30, &metrics);
        let held = rates.age_limit_ns(ID);
        assert_eq!(run(&mut rates, &mut now, 30, 30, &metrics), held);
        // All is well: 5 % a second, so that 8 ms are allowed after some 43 s.
        run(&mut rates, &mut now, 10, 0, &metrics);
        assert!(run(&mut rates, &mut now, 20, 0, &metrics) < limits::DEADLINE_NS);
        assert_eq!(run(&mut rates, &mut now, 40, 0, &metrics), limits::DEADLINE_NS);
    }

    #[test]
    fn one_bad_moment_tightens_once() {
        let (metrics, mut now) = (metrics(), Nanos(Nanos::SECOND));
        let mut rates = Rates::new(2);
        run(&mut rates, &mut now, 6, 0, &metrics);
        let after = run(&mut rates, &mut now, 1, 1000, &metrics);
        assert_eq!(after, limits::DEADLINE_NS / 4 * 3);
        assert_eq!(
            run(&mut rates, &mut now, 3, 0, &metrics),
            after,
            "the share is still high, and nothing is late any more"
        );
    }

    #[test]
    fn few_answers_say_nothing_and_silence_forgets() {
        let (metrics, mut now) = (metrics(), Nanos(Nanos::SECOND));
        let mut rates = Rates::new(2);
        rates.answered(ID, ENOUGH - 1, true, &metrics);
        rates.turn(now, &metrics);
        assert_eq!(rates.age_limit_ns(ID), limits::DEADLINE_NS);
        run(&mut rates, &mut now, 20, 500, &metrics);
        assert_eq!(rates.age_limit_ns(ID), Nanos::MS);
        // The core slept for a minute: nothing of before counts, and a minute's worth is taken back.
        now = now.after(60 * Nanos::SECOND);
        rates.turn(now, &metrics);
        rates.turn(now.after(60 * Nanos::SECOND), &metrics);
        assert_eq!(rates.age_limit_ns(ID), limits::DEADLINE_NS);
        let counts = metrics.exchange(ID).unwrap();
        assert_eq!((counts.recent.get(), counts.recent_bad.get()), (0, 0));
        assert_eq!((counts.answers.get(), counts.late.get()), (20_099, 10_099));
    }

    #[test]
    fn invalid_answers_count_and_do_not_tighten() {
        let (metrics, mut now) = (metrics(), Nanos(Nanos::SECOND));
        let mut rates = Rates::new(2);
        (0..100).for_each(|_| rates.invalid(ID, &metrics));
        assert_eq!(
            run(&mut rates, &mut now, 1, 0, &metrics),
            limits::DEADLINE_NS,
            "answering sooner would not mend them"
        );
        let counts = metrics.exchange(ID).unwrap();
        assert_eq!((counts.invalid.get(), counts.recent_bad.get(), counts.recent.get()), (100, 100, 1000));
        assert!(is_beyond(ALARM, 1000, 100));
        // An exchange that is not there.
        rates.invalid(ExchangeId(9), &metrics);
        rates.answered(ExchangeId(9), 1, true, &metrics);
        assert_eq!(rates.age_limit_ns(ExchangeId(9)), limits::DEADLINE_NS);
    }

    proptest! {
        /// Against a plain log: the share is that of the last 5 to 10 s, and the age stays in its bounds.
        #[test]
        fn the_share_is_of_the_last_seconds(seconds in prop::collection::vec((0u64..400, 0u64..400), 11..60)) {
            let metrics = metrics();
            let mut rates = Rates::new(2);
            let mut log = Vec::new();
            for (second, &(good, bad)) in seconds.iter().enumerate() {
                rates.answered(ID, good, false, &metrics);
                rates.answered(ID, bad, true, &metrics);
                log.push((good + bad, bad));
                rates.turn(Nanos((second as u64 + 1) * Nanos::SECOND), &metrics);
                let counts = metrics.exchange(ID).unwrap();
                let seen = (counts.recent.get(), counts.recent_bad.get());
                let of_last = |n: usize| {
                    log.iter().rev().take(n).fold((0, 0), |sum, &(all, bad)| (sum.0 + all, sum.1 + bad))
                };
                prop_assert!((5..=10).any(|n| of_last(n) == seen) || log.len() < 5, "{:?} of {:?}", seen, log);
                prop_assert!((Nanos::MS..=limits::DEADLINE_NS).contains(&rates.age_limit_ns(ID)));
            }
        }
    }
}
