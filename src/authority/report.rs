//! What the authority makes of a report: it books, then releases, then grants, in this order.

use std::collections::{BTreeMap, BTreeSet};

use super::books::{Bidder, Lease, Scope, minute};
use super::message::{Answer, Ask, Booked, Booking, LeaseAnswer, LeaseReport, Part, Report, Standing};
use super::{Authority, Budget, lease_end, met};
use crate::limits;
use crate::reconcile::record::{Marks, NO_NUMBER, Record};
use crate::store::journal::Journal;
use crate::units::{Incarnation, LeaseId, Micros, Nanos, Now};

/// Foreign bookings in one answer: a node takes one with fewer for complete.
const FOREIGN: usize = limits::REPORTED_BOOKINGS;

/// What a process asked of a campaign, the last time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    incarnation: Incarnation,
    /// When.
    pub(super) at: Nanos,
    demand: Micros,
    expected: Micros,
    exposed: Micros,
}

/// What a lease grew by of late.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Since when.
    pub(super) since: Nanos,
    granted: Micros,
}

impl Authority {
    /// Takes a report in. The answer must not leave before everything in the journal so far is on disk.
    pub fn report(&mut self, now: Now, journal: &mut Journal, report: &Report) -> Answer {
        self.meet(now, journal, report);
        let standing = self.standing(now, report);
        let mut answer = Answer {
            part: report.part,
            incarnation: report.incarnation,
            number: report.number,
            sent: report.sent,
            renews: false,
            epoch: self.books.epoch(),
            standing,
            booked: self.books.booked(report.node),
            asked: Vec::new(),
            foreign: Vec::new(),
            leases: Vec::new(),
            stops: Vec::new(),
        };
        if matches!(standing, Standing::Unknown | Standing::Replaced) {
            return answer;
        }
        let current = report.epoch == self.books.epoch();
        if current && report.full && self.unheard.contains(&report.incarnation) {
            self.adopt(now, journal, report);
        }
        if !self.unheard.contains(&report.incarnation) {
            self.book_all(now, journal, report);
        }
        for ask in &report.asks {
            let booked = self.ask(now, journal, report, ask);
            answer.asked.push((ask.ticket, booked));
        }
        answer.booked = self.books.booked(report.node);
        let heard = self.heard.entry(report.incarnation).or_default();
        let overtaken = report.number <= std::mem::replace(heard, report.number.max(*heard));
        if overtaken || !current {
            // What it says of leases is older than what is known, or knows nothing of what was lost.
            return answer;
        }
        let bidder = self.books.bidder(report.incarnation).expect("a process in good standing");
        answer.foreign.extend(bidder.foreign_after(report.foreign_seen).take(FOREIGN));
        // Nothing is closed under what was booked and has not been told here, or there.
        let knows_all =
            report.foreign_seen == bidder.last_foreign() && report.next_booking <= self.books.booked(report.node);
        for said in &report.leases {
            let grants = standing == Standing::Current && !report.last;
            let lease = self.lease(now, journal, report, said, knows_all, grants);
            answer.leases.push(lease);
        }
        if standing == Standing::Current && report.renews {
            answer.renews = true;
            let until = lease_end(now);
            self.append(journal, now, Record::Renewed { incarnation: report.incarnation, until });
        }
        answer.stops.extend(self.books.all_stopped());
        if report.last && knows_all {
            self.append(journal, now, Record::Ended { incarnation: report.incarnation });
        }
        answer
    }

    fn standing(&self, now: Now, report: &Report) -> Standing {
        match self.books.bidder(report.incarnation) {
            Some(bidder) if bidder.node == report.node => match self.learning_until {
                _ if self.books.is_over(report.incarnation) => Standing::Replaced,
                Some(until) if now.wall <= until => Standing::Learning(until),
                _ if report.epoch != self.books.epoch() => Standing::Learning(now.wall),
                // It has reported in this epoch, but not yet all that it holds.
                _ if self.unheard.contains(&report.incarnation) && !report.full => Standing::Learning(now.wall),
                _ => Standing::Current,
            },
            _ => Standing::Unknown,
        }
    }

    /// An authority of one part learns of a process from its first report.
    fn meet(&mut self, now: Now, journal: &mut Journal, report: &Report) {
        if report.part == Part::All || self.books.bidder(report.incarnation).is_some() {
            return;
        }
        let later = |(incarnation, bidder): (Incarnation, &Bidder)| {
            bidder.node == report.node && incarnation > report.incarnation
        };
        if self.books.is_retired(report.node) || self.books.bidders().any(later) {
            return;
        }
        let record = met(report.incarnation, report.node, report.origin, now.wall);
        self.append(journal, now, record);
    }

