//! The frequency shard: how often a user was shown a campaign today, as far as this core knows.
//!
//! Impressions count when they are billed ([`Order::Counted`](crate::ring::message::Order::Counted) reaches every core).
//! Until then a bid of this core holds a reservation, or a user who opens ten pages at once would get ten bids under a cap
//! of one. Most bids are lost in silence, so a reservation ends by itself: time runs in half TTLs, and a reservation lives
//! through the one it was made in and the two after it, that is, for at least one TTL and less than one and a half.
//!
//! ```text
//!   entry   0        8        10       12       15     16
//!           ┌────────┬────────┬────────┬────────┬──────┐
//!           │  pair  │ billed │  half  │reserved│ day  │   four in a cache line are a set
//!           └────────┴────────┴────────┴────────┴──────┘
//! ```
//!
//! A cap is soft: cores do not see each other's reservations, and a full set forgets the entry that knows least. Both are
//! measured (docs/CAMPAIGNS.md says what to expect).

use crate::limits;
use crate::units::{CampaignId, Day, Nanos, UserKey};

const WAYS: usize = 4;

/// Counts per user, campaign and day. Nothing here allocates after [`FrequencyShard::new`].
#[derive(Debug)]
pub struct FrequencyShard {
    sets: Box<[[Entry; WAYS]]>,
    half_ttl: u64,
    evictions: u64,
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(16))]
struct Entry {
    /// Hash of user and campaign; 0 is empty.
    pair: u64,
    billed: u16,
    /// The half TTL in which `reserved[0]` was made, counted modulo 2^16.
    half: u16,
    /// Reservations of that half TTL and the two before it.
    reserved: [u8; 3],
    /// The day, modulo 256: entries of other days are free to be taken.
    day: u8,
}

const _: () = assert!(size_of::<[Entry; WAYS]>() == 64);

impl FrequencyShard {
    /// A shard of [`limits::SHARD_FREQUENCIES`] pairs whose reservations last as long as silence on a bid does (H1).
    pub fn new() -> FrequencyShard {
        FrequencyShard::with(limits::SHARD_FREQUENCIES, limits::H1_NS)
    }

    /// A shard of at least this many pairs, with a reservation's shortest life in nanoseconds.
    pub fn with(pairs: usize, ttl_ns: u64) -> FrequencyShard {
        let sets = pairs.div_ceil(WAYS).next_power_of_two();
        let half_ttl = ttl_ns.div_ceil(2).max(1);
        FrequencyShard { sets: vec![[Entry::default(); WAYS]; sets].into_boxed_slice(), half_ttl, evictions: 0 }
    }

    /// Whether the user's billed and reserved impressions of the campaign have reached the cap. Never for
    /// [`UserKey::NOBODY`], of whom nothing is counted.
    #[inline]
    pub fn over(&self, user: UserKey, campaign: CampaignId, day: Day, cap: u16, now: Nanos) -> bool {
        if user == UserKey::NOBODY {
            return false;
        }
        let (set, pair) = self.place(user, campaign);
        let half = self.half(now);
        self.sets[set].iter().any(|entry| entry.is(pair, day) && entry.total(half) >= u32::from(cap))
    }

    /// Holds one impression for a bid that is about to be answered.
    #[inline]
    pub fn reserve(&mut self, user: UserKey, campaign: CampaignId, day: Day, now: Nanos) {
        let half = self.half(now);
        if let Some(entry) = self.entry(user, campaign, day, half) {
            entry.pass(half);
            entry.reserved[0] = entry.reserved[0].saturating_add(1);
        }
    }

    /// Counts one billed impression, and ends the oldest reservation if there is one: it is most likely this one's.
    #[inline]
    pub fn counted(&mut self, user: UserKey, campaign: CampaignId, day: Day, now: Nanos) {
        let half = self.half(now);
        if let Some(entry) = self.entry(user, campaign, day, half) {
            entry.pass(half);
            entry.billed = entry.billed.saturating_add(1);
            if let Some(oldest) = entry.reserved.iter_mut().rev().find(|count| **count > 0) {
                *oldest -= 1;
            }
        }
    }

