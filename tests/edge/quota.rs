//! Limits of requests per second: bid cores and the reconciliation core's state machine on a simulated clock, with messages
//! that take their time, against what a limit means: no more than ten times as many in any ten seconds.

use std::collections::VecDeque;
use std::time::Instant;

use corebid::bid::edge::quota::Shares;
use corebid::limits;
use corebid::reconcile::quota::{Limit, Quotas};
use corebid::ring::message::{Event, Order};
use corebid::units::{CoreId, ExchangeId, Nanos};
use proptest::prelude::*;

use crate::support::process::{Bidder, run};
use crate::support::{Folder, campaign};

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
                while let Some((_, Event::Quota { exchange, asked, returned })) =
                    events.pop_front_if(|(at, _)| *at <= now)
                {
                    quotas.report(CoreId(core as u8), exchange, asked, returned, &mut send);
                }
            }
            if (now.0 / STEP).is_multiple_of(TICK_STEPS) {
                quotas.tick(&mut send);
            }
            for (core, offered) in offered.iter().enumerate() {
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
                let mut left = offered * STEP as f64 / Nanos::SECOND as f64;
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
    for (qps, cores) in [(100, 1), (100, 2), (1000, 1), (1000, 2), (1000, 4), (5000, 16)] {
        let one = (0..cores).map(|core| f64::from(u8::from(core + 1 == cores))).collect();
        let uneven = (1..=cores).map(|core| core as f64).collect();
        let skewed: Vec<f64> = (0..cores).map(|core| if core == 0 { 9.0 } else { 1.0 }).collect();
        for (name, weights) in [("even", vec![1.0; cores]), ("all on one", one), ("uneven", uneven)] {
            for offset in [0, 2 * SECOND, 4 * SECOND] {
                let mut world = World::new(qps, cores as u8, 3);
                let share = |world: &World, after: u64, since: Nanos| {
                    world.fewest(since.after(after * Nanos::SECOND)) as f64 / f64::from(10 * qps)
                };
                let start = world.now;
                let before = spread(&world, 2.0, &skewed);
                world.run(40 * SECOND + offset, &before);
                let settled = share(&world, 15, start);
                assert!(settled >= 0.98, "{qps} on {cores}: {settled} of the limit");
                // The demand moves: the shares follow it as what the old cores passed runs out.
                let moved = world.now;
                let offered = spread(&world, 2.0, &weights);
                world.run(40 * SECOND, &offered);
                world.never_above();
                let (moving, moved) = (share(&world, 10, moved), share(&world, 20, moved));
                assert!(moving >= 0.93 && moved >= 0.98, "{qps} on {cores}, {name}, {offset}: {moving}, {moved}");
            }
        }
    }
}

/// A limit of a few requests is held to the request as well; what is missing of it are whole requests.
#[test]
fn small_limits_hold() {
    for (qps, cores, least) in [(1, 1, 8), (1, 4, 5), (10, 1, 93), (10, 4, 85)] {
        let mut world = World::new(qps, cores, 5);
        let offered = spread(&world, 5.0, &vec![1.0; cores.into()]);
        world.run(90 * SECOND, &offered);
        world.never_above();
        let fewest = world.fewest(Nanos(world.now.0 - 60 * Nanos::SECOND));
        assert!(fewest >= least, "{fewest} of {} on {cores}", 10 * qps);
    }
}

/// A demand that stays as it is for a while: how long, how much, on which cores, and who stalls meanwhile.
type Phase = (u64, f64, Vec<f64>, u32);

fn phase() -> impl Strategy<Value = Phase> {
    let weight = prop_oneof![Just(0.0), Just(1.0), 0.0..10.0f64];
    (500..15_000u64, prop_oneof![Just(0.0), 0.2..1.2f64, 1.0..8.0f64], prop::collection::vec(weight, 16), any::<u32>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_ten_seconds_ever_hold_more(
        qps in prop_oneof![Just(1u32), Just(2), Just(10), 3..400u32],
        cores in 1..=16u8,
        seed in any::<u64>(),
        phases in prop::collection::vec(phase(), 1..10),
    ) {
        let mut world = World::new(qps, cores, seed);
        for (steps, times, weights, stalls) in &phases {
            // One in four cores stalls now and then.
            world.stalled = (0..cores).map(|core| stalls >> (2 * core % 32) & 3 == 0 && stalls & 4 == 0).collect();
            let weights = &weights[..cores.into()];
            let offered = match weights.iter().sum::<f64>() > 0.0 {
                true => spread(&world, *times, weights),
                false => vec![0.0; cores.into()],
            };
            world.run(*steps, &offered);
        }
        world.never_above();
    }
}

/// The whole program at twice its limit.
#[test]
fn a_bidder_passes_its_limit_and_no_more() {
    const QPS: u64 = 100;
    const SECONDS: u64 = 12;
    let folder = Folder::new("quota");
    let config = folder.configure("debug_header = true", "", &campaign(1, ""));
    let text = std::fs::read_to_string(&config).unwrap() + &format!("qps = {QPS}\n");
    std::fs::write(&config, text).unwrap();
    let bidder = Bidder::start(&["--config", &config]);
    let url = format!("http://{}/openrtb/generic", bidder.address);
    let (rate, seconds) = ((2 * QPS).to_string(), SECONDS.to_string());
    let load = ["load", "--url", &url, "--rate", &rate, "--seconds", &seconds, "--connections", "8", "--json"];
    let start = Instant::now();
    let (code, out, err) = run(&load);
    let took = start.elapsed().as_secs_f64();
    assert_eq!(code, Some(0), "{out}{err}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    let refused = bidder.metric("corebid_nobid_total", "quota");
    let passed = bidder.metric("corebid_requests_total", "") - refused;
    // However long the machine let it take: full windows of the limit, the last one begun.
    let windows = (took / 10.0).ceil() as u64;
    assert!(passed <= 10 * QPS * windows, "{passed} passed in {took} s");
    let answered = report["answered"].as_u64().unwrap();
    assert!(refused > 0 && passed * 10 >= 9 * answered.min(QPS * SECONDS), "{passed} passed of {answered}");
    bidder.stop();
}
