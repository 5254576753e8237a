//! A bid core's side: notes its long rounds, with what the kernel counted of its thread over them.

use super::thread::{self, Counted, Thread};
use super::{Long, Round};
use crate::clock;
use crate::ring::spsc::Sender;
use crate::units::Nanos;

/// How old the counters may be that a long round is held against, ns. They are read at the end of a round, so that what they say
/// is of the round and no more than this before it; at some 2 us a time that is 0.04 % of a core.
pub const BASELINE_NS: u64 = 5 * Nanos::MS;

/// Looks at every round of one loop, on its thread.
#[derive(Debug)]
pub struct Witness {
    thread: Option<Thread>,
    baseline: Option<Counted>,
    read_at: Nanos,
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
        Witness { thread, baseline, read_at: now, told }
    }

    /// A round has just ended.
    #[inline]
    pub fn turned(&mut self, round: &Round) {
        if round.is_long() || round.ended.since(self.read_at) >= BASELINE_NS {
            self.read(round);
        }
    }

    #[cold]
    fn read(&mut self, round: &Round) {
        let counted = self.thread.as_ref().and_then(|thread| thread.read(round.ended));
        if round.is_long() {
            let spent = self.baseline.as_ref().zip(counted).map(|(before, counted)| counted.since(before));
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
        };
        let from = clock::boot();
        witness.turned(&round(from, from.after(STALL_NS)));
        assert_eq!(heard.take(), None);
        let until = clock::thread_cpu() + 10 * Nanos::MS;
        while clock::thread_cpu() < until {}
        witness.turned(&round(from, clock::boot()));
        let long = heard.take().expect("10 ms are long");
        assert!(long.spent.unwrap().ran_ns >= 9 * Nanos::MS && long.window_ns >= long.length_ns(), "{long:?}");
        let from = clock::boot();
        witness.turned(&round(from, clock::boot().after(3 * Nanos::MS)));
        let spent = heard.take().unwrap().spent.unwrap();
        assert!(spent.ran_ns < 9 * Nanos::MS, "what was told is not told again: {spent:?}");
    }
}
