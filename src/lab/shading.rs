//! How much of the best there is a shaded bid keeps: the production learner and curves against a market whose prices to beat are known,
//! and so the best bid for every value: the oracle looks at every price there is. What a bid keeps is counted as it is expected,
//! `(value - bid) P(win | bid)`, so that the luck of a run is not in the figures. Floats are welcome here.

use std::collections::VecDeque;
use std::path::Path;

use crate::market::random::Random;
use crate::shading::Arm;
use crate::shading::cell::{Cell, Placement};
use crate::shading::curve::Curve;
use crate::shading::evidence::Seen;
use crate::shading::explore::{self, Share};
use crate::shading::learn::Learner;
use crate::units::{CpmMicros, ExchangeId, Nanos};

/// The highest competing price of an auction: how often each is.
#[derive(Clone, Debug)]
pub struct Market {
    /// Prices, ascending, each with the chance that the price to beat is no higher.
    prices: Vec<(CpmMicros, f64)>,
}

impl Market {
    /// Of counts by price, ascending.
    ///
    /// # Panics
    /// If there are none.
    pub fn of(counts: impl IntoIterator<Item = (CpmMicros, f64)>) -> Market {
        let mut sum = 0.0;
        let mut prices: Vec<_> = counts
            .into_iter()
            .filter(|(_, count)| *count > 0.0)
            .map(|(price, count)| {
                sum += count;
                (price, sum)
            })
            .collect();
        assert!(sum > 0.0, "a market without prices");
        prices.iter_mut().for_each(|(_, chance)| *chance /= sum);
        Market { prices }
    }

    /// Log-normal with this median and this standard deviation of the logarithm, in steps of a cent.
    pub fn log_normal(median: f64, sigma: f64) -> Market {
        // By the sum of many draws of nobody's random numbers: the midpoints of 2^16 equal chances.
        let mut counts = std::collections::BTreeMap::new();
        let mut random = Random::new(20_261_123);
        for _ in 0..1 << 18 {
            let cents = (random.log_normal(median, sigma) * 100.0).round().max(1.0) as i64;
            *counts.entry(CpmMicros(cents * 10_000)).or_insert(0.0) += 1.0;
        }
        Market::of(counts)
    }

    /// A file of `price,…,count` in hundredths of a currency unit, as `win_price_histogram.csv`.
    pub fn read(file: &Path) -> Option<Market> {
        let text = std::fs::read_to_string(file).ok()?;
        let counts = text.lines().skip(1).map(|line| {
            let price: i64 = line.split(',').next()?.parse().ok()?;
            let count: f64 = line.split(',').next_back()?.parse().ok()?;
            Some((CpmMicros((price * 10_000).max(1)), count))
        });
        counts.collect::<Option<Vec<_>>>().map(Market::of)
    }

    /// The chance that a bid wins.
    pub fn wins(&self, bid: CpmMicros) -> f64 {
        let reached = self.prices.partition_point(|(price, _)| *price <= bid);
        reached.checked_sub(1).map_or(0.0, |last| self.prices[last].1)
    }

    /// What a bid is expected to keep.
    pub fn keeps(&self, value: CpmMicros, bid: CpmMicros) -> f64 {
        (value.0 - bid.0) as f64 * self.wins(bid)
    }

    /// The most that any bid is expected to keep: a bid between two prices only pays more than one at the lower.
    pub fn oracle(&self, value: CpmMicros) -> f64 {
        let below = self.prices.iter().take_while(|(price, _)| *price <= value);
        below.map(|(price, chance)| (value.0 - price.0) as f64 * chance).fold(0.0, f64::max)
    }

    /// The price that half of all are no higher than.
    pub fn median(&self) -> CpmMicros {
        self.prices[self.prices.partition_point(|(_, chance)| *chance < 0.5)].0
    }

    fn draw(&self, random: &mut Random) -> CpmMicros {
        let unit = random.unit();
        self.prices[self.prices.partition_point(|(_, chance)| *chance < unit).min(self.prices.len() - 1)].0
    }
}

/// How a run goes.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// How bids are shaded.
    pub arm: Arm,
    /// Whether notices tell the price to beat.
    pub told: bool,
    /// The share of bids that are made to learn from.
    pub explore: f64,
    /// Auctions.
    pub auctions: usize,
    /// Of what a value is: the market's median by this much, and a standard deviation of the logarithm.
    pub values: (f64, f64),
    /// Random numbers.
    pub seed: u64,
}

impl Default for Run {
    fn default() -> Run {
        Run { arm: Arm::None, told: false, explore: 0.01, auctions: 200_000, values: (1.0, 0.7), seed: 1 }
    }
}

/// Auctions a second.
const RATE: u64 = 100;
/// Auctions from one tick to the next, of 5 s.
const TICK: u64 = 5 * RATE;
/// Auctions until a bid counts as what it has come to: a minute.
const JUDGED: usize = 60 * RATE as usize;
/// Auctions of a point of a [`Kept`].
pub const POINT: usize = 2_000;

/// What was kept, by [`POINT`] auctions: of each, by the arm and by the oracle.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Arm, oracle.
    pub points: Vec<(f64, f64)>,
    /// The last curve.
    pub curve: Curve,
}

impl Kept {
    /// The arm's share of the oracle's, in these auctions.
    pub fn share(&self, auctions: std::ops::Range<usize>) -> f64 {
        let points = &self.points[auctions.start / POINT..auctions.end / POINT];
        let sum = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        sum.0 / sum.1
    }
}

/// Runs it.
pub fn run(market: &Market, run: &Run) -> Kept {
    let mut random = Random::new(run.seed);
    let mut learner = Learner::new(&[run.arm]);
    let cell = Cell::new(ExchangeId(0), Placement::Rectangle, 0);
    let (median, explore) = (market.median().0 as f64 * run.values.0, Share::of(run.explore));
    let mut open: VecDeque<Seen> = VecDeque::new();
    let mut kept = Kept::default();
    let (mut ours, mut best) = (0.0, 0.0);
    for auction in 0..run.auctions as u64 {
        let now = Nanos(auction * Nanos::SECOND / RATE);
        let value = CpmMicros(random.log_normal(median, run.values.1) as i64).max(CpmMicros(2));
        let (whether, which) = (random.bits() as u32, random.bits() as u32);
        let to_win = market.draw(&mut random);
        let least = CpmMicros(1);
        let bid = match kept.curve {
            _ if run.arm == Arm::None => value,
            Curve::None if Share::HALF.takes(whether) => explore::wide(least, value, which),
            curve => {
                let best = curve.best(value, least, value);
                if explore.takes(whether) { explore::near(best, least, value, which) } else { best }
            }
        };
        ours += market.keeps(value, bid);
        best += market.oracle(value);
        open.push_back(Seen { bid, won: bid >= to_win, to_win: run.told.then_some(to_win) });
        if open.len() > JUDGED {
            learner.see(now, cell, &open.pop_front().expect("more than none"));
        }
        if auction % TICK == TICK - 1 {
            let curve = &mut kept.curve;
            learner.fit(now, 64, |of, fitted| {
                if of == cell {
                    *curve = fitted;
                }
            });
        }
        if (auction + 1) % POINT as u64 == 0 {
            kept.points.push((std::mem::take(&mut ours), std::mem::take(&mut best)));
        }
    }
    kept
}
