//! The guards, each against what it is for: the runaway breaker against a market at and beyond the target, the sums against books
//! in which one number is changed, the lag against its clock.

use std::sync::Arc;

use corebid::authority::books::Scope;
use corebid::authority::message::Why;
use corebid::limits;
use corebid::reconcile::gauges::Gauges;
use corebid::reconcile::guards::feed::{Change, FeedLag};
use corebid::reconcile::guards::runaway::{Runaway, Sight, Signal, Trip};
use corebid::reconcile::guards::stops::Stop;
use corebid::reconcile::guards::sums::{Accounts, Sum, Sums};
use corebid::reconcile::history::Replayed;
use corebid::reconcile::solo::{Solo, Start};
use corebid::reconcile::{Funding, Horizons, Mode, Parts, Settings};
use corebid::ring::message::{Event, Order};
use corebid::units::*;
use proptest::prelude::*;

const TICKS_OF_A_DAY: u64 = UnixMillis::DAY * Nanos::MS / limits::TICK_NS;
const TICKS_OF_A_MINUTE: u64 = limits::RUNAWAY_NS / limits::TICK_NS;
/// Of one impression.
const PRICE: Micros = Micros(5_000);

/// A generator that is the same everywhere (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// How many of something come that come `mean` times on average, independently.
    fn poisson(&mut self, mean: f64) -> i64 {
        // In parts, so that the product does not vanish.
        let (parts, mut count) = ((mean / 20.0).ceil().max(1.0), 0);
        for _ in 0..parts as u64 {
            let (end, mut product) = ((-mean / parts).exp(), self.next());
            while product > end {
                count += 1;
                product *= self.next();
            }
        }
        count
    }
}

/// A campaign under watch, tick by tick. Both signals are told the same unless a test says otherwise.
struct Watched {
    runaway: Runaway,
    now: Nanos,
    sight: Sight,
}

impl Watched {
    fn new() -> Watched {
        let sight = Sight { day: Day(20_000), dearest: PRICE, ..Sight::default() };
        let mut watched = Watched { runaway: Runaway::default(), now: Nanos(77), sight };
        assert_eq!(watched.tell(), None);
        watched
    }

    fn tell(&mut self) -> Option<Trip> {
        let (fleet, own) = (self.runaway.fleet(self.now, self.sight), self.runaway.own(self.now, self.sight));
        fleet.or(own)
    }

    fn tick(&mut self, spent: i64, target: i64) -> Option<Trip> {
        self.now = self.now.after(limits::TICK_NS);
        self.sight.spent = self.sight.spent.plus(Micros(spent));
        self.sight.target = self.sight.target.plus(Micros(target));
        self.tell()
    }

    /// The tick in which it trips, within so many.
    fn ticks(&mut self, count: u64, mut spent: impl FnMut() -> i64, target: i64) -> Option<u64> {
        (0..count).find(|_| self.tick(spent(), target).is_some())
    }
}

/// ln of the chance that exactly `count` come.
fn ln_poisson(mean: f64, count: f64) -> f64 {
    // Stirling with two terms is exact to 1e-4 from 8 on; below, the product.
    let ln_factorial = if count < 8.0 {
        (1..=count as u32).map(|factor| f64::from(factor).ln()).sum()
    } else {
        count * count.ln() - count + 0.5 * (std::f64::consts::TAU * count).ln() + 1.0 / (12.0 * count)
    };
    count * mean.ln() - mean - ln_factorial
}

/// The chance that more than `limit` come.
fn poisson_tail(mean: f64, limit: f64) -> f64 {
    let first = limit.floor() + 1.0;
    let terms = (0..400).map(|more| ln_poisson(mean, first + f64::from(more)).exp());
    terms.sum()
}

