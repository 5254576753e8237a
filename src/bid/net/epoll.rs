//! epoll, for hosts without io_uring: edge-triggered, registered once per connection.
//!
//! Sockets are read when the loop asks for the next event, one receive per connection and turn, so that one buffer, warm
//! in the cache, serves them all, and a connection that never falls silent cannot hold the turn.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::table::{GENERATION, Table};
use super::{Conn, EXHAUSTED_NS, Happened, Listener, Net, Received, Region, SPIN_NS, Waiting, throw_away_unsent};
use crate::clock;
use crate::limits;
use crate::ring::wake::Wakeup;
use crate::units::Nanos;

/// Events taken from the kernel at a time.
const EVENTS: usize = 256;
/// Connections accepted in one turn, so that a storm of them does not hold up requests.
const ACCEPTS: usize = 64;
/// Tags of what is not a connection; connections have their generation and index.
const LISTENER: u64 = u64::MAX;
const WAKEUP: u64 = u64::MAX - 1;

struct Socket {
    fd: OwnedFd,
    /// There may be bytes to read.
    readable: bool,
    /// The peer closed its side: read until nothing is left, though no further edge will come.
    hung_up: bool,
    /// Reading is wanted; without it the peer waits.
    wanted: bool,
    /// In the queue of sockets to be read.
    queued: bool,
    /// The end was told.
    ended: bool,
    /// A send that waits for room.
    unsent: Option<*const [u8]>,
}

/// Memory of one connection, bytes, with its entries in the queues of those to be read and of sends that are done.
pub(super) const CONNECTION_BYTES: usize = Table::<Socket>::PLACE_BYTES + 2 * size_of::<Conn>() + size_of::<(Conn, usize)>();

/// The connections of one core on epoll.
pub struct Epoll {
    epoll: OwnedFd,
    memory: Region,
    free: Vec<u16>,
    listener: Option<Listener>,
    // Held open for the registration.
    _wakeup: Wakeup,
    sockets: Table<Socket>,
    waiting: Waiting,
    events: Box<[libc::epoll_event; EVENTS]>,
    /// Events of this turn: those before `seen` were looked at.
    seen: usize,
    count: usize,
    /// Connections still to be accepted in this turn.
    accepts: usize,
    acceptable: bool,
    accept_at: Nanos,
    /// Sockets to be read in this turn, and the length of that part of the queue.
    readable: VecDeque<Conn>,
    turn: usize,
    /// Sends that completed later than asked.
    done: VecDeque<(Conn, usize)>,
}

impl Epoll {
    /// Serves at most `places` connections of `listener`.
    ///
    /// # Errors
    /// What the kernel says about opening an epoll or mapping memory.
    pub fn new(listener: Listener, wakeup: Wakeup, waiting: Waiting, places: usize) -> io::Result<Epoll> {
        // SAFETY: no pointer is passed; the result is checked.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just opened and belongs to nobody else.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        listener.set_nonblocking()?;
        let edge = libc::EPOLLIN as u32 | libc::EPOLLET as u32;
        add(&epoll, listener.fd(), edge, LISTENER)?;
        add(&epoll, wakeup.fd(), edge, WAKEUP)?;
        Ok(Epoll {
            epoll,
            memory: Region::map(limits::RECEIVE_BUFFERS, limits::RECEIVE_BUFFER)?,
            free: (0..limits::RECEIVE_BUFFERS as u16).rev().collect(),
            listener: Some(listener),
            _wakeup: wakeup,
            sockets: Table::new(places),
            waiting,
            events: Box::new([libc::epoll_event { events: 0, u64: 0 }; EVENTS]),
            seen: 0,
            count: 0,
            accepts: 0,
            acceptable: true,
            accept_at: Nanos::NEVER,
            readable: VecDeque::new(),
            turn: 0,
            done: VecDeque::new(),
        })
    }

