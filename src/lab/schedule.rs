//! When each request of an open-loop run is due, whatever became of those before it.

use crate::units::Nanos;

/// Requests that fell due at the very end may still be sent for this long, ns.
const GRACE_NS: u64 = 100 * Nanos::MS;
/// Time for answers after the end, ns.
const DRAIN_NS: u64 = Nanos::SECOND;

/// A constant rate from a start on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// When request 0 is due.
    pub start: Nanos,
    /// When the run ends; no request is due at or after it.
    pub end: Nanos,
    /// Requests per second, at least 1.
    rate: u64,
    /// Requests, all told; at least 1.
    pub count: u64,
}

impl Schedule {
    /// `rate` requests per second (at least 1) for `seconds`.
    pub fn new(start: Nanos, rate: u64, seconds: f64) -> Schedule {
        let (rate, length) = (rate.max(1), (seconds * Nanos::SECOND as f64) as u64);
        let count = (u128::from(rate) * u128::from(length)).div_ceil(u128::from(Nanos::SECOND)) as u64;
        Schedule { start, end: start.after(length), rate, count: count.max(1) }
    }

    /// When request `index` is due. Counted from the start, so that rounding does not add up.
    #[inline]
    pub fn due(&self, index: u64) -> Nanos {
        let (seconds, rest) = (index / self.rate, index % self.rate);
        self.start.after(seconds * Nanos::SECOND + rest * Nanos::SECOND / self.rate)
    }

    /// Ends it at `now`, with the requests before `next`.
    pub fn cut(&mut self, now: Nanos, next: u64) {
        (self.end, self.count) = (now, next);
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
}

/// Whether a length of time is one a run can have, seconds.
pub fn is_length(seconds: f64) -> bool {
    seconds > 0.0 && seconds <= 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_evenly_spread_and_never_drift() {
        for (rate, seconds, count) in
            [(3, 2.0, 6), (1, 0.1, 1), (7_919, 1.5, 11_879), (1_000_000, 3600.0, 3_600_000_000)]
        {
            let schedule = Schedule::new(Nanos(1_000), rate, seconds);
            assert_eq!(schedule.count, count);
            assert_eq!(schedule.due(0), schedule.start);
            assert!(schedule.due(count - 1) < schedule.end && schedule.due(count) >= schedule.end, "{rate}");
            // Whole seconds are hit to the nanosecond, however far out.
            assert_eq!(schedule.due(rate * 1_000_000).since(schedule.start), 1_000_000 * Nanos::SECOND);
            let period = Nanos::SECOND / rate;
            for index in [0, 1, count / 2, count] {
                let gap = schedule.due(index + 1).since(schedule.due(index));
                assert!(gap == period || gap == period + 1, "{rate} {index} {gap}");
            }
        }
    }
}
