//! The authority: who may spend how much. A state machine without clock or disk: it is given messages and times, answers, and
//! appends to a [`Journal`] what must be on disk before its answer leaves.
//!
//! ```text
//! per campaign and day, per campaign and life, per advertiser, at every step:
//!     settled + sum over leases (granted - settled under it - released under it)  <=  budget
//! ```
//!
//! It frees nothing by itself. What a node holds stays charged until the node says that nobody can claim it any more, knowing
//! of all that others booked on its leases; and what a process held that is over, until its ledger has been replayed and its
//! last bid is past H2. In the embedded store it lives beside the node, over the node's own ledger.

pub mod books;
pub mod message;
pub mod register;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::limits;
use crate::reconcile::guards::sums::Sums;
use crate::reconcile::record::{Record, UNLIMITED};
use crate::store::journal::Journal;
use crate::units::{
    AdvertiserId, CampaignId, CpmMicros, Day, Epoch, Incarnation, LeaseId, Micros, Nanos, NodeId, Now, UnixMillis,
};
use books::{Books, Scope, last_expired};
use message::{NotRegistered, Origin, Register, Registered, Why};
use report::{Need, Window};

/// How far ahead of the clock a new ledger's ids start, ms. One it replaces may have used ids ahead of the clock: a restart
/// starts them at most two leases ahead.
const FIRST_IDS_AHEAD_MS: u64 = 60_000;
/// Lease numbers are put on record this many at a time.
const SERIALS: u64 = 4096;
/// Lease numbers of one epoch.
const SERIALS_OF_EPOCH: u64 = 1 << 40;

/// What a campaign may spend, as its list says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// The campaign.
    pub campaign: CampaignId,
    /// Whose campaign it is.
    pub advertiser: AdvertiserId,
    /// What it may spend in a budget day.
    pub daily: Micros,
    /// What it may spend in all.
    pub total: Option<Micros>,
    /// Its highest bid.
    pub price: CpmMicros,
    /// Every silent bid holds its maximum price. Otherwise a bill may find that less was held, and is booked all the same.
    pub strict: bool,
    /// What silent bids at full price may come to beyond what is left of the day's budget, as a share of that budget in
    /// millionths.
    pub tolerance: Option<u32>,
}

impl Budget {
    /// What a process may hold of which a lost memory knows nothing: within a lease's length a lease grows by half of it at
    /// most. A bid that costs more is not made in a fleet.
    pub fn largest(&self) -> Micros {
        let least = self.price.per_impression().0.saturating_mul(32);
        Micros((self.daily.0 / 12).max(least))
    }
}

/// What a node that will not come back held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retired {
    /// Its leases that were not closed.
    pub leases: u64,
    /// What could still be billed under them: free again after the last bid's H2.
    pub charged: Micros,
}

/// Why a node was not retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRetired {
    /// No process of it was ever registered.
    Unknown,
    /// It was retired before.
    Already,
    /// It reported within the last lease's length.
    Alive,
}

impl fmt::Display for NotRetired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "the ledger knows no such node",
            Self::Already => "it was retired before",
            Self::Alive => "it is alive; stop it first",
        })
    }
}

/// When what is granted now has ended, by this clock and any other of ours.
fn lease_end(now: Now) -> UnixMillis {
    UnixMillis(now.wall.0 + limits::LEASE_NS / Nanos::MS + limits::EPSILON_MS)
}

/// What is put on record of a process that a register elsewhere has numbered.
pub fn met(incarnation: Incarnation, node: NodeId, origin: Origin, wall: UnixMillis) -> Record {
    let Origin { horizon, first_booking, next_booking } = origin;
    Record::Registered {
        incarnation,
        node,
        nonce: 0,
        first_worker: 0,
        workers: 0,
        ids_from: UnixMillis(0),
        horizon,
        first_booking,
        next_booking,
        wall,
    }
}

/// The state machine.
#[derive(Debug)]
pub struct Authority {
    books: Books,
    /// With whether they are listed: bills of those that are not any more still come.
    budgets: BTreeMap<CampaignId, (Budget, bool)>,
    /// Nothing is granted before, by this wall clock: a memory was lost.
    learning_until: Option<UnixMillis>,
    /// Processes that have not said since then what they hold.
    unheard: BTreeSet<Incarnation>,
    /// Leases that a process does not know any more since then.
    orphans: BTreeSet<LeaseId>,
    /// The last report of each process that was taken in.
    heard: BTreeMap<Incarnation, u64>,
    /// By campaign: what each process asked for of late.
    needs: BTreeMap<CampaignId, Vec<Need>>,
    /// What leases grew by of late, if its memory may be lost: that bounds what may be lost.
    windows: Option<BTreeMap<LeaseId, Window>>,
    next_serial: u64,
    sums: Sums,
}

