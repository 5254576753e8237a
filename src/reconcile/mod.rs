//! The reconciliation core: the node's side of the money, and nothing that waits. [`Reconciler`] is a state machine: it is given
//! events, answers of the authority, and times; it leaves orders for the cores, reports for the authority, and records for its
//! ledger. [`server`] is the thread that runs it.
//!
//! ```text
//! events ──► on_event ──► history.apply(record) ──► records ──► disk ──► durable ──► orders
//!              tick ──────────▲          report ──► authority ──► answer ──┘
//!                             └── what must be on disk before it leaves waits here, in order
//! ```
//!
//! Money comes from the [authority](crate::authority), by leases; what stands on a core is part of one. Answers to notices
//! wait in one queue until every record before them is on disk. When the disk fails, notices are answered 503 without being
//! booked, and no renewal is passed on, so that leases run out by themselves.

pub mod fleet;
mod frequency;
pub mod gauges;
mod grants;
pub mod guards;
pub mod history;
mod holds;
pub mod keeper;
mod link;
mod notices;
pub mod pacing;
pub mod offline;
mod paced;
pub mod quota;
pub mod record;
pub mod server;
pub mod shading;
pub mod silence;
pub mod solo;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::authority::Budget;
use crate::authority::books::{last_expired, minute};
use crate::authority::message::{Origin, Register, Registered};
use crate::limits;
use crate::profile::erase::Wiped;
use crate::ring::message::{Event, Noticed, Order, Outcome, Reserved};
use crate::ring::spsc::Sender;
pub use crate::snapshot::campaign::Mode;
use crate::store::journal::{Batch, Journal};
use crate::units::{
    AdvertiserId, CampaignId, CoreId, CpmMicros, Day, ExchangeKey, LeaseId, Micros, Nanos, NodeId, Now, Slot,
    UnixMillis, UserHash, UserKey,
};
use frequency::Frequency;
use gauges::Gauges;
use grants::{Line, Own, Share};
use guards::feed::{Change, FeedLag};
use guards::operator::Receipt;
use guards::stops::Stop;
use history::History;
use holds::Reservation;
use link::Links;
use paced::Manner;
pub use paced::Spends;
use quota::{Limit, Quotas};
use record::Record;
use shading::{Lessons, Shading};
use silence::Silence;

/// What a reconciler is told once.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// This node.
    pub node: NodeId,
    /// Bid cores.
    pub cores: u8,
    /// For how long bids may be billed.
    pub horizons: Horizons,
    /// How many authorities it talks to.
    pub parts: Parts,
}

/// How the accounts are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parts {
    /// All in one place: the embedded authority.
    #[default]
    One,
    /// Those of each advertiser apart, where several machines reach them.
    Advertisers,
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
    /// What it may spend in a budget day.
    pub daily: Micros,
    /// What it may spend in all.
    pub total: Option<Micros>,
    /// Its highest bid: a core needs at least this to bid at all.
    pub price: CpmMicros,
    /// What its silent bids hold.
    pub mode: Mode,
    /// What silent bids at full price may come to beyond what is left of the day's budget, as a share of that budget in
    /// millionths.
    pub tolerance: Option<u32>,
}

impl Funding {
    /// The same, as the authority wants to know it.
    pub fn budget(&self) -> Budget {
        let &Self { campaign, advertiser, daily, total, price, mode, tolerance, .. } = self;
        Budget { campaign, advertiser, daily, total, price, strict: mode == Mode::Strict, tolerance }
    }
}

/// The state machine of the reconciliation core.
#[derive(Debug)]
pub struct Reconciler {
    settings: Settings,
    journal: Journal,
    history: History,
    registered: Registered,
    /// By slot.
    lines: Vec<Option<Line>>,
    /// By slot; those without a manner spend as soon as possible.
    manners: Vec<Manner>,
    /// By slot and core.
    shares: Vec<Share>,
    /// Sub-leases that ran low since the last [`Reconciler::poll`].
    low: Vec<(Slot, CoreId)>,
    /// Of every campaign that was ever listed.
    slots: HashMap<CampaignId, Slot>,
    /// This incarnation's leases, and which are of which campaign's day.
    owns: BTreeMap<LeaseId, Own>,
    of_day: HashMap<(CampaignId, Day), LeaseId>,
    /// When the first budget day ends.
    day_ends: UnixMillis,
    links: Links,
    /// Reservations that expired in this minute or before it are released.
    released_up_to: u64,
    held: VecDeque<(u64, CoreId, Order)>,
    out: Vec<VecDeque<Order>>,
    drained: Vec<bool>,
    draining: bool,
    disk_failed: bool,
    feed: FeedLag,
    /// Whether that was logged.
    clock_behind: bool,
    quotas: Quotas,
    silence: Silence,
    shading: Shading,
    frequency: Frequency,
    /// To the training log, if there is one.
    outcomes: Option<Sender<Outcome>>,
    gauges: Arc<Gauges>,
}

