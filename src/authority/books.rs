//! The authority's books: every account, as it follows from the records of the ledger and from nothing else. Live
//! operation and replay run the same [`Books::apply`], so a restart cannot come to another result.
//!
//! ```text
//! per campaign and day, per campaign and life, per advertiser:
//!     settled + charged <= ceiling            charged = sum over leases of (granted - settled - released)
//! ```
//!
//! The ceiling is the budget, or what was already committed when the budget was cut; it comes down as money comes back.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;

use super::message::{Foreign, Why};
use crate::limits;
use crate::reconcile::guards::sums::{Accounts, Sum};
use crate::reconcile::record::{Marks, NO_NUMBER, Record};
use crate::units::{
    AdvertiserId, CampaignId, Day, Epoch, Incarnation, LeaseId, Micros, NodeId, ReservationId, UnixMillis,
};

/// One budget and what stands against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// What may be spent.
    pub budget: Micros,
    /// What may be spent, or was already committed when the budget was cut.
    pub ceiling: Micros,
    /// Booked bills.
    pub settled: Micros,
    /// What leases could still be billed for.
    pub charged: Micros,
}

impl Account {
    /// What is spent or could be.
    pub fn committed(&self) -> Micros {
        self.settled.plus(self.charged)
    }

    /// What may still be granted.
    pub fn available(&self) -> Micros {
        Micros((self.budget.0 - self.committed().0).max(0))
    }

    fn fund(&mut self, budget: Micros) {
        self.budget = budget;
        self.ceiling = budget.max(self.committed());
    }

    fn move_by(&mut self, settled: Micros, charged: Micros) {
        self.settled = self.settled.plus(settled);
        self.charged = self.charged.plus(charged);
        self.ceiling = self.budget.max(self.ceiling.min(self.committed().max(self.budget)));
    }

    /// Makes room for money that is committed whether the budget allows it or not.
    fn commit(&mut self, more: Micros) {
        self.ceiling = self.ceiling.max(self.committed().plus(more));
    }

    fn holds(&self) -> bool {
        let charged_and_settled = self.settled >= Micros::ZERO && self.charged >= Micros::ZERO;
        charged_and_settled && self.settled.plus(self.charged) <= self.ceiling
    }
}

/// A campaign's whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Whose campaign it is.
    pub advertiser: AdvertiserId,
    /// All days together.
    pub account: Account,
    /// Bills that no lease covered; outside the account.
    pub excess: Micros,
}

/// A lease, from grant to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The campaign that pays.
    pub campaign: CampaignId,
    /// Whose lease it is.
    pub incarnation: Incarnation,
    /// The day that pays.
    pub day: Day,
    /// Granted so far.
    pub granted: Micros,
    /// Booked under it so far.
    pub settled: Micros,
    /// Given back so far.
    pub released: Micros,
}

impl Lease {
    /// What could still be billed under it.
    pub fn charge(&self) -> Micros {
        self.granted.minus(self.settled).minus(self.released)
    }
}

/// A process that may still be owed bills.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bidder {
    /// The node it runs on.
    pub node: NodeId,
    /// What it asked with.
    pub nonce: u64,
    /// The first of its worker ids.
    pub first_worker: u16,
    /// How many they are.
    pub workers: u16,
    /// Its reservation ids start here.
    pub ids_from: UnixMillis,
    /// When its last grant ends at the latest, by the authority's clock.
    pub until: UnixMillis,
    /// For how long after a bid it may be billed, ms.
    pub horizon: u64,
    /// It said that it bids no more, and all its bookings are booked.
    pub ended: bool,
    /// Earlier processes of its node made the bookings before this number.
    pub next_booking: u64,
    /// Its leases that are not closed.
    leases: u32,
    /// What others booked on its leases, by number.
    foreign: BTreeMap<u64, Foreign>,
    /// The last number among those.
    last_foreign: u64,
}

impl Bidder {
    /// The number of the last booking that another node made on its leases.
    pub fn last_foreign(&self) -> u64 {
        self.last_foreign
    }

    /// Those after a number, in order.
    pub fn foreign_after(&self, seen: u64) -> impl Iterator<Item = &Foreign> {
        self.foreign.range(seen.saturating_add(1)..).map(|(_, foreign)| foreign)
    }
}

/// What is stopped: one campaign, or all of an advertiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// One campaign.
    Campaign(CampaignId),
    /// All campaigns of one advertiser.
    Advertiser(AdvertiserId),
}

impl Scope {
    /// As it stands in a record.
    pub fn numbers(self) -> (u8, u32) {
        match self {
            Scope::Campaign(CampaignId(id)) => (0, id),
            Scope::Advertiser(AdvertiserId(id)) => (1, id),
        }
    }

