//! A bid core's side: notes its long rounds, with what the kernel counted of its thread over them.

use super::thread::{self, Counted, Spent, Thread};
use super::{Long, Round};
use crate::clock;
use crate::ring::spsc::Sender;
use crate::units::Nanos;

/// How old the counters may be that a long round is held against, ns. They are read at the end of a round, so that what they say
/// is of the round and no more than this before it; at some 2 us a time that is 0.04 % of a core.
pub const BASELINE_NS: u64 = 5 * Nanos::MS;

/// The same where a round answered requests that had become late, ns: what kept them is told the better the fewer others it is told
/// with, and a core that is late all the time is not to spend more than a hundredth of it on that.
pub const LATE_BASELINE_NS: u64 = Nanos::MS / 4;
/// Readings that are kept: of 16 ms, where requests are late all the time. What an older request did before them nobody knows.
const KEPT: usize = 64;

/// What was spent between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Window {
    from: Nanos,
    to: Nanos,
    spent: Spent,
}

/// Looks at every round of one loop, on its thread.
#[derive(Debug)]
pub struct Witness {
    thread: Option<Thread>,
    baseline: Option<Counted>,
    read_at: Nanos,
    /// The last ones, in a ring.
    windows: [Window; KEPT],
    next: usize,
    /// Where long rounds go.
    told: Sender<Long>,
}

impl Witness {
    /// Of the calling thread, which must be the one whose rounds it is told.
    pub fn open(told: Sender<Long>) -> Witness {
        let thread = Thread::this()
            .inspect_err(|error| log::warn!("what keeps a bid core from its loop will not be known: {error}"))
            .ok();
        let now = clock::boot();
        let baseline = thread.as_ref().and_then(|thread| thread.read(now));
        Witness { thread, baseline, read_at: now, windows: [Window::default(); KEPT], next: 0, told }
    }

    /// A round has just ended; `late` if it answered requests too late.
    #[inline]
    pub fn turned(&mut self, round: &Round, late: bool) {
        let age_ns = round.ended.since(self.read_at);
        if round.is_long() || age_ns >= if late { LATE_BASELINE_NS } else { BASELINE_NS } {
            self.read(round);
        }
    }

    /// What was spent from `from` until `now`, and over how long that was counted, ns: from some reading before `from` on, or from the
    /// oldest that is kept. What came after the last reading counts as having run. Nothing if the kernel does not count.
    pub fn spent_since(&self, from: Nanos, now: Nanos) -> (Option<Spent>, u64) {
        if self.baseline.is_none() {
            return (None, 0);
        }
        let unread_ns = now.since(self.read_at);
        let mut sum = (Spent { ran_ns: unread_ns, ..Spent::default() }, unread_ns);
        for window in self.windows.iter().filter(|window| window.to > from) {
            sum = (window.spent.and(&sum.0), sum.1 + window.to.since(window.from));
        }
        (Some(sum.0), sum.1)
    }

    #[cold]
    fn read(&mut self, round: &Round) {
        let counted = self.thread.as_ref().and_then(|thread| thread.read(round.ended));
        let spent = self.baseline.as_ref().zip(counted).map(|(before, counted)| counted.since(before));
        if let Some(spent) = spent {
            self.windows[self.next] = Window { from: self.read_at, to: round.ended, spent };
            self.next = (self.next + 1) % KEPT;
        }
        if round.is_long() {
            let window_ns = round.ended.since(self.read_at);
            // Who does not empty the ring is kept away itself; what it was not told is counted.
            let _ = self.told.offer(Long { round: *round, cpu: thread::cpu(), window_ns, spent });
        }
        (self.baseline, self.read_at) = (counted, round.ended);
    }

    /// Long rounds that could not be told.
    pub fn lost(&self) -> u64 {
        self.told.refused()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::STALL_NS;
    use crate::ring::spsc;

    #[test]
    fn a_long_round_is_told_with_what_the_kernel_counted_over_it() {
        let (told, mut heard) = spsc::ring(4);
        let mut witness = Witness::open(told);
        let round = |from: Nanos, ended: Nanos| Round {
            from,
            woke: from,
            ended,
            kept_ns: ended.since(from).saturating_sub(STALL_NS),
            requests: 3,
            usual_ns: 0,
        };
        let from = clock::boot();
        witness.turned(&round(from, from.after(STALL_NS)), false);
        assert_eq!(heard.take(), None);
        let until = clock::thread_cpu() + 10 * Nanos::MS;
        while clock::thread_cpu() < until {}
        witness.turned(&round(from, clock::boot()), false);
        let long = heard.take().expect("10 ms are long");
        assert!(long.spent.unwrap().ran_ns >= 9 * Nanos::MS && long.window_ns >= long.length_ns(), "{long:?}");
        let from = clock::boot();
        witness.turned(&round(from, clock::boot().after(3 * Nanos::MS)), false);
        let spent = heard.take().unwrap().spent.unwrap();
        assert!(spent.ran_ns < 9 * Nanos::MS, "what was told is not told again: {spent:?}");
    }

    #[test]
    fn what_was_spent_is_told_of_all_readings_since() {
        let (told, _heard) = spsc::ring(4);
        let mut witness = Witness::open(told);
        let began = clock::boot();
        for _ in 0..3 {
            let from = clock::boot();
            let until = clock::thread_cpu() + 4 * Nanos::MS;
            while clock::thread_cpu() < until {}
            let ended = clock::boot();
            let round = Round { from, woke: from, ended, kept_ns: 0, requests: 1, usual_ns: 0 };
            witness.turned(&round, true);
        }
        let ended = clock::boot();
        let (spent, over_ns) = witness.spent_since(began, ended);
        assert!(spent.unwrap().ran_ns >= 12 * Nanos::MS && over_ns >= 12 * Nanos::MS, "{spent:?} over {over_ns}");
        let (spent, over_ns) = witness.spent_since(ended, witness.read_at.after(9));
        assert_eq!((spent.unwrap().ran_ns, over_ns), (9, 9));
    }

    #[test]
    fn what_is_older_than_the_readings_kept_is_not_covered() {
        let (told, _heard) = spsc::ring(4);
        let mut witness = Witness::open(told);
        let began = witness.read_at;
        let mut ended = began;
        for _ in 0..KEPT + 9 {
            ended = ended.after(LATE_BASELINE_NS);
            let round = Round { from: ended, woke: ended, ended, kept_ns: 0, requests: 1, usual_ns: 0 };
            witness.turned(&round, true);
        }
        let kept_ns = KEPT as u64 * LATE_BASELINE_NS;
        assert_eq!(witness.spent_since(began, ended).1, kept_ns);
        assert_eq!(witness.spent_since(Nanos(ended.0 - kept_ns), ended).1, kept_ns);
    }
}
