//! The node's side of one lease: where its granted money is.
//!
//! ```text
//! charge at the authority  =  out (on the cores)  +  held (for reservations)  +  free (back here)  -  ahead
//!
//!     held  <=  silent (reserved, unheard)  +  won (known to be won, not billed)
//! ```
//!
//! In strict mode what is held is all that the reservations could cost. In quantile mode it is that for those that are won,
//! and for the silent ones together what they will cost but for one time in a million. The rest is free to lend again; when
//! more is billed than is held, the lease falls short, and says by how much.
//!
//! Reservations are sums, not one entry each: what a settlement needs to know of one comes back in the signed notice URL.
//! Silent ones are summed by exchange and time of expiry, in 5 s while they are young, when each second counts, and by the
//! minute when they have been silent for one. So a lease has at most 14 sums of young reservations, and one for each minute of
//! H2 and of epsilon, for each exchange it bids at (48 bytes each); one without bids has none.

use crate::reconcile::Mode;
use crate::reconcile::silence::Silence;
use crate::reconcile::silence::quantile::{self, Bids};
use crate::units::{ExchangeKey, Micros, Nanos, UnixMillis};

/// What was known of a reservation before it was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing had been heard of it.
    Silent,
    /// It was won: [`Holds::win`].
    Won,
}

/// A reservation, as its claim or the core that made it has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reservation {
    /// Where the bid was made.
    pub(super) exchange: ExchangeKey,
    /// H2: until when a bill is accepted.
    pub(super) expires: UnixMillis,
    /// What it could cost.
    pub(super) price: Micros,
}

/// Silent reservations at one exchange that expire in the same 5 s or, once merged, within one minute.
#[derive(Clone, Copy, Debug)]
struct Cohort {
    exchange: ExchangeKey,
    /// From and up to, without it, in units of [`FINE_MS`].
    from: u32,
    to: u32,
    /// No price was higher.
    most: Micros,
    /// Below zero while a bill has overtaken its reservation on another core's ring.
    sum: Micros,
    /// When its first and last reservations were heard of. By the boot clock: the wall clock may be set.
    first: Nanos,
    last: Nanos,
}

/// The width of a young cohort, ms.
const FINE_MS: u64 = 5_000;
/// Young cohorts of a minute.
const FINE_PER_MINUTE: u32 = 12;
/// The age at which cohorts of a minute become one, ns.
const OLD_NS: u64 = 60 * Nanos::SECOND;
/// Prices this far apart are not counted as the dearest.
const ALIKE: f64 = 1.25;

impl Cohort {
    fn minute(&self) -> u64 {
        u64::from(self.from / FINE_PER_MINUTE)
    }

    /// Ages of its reservations, ms.
    fn ages(&self, now: Nanos) -> (u64, u64) {
        (now.since(self.last) / Nanos::MS, now.since(self.first) / Nanos::MS)
    }

    /// Its part of [`Holds::silent`], and of [`Holds::ahead`].
    fn parts(&self) -> (Micros, Micros) {
        (self.sum.max(Micros::ZERO), Micros((-self.sum.0).max(0)))
    }
}

/// Where a lease's money is.
#[derive(Clone, Debug, Default)]
pub(super) struct Holds {
    /// The campaign's mode. May change; the next [`Holds::revalue`] follows.
    pub(super) mode: Mode,
    /// Credit on all cores.
    pub(super) out: Micros,
    /// Credit that is nobody's: to be granted again, or released. Below zero only while later silence makes up for a bill
    /// of a reservation that was never made.
    pub(super) free: Micros,
    /// For the reservations, all together.
    held: Micros,
    /// Sums of `cohorts` above zero.
    silent: Micros,
    /// Sums of `cohorts` below zero: credit that still counts as on the cores, and is reserved on its way here.
    ahead: Micros,
    /// Sum of `wins`.
    won: Micros,
    /// By exchange, then time.
    cohorts: Vec<Cohort>,
    /// Minute of expiry, and what is won and not billed. Oldest first.
    wins: Vec<(u64, Micros)>,
}