    fn of(scope: u8, id: u32) -> Result<Scope, &'static str> {
        match scope {
            0 => Ok(Scope::Campaign(CampaignId(id))),
            1 => Ok(Scope::Advertiser(AdvertiserId(id))),
            _ => Err("neither a campaign nor an advertiser was stopped"),
        }
    }
}

/// A record that contradicts those before it: the ledger cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inconsistent {
    /// The record.
    pub record: Record,
    /// What it contradicts.
    pub why: &'static str,
}

impl fmt::Display for Inconsistent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.why, self.record)
    }
}

impl std::error::Error for Inconsistent {}

/// All accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    lives: BTreeMap<CampaignId, Life>,
    days: BTreeMap<(CampaignId, Day), Account>,
    leases: BTreeMap<LeaseId, Lease>,
    of_day: BTreeMap<(Incarnation, CampaignId, Day), LeaseId>,
    advertisers: BTreeMap<AdvertiserId, Micros>,
    incarnations: BTreeMap<Incarnation, Bidder>,
    open: BTreeMap<(CampaignId, Day), u32>,
    /// Reservations that are booked, and at what, by the minute in which they expire.
    distinct: BTreeMap<u64, HashMap<(LeaseId, ReservationId), Micros>>,
    /// By node: the first booking that is not booked.
    booked: BTreeMap<NodeId, u64>,
    retired: BTreeMap<NodeId, UnixMillis>,
    stopped: BTreeMap<Scope, Why>,
    epoch: Epoch,
    /// Leases are numbered up to here.
    serials: u64,
    forgotten: u64,
    began: UnixMillis,
    latest: UnixMillis,
}

/// The minute a time falls in: reservations are kept by the minute of their expiry.
pub fn minute(time: UnixMillis) -> u64 {
    time.0 / 60_000
}

/// The last minute of which every reservation is past H2 and epsilon.
pub fn last_expired(wall: UnixMillis) -> u64 {
    minute(UnixMillis(wall.0.saturating_sub(limits::EPSILON_MS))).saturating_sub(1)
}

impl Books {
    /// The campaign's account of a day; empty if it never had one.
    pub fn day(&self, campaign: CampaignId, day: Day) -> Account {
        self.days.get(&(campaign, day)).copied().unwrap_or_default()
    }

    /// Whether the campaign was given a budget for that day.
    pub fn has_day(&self, campaign: CampaignId, day: Day) -> bool {
        self.days.contains_key(&(campaign, day))
    }

    /// All days of which there are accounts.
    pub fn days(&self) -> impl Iterator<Item = (CampaignId, Day)> {
        self.days.keys().copied()
    }

    /// The campaign's life.
    pub fn life(&self, campaign: CampaignId) -> Option<&Life> {
        self.lives.get(&campaign)
    }

    /// All campaigns.
    pub fn lives(&self) -> impl Iterator<Item = (CampaignId, &Life)> {
        self.lives.iter().map(|(campaign, life)| (*campaign, life))
    }

    /// What may be granted to a campaign for a day.
    pub fn available(&self, campaign: CampaignId, day: Day) -> Micros {
        let life = self.lives.get(&campaign).map_or(Micros::ZERO, |life| life.account.available());
        self.day(campaign, day).available().min(life)
    }

    /// A lease that is not closed.
    pub fn lease(&self, lease: LeaseId) -> Option<&Lease> {
        self.leases.get(&lease)
    }

    /// The lease of a process for a campaign's day, if it has one that is not closed.
    pub fn lease_of(&self, incarnation: Incarnation, campaign: CampaignId, day: Day) -> Option<LeaseId> {
        self.of_day.get(&(incarnation, campaign, day)).copied()
    }

    /// All leases that are not closed.
    pub fn leases(&self) -> impl Iterator<Item = (LeaseId, &Lease)> {
        self.leases.iter().map(|(lease, account)| (*lease, account))
    }

    /// What was booked for a reservation, if it is booked.
    pub fn booked_for(&self, lease: LeaseId, reservation: ReservationId, expires: UnixMillis) -> Option<Micros> {
        let here = self.distinct.get(&minute(expires)).and_then(|booked| booked.get(&(lease, reservation)).copied());
        if here.is_some() || minute(expires) > self.forgotten {
            return here;
        }
        // What other nodes booked is remembered until the lease is closed.
        here.or_else(|| {
            let bidder = self.incarnations.get(&self.leases.get(&lease)?.incarnation)?;
            let of = |foreign: &&Foreign| (foreign.lease, foreign.reservation) == (lease, reservation);
            bidder.foreign.values().find(of).map(|foreign| foreign.amount)
        })
    }

