//! The connection engine: keep-alive HTTP/1.1 connections of one thread to one server, on one epoll instance.
//!
//! It has no clock, no schedule and no opinion: [`Pool::send`] puts a request on a connection with room, [`Pool::poll`]
//! waits and hands over what was answered or lost. A connection that breaks is opened again in the background; its
//! requests are handed over as [`Outcome::Lost`], never sent twice.
//!
//! Epoll rather than io_uring, because most of a request's cost here is the kernel's TCP send either way, and this one
//! also measures hosts where io_uring is disabled.

mod connection;
mod epoll;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::clock;
use crate::lab::answer::{self, Answer, Parsed};
use crate::units::Nanos;
use connection::{Connection, State};
use epoll::{Epoll, Interest};

/// Time a connection attempt may take at the start.
const CONNECT: Duration = Duration::from_secs(2);
/// Pause between two attempts to open a broken connection again, ns.
const REOPEN_NS: u64 = 100_000_000;
/// Receive buffer, bytes: longer answers arrive in pieces.
const RECEIVE: usize = 64 * 1024;
/// Events taken by one system call.
const EVENTS: usize = 32;

/// A request on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// The caller's name for it.
    pub tag: u64,
    /// When it should have been sent: what its latency counts from.
    pub intended: Nanos,
    /// When it was sent.
    pub sent: Nanos,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// It was answered.
    Answered(&'a Answer<'a>),
    /// Its connection broke, or what came back was not HTTP.
    Lost,
}

/// How long [`Pool::poll`] waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    Spin,
    /// Until something happened or this much time has passed, ns.
    For(u64),
}

/// What went wrong with connections, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Faults {
    /// Attempts to connect that failed.
    pub refused: u64,
    /// Connections that broke or were closed with requests on them.
    pub reset: u64,
    /// Connections the server closed between requests, or announced to close with an answer.
    pub closed: u64,
    /// Answers that could not be read; the connection is given up.
    pub unreadable: u64,
}

impl Faults {
    /// These and those of another pool.
    pub fn and(self, other: Faults) -> Faults {
        self.each(other, |a, b| a + b)
    }

    /// Those since `earlier`.
    pub fn since(self, earlier: Faults) -> Faults {
        self.each(earlier, |a, b| a - b)
    }

    fn each(self, other: Faults, of: impl Fn(u64, u64) -> u64) -> Faults {
        Faults {
            refused: of(self.refused, other.refused),
            reset: of(self.reset, other.reset),
            closed: of(self.closed, other.closed),
            unreadable: of(self.unreadable, other.unreadable),
        }
    }
}

/// Connections to one server.
#[derive(Debug)]
pub struct Pool {
    epoll: Epoll,
    address: SocketAddr,
    depth: usize,
    connections: Vec<Connection>,
    /// Connections with room for a request, the one unused for longest first: a server that spreads connections over
    /// cores gets its load spread too.
    free: VecDeque<u32>,
    /// Broken connections, in the order in which they may be opened again.
    broken: VecDeque<(Nanos, u32)>,
    outstanding: usize,
    input: Box<[u8]>,
    faults: Faults,
    /// What epoll told last, and how many of it are yet to be looked at.
    events: Box<[libc::epoll_event; EVENTS]>,
    pending: std::ops::Range<usize>,
}

impl Pool {
    /// Opens `connections` connections, each for up to `depth` requests at a time (more than 1 is pipelining).
    ///
    /// An error is of the last attempt, when none succeeded. Those that failed beside others are tried again by
    /// [`Pool::poll`].
    pub fn open(address: SocketAddr, connections: usize, depth: usize) -> io::Result<Pool> {
        let count = connections.max(1);
        let mut pool = Pool {
            epoll: Epoll::new()?,
            address,
            depth: depth.max(1),
            connections: Vec::with_capacity(count),
            free: VecDeque::with_capacity(count),
            broken: VecDeque::with_capacity(count),
            outstanding: 0,
            input: vec![0; RECEIVE].into_boxed_slice(),
            faults: Faults::default(),
            events: Box::new([epoll::NOTHING; EVENTS]),
            pending: 0..0,
        };
        let mut failure = None;
        for index in 0..count as u32 {
            pool.connections.push(Connection::broken(pool.depth));
            match connection::open_within(address, CONNECT).and_then(|stream| {
                pool.epoll.add(&stream, index, Interest::Read)?;
                Ok(stream)
            }) {
                Ok(stream) => {
                    pool.connections[index as usize].opened(stream);
                    pool.free.push_back(index);
                }
                Err(error) => {
                    pool.faults.refused += 1;
                    pool.broken.push_back((clock::boot().after(REOPEN_NS), index));
                    failure = Some(error);
                    // A server that is not there is not asked a thousand times.
                    if pool.free.is_empty() && index >= 2 {
                        break;
                    }
                }
            }
        }
        match failure {
            Some(error) if pool.free.is_empty() => Err(error),
            _ => Ok(pool),
        }
    }

    /// A connection has room for a request.
    #[inline]
    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Requests without an answer.
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Connections that are open.
    pub fn open_connections(&self) -> usize {
        self.connections.iter().filter(|connection| matches!(connection.state, State::Open(_))).count()
    }

    /// What went wrong so far.
    pub fn faults(&self) -> Faults {
        self.faults
    }

