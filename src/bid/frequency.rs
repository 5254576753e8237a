//! The frequency shard: how often a user was shown what the caps count, as far as this core knows.
//!
//! Impressions count when they are billed ([`Order::Counted`](crate::ring::message::Order::Counted) reaches every core of the node),
//! and when they come with a fetch: what other nodes have told the store ([`FrequencyShard::load`]). Until then a bid of this core
//! holds a reservation, or a user who opens ten pages at once would get ten bids under a cap of one. Most bids are lost in silence,
//! so a reservation ends by itself: time runs in half TTLs, and a reservation lives through the one it was made in and the two after
//! it, that is, for at least one TTL and less than one and a half.
//!
//! All that is known of a user stands in one cache line, or in neighbouring ones if it is much, so that the caps of all candidates of
//! a request are checked with one look at memory ([`Seen`]). Whose an entry is, is in its tag: users share lines, and nothing is kept
//! of who they are.
//!
//! A cap is soft: cores do not see each other's reservations, nodes hear of each other's bills with a delay, and where there is no room the
//! entry is forgotten that knows least. What that comes to is in docs/FREQUENCY.md.

mod lines;
mod refresh;

use crate::limits;
use crate::profile::count::{Count, CountOf, Counters, Enough, Periods, Shown, Window};
use crate::units::{Nanos, Now, UserKey};
use lines::{Home, Kind, Lines};
pub use refresh::Refresh;

/// Counts per user, what is counted, and period. Nothing here allocates after [`FrequencyShard::new`].
#[derive(Debug)]
pub struct FrequencyShard {
    lines: Lines,
    half_ttl: u64,
    evictions: u64,
    refresh: Option<Refresh>,
}

impl FrequencyShard {
    /// A shard of [`limits::SHARD_FREQUENCIES`] counts whose reservations last as long as silence on a bid does (H1).
    pub fn new() -> FrequencyShard {
        FrequencyShard::with(limits::SHARD_FREQUENCIES, limits::H1_NS)
    }

    /// A shard with room for at least this many counts, however users share the lines, with a reservation's shortest life in
    /// nanoseconds.
    pub fn with(counts: usize, ttl_ns: u64) -> FrequencyShard {
        let lines = Lines::with(counts.div_ceil(lines::USUAL));
        FrequencyShard { lines, half_ttl: ttl_ns.div_ceil(2).max(1), evictions: 0, refresh: None }
    }

    /// The same, of a node that shares its counts with others: users who are bid for are asked for again from time to time.
    #[must_use]
    pub fn shared(self) -> FrequencyShard {
        FrequencyShard { refresh: Some(Refresh::default()), ..self }
    }

    /// Bytes it takes.
    pub fn bytes(&self) -> usize {
        self.lines.bytes()
    }

