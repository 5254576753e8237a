//! Figures of docs/PACING.md. Run by `scripts/pacing`.

use corebid::lab::pacing::arms::{Arm, Throttle};
use corebid::lab::pacing::market::{Prices, days};
use corebid::lab::pacing::run::{Node, World, supply_of};
use corebid::reconcile::pacing::Gains;
use corebid::reconcile::pacing::curve::Curve;
use corebid::units::Micros;
use std::path::Path;

fn main() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let days = days(&data.join("hourly_volume_240h.csv")).unwrap();
    let prices = Prices::read(&data.join("win_price_histogram.csv")).unwrap();
    let world = World { prices, bid: 40, budget: Micros(8_000_000_000), supply: 1.0 };
    let tune: Vec<usize> = vec![2, 4, 6, 8];
    let report: Vec<usize> = vec![1, 3, 5, 7, 9];
    let args: Vec<String> = std::env::args().collect();
    let set = if args.iter().any(|a| a == "tune") { tune } else { report };
    let gains: Vec<Gains> = if args.iter().any(|a| a == "tune") {
        let mut v = vec![];
        for p in [12, 24, 60, 120] { for i in [0, 180, 720] { for d in [0, 60] { v.push(Gains { proportional: p, integral: i, derivative: d }); } } }
        v
    } else { vec![Gains::default()] };
    for g in gains {
        let mut sum = [0.0; 4];
        for &d in &set {
            let t = std::time::Instant::now();
            let mut arm = Arm::pacer(None, g);
            let mut node = Node::new(7 + d as u64);
            node.day(d as u32 - 1, &days[d - 1], &world, &mut arm, &mut |_, _| {});
            let trace = node.day(d as u32, &days[d], &world, &mut arm, &mut |_, _| {});
            let r = [trace.delivered(), trace.rmse(&trace.target), trace.rmse(&trace.ideal), trace.ahead()];
            for (s, r) in sum.iter_mut().zip(r) { *s += r / set.len() as f64; }
            if args.iter().any(|a| a == "-v") { eprintln!("{d} {r:?} {:?} {:?} {:?}", trace.exhausted(), trace.ecpm(), t.elapsed()); }
        }
        println!("{g:?} {sum:?}");
    }
    if args.iter().any(|a| a == "arms") {
        for &d in &set {
            let learnt = supply_of(&days[d - 1]);
            for (name, mut arm) in [("soon", Arm::Soon), ("flat", Arm::pacer(Some(Curve::flat()), Gains::default())), ("throttle", Arm::Throttle(Throttle::new(learnt.clone()))), ("learnt", Arm::pacer(Some(learnt.clone()), Gains::default())), ("true", Arm::pacer(Some(supply_of(&days[d])), Gains::default()))] {
                let mut node = Node::new(7 + d as u64);
                let trace = node.day(d as u32, &days[d], &world, &mut arm, &mut |_, _| {});
                println!("{d} {name} {:?}", [trace.delivered(), trace.rmse(&trace.target), trace.rmse(&trace.ideal), trace.ahead(), trace.exhausted().unwrap_or(0.0), trace.ecpm()]);
            }
        }
    }
}