    /// Overwrites what is counted of the user and the campaign.
    pub fn erase(&mut self, user: UserKey, campaign: CampaignId) {
        let (set, pair) = self.place(user, campaign);
        for entry in self.sets[set].iter_mut().filter(|entry| entry.pair == pair) {
            *entry = Entry::default();
        }
    }

    /// Entries of the current day that were forgotten to make room: each may let a user past a cap.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    #[inline]
    fn half(&self, now: Nanos) -> u16 {
        (now.0 / self.half_ttl) as u16
    }

    #[inline]
    fn place(&self, user: UserKey, campaign: CampaignId) -> (usize, u64) {
        let product = u128::from(user.0 ^ u64::from(campaign.0).wrapping_mul(0xA24B_AED4_963E_E407))
            * u128::from(0x9FB2_1C65_1E98_DF25u64);
        let pair = ((product >> 64) as u64 ^ product as u64).max(1);
        ((pair >> 20) as usize & (self.sets.len() - 1), pair)
    }

    /// The entry of the pair and day, made if need be; `None` for nobody.
    #[inline]
    fn entry(&mut self, user: UserKey, campaign: CampaignId, day: Day, half: u16) -> Option<&mut Entry> {
        if user == UserKey::NOBODY {
            return None;
        }
        let (set, pair) = self.place(user, campaign);
        let set = &mut self.sets[set];
        let way = match set.iter().position(|entry| entry.is(pair, day)) {
            Some(way) => way,
            None => {
                let worth = |entry: &Entry| match entry.pair {
                    0 => 0,
                    _ if entry.day != day.0 as u8 => 1,
                    _ => 2 + entry.total(half),
                };
                let way = (0..WAYS).min_by_key(|&way| worth(&set[way])).unwrap_or(0);
                self.evictions += u64::from(worth(&set[way]) > 2);
                set[way] = Entry { pair, half, day: day.0 as u8, ..Entry::default() };
                way
            }
        };
        Some(&mut set[way])
    }
}

impl Default for FrequencyShard {
    fn default() -> Self {
        FrequencyShard::new()
    }
}

impl Entry {
    #[inline]
    fn is(&self, pair: u64, day: Day) -> bool {
        self.pair == pair && self.day == day.0 as u8
    }

    /// Billed, and reservations that still live in this half TTL.
    #[inline]
    fn total(&self, half: u16) -> u32 {
        let age = usize::from(half.wrapping_sub(self.half)).min(3);
        u32::from(self.billed) + self.reserved[..3 - age].iter().map(|&count| u32::from(count)).sum::<u32>()
    }

    /// Brings the reservations up to this half TTL.
    #[inline]
    fn pass(&mut self, half: u16) {
        for _ in 0..half.wrapping_sub(self.half).min(3) {
            self.reserved = [0, self.reserved[0], self.reserved[1]];
        }
        self.half = half;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const TTL: u64 = 60;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Reserve,
        Count,
        Ask,
    }

    /// Billed impressions, and when each reservation was made.
    #[derive(Default)]
    struct Naive {
        billed: u32,
        reserved: Vec<u64>,
    }

    impl Naive {
        fn total(&self, now: u64, life: u64) -> u32 {
            self.billed + self.reserved.iter().filter(|&&at| now < at + life).count() as u32
        }
    }

