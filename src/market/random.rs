//! A small deterministic generator: the same seed gives the same exchange, on every machine.

use crate::splitmix;

/// SplitMix64: any seed is good, streams by seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A stream.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The stream of one item: what happens to item `index` does not depend on when it is asked for.
    pub fn of(seed: u64, index: u64) -> Random {
        let mut random = Random(seed ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93));
        random.bits();
        random
    }

    /// 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        splitmix::next(&mut self.0)
    }

    /// A number below `bound`, which is above 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Uniform in (0, 1].
    pub fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() <= probability
    }

    /// One of several, which must not be empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// The index of one of several weights, in proportion; their sum must be above 0.
    pub fn weighted(&mut self, weights: impl Iterator<Item = u32> + Clone) -> usize {
        let mut left = self.below(weights.clone().map(u64::from).sum());
        for (index, weight) in weights.enumerate() {
            match left.checked_sub(u64::from(weight)) {
                Some(rest) => left = rest,
                None => return index,
            }
        }
        unreachable!("a number below the sum of the weights falls into one of them")
    }

    /// Standard normal (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Log-normal with this median and this standard deviation of the logarithm.
    pub fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }

    /// A rank below `count`, Zipf distributed with exponent 1: the inverse of its continuous distribution, log-uniform.
    pub fn zipf(&mut self, count: u64) -> u64 {
        let rank = (self.unit() * ((count + 1) as f64).ln()).exp();
        (rank as u64 - 1).min(count - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The first outputs for seed 1234567 in the reference implementation.
        let mut random = Random::new(1_234_567);
        assert_eq!(
            [random.bits(), random.bits(), random.bits()],
            [6457827717110365317, 3203168211198807973, 9817491932198370423]
        );
    }

    #[test]
    fn distributions_have_their_shape() {
        let mut random = Random::new(7);
        let n = 100_000u32;
        let log_normal: Vec<f64> = (0..n).map(|_| random.log_normal(2.0, 0.5)).collect();
        let below = log_normal.iter().filter(|price| **price < 2.0).count();
        assert!((48_000..52_000).contains(&below), "the median is the median: {below}");
        let ranks: Vec<u64> = (0..n).map(|_| random.zipf(1000)).collect();
        assert!(ranks.iter().all(|rank| *rank < 1000));
        let count = |wanted: u64| ranks.iter().filter(|rank| **rank == wanted).count() as f64;
        // P(rank k) = ln((k+2)/(k+1)) / ln 1001.
        for rank in [0u64, 1, 9] {
            let expected = ((rank + 2) as f64 / (rank + 1) as f64).ln() / 1001f64.ln() * f64::from(n);
            assert!((count(rank) / expected - 1.0).abs() < 0.1, "rank {rank}: {} of {expected}", count(rank));
        }
        let weighted: Vec<usize> = (0..n).map(|_| random.weighted([1, 0, 3].into_iter())).collect();
        assert!(!weighted.contains(&1));
        let last = weighted.iter().filter(|index| **index == 2).count();
        assert!((74_000..76_000).contains(&last), "{last}");
    }
}