/// The bound in the decision: of a campaign that spends its target on average, in impressions that come independently, in the worst
/// case of all budgets. That quarters must each be above the limit makes it rarer still.
#[test]
fn chance_alone_trips_it_less_than_once_in_a_million_days() {
    let windows_of_a_day = TICKS_OF_A_DAY as f64 / 3.0;
    let tail = |mean: f64| {
        let limit = limits::RUNAWAY_TIMES as f64 * mean + limits::RUNAWAY_BIDS as f64;
        // A hair below a whole number counts as that number.
        poisson_tail(mean, limit - 1e-9)
    };
    let means = (0..2000).map(|step| 1e-3 * 1.01f64.powi(step));
    let (worst, chance) = means.map(|mean| (mean, tail(mean))).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert!((1.0..8.0).contains(&worst), "the worst case is {worst} impressions a minute");
    assert!(chance * windows_of_a_day < 1e-6, "{chance:e} a window at {worst} impressions a minute");
    // Not for nothing: with half the minimum it would be the alarm of every other week in ten thousand campaigns.
    let half = poisson_tail(2.0, 6.0 + limits::RUNAWAY_BIDS as f64 / 2.0);
    assert!(half * windows_of_a_day > 1e-3, "{half:e}");
}

/// The same, through the breaker, where one impression is far more than three times a tick's target: 20 campaign-days of each budget.
#[test]
fn at_its_target_a_campaign_bids_on() {
    let mut chance = Chance(1);
    for a_minute in [0.02, 0.5, 3.0, 40.0, 1_000.0] {
        let a_tick = a_minute / TICKS_OF_A_MINUTE as f64;
        let mut watched = Watched::new();
        let target = (a_tick * PRICE.0 as f64) as i64;
        let mut cheap = Chance(2);
        // Half of them at the price, half of them between nothing and twice the half: never dearer than the dearest.
        let spend =
            || (0..chance.poisson(a_tick)).map(|_| if cheap.next() < 0.5 { PRICE.0 } else { PRICE.0 / 2 }).sum();
        assert_eq!(watched.ticks(20 * TICKS_OF_A_DAY, spend, target), None, "{a_minute} impressions a minute");
    }
}

#[test]
fn four_times_the_target_is_seen_within_75_seconds() {
    for (times, into) in [4.0, 10.0, 100.0].into_iter().flat_map(|times| [0, 1, 2].map(|into| (times, into))) {
        let mut chance = Chance(3);
        let (a_tick, target) = (50.0, 50 * PRICE.0);
        let mut watched = Watched::new();
        assert_eq!(watched.ticks(999 + into, || chance.poisson(a_tick) * PRICE.0, target), None);
        let seen = watched.ticks(1_000, || chance.poisson(times * a_tick) * PRICE.0, target);
        // The minute may begin with the rest of a quarter, if that is bad enough for the whole of it, or after it.
        assert!(seen.is_some_and(|tick| (9..15).contains(&tick)), "{times} times, {into} ticks in: {seen:?}");
    }
}

#[test]
fn less_than_three_times_the_target_is_the_pacers_affair() {
    let mut chance = Chance(4);
    let mut watched = Watched::new();
    let (a_tick, target) = (50.0, 50 * PRICE.0);
    assert_eq!(watched.ticks(TICKS_OF_A_DAY, || chance.poisson(2.8 * a_tick) * PRICE.0, target), None);
    assert!(watched.ticks(100, || chance.poisson(3.5 * a_tick) * PRICE.0, target).is_some());
}

/// A small campaign may spend some impressions at once; not one after the other.
#[test]
fn a_small_campaign_is_stopped_after_some_impressions() {
    let mut watched = Watched::new();
    assert_eq!(watched.ticks(999, || 0, 1), None);
    // As many as are allowed in a minute, for an hour; then twice as many.
    assert_eq!(watched.ticks(720, || PRICE.0, 1), None);
    let seen = watched.ticks(720, || 2 * PRICE.0, 1);
    assert!(seen.is_some_and(|tick| tick < 15), "{seen:?}");
}

/// Either signal alone: the other one sees nothing at all.
#[test]
fn a_broken_signal_hides_nothing() {
    let target = 10 * PRICE.0;
    for working in [Signal::Fleet, Signal::Own] {
        let mut watched = Watched::new();
        let mut tripped = None;
        for _ in 0..20 {
            watched.now = watched.now.after(limits::TICK_NS);
            watched.sight.spent = watched.sight.spent.plus(Micros(20 * target));
            watched.sight.target = watched.sight.target.plus(Micros(target));
            let blind = Sight { spent: Micros::ZERO, ..watched.sight };
            let (fleet, own) = match working {
                Signal::Fleet => (watched.sight, blind),
                Signal::Own => (blind, watched.sight),
            };
            let fleet = watched.runaway.fleet(watched.now, fleet);
            tripped = tripped.or(fleet).or(watched.runaway.own(watched.now, own));
        }
        let trip = tripped.expect("a trip");
        assert_eq!(trip.signal, working);
        assert_eq!((trip.spent.0, trip.target.0), (20 * 12 * target, 12 * target));
        let minute = (20 * 12 * target) as f64 / 1e6;
        assert!(trip.to_string().contains(&format!("spent {minute:.6} in a minute")), "{trip}");
    }
}

