//! Where the logs hold whom: open addressing, one word per user, eight in a cache line.
//!
//! ```text
//!   32         1          31
//!   ┌──────────┬──────────┬──────────┐
//!   │ tag      │ which log│ place    │   all ones: empty
//!   └──────────┴──────────┴──────────┘
//! ```
//!
//! The tag is the low half of the user's key. Its low bits say where the search began, so that a removal can close its gap without
//! a look into the logs; the log's own head has the whole key.

use super::log::Place;
use crate::units::UserKey;

/// Which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// Of newcomers.
    Small,
    /// Of those who were asked for again.
    Main,
}

const EMPTY: u64 = u64::MAX;
const MAIN: u32 = 1 << 31;

#[derive(Debug)]
pub(super) struct Index {
    slots: Box<[u64]>,
    users: usize,
    /// Of them, those in the small log.
    newcomers: usize,
}

impl Index {
    /// A table of this many slots, a power of two; three quarters of them can be taken.
    pub(super) fn new(slots: usize) -> Index {
        assert!(slots.is_power_of_two() && slots >= 4);
        Index { slots: vec![EMPTY; slots].into_boxed_slice(), users: 0, newcomers: 0 }
    }

    pub(super) fn users(&self) -> usize {
        self.users
    }

    pub(super) fn newcomers(&self) -> usize {
        self.newcomers
    }

    pub(super) fn is_full(&self) -> bool {
        self.users >= self.slots.len() / 4 * 3
    }

    /// The first place of the user's tag that is the user's.
    #[inline]
    pub(super) fn find(&self, user: UserKey, is: impl Fn(Queue, Place) -> bool) -> Option<(Queue, Place)> {
        self.slot(user, is).map(|at| place(self.slots[at]))
    }

    /// Adds a user who is not in it.
    pub(super) fn insert(&mut self, user: UserKey, queue: Queue, to: Place) {
        let mut at = user.0 as usize & self.mask();
        while self.slots[at] != EMPTY {
            at = (at + 1) & self.mask();
        }
        self.slots[at] = word(user, queue, to);
        self.users += 1;
        self.newcomers += usize::from(queue == Queue::Small);
    }

    /// Writes down that a user's entry is elsewhere now.
    pub(super) fn moved(&mut self, user: UserKey, from: (Queue, Place), to: (Queue, Place)) {
        if let Some(at) = self.slot(user, |queue, place| (queue, place) == from) {
            self.slots[at] = word(user, to.0, to.1);
            self.newcomers += usize::from(to.0 == Queue::Small);
            self.newcomers -= usize::from(from.0 == Queue::Small);
        }
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, user: UserKey, queue: Queue, place: Place) {
        let Some(mut gap) = self.slot(user, |q, p| (q, p) == (queue, place)) else { return };
        self.users -= 1;
        self.newcomers -= usize::from(queue == Queue::Small);
        let (mask, mut at) = (self.mask(), gap);
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot == EMPTY {
                break;
            }
            // It may move into the gap if its search passes there.
            let home = (slot >> 32) as usize & mask;
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(gap) & mask) {
                self.slots[gap] = slot;
                gap = at;
            }
        }
        self.slots[gap] = EMPTY;
    }

    #[inline]
    fn slot(&self, user: UserKey, is: impl Fn(Queue, Place) -> bool) -> Option<usize> {
        let tag = user.0 as u32;
        let mut at = tag as usize & self.mask();
        loop {
            let slot = self.slots[at];
            if slot == EMPTY {
                return None;
            }
            let (queue, place) = place(slot);
            if (slot >> 32) as u32 == tag && is(queue, place) {
                return Some(at);
            }
            at = (at + 1) & self.mask();
        }
    }

    #[inline]
    fn mask(&self) -> usize {
        self.slots.len() - 1
    }
}

#[inline]
fn word(user: UserKey, queue: Queue, place: Place) -> u64 {
    let queue = if queue == Queue::Main { MAIN } else { 0 };
    user.0 << 32 | u64::from(queue | place.0)
}

#[inline]
fn place(slot: u64) -> (Queue, Place) {
    let word = slot as u32;
    (if word & MAIN == 0 { Queue::Small } else { Queue::Main }, Place(word & !MAIN))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        // Few keys that begin near the end of a small table, with equal tags among them.
        #[test]
        fn an_index_is_a_map(steps in prop::collection::vec((any::<bool>(), 0..40u64), 1..200)) {
            let mut index = Index::new(32);
            let mut model: HashMap<u64, Place> = HashMap::new();
            for (at, (add, key)) in steps.into_iter().enumerate() {
                let user = UserKey((key % 20 + 20) | (key / 20) << 40);
                let found = |index: &Index, user: u64, model: &HashMap<u64, Place>| {
                    let mine = model.get(&user).copied();
                    index.find(UserKey(user), |queue, place| queue == Queue::Main && Some(place) == mine)
                };
                if add && !index.is_full() && !model.contains_key(&user.0) {
                    index.insert(user, Queue::Main, Place(at as u32));
                    model.insert(user.0, Place(at as u32));
                } else if let Some(place) = model.remove(&user.0) {
                    index.remove(user, Queue::Main, place);
                }
                prop_assert_eq!(index.users(), model.len());
                prop_assert_eq!(index.slots.iter().filter(|slot| **slot != EMPTY).count(), model.len());
                for (user, place) in &model {
                    prop_assert_eq!(found(&index, *user, &model), Some((Queue::Main, *place)));
                }
            }
        }
    }
}
