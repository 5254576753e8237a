//! The node's side of its conversation with the authority: reports out, answers in.
//!
//! A report is made each tick, and in between when a core is short or a notice of another process's reservation waits. It
//! tells only of bookings that are on this node's disk: what the authority was told must not be forgotten here. What an answer
//! grants lives a lease's length from when its report was sent.

use std::collections::BTreeMap;

use super::grants::Own;
use super::history::History;
use super::holds::{Known, Reservation};
use super::record::Marks;
use super::silence::Ending;
use super::{Funding, Mode, Reconciler};
use crate::authority::books::{Scope, minute};
use crate::authority::message::{
    Answer, Ask, Booked, Booking, Foreign, LeaseAnswer, LeaseReport, Registered, Report, Standing, Why,
};
use crate::limits;
use crate::ring::message::{Notice, Noticed, Order};
use crate::units::{CoreId, Day, Epoch, Micros, Nanos, Now, Slot};

/// A report between ticks waits for the answer to the one before it, but not for longer than this.
const AGAIN_NS: u64 = 500 * Nanos::MS;

/// A notice that waits for the authority.
#[derive(Debug)]
struct Waiting {
    core: CoreId,
    notice: Notice,
    booking: Booking,
    since: Nanos,
    /// It was in a report.
    asked: bool,
}

/// How the conversation stands.
#[derive(Debug)]
pub(super) struct Link {
    epoch: Epoch,
    /// Number of the last report.
    number: u64,
    /// The last report that was sent and is not answered.
    unanswered: Option<(u64, Nanos)>,
    /// When the last report was sent that was answered in full.
    answered: Option<Nanos>,
    /// The last foreign booking that was heard of, in this epoch.
    foreign_seen: u64,
    /// The first booking the authority does not have.
    booked: u64,
    /// Bookings before this number are on disk here; and where in the journal those after it stand.
    reportable: u64,
    unsynced: BTreeMap<u64, u64>,
    /// What was released presumes the bookings before this number.
    presumed: u64,
    /// A report is due once this much of the journal is on disk.
    due: Option<u64>,
    /// The next report shall name all leases.
    full: bool,
    /// Campaigns that want more before the next tick.
    short: Vec<Slot>,
    asks: BTreeMap<u64, Waiting>,
    tickets: u64,
    /// A newer process has taken this one's place.
    pub(super) replaced: bool,
    renewed: Nanos,
    ending: bool,
    over: bool,
    /// The authority lacks bookings that are not kept any more.
    gap: bool,
}

impl Link {
    pub(super) fn new(registered: &Registered, history: &History) -> Self {
        Self {
            epoch: registered.epoch,
            number: 0,
            unanswered: None,
            answered: None,
            foreign_seen: 0,
            booked: registered.booked,
            reportable: history.next_booking(),
            unsynced: BTreeMap::new(),
            presumed: history.next_booking(),
            due: None,
            full: false,
            short: Vec::new(),
            asks: BTreeMap::new(),
            tickets: 0,
            replaced: false,
            renewed: Nanos(0),
            ending: false,
            over: false,
            gap: false,
        }
    }

    /// A report is due, and its releases presume all bookings so far.
    pub(super) fn tick(&mut self, appended: u64, next_booking: u64) {
        self.due = Some(appended);
        self.presumed = next_booking;
    }

    /// A booking was appended to the journal as its record `position`.
    pub(super) fn appended(&mut self, number: u64, position: u64) {
        self.unsynced.insert(number, position);
    }

    /// So much of the journal is on disk.
    pub(super) fn durable(&mut self, synced: u64) {
        while let Some(first) = self.unsynced.first_entry().filter(|first| *first.get() <= synced) {
            self.reportable = first.remove_entry().0 + 1;
        }
    }

    /// The next report is the last.
    pub(super) fn end(&mut self, appended: u64, next_booking: u64) {
        self.tick(appended, next_booking);
        (self.ending, self.full) = (true, true);
    }

    /// Number of the next report.
    pub(super) fn next_number(&self) -> u64 {
        self.number + 1
    }

    /// The authority knows that this process has ended.
    pub(super) fn is_over(&self) -> bool {
        self.over || self.replaced
    }

    /// The first booking the authority does not have.
    pub(super) fn booked(&self) -> u64 {
        self.booked
    }

