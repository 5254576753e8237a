//! The reconciliation core: the ledger, the leases, and nothing that waits. [`Reconciler`] is a state machine: it is given
//! events and times, and leaves orders to send and records to write. [`server`] is the thread that runs it.
//!
//! ```text
//! events ──► on_event ──► books.apply(record) ──► records ──► disk ──► durable ──► orders
//!              tick ────────────▲                                        │
//!                               └── what must be on disk before it leaves waits here, in order
//! ```
//!
//! Grants, renewals and answers to notices wait in one queue until every record before them is on disk. So a lease is
//! in the ledger before a core can spend it, and a bill is before the exchange hears of it. When the disk fails, the
//! queue stands still, leases run out by themselves, and notices are answered 503 without being booked.

pub mod books;
pub mod gauges;
mod grants;
pub mod guards;
mod holds;
mod notices;
pub mod quota;
pub mod record;
pub mod server;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::limits;
use crate::ring::message::{Event, Noticed, Order};
use crate::units::{
    AdvertiserId, CampaignId, CoreId, CpmMicros, Day, Incarnation, LeaseId, Micros, Nanos, NodeId, Now, Slot,
    UnixMillis,
};
use books::{Books, minute};
use gauges::Gauges;
use grants::{Line, Share};
use holds::Holds;
use quota::{Limit, Quotas};
use record::Record;

/// How far ahead of the clock a new ledger's ids start, ms. One it replaces may have used ids ahead of the clock: a restart
/// starts them at most two leases ahead.
const FIRST_IDS_AHEAD_MS: u64 = 60_000;

/// What a reconciler is told once.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// This node.
    pub node: NodeId,
    /// Bid cores.
    pub cores: u8,
    /// For how long bids may be billed.
    pub horizons: Horizons,
}

/// H2 of the exchanges, ms: for how long after a bid its notices are accepted. What a bid was told is in its claim; these
/// say what holds for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizons {
    /// Of the exchange where it is shortest.
    pub shortest: u64,
    /// Of the exchange where it is longest.
    pub longest: u64,
}

impl Default for Horizons {
    fn default() -> Self {
        Horizons { shortest: limits::H2_MS, longest: limits::H2_MS }
    }
}

/// What a campaign may spend: the money side of a campaign list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Funding {
    /// The campaign.
    pub campaign: CampaignId,
    /// Whose campaign it is.
    pub advertiser: AdvertiserId,
    /// Its slot, for as long as the process lives.
    pub slot: Slot,
    /// What it may spend in a UTC day.
    pub daily: Micros,
    /// What it may spend in all.
    pub total: Option<Micros>,
    /// Its highest bid: a core needs at least this to bid at all.
    pub price: CpmMicros,
}

/// Records to be written as one commit.
#[derive(Debug)]
pub struct Batch {
    /// Encoded records.
    pub bytes: Vec<u8>,
    /// How many.
    pub count: u32,
    /// To be given to [`Reconciler::durable`] when they are on disk.
    pub upto: u64,
}

/// The state machine of the reconciliation core.
#[derive(Debug)]
pub struct Reconciler {
    settings: Settings,
    books: Books,
    incarnation: Incarnation,
    ids_from: UnixMillis,
    day: Day,
    /// The last lease id's serial number in this incarnation.
    serial: u32,
    /// By slot.
    lines: Vec<Option<Line>>,
    /// By slot and core.
    shares: Vec<Share>,
    /// Sub-leases that ran low since the last [`Reconciler::poll`].
    low: Vec<(Slot, CoreId)>,
    /// This incarnation's leases.
    holds: BTreeMap<LeaseId, Holds>,
    /// Reservations that expired in this minute or before it are released.
    released_up_to: u64,
    pending: Vec<u8>,
    pending_count: u32,
    pending_since: Option<Nanos>,
    in_flight_since: Option<Nanos>,
    appended: u64,
    durable: u64,
    held: VecDeque<(u64, CoreId, Order)>,
    out: Vec<VecDeque<Order>>,
    drained: Vec<bool>,
    draining: bool,
    disk_failed: bool,
    /// Whether that was logged.
    clock_behind: bool,
    quotas: Quotas,
    gauges: Arc<Gauges>,
}

