//! Against the exact distribution, convolved bid by bid.

use super::*;
use proptest::prelude::*;

/// The exact quantile: the least `t` with `P(S > t) <= 1e-6`.
fn exact(bids: &[(usize, f64)]) -> usize {
    let mut chances = vec![1.0];
    for &(price, chance) in bids {
        let mut next = vec![0.0; chances.len() + price];
        for (at, held) in chances.iter().enumerate() {
            next[at] += held * (1.0 - chance);
            next[at + price] += held * chance;
        }
        chances = next;
    }
    let mut above = 0.0;
    for at in (0..chances.len()).rev() {
        above += chances[at];
        if above > 1e-6 {
            return at;
        }
    }
    0
}

fn alike(count: usize, chance: f64) -> (usize, f64) {
    let bound = quantile(&[Bids { chance, sum: count as f64, most: 1.0 }]);
    (exact(&vec![(1, chance); count]), bound)
}

/// The tables of docs/decisions/0021-quantile.md.
#[test]
fn what_is_held_is_in_the_tables() {
    let decision = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/decisions/0021-quantile.md");
    let decision = std::fs::read_to_string(decision).unwrap();
    let mut lines = String::new();
    for (count, chance) in
        [(1, 0.03), (10, 0.03), (100, 0.03), (1000, 0.03), (4000, 0.03), (1000, 0.001), (1000, 0.3), (1000, 0.6)]
    {
        let (exact, bound) = alike(count, chance);
        assert!(bound >= exact as f64 && bound <= exact as f64 * 1.1 + 1.0, "{count} x {chance}: {bound}, not {exact}");
        lines += &format!("| {count} | {chance} | {:.1} | {exact} | {bound:.1} |\n", count as f64 * chance);
    }
    assert!(decision.contains(&lines), "the table is now\n{lines}");

    let mut lines = String::new();
    for count in [10, 100, 1000] {
        let bids: Vec<_> = (0..count).map(|at| (1 + at % 10, 0.03)).collect();
        let full: usize = bids.iter().map(|(price, _)| price).sum();
        let (exact, bound) = (exact(&bids), quantile(&[Bids { chance: 0.03, sum: full as f64, most: 10.0 }]));
        assert!(bound >= exact as f64);
        lines += &format!("| {count} | {full} | {:.1} | {exact} | {bound:.1} |\n", full as f64 * 0.03);
    }
    assert!(decision.contains(&lines), "the table is now\n{lines}");
}

#[test]
fn what_is_certain_is_held_whole_and_what_is_impossible_not_at_all() {
    let held = |bids: &[Bids]| quantile(bids);
    assert!(held(&[]).abs() < 1e-9);
    assert!((held(&[Bids { chance: 1.0, sum: 70.0, most: 7.0 }]) - 70.0).abs() < 1e-9);
    assert!(held(&[Bids { chance: 0.0, sum: 70.0, most: 7.0 }]).abs() < 1e-9);
    let mixed = [Bids { chance: 1.0, sum: 1e6, most: 10.0 }, Bids { chance: 1e-12, sum: 1e6, most: 10.0 }];
    let held = held(&mixed);
    assert!((1e6..1e6 + 20.0).contains(&held), "{held}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Cohorts of bids at mixed prices: never below the exact quantile, and as counted bids of the dearest price no more than
    /// their whole sum.
    #[test]
    fn never_below_the_exact_quantile(
        cohorts in prop::collection::vec(
            (prop_oneof![Just(1e-7), 1e-5..1e-3, 0.001..0.1, 0.1..1.0], prop::collection::vec(1_usize..12, 1..40)),
            1..5,
        ),
    ) {
        let bids: Vec<_> = cohorts.iter().flat_map(|(chance, prices)| prices.iter().map(|price| (*price, *chance))).collect();
        let summed: Vec<_> = cohorts
            .iter()
            .map(|(chance, prices)| Bids {
                chance: *chance,
                sum: prices.iter().sum::<usize>() as f64,
                most: *prices.iter().max().unwrap() as f64,
            })
            .collect();
        let (exact, bound) = (exact(&bids), quantile(&summed));
        // A millionth for the rounding of the convolution.
        prop_assert!(bound * (1.0 + 1e-6) >= exact as f64, "{bound} is held, {exact} are needed");
        prop_assert!(bound <= summed.iter().map(|bids| bids.sum).sum::<f64>());
    }
}
