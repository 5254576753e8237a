//! epoll, for hosts without io_uring: edge-triggered, registered once per connection.
//!
//! Sockets with something to be read stand in the intake and are read when the loop asks for the next event, one receive per connection
//! and turn, so that one buffer, warm in the cache, serves them all, and a connection that never falls silent cannot hold the turn.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::arrival::Gathers;
use super::intake::Intake;
use super::steer::receiving_cpu;
use super::table::{GENERATION, Table};
use super::{
    Class, Conn, EXHAUSTED_NS, Gathered, Happened, Listener, Net, Received, Region, SPIN_NS, Waiting, throw_away_unsent,
};
use crate::clock;
use crate::limits;
use crate::ring::wake::Wakeup;
use crate::units::Nanos;

/// Events taken from the kernel at a time.
const EVENTS: usize = 256;
/// Connections accepted in one turn, so that a storm of them does not hold up requests.
const ACCEPTS: usize = 64;
/// A wait that was over so soon may not have slept, ns: the kernel does not say. Handing out its events takes as long at most.
const AWAKE_NS: u64 = 20_000;
/// What a socket may hold, bytes: what the kernel makes of [`limits::SOCKET_RECEIVE_BYTES`].
const HELD: usize = 2 * limits::SOCKET_RECEIVE_BYTES;
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
    class: Class,
    unread: Unread,
    /// The end was told.
    ended: bool,
    /// A send that waits for room.
    unsent: Option<*const [u8]>,
}

/// What there may be to read.
#[derive(Clone, Copy)]
struct Unread {
    /// None of it came before.
    since: Nanos,
    /// None of what follows the next `left` bytes came before this.
    mark: Nanos,
    left: usize,
}

impl Unread {
    /// From a socket that was empty at `since`, and is looked at now.
    fn from(since: Nanos, now: Nanos) -> Unread {
        Unread { since, mark: now, left: HELD }
    }

