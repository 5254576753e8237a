//! Notices: what an exchange says became of a bid, booked once, and answered when it is on disk.

use super::history::REMEMBERED_MINUTES;
use super::holds::{Known, Reservation};
use super::record::{Marks, NO_NUMBER, Record};
use super::silence::Ending;
use super::{Mode, Reconciler};
use crate::authority::books::{last_expired, minute};
use crate::authority::message::Booking;
use crate::metrics::arms::ArmOutcomes;
use crate::metrics::paths::PathSales;
use crate::ring::message::{Agreed, Claim, Notice, NoticeKind, NoticePrice, Noticed, Order, Outcome};
use crate::ring::spsc::{Refused, Sender};
use crate::units::{CoreId, CpmMicros, Micros, Now, PathKey};

impl Reconciler {
    /// Decides a notice with a valid signature. Its answer leaves when all that was booked is on disk.
    pub(super) fn notice(&mut self, now: Now, core: CoreId, notice: &Notice) {
        let &Notice { ticket, ref claim, .. } = notice;
        if claim.agreed.any(Agreed::TEST) {
            // No money was held for it and none is owed: nothing is recorded, and there is nothing to wait for.
            self.gauges.tests.add(1);
            self.orders(core).push_back(Order::Noticed { ticket, noticed: Noticed::Safe });
            return;
        }
        // A process whose place was taken could not report what it booked.
        if self.disk_failed || self.links.replaced {
            self.refuse(core, ticket);
            return;
        }
        let noticed = if self.is_past(now, claim) {
            Some(self.late(now, notice))
        } else {
            match notice.kind {
                NoticeKind::Win => self.won(now, notice),
                NoticeKind::Loss => self.lost(now, claim),
                NoticeKind::Click => self.outcome(now, notice, Marks::CLICKED),
                NoticeKind::Conversion => self.outcome(now, notice, Marks::CONVERTED),
                NoticeKind::Bill => self.bill(now, core, notice),
            }
        };
        if let Some(noticed) = noticed {
            self.hold(core, Order::Noticed { ticket, noticed });
        }
    }

    /// Nothing was booked, so there is nothing to wait for.
    pub(super) fn refuse(&mut self, core: CoreId, ticket: u64) {
        self.gauges.unsafe_notices.add(1);
        self.orders(core).push_back(Order::Noticed { ticket, noticed: Noticed::Unsafe });
    }

    /// Past H2 by our clock, or already released by an earlier reading of it.
    fn is_past(&self, now: Now, claim: &Claim) -> bool {
        now.wall > claim.expires || minute(claim.expires) <= self.released_up_to
    }

    /// Made by this process, under a lease of which it still has the money. The authority decides of all others.
    fn is_own(&self, claim: &Claim) -> bool {
        let of_this_process = (claim.node, claim.incarnation) == (self.settings.node, self.registered.incarnation);
        let own = self.owns.get(&claim.lease).filter(|own| own.campaign == claim.campaign);
        of_this_process && own.is_some() && claim.reservation.made() >= self.registered.ids_from
    }

    /// A notice past H2 books nothing. A bill is put on record, once, for the books to be compared with the exchange's;
    /// one that was booked in time is as safe as it was then. Of reservations that are no longer remembered there is no
    /// telling, so nothing is recorded of them: a URL called over and over does not fill the disk.
    pub(super) fn late(&mut self, now: Now, notice: &Notice) -> Noticed {
        let claim = &notice.claim;
        if notice.kind != NoticeKind::Bill {
            return Noticed::Expired;
        }
        let forgotten = self.released_up_to.max(last_expired(now.wall));
        if minute(claim.expires) + REMEMBERED_MINUTES <= forgotten {
            self.gauges.stale.add(1);
            return Noticed::Expired;
        }
        let known = self.history.marks(claim.lease, claim.reservation, claim.expires);
        if known.any(Marks::BILLED.and(Marks::LATE)) {
            self.gauges.duplicates.add(1);
            return if known.any(Marks::BILLED) { Noticed::Safe } else { Noticed::Expired };
        }
        self.gauges.late.add(1);
        if let NoticePrice::Cpm(price) = notice.price {
            self.gauges.late_excess_micros.add(notice.cost(price).0 as u64);
        }
        self.append(now, heard(now, claim, Marks::LATE));
        Noticed::Expired
    }

    /// Tells the training log what becomes of its bids from now on.
    pub fn log_outcomes(&mut self, ring: Sender<Outcome>) {
        self.outcomes = Some(ring);
    }

    /// Tells it of one. What finds no room is lost, and counted.
    fn log(&mut self, now: Now, claim: &Claim, kind: NoticeKind, micros: Micros) {
        if let Some(ring) = self.outcomes.as_mut().filter(|_| claim.agreed.any(Agreed::LOGGED)) {
            let outcome = Outcome { bid: claim.bid, at: now.wall, kind, micros };
            if let Err(Refused(_)) = ring.offer(outcome) {
                self.gauges.outcomes_lost.add(1);
            }
        }
    }

