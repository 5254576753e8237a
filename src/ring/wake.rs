//! Waking a bid core, or the stores thread, that sleeps in the kernel: an eventfd between two threads.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Gets the attention of a bid core that may be asleep in the kernel.
pub trait Wake {
    /// May be called more often than needed.
    fn wake(&self);
}

/// The end another thread holds.
#[derive(Debug)]
pub struct Waker(OwnedFd);

/// The end that the woken thread waits on.
#[derive(Debug)]
pub struct Wakeup(OwnedFd);

/// Both ends of a new wake-up.
///
/// # Errors
/// What `eventfd` and `dup` say: descriptors or memory are exhausted.
pub fn pair() -> io::Result<(Waker, Wakeup)> {
    // SAFETY: no pointer is passed; the result is checked.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was just opened and belongs to nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok((Waker(fd.try_clone()?), Wakeup(fd)))
}

impl Wake for Waker {
    /// Several calls may be told as one. A core that has ended is not missed.
    fn wake(&self) {
        let one = 1u64;
        // SAFETY: the eight bytes of `one` are readable for the length of the call. It blocks, and then fails, only at
        // 2^64 - 1 unread wake-ups.
        let _ = unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
    }
}

impl Waker {
    /// A second waker of the same core.
    ///
    /// # Errors
    /// What `dup` says: descriptors are exhausted.
    pub fn another(&self) -> io::Result<Waker> {
        Ok(Waker(self.0.try_clone()?))
    }
}

impl AsRawFd for Wakeup {
    fn as_raw_fd(&self) -> RawFd {
        self.fd()
    }
}

impl Wakeup {
    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
