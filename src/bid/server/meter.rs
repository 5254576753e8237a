//! Tells when the loop was kept away from its connections, from nothing but the readings of the clock that it makes anyway.
//!
//! Two things keep it away. A stretch of a turn takes longer than the requests in it explain; or a wait ends later than it should
//! have. So that the second shows, a loop that has connections never waits longer than [`limits::BEAT_NS`]: a process that is
//! stopped while it sleeps would otherwise look like one that had nothing to do, because what arrives meanwhile ends the sleep
//! when it goes on.
//!
//! The clock is `CLOCK_BOOTTIME`, which goes on while the machine is suspended: the peers' time does too.

use crate::limits::{BEAT_NS, LONELY_BEAT_NS, STALL_NS};
use crate::metrics::stalls::Round;
use crate::units::Nanos;

/// What the kernel may take in a wait for each request answered before it, ns: the answers go out and what came is taken in there.
/// Several times of what it does take.
const KERNEL_NS: u64 = 20_000;
/// Stretches over which the usual time of a request is averaged, as a power of two.
const MEMORY: u32 = 4;
/// The average is kept in parts of a nanosecond, as a power of two.
const FRACTION: u32 = 8;
/// A request that takes longer than this, on average, is no excuse, ns.
const USUAL_MOST_NS: u64 = STALL_NS / 4;

/// The meter of one loop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    /// When it was last seen at work.
    last: Nanos,
    /// When its wait was to be over.
    due: Nanos,
    woke: Nanos,
    /// Requests framed, and answered, when it was last seen at work.
    work: Work,
    /// The same when its turn began.
    before: Work,
    /// What one of them usually takes, ns times 2^[`FRACTION`].
    usual: u64,
    /// Of this round: when it was first kept away, and how long all told, ns.
    kept_from: Option<Nanos>,
    kept_ns: u64,
    /// What is received in this round may have come since then, and in the next round since then.
    unread_from: Nanos,
    unread_next: Nanos,
    /// If the wait before this round was late, when it began.
    late_from: Nanos,
}

/// How much a loop has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Requests framed.
    pub(super) requests: u64,
    /// Requests answered, those included that were parked meanwhile.
    pub(super) answered: u64,
}

impl Work {
    /// Steps since then. A request is two, one of them as late as its answer.
    fn since(self, before: Work) -> u64 {
        (self.requests + self.answered) - (before.requests + before.answered)
    }
}

/// The loop was kept away from the first to the second.
pub(super) type Kept = (Nanos, Nanos);

impl Meter {
    /// Of a loop that begins now.
    pub(super) fn new(now: Nanos) -> Meter {
        Meter {
            last: now,
            due: now,
            woke: now,
            work: Work::default(),
            before: Work::default(),
            usual: 0,
            kept_from: None,
            kept_ns: 0,
            unread_from: Nanos::NEVER,
            unread_next: Nanos::NEVER,
            late_from: Nanos::NEVER,
        }
    }

    /// When the loop was last seen at work.
    #[inline]
    pub(super) fn last(&self) -> Nanos {
        self.last
    }

    /// The loop goes to wait, as late as `until` for what it has to do itself. Says until when it may: somebody may be `connected`.
    #[inline]
    pub(super) fn rest(&mut self, until: Nanos, connected: bool) -> Nanos {
        self.due = until.min(self.last.after(if connected { BEAT_NS } else { LONELY_BEAT_NS }));
        self.due
    }

    /// The wait is over, and a round begins.
    #[inline]
    pub(super) fn woke(&mut self, now: Nanos) -> Option<Kept> {
        let answers = self.work.answered - self.before.answered;
        // What came while it was kept away has made it due, so that it was due when the wait began at the earliest.
        let late = now.since(self.due.max(self.last));
        let asleep = self.last.max(Nanos(self.due.0.saturating_sub(BEAT_NS)));
        // A process is stopped on its way out of the kernel, so that what comes then is only found by the next wait.
        (self.unread_from, self.unread_next) = (self.unread_next.min(self.late_from), Nanos::NEVER);
        self.late_from = Nanos::NEVER;
        (self.woke, self.last, self.before) = (now, now, self.work);
        (self.kept_from, self.kept_ns) = (None, 0);
        if late <= STALL_NS + answers * KERNEL_NS {
            return None;
        }
        (self.unread_from, self.late_from) = (self.unread_from.min(asleep), asleep);
        (self.kept_from, self.kept_ns) = (Some(asleep), now.since(asleep));
        Some((asleep, now))
    }

