//! What the machine does to a thread that only looks at the clock: the hiccups that no program on it can avoid.
//!
//! The generator spins. In a turn in which it had nothing to send and found nothing to read it did no more than ask the kernel
//! once and look at the clock, so the time from the look before to this one is what the machine took: next to nothing, or the
//! length of an interrupt, of another thread's turn, of a pause of the virtual machine.
//!
//! What a request would suffer is not the length of the usual gap, but the wait of somebody who comes at any moment until the
//! next look: long gaps are met more often, in proportion to their length, and half way through on average. Of gaps `g` the
//! share of moments that wait longer than `w` is `sum(max(0, g - w)) / sum(g)`. That is the number a send lag compares with.

use hdrhistogram::Histogram;

use crate::units::Nanos;

/// Gaps between two looks at the clock.
#[derive(Clone, Debug)]
pub struct Hiccups(Histogram<u64>);

impl Default for Hiccups {
    fn default() -> Hiccups {
        Hiccups(Histogram::new_with_bounds(1, 100 * Nanos::SECOND, 2).expect("the bounds are in order"))
    }
}

impl Hiccups {
    /// Records a gap of `ns`.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns);
    }

    /// Adds those of another thread.
    pub fn add(&mut self, other: &Hiccups) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// The longest gap, ns.
    pub fn longest(&self) -> u64 {
        self.0.max()
    }

    /// The time, ns, within which a thread that comes at any moment gets its turn with probability `quantile`; 0 if nothing was
    /// recorded. Right to the 1 % of a gap to which gaps are kept.
    pub fn wait(&self, quantile: f64) -> u64 {
        // From the longest gap down: those beyond `w` wait `sum - count * w` in all.
        let gaps: Vec<(f64, f64)> = self
            .0
            .iter_recorded()
            .map(|bucket| (bucket.value_iterated_to() as f64, bucket.count_at_value() as f64))
            .collect();
        let wanted = (1.0 - quantile) * gaps.iter().map(|(gap, count)| gap * count).sum::<f64>();
        let (mut sum, mut count) = (0.0, 0.0);
        for (at, (gap, times)) in gaps.iter().enumerate().rev() {
            (sum, count) = (sum + gap * times, count + times);
            let shorter = if at == 0 { 0.0 } else { gaps[at - 1].0 };
            if sum - count * shorter >= wanted {
                return ((sum - wanted) / count).round() as u64;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::splitmix;

    /// Against moments thrown at a line of gaps.
    #[test]
    fn the_wait_is_that_of_somebody_who_comes_at_any_moment() {
        let mut draws = 5;
        let mut gaps: Vec<u64> = (0..20_000).map(|_| 300 + splitmix::next(&mut draws) % 200).collect();
        gaps.extend((0..40).map(|_| 20_000 + splitmix::next(&mut draws) % 400_000));
        let mut hiccups = Hiccups::default();
        gaps.iter().for_each(|gap| hiccups.record(*gap));
        let ends: Vec<u64> = gaps
            .iter()
            .scan(0, |sum, gap| {
                *sum += gap;
                Some(*sum)
            })
            .collect();
        let total = ends[ends.len() - 1];
        let mut waits: Vec<u64> = (0..200_000)
            .map(|_| {
                let moment = splitmix::next(&mut draws) % total;
                ends[ends.partition_point(|end| *end <= moment)] - moment
            })
            .collect();
        waits.sort_unstable();
        for quantile in [0.1, 0.5, 0.9, 0.99] {
            let (thrown, computed) = (waits[(quantile * 200_000.0) as usize] as f64, hiccups.wait(quantile) as f64);
            assert!((thrown - computed).abs() <= 0.04 * thrown, "{quantile}: {thrown} thrown, {computed} computed");
        }
        let longest = gaps.iter().max().copied().unwrap_or(0);
        assert!(hiccups.longest().abs_diff(longest) <= longest / 100);
        assert_eq!(hiccups.wait(1.0).abs_diff(hiccups.longest()) / 10_000, 0);
    }

    #[test]
    fn equal_gaps_are_waited_for_evenly() {
        let mut hiccups = Hiccups::default();
        assert_eq!(hiccups.wait(0.99), 0);
        (0..1000).for_each(|_| hiccups.record(100));
        assert_eq!([0.25, 0.5, 0.99].map(|quantile| hiccups.wait(quantile)), [25, 50, 99]);
    }
}
