//! What became of bids whose price is to be learnt from.
//!
//! A bid is watched from when it is made until it is judged: at the same age for all of an exchange, whatever was heard of it when. If
//! wins counted when they are heard and losses when nothing was heard for long enough, what is learnt from in between would be wins
//! alone. What is heard after that is counted, and learnt from no more.

use std::collections::{HashMap, VecDeque};
use std::sync::OnceLock;

use crate::limits;
use crate::metrics::counter::Counter;
use crate::reconcile::gauges::Gauges;
use crate::ring::message::{Ended, Order, Shaded, Told};
use crate::shading::Arm;
use crate::shading::evidence::Seen;
use crate::shading::learn::Learner;
use crate::units::{CpmMicros, ExchangeId, Nanos, Now, ReservationId};

/// How one exchange is learnt from.
#[derive(Clone, Debug)]
pub struct Lessons {
    /// Its name.
    pub name: Box<str>,
    /// How its bids are shaded.
    pub arm: Arm,
    /// The age at which a bid is judged, ns.
    pub judged_ns: u64,
    /// Whether a bid of which nothing was heard by then is a lost one. If not, nothing is learnt from it.
    pub silence_is_loss: bool,
}

/// A bid that is watched.
#[derive(Clone, Copy, Debug)]
struct Watched {
    shaded: Shaded,
    since: Nanos,
    heard: Option<Ended>,
    to_win: Option<CpmMicros>,
}

/// The bids of one exchange.
#[derive(Debug, Default)]
struct Watch {
    judged_ns: u64,
    silence_is_loss: bool,
    bids: VecDeque<Watched>,
    /// The place of the first among all that were ever watched.
    first: u64,
    places: HashMap<ReservationId, u64>,
}

impl Watch {
    fn of(&mut self, reservation: ReservationId) -> Option<&mut Watched> {
        let place = self.places.get(&reservation)?.checked_sub(self.first)?;
        self.bids.get_mut(usize::try_from(place).ok()?)
    }

    /// The oldest bid, if it is old enough.
    fn judge(&mut self, now: Nanos) -> Option<Watched> {
        let bid = self.bids.pop_front_if(|bid| now.since(bid.since) >= self.judged_ns)?;
        self.first += 1;
        self.places.remove(&bid.shaded.reservation);
        Some(bid)
    }
}

/// Learns prices from what becomes of bids.
#[derive(Debug, Default)]
pub(super) struct Shading {
    learner: Learner,
    /// By exchange.
    watches: Vec<Watch>,
}

impl Shading {
    pub(super) fn new(lessons: &[Lessons], gauges: &Gauges) -> Shading {
        let arms: Vec<Arm> = lessons.iter().map(|lesson| lesson.arm).collect();
        gauges.prices.name(lessons);
        let watch = |lesson: &Lessons| Watch {
            judged_ns: lesson.judged_ns,
            silence_is_loss: lesson.silence_is_loss,
            ..Watch::default()
        };
        Shading { learner: Learner::new(&arms), watches: lessons.iter().map(watch).collect() }
    }

    /// A bid was made.
    pub(super) fn made(&mut self, now: Now, shaded: Shaded, gauges: &Gauges) {
        let exchange = usize::from(shaded.cell.exchange.0);
        let Some(watch) = self.watches.get_mut(exchange) else { return };
        if watch.bids.len() == limits::SHADED_BIDS {
            gauges.shading_unwatched.add(1);
            return;
        }
        let place = watch.first + watch.bids.len() as u64;
        if watch.places.insert(shaded.reservation, place).is_none() {
            watch.bids.push_back(Watched { shaded, since: now.boot, heard: None, to_win: None });
        }
    }

    /// A notice said what became of one. A win is believed whatever else is said; the first price that is told stands.
    pub(super) fn told(&mut self, told: Told, gauges: &Gauges) {
        let watch = self.watches.get_mut(usize::from(told.exchange.0));
        let Some(bid) = watch.and_then(|watch| watch.of(told.reservation)) else {
            gauges.shading_missed.add(1);
            return;
        };
        if bid.heard != Some(Ended::Won) {
            bid.heard = Some(told.ended);
        }
        bid.to_win = bid.to_win.or(told.to_win);
    }

