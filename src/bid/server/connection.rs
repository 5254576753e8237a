//! What a core knows of one connection.

use super::answers::Buffer;
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
    first: Nanos,
    newest: Nanos,
    newest_from: usize,
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

/// Input that is not consumed yet: a request in pieces, or requests that wait. Empty, it has no memory.
#[derive(Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    start: usize,
    first: Nanos,
    newest: Nanos,
    /// Counted from `start`.
    newest_from: usize,
}

impl Input {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// What is not consumed, and when it came.
    pub(super) fn unread(&self) -> (&[u8], Arrivals) {
        let arrivals = Arrivals { first: self.first, newest: self.newest, newest_from: self.newest_from };
        (&self.bytes[self.start..], arrivals)
    }

    /// Bytes that came since `since`.
    pub(super) fn append(&mut self, bytes: &[u8], since: Nanos, inputs: &mut Inputs) {
        if self.bytes.capacity() == 0 {
            self.bytes = inputs.take();
        }
        if self.is_empty() {
            self.first = since;
        }
        // What was consumed makes room once it is the larger part, so that no byte moves more than once on average.
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.newest = since;
        self.newest_from = self.bytes.len() - self.start;
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn consume(&mut self, count: usize, inputs: &mut Inputs) {
        self.start += count;
        assert!(self.start <= self.bytes.len());
        self.newest_from = self.newest_from.saturating_sub(count);
        if self.newest_from == 0 {
            self.first = self.newest;
        }
        if self.is_empty() {
            self.clear(inputs);
        }
    }

    pub(super) fn clear(&mut self, inputs: &mut Inputs) {
        if self.bytes.capacity() > 0 {
            inputs.give_back(std::mem::take(&mut self.bytes));
        }
        self.start = 0;
    }
}

/// Memory for inputs, used again.
#[derive(Default)]
pub(super) struct Inputs(Vec<Vec<u8>>);

impl Inputs {
    /// Memory a new input begins with, bytes; memory that had to grow beyond it is not kept. All but freaks fit, so a warm
    /// core allocates for none of them, and what is not written to is not resident.
    const ROOM: usize = 64 * 1024;
    /// How many are kept.
    const COUNT: usize = 256;

    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_else(|| Vec::with_capacity(Self::ROOM))
    }

    fn give_back(&mut self, mut bytes: Vec<u8>) {
        if bytes.capacity() < 2 * Self::ROOM && self.0.len() < Self::COUNT {
            bytes.clear();
            self.0.push(bytes);
        }
    }
}
