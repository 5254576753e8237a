use std::collections::HashMap;
use std::num::NonZeroU16;

use proptest::prelude::*;

use super::*;
use crate::profile::count::{Cap, Counted, Per};
use crate::units::{AdvertiserId, CampaignId, UnixMillis};

const TTL: u64 = 60;
const HOUR: u64 = 3_600_000;
/// 2026-11-16, a Monday.
const BEGIN: u64 = 1_794_787_200_000;

fn at(ns: u64, ms: u64) -> Now {
    Now { boot: Nanos(ns), wall: UnixMillis(BEGIN + ms) }
}

fn counted(campaign: u32, advertiser: u32, kinds: &[(Per, Window, u16)]) -> Counted {
    let cap = |&(per, window, times)| Cap { per, window, times: NonZeroU16::new(times).unwrap() };
    let caps: Vec<_> = kinds.iter().map(cap).collect();
    Counted::new(CampaignId(campaign), AdvertiserId(advertiser), &caps, Counters::NONE)
}

fn shown(counted: &Counted, creative: u16) -> Shown {
    let &Counted { campaign, advertiser, counters, .. } = counted;
    Shown { campaign, creative, advertiser, counters }
}

/// A campaign of advertiser 7 that counts for everything there is.
fn everything(campaign: u32) -> Counted {
    let kinds: Vec<_> = Per::ALL.into_iter().flat_map(|per| Window::ALL.map(|window| (per, window, 9))).collect();
    counted(campaign, 7, &kinds)
}

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
        self.billed + self.reserved.iter().filter(|&&made| now < made + life).count() as u32
    }
}

proptest! {
    /// Every count is between that with the shortest life of a reservation and that with the longest, whatever else is in the set.
    #[test]
    fn counts_are_those_of_a_plain_map(
        steps in prop::collection::vec(
            (0..3u64, 0..3u32, 0..2u16, 0..40u64, 0..HOUR,
             prop_oneof![Just(Step::Reserve), Just(Step::Count), Just(Step::Ask)]),
            1..60,
        ),
    ) {
        let mut shard = FrequencyShard::with(1 << 12, TTL);
        let mut naive: HashMap<(UserKey, CountOf, Window, u32), Naive> = HashMap::new();
        let (mut ns, mut ms, mut billed_any) = (1_000_000u64, 0, false);
        for (user, campaign, creative, wait, wall, step) in steps {
            (ns, ms) = (ns + wait, ms + wall / 8);
            let (user, now) = (UserKey(user * 77 + 1), at(ns, ms));
            let counted = everything(campaign);
            let shown = shown(&counted, creative);
            let periods = Periods::at(now.wall);
            match step {
                Step::Reserve => shard.reserve(user, &shown, &counted.enough, now),
                Step::Count => shard.counted(user, &shown, periods, now),
                Step::Ask => {}
            }
            billed_any |= matches!(step, Step::Count);
            for (of, window) in shown.counts() {
                let known = naive.entry((user, of, window, window.period(now.wall))).or_default();
                match step {
                    Step::Reserve => known.reserved.push(ns),
                    Step::Count => {
                        known.billed += 1;
                        // Which reservations still live differs by up to half a TTL, so the plain map ends all that might be the
                        // one: what is left is a lower bound.
                        known.reserved.clear();
                    }
                    Step::Ask => {}
                }
                let times = shard.seen(user, now).times(of, window);
                if shard.evictions() == 0 {
                    prop_assert!(times >= known.total(ns, TTL).min(15), "{of:?} {window:?}");
                }
                prop_assert!(billed_any || times <= known.total(ns, TTL + TTL / 2), "{of:?} {window:?}");
            }
        }
    }
}

