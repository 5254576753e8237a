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
use std::ops::RangeInclusive;

use super::record::{Marks, Record};
use crate::limits;
use crate::units::{AdvertiserId, CampaignId, Day, Incarnation, LeaseId, Micros, NodeId, ReservationId, UnixMillis};

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

/// An incarnation that started, and may still be owed bills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bidding {
    /// When its last lease ended at the latest.
    until: UnixMillis,
    /// Its leases that are not closed.
    leases: u32,
    /// For how long after a bid it may be billed, ms, if longer than [`limits::H2_MS`].
    horizon: u64,
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

/// Minutes after its H2 during which a reservation that was billed, or billed too late, is remembered: as long again, so
/// that an exchange that calls again is answered as before.
pub const REMEMBERED_MINUTES: u64 = limits::H2_MS / 60_000;

/// Marks of reservations, by the minute in which they expire.
type Known = BTreeMap<u64, HashMap<(LeaseId, ReservationId), Marks>>;

/// All accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    lives: BTreeMap<CampaignId, Life>,
    days: BTreeMap<(CampaignId, Day), Account>,
    leases: BTreeMap<LeaseId, Lease>,
    advertisers: BTreeMap<AdvertiserId, Micros>,
    incarnations: BTreeMap<Incarnation, Bidding>,
    open: BTreeMap<(CampaignId, Day), u32>,
    known: Known,
    node: NodeId,
    began: UnixMillis,
    latest: UnixMillis,
}

