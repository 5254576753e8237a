//! Values by user in a bounded number of bytes, kept by S3-FIFO.

use super::ghosts::Ghosts;
use super::index::{Index, Queue};
use super::log::{self, Head, Log, Place};
use crate::units::UserKey;

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    queue: Queue,
    place: Place,
    pub(super) head: Head,
}

#[derive(Debug)]
pub(super) struct Cache {
    small: Log,
    main: Log,
    index: Index,
    ghosts: Ghosts,
    /// Something had to leave once: from then on the main log takes only who was asked for again.
    filled: bool,
    tables: usize,
    evictions: u64,
}

impl Cache {
    /// A cache of at most this many bytes.
    pub(super) fn new(bytes: usize) -> Cache {
        // A slot for every 128 bytes, of which three quarters can be taken: entries of more than 170 bytes on average fill the logs
        // before they fill the index.
        let slots = 1 << (bytes / 128).ilog2();
        let (index, ghosts) = (Index::new(slots), Ghosts::new(slots / 2));
        let tables = size_of::<u64>() * (slots + slots / 2);
        let logs = bytes - tables;
        let (small, main) = (Log::new(logs / 10), Log::new(logs - logs / 10));
        Cache { small, main, index, ghosts, filled: false, tables, evictions: 0 }
    }

    /// The longest value that there is room for.
    pub(super) fn longest(&self) -> usize {
        self.small.capacity() - log::size(0)
    }

    pub(super) fn users(&self) -> usize {
        self.index.users()
    }

    pub(super) fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Bytes in the logs.
    pub(super) fn held(&self) -> usize {
        self.small.held() + self.main.held()
    }

    /// Bytes of the tables.
    pub(super) fn tables(&self) -> usize {
        self.tables
    }

    #[inline]
    pub(super) fn find(&self, user: UserKey) -> Option<Found> {
        let (queue, place) = self.index.find(user, |queue, place| self.log(queue).head(place).user == user)?;
        Some(Found { queue, place, head: self.log(queue).head(place) })
    }

    /// The value, and that it was asked for.
    #[inline]
    pub(super) fn ask(&mut self, found: Found) -> &[u8] {
        let Found { queue, place, head } = found;
        if head.used < Head::MOST_USED {
            self.log_mut(queue).set_used(place, head.used + 1);
        }
        self.log(queue).value(place, head)
    }

    /// Keeps a value, in place of what is kept of the user; where it is.
    pub(super) fn keep(&mut self, user: UserKey, value: &[u8], seconds: u32) -> Found {
        assert!(value.len() <= self.longest(), "a value is no longer than a profile may be");
        let head = Head { user, seconds, length: value.len() as u16, used: 0 };
        let (queue, head) = match self.find(user) {
            Some(Found { queue, place, head: old }) => {
                let head = Head { used: old.used, ..head };
                if old.length == head.length {
                    self.log_mut(queue).overwrite(place, head, value);
                    return Found { queue, place, head };
                }
                self.remove(user, queue, place);
                self.log_mut(queue).erase(place);
                (queue, head)
            }
            None if self.ghosts.take(user, self.index.users()) => (Queue::Main, head),
            None => (Queue::Small, head),
        };
        while self.index.is_full() {
            self.filled = true;
            if self.small.held() > 0 { self.shrink_small() } else { self.shrink_main() }
        }
        self.make_room(queue, log::size(value.len()));
        let place = self.log_mut(queue).push(head, value);
        self.index.insert(user, queue, place);
        Found { queue, place, head }
    }

    /// Overwrites what is kept of a user; whether something was.
    pub(super) fn erase(&mut self, user: UserKey) -> bool {
        let Some(Found { queue, place, .. }) = self.find(user) else { return false };
        self.remove(user, queue, place);
        self.log_mut(queue).erase(place);
        true
    }

    fn make_room(&mut self, queue: Queue, size: usize) {
        while !self.log(queue).fits(size) {
            match queue {
                Queue::Small => self.shrink_small(),
                Queue::Main => self.shrink_main(),
            }
        }
    }

    /// The oldest newcomer leaves: to the main log if it was asked for again, else altogether.
    fn shrink_small(&mut self) {
        let Some((place, head)) = self.small.oldest() else { return };
        if head.user != UserKey::NOBODY {
            let size = log::size(head.length.into());
            if head.used > 0 || (!self.filled && self.main.fits(size)) {
                self.make_room(Queue::Main, size);
                let to = self.main.push(Head { used: 0, ..head }, self.small.value(place, head));
                self.index.moved(head.user, (Queue::Small, place), (Queue::Main, to));
            } else {
                self.filled = true;
                self.ghosts.note(head.user);
                self.evict(head.user, Queue::Small, place);
            }
        }
        self.small.pop();
    }

    /// The oldest of the main log leaves, unless it was asked for: then it counts as new, but less so each time.
    fn shrink_main(&mut self) {
        let Some((place, head)) = self.main.oldest() else { return };
        if head.user != UserKey::NOBODY && head.used > 0 {
            let to = self.main.requeue(head.used - 1);
            self.index.moved(head.user, (Queue::Main, place), (Queue::Main, to));
            return;
        }
        if head.user != UserKey::NOBODY {
            self.filled = true;
            self.evict(head.user, Queue::Main, place);
        }
        self.main.pop();
    }

    fn evict(&mut self, user: UserKey, queue: Queue, place: Place) {
        self.evictions += 1;
        self.remove(user, queue, place);
    }

    fn remove(&mut self, user: UserKey, queue: Queue, place: Place) {
        self.index.remove(user, queue, place);
    }

    #[inline]
    fn log(&self, queue: Queue) -> &Log {
        match queue {
            Queue::Small => &self.small,
            Queue::Main => &self.main,
        }
    }

    #[inline]
    fn log_mut(&mut self, queue: Queue) -> &mut Log {
        match queue {
            Queue::Small => &mut self.small,
            Queue::Main => &mut self.main,
        }
    }

    /// Both logs as they are, for tests that look for what must not be there.
    #[cfg(test)]
    pub(super) fn memory(&self) -> [&[u8]; 2] {
        [self.small.bytes(), self.main.bytes()]
    }
}
