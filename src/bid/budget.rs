//! Sub-leases: the money a bid core may promise without asking anyone.
//!
//! A core affords a price when its sub-lease holds the credit and is alive. A sub-lease dies on this core's own clock,
//! at the sooner of two times: the end of its budget day, and the last renewal, which is one time for all sub-leases of
//! the core. So a tick costs one order, however many campaigns there are, and a core that hears nothing stops by itself.
//!
//! Affordability is asked as often as there are candidates and moves no money; the reservation is made once, for the
//! winner. It leaves the sub-lease at once and for good: what becomes of it is the reconciliation core's business.
//!
//! Beside the credit, which says how much, stands the allowance of a paced campaign, which says how fast. It is set anew each
//! tick and never added to; what it leaves is the reconciliation core's to give again. A campaign takes part in as many auctions
//! as its rate says, drawn anew for each, so that an allowance lasts until the next tick and its auctions are any.
//!
//! What one bid costs depends on the request: a screen counts for as many impressions as its multiplier says. A sub-lease
//! that is alive and too small for one bid would never be spent from and so never grow. The core says so, once for
//! each sub-lease and each higher price, and at most once a turn.

use crate::ring::message::{Event, Order, Participation};
use crate::units::{LeaseId, Micros, Nanos, Slot};

/// One campaign's money on this core: what is looked at for one offer is one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct SubLease {
    lease: LeaseId,
    credit: Micros,
    /// End of the lease's budget day.
    ends: Nanos,
    /// The dearest bid that was noted as beyond the credit.
    asked: Micros,
    /// [`Order::UNPACED`], less what was reserved since, where there is no pace.
    allowance: Micros,
    rate: Participation,
    chances: u32,
    taken: u32,
    /// The dearest bid since the last order that was beyond the allowance, micros; above 4,294 units of money, that.
    beyond: u32,
}

/// No lease, whose ids start at 1, and no pace.
const NONE: SubLease = SubLease {
    lease: LeaseId(0),
    credit: Micros::ZERO,
    ends: Nanos(0),
    asked: Micros::ZERO,
    allowance: Order::UNPACED,
    rate: Participation::ALWAYS,
    chances: 0,
    taken: 0,
    beyond: 0,
};
const _: () = assert!(size_of::<SubLease>() == 64);

impl SubLease {
    fn lacks(&mut self, price: Micros) {
        self.beyond = self.beyond.max(u32::try_from(price.0).unwrap_or(u32::MAX));
    }
}

/// No campaign spends this in the life of a process: an allowance above it is that of a campaign without a pace.
const PACED_BELOW: Micros = Micros(i64::MAX / 2);

/// All sub-leases of one core, by slot. Never grows.
#[derive(Debug)]
pub struct Leases {
    slots: Box<[SubLease]>,
    renewed_until: Nanos,
    /// What is to be reported.
    short: Option<Short>,
    /// How many campaigns have a pace.
    paced: u32,
    /// Another one for each auction.
    auction: u64,
}

/// A sub-lease that is alive and holds less than one bid would cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Short {
    slot: Slot,
    lease: LeaseId,
    wanted: Micros,
}

/// What a reservation was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "reserved money must be accounted for"]
pub struct Backing {
    /// The lease it is a claim on.
    pub lease: LeaseId,
    /// The bid must be submitted before this time.
    pub valid_until: Nanos,
}

/// Why a reservation was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No live sub-lease: none granted, its day has ended, or it was not renewed.
    Expired,
    /// The sub-lease is alive and holds less than the price.
    Credit,
    /// The allowance until the next tick is less than the price.
    Allowance,
}

/// What came by for a paced campaign; goes back as [`Event::Chances`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chances {
    /// Offers that asked.
    pub chances: u32,
    /// Those that were let through.
    pub taken: u32,
    /// The dearest that the allowance did not reach for.
    pub dearest: Micros,
}

/// What was left of a sub-lease that is no longer this core's; goes back as [`crate::ring::message::Event::Returned`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "credit that is not returned is lost until its lease ends"]
pub struct Remainder {
    /// The lease that granted it.
    pub lease: LeaseId,
    /// Not negative; may be nothing.
    pub credit: Micros,
}

impl Leases {
    /// Room for `slots` campaigns ([`crate::limits::SLOTS`]), none of them funded.
    pub fn new(slots: usize) -> Self {
        Self { slots: vec![NONE; slots].into_boxed_slice(), renewed_until: Nanos(0), short: None, paced: 0, auction: 0 }
    }

