//! The figures of docs/PACING.md, run by `scripts/pacing`: writes them there, and the picture beside it. `-- tune` instead prints
//! what the controller's constants do on the days that they are tuned on.

use std::path::Path;

use corebid::lab::pacing::arms::{Arm, Throttle};
use corebid::lab::pacing::fleet::{self, Fleet};
use corebid::lab::pacing::market::{Day, Prices, days};
use corebid::lab::pacing::plot::{self, Line};
use corebid::lab::pacing::run::{Node, Trace, World, supply_of};
use corebid::lab::pacing::step::{self, Response};
use corebid::reconcile::pacing::Gains;
use corebid::reconcile::pacing::curve::Curve;
use corebid::units::Micros;

/// Days by their place in the file: the day before each is what is known of it. Tuned on some, reported on the others.
const TUNED_ON: [usize; 4] = [2, 4, 6, 8];
const REPORTED: [usize; 5] = [1, 3, 5, 7, 9];
/// The day of the picture.
const DRAWN: usize = 1;
const BEGIN: &str = "<!-- Written by scripts/pacing from here … -->\n";
const END: &str = "<!-- … to here. -->\n";

/// A way to pace: its name, its colour, and how it is made from the days before and of the run.
type Way = (&'static str, &'static str, fn(&Day, &Day) -> Arm);

const WAYS: [Way; 5] = [
    ("as soon as possible", "#888888", |_, _| Arm::Soon),
    ("flat curve", "#e69f00", |_, _| Arm::pacer(Some(Curve::flat()), Gains::default())),
    ("±10 % a minute", "#cc79a7", |before, _| Arm::Throttle(Throttle::new(supply_of(before)))),
    ("curve of the day before", "#0072b2", |_, _| Arm::pacer(None, Gains::default())),
    ("curve of the day itself", "#009e73", |_, day| Arm::pacer(Some(supply_of(day)), Gains::default())),
];

fn main() {
    // `cargo test --bench` only asks whether it starts.
    if !std::env::args().any(|word| word == "--bench") {
        return;
    }
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|above| above.join("shared/data"));
    let Some(data) = data.into_iter().find(|data| data.join("hourly_volume_240h.csv").exists()) else {
        eprintln!("skipped: no shared/data/hourly_volume_240h.csv above this repository");
        return;
    };
    let days = days(&data.join("hourly_volume_240h.csv")).expect("the file was there");
    let prices = Prices::read(&data.join("win_price_histogram.csv")).expect("win_price_histogram.csv cannot be read");
    // A bid of 40 fen wins a quarter of the auctions; the budget is what a third to a half of them cost.
    let world = World { prices, bid: 40, budget: Micros(8_000_000_000), supply: 1.0 };
    if std::env::args().any(|word| word == "tune") {
        return tune(&world, &days);
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let figures = [compared(&world, &days, &docs.join("pacing.svg")), stepped(), smallest()].join("\n");
    let path = docs.join("PACING.md");
    let text = std::fs::read_to_string(&path).expect("docs/PACING.md cannot be read");
    let (before, rest) = text.split_once(BEGIN).expect("docs/PACING.md has no place for the figures");
    let (_, after) = rest.split_once(END).expect("docs/PACING.md has no end of the figures");
    std::fs::write(&path, format!("{before}{BEGIN}\n{figures}\n{END}{after}"))
        .expect("docs/PACING.md cannot be written");
    println!("{figures}");
}

/// One day of an arm, after the day before: what it learns, it learns there.
fn run(world: &World, days: &[Day], at: usize, arm: &mut Arm) -> Trace {
    let mut node = Node::new(at as u64);
    node.day(at as u32 - 1, &days[at - 1], world, arm, &mut |_, _| {});
    node.day(at as u32, &days[at], world, arm, &mut |_, _| {})
}