impl Reconciler {
    /// Goes on from what this node's ledger says, as the process that the authority has numbered. What earlier ones held is
    /// the authority's business; what they booked is reported again until it is confirmed.
    pub fn new(
        settings: Settings,
        history: History,
        journal: Journal,
        registered: Registered,
        gauges: Arc<Gauges>,
        now: Now,
    ) -> Self {
        let cores = usize::from(settings.cores);
        let origin = Origin {
            horizon: settings.horizons.longest.max(limits::H2_MS),
            first_booking: history.first_booking(),
            next_booking: history.next_booking(),
        };
        let links = Links::new(&registered, origin, settings.parts);
        let mut reconciler = Self {
            settings,
            journal,
            history,
            registered,
            lines: Vec::new(),
            manners: Vec::new(),
            shares: Vec::new(),
            low: Vec::new(),
            slots: HashMap::new(),
            owns: BTreeMap::new(),
            of_day: HashMap::new(),
            day_ends: UnixMillis(u64::MAX),
            links,
            released_up_to: 0,
            held: VecDeque::new(),
            out: vec![VecDeque::new(); cores],
            drained: vec![false; cores],
            draining: false,
            disk_failed: false,
            feed: FeedLag::default(),
            clock_behind: false,
            quotas: Quotas::default(),
            silence: Silence::new(now, &[]),
            shading: Shading::default(),
            frequency: Frequency::default(),
            outcomes: None,
            gauges,
        };
        let &Registered { incarnation, .. } = &reconciler.registered;
        reconciler.append(now, Record::Joined { incarnation, node: settings.node, wall: now.wall });
        reconciler.begin_of_bookings();
        reconciler
    }

    /// What a process of this node asks the authority for at its start.
    pub fn register(settings: &Settings, history: &History, nonce: u64) -> Register {
        Register {
            node: settings.node,
            nonce,
            workers: u16::from(settings.cores) + 1,
            horizon: settings.horizons.longest.max(limits::H2_MS),
            last: history.last(),
            first_booking: history.first_booking(),
            next_booking: history.next_booking(),
        }
    }

    /// This process's number, and what it may use.
    pub fn registered(&self) -> &Registered {
        &self.registered
    }

    /// What is counted.
    pub fn gauges(&self) -> &Gauges {
        &self.gauges
    }

    /// What this node's ledger says.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The opening balance of a new segment of a ledger that is this node's alone.
    pub fn opening(&mut self, now: Now) -> Batch {
        self.journal.opening(now, self.history.opening())
    }

    /// What is stopped, as the authority said last.
    pub fn stops(&self) -> impl Iterator<Item = Stop> {
        self.links.stops().map(|(scope, why)| Stop { scope, why })
    }

    /// What is to be written, and how far that is done. What becomes durable is told by [`Reconciler::durable`].
    pub fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// The limits of the exchanges, told once, before the first tick.
    pub fn limit(&mut self, limits: &[Limit]) {
        self.quotas = Quotas::new(self.settings.cores, limits);
    }

    /// The exchanges with their H2, ms, told once, before the first tick. What is not known of one counts as billed for sure.
    pub fn exchanges(&mut self, now: Now, exchanges: &[(ExchangeKey, u64)]) {
        self.silence = Silence::new(now, exchanges);
    }

