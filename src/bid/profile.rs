//! The profile shard: what this core remembers of the users it has seen, over the base that all cores read.
//!
//! The base may be far larger than the caches and, being shared by all cores, is laid out for nobody; the shard is this
//! core's own, two lines per set of eight users. A user whom the base does not know is remembered too: most lookups of most
//! exchanges are of such users.
//!
//! ```text
//!   keys    │ user │ user │ user │ user │ user │ user │ user │ user │   64 bytes
//!   values  │start,│ …                                             │   64 bytes; length u32::MAX: not in the base
//!           │length│                                               │
//!   clock   │ bit per way: used since the hand passed │ hand │          2 bytes
//! ```

use crate::bid::comply::Personal;
use crate::limits;
use crate::snapshot::profiles::{Found, Profiles};
use crate::units::{SegmentId, UserKey};

const WAYS: usize = 8;

/// A bounded memory of users. Lookups allocate nothing.
#[derive(Debug)]
pub struct ProfileShard {
    base: Profiles,
    sets: Box<[Set]>,
    counts: ShardCounts,
}

/// What a shard has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardCounts {
    /// Lookups answered from the shard.
    pub hits: u64,
    /// Lookups that went to the base.
    pub misses: u64,
    /// Users forgotten to make room.
    pub evictions: u64,
}

#[derive(Clone, Debug)]
#[repr(align(64))]
struct Set {
    users: [UserKey; WAYS],
    found: [Option<Found>; WAYS],
    /// Bit per way: looked up since the hand last passed.
    used: u8,
    /// The way to be reconsidered first.
    hand: u8,
}

impl ProfileShard {
    /// A shard of [`limits::SHARD_PROFILES`] users over a base.
    pub fn new(base: Profiles) -> ProfileShard {
        ProfileShard::with_capacity(base, limits::SHARD_PROFILES)
    }

    /// A shard of at least this many users.
    pub fn with_capacity(base: Profiles, users: usize) -> ProfileShard {
        let set = Set { users: [UserKey::NOBODY; WAYS], found: [None; WAYS], used: 0, hand: 0 };
        let sets = vec![set; users.div_ceil(WAYS).next_power_of_two()].into_boxed_slice();
        ProfileShard { base, sets, counts: ShardCounts::default() }
    }

    /// A user's segments, sorted; `None` if nothing is known of the user, as of [`UserKey::NOBODY`] always.
    ///
    /// The token says that this request's consent allows it: without one there is no lookup.
    #[inline]
    pub fn lookup(&mut self, _consent: &Personal, user: UserKey) -> Option<&[SegmentId]> {
        if user == UserKey::NOBODY {
            return None;
        }
        let mask = self.sets.len() - 1;
        // The low bits place users in the base, the high ones here.
        let set = &mut self.sets[(user.0 >> 32) as usize & mask];
        let found = match set.users.iter().position(|&known| known == user) {
            Some(way) => {
                set.used |= 1 << way;
                self.counts.hits += 1;
                set.found[way]
            }
            None => {
                self.counts.misses += 1;
                let found = self.base.find(user);
                self.counts.evictions += u64::from(set.insert(user, found));
                found
            }
        };
        found.map(|found| self.base.segments(found))
    }

    /// Forgets a user, whose values stand in the base only. Whether the user was remembered.
    pub fn erase(&mut self, user: UserKey) -> bool {
        let mask = self.sets.len() - 1;
        let set = &mut self.sets[(user.0 >> 32) as usize & mask];
        let Some(way) = set.users.iter().position(|&known| known == user && user != UserKey::NOBODY) else { return false };
        set.users[way] = UserKey::NOBODY;
        set.found[way] = None;
        true
    }

    /// What the shard has done.
    pub fn counts(&self) -> ShardCounts {
        self.counts
    }
}

impl Set {
    /// Takes the first way, from the hand on, that was not used since the hand passed; whether a user was forgotten.
    #[cold]
    fn insert(&mut self, user: UserKey, found: Option<Found>) -> bool {
        let way = match self.users.iter().position(|&known| known == UserKey::NOBODY) {
            Some(empty) => empty,
            None => loop {
                let way = self.hand as usize;
                self.hand = (self.hand + 1) % WAYS as u8;
                if self.used & 1 << way == 0 {
                    break way;
                }
                self.used &= !(1 << way);
            },
        };
        let forgotten = self.users[way] != UserKey::NOBODY;
        // A newcomer has to be looked up again to stay: a stream of users seen once does not wash out the others.
        self.users[way] = user;
        self.found[way] = found;
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: u64) -> UserKey {
        UserKey(n.wrapping_mul(0x9E37_79B9_7F4A_7C15).max(1))
    }

    fn base(users: u64) -> Profiles {
        Profiles::new((1..=users).map(|n| (user(n), vec![SegmentId(n as u32), SegmentId(7)])).collect())
    }

    #[test]
    fn the_shard_says_what_the_base_says() {
        let base = base(500);
        let consent = Personal::granted();
        let mut shard = ProfileShard::with_capacity(base.clone(), 64);
        let mut random = 1u64;
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let user = user(1 + (random >> 33) % 1000);
            assert_eq!(shard.lookup(&consent, user), base.get(user));
        }
        let ShardCounts { hits, misses, evictions } = shard.counts();
        assert_eq!(hits + misses, 20_000);
        assert!(hits > 0 && evictions > 0 && misses >= evictions);
    }

    #[test]
    fn known_and_unknown_users_are_remembered() {
        let consent = Personal::granted();
        let mut shard = ProfileShard::with_capacity(base(1), 64);
        for _ in 0..3 {
            assert!(shard.lookup(&consent, user(1)).is_some());
            assert!(shard.lookup(&consent, user(2)).is_none());
            assert!(shard.lookup(&consent, UserKey::NOBODY).is_none());
        }
        assert_eq!(shard.counts(), ShardCounts { hits: 4, misses: 2, evictions: 0 });
    }

    #[test]
    fn users_in_use_outlast_users_seen_once() {
        let consent = Personal::granted();
        let mut shard = ProfileShard::with_capacity(base(0), WAYS);
        let regulars: Vec<UserKey> = (1..=4).map(user).collect();
        let visit = |shard: &mut ProfileShard, users: &[UserKey]| {
            for &user in users {
                shard.lookup(&consent, user);
            }
        };
        visit(&mut shard, &regulars);
        for stranger in 100..1100 {
            visit(&mut shard, &regulars);
            visit(&mut shard, &[user(stranger)]);
        }
        assert_eq!(shard.counts().misses, 4 + 1000);
    }
}
