//! The money, from bid to bill, against a naive model: the production sub-leases and reconciler on a simulated machine
//! whose clock, rings, exchanges and disk do anything they may do, crashes included.
//!
//! The model knows nothing of holds or releases. It keeps every bid ever made and every bill it expects, and asks after
//! each step: if every bid that can still be billed were billed now, would any budget be overspent?

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use corebid::authority::books::minute;
use corebid::bid::budget::{Leases, Remainder};
use corebid::ids::Snowflake;
use corebid::limits;
use corebid::reconcile::gauges::Gauges;
use corebid::reconcile::history::Replayed;
use corebid::reconcile::record::{Marks, Record};
use corebid::reconcile::solo::{Solo, Start};
use corebid::reconcile::{Funding, Horizons, Mode, Parts, Settings};
use corebid::ring::message::{Agreed, Claim, Event, Notice, NoticeKind, NoticePrice, Noticed, Order, Reserved};
use corebid::ring::spsc;
use corebid::store::journal::Batch;
use corebid::units::*;
use proptest::prelude::*;

const CORES: u8 = 2;
const CAMPAIGNS: u32 = 3;
/// Highest bid: 10 units per thousand impressions, a hundredth of a unit each.
const PRICE: CpmMicros = CpmMicros(10_000_000);
/// Most of an hour before midnight.
const START: u64 = 20_000 * UnixMillis::DAY + 83_000_000;

/// What is agreed with an exchange: terms, and H2 in ms.
type Way = (Terms, u64);

/// Plain; a screen in a dear currency with a short H2; part of an impression in a cheap one, with a long H2.
const WAYS: [Way; 3] = [
    (Terms::PLAIN, limits::H2_MS),
    (Terms { rate: Rate(1_234_567_891), multiplier: Multiplier(30_300_000) }, 5 * 60_000),
    (Terms { rate: Rate(333_333_333), multiplier: Multiplier(400_001) }, 3 * 3_600_000),
];
const HORIZONS: Horizons = Horizons { shortest: WAYS[1].1, longest: WAYS[2].1 };

/// The supply path of a bid: each campaign has its own.
fn path(claim: &Claim) -> PathKey {
    PathKey::from_number(100 + u64::from(claim.campaign.0))
}

/// A price in money, as a fraction of whole numbers.
fn cost(price: i64, rate: Rate, multiplier: Multiplier) -> i64 {
    let exact = price as u128 * u128::from(rate.0) * u128::from(multiplier.0);
    exact.div_ceil(10u128.pow(18)) as i64
}

