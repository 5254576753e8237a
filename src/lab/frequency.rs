//! What a frequency cap is worth when nobody knows everything: several nodes show campaigns to the same users, each with the shards
//! that production runs, and hear of each other's impressions through a store, late.
//!
//! ```text
//! request ──► any node: loaded before? caps ──► bid, reserved ──► won by chance ──► billed seconds later ──► counted by the node
//!                          ▲                                                                                     │ the delay,
//!                          └────────────────── load, refresh ◄──────────────── store ◄──────────────────────────┘ or lost
//! ```
//!
//! Every request draws whether a bid for it would win, whatever is decided, so that two runs can be compared: over is what was
//! billed beyond a cap, under what a cap would have allowed and was not billed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::num::NonZeroU16;

use crate::bid::frequency::FrequencyShard;
use crate::limits;
use crate::market::random::Random;
use crate::profile::count::{Cap, Count, CountOf, Counted, Counters, Per, Periods, Shown, Window};
use crate::units::{AdvertiserId, CampaignId, Nanos, Now, UnixMillis, UserKey};

/// The cap: impressions of a campaign in an hour. The run is one hour long, and has one period.
pub const CAP: u16 = 3;
/// Campaigns, of which each request has one as its best candidate.
const CAMPAIGNS: u64 = 20;
/// Bids that win.
const WINS: f64 = 0.3;
/// From bid to bill, s: the mean, and the most.
const BILL_S: (f64, f64) = (5.0, 55.0);
/// From a load's request to its answer.
const FETCH_NS: u64 = 3 * Nanos::MS;
/// When requests begin on the machines' clocks.
const START: u64 = 1000 * Nanos::SECOND;
/// For how long there are requests, s: the last minute of the hour belongs to the bills.
pub const SECONDS: u64 = 3540;
/// 2026-11-23, 00:00 UTC.
const BEGIN: u64 = 1_795_392_000_000;

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// Nodes; each request comes to any of them.
    pub nodes: usize,
    /// Users, who come as Zipf's law says.
    pub users: u64,
    /// Requests in a second, of all users.
    pub rate: f64,
    /// From a bill to when a read of the store shows it, s: the batch, the way there and the replica's lag. `None`: nothing is shared.
    pub delay_s: Option<f64>,
    /// Bills that never reach the store.
    pub lost: f64,
    /// All chance comes from it.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Impressions billed.
    pub bills: u64,
    /// Of them beyond the cap.
    pub over: u64,
    /// Impressions that the cap allows, of those that would have been won.
    pub allowed: u64,
    /// Counts asked of the store.
    pub loads: u64,
}

impl Outcome {
    /// The part of all impressions that is beyond the cap.
    pub fn over_cap(&self) -> f64 {
        self.over as f64 / self.bills.max(1) as f64
    }

    /// The part of what the cap allows that was not delivered.
    pub fn under_delivery(&self) -> f64 {
        1.0 - (self.bills - self.over) as f64 / self.allowed.max(1) as f64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Request,
    Bill { node: usize, user: u64, campaign: u32 },
    Stored { user: u64, campaign: u32 },
    Loaded { node: usize, user: u64 },
}

/// Users and campaigns with what is counted of them.
type Pairs = HashMap<(u64, u32), u16>;

struct World {
    trial: Trial,
    random: Random,
    steps: BinaryHeap<Reverse<(u64, u64, Step)>>,
    scheduled: u64,
    shards: Vec<FrequencyShard>,
    campaigns: Vec<Counted>,
    stored: Pairs,
    billed: Pairs,
    would_win: Pairs,
    outcome: Outcome,
}

/// Runs an hour.
pub fn run(trial: Trial) -> Outcome {
    let cap = Cap { per: Per::Campaign, window: Window::Hour, times: NonZeroU16::new(CAP).expect("at least 1") };
    let campaign = |id| Counted::new(CampaignId(id), AdvertiserId(id), &[cap], Counters::NONE);
    let shard = || {
        let shard = FrequencyShard::with(1 << 18, limits::H1_NS);
        if trial.delay_s.is_some() { shard.shared() } else { shard }
    };
    let mut world = World {
        trial,
        random: Random::new(trial.seed),
        steps: BinaryHeap::new(),
        scheduled: 0,
        shards: (0..trial.nodes).map(|_| shard()).collect(),
        campaigns: (0..CAMPAIGNS as u32).map(campaign).collect(),
        stored: Pairs::new(),
        billed: Pairs::new(),
        would_win: Pairs::new(),
        outcome: Outcome::default(),
    };
    world.schedule(START, Step::Request);
    let end = START + SECONDS * Nanos::SECOND;
    while let Some(Reverse((at, _, step))) = world.steps.pop() {
        match step {
            Step::Request if at < end => world.request(at),
            Step::Request => {}
            Step::Bill { node, user, campaign } => world.bill(at, node, user, campaign),
            Step::Stored { user, campaign } => *world.stored.entry((user, campaign)).or_default() += 1,
            Step::Loaded { node, user } => world.load(at, node, user),
        }
    }
    let World { mut outcome, would_win, .. } = world;
    outcome.allowed = would_win.values().map(|times| u64::from(*times.min(&CAP))).sum();
    outcome
}

fn now(at: u64) -> Now {
    Now { boot: Nanos(at), wall: UnixMillis(BEGIN + (at - START) / Nanos::MS) }
}

impl World {
    fn schedule(&mut self, at: u64, step: Step) {
        self.scheduled += 1;
        self.steps.push(Reverse((at, self.scheduled, step)));
    }