    /// The authority's epoch.
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// A campaign wants more credit.
    pub(super) fn want(&mut self, slot: Slot) {
        self.short.push(slot);
    }

    /// Something is to be told, or heard, before the next tick.
    pub(super) fn hurry(&mut self, appended: u64) {
        self.due.get_or_insert(appended);
    }
}

impl Reconciler {
    /// How long nothing of what this node says has been answered, ns.
    pub fn unreported(&self, now: Nanos) -> u64 {
        self.link.answered.map_or(0, |answered| now.since(answered))
    }

    /// Has a report made before the next tick.
    pub fn hurry(&mut self) {
        self.link.hurry(self.journal.appended());
    }

    /// What is to be sent to the authority now, if anything.
    pub fn report(&mut self, now: Now) -> Option<Report> {
        let link = &mut self.link;
        if link.replaced || link.over || self.disk_failed {
            return None;
        }
        let tick = link.due.is_some_and(|position| position <= self.journal.synced());
        let waits = link.asks.values().any(|waiting| !waiting.asked) || !link.short.is_empty();
        let free = link.unanswered.is_none_or(|(_, sent)| now.boot.since(sent) >= AGAIN_NS);
        let urgent = waits && free && !self.draining;
        if !tick && !urgent {
            return None;
        }
        link.asks.retain(|_, waiting| now.boot.since(waiting.since) < limits::NOTICE_NS);
        link.number += 1;
        let number = link.number;
        link.unanswered = Some((number, now.boot));
        let short = std::mem::take(&mut link.short);
        let asks = link.asks.iter_mut().filter(|(_, waiting)| tick || !waiting.asked).map(|(&ticket, waiting)| {
            waiting.asked = true;
            let claim = &waiting.notice.claim;
            Ask { ticket, node: claim.node, incarnation: claim.incarnation, booking: waiting.booking }
        });
        let asks = asks.collect();
        let full = link.full;
        if tick {
            link.due = None;
        }
        let leases =
            if tick || full { self.all_leases(now.boot, number, full) } else { self.leases_of(now.boot, &short) };
        let link = &mut self.link;
        let first = self.history.first_booking();
        if link.booked < first && !std::mem::replace(&mut link.gap, true) {
            log::error!(
                "the authority has lost bookings {} to {first} of this node, which are not kept any more; they stand in this node's \
                 ledger: stop the campaigns concerned and call support",
                link.booked
            );
        }
        let from = link.booked.max(first);
        let bookings = self.history.bookings_from(from).take_while(|booking| booking.number < link.reportable);
        Some(Report {
            node: self.settings.node,
            incarnation: self.registered.incarnation,
            epoch: link.epoch,
            number,
            sent: now.boot,
            renews: tick,
            foreign_seen: link.foreign_seen,
            leases,
            bookings: bookings.take(limits::REPORTED_BOOKINGS).copied().collect(),
            next_booking: link.presumed,
            asks,
            full,
            last: link.ending && tick,
        })
    }

    /// Takes an answer in. It may be old, or come twice.
    pub fn answer(&mut self, now: Now, answer: &Answer) {
        let link = &mut self.link;
        if answer.incarnation != self.registered.incarnation || answer.epoch < link.epoch {
            return;
        }
        if answer.epoch > link.epoch {
            // The authority has lost its memory: it is told everything again.
            (link.epoch, link.foreign_seen, link.booked) = (answer.epoch, 0, answer.booked);
            link.full = true;
            link.due = Some(self.journal.synced());
        }
        link.booked = link.booked.max(answer.booked);
        let latest = link.unanswered.is_none_or(|(number, _)| number <= answer.number);
        if latest {
            link.unanswered = None;
        }
        for (ticket, booked) in &answer.asked {
            self.asked(now, *ticket, *booked);
        }
        for foreign in &answer.foreign {
            self.booked_elsewhere(now, foreign);
        }
        if answer.standing == Standing::Current && answer.foreign.len() < limits::REPORTED_BOOKINGS {
            self.owns.values_mut().for_each(|own| own.heard_of_all(answer.number));
        }
        if latest && answer.standing == Standing::Current {
            self.stopped(&answer.stops);
        }
        for lease in &answer.leases {
            self.granted(now, answer.number, lease);
        }
        match answer.standing {
            Standing::Current => self.stands(now, answer),
            Standing::Learning(_) => {
                self.link.full = true;
                self.link.answered = self.link.answered.max(Some(answer.sent));
            }
            Standing::Replaced if self.link.ending => self.link.over = true,
            Standing::Replaced | Standing::Unknown => {
                if !std::mem::replace(&mut self.link.replaced, true) {
                    log::error!(
                        "the authority has given this process's place to another of node {}: no campaign bids; \
                         make sure that each node has a number of its own, then restart corebid",
                        self.settings.node.0
                    );
                }
                for (_, waiting) in std::mem::take(&mut self.link.asks) {
                    self.refuse(waiting.core, waiting.notice.ticket);
                }
            }
        }
    }

