//! The three epoll calls, with descriptors that are owned and time in nanoseconds.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr;

use super::Wait;
use crate::units::Nanos;

/// An event that says nothing, to fill a buffer with.
pub(super) const NOTHING: libc::epoll_event = libc::epoll_event { events: 0, u64: 0 };

/// What to be told of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Interest {
    Read,
    Write,
    ReadWrite,
}

impl Interest {
    fn bits(self) -> u32 {
        (match self {
            Interest::Read => libc::EPOLLIN,
            Interest::Write => libc::EPOLLOUT,
            Interest::ReadWrite => libc::EPOLLIN | libc::EPOLLOUT,
        }) as u32
    }
}

/// What can be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Readiness {
    pub(super) read: bool,
    pub(super) write: bool,
}

/// The connection an event is about, and what can be done with it. Errors and hang-ups are found by doing either.
pub(super) fn read(event: &libc::epoll_event) -> (u32, Readiness) {
    let (index, bits) = (event.u64 as u32, event.events);
    let has = |wanted: i32| bits & wanted as u32 != 0;
    let ended = has(libc::EPOLLERR | libc::EPOLLHUP);
    (index, Readiness { read: ended || has(libc::EPOLLIN), write: ended || has(libc::EPOLLOUT) })
}

/// An epoll instance. A closed socket leaves it by itself.
#[derive(Debug)]
pub(super) struct Epoll(OwnedFd);

impl Epoll {
    pub(super) fn new() -> io::Result<Epoll> {
        // SAFETY: takes no pointers.
        let descriptor = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
        Ok(Epoll(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    pub(super) fn add(&self, stream: &TcpStream, index: u32, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, stream, index, interest)
    }

    pub(super) fn change(&self, stream: &TcpStream, index: u32, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, stream, index, interest)
    }

    fn control(&self, operation: i32, stream: &TcpStream, index: u32, interest: Interest) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest.bits(), u64: u64::from(index) };
        // SAFETY: `event` is valid for the call, and the kernel keeps a copy of it only.
        match unsafe { libc::epoll_ctl(self.0.as_raw_fd(), operation, stream.as_raw_fd(), &mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Fills the front of `events`. A signal counts as nothing having happened.
    pub(super) fn wait(&self, events: &mut [libc::epoll_event], wait: Wait) -> io::Result<usize> {
        let (descriptor, room) = (self.0.as_raw_fd(), events.len() as i32);
        let count = match wait {
            // SAFETY: `events` is writable for the number of entries passed.
            Wait::Spin => unsafe { libc::epoll_wait(descriptor, events.as_mut_ptr(), room, 0) },
            Wait::For(ns) => {
                let time = libc::timespec { tv_sec: (ns / Nanos::SECOND) as i64, tv_nsec: (ns % Nanos::SECOND) as i64 };
                // SAFETY: as above; `time` lives through the call, and a null signal mask changes none.
                unsafe { libc::epoll_pwait2(descriptor, events.as_mut_ptr(), room, &time, ptr::null()) }
            }
        };
        match usize::try_from(count) {
            Ok(count) => Ok(count),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
                error => Err(error),
            },
        }
    }
}
