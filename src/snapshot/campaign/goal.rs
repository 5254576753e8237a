//! Goals: what an impression is worth to a campaign.

use crate::units::{CpmMicros, Micros};

/// What a campaign wants of its impressions, and what one of that is worth to it. The most it bids is its CPM whatever the goal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Goal {
    /// The impressions themselves.
    #[default]
    Cpm,
    /// Clicks, at this much each.
    Cpc(Micros),
    /// Conversions, at this much each.
    Cpa(Micros),
}

/// The most a click or a conversion may be worth: a million of the account's currency.
pub const MAX_GOAL: Micros = Micros(1_000_000_000_000);

/// How likely something is, in 1/4,294,967,296: floating point ends here, and what is made of it is money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance(pub u32);

impl Chance {
    /// Bits of the fraction.
    const BITS: u32 = 32;

    /// Of a probability, rounded down; what is no number, or below 0, is no chance at all.
    #[inline]
    pub fn of(probability: f64) -> Chance {
        // A cast to an integer saturates, and takes NaN for 0.
        Chance((probability * (1u64 << Self::BITS) as f64) as u32)
    }

    /// As a probability.
    #[inline]
    pub fn probability(self) -> f64 {
        f64::from(self.0) / (1u64 << Self::BITS) as f64
    }

    /// What a thousand impressions are worth of which each has this chance of something worth `each`; rounded down.
    #[inline]
    pub fn worth(self, each: Micros) -> CpmMicros {
        let thousand = (i128::from(each.0) * i128::from(self.0) * 1000) >> Self::BITS;
        CpmMicros(i64::try_from(thousand).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_click_in_a_hundred_at_eighty_cents_is_eight_dollars_a_thousand() {
        let worth = Chance::of(0.01).worth(Micros(800_000));
        // 0.01 is no sum of powers of two: what is cut off is less than a micro.
        assert!((7_999_998..=8_000_000).contains(&worth.0), "{worth:?}");
        assert_eq!(Chance::of(0.25).worth(Micros(1_000_000)), CpmMicros(250_000_000));
        assert_eq!(Chance::of(f64::NAN), Chance(0));
        assert_eq!(Chance::of(-1.0), Chance(0));
        assert_eq!(Chance::of(f64::INFINITY), Chance(u32::MAX));
    }

    proptest! {
        #[test]
        fn worth_is_monotone_and_never_overflows(chance: u32, each in 0i64..=MAX_GOAL.0) {
            let worth = Chance(chance).worth(Micros(each));
            prop_assert!(worth.0 >= 0 && i128::from(worth.0) <= i128::from(each) * 1000);
            prop_assert!(worth <= Chance(chance.saturating_add(1)).worth(Micros(each)));
            let exact = f64::from(chance) / 4_294_967_296.0 * each as f64 * 1000.0;
            prop_assert!((worth.0 as f64 - exact).abs() <= 1.0 + exact * 1e-12);
        }
    }
}
