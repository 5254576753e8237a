//! Between the bytes of a connection and the service: frames requests, and keeps the answers in order.

use super::answers::Answers;
use super::connection::{Arrivals, Connection, Held};
use super::{ANSWER_ROOM, Counters, Served, Service, Token};
use crate::bid::net::Conn;
use crate::limits;
use crate::units::{Nanos, Now};
use crate::wire::http::{self, Parsed, Persistence, answer};

/// The shortest answer with a bid: a 204, whatever it says of the connection, fits in its place.
const BID_BYTES: usize = 64;

/// A bid that is written and not submitted.
struct Offer {
    conn: Conn,
    at: usize,
    length: usize,
    valid_until: Nanos,
    persistence: Persistence,
}

/// Memory of one, bytes.
pub(super) const OFFER_BYTES: usize = size_of::<Offer>();

pub(super) struct Desk<S> {
    pub(super) service: S,
    pub(super) answers: Answers,
    pub(super) counters: Counters,
    /// Every answer is its connection's last.
    pub(super) draining: bool,
    /// Chunked bodies are put together here.
    scratch: Vec<u8>,
    offers: Vec<Offer>,
    /// Requests until the clock is read again.
    until_clock: u32,
}

impl<S: Service> Desk<S> {
    pub(super) fn new(service: S, answers: Answers) -> Desk<S> {
        Desk {
            service,
            answers,
            counters: Counters::default(),
            draining: false,
            scratch: Vec::with_capacity(limits::BODY_BYTES),
            offers: Vec::with_capacity(1024),
            until_clock: limits::CLOCK_EVERY,
        }
    }

