//! A node's pace, given to its cores by what comes by on each.

use super::curve::Share;
use super::{Pace, rate};
use crate::ring::message::Participation;
use crate::units::Micros;

/// The most pieces that an allowance is cut into, per core: beyond, shares are close enough to the demand.
const PIECES: i64 = 64;
/// The golden section in 1/2^32: its multiples, wrapped, are spread evenly however many there are (Weyl 1916).
const GOLDEN: u64 = 0x9e37_79b9;

/// What one core may spend until the next tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorePace {
    /// In how many auctions the campaign takes part.
    pub rate: Participation,
    /// What it may reserve.
    pub allowance: Micros,
}

impl CorePace {
    /// Nothing until the next tick.
    pub const REST: CorePace = CorePace { rate: Participation::NEVER, allowance: Micros::ZERO };
}

/// Gives a pace to cores in proportion to the chances of each, one place in `out` for each. The allowance is given out whole, in
/// pieces of at least one bid: where there are fewer pieces than cores, the cores take turns, and each comes as often as its
/// demand is large. `turn` is another number each tick.
///
/// # Panics
/// If `out` is not as long as `chances`.
pub fn split(pace: &Pace, bid: Micros, turn: u64, chances: &[u32], out: &mut [CorePace]) {
    assert_eq!(out.len(), chances.len(), "a pace for each core");
    out.fill(CorePace::REST);
    let pieces = (pace.allowance.0 / bid.0.max(1)).min(PIECES * chances.len() as i64);
    if pieces == 0 || chances.is_empty() {
        return;
    }
    // Where nothing is known, all are alike.
    let known = chances.iter().any(|chances| *chances > 0);
    let weight = |core: usize| if known { u64::from(chances[core]) } else { 1 };
    let total: u64 = (0..chances.len()).map(weight).sum();
    // Systematic sampling: `pieces` marks at equal distances along the cores, each as long as its weight, from a start that
    // moves with the turn.
    let start: Share = turn.wrapping_mul(GOLDEN) & 0xffff_ffff;
    let mark = |piece: i64| {
        let along = (u128::from(piece as u64) << 32) + u128::from(start);
        ((along * u128::from(total) / pieces as u128) >> 32) as u64
    };
    let piece = pace.allowance.0 / pieces;
    let mut rest = pace.allowance.0 - piece * pieces;
    let (mut next, mut end) = (0, 0);
    for (core, out) in out.iter_mut().enumerate() {
        end += weight(core);
        let first = next;
        while next < pieces && mark(next) < end {
            next += 1;
        }
        if next > first {
            let allowance = Micros(piece * (next - first) + std::mem::take(&mut rest));
            let demand = u128::from(pace.demand.0 as u64) * u128::from(weight(core)) / u128::from(total);
            *out = CorePace { rate: rate(allowance, Micros(demand as i64), bid), allowance };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn given(allowance: i64, demand: i64, bid: i64, turn: u64, chances: &[u32]) -> Vec<CorePace> {
        let mut out = vec![CorePace::REST; chances.len()];
        let (allowance, demand) = (Micros(allowance), Micros(demand));
        let pace = Pace { rate: Participation::of(allowance, demand), allowance, demand };
        split(&pace, Micros(bid), turn, chances, &mut out);
        out
    }

    proptest! {
        #[test]
        fn all_is_given_and_no_piece_is_less_than_a_bid(
            allowance in 0i64..1_000_000_000,
            demand in 0i64..1_000_000_000,
            bid in 1i64..100_000,
            turn in any::<u64>(),
            chances in prop::collection::vec(prop_oneof![Just(0u32), 1..10u32, any::<u32>()], 1..17),
        ) {
            let out = given(allowance, demand, bid, turn, &chances);
            let sum: i64 = out.iter().map(|core| core.allowance.0).sum();
            prop_assert_eq!(sum, if allowance >= bid { allowance } else { 0 });
            for (core, chances_here) in out.iter().zip(&chances) {
                prop_assert!(core.allowance.0 == 0 || core.allowance.0 >= bid);
                prop_assert!(core.allowance.0 == 0 || *chances_here > 0 || chances.iter().all(|other| *other == 0));
                prop_assert_eq!(core.allowance.0 == 0, core.rate == Participation::NEVER);
            }
        }

        #[test]
        fn over_many_turns_each_core_gets_its_share(
            chances in prop::collection::vec(0u32..1000, 2..17),
            bids in 1i64..40,
        ) {
            prop_assume!(chances.iter().any(|chances| *chances > 0));
            let mut sums = vec![0i64; chances.len()];
            for turn in 0..4096 {
                for (sum, core) in sums.iter_mut().zip(given(bids * 2_000, 1 << 40, 2_000, turn, &chances)) {
                    *sum += core.allowance.0;
                }
            }
            let (all, total) = ((4096 * bids * 2_000) as f64, chances.iter().copied().map(f64::from).sum::<f64>());
            for (sum, chances) in sums.iter().zip(&chances) {
                let (got, wanted) = (*sum as f64 / all, f64::from(*chances) / total);
                prop_assert!((got - wanted).abs() < 0.01, "{got} {wanted}");
            }
        }
    }

    #[test]
    fn rates_are_those_of_the_demand_of_each() {
        // 48 bids of 96 that come by, and 16 of 32; two deviations of what comes by chance are 14 and 8.
        let out = given(64_000_000, 128_000_000, 1_000_000, 3, &[30, 10, 0, 0]);
        let parts: Vec<_> = out.iter().map(|core| (core.allowance.0, (core.rate.parts() * 96) >> 24)).collect();
        assert_eq!(parts, [(48_000_000, 48 + 13), (16_000_000, 48 + 24), (0, 0), (0, 0)]);
    }
}
