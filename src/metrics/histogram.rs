//! A latency histogram with one writer: log-linear buckets, four to a power of two, so that a quantile is right to 12 %.
//!
//! For the live metrics of a bid core, which cost one add per sample; the load generator, whose numbers are quoted, records
//! into HDR histograms instead.

use super::counter::Counter;

const SUB_BITS: u32 = 2;
const SUB: usize = 1 << SUB_BITS;
/// The largest power of two told apart: 2^35 ns is 34 s.
const OCTAVES: usize = 36;
/// Buckets.
pub const BUCKETS: usize = SUB + (OCTAVES - SUB_BITS as usize) * SUB;

/// Counts of durations in nanoseconds.
#[derive(Debug)]
pub struct Histogram {
    buckets: [Counter; BUCKETS],
    sum: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: std::array::from_fn(|_| Counter::default()), sum: Counter::default() }
    }
}

impl Histogram {
    /// Records a duration of `ns` nanoseconds; the owner only.
    #[inline]
    pub fn record(&self, ns: u64) {
        self.record_many(ns, 1);
    }

    /// Records `count` durations of `ns` nanoseconds; the owner only.
    #[inline]
    pub fn record_many(&self, ns: u64, count: u64) {
        self.buckets[bucket(ns)].add(count);
        self.sum.add(ns.wrapping_mul(count));
    }

    /// Sum of all durations, ns.
    pub fn sum(&self) -> u64 {
        self.sum.get()
    }

    /// Pairs of (upper bound in ns, count), in order, for the buckets that are not empty.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.buckets
            .iter()
            .enumerate()
            .map(|(index, counter)| (upper_bound(index), counter.get()))
            .filter(|pair| pair.1 > 0)
    }

    /// The counts folded into power-of-two buckets (upper bound in ns, count), empty ones included: the same bounds on
    /// every scrape, as Prometheus needs them.
    pub fn octaves(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        (SUB_BITS as usize..OCTAVES).map(|octave| {
            let first = if octave == SUB_BITS as usize { 0 } else { bucket(1 << octave) };
            let end = bucket((1 << (octave + 1)) - 1);
            (1 << (octave + 1), self.buckets[first..=end].iter().map(Counter::get).sum())
        })
    }
}

#[inline]
fn bucket(ns: u64) -> usize {
    if ns < SUB as u64 {
        return ns as usize;
    }
    let octave = 63 - ns.leading_zeros();
    let sub = (ns >> (octave - SUB_BITS)) as usize & (SUB - 1);
    (SUB + (octave - SUB_BITS) as usize * SUB + sub).min(BUCKETS - 1)
}

fn upper_bound(index: usize) -> u64 {
    if index < SUB {
        return index as u64;
    }
    let octave = (index - SUB) / SUB;
    let sub = (index - SUB) % SUB;
    ((SUB + sub + 1) as u64) << octave
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_lies_within_an_eighth_of_its_bucket_bound() {
        for ns in (0..2_000_000u64).step_by(37).chain([1 << 34, (1 << 35) - 1]) {
            let bound = upper_bound(bucket(ns));
            assert!(ns <= bound && (bound - ns) * 4 <= bound.max(4), "{ns} in a bucket up to {bound}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn octaves_hold_every_sample_once() {
        let histogram = Histogram::default();
        let samples = [0, 1, 3, 4, 7, 8, 100, 1_000, 1_000_000, u64::MAX];
        samples.iter().for_each(|&ns| histogram.record(ns));
        assert_eq!(histogram.octaves().map(|(_, count)| count).sum::<u64>(), samples.len() as u64);
        assert_eq!(histogram.octaves().next(), Some((8, 5)));
    }
}