    /// What a node booked and has to be settled here, in order. If some of it is missing between what was booked before and what
    /// the report tells, nothing is: the answer says where to begin.
    fn book_all(&mut self, now: Now, journal: &mut Journal, report: &Report) {
        let ordered = report.bookings.is_sorted_by(|one, next| one.number < next.number)
            && report.bookings.iter().all(|booking| (report.from..report.upto).contains(&booking.number));
        if !ordered || report.from > self.books.booked(report.node) {
            return;
        }
        let all = report.bookings.iter().all(|booking| self.book(now, journal, report, booking));
        // The bookings in between are other parts'.
        let upto = report.upto;
        if all && upto > self.books.booked(report.node) {
            self.append(journal, now, Record::Booker { node: report.node, booked: upto });
        }
    }

    /// A booking from a node's own ledger: it may have been acknowledged, so it is booked whatever the clock says. Returns whether
    /// those after it may be.
    fn book(&mut self, now: Now, journal: &mut Journal, report: &Report, booking: &Booking) -> bool {
        let (node, number) = (report.node, booking.number);
        if number < self.books.booked(node) {
            return true;
        }
        let known = self.books.lease(booking.lease).is_some();
        // Its process may not have told yet that it holds the lease.
        if !known && self.is_deaf() {
            return false;
        }
        let campaign_known = self.books.life(booking.campaign).is_some();
        if !campaign_known {
            log::error!(
                "node {}: a bill of {} for campaign {}, which has no account",
                node.0,
                booking.amount.0,
                booking.campaign.0
            );
        }
        // What was booked when it was asked for has not been lost since; and a lease is closed only when all that was booked
        // under it is settled.
        let settled = booking.asked.is_some_and(|epoch| epoch == self.books.epoch() || !known);
        if settled
            || self.books.booked_for(booking.lease, booking.reservation, booking.expires).is_some()
            || !campaign_known
        {
            self.append(journal, now, Record::Skipped { node, number });
            return true;
        }
        let lease = self.books.lease(booking.lease).filter(|lease| lease.campaign == booking.campaign).copied();
        let mut marks = self.cover(lease, booking);
        let elsewhere =
            lease.filter(|lease| lease.incarnation != report.incarnation && !self.books.is_over(lease.incarnation));
        if elsewhere.is_some() && !marks.any(Marks::EXCESS) {
            marks = marks.and(Marks::FOREIGN);
        }
        self.append(journal, now, booked(report, booking, number, marks));
        true
    }

    /// A notice that only the authority can make safe, as another process made the bid.
    fn ask(&mut self, now: Now, journal: &mut Journal, report: &Report, asked: &Ask) -> Booked {
        let ask = &asked.booking;
        if let Some(amount) = self.books.booked_for(ask.lease, ask.reservation, ask.expires) {
            return Booked::Before(amount);
        }
        if now.wall > ask.expires || minute(ask.expires) <= self.books.forgotten() {
            return Booked::Expired;
        }
        let lease = self.books.lease(ask.lease).copied();
        let fits = |lease: &Lease| (lease.campaign, lease.incarnation) == (ask.campaign, asked.incarnation);
        let of_its_node = self.books.bidder(asked.incarnation).is_some_and(|bidder| bidder.node == asked.node);
        if !of_its_node || !lease.as_ref().is_some_and(fits) || ask.reservation.made() < self.books.began() {
            return Booked::Unknown;
        }
        let mut marks = self.cover(lease, ask);
        if !marks.any(Marks::EXCESS) {
            marks = marks.and(Marks::FOREIGN);
        }
        self.append(journal, now, booked(report, ask, NO_NUMBER, marks));
        Booked::Safe
    }

    /// Who pays a bill: its lease; where silent bids hold less than their price, the budget; or nobody but us.
    fn cover(&self, lease: Option<Lease>, booking: &Booking) -> Marks {
        let Some(lease) = lease.filter(|_| !booking.freed) else { return Marks::BILLED.and(Marks::EXCESS) };
        let strict = self.budgets.get(&booking.campaign).is_some_and(|(budget, _)| budget.strict);
        match lease.charge() >= booking.amount {
            true => Marks::BILLED,
            false if strict => Marks::BILLED.and(Marks::EXCESS),
            false => Marks::BILLED.and(Marks::OVERDRAWN),
        }
    }

