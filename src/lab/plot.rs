//! Percentile plots in the manner of HdrHistogram: to the right one nine after the other, upwards the latency.
//!
//! Both axes are logarithmic. To the right, because the hundredth part beyond p99 is as wide as the tenth beyond p90; upwards,
//! because medians and tails of a server lie decades apart, and on a line the one of them would be all that is seen.

mod svg;
mod terminal;

pub use svg::svg;
pub use terminal::{columns, terminal};

use crate::lab::report::measured::Point;

/// The percentile curve of a run.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// From the least to the longest.
    pub points: Vec<Point>,
}

/// Where values lie between the ends of both axes, and which ticks they have.
#[derive(Clone, Debug)]
struct Axes {
    /// Nines at the right end.
    nines: f64,
    /// Decimal logarithms of the least and the most latency, ns.
    low: f64,
    high: f64,
}

impl Axes {
    /// With room for all curves; `None` if there is nothing on them.
    fn around(curves: &[Curve]) -> Option<Axes> {
        let points = || curves.iter().flat_map(|curve| &curve.points);
        let most = points().map(|point| point.one_in).fold(1.0, f64::max);
        let (least, longest) =
            points().fold((u64::MAX, 0), |(low, high), point| (low.min(point.ns), high.max(point.ns)));
        (longest > 0).then(|| {
            // Between ticks at 1, 2 and 5, and never flat.
            let low = tick_below((least.max(1) as f64).log10());
            let high = tick_above((longest as f64).log10());
            Axes { nines: most.log10().max(1.0), low, high }
        })
    }

    /// From the left, 0 to 1.
    fn x(&self, one_in: f64) -> f64 {
        one_in.log10() / self.nines
    }

    /// From below, 0 to 1.
    fn y(&self, ns: u64) -> f64 {
        ((ns.max(1) as f64).log10() - self.low) / (self.high - self.low)
    }

    /// Whole nines: where they lie, and the percentile.
    fn nines(&self) -> impl Iterator<Item = (f64, String)> + '_ {
        (0..=self.nines as usize).map(|nines| {
            let name = match nines {
                0 => "0 %".to_owned(),
                1 => "90 %".to_owned(),
                2 => "99 %".to_owned(),
                _ => format!("99.{} %", "9".repeat(nines - 2)),
            };
            (nines as f64 / self.nines, name)
        })
    }

    /// Latencies of 1, 2 and 5 of each decade: where they lie, and ns.
    fn latencies(&self) -> Vec<(f64, u64)> {
        let decades = self.low.floor() as i32..=self.high.ceil() as i32;
        decades
            .flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(decade)))
            .map(|ns| ((ns.log10() - self.low) / (self.high - self.low), ns.round() as u64))
            .filter(|(at, _)| (-1e-9..=1.0 + 1e-9).contains(at))
            .collect()
    }
}

const STEPS: [f64; 4] = [0.0, std::f64::consts::LOG10_2, 0.698_970_004_336_018_8, 1.0];

fn tick_below(log: f64) -> f64 {
    let steps = STEPS.map(|step| log.floor() + step);
    steps.into_iter().rev().find(|step| *step <= log - 0.02).unwrap_or(log.floor() - 1.0 + STEPS[2])
}

fn tick_above(log: f64) -> f64 {
    let steps = STEPS.map(|step| log.floor() + step);
    steps.into_iter().find(|step| *step >= log + 0.02).unwrap_or(log.floor() + 1.0 + STEPS[1])
}

/// Runs of points that are refused, as first and last place.
fn refused(points: &[Point]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for at in (0..points.len()).filter(|at| points[*at].refused) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == at => *last = at,
            _ => runs.push((at, at)),
        }
    }
    runs
}

/// Nanoseconds as a tick says them.
fn tick(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} us", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", ns / 1_000_000),
        _ => format!("{} s", ns / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests;
