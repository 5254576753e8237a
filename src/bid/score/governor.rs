//! The governor: how much of a core's time scoring may take.
//!
//! What scoring would take is known before it is done: so many rows, at what a row took when it was last looked at. While that is
//! more than its share of the time, impressions are valued at their average instead, and it is counted on as if they were not, so
//! that the governor sees when there is room again. It comes back only once the demand is well below the share: else it
//! would go to and fro with every window.

use crate::limits;
use crate::units::Nanos;

/// Of the share, in percent: what the demand has to fall to before scoring begins again.
const ROOM: u64 = 80;
/// Windows in a row that it has to stay there.
const CALM: u32 = 3;
/// What a row is taken for before any was looked at, ns.
const FIRST_ROW_NS: u64 = 2_000;
/// The weight of what was measured last is one in this many.
const MEMORY: u64 = 8;

/// Keeps account of one core's scoring.
#[derive(Clone, Debug)]
pub struct Governor {
    /// ns of a window that scoring may take.
    allowed: u64,
    /// What a row takes, ns.
    row_ns: u64,
    /// When this window ends.
    ends: Nanos,
    /// What scoring took in it, or would have, ns.
    demand: u64,
    /// Calm windows in a row; `None` while scoring goes on.
    calm: Option<u32>,
}

impl Governor {
    /// One that gives scoring this part of the time, in 1/1,000.
    pub fn new(share: u16) -> Governor {
        let allowed = limits::SCORE_WINDOW_NS * u64::from(share) / 1000;
        Governor { allowed, row_ns: FIRST_ROW_NS, ends: Nanos(0), demand: 0, calm: None }
    }

    /// Counts rows that are to be scored now; whether there is time for it.
    #[inline]
    pub fn admits(&mut self, rows: usize, now: Nanos) -> bool {
        if now >= self.ends {
            self.close(now);
        }
        self.demand = self.demand.saturating_add(self.row_ns.saturating_mul(rows as u64));
        if self.calm.is_none() && self.demand > self.allowed {
            self.calm = Some(0);
        }
        self.calm.is_none()
    }

    /// Whether impressions are valued at their average now.
    pub fn is_over(&self) -> bool {
        self.calm.is_some()
    }

    /// Takes note that so many rows took so long, with all that belongs to scoring them.
    pub fn measured(&mut self, rows: usize, took: u64) {
        if let Some(row) = took.checked_div(rows as u64) {
            self.row_ns = (self.row_ns * (MEMORY - 1) + row).div_ceil(MEMORY).max(1);
        }
    }

    /// What a row takes, ns.
    pub fn row_ns(&self) -> u64 {
        self.row_ns
    }

    #[cold]
    fn close(&mut self, now: Nanos) {
        if let Some(calm) = self.calm {
            // Windows in which nobody asked went by without being closed.
            let quiet = (now.since(self.ends) / limits::SCORE_WINDOW_NS).min(CALM.into()) as u32;
            let is_calm = self.demand <= self.allowed / 100 * ROOM;
            let calm = quiet + if is_calm { calm + 1 } else { 0 };
            self.calm = (calm < CALM).then_some(calm);
        }
        self.demand = 0;
        self.ends = now.after(limits::SCORE_WINDOW_NS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = limits::SCORE_WINDOW_NS;

    /// Asks for rows, evenly over a window; how many of the asks were admitted.
    fn window(governor: &mut Governor, number: u64, asks: u64, rows: usize) -> u64 {
        let at = |ask: u64| Nanos(number * WINDOW + ask * WINDOW / asks + 1);
        (0..asks).filter(|&ask| governor.admits(rows, at(ask))).count() as u64
    }

    #[test]
    fn below_its_share_everything_is_scored() {
        let mut governor = Governor::new(250);
        let fit = WINDOW / 4 / FIRST_ROW_NS;
        for number in 1..50 {
            assert_eq!(window(&mut governor, number, fit, 1), fit);
        }
        assert!(!governor.is_over());
    }

    #[test]
    fn above_it_the_average_serves_until_there_is_room_for_a_while() {
        let mut governor = Governor::new(250);
        let fit = WINDOW / 4 / FIRST_ROW_NS;
        assert_eq!(window(&mut governor, 1, 2 * fit, 1), fit, "no more than the share, even in the first window");
        // At 90 % of the share there is room, but not enough to begin again.
        for number in 2..20 {
            assert_eq!(window(&mut governor, number, fit * 9 / 10, 1), 0, "window {number}");
        }
        let admitted: Vec<_> = (20..25).map(|number| window(&mut governor, number, fit / 2, 1)).collect();
        assert_eq!(admitted, [0, 0, 0, fit / 2, fit / 2]);
        // And at 90 % it goes on now.
        assert_eq!(window(&mut governor, 25, fit * 9 / 10, 1), fit * 9 / 10);
    }

    #[test]
    fn a_quiet_core_begins_again_at_once() {
        let mut governor = Governor::new(100);
        assert!(!governor.admits(usize::MAX, Nanos(1)));
        assert!(governor.admits(1, Nanos(20 * WINDOW)));
    }

    #[test]
    fn what_a_row_takes_is_learnt() {
        let mut governor = Governor::new(250);
        for _ in 0..200 {
            governor.measured(16, 16 * 300);
        }
        assert!((300..=310).contains(&governor.row_ns()), "{}", governor.row_ns());
        governor.measured(0, 1_000_000);
        assert!(governor.row_ns() <= 310);
        let fit = WINDOW / 4 / governor.row_ns();
        assert_eq!(window(&mut governor, 1, 2 * fit, 1), fit);
    }

    #[test]
    fn nothing_is_scored_in_no_time() {
        let mut governor = Governor::new(0);
        assert!((0..100).all(|second| !governor.admits(1, Nanos(second * Nanos::SECOND + 1))));
    }
}
