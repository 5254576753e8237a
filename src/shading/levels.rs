//! A win-rate curve as steps: a few prices, and the chance to win from each on.
//!
//! For a value `v` a step `(b, F)` promises `(v - b) F`, a line in `v` with the slope `F`: the best steps for all values are those on the
//! upper envelope of these lines, some dozens of the grid's hundreds. Twelve of them have nearly all of what those promise, and fit
//! into a message.

use crate::shading::grid;
use crate::units::CpmMicros;

/// Steps of a curve.
pub const LEVELS: usize = 12;
/// One, as a chance.
const ONE: u16 = u16::MAX;

/// Prices and chances, both ascending; the last is repeated where there are fewer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// Steps of the grid: the price is the top of one.
    steps: [u16; LEVELS],
    /// In 1/65,535.
    chances: [u16; LEVELS],
}

/// One step: a price, and the chance to win from it on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Its step of the grid.
    pub bin: usize,
    /// 0 to 1.
    pub chance: f64,
    /// How much of what is bid is bid from here to the next.
    pub weight: f64,
}

impl Level {
    fn price(&self) -> f64 {
        grid::top(self.bin).0 as f64
    }

    fn promises(&self, value: f64) -> f64 {
        (value - self.price()) * self.chance
    }

    /// From which value on it promises more than one with less of a chance.
    fn beats(&self, lesser: &Level) -> f64 {
        let rise = self.chance - lesser.chance;
        (self.chance * self.price() - lesser.chance * lesser.price()) / rise
    }
}

impl Levels {
    /// The best few of `levels`, which ascend in both; nothing if there is none with a chance.
    pub fn of(levels: &[Level]) -> Option<Levels> {
        let mut hull = envelope(levels);
        while hull.len() > LEVELS {
            let (least, _) = (0..hull.len())
                .map(|at| (at, loss(&hull, at)))
                .min_by(|one, other| one.1.total_cmp(&other.1))
                .expect("more than none");
            let gone = hull.remove(least);
            // Who would have bid it bids the one before, or the one behind.
            let (before, behind) = (least.checked_sub(1), (least < hull.len()).then_some(least));
            let heirs = before.into_iter().chain(behind);
            let share = gone.weight / heirs.clone().count() as f64;
            heirs.for_each(|heir| hull[heir].weight += share);
        }
        let last = *hull.last()?;
        let at = |index: usize| hull.get(index).copied().unwrap_or(last);
        Some(Levels {
            steps: std::array::from_fn(|index| at(index).bin as u16),
            chances: std::array::from_fn(|index| (at(index).chance * f64::from(ONE)) as u16),
        })
    }

    /// Its steps: the price, and the chance from it on.
    #[inline]
    fn each(&self) -> impl Iterator<Item = (CpmMicros, u16)> {
        self.steps.iter().zip(self.chances).map(|(step, chance)| (grid::top(usize::from(*step)), chance))
    }

    /// Its steps, each once: the price, and the chance to win from it on.
    pub fn steps(&self) -> impl Iterator<Item = (CpmMicros, f64)> {
        let mut last = None;
        let each = self.each().map(|(price, chance)| (price, f64::from(chance) / f64::from(ONE)));
        each.filter(move |step| last.replace(step.0) != Some(step.0))
    }

    /// The chance that a bid wins.
    pub fn wins(&self, bid: CpmMicros) -> f64 {
        let reached = self.each().take_while(|(price, _)| *price <= bid).last();
        reached.map_or(0.0, |(_, chance)| f64::from(chance) / f64::from(ONE))
    }

    /// The best bid from `least` up to `most`, which must not cross. Where none has a chance, it is `most`.
    #[inline]
    pub fn best(&self, value: CpmMicros, least: CpmMicros, most: CpmMicros) -> CpmMicros {
        let (mut best, mut promised) = (most, 0);
        for (price, chance) in self.each() {
            // A bid at the floor has the chance of the step that it stands on.
            let bid = price.max(least);
            let promises = i128::from(value.0 - bid.0) * i128::from(chance);
            if bid <= most && promises > promised {
                (best, promised) = (bid, promises);
            }
        }
        best
    }
}

