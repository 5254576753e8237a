//! Where notices wait for the disk. A connection has at most one request waiting, so its place in the table is the
//! connection's, and asking is an index.

use std::collections::VecDeque;

use crate::bid::server::Token;
use crate::limits;
use crate::ring::message::Noticed;
use crate::units::Nanos;
use crate::wire::http::Persistence;

/// A notice that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
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
    /// In the order of arrival, hence of expiry. Holds tokens whose notice is long answered; they are skipped.
    by_age: VecDeque<(Nanos, Token)>,
}

impl Pending {
    /// Places for the connections of one core.
    pub fn new() -> Pending {
        Pending { places: vec![None; limits::CONNECTIONS].into(), by_age: VecDeque::with_capacity(limits::PARKED) }
    }

    /// Whether another notice may wait.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.by_age.len() < limits::PARKED
    }

    /// Lets a notice wait.
    pub fn park(&mut self, token: Token, arrived: Nanos, persistence: Persistence) {
        assert!(self.has_room(), "more notices wait than there are places");
        self.places[token.index()] = Some(Waiting { token, arrived, persistence, noticed: None });
        self.by_age.push_back((arrived.after(limits::NOTICE_NS), token));
    }

    /// A decision came. True if somebody still waits for it.
    pub fn decide(&mut self, token: Token, noticed: Noticed) -> bool {
        match self.places.get_mut(token.index()) {
            Some(Some(waiting)) if waiting.token == token && waiting.noticed.is_none() => {
                waiting.noticed = Some(noticed);
                true
            }
            _ => false,
        }
    }

    /// The oldest notice that has waited too long, now decided as unsafe; nothing if there is none.
    pub fn expire(&mut self, now: Nanos) -> Option<Token> {
        while let Some(&(expires, token)) = self.by_age.front() {
            let pending = matches!(&self.places[token.index()], Some(waiting) if waiting.token == token && waiting.noticed.is_none());
            if pending && now < expires {
                return None;
            }
            self.by_age.pop_front();
            if pending {
                self.decide(token, Noticed::Unsafe);
                return Some(token);
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
}

impl Default for Pending {
    fn default() -> Self {
        Pending::new()
    }
}
