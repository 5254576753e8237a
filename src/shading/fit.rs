//! Curves from evidence.
//!
//! At each step of the grid, what is known of the chance to win there is the share of wins among the bids made there, and, where the
//! exchange tells prices to beat, the share of these that are no higher. Both are shares of the same thing, so they are added up.
//! The two fitted curves are those of most likelihood, at the steps where bids are made and as often as they are: a curve that has not
//! the form of the market should be right there. The empirical one is the shares themselves, made to ascend.

use crate::shading::Arm;
use crate::shading::curve::Curve;
use crate::shading::evidence::Evidence;
use crate::shading::grid::{self, BINS};
use crate::shading::levels::{Level, Levels};
use crate::shading::normal;

/// Steps of the method of scoring at most.
const ROUNDS: usize = 24;
/// How far below the lowest bid, and above the highest, a bid is put that nobody saw: a factor of eight. They keep a curve finite where
/// all bids were won, or lost.
const ASIDE: f64 = 2.08;
/// The share of the lower that is won, and of the higher that is lost: not none, or any slope would do.
const ODD: f64 = 0.05;
/// As how many bids the fitted curve counts at each step of the empirical one.
const PRIOR: f64 = 8.0;

/// The share of wins at one step.
#[derive(Clone, Copy, Debug)]
struct Share {
    /// Logarithm of the price.
    price: f64,
    /// Of the bids.
    won: f64,
    /// As how many bids it counts.
    weight: f64,
}

/// The curve of an arm; nothing where there is no evidence, or none that makes a curve.
pub fn fit(arm: Arm, evidence: &Evidence) -> Option<Curve> {
    match arm {
        Arm::None => None,
        Arm::Mode => mode(evidence),
        Arm::Logistic => {
            let (at, slope) = line(&shares(evidence), |eta| {
                let chance = 1.0 / (1.0 + (-eta).exp());
                (chance, chance * (1.0 - chance))
            })?;
            Curve::logistic(-at / slope, slope)
        }
        Arm::LogNormal => {
            let (mean, deviation) = log_normal(evidence)?;
            Curve::log_normal(mean, deviation)
        }
        Arm::Empirical => empirical(evidence),
    }
}

/// Mean and standard deviation of the logarithm.
fn log_normal(evidence: &Evidence) -> Option<(f64, f64)> {
    let (at, slope) = line(&shares(evidence), |eta| (normal::below(eta), normal::density(eta)))?;
    Some((-at / slope, 1.0 / slope))
}

/// Steps where bids were made, with the two that nobody saw.
fn shares(evidence: &Evidence) -> Vec<Share> {
    let Evidence { tried, won, beaten, told, .. } = evidence;
    let mut below = 0.0;
    let mut shares = Vec::new();
    for bin in 0..BINS {
        let (bids, wins, prices) = (f64::from(tried[bin]), f64::from(won[bin]), f64::from(beaten[bin]));
        if bids > 0.0 {
            // Of the prices in this very step, half are below its middle.
            let share = (wins + below + 0.5 * prices) / (bids + told);
            shares.push(Share { price: grid::middle(bin), won: share, weight: bids });
        }
        below += prices;
    }
    if let (Some(first), Some(last)) = (shares.first().copied(), shares.last().copied()) {
        shares.push(Share { price: first.price - ASIDE, won: ODD, weight: 1.0 });
        shares.push(Share { price: last.price + ASIDE, won: 1.0 - ODD, weight: 1.0 });
    }
    shares
}

/// The line `a + b x` with the most likelihood if the chance to win is `chance(a + b x)`; the function gives its derivative, too.
/// Fisher's scoring: both likelihoods have one maximum.
fn line(shares: &[Share], chance: impl Fn(f64) -> (f64, f64)) -> Option<(f64, f64)> {
    let weight: f64 = shares.iter().map(|share| share.weight).sum();
    if weight <= 0.0 {
        return None;
    }
    let centre = shares.iter().map(|share| share.weight * share.price).sum::<f64>() / weight;
    let (mut a, mut b) = (0.0, 2.0);
    for _ in 0..ROUNDS {
        let (mut gradient, mut information) = ([0.0; 2], [0.0; 3]);
        for share in shares {
            let x = share.price - centre;
            let (p, slope) = chance(a + b * x);
            let spread = (p * (1.0 - p)).max(1e-12);
            let (pull, inertia) =
                (share.weight * (share.won - p) * slope / spread, share.weight * slope * slope / spread);
            gradient = [gradient[0] + pull, gradient[1] + pull * x];
            information = [information[0] + inertia, information[1] + inertia * x, information[2] + inertia * x * x];
        }
        let [aa, ab, bb] = information;
        let determinant = aa * bb - ab * ab;
        if determinant.is_nan() || determinant <= 1e-12 {
            return None;
        }
        let step_a = (bb * gradient[0] - ab * gradient[1]) / determinant;
        let step_b = (aa * gradient[1] - ab * gradient[0]) / determinant;
        // No farther at once than the curve keeps its shape for.
        let by = 1.0 / (1f64).max(step_a.abs() / 2.0).max(step_b.abs() / (0.5 * b));
        (a, b) = (a + by * step_a, (b + by * step_b).clamp(0.05, 80.0));
        if step_a.abs() + step_b.abs() < 1e-7 {
            break;
        }
    }
    (a.is_finite() && b.is_finite()).then_some((a - b * centre, b))
}