/// The levels that promise most for some value. What is dropped leaves its weight to the one that is bid in its place.
fn envelope(levels: &[Level]) -> Vec<Level> {
    let mut hull: Vec<Level> = Vec::new();
    for level in levels {
        if level.chance <= hull.last().map_or(0.0, |last| last.chance) {
            if let Some(last) = hull.last_mut() {
                last.weight += level.weight;
            }
            continue;
        }
        let mut weight = level.weight;
        while let [.., before, last] = &hull[..]
            && level.beats(last) <= last.beats(before)
        {
            weight += last.weight;
            hull.pop();
        }
        hull.push(Level { weight, ..*level });
    }
    hull
}

/// What is lost, nearly, if one is left out: the most that it is better than its neighbours by, as often as it is bid.
fn loss(hull: &[Level], at: usize) -> f64 {
    let level = &hull[at];
    let gap = match (at.checked_sub(1), hull.get(at + 1)) {
        (Some(before), Some(next)) => {
            let value = next.beats(&hull[before]);
            level.promises(value) - next.promises(value)
        }
        // Nothing is below the first: all that it promises up to where the second takes over.
        (None, Some(next)) => level.promises(next.beats(level)),
        // From its own beginning on up to twice that.
        (Some(before), None) => {
            let value = 2.0 * level.beats(&hull[before]);
            level.promises(value) - hull[before].promises(value)
        }
        (None, None) => f64::INFINITY,
    };
    gap * level.weight
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn levels() -> impl Strategy<Value = Vec<Level>> {
        let level = (1usize..20, 0.001f64..0.05, 0.0f64..5.0);
        prop::collection::vec(level, 1..20).prop_map(|rises| {
            let (mut bin, mut chance) = (100, 0.0);
            let each = rises.into_iter().map(|(step, rise, weight)| {
                (bin, chance) = (bin + step, chance + rise);
                Level { bin, chance, weight }
            });
            each.collect()
        })
    }

    proptest! {
        /// Every level against every value: as long as all of the envelope has room, nothing is lost but what rounding a chance to
        /// 1/65,535 loses.
        #[test]
        fn the_best_of_the_steps_is_the_best_of_all_levels(levels in levels(), value in 10_000i64..100_000_000) {
            prop_assume!(envelope(&levels).len() <= LEVELS);
            let steps = Levels::of(&levels).unwrap();
            let (value, most) = (CpmMicros(value), CpmMicros(value));
            let best = steps.best(value, CpmMicros(1), most);
            let of = |bid: CpmMicros| {
                let reached = levels.iter().take_while(|level| grid::top(level.bin) <= bid).last();
                (value.0 - bid.0) as f64 * reached.map_or(0.0, |level| level.chance)
            };
            let most = levels.iter().map(|level| of(grid::top(level.bin))).fold(0.0, f64::max);
            prop_assert!(of(best) >= most - 2e-5 * value.0 as f64, "{best:?}: {} of {most}", of(best));
        }

        /// Between floor and cap every bid is tried.
        #[test]
        fn floor_and_cap_are_kept(levels in levels(), value in 50_000i64..200_000, floor in 1i64..150_000, cap in 1i64..200_000) {
            let steps = Levels::of(&levels).unwrap();
            let most = value.min(cap);
            prop_assume!(floor < most);
            let best = steps.best(CpmMicros(value), CpmMicros(floor), CpmMicros(most));
            prop_assert!((floor..=most).contains(&best.0));
            let of = |bid: i64| (value - bid) as f64 * steps.wins(CpmMicros(bid));
            let dense = (floor..=most).map(of).fold(0.0, f64::max);
            prop_assert!(of(best.0) >= dense * (1.0 - 1e-12), "{best:?}: {} of {dense}", of(best.0));
        }
    }

    #[test]
    fn few_steps_keep_what_counts() {
        let even: Vec<Level> =
            (0..100).map(|at| Level { bin: 200 + at, chance: f64::from(at as u32 + 1) / 100.0, weight: 1.0 }).collect();
        let steps = Levels::of(&even).unwrap();
        assert_eq!(steps.steps().count(), LEVELS);
        assert!(steps.steps().is_sorted_by(|one, next| one.0 < next.0 && one.1 < next.1));
        assert_eq!(Levels::of(&[]), None);
        assert_eq!(Levels::of(&[Level { bin: 3, chance: 0.0, weight: 1.0 }]), None);
    }
}