/// What is expected of silent bids is an estimate. If it is far too low, the bills still tell, at the time of their bids.
#[test]
fn bills_count_where_the_estimate_is_wrong() {
    let (a_bid, target) = (PRICE.0, 10 * PRICE.0);
    let feed = |age_ms: u64| {
        let mut watched = Watched::new();
        (0..60u64).any(|tick| {
            let tripped = watched.tick(target / 10, target).is_some();
            if tick * limits::TICK_NS >= age_ms.saturating_mul(Nanos::MS) {
                (0..100).for_each(|_| watched.runaway.billed(watched.now, age_ms, Micros(a_bid)));
            }
            tripped
        })
    };
    assert!(feed(2_000), "bills of bids made now");
    assert!(feed(58_000), "bills that come a minute later");
    // From then on it takes the authority's count.
    assert!(!feed(130_000), "bills of bids made before");
    assert!(!feed(u64::MAX));
}

/// A group of auctions is billed bit by bit over a minute: bids of one moment, whenever their bills come.
#[test]
fn bills_count_at_the_time_of_their_bids() {
    let target = 10 * PRICE.0;
    let mut watched = Watched::new();
    assert_eq!(watched.ticks(30, || target, target), None);
    let bid = watched.now;
    for _ in 0..24 {
        let age = watched.now.since(bid) / Nanos::MS;
        watched.runaway.billed(watched.now, age, Micros(100 * target));
        assert_eq!(watched.tick(target, target), None, "{age} ms later");
    }
}

/// Notices were lost for an hour, pacing made good for what seemed unspent, then the bills come, for a whole hour of bids: the
/// campaign is ahead of its curve, and does not run away.
#[test]
fn a_burst_of_late_bills_is_no_runaway() {
    for burst in 1..=9 {
        let target = 20 * PRICE.0;
        let mut watched = Watched::new();
        assert_eq!(watched.ticks(720, || target, target), None);
        assert_eq!(watched.ticks(burst, || 720 * target / burst as i64, target), None, "within {burst} ticks");
        assert_eq!(watched.ticks(720, || target, target), None);
    }
}

#[test]
fn who_is_behind_may_catch_up_and_not_run_on() {
    let target = 20 * PRICE.0;
    let mut watched = Watched::new();
    // No supply for two hours, then ten times the target: 160 ticks until the curve is reached.
    assert_eq!(watched.ticks(1440, || 0, target), None);
    assert_eq!(watched.ticks(160, || 10 * target, target), None);
    assert_eq!(watched.sight.spent, watched.sight.target);
    let mut went_on = Watched { ..watched };
    assert_eq!(watched.ticks(1_000, || target, target), None, "it stays on the curve");
    let seen = went_on.ticks(1_000, || 10 * target, target).expect("a trip");
    assert!(seen < 15, "{seen}");
    let ahead = went_on.sight.spent.minus(went_on.sight.target);
    assert!(ahead.0 <= 9 * 15 * target, "{ahead:?} ahead of the curve");
}

/// What makes the numbers of before incomparable starts the minute over, and does not blind it for longer.
#[test]
fn a_new_day_a_cut_and_a_stall_start_over() {
    type Happens = fn(&mut Watched);
    let target = 20 * PRICE.0;
    let changes: [(&str, Happens); 3] = [
        ("a new day", |watched| {
            watched.sight.day = Day(20_001);
        }),
        ("a budget cut", |watched| watched.sight.target = Micros(watched.sight.target.0 / 5)),
        ("a stall", |watched| watched.now = watched.now.after(100 * limits::TICK_NS)),
    ];
    for (what, change) in changes {
        let mut watched = Watched::new();
        assert_eq!(watched.ticks(99, || target, target), None);
        assert_eq!(watched.ticks(11, || 100 * target, target), None);
        change(&mut watched);
        // The change itself counts for nothing.
        assert_eq!(watched.tell(), None, "{what}");
        assert_eq!(watched.ticks(11, || 100 * target, target), None, "{what}");
        assert!(watched.ticks(1, || 100 * target, target).is_some(), "{what}");
        // It tripped, and was resumed: a minute again.
        assert_eq!(watched.ticks(11, || 100 * target, target), None, "{what}");
        assert!(watched.ticks(1, || 100 * target, target).is_some(), "{what}");
    }
}

