//! Where notices wait for the disk. A connection has at most one request waiting, so its place in the table is the
//! connection's, and asking is an index. A ticket names the wait, not the connection: an answer that comes too late for one
//! notice must not decide the next.

use std::collections::VecDeque;

use crate::bid::server::Token;
use crate::limits;
use crate::ring::message::Noticed;
use crate::units::Nanos;
use crate::wire::http::Persistence;

/// A notice that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    ticket: u64,
    token: Token,
    /// When it arrived.
    pub arrived: Nanos,
    /// What becomes of its connection.
    pub persistence: Persistence,
    /// How it ended, once that is known.
    pub noticed: Option<Noticed>,
}

/// The notices of one core that wait.
#[derive(Debug)]
pub struct Pending {
    places: Box<[Option<Waiting>]>,
    /// In the order of arrival, hence of expiry. Holds tickets whose notice is long answered; they are skipped.
    by_age: VecDeque<(Nanos, u64)>,
    /// Waits begun.
    serial: u32,
}

impl Pending {
    /// Places for the connections of one core.
    pub fn new() -> Pending {
        let by_age = VecDeque::with_capacity(limits::PARKED);
        Pending { places: vec![None; limits::CONNECTIONS].into(), by_age, serial: 0 }
    }

    /// Whether another notice may wait.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.by_age.len() < limits::PARKED
    }

    /// Lets a notice wait; the ticket under which it is decided.
    pub fn park(&mut self, token: Token, arrived: Nanos, persistence: Persistence) -> u64 {
        assert!(self.has_room(), "more notices wait than there are places");
        self.serial = self.serial.wrapping_add(1);
        let ticket = u64::from(self.serial) << 32 | token.index() as u64;
        self.places[token.index()] = Some(Waiting { ticket, token, arrived, persistence, noticed: None });
        self.by_age.push_back((arrived.after(limits::NOTICE_NS), ticket));
        ticket
    }

    /// A decision came. Whose it is, if somebody still waits for it.
    pub fn decide(&mut self, ticket: u64, noticed: Noticed) -> Option<Token> {
        let waiting = self.undecided(ticket)?;
        waiting.noticed = Some(noticed);
        Some(waiting.token)
    }

    /// The oldest notice that has waited too long, now decided as unsafe; nothing if there is none.
    pub fn expire(&mut self, now: Nanos) -> Option<Token> {
        while let Some(&(expires, ticket)) = self.by_age.front() {
            let pending = self.undecided(ticket).is_some();
            if pending && now < expires {
                return None;
            }
            self.by_age.pop_front();
            if pending {
                return self.decide(ticket, Noticed::Unsafe);
            }
        }
        None
    }

    /// When the oldest notice will have waited too long.
    pub fn next_expiry(&self) -> Nanos {
        self.by_age.front().map_or(Nanos::NEVER, |&(expires, _)| expires)
    }

    /// Takes a notice from its place.
    pub fn take(&mut self, token: Token) -> Option<Waiting> {
        let place = self.places.get_mut(token.index())?;
        place.take_if(|waiting| waiting.token == token)
    }

    fn undecided(&mut self, ticket: u64) -> Option<&mut Waiting> {
        let place = self.places.get_mut(ticket as u32 as usize)?.as_mut()?;
        (place.ticket == ticket && place.noticed.is_none()).then_some(place)
    }
}

impl Default for Pending {
    fn default() -> Self {
        Pending::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_answer_does_not_decide_the_next_notice_of_its_connection() {
        let (mut pending, token) = (Pending::new(), Token(7));
        let first = pending.park(token, Nanos(0), Persistence::Keep);
        assert_eq!(pending.expire(Nanos(limits::NOTICE_NS - 1)), None);
        assert_eq!(pending.expire(Nanos(limits::NOTICE_NS)), Some(token));
        assert_eq!(pending.take(token).unwrap().noticed, Some(Noticed::Unsafe));

        let second = pending.park(token, Nanos(limits::NOTICE_NS), Persistence::Keep);
        assert_eq!(pending.decide(first, Noticed::Safe), None, "200 before the disk");
        assert_eq!(pending.decide(second, Noticed::Expired), Some(token));
        assert_eq!(pending.decide(second, Noticed::Safe), None, "decided once");
        assert_eq!(pending.take(token).unwrap().noticed, Some(Noticed::Expired));
        assert_eq!((pending.take(token), pending.expire(Nanos::NEVER)), (None, None));
    }
}