/// The minute a time falls in: reservations are kept by the minute of their expiry.
pub fn minute(time: UnixMillis) -> u64 {
    time.0 / 60_000
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

    /// What a campaign may hold for a day in `free` credit and new grants together, when `free` of what is charged is
    /// nobody's: less than `free` after a budget was cut.
    pub fn grantable(&self, campaign: CampaignId, day: Day, free: Micros) -> Micros {
        let Some(life) = self.lives.get(&campaign) else { return Micros::ZERO };
        let left = |account: Account| Micros(account.budget.0.saturating_sub(account.committed().minus(free).0));
        left(self.day(campaign, day)).min(left(life.account)).max(Micros::ZERO)
    }

    /// A lease that is not closed.
    pub fn lease(&self, lease: LeaseId) -> Option<&Lease> {
        self.leases.get(&lease)
    }

    /// All leases that are not closed.
    pub fn leases(&self) -> impl Iterator<Item = (LeaseId, &Lease)> {
        self.leases.iter().map(|(lease, account)| (*lease, account))
    }

    /// What was heard of a reservation.
    pub fn marks(&self, lease: LeaseId, reservation: ReservationId, expires: UnixMillis) -> Marks {
        let known = self.known.get(&minute(expires));
        known.and_then(|known| known.get(&(lease, reservation))).copied().unwrap_or_default()
    }

    /// The last incarnation that started; 0 before the first.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnations.last_key_value().map_or(Incarnation(0), |(incarnation, _)| *incarnation)
    }

    /// Until when bids may have been made by an incarnation.
    pub fn bids_until(&self, incarnation: Incarnation) -> UnixMillis {
        self.incarnations.get(&incarnation).map_or(UnixMillis(0), |bidding| bidding.until)
    }

    /// For how long after a bid of an incarnation it may be billed at most, ms.
    pub fn horizon(&self, incarnation: Incarnation) -> u64 {
        self.incarnations.get(&incarnation).map_or(0, |bidding| bidding.horizon).max(limits::H2_MS)
    }

    /// Where this ledger's reservation ids begin; 0 if it does not say.
    pub fn began(&self) -> UnixMillis {
        self.began
    }

    /// The latest time any record speaks of, first ids included.
    pub fn latest(&self) -> UnixMillis {
        self.latest
    }

    /// Forgets what was heard of reservations that expired in these minutes, but for those that were billed or heard of
    /// too late; what expired [`REMEMBERED_MINUTES`] before the last of them is forgotten altogether.
    pub fn forget(&mut self, expired: RangeInclusive<u64>) {
        self.known = self.known.split_off(&(expired.end() + 1).saturating_sub(REMEMBERED_MINUTES));
        for known in self.known.range_mut(expired).map(|(_, known)| known) {
            known.retain(|_, marks| marks.any(Marks::BILLED.and(Marks::LATE)));
            known.shrink_to_fit();
        }
        self.known.retain(|_, known| !known.is_empty());
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
                if self.incarnations.contains_key(&incarnation) {
                    return Err("an incarnation started twice");
                }
                self.incarnations.retain(|_, bidding| bidding.leases > 0);
                self.incarnations.insert(incarnation, Bidding::default());
                self.node = node;
                self.latest = self.latest.max(wall).max(ids_from);
            }
            Record::Renewed { incarnation, until } => {
                let bidding = self.incarnations.entry(incarnation).or_default();
                bidding.until = until.max(bidding.until);
                self.latest = self.latest.max(until);
            }
            Record::Horizon { incarnation, longest } => {
                let bidding = self.incarnations.entry(incarnation).or_default();
                bidding.horizon = longest.max(bidding.horizon);
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
                let [granted, settled, released] = [Micros::ZERO; 3];
                let new = Lease { campaign, incarnation, day, granted, settled, released };
                if let Entry::Vacant(vacant) = self.leases.entry(lease) {
                    vacant.insert(new);
                    self.count_lease(campaign, day, incarnation);
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
                self.move_accounts(campaign, day, Micros::ZERO, more)?;
            }
            Record::Billed { reservation, lease, campaign, amount, expires, wall, marks, .. } => {
                if self.marks(lease, reservation, expires).any(Marks::BILLED) {
                    return Err("a reservation billed twice");
                }
                self.mark(lease, reservation, expires, marks);
                self.latest = self.latest.max(wall);
                if marks.any(Marks::EXCESS) {
                    let life = self.lives.get_mut(&campaign).ok_or("a bill of an unknown campaign")?;
                    life.excess = life.excess.plus(amount);
                } else {
                    let account = self.leases.get_mut(&lease).ok_or("a bill under an unknown lease")?;
                    account.settled = account.settled.plus(amount);
                    let (campaign, day) = (account.campaign, account.day);
                    if amount < Micros::ZERO || account.charge() < Micros::ZERO {
                        return Err("a bill that its lease does not cover");
                    }
                    self.move_accounts(campaign, day, amount, Micros(-amount.0))?;
                }
            }
            Record::Heard { reservation, lease, expires, wall, marks, .. } => {
                self.latest = self.latest.max(wall);
                self.mark(lease, reservation, expires, marks);
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
                if let Some(bidding) = self.incarnations.get_mut(&account.incarnation) {
                    bidding.leases -= 1;
                }
                let key = (account.campaign, account.day);
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
                self.count_lease(campaign, day, incarnation);
                for account in self.accounts(campaign, day)? {
                    account.charged = account.charged.plus(charge);
                    if !account.holds() {
                        return Err("more is committed than the budget allows");
                    }
                }
                let advertiser = self.lives[&campaign].advertiser;
                self.move_advertiser(advertiser, charge);
            }
            Record::Known { reservation, lease, expires, marks } => self.mark(lease, reservation, expires, marks),
            Record::Began { ids_from } => {
                if self.began > UnixMillis(0) {
                    return Err("a ledger began twice");
                }
                self.began = ids_from;
            }
        }
        Ok(())
    }

    fn mark(&mut self, lease: LeaseId, reservation: ReservationId, expires: UnixMillis, marks: Marks) {
        let known = self.known.entry(minute(expires)).or_default().entry((lease, reservation)).or_default();
        *known = known.and(marks);
    }

    fn count_lease(&mut self, campaign: CampaignId, day: Day, incarnation: Incarnation) {
        *self.open.entry((campaign, day)).or_default() += 1;
        self.incarnations.entry(incarnation).or_default().leases += 1;
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
        let (node, last) = (self.node, self.latest);
        let current = self.incarnations.last_key_value();
        let started = current.map(|(incarnation, _)| Record::Started {
            incarnation: *incarnation,
            node,
            wall: last,
            ids_from: last,
        });
        let incarnations = self
            .incarnations
            .iter()
            .map(|(incarnation, bidding)| Record::Renewed { incarnation: *incarnation, until: bidding.until });
        let longer = self.incarnations.iter().filter(|(_, bidding)| bidding.horizon > 0);
        let horizons = longer
            .map(|(incarnation, bidding)| Record::Horizon { incarnation: *incarnation, longest: bidding.horizon });
        let began = (self.began > UnixMillis(0)).then_some(Record::Began { ids_from: self.began });
        let incarnations = began.into_iter().chain(started).chain(incarnations).chain(horizons);
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
        let known = self.known.iter().flat_map(|(minute, known)| {
            known.iter().map(move |((lease, reservation), marks)| Record::Known {
                reservation: *reservation,
                lease: *lease,
                expires: UnixMillis(minute * 60_000),
                marks: *marks,
            })
        });
        incarnations.chain(lives).chain(days).chain(leases).chain(known)
    }
}
