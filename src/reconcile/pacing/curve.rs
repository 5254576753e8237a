//! Target curves: how much of a day's budget is to be spent by when.
//!
//! A curve is 96 weights, one for each part of the budget day, which is a quarter of an hour of 24; days of 23 or 25 hours
//! stretch it. Spending follows supply, so that at each hour a campaign takes part in the same share of the auctions and buys
//! the same kind of impression: the best curve is the supply of the day itself, and that of the day before is nearly as good
//! (Balseiro, Kumar, Mirrokni, Sivan, Wang, "Robust Budget Pacing with a Single Sample", ICML 2023).

use crate::snapshot::calendar::BudgetDay;
use crate::units::UnixMillis;

/// Parts of a day.
pub const PARTS: usize = 96;

/// A share of the day's supply or budget, in 1/2^32.
pub type Share = u64;
/// All of it.
pub const WHOLE: Share = 1 << 32;

/// How much of the budget is to be spent by each part of the day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Curve {
    /// What is to be spent before each part, and at last the whole: it never falls.
    before: [Share; PARTS + 1],
}

impl Curve {
    /// The same at all times.
    pub fn flat() -> Curve {
        Curve::of(&[1; PARTS]).expect("a curve of ones")
    }

    /// In proportion to these weights; `None` if all are zero.
    pub fn of(weights: &[u64; PARTS]) -> Option<Curve> {
        let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        let mut before = [0; PARTS + 1];
        let mut sum = 0u128;
        for (at, weight) in weights.iter().enumerate() {
            sum += u128::from(*weight);
            before[at + 1] = (sum * u128::from(WHOLE)).checked_div(total)? as Share;
        }
        Some(Curve { before })
    }

    /// In proportion to the weights of 24 hours; `None` if all are zero.
    pub fn of_hours(weights: &[u32; 24]) -> Option<Curve> {
        Curve::of(&std::array::from_fn(|part| u64::from(weights[part * 24 / PARTS])))
    }

    /// What is to be spent before a moment of the day: nothing before it, everything after.
    pub fn at(&self, day: BudgetDay, now: UnixMillis) -> Share {
        let (part, within) = place(day, now);
        match self.before.get(part + 1) {
            Some(after) => {
                let before = self.before[part];
                before + ((u128::from(after - before) * u128::from(within)) >> 32) as Share
            }
            None => WHOLE,
        }
    }

    /// The weight of one part.
    pub fn weight(&self, part: usize) -> Share {
        self.before[part + 1] - self.before[part]
    }
}

/// Which part of the day a moment is in, and how much of that part has passed; before the day its first moment, after it
/// [`PARTS`].
fn place(day: BudgetDay, now: UnixMillis) -> (usize, Share) {
    let length = day.end.0.saturating_sub(day.start.0).max(1);
    let passed = now.0.saturating_sub(day.start.0).min(length);
    let place = (u128::from(passed) * PARTS as u128 * u128::from(WHOLE)) / u128::from(length);
    ((place >> 32) as usize, place as Share & (WHOLE - 1))
}

/// What came by in each part of a day: the curve of the next.
#[derive(Clone, Debug)]
pub struct Supply {
    seen: [u64; PARTS],
    /// Ticks of each part in which it was looked for.
    ticks: [u32; PARTS],
}

/// Chances in a part of the day that weigh as much as what was believed of it before: fewer are chance.
const BELIEF: u128 = 8;
/// A part is believed to have at least this of an average part's supply, so that supply which was never there can be learnt.
const LEAST: u128 = (WHOLE as u128) / PARTS as u128 / 64;

impl Default for Supply {
    fn default() -> Self {
        Supply { seen: [0; PARTS], ticks: [0; PARTS] }
    }
}

impl Supply {
    /// So many chances came by in one tick that ended now.
    pub fn note(&mut self, day: BudgetDay, now: UnixMillis, chances: u64) {
        let (part, _) = place(day, now);
        if let (Some(seen), Some(ticks)) = (self.seen.get_mut(part), self.ticks.get_mut(part)) {
            *seen = seen.saturating_add(chances);
            *ticks = ticks.saturating_add(1);
        }
    }

