//! A day of one campaign on one node: auctions, bids, losses told within a tick, bills that come later, and what is made of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::arms::Arm;
use super::market::{DAY, Day, Prices, bill_delay, poisson, rate};
use crate::market::random::Random;
use crate::reconcile::pacing::View;
use crate::reconcile::pacing::curve::{Curve, PARTS, WHOLE};
use crate::snapshot::calendar::BudgetDay;
use crate::units::{self, Micros, UnixMillis};

/// Seconds of a tick.
pub const TICK: f64 = 5.0;
/// Ticks of a day.
pub const TICKS: usize = 17_280;

/// A campaign and its market.
#[derive(Clone, Debug)]
pub struct World {
    /// Prices of the others.
    pub prices: Prices,
    /// What it bids, CPM in the unit of the prices.
    pub bid: u32,
    /// Its daily budget.
    pub budget: Micros,
    /// The part of the auctions that it is offered.
    pub supply: f64,
}

impl World {
    /// What one impression at a price costs.
    fn cost(price: u32) -> Micros {
        Micros(i64::from(price) * 1000)
    }
}

/// What happens at a tick of a day, beside the usual.
pub type Nemesis<'a> = &'a mut dyn FnMut(usize, &mut World);

/// A day, as it went.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The budget at its end.
    pub budget: f64,
    /// Cost of what was won by the end of each tick, as a part of the budget.
    pub spent: Vec<f64>,
    /// What the supply of the day says it should be.
    pub ideal: Vec<f64>,
    /// What the arm says it should be; the same where it does not say.
    pub target: Vec<f64>,
    /// Impressions bought.
    pub won: u64,
}

/// The supply of a day as a curve.
pub fn supply_of(day: &Day) -> Curve {
    let part = DAY / PARTS as f64;
    Curve::of(&std::array::from_fn(|at| {
        (0..90).map(|s| rate(day, part * at as f64 + f64::from(s) * 10.0 + 5.0) * 1e6).sum::<f64>() as u64
    }))
    .unwrap_or_else(Curve::flat)
}

/// One day under way.
#[derive(Debug)]
pub struct Node {
    random: Random,
    /// When a bill comes, in ticks since the first day, and what it costs.
    bills: BinaryHeap<Reverse<(u64, i64)>>,
    /// Bids of the last tick, and what they will cost: nobody knows yet.
    fresh: (u64, Vec<i64>),
    /// Won and not billed.
    waiting: u64,
    /// Of all that is known: bids, won, and billed: how many and what they cost.
    known: (u64, u64),
    billed: (u64, i64),
}

impl Node {
    /// A market by its seed.
    pub fn new(seed: u64) -> Node {
        Node {
            random: Random::new(seed),
            bills: BinaryHeap::new(),
            fresh: (0, Vec::new()),
            waiting: 0,
            known: (0, 0),
            billed: (0, 0),
        }
    }

    /// What silent bids are expected to cost: those of the last tick as often won as bids were so far, and each at what was paid
    /// so far. Nothing known is a bid won at its price.
    fn expected(&self, bid: Micros) -> Micros {
        let price = (self.billed.1 + bid.0) as f64 / (self.billed.0 + 1) as f64;
        let won = (self.known.1 + 1) as f64 / (self.known.0 + 1) as f64;
        Micros(((self.fresh.0 as f64 * won + self.waiting as f64) * price) as i64)
    }

