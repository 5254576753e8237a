//! The statistics of the gate: pure, and without an opinion on what is measured. A sample is what one pair of runs says, the logarithm
//! of candidate over baseline.
//!
//! The estimate is the mean of the middle three fifths ([`trimmed_mean`]): a run on a shared machine is now and then far off, and the
//! mean of all would believe it, while the median throws away a third of what the runs say (decision 0041).

use crate::market::random::Random;

/// The share that the estimate leaves out at either end.
const TRIM: f64 = 0.2;
/// Of the intervals: two-sided 95 %.
const TAIL: f64 = 0.025;
/// Student's quantile of such an interval from two values on, up to five.
const STUDENT: [f64; 4] = [12.706, 4.303, 3.182, 2.776];
/// The normal quantiles of a two-sided test at 5 % and of a power of 80 %.
const Z_TEST: f64 = 1.959_964;
const Z_POWER: f64 = 0.841_621;

/// The mean without the smallest and the largest fifth of the sample, which is sorted; `counts` says how often each value of it stands
/// in a resample of the same size.
fn trimmed(sorted: &[f64], counts: &[u32]) -> f64 {
    let cut = (TRIM * sorted.len() as f64) as u32;
    let (from, to) = (cut, sorted.len() as u32 - cut);
    let (mut at, mut sum) = (0, 0.0);
    for (value, count) in sorted.iter().zip(counts) {
        let next = at + count;
        let taken = next.min(to).saturating_sub(at.max(from));
        sum += value * f64::from(taken);
        at = next;
    }
    sum / f64::from(to - from)
}

fn sorted(sample: &[f64]) -> Vec<f64> {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The mean of the sample without its smallest and its largest fifth. 0 of nothing.
pub fn trimmed_mean(sample: &[f64]) -> f64 {
    if sample.is_empty() { 0.0 } else { trimmed(&sorted(sample), &vec![1; sample.len()]) }
}

/// The middle value; the mean of the two middle ones. 0 of nothing.
pub fn median(sample: &[f64]) -> f64 {
    quantile(&sorted(sample), 0.5)
}

/// Between the two nearest of a sorted sample, linearly (Hyndman and Fan's type 7).
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = q * last as f64;
    let below = place as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// The 95 % percentile interval of [`trimmed_mean`] over so many bootstrap resamples (Efron 1979), drawn by `random`; stretched by
/// `sqrt(n / (n - 1))`, by which a resample of `n` varies too little, and under six by Student's quantile over the normal one, because
/// so few do not show how much they vary (Hesterberg 2015, section 5).
pub fn interval(sample: &[f64], resamples: usize, random: &mut Random) -> (f64, f64) {
    let n = sample.len();
    if n < 2 {
        let only = trimmed_mean(sample);
        return (only, only);
    }
    let sorted = sorted(sample);
    let mut counts = vec![0; n];
    let mut means: Vec<f64> = (0..resamples)
        .map(|_| {
            counts.fill(0);
            (0..n).for_each(|_| counts[random.below(n as u64) as usize] += 1);
            trimmed(&sorted, &counts)
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let estimate = trimmed_mean(sample);
    let few = STUDENT.get(n - 2).map_or(1.0, |quantile| quantile / Z_TEST);
    let stretch = (n as f64 / (n - 1) as f64).sqrt() * few;
    let bound = |q| estimate + (quantile(&means, q) - estimate) * stretch;
    (bound(TAIL), bound(1.0 - TAIL))
}

/// The two-sided p of Wilcoxon's signed-rank test (1945) that the sample is symmetric around 0: exact, over all ways to give the ranks
/// signs, ties sharing their ranks and zeros left out. 1 of nothing.
pub fn signed_rank(sample: &[f64]) -> f64 {
    let mut values: Vec<f64> = sample.iter().copied().filter(|value| *value != 0.0).collect();
    values.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let n = values.len();
    // Ranks are doubled, so that shared ones are whole numbers.
    let mut ranks = vec![0; n];
    let (mut from, mut positive) = (0, 0);
    while from < n {
        let tied = values[from..].iter().take_while(|value| value.abs().total_cmp(&values[from].abs()).is_eq()).count();
        ranks[from..from + tied].fill(2 * from + tied + 1);
        from += tied;
    }
    for (value, rank) in values.iter().zip(&ranks) {
        positive += if *value > 0.0 { *rank } else { 0 };
    }
    let all: usize = ranks.iter().sum();
    // The chance of each sum of positive ranks, one rank after the other.
    let mut chances = vec![0.0; all + 1];
    chances[0] = 1.0;
    let mut reach = 0;
    for rank in ranks {
        reach += rank;
        for sum in (0..=reach).rev() {
            let with = if sum >= rank { chances[sum - rank] } else { 0.0 };
            chances[sum] = (chances[sum] + with) / 2.0;
        }
    }
    let low = positive.min(all - positive);
    let tail: f64 = chances[..=low].iter().sum();
    (2.0 * tail).min(1.0)
}

/// Holm's adjusted p-values (1979), in the order of `p`: comparing each with a level keeps the chance that any of them is a false
/// alarm at that level.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut least: f64 = 0.0;
    for (rank, &at) in order.iter().enumerate() {
        least = least.max(p[at] * (p.len() - rank) as f64).min(1.0);
        adjusted[at] = least;
    }
    adjusted
}

/// The smallest true difference that a test at 5 % would have found four times in five, with an estimate as uncertain as this interval.
pub fn smallest_visible(low: f64, high: f64) -> f64 {
    (high - low) / 2.0 / Z_TEST * (Z_TEST + Z_POWER)
}

/// Wilson's 95 % interval (1927) of a chance of which `hits` in `trials` were seen.
pub fn wilson(hits: usize, trials: usize) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    let (n, share, z2) = (trials as f64, hits as f64 / trials as f64, Z_TEST * Z_TEST);
    let middle = share + z2 / (2.0 * n);
    let half = Z_TEST * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    let bound = |value: f64| (value / (1.0 + z2 / n)).clamp(0.0, 1.0);
    (bound(middle - half), bound(middle + half))
}

#[cfg(test)]
mod tests;