    /// What is known of a user: one look, for all candidates of a request.
    #[inline]
    pub fn seen(&self, user: UserKey, now: Now) -> Seen<'_> {
        Seen {
            home: self.lines.home(self.place(user)),
            user,
            half: self.half(now.boot),
            periods: Periods::at(now.wall),
        }
    }

    /// Whether the user's counts were loaded, and nothing of them was forgotten since. Only of a shard that is [shared]: a user who
    /// was not loaded may have been shown anything elsewhere.
    ///
    /// [shared]: FrequencyShard::shared
    #[inline]
    pub fn knows(&self, user: UserKey) -> bool {
        self.lines.home(self.place(user)).billed(kind_loaded(user)).is_some()
    }

    /// Whether this is the shard of a node that shares its counts, and the user's were not loaded.
    #[inline]
    pub fn lacks(&self, user: UserKey) -> bool {
        self.refresh.is_some() && user != UserKey::NOBODY && !self.knows(user)
    }

    /// Holds one impression for a bid that is about to be answered, against caps of `enough`.
    #[inline]
    pub fn reserve(&mut self, user: UserKey, shown: &Shown, enough: &Enough, now: Now) {
        if user == UserKey::NOBODY {
            return;
        }
        let (half, periods, place) = (self.half(now.boot), Periods::at(now.wall), self.place(user));
        let mut left = u32::MAX;
        for (per, window) in shown.counters.iter() {
            let (entry, evicted) = self.lines.entry(place, kind(user, shown.of(per), window, periods), half, periods);
            entry.reserve();
            self.evictions += u64::from(evicted);
            let enough = u32::from(enough[Counters::place(per, window)]);
            if enough > 0 {
                left = left.min(enough.saturating_sub(entry.total(0)));
            }
        }
        if let Some(refresh) = &mut self.refresh
            && left < u32::MAX
        {
            let loaded = self.lines.home(place).billed(kind_loaded(user));
            refresh.after_bid(user, left, loaded, now.boot);
        }
    }

    /// Counts one billed impression, and of each count ends the oldest reservation if there is one: it is most likely this one's.
    /// `at` is when it was billed.
    #[inline]
    pub fn counted(&mut self, user: UserKey, shown: &Shown, at: Periods, now: Now) {
        if user == UserKey::NOBODY {
            return;
        }
        let (half, current, place) = (self.half(now.boot), Periods::at(now.wall), self.place(user));
        for (of, window) in shown.counts() {
            // Nobody asks for a period that is over.
            if at.of(window) == current.of(window) {
                let (entry, evicted) = self.lines.entry(place, kind(user, of, window, at), half, current);
                entry.count();
                self.evictions += u64::from(evicted);
            }
        }
    }

    /// What the store knows of a user. Of each count the greater holds, known or loaded: what this node has billed may not have
    /// reached the store, and what others billed has not reached this node.
    pub fn load(&mut self, user: UserKey, counts: &[Count], now: Now) {
        if user == UserKey::NOBODY {
            return;
        }
        let (half, periods, place) = (self.half(now.boot), Periods::at(now.wall), self.place(user));
        let mut evicted_any = false;
        for count in counts.iter().filter(|count| count.period == periods.of(count.window)) {
            let (entry, evicted) = self.lines.entry(place, kind(user, count.of, count.window, periods), half, periods);
            entry.raise(count.times);
            self.evictions += u64::from(evicted);
            evicted_any |= evicted;
        }
        // A user of whom not everything found room stays unknown.
        if !evicted_any {
            let (entry, evicted) = self.lines.entry(place, kind_loaded(user), half, periods);
            entry.set(refresh::second(now.boot));
            self.evictions += u64::from(evicted);
        }
    }

    /// Overwrites all that is known of a user, and of those who share the home line: their counts come again with their next load.
    pub fn erase(&mut self, user: UserKey) {
        let place = self.place(user);
        self.lines.erase(place);
    }

    /// A user whose counts are to be asked for again, if there is one.
    #[inline]
    pub fn stale(&mut self) -> Option<UserKey> {
        self.refresh.as_mut()?.take()
    }

    /// Counts of the current period that were forgotten to make room: each may let a user past a cap.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    #[inline]
    fn half(&self, now: Nanos) -> u16 {
        (now.0 / self.half_ttl) as u16
    }

    #[inline]
    fn place(&self, user: UserKey) -> usize {
        self.lines.place(fold(user.0, 0xA24B_AED4_963E_E407) >> 8)
    }
}

impl Default for FrequencyShard {
    fn default() -> Self {
        FrequencyShard::new()
    }
}

/// What the shard knows of one user at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'s> {
    home: Home<'s>,
    user: UserKey,
    half: u16,
    periods: Periods,
}

impl Seen<'_> {
    /// Billed and reserved impressions in the current period. None of [`UserKey::NOBODY`], of whom nothing is counted.
    #[inline]
    pub fn times(&self, of: CountOf, window: Window) -> u32 {
        if self.user == UserKey::NOBODY {
            return 0;
        }
        self.home.total(kind(self.user, of, window, self.periods), self.half)
    }
}

#[inline]
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one ^ other) * 0x9FB2_1C65_1E98_DF25_u128;
    (product >> 64) as u64 ^ product as u64
}

/// Names one count of one user: nothing else has the same name, but for one in 2^25 of the entries of the same home.
#[inline]
fn kind(user: UserKey, of: CountOf, window: Window, periods: Periods) -> Kind {
    let what = match of {
        CountOf::Campaign(campaign) => u64::from(campaign.0),
        CountOf::Creative(campaign, creative) => u64::from(campaign.0) | u64::from(creative) << 32 | 1 << 48,
        CountOf::Advertiser(advertiser) => u64::from(advertiser.0) | 2 << 48,
    };
    let period = periods.of(window);
    // The period is in the hash, whole: an entry of another one is another's, not an old number that comes to life again.
    let salt = what ^ u64::from(period).rotate_left(40);
    Kind::new(fold(user.0, salt.wrapping_mul(0xD6E8_FEB8_6659_FD93)), window, period)
}

/// The entry that says when the user's counts were loaded.
#[inline]
fn kind_loaded(user: UserKey) -> Kind {
    Kind::loaded(fold(user.0, 0x5851_F42D_4C95_7F2D))
}

#[cfg(test)]
mod tests;