proptest! {
    /// Nothing it is told makes it panic.
    #[test]
    fn any_numbers(
        told in prop::collection::vec((any::<u64>(), any::<i64>(), any::<i64>(), any::<i64>(), any::<u64>(), any::<i64>()), 1..60)
    ) {
        let mut runaway = Runaway::default();
        let mut now = Nanos(0);
        for (pass, spent, target, dearest, age, amount) in told {
            now = Nanos(now.0.wrapping_add(pass % (20 * Nanos::SECOND)));
            let sight =
                Sight { day: Day(1), spent: Micros(spent), target: Micros(target), dearest: Micros(dearest) };
            runaway.billed(now, age, Micros(amount));
            let _ = (runaway.fleet(now, sight), runaway.own(now, sight));
        }
    }
}

/// Books as plain lists, every sum written down apart.
#[derive(Clone, Debug, Default)]
struct Plain {
    leases: Vec<(CampaignId, Day, Micros)>,
    days: Vec<(CampaignId, Day, Sum)>,
    campaigns: Vec<(CampaignId, AdvertiserId, Sum)>,
    advertisers: Vec<(AdvertiserId, Micros)>,
}

impl Accounts for Plain {
    fn leases(&self) -> impl Iterator<Item = (CampaignId, Day, Micros)> {
        self.leases.iter().copied()
    }

    fn days(&self) -> impl Iterator<Item = (CampaignId, Day, Sum)> {
        self.days.iter().copied()
    }

    fn campaigns(&self) -> impl Iterator<Item = (CampaignId, AdvertiserId, Sum)> {
        self.campaigns.iter().copied()
    }

    fn advertisers(&self) -> impl Iterator<Item = (AdvertiserId, Micros)> {
        self.advertisers.iter().copied()
    }
}

/// A lease of a campaign on a day, and what was settled there before.
type Entry = (u32, u32, i64, i64);

impl Plain {
    /// Books that add up. Three campaigns to an advertiser, three days to a campaign.
    fn of(entries: &[Entry]) -> Plain {
        let mut plain = Plain::default();
        let campaigns: std::collections::BTreeSet<u32> = entries.iter().map(|entry| entry.0).collect();
        let sum = |of: &dyn Fn(&&Entry) -> bool| {
            let of: Vec<&Entry> = entries.iter().filter(of).collect();
            let (charged, settled) = (of.iter().map(|e| e.2).sum::<i64>(), of.iter().map(|e| e.3).sum::<i64>());
            Sum { settled: Micros(settled), charged: Micros(charged), ceiling: Micros(settled + charged) }
        };
        plain.leases = entries.iter().map(|e| (CampaignId(e.0), Day(e.1), Micros(e.2))).collect();
        for &campaign in &campaigns {
            for day in 0..3 {
                plain.days.push((CampaignId(campaign), Day(day), sum(&|e| (e.0, e.1) == (campaign, day))));
            }
            plain.campaigns.push((CampaignId(campaign), AdvertiserId(campaign / 3), sum(&|e| e.0 == campaign)));
        }
        let advertisers: std::collections::BTreeSet<u32> = campaigns.iter().map(|campaign| campaign / 3).collect();
        for advertiser in advertisers {
            let Sum { ceiling, .. } = sum(&|e| e.0 / 3 == advertiser);
            // One without money may be left out.
            if ceiling > Micros::ZERO {
                plain.advertisers.push((AdvertiserId(advertiser), ceiling));
            }
        }
        plain
    }
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec((0..12u32, 0..3u32, 0..1_000i64, 0..1_000i64), 1..60)
}

