//! The node's side of its conversations with the authority: reports out, answers in. An embedded authority has one, about all
//! accounts; where the accounts of each advertiser are kept apart, there is one about each.
//!
//! A report is made each tick, and in between when a core is short or a notice of another process's reservation waits. It
//! tells only of bookings that are on this node's disk: what the authority was told must not be forgotten here. What an answer
//! grants lives a lease's length from when its report was sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::grants::Own;
use super::holds::{Known, Reservation};
use super::record::Marks;
use super::silence::Ending;
use super::{Mode, Parts, Reconciler};
use crate::authority::books::{Scope, minute};
use crate::authority::message::{
    Answer, Ask, Booked, Booking, Foreign, LeaseAnswer, Origin, Part, Registered, Report, Standing, Why,
};
use crate::limits;
use crate::ring::message::{Notice, Noticed, Order};
use crate::units::{AdvertiserId, CampaignId, CoreId, Epoch, Incarnation, LeaseId, Micros, Nanos, Now, Slot};

/// A part whose leases end within this time is taken back: time enough to tell the cores before they stop by themselves.
const LAPSE_NS: u64 = Nanos::SECOND;
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

/// How the conversation about one part of the accounts stands.
#[derive(Debug, Default)]
struct Link {
    epoch: Epoch,
    /// The last report that was sent and is not answered.
    unanswered: Option<(u64, Nanos)>,
    /// When the last report was sent that was answered in full.
    answered: Option<Nanos>,
    /// The last foreign booking that was heard of, in this epoch.
    foreign_seen: u64,
    /// The first booking the authority does not have.
    booked: u64,
    /// What was released presumes the bookings before this number.
    presumed: u64,
    /// A report is due once this much of the journal is on disk.
    due: Option<u64>,
    /// The next report shall name all leases.
    full: bool,
    /// Campaigns that want more before the next tick.
    short: Vec<Slot>,
    asks: BTreeMap<u64, Waiting>,
    /// Its leases live until then.
    renewed: Nanos,
    /// They have ended: what stood on the cores was taken back.
    lapsed: bool,
    over: bool,
    /// The authority lacks bookings that are not kept any more.
    gap: bool,
    /// What is stopped, as the authority said last.
    stops: Vec<(Scope, Why)>,
}

/// The conversations of a node: one with an embedded authority, or one about each advertiser.
#[derive(Debug)]
pub(super) struct Links {
    parts: BTreeMap<Part, Link>,
    origin: Origin,
    /// Number of the last report.
    number: u64,
    /// Bookings before this number are on disk here; and where in the journal those after it stand.
    reportable: u64,
    unsynced: BTreeMap<u64, u64>,
    tickets: u64,
    /// Lease numbers drawn here.
    drawn: u64,
    /// Something may be due.
    stirred: bool,
    ready: VecDeque<Report>,
    /// A newer process has taken this one's place.
    pub(super) replaced: bool,
    ending: bool,
    /// The cores were told so.
    renewed: Nanos,
}

/// A report that is being made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) number: u64,
    pub(super) tick: bool,
    pub(super) full: bool,
}

impl Links {
    pub(super) fn new(registered: &Registered, origin: Origin, parts: Parts) -> Self {
        let mut links = Self {
            parts: BTreeMap::new(),
            origin,
            number: 0,
            reportable: origin.next_booking,
            unsynced: BTreeMap::new(),
            tickets: 0,
            drawn: 0,
            stirred: false,
            ready: VecDeque::new(),
            replaced: false,
            ending: false,
            renewed: Nanos(0),
        };
        if parts == Parts::One {
            let &Registered { epoch, booked, .. } = registered;
            links.parts.insert(Part::All, Link { epoch, booked, presumed: origin.next_booking, ..Link::default() });
        }
        links
    }

    /// Begins a conversation, unless there is one.
    pub(super) fn begin(&mut self, part: Part) {
        let presumed = self.origin.next_booking;
        self.parts.entry(part).or_insert_with(|| Link { presumed, full: true, lapsed: true, ..Link::default() });
    }

