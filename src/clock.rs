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

/// For how long the machine has been suspended since it started, ns: what [`monotonic`] leaves out. Right to the time between two
/// readings, unless somebody took the CPU between them three times running.
pub fn suspended() -> u64 {
    const CLOSE_NS: u64 = 5_000;
    let mut best = (u64::MAX, 0);
    for _ in 0..3 {
        let (before, awake, after) = (boot(), monotonic(), boot());
        let apart_ns = after.since(before);
        best = best.min((apart_ns, before.since(awake)));
        if apart_ns < CLOSE_NS {
            break;
        }
    }
    best.1
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

/// A counter of this CPU that goes on at one rate, and costs a third of a reading of a clock: for what lies between two such readings
/// (docs/decisions/0042-tail.md). 0 on machines that have none.
#[inline(always)]
pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 has the instruction. A process may have it forbidden to itself (`PR_SET_TSC`), which this one does not.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(target_arch = "aarch64")]
    {
        let ticks: u64;
        // SAFETY: reads a register that Linux lets every process read, and touches neither memory nor flags.
        unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
        ticks
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        0
    }
}

#[inline]
fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid, writable timespec for the length of the call.
    let result = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(result, 0, "the kernel has no clock {clock}");
    time
}