impl Holds {
    /// Nothing granted yet.
    pub(super) fn new(mode: Mode) -> Self {
        Self { mode, ..Self::default() }
    }

    /// Everything the authority charges for this lease.
    pub(super) fn charge(&self) -> Micros {
        self.out.plus(self.free).plus(self.held).minus(self.ahead)
    }

    /// What is held for reservations.
    pub(super) fn held(&self) -> Micros {
        self.held
    }

    /// What the silent reservations at one exchange could cost.
    pub(super) fn silent_at(&self, exchange: ExchangeKey) -> Micros {
        let cohorts = self.cohorts.iter().filter(|cohort| cohort.exchange == exchange);
        cohorts.fold(Micros::ZERO, |sum, cohort| sum.plus(cohort.parts().0))
    }

    /// What could be billed under this lease if every bid were, those included that the cores can still make.
    pub(super) fn exposed(&self) -> Micros {
        Micros(self.out.minus(self.ahead).plus(self.silent).plus(self.won).0.max(0))
    }

    /// What is likely to be billed of the reservations, for pacing.
    pub(super) fn expected(&self, silence: &Silence, now: Nanos) -> Micros {
        let cohorts = self.cohorts.iter().filter(|cohort| cohort.sum > Micros::ZERO);
        let silent: f64 =
            cohorts.map(|cohort| silence.expected(cohort.exchange, cohort.ages(now).0) * cohort.sum.0 as f64).sum();
        self.won.plus(Micros(silent as i64).min(self.silent))
    }

    /// No reservation is silent or won: nothing changes by itself.
    pub(super) fn is_idle(&self) -> bool {
        self.cohorts.is_empty() && self.wins.is_empty()
    }

    /// A core made a reservation; if its minute was already released, so is this.
    pub(super) fn reserve(&mut self, now: Nanos, released_up_to: u64, reservation: &Reservation) {
        let price = reservation.price;
        self.take_from_cores(price);
        let is_released = reservation.expires.0 / 60_000 <= released_up_to;
        if is_released && self.find(reservation).is_err() {
            self.free = self.free.plus(price);
        } else {
            let (silent, _) = self.add(now, reservation, price);
            self.held = self.held.plus(silent);
        }
    }

    /// A core gave credit back.
    pub(super) fn give_back(&mut self, credit: Micros) {
        self.take_from_cores(credit);
        self.free = self.free.plus(credit);
    }

    /// A silent reservation was won: it counts in full from now on, and what silent ones together did not hold for it is taken
    /// from what is free, as far as there is any, so that it is not lent meanwhile.
    pub(super) fn win(&mut self, now: Nanos, reservation: &Reservation) {
        let (_, ahead) = self.add(now, reservation, Micros(-reservation.price.0));
        let minute = reservation.expires.0 / 60_000;
        let at = self.wins.partition_point(|(expiry, _)| *expiry < minute);
        match self.wins.get_mut(at) {
            Some((expiry, won)) if *expiry == minute => *won = won.plus(reservation.price),
            _ => self.wins.insert(at, (minute, reservation.price)),
        }
        self.won = self.won.plus(reservation.price);
        self.held = self.held.plus(ahead);
        let more = reservation.price.min(self.silent.plus(self.won).minus(self.held)).min(self.free).max(Micros::ZERO);
        self.held = self.held.plus(more);
        self.free = self.free.minus(more);
    }

