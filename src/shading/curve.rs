//! A win-rate curve, and the bid that it makes the best of.
//!
//! The best bid has the largest `(value - bid) · P(win | bid)`. Where `P` is a distribution of the logarithm of a price with a
//! log-concave form, as the two fitted ones are, that product has one maximum. With `y` for the value and `x` for the bid, both as
//! logarithms over the curve's middle, and for the log-normal in deviations, it is where
//!
//! ```text
//! logistic     x + ln(1 + (1 + e^(βx)) / β)  =  y
//! log-normal   x + ln(1 + σ Φ(x)/φ(x)) / σ   =  y
//! ```
//!
//! The left sides grow and are convex, so that Newton's method comes down to the root from above and never passes it. A curve has the roots
//! of sixteen values with it ([`Starts`]): from what lies between them one step of Halley's method, which is Newton's with the curvature, is
//! mostly enough. Floor and cap only cut off one side of a product with one maximum, so that the best bid between them is the nearer end.

use crate::shading::levels::Levels;
use crate::shading::starts::Starts;
use crate::shading::{grid, normal};
use crate::units::CpmMicros;

/// The chance to win, by what is bid. Floats inside; what goes in and comes out is whole millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Curve {
    /// Nothing is known: the value is bid.
    #[default]
    None,
    /// The price to beat is always the one seen most.
    Mode(CpmMicros),
    /// The logarithm of the price to beat has a logistic distribution.
    Logistic {
        /// Its median.
        median: f64,
        /// How steep it is: `d logit(P) / d ln b`.
        slope: f64,
        /// Best bids of some values.
        starts: Starts,
    },
    /// The logarithm of the price to beat has a normal distribution.
    LogNormal {
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        deviation: f64,
        /// Best bids of some values.
        starts: Starts,
    },
    /// As it was seen: steps.
    Empirical(Levels),
}

/// The least and the most that a slope is taken for. Beyond, chances change by less than a hundredth of what they do over a doubling,
/// or all of it within one step of the grid.
const SLOPES: (f64, f64) = (0.05, 80.0);
/// The middle of a curve is a logarithm below this: of more than there is money.
const MIDDLE: f64 = 60.0;
/// Steps at most.
const STEPS: usize = 16;
/// A step, in deviations, after which what is wrong is no more than its cube.
const CLOSE: f64 = 4e-3;

impl Curve {
    /// A logistic curve of numbers that can be computed with; nothing of others.
    pub fn logistic(median: f64, slope: f64) -> Option<Curve> {
        if !(median.abs() < MIDDLE && slope.is_finite()) {
            return None;
        }
        let slope = slope.clamp(SLOPES.0, SLOPES.1);
        let starts = Starts::of(|y| slope * logistic_root(y / slope, slope, None).0);
        Some(Curve::Logistic { median, slope, starts })
    }

    /// A log-normal curve of numbers that can be computed with; nothing of others.
    pub fn log_normal(mean: f64, deviation: f64) -> Option<Curve> {
        if !(mean.abs() < MIDDLE && deviation.is_finite()) {
            return None;
        }
        let deviation = deviation.clamp(1.0 / SLOPES.1, 1.0 / SLOPES.0);
        let starts = Starts::of(|y| normal_root(y, deviation, None).0);
        Some(Curve::LogNormal { mean, deviation, starts })
    }

    /// The chance that a bid wins.
    pub fn wins(&self, bid: CpmMicros) -> f64 {
        let price = bid.0.max(0) as f64;
        match self {
            Curve::None => 1.0,
            Curve::Mode(mode) => f64::from(bid >= *mode),
            Curve::Logistic { median, slope, .. } => 1.0 / (1.0 + (slope * (median - price.ln())).exp()),
            Curve::LogNormal { mean, deviation, .. } => normal::below((price.ln() - mean) / deviation),
            Curve::Empirical(levels) => levels.wins(bid),
        }
    }

    /// The lowest bid that wins with this chance; the highest price of the grid where none does.
    pub fn reaching(&self, chance: f64) -> CpmMicros {
        let (mut below, mut reaching) = (0, grid::top(grid::BINS - 1).0);
        while reaching - below > 1 {
            let middle = below + (reaching - below) / 2;
            if self.wins(CpmMicros(middle)) >= chance { reaching = middle } else { below = middle }
        }
        CpmMicros(reaching)
    }

