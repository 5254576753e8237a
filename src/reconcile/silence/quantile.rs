//! How much independent bids will cost together, at most: an upper bound of the quantile of a sum.
//!
//! For `S`, the sum of `c_i` with probability `p_i` each, and any `l > 0`, Chernoff's inequality gives
//! `P(S >= t) <= exp(L(l) - l t)` with `L(l) = sum of g_i(l)`, `g_i(l) = ln(1 + p_i (exp(l c_i) - 1))`. So
//! `t = (L(l) + D) / l` is not reached but with a probability of `exp(-D)`, whatever `l` is: the search for the best `l` may
//! stop anywhere, and a bad one only holds more.
//!
//! Bids are not kept one by one. `g` is convex in the price and 0 at 0, so `g(c) <= (c / m) g(m)` for prices up to `m`: bids
//! of one chance count as `sum / m` bids of the dearest price. It is the same by convex order: the sum that varies most for
//! its mean is the one in the fewest pieces.

/// Bids of one chance.
#[derive(Clone, Copy, Debug)]
pub(in crate::reconcile) struct Bids {
    /// The chance that one is billed.
    pub(in crate::reconcile) chance: f64,
    /// What they cost together.
    pub(in crate::reconcile) sum: f64,
    /// What the dearest costs at most.
    pub(in crate::reconcile) most: f64,
}

impl Bids {
    /// How many of the dearest they count as.
    fn count(&self) -> f64 {
        self.sum / self.most
    }
}

/// `ln 10^6`: silent bids cost more than what they hold once in a million.
pub(in crate::reconcile) const DOUBT: f64 = 13.815_510_557_964_274;
/// Steps of the search. Five bring it within 1 % nearly always.
const STEPS: usize = 10;
/// The search ends where the derivative is this part of its range: the bound is flat there, and another step gains 0.1 %.
const CLOSE: f64 = 0.02 * DOUBT;

/// What the bids cost together is above this with a probability of at most 1e-6; never more than the sum of all.
pub(in crate::reconcile) fn quantile(bids: &[Bids]) -> f64 {
    let full: f64 = bids.iter().map(|bids| bids.sum).sum();
    let most = bids.iter().fold(0.0, |most: f64, bids| most.max(bids.most));
    if most <= 0.0 || full <= 0.0 {
        return 0.0;
    }
    let (mut count, mut variance) = (0.0, 0.0);
    for bids in bids {
        let spread = bids.count() * bids.chance * (1.0 - bids.chance);
        count += spread;
        variance += spread * (bids.most / most).powi(2);
    }
    if variance <= 0.0 {
        // Nothing is uncertain.
        return bids.iter().map(|bids| bids.sum * bids.chance).sum();
    }
    // In units of the dearest price. Where many are billed the sum is close to normal, where few are, to Poisson's.
    let mut at = (2.0 * DOUBT / variance).sqrt().min(1.0 + (1.0 + DOUBT / count).ln());
    let mut least = full;
    for _ in 0..STEPS {
        let (mut value, mut first, mut second) = (0.0, 0.0, 0.0);
        for bids in bids {
            let (count, price) = (bids.count(), bids.most / most);
            let x = at * price;
            // Both terms of 1 + p (e^x - 1), scaled by e^-x: nothing overflows.
            let rest = (1.0 - bids.chance) * (-x).exp();
            let whole = bids.chance + rest;
            let tilted = bids.chance / whole;
            value += count * if x < 0.5 { (bids.chance * x.exp_m1()).ln_1p() } else { x + whole.ln() };
            first += count * price * tilted;
            second += count * price * price * tilted * (1.0 - tilted);
        }
        least = least.min((value + DOUBT) / at * most);
        let slope = at * first - value - DOUBT;
        if slope.abs() < CLOSE {
            break;
        }
        at = if at * second > 0.0 { (at - slope / (at * second)).clamp(at / 4.0, at * 4.0) } else { at / 2.0 };
    }
    least
}

#[cfg(test)]
mod tests;