impl Authority {
    /// Goes on from what its records say: all of them.
    pub fn new(books: Books) -> Self {
        let next_serial = books.serials();
        Self {
            books,
            budgets: BTreeMap::new(),
            learning_until: None,
            unheard: BTreeSet::new(),
            orphans: BTreeSet::new(),
            heard: BTreeMap::new(),
            needs: BTreeMap::new(),
            windows: Some(BTreeMap::new()),
            next_serial,
            sums: Sums::default(),
        }
    }

    /// The same, of one that loses nothing: a lease may grow by any amount at once.
    pub fn of_one_node(books: Books) -> Self {
        Self { windows: None, ..Self::new(books) }
    }

    /// Goes on from books that may lack what was said last, in a new epoch. The register of incarnations is whole. For a lease's
    /// length and epsilon nothing is granted; a process that has not reported counts as holding the largest permitted
    /// lease of every campaign.
    ///
    /// # Panics
    /// If the epoch is not larger than that of the books.
    pub fn after_loss(books: Books, epoch: Epoch, now: Now, journal: &mut Journal) -> Self {
        let mut authority = Self::new(books);
        authority.append(journal, now, Record::NewEpoch { epoch, wall: now.wall });
        let until = lease_end(now);
        authority.learning_until = Some(until);
        authority.unheard = authority.books.bidders().map(|(incarnation, _)| incarnation).collect();
        authority.next_serial = u64::from(epoch.0) * SERIALS_OF_EPOCH;
        // Bids of processes that are never heard of again may have been made under renewals that were lost.
        for incarnation in authority.unheard.clone() {
            authority.append(journal, now, Record::Renewed { incarnation, until });
        }
        authority
    }

    /// The accounts.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// The first of so many worker ids that no process can still be using; `None` if there are not as many. Other ones than the
    /// last process of the node had, if there are: its ids may have run ahead of the clock.
    pub fn free_workers(&self, now: Now, node: NodeId, workers: u16) -> Option<u16> {
        let past = |bidder: &books::Bidder| bidder.until.0 + 2 * limits::EPSILON_MS < now.wall.0;
        let gone = |bidder: &books::Bidder| past(bidder) && self.books.is_retired(bidder.node);
        self.gap(workers, |bidder| !gone(bidder))
            .or_else(|| self.gap(workers, |bidder| !gone(bidder) && bidder.node != node))
    }

    fn gap(&self, workers: u16, is_taken: impl Fn(&books::Bidder) -> bool) -> Option<u16> {
        let taken = self.books.bidders().map(|(_, bidder)| bidder).filter(|bidder| is_taken(bidder));
        register::gap(taken.map(|bidder| (bidder.first_worker, bidder.workers)), workers)
    }

    /// Numbers a process. Asked again with the same nonce, it says the same.
    ///
    /// # Errors
    /// [`NotRegistered`].
    pub fn register(&mut self, now: Now, journal: &mut Journal, ask: Register) -> Result<Registered, NotRegistered> {
        if self.books.is_retired(ask.node) {
            return Err(NotRegistered::Retired);
        }
        let later = |(incarnation, bidder): (Incarnation, &books::Bidder)| {
            bidder.node == ask.node
                && incarnation > ask.last
                && bidder.nonce != ask.nonce
                && bidder.until > UnixMillis(0)
        };
        if self.books.bidders().any(later) || ask.next_booking < self.books.booked(ask.node) {
            return Err(NotRegistered::Overtaken);
        }
        let same = |bidder: &books::Bidder| (bidder.node, bidder.nonce) == (ask.node, ask.nonce);
        let known = self.books.bidders().find(|(_, bidder)| same(bidder)).map(|(incarnation, _)| incarnation);
        let incarnation = match known {
            Some(known) => known,
            None => {
                let first_worker = self.free_workers(now, ask.node, ask.workers).ok_or(NotRegistered::NoWorkers)?;
                let incarnation = Incarnation(self.books.incarnation().0 + 1);
                // Earlier bids were made before `latest`, but for ids borrowed from the future: less than a lease's length.
                // What one process starts with is itself on record, so that restarts in quick succession do not start
                // at the same place.
                let ids_from = if incarnation == Incarnation(1) {
                    let ids_from = UnixMillis(now.wall.0 + FIRST_IDS_AHEAD_MS);
                    self.append(journal, now, Record::Began { ids_from });
                    ids_from
                } else {
                    UnixMillis(self.books.latest().0 + limits::LEASE_NS / Nanos::MS).max(now.wall)
                };
                self.append(
                    journal,
                    now,
                    Record::Registered {
                        incarnation,
                        node: ask.node,
                        nonce: ask.nonce,
                        first_worker,
                        workers: ask.workers,
                        ids_from,
                        horizon: ask.horizon,
                        first_booking: ask.first_booking,
                        next_booking: ask.next_booking,
                        wall: now.wall,
                    },
                );
                incarnation
            }
        };
        let bidder = self.books.bidder(incarnation).expect("a process that was just registered");
        Ok(Registered {
            nonce: ask.nonce,
            incarnation,
            first_worker: bidder.first_worker,
            ids_from: bidder.ids_from,
            epoch: self.books.epoch(),
            booked: self.books.booked(ask.node),
        })
    }

