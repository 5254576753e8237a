//! The loop of a bid core: wait, drain what happened, frame, call the service, answer, once around and again.
//!
//! * One clock reading when a turn begins and one when it ends; in a long turn one more every few requests
//!   ([`limits::CLOCK_EVERY`]), and one before answers that bid are handed to the kernel.
//! * A turn reads no more than it can answer in half of [`limits::QUEUE_NS`]; who is beyond that waits in the intake of [`Net`].
//! * A request that lies whole in a receive buffer is read there; only what is cut is copied.
//! * Answers of one connection go out in the order of its requests, however long one of them is parked.
//! * A connection whose peer does not read, or that finds no answer buffer free, is not read from: its peer waits in TCP.

mod alarm;
mod answers;
mod connection;
mod desk;
mod inputs;
mod meter;
mod pace;
mod patience;
mod pressure;
mod run;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;

use super::alarm::Bell;
use super::net::{self, Class, Conn, Happened, Net, Received};
use crate::clock;
use crate::limits;
use crate::metrics::stalls::Round;
use crate::units::{Nanos, Now};
use crate::usdt;
use crate::wire::http;

use answers::Answers;
use connection::{Connection, Held};
use desk::Desk;
use inputs::Inputs;
use meter::{Kept, Meter, Work};
use pace::Pace;
use patience::SWEEP_NS;

pub use run::{Backend, CoreNet, run_core};

/// Room an answer is given at least: a bid's markup and its notice URLs, escaped, with the envelope. An answer that needs
/// more than the service was given is the service's to refuse.
pub const ANSWER_ROOM: usize = limits::BID_BYTES;
/// How long a connection that was told to go is read from, so that its last answer is not lost to a reset, ns.
const LINGER_NS: u64 = 2 * Nanos::SECOND;
/// And how much of what it still sends is thrown away, bytes.
const LINGER_BYTES: usize = 8 * limits::BODY_BYTES;
/// When a drain begins, how long idle connections may still deliver a request that is on its way, ns; and how often it is
/// looked whether it is over.
const DRAIN_STEP_NS: u64 = 20 * Nanos::MS;
/// While draining, how long a peer may take to close after its last answer, ns.
const DRAIN_LINGER_NS: u64 = 200 * Nanos::MS;

/// What a core takes for input that is not consumed, bytes.
pub const INPUT_BYTES: usize = inputs::BYTES;
/// What a loop and its backend take for one connection beside its input and answers, bytes.
pub const CONNECTION_BYTES: usize = size_of::<Connection>() + size_of::<Watched>() + net::CONNECTION_BYTES
    // Its entries in the lists of those to submit, to read on, and to be given an answer buffer.
    + 4 * size_of::<Conn>();

/// Memory of a bid that is written and not submitted, bytes.
pub const OFFER_BYTES: usize = desk::OFFER_BYTES;

const _: () = assert!(ANSWER_ROOM + http::answer::LONGEST_EMPTY < limits::ANSWER_BUFFER);

/// Names a parked request: its connection and that connection's generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u64);

impl Token {
    fn of(conn: Conn) -> Token {
        Token(u64::from(conn.generation) << 32 | u64::from(conn.index))
    }

    /// The place of its connection in the core's table, below [`limits::CONNECTIONS`].
    pub fn index(self) -> usize {
        self.0 as u32 as usize
    }

    fn conn(self) -> Conn {
        Conn { index: self.0 as u32, generation: (self.0 >> 32) as u32 }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// Answered with this many bytes.
    Done(usize),
    /// Answered with a bid that must not reach the kernel after `valid_until`.
    Bid {
        /// Bytes written, at least 64: a 204 must fit in their place.
        length: usize,
        /// The last moment at which it may be submitted.
        valid_until: Nanos,
    },
    /// Answered with this many bytes, and not read: it came too late. It says nothing of how long a request takes.
    Shed(usize),
    /// To be answered by [`Service::resume`]. The connection's later requests wait.
    Parked,
}

/// What the loop does after [`Service::turn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Goes on.
    Continue,
    /// Stops accepting, answers what is framed, and returns.
    Drain,
}

