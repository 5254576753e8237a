//! A day of one campaign on a fleet: as many pacers as nodes, each with its share of what all have settled, and cores that get what
//! is left of a tick's few cents. It answers how small a budget may be and still be spread over the day.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::market::{Day, bill_delay, poisson, rate};
use super::run::{TICK, TICKS, Trace, supply_of};
use crate::market::random::Random;
use crate::reconcile::pacing::curve::WHOLE;
use crate::reconcile::pacing::split::{CorePace, split};
use crate::reconcile::pacing::{Manner, Pacer, Plan, View};
use crate::snapshot::calendar::BudgetDay;
use crate::units::{self, Micros, UnixMillis};

/// A fleet and a campaign on it. Every core sees the same supply, by chance a little more or less.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// Nodes.
    pub nodes: usize,
    /// Cores of each.
    pub cores: usize,
    /// The daily budget.
    pub budget: Micros,
    /// What one bid costs at most.
    pub bid: Micros,
    /// The part of bids that are won, each at three fifths of the bid.
    pub won: f64,
    /// Auctions per day that the campaign could take part in, on the whole fleet.
    pub auctions: f64,
}

struct Node {
    pacer: Pacer,
    chances: Vec<u32>,
    taken: u64,
    reserved: i64,
    /// Won and not billed.
    waiting: i64,
    billed: i64,
    /// Average of what came by, for the share.
    demand: f64,
}

/// Ticks over which a node's share of the demand is measured.
const SHARE_OVER: f64 = 64.0;

/// Runs one day whose supply is shaped as `day`. The curve is known; who lost is told within a
/// tick.
pub fn day(fleet: &Fleet, day: &Day, seed: u64) -> Trace {
    let mut random = Random::new(seed);
    let curve = supply_of(day);
    let start = UnixMillis(20_000 * UnixMillis::DAY);
    let of = BudgetDay { day: units::Day(20_000), start, end: UnixMillis(start.0 + UnixMillis::DAY) };
    let cost = fleet.bid.0 * 3 / 5;
    let plan = Plan { manner: Manner::Even, curve: Some(curve.clone()) };
    let new = || Node {
        pacer: Pacer::new(plan.clone()),
        chances: vec![0; fleet.cores],
        taken: 0,
        reserved: 0,
        waiting: 0,
        billed: 0,
        demand: 1.0,
    };
    let mut nodes: Vec<Node> = std::iter::repeat_with(new).take(fleet.nodes).collect();
    let mut bills: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let (mut settled, mut seen, mut spent) = (0i64, 0i64, 0i64);
    let budget = fleet.budget.0 as f64;
    let mut trace = Trace { budget, spent: Vec::new(), ideal: Vec::new(), target: Vec::new(), won: 0 };
    let per_core = fleet.auctions / day.iter().sum::<f64>() / (fleet.nodes * fleet.cores) as f64;
    let mut paces = vec![CorePace::REST; fleet.cores];
    for tick in 0..TICKS {
        while let Some(&Reverse((_, node))) = bills.peek().filter(|bill| bill.0.0 <= tick as u64) {
            bills.pop();
            (nodes[node].billed, nodes[node].waiting) = (nodes[node].billed + cost, nodes[node].waiting - 1);
            settled += cost;
        }
        let now = UnixMillis(start.0 + tick as u64 * 5_000);
        let demand: f64 = nodes.iter().map(|node| node.demand).sum();
        let came = rate(day, (tick as f64 + 0.5) * TICK) * TICK * per_core;
        for (at, node) in nodes.iter_mut().enumerate() {
            let chances = node.chances.iter().map(|chances| u64::from(*chances)).sum();
            let view = View {
                day: of,
                budget: fleet.budget,
                // As the authority told it a tick ago.
                settled: Micros(seen),
                silent: Micros(node.waiting * cost),
                billed: Micros(std::mem::take(&mut node.billed)),
                reserved: Micros(std::mem::take(&mut node.reserved)),
                bid: fleet.bid,
                dear: Micros::ZERO,
                chances,
                taken: std::mem::take(&mut node.taken),
                share: (node.demand / demand * WHOLE as f64) as u64,
            };
            node.demand += (chances as f64 - node.demand) / SHARE_OVER;
            let pace = node.pacer.tick(now, &view);
            split(&pace, fleet.bid, (tick * fleet.nodes + at) as u64, &node.chances, &mut paces);
            for (pace, chances) in paces.iter().zip(&mut node.chances) {
                *chances = poisson(&mut random, came) as u32;
                let most = pace.allowance.0 / fleet.bid.0;
                if most == 0 {
                    continue;
                }
                let rate = f64::from(pace.rate.parts()) / f64::from(1 << 24);
                let drawn = (0..*chances).filter(|_| random.unit() <= rate).count() as i64;
                let bids = drawn.min(most);
                node.taken += bids as u64;
                node.reserved += bids * fleet.bid.0;
                for _ in 0..bids {
                    if random.chance(fleet.won) {
                        node.waiting += 1;
                        spent += cost;
                        trace.won += 1;
                        let due = tick as u64 + 1 + (bill_delay(&mut random) / TICK) as u64;
                        bills.push(Reverse((due, at)));
                    }
                }
            }
        }
        seen = settled;
        let by = curve.at(of, UnixMillis(now.0 + 5_000)) as f64 / WHOLE as f64;
        trace.spent.push(spent as f64 / budget);
        trace.ideal.push(by);
        trace.target.push(by);
    }
    trace
}