    /// Reports are due, and their releases presume all bookings so far.
    pub(super) fn tick(&mut self, appended: u64, next_booking: u64) {
        for link in self.parts.values_mut() {
            (link.due, link.presumed) = (Some(appended), next_booking);
        }
        self.stirred = true;
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

    /// The next reports are the last.
    pub(super) fn end(&mut self, appended: u64, next_booking: u64) {
        self.tick(appended, next_booking);
        self.ending = true;
        self.parts.values_mut().for_each(|link| link.full = true);
    }

    /// Number of the next report.
    pub(super) fn next_number(&self) -> u64 {
        self.number + 1
    }

    /// The authority knows that this process has ended.
    pub(super) fn is_over(&self) -> bool {
        self.replaced || (self.ending && self.parts.values().all(|link| link.over))
    }

    /// The first booking that some authority does not have.
    pub(super) fn booked(&self) -> u64 {
        self.parts.values().map(|link| link.booked).min().unwrap_or_default()
    }

    /// An authority's epoch.
    pub(super) fn epoch(&self, part: Part) -> Epoch {
        self.parts.get(&part).map_or(Epoch(0), |link| link.epoch)
    }

    /// All that is stopped, part by part.
    pub(super) fn stops(&self) -> impl Iterator<Item = (Scope, Why)> {
        self.parts.values().flat_map(|link| link.stops.iter().copied())
    }

    /// A campaign wants more credit.
    pub(super) fn want(&mut self, part: Part, slot: Slot) {
        if let Some(link) = self.parts.get_mut(&part) {
            link.short.push(slot);
            self.stirred = true;
        }
    }

    /// Something is to be told, or heard, before the next tick.
    pub(super) fn hurry(&mut self, appended: u64) {
        self.parts.values_mut().for_each(|link| _ = link.due.get_or_insert(appended));
        self.stirred = true;
    }

    /// Whether a part's leases live: nothing is lent on them otherwise.
    pub(super) fn has_lapsed(&self, part: Part) -> bool {
        self.parts.get(&part).is_none_or(|link| link.lapsed)
    }

    /// Draws a number for a new lease of this process.
    pub(super) fn draw(&mut self, incarnation: Incarnation) -> LeaseId {
        self.drawn += 1;
        assert!(self.drawn < 1 << 40, "a process drew all its lease numbers");
        LeaseId(u64::from(incarnation.0) << 40 | self.drawn)
    }

    /// Which reports are to be made now.
    fn turns(&mut self, now: Nanos, synced: u64, draining: bool) -> BTreeMap<Part, Turn> {
        let mut turns = BTreeMap::new();
        if !std::mem::take(&mut self.stirred) || self.replaced {
            return turns;
        }
        for (&part, link) in self.parts.iter_mut().filter(|(_, link)| !link.over) {
            let tick = link.due.is_some_and(|position| position <= synced);
            let waits = link.asks.values().any(|waiting| !waiting.asked) || !link.short.is_empty();
            let free = link.unanswered.is_none_or(|(_, sent)| now.since(sent) >= AGAIN_NS);
            let urgent = waits && free && !draining;
            self.stirred |= link.due.is_some() != tick || waits != urgent;
            if tick || urgent {
                link.asks.retain(|_, waiting| now.since(waiting.since) < limits::NOTICE_NS);
                self.number += 1;
                link.unanswered = Some((self.number, now));
                if tick {
                    link.due = None;
                }
                turns.insert(part, Turn { number: self.number, tick, full: link.full });
            }
        }
        turns
    }
}

impl Reconciler {
    /// How long nothing of what this node says has been answered by anybody, ns. One part that is silent lapses by itself.
    pub fn unreported(&self, now: Nanos) -> u64 {
        let answered = self.links.parts.values().filter_map(|link| link.answered).max();
        answered.map_or(0, |answered| now.since(answered))
    }

    /// Has reports made before the next tick.
    pub fn hurry(&mut self) {
        self.links.hurry(self.journal.appended());
    }

    /// Whose accounts a campaign of this advertiser stands in.
    pub(super) fn part_of(&self, advertiser: AdvertiserId) -> Part {
        match self.settings.parts {
            Parts::One => Part::All,
            Parts::Advertisers => Part::Advertiser(advertiser),
        }
    }

