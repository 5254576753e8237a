//! Users of whom nothing is known. Most lookups of most exchanges are of such users, so they have their own small room: they take
//! none from profiles, and one that is not asked for again makes way first.
//!
//! ```text
//!   users │ user │ user │ user │ user │ user │ user │   48 bytes
//!   since │ seconds, 2 bytes each                   │   12
//!   clock │ bit per way: asked for since the hand passed │ hand │   2
//! ```
//!
//! What is known of nobody is believed for [`limits::UNKNOWN_LIFE_NS`]: a profile may have been written since. The time is kept
//! modulo 2^16 seconds: a user whom nobody asked for in 18 hours may be believed unknown for one more life.

use crate::limits;
use crate::units::UserKey;

const WAYS: usize = 6;
const LIFE: u16 = (limits::UNKNOWN_LIFE_NS / 1_000_000_000) as u16;
const _: () = assert!(LIFE as u64 * 1_000_000_000 == limits::UNKNOWN_LIFE_NS && size_of::<Set>() == 64);

#[derive(Debug)]
pub(super) struct Unknown {
    sets: Box<[Set]>,
    users: usize,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Set {
    users: [UserKey; WAYS],
    since: [u16; WAYS],
    used: u8,
    hand: u8,
}

impl Unknown {
    /// A memory of at most this many bytes.
    pub(super) fn new(bytes: usize) -> Unknown {
        let sets = 1 << (bytes / size_of::<Set>()).max(1).ilog2();
        let set = Set { users: [UserKey::NOBODY; WAYS], since: [0; WAYS], used: 0, hand: 0 };
        Unknown { sets: vec![set; sets].into_boxed_slice(), users: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.sets)
    }

    pub(super) fn users(&self) -> usize {
        self.users
    }

    /// Whether the user is known to be unknown. One of whom that was learnt too long ago is forgotten.
    #[inline]
    pub(super) fn contains(&mut self, user: UserKey, seconds: u32) -> bool {
        let set = self.set(user);
        let Some(way) = set.way(user) else { return false };
        if (seconds as u16).wrapping_sub(set.since[way]) >= LIFE {
            self.remove(user);
            return false;
        }
        set.used |= 1 << way;
        true
    }

    /// Remembers a user; whether another one is forgotten for it.
    pub(super) fn insert(&mut self, user: UserKey, seconds: u32) -> bool {
        let set = self.set(user);
        let way = set.way(user).or_else(|| set.way(UserKey::NOBODY)).unwrap_or_else(|| {
            // The first, from the hand on, that was not asked for since the hand passed.
            loop {
                let way = usize::from(set.hand);
                set.hand = (set.hand + 1) % WAYS as u8;
                if set.used & 1 << way == 0 {
                    break way;
                }
                set.used &= !(1 << way);
            }
        });
        let before = std::mem::replace(&mut set.users[way], user);
        set.since[way] = seconds as u16;
        self.users += usize::from(before == UserKey::NOBODY);
        before != UserKey::NOBODY && before != user
    }

    /// Forgets a user; whether there was something to forget.
    pub(super) fn remove(&mut self, user: UserKey) -> bool {
        let set = self.set(user);
        let Some(way) = set.way(user) else { return false };
        set.users[way] = UserKey::NOBODY;
        set.used &= !(1 << way);
        self.users -= 1;
        true
    }

    #[inline]
    fn set(&mut self, user: UserKey) -> &mut Set {
        let mask = self.sets.len() - 1;
        &mut self.sets[(user.0 >> 16) as usize & mask]
    }
}

impl Set {
    #[inline]
    fn way(&self, user: UserKey) -> Option<usize> {
        self.users.iter().position(|known| *known == user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: u64) -> UserKey {
        UserKey(n << 32)
    }

    #[test]
    fn what_was_learnt_too_long_ago_is_forgotten() {
        let mut unknown = Unknown::new(64);
        assert!(!unknown.insert(user(1), 65_500));
        let life = u32::from(LIFE);
        assert!(unknown.contains(user(1), 65_500 + life - 1), "the time may wrap");
        assert!(!unknown.contains(user(1), 65_500 + life) && unknown.users() == 0);
        unknown.insert(user(2), 1);
        unknown.insert(user(2), 100);
        assert!(unknown.contains(user(2), 1 + life) && unknown.users() == 1, "learnt again");
        assert!(unknown.remove(user(2)) && !unknown.contains(user(2), 100) && !unknown.remove(user(2)));
    }

    #[test]
    fn who_is_asked_for_outlasts_users_seen_once() {
        let mut unknown = Unknown::new(100);
        assert_eq!(unknown.bytes(), 64);
        (1..=4).for_each(|n| assert!(!unknown.insert(user(n), 0)));
        for stranger in 100..1100 {
            (1..=4).for_each(|n| assert!(unknown.contains(user(n), 0)));
            unknown.insert(user(stranger), 0);
        }
        assert_eq!(unknown.users(), WAYS);
    }
}
