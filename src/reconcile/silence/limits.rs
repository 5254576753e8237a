//! How far a measured rate may be from the true one: confidence limits of a Poisson rate.
//!
//! Events come at a rate; `exposure` is what there was to come from. By Chernoff's inequality the true mean of what was
//! counted is beyond `m` with a probability of at most `exp(-f(m))`, `f(m) = m - events - events ln(m / events)`. It holds
//! for any process of exposure that does not look ahead, and for counts that fade, each with a weight of at most 1: the
//! logarithm of the moment-generating function is convex in the weight and 0 at 0. What holds in the limit only, such as a
//! multiple of the standard deviation, would be wrong where it matters: at few events.

/// The rate is above this with a probability of at most `exp(-doubt)`. Infinite without exposure.
pub(super) fn upper(events: f64, exposure: f64, doubt: f64) -> f64 {
    // f(m) >= (m - events)^2 / 2m from there on, so this is right of the limit; Newton's steps on a convex function stay there.
    let mut mean = events + doubt + (doubt * doubt + 2.0 * events * doubt).sqrt();
    for _ in 0..6 {
        mean -= (excess(mean, events) - doubt) / (1.0 - events / mean);
    }
    if exposure > 0.0 { mean / exposure } else { f64::INFINITY }
}

/// The rate is below this with a probability of at most `exp(-doubt)`.
pub(super) fn lower(events: f64, exposure: f64, doubt: f64) -> f64 {
    if events <= 0.0 || exposure <= 0.0 {
        return 0.0;
    }
    // Both are left of the limit, and Newton's steps stay there.
    let mut mean = (events - (2.0 * events * doubt).sqrt()).max(events * (-1.0 - doubt / events).exp());
    for _ in 0..6 {
        let slope = 1.0 - events / mean;
        if slope >= 0.0 {
            break;
        }
        mean -= (excess(mean, events) - doubt) / slope;
    }
    mean / exposure
}

/// `f(m)` of the module.
pub(super) fn excess(mean: f64, events: f64) -> f64 {
    if events > 0.0 { mean - events - events * (mean / events).ln() } else { mean }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P(N <= events), and P(N >= events), of a Poisson variable, term by term.
    fn tails(mean: f64, events: u32) -> (f64, f64) {
        let (mut term, mut below) = ((-mean).exp(), 0.0);
        for k in 0..events {
            below += term;
            term *= mean / f64::from(k + 1);
        }
        (below + term, 1.0 - below)
    }

    #[test]
    fn limits_hold_by_the_exact_distribution() {
        for doubt in [2.0_f64, 6.9, 13.8] {
            for events in [0_u32, 1, 2, 5, 17, 100, 400] {
                let (low, high) = (lower(events.into(), 1.0, doubt), upper(events.into(), 1.0, doubt));
                assert!(low <= f64::from(events) && high > f64::from(events));
                // 1e-12 for the sum of the terms.
                assert!(tails(high, events).0 <= (-doubt).exp() + 1e-12, "{events} events, upper limit {high}");
                assert!(
                    events == 0 || tails(low, events).1 <= (-doubt).exp() + 1e-12,
                    "{events} events, lower limit {low}"
                );
                let deviation = f64::from(events).sqrt();
                assert!(high <= f64::from(events) + (2.0 * doubt).sqrt() * deviation + 1.01 * doubt, "too far: {high}");
            }
        }
    }

    #[test]
    fn nothing_seen_is_nothing_known() {
        assert!(upper(0.0, 0.0, 13.8).is_infinite());
        assert_eq!(lower(0.0, 0.0, 13.8).to_bits(), 0);
        assert!((upper(0.0, 1380.0, 13.8) - 0.01).abs() < 1e-9);
    }
}