    /// The last incarnation that was registered; 0 before the first.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnations.last_key_value().map_or(Incarnation(0), |(incarnation, _)| *incarnation)
    }

    /// A process that was registered, and is not forgotten: the last one never is.
    pub fn bidder(&self, incarnation: Incarnation) -> Option<&Bidder> {
        self.incarnations.get(&incarnation)
    }

    /// All of them.
    pub fn bidders(&self) -> impl Iterator<Item = (Incarnation, &Bidder)> {
        self.incarnations.iter().map(|(incarnation, bidder)| (*incarnation, bidder))
    }

    /// Whether a process makes no more bids, or none that count: it ended, a later one of its node was registered, or its node
    /// was given up.
    pub fn is_over(&self, incarnation: Incarnation) -> bool {
        let Some(bidder) = self.incarnations.get(&incarnation) else { return true };
        bidder.ended || self.is_retired(bidder.node) || self.successor(incarnation, bidder.node).is_some()
    }

    /// Whether all that a process that is over had in its ledger is booked, or was given up.
    pub fn is_replayed(&self, incarnation: Incarnation) -> bool {
        let Some(bidder) = self.incarnations.get(&incarnation) else { return true };
        let successor = self.successor(incarnation, bidder.node);
        bidder.ended
            || self.is_retired(bidder.node)
            || successor.is_some_and(|successor| self.booked(bidder.node) >= successor.next_booking)
    }

    fn successor(&self, incarnation: Incarnation, node: NodeId) -> Option<&Bidder> {
        let later = (Bound::Excluded(incarnation), Bound::Unbounded);
        self.incarnations.range(later).map(|(_, bidder)| bidder).find(|bidder| bidder.node == node)
    }

    /// The first booking of a node that is not booked.
    pub fn booked(&self, node: NodeId) -> u64 {
        self.booked.get(&node).copied().unwrap_or_default()
    }

    /// Whether a node was given up.
    pub fn is_retired(&self, node: NodeId) -> bool {
        self.retired.contains_key(&node)
    }

    /// Why a campaign of an advertiser may not bid, if it may not.
    pub fn stopped(&self, campaign: CampaignId, advertiser: AdvertiserId) -> Option<Why> {
        let of = |scope| self.stopped.get(&scope).copied();
        of(Scope::Campaign(campaign)).or_else(|| of(Scope::Advertiser(advertiser)))
    }

    /// All that is stopped, and why.
    pub fn all_stopped(&self) -> impl Iterator<Item = (Scope, Why)> {
        self.stopped.iter().map(|(scope, why)| (*scope, *why))
    }

    /// Reservations that expired in this minute or before it are forgotten.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// What other nodes booked under a lease of which its process has not heard.
    pub fn unseen(&self, lease: LeaseId, incarnation: Incarnation, seen: u64) -> Micros {
        let Some(bidder) = self.incarnations.get(&incarnation) else { return Micros::ZERO };
        let unseen = bidder.foreign_after(seen).filter(|foreign| foreign.lease == lease);
        unseen.fold(Micros::ZERO, |sum, foreign| sum.plus(foreign.amount))
    }

    /// Whether the campaign has accounts of a later day: then this one's may have been dropped.
    fn has_later_day(&self, campaign: CampaignId, day: Day) -> bool {
        self.days.range((campaign, Day(day.0.saturating_add(1)))..=(campaign, Day(u32::MAX))).next().is_some()
    }

    /// Whether a day may be given a budget: it has one, or none of a later day was.
    pub fn may_fund(&self, campaign: CampaignId, day: Day) -> bool {
        self.has_day(campaign, day) || !self.has_later_day(campaign, day)
    }

    /// The first lease number that is not taken.
    pub fn serials(&self) -> u64 {
        self.serials
    }

    /// How often memory may have been lost.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Where this ledger's reservation ids begin; 0 if it does not say.
    pub fn began(&self) -> UnixMillis {
        self.began
    }

    /// The latest time any record speaks of, first ids included.
    pub fn latest(&self) -> UnixMillis {
        self.latest
    }

    /// Forgets reservations that expired in this minute or before it: nobody can book them any more, but for what other nodes
    /// booked, which is remembered until its lease is closed. And processes that nothing can be claimed from, but for the last of
    /// each node, and those by which an earlier one's end is told.
    pub fn forget(&mut self, expired: u64) {
        self.forgotten = self.forgotten.max(expired);
        self.distinct = self.distinct.split_off(&(self.forgotten + 1));
        let old = Day((self.forgotten / 1440).saturating_sub(2) as u32);
        let open = &self.open;
        self.days.retain(|key, _| key.1 >= old || open.contains_key(key));
        let (mut owing, mut last) = (BTreeMap::new(), BTreeMap::new());
        for (&incarnation, bidder) in &self.incarnations {
            last.insert(bidder.node, incarnation);
            if bidder.leases > 0 {
                owing.entry(bidder.node).or_insert(incarnation);
            }
        }
        self.incarnations.retain(|incarnation, bidder| {
            owing.get(&bidder.node).is_some_and(|first| incarnation >= first) || last[&bidder.node] == *incarnation
        });
    }

    /// Adds a fact.
    ///
    /// # Errors
    /// [`Inconsistent`] if it contradicts the facts before it; the books must not be used any more.
    pub fn apply(&mut self, record: &Record) -> Result<(), Inconsistent> {
        self.book(record).map_err(|why| Inconsistent { record: *record, why })
    }

    fn book(&mut self, record: &Record) -> Result<(), &'static str> {
        match *record {
            Record::Started { incarnation, node, wall, ids_from } => {
                let horizon = limits::H2_MS;
                self.begin(incarnation, Bidder { node, ids_from, horizon, ..Bidder::default() })?;
                self.latest = self.latest.max(wall).max(ids_from);
            }
            Record::Registered {
                incarnation,
                node,
                nonce,
                first_worker,
                workers,
                ids_from,
                horizon,
                first_booking,
                next_booking,
                wall,
            } => {
                let bidder =
                    Bidder { node, nonce, first_worker, workers, ids_from, horizon, next_booking, ..Bidder::default() };
                self.begin(incarnation, bidder)?;
                let booked = self.booked.entry(node).or_default();
                *booked = first_booking.max(*booked);
                self.latest = self.latest.max(wall).max(ids_from);
            }
            Record::Ended { incarnation } => {
                let bidder = self.incarnations.get_mut(&incarnation).ok_or("an unknown process ended")?;
                bidder.ended = true;
            }
            Record::Retired { node, wall } => {
                self.retired.insert(node, wall);
                self.latest = self.latest.max(wall);
            }
            Record::NewEpoch { epoch, wall } => {
                if epoch <= self.epoch {
                    return Err("an epoch that does not grow");
                }
                self.epoch = epoch;
                self.latest = self.latest.max(wall);
            }
            Record::Renewed { incarnation, until } => {
                let bidder = self.incarnations.entry(incarnation).or_default();
                bidder.until = until.max(bidder.until);
                self.latest = self.latest.max(until);
            }
            Record::Horizon { incarnation, longest } => {
                let bidder = self.incarnations.entry(incarnation).or_default();
                bidder.horizon = longest.max(bidder.horizon);
            }
            Record::Funded { campaign, advertiser, day, daily, total } => {
                if daily < Micros::ZERO || total < Micros::ZERO {
                    return Err("a negative budget");
                }
                self.drop_finished_days(campaign, day);
                let life = self.lives.entry(campaign).or_insert(Life {
                    advertiser,
                    account: Account::default(),
                    excess: Micros::ZERO,
                });
                let committed = life.account.committed();
                life.account.fund(total);
                let before = std::mem::replace(&mut life.advertiser, advertiser);
                self.move_advertiser(before, Micros(-committed.0));
                self.move_advertiser(advertiser, committed);
                self.days.entry((campaign, day)).or_default().fund(daily);
            }
            Record::Granted { lease, campaign, incarnation, day, total } => {
                let more = self.enlarge(lease, campaign, incarnation, day, total)?;
                self.move_accounts(campaign, day, Micros::ZERO, more)?;
            }
            Record::Adopted { lease, campaign, incarnation, day, total } => {
                let more = self.enlarge(lease, campaign, incarnation, day, total)?;
                for account in self.accounts(campaign, day)? {
                    account.commit(more);
                }
                self.move_accounts(campaign, day, Micros::ZERO, more)?;
            }
            Record::Billed { reservation, lease, campaign, amount, expires, wall, marks, .. } => {
                let excess = marks.any(Marks::EXCESS);
                self.settle(reservation, lease, campaign, amount, expires, excess)?;
                self.latest = self.latest.max(wall);
            }
            Record::Booked {
                reservation,
                lease,
                campaign,
                exchange,
                reserved,
                amount,
                expires,
                node,
                number,
                marks,
            } => {
                if number != NO_NUMBER && number < self.booked(node) {
                    return Err("a booking out of its order");
                }
                if marks.any(Marks::OVERDRAWN) {
                    self.overdraw(lease, amount)?;
                }
                self.settle(reservation, lease, campaign, amount, expires, marks.any(Marks::EXCESS))?;
                if number != NO_NUMBER {
                    self.booked.insert(node, number + 1);
                }
                if marks.any(Marks::FOREIGN) {
                    let number = self.last_foreign(lease)? + 1;
                    self.elsewhere(Foreign { number, lease, reservation, exchange, reserved, amount, expires })?;
                }
            }
            Record::Released { lease, total } => {
                let account = self.leases.get_mut(&lease).ok_or("a release under an unknown lease")?;
                let more = total.minus(account.released);
                account.released = total;
                let (campaign, day) = (account.campaign, account.day);
                if more < Micros::ZERO || account.charge() < Micros::ZERO {
                    return Err("a release that its lease does not cover");
                }
                self.move_accounts(campaign, day, Micros::ZERO, Micros(-more.0))?;
            }
            Record::Closed { lease } => {
                let account = self.leases.remove(&lease).ok_or("an unknown lease was closed")?;
                if account.charge() != Micros::ZERO {
                    return Err("a lease was closed that could still be billed");
                }
                if let Some(bidder) = self.incarnations.get_mut(&account.incarnation) {
                    bidder.leases -= 1;
                    if bidder.foreign.values().any(|foreign| foreign.lease == lease) {
                        bidder.foreign.retain(|_, foreign| foreign.lease != lease);
                    }
                }
                let key = (account.campaign, account.day);
                // After a lost memory there may be a newer one for the same day.
                let place = (account.incarnation, account.campaign, account.day);
                if self.of_day.get(&place) == Some(&lease) {
                    self.of_day.remove(&place);
                }
                if let Some(open) = self.open.get_mut(&key) {
                    *open -= 1;
                    if *open == 0 {
                        self.open.remove(&key);
                    }
                }
            }
            Record::Life { campaign, advertiser, budget, ceiling, settled, excess } => {
                let account = Account { budget, ceiling, settled, charged: Micros::ZERO };
                self.lives.insert(campaign, Life { advertiser, account, excess });
                self.move_advertiser(advertiser, settled);
            }
            Record::Balance { campaign, day, budget, ceiling, settled } => {
                self.days.insert((campaign, day), Account { budget, ceiling, settled, charged: Micros::ZERO });
            }
            Record::Lease { lease, campaign, incarnation, day, granted, settled, released } => {
                let account = Lease { campaign, incarnation, day, granted, settled, released };
                let charge = account.charge();
                self.leases.insert(lease, account);
                self.count_lease(lease, campaign, day, incarnation);
                for account in self.accounts(campaign, day)? {
                    account.charged = account.charged.plus(charge);
                    if !account.holds() {
                        return Err("more is committed than the budget allows");
                    }
                }
                let advertiser = self.lives[&campaign].advertiser;
                self.move_advertiser(advertiser, charge);
            }
            Record::Began { ids_from } => {
                if self.began > UnixMillis(0) {
                    return Err("a ledger began twice");
                }
                self.began = ids_from;
                self.latest = self.latest.max(ids_from);
            }
            Record::Stopped { scope, id, why, wall } => {
                let why = Why::of(why).ok_or("stopped for no known reason")?;
                self.stopped.insert(Scope::of(scope, id)?, why);
                self.latest = self.latest.max(wall);
            }
            Record::Resumed { scope, id, wall } => {
                self.stopped.remove(&Scope::of(scope, id)?);
                self.latest = self.latest.max(wall);
            }
            Record::Booker { node, booked } => {
                self.booked.insert(node, booked);
            }
            Record::Distinct { reservation, lease, amount, expires } => {
                self.distinct.entry(minute(expires)).or_default().insert((lease, reservation), amount);
            }
            Record::Elsewhere { number, reservation, lease, exchange, reserved, amount, expires } => {
                self.elsewhere(Foreign { number, lease, reservation, exchange, reserved, amount, expires })?;
            }
            Record::Skipped { node, number } => {
                if number < self.booked(node) {
                    return Err("a booking out of its order");
                }
                self.booked.insert(node, number + 1);
            }
            Record::Serials { upto } => self.serials = upto.max(self.serials),
            Record::Numbered { incarnation, foreign } => {
                self.incarnations.entry(incarnation).or_default().last_foreign = foreign;
            }
            // Of the node.
            Record::Heard { .. }
            | Record::Known { .. }
            | Record::Joined { .. }
            | Record::Bill { .. }
            | Record::Confirmed { .. }
            | Record::Pending { .. }
            | Record::Bookings { .. }
            | Record::Erased { .. }
            | Record::Owned { .. } => {}
        }
        Ok(())
    }

    /// A new process.
    fn begin(&mut self, incarnation: Incarnation, bidder: Bidder) -> Result<(), &'static str> {
        if self.incarnations.contains_key(&incarnation) {
            return Err("an incarnation started twice");
        }
        self.incarnations.insert(incarnation, bidder);
        Ok(())
    }

    /// A lease grows to `total`; returns by how much.
    fn enlarge(
        &mut self,
        lease: LeaseId,
        campaign: CampaignId,
        incarnation: Incarnation,
        day: Day,
        total: Micros,
    ) -> Result<Micros, &'static str> {
        let [granted, settled, released] = [Micros::ZERO; 3];
        let new = Lease { campaign, incarnation, day, granted, settled, released };
        if let Entry::Vacant(vacant) = self.leases.entry(lease) {
            vacant.insert(new);
            self.count_lease(lease, campaign, day, incarnation);
        }
        let account = self.leases.get_mut(&lease).ok_or("a lease went missing")?;
        if (account.campaign, account.incarnation, account.day) != (campaign, incarnation, day) {
            return Err("a lease changed hands");
        }
        let more = total.minus(account.granted);
        if more < Micros::ZERO {
            return Err("a grant shrank");
        }
        account.granted = total;
        Ok(more)
    }

    /// Books a reservation, once.
    fn settle(
        &mut self,
        reservation: ReservationId,
        lease: LeaseId,
        campaign: CampaignId,
        amount: Micros,
        expires: UnixMillis,
        excess: bool,
    ) -> Result<(), &'static str> {
        if self.distinct.entry(minute(expires)).or_default().insert((lease, reservation), amount).is_some() {
            return Err("a reservation billed twice");
        }
        if excess {
            let life = self.lives.get_mut(&campaign).ok_or("a bill of an unknown campaign")?;
            life.excess = life.excess.plus(amount);
            return Ok(());
        }
        let account = self.leases.get_mut(&lease).ok_or("a bill under an unknown lease")?;
        account.settled = account.settled.plus(amount);
        let (campaign, day) = (account.campaign, account.day);
        if amount < Micros::ZERO || account.charge() < Micros::ZERO {
            return Err("a bill that its lease does not cover");
        }
        self.move_accounts(campaign, day, amount, Micros(-amount.0))
    }

    /// Makes room for a bill beyond what its lease is charged: the budget pays, and beyond it nobody but us.
    fn overdraw(&mut self, lease: LeaseId, amount: Micros) -> Result<(), &'static str> {
        let account = self.leases.get_mut(&lease).ok_or("a bill under an unknown lease")?;
        let lacks = amount.minus(account.charge()).max(Micros::ZERO);
        account.granted = account.granted.plus(lacks);
        let (campaign, day) = (account.campaign, account.day);
        for account in self.accounts(campaign, day)? {
            account.commit(lacks);
        }
        self.move_accounts(campaign, day, Micros::ZERO, lacks)
    }

    fn last_foreign(&self, lease: LeaseId) -> Result<u64, &'static str> {
        let incarnation = self.leases.get(&lease).ok_or("a booking under an unknown lease")?.incarnation;
        Ok(self.incarnations.get(&incarnation).map_or(0, |bidder| bidder.last_foreign))
    }

    fn elsewhere(&mut self, foreign: Foreign) -> Result<(), &'static str> {
        let lease = self.leases.get(&foreign.lease).ok_or("a booking under an unknown lease")?;
        let bidder = self.incarnations.get_mut(&lease.incarnation).ok_or("a lease of nobody")?;
        bidder.last_foreign = bidder.last_foreign.max(foreign.number);
        bidder.foreign.insert(foreign.number, foreign);
        Ok(())
    }

    fn count_lease(&mut self, lease: LeaseId, campaign: CampaignId, day: Day, incarnation: Incarnation) {
        *self.open.entry((campaign, day)).or_default() += 1;
        self.incarnations.entry(incarnation).or_default().leases += 1;
        self.of_day.insert((incarnation, campaign, day), lease);
    }

    fn accounts(&mut self, campaign: CampaignId, day: Day) -> Result<[&mut Account; 2], &'static str> {
        let life = self.lives.get_mut(&campaign).ok_or("a campaign without a budget")?;
        let day = self.days.get_mut(&(campaign, day)).ok_or("a day without a budget")?;
        Ok([&mut life.account, day])
    }

    /// Moves money of a campaign; the invariant is checked on all it touches.
    fn move_accounts(
        &mut self,
        campaign: CampaignId,
        day: Day,
        settled: Micros,
        charged: Micros,
    ) -> Result<(), &'static str> {
        for account in self.accounts(campaign, day)? {
            account.move_by(settled, charged);
            if !account.holds() {
                return Err("more is committed than the budget allows");
            }
        }
        let advertiser = self.lives[&campaign].advertiser;
        self.move_advertiser(advertiser, settled.plus(charged));
        Ok(())
    }

    fn move_advertiser(&mut self, advertiser: AdvertiserId, committed: Micros) {
        let sum = self.advertisers.entry(advertiser).or_default();
        *sum = sum.plus(committed);
        if *sum == Micros::ZERO {
            self.advertisers.remove(&advertiser);
        }
    }

    /// Drops the campaign's days before `day` under which nothing can be billed any more.
    fn drop_finished_days(&mut self, campaign: CampaignId, day: Day) {
        let past = (campaign, Day(0))..(campaign, day);
        let finished: Vec<_> =
            self.days.range(past).map(|(key, _)| *key).filter(|key| !self.open.contains_key(key)).collect();
        for key in finished {
            self.days.remove(&key);
        }
    }

    /// Adds everything up again from the leases and compares: campaigns, days, advertisers. Returns how many sums were
    /// compared.
    ///
    /// # Errors
    /// The first sum that is wrong.
    pub fn check(&self) -> Result<u64, &'static str> {
        let mut by_day: BTreeMap<(CampaignId, Day), Micros> = BTreeMap::new();
        let mut by_life: BTreeMap<CampaignId, Micros> = BTreeMap::new();
        for lease in self.leases.values() {
            let day = by_day.entry((lease.campaign, lease.day)).or_default();
            *day = day.plus(lease.charge());
            let life = by_life.entry(lease.campaign).or_default();
            *life = life.plus(lease.charge());
        }
        for (key, account) in &self.days {
            if by_day.get(key).copied().unwrap_or_default() != account.charged || !account.holds() {
                return Err("a day's account differs from its leases");
            }
        }
        let mut by_advertiser: BTreeMap<AdvertiserId, Micros> = BTreeMap::new();
        for (campaign, life) in &self.lives {
            if by_life.get(campaign).copied().unwrap_or_default() != life.account.charged || !life.account.holds() {
                return Err("a campaign's account differs from its leases");
            }
            let sum = by_advertiser.entry(life.advertiser).or_default();
            *sum = sum.plus(life.account.committed());
        }
        by_advertiser.retain(|_, sum| *sum != Micros::ZERO);
        if by_advertiser != self.advertisers {
            return Err("an advertiser's sum differs from its campaigns");
        }
        Ok((self.days.len() + self.lives.len() + by_advertiser.len()) as u64)
    }

    /// Records from which books equal to these follow: the opening balance of a ledger file.
    pub fn opening(&self) -> impl Iterator<Item = Record> {
        let latest = self.latest;
        let incarnations = self.incarnations.iter().flat_map(move |(&incarnation, bidder)| {
            let &Bidder { node, nonce, first_worker, workers, ids_from, horizon, until, ended, .. } = bidder;
            let registered = Record::Registered {
                incarnation,
                node,
                nonce,
                first_worker,
                workers,
                ids_from,
                horizon,
                first_booking: 0,
                next_booking: bidder.next_booking,
                wall: latest,
            };
            let ended = ended.then_some(Record::Ended { incarnation });
            let numbered = Record::Numbered { incarnation, foreign: bidder.last_foreign };
            [registered, Record::Renewed { incarnation, until }, numbered].into_iter().chain(ended)
        });
        let began = (self.began > UnixMillis(0)).then_some(Record::Began { ids_from: self.began });
        let epoch = (self.epoch > Epoch(0)).then_some(Record::NewEpoch { epoch: self.epoch, wall: latest });
        let retired = self.retired.iter().map(|(&node, &wall)| Record::Retired { node, wall });
        let bookers = self.booked.iter().map(|(&node, &booked)| Record::Booker { node, booked });
        let stopped = self.stopped.iter().map(move |(scope, why)| {
            let (scope, id) = scope.numbers();
            Record::Stopped { scope, id, why: *why as u8, wall: latest }
        });
        let lives = self.lives.iter().map(|(campaign, life)| Record::Life {
            campaign: *campaign,
            advertiser: life.advertiser,
            budget: life.account.budget,
            ceiling: life.account.ceiling,
            settled: life.account.settled,
            excess: life.excess,
        });
        let days = self.days.iter().map(|((campaign, day), account)| Record::Balance {
            campaign: *campaign,
            day: *day,
            budget: account.budget,
            ceiling: account.ceiling,
            settled: account.settled,
        });
        let leases = self.leases.iter().map(|(id, lease)| Record::Lease {
            lease: *id,
            campaign: lease.campaign,
            incarnation: lease.incarnation,
            day: lease.day,
            granted: lease.granted,
            settled: lease.settled,
            released: lease.released,
        });
        let distinct = self.distinct.iter().flat_map(|(minute, booked)| {
            booked.iter().map(move |(&(lease, reservation), &amount)| Record::Distinct {
                reservation,
                lease,
                amount,
                expires: UnixMillis(minute * 60_000),
            })
        });
        let elsewhere = self.incarnations.values().flat_map(|bidder| bidder.foreign.values()).map(|foreign| {
            let &Foreign { number, lease, reservation, exchange, reserved, amount, expires } = foreign;
            Record::Elsewhere { number, reservation, lease, exchange, reserved, amount, expires }
        });
        let serials = (self.serials > 0).then_some(Record::Serials { upto: self.serials });
        let node = began
            .into_iter()
            .chain(epoch)
            .chain(serials)
            .chain(incarnations)
            .chain(retired)
            .chain(bookers)
            .chain(stopped);
        node.chain(lives).chain(days).chain(leases).chain(distinct).chain(elsewhere)
    }
}