    /// A turn begins, with a reading of the clock.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.until_clock = limits::CLOCK_EVERY;
    }

    /// Another request is about to be served: if there were many since the clock was read, it is read again.
    #[inline]
    fn tick(&mut self, now: &mut Now, clock: &impl Fn() -> Nanos) {
        if self.until_clock == 0 {
            self.until_clock = limits::CLOCK_EVERY;
            now.boot = clock();
        }
        self.until_clock -= 1;
    }

    /// Answers the requests in `bytes` as far as it goes, and says how many bytes need not be kept.
    pub(super) fn serve(
        &mut self,
        now: &mut Now,
        clock: impl Fn() -> Nanos,
        conn: Conn,
        connection: &mut Connection,
        bytes: &[u8],
        arrivals: Arrivals,
    ) -> usize {
        let mut at = 0;
        while at < bytes.len() && !connection.parked && !connection.last && self.make_room(connection) {
            let mut scratch = std::mem::take(&mut self.scratch);
            match http::parse(&bytes[at..], &mut connection.progress, &mut scratch) {
                Parsed::Request { mut request, consumed } => {
                    if self.draining {
                        request.persistence = Persistence::Close;
                    }
                    self.tick(now, &clock);
                    self.answer(*now, arrivals.of(at), conn, connection, &request);
                    at += consumed;
                }
                Parsed::Partial { proceed } => {
                    if proceed {
                        self.write(connection, |out| {
                            out[..answer::CONTINUE.len()].copy_from_slice(answer::CONTINUE);
                            Some(answer::CONTINUE.len())
                        });
                    }
                    self.scratch = scratch;
                    break;
                }
                Parsed::Refused(status) => {
                    self.counters.refused += 1;
                    self.write(connection, |out| answer::empty(out, status.into(), Persistence::Close));
                    connection.last = true;
                }
            }
            self.scratch = scratch;
        }
        if connection.written == 0 {
            self.release(connection);
        }
        // What follows a last request is not read.
        if connection.last { bytes.len() } else { at }
    }

    #[inline]
    fn answer(
        &mut self,
        now: Now,
        arrived: Nanos,
        conn: Conn,
        connection: &mut Connection,
        request: &http::Request<'_>,
    ) {
        self.counters.requests += 1;
        connection.progress = http::Progress::default();
        connection.active = now.boot;
        connection.asked = true;
        connection.persistence = request.persistence;
        let Some(buffer) = &connection.buffer else { return };
        let room = self.answers.room(buffer, connection.written);
        let served = self.service.request(now, arrived, Token::of(conn), request, room);
        self.book(conn, connection, served);
    }

    /// Answers a parked request; `false` if there is no room for its answer yet.
    pub(super) fn resume(
        &mut self,
        now: &mut Now,
        clock: impl Fn() -> Nanos,
        conn: Conn,
        connection: &mut Connection,
    ) -> bool {
        if !self.make_room(connection) {
            connection.held = Held::No;
            return false;
        }
        self.tick(now, &clock);
        let now = *now;
        let Some(buffer) = &connection.buffer else { return false };
        let room = self.answers.room(buffer, connection.written);
        let served = self.service.resume(now, Token::of(conn), room);
        connection.parked = false;
        connection.active = now.boot;
        self.book(conn, connection, served);
        if connection.written == 0 {
            self.release(connection);
        }
        true
    }

    /// Takes down what the service did.
    #[inline]
    pub(super) fn book(&mut self, conn: Conn, connection: &mut Connection, served: Served) {
        let length = match served {
            Served::Done(length) => length,
            Served::Shed(length) => {
                self.counters.shed += 1;
                length
            }
            Served::Bid { length, valid_until } => {
                assert!(length >= BID_BYTES, "a bid of {length} bytes");
                let persistence = connection.persistence;
                self.offers.push(Offer { conn, at: connection.written, length, valid_until, persistence });
                length
            }
            Served::Parked => {
                connection.parked = true;
                return;
            }
        };
        assert!(length <= limits::ANSWER_BUFFER - connection.written, "an answer beyond its room");
        self.counters.answered += 1;
        connection.written += length;
        connection.last = connection.persistence == Persistence::Close;
    }

    /// Answers 408 instead of what does not come whole, as the connection's last; `false` if there is no room to say so.
    pub(super) fn time_out(&mut self, connection: &mut Connection) -> bool {
        if !self.make_room(connection) {
            return false;
        }
        self.write(connection, |out| answer::empty(out, answer::Empty::RequestTimeout, Persistence::Close));
        connection.last = true;
        true
    }

    /// Makes sure that there is room for an answer; otherwise the connection is held.
    #[inline]
    pub(super) fn make_room(&mut self, connection: &mut Connection) -> bool {
        connection.held = Held::No;
        if connection.buffer.is_none() {
            connection.buffer = self.answers.take();
            if connection.buffer.is_none() {
                connection.held = Held::Buffer;
                return false;
            }
        }
        if limits::ANSWER_BUFFER - connection.written < ANSWER_ROOM {
            connection.held = Held::Room;
            return false;
        }
        true
    }

    /// Gives the answer buffer back.
    #[inline]
    pub(super) fn release(&mut self, connection: &mut Connection) {
        assert!(!connection.in_flight, "the kernel still reads this buffer");
        (connection.sent, connection.submitted, connection.written) = (0, 0, 0);
        if let Some(buffer) = connection.buffer.take() {
            self.answers.give_back(buffer);
        }
    }

    fn write(&mut self, connection: &mut Connection, write: impl FnOnce(&mut [u8]) -> Option<usize>) {
        if let Some(buffer) = &connection.buffer {
            connection.written += write(self.answers.room(buffer, connection.written)).unwrap_or(0);
        }
    }

    #[inline]
    pub(super) fn has_offers(&self) -> bool {
        !self.offers.is_empty()
    }

    /// Replaces each bid whose time has passed, and that the kernel does not have, by a 204.
    pub(super) fn withdraw(&mut self, now: Now, connections: &mut [Connection]) {
        // From the last to the first, so that moving what follows one does not move those still to be looked at.
        for index in (0..self.offers.len()).rev() {
            let Offer { conn, at, length, valid_until, persistence } = self.offers[index];
            let connection = &mut connections[conn.index as usize];
            if valid_until >= now.boot || connection.generation != conn.generation || !connection.open {
                continue;
            }
            let Some(buffer) = &connection.buffer else { continue };
            assert!(at >= connection.submitted, "a bid that the kernel has");
            let bytes = self.answers.room(buffer, at);
            let Some(plain) = answer::no_content(&mut bytes[..length], persistence) else { continue };
            bytes.copy_within(length..connection.written - at, plain);
            connection.written -= length - plain;
            // Later bids of this connection that stay moved with their bytes.
            for later in self.offers[index + 1..].iter_mut().filter(|later| later.conn == conn) {
                later.at -= length - plain;
            }
            // Nothing is left to withdraw.
            self.offers[index].valid_until = Nanos::NEVER;
            self.counters.withdrawn += 1;
            self.service.withdrawn(now);
        }
    }

    /// Forgets the bids the kernel has, and those of connections that are gone.
    #[inline]
    pub(super) fn forget_submitted(&mut self, connections: &[Connection]) {
        if self.offers.is_empty() {
            return;
        }
        self.offers.retain(|offer| {
            let connection = &connections[offer.conn.index as usize];
            connection.generation == offer.conn.generation
                && connection.open
                && offer.at >= connection.submitted
                && connection.written > offer.at
        });
    }
}
