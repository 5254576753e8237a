//! Limits of requests per second: bid cores and the reconciliation core's state machine on a simulated clock, with messages
//! that take their time, against what a limit means: no more than ten times as many in any ten seconds.

use std::collections::VecDeque;

use corebid::bid::edge::quota::Shares;
use corebid::limits;
use corebid::reconcile::quota::{Limit, Quotas};
use corebid::ring::message::{Event, Order};
use corebid::units::{CoreId, ExchangeId, Nanos};
use proptest::prelude::*;

const EXCHANGE: ExchangeId = ExchangeId(0);
const TEN: u64 = 10 * Nanos::SECOND;
/// Between two steps of the simulation.
const STEP: u64 = Nanos::MS;
const TICK_STEPS: u64 = limits::TICK_NS / STEP;

/// A node in time.
struct World {
    qps: u32,
    now: Nanos,
    cores: Vec<Shares>,
    /// Does not run: neither asks nor reads orders nor reports.
    stalled: Vec<bool>,
    quotas: Quotas,
    /// With the time of their arrival.
    orders: Vec<VecDeque<(Nanos, Order)>>,
    events: Vec<VecDeque<(Nanos, Event)>>,
    /// How long a message takes, steps.
    delay: u64,
    random: u64,
    passed: Vec<Nanos>,
}

impl World {
    fn new(qps: u32, cores: u8, seed: u64) -> World {
        let each = || (0..cores).map(|_| VecDeque::new());
        World {
            qps,
            now: Nanos(17 * Nanos::SECOND + seed % Nanos::SECOND),
            cores: (0..cores).map(|_| Shares::of(std::iter::once(true))).collect(),
            stalled: vec![false; cores.into()],
            quotas: Quotas::new(cores, &[Limit { exchange: EXCHANGE, qps }]),
            orders: each().collect(),
            events: (0..cores).map(|_| VecDeque::new()).collect(),
            delay: 1 + seed % 5,
            random: seed | 1,
            passed: Vec::new(),
        }
    }

    fn draw(&mut self) -> f64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Runs for so many steps with these requests per second offered to each core, at random times.
    fn run(&mut self, steps: u64, offered: &[f64]) {
        for _ in 0..steps {
            self.now = self.now.after(STEP);
            let (now, arrives) = (self.now, self.now.after(self.delay * STEP));
            let World { quotas, orders, events, .. } = self;
            let mut send = |core: CoreId, order| orders[usize::from(core.0)].push_back((arrives, order));
            for (core, events) in events.iter_mut().enumerate() {
                while let Some((_, Event::Quota { exchange, asked, returned })) = events.pop_front_if(|(at, _)| *at <= now) {
                    quotas.report(CoreId(core as u8), exchange, asked, returned, &mut send);
                }
            }
            if (now.0 / STEP).is_multiple_of(TICK_STEPS) {
                quotas.tick(&mut send);
            }
            for core in 0..self.cores.len() {
                if self.stalled[core] {
                    continue;
                }
                while let Some((_, order)) = self.orders[core].pop_front_if(|(at, _)| *at <= now) {
                    let Order::Quota { exchange, more, keep } = order else { panic!("{order:?}") };
                    self.cores[core].order(exchange, more, keep);
                }
                let events = &mut self.events[core];
                self.cores[core].report(now, |event| {
                    events.push_back((arrives, event));
                    true
                });
                // Poisson, by the waits between two requests.
                let mut left = offered[core] * STEP as f64 / Nanos::SECOND as f64;
                loop {
                    left += (1.0 - self.draw()).ln();
                    if left < 0.0 {
                        break;
                    }
                    if self.cores[core].admit(EXCHANGE, now) {
                        self.passed.push(now);
                    }
                }
            }
        }
    }

    /// The exact truth about every window: a request and the one that many later are further apart than ten seconds.
    #[track_caller]
    fn never_above(&self) {
        let most = 10 * self.qps as usize;
        for pair in self.passed.windows(most + 1) {
            let apart = pair[most].since(pair[0]);
            assert!(apart > TEN, "{} in {apart} ns, with a limit of {} per second", most + 1, self.qps);
        }
    }

    /// The fewest that passed in ten seconds, over all windows that begin after `from` and end by now.
    fn fewest(&self, from: Nanos) -> usize {
        let until = self.now.0 - TEN;
        (from.0..until).step_by(100 * Nanos::MS as usize).fold(usize::MAX, |fewest, start| {
            let first = self.passed.partition_point(|at| at.0 < start);
            let end = self.passed.partition_point(|at| at.0 < start + TEN);
            fewest.min(end - first)
        })
    }
}

/// How a demand of `times` the limit may lie on the cores.
fn spread(world: &World, times: f64, weights: &[f64]) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| times * f64::from(world.qps) * weight / sum).collect()
}

const SECOND: u64 = Nanos::SECOND / STEP;

#[test]
fn after_two_ticks_at_most_two_percent_are_missing() {
    for (qps, cores) in [(10, 1), (100, 1), (100, 2), (1000, 1), (1000, 2), (1000, 4), (5000, 16)] {
        for (name, weights) in [
            ("even", vec![1.0; cores]),
            ("all on one", (0..cores).map(|core| if core == cores - 1 { 1.0 } else { 0.0 }).collect()),
            ("uneven", (0..cores).map(|core| 1.0 + core as f64).collect()),
        ] {
            for offset in [0, 2 * SECOND, 4 * SECOND] {
                let mut world = World::new(qps, cores as u8, 3);
                // Another spread before, so that the shares have to move.
                let before = spread(&world, 2.0, &(0..cores).map(|core| if core == 0 { 9.0 } else { 1.0 }).collect::<Vec<_>>());
                world.run(30 * SECOND + offset, &before);
                let moved = world.now;
                let offered = spread(&world, 2.0, &weights);
                world.run(40 * SECOND, &offered);
                world.never_above();
                let least = |after: u64| world.fewest(moved.after(after * Nanos::SECOND)) as f64 / f64::from(10 * qps);
                println!("{qps} {cores} {name} {offset}: after 10 s {:.4} 13 s {:.4} 20 s {:.4}", least(10), least(13), least(20));
            }
        }
    }
}