/// The last minute of which every reservation is past H2 and epsilon.
fn last_expired(wall: UnixMillis) -> u64 {
    minute(UnixMillis(wall.0.saturating_sub(limits::EPSILON_MS))).saturating_sub(1)
}

impl Reconciler {
    /// Goes on from the books as the ledger left them, as the next incarnation. Leases of earlier ones stay charged
    /// until nothing can be claimed under them.
    pub fn new(settings: Settings, books: Books, gauges: Arc<Gauges>, now: Now) -> Self {
        let incarnation = Incarnation(books.incarnation().0 + 1);
        let cores = usize::from(settings.cores);
        // Earlier bids were made before `latest`, but for ids borrowed from the future: at 4,096 a millisecond, less than
        // a lease's length of them under one lease. What one incarnation starts with is itself on disk, so that restarts
        // in quick succession do not start at the same place.
        let first = books.incarnation() == Incarnation(0);
        let ids_from = match first {
            true => UnixMillis(now.wall.0 + FIRST_IDS_AHEAD_MS),
            false => UnixMillis(books.latest().0 + limits::LEASE_NS / Nanos::MS).max(now.wall),
        };
        let mut reconciler = Self {
            settings,
            incarnation,
            ids_from,
            day: now.wall.day(),
            serial: 0,
            lines: Vec::new(),
            shares: Vec::new(),
            low: Vec::new(),
            holds: BTreeMap::new(),
            released_up_to: 0,
            pending: Vec::new(),
            pending_count: 0,
            pending_since: None,
            in_flight_since: None,
            appended: 0,
            durable: 0,
            held: VecDeque::new(),
            out: vec![VecDeque::new(); cores],
            drained: vec![false; cores],
            draining: false,
            disk_failed: false,
            clock_behind: false,
            quotas: Quotas::default(),
            gauges,
            books,
        };
        if first {
            reconciler.append(now.boot, Record::Began { ids_from });
        }
        reconciler.append(now.boot, Record::Started { incarnation, node: settings.node, wall: now.wall, ids_from });
        let longest = settings.horizons.longest;
        if longest > limits::H2_MS {
            reconciler.append(now.boot, Record::Horizon { incarnation, longest });
        }
        reconciler
    }

    /// This process's number.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The node it runs on.
    pub fn node(&self) -> NodeId {
        self.settings.node
    }

    /// Where this process's reservation ids start: after all that earlier ones made, whatever clock they ran on.
    pub fn ids_from(&self) -> UnixMillis {
        self.ids_from
    }

    /// What is counted.
    pub fn gauges(&self) -> &Gauges {
        &self.gauges
    }

    /// The accounts.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// The limits of the exchanges, told once, before the first tick.
    pub fn limit(&mut self, limits: &[Limit]) {
        self.quotas = Quotas::new(self.settings.cores, limits);
    }

    /// An event of a core.
    ///
    /// # Panics
    /// If a core reports money it was not granted: neither side can be trusted then.
    pub fn on_event(&mut self, now: Now, core: CoreId, event: Event) {
        self.gauges.events.add(1);
        match event {
            Event::Reserved(reserved) => {
                self.gauges.reservations.add(1);
                let holds = self.holds.get_mut(&reserved.lease).expect("a reservation under a lease never granted");
                holds.reserve(minute(reserved.expires), self.released_up_to, reserved.price);
                self.spent(reserved.slot, core, reserved.lease, reserved.price);
                self.check_lease(reserved.lease);
            }
            Event::Returned { slot, lease, credit } => {
                match self.holds.get_mut(&lease) {
                    Some(holds) => {
                        holds.give_back(credit);
                        self.returned(slot, core, lease, credit);
                        self.check_lease(lease);
                    }
                    // A lease that was used up can be closed before its core gives it back.
                    None => assert_eq!(credit, Micros::ZERO, "credit returned under a lease never granted"),
                }
            }
            Event::Short { slot, lease, wanted } => self.short(slot, core, lease, wanted),
            Event::Notice(notice) => self.notice(now, core, &notice),
            Event::Quota { exchange, asked, returned } => {
                let out = &mut self.out;
                let send = |core: CoreId, order| out[usize::from(core.0)].push_back(order);
                self.quotas.report(core, exchange, asked, returned, send);
            }
            Event::Drained => {
                self.drained[usize::from(core.0)] = true;
                if self.drained.iter().all(|drained| *drained) {
                    self.take_credit_back(now);
                }
            }
        }
    }