    /// Records that something was heard, the first time.
    fn note(&mut self, now: Now, claim: &Claim, marks: Marks) {
        if self.history.marks(claim.lease, claim.reservation, claim.expires).any(marks) {
            self.gauges.duplicates.add(1);
            return;
        }
        match marks {
            Marks::WON => self.gauges.wins.add(1),
            Marks::UNPRICED => self.gauges.unpriced.add(1),
            Marks::CLICKED => self.gauges.clicks.add(1),
            Marks::CONVERTED => self.gauges.conversions.add(1),
            _ => self.gauges.losses.add(1),
        }
        let kinds = [
            (Marks::WON, NoticeKind::Win),
            (Marks::LOST, NoticeKind::Loss),
            (Marks::CLICKED, NoticeKind::Click),
            (Marks::CONVERTED, NoticeKind::Conversion),
        ];
        if let Some((_, kind)) = kinds.into_iter().find(|(mark, _)| marks.any(*mark)) {
            self.log(now, claim, kind, Micros::ZERO);
        }
        self.append(now, heard(now, claim, marks));
    }

    /// Records a win, and counts it for its supply path unless a bill has told of it already.
    fn won(&mut self, now: Now, notice: &Notice) -> Option<Noticed> {
        let claim = &notice.claim;
        let known = self.history.marks(claim.lease, claim.reservation, claim.expires);
        if !known.any(Marks::WON.and(Marks::BILLED)) {
            self.sale(notice, |sales| sales.wins.add(1));
            self.arm(notice, |arm| arm.wins.add(1));
            if !known.any(Marks::FREED) && self.is_own(claim) {
                let own = self.owns.get_mut(&claim.lease).expect("a lease of this process");
                own.holds.win(now.boot, &reservation(claim));
                self.silence.left(now, claim.exchange, claim.expires, Ending::Sold);
                self.check_lease(claim.lease);
            }
        }
        self.note(now, claim, Marks::WON);
        Some(Noticed::Safe)
    }

    /// Records what came of an impression, once. It says nothing of whether the bid won: who clicks was shown it, whatever the
    /// exchange has told so far.
    fn outcome(&mut self, now: Now, notice: &Notice, marks: Marks) -> Option<Noticed> {
        let claim = &notice.claim;
        if !self.history.marks(claim.lease, claim.reservation, claim.expires).any(marks) {
            self.arm(notice, |arm| if marks == Marks::CLICKED { arm.clicks.add(1) } else { arm.conversions.add(1) });
        }
        self.note(now, claim, marks);
        Some(Noticed::Safe)
    }

    /// Counts something for the supply path of a bid, if it has one that is counted.
    fn sale(&self, notice: &Notice, count: impl FnOnce(&PathSales)) {
        if notice.path == PathKey::NONE {
            return;
        }
        let exchange = u64::from(notice.claim.exchange.0);
        if let Some((_, sales)) = self.gauges.paths.claim(notice.path, |sales| sales.exchange.set(exchange)) {
            count(sales);
        }
    }

    /// Counts something for the arm of a bid. Places of arms are a node's own, so that those of another's bids say nothing here.
    fn arm(&self, notice: &Notice, count: impl FnOnce(&ArmOutcomes)) {
        let ours = notice.claim.node == self.settings.node;
        if let Some(arm) = self.gauges.arms.get(usize::from(notice.arm.0)).filter(|_| ours) {
            count(arm);
        }
    }

    /// A loss frees its reservation where losses are final, unless a win or a bill was heard before: those are
    /// authoritative. Of an earlier incarnation's reservations it frees nothing; its leases end on their own.
    fn lost(&mut self, now: Now, claim: &Claim) -> Option<Noticed> {
        let known = self.history.marks(claim.lease, claim.reservation, claim.expires);
        let frees = self.is_own(claim)
            && claim.agreed.any(Agreed::LOSS_IS_FINAL)
            && !known.any(Marks::WON.and(Marks::BILLED).and(Marks::LOST));
        if frees {
            let own = self.owns.get_mut(&claim.lease).expect("a lease of this process");
            let lacking = own.holds.settle(now.boot, Known::Silent, &reservation(claim), Micros::ZERO);
            own.overdrawn = own.overdrawn.plus(lacking);
            self.silence.left(now, claim.exchange, claim.expires, Ending::Lost);
            self.note(now, claim, Marks::LOST.and(Marks::FREED));
            self.check_lease(claim.lease);
        } else {
            self.note(now, claim, Marks::LOST);
        }
        Some(Noticed::Safe)
    }