    /// A reservation is over, and costs `amount`: 0 for one that was lost. What it held beyond that is free. Returns what the
    /// lease lacks to pay it: the charge went down by `amount` less that. Nothing in strict mode.
    #[must_use = "what a lease cannot pay has to come from the budget"]
    pub(super) fn settle(&mut self, now: Nanos, known: Known, reservation: &Reservation, amount: Micros) -> Micros {
        assert!(amount >= Micros::ZERO && amount <= reservation.price, "a bill beyond its reservation");
        let owed = self.free.min(Micros::ZERO);
        if known == Known::Silent || !self.take_win(reservation) {
            let (_, ahead) = self.add(now, reservation, Micros(-reservation.price.0));
            self.free = self.free.plus(ahead);
        }
        self.free_excess();
        self.free = self.free.minus(amount);
        let lacking = Micros(owed.minus(self.free).0.max(0));
        let from_held = lacking.min(self.held);
        self.held = self.held.minus(from_held);
        self.free = self.free.plus(lacking);
        lacking.minus(from_held)
    }

    /// Frees what was reserved up to and with `minute`. A sum below zero waits for the reservation that was overtaken; with
    /// no credit left on the cores there is none, and what was freed for it is taken back.
    pub(super) fn expire(&mut self, minute: u64) {
        let none_to_come = self.out == Micros::ZERO;
        let Self { cohorts, wins, silent, ahead, won, free, .. } = self;
        cohorts.retain(|cohort| {
            let expired = cohort.minute() <= minute && (cohort.sum >= Micros::ZERO || none_to_come);
            if expired {
                let (above, below) = cohort.parts();
                *silent = silent.minus(above);
                *ahead = ahead.minus(below);
                *free = free.minus(below);
            }
            !expired
        });
        wins.retain(|(expiry, held)| {
            let expired = *expiry <= minute;
            if expired {
                *won = won.minus(*held);
            }
            !expired
        });
        if cohorts.is_empty() {
            // A lease whose day is over keeps no room for bids.
            cohorts.shrink_to_fit();
        }
        self.free_excess();
    }

    /// Holds what the reservations have to by what is known now, with what is free if that is more. Returns what is lacking:
    /// it should be granted, and nothing be lent on this lease meanwhile.
    #[must_use = "what is lacking has to come from the budget"]
    pub(super) fn revalue(&mut self, silence: &Silence, now: Nanos) -> Micros {
        self.merge(now);
        let silent = match self.mode {
            Mode::Strict => self.silent,
            Mode::Quantile => self.quantile(silence, now),
        };
        let more = self.won.plus(silent).minus(self.held);
        let moved = more.min(self.free.max(Micros::ZERO));
        self.held = self.held.plus(moved);
        self.free = self.free.minus(moved);
        more.minus(moved)
    }

    /// What silent reservations have to hold in quantile mode.
    fn quantile(&self, silence: &Silence, now: Nanos) -> Micros {
        let mut bids: Vec<Bids> = Vec::new();
        for cohort in self.cohorts.iter().filter(|cohort| cohort.sum > Micros::ZERO) {
            let (youngest, oldest) = cohort.ages(now);
            let chance = silence.chance(cohort.exchange, youngest, oldest);
            let (sum, most) = (cohort.sum.0 as f64, cohort.most.0 as f64);
            // Of one exchange and age, mostly: fewer terms, each of the dearest price.
            match bids.last_mut() {
                Some(last)
                    if last.chance.total_cmp(&chance).is_eq() && last.most.max(most) <= ALIKE * last.most.min(most) =>
                {
                    last.sum += sum;
                    last.most = last.most.max(most);
                }
                _ => bids.push(Bids { chance, sum, most }),
            }
        }
        // The slack is for the rounding of the sums, which is far smaller.
        Micros((quantile::quantile(&bids) * (1.0 + 1e-9)).ceil() as i64).max(Micros::ZERO).min(self.silent)
    }

    fn take_from_cores(&mut self, amount: Micros) {
        self.out = self.out.minus(amount);
        assert!(amount >= Micros::ZERO && self.out >= Micros::ZERO, "a core spent what it was not granted");
    }

    /// What is held beyond what all reservations could cost is free.
    fn free_excess(&mut self) {
        let excess = Micros(self.held.minus(self.silent).minus(self.won).0.max(0));
        self.held = self.held.minus(excess);
        self.free = self.free.plus(excess);
    }

