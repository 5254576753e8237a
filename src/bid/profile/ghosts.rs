//! Who was lately let go from the small log: one who comes back belongs into the main one.
//!
//! Half a key and a number in the order of leaving; eight to a cache line. That a stranger is taken for somebody who was here costs a
//! place in the main log, once in some hundred million times.

use crate::units::UserKey;

const WAYS: usize = 8;

#[derive(Debug)]
pub(super) struct Ghosts {
    sets: Box<[[u64; WAYS]]>,
    /// Counts those who left; 0 only before the first.
    left: u32,
}

impl Ghosts {
    /// A memory for this many, a power of two of at least eight.
    pub(super) fn new(users: usize) -> Ghosts {
        assert!(users.is_power_of_two() && users >= WAYS);
        Ghosts { sets: vec![[0; WAYS]; users / WAYS].into_boxed_slice(), left: 0 }
    }

    /// Takes note of a user who leaves.
    pub(super) fn note(&mut self, user: UserKey) {
        self.left = self.left.wrapping_add(1).max(1);
        let left = self.left;
        let age = |ghost: &u64| if *ghost == 0 { u32::MAX } else { left.wrapping_sub(*ghost as u32) };
        let set = self.set(user);
        let oldest = (0..WAYS).max_by_key(|way| age(&set[*way])).unwrap_or_default();
        set[oldest] = tag(user) | u64::from(left);
    }

    /// Whether the user was among the last `window` to leave; forgets it.
    pub(super) fn take(&mut self, user: UserKey, window: usize) -> bool {
        let left = self.left;
        let is = |ghost: &&mut u64| **ghost != 0 && **ghost >> 32 << 32 == tag(user);
        let Some(ghost) = self.set(user).iter_mut().find(is) else { return false };
        let age = left.wrapping_sub(*ghost as u32) as usize;
        *ghost = 0;
        age < window
    }

    fn set(&mut self, user: UserKey) -> &mut [u64; WAYS] {
        let mask = self.sets.len() - 1;
        &mut self.sets[user.0 as usize & mask]
    }
}

/// The high half is none of what chose the set.
fn tag(user: UserKey) -> u64 {
    user.0 >> 32 << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_to_leave_are_remembered_once() {
        let mut ghosts = Ghosts::new(8);
        let user = |n: u64| UserKey(n << 32 | 1);
        (1..=10).for_each(|n| ghosts.note(user(n)));
        assert!(!ghosts.take(user(1), 100) && !ghosts.take(user(2), 100), "there was no room for them");
        assert!(ghosts.take(user(10), 1) && !ghosts.take(user(10), 100));
        assert!(!ghosts.take(user(7), 3), "too long ago");
        assert!(ghosts.take(user(8), 3));
    }
}
