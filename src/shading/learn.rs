//! Learns the curves of all cells, with bounded memory and bounded work: what is seen counts in a cell, its kind of place and its
//! exchange; some cells are fitted a tick, each leaning on the one above it as long as it has seen little itself.

use std::collections::HashMap;

use crate::limits;
use crate::shading::Arm;
use crate::shading::cell::{Cell, Placement};
use crate::shading::curve::Curve;
use crate::shading::evidence::{Evidence, Seen};
use crate::shading::fit::fit;
use crate::units::{ExchangeId, Nanos};

/// After this, evidence of an exchange or a kind of place counts half, ns.
const HALF_LIFE: u64 = 6 * 3600 * Nanos::SECOND;
/// The same of an hour, which comes once a day, ns.
const HALF_LIFE_OF_HOURS: u64 = 48 * 3600 * Nanos::SECOND;
/// As how many bids of its own what a cell leans on counts at most.
const LEANING: f64 = 300.0;
/// Bids from which on a cell has a curve of its own.
const ENOUGH: f64 = 100.0;
/// A cell is fitted again when so many bids, and this share of all it has seen, are new.
const NEWS: f64 = 16.0;
/// See [`NEWS`].
const NEWS_SHARE: f64 = 1.0 / 64.0;

/// One cell.
#[derive(Debug)]
struct Place {
    cell: Cell,
    evidence: Evidence,
    /// Bids seen since it was fitted.
    news: f64,
}

/// All cells.
#[derive(Debug, Default)]
pub struct Learner {
    /// By exchange.
    arms: Vec<Arm>,
    places: Vec<Place>,
    of: HashMap<Cell, usize>,
    /// Which is looked at next.
    next: usize,
    /// What a fit is made from.
    scratch: Evidence,
    leaned: Evidence,
}

impl Learner {
    /// Nothing is learnt of exchanges without an arm.
    pub fn new(arms: &[Arm]) -> Learner {
        Learner { arms: arms.to_vec(), ..Learner::default() }
    }

    /// The arm of an exchange.
    pub fn arm(&self, exchange: ExchangeId) -> Arm {
        self.arms.get(usize::from(exchange.0)).copied().unwrap_or_default()
    }

    /// Cells there is evidence of.
    pub fn cells(&self) -> usize {
        self.places.len()
    }

    /// Bids that a cell has evidence of.
    pub fn weight(&self, cell: Cell) -> f64 {
        self.of.get(&cell).map_or(0.0, |at| self.places[*at].evidence.weight)
    }

    /// Counts a bid that ended.
    pub fn see(&mut self, now: Nanos, cell: Cell, seen: &Seen) {
        if self.arm(cell.exchange) == Arm::None {
            return;
        }
        let mut next = Some(cell);
        while let Some(cell) = next {
            if let Some(place) = self.place(now, cell) {
                place.evidence.see(seen);
                place.news += 1.0;
            }
            next = cell.parent();
        }
    }

    /// The place of a cell, made if there is none. Hours beyond the bound take that of the hour with the least evidence.
    fn place(&mut self, now: Nanos, cell: Cell) -> Option<&mut Place> {
        if let Some(&at) = self.of.get(&cell) {
            return self.places.get_mut(at);
        }
        let made = Place { cell, evidence: Evidence::new(now), news: 0.0 };
        let at = if self.places.len() < limits::SHADING_CELLS {
            self.places.push(made);
            self.places.len() - 1
        } else {
            let hours = self.places.iter().enumerate().filter(|(_, place)| place.cell.is_hour());
            let (at, _) = hours.min_by(|one, other| one.1.evidence.weight.total_cmp(&other.1.evidence.weight))?;
            let gone = std::mem::replace(&mut self.places[at], made);
            self.of.remove(&gone.cell);
            at
        };
        self.of.insert(cell, at);
        self.places.get_mut(at)
    }

    /// Fits up to `most` of the cells with news, and hands on what came out.
    pub fn fit(&mut self, now: Nanos, most: usize, mut hand_on: impl FnMut(Cell, Curve)) {
        let mut fitted = 0;
        for _ in 0..self.places.len() {
            if fitted == most {
                break;
            }
            self.next = (self.next + 1) % self.places.len();
            let at = self.next;
            if let Some(curve) = self.fitted(now, at) {
                fitted += 1;
                hand_on(self.places[at].cell, curve);
            }
        }
    }

    /// The curve of one cell, if it has news and has seen enough.
    fn fitted(&mut self, now: Nanos, at: usize) -> Option<Curve> {
        let Learner { places, of, scratch, leaned, .. } = self;
        let place = &mut places[at];
        if place.news < NEWS.max(NEWS_SHARE * place.evidence.weight) {
            return None;
        }
        place.evidence.age(now, if place.cell.is_hour() { HALF_LIFE_OF_HOURS } else { HALF_LIFE });
        if place.evidence.weight < ENOUGH {
            return None;
        }
        place.news = 0.0;
        let cell = place.cell;
        // From the top down: each is what it saw and a little of the one above.
        let line = [cell.parent().and_then(Cell::parent), cell.parent(), Some(cell)];
        let mut above = false;
        for cell in line.into_iter().flatten() {
            let Some(&at) = of.get(&cell) else { continue };
            leaned.copy_from(&places[at].evidence);
            if above {
                leaned.lean_on(scratch, LEANING);
            }
            std::mem::swap(leaned, scratch);
            above = true;
        }
        fit(self.arm(cell.exchange), &self.scratch)
    }
}