proptest! {
    #[test]
    fn books_that_add_up_stop_nobody(entries in entries()) {
        let plain = Plain::of(&entries);
        let mut sums = Sums::default();
        for _ in 0..2 {
            let checked = sums.check(&plain);
            prop_assert!(checked.is_right(), "{checked:?}");
            let compared = plain.days.len() + plain.campaigns.len() + plain.advertisers.len();
            prop_assert_eq!(checked.sums, compared as u64);
        }
    }

    /// Whatever single number is off, by however little, its advertiser is named, and nobody else.
    #[test]
    fn one_wrong_number_stops_its_advertiser(
        entries in entries(), which in 0..7usize, index in any::<prop::sample::Index>(), off in prop_oneof![Just(1i64), Just(-1), 1..=i64::MAX / 4]
    ) {
        let mut plain = Plain::of(&entries);
        let of = |campaign: CampaignId| AdvertiserId(campaign.0 / 3);
        let change = |money: &mut Micros| *money = Micros(money.0 + off);
        let wrong = match which {
            0 => { let lease = index.get_mut(&mut plain.leases); change(&mut lease.2); of(lease.0) }
            1 => { let day = index.get_mut(&mut plain.days); change(&mut day.2.charged); of(day.0) }
            2 => { let day = index.get_mut(&mut plain.days); day.2.settled.0 += off.abs(); day.2.ceiling.0 += off.abs(); of(day.0) }
            3 => { let day = index.get_mut(&mut plain.days); day.2.ceiling.0 -= off.abs(); of(day.0) }
            4 => { let life = index.get_mut(&mut plain.campaigns); change(&mut life.2.charged); life.1 }
            5 => { let life = index.get_mut(&mut plain.campaigns); change(&mut life.2.settled); life.1 }
            _ if plain.advertisers.is_empty() => return Ok(()),
            _ => { let advertiser = index.get_mut(&mut plain.advertisers); change(&mut advertiser.1); advertiser.0 }
        };
        let checked = Sums::default().check(&plain);
        prop_assert_eq!(checked.wrong, vec![wrong]);
        prop_assert!(checked.strays.is_empty());
    }
}

/// Gains and losses that cancel out in every sum.
#[test]
fn two_wrongs_do_not_make_a_right() {
    let mut plain = Plain::of(&[(0, 0, 10, 5), (0, 0, 10, 5), (5, 1, 7, 0)]);
    plain.leases[0].2 = Micros(-5);
    plain.leases[1].2 = Micros(25);
    assert_eq!(Sums::default().check(&plain).wrong, [AdvertiserId(0)]);
}

#[test]
fn money_of_nobody_is_told() {
    let mut plain = Plain::of(&[(0, 0, 10, 5), (5, 1, 7, 0)]);
    plain.leases.push((CampaignId(77), Day(0), Micros(1)));
    let checked = Sums::default().check(&plain);
    assert_eq!((checked.is_right(), checked.strays), (false, vec![CampaignId(77)]));
    // An advertiser's sum without its campaigns, and campaigns without their advertiser's sum.
    let mut plain = Plain::of(&[(0, 0, 10, 5), (5, 1, 7, 0)]);
    plain.advertisers[1].0 = AdvertiserId(9);
    assert_eq!(Sums::default().check(&plain).wrong, [AdvertiserId(1), AdvertiserId(9)]);
}

#[test]
fn a_lag_revokes_and_its_end_resumes() {
    const SECOND: u64 = Nanos::SECOND;
    for either in [|lag| (lag, 0), |lag| (0, lag)] {
        let mut feed = FeedLag::default();
        let mut at = |second: u64, lag: u64| {
            let (unsynced, unreported) = either(lag);
            (feed.tick(Nanos(second * SECOND), unsynced, unreported), feed.is_clear())
        };
        assert_eq!(at(1, 0), (None, true));
        assert_eq!(at(5, 10 * SECOND), (None, true), "ten seconds are allowed");
        assert_eq!(at(10, 10 * SECOND + 1), (Some(Change::Revoke(10 * SECOND + 1)), false));
        assert_eq!(at(15, 15 * SECOND), (None, false), "told once");
        assert_eq!(at(20, 9 * SECOND), (None, false), "on the way down it is not over yet");
        assert_eq!(at(25, limits::TICK_NS + SECOND / 10), (Some(Change::Resume(15 * SECOND)), true));
        assert_eq!(at(30, limits::TICK_NS + SECOND / 10), (None, true));
        assert_eq!(at(35, 11 * SECOND), (Some(Change::Revoke(11 * SECOND)), false), "and again");
    }
}

/// A node over its own ledger; what it writes is on disk when the test says so.
struct Node {
    solo: Solo,
    now: Now,
}