    /// The bid with the most expected surplus for an impression worth `value`, of those from `floor` up to `cap` and to the value. Where
    /// there is none it is the lesser of value and cap: below the floor, and no bid.
    #[inline]
    pub fn best(&self, value: CpmMicros, floor: CpmMicros, cap: CpmMicros) -> CpmMicros {
        let most = value.min(cap);
        let least = floor.max(CpmMicros(1));
        if most <= least {
            return most;
        }
        let best = match *self {
            Curve::None => most,
            // Where the price to beat is out of reach, nothing is won by bidding less.
            Curve::Mode(mode) if mode > most => most,
            Curve::Mode(mode) => mode,
            Curve::Logistic { median, slope, ref starts } => {
                let y = (value.0 as f64).ln() - median;
                let (_, over) = logistic_root(y, slope, starts.root(slope * y).map(|x| x / slope));
                CpmMicros((value.0 as f64 / over) as i64)
            }
            Curve::LogNormal { mean, deviation, ref starts } => {
                let y = ((value.0 as f64).ln() - mean) / deviation;
                let (_, over) = normal_root(y, deviation, starts.root(y));
                CpmMicros((value.0 as f64 / over) as i64)
            }
            Curve::Empirical(levels) => levels.best(value, least, most),
        };
        best.clamp(least, most)
    }
}

/// The root for a logistic curve, and how many times the bid the value is there.
#[inline]
fn logistic_root(y: f64, slope: f64, start: Option<f64>) -> (f64, f64) {
    let each = 1.0 / slope;
    // Without a start, the lower of two upper bounds: the value itself, and the root where the one beside `e^(βx)` is left out.
    let mut x = start.unwrap_or_else(|| y.min((y + slope.ln()) / (1.0 + slope)));
    let mut over = 1.0;
    for _ in 0..STEPS {
        let odds = (slope * x).exp();
        over = 1.0 + each + odds * each;
        let rate = odds / over;
        let (off, rise, bend) = (x + over.ln() - y, 1.0 + rate, slope * rate * (1.0 - rate * each));
        let step = halley(off, rise, bend);
        x -= step;
        over -= odds * step * (1.0 - 0.5 * slope * step);
        if (slope * step).abs() < CLOSE {
            break;
        }
    }
    (x, over)
}

/// The root for a log-normal curve, and how many times the bid the value is there.
#[inline]
fn normal_root(y: f64, deviation: f64, start: Option<f64>) -> (f64, f64) {
    // Without a start, the lower of two upper bounds: the value itself, and, above the middle, the root where `Φ/φ` is its half at 0
    // times `e^(x²/2)`.
    let mut x = start.unwrap_or_else(|| {
        let rest = deviation * y - deviation.ln() - HALF;
        let bound = (deviation * deviation + 2.0 * rest).max(0.0).sqrt() - deviation;
        if y > 0.0 { y.min(bound.max(0.0)) } else { y }
    });
    let mut over = 1.0;
    for _ in 0..STEPS {
        let by = normal::ratio(x);
        over = 1.0 + deviation * by;
        // The first and the second derivative of `Φ/φ`.
        let first = 1.0 + x * by;
        let second = by + x * first;
        let rate = first / over;
        let (off, rise, bend) = (x + over.ln() / deviation - y, 1.0 + rate, second / over - deviation * rate * rate);
        let step = halley(off, rise, bend);
        x -= step;
        over -= deviation * step * (first - 0.5 * step * second);
        if step.abs() < CLOSE {
            break;
        }
    }
    (x, over)
}

/// `ln(Φ(0)/φ(0))`.
const HALF: f64 = 0.225_791_352_644_727_33;

