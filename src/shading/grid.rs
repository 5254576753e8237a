//! The grid of prices that evidence is kept on: 24 steps to a doubling, the same for every cell, so that cells can be added up.

use crate::units::CpmMicros;

/// Steps to a doubling: prices of one step differ by 2.9 % at most.
const STEPS: usize = 24;
/// The lowest price that has a step of its own, as a power of two of a millionth: 0.002 a thousand impressions.
const LOWEST: u32 = 11;
/// Doublings above it: up to 8,590 a thousand impressions.
const DOUBLINGS: usize = 22;
/// Steps in all.
pub const BINS: usize = STEPS * DOUBLINGS;

/// The step a price falls into; the first or the last where it is beyond.
pub fn bin(price: CpmMicros) -> usize {
    let doublings = (price.0.max(1) as f64).log2() - f64::from(LOWEST);
    ((doublings * STEPS as f64).max(0.0) as usize).min(BINS - 1)
}

/// The logarithm of a step's middle price.
pub fn middle(bin: usize) -> f64 {
    edge(bin) + 0.5 * WIDTH
}

/// The width of a step, of the logarithm.
pub const WIDTH: f64 = std::f64::consts::LN_2 / STEPS as f64;

/// The logarithm of a step's lowest price.
fn edge(bin: usize) -> f64 {
    f64::from(LOWEST) * std::f64::consts::LN_2 + bin as f64 * WIDTH
}

/// The highest price of a step: who bids it reaches every other.
pub fn top(bin: usize) -> CpmMicros {
    CpmMicros(edge(bin + 1).exp().ceil() as i64 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_price_is_between_the_tops_of_its_step_and_the_one_before(price in 1i64 << 11..1 << 33) {
            let bin = bin(CpmMicros(price));
            prop_assert!(price <= top(bin).0 + 1, "{} above {}", price, top(bin).0);
            prop_assert!(bin == 0 || price + 1 > top(bin - 1).0);
            prop_assert!(((price as f64).ln() - middle(bin)).abs() <= 0.5 * WIDTH + 1e-3);
        }
    }

    #[test]
    fn what_is_beyond_falls_into_the_first_and_the_last() {
        assert_eq!((bin(CpmMicros(i64::MIN)), bin(CpmMicros(0)), bin(CpmMicros(2048))), (0, 0, 0));
        assert_eq!(bin(CpmMicros(i64::MAX)), BINS - 1);
        assert_eq!(bin(CpmMicros(4096)), STEPS);
    }
}