    /// The same of a campaign; nobody's if this node never listed it.
    pub(super) fn part_of_campaign(&self, campaign: CampaignId) -> Option<Part> {
        match self.settings.parts {
            Parts::One => Some(Part::All),
            Parts::Advertisers => self.history.owner(campaign).map(Part::Advertiser),
        }
    }

    /// Begins the conversations about what earlier processes booked and the authority may not have.
    pub(super) fn begin_of_bookings(&mut self) {
        let first = self.history.first_booking();
        let campaigns: BTreeSet<_> = self.history.bookings_from(first).map(|booking| booking.campaign).collect();
        for campaign in campaigns {
            match self.part_of_campaign(campaign) {
                Some(part) => self.links.begin(part),
                None => log::error!(
                    "this node's ledger does not say whose campaign {} is: bills of it cannot be reported; list it once more",
                    campaign.0
                ),
            }
        }
    }

    /// The epoch of the authority that a campaign's bookings go to.
    pub(super) fn epoch_of(&self, campaign: CampaignId) -> Epoch {
        self.part_of_campaign(campaign).map_or(Epoch(0), |part| self.links.epoch(part))
    }

    /// What is to be sent to an authority now, if anything.
    pub fn report(&mut self, now: Now) -> Option<Report> {
        if self.links.ready.is_empty() && !self.disk_failed {
            self.make_reports(now);
        }
        self.links.ready.pop_front()
    }

    fn make_reports(&mut self, now: Now) {
        let turns = self.links.turns(now.boot, self.journal.synced(), self.draining);
        if turns.is_empty() {
            return;
        }
        let mut leases = self.leases_at(now.boot, &turns);
        let mut bookings = self.bookings_for(&turns);
        for (&part, &Turn { number, tick, full }) in &turns {
            let link = self.links.parts.get_mut(&part).expect("a conversation whose turn it is");
            let short = std::mem::take(&mut link.short);
            let asks = link.asks.iter_mut().filter(|(_, waiting)| tick || !waiting.asked);
            let asks = asks.map(|(&ticket, waiting)| {
                waiting.asked = true;
                let claim = &waiting.notice.claim;
                Ask { ticket, node: claim.node, incarnation: claim.incarnation, booking: waiting.booking }
            });
            let asks = asks.collect();
            let leases = match leases.remove(&part) {
                Some(leases) => leases,
                None => self.leases_of(now.boot, &short),
            };
            let (from, bookings, upto) = bookings.remove(&part).unwrap_or_default();
            let links = &self.links;
            let link = &links.parts[&part];
            self.links.ready.push_back(Report {
                part,
                node: self.settings.node,
                incarnation: self.registered.incarnation,
                epoch: link.epoch,
                number,
                sent: now.boot,
                renews: tick,
                foreign_seen: link.foreign_seen,
                leases,
                bookings,
                from,
                upto,
                next_booking: link.presumed,
                asks,
                full,
                last: links.ending && tick,
                origin: links.origin,
            });
        }
    }

    /// What each part is told of this node's bookings: from which number, which, and up to which.
    fn bookings_for(&mut self, turns: &BTreeMap<Part, Turn>) -> BTreeMap<Part, (u64, Vec<Booking>, u64)> {
        let (first, reportable) = (self.history.first_booking(), self.links.reportable);
        let mut told = BTreeMap::new();
        for (&part, link) in self.links.parts.iter_mut().filter(|(part, _)| turns.contains_key(part)) {
            // One that was never answered does not know yet what the authority has.
            let lost = link.booked < first && (link.answered.is_some() || part == Part::All);
            if lost && !std::mem::replace(&mut link.gap, true) {
                log::error!(
                    "the authority has lost bookings {} to {first} of this node, which are not kept any more; they stand in this \
                     node's ledger: stop the campaigns concerned and call support",
                    link.booked
                );
            }
            told.insert(part, (link.booked.max(first), Vec::new(), reportable));
        }
        let Some(from) = told.values().map(|(from, ..)| *from).min() else { return told };
        let mut full = 0;
        for booking in self.history.bookings_from(from).take_while(|booking| booking.number < reportable) {
            let Some(part) = self.part_of_campaign(booking.campaign) else { continue };
            let Some((from, bookings, upto)) = told.get_mut(&part) else { continue };
            if booking.number < *from || *upto < reportable {
                continue;
            }
            if bookings.len() == limits::REPORTED_BOOKINGS {
                (*upto, full) = (booking.number, full + 1);
                if full == turns.len() {
                    break;
                }
                continue;
            }
            bookings.push(*booking);
        }
        told
    }