/// How far above its root a function is whose value, slope and curvature are these.
#[inline]
fn halley(off: f64, rise: f64, bend: f64) -> f64 {
    2.0 * off * rise / (2.0 * rise * rise - off * bend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keeps(curve: &Curve, value: CpmMicros, bid: CpmMicros) -> f64 {
        (value.0 - bid.0) as f64 * curve.wins(bid)
    }

    /// The most that any bid keeps: a thousand over the whole range, and every one about the best of them.
    fn dense(curve: &Curve, value: CpmMicros, least: i64, most: i64) -> f64 {
        let step = ((most - least) / 1000).max(1);
        let keeps = |bid: i64| keeps(curve, value, CpmMicros(bid));
        let coarse = (0..=1001).map(|at| (least + at * step).min(most));
        let best = coarse.max_by(|one, other| keeps(*one).total_cmp(&keeps(*other))).unwrap_or(most);
        let fine = (step / 500).max(1);
        (-501..=501).map(|at| (best + at * fine).clamp(least, most)).map(keeps).fold(0.0, f64::max)
    }

    fn check(curve: &Curve, value: i64, floor: i64, cap: i64) -> Result<(), TestCaseError> {
        let (value, floor, cap) = (CpmMicros(value), CpmMicros(floor), CpmMicros(cap));
        let best = curve.best(value, floor, cap);
        let most = value.min(cap);
        if floor > most {
            prop_assert_eq!(best, most, "no bid at all");
            return Ok(());
        }
        prop_assert!(best >= floor && best <= most, "{:?}: {} {:?} {}", curve, floor.0, best, most.0);
        let (kept, dense) = (keeps(curve, value, best), dense(curve, value, floor.0.max(1), most.0));
        // A billionth of the value, and what a bid rounded to a whole one loses.
        prop_assert!(
            kept >= dense - 1e-9 * value.0 as f64 - 1.0,
            "{:?} {:?} of {:?}: {} {}",
            curve,
            best,
            value,
            kept,
            dense
        );
        Ok(())
    }

    proptest! {
        #[test]
        fn the_best_bid_of_a_fitted_curve_is_the_best_of_all(
            value in 1i64..200_000_000,
            floor in prop_oneof![Just(0i64), 0i64..100_000_000],
            cap in 1i64..200_000_000,
            median in 9.0f64..18.0,
            spread in -4.0f64..2.5,
        ) {
            check(&Curve::logistic(median, (-spread).exp()).unwrap(), value, floor, cap)?;
            check(&Curve::log_normal(median, spread.exp()).unwrap(), value, floor, cap)?;
            check(&Curve::Mode(CpmMicros(median.exp() as i64)), value, floor, cap)?;
            check(&Curve::None, value, floor, cap).ok();
        }

        /// Where nothing holds it, the slope of what is kept changes its sign about the best bid: within two millionths of a unit for
        /// each unit that is bid.
        #[test]
        fn the_best_bid_is_exact_to_the_micro(
            value in 100_000i64..50_000_000, median in 12.0f64..17.0, spread in -2.0f64..1.0,
        ) {
            for curve in [Curve::logistic(median, (-spread).exp()).unwrap(), Curve::log_normal(median, spread.exp()).unwrap()] {
                let value = CpmMicros(value);
                let best = curve.best(value, CpmMicros(0), value);
                prop_assume!(curve.wins(best) > 1e-9 && curve.wins(best) < 0.999_999);
                // By the logarithms: what is kept itself is too flat there to be told apart.
                let rise = |bid: f64| match curve {
                    Curve::Logistic { median, slope, .. } => {
                        slope * (value.0 as f64 / bid - 1.0) - 1.0 - (slope * (bid.ln() - median)).exp()
                    }
                    Curve::LogNormal { mean, deviation, .. } => {
                        value.0 as f64 / bid - 1.0 - deviation * normal::ratio((bid.ln() - mean) / deviation)
                    }
                    _ => unreachable!("two curves"),
                };
                let (bid, near) = (best.0 as f64, 2.0 + 2e-6 * best.0 as f64);
                prop_assert!(rise(bid - near) > 0.0 && rise(bid + near) < 0.0, "{curve:?} of {value:?}: {best:?}");
            }
        }
    }

    #[test]
    fn a_price_to_beat_out_of_reach_is_no_reason_to_bid_less() {
        let mode = Curve::Mode(CpmMicros(500));
        assert_eq!(mode.best(CpmMicros(499), CpmMicros(0), CpmMicros(999)), CpmMicros(499));
        assert_eq!(mode.best(CpmMicros(900), CpmMicros(0), CpmMicros(999)), CpmMicros(500));
        assert_eq!(mode.best(CpmMicros(900), CpmMicros(600), CpmMicros(999)), CpmMicros(600));
        assert_eq!(
            mode.best(CpmMicros(900), CpmMicros(901), CpmMicros(999)),
            CpmMicros(900),
            "below the floor: no bid"
        );
    }

    #[test]
    fn numbers_that_no_curve_has_make_none() {
        for bad in [f64::NAN, f64::INFINITY, 61.0, -61.0] {
            assert_eq!((Curve::logistic(bad, 1.0), Curve::log_normal(bad, 1.0)), (None, None));
        }
        assert_eq!((Curve::logistic(1.0, f64::NAN), Curve::log_normal(1.0, f64::INFINITY)), (None, None));
        let far = Curve::log_normal(14.0, 0.7).unwrap();
        let wins = far.wins(far.reaching(0.25));
        assert!((0.25..0.2501).contains(&wins), "{wins}");
        // The extremes of what can be bid.
        for curve in [far, Curve::logistic(14.0, 80.0).unwrap(), Curve::logistic(-59.0, 0.05).unwrap()] {
            for value in [1, 2, i64::MAX] {
                let best = curve.best(CpmMicros(value), CpmMicros(0), CpmMicros(i64::MAX));
                assert!((1..=value).contains(&best.0), "{curve:?} of {value}: {best:?}");
            }
        }
    }
}