    proptest! {
        /// Between the count with the shortest life of a reservation and that with the longest.
        #[test]
        fn counts_are_those_of_a_plain_map(
            steps in prop::collection::vec(
                (0..3u64, 0..3u32, 0..2u32, 0..40u64, prop_oneof![Just(Step::Reserve), Just(Step::Count), Just(Step::Ask)]),
                1..200,
            ),
        ) {
            let mut shard = FrequencyShard::with(1 << 12, TTL);
            let mut naive: HashMap<(u64, u32, u32), Naive> = HashMap::new();
            let (mut now, mut counted) = (1_000_000u64, false);
            for (user, campaign, day, wait, step) in steps {
                now += wait;
                let (key, id, day) = (UserKey(user * 77 + 1), CampaignId(campaign), Day(20_000 + day));
                let known = naive.entry((user, campaign, day.0)).or_default();
                match step {
                    Step::Reserve => {
                        shard.reserve(key, id, day, Nanos(now));
                        known.reserved.push(now);
                    }
                    Step::Count => {
                        counted = true;
                        shard.counted(key, id, day, Nanos(now));
                        known.billed += 1;
                        // Which reservations still live differs by up to half a TTL, so the plain map ends all that might
                        // be the one: what is left is a lower bound.
                        known.reserved.clear();
                    }
                    Step::Ask => {}
                }
                let least = known.total(now, TTL);
                let most = known.total(now, TTL + TTL / 2);
                prop_assert!(least == 0 || shard.over(key, id, day, least as u16, Nanos(now)), "at least {least}");
                if !counted {
                    prop_assert!(!shard.over(key, id, day, most as u16 + 1, Nanos(now)), "at most {most}");
                }
            }
            prop_assert_eq!(shard.evictions(), 0);
        }
    }

    #[test]
    fn a_bill_takes_the_place_of_its_reservation() {
        let mut shard = FrequencyShard::with(64, TTL);
        let (user, campaign, day) = (UserKey(5), CampaignId(9), Day(20_000));
        shard.reserve(user, campaign, day, Nanos(10));
        assert!(shard.over(user, campaign, day, 1, Nanos(10)));
        shard.counted(user, campaign, day, Nanos(20));
        assert!(shard.over(user, campaign, day, 1, Nanos(20)));
        assert!(!shard.over(user, campaign, day, 2, Nanos(20)), "billed and reserved count once");
        assert!(shard.over(user, campaign, day, 1, Nanos(20 + 10 * TTL)), "a bill does not expire within its day");
        assert!(!shard.over(user, campaign, Day(20_001), 1, Nanos(20)), "another day");
        assert!(!shard.over(user, CampaignId(8), day, 1, Nanos(20)), "another campaign");
        assert!(!shard.over(UserKey(6), campaign, day, 1, Nanos(20)), "another user");
    }

    #[test]
    fn a_reservation_ends_by_itself() {
        let mut shard = FrequencyShard::with(64, TTL);
        let (user, campaign, day) = (UserKey(5), CampaignId(9), Day(20_000));
        for at in 0..TTL {
            let mut shard = FrequencyShard::with(64, TTL);
            shard.reserve(user, campaign, day, Nanos(at));
            assert!(shard.over(user, campaign, day, 1, Nanos(at + TTL - 1)));
            assert!(!shard.over(user, campaign, day, 1, Nanos(at + TTL + TTL / 2)));
        }
        shard.reserve(UserKey::NOBODY, campaign, day, Nanos(1));
        assert!(!shard.over(UserKey::NOBODY, campaign, day, 0, Nanos(1)));
    }

    #[test]
    fn a_full_set_forgets_yesterday_first_and_counts_what_it_forgets() {
        let mut shard = FrequencyShard::with(WAYS, TTL);
        let campaign = CampaignId(1);
        for user in 1..=WAYS as u64 {
            shard.counted(UserKey(user), campaign, Day(1), Nanos(0));
        }
        for user in 1..=WAYS as u64 {
            shard.counted(UserKey(user), campaign, Day(2), Nanos(0));
            shard.counted(UserKey(user), campaign, Day(2), Nanos(0));
        }
        assert_eq!(shard.evictions(), 0);
        shard.counted(UserKey(100), campaign, Day(2), Nanos(0));
        assert_eq!(shard.evictions(), 1);
        shard.counted(UserKey(101), campaign, Day(2), Nanos(0));
        assert!(!shard.over(UserKey(100), campaign, Day(2), 1, Nanos(0)), "the entry that knew least went first");
        assert_eq!((1..=4).filter(|&user| shard.over(UserKey(user), campaign, Day(2), 2, Nanos(0))).count(), 3);
    }
}
