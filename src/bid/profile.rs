//! The profile shard: what this core knows of the users it has seen, in a bounded number of bytes.
//!
//! Behind it lies more: the base of profiles that all cores read, or a store that is asked elsewhere. What is in front is
//! this core's own, in the clear, and is kept by S3-FIFO (Yang, Zhang, Qiu, Yue and Rashmi, *FIFO queues are all you need
//! for cache eviction*, SOSP 2023): most users are seen once, so a newcomer gets a place in a small queue, and only one who is
//! asked for again gets one in the main queue.
//!
//! ```text
//!               promote                       asked for since, or there is room
//!                  │ ┌─────────────────────┐    ┌────────────────────────────────────────────┐
//!                  ├►│ small: a tenth      │ ─► │ main                                       │ ─► forgotten
//!                  │ └─────────┬───────────┘    └──▲──────────────────────────┬──────────────┘
//!                  │           ▼ not                └───── asked for since ────┘
//!                  │  ghosts: no value, half a key
//!                  └───────────┴ came back: to main
//! ```
//!
//! Both queues are logs (`log.rs`): values are written behind one another, whatever their length, and a lookup writes no more than
//! a small number beside the one it found. Users of whom nothing is known are remembered apart (`unknown.rs`).

mod cache;
mod ghosts;
mod index;
mod log;
mod unknown;

use crate::bid::comply::Personal;
use crate::limits;
use crate::profile::value::Profile;
use crate::snapshot::profiles::Profiles;
use crate::units::{Nanos, UserKey};

use cache::{Cache, Found};
use unknown::Unknown;

/// What there is behind a shard that has not heard of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// The base, which is at hand: who is not in it is unknown.
    Base,
    /// The base, and then a store, or a sealed base: who is not in the base has to be asked for.
    Store,
}

/// What a shard knows of a user.
#[derive(Clone, Copy, Debug)]
pub enum Known<'s> {
    /// This.
    Profile(Profile<'s>),
    /// That nothing is known.
    Nothing,
    /// Not even that: [`ProfileShard::promote`] will tell it.
    Missing,
}

/// What a shard has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardCounts {
    /// Lookups answered by a profile in the shard.
    pub hits: u64,
    /// Lookups answered by the knowledge that nothing is known.
    pub unknown: u64,
    /// Lookups that went to what is behind.
    pub misses: u64,
    /// Profiles forgotten to make room.
    pub evictions: u64,
    /// Values that were no profile: their users are taken for unknown.
    pub refused: u64,
}

/// What a shard holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardUse {
    /// Bytes, tables included; never more than its bound.
    pub bytes: u64,
    /// Of them, those of values with their heads, and of what was erased and has not yet left.
    pub held: u64,
    /// Profiles.
    pub profiles: u64,
    /// Users of whom nothing is known.
    pub unknown: u64,
}

/// A bounded memory of users. Nothing here allocates after [`ProfileShard::new`].
#[derive(Debug)]
pub struct ProfileShard {
    base: Profiles,
    behind: Behind,
    cache: Cache,
    unknown: Unknown,
    /// Now, seconds of the boot clock.
    seconds: u32,
    counts: ShardCounts,
}

impl ProfileShard {
    /// A shard of [`limits::SHARD_BYTES`] over a base.
    pub fn new(base: Profiles, behind: Behind) -> ProfileShard {
        ProfileShard::with_bytes(base, behind, limits::SHARD_BYTES)
    }

    /// A shard of at most this many bytes.
    ///
    /// # Panics
    /// If they are fewer than [`limits::SHARD_BYTES_LEAST`].
    pub fn with_bytes(base: Profiles, behind: Behind, bytes: usize) -> ProfileShard {
        assert!(bytes >= limits::SHARD_BYTES_LEAST, "a shard of {bytes} bytes is too small");
        let unknown = Unknown::new(bytes / 16);
        let cache = Cache::new(bytes - unknown.bytes());
        assert!(cache.longest() >= limits::PROFILE_BYTES);
        ProfileShard { base, behind, cache, unknown, seconds: 0, counts: ShardCounts::default() }
    }

    /// Tells what time it is: what was learnt too long ago is not relied on.
    #[inline]
    pub fn pass(&mut self, now: Nanos) {
        self.seconds = (now.0 / 1_000_000_000) as u32;
    }

    /// What is known of a user; nothing of [`UserKey::NOBODY`].
    ///
    /// The token says that this request's consent allows it: without one there is no lookup.
    #[inline]
    pub fn lookup(&mut self, _consent: &Personal, user: UserKey) -> Known<'_> {
        match self.cache.find(user) {
            Some(found) if self.relies_on(found) => {
                self.counts.hits += 1;
                self.known(found)
            }
            _ => self.elsewhere(user),
        }
    }

    /// Looks up a user whom no log holds, or holds for too long.
    #[inline(never)]
    fn elsewhere(&mut self, user: UserKey) -> Known<'_> {
        if user == UserKey::NOBODY {
            return Known::Nothing;
        }
        if self.unknown.contains(user, self.seconds) {
            self.counts.unknown += 1;
            return Known::Nothing;
        }
        self.counts.misses += 1;
        if let Some(value) = self.base.get(user) {
            // The base was checked when it was read.
            let found = self.cache.keep(user, value, self.seconds);
            return self.known(found);
        }
        self.cache.erase(user);
        if self.behind == Behind::Store {
            return Known::Missing;
        }
        self.unknown.insert(user, self.seconds);
        Known::Nothing
    }

    /// Takes up what was learnt of a user; `None`: that nothing is known. Of a value that is no profile nothing is known either:
    /// to ask again at once would bring the same.
    pub fn promote(&mut self, user: UserKey, value: Option<&[u8]>, now: Nanos) {
        self.pass(now);
        if user == UserKey::NOBODY {
            return;
        }
        let profile = value.filter(|value| Profile::check(value).is_ok());
        self.counts.refused += u64::from(value.is_some() && profile.is_none());
        match profile {
            Some(value) => {
                self.unknown.remove(user);
                self.cache.keep(user, value, self.seconds);
            }
            None => {
                self.cache.erase(user);
                self.unknown.insert(user, self.seconds);
            }
        }
    }

    /// Forgets a user and overwrites the bytes; whether there was something to forget. What is behind the shard may bring it back.
    pub fn erase(&mut self, user: UserKey) -> bool {
        let profile = user != UserKey::NOBODY && self.cache.erase(user);
        let nothing = user != UserKey::NOBODY && self.unknown.remove(user);
        profile || nothing
    }

    /// What the shard has done.
    pub fn counts(&self) -> ShardCounts {
        ShardCounts { evictions: self.cache.evictions(), ..self.counts }
    }

    /// What the shard holds.
    pub fn usage(&self) -> ShardUse {
        let (profiles, held) = (self.cache.users() as u64, self.cache.held() as u64);
        let tables = self.cache.tables() + self.unknown.bytes();
        ShardUse { bytes: held + tables as u64, held, profiles, unknown: self.unknown.users() as u64 }
    }

    /// Bytes in use, tables included.
    pub fn bytes(&self) -> u64 {
        self.usage().bytes
    }

    #[inline]
    fn relies_on(&self, found: Found) -> bool {
        const LIFE: u32 = (limits::PROFILE_LIFE_NS / 1_000_000_000) as u32;
        // A base does not change, so what is from it does not age.
        self.behind == Behind::Base || self.seconds.wrapping_sub(found.head.seconds) < LIFE
    }

    #[inline]
    fn known(&mut self, found: Found) -> Known<'_> {
        Known::Profile(Profile::read(self.cache.ask(found)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
