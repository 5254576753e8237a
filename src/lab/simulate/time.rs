//! True time, which nobody in the simulated fleet can read, and the clocks, which are a little wrong.

use crate::units::{Nanos, Now, UnixMillis};

/// True time since the run began, ns.
pub type Time = u64;

/// One millisecond.
pub const MS: Time = Nanos::MS;
/// One second.
pub const SECOND: Time = Nanos::SECOND;
/// One minute.
pub const MINUTE: Time = 60 * SECOND;
/// One hour.
pub const HOUR: Time = 60 * MINUTE;
/// One day.
pub const DAY: Time = 24 * HOUR;

/// A run begins with a budget day (UTC).
pub const BEGIN: UnixMillis = UnixMillis(20_000 * UnixMillis::DAY);

/// The largest error of a wall clock, ms. Two clocks differ by twice that at most, which with [`TURN_MOST`] stays below
/// [`crate::limits::EPSILON_MS`].
pub const WORST_ERROR_MS: i64 = 900;
/// The largest error of a boot clock's rate, parts per billion: 100 ppm, a bad crystal on a hot day.
pub const WORST_DRIFT_PPB: i64 = 100_000;
/// How long after its second look at the clock a bid may take to leave: a preempted thread.
pub const TURN_MOST: Time = 100 * MS;

const _: () = assert!(2 * WORST_ERROR_MS as u64 + TURN_MOST / MS < crate::limits::EPSILON_MS);

/// The true wall clock.
pub const fn wall(time: Time) -> UnixMillis {
    UnixMillis(BEGIN.0 + time / MS)
}

/// The clocks of one machine.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The boot clock's reading at `since`; it runs at its own rate from there.
    boot: u64,
    since: Time,
    drift_ppb: i64,
    /// What the wall clock shows too much, ms.
    error_ms: i64,
}

impl Clock {
    /// A machine that was switched on `up` ns ago.
    pub fn new(now: Time, up: u64) -> Clock {
        Clock { boot: up, since: now, drift_ppb: 0, error_ms: 0 }
    }

    /// Both clocks.
    pub fn read(&self, now: Time) -> Now {
        Now { boot: Nanos(self.boot_at(now)), wall: UnixMillis(wall(now).0.saturating_add_signed(self.error_ms)) }
    }

    /// From now on the boot clock runs at another rate.
    pub fn drift(&mut self, now: Time, ppb: i64) {
        *self = Clock { boot: self.boot_at(now), since: now, drift_ppb: ppb, ..*self };
    }

    /// The machine was switched off and on.
    pub fn reboot(&mut self, now: Time) {
        *self = Clock { boot: 20 * SECOND, since: now, ..*self };
    }

    /// The wall clock is set.
    pub fn step(&mut self, error_ms: i64) {
        self.error_ms = error_ms;
    }

    fn boot_at(&self, now: Time) -> u64 {
        let passed = now - self.since;
        let drift = i128::from(passed) * i128::from(self.drift_ppb) / 1_000_000_000;
        self.boot + passed.saturating_add_signed(drift as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_never_goes_back_and_the_wall_clock_may() {
        let mut clock = Clock::new(0, 5 * SECOND);
        clock.drift(0, WORST_DRIFT_PPB);
        clock.step(700);
        let before = clock.read(10 * SECOND);
        assert_eq!(before, Now { boot: Nanos(15 * SECOND + MS), wall: UnixMillis(BEGIN.0 + 10_700) });
        clock.drift(10 * SECOND, -WORST_DRIFT_PPB);
        clock.step(-700);
        assert_eq!(clock.read(10 * SECOND), Now { boot: before.boot, wall: UnixMillis(BEGIN.0 + 9_300) });
        assert_eq!(clock.read(20 * SECOND).boot, Nanos(25 * SECOND));
    }
}