    /// Books a bill: once, at a readable price, and never above the bid. One of another process's is the authority's to book:
    /// its answer comes later.
    fn bill(&mut self, now: Now, core: CoreId, notice: &Notice) -> Option<Noticed> {
        let claim = &notice.claim;
        let NoticePrice::Cpm(price) = notice.price else {
            self.note(now, claim, Marks::UNPRICED);
            return Some(Noticed::Safe);
        };
        let known = self.history.marks(claim.lease, claim.reservation, claim.expires);
        if known.any(Marks::BILLED) {
            self.gauges.duplicates.add(1);
            return Some(Noticed::Safe);
        }
        if claim.price <= CpmMicros(0) {
            self.gauges.foreign.add(1);
            self.refuse(core, notice.ticket);
            return None;
        }
        let mut booking = Booking {
            number: NO_NUMBER,
            reservation: claim.reservation,
            lease: claim.lease,
            campaign: claim.campaign,
            exchange: claim.exchange,
            reserved: claim.money(),
            amount: notice.cost(price),
            expires: claim.expires,
            freed: known.any(Marks::FREED),
            asked: None,
        };
        if !self.is_own(claim) {
            if booking.freed && claim.incarnation == self.registered.incarnation {
                // Its lease is closed since: booked beside it, as late.
                self.gauges.excess_bills.add(1);
                self.book(now, notice, booking, Marks::BILLED.and(Marks::FREED));
                return Some(Noticed::Safe);
            }
            self.ask(now, core, notice, booking);
            return None;
        }
        // A final loss gave the money back; a bill after it is paid all the same, outside the lease's account. So is one
        // that its lease does not cover: the reservation was never made here.
        let own = self.owns.get_mut(&claim.lease).expect("a lease of this process");
        let (reserved, amount) = (booking.reserved, booking.amount);
        let strict = own.holds.mode == Mode::Strict;
        booking.freed |= strict && own.charge() < reserved.max(amount);
        let mut marks = Marks::BILLED;
        if booking.freed {
            self.gauges.excess_bills.add(1);
            marks = marks.and(Marks::FREED);
        } else {
            let was = if known.any(Marks::WON) { Known::Won } else { Known::Silent };
            let lacking = own.holds.settle(now.boot, was, &reservation(claim), amount);
            own.overdrawn = own.overdrawn.plus(lacking);
            own.settled = own.settled.plus(amount);
            if was == Known::Silent {
                self.silence.left(now, claim.exchange, claim.expires, Ending::Sold);
            }
        }
        let slot = own.slot;
        self.book(now, notice, booking, marks);
        self.was_billed(now, slot, self.silence.age(now, claim.exchange, claim.expires), amount);
        self.check_lease(claim.lease);
        Some(Noticed::Safe)
    }

    /// Puts a bill on record, as the next of this node's bookings, and counts it.
    pub(super) fn book(&mut self, now: Now, notice: &Notice, booking: Booking, mut marks: Marks) {
        let claim = &notice.claim;
        let NoticePrice::Cpm(price) = notice.price else { unreachable!("only a readable price is booked") };
        let known = self.history.marks(claim.lease, claim.reservation, claim.expires);
        if price > claim.price {
            self.gauges.disputes.add(1);
            marks = marks.and(Marks::DISPUTED);
        }
        let Booking { reservation, lease, campaign, exchange, reserved, amount, expires, .. } = booking;
        let (number, bid, wall, epoch) =
            (self.history.next_booking(), claim.bid, now.wall, self.epoch_of(booking.campaign));
        self.append(
            now,
            Record::Bill {
                number,
                reservation,
                lease,
                campaign,
                exchange,
                bid,
                price,
                reserved,
                amount,
                expires,
                wall,
                marks,
                epoch,
            },
        );
        self.links.appended(number, self.journal.appended());
        self.gauges.bills.add(1);
        self.gauges.spend_micros.add(amount.0 as u64);
        self.log(now, claim, NoticeKind::Bill, amount);
        self.sale(notice, |sales| {
            sales.wins.add(u64::from(!known.any(Marks::WON)));
            sales.billed(amount);
        });
        self.arm(notice, |arm| {
            arm.wins.add(u64::from(!known.any(Marks::WON)));
            arm.billed(amount);
        });
        self.count(now, claim, number);
    }
}

fn reservation(claim: &Claim) -> Reservation {
    Reservation { exchange: claim.exchange, expires: claim.expires, price: claim.money() }
}

fn heard(now: Now, claim: &Claim, marks: Marks) -> Record {
    Record::Heard {
        reservation: claim.reservation,
        lease: claim.lease,
        campaign: claim.campaign,
        bid: claim.bid,
        expires: claim.expires,
        wall: now.wall,
        marks,
    }
}