    /// Whether anything could be afforded at all.
    #[inline]
    pub fn fresh(&self, now: Nanos) -> bool {
        now < self.renewed_until
    }

    /// Whether any campaign has a pace. If so, another auction begins: its draws are new ones.
    #[inline]
    pub fn paces(&mut self) -> bool {
        self.auction = self.auction.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.paced != 0
    }

    /// Whether the campaign's pace lets it offer `price` in this auction. The answer is the same for all offers of an auction that
    /// the allowance reaches for.
    #[inline]
    pub fn takes_part(&mut self, slot: Slot, price: Micros) -> bool {
        let auction = self.auction;
        let Some(sub) = self.slots.get_mut(slot.0 as usize) else { return false };
        if sub.allowance > PACED_BELOW {
            return true;
        }
        sub.chances = sub.chances.saturating_add(1);
        if !sub.rate.admits(draw(auction, slot)) {
            return false;
        }
        if price > sub.allowance {
            sub.lacks(price);
            return false;
        }
        sub.taken = sub.taken.saturating_add(1);
        true
    }

    /// Notes that `price` is what a bid takes, and was more than the allowance.
    pub fn lacks_allowance(&mut self, slot: Slot, price: Micros) {
        if let Some(sub) = self.slots.get_mut(slot.0 as usize) {
            sub.lacks(price);
        }
    }

    /// Carries out [`Order::Pace`]; what came by under the last one. `None` if the slot had no pace.
    ///
    /// # Panics
    /// If the slot is out of range or the allowance negative: the reconciliation core gave out both.
    pub fn pace(&mut self, slot: Slot, rate: Participation, allowance: Micros) -> Option<Chances> {
        assert!(allowance >= Micros::ZERO, "a negative allowance");
        let sub = &mut self.slots[slot.0 as usize];
        let came_by = Chances { chances: sub.chances, taken: sub.taken, dearest: Micros(i64::from(sub.beyond)) };
        let was = sub.allowance <= PACED_BELOW;
        let is = allowance <= PACED_BELOW;
        self.paced = self.paced - u32::from(was) + u32::from(is);
        *sub = SubLease { allowance, rate, chances: 0, taken: 0, beyond: 0, ..*sub };
        was.then_some(came_by)
    }

    /// Whether the campaign could pay `price` now. Moves no money; if only credit is missing, [`Leases::report`] says so.
    #[inline]
    pub fn affords(&mut self, slot: Slot, price: Micros, now: Nanos) -> bool {
        let Some(sub) = self.slots.get_mut(slot.0 as usize) else { return false };
        if now >= sub.ends || now >= self.renewed_until {
            return false;
        }
        if price > sub.credit && price > sub.asked && self.short.is_none_or(|short| short.slot == slot) {
            sub.asked = price;
            self.short = Some(Short { slot, lease: sub.lease, wanted: price });
        }
        price <= sub.credit
    }

    /// Sends what was found short since the last call: at most one event. What `send` refuses is kept for the next call.
    #[inline]
    pub fn report(&mut self, send: impl FnOnce(Event) -> bool) {
        let Some(Short { slot, lease, wanted }) = self.short else { return };
        // A sub-lease that has gone meanwhile is asked for anew if it comes back.
        let held = self.slots[slot.0 as usize].lease == lease;
        if !held || send(Event::Short { slot, lease, wanted }) {
            self.short = None;
        }
    }

    /// Takes `price` out of the campaign's sub-lease, for a bid that must leave before [`Backing::valid_until`].
    ///
    /// # Errors
    /// [`Refusal`]; the sub-lease is as it was.
    ///
    /// # Panics
    /// If the price is not positive.
    #[inline]
    pub fn reserve(&mut self, slot: Slot, price: Micros, now: Nanos) -> Result<Backing, Refusal> {
        assert!(price > Micros::ZERO, "a reservation of nothing");
        let sub = self.slots.get_mut(slot.0 as usize).ok_or(Refusal::Expired)?;
        let valid_until = sub.ends.min(self.renewed_until);
        if now >= valid_until {
            return Err(Refusal::Expired);
        }
        if price > sub.credit {
            return Err(Refusal::Credit);
        }
        if price > sub.allowance {
            return Err(Refusal::Allowance);
        }
        sub.credit = sub.credit.minus(price);
        sub.allowance = sub.allowance.minus(price);
        assert!(sub.credit >= Micros::ZERO, "a sub-lease below nothing");
        Ok(Backing { lease: sub.lease, valid_until })
    }

