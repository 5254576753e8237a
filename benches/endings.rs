//! What a no costs, reason by reason: nanoseconds per decision of the demo's mix of 2 KB requests, scan included, with a
//! thousand and with a hundred thousand campaigns. Rounds of all endings are interleaved; the median round counts.
//!
//! `scripts/instructions --endings` counts the instructions of the same operations.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

#[path = "cases/mod.rs"]
#[allow(dead_code, reason = "each bench uses its own cases")]
mod cases;

use std::time::Instant;

use cases::Ending;

/// Decisions of one ending in one round.
const DECISIONS: usize = 512;

fn main() {
    // `cargo test --bench endings` runs it a little.
    let rounds = if std::env::args().any(|arg| arg == "--bench") { 41 } else { 1 };
    for campaigns in [1_000, 100_000] {
        let mut endings = cases::endings(campaigns);
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); endings.len()];
        for _ in 0..rounds {
            for (ending, times) in endings.iter_mut().zip(&mut times) {
                let begun = Instant::now();
                (0..DECISIONS).for_each(|_| (ending.operation)());
                times.push(begun.elapsed().as_nanos() as f64 / DECISIONS as f64);
            }
        }
        let medians: Vec<f64> = times.into_iter().map(median).collect();
        println!("{campaigns} campaigns\n  {:<20} {:>8} {:>8}", "ending", "share", "ns");
        for (Ending { label, share, .. }, ns) in endings.iter().zip(&medians) {
            println!("  {label:<20} {:>7.2}% {ns:>8.0}", share * 100.0);
        }
        let no: Vec<(f64, f64)> = endings
            .iter()
            .zip(&medians)
            .filter(|(ending, _)| ending.label != "bid")
            .map(|(e, &ns)| (ns, e.share))
            .collect();
        let (all, shares) = no.iter().fold((0.0, 0.0), |(sum, shares), (ns, share)| (sum + ns * share, shares + share));
        println!("  a no-bid: median {:.0} ns, mean {:.0} ns", weighted_median(no), all / shares);
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The time of the ending in which half of the requests have ended, cheapest first.
fn weighted_median(mut endings: Vec<(f64, f64)>) -> f64 {
    endings.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = endings.iter().map(|(_, share)| share).sum::<f64>() / 2.0;
    let mut sum = 0.0;
    for (ns, share) in endings {
        sum += share;
        if sum >= half {
            return ns;
        }
    }
    0.0
}
