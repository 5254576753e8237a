//! The last turn of a core when another thread has panicked: it reads nothing more, answers what it has framed, and stays quiet
//! until the process ends.

use std::io;

use super::connection::Connection;
use super::desk::Desk;
use super::{Counters, Net, Server, Service, Token, live};
use crate::bid::alarm::Bell;
use crate::bid::net::{Conn, Happened};
use crate::clock;
use crate::units::{Nanos, Now};

/// How long a core takes for its last answers, ns. Whoever panicked waits a little longer ([`crate::harden::panic`]).
const LAST_NS: u64 = 8 * Nanos::MS;
/// Between two looks at what the kernel has not taken yet, ns.
const LOOK_NS: u64 = Nanos::MS;

impl<N: Net, S: Service> Server<N, S> {
    /// Goes on unless the alarm was raised, which is the end of the loop.
    #[cold]
    pub(super) fn heed(&mut self, bell: Bell) -> io::Result<()> {
        if !bell.is_raised() {
            return Ok(());
        }
        let parked = self.last_answers()?;
        let Counters { requests, answered, forgotten, .. } = self.desk.counters;
        let unsent = self.connections.iter().filter(|connection| is_busy(connection)).count();
        log::error!(
            "bid-{}: another thread panicked; {requests} requests framed, {answered} answered, {parked} of them just now, \
             {forgotten} given up by their peers; {unsent} connections did not take all in time",
            bell.core().0
        );
        bell.answered();
        // Until the process ends under it, and its sockets with it.
        loop {
            self.now = clock::now();
            self.net.wait(self.now.boot, self.now.boot.after(LOOK_NS))?;
            self.throw_away();
        }
    }

    /// Answers every request that is parked, and lets the kernel have all that is written. Each connection is told that no more
    /// comes, and what it still sends is thrown away: to leave it unread would reset the connection, and the answer might be lost.
    /// Returns how many requests were parked.
    fn last_answers(&mut self) -> io::Result<usize> {
        self.net.stop_accepting();
        let until = self.now.boot.after(LAST_NS);
        let open = |(index, connection): (usize, &Connection)| {
            connection.open.then_some(Conn { index: index as u32, generation: connection.generation })
        };
        let mut waiting: Vec<Conn> = self.connections.iter().enumerate().filter_map(open).collect();
        let mut answered = 0;
        loop {
            for &conn in &waiting {
                answered += usize::from(self.finish(conn));
            }
            self.submit();
            waiting.retain(|&conn| live(&mut self.connections, conn).is_some_and(|connection| is_busy(connection)));
            self.now = clock::now();
            if waiting.is_empty() || self.now.boot >= until {
                // Hands over what was queued last.
                self.net.wait(self.now.boot, self.now.boot)?;
                return Ok(answered);
            }
            self.net.wait(self.now.boot, until.min(self.now.boot.after(LOOK_NS)))?;
            self.throw_away();
        }
    }

    /// Takes what happened, and reads nothing of it.
    fn throw_away(&mut self) {
        while let Some(happened) = self.net.next() {
            match happened {
                Happened::Sent(conn, sent) => self.sent(conn, sent),
                Happened::Received(_, received) => self.net.recycle(received),
                Happened::Ended(conn) => self.ended(conn),
                Happened::Accepted(conn) => self.net.close(conn),
                Happened::Woken => {}
            }
        }
    }

    /// Makes what is written the last of a connection, and answers its parked request, if it has one and there is room. Returns
    /// whether it answered one.
    fn finish(&mut self, conn: Conn) -> bool {
        let now = self.now;
        let Some(connection) = live(&mut self.connections, conn) else { return false };
        let answered = connection.parked && self.desk.abandon(now, conn, connection);
        connection.last = true;
        self.settle(conn);
        answered
    }
}

/// Whether something of it is not answered or not sent.
fn is_busy(connection: &Connection) -> bool {
    connection.open && (connection.parked || connection.in_flight || connection.written > connection.sent)
}

impl<S: Service> Desk<S> {
    /// Answers a parked request that will not be decided any more; `false` if there is no room for its answer.
    fn abandon(&mut self, now: Now, conn: Conn, connection: &mut Connection) -> bool {
        if !self.make_room(connection) {
            return false;
        }
        let Some(buffer) = &connection.buffer else { return false };
        let room = self.answers.room(buffer, connection.written);
        let served = self.service.abandon(now, Token::of(conn), room);
        connection.parked = false;
        self.book(conn, connection, served);
        true
    }
}