    /// After a batch of events: grants to cores that ran low, and the change of the budget day.
    pub fn poll(&mut self, now: Now) {
        if self.may_grant(now) {
            if now.wall.day() > self.day {
                self.begin_day(now);
            }
            self.grant_where_low(now);
        }
    }

    /// Every [`limits::TICK_NS`]: releases what was silent for too long, grants, closes, renews, and adds all accounts up
    /// again.
    ///
    /// # Panics
    /// If an account does not add up.
    pub fn tick(&mut self, now: Now) {
        self.gauges.ticks.add(1);
        let out = &mut self.out;
        self.quotas.tick(|core, order| out[usize::from(core.0)].push_back(order));
        match self.books.check() {
            Ok(sums) => self.gauges.invariant_checks.add(sums),
            Err(wrong) => panic!("the ledger does not add up: {wrong}"),
        }
        if self.disk_failed {
            return;
        }
        self.expire(now.wall);
        self.watch_clock(now);
        self.poll(now);
        self.release_free(now);
        self.grant_by_demand(now);
        self.close_leases(now);
        if self.may_grant(now) {
            let until = UnixMillis(now.wall.0 + limits::LEASE_NS / Nanos::MS);
            self.append(now.boot, Record::Renewed { incarnation: self.incarnation, until });
            self.broadcast(Order::Renew { until: now.boot.after(limits::LEASE_NS) });
        }
        self.gauges.held_micros.set(self.holds.values().map(|holds| holds.silent().0.max(0) as u64).sum());
    }

    /// Tells every core to stop. Nothing is granted or renewed any more.
    pub fn drain(&mut self) {
        self.draining = true;
        self.out.iter_mut().for_each(|orders| orders.push_back(Order::Drain));
    }

    /// Every core has stopped, and everything it said is on disk.
    pub fn is_drained(&self) -> bool {
        self.drained.iter().all(|drained| *drained) && self.durable == self.appended
    }

    /// Takes the records to be written next, if there are any. One commit is under way at a time.
    pub fn records(&mut self) -> Option<Batch> {
        if self.pending.is_empty() {
            return None;
        }
        self.in_flight_since = self.pending_since.take();
        let bytes = std::mem::take(&mut self.pending);
        Some(Batch { bytes, count: std::mem::take(&mut self.pending_count), upto: self.appended })
    }

    /// All records up to [`Batch::upto`] are on disk: what waited for them may leave.
    pub fn durable(&mut self, upto: u64) {
        assert!(upto <= self.appended, "records on disk that were never written");
        self.durable = self.durable.max(upto);
        self.in_flight_since = None;
        self.disk_failed = false;
        while let Some((_, core, order)) = self.held.pop_front_if(|(needs, ..)| *needs <= self.durable) {
            self.out[usize::from(core.0)].push_back(order);
        }
    }

    /// The commit under way failed, or takes too long; it will be tried again. Exchanges are asked to call again.
    pub fn disk_failed(&mut self) {
        self.disk_failed = true;
        let Self { held, out, gauges, .. } = self;
        held.retain(|(_, core, order)| match order {
            Order::Noticed { ticket, .. } => {
                gauges.unsafe_notices.add(1);
                out[usize::from(core.0)].push_back(Order::Noticed { ticket: *ticket, noticed: Noticed::Unsafe });
                false
            }
            _ => true,
        });
    }

    /// Orders that may be sent to a core, oldest first. What its ring refuses is put back at the front.
    pub fn orders(&mut self, core: CoreId) -> &mut VecDeque<Order> {
        &mut self.out[usize::from(core.0)]
    }

    /// Age of the oldest record that is not on disk, ns.
    pub fn unsynced(&self, now: Nanos) -> u64 {
        self.in_flight_since.or(self.pending_since).map_or(0, |since| now.since(since))
    }

    /// The oldest record not on disk has waited so long that the disk must be taken for broken.
    pub fn disk_stalled(&self, now: Nanos) -> bool {
        self.unsynced(now) > limits::NOTICE_NS
    }

    fn may_grant(&self, now: Now) -> bool {
        !self.draining && !self.disk_failed && !self.is_clock_behind(now)
    }

    /// The clock was set back so far that a bid made now would count as expired: nobody could bill it.
    fn is_clock_behind(&self, now: Now) -> bool {
        minute(UnixMillis(now.wall.0 + self.settings.horizons.shortest)) <= self.released_up_to
    }