    /// How the prices of the exchanges are learnt, by their ids, told once, before the first tick.
    pub fn learn(&mut self, lessons: &[Lessons]) {
        self.shading = Shading::new(lessons, &self.gauges);
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
                let own = self.owns.get_mut(&reserved.lease).expect("a reservation under a lease never granted");
                let Reserved { exchange, expires, price, .. } = reserved;
                own.holds.reserve(now.boot, self.released_up_to, &Reservation { exchange, expires, price });
                self.silence.reserved(now, exchange, expires);
                self.took_part(&reserved);
                self.spent(reserved.slot, core, reserved.lease, reserved.price);
                self.check_lease(reserved.lease);
            }
            Event::Returned { slot, lease, credit } => {
                match self.owns.get_mut(&lease) {
                    Some(own) => {
                        own.holds.give_back(credit);
                        self.returned(slot, core, lease, credit);
                        self.check_lease(lease);
                    }
                    // A lease that was used up can be closed before its core gives it back.
                    None => assert_eq!(credit, Micros::ZERO, "credit returned under a lease never granted"),
                }
            }
            Event::Chances { slot, chances, taken, dearest } => self.came_by(slot, core, chances, taken, dearest),
            Event::Short { slot, lease, wanted } => self.short(slot, core, lease, wanted),
            Event::Notice(notice) => self.notice(now, core, &notice),
            Event::Quota { exchange, asked, returned } => {
                let out = &mut self.out;
                let send = |core: CoreId, order| out[usize::from(core.0)].push_back(order);
                self.quotas.report(core, exchange, asked, returned, send);
            }
            Event::Shaded(shaded) => self.shading.made(now, shaded, &self.gauges),
            Event::Told(told) => self.shading.told(told, &self.gauges),
            Event::Drained => {
                self.drained[usize::from(core.0)] = true;
                if self.drained.iter().all(|drained| *drained) {
                    self.take_credit_back();
                }
            }
        }
    }

    /// The campaigns it was told of.
    fn listed(&self) -> impl Iterator<Item = &Funding> {
        self.lines.iter().flatten().map(|line| &line.funding)
    }

    /// After a batch of events: grants to cores that ran low, and the change of budget days.
    pub fn poll(&mut self, now: Now) {
        self.watch_feed(now);
        if self.may_grant(now) {
            if now.wall >= self.day_ends {
                self.begin_days(now);
            }
            self.grant_where_low(now);
        }
        if self.settings.parts == Parts::Advertisers {
            self.renew(now);
        }
    }

    /// Every [`limits::TICK_NS`]: releases what was silent for too long, sizes the sub-leases by demand, and has a report made of
    /// it all.
    ///
    /// # Panics
    /// If an account does not add up.
    pub fn tick(&mut self, now: Now) {
        self.gauges.ticks.add(1);
        let out = &mut self.out;
        self.quotas.tick(|core, order| out[usize::from(core.0)].push_back(order));
        self.shading.tick(now, &self.gauges, |order| out.iter_mut().for_each(|orders| orders.push_back(order)));
        if self.disk_failed {
            return;
        }
        self.silence.tick(now);
        self.expire(now.wall);
        self.watch_clock(now);
        self.revalue(now.boot);
        self.confirm(now);
        self.poll(now);
        self.grant_by_demand(now);
        self.release_free();
        self.watch_jumps();
        self.pace(now);
        self.owns.keys().for_each(|lease| self.check_lease(*lease));
        self.links.tick(self.journal.appended(), self.history.next_booking());
        self.gauges.held_micros.set(self.owns.values().map(|own| own.holds.held().0 as u64).sum());
    }

    /// Tells every core to stop. Nothing is granted or renewed any more.
    pub fn drain(&mut self) {
        self.draining = true;
        self.out.iter_mut().for_each(|orders| orders.push_back(Order::Drain));
    }

    /// Every core has stopped, everything it said is on disk, and the authority knows.
    pub fn is_drained(&self) -> bool {
        self.drained.iter().all(|drained| *drained) && self.links.is_over() && self.journal.is_durable()
    }

    /// All records up to [`Batch::upto`](crate::store::journal::Batch::upto) are on disk: what waited for them may leave.
    pub fn durable(&mut self, upto: u64) {
        self.journal.durable(upto);
        self.disk_failed = false;
        while let Some((_, core, order)) = self.held.pop_front_if(|(needs, ..)| *needs <= self.journal.synced()) {
            self.out[usize::from(core.0)].push_back(order);
        }
        self.links.durable(self.journal.synced());
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

    /// The oldest record not on disk has waited so long that the disk must be taken for broken.
    pub fn disk_stalled(&self, now: Nanos) -> bool {
        self.journal.unsynced(now) > limits::NOTICE_NS
    }

    fn may_grant(&self, now: Now) -> bool {
        !self.draining && !self.disk_failed && self.feed.is_clear() && !self.is_clock_behind(now)
    }

    /// The clock was set back so far that a bid made now would count as expired: nobody could bill it.
    fn is_clock_behind(&self, now: Now) -> bool {
        minute(UnixMillis(now.wall.0 + self.settings.horizons.shortest)) <= self.released_up_to
    }

    /// Takes all credit back while nobody can see what is spent.
    fn watch_feed(&mut self, now: Now) {
        let (unsynced, unreported) = (self.journal.unsynced(now.boot), self.unreported(now.boot));
        match self.feed.tick(now.boot, unsynced, unreported) {
            Some(Change::Revoke(lag)) => {
                self.gauges.feed_revocations.add(1);
                log::error!(
                    "feed lag of {} s: what happened since is not {}; all leases are revoked, and no campaign bids until it is",
                    lag / Nanos::SECOND,
                    if unsynced >= unreported {
                        "on disk: look at the disk"
                    } else {
                        "known to the authority: look at the way to it"
                    },
                );
                self.revoke_everything();
            }
            Some(Change::Resume(after)) => {
                log::info!("the feed lag is gone after {} s: campaigns bid again", after / Nanos::SECOND);
            }
            None => {}
        }
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

    /// Notes a record and queues it for the disk.
    fn append(&mut self, now: Now, record: Record) {
        self.history.apply(&record);
        self.journal.append(now, &record);
    }

    /// Queues an order until everything noted so far is on disk; it may be already.
    fn hold(&mut self, core: CoreId, order: Order) {
        if self.journal.is_durable() {
            self.out[usize::from(core.0)].push_back(order);
        } else {
            self.held.push_back((self.journal.appended(), core, order));
        }
    }

    /// Has every core drop a user who is erased from the stores, and writes the receipt.
    pub fn erase(&mut self, now: Now, user: UserKey, wiped: Wiped) -> Receipt {
        self.forget_user(user);
        let (user, wiped, wall) = (UserHash::of(user), wiped.and(Wiped::CORES), now.wall);
        let record = self.journal.append(now, &Record::Erased { user, wiped, wall });
        Receipt { record, user, wiped, wall }
    }

    /// Has every core drop a user, in all regions.
    pub fn forget_user(&mut self, user: UserKey) {
        user.in_all_regions().into_iter().for_each(|user| self.broadcast(Order::Erase { user }));
    }

    fn broadcast(&mut self, order: Order) {
        self.out.iter_mut().for_each(|orders| orders.push_back(order));
    }

    /// What is charged for a lease is all accounted for on this node.
    fn check_lease(&self, lease: LeaseId) {
        let own = &self.owns[&lease];
        assert!(own.adds_up(), "lease {} is charged for other money than the node has: {own:?}", lease.0);
    }

    /// Frees what was silent past H2 and epsilon.
    fn expire(&mut self, wall: UnixMillis) {
        let before = self.released_up_to;
        self.released_up_to = before.max(last_expired(wall));
        let number = self.links.next_number();
        self.owns.values_mut().for_each(|own| own.expire(self.released_up_to, number));
        if self.released_up_to > before {
            self.history.forget(before + 1..=self.released_up_to);
        }
    }

    /// Gives back what nobody holds: the next report says so.
    fn release_free(&mut self) {
        for own in self.owns.values_mut() {
            // Less than what is free only if bills came for reservations that were never made.
            let free = own.holds.free.min(own.charge());
            if free > Micros::ZERO {
                own.holds.free = own.holds.free.minus(free);
                own.released = own.released.plus(free);
            }
        }
    }

    /// Puts on record how far the authority has booked what this node booked.
    fn confirm(&mut self, now: Now) {
        let upto = self.links.booked();
        if upto > self.history.confirmed() {
            self.append(now, Record::Confirmed { upto, wall: now.wall });
        }
    }

    /// All cores have stopped: what they were granted and did not use is free.
    fn take_credit_back(&mut self) {
        for own in self.owns.values_mut() {
            own.holds.give_back(own.holds.out);
        }
        if !self.disk_failed {
            self.release_free();
        }
        self.links.end(self.journal.appended(), self.history.next_booking());
    }
}
