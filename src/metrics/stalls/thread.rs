//! What the kernel counts of one thread.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::clock;
use crate::units::Nanos;

/// Counters of a thread, from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// When they were read.
    pub at: Nanos,
    /// For how long the machine had been suspended by then, ns.
    pub suspended_ns: u64,
    /// Time it ran, ns. On a kernel that accounts for them (`CONFIG_PARAVIRT_TIME_ACCOUNTING`, `CONFIG_IRQ_TIME_ACCOUNTING`), without
    /// what the hypervisor and interrupts took.
    pub ran_ns: u64,
    /// Time it could have run and did not (`/proc/thread-self/schedstat`, second number), ns.
    pub waited_ns: u64,
    /// Times it was taken off its CPU (`ru_nivcsw`).
    pub involuntary: u64,
    /// Page faults that waited for a disk (`ru_majflt`).
    pub major_faults: u64,
    /// Those that did not (`ru_minflt`).
    pub minor_faults: u64,
}

/// What two readings differ in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Suspended with the machine, ns.
    pub suspended_ns: u64,
    /// See [`Counted`].
    pub ran_ns: u64,
    /// See [`Counted`].
    pub waited_ns: u64,
    /// See [`Counted`].
    pub involuntary: u64,
    /// See [`Counted`].
    pub major_faults: u64,
    /// See [`Counted`].
    pub minor_faults: u64,
}

impl Spent {
    /// Both together.
    pub fn and(&self, other: &Spent) -> Spent {
        Spent {
            suspended_ns: self.suspended_ns + other.suspended_ns,
            ran_ns: self.ran_ns + other.ran_ns,
            waited_ns: self.waited_ns + other.waited_ns,
            involuntary: self.involuntary + other.involuntary,
            major_faults: self.major_faults + other.major_faults,
            minor_faults: self.minor_faults + other.minor_faults,
        }
    }
}

impl Counted {
    /// What was spent since `before`.
    pub fn since(&self, before: &Counted) -> Spent {
        Spent {
            suspended_ns: self.suspended_ns.saturating_sub(before.suspended_ns),
            ran_ns: self.ran_ns.saturating_sub(before.ran_ns),
            waited_ns: self.waited_ns.saturating_sub(before.waited_ns),
            involuntary: self.involuntary.saturating_sub(before.involuntary),
            major_faults: self.major_faults.saturating_sub(before.major_faults),
            minor_faults: self.minor_faults.saturating_sub(before.minor_faults),
        }
    }
}

/// The thread that opened it, as the kernel counts it. The descriptor is kept, so that reading needs no right to open anything, and
/// asks for no memory.
#[derive(Debug)]
pub struct Thread(File);

impl Thread {
    /// The calling thread.
    ///
    /// # Errors
    /// The kernel does not count (`CONFIG_SCHED_INFO`), or `/proc` is not mounted.
    pub fn this() -> io::Result<Thread> {
        let thread = Thread(File::open("/proc/thread-self/schedstat")?);
        match thread.read(Nanos(0)) {
            Some(_) => Ok(thread),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "/proc/thread-self/schedstat is not what it was")),
        }
    }

    /// Its counters now, which is `now`. Three system calls, some 2 us; only the thread itself may ask.
    pub fn read(&self, now: Nanos) -> Option<Counted> {
        let mut text = [0; 96];
        let length = self.0.read_at(&mut text, 0).ok()?;
        let waited_ns = second_number(&text[..length])?;
        // SAFETY: all bytes of an rusage may be 0, and the kernel fills it.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: `usage` is a valid, writable rusage for the length of the call.
        if unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) } != 0 {
            return None;
        }
        Some(Counted {
            at: now,
            suspended_ns: clock::suspended(),
            ran_ns: clock::thread_cpu(),
            waited_ns,
            involuntary: usage.ru_nivcsw as u64,
            major_faults: usage.ru_majflt as u64,
            minor_faults: usage.ru_minflt as u64,
        })
    }
}

/// The CPU the calling thread runs on.
pub fn cpu() -> usize {
    // SAFETY: no pointer is passed.
    usize::try_from(unsafe { libc::sched_getcpu() }).unwrap_or(usize::MAX)
}

fn second_number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_works_has_run_and_one_that_sleeps_has_not() {
        let thread = Thread::this().unwrap();
        let read = || thread.read(clock::boot()).unwrap();
        let before = read();
        let until = clock::thread_cpu() + 20 * Nanos::MS;
        while clock::thread_cpu() < until {}
        let worked = read().since(&before);
        assert!(worked.ran_ns >= 20 * Nanos::MS, "{worked:?}");
        let before = read();
        #[allow(clippy::disallowed_methods, reason = "sleeping is what is looked at")]
        std::thread::sleep(std::time::Duration::from_millis(20));
        let after = read();
        let slept = after.since(&before);
        assert!(slept.ran_ns + slept.waited_ns < after.at.since(before.at), "{slept:?}");
        assert_eq!(slept.suspended_ns / Nanos::MS, 0);
    }

    #[test]
    fn fresh_pages_are_faults() {
        let thread = Thread::this().unwrap();
        let before = thread.read(clock::boot()).unwrap();
        // Of the kernel: an allocator may have pages that were touched before.
        let mut pages = memmap2::MmapMut::map_anon(4 * 1024 * 1024).unwrap();
        pages.fill(1);
        let spent = thread.read(clock::boot()).unwrap().since(&before);
        assert!(spent.minor_faults > 0, "{spent:?} for {} bytes", pages.len());
    }

    #[test]
    fn the_wait_for_a_cpu_is_the_second_number() {
        assert_eq!(second_number(b"3518467 42 1\n"), Some(42));
        assert_eq!(second_number(b"3518467"), None);
    }
}