#[derive(Clone, Debug)]
enum Step {
    Bid {
        core: u8,
        campaign: u32,
        way: usize,
        price: i64,
    },
    Notice {
        core: u8,
        bid: prop::sample::Index,
        kind: NoticeKind,
        price: Price,
    },
    Events {
        core: u8,
        count: usize,
    },
    Orders {
        core: u8,
        count: usize,
    },
    Pass {
        ms: u64,
    },
    /// The wall clock is off by this much from now on; less than epsilon.
    Skew {
        ms: i64,
    },
    Write,
    Synced,
    Broken,
    Tick,
    Fund {
        campaign: u32,
        daily: i64,
    },
    Crash {
        written: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum Price {
    /// Hundredths of the bid.
    Part(i64),
    Empty,
    Audit,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let core = || 0..CORES;
    let index = any::<prop::sample::Index>;
    let kind = prop_oneof![
        4 => Just(NoticeKind::Bill), 1 => Just(NoticeKind::Win), 2 => Just(NoticeKind::Loss),
        1 => Just(NoticeKind::Click), 1 => Just(NoticeKind::Conversion)
    ];
    let price = prop_oneof![6 => (0..150i64).prop_map(Price::Part), 1 => Just(Price::Empty), 1 => Just(Price::Audit)];
    let pass = prop_oneof![
        10 => 0..3_000u64, 3 => 3_000..30_000u64, 2 => 30_000..900_000u64, 1 => 900_000..4_000_000u64
    ];
    let bid = (core(), 0..CAMPAIGNS, 0..WAYS.len(), 1..=PRICE.0);
    let step = prop_oneof![
        30 => bid.prop_map(|(core, campaign, way, price)| Step::Bid { core, campaign, way, price }),
        20 => (core(), index(), kind, price).prop_map(|(core, bid, kind, price)| Step::Notice { core, bid, kind, price }),
        15 => (core(), 1..20usize).prop_map(|(core, count)| Step::Events { core, count }),
        15 => (core(), 1..20usize).prop_map(|(core, count)| Step::Orders { core, count }),
        8 => pass.prop_map(|ms| Step::Pass { ms }),
        1 => (-900..900i64).prop_map(|ms| Step::Skew { ms }),
        10 => Just(Step::Write),
        10 => Just(Step::Synced),
        1 => Just(Step::Broken),
        6 => Just(Step::Tick),
        1 => (0..CAMPAIGNS, 0..400_000i64).prop_map(|(campaign, daily)| Step::Fund { campaign, daily }),
        2 => any::<bool>().prop_map(|written| Step::Crash { written }),
    ];
    prop::collection::vec(step, 1..400)
}

/// One bid, as the model remembers it.
struct Bid {
    claim: Claim,
    campaign: u32,
    day: u64,
    reserved: i64,
    billed: Option<i64>,
    won: bool,
    lost: bool,
    freed: bool,
}

/// One notice sent, to be answered once.
struct Sent {
    bid: usize,
    kind: NoticeKind,
    priced: bool,
    /// The reconciler has seen it.
    seen: bool,
    answered: bool,
}

struct World {
    now: Now,
    skew: i64,
    loss_is_final: bool,
    horizons: Horizons,
    mode: Mode,
    // The machine.
    solo: Solo,
    starts: u64,
    leases: Vec<Leases>,
    events: Vec<VecDeque<Event>>,
    writing: Option<(Batch, Replayed)>,
    ids: Snowflake,
    synced: Replayed,
    // The model.
    /// Bills in the node's ledger, and in the authority's account.
    disk: HashMap<ReservationId, i64>,
    booked: HashMap<ReservationId, i64>,
    bids: Vec<Bid>,
    lease_days: HashMap<LeaseId, u64>,
    daily: Vec<i64>,
    highest: BTreeMap<(u32, u64), i64>,
    sent: Vec<Sent>,
}

impl World {
    fn new(loss_is_final: bool) -> Self {
        Self::starting_at(START, loss_is_final)
    }

    fn starting_at(wall: u64, loss_is_final: bool) -> Self {
        Self::with_horizons(wall, loss_is_final, Horizons::default())
    }

    fn with_horizons(wall: u64, loss_is_final: bool, horizons: Horizons) -> Self {
        let now = Now { boot: Nanos(1 << 50), wall: UnixMillis(wall) };
        let solo = solo(Replayed::default(), 0, now, horizons);
        let mut world = Self {
            now,
            skew: 0,
            loss_is_final,
            horizons,
            mode: Mode::Strict,
            ids: Snowflake::new(solo.node.registered().first_worker, solo.node.registered().ids_from),
            solo,
            starts: 0,
            leases: Vec::new(),
            events: Vec::new(),
            writing: None,
            synced: Replayed::default(),
            disk: HashMap::new(),
            booked: HashMap::new(),
            bids: Vec::new(),
            lease_days: HashMap::new(),
            daily: vec![200_000, 60_000, 20_000],
            highest: BTreeMap::new(),
            sent: Vec::new(),
        };
        world.boot();
        world
    }

    fn boot(&mut self) {
        self.leases = (0..CORES).map(|_| Leases::new(CAMPAIGNS as usize)).collect();
        self.events = (0..CORES).map(|_| VecDeque::new()).collect();
        self.fund();
        self.solo.tick(self.now);
    }

    fn fund(&mut self) {
        let funding = |campaign| Funding { mode: self.mode, ..funding(campaign, self.daily[campaign as usize]) };
        let list: Vec<_> = (0..CAMPAIGNS).map(funding).collect();
        self.solo.campaigns(self.now, &list);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pass { ms } => {
                self.now.boot = self.now.boot.after(ms * Nanos::MS);
                self.now.wall.0 += ms;
            }
            Step::Skew { ms } => {
                self.now.wall.0 = self.now.wall.0.checked_add_signed(ms - self.skew).unwrap();
                self.skew = ms;
            }
            Step::Bid { core, campaign, way, price } => self.bid(core, campaign, WAYS[way], CpmMicros(price)),
            Step::Notice { core, bid, kind, price } => {
                if !self.bids.is_empty() {
                    self.notice(core, bid.index(self.bids.len()), kind, price);
                }
            }
            Step::Events { core, count } => self.events(core, count),
            Step::Orders { core, count } => self.orders(core, count),
            Step::Write => {
                if self.writing.is_none() {
                    self.writing = self.solo.node.journal().take().map(|batch| (batch, self.live()));
                }
            }
            Step::Synced => self.synced(),
            Step::Broken => {
                if self.writing.is_some() {
                    self.solo.node.disk_failed();
                }
            }
            Step::Tick => self.solo.tick(self.now),
            Step::Fund { campaign, daily } => {
                self.daily[campaign as usize] = daily;
                self.fund();
            }
            Step::Crash { written } => self.crash(written),
        }
        self.solo.node.poll(self.now);
        self.solo.talk(self.now);
        self.settled_means_answered();
        self.check();
    }

    fn bid(&mut self, core: u8, campaign: u32, (terms, horizon): Way, price: CpmMicros) {
        let (reserved, slot) = (terms.money(price), Slot(campaign));
        let leases = &mut self.leases[usize::from(core)];
        let affords = leases.affords(slot, reserved, self.now.boot);
        let Ok(backing) = leases.reserve(slot, reserved, self.now.boot) else {
            assert!(!affords);
            let events = &mut self.events[usize::from(core)];
            leases.report(|event| {
                events.push_back(event);
                true
            });
            return;
        };
        assert!(affords && backing.valid_until > self.now.boot);
        let reservation = self.ids.next(self.now).unwrap();
        let expires = UnixMillis(self.now.wall.0 + horizon);
        let event =
            Reserved { reservation, lease: backing.lease, slot, price: reserved, expires, exchange: ExchangeKey(0) };
        self.events[usize::from(core)].push_back(Event::Reserved(event));
        let claim = Claim {
            reservation,
            lease: backing.lease,
            price,
            terms,
            expires,
            user: UserKey(u64::from(campaign)),
            bid: BidId([campaign as u8; 16]),
            campaign: CampaignId(campaign),
            incarnation: self.solo.node.registered().incarnation,
            node: NodeId(1),
            exchange: ExchangeKey(0),
            agreed: Agreed::LOSS_IS_FINAL.when(self.loss_is_final),
            creative: 0,
        };
        let day = self.lease_days[&backing.lease];
        assert_eq!(reserved.0, cost(price.0, terms.rate, terms.multiplier), "what is held is the bid");
        let reserved = reserved.0;
        assert!(self.bids.iter().all(|bid| bid.claim.reservation != reservation), "a reservation id was repeated");
        self.bids.push(Bid { claim, campaign, day, reserved, billed: None, won: false, lost: false, freed: false });
    }

    fn notice(&mut self, core: u8, bid: usize, kind: NoticeKind, price: Price) {
        let claim = self.bids[bid].claim;
        let Multiplier(claimed) = claim.terms.multiplier;
        let multiplier = match price {
            Price::Part(part) if claimed != Multiplier::ONE.0 => Multiplier(claimed - claimed * part as u64 / 200),
            _ => Multiplier(claimed),
        };
        let price = match price {
            Price::Part(part) => NoticePrice::Cpm(CpmMicros(claim.price.0 * part / 100)),
            Price::Empty => NoticePrice::Empty,
            Price::Audit => NoticePrice::Audit,
        };
        let ticket = self.sent.len() as u64;
        self.sent.push(Sent { bid, kind, priced: matches!(price, NoticePrice::Cpm(_)), seen: false, answered: false });
        self.events[usize::from(core)].push_back(Event::Notice(Notice {
            ticket,
            kind,
            price,
            multiplier,
            path: path(&claim),
            arm: ArmId(0),
            claim,
        }));
    }

    fn events(&mut self, core: u8, count: usize) {
        for _ in 0..count {
            let Some(event) = self.events[usize::from(core)].pop_front() else { return };
            let (before, heard, sales) = (self.spend(), self.heard(&event), self.sales(&event));
            self.solo.node.on_event(self.now, CoreId(core), event);
            if let Event::Notice(notice) = event {
                self.sent[notice.ticket as usize].seen = true;
                let booked = self.spend() - before;
                self.expect(&notice, booked);
                let told = |marks: Marks| marks.any(Marks::WON.and(Marks::BILLED));
                let billed = self.heard(&event).any(Marks::BILLED) && !heard.any(Marks::BILLED);
                let won = told(self.heard(&event)) && !told(heard);
                let now = self.sales(&event);
                let counted = now.iter().zip(sales).map(|(after, before)| after - before);
                let expected = [u64::from(won), u64::from(billed), booked as u64];
                assert_eq!(counted.collect::<Vec<_>>(), expected, "wins, bills and spend of its path");
            }
        }
    }

    /// What was heard of the bid a notice is about.
    fn heard(&self, event: &Event) -> Marks {
        let Event::Notice(Notice { claim, .. }) = event else { return Marks::default() };
        self.solo.node.history().marks(claim.lease, claim.reservation, claim.expires)
    }

    /// Wins, bills and spend of the supply path a notice is about.
    fn sales(&self, event: &Event) -> [u64; 3] {
        let Event::Notice(Notice { path, .. }) = event else { return [0; 3] };
        let sales = self.solo.node.gauges().paths.iter().find(|(key, _)| key == path);
        sales.map_or([0; 3], |(_, sales)| [&sales.wins, &sales.bills, &sales.spend_micros].map(|counter| counter.get()))
    }

    /// What the node has booked.
    fn spend(&self) -> i64 {
        self.solo.node.gauges().spend_micros.get() as i64
    }

    fn live(&self) -> Replayed {
        Replayed { books: self.solo.authority().books().clone(), history: self.solo.node.history().clone() }
    }

    /// What a notice may have booked.
    fn expect(&mut self, notice: &Notice, booked: i64) {
        let own = notice.claim.incarnation == self.solo.node.registered().incarnation;
        let bid = &mut self.bids[self.sent[notice.ticket as usize].bid];
        let heard = self.solo.node.history().marks(notice.claim.lease, notice.claim.reservation, notice.claim.expires);
        match (notice.kind, notice.price) {
            (NoticeKind::Bill, NoticePrice::Cpm(price)) if own && heard.any(Marks::BILLED) && bid.billed.is_none() => {
                assert!(self.now.wall <= bid.claim.expires, "a bill was booked past H2");
                let amount = cost(price.0.min(bid.claim.price.0), bid.claim.terms.rate, notice.multiplier);
                assert_eq!(booked, amount, "a bill books its price, and never more than the bid");
                assert_eq!(heard.any(Marks::DISPUTED), price > bid.claim.price);
                bid.billed = Some(amount);
            }
            (kind, _) => {
                assert_eq!(booked, 0, "money is booked on a bill, once");
                bid.won |= kind == NoticeKind::Win && heard.any(Marks::WON);
                if kind == NoticeKind::Loss && heard.any(Marks::LOST) && !bid.lost {
                    bid.lost = true;
                    bid.freed = self.loss_is_final && own && !bid.won && bid.billed.is_none();
                    assert_eq!(heard.any(Marks::FREED), bid.freed);
                }
            }
        }
    }

    fn orders(&mut self, core: u8, count: usize) {
        let leases = &mut self.leases[usize::from(core)];
        let events = &mut self.events[usize::from(core)];
        let mut give_back = |slot: Slot, remainder: Option<Remainder>| {
            if let Some(Remainder { lease, credit }) = remainder {
                events.push_back(Event::Returned { slot, lease, credit });
            }
        };
        for _ in 0..count {
            let Some(order) = self.solo.node.orders(CoreId(core)).pop_front() else { return };
            match order {
                Order::Grant { slot, lease, credit, ends } => {
                    // The day that ends then; the clock may be off by a second by now.
                    let left = (i128::from(ends.0) - i128::from(self.now.boot.0)) / i128::from(Nanos::MS);
                    let end = i128::from(self.now.wall.0) + left + i128::from(UnixMillis::DAY / 2);
                    let day = (end / i128::from(UnixMillis::DAY)) as u64 - 1;
                    assert_eq!(*self.lease_days.entry(lease).or_insert(day), day, "a lease is of one day");
                    let on_disk = self.synced.books.lease(lease).map(|lease| lease.granted);
                    assert!(on_disk >= Some(credit), "a grant left before it was in the ledger");
                    give_back(slot, leases.grant(slot, lease, credit, ends));
                }
                Order::Renew { until } => {
                    let wall = self.now.wall.0 + until.since(self.now.boot) / Nanos::MS;
                    let on_disk = self.synced.books.bidder(self.solo.node.registered().incarnation);
                    let on_disk = on_disk.map_or(0, |bidder| bidder.until.0);
                    assert!(until < self.now.boot || wall <= on_disk + limits::EPSILON_MS, "renewed too early");
                    leases.renew(until);
                }
                Order::Revoke { slot } => give_back(slot, leases.revoke(slot)),
                Order::Noticed { ticket, noticed } => {
                    let Sent { bid, kind, priced, seen, answered } = &mut self.sent[ticket as usize];
                    assert!(
                        *seen && !std::mem::replace(answered, true),
                        "a notice is answered once, and after it came"
                    );
                    let (bid, kind, priced) = (&self.bids[*bid], *kind, *priced);
                    if (noticed, kind, priced) == (Noticed::Safe, NoticeKind::Bill, true) {
                        let on_disk = self.disk.contains_key(&bid.claim.reservation);
                        assert!(on_disk, "a bill was acknowledged that is not on disk");
                    }
                    if noticed == Noticed::Expired {
                        assert!(self.now.wall.0 + 2_000 > bid.claim.expires.0, "refused before H2");
                    }
                }
                Order::Counted { .. } | Order::Erase { .. } => {}
                Order::Pace { .. } | Order::Quota { .. } | Order::Curve { .. } | Order::Drain => {}
            }
        }
    }

    fn synced(&mut self) {
        let Some((batch, live)) = self.writing.take() else { return };
        let (mut bytes, mut count) = (&batch.bytes[..], 0);
        while let Some((_, record)) = Record::decode(&mut bytes) {
            count += 1;
            self.synced.apply(&record).unwrap();
            if let Record::Bill { reservation, amount, .. } = record {
                assert_eq!(self.disk.insert(reservation, amount.0), None, "billed twice");
                let bid = self.bids.iter_mut().find(|bid| bid.claim.reservation == reservation);
                // Of another process: the authority has said that it is booked.
                bid.expect("a bid").billed.get_or_insert(amount.0);
            }
            if let Record::Booked { reservation, amount, .. } = record {
                assert_eq!(self.booked.insert(reservation, amount.0), None, "booked twice");
            }
        }
        assert!(bytes.is_empty() && count == batch.count);
        let replayed = remembered(self.synced.clone(), self.now.wall);
        assert_eq!(replayed, remembered(live, self.now.wall), "a replay comes to other accounts");
        self.solo.durable(self.now, batch.upto);
        self.settled_means_answered();
    }

    /// When all records are on disk, nobody waits for an answer any longer than for a ring.
    fn settled_means_answered(&mut self) {
        if !self.solo.node.journal().is_durable() {
            return;
        }
        let mut on_their_way = 0;
        for core in 0..CORES {
            let orders = self.solo.node.orders(CoreId(core)).iter();
            on_their_way += orders.filter(|order| matches!(order, Order::Noticed { .. })).count();
        }
        let incarnation = self.solo.node.registered().incarnation;
        // Bills of another process wait for the authority.
        let own = |sent: &&Sent| sent.kind != NoticeKind::Bill || self.bids[sent.bid].claim.incarnation == incarnation;
        let unanswered = self.sent.iter().filter(own).filter(|sent| sent.seen && !sent.answered).count();
        let on_their_way = on_their_way.min(unanswered);
        assert_eq!(unanswered, on_their_way, "a notice is left without an answer");
    }

    /// Everything that is not on disk is gone; a write under way may be there, though nobody heard so.
    fn crash(&mut self, written: bool) {
        if written {
            self.synced();
        }
        self.writing = None;
        self.sent.iter_mut().for_each(|sent| sent.answered = true);
        let mut replayed = Replayed::default();
        for record in self.synced.opening() {
            replayed.apply(&record).unwrap();
        }
        let [opened, kept] = [&replayed, &self.synced].map(|it| remembered(it.clone(), self.now.wall));
        assert_eq!(opened.books, kept.books, "an opening balance is the balance");
        assert_eq!(opened.history, kept.history, "an opening balance is the balance");
        for bid in &mut self.bids {
            bid.billed = self.disk.get(&bid.claim.reservation).copied();
            let marks = replayed.history.marks(bid.claim.lease, bid.claim.reservation, bid.claim.expires);
            (bid.won, bid.lost, bid.freed) = (marks.any(Marks::WON), marks.any(Marks::LOST), marks.any(Marks::FREED));
        }
        self.starts += 1;
        self.solo = solo(replayed, self.starts, self.now, self.horizons);
        let registered = self.solo.node.registered();
        self.ids = Snowflake::new(registered.first_worker, registered.ids_from);
        self.boot();
    }

    /// The question: what if all that can still be billed were billed now?
    fn check(&mut self) {
        let today = self.now.wall.0 / UnixMillis::DAY;
        for campaign in 0..CAMPAIGNS {
            // The reconciler may have seen midnight before the clock was set back.
            for day in [today, today + 1] {
                let highest = self.highest.entry((campaign, day)).or_default();
                *highest = self.daily[campaign as usize].max(*highest);
            }
        }
        let (mut exposure, mut life): (BTreeMap<_, i64>, BTreeMap<_, i64>) = Default::default();
        for bid in self.bids.iter().filter(|bid| !bid.freed) {
            let open = if self.now.wall <= bid.claim.expires { bid.reserved } else { 0 };
            let cost = bid.billed.unwrap_or(open);
            *exposure.entry((bid.campaign, bid.day)).or_default() += cost;
            *life.entry(bid.campaign).or_default() += cost;
        }
        for (key, exposure) in exposure {
            assert!(exposure <= self.highest[&key], "campaign and day {key:?} may cost {exposure}");
        }
        for (campaign, exposure) in life {
            assert!(total(campaign).is_none_or(|total| exposure <= total.0), "campaign {campaign} may cost {exposure}");
        }
        self.solo.authority().books().check().unwrap();
    }

    /// Ticks, with everything written and delivered.
    fn settle(&mut self) {
        for core in 0..CORES {
            self.events(core, usize::MAX);
        }
        self.step(Step::Tick);
        for step in [Step::Write, Step::Synced].into_iter().cycle().take(10) {
            self.step(step);
        }
        for core in 0..CORES {
            self.orders(core, usize::MAX);
        }
    }

    /// Lets everything arrive and every lease end: nothing may stay charged.
    fn finish(mut self) {
        self.solo.campaigns(self.now, &[]);
        for _ in 0..12 {
            self.settle();
            self.step(Step::Pass { ms: UnixMillis::DAY / 8 });
        }
        let open: Vec<_> = self.solo.authority().books().leases().collect();
        assert!(open.is_empty(), "still open: {open:?}");
        let booked: i64 =
            self.solo.authority().books().lives().map(|(_, life)| life.account.settled.0 + life.excess.0).sum();
        assert_eq!(booked, self.booked.values().sum::<i64>(), "spend is the sum of what was booked");
        // A bill of an earlier process is booked before it is in the ledger; a crash between leaves it to be called again.
        for (reservation, amount) in &self.disk {
            assert_eq!(self.booked.get(reservation), Some(amount), "a bill in the ledger is booked");
        }
        for bid in self.bids.iter().filter(|bid| bid.billed.is_some()) {
            assert_eq!(self.booked.get(&bid.claim.reservation).copied(), bid.billed, "the model's bills are booked");
        }
    }
}

fn solo(replayed: Replayed, nonce: u64, now: Now, horizons: Horizons) -> Solo {
    let settings = Settings { node: NodeId(1), cores: CORES, horizons, parts: Parts::One };
    let gauges = Arc::new(Gauges::new(CAMPAIGNS as usize).with_paths());
    let start = Start { nonce, ids_from: UnixMillis(0), opens: false };
    Solo::new(settings, replayed, start, &gauges, now).unwrap().0
}

/// Forgets what the clock alone decides about: no record says when something is forgotten.
fn remembered(mut replayed: Replayed, now: UnixMillis) -> Replayed {
    let long_gone = minute(now) + 60;
    replayed.history.forget(0..=long_gone);
    replayed.books.forget(long_gone);
    replayed
}

fn total(campaign: u32) -> Option<Micros> {
    (campaign == 1).then_some(Micros(120_000))
}

fn funding(campaign: u32, daily: i64) -> Funding {
    Funding {
        campaign: CampaignId(campaign),
        advertiser: AdvertiserId(campaign % 2),
        slot: Slot(campaign),
        daily: Micros(daily),
        total: total(campaign),
        price: PRICE,
        mode: Mode::Strict,
        tolerance: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Of an exchange that nothing is known of, silent bids hold their price in either mode.
    #[test]
    fn no_budget_is_overspent_and_no_bill_is_lost(
        steps in steps(),
        loss_is_final in any::<bool>(),
        mode in prop_oneof![Just(Mode::Strict), Just(Mode::Quantile)],
    ) {
        let mut world = World::with_horizons(START, loss_is_final, HORIZONS);
        world.mode = mode;
        world.fund();
        for step in steps {
            world.step(step);
        }
        world.finish();
    }
}

/// Bids on both cores until the campaign affords no more. Returns how many bids were made.
fn exhaust(world: &mut World, campaign: u32) -> usize {
    let before = world.bids.len();
    for round in 0..10 {
        world.step(Step::Bid { core: round % CORES, campaign, way: 0, price: PRICE.0 });
        world.settle();
    }
    world.bids.len() - before
}

/// A budget whose bids are all silent stays spent through a crash, until none of them can be billed any more; and those
/// that are billed before are booked, though another process made them.
#[test]
fn a_restart_frees_nothing_before_h2() {
    let mut world = World::new(false);
    world.settle();
    let bids = exhaust(&mut world, 2);
    assert_eq!(bids, 2, "20,000 pays for two bids of 10,000, wherever they are made");
    world.step(Step::Crash { written: false });
    for _ in 0..28 {
        world.step(Step::Pass { ms: 60_000 });
        world.settle();
        assert_eq!(exhaust(&mut world, 2), 0);
    }
    world.notice(0, 0, NoticeKind::Bill, Price::Part(50));
    world.settle();
    assert_eq!(world.bids[0].billed, Some(5_000));
    world.step(Step::Pass { ms: 6 * 60_000 });
    world.settle();
    assert_eq!(exhaust(&mut world, 2), 1, "15,000 are left");
    world.finish();
}

/// A screen that costs more than the first grant holds: 10 per thousand at 1.234567891 for 30.3 viewers, 0.374075 in all.
const SCREEN: i64 = 374_075;

/// Asks for the screen on these cores, so often, a tick apart. Returns how often there was a bid.
fn screens(world: &mut World, cores: &[u8], rounds: usize) -> usize {
    let before = world.bids.len();
    for _ in 0..rounds {
        for &core in cores {
            world.step(Step::Bid { core, campaign: 0, way: 1, price: PRICE.0 });
        }
        world.settle();
    }
    world.bids[before..].iter().for_each(|bid| assert_eq!(bid.reserved, SCREEN));
    world.bids.len() - before
}

/// What one bid costs is known to the cores alone, and grants follow it: the budget is bid to the last whole screen, on
/// whichever core it is asked for, and again under the next day's lease.
#[test]
fn a_screen_dearer_than_the_first_grant_is_bid_on() {
    for cores in [&[0][..], &[1], &[0, 1]] {
        for screens_paid in [1, 26] {
            let mut world = World::new(false);
            world.step(Step::Fund { campaign: 0, daily: screens_paid * SCREEN + 5_000 });
            world.settle();
            for _ in 0..2 {
                assert_eq!(screens(&mut world, cores, 1), 0, "the first grant is of a few plain bids");
                let bids = screens(&mut world, cores, 60);
                assert_eq!(bids, screens_paid as usize, "on cores {cores:?}");
                world.step(Step::Pass { ms: UnixMillis::DAY });
                (0..2).for_each(|_| world.settle());
            }
            world.finish();
        }
    }
}

/// A core that holds what another needs gives it up when it does not use it, though it was granted it for a screen too.
#[test]
fn a_screen_moves_to_the_core_that_is_asked_for_it() {
    let mut world = World::new(false);
    world.step(Step::Fund { campaign: 0, daily: SCREEN + 5_000 });
    world.settle();
    // Seen and granted, then never asked for again.
    world.step(Step::Bid { core: 0, campaign: 0, way: 1, price: PRICE.0 });
    let granted = |world: &mut World| {
        world.settle();
        world.leases[0].affords(Slot(0), Micros(SCREEN), world.now.boot)
    };
    assert!((0..12).any(|_| granted(&mut world)));
    assert_eq!(screens(&mut world, &[1], 12), 1);
    world.finish();
}

/// A screen that the whole budget does not pay for takes nothing from the plain bids of either core, and does not keep
/// credit going to and fro: all is as in a world where nobody asks for it.
#[test]
fn a_screen_beyond_the_budget_is_not_saved_for() {
    let [asked, unasked] = [&[0, 1][..], &[]].map(|cores| {
        let mut world = World::new(false);
        world.daily[0] = 300_000;
        world.solo.campaigns(world.now, &[funding(0, 300_000)]);
        let grants = [10, 10].map(|rounds| {
            assert_eq!(screens(&mut world, cores, rounds), 0);
            world.solo.node.gauges().grants.get()
        });
        let now = world.now.boot;
        let affords = |leases: &mut Leases| {
            (1..=30).take_while(|bids| leases.affords(Slot(0), Micros(bids * 10_000), now)).count()
        };
        let affords: Vec<_> = world.leases.iter_mut().map(affords).collect();
        let bids: usize = (0..12).map(|_| exhaust(&mut world, 0)).sum();
        assert_eq!(bids, 30, "300,000 pays for thirty bids of 10,000");
        world.finish();
        (grants, affords)
    });
    assert_eq!(asked, unasked);
    assert_eq!(asked.0[0], asked.0[1], "grants when nothing is spent");
}

/// The credit that comes back from a cut campaign stays back, at the ticks after it too; a later raise brings it out.
#[test]
fn a_budget_cut_stops_the_campaign() {
    for (cut, bids) in [(0, 0), (20_000, 1)] {
        let mut world = World::new(false);
        world.settle();
        world.step(Step::Bid { core: 0, campaign: 2, way: 0, price: PRICE.0 });
        world.settle();
        assert_eq!(world.bids.len(), 1);
        world.step(Step::Fund { campaign: 2, daily: 200_000 });
        world.settle();
        world.step(Step::Fund { campaign: 2, daily: cut });
        // The cores have given all back; nothing is on its way.
        (0..3).for_each(|_| world.settle());
        assert_eq!(exhaust(&mut world, 2), bids, "cut to {cut} with 10,000 reserved");
        world.step(Step::Fund { campaign: 2, daily: 30_000 });
        (0..3).for_each(|_| world.settle());
        assert_eq!(exhaust(&mut world, 2), 2 - bids, "raised to 30,000");
        world.finish();
    }
}

/// What the reconciler answers to a notice that the model knows nothing of.
fn answer_to(world: &mut World, kind: NoticeKind, claim: Claim) -> Noticed {
    let ticket = u64::MAX;
    let price = NoticePrice::Cpm(claim.price);
    let notice =
        Notice { ticket, kind, price, multiplier: claim.terms.multiplier, path: path(&claim), arm: ArmId(0), claim };
    world.solo.node.on_event(world.now, CoreId(0), Event::Notice(notice));
    world.solo.talk(world.now);
    while let Some(batch) = world.solo.node.journal().take() {
        let mut bytes = &batch.bytes[..];
        while let Some((_, record)) = Record::decode(&mut bytes) {
            world.synced.apply(&record).unwrap();
        }
        world.solo.durable(world.now, batch.upto);
    }
    let orders = std::mem::take(world.solo.node.orders(CoreId(0)));
    let answer = |order: &Order| match order {
        Order::Noticed { ticket: u64::MAX, noticed } => Some(*noticed),
        _ => None,
    };
    let found = orders.iter().find_map(answer).expect("every notice is answered");
    world.solo.node.orders(CoreId(0)).extend(orders.into_iter().filter(|order| answer(order).is_none()));
    found
}

/// Lease ids are counted from 1 on every node and in every ledger. A claim signed elsewhere may name a lease of ours, and
/// the same campaign; it is not ours to book, and nothing it brings unbalances the accounts.
#[test]
fn a_claim_of_another_node_or_of_a_replaced_ledger_is_not_booked() {
    for loss_is_final in [false, true] {
        // The ledger that was replaced, and a bid that is still out.
        let mut old = World::starting_at(START - 5_000, loss_is_final);
        old.settle();
        old.step(Step::Bid { core: 0, campaign: 0, way: 0, price: PRICE.0 });
        let replaced = old.bids[0].claim;

        let mut world = World::new(loss_is_final);
        world.settle();
        world.step(Step::Bid { core: 0, campaign: 0, way: 0, price: PRICE.0 });
        world.settle();
        let own = world.bids[0].claim;
        assert_eq!((replaced.lease, replaced.incarnation, replaced.node), (own.lease, own.incarnation, own.node));
        let elsewhere = Claim { node: NodeId(2), ..own };
        let of_another_run = Claim { incarnation: Incarnation(own.incarnation.0 + 1), ..own };
        let kept = world.solo.authority().books().clone();
        for claim in [replaced, elsewhere, of_another_run] {
            for kind in [NoticeKind::Win, NoticeKind::Loss] {
                assert_eq!(answer_to(&mut world, kind, claim), Noticed::Safe, "there is nothing to lose");
            }
            assert_eq!(answer_to(&mut world, NoticeKind::Bill, claim), Noticed::Unsafe);
        }
        for claim in [replaced, elsewhere] {
            let late = Claim { expires: UnixMillis(START - 1), ..claim };
            assert_eq!(answer_to(&mut world, NoticeKind::Bill, late), Noticed::Expired);
        }
        assert_eq!(*world.solo.authority().books(), kept, "nothing was booked");
        world.notice(0, 0, NoticeKind::Bill, Price::Part(50));
        world.settle();
        assert_eq!(world.bids[0].billed, Some(5_000));
        world.finish();
    }
}

/// Signed claims under our own lease of bids that nobody reserved: whoever has the key could make them. Bills are booked as
/// far as the lease goes, then beside it, and the accounts still add up when everything else has expired.
#[test]
fn claims_without_a_reservation_do_not_unbalance_the_accounts() {
    for loss_is_final in [false, true] {
        let mut world = World::new(loss_is_final);
        world.settle();
        (0..4).for_each(|_| world.step(Step::Bid { core: 0, campaign: 0, way: 0, price: PRICE.0 }));
        world.settle();
        let own = world.bids[0].claim;
        for number in 0..60 {
            let reservation = ReservationId(own.reservation.0 + 1_000 + number);
            let kind = if number % 3 == 0 { NoticeKind::Loss } else { NoticeKind::Bill };
            let expires = UnixMillis(own.expires.0 - 60_000 * (number % 7));
            let claim = Claim { reservation, expires, ..own };
            assert_eq!(answer_to(&mut world, kind, claim), Noticed::Safe);
            world.settle();
        }
        world.solo.campaigns(world.now, &[]);
        for _ in 0..40 {
            world.settle();
            world.step(Step::Pass { ms: 60_000 });
        }
        world.step(Step::Pass { ms: UnixMillis::DAY });
        (0..2).for_each(|_| world.settle());
        assert_eq!(world.solo.authority().books().leases().count(), 0, "every lease was closed");
    }
}

/// A campaign is paused when its cores have used up all they were granted, and comes back after its lease was closed. The
/// cores are asked for the empty sub-lease all the same; and one that gives it back late does no harm.
#[test]
fn a_used_up_sub_lease_is_taken_back_and_may_come_back_late() {
    let mut world = World::new(false);
    world.settle();
    assert_eq!(exhaust(&mut world, 2), 2, "20,000 pays for two bids of 10,000");
    let lease = world.bids[0].claim.lease;
    world.solo.campaigns(world.now, &[funding(0, 200_000), funding(1, 60_000)]);
    for _ in 0..10 {
        world.settle();
        world.step(Step::Pass { ms: UnixMillis::DAY / 8 });
    }
    assert_eq!(world.solo.authority().books().lease(lease), None);
    for core in 0..CORES {
        assert_eq!(world.leases[usize::from(core)].revoke(Slot(2)), None, "the core still knew a closed lease");
        let late = Event::Returned { slot: Slot(2), lease, credit: Micros::ZERO };
        world.events[usize::from(core)].push_back(late);
    }
    world.fund();
    (0..3).for_each(|_| world.settle());
    assert_eq!(exhaust(&mut world, 2), 2, "it bids again");
    world.finish();
}

/// What a bill is answered when it is called again past H2: as it was at first, and without another record or count. That
/// holds through a restart, and ends a second H2 later, when nothing is recorded of it any more.
#[test]
fn a_bill_past_h2_is_recorded_once() {
    for restart in [false, true] {
        let mut world = World::new(false);
        world.settle();
        (0..2).for_each(|_| world.step(Step::Bid { core: 0, campaign: 0, way: 0, price: PRICE.0 }));
        world.settle();
        let [booked, unheard] = [0, 1].map(|bid: usize| world.bids[bid].claim);
        assert_eq!(answer_to(&mut world, NoticeKind::Bill, booked), Noticed::Safe);
        world.step(Step::Pass { ms: limits::H2_MS + 1 });
        assert_eq!(answer_to(&mut world, NoticeKind::Bill, unheard), Noticed::Expired);
        if restart {
            world.step(Step::Crash { written: true });
        }
        let counts = |world: &World| {
            let gauges = world.solo.node.gauges();
            [gauges.late.get(), gauges.late_excess_micros.get(), gauges.bills.get(), gauges.stale.get()]
        };
        let before = counts(&world);
        assert_eq!(before, if restart { [0; 4] } else { [1, 10_000, 1, 0] });
        for _ in 0..29 {
            world.settle();
            assert_eq!(answer_to(&mut world, NoticeKind::Bill, unheard), Noticed::Expired);
            assert_eq!(answer_to(&mut world, NoticeKind::Bill, booked), Noticed::Safe);
            assert!(!heard_again(&mut world, &[unheard, booked]), "a second record");
            world.step(Step::Pass { ms: 60_000 });
        }
        assert_eq!(counts(&world), before);
        world.step(Step::Pass { ms: 10 * 60_000 });
        for _ in 0..3 {
            world.settle();
            assert_eq!(answer_to(&mut world, NoticeKind::Bill, unheard), Noticed::Expired);
            assert!(!heard_again(&mut world, &[unheard, booked]), "a record of what is forgotten");
        }
        let [late, excess, bills, _] = before;
        assert_eq!(counts(&world), [late, excess, bills, 9]);
    }
}

/// A bid of an exchange with a long H2 is booked as long as its URL says, though the process that made it is gone and the
/// next one is configured otherwise.
#[test]
fn a_lease_lives_as_long_as_its_longest_bid() {
    let mut world = World::with_horizons(START, false, HORIZONS);
    world.settle();
    world.step(Step::Bid { core: 0, campaign: 0, way: 2, price: PRICE.0 });
    world.settle();
    world.horizons = Horizons::default();
    (0..2).for_each(|_| world.step(Step::Crash { written: true }));
    for _ in 0..17 {
        world.step(Step::Pass { ms: 10 * 60_000 });
        world.settle();
    }
    world.notice(0, 0, NoticeKind::Bill, Price::Part(100));
    world.settle();
    // 10 per thousand, a third of it in the account currency, for the half that was counted of two fifths of an impression.
    assert_eq!(world.bids[0].billed, Some(667));
    world.finish();
}

/// A test is acknowledged whatever it says and however late, and leaves no trace in the ledger.
#[test]
fn notices_of_a_test_book_nothing() {
    let mut world = World::new(true);
    world.settle();
    world.step(Step::Bid { core: 0, campaign: 0, way: 0, price: PRICE.0 });
    world.settle();
    let test = Claim { agreed: world.bids[0].claim.agreed.and(Agreed::TEST), ..world.bids[0].claim };
    let nobodys = Claim { lease: LeaseId(0), expires: UnixMillis(1), ..test };
    let kept = world.solo.authority().books().clone();
    for claim in [test, nobodys] {
        for kind in NoticeKind::ALL {
            assert_eq!(answer_to(&mut world, kind, claim), Noticed::Safe);
        }
    }
    assert_eq!(*world.solo.authority().books(), kept);
    assert_eq!(world.solo.node.gauges().tests.get(), 2 * NoticeKind::ALL.len() as u64);
    world.finish();
}

/// A click and a conversion count once each, in the ledger and for the training log, which hears of its own bids alone; they move
/// no money, and past H2 they are refused.
#[test]
fn outcomes_are_heard_once_and_move_nothing() {
    let mut world = World::new(true);
    let (ring, mut told) = spsc::ring(16);
    world.solo.node.log_outcomes(ring);
    world.settle();
    for _ in 0..3 {
        world.step(Step::Bid { core: 0, campaign: 0, way: 0, price: PRICE.0 });
    }
    world.settle();
    let [plain, logged, late] = [0, 1, 2].map(|bid: usize| world.bids[bid].claim);
    let logged = Claim { agreed: logged.agreed.and(Agreed::LOGGED), ..logged };
    let late = Claim { agreed: logged.agreed, expires: UnixMillis(world.now.wall.0 - 1), ..late };
    let kept = world.solo.authority().books().clone();
    for claim in [plain, logged] {
        for kind in [NoticeKind::Click, NoticeKind::Click, NoticeKind::Conversion, NoticeKind::Conversion] {
            assert_eq!(answer_to(&mut world, kind, claim), Noticed::Safe);
        }
    }
    for kind in NoticeKind::OUTCOMES {
        assert_eq!(answer_to(&mut world, kind, late), Noticed::Expired);
    }
    assert_eq!(*world.solo.authority().books(), kept);
    let gauges = world.solo.node.gauges();
    assert_eq!((gauges.clicks.get(), gauges.conversions.get(), gauges.duplicates.get()), (2, 2, 4));
    let heard: Vec<_> =
        std::iter::from_fn(|| told.take()).map(|outcome| (outcome.bid, outcome.kind, outcome.micros)).collect();
    let of_logged = |kind| (logged.bid, kind, Micros::ZERO);
    assert_eq!(heard, NoticeKind::OUTCOMES.map(of_logged));

    // What the exchange tells of the same bid is logged too, with what it costs; a bill twice is one.
    for kind in [NoticeKind::Win, NoticeKind::Bill, NoticeKind::Bill, NoticeKind::Loss] {
        assert_eq!(answer_to(&mut world, kind, logged), Noticed::Safe);
        assert_eq!(answer_to(&mut world, kind, plain), Noticed::Safe);
    }
    let heard: Vec<_> = std::iter::from_fn(|| told.take()).map(|outcome| (outcome.bid, outcome.kind)).collect();
    assert_eq!(heard, [NoticeKind::Win, NoticeKind::Bill, NoticeKind::Loss].map(|kind| (logged.bid, kind)));
    // After a restart the ledger says what was heard.
    let history = world.live().history;
    let marks = history.marks(logged.lease, logged.reservation, logged.expires);
    assert!(marks.any(Marks::CLICKED) && marks.any(Marks::CONVERTED));
}

/// Calls bills again, and says whether that left a record.
fn heard_again(world: &mut World, claims: &[Claim]) -> bool {
    for claim in claims {
        let (price, multiplier) = (NoticePrice::Cpm(claim.price), claim.terms.multiplier);
        let path = path(claim);
        let notice =
            Notice { ticket: u64::MAX, kind: NoticeKind::Bill, price, multiplier, path, arm: ArmId(0), claim: *claim };
        world.solo.node.on_event(world.now, CoreId(1), Event::Notice(notice));
    }
    world.solo.node.orders(CoreId(1)).retain(|order| !matches!(order, Order::Noticed { ticket: u64::MAX, .. }));
    world.solo.node.journal().take().is_some()
}

/// After the clock was set back by more than H2 bids could not be billed any more, so none are made; nor are they while
/// the clock runs up to where they can be.
#[test]
fn no_bid_is_made_that_the_clock_keeps_from_being_billed() {
    let mut world = World::starting_at(START - 6 * 3_600_000, false);
    world.settle();
    world.step(Step::Pass { ms: 3_600_000 });
    world.settle();
    world.now.wall.0 -= 45 * 60_000;
    world.settle();
    // The renewal from before the step runs out.
    world.step(Step::Pass { ms: limits::LEASE_NS / Nanos::MS });
    let mut refused = 0;
    while exhaust(&mut world, 2) == 0 {
        refused += 1;
        assert!(refused < 60, "it never bids again");
        world.step(Step::Pass { ms: 60_000 });
        world.settle();
    }
    assert!(refused >= 13, "bids again after {refused} of 15 minutes");
    let bids = 0..world.bids.len();
    bids.for_each(|bid| world.notice(0, bid, NoticeKind::Bill, Price::Part(100)));
    world.settle();
    assert!(world.bids.iter().all(|bid| bid.billed.is_some()), "a bid was made that nobody can bill");
    world.finish();
}