// The cells of all hours of as many exchanges as can be configured leave room for hours.
const _: () = assert!(limits::SHADING_CELLS > (1 + Placement::COUNT) * u8::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::random::Random;
    use crate::shading::cell::CELLS;
    use crate::units::CpmMicros;

    const WHOLE: Option<Cell> = Cell::at(ExchangeId(0), 0);

    /// Bids about 2 against prices about `median`.
    fn teach(learner: &mut Learner, cell: Cell, median: f64, bids: usize, at: Nanos) {
        let mut random = Random::new(median.to_bits());
        for _ in 0..bids {
            let bid = CpmMicros((1e6 * random.log_normal(2.0, 0.7)) as i64);
            let to_win = CpmMicros((1e6 * random.log_normal(median, 0.5)) as i64);
            learner.see(at, cell, &Seen { bid, won: bid >= to_win, to_win: None });
        }
    }

    fn fitted(learner: &mut Learner, at: Nanos) -> HashMap<Cell, f64> {
        let mut curves = HashMap::new();
        learner.fit(at, usize::MAX, |cell, curve| {
            curves.insert(cell, curve.reaching(0.5).0 as f64 / 1e6);
        });
        curves
    }

    #[test]
    fn a_thin_cell_leans_on_the_one_above_and_a_thick_one_stands_by_itself() {
        let mut learner = Learner::new(&[Arm::LogNormal]);
        let (thick, thin) =
            (Cell::new(ExchangeId(0), Placement::Video, 3), Cell::new(ExchangeId(0), Placement::Video, 4));
        let few = Cell::new(ExchangeId(0), Placement::Audio, 4);
        teach(&mut learner, thick, 4.0, 20_000, Nanos(1));
        teach(&mut learner, thin, 1.0, 150, Nanos(1));
        teach(&mut learner, few, 1.0, 20, Nanos(1));
        let curves = fitted(&mut learner, Nanos(2));
        assert!((curves[&thick] - 4.0).abs() < 0.15, "{curves:?}");
        assert!((1.1..3.6).contains(&curves[&thin]), "between its own and the other's: {curves:?}");
        assert!(!curves.contains_key(&few), "too little for a curve of its own");
        assert!((3.5..4.2).contains(&curves[&WHOLE.unwrap()]));
        assert!(fitted(&mut learner, Nanos(3)).is_empty(), "no news");
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut learner = Learner::new(&[Arm::LogNormal]);
        let cell = Cell::new(ExchangeId(0), Placement::Strip, 0);
        teach(&mut learner, cell, 4.0, 5_000, Nanos(1));
        fitted(&mut learner, Nanos(2));
        // Eight half-lives of the whole exchange, and one of the hour's.
        let later = Nanos(8 * HALF_LIFE);
        teach(&mut learner, cell, 1.0, 200, later);
        fitted(&mut learner, later);
        teach(&mut learner, cell, 1.0, 1_000, later);
        let curves = fitted(&mut learner, later);
        assert!(curves[&WHOLE.unwrap()] < 1.2, "{curves:?}");
        assert!(curves[&cell] > 1.5, "{curves:?}");
    }

    #[test]
    fn work_and_memory_are_bounded() {
        let mut learner = Learner::new(&[Arm::LogNormal; 255]);
        let cells = (0..255u8).flat_map(|exchange| {
            let cell = move |place| Cell::at(ExchangeId(exchange), place).unwrap();
            (0..CELLS).map(cell).filter(|cell| cell.is_hour())
        });
        let seen = Seen { bid: CpmMicros(1_000_000), won: true, to_win: None };
        cells.step_by(7).for_each(|cell| learner.see(Nanos(1), cell, &seen));
        assert_eq!((learner.cells(), learner.of.len()), (limits::SHADING_CELLS, limits::SHADING_CELLS));
        assert!(learner.of.iter().all(|(cell, at)| learner.places[*at].cell == *cell));
        let mut fits = 0;
        for exchange in 0..50 {
            teach(&mut learner, Cell::new(ExchangeId(exchange), Placement::Native, 5), 1.0, 200, Nanos(1));
        }
        learner.fit(Nanos(2), 10, |_, _| fits += 1);
        assert_eq!(fits, 10);
        learner.fit(Nanos(2), usize::MAX, |_, _| fits += 1);
        assert_eq!(fits, 150, "each of the three above each other, once");
        let mut none = Learner::new(&[Arm::None]);
        none.see(Nanos(1), Cell::new(ExchangeId(0), Placement::Native, 5), &seen);
        assert_eq!(none.cells(), 0);
    }
}