    /// The requests without an answer, in no order.
    pub fn flights(&self) -> impl Iterator<Item = Flight> + '_ {
        self.connections.iter().flat_map(|connection| connection.flights.iter().copied())
    }

    /// Sends a request on the connection that has been free for longest. `false` if none is free: nothing was sent.
    pub fn send(&mut self, flight: Flight, bytes: &[u8]) -> bool {
        let Some(index) = self.free.pop_front() else { return false };
        let connection = &mut self.connections[index as usize];
        debug_assert!(matches!(connection.state, State::Open(_)) && connection.flights.len() < self.depth);
        connection.flights.push_back(flight);
        self.outstanding += 1;
        if connection.flights.len() < self.depth {
            self.free.push_back(index);
        }
        let was_blocked = connection.is_blocked();
        // A failure shows again as the end of the connection when it is polled, which hands the request over as lost.
        if connection.write(bytes).is_ok() && !was_blocked && connection.is_blocked() {
            self.watch(index, Interest::ReadWrite);
        }
        true
    }

    /// Waits as told, then hands over every request that ended, with the time at which its answer was read.
    pub fn poll(&mut self, wait: Wait, mut ended: impl FnMut(Flight, Outcome<'_>, Nanos)) -> io::Result<usize> {
        let mut count = 0;
        while self.step(if count == 0 { wait } else { Wait::Spin }, &mut ended)? {
            count += 1;
            if self.pending.is_empty() {
                break;
            }
        }
        Ok(count)
    }

    /// The same for one connection at most, so that who has something to send waits for no more than one answer to be read. Asks
    /// the kernel only when all it told last has been looked at. `false` if nothing happened.
    pub fn step(&mut self, wait: Wait, mut ended: impl FnMut(Flight, Outcome<'_>, Nanos)) -> io::Result<bool> {
        if self.pending.is_empty() {
            if !self.broken.is_empty() {
                self.reopen();
            }
            self.pending = 0..self.epoll.wait(&mut self.events[..], wait)?;
        }
        let Some(at) = self.pending.next() else { return Ok(false) };
        // Connections are opened again only above, so no event is of one that had its place before.
        let (index, readiness) = epoll::read(&self.events[at]);
        if readiness.write {
            self.writable(index);
        }
        if readiness.read {
            self.readable(index, &mut ended);
        }
        Ok(true)
    }

    fn watch(&mut self, index: u32, interest: Interest) {
        if let State::Open(stream) | State::Opening(stream) = &self.connections[index as usize].state {
            // Cannot fail for a registered descriptor; if it did, the connection would end in a lost request.
            let _ = self.epoll.change(stream, index, interest);
        }
    }

    fn writable(&mut self, index: u32) {
        let connection = &mut self.connections[index as usize];
        match &connection.state {
            State::Opening(_) => match connection.finish_opening() {
                Ok(()) => {
                    self.watch(index, Interest::Read);
                    self.free.push_back(index);
                }
                Err(_) => {
                    self.faults.refused += 1;
                    self.give_up(index, &mut |_, _, _| {});
                }
            },
            State::Open(_) => {
                if connection.flush().is_ok() && !connection.is_blocked() {
                    self.watch(index, Interest::Read);
                }
            }
            State::Broken => {}
        }
    }

    fn readable(&mut self, index: u32, ended: &mut impl FnMut(Flight, Outcome<'_>, Nanos)) {
        let connection = &mut self.connections[index as usize];
        let State::Open(_) = connection.state else { return };
        let received = match connection.read(&mut self.input) {
            Ok(0) => {
                let idle = connection.flights.is_empty();
                *if idle { &mut self.faults.closed } else { &mut self.faults.reset } += 1;
                return self.give_up(index, ended);
            }
            Ok(received) => received,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return,
            Err(_) => {
                self.faults.reset += 1;
                return self.give_up(index, ended);
            }
        };
        let now = clock::boot();
        // Nearly every answer arrives whole and is read where it lies; pieces are gathered in the connection.
        let gathered = (!connection.partial.is_empty()).then(|| {
            let mut gathered = std::mem::take(&mut connection.partial);
            gathered.extend_from_slice(&self.input[..received]);
            gathered
        });
        let bytes = gathered.as_deref().unwrap_or(&self.input[..received]);
        let mut at = 0;
        while at < bytes.len() {
            match answer::parse(&bytes[at..]) {
                Parsed::Answer(answer, length) if !connection.flights.is_empty() => {
                    at += length;
                    let was_full = connection.flights.len() == self.depth;
                    if let Some(flight) = connection.flights.pop_front() {
                        self.outstanding -= 1;
                        ended(flight, Outcome::Answered(&answer), now);
                    }
                    if answer.close {
                        self.faults.closed += 1;
                        return self.give_up(index, ended);
                    }
                    if was_full {
                        self.free.push_back(index);
                    }
                }
                Parsed::Incomplete => break,
                Parsed::Broken | Parsed::Answer(..) => {
                    self.faults.unreadable += 1;
                    return self.give_up(index, ended);
                }
            }
        }
        connection.partial.clear();
        connection.partial.extend_from_slice(&bytes[at..]);
    }

    fn give_up(&mut self, index: u32, ended: &mut impl FnMut(Flight, Outcome<'_>, Nanos)) {
        let now = clock::boot();
        let connection = &mut self.connections[index as usize];
        self.free.retain(|free| *free != index);
        for flight in connection.flights.drain(..) {
            self.outstanding -= 1;
            ended(flight, Outcome::Lost, now);
        }
        connection.broke();
        self.broken.push_back((now.after(REOPEN_NS), index));
    }

    fn reopen(&mut self) {
        let now = clock::boot();
        while let Some(&(at, index)) = self.broken.front()
            && at <= now
        {
            self.broken.pop_front();
            let opening = connection::open(self.address).and_then(|stream| {
                self.epoll.add(&stream, index, Interest::Write)?;
                Ok(stream)
            });
            match opening {
                Ok(stream) => self.connections[index as usize].state = State::Opening(stream),
                Err(_) => {
                    self.faults.refused += 1;
                    self.broken.push_back((now.after(REOPEN_NS), index));
                }
            }
        }
    }
}
