//! Notices: what an exchange says became of a bid, booked once, and answered when it is on disk.

use super::books::{REMEMBERED_MINUTES, minute};
use super::record::{Marks, Record};
use super::{Reconciler, last_expired};
use crate::metrics::paths::PathSales;
use crate::ring::message::{Agreed, Claim, Notice, NoticeKind, NoticePrice, Noticed, Order};
use crate::units::{CoreId, CpmMicros, Micros, Now, PathKey, UserKey};

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
        let noticed = if self.disk_failed {
            None
        } else if self.is_past(now, claim) {
            Some(self.late(now, notice))
        } else if !self.is_ours(claim) {
            self.gauges.foreign.add(1);
            None
        } else {
            match notice.kind {
                NoticeKind::Win => self.won(now, notice),
                NoticeKind::Loss => self.lost(now, claim),
                NoticeKind::Bill => self.bill(now, notice),
            }
            Some(Noticed::Safe)
        };
        match noticed {
            Some(noticed) => self.hold(core, Order::Noticed { ticket, noticed }),
            // Nothing was booked, so there is nothing to wait for.
            None => {
                self.gauges.unsafe_notices.add(1);
                self.orders(core).push_back(Order::Noticed { ticket, noticed: Noticed::Unsafe });
            }
        }
    }

    /// Past H2 by our clock, or already released by an earlier reading of it.
    fn is_past(&self, now: Now, claim: &Claim) -> bool {
        now.wall > claim.expires || minute(claim.expires) <= self.released_up_to
    }

    /// Made by this node since its ledger began. Anything else was signed with our key by another node, or before the
    /// ledger was replaced; lease ids are only unique within a ledger.
    fn is_of_this_ledger(&self, claim: &Claim) -> bool {
        claim.node == self.settings.node && claim.reservation.made() >= self.books.began()
    }

    /// Made under a lease the ledger knows, by whom it was granted to, as the bid path makes claims.
    fn is_ours(&self, claim: &Claim) -> bool {
        let lease = self.books.lease(claim.lease);
        let fits =
            lease.is_some_and(|lease| (lease.campaign, lease.incarnation) == (claim.campaign, claim.incarnation));
        fits && claim.price > CpmMicros(0) && self.is_of_this_ledger(claim)
    }

    /// A notice past H2 books nothing. A bill is put on record, once, for the books to be compared with the exchange's;
    /// one that was booked in time is as safe as it was then. Of reservations that are no longer remembered there is no
    /// telling, so nothing is recorded of them: a URL called over and over does not fill the disk.
    fn late(&mut self, now: Now, notice: &Notice) -> Noticed {
        let claim = &notice.claim;
        if notice.kind != NoticeKind::Bill || !self.is_of_this_ledger(claim) {
            return Noticed::Expired;
        }
        let forgotten = self.released_up_to.max(last_expired(now.wall));
        if minute(claim.expires) + REMEMBERED_MINUTES <= forgotten {
            self.gauges.stale.add(1);
            return Noticed::Expired;
        }
        let known = self.books.marks(claim.lease, claim.reservation, claim.expires);
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

    /// Records that something was heard, the first time.
    fn note(&mut self, now: Now, claim: &Claim, marks: Marks) {
        if self.books.marks(claim.lease, claim.reservation, claim.expires).any(marks) {
            self.gauges.duplicates.add(1);
            return;
        }
        match marks {
            Marks::WON => self.gauges.wins.add(1),
            Marks::UNPRICED => self.gauges.unpriced.add(1),
            _ => self.gauges.losses.add(1),
        }
        self.append(now, heard(now, claim, marks));
    }

    /// Records a win, and counts it for its supply path unless a bill has told of it already.
    fn won(&mut self, now: Now, notice: &Notice) {
        let claim = &notice.claim;
        let known = self.books.marks(claim.lease, claim.reservation, claim.expires);
        if !known.any(Marks::WON.and(Marks::BILLED)) {
            self.sale(notice, |sales| sales.wins.add(1));
        }
        self.note(now, claim, Marks::WON);
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

    /// A loss frees its reservation where losses are final, unless a win or a bill was heard before: those are
    /// authoritative. Of an earlier incarnation's reservations it frees nothing; its leases end on their own.
    fn lost(&mut self, now: Now, claim: &Claim) {
        let known = self.books.marks(claim.lease, claim.reservation, claim.expires);
        let frees =
            claim.agreed.any(Agreed::LOSS_IS_FINAL) && !known.any(Marks::WON.and(Marks::BILLED).and(Marks::LOST));
        match self.holds.get_mut(&claim.lease) {
            Some(holds) if frees => {
                holds.settle(minute(claim.expires), claim.money(), Micros::ZERO);
                self.note(now, claim, Marks::LOST.and(Marks::FREED));
                self.check_lease(claim.lease);
            }
            _ => self.note(now, claim, Marks::LOST),
        }
    }

    /// Books a bill: once, at a readable price, and never above the bid.
    fn bill(&mut self, now: Now, notice: &Notice) {
        let claim = &notice.claim;
        let NoticePrice::Cpm(price) = notice.price else {
            self.note(now, claim, Marks::UNPRICED);
            return;
        };
        let known = self.books.marks(claim.lease, claim.reservation, claim.expires);
        if known.any(Marks::BILLED) {
            self.gauges.duplicates.add(1);
            return;
        }
        let (reserved, amount) = (claim.money(), notice.cost(price));
        let mut marks = Marks::BILLED;
        if price > claim.price {
            self.gauges.disputes.add(1);
            marks = marks.and(Marks::DISPUTED);
        }
        // A final loss gave the money back; a bill after it is paid all the same, outside the lease's account. So is one
        // that a ledger restored from an old copy no longer covers.
        let covered = self.books.lease(claim.lease).is_some_and(|lease| lease.charge() >= reserved.max(amount));
        if known.any(Marks::FREED) || !covered {
            self.gauges.excess_bills.add(1);
            marks = marks.and(Marks::EXCESS);
        }
        self.append(
            now,
            Record::Billed {
                reservation: claim.reservation,
                lease: claim.lease,
                campaign: claim.campaign,
                bid: claim.bid,
                price,
                amount,
                expires: claim.expires,
                wall: now.wall,
                marks,
            },
        );
        self.gauges.bills.add(1);
        self.gauges.spend_micros.add(amount.0 as u64);
        self.sale(notice, |sales| {
            sales.wins.add(u64::from(!known.any(Marks::WON)));
            sales.billed(amount);
        });
        if !marks.any(Marks::EXCESS)
            && let Some(holds) = self.holds.get_mut(&claim.lease)
        {
            holds.settle(minute(claim.expires), reserved, amount);
            let slot = holds.slot;
            self.check_lease(claim.lease);
            self.gauges.set_spend(slot, self.books.day(claim.campaign, self.day).settled);
        }
        if claim.user != UserKey::NOBODY {
            let day = now.wall.day();
            self.broadcast(Order::Counted { user: claim.user, campaign: claim.campaign, day });
        }
    }
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