    /// Judges what is old enough, and fits some of what has changed. Both are bounded.
    pub(super) fn tick(&mut self, now: Now, gauges: &Gauges, mut send: impl FnMut(Order)) {
        let Shading { learner, watches } = self;
        let mut most = limits::SHADING_JUDGED;
        for watch in watches {
            while most > 0
                && let Some(bid) = watch.judge(now.boot)
            {
                most -= 1;
                if let Some(seen) = judged(&bid, watch.silence_is_loss, gauges) {
                    learner.see(now.boot, bid.shaded.cell, &seen);
                }
            }
        }
        learner.fit(now.boot, limits::SHADING_FITS, |cell, curve| {
            gauges.shading_fits.add(1);
            if cell.placement().is_none() {
                gauges.prices.set(cell.exchange, |chance| curve.reaching(chance));
            }
            send(Order::Curve { cell, curve });
        });
        gauges.shading_cells.set(learner.cells() as u64);
    }
}

/// What is learnt from a bid; nothing where it was not about the price.
fn judged(bid: &Watched, silence_is_loss: bool, gauges: &Gauges) -> Option<Seen> {
    let won = match bid.heard {
        Some(Ended::Won) => {
            gauges.shading_won.add(1);
            true
        }
        Some(Ended::Outbid) => {
            gauges.shading_outbid.add(1);
            false
        }
        Some(Ended::Void) => {
            gauges.shading_void.add(1);
            return None;
        }
        None => {
            gauges.shading_silent.add(1);
            if !silence_is_loss {
                return None;
            }
            false
        }
    };
    // A price to win that does not go with what became of the bid is not believed.
    let to_win = bid.to_win.filter(|price| (*price <= bid.shaded.bid) == won);
    gauges.shading_told.add(u64::from(to_win.is_some()));
    Some(Seen { bid: bid.shaded.bid, won, to_win })
}

/// For each exchange that is learnt from, the bids that win a quarter, half and three quarters of its auctions. One writer, relaxed
/// stores.
#[derive(Debug, Default)]
pub struct Prices(OnceLock<Box<[Price]>>);

/// Of one exchange.
#[derive(Debug)]
pub struct Price {
    /// Its name.
    pub name: Box<str>,
    /// Whether anything is learnt.
    pub arm: Arm,
    /// CPM micros, by [`CHANCES`]; 0 until something is learnt.
    pub reaching: [Counter; CHANCES.len()],
}

/// The chances whose prices are shown.
pub const CHANCES: [f64; 3] = [0.25, 0.5, 0.75];

impl Prices {
    fn name(&self, lessons: &[Lessons]) {
        let of = |lesson: &Lessons| Price { name: lesson.name.clone(), arm: lesson.arm, reaching: Default::default() };
        // Told once.
        let _ = self.0.set(lessons.iter().map(of).collect());
    }

    fn set(&self, exchange: ExchangeId, reaching: impl Fn(f64) -> CpmMicros) {
        if let Some(price) = self.0.get().and_then(|prices| prices.get(usize::from(exchange.0))) {
            for (gauge, chance) in price.reaching.iter().zip(CHANCES) {
                gauge.set(reaching(chance).0.max(0).cast_unsigned());
            }
        }
    }