#[test]
fn a_bill_takes_the_place_of_its_reservation() {
    let mut shard = FrequencyShard::with(64, TTL);
    let counted = counted(9, 7, &[(Per::Campaign, Window::Day, 1)]);
    let (user, shown, of) = (UserKey(5), shown(&counted, 0), CountOf::Campaign(CampaignId(9)));
    let times = |shard: &FrequencyShard, now| shard.seen(user, now).times(of, Window::Day);
    shard.reserve(user, &shown, &counted.enough, at(10, 0));
    assert_eq!(times(&shard, at(10, 0)), 1);
    shard.counted(user, &shown, Periods::at(at(20, 0).wall), at(20, 0));
    assert_eq!(times(&shard, at(20, 0)), 1, "billed and reserved count once");
    assert_eq!(times(&shard, at(20 + 10 * TTL, 24 * HOUR - 1)), 1, "a bill does not expire within its day");
    assert_eq!(times(&shard, at(20, 24 * HOUR)), 0, "another day");
    let seen = shard.seen(user, at(20, 0));
    assert_eq!(seen.times(CountOf::Campaign(CampaignId(8)), Window::Day), 0, "another campaign");
    assert_eq!(seen.times(of, Window::Hour), 0, "another window");
    assert_eq!(seen.times(CountOf::Advertiser(AdvertiserId(9)), Window::Day), 0, "an advertiser is no campaign");
    assert_eq!(shard.seen(UserKey(6), at(20, 0)).times(of, Window::Day), 0, "another user");
    let yesterday = Periods::at(at(0, 0).wall);
    shard.counted(user, &shown, yesterday, at(30, 25 * HOUR));
    assert_eq!(times(&shard, at(30, 25 * HOUR)), 0, "a bill of yesterday is none of today");
}

#[test]
fn a_reservation_ends_by_itself() {
    let counted = counted(9, 7, &[(Per::Campaign, Window::Day, 1)]);
    let (user, shown, of) = (UserKey(5), shown(&counted, 0), CountOf::Campaign(CampaignId(9)));
    for made in 0..TTL {
        let mut shard = FrequencyShard::with(64, TTL);
        shard.reserve(user, &shown, &counted.enough, at(made, 0));
        assert_eq!(shard.seen(user, at(made + TTL - 1, 0)).times(of, Window::Day), 1);
        assert_eq!(shard.seen(user, at(made + TTL + TTL / 2, 0)).times(of, Window::Day), 0);
        // The same if the set is written in between.
        shard.reserve(user, &super::Shown { creative: 1, ..shown }, &counted.enough, at(made + TTL + TTL / 2, 0));
        assert_eq!(shard.seen(user, at(made + TTL + TTL / 2, 0)).times(of, Window::Day), 1);
        shard.reserve(UserKey::NOBODY, &shown, &counted.enough, at(made, 0));
        assert_eq!(shard.seen(UserKey::NOBODY, at(made, 0)).times(of, Window::Day), 0);
    }
}

#[test]
fn what_is_loaded_never_lowers_what_is_known() {
    let mut shard = FrequencyShard::with(64, TTL).shared();
    let counted = counted(9, 7, &[(Per::Campaign, Window::Day, 9), (Per::Advertiser, Window::Lifetime, 9)]);
    let (user, shown, now) = (UserKey(5), shown(&counted, 0), at(20, 0));
    let periods = Periods::at(now.wall);
    let (campaign, advertiser) = (CountOf::Campaign(CampaignId(9)), CountOf::Advertiser(AdvertiserId(7)));
    assert!(!shard.knows(user));
    shard.counted(user, &shown, periods, now);
    let day = periods.of(Window::Day);
    let count = |of, window, period, times| Count { of, window, period, times };
    let loaded = [
        count(campaign, Window::Day, day, 4),
        count(campaign, Window::Day, day - 1, 8),
        count(advertiser, Window::Lifetime, 0, 0),
    ];
    shard.load(user, &loaded, now);
    let times = |shard: &FrequencyShard| {
        let seen = shard.seen(user, now);
        (seen.times(campaign, Window::Day), seen.times(advertiser, Window::Lifetime))
    };
    assert_eq!(times(&shard), (4, 1));
    assert!(shard.knows(user) && !shard.knows(UserKey(6)));
    shard.load(user, &[count(campaign, Window::Day, day, 2)], now);
    assert_eq!(times(&shard), (4, 1));
    shard.erase(user);
    assert_eq!((times(&shard), shard.knows(user)), ((0, 0), false));
}