    /// Puts back a reservation of which no event was sent: no bid left, and nobody was told of one.
    ///
    /// # Panics
    /// If the slot's lease is another by now: within one turn of the loop no order is read.
    pub fn cancel(&mut self, slot: Slot, backing: Backing, price: Micros) {
        let sub = &mut self.slots[slot.0 as usize];
        assert_eq!(sub.lease, backing.lease, "a reservation outlived its sub-lease");
        sub.credit = sub.credit.plus(price);
        sub.allowance = sub.allowance.plus(price);
    }

    /// Adds `credit` under `lease`, which ends with its day at `ends`. If the slot held another lease, what was left of
    /// that one comes back.
    ///
    /// # Panics
    /// If the slot is out of range or the credit negative: the reconciliation core gave out both.
    pub fn grant(&mut self, slot: Slot, lease: LeaseId, credit: Micros, ends: Nanos) -> Option<Remainder> {
        assert!(credit >= Micros::ZERO, "a negative grant");
        let sub = &mut self.slots[slot.0 as usize];
        let old = if sub.lease == lease { None } else { take(sub) };
        *sub = SubLease { lease, credit: sub.credit.plus(credit), ends, ..*sub };
        old
    }

    /// All sub-leases live until `until`, none longer; an earlier time than before shortens them.
    pub fn renew(&mut self, until: Nanos) {
        self.renewed_until = until;
    }

    /// Takes the campaign's sub-lease away. `None` if there was none.
    pub fn revoke(&mut self, slot: Slot) -> Option<Remainder> {
        self.slots.get_mut(slot.0 as usize).and_then(take)
    }
}

fn take(sub: &mut SubLease) -> Option<Remainder> {
    // The pace is the campaign's, not the lease's.
    let none = SubLease { allowance: sub.allowance, rate: sub.rate, ..NONE };
    let none = SubLease { chances: sub.chances, taken: sub.taken, beyond: sub.beyond, ..none };
    let old = std::mem::replace(sub, none);
    (old.lease != NONE.lease).then_some(Remainder { lease: old.lease, credit: old.credit })
}

