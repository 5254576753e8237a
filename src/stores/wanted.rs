//! Who is asked for, by which cores: each user is fetched once, however many requests of however many cores wait.
//!
//! A fetch leaves when it is full; when its first user has waited for [`limits::FETCH_WINDOW_NS`]; and at once when no other is
//! under way, because then nobody else's request is held up by it.

use std::collections::VecDeque;

use foldhash::HashMap;

use crate::limits;
use crate::profile::fetched::Miss;
use crate::topology::MAX_BID_CORES;
use crate::units::{Nanos, UserKey};

const _: () = assert!(MAX_BID_CORES <= u16::BITS as usize);

#[derive(Debug, Default)]
pub(super) struct Wanted {
    users: HashMap<UserKey, Asked>,
    /// Those of them that no fetch has taken, in the order in which they came.
    queue: VecDeque<UserKey>,
}

/// Who asked for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// A bit for each core.
    cores: u16,
    /// When the first did.
    pub(super) at: Nanos,
}

impl Asked {
    pub(super) fn cores(self) -> impl Iterator<Item = usize> {
        (0..MAX_BID_CORES).filter(move |core| self.cores & 1 << core != 0)
    }
}

impl Wanted {
    /// A core asks for a user; `false` if too many are asked for.
    pub(super) fn ask(&mut self, core: usize, miss: Miss) -> bool {
        if let Some(asked) = self.users.get_mut(&miss.user) {
            asked.cores |= 1 << core;
            return true;
        }
        if self.users.len() == limits::WANTED {
            return false;
        }
        self.users.insert(miss.user, Asked { cores: 1 << core, at: miss.at });
        self.queue.push_back(miss.user);
        true
    }

    /// When the next fetch leaves, if so many are under way.
    pub(super) fn leaves(&self, under_way: usize) -> Nanos {
        match self.queue.front() {
            None => Nanos::NEVER,
            Some(_) if under_way >= limits::FETCHES => Nanos::NEVER,
            Some(_) if under_way == 0 || self.queue.len() >= limits::FETCH_KEYS => Nanos(0),
            Some(first) => self.users[first].at.after(limits::FETCH_WINDOW_NS),
        }
    }

    /// The users of the next fetch, if it leaves now.
    pub(super) fn take(&mut self, now: Nanos, under_way: usize) -> Option<Vec<UserKey>> {
        let count = self.queue.len().min(limits::FETCH_KEYS);
        let leaves = self.leaves(under_way);
        (leaves != Nanos::NEVER && leaves <= now).then(|| self.queue.drain(..count).collect())
    }

    /// A user's fetch has ended: who asked.
    pub(super) fn end(&mut self, user: UserKey) -> Option<Asked> {
        self.users.remove(&user)
    }

    /// Whether nobody is wanted.
    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn miss(user: u64, at: u64) -> Miss {
        Miss { user: UserKey(user), at: Nanos(at) }
    }

    #[test]
    fn a_user_is_fetched_once_for_all_who_ask() {
        let mut wanted = Wanted::default();
        assert!(wanted.ask(0, miss(7, 10)) && wanted.ask(3, miss(7, 20)) && wanted.ask(1, miss(8, 30)));
        assert_eq!(wanted.take(Nanos(30), 0), Some(vec![UserKey(7), UserKey(8)]));
        // While it is under way, too.
        assert!(wanted.ask(15, miss(7, 40)));
        assert_eq!((wanted.leaves(0), wanted.take(Nanos::NEVER, 0)), (Nanos::NEVER, None));
        let asked = wanted.end(UserKey(7)).unwrap();
        assert_eq!((asked.at, asked.cores().collect::<Vec<_>>()), (Nanos(10), vec![0, 3, 15]));
        assert!(wanted.end(UserKey(7)).is_none() && !wanted.is_empty());
        assert!(wanted.ask(0, miss(7, 50)) && wanted.take(Nanos(50), 0).is_some());
    }

    #[test]
    fn a_fetch_leaves_full_or_after_its_window_or_alone() {
        let mut wanted = Wanted::default();
        let first = 1_000;
        wanted.ask(0, miss(0, first));
        assert_eq!((wanted.leaves(0), wanted.leaves(limits::FETCHES)), (Nanos(0), Nanos::NEVER));
        let over = Nanos(first + limits::FETCH_WINDOW_NS);
        assert_eq!(wanted.leaves(1), over);
        for user in 1..limits::FETCH_KEYS as u64 {
            assert_eq!(wanted.take(Nanos(over.0 - 1), 1), None);
            wanted.ask(0, miss(user, first + user));
        }
        wanted.ask(0, miss(1_000_000, over.0));
        assert_eq!(wanted.take(Nanos(first), 1).map(|users| users.len()), Some(limits::FETCH_KEYS));
        assert_eq!(wanted.leaves(1), over.after(limits::FETCH_WINDOW_NS));
    }

    #[test]
    fn no_more_are_wanted_than_there_is_room_for() {
        let mut wanted = Wanted::default();
        assert!((0..limits::WANTED as u64).all(|user| wanted.ask(0, miss(user, 0))));
        assert!(!wanted.ask(0, miss(u64::MAX, 0)) && wanted.ask(1, miss(5, 0)));
        assert!(wanted.end(UserKey(9)).is_some() && wanted.ask(0, miss(u64::MAX, 0)));
    }
}
