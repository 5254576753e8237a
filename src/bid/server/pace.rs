//! How much a turn of the loop may read: as much as it answers in half of what may pass in a queue. The other half is for what comes
//! while it runs, and waits for its end.

use crate::bid::net::Gathered;
use crate::limits;
use crate::units::Nanos;

/// What a turn may take, ns.
const TURN_NS: u64 = limits::QUEUE_NS / 2;
/// What the reads of a turn are to take, ns. What is found by a gather may have come since the one before it: so its age is known to
/// a turn, and the shorter turns are, the fewer are taken for too old that are not.
const READS_NS: u64 = TURN_NS / 2;
/// Turns that the mean is over, about.
const TURNS: u64 = 8;

/// What a read costs, with all that follows from it: receiving, deciding, sending.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// A mean over the last turns, ns; 0 until there was one.
    read_ns: u64,
    began: Nanos,
    ended: Nanos,
    reads: u64,
}

impl Pace {
    /// Buffers that the next turn may read.
    #[inline]
    pub(super) fn reads(&self) -> usize {
        (READS_NS / self.read_ns.max(1)).clamp(1, limits::RECEIVE_BUFFERS as u64) as usize
    }

    /// A turn begins. What the turn before it cost is known now: its answers were sent by the wait, if that did not sleep.
    #[inline]
    pub(super) fn begin(&mut self, gathered: Gathered) {
        let until = if gathered.slept { self.ended } else { gathered.at };
        if let Some(ns) = until.since(self.began).checked_div(self.reads) {
            // One stolen moment is no reason to read next to nothing.
            let ns = ns.min(TURN_NS);
            self.read_ns = if self.read_ns == 0 { ns } else { (self.read_ns * (TURNS - 1) + ns) / TURNS };
        }
        self.began = gathered.at;
        self.reads = 0;
    }

    /// Whether the turn has taken what it may: some reads bring many requests.
    #[inline]
    pub(super) fn is_over(&self, now: Nanos) -> bool {
        now.since(self.began) >= TURN_NS
    }

    /// A buffer was read.
    #[inline]
    pub(super) fn read(&mut self) {
        self.reads += 1;
    }

    /// The turn ends. What was answered unread costs next to nothing, and says nothing of what a read costs: if it counted, more
    /// would be read than can be decided, which then is too old in its turn.
    #[inline]
    pub(super) fn end(&mut self, now: Nanos, shed: u64) {
        self.reads = self.reads.saturating_sub(shed);
        self.ended = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many turns of so many reads that take `ns` each, one after the other.
    fn turns(pace: &mut Pace, turns: u64, reads: u64, ns: u64) {
        for _ in 0..turns {
            (0..reads).for_each(|_| pace.read());
            pace.end(pace.began.after(reads * ns), 0);
            pace.begin(Gathered { at: pace.ended, slept: false });
        }
    }

    #[test]
    fn a_turn_reads_what_it_can_answer_in_half_of_the_queue() {
        let mut pace = Pace::default();
        assert_eq!(pace.reads(), limits::RECEIVE_BUFFERS);
        turns(&mut pace, 100, 20, 20_000);
        assert_eq!(pace.reads(), 50);
        turns(&mut pace, 100, 20, 200_000);
        assert!((5..=6).contains(&pace.reads()));
        // A turn that is kept away for a second is one turn of many.
        turns(&mut pace, 1, 1, Nanos::SECOND);
        assert!(pace.reads() >= 2);
        turns(&mut pace, 100, 1, Nanos::SECOND);
        assert_eq!(pace.reads(), 1);
    }

    #[test]
    fn what_is_answered_unread_makes_nothing_cheaper() {
        let mut pace = Pace::default();
        for _ in 0..100 {
            (0..100).for_each(|_| pace.read());
            pace.end(pace.began.after(2_000_000), 98);
            pace.begin(Gathered { at: pace.ended, slept: false });
            (0..100).for_each(|_| pace.read());
            pace.end(pace.began.after(100_000), 100);
            pace.begin(Gathered { at: pace.ended, slept: false });
        }
        assert_eq!(pace.reads(), 1);
    }

    #[test]
    fn sleep_is_no_work() {
        let mut pace = Pace::default();
        for _ in 0..100 {
            pace.read();
            pace.end(pace.began.after(50_000), 0);
            pace.begin(Gathered { at: pace.ended.after(Nanos::SECOND), slept: true });
        }
        assert_eq!(pace.reads(), 20);
    }
}