/// The price to beat that is seen most, within a quarter of a doubling: told, or from where the share of wins rises.
fn mode(evidence: &Evidence) -> Option<Curve> {
    const NEAR: usize = 3;
    let told = evidence.told > 0.25 * evidence.weight;
    let rising;
    let density: &[f64] = if told {
        rising = evidence.beaten.iter().map(|count| f64::from(*count)).collect::<Vec<_>>();
        &rising
    } else {
        let levels = ascending(evidence, |_| 0.5, 0.0);
        let mut rises = vec![0.0; BINS];
        levels.windows(2).for_each(|pair| rises[pair[1].0] = pair[1].1 - pair[0].1);
        rising = rises;
        &rising
    };
    let sum = |bin: usize| density[bin.saturating_sub(NEAR)..(bin + NEAR + 1).min(BINS)].iter().sum::<f64>();
    let best = (0..BINS).max_by(|one, other| sum(*one).total_cmp(&sum(*other)))?;
    (sum(best) > 0.0).then(|| {
        let near = best.saturating_sub(NEAR)..(best + NEAR + 1).min(BINS);
        let peak = near.max_by(|one, other| density[*one].total_cmp(&density[*other])).unwrap_or(best);
        Curve::Mode(grid::top(peak))
    })
}

/// Steps with their shares of wins, made to ascend: pools of adjacent violators (Ayer et al. 1955). `prior` counts as `weight` bids at
/// each step; steps without any weight are left out.
fn ascending(evidence: &Evidence, prior: impl Fn(usize) -> f64, weight: f64) -> Vec<(usize, f64)> {
    let Evidence { tried, won, beaten, told, .. } = evidence;
    /// Steps from `from` on have one share.
    struct Pool {
        from: usize,
        won: f64,
        weight: f64,
    }
    let mut pools: Vec<Pool> = Vec::new();
    let mut bins = Vec::new();
    let mut below = 0.0;
    for bin in 0..BINS {
        below += f64::from(beaten[bin]);
        let all = f64::from(tried[bin]) + told + weight;
        if all <= 0.0 {
            continue;
        }
        let wins = f64::from(won[bin]) + below + weight * prior(bin);
        let mut pool = Pool { from: bins.len(), won: wins, weight: all };
        bins.push(bin);
        while let Some(last) = pools.pop_if(|last| last.won * pool.weight >= pool.won * last.weight) {
            pool = Pool { from: last.from, won: last.won + pool.won, weight: last.weight + pool.weight };
        }
        pools.push(pool);
    }
    let ends = pools.iter().skip(1).map(|pool| pool.from).chain([bins.len()]);
    let mut levels = Vec::with_capacity(bins.len());
    for (pool, end) in pools.iter().zip(ends) {
        levels.extend(bins[pool.from..end].iter().map(|bin| (*bin, pool.won / pool.weight)));
    }
    levels
}

