//! A win-rate curve, and the bid that it makes the best of.
//!
//! The best bid has the largest `(value - bid) · P(win | bid)`. Where `P` is a distribution of the logarithm of a price with a
//! log-concave form, as the two fitted ones are, that product has one maximum, which is where
//!
//! ```text
//! logistic     ln(β (v/b - 1)) = ln(1 + e^(β (ln b - m)))
//! log-normal   ln(v/b - 1)     = ln(σ Φ(z)/φ(z)),          z = (ln b - μ) / σ
//! ```
//!
//! In `ln b` the left side falls and is concave, the right one grows and is convex: Newton's method from above the root never leaves
//! it, and both arms begin at an upper bound that is near. Floor and cap only cut off one side of a product with one maximum, so the
//! best bid between them is the nearer end.

use crate::shading::levels::Levels;
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
    },
    /// The logarithm of the price to beat has a normal distribution.
    LogNormal {
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        deviation: f64,
    },
    /// As it was seen: steps.
    Empirical(Levels),
}

/// The least and the most that a slope is taken for. Beyond, chances change by less than a hundredth of what they do over a doubling,
/// or all of it within one step of the grid.
const SLOPES: (f64, f64) = (0.05, 80.0);
/// Newton's steps at most. From where it begins an error shrinks below 1e-10 in four.
const STEPS: usize = 6;
/// An error of the logarithm of a bid that is no error: less than a millionth of a bid of a million.
const CLOSE: f64 = 1e-8;

impl Curve {
    /// A logistic curve of numbers that can be computed with; nothing of others.
    pub fn logistic(median: f64, slope: f64) -> Option<Curve> {
        (median.abs() < 60.0 && slope.is_finite())
            .then(|| Curve::Logistic { median, slope: slope.clamp(SLOPES.0, SLOPES.1) })
    }

    /// A log-normal curve of numbers that can be computed with; nothing of others.
    pub fn log_normal(mean: f64, deviation: f64) -> Option<Curve> {
        (mean.abs() < 60.0 && deviation.is_finite())
            .then(|| Curve::LogNormal { mean, deviation: deviation.clamp(1.0 / SLOPES.1, 1.0 / SLOPES.0) })
    }

    /// The chance that a bid wins.
    pub fn wins(&self, bid: CpmMicros) -> f64 {
        let price = bid.0.max(0) as f64;
        match self {
            Curve::None => 1.0,
            Curve::Mode(mode) => f64::from(bid >= *mode),
            Curve::Logistic { median, slope } => 1.0 / (1.0 + (slope * (median - price.ln())).exp()),
            Curve::LogNormal { mean, deviation } => normal::below((price.ln() - mean) / deviation),
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
            Curve::Logistic { median, slope } => logistic(value, median, slope),
            Curve::LogNormal { mean, deviation } => log_normal(value, mean, deviation),
            Curve::Empirical(levels) => levels.best(value, least, most),
        };
        best.clamp(least, most)
    }
}

/// The best bid without floor and cap; `x` is `ln b - m`.
#[inline]
fn logistic(value: CpmMicros, median: f64, slope: f64) -> CpmMicros {
    let value = value.0 as f64;
    let most = value.ln() - median;
    // The root where `1 + e^(βx)` is 1, and where it is `e^(βx)`: upper bounds both, and one of them near.
    let low = most + (slope / (1.0 + slope)).ln();
    let high = (most + slope.ln()) / (1.0 + slope);
    let mut x = low.min(high);
    let mut over = 1.0;
    for _ in 0..STEPS {
        over = (most - x).exp();
        let odds = (slope * x).exp();
        let (left, right) = (slope * (over - 1.0), 1.0 + odds);
        let step = log_ratio(left, right) / (over / (over - 1.0) + slope * odds / right);
        x += step;
        if step.abs() < CLOSE {
            break;
        }
        over *= 1.0 - step;
    }
    CpmMicros((value / over) as i64)
}

/// The best bid without floor and cap; `z` is `(ln b - μ) / σ`.
#[inline]
fn log_normal(value: CpmMicros, mean: f64, deviation: f64) -> CpmMicros {
    let value = value.0 as f64;
    let most = (value.ln() - mean) / deviation;
    // Where `Φ/φ` is at its tangent in 0, on the logarithm: below it everywhere, so that its root is an upper bound.
    let mut z = start(most, deviation);
    let mut over = 1.0;
    for _ in 0..STEPS {
        over = (deviation * (most - z)).exp();
        let by = normal::ratio(z);
        let step = log_ratio(over - 1.0, deviation * by) / (deviation * over / (over - 1.0) + z + 1.0 / by);
        z += step;
        if (deviation * step).abs() < CLOSE {
            break;
        }
        over *= 1.0 - deviation * step;
    }
    CpmMicros((value / over) as i64)
}

/// Where Newton's method begins for the log-normal curve.
#[inline]
fn start(most: f64, deviation: f64) -> f64 {
    // A logistic distribution of like slope in the middle.
    let slope = 1.702 / deviation;
    let x = deviation * most;
    let low = x + (slope / (1.0 + slope)).ln();
    let high = (x + slope.ln()) / (1.0 + slope);
    low.min(high) / deviation
}

/// `ln(a / b)`, nearly: of the right sign, exact where both are alike, never farther than 2. What is wrong with it grows with the
/// cube of the logarithm, so that Newton's method loses nothing by it.
#[inline]
fn log_ratio(a: f64, b: f64) -> f64 {
    2.0 * (a - b) / (a + b)
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
        // Half a millionth of rounding to a whole bid on either side, and as much of the value.
        prop_assert!(
            kept >= dense - 1e-9 * value.0 as f64 - curve.wins(most),
            "{:?} of {:?}: {} {}",
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
                    Curve::Logistic { median, slope } => {
                        slope * (value.0 as f64 / bid - 1.0) - 1.0 - (slope * (bid.ln() - median)).exp()
                    }
                    Curve::LogNormal { mean, deviation } => {
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