    fn stands(&mut self, now: Now, answer: &Answer) {
        self.link.answered = self.link.answered.max(Some(answer.sent));
        if self.link.ending {
            let all_told = answer.foreign.is_empty() && self.knows_all_booked();
            self.link.over |= self.link.unanswered.is_none() && self.link.due.is_none() && all_told;
            if !self.link.over && self.link.unanswered.is_none() {
                self.link.due = Some(self.journal.appended());
            }
            return;
        }
        self.link.full = false;
        let until = answer.sent.after(limits::LEASE_NS);
        if answer.renews && self.may_grant(now) && until.since(self.link.renewed) >= limits::TICK_NS / 2 {
            self.link.renewed = until;
            self.broadcast(Order::Renew { until });
        }
    }

    /// The authority has all bookings that this node's releases presume.
    fn knows_all_booked(&self) -> bool {
        self.link.booked >= self.link.presumed
    }

    /// A notice that only the authority can make safe.
    pub(super) fn ask(&mut self, now: Now, core: CoreId, notice: &Notice, booking: Booking) {
        self.link.tickets += 1;
        let waiting = Waiting { core, notice: *notice, booking, since: now.boot, asked: false };
        self.link.asks.insert(self.link.tickets, waiting);
    }

    /// What became of it.
    fn asked(&mut self, now: Now, ticket: u64, booked: Booked) {
        let Some(Waiting { core, notice, booking, .. }) = self.link.asks.remove(&ticket) else { return };
        let claim = &notice.claim;
        let noticed = match booked {
            Booked::Safe | Booked::Before(_) => {
                let known = self.history.marks(claim.lease, claim.reservation, claim.expires);
                if known.any(Marks::BILLED) {
                    self.gauges.duplicates.add(1);
                } else {
                    let freed = if booking.freed { Marks::FREED } else { Marks::BILLED };
                    let marks = Marks::BILLED.and(Marks::ASKED).and(freed);
                    let amount = if let Booked::Before(amount) = booked { amount } else { booking.amount };
                    self.book(now, &notice, Booking { amount, ..booking }, marks);
                }
                Noticed::Safe
            }
            Booked::Expired => self.late(now, &notice),
            Booked::Unknown => {
                self.gauges.foreign.add(1);
                self.refuse(core, notice.ticket);
                return;
            }
        };
        self.hold(core, Order::Noticed { ticket: notice.ticket, noticed });
    }

    /// Another node booked a bill of one of this process's reservations.
    fn booked_elsewhere(&mut self, now: Now, foreign: &Foreign) {
        if foreign.number <= self.link.foreign_seen {
            return;
        }
        self.link.foreign_seen = foreign.number;
        let &Foreign { lease, reservation, exchange, reserved, amount, expires, .. } = foreign;
        let known = self.history.marks(lease, reservation, expires);
        let expired = minute(expires) <= self.released_up_to;
        let Some(own) = self.owns.get_mut(&lease).filter(|own| !own.elsewhere.contains(&reservation)) else { return };
        own.elsewhere.insert(reservation);
        if known.any(Marks::BILLED) {
            // Both were told, maybe of different prices: the authority's counts. What a final loss had freed was booked beside the
            // lease here, and is under it there.
            let here = self.history.booking(lease, reservation).copied();
            let booked = here.map_or(amount, |here| if here.freed { Micros::ZERO } else { here.amount });
            self.history.correct(lease, reservation, amount);
            own.settled = own.settled.plus(amount).minus(booked);
            own.take_back(amount.minus(booked));
        } else if known.any(Marks::FREED) || expired {
            // Its money was free again, after a final loss; or was about to be, after H2.
            own.settled = own.settled.plus(amount);
            own.take_back(amount);
        } else {
            own.settled = own.settled.plus(amount);
            let was = if known.any(Marks::WON) { Known::Won } else { Known::Silent };
            let reservation = Reservation { exchange, expires, price: reserved };
            let lacking = own.holds.settle(now.boot, was, &reservation, amount);
            own.overdrawn = own.overdrawn.plus(lacking);
            if was == Known::Silent {
                self.silence.left(now, exchange, expires, Ending::Sold);
            }
        }
        self.history.billed_elsewhere(lease, reservation, expires);
        self.check_lease(lease);
    }