    /// Takes events for at most `timeout` ns; [`u64::MAX`] is for ever.
    fn take(&mut self, timeout: u64) -> io::Result<()> {
        let time = libc::timespec {
            tv_sec: (timeout / Nanos::SECOND) as libc::time_t,
            tv_nsec: (timeout % Nanos::SECOND) as libc::c_long,
        };
        let time = if timeout == u64::MAX { std::ptr::null() } else { &raw const time };
        // SAFETY: the events are writable for `EVENTS` entries and the time is readable, both for the length of the call.
        let count = unsafe {
            let events = self.events.as_mut_ptr();
            libc::epoll_pwait2(self.epoll.as_raw_fd(), events, EVENTS as i32, time, std::ptr::null())
        };
        self.seen = 0;
        self.count = usize::try_from(count).unwrap_or(0);
        if count < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Looks at one event.
    fn note(&mut self, event: libc::epoll_event) -> Option<Happened> {
        match event.u64 {
            LISTENER => self.acceptable = true,
            WAKEUP => return Some(Happened::Woken),
            tag => {
                let conn = Conn { index: tag as u32, generation: (tag >> 32) as u32 & GENERATION };
                let socket = self.sockets.get(conn)?;
                let gone = event.events & (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0;
                socket.hung_up |= gone;
                socket.readable |= gone || event.events & libc::EPOLLIN as u32 != 0;
                let unsent = socket.unsent;
                if self.queue(conn) {
                    self.turn += 1;
                }
                if let Some(bytes) = unsent.filter(|_| gone || event.events & libc::EPOLLOUT as u32 != 0) {
                    // SAFETY: the caller of `send` vouches for the bytes until the send is done.
                    return unsafe { self.try_send(conn, bytes) }.map(|sent| Happened::Sent(conn, sent));
                }
            }
        }
        None
    }

    /// Queues a socket to be read, if there is something to read and reading is wanted.
    fn queue(&mut self, conn: Conn) -> bool {
        let Some(socket) = self.sockets.get(conn) else { return false };
        let queue = socket.readable && socket.wanted && !socket.queued && !socket.ended;
        if queue {
            socket.queued = true;
            self.readable.push_back(conn);
        }
        queue
    }

    fn read(&mut self, conn: Conn) -> Option<Happened> {
        let socket = self.sockets.get(conn)?;
        socket.queued = false;
        if !socket.wanted {
            return None;
        }
        let Some(buffer) = self.free.pop() else {
            self.queue(conn);
            return None;
        };
        let size = self.memory.size();
        // SAFETY: the buffer is nobody's, as it was free, and writable for `size` bytes.
        let result =
            unsafe { libc::recv(socket.fd.as_raw_fd(), self.memory.start(buffer).cast(), size, libc::MSG_DONTWAIT) };
        if result > 0 {
            // Less than was asked for: the socket was empty, and the next bytes make an edge.
            socket.readable = result as usize == size || socket.hung_up;
            self.queue(conn);
            return Some(Happened::Received(conn, Received { buffer, length: result as u32 }));
        }
        self.free.push(buffer);
        if result < 0 {
            match io::Error::last_os_error().kind() {
                io::ErrorKind::WouldBlock => {
                    socket.readable = false;
                    return None;
                }
                io::ErrorKind::Interrupted => {
                    self.queue(conn);
                    return None;
                }
                _ => {}
            }
        }
        socket.ended = true;
        Some(Happened::Ended(conn))
    }

    fn accept(&mut self) -> Option<Happened> {
        let listener = self.listener.as_ref()?.fd();
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let none = std::ptr::null_mut();
        // SAFETY: the kernel takes null for the address and its length.
        let fd = unsafe { libc::accept4(listener, none, none.cast(), flags) };
        if fd < 0 {
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EAGAIN) => self.acceptable = false,
                Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                    self.acceptable = false;
                    self.accept_at = clock::boot().after(EXHAUSTED_NS);
                }
                // One peer's failure; the next may be waiting.
                _ => {}
            }
            return None;
        }
        // SAFETY: the kernel just opened this descriptor for us.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let raw = fd.as_raw_fd();
        let socket =
            Socket { fd, readable: false, hung_up: false, wanted: true, queued: false, ended: false, unsent: None };
        // Without a place, or without memory to register it, the descriptor is dropped, which closes the connection.
        let conn = self.sockets.insert(socket)?;
        let edges = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        if add(&self.epoll, raw, edges as u32, tag(conn)).is_err() {
            self.sockets.remove(conn);
            return None;
        }
        Some(Happened::Accepted(conn))
    }

    /// Sends now what there is room for; the rest waits for an edge.
    ///
    /// # Safety
    /// As [`Net::send`].
    unsafe fn try_send(&mut self, conn: Conn, bytes: *const [u8]) -> Option<usize> {
        let Some(socket) = self.sockets.get(conn) else { return Some(0) };
        loop {
            let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
            // SAFETY: the caller vouches for the bytes.
            let result = unsafe { libc::send(socket.fd.as_raw_fd(), bytes.cast(), bytes.len(), flags) };
            if result >= 0 {
                socket.unsent = None;
                return Some(result as usize);
            }
            match io::Error::last_os_error().kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => {
                    socket.unsent = Some(bytes);
                    return None;
                }
                _ => {
                    socket.unsent = None;
                    return Some(0);
                }
            }
        }
    }
}