    /// The curve of such a day, if the curve `before` was believed. What was not looked at stays as it was believed, in proportion
    /// to the rest; few chances move the belief little.
    pub fn curve(&self, before: &Curve) -> Curve {
        let believed = |part: usize| u128::from(before.weight(part)).max(LEAST);
        let total: u128 = self.seen.iter().map(|seen| u128::from(*seen)).sum();
        // Chances per tick that the belief stands for: `believed * total / expected`.
        let expected: u128 = (0..PARTS).map(|part| u128::from(self.ticks[part]) * believed(part)).sum();
        if total == 0 || expected == 0 {
            return before.clone();
        }
        let weight = |part: usize| {
            // (seen + BELIEF) / (ticks + BELIEF / believed rate), in 1/65,536 chances per tick.
            let rate = ((believed(part) * total) << 16) / expected;
            let ticks = (u128::from(self.ticks[part]) << 32) + (BELIEF << 48) / rate.max(1);
            (((u128::from(self.seen[part]) + BELIEF) << 48) / ticks.max(1)).min(u128::from(u64::MAX)) as u64
        };
        Curve::of(&std::array::from_fn(weight)).unwrap_or_else(|| before.clone())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::Day;

    fn day(hours: u64) -> BudgetDay {
        let start = UnixMillis(1_000 * UnixMillis::DAY);
        BudgetDay { day: Day(1000), start, end: UnixMillis(start.0 + hours * 3_600_000) }
    }

    proptest! {
        /// Against a sum of floats.
        #[test]
        fn a_curve_is_the_sum_of_its_weights(
            weights in prop::array::uniform24(0u32..1_000_000),
            hours in 23u64..26,
            passed in 0f64..1.0,
        ) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let curve = Curve::of_hours(&weights).unwrap();
            let day = day(hours);
            let now = UnixMillis(day.start.0 + (passed * (hours * 3_600_000) as f64) as u64);
            let total: f64 = weights.iter().copied().map(f64::from).sum();
            let by: f64 = weights.iter().enumerate()
                .map(|(hour, weight)| f64::from(*weight) * (passed * 24.0 - hour as f64).clamp(0.0, 1.0))
                .sum();
            let share = curve.at(day, now) as f64 / WHOLE as f64;
            prop_assert!((share - by / total).abs() < 1e-6, "{share} {}", by / total);
        }

        #[test]
        fn a_day_looked_at_is_the_curve_of_the_next(
            weights in prop::array::uniform24(1u32..100),
            from in 0usize..PARTS / 2,
        ) {
            let mut supply = Supply::default();
            let day = day(24);
            for tick in from as u64 * 180..17_280 {
                let now = UnixMillis(day.start.0 + tick * 5_000);
                supply.note(day, now, u64::from(weights[(tick / 720) as usize]) * 1_000);
            }
            let wanted = Curve::of_hours(&weights).unwrap();
            // What was not seen is as it was believed, here rightly.
            let curve = supply.curve(&wanted);
            for part in 0..PARTS {
                let (got, wanted) = (curve.weight(part) as f64, wanted.weight(part) as f64);
                prop_assert!((got / wanted - 1.0).abs() < 0.01, "part {part}: {got} {wanted}");
            }
            if from == 0 {
                let curve = supply.curve(&Curve::flat());
                let far = (0..PARTS).map(|part| curve.weight(part).abs_diff(wanted.weight(part))).max();
                prop_assert!(far.unwrap() < WHOLE / 10_000, "{far:?}");
            }
        }
    }

    #[test]
    fn the_ends_are_exact() {
        let curve = Curve::of(&std::array::from_fn(|part| part as u64 * 7 % 13)).unwrap();
        for hours in 23..=25 {
            let day = day(hours);
            assert_eq!(curve.at(day, UnixMillis(day.start.0 - 1)), 0);
            assert_eq!(curve.at(day, day.start), 0);
            assert!(curve.at(day, UnixMillis(day.end.0 - 1)) < WHOLE);
            assert_eq!(curve.at(day, day.end), WHOLE);
        }
        assert_eq!(Curve::of(&[0; PARTS]), None);
    }

    /// A handful of chances is no curve.
    #[test]
    fn few_chances_change_little() {
        let mut supply = Supply::default();
        let day = day(24);
        for tick in 0..17_280 {
            supply.note(day, UnixMillis(day.start.0 + tick * 5_000), u64::from(tick % 6_000 == 17));
        }
        let (curve, flat) = (supply.curve(&Curve::flat()), Curve::flat());
        for part in 0..PARTS {
            assert!(curve.weight(part).abs_diff(flat.weight(part)) < flat.weight(part) / 4, "part {part}");
        }
    }
}