    /// After a memory was lost: what a process holds is as it says.
    fn adopt(&mut self, now: Now, journal: &mut Journal, report: &Report) {
        let incarnation = report.incarnation;
        let named: BTreeSet<_> = report.leases.iter().filter_map(|said| said.lease).collect();
        let own = self.books.leases().filter(|(_, lease)| lease.incarnation == incarnation).map(|(lease, _)| lease);
        let orphans: Vec<_> = own.filter(|lease| !named.contains(lease)).collect();
        self.orphans.extend(orphans);
        for said in &report.leases {
            let &LeaseReport { campaign, day, granted: total, .. } = said;
            let Some(lease) = said.lease else { continue };
            if said.done && self.books.lease(lease).is_none() {
                // It was closed, and the answer that said so was lost.
                continue;
            }
            let known = self.books.lease(lease).map_or(Micros::ZERO, |lease| lease.granted);
            if total > known
                && (self.fund_day(now, journal, campaign, day).is_some() || self.books.has_day(campaign, day))
            {
                self.append(journal, now, Record::Adopted { lease, campaign, incarnation, day, total });
            }
        }
        self.unheard.remove(&incarnation);
    }

    /// One lease of a report.
    fn lease(
        &mut self,
        now: Now,
        journal: &mut Journal,
        report: &Report,
        said: &LeaseReport,
        knows_all: bool,
        grants: bool,
    ) -> LeaseAnswer {
        let &LeaseReport { campaign, day, .. } = said;
        let budget = self.fund_day(now, journal, campaign, day);
        // Not the one it names: it may not have heard of it yet.
        let mut lease = self.books.lease_of(report.incarnation, campaign, day);
        if let Some(id) = lease.filter(|id| said.lease == Some(*id) && !self.is_deaf()) {
            self.release(now, journal, report, id, said, knows_all);
            lease = Some(id).filter(|id| self.books.lease(*id).is_some());
        }
        let advertiser = self.books.life(campaign).map(|life| life.advertiser).unwrap_or_default();
        if let Some(why) = said.stop {
            self.stop(now, journal, Scope::Campaign(campaign), why);
        }
        let stopped = self.books.stopped(campaign, advertiser);
        let fleet = self.need(now, report.incarnation, said);
        let today = now.wall.day().0;
        let plausible = (today.saturating_sub(1)..=today + 1).contains(&day.0);
        if let Some(budget) = budget.filter(|_| grants && plausible && stopped.is_none()) {
            lease = self.grant(now, journal, report.incarnation, said, lease, &budget, &fleet);
        }
        let account = self.books.day(campaign, day);
        let left = |account: super::books::Account| account.budget.0.saturating_sub(account.committed().0);
        let life = self.books.life(campaign).map_or(0, |life| left(life.account));
        let left_of_life = self.books.life(campaign).map_or(Micros::ZERO, |life| {
            Micros(life.account.budget.0.saturating_sub(life.account.settled.0).clamp(0, account.budget.0))
        });
        let exposure = budget.and_then(|budget| budget.tolerance).map(|tolerance| {
            let beyond = (i128::from(account.budget.0) * i128::from(tolerance) / 1_000_000) as i64;
            let room = account.budget.0.saturating_sub(account.settled.0).saturating_add(beyond);
            let room = room.saturating_sub(fleet.exposed.0);
            let mine = (i128::from(room) * i128::from(fleet.share) / 1_000_000) as i64;
            Micros(said.exposed.0.saturating_add(mine).max(0))
        });
        LeaseAnswer {
            campaign,
            advertiser,
            day,
            lease,
            granted: lease.and_then(|lease| self.books.lease(lease)).map_or(Micros::ZERO, |lease| lease.granted),
            available: Micros(left(account).min(life).saturating_sub(self.kept_back(budget.as_ref()).0)),
            // No more of it than what is left of the campaign's life.
            budget: account.budget.min(account.settled.plus(left_of_life)),
            settled: account.settled,
            expected: fleet.expected,
            share: fleet.share,
            exposure,
        }
    }