    /// The clock was read again, within a turn or at its end, when the loop had done this much.
    #[inline]
    pub(super) fn look(&mut self, now: Nanos, work: Work) -> Option<Kept> {
        let (from, took, steps) = (self.last, now.since(self.last), work.since(self.work));
        (self.last, self.work) = (now, work);
        let explained = steps * (self.usual >> FRACTION);
        if let Some(each) = (took << FRACTION).checked_div(steps) {
            // What is far beyond the usual counts as twice of it: a stall is not to become usual, and a slower program is.
            let each = each.min(2 * self.usual + (1000 << FRACTION));
            self.usual = self.usual - (self.usual >> MEMORY) + (each >> MEMORY);
            self.usual = self.usual.min(USUAL_MOST_NS << FRACTION);
        }
        if took <= STALL_NS + explained {
            return None;
        }
        self.kept_from.get_or_insert(from);
        self.kept_ns += took - explained;
        // What came meanwhile is received after the next wait.
        self.unread_next = self.unread_next.min(from);
        Some((from, now))
    }

    /// What the round came to that ended with the last [`Meter::look`].
    #[inline]
    pub(super) fn round(&self) -> Round {
        Round {
            from: self.kept_from.map_or(self.woke, |kept| kept.min(self.woke)),
            woke: self.woke,
            ended: self.last,
            kept_ns: self.kept_ns,
            requests: self.work.requests - self.before.requests,
            // Framed, and answered.
            usual_ns: (2 * self.usual) >> FRACTION,
        }
    }