    /// Seconds until something that comes once in `mean` on average.
    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.random.unit()).ln()
    }

    fn shown(&self, campaign: u32) -> Shown {
        let Counted { campaign, advertiser, counters, .. } = self.campaigns[campaign as usize];
        Shown { campaign, creative: 0, advertiser, counters }
    }

    fn request(&mut self, at: u64) {
        let next = self.exponential(1.0 / self.trial.rate);
        self.schedule(at + (next * 1e9) as u64 + 1, Step::Request);
        let user = 1 + self.random.zipf(self.trial.users);
        let node = self.random.below(self.trial.nodes as u64) as usize;
        let campaign = self.random.below(CAMPAIGNS) as u32;
        let wins = self.random.chance(WINS);
        let after = self.exponential(BILL_S.0).min(BILL_S.1);
        *self.would_win.entry((user, campaign)).or_default() += u16::from(wins);

        let key = UserKey(user);
        if self.trial.delay_s.is_some() && !self.shards[node].knows(key) {
            self.load(at, node, user);
        }
        let (shown, enough) = (self.shown(campaign), self.campaigns[campaign as usize].enough);
        let shard = &mut self.shards[node];
        if shard.seen(key, now(at)).times(CountOf::Campaign(shown.campaign), Window::Hour) >= u32::from(CAP) {
            return;
        }
        shard.reserve(key, &shown, &enough, now(at));
        let stale = shard.stale();
        if let Some(stale) = stale {
            self.schedule(at + FETCH_NS, Step::Loaded { node, user: stale.0 });
        }
        if wins {
            self.schedule(at + (after * 1e9) as u64, Step::Bill { node, user, campaign });
        }
    }

    fn bill(&mut self, at: u64, node: usize, user: u64, campaign: u32) {
        let shown = self.shown(campaign);
        self.shards[node].counted(UserKey(user), &shown, Periods::at(now(at).wall), now(at));
        let times = self.billed.entry((user, campaign)).or_default();
        *times += 1;
        self.outcome.bills += 1;
        self.outcome.over += u64::from(*times > CAP);
        if let Some(delay) = self.trial.delay_s
            && !self.random.chance(self.trial.lost)
        {
            self.schedule(at + (delay * 1e9) as u64, Step::Stored { user, campaign });
        }
    }

    fn load(&mut self, at: u64, node: usize, user: u64) {
        self.outcome.loads += 1;
        let period = Window::Hour.period(now(at).wall);
        let counts: Vec<Count> = (0..CAMPAIGNS as u32)
            .filter_map(|campaign| {
                let times = *self.stored.get(&(user, campaign))?;
                Some(Count { of: CountOf::Campaign(CampaignId(campaign)), window: Window::Hour, period, times })
            })
            .collect();
        self.shards[node].load(UserKey(user), &counts, now(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Trial = Trial { nodes: 4, users: 1000, rate: 20.0, delay_s: Some(1.0), lost: 0.0, seed: 1 };

    #[test]
    fn a_node_alone_never_goes_beyond_a_cap() {
        let alone = run(Trial { nodes: 1, delay_s: None, ..SMALL });
        assert!(alone.bills > 1000 && alone.over == 0, "{alone:?}");
        assert!(alone.under_delivery() < 0.5);
    }

    #[test]
    fn sharing_is_what_keeps_several_nodes_below_a_cap() {
        let apart = run(Trial { delay_s: None, ..SMALL });
        let shared = run(SMALL);
        let late = run(Trial { delay_s: Some(30.0), ..SMALL });
        assert!(shared.over_cap() < late.over_cap() && late.over_cap() < apart.over_cap());
        assert!(shared.over_cap() < apart.over_cap() / 4.0, "{shared:?} {apart:?}");
        assert_eq!(run(SMALL), shared, "one seed, one run");
    }
}
