//! Which part of a distribution is the server's, and which the generator made itself.
//!
//! A latency counts from when a request was due until its answer was read, so it holds the generator's own lateness at both.
//! Lateness at sending is seen of every request. Lateness at reading is not, but an answer comes at any moment, and what somebody
//! waits who does so is measured ([`crate::lab::hiccup`]). Where either is a large part of a latency at the same quantile,
//! the number says nothing of the server.

use hdrhistogram::Histogram;

use crate::lab::hiccup::Hiccups;
use crate::lab::latency;

/// Most of a latency that may be the generator's lateness at the same quantile, sending or reading. A host's hiccups meet the server and
/// the generator alike: less than half would refuse the server's own.
const MOST_OF_IT: f64 = 0.5;
/// Lateness that never matters, ns: a few system calls of the generator's own.
const NEVER_MATTERS_NS: u64 = 20_000;
/// Requests that have to lie beyond a quantile for it to be more than one run's chance.
const ENOUGH: f64 = 10.0;
/// Points of a curve from one nine to the next.
const POINTS: u32 = 40;

/// What was measured in a run, ns.
#[derive(Clone, Debug)]
pub struct Measured {
    /// From the intended send time to the answer.
    pub latency: Histogram<u32>,
    /// From when a request could have been sent until it was.
    pub lag: Histogram<u32>,
    /// What the machine did to the generators; nothing of a closed loop, which has hardly a turn without work.
    pub hiccups: Hiccups,
}

impl Default for Measured {
    fn default() -> Measured {
        Measured { latency: latency::histogram(), lag: latency::histogram(), hiccups: Hiccups::default() }
    }
}

/// A point of a percentile curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// One request in so many takes longer: `1 / (1 - quantile)`.
    pub one_in: f64,
    /// Within which the others are answered, ns.
    pub ns: u64,
    /// The generator's doing, not the server's.
    pub refused: bool,
}

impl Measured {
    /// How late a generator was at a quantile, ns: at sending, or at reading if that is more.
    pub fn lateness(&self, quantile: f64) -> u64 {
        self.lag.value_at_quantile(quantile).max(self.hiccups.wait(quantile))
    }

    /// Why the latency at a quantile is not the server's; `None` if it is.
    pub fn refuses(&self, quantile: f64) -> Option<String> {
        let (late, latency) = (self.lateness(quantile), self.latency.value_at_quantile(quantile));
        let matters = late > NEVER_MATTERS_NS && late as f64 > latency as f64 * MOST_OF_IT;
        let us = |ns| super::duration(latency::round(ns));
        matters.then(|| format!("up to {} of {} may be the generator's own lateness", us(late), us(latency)))
    }

    /// So many requests took longer than a quantile says, or as long.
    pub fn beyond(&self, quantile: f64) -> u64 {
        // What rounding leaves of 5,000 * (1 - 0.999) is a little less than 5.
        (self.latency.len() as f64 * (1.0 - quantile) + 1e-6) as u64
    }

    /// Too few requests lie beyond a quantile.
    pub fn has_few(&self, quantile: f64) -> bool {
        (self.beyond(quantile) as f64) < ENOUGH
    }

    /// The percentile curve, from the least to the longest.
    pub fn curve(&self) -> Vec<Point> {
        let count = self.latency.len();
        let nines = (count.max(1) as f64).log10();
        let steps = (nines * f64::from(POINTS)).floor() as u32;
        (0..=steps)
            .map(|step| 10f64.powf(f64::from(step) / f64::from(POINTS)))
            .chain([count as f64])
            .filter(|_| count > 0)
            .map(|one_in| {
                let quantile = 1.0 - 1.0 / one_in;
                let ns = self.latency.value_at_quantile(quantile);
                Point { one_in, ns, refused: self.refuses(quantile).is_some() }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_from_the_least_to_the_longest() {
        let mut measured = Measured::default();
        assert!(measured.curve().is_empty());
        (1..=10_000u64).for_each(|us| measured.latency.saturating_record(us * 1_000));
        let curve = measured.curve();
        let near = |ns: u64, us: u64| ns.abs_diff(us * 1_000) <= us * 2 + 64;
        assert!(near(curve[0].ns, 1) && near(curve[curve.len() - 1].ns, 10_000), "{curve:?}");
        assert!(curve.is_sorted_by(|a, b| a.ns <= b.ns && a.one_in <= b.one_in));
        for point in &curve {
            let exact = (1.0 - 1.0 / point.one_in) * 10_000.0;
            assert!((point.ns as f64 / 1_000.0 - exact).abs() <= exact * 0.002 + 1.1, "{point:?}");
            assert!(!point.refused);
        }
    }

    /// An answer that waits to be read while the machine does something else is as much too late as a request that waits to be sent.
    #[test]
    fn lateness_at_reading_is_refused_too() {
        let mut measured = Measured::default();
        (0..10_000).for_each(|_| measured.latency.saturating_record(1_000_000));
        assert_eq!(measured.refuses(0.99), None);
        // A fiftieth of the time somebody waits for up to 2 ms.
        (0..98_000).for_each(|_| measured.hiccups.record(1_000));
        measured.hiccups.record(2_000_000);
        assert_eq!(measured.refuses(0.9), None);
        assert!(measured.refuses(0.99).is_some_and(|why| why.contains("of 1.00 ms")));
    }
}
