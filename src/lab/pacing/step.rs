//! The answer to a step, as control engineers measure it: the budget is doubled at noon, under even supply.

use super::arms::Arm;
use super::run::{Node, TICK, TICKS, World};
use crate::units::Micros;

/// Ticks over which spending is averaged before it is measured: five minutes.
const WINDOW: usize = 60;
/// Around the new rate of spending within which it counts as settled: two standard deviations of what `WINDOW` ticks spend by
/// chance in the world measured are less.
const BAND: f64 = 0.1;

/// What an arm made of a step.
#[derive(Clone, Copy, Debug)]
pub struct Response {
    /// Seconds from 10 to 90 % of the way to the new rate.
    pub rise: f64,
    /// Seconds until it stayed within 10 % of the new rate.
    pub settling: f64,
    /// The most it was above the new rate, as a part of the step.
    pub overshoot: f64,
    /// Root mean square of its distance from the new rate over the last six hours but one, as a part of it.
    pub steady: f64,
}

/// Doubles the budget of `world` at noon.
pub fn response(world: &World, arm: &mut Arm, seed: u64) -> Response {
    let auctions = [150_000.0; 24];
    let (noon, old) = (TICKS / 2, world.budget.0);
    let trace = Node::new(seed).day(0, &auctions, world, arm, &mut |tick, world| {
        if tick == noon {
            world.budget = Micros(2 * old);
        }
    });
    // Per tick, as a part of the doubled budget: the rate before, and what is left at noon over what is left of the day.
    let before = trace.spent[noon - 1] / noon as f64;
    let after = (1.0 - trace.spent[noon - 1]) / (TICKS - noon) as f64;
    let rate = |tick: usize| (trace.spent[tick + WINDOW] - trace.spent[tick]) / WINDOW as f64;
    let last = TICKS - 720 - WINDOW;
    let rates: Vec<f64> = (noon - WINDOW..last).map(rate).collect();
    let way = |part: f64| {
        let level = before + (after - before) * part;
        rates.iter().position(|rate| *rate >= level).unwrap_or(rates.len()) as f64 * TICK
    };
    let outside = rates.iter().rposition(|rate| (rate / after - 1.0).abs() > BAND).map_or(0, |at| at + 1);
    let steady = &rates[rates.len() - 5 * 720..];
    let square: f64 = steady.iter().map(|rate| (rate / after - 1.0).powi(2)).sum();
    Response {
        rise: way(0.9) - way(0.1),
        settling: outside as f64 * TICK,
        overshoot: rates.iter().fold(0.0, |most: f64, rate| most.max((rate - after) / (after - before))),
        steady: (square / steady.len() as f64).sqrt(),
    }
}