/// What answers the requests of a core. It reads no clock and no socket.
pub trait Service {
    /// Answers one request into `response`, which has [`ANSWER_ROOM`] bytes or more. `arrived` is the earliest moment at which its
    /// first byte may have come ([`super::net::Received`]). A request with [`http::Persistence::Close`] must be answered so.
    fn request(
        &mut self,
        now: Now,
        arrived: Nanos,
        token: Token,
        request: &http::Request<'_>,
        response: &mut [u8],
    ) -> Served;

    /// Whose request was the last that [`Service::request`] was given.
    fn class(&self) -> Class {
        Class::default()
    }

    /// A turn begins.
    fn began(&mut self) {}

    /// The answers of this turn, if there were any, are ready for the kernel, which takes them with the wait that follows.
    fn submitted(&mut self, _now: Nanos) {}

    /// Once per turn: drains orders, expires, and names the parked requests that can be answered now.
    fn turn(&mut self, now: Now, counters: &Counters, ready: &mut Vec<Token>) -> Turn;

    /// Answers a parked request into `response`, which has [`ANSWER_ROOM`] bytes or more. [`Served::Parked`]: not yet.
    fn resume(&mut self, now: Now, token: Token, response: &mut [u8]) -> Served;

    /// Answers a parked request, because the process ends before it could be resumed. What parks nothing need not say anything.
    fn abandon(&mut self, now: Now, token: Token, response: &mut [u8]) -> Served {
        self.resume(now, token, response)
    }

    /// The connection of a parked request is gone: it need not be answered.
    fn forget(&mut self, token: Token);

    /// A bid was replaced by a 204, because its time had passed before it could be submitted.
    fn withdrawn(&mut self, now: Now);

    /// The loop was kept away from `from` to `to`: a stretch of a turn that took longer than its requests explain, or a wait that
    /// ended too late. Told as soon as it is known.
    fn stalled(&mut self, _from: Nanos, _to: Nanos) {}

    /// Once more around, after the answers went out.
    fn turned(&mut self, _round: &Round) {}

    /// [`Service::turn`] is wanted by then.
    fn wake_at(&self, now: Now) -> Nanos;
}

/// What a loop has done since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Turns of the loop.
    pub turns: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Of those that are steered, received by this core's own CPU when they were accepted.
    pub steered_home: u64,
    /// And by another.
    pub steered_astray: u64,
    /// Connections closed, by whichever side.
    pub closed: u64,
    /// Of those, for having been idle.
    pub idled: u64,
    /// Of those, for not having read their answers.
    pub unread: u64,
    /// Of those, silent ones that made room for others.
    pub crowded: u64,
    /// Connections closed as they came, because there was no place for them.
    pub turned_away: u64,
    /// Requests that did not come whole in time, answered 408.
    pub timed_out: u64,
    /// Inputs given up because others needed their memory.
    pub pressed: u64,
    /// Requests framed.
    pub requests: u64,
    /// Requests answered by the service.
    pub answered: u64,
    /// Of those, unread: they came too late.
    pub shed: u64,
    /// Streams refused for their framing.
    pub refused: u64,
    /// Bytes received.
    pub received: u64,
    /// Times the kernel had no receive buffer and had to be asked again.
    pub rearmed: u64,
    /// Times reading from a connection was paused.
    pub paused: u64,
    /// Times a connection found no answer buffer free.
    pub starved: u64,
    /// Bids replaced by a 204 before submission.
    pub withdrawn: u64,
    /// Answers of parked requests that nobody waits for any more.
    pub forgotten: u64,
    /// Connections that have something to be read, now, and wait for their turn.
    pub waiting: u64,
}

