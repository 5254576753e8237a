//! Values by user in a bounded number of bytes, kept by S3-FIFO. Who may ask for whom is not its business: the core's own is inside
//! the shard, which asks for the token.

use super::ghosts::Ghosts;
use super::index::{Index, Queue};
use super::log::{self, Head, Log, Place};
use crate::units::UserKey;

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    queue: Queue,
    place: Place,
    pub(super) head: Head,
}

/// The values. Nothing here allocates after [`Cache::new`].
#[derive(Debug)]
pub struct Cache {
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
    pub fn new(bytes: usize) -> Cache {
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
    pub fn longest(&self) -> usize {
        self.small.capacity() - log::size(0)
    }

    /// How many values.
    pub fn users(&self) -> usize {
        self.index.users()
    }

    /// Values that made room for others.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Bytes in the logs.
    pub fn held(&self) -> usize {
        self.small.held() + self.main.held()
    }

    /// Bytes of the tables.
    pub fn tables(&self) -> usize {
        self.tables
    }

    /// Where a user's value is.
    #[inline]
    pub fn find(&self, user: UserKey) -> Option<Found> {
        let (queue, place) = self.index.find(user, |queue, place| self.log(queue).head(place).user == user)?;
        Some(Found { queue, place, head: self.log(queue).head(place) })
    }

    /// The value, and that it was asked for.
    #[inline]
    pub fn ask(&mut self, found: Found) -> &[u8] {
        let Found { queue, place, head } = found;
        if head.used < Head::MOST_USED {
            self.log_mut(queue).set_used(place, head.used + 1);
        }
        self.log(queue).value(place, head)
    }

    /// Keeps a value, in place of what is kept of the user; where it is.
    pub fn keep(&mut self, user: UserKey, value: &[u8], seconds: u32) -> Found {
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
            // Newcomers keep their tenth here too: with short values the index fills before the logs do, and one who had to leave
            // for the next to come would have no time to be asked for.
            if self.index.newcomers() > self.index.users() / 10 { self.shrink_small() } else { self.shrink_main() }
        }
        self.make_room(queue, log::size(value.len()));
        let place = self.log_mut(queue).push(head, value);
        self.index.insert(user, queue, place);
        Found { queue, place, head }
    }

    /// Overwrites what is kept of a user; whether something was.
    pub fn erase(&mut self, user: UserKey) -> bool {
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use memchr::memmem;
    use proptest::prelude::*;

    use super::*;
    use crate::limits;

    /// Mixed (as SplitMix64 does), so that no key is another one shifted by bytes.
    fn user(n: u64) -> UserKey {
        let mixed = (n ^ n >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9).wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        UserKey(mixed ^ mixed >> 31)
    }

    /// A value that is its user's key over and over, so that any whole remnant of an entry has the key in it.
    fn value(user: UserKey, length: usize) -> Vec<u8> {
        user.0.to_le_bytes().into_iter().cycle().take(length).collect()
    }

    fn keep(cache: &mut Cache, user: UserKey, length: usize) {
        cache.keep(user, &value(user, length), 0);
    }

    /// Asks for a user; whether it was there, as it was kept.
    fn ask(cache: &mut Cache, user: UserKey) -> bool {
        cache.find(user).is_some_and(|found| {
            let kept = cache.ask(found);
            kept == value(user, kept.len())
        })
    }

    fn is_in_memory(cache: &Cache, user: UserKey) -> bool {
        cache.memory().iter().any(|log| memmem::find(log, &user.0.to_le_bytes()).is_some())
    }

    #[derive(Clone, Debug)]
    enum Step {
        Keep(u64, usize),
        Ask(u64),
        Erase(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let who = || prop_oneof![1..40u64, 1..3000u64];
        let step = prop_oneof![
            // The short ones fill the index, the long ones the logs.
            6 => (who(), prop_oneof![4 => 0..100usize, 1 => 0..1050usize]).prop_map(|(user, long)| Step::Keep(user, long)),
            4 => who().prop_map(Step::Ask),
            1 => who().prop_map(Step::Erase),
        ];
        prop::collection::vec(step, 1..4000)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

        #[test]
        fn who_is_not_found_is_nowhere_in_memory(steps in steps()) {
            let mut cache = Cache::new(limits::SHARD_BYTES_LEAST);
            let mut seen = HashSet::new();
            for step in steps {
                match step {
                    Step::Keep(n, length) => {
                        keep(&mut cache, user(n), length);
                        prop_assert!(ask(&mut cache, user(n)));
                        seen.insert(n);
                    }
                    Step::Ask(n) => {
                        prop_assert_eq!(ask(&mut cache, user(n)), cache.find(user(n)).is_some());
                    }
                    Step::Erase(n) => {
                        cache.erase(user(n));
                        prop_assert!(cache.find(user(n)).is_none() && !is_in_memory(&cache, user(n)));
                    }
                }
            }
            let there: Vec<u64> = seen.iter().copied().filter(|n| cache.find(user(*n)).is_some()).collect();
            prop_assert_eq!(there.len(), cache.users());
            for n in seen {
                prop_assert_eq!(is_in_memory(&cache, user(n)), cache.find(user(n)).is_some());
            }
        }

        /// Whatever comes, in whatever lengths, is asked for once more at most, or erased again.
        #[test]
        fn who_is_in_the_main_log_and_asked_for_again_stays(
            others in prop::collection::vec((0..1050usize, any::<bool>(), 0..8u8), 3000..6000),
            short in any::<bool>(),
        ) {
            let mut cache = Cache::new(limits::SHARD_BYTES_LEAST);
            let regular = user(1);
            keep(&mut cache, regular, 50);
            for (n, (length, again, erased)) in others.into_iter().enumerate() {
                prop_assert!(ask(&mut cache, regular), "after {n} others");
                let other = user(2 + n as u64);
                keep(&mut cache, other, if short { length % 100 } else { length });
                if again {
                    prop_assert!(ask(&mut cache, other));
                }
                if erased == 0 {
                    prop_assert!(cache.erase(other) && !is_in_memory(&cache, other));
                }
            }
            prop_assert_eq!(cache.find(regular).map(|found| found.queue), Some(Queue::Main));
            prop_assert!(cache.evictions() > 0);
        }
    }

    #[test]
    fn newcomers_have_time_to_be_asked_for() {
        for length in [0, 50, 200, 1000] {
            let mut cache = Cache::new(limits::SHARD_BYTES_LEAST);
            // Full of users whom all asked for again, who leave no place of their own accord.
            for n in 1..3000 {
                keep(&mut cache, user(n), length);
                ask(&mut cache, user(n));
            }
            for n in 10_000..10_500 {
                keep(&mut cache, user(n), length);
                if n >= 10_015 {
                    assert!(cache.find(user(n - 15)).is_some(), "of {length} bytes");
                }
            }
        }
    }
}