impl Net for Epoll {
    fn wait(&mut self, now: Nanos, until: Nanos) -> io::Result<()> {
        let mut until = until;
        if self.accept_at != Nanos::NEVER {
            if now >= self.accept_at {
                self.accept_at = Nanos::NEVER;
                self.acceptable = true;
            } else {
                until = until.min(self.accept_at);
            }
        }
        let busy = !self.readable.is_empty() || !self.done.is_empty() || (self.acceptable && self.listener.is_some());
        let left = |now| if until == Nanos::NEVER { u64::MAX } else { until.since(now) };
        if busy {
            self.take(0)?;
        } else if self.waiting == Waiting::Block {
            self.take(left(now))?;
        } else {
            let spin = if self.waiting == Waiting::Spin { until } else { until.min(now.after(SPIN_NS)) };
            self.take(0)?;
            while self.count == 0 && clock::boot() < spin {
                std::hint::spin_loop();
                self.take(0)?;
            }
            if self.count == 0 && self.waiting == Waiting::Hybrid {
                self.take(left(clock::boot()))?;
            }
        }
        self.turn = self.readable.len();
        self.accepts = ACCEPTS;
        Ok(())
    }

    fn next(&mut self) -> Option<Happened> {
        if let Some((conn, sent)) = self.done.pop_front() {
            return Some(Happened::Sent(conn, sent));
        }
        while self.seen < self.count {
            self.seen += 1;
            let happened = self.note(self.events[self.seen - 1]);
            if happened.is_some() {
                return happened;
            }
        }
        while self.turn > 0 {
            self.turn -= 1;
            let happened = self.readable.pop_front().and_then(|conn| self.read(conn));
            if happened.is_some() {
                return happened;
            }
        }
        while self.acceptable && self.accepts > 0 && self.listener.is_some() {
            self.accepts -= 1;
            let happened = self.accept();
            if happened.is_some() {
                return happened;
            }
        }
        None
    }

    #[inline]
    fn bytes(&self, received: &Received) -> &[u8] {
        assert!(received.length as usize <= self.memory.size());
        // SAFETY: a buffer named by a `Received` was filled to its length and is not written until it is free again,
        // which takes the `Received`.
        unsafe { std::slice::from_raw_parts(self.memory.start(received.buffer), received.length as usize) }
    }

    #[inline]
    fn recycle(&mut self, received: Received) {
        self.free.push(received.buffer);
    }

    unsafe fn send(&mut self, conn: Conn, bytes: *const [u8]) -> Option<usize> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.try_send(conn, bytes) }
    }

    fn pause(&mut self, conn: Conn) {
        if let Some(socket) = self.sockets.get(conn) {
            socket.wanted = false;
        }
    }

    fn resume(&mut self, conn: Conn) {
        if let Some(socket) = self.sockets.get(conn) {
            socket.wanted = true;
        }
        self.queue(conn);
    }

    fn shut(&mut self, conn: Conn) {
        if let Some(socket) = self.sockets.get(conn) {
            // SAFETY: the descriptor is open; a connection that is gone makes it fail, which nobody needs to know.
            unsafe { libc::shutdown(socket.fd.as_raw_fd(), libc::SHUT_WR) };
        }
    }

    fn abandon(&mut self, conn: Conn) {
        if let Some(socket) = self.sockets.get(conn) {
            throw_away_unsent(socket.fd.as_raw_fd());
        }
    }

    fn close(&mut self, conn: Conn) {
        let Some(socket) = self.sockets.remove(conn) else { return };
        if socket.unsent.is_some() {
            self.done.push_back((conn, 0));
        }
        // A descriptor is free again.
        if self.accept_at != Nanos::NEVER {
            self.accept_at = Nanos(0);
        }
    }

    fn stop_accepting(&mut self) {
        self.listener = None;
        self.accept_at = Nanos::NEVER;
    }

    fn prefault(&mut self) {
        self.memory.prefault();
    }

    fn rearmed(&self) -> u64 {
        0
    }

    fn turned_away(&self) -> u64 {
        self.sockets.turned_away()
    }
}

fn tag(conn: Conn) -> u64 {
    u64::from(conn.generation) << 32 | u64::from(conn.index)
}

fn add(epoll: &OwnedFd, fd: RawFd, events: u32, tag: u64) -> io::Result<()> {
    let mut event = libc::epoll_event { events, u64: tag };
    // SAFETY: the event is readable for the length of the call.
    match unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