    /// Where a reservation's cohort is, or would be.
    fn find(&self, reservation: &Reservation) -> Result<usize, usize> {
        let unit = fine(reservation.expires);
        let after =
            self.cohorts.partition_point(|cohort| (cohort.exchange, cohort.from) <= (reservation.exchange, unit));
        match after.checked_sub(1).map(|at| &self.cohorts[at]) {
            Some(cohort) if cohort.exchange == reservation.exchange && unit < cohort.to => Ok(after - 1),
            _ => Err(after),
        }
    }

    /// Adds to a reservation's cohort. Returns by how much [`Holds::silent`] and [`Holds::ahead`] grew.
    fn add(&mut self, now: Nanos, reservation: &Reservation, amount: Micros) -> (Micros, Micros) {
        let at = self.find(reservation).unwrap_or_else(|at| {
            let (exchange, from) = (reservation.exchange, fine(reservation.expires));
            let (most, sum) = (Micros::ZERO, Micros::ZERO);
            self.cohorts.insert(at, Cohort { exchange, from, to: from + 1, most, sum, first: now, last: now });
            at
        });
        let cohort = &mut self.cohorts[at];
        let (silent, ahead) = cohort.parts();
        cohort.sum = cohort.sum.plus(amount);
        cohort.most = cohort.most.max(reservation.price);
        if amount > Micros::ZERO {
            cohort.last = cohort.last.max(now);
        }
        let (silent_then, ahead_then) = cohort.parts();
        if cohort.sum == Micros::ZERO {
            self.cohorts.remove(at);
        }
        let grew = (silent_then.minus(silent), ahead_then.minus(ahead));
        self.silent = self.silent.plus(grew.0);
        self.ahead = self.ahead.plus(grew.1);
        grew
    }

    /// Takes a reservation from those that are won, if it is there.
    fn take_win(&mut self, reservation: &Reservation) -> bool {
        let minute = reservation.expires.0 / 60_000;
        let Some(at) = self.wins.iter().position(|(expiry, won)| *expiry == minute && *won >= reservation.price) else {
            return false;
        };
        self.wins[at].1 = self.wins[at].1.minus(reservation.price);
        if self.wins[at].1 == Micros::ZERO {
            self.wins.remove(at);
        }
        self.won = self.won.minus(reservation.price);
        true
    }

    /// Makes one of neighbours that are old and of one minute. What they span is theirs alone, so a settlement finds them by
    /// its time of expiry.
    fn merge(&mut self, now: Nanos) {
        let is_old = |cohort: &Cohort| now.since(cohort.last) >= OLD_NS;
        let Self { cohorts, silent, ahead, .. } = self;
        cohorts.dedup_by(|next, kept| {
            let same = next.exchange == kept.exchange && next.minute() == kept.minute();
            // Sums of unlike sign would hide what was overtaken.
            let alike = (next.sum < Micros::ZERO) == (kept.sum < Micros::ZERO);
            let merged = same && alike && is_old(next) && is_old(kept);
            if merged {
                kept.to = next.to;
                kept.most = kept.most.max(next.most);
                kept.sum = kept.sum.plus(next.sum);
                kept.first = kept.first.min(next.first);
                kept.last = kept.last.max(next.last);
            }
            merged
        });
        let parts = || cohorts.iter().map(Cohort::parts);
        let sums =
            parts().fold((Micros::ZERO, Micros::ZERO), |sums, parts| (sums.0.plus(parts.0), sums.1.plus(parts.1)));
        assert_eq!(sums, (*silent, *ahead), "silent reservations do not add up");
    }
}

/// The 5 s a time falls in.
fn fine(time: UnixMillis) -> u32 {
    u32::try_from(time.0 / FINE_MS).unwrap_or(u32::MAX - 1)
}

#[cfg(test)]
mod tests;
