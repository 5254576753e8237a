//! The grid of prices that evidence is kept on: 24 steps to a doubling, the same for every cell, so that cells can be added up.

use crate::units::CpmMicros;

/// Steps to a doubling: prices of one step differ by 2.9 % at most.
const STEPS: usize = 24;
/// The lowest price that has a step of its own, as a power of two of a millionth: 0.002 a thousand impressions.
const LOWEST: usize = 11;
/// Doublings above it: up to 8,590 a thousand impressions.
const DOUBLINGS: usize = 22;
/// Steps in all.
pub const BINS: usize = STEPS * DOUBLINGS;
/// The width of a step, of the logarithm.
pub const WIDTH: f64 = std::f64::consts::LN_2 / STEPS as f64;
/// 2^(n/24), in 1/2^30: the steps of one doubling.
const ROOTS: [u64; STEPS] = [
    1_073_741_824,
    1_105_204_861,
    1_137_589_835,
    1_170_923_761,
    1_205_234_447,
    1_240_550_512,
    1_276_901_416,
    1_314_317_484,
    1_352_829_926,
    1_392_470_868,
    1_433_273_379,
    1_475_271_495,
    1_518_500_249,
    1_562_995_703,
    1_608_794_973,
    1_655_936_264,
    1_704_458_900,
    1_754_403_359,
    1_805_811_301,
    1_858_725_611,
    1_913_190_429,
    1_969_251_187,
    2_026_954_652,
    2_086_348_957,
];

/// The step a price falls into; the first or the last where it is beyond.
pub fn bin(price: CpmMicros) -> usize {
    let doublings = (price.0.max(1) as f64).log2() - LOWEST as f64;
    ((doublings * STEPS as f64).max(0.0) as usize).min(BINS - 1)
}

/// The logarithm of a step's middle price.
pub fn middle(bin: usize) -> f64 {
    LOWEST as f64 * std::f64::consts::LN_2 + (bin as f64 + 0.5) * WIDTH
}

/// The highest price of a step: who bids it reaches every other of the step. The same to the digit on every machine.
#[inline]
pub const fn top(bin: usize) -> CpmMicros {
    let next = bin + 1;
    CpmMicros((ROOTS[next % STEPS] << (LOWEST + next / STEPS) >> 30) as i64)
}

// A root has 31 bits: the last is shifted out of none.
const _: () = assert!(31 + LOWEST + DOUBLINGS <= 64 && ROOTS[STEPS - 1] < 1 << 31);

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
        assert_eq!((bin(CpmMicros(4096)), top(STEPS - 1)), (STEPS, CpmMicros(4096)));
        assert_eq!(top(BINS - 1), CpmMicros(1 << 33));
    }
}