    /// The campaigns that may spend. One that is not listed keeps its accounts and gets nothing.
    pub fn fund(&mut self, now: Now, journal: &mut Journal, list: &[Budget]) {
        self.budgets.values_mut().for_each(|(_, listed)| *listed = false);
        self.budgets.extend(list.iter().map(|budget| (budget.campaign, (*budget, true))));
        // Days that are under way somewhere: zones are up to 14 hours ahead of, and 12 behind, ours.
        let since = Day(now.wall.day().0.saturating_sub(1));
        let under_way: Vec<_> = self.books.days().filter(|(_, day)| *day >= since).collect();
        for (campaign, day) in under_way {
            self.fund_day(now, journal, campaign, day);
        }
    }

    /// Makes a day's budget known to the books, if it is not as they have it. Returns it; nothing if the campaign is not listed.
    fn fund_day(&mut self, now: Now, journal: &mut Journal, campaign: CampaignId, day: Day) -> Option<Budget> {
        let budget = self.budgets.get(&campaign).filter(|(_, listed)| *listed)?.0;
        if !self.books.may_fund(campaign, day) {
            return None;
        }
        let Budget { advertiser, daily, .. } = budget;
        let total = budget.total.unwrap_or(UNLIMITED);
        let known = self.books.has_day(campaign, day)
            && self.books.day(campaign, day).budget == daily
            && self
                .books
                .life(campaign)
                .is_some_and(|life| (life.advertiser, life.account.budget) == (advertiser, total));
        if !known {
            self.append(journal, now, Record::Funded { campaign, advertiser, day, daily, total });
        }
        Some(budget)
    }

    /// Gives a node up: what only its own ledger holds will never be booked, and its leases end after the last bid's H2.
    ///
    /// # Errors
    /// [`NotRetired`].
    pub fn retire(&mut self, now: Now, journal: &mut Journal, node: NodeId) -> Result<Retired, NotRetired> {
        let of_node = |bidder: &books::Bidder| bidder.node == node;
        if !self.books.bidders().any(|(_, bidder)| of_node(bidder)) {
            return Err(NotRetired::Unknown);
        }
        if self.books.is_retired(node) {
            return Err(NotRetired::Already);
        }
        let alive = |(incarnation, bidder): (Incarnation, &books::Bidder)| {
            of_node(bidder) && !self.books.is_over(incarnation) && now.wall <= bidder.until
        };
        if self.books.bidders().any(alive) {
            return Err(NotRetired::Alive);
        }
        let held = self.books.leases().map(|(_, lease)| lease);
        let held = held.filter(|lease| self.books.bidder(lease.incarnation).is_some_and(|bidder| bidder.node == node));
        let retired = held.fold(Retired { leases: 0, charged: Micros::ZERO }, |sum, lease| Retired {
            leases: sum.leases + 1,
            charged: sum.charged.plus(lease.charge()),
        });
        self.append(journal, now, Record::Retired { node, wall: now.wall });
        Ok(retired)
    }

    /// Stops a campaign, or all of an advertiser, until somebody resumes it.
    pub fn stop(&mut self, now: Now, journal: &mut Journal, what: Scope, why: Why) {
        let (scope, id) = what.numbers();
        if !self.books.all_stopped().any(|(stopped, _)| stopped == what) {
            self.append(journal, now, Record::Stopped { scope, id, why: why as u8, wall: now.wall });
        }
    }