    /// So many bytes were read, and there may be more.
    fn read(&mut self, bytes: usize, now: Nanos) {
        self.left = self.left.saturating_sub(bytes);
        if self.left == 0 {
            *self = Unread::from(self.mark, now);
        }
    }
}
/// Memory of one connection, bytes, with its places in the intake and in the queue of sends that are done.
pub(super) const CONNECTION_BYTES: usize =
    Table::<Socket>::PLACE_BYTES + Intake::PLACE_BYTES + size_of::<(Conn, usize)>();

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
    gathers: Gathers,
    /// Sockets to be read.
    intake: Intake,
    /// Those that were read in this turn, and have more.
    again: Vec<Conn>,
    /// Sockets to be read in a turn, and in what is left of this one.
    bound: usize,
    left: usize,
    /// When this turn began.
    now: Nanos,
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
            gathers: Gathers::new(clock::boot()),
            intake: Intake::new(places),
            again: Vec::with_capacity(limits::RECEIVE_BUFFERS),
            bound: limits::RECEIVE_BUFFERS,
            left: 0,
            now: Nanos(0),
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
                if !socket.readable && (gone || event.events & libc::EPOLLIN as u32 != 0) {
                    socket.readable = true;
                    socket.unread = Unread::from(self.gathers.since, self.now);
                }
                let unsent = socket.unsent;
                self.queue(conn);
                if let Some(bytes) = unsent.filter(|_| gone || event.events & libc::EPOLLOUT as u32 != 0) {
                    // SAFETY: the caller of `send` vouches for the bytes until the send is done.
                    return unsafe { self.try_send(conn, bytes) }.map(|sent| Happened::Sent(conn, sent));
                }
            }
        }
        None
    }

    /// Queues a socket to be read, if there is something to read and reading is wanted.
    fn queue(&mut self, conn: Conn) {
        let Some(socket) = self.sockets.get(conn) else { return };
        if socket.readable && socket.wanted && !socket.ended {
            self.intake.push(conn, socket.class, socket.unread.since);
        }
    }

    fn read(&mut self, conn: Conn, since: Nanos) -> Option<Happened> {
        let socket = self.sockets.get(conn)?;
        let Some(buffer) = self.free.pop() else {
            self.again.push(conn);
            return None;
        };
        let size = self.memory.size();
        // SAFETY: the buffer is nobody's, as it was free, and writable for `size` bytes.
        let result =
            unsafe { libc::recv(socket.fd.as_raw_fd(), self.memory.start(buffer).cast(), size, libc::MSG_DONTWAIT) };
        if result > 0 {
            // Less than was asked for: the socket was empty, and the next bytes make an edge.
            socket.readable = result as usize == size || socket.hung_up;
            if socket.readable {
                socket.unread.read(result as usize, self.now);
                self.again.push(conn);
            }
            return Some(Happened::Received(conn, Received { buffer, length: result as u32, since }));
        }
        self.free.push(buffer);
        if result < 0 {
            match io::Error::last_os_error().kind() {
                io::ErrorKind::WouldBlock => {
                    socket.readable = false;
                    return None;
                }
                io::ErrorKind::Interrupted => {
                    self.again.push(conn);
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
        let socket = Socket {
            fd,
            readable: false,
            hung_up: false,
            wanted: true,
            class: Class::default(),
            unread: Unread::from(self.gathers.since, self.now),
            ended: false,
            unsent: None,
        };
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
    fn wait(&mut self, now: Nanos, until: Nanos) -> io::Result<Gathered> {
        let mut until = until;
        while let Some(conn) = self.again.pop() {
            self.queue(conn);
        }
        if self.accept_at != Nanos::NEVER {
            if now >= self.accept_at {
                self.accept_at = Nanos::NEVER;
                self.acceptable = true;
            } else {
                until = until.min(self.accept_at);
            }
        }
        let kept = self.gathers.was_kept();
        let busy =
            kept || !self.intake.is_empty() || !self.done.is_empty() || (self.acceptable && self.listener.is_some());
        let left = |now| if until == Nanos::NEVER { u64::MAX } else { until.since(now) };
        let mut slept = false;
        if busy {
            self.take(0)?;
        } else if self.waiting == Waiting::Block {
            self.take(left(now))?;
            slept = clock::boot().since(now) > AWAKE_NS;
        } else {
            let spin = if self.waiting == Waiting::Spin { until } else { until.min(now.after(SPIN_NS)) };
            self.take(0)?;
            slept = self.count == 0;
            while self.count == 0 && clock::boot() < spin {
                std::hint::spin_loop();
                self.take(0)?;
            }
            if self.count == 0 && self.waiting == Waiting::Hybrid {
                self.take(left(clock::boot()))?;
            }
        }
        self.left = self.bound;
        self.accepts = ACCEPTS;
        self.now = clock::boot();
        self.gathers.begin();
        // Events that did not fit are taken while the turn looks at these.
        Ok(self.gathers.end(Gathered { at: self.now, slept }, true))
    }

    fn kept(&mut self, from: Nanos) {
        self.gathers.kept(from);
    }

    fn bound(&mut self, reads: usize) {
        self.bound = reads.clamp(1, limits::RECEIVE_BUFFERS);
    }

    #[inline]
    fn served(&mut self, conn: Conn, class: Class, requests: u32) {
        if let Some(socket) = self.sockets.get(conn) {
            self.intake.served(&mut socket.class, class, requests);
        }
    }

    fn waiting(&self) -> usize {
        self.intake.len()
    }

    fn next(&mut self) -> Option<Happened> {
        if let Some((conn, sent)) = self.done.pop_front() {
            return Some(Happened::Sent(conn, sent));
        }
        loop {
            while self.seen < self.count {
                self.seen += 1;
                let happened = self.note(self.events[self.seen - 1]);
                if happened.is_some() {
                    return happened;
                }
            }
            // There may be more than fitted. A call that fails shows in the next wait.
            if self.count < EVENTS || self.take(0).is_err() {
                break;
            }
        }
        while self.acceptable && self.accepts > 0 && self.listener.is_some() {
            self.accepts -= 1;
            let happened = self.accept();
            if happened.is_some() {
                return happened;
            }
        }
        while self.left > 0 {
            self.left -= 1;
            let Some((conn, since)) = self.intake.pop(self.now) else { break };
            let happened = self.read(conn, since);
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
        self.intake.remove(conn);
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
        self.intake.remove(conn);
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

    fn receiving_cpu(&mut self, conn: Conn) -> Option<usize> {
        receiving_cpu(self.sockets.get(conn)?.fd.as_raw_fd())
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
