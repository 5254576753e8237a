//! Extra work for each bid request: `serve --busy-work`, by which performance gates are calibrated.
//!
//! Up to 100 percent it is a share of what a request takes without it: of the CPU time of this thread, the kernel's part included,
//! over the requests it decided. That share is measured while the bidder runs, on whatever machine, at whatever rate, so that 5 is
//! 5 % more busy time. Two cases have nothing to measure, and burn a share of a nominal request instead: a core that spins, whose
//! CPU time is not work; and more than 100 percent, where what is burned changes how many requests share a turn, and by that what
//! the next ones take.

use crate::bid::net::Waiting;
use crate::clock;

/// The nominal request, ns.
const NOMINAL_NS: f64 = 7_000.0;
/// Above this the share is of the nominal request, percent.
const MEASURED_PERCENT: f64 = 100.0;
/// Requests from one look at the clock to the next: the look is a system call.
const WINDOW: u32 = 1024;
/// Of a new measurement, this share is believed: the time without requests in a window is not theirs.
const BELIEVED: f64 = 1.0 / 8.0;
/// Turns that are timed at the start, several times: the fastest was disturbed least.
const TRIAL: (u64, usize) = (4_000_000, 5);

/// What to burn, and what it is a share of.
#[derive(Clone, Debug)]
pub struct BusyWork {
    percent: f64,
    /// Of [`burn`], ns.
    turn_ns: f64,
    /// For each request; 0 without extra work.
    turns: u64,
    measured: bool,
    /// What a request takes without extra work, ns.
    request_ns: f64,
    /// Requests until the next look at the clock.
    left: u32,
    /// CPU time of the thread at the last look, ns.
    seen_ns: Option<u64>,
}

impl BusyWork {
    /// No extra work.
    pub const NONE: BusyWork = BusyWork {
        percent: 0.0,
        turn_ns: 1.0,
        turns: 0,
        measured: false,
        request_ns: NOMINAL_NS,
        left: WINDOW,
        seen_ns: None,
    };

    /// `percent` more for each request, on cores that wait like this. Takes some milliseconds to time the loop that burns.
    pub fn new(percent: f64, waiting: Waiting) -> BusyWork {
        if percent <= 0.0 {
            return BusyWork::NONE;
        }
        let mut turn_ns = f64::INFINITY;
        for _ in 0..TRIAL.1 {
            let before = clock::thread_cpu();
            burn(TRIAL.0);
            turn_ns = turn_ns.min((clock::thread_cpu() - before) as f64 / TRIAL.0 as f64);
        }
        let measured = percent <= MEASURED_PERCENT && waiting == Waiting::Block;
        let mut work = BusyWork { percent, turn_ns: turn_ns.max(0.01), measured, ..BusyWork::NONE };
        work.turns = work.share();
        work
    }

    fn share(&self) -> u64 {
        (self.request_ns * self.percent / 100.0 / self.turn_ns).round() as u64
    }

    /// Burns the share of one request.
    #[inline]
    pub fn add(&mut self) {
        if self.turns == 0 {
            return;
        }
        burn(self.turns);
        self.left -= 1;
        if self.left == 0 {
            self.left = WINDOW;
            if self.measured {
                self.look(clock::thread_cpu());
            }
        }
    }

    /// The CPU time of the thread after a window of requests.
    fn look(&mut self, cpu_ns: u64) {
        if let Some(seen) = self.seen_ns.replace(cpu_ns) {
            let spent = cpu_ns.saturating_sub(seen) as f64 / f64::from(WINDOW);
            let own = spent - self.turns as f64 * self.turn_ns;
            // A window that spans a pause, or a clock that was late, moves it little.
            let own = own.clamp(self.request_ns / 2.0, self.request_ns * 2.0);
            self.request_ns += (own - self.request_ns) * BELIEVED;
            self.turns = self.share().max(1);
        }
    }
}

/// A loop of so many turns that the compiler leaves standing.
pub fn burn(turns: u64) {
    for turn in 0..turns {
        std::hint::black_box(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bidder whose requests take `request_ns` without extra work, over so many windows; the share of extra work in the last.
    fn settled(mut work: BusyWork, request_ns: f64, windows: usize) -> f64 {
        let mut cpu_ns = 1e9;
        let mut burned = 0.0;
        for window in 0..windows {
            burned = work.turns as f64 * work.turn_ns;
            // Now and then the core had nothing to do for long, and did that.
            let idle_ns = if window % 50 == 20 { 3e6 } else { 0.0 };
            cpu_ns += (request_ns + burned) * f64::from(WINDOW) + idle_ns;
            work.look(cpu_ns as u64);
        }
        burned / request_ns
    }

    #[test]
    fn it_becomes_the_share_of_what_requests_take_without_it() {
        for percent in [1.0, 5.0, 100.0] {
            for request_ns in [1_500.0, 7_000.0, 40_000.0] {
                let work = BusyWork { percent, turn_ns: 0.4, turns: 1, measured: true, ..BusyWork::NONE };
                let share = settled(work, request_ns, 100) * 100.0;
                assert!((share / percent - 1.0).abs() < 0.02, "{share} instead of {percent} of {request_ns} ns");
            }
        }
    }

    #[test]
    fn none_burns_nothing_and_much_is_nominal() {
        let mut none = BusyWork::NONE;
        none.add();
        assert_eq!((none.left, none.turns), (WINDOW, 0), "it was not even counted");
        assert!(BusyWork::new(5.0, Waiting::Block).measured);
        assert!(!BusyWork::new(5.0, Waiting::Spin).measured && !BusyWork::new(300.0, Waiting::Block).measured);
        let much = BusyWork::new(1_000.0, Waiting::Block);
        assert!((much.turns as f64 * much.turn_ns / NOMINAL_NS - 10.0).abs() < 0.01);
    }
}