/// The loop of one core.
pub struct Server<N: Net, S: Service> {
    // Dropped first: the kernel must let go of the answers.
    net: N,
    desk: Desk<S>,
    connections: Vec<Connection>,
    inputs: Inputs,
    /// Connections with answers to submit.
    dirty: Vec<Conn>,
    /// Connections that can read on in their kept input, in order.
    freed: VecDeque<Conn>,
    /// Connections that wait for an answer buffer, in order.
    starved: VecDeque<Conn>,
    /// Parked requests that can be answered.
    ready: Vec<Token>,
    /// Every place that has a connection, in the order in which it is looked at for having been idle.
    watch: VecDeque<Watched>,
    /// When it is looked whose request or answer takes too long.
    sweep_at: Nanos,
    /// When silent connections are looked for next, if places are short.
    crowd_at: Nanos,
    /// A send completed since this was last cleared.
    moved: bool,
    open: usize,
    core: CoreNet,
    drain: Option<Drain>,
    now: Now,
    pace: Pace,
    meter: Meter,
}

/// A place in the table of connections, and when it is looked at.
struct Watched {
    index: u32,
    look: Nanos,
}

struct Drain {
    until: Nanos,
    look: Nanos,
}

impl<N: Net, S: Service> Server<N, S> {
    /// A loop over the connections of `net`, which has `core.connections` places.
    ///
    /// # Errors
    /// The kernel gives no memory for the answer buffers.
    pub fn new(net: N, service: S, core: &CoreNet) -> io::Result<Server<N, S>> {
        let now = Now { boot: net.clock(), ..clock::now() };
        Ok(Server {
            net,
            desk: Desk::new(service, Answers::map()?),
            // What is not written to is not resident.
            connections: Vec::with_capacity(core.connections),
            inputs: Inputs::new(),
            dirty: Vec::with_capacity(1024),
            freed: VecDeque::with_capacity(1024),
            starved: VecDeque::with_capacity(1024),
            ready: Vec::with_capacity(1024),
            watch: VecDeque::with_capacity(core.connections),
            sweep_at: Nanos::NEVER,
            crowd_at: Nanos(0),
            moved: false,
            open: 0,
            core: *core,
            drain: None,
            now,
            pace: Pace::default(),
            meter: Meter::new(now.boot),
        })
    }

    /// What the loop has done.
    pub fn counters(&self) -> Counters {
        self.desk.counters
    }

    /// The service.
    pub fn service(&self) -> &S {
        &self.desk.service
    }

    /// Runs until the service asked for a drain and it is over.
    ///
    /// # Errors
    /// What the kernel says when waiting fails, which it does not do for a connection's sake.
    pub fn run(&mut self) -> io::Result<()> {
        while self.turn()? {}
        Ok(())
    }

    /// One turn; `false` when a drain is over.
    ///
    /// # Errors
    /// As [`Server::run`].
    pub fn turn(&mut self) -> io::Result<bool> {
        let mut until = self.desk.service.wake_at(self.now).min(self.look_at());
        if let Some(drain) = &self.drain {
            until = until.min(drain.look);
        }
        let until = self.meter.rest(until, self.open > 0);
        self.net.bound(self.pace.reads());
        let gathered = self.net.wait(self.meter.last(), until)?;
        self.pace.begin(gathered);
        self.now = Now { boot: gathered.at, wall: clock::wall() };
        usdt::turn_begins(gathered.at);
        let late = self.meter.woke(self.now.boot);
        self.kept(late);
        self.desk.begin();
        self.desk.service.began();
        self.desk.counters.turns += 1;
        self.desk.counters.rearmed = self.net.rearmed();
        self.desk.counters.turned_away = self.net.turned_away();
        self.desk.counters.waiting = self.net.waiting() as u64;
        let Counters { answered, shed, .. } = self.desk.counters;
        if let Some(bell) = self.core.bell.filter(Bell::rings) {
            self.heed(bell)?;
        }

        // What is not looked at before the turn is over is the next one's.
        while !self.pace.is_over(self.now.boot)
            && let Some(happened) = self.net.next()
        {
            match happened {
                Happened::Received(conn, received) => self.received(conn, received),
                Happened::Sent(conn, sent) => self.sent(conn, sent),
                Happened::Accepted(conn) => self.accepted(conn),
                Happened::Ended(conn) => self.ended(conn),
                Happened::Woken => {}
            }
        }
        let turn = self.desk.service.turn(self.now, &self.desk.counters, &mut self.ready);
        self.advance();
        self.close_idle();
        let goes_on = self.drained(turn);
        let ended = self.net.clock();
        self.pace.end(ended, self.desk.counters.shed - shed);
        self.look(ended);
        if self.desk.counters.answered > answered {
            self.desk.service.submitted(ended);
        }
        self.desk.service.turned(&self.meter.round());
        usdt::turn_ends(ended);
        Ok(goes_on)
    }

