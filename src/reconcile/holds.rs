//! The node's side of one lease: where its granted money is.
//!
//! ```text
//! charge at the authority  =  out (on the cores)  +  silent (reserved, unheard)  +  free (back here)
//! ```
//!
//! Silent reservations are sums by the minute of their expiry, not one entry each: what a settlement needs to know of a
//! reservation comes back in the signed notice URL.

use std::collections::VecDeque;

use crate::units::{Micros, Slot};

/// Where a lease's money is.
#[derive(Clone, Debug, Default)]
pub(super) struct Holds {
    /// The campaign's slot.
    pub(super) slot: Slot,
    /// Credit on all cores.
    pub(super) out: Micros,
    /// Credit that is nobody's: to be granted again, or released. Below zero only while later silence makes up for a bill
    /// of a reservation that was never made.
    pub(super) free: Micros,
    /// Minute of expiry, and what its silent reservations hold. Oldest first. A sum is below zero while a bill has
    /// overtaken its reservation on another core's ring.
    silent: VecDeque<(u64, Micros)>,
}

impl Holds {
    /// Nothing granted yet.
    pub(super) fn new(slot: Slot) -> Self {
        Self { slot, ..Self::default() }
    }

    /// Everything the authority charges for this lease.
    pub(super) fn charge(&self) -> Micros {
        self.out.plus(self.free).plus(self.silent())
    }

    /// What silent reservations hold.
    pub(super) fn silent(&self) -> Micros {
        self.silent.iter().fold(Micros::ZERO, |sum, (_, held)| sum.plus(*held))
    }

    /// Nothing is on a core, reserved or free.
    pub(super) fn is_empty(&self) -> bool {
        self.out == Micros::ZERO && self.free == Micros::ZERO && self.silent.is_empty()
    }

    /// No reservation is silent: nothing changes by itself.
    pub(super) fn is_idle(&self) -> bool {
        self.silent.is_empty()
    }

    /// A core reserved `price` until some time in `minute`; if that minute was already released, so is this.
    pub(super) fn reserve(&mut self, minute: u64, released_up_to: u64, price: Micros) {
        self.take_from_cores(price);
        if minute <= released_up_to && !self.silent.iter().any(|(expiry, _)| *expiry == minute) {
            self.free = self.free.plus(price);
        } else {
            self.hold(minute, price);
        }
    }

    /// A core gave credit back.
    pub(super) fn give_back(&mut self, credit: Micros) {
        self.take_from_cores(credit);
        self.free = self.free.plus(credit);
    }

    /// A reservation of `price` was heard of and costs `amount`; the rest is free.
    pub(super) fn settle(&mut self, minute: u64, price: Micros, amount: Micros) {
        assert!(amount >= Micros::ZERO && amount <= price, "a bill beyond its reservation");
        self.hold(minute, Micros(-price.0));
        self.free = self.free.plus(price.minus(amount));
    }

    /// Frees what was silent up to and with `minute`. A sum below zero waits for the reservation that was overtaken; with
    /// no credit left on the cores there is none, and what was freed for it is taken back.
    pub(super) fn expire(&mut self, minute: u64) {
        let mut freed = Micros::ZERO;
        let none_to_come = self.out == Micros::ZERO;
        self.silent.retain(|(expiry, held)| {
            let expired = *expiry <= minute && (*held >= Micros::ZERO || none_to_come);
            if expired {
                freed = freed.plus(*held);
            }
            !expired
        });
        self.free = self.free.plus(freed);
    }

    fn take_from_cores(&mut self, amount: Micros) {
        self.out = self.out.minus(amount);
        assert!(amount >= Micros::ZERO && self.out >= Micros::ZERO, "a core spent what it was not granted");
    }

    fn hold(&mut self, minute: u64, price: Micros) {
        // Nearly always the newest minute.
        match self.silent.iter_mut().rev().find(|(expiry, _)| *expiry <= minute) {
            Some((expiry, held)) if *expiry == minute => *held = held.plus(price),
            _ => {
                let at = self.silent.partition_point(|(expiry, _)| *expiry < minute);
                self.silent.insert(at, (minute, price));
            }
        }
        self.silent.retain(|(_, held)| *held != Micros::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(amount: i64) -> Holds {
        Holds { out: Micros(amount), ..Holds::new(Slot(0)) }
    }

    #[test]
    fn silence_is_freed_by_the_minute() {
        let mut holds = granted(100);
        holds.reserve(5, 0, Micros(30));
        holds.reserve(6, 0, Micros(20));
        holds.expire(4);
        assert_eq!((holds.out, holds.silent(), holds.free), (Micros(50), Micros(50), Micros(0)));
        holds.expire(5);
        assert_eq!((holds.silent(), holds.free), (Micros(20), Micros(30)));
        assert_eq!(holds.charge(), Micros(100));
    }

    #[test]
    fn a_bill_may_overtake_its_reservation() {
        let mut holds = granted(100);
        holds.settle(5, Micros(30), Micros(10));
        assert_eq!((holds.charge(), holds.free), (Micros(90), Micros(20)));
        holds.expire(5);
        assert!(!holds.is_empty());
        holds.reserve(5, 5, Micros(30));
        assert_eq!((holds.charge(), holds.free, holds.silent()), (Micros(90), Micros(20), Micros(0)));
    }

    #[test]
    fn a_bill_of_a_reservation_that_was_never_made_frees_nothing() {
        let mut holds = granted(100);
        holds.settle(5, Micros(30), Micros(10));
        holds.give_back(Micros(100));
        assert_eq!((holds.charge(), holds.free), (Micros(90), Micros(120)));
        holds.expire(5);
        assert_eq!((holds.charge(), holds.free, holds.silent()), (Micros(90), Micros(90), Micros(0)));
    }

    #[test]
    fn a_reservation_heard_of_after_its_expiry_is_free_at_once() {
        let mut holds = granted(100);
        holds.reserve(5, 5, Micros(30));
        assert_eq!((holds.free, holds.silent()), (Micros(30), Micros(0)));
    }

    #[test]
    #[should_panic(expected = "a core spent what it was not granted")]
    fn a_core_cannot_spend_what_it_does_not_have() {
        granted(10).reserve(5, 0, Micros(11));
    }
}