    /// What the node gives back, and the end of a lease under which nothing can be claimed any more. What others booked under it
    /// and the node has not heard of, it may have freed: so much is not released.
    fn release(
        &mut self,
        now: Now,
        journal: &mut Journal,
        report: &Report,
        lease: LeaseId,
        said: &LeaseReport,
        knows_all: bool,
    ) {
        let account = *self.books.lease(lease).expect("a lease that was just found");
        let unseen = self.books.unseen(lease, report.incarnation, report.foreign_seen);
        // Less than what is said only if bills came for reservations that were never made.
        let total = said.released.minus(unseen).min(account.granted.minus(account.settled));
        if total > account.released {
            self.append(journal, now, Record::Released { lease, total });
        }
        if said.done && knows_all {
            self.close(now, journal, lease);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one step of a report, with what the steps before it found")]
    fn grant(
        &mut self,
        now: Now,
        journal: &mut Journal,
        incarnation: Incarnation,
        said: &LeaseReport,
        lease: Option<LeaseId>,
        budget: &Budget,
        fleet: &Fleet,
    ) -> Option<LeaseId> {
        let &LeaseReport { campaign, day, wanted, least, .. } = said;
        if wanted <= Micros::ZERO || said.done {
            return lease;
        }
        let largest = budget.largest();
        let available = Micros(self.books.available(campaign, day).0.saturating_sub(self.kept_back(Some(budget)).0));
        // Several nodes: each takes a part of what is left, so that the last of a budget is spread thin and still spent.
        let part = if fleet.nodes > 1 { Micros(available.0 / (2 * fleet.nodes)).max(least) } else { available };
        let window = |windows: &BTreeMap<LeaseId, Window>| {
            let window = lease.and_then(|lease| windows.get(&lease)).copied();
            let window = window.filter(|window| now.boot.since(window.since) < limits::LEASE_NS);
            window.unwrap_or(Window { since: now.boot, granted: Micros::ZERO })
        };
        let window = self.windows.as_ref().map(window);
        let room = window.map_or(wanted, |window| Micros(largest.0 / 2).minus(window.granted));
        let granted = lease.and_then(|lease| self.books.lease(lease)).map_or(Micros::ZERO, |lease| lease.granted);
        // What it was granted and has not heard of is on its way.
        let wanted = wanted.minus(granted.minus(said.granted).max(Micros::ZERO));
        let more = wanted.min(available).min(part).min(room);
        if more <= Micros::ZERO || more < least {
            return lease;
        }
        let lease = lease.or(said.fresh).unwrap_or_else(|| self.new_lease(now, journal));
        let total = granted.plus(more);
        self.append(journal, now, Record::Granted { lease, campaign, incarnation, day, total });
        if let (Some(windows), Some(window)) = (&mut self.windows, window) {
            windows.insert(lease, Window { granted: window.granted.plus(more), ..window });
        }
        Some(lease)
    }

    /// What processes may hold that have not said so since a memory was lost.
    fn kept_back(&self, budget: Option<&Budget>) -> Micros {
        let largest = budget.map_or(Micros::ZERO, Budget::largest);
        Micros(largest.0.saturating_mul(self.unheard.len() as i64))
    }

    /// Notes what a process asks of a campaign, and adds up what all do.
    fn need(&mut self, now: Now, incarnation: Incarnation, said: &LeaseReport) -> Fleet {
        let &LeaseReport { demand, expected, exposed, .. } = said;
        let needs = self.needs.entry(said.campaign).or_default();
        needs.retain(|need| need.incarnation != incarnation && now.boot.since(need.at) <= limits::LEASE_NS);
        needs.push(Need { incarnation, at: now.boot, demand, expected, exposed });
        let sum = |of: fn(&Need) -> Micros| needs.iter().fold(0i64, |sum, need| sum.saturating_add(of(need).0));
        let (nodes, all) = (needs.len() as i64, sum(|need| need.demand));
        // A node that has shown no demand yet gets a little, so that it can show some.
        let share = match all {
            0 => 1_000_000 / nodes,
            _ if demand == Micros::ZERO => 125_000 / nodes,
            all => (i128::from(demand.0) * 1_000_000 / i128::from(all)) as i64,
        };
        Fleet {
            nodes,
            share: share as u32,
            expected: Micros(sum(|need| need.expected)),
            exposed: Micros(sum(|need| need.exposed)),
        }
    }
}

/// What the fleet asks of a campaign.
struct Fleet {
    nodes: i64,
    /// The asking node's, in millionths.
    share: u32,
    expected: Micros,
    exposed: Micros,
}

fn booked(report: &Report, booking: &Booking, number: u64, marks: Marks) -> Record {
    let &Booking { reservation, lease, campaign, exchange, reserved, amount, expires, .. } = booking;
    let node = report.node;
    Record::Booked { reservation, lease, campaign, exchange, reserved, amount, expires, node, number, marks }
}