    /// Takes an answer in. It may be old, or come twice.
    pub fn answer(&mut self, now: Now, answer: &Answer) {
        let Some(link) = self.links.parts.get_mut(&answer.part) else { return };
        if answer.incarnation != self.registered.incarnation || answer.epoch < link.epoch {
            return;
        }
        self.links.stirred = true;
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
            self.asked(now, answer.part, *ticket, *booked);
        }
        for foreign in &answer.foreign {
            self.booked_elsewhere(now, answer.part, foreign);
        }
        let current = answer.standing == Standing::Current;
        if current && answer.foreign.len() < limits::REPORTED_BOOKINGS {
            let of_part = self.owns.values_mut().filter(|own| own.part == answer.part);
            of_part.for_each(|own| own.heard_of_all(answer.number));
        }
        if latest && current {
            self.stopped(answer.part, &answer.stops);
        }
        if current {
            self.renewed(now, answer);
        }
        for lease in &answer.leases {
            self.granted(now, answer.part, answer.number, lease);
        }
        let (ending, over) = (self.links.ending, &mut self.links.replaced);
        let link = self.links.parts.get_mut(&answer.part).expect("the conversation it belongs to");
        match answer.standing {
            Standing::Current => self.stands(now, answer),
            Standing::Learning(_) => {
                link.full = true;
                link.answered = link.answered.max(Some(answer.sent));
            }
            Standing::Replaced if ending => link.over = true,
            Standing::Replaced | Standing::Unknown => {
                if !std::mem::replace(over, true) {
                    log::error!(
                        "the authority has given this process's place to another of node {}: no campaign bids; \
                         make sure that each node has a number of its own, then restart corebid",
                        self.settings.node.0
                    );
                }
                let asks: Vec<_> = self.links.parts.values_mut().map(|link| std::mem::take(&mut link.asks)).collect();
                for waiting in asks.into_iter().flat_map(BTreeMap::into_values) {
                    self.refuse(waiting.core, waiting.notice.ticket);
                }
            }
        }
    }

    /// A part's leases live on.
    fn renewed(&mut self, now: Now, answer: &Answer) {
        let until = answer.sent.after(limits::LEASE_NS);
        let link = self.links.parts.get_mut(&answer.part).expect("the conversation it belongs to");
        if answer.renews && until > link.renewed && !self.links.ending {
            let before = std::mem::replace(&mut link.renewed, until);
            let lapsed = answer.part != Part::All && until.since(now.boot) <= LAPSE_NS;
            if std::mem::replace(&mut link.lapsed, lapsed) && !lapsed && before > Nanos(0) {
                log::info!("{}: leases are renewed again", answer.part);
                self.count_lapsed();
            }
        }
    }

    fn stands(&mut self, now: Now, answer: &Answer) {
        let knows_all = answer.foreign.is_empty();
        let (ending, appended) = (self.links.ending, self.journal.appended());
        let link = self.links.parts.get_mut(&answer.part).expect("the conversation it belongs to");
        link.answered = link.answered.max(Some(answer.sent));
        if ending {
            link.over |= link.unanswered.is_none() && link.due.is_none() && knows_all && link.booked >= link.presumed;
            if !link.over && link.unanswered.is_none() {
                link.due = Some(appended);
            }
            return;
        }
        link.full = false;
        if answer.part == Part::All {
            self.renew(now);
        }
    }

