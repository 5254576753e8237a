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
    /// In the order of arrival, hence of expiry. Holds tickets whose notice is long answered, behind one that is not; they are
    /// skipped, and left out when there are too many.
    by_age: VecDeque<(Nanos, u64)>,
    /// Notices that are not decided.
    undecided: usize,
    /// Waits begun.
    serial: u32,
}

impl Pending {
    /// Places for the connections of one core.
    pub fn new() -> Pending {
        // Twice as many, so that those decided are not looked through for each that comes.
        let by_age = VecDeque::with_capacity(2 * limits::PARKED);
        Pending { places: vec![None; limits::CONNECTIONS].into(), by_age, undecided: 0, serial: 0 }
    }

    /// Whether another notice may wait.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.undecided < limits::PARKED
    }

    /// Lets a notice wait; the ticket under which it is decided.
    pub fn park(&mut self, token: Token, arrived: Nanos, persistence: Persistence) -> u64 {
        assert!(self.has_room(), "more notices wait than there are places");
        self.serial = self.serial.wrapping_add(1);
        let ticket = u64::from(self.serial) << 32 | token.index() as u64;
        let waiting = Waiting { ticket, token, arrived, persistence, noticed: None };
        let left = self.places[token.index()].replace(waiting).is_some_and(|left| left.noticed.is_none());
        self.undecided = self.undecided + 1 - usize::from(left);
        if self.by_age.len() == 2 * limits::PARKED {
            let places = &self.places;
            self.by_age
                .retain(|(_, ticket)| places.get(*ticket as u32 as usize).is_some_and(|place| waits(place, *ticket)));
        }
        self.by_age.push_back((arrived.after(limits::NOTICE_NS), ticket));
        ticket
    }

    /// A decision came. Whose it is, if somebody still waits for it.
    pub fn decide(&mut self, ticket: u64, noticed: Noticed) -> Option<Token> {
        let waiting = self.undecided(ticket)?;
        waiting.noticed = Some(noticed);
        let token = waiting.token;
        self.undecided -= 1;
        Some(token)
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
        let waiting = place.take_if(|waiting| waiting.token == token)?;
        self.undecided -= usize::from(waiting.noticed.is_none());
        Some(waiting)
    }

    fn undecided(&mut self, ticket: u64) -> Option<&mut Waiting> {
        let place = self.places.get_mut(ticket as u32 as usize)?;
        if waits(place, ticket) { place.as_mut() } else { None }
    }
}

fn waits(place: &Option<Waiting>, ticket: u64) -> bool {
    place.is_some_and(|waiting| waiting.ticket == ticket && waiting.noticed.is_none())
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

    /// One that nobody decides takes one place, however many are decided after it.
    #[test]
    fn what_is_decided_takes_no_room() {
        let mut pending = Pending::new();
        let capacity = pending.by_age.capacity();
        let first = pending.park(Token(0), Nanos(0), Persistence::Keep);
        for number in 1..5 * limits::PARKED {
            let token = Token(1 + (number % 7) as u64);
            assert!(pending.has_room(), "after {number}");
            let ticket = pending.park(token, Nanos(number as u64), Persistence::Keep);
            assert_eq!(pending.decide(ticket, Noticed::Safe), Some(token));
            assert!(pending.take(token).is_some());
        }
        // Connections that close while their notice waits, and places taken by the next of them.
        for number in 0..2 * limits::PARKED as u64 {
            pending.park(Token((number % 2) << 32 | 9), Nanos(1 << 20), Persistence::Keep);
            assert!(number % 2 == 0 || pending.take(Token(1 << 32 | 9)).is_some());
        }
        assert_eq!(pending.by_age.capacity(), capacity, "no allocation");
        assert_eq!((pending.undecided, pending.expire(Nanos(limits::NOTICE_NS))), (1, Some(Token(0))));
        assert_eq!(pending.decide(first, Noticed::Safe), None);
        // As many as there are places, and no more.
        for index in 0..limits::PARKED as u64 {
            assert!(pending.has_room());
            pending.park(Token(index), Nanos(1 << 21), Persistence::Keep);
        }
        assert!(!pending.has_room());
        assert_eq!(pending.take(Token(3)).unwrap().noticed, None);
        assert!(pending.has_room());
    }
}