    /// Runs a day, the `number`th since the market began.
    pub fn day(&mut self, number: u32, day: &Day, world: &World, arm: &mut Arm, nemesis: Nemesis<'_>) -> Trace {
        let mut world = world.clone();
        let start = UnixMillis((20_000 + u64::from(number)) * UnixMillis::DAY);
        let of = BudgetDay { day: units::Day(20_000 + number), start, end: UnixMillis(start.0 + UnixMillis::DAY) };
        let ideal = supply_of(day);
        let (mut settled, mut spent, mut held) = (0i64, 0i64, 0i64);
        let (mut chances, mut taken, mut reserved) = (0u64, 0u64, 0i64);
        let mut trace = Trace { budget: 0.0, spent: Vec::new(), ideal: Vec::new(), target: Vec::new(), won: 0 };
        // What is billed of another day's bids is another day's.
        self.bills.clear();
        (self.fresh, self.waiting) = ((0, Vec::new()), 0);
        for tick in 0..TICKS {
            nemesis(tick, &mut world);
            let bid = World::cost(world.bid);
            // Bids of the tick before are known to be won or lost; bills arrive.
            let (bids, costs) = std::mem::take(&mut self.fresh);
            self.known = (self.known.0 + bids, self.known.1 + costs.len() as u64);
            held -= (bids as i64 - costs.len() as i64) * bid.0;
            self.waiting += costs.len() as u64;
            for cost in costs {
                let due = tick as u64 + (bill_delay(&mut self.random) / TICK) as u64;
                self.bills.push(Reverse((due, cost)));
            }
            let mut billed = 0;
            while let Some(&Reverse((due, cost))) = self.bills.peek().filter(|bill| bill.0.0 <= tick as u64) {
                self.bills.pop();
                debug_assert!(due <= tick as u64);
                self.waiting -= 1;
                self.billed = (self.billed.0 + 1, self.billed.1 + cost);
                held -= bid.0;
                billed += cost;
            }
            settled += billed;
            let now = UnixMillis(start.0 + tick as u64 * 5_000);
            let view = View {
                day: of,
                budget: world.budget,
                settled: Micros(settled),
                silent: self.expected(bid),
                billed: Micros(billed),
                reserved: Micros(reserved),
                bid,
                dear: Micros::ZERO,
                chances,
                taken,
                share: WHOLE,
            };
            let pace = arm.tick(now, &view);
            let mut allowance = pace.allowance.0;
            let rate = f64::from(pace.rate.parts()) / f64::from(1 << 24);
            let came = rate_of(day, tick, world.supply);
            (chances, taken, reserved) = (poisson(&mut self.random, came), 0, 0);
            let drawn = binomial(&mut self.random, chances, rate);
            for _ in 0..drawn {
                // Silent bids hold their price, so nobody overspends.
                if allowance < bid.0 || settled + held + bid.0 > world.budget.0 {
                    break;
                }
                allowance -= bid.0;
                held += bid.0;
                reserved += bid.0;
                taken += 1;
                let price = world.prices.draw(&mut self.random);
                if price <= world.bid {
                    let cost = World::cost(price);
                    self.fresh.1.push(cost.0);
                    spent += cost.0;
                    trace.won += 1;
                }
            }
            self.fresh.0 = taken;
            let end = UnixMillis(now.0 + 5_000);
            let budget = world.budget.0 as f64;
            let ideal = ideal.at(of, end) as f64 / WHOLE as f64;
            trace.spent.push(spent as f64);
            trace.ideal.push(ideal * budget);
            trace.target.push(match arm {
                Arm::Pacer(pacer) => pacer.target(end).0 as f64,
                _ => ideal * budget,
            });
        }
        trace.budget = world.budget.0 as f64;
        for series in [&mut trace.spent, &mut trace.ideal, &mut trace.target] {
            series.iter_mut().for_each(|money| *money /= trace.budget);
        }
        trace
    }
}

fn rate_of(day: &Day, tick: usize, supply: f64) -> f64 {
    rate(day, (tick as f64 + 0.5) * TICK) * TICK * supply
}

fn binomial(random: &mut Random, of: u64, chance: f64) -> u64 {
    if chance >= 1.0 { of } else { (0..of).filter(|_| random.unit() <= chance).count() as u64 }
}

impl Trace {
    /// Hour of the day at which 99.5 % of the budget was spent.
    pub fn exhausted(&self) -> Option<f64> {
        let at = self.spent.iter().position(|spent| *spent >= 0.995)?;
        Some((at + 1) as f64 * TICK / 3600.0)
    }

    /// The part of the budget spent at the end.
    pub fn delivered(&self) -> f64 {
        self.spent.last().copied().unwrap_or(0.0)
    }

    /// Root mean square of what was spent against a curve, parts of the budget.
    pub fn rmse(&self, curve: &[f64]) -> f64 {
        let sum: f64 = self.spent.iter().zip(curve).map(|(spent, curve)| (spent - curve).powi(2)).sum();
        (sum / self.spent.len() as f64).sqrt()
    }

    /// The most it was ahead of its target, parts of the budget.
    pub fn ahead(&self) -> f64 {
        self.spent.iter().zip(&self.target).map(|(spent, target)| spent - target).fold(0.0, f64::max)
    }

    /// What a thousand impressions cost.
    pub fn ecpm(&self) -> f64 {
        self.delivered() * self.budget / 1e3 / self.won.max(1) as f64
    }
}
