//! What a core knows of one connection.

use super::answers::Buffer;
use super::inputs::Input;
use crate::bid::net::Class;
use crate::units::Nanos;
use crate::wire::http::{Persistence, Progress};

/// Why a connection's input waits though no request of it is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// It does not.
    No,
    /// No answer buffer is free.
    Buffer,
    /// Its answer buffer is full until its peer reads.
    Room,
}

/// One connection.
pub(super) struct Connection {
    pub(super) generation: u32,
    pub(super) open: bool,
    /// A request waits for [`super::Service::resume`].
    pub(super) parked: bool,
    /// Reading is paused.
    pub(super) paused: bool,
    /// The peer will send no more.
    pub(super) ended: bool,
    /// No further request is read: the last answer is written or under way.
    pub(super) last: bool,
    /// All is sent, and the peer was told; it may still be sending.
    pub(super) lingering: bool,
    /// In the queue for an answer buffer.
    pub(super) starved: bool,
    /// Its place stands in the queue of those that are looked at, also once the connection is gone.
    pub(super) watched: bool,
    /// A request of it was framed.
    pub(super) asked: bool,
    /// In the list of answers to submit.
    pub(super) dirty: bool,
    /// The kernel has `sent..submitted` of the answer buffer.
    pub(super) in_flight: bool,
    pub(super) held: Held,
    /// Of its last request.
    pub(super) class: Class,
    /// Of the parked request.
    pub(super) persistence: Persistence,
    pub(super) progress: Progress,
    /// The answer buffer: `0..sent` is sent, `..submitted` was given to the kernel, `..written` is written.
    pub(super) buffer: Option<Buffer>,
    pub(super) sent: usize,
    pub(super) submitted: usize,
    pub(super) written: usize,
    /// Bytes thrown away while lingering.
    pub(super) discarded: usize,
    /// When a request was last framed, or an answer last sent.
    pub(super) active: Nanos,
    pub(super) input: Input,
}

impl Connection {
    pub(super) fn new(generation: u32, now: Nanos) -> Connection {
        Connection { generation, open: true, active: now, ..Connection::vacant() }
    }

    pub(super) fn vacant() -> Connection {
        Connection {
            generation: 0,
            open: false,
            parked: false,
            paused: false,
            ended: false,
            last: false,
            lingering: false,
            starved: false,
            watched: false,
            asked: false,
            dirty: false,
            in_flight: false,
            held: Held::No,
            class: Class::default(),
            persistence: Persistence::Keep,
            progress: Progress::default(),
            buffer: None,
            sent: 0,
            submitted: 0,
            written: 0,
            discarded: 0,
            active: Nanos(0),
            input: Input::default(),
        }
    }

    /// Whether the next request may be read.
    #[inline]
    pub(super) fn reads_on(&self) -> bool {
        !self.parked && !self.last && self.held == Held::No
    }

    /// Whether nothing is under way in either direction.
    pub(super) fn is_quiet(&self) -> bool {
        self.input.is_empty() && self.buffer.is_none() && !self.parked && !self.lingering
    }
}

/// When the bytes of an input came, at the earliest: those from `newest_from` on at `newest`, those before at `first` or later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrivals {
    pub(super) first: Nanos,
    pub(super) newest: Nanos,
    pub(super) newest_from: usize,
}

impl Arrivals {
    /// All at once.
    pub(super) fn at(since: Nanos) -> Arrivals {
        Arrivals { first: since, newest: since, newest_from: 0 }
    }

    /// When the byte at `at` came, or earlier: a request is never taken for younger than it is.
    #[inline]
    pub(super) fn of(&self, at: usize) -> Nanos {
        if at >= self.newest_from { self.newest } else { self.first }
    }
}