    /// Tells the cores until when they may bid: as long as all parts that have not lapsed. A part that is about to lapse is taken
    /// back first, so that the others need not end with it; what is told to the cores stays in this order.
    pub(super) fn renew(&mut self, now: Now) {
        let lapses = |link: &Link| !link.lapsed && link.renewed > Nanos(0) && link.renewed.since(now.boot) <= LAPSE_NS;
        if self.settings.parts == Parts::Advertisers {
            let lapsing = self.links.parts.iter().filter(|(_, link)| lapses(link)).map(|(part, _)| *part);
            for part in lapsing.collect::<Vec<_>>() {
                self.lapse(part);
            }
        }
        let standing = self.links.parts.values().filter(|link| !link.lapsed && link.renewed > Nanos(0));
        let Some(until) = standing.map(|link| link.renewed).min() else { return };
        // One that goes on a little longer is not worth an order to every core, unless the time is running out.
        let more = until.since(self.links.renewed);
        let short = more > 0 && self.links.renewed.since(now.boot) <= LAPSE_NS;
        if (more >= limits::TICK_NS / 2 || short) && self.may_grant(now) {
            self.links.renewed = until;
            self.broadcast(Order::Renew { until });
        }
    }

    /// Nothing of a part's money may be spent until its authority is heard again.
    fn lapse(&mut self, part: Part) {
        log::error!(
            "{part}: its leases were not renewed for {} s: its campaigns do not bid until they are",
            limits::LEASE_NS / Nanos::SECOND
        );
        self.gauges.lapses.add(1);
        if let Some(link) = self.links.parts.get_mut(&part) {
            link.lapsed = true;
        }
        self.count_lapsed();
        for slot in self.slots() {
            if self.lines[slot.0 as usize].is_some_and(|line| line.part == part) {
                self.revoke_all(slot);
            }
        }
    }

    /// Parts that were renewed once and are not any more.
    fn count_lapsed(&self) {
        let lapsed = self.links.parts.values().filter(|link| link.lapsed && link.renewed > Nanos(0)).count();
        self.gauges.lapsed.set(lapsed as u64);
    }

    /// A notice that only the authority can make safe.
    pub(super) fn ask(&mut self, now: Now, core: CoreId, notice: &Notice, booking: Booking) {
        let part = self.part_of_campaign(booking.campaign);
        let Some(link) = part.and_then(|part| self.links.parts.get_mut(&part)) else {
            // Nobody knows whose it is: it may be of a campaign that was taken off the list. The exchange calls again.
            self.gauges.foreign.add(1);
            self.refuse(core, notice.ticket);
            return;
        };
        self.links.tickets += 1;
        self.links.stirred = true;
        let waiting = Waiting { core, notice: *notice, booking, since: now.boot, asked: false };
        link.asks.insert(self.links.tickets, waiting);
    }

    /// What became of it.
    fn asked(&mut self, now: Now, part: Part, ticket: u64, booked: Booked) {
        let link = self.links.parts.get_mut(&part).expect("the conversation it belongs to");
        let Some(waiting) = link.asks.remove(&ticket) else { return };
        let Waiting { core, notice, booking, .. } = waiting;
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
    fn booked_elsewhere(&mut self, now: Now, part: Part, foreign: &Foreign) {
        let link = self.links.parts.get_mut(&part).expect("the conversation it belongs to");
        if foreign.number <= link.foreign_seen {
            return;
        }
        link.foreign_seen = foreign.number;
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
    fn stopped(&mut self, part: Part, stops: &[(Scope, Why)]) {
        let link = self.links.parts.get_mut(&part).expect("the conversation it belongs to");
        if link.stops != stops {
            link.stops = stops.to_vec();
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
        let mut stops = self.links.parts.get(&line.part).into_iter().flat_map(|link| &link.stops);
        let said = stops.find(|(scope, _)| concerns(*scope)).map(|(_, why)| *why);
        // What a guard of this node found is told until the authority says it too.
        line.stop = line.stop.filter(|_| said.is_none());
        let before = std::mem::replace(&mut line.stopped, said.or(line.stop));
        if before.is_none() && line.stopped.is_some() {
            self.revoke_all(slot);
        }
    }

    /// What the authority says of one lease.
    fn granted(&mut self, now: Now, part: Part, number: u64, answer: &LeaseAnswer) {
        let Some(&slot) = self.slots.get(&answer.campaign) else { return };
        if let Some(lease) = answer.lease {
            let mode = self.lines[slot.0 as usize].map_or_else(Mode::default, |line| line.funding.mode);
            self.of_day.insert((answer.campaign, answer.day), lease);
            let own = self.owns.entry(lease).or_insert_with(|| Own::new(part, slot, answer.campaign, answer.day, mode));
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
