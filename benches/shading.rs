//! The figures of docs/SHADING.md, run by `scripts/shading`: writes them there, and the picture beside it. `-- best` instead measures
//! what one best bid costs.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use corebid::lab::pacing::plot::{self, Line};
use corebid::lab::shading::{Kept, Market, POINT, Run, run};
use corebid::market::random::Random;
use corebid::shading::Arm;
use corebid::shading::curve::Curve;
use corebid::units::CpmMicros;

const BEGIN: &str = "<!-- Written by scripts/shading from here … -->\n";
const END: &str = "<!-- … to here. -->\n";
/// What values are drawn about the market's median, and how far they spread.
const VALUES: [(f64, f64); 3] = [(1.0, 0.7), (1.5, 0.5), (1.0, 0.3)];
/// Auctions of a run; those after the first half are what was promised.
const AUCTIONS: usize = 200_000;
/// Auctions that learning takes, of the first half.
const LEARNING: usize = 20_000;
const COLOURS: [&str; 5] = ["#888888", "#e69f00", "#0072b2", "#009e73", "#cc79a7"];

fn main() {
    // `cargo test --bench` only asks whether it starts.
    if !std::env::args().any(|word| word == "--bench") {
        return;
    }
    if std::env::args().any(|word| word == "best") {
        return best();
    }
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|above| above.join("shared/data"));
    let real = data.into_iter().find_map(|data| Market::read(&data.join("win_price_histogram.csv")));
    let Some(real) = real else {
        eprintln!("skipped: no shared/data/win_price_histogram.csv above this repository");
        return;
    };
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let markets = [("log-normal", Market::log_normal(2.0, 0.7)), ("real prices", real)];
    let mut table = String::from(
        "| prices | values | arm | told: first 100,000 | 20,000 to 100,000 | after 100,000 | untold: first 100,000 | 20,000 to 100,000 | after 100,000 |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    let mut lines = Vec::new();
    for (name, market) in &markets {
        for values in VALUES {
            for (arm, colour) in Arm::ALL.into_iter().zip(COLOURS) {
                let of = |told| run(market, &Run { arm, told, values, auctions: AUCTIONS, ..Run::default() });
                let (told, untold) = (of(true), of(false));
                let (middle, spread) = values;
                table += &format!(
                    "| {name} | {middle:.1} x median, σ {spread:.1} | {} | {} | {} |\n",
                    arm.label(),
                    shares(&told),
                    shares(&untold)
                );
                if *name == "real prices" && values == VALUES[0] {
                    lines.push(Line { name: arm.label().to_owned(), colour, dashed: false, values: course(&untold) });
                }
            }
        }
    }
    let picture = plot::chart(
        "Share of the oracle's surplus, real prices, without MIN_TO_WIN",
        ("auctions", &["0", "20,000", "40,000", "60,000", "80,000", "100,000"]),
        &lines,
    );
    std::fs::write(docs.join("shading.svg"), picture).expect("docs/shading.svg cannot be written");
    let path = docs.join("SHADING.md");
    let text = std::fs::read_to_string(&path).expect("docs/SHADING.md cannot be read");
    let (before, rest) = text.split_once(BEGIN).expect("docs/SHADING.md has no place for the figures");
    let (_, after) = rest.split_once(END).expect("docs/SHADING.md has no end of the figures");
    std::fs::write(&path, format!("{before}{BEGIN}\n{table}\n{END}{after}"))
        .expect("docs/SHADING.md cannot be written");
    println!("{table}");
}

fn shares(kept: &Kept) -> String {
    let share = |auctions| 100.0 * kept.share(auctions);
    let half = AUCTIONS / 2;
    format!("{:.1} % | {:.1} % | {:.1} %", share(0..half), share(LEARNING..half), share(half..AUCTIONS))
}

/// The arm's share of the oracle's, by [`POINT`] auctions of the first half.
fn course(kept: &Kept) -> Vec<f64> {
    kept.points[..AUCTIONS / 2 / POINT].iter().map(|(ours, best)| (ours / best).max(0.0)).collect()
}

/// Mean time of a best bid, over 16,384 values and as many curves about one: no two alike in a row.
fn best() {
    const VALUES: usize = 1 << 14;
    const ROUNDS: usize = 64;
    let mut random = Random::new(1);
    let bids: Vec<(CpmMicros, f64, f64)> = (0..VALUES)
        .map(|_| {
            let value = CpmMicros((random.log_normal(2.0, 0.7) * 1e6) as i64);
            (value, 14.5 + 0.3 * random.normal(), 0.4 + 0.6 * random.unit())
        })
        .collect();
    let market = Market::log_normal(2.0, 0.7);
    let seen = run(&market, &Run { arm: Arm::Empirical, auctions: 20_000, ..Run::default() }).curve;
    for (name, curve) in [
        ("mode", &(|at: f64, _| Some(Curve::Mode(CpmMicros(at.exp() as i64)))) as &dyn Fn(f64, f64) -> Option<Curve>),
        ("logistic", &|at, spread| Curve::logistic(at, 1.7 / spread)),
        ("lognormal", &Curve::log_normal),
        ("empirical", &|_, _| Some(seen)),
    ] {
        let asked: Vec<(CpmMicros, Curve)> =
            bids.iter().filter_map(|&(value, at, spread)| Some((value, curve(at, spread)?))).collect();
        let mut times: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let start = Instant::now();
                let sum: i64 = asked.iter().map(|(value, curve)| curve.best(*value, CpmMicros(10_000), *value).0).sum();
                black_box(sum);
                start.elapsed().as_nanos() as f64 / asked.len() as f64
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("{name:10} {:.0} ns a bid (median of {ROUNDS} rounds)", times[ROUNDS / 2]);
    }
}