    /// Says so when the clock falls behind, and when it is right again.
    fn watch_clock(&mut self, now: Now) {
        let behind = self.is_clock_behind(now);
        if behind == std::mem::replace(&mut self.clock_behind, behind) {
            return;
        }
        if behind {
            let by = (self.released_up_to + 1) * 60 - now.wall.0 / 1000;
            log::error!(
                "the wall clock was set back by {by} s or more: bids made now could not be billed, so no campaign bids; \
                 set the clock right, or, if it was wrong before and is right now, restart corebid"
            );
        } else {
            log::info!("the wall clock is no longer behind: campaigns bid again");
        }
    }

    /// Books a record and queues it for the disk.
    fn append(&mut self, now: Nanos, record: Record) {
        if let Err(inconsistent) = self.books.apply(&record) {
            panic!("the ledger refuses {inconsistent}");
        }
        record.encode(&mut self.pending);
        self.pending_count += 1;
        self.appended += 1;
        self.pending_since.get_or_insert(now);
    }

    /// Queues an order until everything booked so far is on disk; it may be already.
    fn hold(&mut self, core: CoreId, order: Order) {
        if self.durable == self.appended {
            self.out[usize::from(core.0)].push_back(order);
        } else {
            self.held.push_back((self.appended, core, order));
        }
    }

    fn broadcast(&mut self, order: Order) {
        for core in 0..self.settings.cores {
            self.hold(CoreId(core), order);
        }
    }

    /// What the authority charges for a lease is all accounted for on this node.
    fn check_lease(&self, lease: LeaseId) {
        let charge = self.books.lease(lease).map(books::Lease::charge);
        let holds = self.holds.get(&lease).map(Holds::charge);
        assert_eq!(charge, holds, "lease {} is charged for other money than the node has", lease.0);
    }

    /// Frees what was silent past H2 and epsilon.
    fn expire(&mut self, wall: UnixMillis) {
        let before = self.released_up_to;
        self.released_up_to = before.max(last_expired(wall));
        self.holds.values_mut().for_each(|holds| holds.expire(self.released_up_to));
        if self.released_up_to > before {
            self.books.forget(before + 1..=self.released_up_to);
        }
    }

    /// Gives back to the campaigns what nobody holds.
    fn release_free(&mut self, now: Now) {
        let free: Vec<_> =
            self.holds.iter().filter(|(_, holds)| holds.free > Micros::ZERO).map(|(lease, _)| *lease).collect();
        for lease in free {
            let account = self.books.lease(lease).expect("a lease the ledger does not know");
            let holds = self.holds.get_mut(&lease).expect("a lease without its holds");
            // Less than what is free only if bills came for reservations that were never made.
            let free = holds.free.min(account.charge());
            if free == Micros::ZERO {
                continue;
            }
            holds.free = holds.free.minus(free);
            let total = account.released.plus(free);
            self.append(now.boot, Record::Released { lease, total });
            self.check_lease(lease);
        }
    }

    /// Closes leases under which nothing can be claimed any more, whoever's they were.
    fn close_leases(&mut self, now: Now) {
        let closed = self.books.leases().filter(|(id, lease)| {
            let (bids_until, unheld) = match self.holds.get(id) {
                Some(holds) => (lease.day.end(), holds.is_empty() && lease.day < self.day),
                None => (self.books.bids_until(lease.incarnation), true),
            };
            let horizon = self.books.horizon(lease.incarnation);
            unheld && now.wall.0 > bids_until.0 + horizon + limits::EPSILON_MS + 60_000
        });
        let closed: Vec<_> = closed.map(|(id, lease)| (id, *lease)).collect();
        for (id, lease) in closed {
            if lease.charge() > Micros::ZERO {
                let total = lease.granted.minus(lease.settled);
                self.append(now.boot, Record::Released { lease: id, total });
            }
            self.append(now.boot, Record::Closed { lease: id });
            self.holds.remove(&id);
        }
    }

    /// All cores have stopped: what they were granted and did not use is free.
    fn take_credit_back(&mut self, now: Now) {
        for holds in self.holds.values_mut() {
            holds.give_back(holds.out);
        }
        if !self.disk_failed {
            self.release_free(now);
        }
    }
}