#[test]
fn a_full_set_forgets_what_is_over_first_and_counts_what_it_forgets() {
    // One home, so that all users share it.
    let mut shard = FrequencyShard::with(1, TTL).shared();
    let counted = counted(1, 7, &[(Per::Campaign, Window::Day, 9)]);
    let (shown, of) = (shown(&counted, 0), CountOf::Campaign(CampaignId(1)));
    let bill = |shard: &mut FrequencyShard, user, now: Now| {
        shard.counted(UserKey(user), &shown, Periods::at(now.wall), now);
    };
    let (yesterday, today) = (at(0, 0), at(0, 24 * HOUR));
    for user in 1..=lines::FULL as u64 {
        bill(&mut shard, user, yesterday);
    }
    for user in 1..lines::FULL as u64 {
        bill(&mut shard, user, today);
        bill(&mut shard, user, today);
    }
    shard.load(UserKey(50), &[], today);
    assert!(shard.knows(UserKey(50)));
    assert_eq!(shard.evictions(), 0);
    bill(&mut shard, 100, today);
    assert_eq!(shard.evictions(), 0, "a mark goes before a count");
    assert!(!shard.knows(UserKey(50)));
    bill(&mut shard, 101, today);
    assert_eq!(shard.evictions(), 1);
    let times = |user| shard.seen(UserKey(user), today).times(of, Window::Day);
    assert_eq!((times(100), times(101)), (0, 1), "the entry that knew least went first");
    assert!((1..lines::FULL as u64).all(|user| times(user) == 2));
}

#[test]
fn a_user_whose_count_was_forgotten_is_not_known_any_more() {
    let mut shard = FrequencyShard::with(1, TTL).shared();
    let counted = counted(1, 7, &[(Per::Campaign, Window::Day, 9)]);
    let (now, day) = (at(0, 0), Window::Day);
    let one = |campaign| Count {
        of: CountOf::Campaign(CampaignId(campaign)),
        window: day,
        period: Periods::at(now.wall).of(day),
        times: 1,
    };
    let counts: Vec<_> = (0..lines::FULL as u32 - 1).map(one).collect();
    shard.load(UserKey(1), &counts, now);
    assert!(shard.knows(UserKey(1)));
    for creative in 0..2 {
        shard.counted(UserKey(2), &shown(&counted, creative), Periods::at(now.wall), now);
        shard.counted(UserKey(3), &shown(&counted, creative), Periods::at(now.wall), now);
    }
    assert!(shard.evictions() > 0);
    assert!(!shard.knows(UserKey(1)), "some count of this user may be gone");
    shard.load(UserKey(1), &counts, now);
    assert!(!shard.knows(UserKey(1)), "there is no room for all of them");
}

#[test]
fn users_near_a_cap_are_asked_for_again_and_no_more_than_so_many() {
    let second = Nanos::SECOND;
    let mut shard = FrequencyShard::with(1 << 16, 60 * second).shared();
    let near = counted(1, 7, &[(Per::Campaign, Window::Day, 1)]);
    let far = counted(2, 7, &[(Per::Campaign, Window::Day, 60)]);
    let bid = |shard: &mut FrequencyShard, user, of: &Counted, s| {
        shard.reserve(UserKey(user), &shown(of, 0), &of.enough, at(s * second, 0));
        shard.stale()
    };
    let start = 1000;
    assert_eq!(bid(&mut shard, 1, &near, start), Some(UserKey(1)), "nothing was loaded");
    for (user, of, young, old) in [(1, &near, 4, 5), (2, &far, 29, 30)] {
        shard.load(UserKey(user), &[], at(start * second, 0));
        assert_eq!(bid(&mut shard, user, of, start + young), None);
        assert_eq!(bid(&mut shard, user, of, start + old), Some(UserKey(user)));
    }
    let asked =
        |shard: &mut FrequencyShard, s| (10..10_000).filter(|user| bid(shard, *user, &near, s).is_some()).count();
    assert_eq!(asked(&mut shard, 5000), limits::REFRESHES as usize);
    assert_eq!(asked(&mut shard, 5001), limits::REFRESHES as usize);
    let uncapped = counted(3, 7, &[]);
    assert_eq!(bid(&mut shard, 20_000, &uncapped, 6000), None);
}