impl Node {
    fn new() -> Node {
        let now = Now { boot: Nanos(Nanos::SECOND), wall: UnixMillis(20_000 * UnixMillis::DAY + 3_600_000) };
        let settings = Settings { node: NodeId(0), cores: 1, horizons: Horizons::default(), parts: Parts::One };
        let gauges = Arc::new(Gauges::new(1));
        let start = Start { nonce: 1, ids_from: UnixMillis(0), opens: false };
        let (solo, _) = Solo::new(settings, Replayed::default(), start, &gauges, now).unwrap();
        let mut node = Node { solo, now };
        node.sync();
        let funding = Funding {
            campaign: CampaignId(7),
            advertiser: AdvertiserId(3),
            slot: Slot(0),
            daily: Micros(1_000_000_000),
            total: None,
            price: CpmMicros(2_000_000),
            mode: Mode::Strict,
            tolerance: None,
        };
        node.solo.campaigns(node.now, &[funding]);
        node
    }

    fn sync(&mut self) {
        self.solo.talk(self.now);
        while let Some(batch) = self.solo.node.journal().take() {
            self.solo.durable(self.now, batch.upto);
        }
    }

    fn tick(&mut self) {
        self.now.boot = self.now.boot.after(limits::TICK_NS);
        self.now.wall.0 += limits::TICK_NS / Nanos::MS;
        self.solo.tick(self.now);
        self.solo.talk(self.now);
    }

    /// What the core was granted, whether it was renewed, and whether all was taken back.
    fn orders(&mut self) -> (bool, bool, bool) {
        let orders: Vec<Order> = self.solo.node.orders(CoreId(0)).drain(..).collect();
        let any = |is: fn(&Order) -> bool| orders.iter().any(is);
        (
            any(|order| matches!(order, Order::Grant { .. })),
            any(|order| matches!(order, Order::Renew { .. })),
            any(|order| matches!(order, Order::Revoke { .. })),
        )
    }
}

/// While the disk does not answer nothing is known of what is spent: all credit is taken back, and given again by itself.
#[test]
fn a_node_whose_feed_lags_gives_its_leases_up() {
    let mut node = Node::new();
    node.tick();
    let mut granted = Vec::new();
    node.sync();
    granted.extend(node.solo.node.orders(CoreId(0)).iter().filter_map(|order| match order {
        Order::Grant { lease, credit, .. } => Some((*lease, *credit)),
        _ => None,
    }));
    assert_eq!(node.orders(), (true, true, false));
    // Reports wait for the disk, and so does everything else.
    node.tick();
    node.tick();
    assert_eq!(node.orders(), (false, false, false), "ten seconds are allowed");
    assert_eq!(node.solo.node.gauges().feed_revocations.get(), 0);
    node.tick();
    assert_eq!(node.orders(), (false, false, true));
    node.tick();
    assert_eq!(node.orders(), (false, false, false), "once");
    assert_eq!(node.solo.node.gauges().feed_revocations.get(), 1);
    let lease = granted[0].0;
    let credit = granted.iter().fold(Micros::ZERO, |sum, (_, credit)| sum.plus(*credit));
    node.solo.node.on_event(node.now, CoreId(0), Event::Returned { slot: Slot(0), lease, credit });
    node.sync();
    node.tick();
    node.sync();
    let (granted, renewed, revoked) = node.orders();
    assert!(granted && renewed && !revoked, "it goes on by itself");
}

/// What stands in a ledger and in dashboards stays; the log line names the command that resumes.
#[test]
fn numbers_and_names_stay() {
    assert_eq!(Scope::Campaign(CampaignId(7)).numbers(), (0, 7));
    assert_eq!(Scope::Advertiser(AdvertiserId(7)).numbers(), (1, 7));
    let names = ["operator", "runaway", "jump", "mismatch"];
    for (number, (why, name)) in Why::ALL.into_iter().zip(names).enumerate() {
        assert_eq!((why as usize, why.label()), (number, name));
        for (scope, option) in
            [(Scope::Campaign(CampaignId(7)), "campaign 7"), (Scope::Advertiser(AdvertiserId(9)), "advertiser 9")]
        {
            let line = Stop { scope, why }.to_string();
            assert!(line.starts_with(&format!("{option} is stopped: ")), "{line}");
            assert!(line.ends_with(&format!("`corebid resume --{option}`")), "{line}");
        }
    }
}