    /// What is stopped now, and what is not any more.
    fn stopped(&mut self, stops: &[(Scope, Why)]) {
        if self.stops != stops {
            self.stops = stops.to_vec();
            for slot in self.slots() {
                self.heed(slot);
            }
        }
    }

    /// Stops a campaign that is to be stopped, and lets one run that is not.
    pub(super) fn heed(&mut self, slot: Slot) {
        let Some(line) = &mut self.lines[slot.0 as usize] else { return };
        let concerns = |scope: Scope| match scope {
            Scope::Campaign(campaign) => campaign == line.funding.campaign,
            Scope::Advertiser(advertiser) => advertiser == line.funding.advertiser,
        };
        let said = self.stops.iter().find(|(scope, _)| concerns(*scope)).map(|(_, why)| *why);
        // What a guard of this node found is told until the authority says it too.
        line.stop = line.stop.filter(|_| said.is_none());
        let before = std::mem::replace(&mut line.stopped, said.or(line.stop));
        if before.is_none() && line.stopped.is_some() {
            self.revoke_all(slot);
        }
    }

    /// What the authority says of one lease.
    fn granted(&mut self, now: Now, number: u64, answer: &LeaseAnswer) {
        let Some(&slot) = self.slots.get(&answer.campaign) else { return };
        if let Some(lease) = answer.lease {
            let mode = self.lines[slot.0 as usize].map_or_else(Mode::default, |line| line.funding.mode);
            self.of_day.insert((answer.campaign, answer.day), lease);
            let own = self.owns.entry(lease).or_insert_with(|| Own::new(slot, answer.campaign, answer.day, mode));
            let more = answer.granted.minus(own.granted).max(Micros::ZERO);
            own.granted = own.granted.plus(more);
            own.holds.free = own.holds.free.plus(more);
            own.revalue(&self.silence, now.boot);
        } else if let Some(&lease) = self.of_day.get(&(answer.campaign, answer.day)) {
            let closed = |own: &Own| own.done_in.is_some_and(|done| done <= number);
            if self.owns.get(&lease).is_none_or(closed) {
                self.owns.remove(&lease);
                self.of_day.remove(&(answer.campaign, answer.day));
            }
        }
        let Some(line) = self.lines[slot.0 as usize].as_mut().filter(|line| line.day.day == answer.day) else { return };
        line.lease = answer.lease.or(line.lease);
        let newest = number.max(line.told_in);
        if number < std::mem::replace(&mut line.told_in, newest) {
            // An older answer: what it granted counts, what it says of the fleet does not.
            self.fill_all(now, slot);
            return;
        }
        line.available = answer.available;
        (line.budget, line.settled, line.expected) = (answer.budget, answer.settled, answer.expected);
        let first = !std::mem::replace(&mut line.heard, true);
        (line.share, line.exposure) = (answer.share, answer.exposure);
        self.gauges.set_spend(slot, answer.settled);
        self.seen(now, slot);
        if first {
            self.pace_one(now, slot);
        }
        self.fill_all(now, slot);
    }
}

/// What a report says of a campaign without a lease.
pub(super) fn without_lease(funding: &Funding, day: Day) -> LeaseReport {
    LeaseReport {
        campaign: funding.campaign,
        day,
        lease: None,
        granted: Micros::ZERO,
        released: Micros::ZERO,
        wanted: Micros::ZERO,
        least: Micros::ZERO,
        exposed: Micros::ZERO,
        expected: Micros::ZERO,
        demand: Micros::ZERO,
        done: false,
        stop: None,
    }
}