    /// The clock was read again.
    fn look(&mut self, now: Nanos) {
        let Counters { requests, answered, shed, .. } = self.desk.counters;
        let kept = self.meter.look(now, Work { requests: requests - shed, answered: answered - shed });
        self.kept(kept);
    }

    /// The same, if the desk has read it within this turn: what is answered next is to know of a stall by then.
    #[inline]
    fn look_again(&mut self) {
        if self.now.boot > self.meter.last() {
            self.look(self.now.boot);
        }
    }

    fn kept(&mut self, kept: Option<Kept>) {
        if let Some((from, to)) = kept {
            self.net.kept(from);
            self.desk.service.stalled(from, to);
        }
    }

    /// Answers what waited and can go on, and submits all answers, until nobody waits for what has become free.
    fn advance(&mut self) {
        // Where sending is done at once, a long pipeline could go on for as long as its peer reads: each has one answer buffer in
        // a turn, and then others are heard.
        for _ in 0..self.freed.len() {
            let Some(conn) = self.freed.pop_front() else { break };
            self.read_on(conn);
        }
        loop {
            self.moved = false;
            self.resume_ready();
            while self.desk.answers.any_free() {
                let Some(conn) = self.starved.pop_front() else { break };
                if let Some(connection) = live(&mut self.connections, conn) {
                    connection.starved = false;
                    connection.held = Held::No;
                    self.read_on(conn);
                }
            }
            self.submit();
            let waiting = !self.ready.is_empty() || !self.starved.is_empty();
            if !(self.moved && waiting) {
                return;
            }
        }
    }