    /// When what is received now may have come, as far as is known: `since`, or before, if nobody could look.
    #[inline]
    pub(super) fn unread_since(&self, since: Nanos) -> Nanos {
        since.min(self.unread_from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Nanos;
    use proptest::prelude::*;

    const US: u64 = 1_000;

    /// A loop that does what it is told, and its meter.
    struct Loop {
        meter: Meter,
        now: Nanos,
        work: Work,
        told: Vec<Kept>,
    }

    impl Loop {
        fn new() -> Loop {
            let now = Nanos(Nanos::SECOND);
            Loop { meter: Meter::new(now), now, work: Work::default(), told: Vec::new() }
        }

        /// A wait until something happens, or its time is over, and then for longer.
        fn wait(&mut self, until_ns: u64, happens_ns: u64, late_ns: u64) -> u64 {
            let due = self.meter.rest(self.now.after(until_ns), true);
            let asleep = happens_ns.min(due.since(self.now));
            self.now = self.now.after(asleep + late_ns);
            self.told.extend(self.meter.woke(self.now));
            asleep
        }

        /// A stretch of work.
        fn work(&mut self, requests: u64, each_ns: u64, away_ns: u64) {
            self.work.requests += requests;
            self.work.answered += requests;
            self.now = self.now.after(requests * each_ns + away_ns);
            self.told.extend(self.meter.look(self.now, self.work));
        }

        /// Used to requests of this length.
        fn used_to(each_ns: u64) -> Loop {
            let mut used = Loop::new();
            for _ in 0..500 {
                used.wait(Nanos::SECOND, 10 * US, 0);
                used.work(8, each_ns, 0);
            }
            used.told.clear();
            used
        }
    }

    #[test]
    fn a_long_turn_is_a_stall_unless_its_requests_explain_it() {
        let mut told = Loop::used_to(10 * US);
        told.wait(Nanos::SECOND, 0, 0);
        told.work(400, 10 * US, 0);
        assert_eq!(told.told, []);
        assert!(told.meter.round().is_long() && told.meter.round().kept_ns == 0);
        told.wait(Nanos::SECOND, 0, 0);
        let from = told.now;
        told.work(8, 10 * US, 3 * Nanos::MS);
        assert_eq!(told.told, [(from, told.now)]);
        let round = told.meter.round();
        assert_eq!((round.from, round.ended, round.requests), (from, told.now, 8));
        assert!(round.kept_ns.abs_diff(3 * Nanos::MS) < 50 * US, "{round:?}");
    }

    #[test]
    fn slower_requests_become_usual_and_stalls_do_not() {
        let mut slow = Loop::new();
        let mut stalls = Vec::new();
        for _ in 0..300 {
            slow.told.clear();
            slow.wait(Nanos::SECOND, 0, 0);
            slow.work(32, 300 * US, 0);
            stalls.push(slow.told.len());
        }
        assert!(stalls[200..].iter().all(|&told| told == 0), "a bidder that takes 300 us a request is not stalled");
        let mut kept = Loop::used_to(10 * US);
        for _ in 0..100 {
            kept.told.clear();
            kept.wait(Nanos::SECOND, 0, 0);
            kept.work(1, 10 * US, 50 * Nanos::MS);
            assert_eq!(kept.told.len(), 1, "50 ms became usual");
        }
    }

    #[test]
    fn a_stop_during_a_wait_shows_though_it_ends_the_wait() {
        let mut told = Loop::used_to(10 * US);
        let from = told.now;
        // Something happens after 200 us; the process has been stopped by then, for 50 ms.
        told.wait(Nanos::SECOND, 200 * US, 50 * Nanos::MS);
        assert_eq!(told.told, [(from, told.now)]);
        assert_eq!(told.meter.unread_since(told.now), from, "a request may have waited since then");
        told.work(4, 10 * US, 0);
        assert_eq!((told.meter.round().from, told.meter.round().ended), (from, told.now));
        // The next wait may be the first that finds it; the one after that finds nothing so old.
        told.wait(Nanos::SECOND, 0, 0);
        assert_eq!(told.meter.unread_since(told.now), from);
        told.work(4, 10 * US, 0);
        told.wait(Nanos::SECOND, 0, 0);
        assert_eq!(told.meter.unread_since(told.now), told.now);
    }

    #[test]
    fn what_came_during_a_long_turn_is_as_old_in_the_next() {
        let mut told = Loop::used_to(10 * US);
        told.wait(Nanos::SECOND, 0, 0);
        let from = told.now;
        told.work(1, 10 * US, 20 * Nanos::MS);
        told.wait(Nanos::SECOND, 0, 0);
        assert_eq!(told.meter.unread_since(told.now), from);
        assert_eq!(told.meter.unread_since(Nanos(5)), Nanos(5), "a backend that knows better is believed");
    }

    #[test]
    fn an_unconnected_loop_looks_seldom_and_an_orderly_wait_for_long_is_none() {
        let mut meter = Meter::new(Nanos(0));
        assert_eq!(meter.rest(Nanos(50 * Nanos::MS), false), Nanos(50 * Nanos::MS));
        assert_eq!(meter.rest(Nanos::NEVER, false), Nanos(LONELY_BEAT_NS));
        assert_eq!(meter.woke(Nanos(LONELY_BEAT_NS)), None);
        assert_eq!(meter.rest(Nanos::NEVER, true), Nanos(LONELY_BEAT_NS + BEAT_NS));
    }

    #[derive(Clone, Debug)]
    struct Step {
        until: u64,
        happens: u64,
        late: u64,
        stretches: Vec<(u64, u64)>,
    }

    fn step() -> impl Strategy<Value = Step> {
        let away = prop_oneof![8 => 0..100 * US, 1 => 0..6 * Nanos::MS, 1 => 0..80 * Nanos::MS];
        let wait = prop_oneof![0..50 * US, 0..10 * Nanos::MS];
        let stretches = proptest::collection::vec((0u64..32, away.clone()), 1..4);
        (wait.clone(), wait, away, stretches).prop_map(|(until, happens, late, stretches)| Step {
            until,
            happens,
            late,
            stretches,
        })
    }

    proptest! {
        /// What is told holds every time for which the loop was really away for long, and nothing else than waits and turns in
        /// which it was.
        #[test]
        fn it_tells_what_a_loop_that_knows_went_through(steps in proptest::collection::vec(step(), 1..60)) {
            const EACH: u64 = 10 * US;
            let mut told = Loop::used_to(EACH);
            for Step { until, happens, late, stretches } in steps {
                let (began, before) = (told.now, told.told.len());
                let done = told.meter.work.answered - told.meter.before.answered;
                let asleep = told.wait(until, happens, late);
                // A stop that begins with a wait cannot be told from the wait, but beyond its end.
                let beyond = (asleep + late).saturating_sub(until.min(BEAT_NS));
                prop_assert_eq!(told.told.len() > before, beyond > STALL_NS + done * KERNEL_NS);
                if told.told.len() > before {
                    prop_assert_eq!(told.told[before], (began, told.now));
                }
                let mut kept = 0;
                for (requests, away) in stretches {
                    let (from, before) = (told.now, told.told.len());
                    let usual = told.meter.usual >> FRACTION;
                    told.work(requests, EACH, away);
                    let is_told = told.told.len() > before;
                    // The usual time of a step is half a request's, and somewhat more after stretches with few.
                    prop_assert!(is_told || away <= STALL_NS + requests * 2 * usual);
                    prop_assert!(!is_told || away + requests * EACH > STALL_NS);
                    if is_told {
                        prop_assert_eq!(told.told[before], (from, told.now));
                        kept += away;
                    }
                }
                let round = told.meter.round();
                prop_assert_eq!(round.ended, told.now);
                prop_assert!(round.from <= round.woke && round.woke <= round.ended);
                prop_assert!(round.kept_ns <= round.ended.since(round.from));
                prop_assert!(kept == 0 || round.kept_ns > 0);
            }
        }
    }
}
