//! What the loop does about peers that take and do not give: requests that never come whole, answers that nobody reads,
//! connections that say nothing. Each has its time; and whatever runs short, memory for input, answer buffers, places for
//! connections, is taken from who has held it for longest without use, so that who comes whole and reads is not kept waiting.

use super::inputs::Full;
use super::patience::SWEEP_NS;
use super::{LINGER_NS, Server, Service, Watched, live};
use crate::bid::net::{Conn, Net, Received};
use crate::limits;
use crate::units::Nanos;

/// Of the places for connections, the last sixteenth is kept for who comes: with fewer free, silent ones have to go.
const FREE: usize = 16;
/// Connections looked at every [`CROWD_NS`] while places are short: 20,000 in a second, at some microseconds a time.
const LOOKS: usize = 200;
/// Connections closed in one turn because others wait for their answer buffer.
const RELIEVED: usize = 16;
/// How often it is looked who holds what others wait for, ns.
const SHORT_NS: u64 = Nanos::MS;
/// How often silent connections are looked for while places are short, ns.
const CROWD_NS: u64 = 10 * Nanos::MS;

impl<N: Net, S: Service> Server<N, S> {
    /// How often a connection is looked at for having been idle.
    pub(super) fn watch_ns(&self) -> u64 {
        (self.core.idle_ns / 32).max(1)
    }

    /// When the loop has something to do by itself: to read on, or to look at who takes and does not give.
    pub(super) fn look_at(&self) -> Nanos {
        if !self.freed.is_empty() {
            return self.now.boot;
        }
        let mut until = self.watch.front().map_or(Nanos::NEVER, |watched| watched.look).min(self.sweep_at);
        if !self.starved.is_empty() {
            until = until.min(self.now.boot.after(SHORT_NS));
        }
        if self.is_crowded() {
            until = until.min(self.crowd_at);
        }
        until
    }

    /// Once a turn: closes connections whose time is up, and those whose share others need.
    pub(super) fn close_idle(&mut self) {
        self.relieve();
        self.sweep();
        let now = self.now.boot;
        let again = now.after(self.watch_ns());
        let mut looks = 0;
        if self.is_crowded() && now >= self.crowd_at {
            self.crowd_at = now.after(CROWD_NS);
            looks = LOOKS;
        }
        while let Some(&Watched { index, look }) = self.watch.front() {
            if look > now && looks == 0 {
                break;
            }
            looks = looks.saturating_sub(1);
            self.watch.pop_front();
            let crowded = self.is_crowded();
            let connection = &mut self.connections[index as usize];
            if !connection.open {
                connection.watched = false;
                continue;
            }
            let idle = now.since(connection.active);
            let over = idle >= self.core.idle_ns || (connection.lingering && idle >= LINGER_NS);
            let patience = if connection.asked { limits::CROWDED_NS } else { limits::CROWDED_NEW_NS };
            let in_the_way = crowded && connection.is_quiet() && idle >= patience;
            if connection.parked || !(over || in_the_way) {
                self.watch.push_back(Watched { index, look: again });
                continue;
            }
            connection.watched = false;
            let conn = Conn { index, generation: connection.generation };
            self.desk.counters.idled += u64::from(over);
            self.desk.counters.crowded += u64::from(!over);
            self.close(conn);
        }
    }

    /// Whether places for connections run short.
    fn is_crowded(&self) -> bool {
        self.open > self.core.connections - self.core.connections.div_ceil(FREE)
    }

    /// Keeps what was received and is not consumed. Whoever has had such memory for longest gives it up if there is none;
    /// what would not fit in the largest place ends its connection.
    pub(super) fn keep(&mut self, conn: Conn, received: &Received, consumed: usize) {
        let since = self.meter.unread_since(received.since);
        for _ in 0..2 {
            let Some(connection) = live(&mut self.connections, conn) else { return };
            let bytes = &self.net.bytes(received)[consumed..];
            match connection.input.append(conn, bytes, since, &mut self.inputs) {
                Ok(()) => {
                    self.sweep_at = self.sweep_at.min(self.now.boot.after(SWEEP_NS));
                    return;
                }
                Err(Full::Class(class)) => {
                    if let Some(oldest) = self.inputs.oldest(class) {
                        self.desk.counters.pressed += 1;
                        self.turn_out(oldest);
                    }
                }
                Err(Full::TooLong) => break,
            }
        }
        self.desk.counters.pressed += 1;
        self.close(conn);
    }

    /// Gives up an input. Its peer is told, where a request is waited for; where answers are, in whose order nothing can be said,
    /// the connection is closed.
    fn turn_out(&mut self, conn: Conn) {
        let Some(connection) = live(&mut self.connections, conn) else { return };
        connection.input.clear(&mut self.inputs);
        if connection.reads_on() && self.desk.time_out(connection) {
            self.settle(conn);
        } else {
            self.net.abandon(conn);
            self.close(conn);
        }
    }

    /// While connections wait for an answer buffer, closes those that have not read for longest.
    fn relieve(&mut self) {
        let now = self.now.boot;
        if self.starved.len() > self.core.connections {
            // Those that are gone do not fill the queue.
            self.starved.retain(|conn| live(&mut self.connections, *conn).is_some_and(|connection| connection.starved));
        }
        for _ in 0..self.starved.len().min(RELIEVED) {
            match self.desk.answers.unread().oldest() {
                Some((conn, since)) if now.since(since) >= limits::UNREAD_SHORT_NS => {
                    self.desk.counters.unread += 1;
                    self.net.abandon(conn);
                    self.close(conn);
                }
                _ => return,
            }
        }
    }

    /// Once in a while, closes those who have taken too long over a request or over reading their answers.
    fn sweep(&mut self) {
        let now = self.now.boot;
        if now < self.sweep_at {
            return;
        }
        let since = |patience| Nanos(now.0.saturating_sub(patience));
        let mut from = (0, 0);
        while let Some((conn, next)) = self.inputs.overdue(from, since(self.core.request_ns)) {
            from = next;
            let Some(connection) = live(&mut self.connections, conn) else { continue };
            if connection.reads_on() {
                self.desk.counters.timed_out += 1;
                self.turn_out(conn);
            } else {
                // It is not its peer that is waited for.
                connection.input.wait_from(conn, now, &mut self.inputs);
            }
        }
        let mut from = 0;
        while let Some((conn, next)) = self.desk.answers.unread().overdue(from, since(self.core.unread_ns)) {
            from = next;
            self.desk.counters.unread += 1;
            self.net.abandon(conn);
            self.close(conn);
        }
        let waits = self.inputs.any() || self.desk.answers.unread().any();
        self.sweep_at = if waits { now.after(SWEEP_NS) } else { Nanos::NEVER };
    }
}