    fn accepted(&mut self, conn: Conn) {
        let index = conn.index as usize;
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, Connection::vacant);
        }
        // A place that is still in the queue is not put there again, so that a storm of connections does not fill it.
        let watched = self.connections[index].watched;
        self.connections[index] = Connection { watched: true, ..Connection::new(conn.generation, self.now.boot) };
        self.open += 1;
        self.desk.counters.accepted += 1;
        if let Some(own) = self.core.steered_from
            && let Some(cpu) = self.net.receiving_cpu(conn)
        {
            let Counters { steered_home, steered_astray, .. } = &mut self.desk.counters;
            *if cpu == own { steered_home } else { steered_astray } += 1;
        }
        if !watched {
            self.watch.push_back(Watched { index: conn.index, look: self.now.boot.after(self.watch_ns()) });
        }
    }

    fn received(&mut self, conn: Conn, received: Received) {
        self.pace.read();
        let bytes = self.net.bytes(&received);
        let since = self.meter.unread_since(received.since);
        self.desk.counters.received += bytes.len() as u64;
        let Some(connection) = live(&mut self.connections, conn) else { return self.net.recycle(received) };
        if connection.last {
            connection.discarded += bytes.len();
            let enough = connection.discarded > LINGER_BYTES;
            self.net.recycle(received);
            if enough {
                self.close(conn);
            }
            return;
        }
        if connection.input.is_empty() && connection.reads_on() {
            let arrived = connection::Arrivals::at(since);
            let before = self.desk.counters.requests;
            let consumed = self.desk.serve(&mut self.now, || self.net.clock(), conn, connection, bytes, arrived);
            if consumed < bytes.len() {
                self.keep(conn, &received, consumed);
            }
            self.net.recycle(received);
            self.look_again();
            self.classify(conn, before);
            if live(&mut self.connections, conn).is_some() {
                self.settle(conn);
            }
        } else {
            self.keep(conn, &received, 0);
            self.net.recycle(received);
            self.read_on(conn);
        }
    }

    /// Reads on in the input a connection kept.
    fn read_on(&mut self, conn: Conn) {
        let Some(connection) = live(&mut self.connections, conn) else {
            return;
        };
        if connection.reads_on() && !connection.input.is_empty() {
            let mut input = std::mem::take(&mut connection.input);
            let (bytes, arrivals) = input.unread(&self.inputs);
            let before = self.desk.counters.requests;
            let consumed = self.desk.serve(&mut self.now, || self.net.clock(), conn, connection, bytes, arrivals);
            input.consume(consumed, conn, self.now.boot, &mut self.inputs);
            connection.input = input;
            self.look_again();
            self.classify(conn, before);
        }
        self.settle(conn);
    }

    /// Tells the intake whose requests a connection brings, and that it brought several. `before`: requests framed until then.
    #[inline]
    fn classify(&mut self, conn: Conn, before: u64) {
        let requests = self.desk.counters.requests - before;
        let class = self.desk.service.class();
        let connection = &mut self.connections[conn.index as usize];
        if requests > 1 || (requests == 1 && connection.class != class) {
            connection.class = class;
            self.net.served(conn, class, requests as u32);
            // Whether the turn is over is asked next.
            self.now.boot = self.net.clock();
        }
    }

    fn ended(&mut self, conn: Conn) {
        if let Some(connection) = live(&mut self.connections, conn) {
            connection.ended = true;
            self.settle(conn);
        }
    }

    fn sent(&mut self, conn: Conn, sent: usize) {
        let now = self.now.boot;
        let Some(connection) =
            self.connections.get_mut(conn.index as usize).filter(|connection| connection.generation == conn.generation)
        else {
            return;
        };
        self.moved = true;
        connection.in_flight = false;
        if let Some(buffer) = &connection.buffer {
            self.desk.answers.taken(buffer);
        }
        if !connection.open {
            self.desk.release(connection);
            return;
        }
        if sent == 0 {
            return self.close(conn);
        }
        connection.active = now;
        connection.sent += sent;
        assert!(connection.sent <= connection.submitted, "more was sent than submitted");
        if connection.sent == connection.written {
            self.desk.release(connection);
        }
        if connection.held == Held::Room {
            connection.held = Held::No;
            self.freed.push_back(conn);
        } else {
            self.settle(conn);
        }
    }

    /// After anything changed: submits, pauses, resumes and closes what this asks for.
    fn settle(&mut self, conn: Conn) {
        let connection = &mut self.connections[conn.index as usize];
        if connection.written > connection.sent && !connection.in_flight && !connection.dirty {
            connection.dirty = true;
            self.dirty.push(conn);
        }
        if connection.held == Held::Buffer && !connection.starved {
            connection.starved = true;
            self.desk.counters.starved += 1;
            self.starved.push_back(conn);
        }
        if connection.last {
            connection.input.clear(&mut self.inputs);
        }
        let hold = !connection.reads_on() && !connection.input.is_empty();
        if hold != connection.paused {
            connection.paused = hold;
            if hold {
                self.desk.counters.paused += 1;
                self.net.pause(conn);
            } else {
                self.net.resume(conn);
            }
        }
        if !(connection.last || connection.ended) || connection.buffer.is_some() || connection.parked {
            return;
        }
        if connection.ended && !hold {
            self.close(conn);
        } else if connection.last && !connection.lingering {
            connection.lingering = true;
            connection.active = self.now.boot;
            self.net.shut(conn);
        }
    }

    fn resume_ready(&mut self) {
        let mut kept = 0;
        for index in 0..self.ready.len() {
            let token = self.ready[index];
            if !self.resume(token) {
                self.ready[kept] = token;
                kept += 1;
            }
        }
        self.ready.truncate(kept);
    }

    /// Answers a parked request; `false` if there is no room yet.
    fn resume(&mut self, token: Token) -> bool {
        let conn = token.conn();
        let connection = live(&mut self.connections, conn).filter(|connection| connection.parked);
        let Some(connection) = connection else { return true };
        if !self.desk.resume(&mut self.now, || self.net.clock(), conn, connection) {
            return false;
        }
        self.look_again();
        self.read_on(conn);
        true
    }

    /// Hands the answers to the kernel, without the bids whose time has passed.
    fn submit(&mut self) {
        if self.desk.has_offers() {
            let now = Now { boot: self.net.clock(), ..self.now };
            self.desk.withdraw(now, &mut self.connections);
        }
        while let Some(conn) = self.dirty.pop() {
            let Some(connection) = live(&mut self.connections, conn) else { continue };
            connection.dirty = false;
            let Some(buffer) = &connection.buffer else { continue };
            if connection.in_flight || connection.sent == connection.written {
                continue;
            }
            connection.in_flight = true;
            connection.submitted = connection.written;
            let (from, to) = (connection.sent, connection.written);
            let bytes = self.desk.answers.written(buffer, from, to);
            // SAFETY: the buffer is this connection's until `Sent` is told, also when the connection is closed meanwhile;
            // the service and `withdraw` write only behind `submitted`; and `net` is dropped before the buffers.
            match unsafe { self.net.send(conn, bytes) } {
                Some(sent) => self.sent(conn, sent),
                None => {
                    self.desk.answers.submitted(buffer, conn, self.now.boot);
                    self.sweep_at = self.sweep_at.min(self.now.boot.after(SWEEP_NS));
                }
            }
        }
        self.desk.forget_submitted(&self.connections);
    }

    fn close(&mut self, conn: Conn) {
        let Some(connection) = live(&mut self.connections, conn) else {
            return;
        };
        connection.open = false;
        if std::mem::take(&mut connection.parked) {
            self.desk.counters.forgotten += 1;
            self.desk.service.forget(Token::of(conn));
        }
        connection.input.clear(&mut self.inputs);
        if !connection.in_flight {
            self.desk.release(connection);
            self.moved = true;
        } else if let Some(buffer) = &connection.buffer {
            self.desk.answers.taken(buffer);
        }
        self.net.close(conn);
        self.open -= 1;
        self.desk.counters.closed += 1;
    }

    /// Begins a drain, and ends it; `false` when it is over.
    fn drained(&mut self, turn: Turn) -> bool {
        let now = self.now.boot;
        if turn == Turn::Drain && self.drain.is_none() {
            self.net.stop_accepting();
            self.desk.draining = true;
            self.drain = Some(Drain { until: now.after(self.core.drain_ns), look: now.after(DRAIN_STEP_NS) });
        }
        let Some(drain) = &mut self.drain else { return true };
        if now >= drain.look {
            drain.look = now.after(DRAIN_STEP_NS);
            for index in 0..self.connections.len() {
                let connection = &self.connections[index];
                let conn = Conn { index: index as u32, generation: connection.generation };
                let gone = connection.lingering && now.since(connection.active) >= DRAIN_LINGER_NS;
                if connection.open && (gone || connection.is_quiet()) {
                    self.close(conn);
                }
            }
        }
        let over = self.open == 0 || self.drain.as_ref().is_some_and(|drain| now >= drain.until);
        if over {
            for index in 0..self.connections.len() {
                let generation = self.connections[index].generation;
                self.close(Conn { index: index as u32, generation });
            }
        }
        !over
    }
}

/// The connection, unless it is closed or another has its place.
#[inline]
fn live(connections: &mut [Connection], conn: Conn) -> Option<&mut Connection> {
    connections
        .get_mut(conn.index as usize)
        .filter(|connection| connection.generation == conn.generation && connection.open)
}
