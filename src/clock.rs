//! The clocks. A bid core reads them once per loop turn; `handle` and the reconciler are given the result.

use crate::units::{Nanos, Now, UnixMillis};

/// `CLOCK_BOOTTIME` now.
#[inline]
pub fn boot() -> Nanos {
    let time = read(libc::CLOCK_BOOTTIME);
    Nanos(time.tv_sec as u64 * Nanos::SECOND + time.tv_nsec as u64)
}

/// `CLOCK_MONOTONIC` now: it falls behind [`boot`] by the time for which the machine was suspended.
pub fn monotonic() -> Nanos {
    let time = read(libc::CLOCK_MONOTONIC);
    Nanos(time.tv_sec as u64 * Nanos::SECOND + time.tv_nsec as u64)
}

/// `CLOCK_REALTIME` now.
#[inline]
pub fn wall() -> UnixMillis {
    let time = read(libc::CLOCK_REALTIME);
    UnixMillis(time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000)
}

/// Both clocks.
#[inline]
pub fn now() -> Now {
    Now { boot: boot(), wall: wall() }
}

/// CPU time this thread has used, in nanoseconds.
pub fn thread_cpu() -> u64 {
    let time = read(libc::CLOCK_THREAD_CPUTIME_ID);
    time.tv_sec as u64 * Nanos::SECOND + time.tv_nsec as u64
}

#[inline]
fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid, writable timespec for the length of the call.
    let result = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(result, 0, "the kernel has no clock {clock}");
    time
}