    /// Of the exchanges that are learnt from.
    pub fn all(&self) -> impl Iterator<Item = &Price> {
        self.0.get().into_iter().flatten().filter(|price| price.arm != Arm::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shading::cell::{Cell, Placement};
    use crate::units::UnixMillis;

    const JUDGED: u64 = 60 * Nanos::SECOND;

    fn now(ns: u64) -> Now {
        Now { boot: Nanos(ns), wall: UnixMillis(0) }
    }

    fn shaded(reservation: u64) -> Shaded {
        let cell = Cell::new(ExchangeId(0), Placement::Native, 7);
        Shaded { reservation: ReservationId(reservation), cell, bid: CpmMicros(1_000_000) }
    }

    fn told(reservation: u64, ended: Ended, to_win: Option<i64>) -> Told {
        let (reservation, exchange) = (ReservationId(reservation), ExchangeId(0));
        Told { reservation, exchange, ended, to_win: to_win.map(CpmMicros) }
    }

    fn learning(silence_is_loss: bool) -> (Shading, Gauges) {
        let gauges = Gauges::new(0);
        let lesson = Lessons { name: "x".into(), arm: Arm::LogNormal, judged_ns: JUDGED, silence_is_loss };
        (Shading::new(&[lesson], &gauges), gauges)
    }

    #[test]
    fn bids_are_judged_at_one_age_by_all_that_was_heard_till_then() {
        for silence_is_loss in [true, false] {
            let (mut shading, gauges) = learning(silence_is_loss);
            (0..6).for_each(|bid| shading.made(now(bid), shaded(bid), &gauges));
            shading.told(told(0, Ended::Won, None), &gauges);
            // A loss after a win is none, and a price that the bid would have reached does not go with a loss.
            shading.told(told(0, Ended::Outbid, Some(900_000)), &gauges);
            shading.told(told(1, Ended::Outbid, Some(900_000)), &gauges);
            shading.told(told(2, Ended::Outbid, Some(1_100_000)), &gauges);
            shading.told(told(3, Ended::Void, Some(1_100_000)), &gauges);
            shading.tick(now(JUDGED - 1), &gauges, |_| {});
            let counts = |gauges: &Gauges| {
                [&gauges.shading_won, &gauges.shading_outbid, &gauges.shading_void, &gauges.shading_silent]
                    .map(Counter::get)
            };
            assert_eq!(counts(&gauges), [0; 4], "all are too young");
            shading.tick(now(JUDGED + 4), &gauges, |_| {});
            assert_eq!((counts(&gauges), gauges.shading_told.get()), ([1, 2, 1, 1], 2));
            shading.told(told(0, Ended::Won, None), &gauges);
            assert_eq!(gauges.shading_missed.get(), 1, "it is judged");
            shading.told(told(5, Ended::Won, None), &gauges);
            shading.tick(now(JUDGED + 5), &gauges, |_| {});
            assert_eq!(counts(&gauges), [2, 2, 1, 1]);
            assert_eq!((gauges.shading_cells.get(), shading.watches[0].places.len()), (3, 0));
            let seen: f64 = if silence_is_loss { 5.0 } else { 4.0 };
            assert!((shading.learner.weight(Cell::at(ExchangeId(0), 0).unwrap()) - seen).abs() < 1e-9);
        }
    }

    #[test]
    fn what_is_watched_is_bounded_and_curves_are_sent() {
        let (mut shading, gauges) = learning(true);
        let most = limits::SHADED_BIDS as u64;
        (0..most + 3).for_each(|bid| shading.made(now(bid), shaded(bid), &gauges));
        assert_eq!((gauges.shading_unwatched.get(), shading.watches[0].bids.len() as u64), (3, most));
        let mut orders = Vec::new();
        shading.tick(now(2 * JUDGED), &gauges, |order| orders.push(order));
        assert_eq!(gauges.shading_silent.get(), most);
        assert_eq!(orders.len(), 3, "an hour, its place and the exchange");
        assert!(orders.iter().all(|order| matches!(order, Order::Curve { .. })));
        // All were lost: what wins half is above what was bid.
        assert!(gauges.prices.all().next().unwrap().reaching[1].get() > 1_000_000);
        // Of an exchange that nobody told of.
        let other = Shaded { cell: Cell::at(ExchangeId(7), 0).unwrap(), ..shaded(1) };
        shading.made(now(0), other, &gauges);
        shading.told(Told { exchange: ExchangeId(7), ..told(1, Ended::Won, None) }, &gauges);
        assert_eq!(gauges.shading_missed.get(), 1);
    }
}