/// Random bits for a campaign in an auction: the finish of MurmurHash3 (fmix64), in which every bit of the input changes each of
/// the output with an even chance.
#[inline]
fn draw(auction: u64, slot: Slot) -> u32 {
    let mut bits = auction ^ u64::from(slot.0) << 32;
    bits = (bits ^ bits >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits = (bits ^ bits >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (bits >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[derive(Clone, Debug)]
    enum Step {
        Grant { slot: u32, lease: u64, credit: i64, ends: u64 },
        Renew { until: u64 },
        Revoke { slot: u32 },
        Reserve { slot: u32, price: i64, cancel: bool },
        Pass { time: u64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..3u32, 1..4u64, 0..1_000i64, 1..500u64).prop_map(|(slot, lease, credit, ends)| Step::Grant {
                slot,
                lease,
                credit,
                ends
            }),
            (0..400u64).prop_map(|until| Step::Renew { until }),
            (0..4u32).prop_map(|slot| Step::Revoke { slot }),
            (0..4u32, 1..600i64, any::<bool>()).prop_map(|(slot, price, cancel)| Step::Reserve { slot, price, cancel }),
            (0..40u64).prop_map(|time| Step::Pass { time }),
        ]
    }

    proptest! {
        /// Against a ledger that keeps every movement and adds them all up for each question.
        #[test]
        fn a_naive_ledger_agrees(steps in prop::collection::vec(step(), 1..200)) {
            let mut leases = Leases::new(3);
            let mut moved: Vec<(u32, u64, i64)> = Vec::new();
            let mut held: HashMap<u32, (u64, u64)> = HashMap::new();
            // By slot: the dearest price that was reported since the sub-lease came.
            let mut told: HashMap<u32, i64> = HashMap::new();
            let (mut now, mut until) = (0u64, 0u64);
            let credit = |moved: &[(u32, u64, i64)], slot: u32, lease: u64| -> i64 {
                moved.iter().filter(|m| (m.0, m.1) == (slot, lease)).map(|m| m.2).sum()
            };
            for step in steps {
                let mut short = None;
                match step {
                    Step::Pass { time } => now += time,
                    Step::Renew { until: time } => {
                        until = now + time;
                        leases.renew(Nanos(until));
                    }
                    Step::Grant { slot, lease, credit: added, ends } => {
                        let expected = match held.get(&slot) {
                            Some(&(old, _)) if old != lease => {
                                let left = credit(&moved, slot, old);
                                moved.push((slot, old, -left));
                                told.remove(&slot);
                                Some(Remainder { lease: LeaseId(old), credit: Micros(left) })
                            }
                            _ => None,
                        };
                        held.insert(slot, (lease, now + ends));
                        moved.push((slot, lease, added));
                        let got = leases.grant(Slot(slot), LeaseId(lease), Micros(added), Nanos(now + ends));
                        prop_assert_eq!(got, expected);
                    }
                    Step::Revoke { slot } => {
                        told.remove(&slot);
                        let expected = held.remove(&slot).map(|(lease, _)| {
                            let left = credit(&moved, slot, lease);
                            moved.push((slot, lease, -left));
                            Remainder { lease: LeaseId(lease), credit: Micros(left) }
                        });
                        prop_assert_eq!(leases.revoke(Slot(slot)), expected);
                    }
                    Step::Reserve { slot, price, cancel } => {
                        let alive = held.get(&slot).filter(|(_, ends)| now < *ends && now < until);
                        let expected = match alive {
                            None => Err(Refusal::Expired),
                            Some(&(lease, _)) if credit(&moved, slot, lease) < price => Err(Refusal::Credit),
                            Some(&(lease, ends)) => {
                                Ok(Backing { lease: LeaseId(lease), valid_until: Nanos(ends.min(until)) })
                            }
                        };
                        prop_assert_eq!(leases.affords(Slot(slot), Micros(price), Nanos(now)), expected.is_ok());
                        if expected == Err(Refusal::Credit) && told.get(&slot).is_none_or(|told| price > *told) {
                            told.insert(slot, price);
                            let lease = LeaseId(held[&slot].0);
                            short = Some(Event::Short { slot: Slot(slot), lease, wanted: Micros(price) });
                        }
                        let got = leases.reserve(Slot(slot), Micros(price), Nanos(now));
                        prop_assert_eq!(got, expected);
                        match got {
                            Ok(backing) if cancel => leases.cancel(Slot(slot), backing, Micros(price)),
                            Ok(backing) => moved.push((slot, backing.lease.0, -price)),
                            Err(_) => {}
                        }
                    }
                }
                prop_assert_eq!(leases.fresh(Nanos(now)), now < until);
                let mut reported = None;
                leases.report(|event| reported.replace(event).is_none());
                prop_assert_eq!(reported, short);
            }
        }
    }

    proptest! {
        /// Against a purse that is set, and reservations taken out of it one by one.
        #[test]
        fn an_allowance_is_what_was_set_last(
            steps in prop::collection::vec((0..3u32, 1..200i64, 0..500i64, 0..10u8), 1..200),
        ) {
            let mut leases = Leases::new(3);
            leases.renew(Nanos::NEVER);
            let mut left = [None::<i64>; 3];
            let mut asked = [(0u32, 0u32, 0i64); 3];
            for slot in 0..3 {
                prop_assert!(leases.grant(Slot(slot), LeaseId(1), Micros(1 << 40), Nanos::NEVER).is_none());
            }
            for (slot, price, allowance, what) in steps {
                let (at, price) = (slot as usize, Micros(price));
                match what {
                    0 => {
                        let before = leases.pace(Slot(slot), Participation::ALWAYS, Micros(allowance));
                        let (chances, taken, dearest) = std::mem::take(&mut asked[at]);
                        let told = Chances { chances, taken, dearest: Micros(dearest) };
                        prop_assert_eq!(before, left[at].map(|_| told));
                        left[at] = Some(allowance);
                    }
                    1 => {
                        let before = leases.pace(Slot(slot), Participation::ALWAYS, Order::UNPACED);
                        prop_assert_eq!(before.is_some(), left[at].is_some());
                        (left[at], asked[at]) = (None, (0, 0, 0));
                    }
                    // The pace is the campaign's: credit that comes and goes leaves it as it is.
                    2 => {
                        prop_assert!(leases.revoke(Slot(slot)).is_some());
                        prop_assert!(leases.grant(Slot(slot), LeaseId(2), Micros(1 << 40), Nanos::NEVER).is_none());
                    }
                    _ => {
                        prop_assert_eq!(leases.paces(), left.iter().any(Option::is_some));
                        let may = left[at].is_none_or(|left| price.0 <= left);
                        prop_assert_eq!(leases.takes_part(Slot(slot), price), may);
                        if left[at].is_some() {
                            let (chances, taken, dearest) = &mut asked[at];
                            (*chances, *taken) = (*chances + 1, *taken + u32::from(may));
                            *dearest = if may { *dearest } else { price.0.max(*dearest) };
                        }
                        match leases.reserve(Slot(slot), price, Nanos(0)) {
                            Ok(backing) if what == 3 => leases.cancel(Slot(slot), backing, price),
                            Ok(_) => left[at] = left[at].map(|left| left - price.0),
                            Err(refusal) => prop_assert_eq!(refusal, Refusal::Allowance),
                        }
                        prop_assert!(left[at].is_none_or(|left| left >= 0));
                    }
                }
            }
        }

        /// Each campaign by itself, and all offers of one auction alike.
        #[test]
        fn a_rate_is_the_part_of_the_auctions(part in 0..=100i64, first in 0..1000u32) {
            let slots = [Slot(first), Slot(first + 1)];
            let mut leases = Leases::new(1001);
            for slot in slots {
                leases.pace(slot, Participation::of(Micros(part), Micros(100)), Micros(1 << 40));
            }
            let (mut each, mut both) = ([0i64; 2], 0);
            for _ in 0..20_000 {
                prop_assert!(leases.paces());
                let drawn = slots.map(|slot| leases.takes_part(slot, Micros(1)));
                prop_assert_eq!(slots.map(|slot| leases.takes_part(slot, Micros(2))), drawn);
                (each[0], each[1]) = (each[0] + i64::from(drawn[0]), each[1] + i64::from(drawn[1]));
                both += i64::from(drawn[0] && drawn[1]);
            }
            // Five standard deviations of 20,000 draws are 354.
            prop_assert!(each.iter().all(|drawn| (drawn - part * 200).abs() < 354), "{each:?}");
            prop_assert!((both - part * part * 2).abs() < 354, "{both}");
        }
    }

    /// What a full ring refuses is said when there is room; not of a sub-lease that is gone by then.
    #[test]
    fn a_report_waits_for_room() {
        let (slot, lease, now) = (Slot(1), LeaseId(7), Nanos(0));
        let short = |wanted| Some(Event::Short { slot, lease, wanted: Micros(wanted) });
        let mut leases = Leases::new(2);
        leases.renew(Nanos::NEVER);
        assert_eq!(leases.grant(slot, lease, Micros(10), Nanos::NEVER), None);
        assert_eq!(leases.grant(Slot(0), lease, Micros(10), Nanos::NEVER), None);
        let report = |leases: &mut Leases, room: bool| {
            let mut said = None;
            leases.report(|event| room && said.replace(event).is_none());
            said
        };
        // The dearest of a slot; another slot's comes when it asks again.
        for (slot, price) in [(slot, 11), (slot, 30), (slot, 20), (Slot(0), 40)] {
            assert!(!leases.affords(slot, Micros(price), now));
        }
        assert_eq!(report(&mut leases, false), None);
        assert_eq!([report(&mut leases, true), report(&mut leases, true)], [short(30), None]);
        assert!(!leases.affords(Slot(0), Micros(40), now) && !leases.affords(slot, Micros(50), now));
        assert_eq!(leases.revoke(Slot(0)), Some(Remainder { lease, credit: Micros(10) }));
        assert_eq!(report(&mut leases, true), None);
        assert!(!leases.affords(slot, Micros(50), now) && !leases.affords(slot, Micros(30), now));
        assert_eq!(report(&mut leases, true), short(50));
        // A grant that does not reach is no reason to say it again.
        assert_eq!(leases.grant(slot, lease, Micros(5), Nanos::NEVER), None);
        assert!(!leases.affords(slot, Micros(50), now));
        assert_eq!(report(&mut leases, true), None);
    }

    #[test]
    #[should_panic(expected = "a reservation of nothing")]
    fn a_free_bid_is_not_a_reservation() {
        let mut leases = Leases::new(1);
        let _ = leases.reserve(Slot(0), Micros(0), Nanos(0));
    }
}
