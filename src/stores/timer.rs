//! A timer that is right to microseconds: tokio's own are right to milliseconds. And what else tokio does not wait for by
//! itself.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use timerfd::{ClockId, SetTimeFlags, TimerFd, TimerState};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::ring::wake::Wakeup;
use crate::units::Nanos;

/// A descriptor whose events tokio waits for. It tells each event once (edge-triggered), so that it need not be read.
pub(super) fn watched<T: OwnsFd>(fd: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: an `OwnsFd` keeps one descriptor open for as long as it lives, and always says the same.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// What owns one descriptor, which stays the same.
pub(super) trait OwnsFd: AsRawFd {}

impl OwnsFd for TimerFd {}
impl OwnsFd for Wakeup {}

#[derive(Debug)]
pub(super) struct Timer {
    fd: AsyncFd<TimerFd>,
    set_to: Nanos,
}

impl Timer {
    pub(super) fn new() -> io::Result<Timer> {
        let fd = TimerFd::new_custom(ClockId::Monotonic, true, true)?;
        Ok(Timer { fd: watched(fd)?, set_to: Nanos::NEVER })
    }

    /// Lets [`Timer::expired`] return at `until`.
    pub(super) fn set(&mut self, now: Nanos, until: Nanos) {
        if until == self.set_to {
            return;
        }
        self.set_to = until;
        let state = match until {
            Nanos::NEVER => TimerState::Disarmed,
            // A timer of zero is one that is off.
            _ => TimerState::Oneshot(Duration::from_nanos(until.since(now).max(1))),
        };
        self.fd.get_mut().set_state(state, SetTimeFlags::Default);
    }

    /// Returns once the time is over. May return before.
    pub(super) async fn expired(&mut self) -> io::Result<()> {
        self.fd.readable().await?.clear_ready();
        self.set_to = Nanos::NEVER;
        Ok(())
    }
}