/// What was seen, with the log-normal curve where too little was.
fn empirical(evidence: &Evidence) -> Option<Curve> {
    let (mean, deviation) = log_normal(evidence)?;
    let prior = |bin: usize| normal::below((grid::middle(bin) + 0.5 * grid::WIDTH - mean) / deviation);
    let levels = ascending(evidence, prior, PRIOR);
    let levels: Vec<Level> =
        levels.into_iter().map(|(bin, chance)| Level { bin, chance, weight: f64::from(evidence.tried[bin]) }).collect();
    Levels::of(&levels).map(Curve::Empirical)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::random::Random;
    use crate::shading::evidence::Seen;
    use crate::units::CpmMicros;
    use proptest::prelude::*;

    /// Bids drawn evenly against prices drawn by `price`.
    fn seen(told: bool, mut price: impl FnMut(&mut Random) -> f64) -> Evidence {
        let mut random = Random::new(11);
        let mut evidence = Evidence::default();
        for _ in 0..40_000 {
            let bid = CpmMicros((1e6 * (3.0 * random.unit() - 1.0).exp()) as i64);
            let to_win = CpmMicros((1e6 * price(&mut random)) as i64);
            evidence.see(&Seen { bid, won: bid >= to_win, to_win: told.then_some(to_win) });
        }
        evidence
    }

    #[test]
    fn a_fit_finds_what_prices_were_drawn_from() {
        for told in [true, false] {
            let evidence = seen(told, |random| random.log_normal(2.0, 0.6));
            let Some(Curve::LogNormal { mean, deviation, .. }) = fit(Arm::LogNormal, &evidence) else {
                panic!("no curve")
            };
            assert!((mean - 2e6f64.ln()).abs() < 0.02 && (deviation - 0.6).abs() < 0.03, "{mean} {deviation}");
            let Some(Curve::Mode(mode)) = fit(Arm::Mode, &evidence) else { panic!("no curve") };
            // The mode of a log-normal distribution over the logarithm is its median.
            assert!(!told || (1_500_000..2_700_000).contains(&mode.0), "{mode:?}");
            let logistic = |random: &mut Random| {
                let chance = random.unit().clamp(1e-9, 1.0 - 1e-9);
                2.0 * (chance / (1.0 - chance)).powf(1.0 / 4.0)
            };
            let Some(Curve::Logistic { median, slope, .. }) = fit(Arm::Logistic, &seen(told, logistic)) else {
                panic!("no curve")
            };
            assert!((median - 2e6f64.ln()).abs() < 0.02 && (slope - 4.0).abs() < 0.15, "{median} {slope}");
        }
    }

    #[test]
    fn the_empirical_curve_has_the_spikes() {
        let evidence = seen(false, |random| *random.pick(&[1.0, 1.0, 2.0, 4.0]));
        let Some(curve @ Curve::Empirical(_)) = fit(Arm::Empirical, &evidence) else { panic!("no curve") };
        // Above each price, by more than a step of the grid and less than the next price.
        for (bid, chance) in [(1.1, 0.5), (1.9, 0.5), (2.2, 0.75), (4.5, 1.0)] {
            let wins = curve.wins(CpmMicros((bid * 1e6) as i64));
            assert!((wins - chance).abs() < 0.06, "{bid}: {wins}");
        }
        // Of the bids in the spike's own step some are below it, so that the best may be the next step.
        let (best, spike) = (curve.best(CpmMicros(1_800_000), CpmMicros(0), CpmMicros(i64::MAX)), 1_000_000);
        let bin = grid::bin(CpmMicros(spike));
        assert!([grid::top(bin), grid::top(bin + 1)].contains(&best), "{best:?}");
    }

    #[test]
    fn all_won_or_all_lost_is_a_curve_all_the_same() {
        for won in [true, false] {
            let mut evidence = Evidence::default();
            (0..500).for_each(|_| evidence.see(&Seen { bid: CpmMicros(1_000_000), won, to_win: None }));
            for arm in [Arm::Logistic, Arm::LogNormal, Arm::Empirical] {
                let curve = fit(arm, &evidence).unwrap();
                let wins = curve.wins(CpmMicros(1_000_000));
                assert!(if won { wins > 0.9 } else { wins < 0.1 }, "{arm:?}: {wins}");
            }
        }
        for arm in Arm::ALL {
            assert_eq!(fit(arm, &Evidence::default()), None);
        }
    }

    proptest! {
        /// Against the definition: the share of a step is the largest, over where a run to it may begin, of the smallest, over where it
        /// may end, of the share of wins in that run (Robertson, Wright and Dykstra 1988, section 1.4).
        #[test]
        fn shares_ascend_as_they_should(bids in prop::collection::vec((0usize..30, any::<bool>()), 1..60)) {
            let mut evidence = Evidence::default();
            for (bin, won) in &bids {
                let bid = grid::top(200 + bin - 1);
                let bid = CpmMicros(bid.0 + 1);
                evidence.see(&Seen { bid, won: *won, to_win: None });
            }
            let levels = ascending(&evidence, |_| 0.0, 0.0);
            let sum = |from: usize, to: usize| {
                let (won, all) = levels[from..=to].iter().fold((0.0, 0.0), |(won, all), (bin, _)| {
                    (won + f64::from(evidence.won[*bin]), all + f64::from(evidence.tried[*bin]))
                });
                won / all
            };
            for (at, (_, share)) in levels.iter().enumerate() {
                let runs = (0..=at).map(|from| (at..levels.len()).map(|to| sum(from, to)).fold(f64::INFINITY, f64::min));
                let expected = runs.fold(0.0, f64::max);
                prop_assert!((share - expected).abs() < 1e-9, "{share} and not {expected}");
            }
        }
    }
}