fn compared(world: &World, days: &[Day], picture: &Path) -> String {
    let mut table = String::from(
        "| | spent by hour | delivered | least | RMSE to its curve | to the day's supply | most ahead of its curve | eCPM, fen |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let mut lines = Vec::new();
    for (name, colour, make) in WAYS {
        let traces: Vec<Trace> =
            REPORTED.iter().map(|&at| run(world, days, at, &mut make(&days[at - 1], &days[at]))).collect();
        let mean = |of: &dyn Fn(&Trace) -> f64| traces.iter().map(of).sum::<f64>() / traces.len() as f64;
        let hours: Vec<f64> = traces.iter().filter_map(Trace::exhausted).collect();
        let hour = hours.iter().sum::<f64>() / hours.len().max(1) as f64;
        table += &format!(
            "| {name} | {hour:.1} on {} of {} days | {:.1} % | {:.1} % | {:.3} % | {:.2} % | {:.2} % | {:.2} |\n",
            hours.len(),
            traces.len(),
            100.0 * mean(&Trace::delivered),
            100.0 * traces.iter().map(Trace::delivered).fold(f64::INFINITY, f64::min),
            100.0 * mean(&|trace| trace.rmse(&trace.target)),
            100.0 * mean(&|trace| trace.rmse(&trace.ideal)),
            100.0 * traces.iter().map(Trace::ahead).fold(0.0, f64::max),
            mean(&Trace::ecpm),
        );
        let drawn = REPORTED.iter().position(|at| *at == DRAWN).expect("it is one of them");
        lines.push(Line { name: name.to_owned(), colour, dashed: false, values: traces[drawn].spent.clone() });
        if lines.len() == WAYS.len() {
            let values = traces[drawn].ideal.clone();
            lines.push(Line { name: "supply".to_owned(), colour: "#000000", dashed: true, values });
        }
    }
    std::fs::write(picture, plot::day("Spent of the daily budget, 22 October 2014", &lines))
        .expect("the picture cannot be written");
    table
}

/// A world for steps: even supply, and no news from prices.
fn even(won: f64) -> World {
    World { prices: Prices::fixed(20, won), bid: 40, budget: Micros((won * 6e9) as i64), supply: 1.0 }
}

fn stepped() -> String {
    let mut table = String::from(
        "| budget doubled at noon | rise, s | settling, s | overshoot | steady-state RMSE |\n|---|---|---|---|---|\n",
    );
    let flat = [150_000.0; 24];
    for (name, mut arm) in [
        ("±10 % a minute", Arm::Throttle(Throttle::new(supply_of(&flat)))),
        ("this controller", Arm::pacer(Some(supply_of(&flat)), Gains::default())),
    ] {
        let Response { rise, settling, overshoot, steady } = step::response(&even(0.25), &mut arm, 3);
        table +=
            &format!("| {name} | {rise:.0} | {settling:.0} | {:.0} % | {:.1} % |\n", 100.0 * overshoot, 100.0 * steady);
    }
    table
}

/// A day of one hump.
fn hump() -> Day {
    std::array::from_fn(|hour| 1.0 + 0.8 * ((hour as f64 - 6.0) / 24.0 * std::f64::consts::TAU).sin())
}

fn smallest() -> String {
    let budgets = [1, 2, 5, 10, 20, 50, 100];
    let mut table = String::from("| 50 nodes of 8 cores, daily budget |");
    budgets.iter().for_each(|budget| table += &format!(" {budget} |"));
    table += "\n|---|---|---|---|---|---|---|---|\n";
    for (cpm, won) in [(2, 0.03), (5, 0.03), (2, 0.3), (5, 0.3)] {
        table += &format!("| CPM {cpm}, {:.0} % won |", 100.0 * won);
        for budget in budgets {
            let (budget, bid) = (Micros(budget * 1_000_000), Micros(cpm * 1000));
            let fleet = Fleet { nodes: 50, cores: 8, budget, bid, won, auctions: 14e6 };
            let trace = fleet::day(&fleet, &hump(), 11);
            table += &format!(" {:.1} % / {:.1} % |", 100.0 * trace.delivered(), 100.0 * trace.rmse(&trace.target));
        }
        table.push('\n');
    }
    table
}

fn tune(world: &World, days: &[Day]) {
    println!("p i d: delivered, RMSE to its curve, most ahead; step: rise, settling, overshoot, steady-state RMSE");
    let flat = supply_of(&[150_000.0; 24]);
    for proportional in [12, 24, 60, 120] {
        for integral in [0, 180, 720] {
            for derivative in [0, 120] {
                let gains = Gains { proportional, integral, derivative };
                let traces: Vec<Trace> =
                    TUNED_ON.iter().map(|&at| run(world, days, at, &mut Arm::pacer(None, gains))).collect();
                let mean = |of: &dyn Fn(&Trace) -> f64| traces.iter().map(of).sum::<f64>() / traces.len() as f64;
                let (delivered, rmse) = (mean(&Trace::delivered), mean(&|trace| trace.rmse(&trace.target)));
                let ahead = traces.iter().map(Trace::ahead).fold(0.0, f64::max);
                let Response { rise, settling, overshoot, steady } =
                    step::response(&even(0.25), &mut Arm::pacer(Some(flat.clone()), gains), 3);
                println!(
                    "{proportional:3} {integral:3} {derivative:3}: {delivered:.5} {rmse:.6} {ahead:.5}; {rise:.0} {settling:.0} \
                     {overshoot:.3} {steady:.4}"
                );
            }
        }
    }
}