impl From<Account> for Sum {
    fn from(Account { settled, charged, ceiling, .. }: Account) -> Sum {
        Sum { settled, charged, ceiling }
    }
}

/// All tables are in the order that the check asks for.
impl Accounts for Books {
    fn leases(&self) -> impl Iterator<Item = (CampaignId, Day, Micros)> {
        self.leases.values().map(|lease| (lease.campaign, lease.day, lease.charge()))
    }

    fn days(&self) -> impl Iterator<Item = (CampaignId, Day, Sum)> {
        self.days.iter().map(|((campaign, day), account)| (*campaign, *day, Sum::from(*account)))
    }

    fn campaigns(&self) -> impl Iterator<Item = (CampaignId, AdvertiserId, Sum)> {
        self.lives.iter().map(|(campaign, life)| (*campaign, life.advertiser, Sum::from(life.account)))
    }

    fn advertisers(&self) -> impl Iterator<Item = (AdvertiserId, Micros)> {
        self.advertisers.iter().map(|(advertiser, committed)| (*advertiser, *committed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Authority;
    use crate::store::journal::Journal;
    use crate::units::{Nanos, Now};

    /// A process with a lease of each of two advertisers' campaigns.
    fn books() -> Books {
        let (day, wall) = (Day(20_000), UnixMillis(20_000 * UnixMillis::DAY));
        let (incarnation, until) = (Incarnation(1), wall);
        let mut books = Books::default();
        let mut apply = |record| books.apply(&record).unwrap();
        apply(Record::Started { incarnation, node: NodeId(0), wall, ids_from: wall });
        apply(Record::Renewed { incarnation, until });
        for id in 1..=2 {
            let (campaign, advertiser, lease) = (CampaignId(id), AdvertiserId(id + 10), LeaseId(u64::from(id)));
            apply(Record::Funded { campaign, advertiser, day, daily: Micros(1_000), total: Micros(5_000) });
            apply(Record::Granted { lease, campaign, incarnation, day, total: Micros(300) });
        }
        books
    }

    /// A sum that is off stops its advertiser, on record, and nobody else; the process goes on.
    #[test]
    fn a_mismatch_stops_its_advertiser() {
        let corruptions: [fn(&mut Books); 4] = [
            |books| books.leases.get_mut(&LeaseId(1)).unwrap().granted.0 += 1,
            |books| books.days.values_mut().next().unwrap().charged.0 -= 1,
            |books| books.lives.get_mut(&CampaignId(1)).unwrap().account.settled.0 += 1,
            |books| books.advertisers.get_mut(&AdvertiserId(11)).unwrap().0 -= 1,
        ];
        let now = Now { boot: Nanos(1), wall: UnixMillis(20_000 * UnixMillis::DAY + 1) };
        for corrupt in corruptions {
            let mut journal = Journal::new(0, UnixMillis(0));
            let mut authority = Authority::new(books());
            assert_eq!((authority.tick(now, &mut journal), journal.appended()), (6, 0));
            let mut books = books();
            corrupt(&mut books);
            let mut authority = Authority::new(books);
            for _ in 0..2 {
                authority.tick(now, &mut journal);
                let stopped: Vec<_> = authority.books().all_stopped().collect();
                assert_eq!(stopped, [(Scope::Advertiser(AdvertiserId(11)), Why::Mismatch)]);
                assert_eq!(journal.appended(), 1, "once");
            }
        }
    }
}
