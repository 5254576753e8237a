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
    /// Whether the bid cores have a curve of it.
    told: bool,
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
        let made = Place { cell, evidence: Evidence::new(now), news: 0.0, told: false };
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
        place.told = true;
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