    /// Lets it bid again; returns whether it was stopped.
    pub fn resume(&mut self, now: Now, journal: &mut Journal, what: Scope) -> bool {
        let stopped = self.books.all_stopped().any(|(stopped, _)| stopped == what);
        if stopped {
            let (scope, id) = what.numbers();
            self.append(journal, now, Record::Resumed { scope, id, wall: now.wall });
        }
        stopped
    }

    /// Every [`limits::TICK_NS`]: ends the leases of processes that are over, forgets what nobody can book any more, and adds
    /// all accounts up again: an advertiser whose do not is stopped. Returns how many sums were compared.
    ///
    /// # Panics
    /// If money is charged to nobody.
    pub fn tick(&mut self, now: Now, journal: &mut Journal) -> u64 {
        self.books.forget(last_expired(now.wall));
        if self.learning_until.is_some_and(|until| now.wall > until) {
            self.learning_until = None;
        }
        let books = &self.books;
        self.heard.retain(|incarnation, _| books.bidder(*incarnation).is_some());
        self.end_leases(now, journal);
        self.close_orphans(now, journal);
        let horizon = limits::LEASE_NS;
        self.needs.retain(|_, needs| {
            needs.retain(|need| now.boot.since(need.at) <= horizon);
            !needs.is_empty()
        });
        if let Some(windows) = &mut self.windows {
            windows.retain(|_, window| now.boot.since(window.since) <= horizon);
        }
        let checked = self.sums.check(&self.books);
        assert!(checked.strays.is_empty(), "the ledger charges campaigns it does not know: {:?}", checked.strays);
        for advertiser in checked.wrong {
            self.stop(now, journal, Scope::Advertiser(advertiser), Why::Mismatch);
        }
        checked.sums
    }

    /// A process that is over makes no more bids after its last grant ran out; when those are past H2, by any of our clocks,
    /// and its ledger is replayed, nothing can be claimed under its leases.
    fn end_leases(&mut self, now: Now, journal: &mut Journal) {
        let past = |incarnation: Incarnation| {
            let last_bill = self.books.bidder(incarnation).map_or(0, |bidder| bidder.until.0 + bidder.horizon);
            now.wall.0 > last_bill + 2 * limits::EPSILON_MS + 60_000
        };
        self.unheard.retain(|incarnation| !(self.books.is_over(*incarnation) && past(*incarnation)));
        let over: BTreeSet<_> = self
            .books
            .bidders()
            .map(|(incarnation, _)| incarnation)
            .filter(|it| self.books.is_over(*it) && self.books.is_replayed(*it) && past(*it))
            .collect();
        let ended = self.books.leases().filter(|(_, lease)| over.contains(&lease.incarnation));
        for lease in ended.map(|(lease, _)| lease).collect::<Vec<_>>() {
            self.close(now, journal, lease);
        }
    }

    /// A process that has not told yet what it booked may have booked anything under leases that are still open here: nothing is
    /// freed meanwhile.
    fn is_deaf(&self) -> bool {
        self.unheard.iter().any(|incarnation| !self.books.is_replayed(*incarnation))
    }

    /// Leases that were closed, which was lost.
    fn close_orphans(&mut self, now: Now, journal: &mut Journal) {
        if self.is_deaf() {
            return;
        }
        for lease in std::mem::take(&mut self.orphans) {
            self.close(now, journal, lease);
        }
    }

    /// Nothing can be claimed under a lease any more.
    fn close(&mut self, now: Now, journal: &mut Journal, lease: LeaseId) {
        let Some(account) = self.books.lease(lease).copied() else { return };
        if account.charge() > Micros::ZERO {
            let total = account.granted.minus(account.settled);
            self.append(journal, now, Record::Released { lease, total });
        }
        self.append(journal, now, Record::Closed { lease });
    }

    /// Books a record and queues it for the disk.
    fn append(&mut self, journal: &mut Journal, now: Now, record: Record) {
        if let Err(inconsistent) = self.books.apply(&record) {
            panic!("the ledger refuses {inconsistent}");
        }
        journal.append(now, &record);
    }

    fn new_lease(&mut self, now: Now, journal: &mut Journal) -> LeaseId {
        if self.next_serial + 1 >= self.books.serials() {
            self.append(journal, now, Record::Serials { upto: self.next_serial + SERIALS });
        }
        self.next_serial += 1;
        LeaseId(self.next_serial)
    }
}
