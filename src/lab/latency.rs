//! Latencies in HDR histograms: one for the whole run, and one for each interval when a log is wanted.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError};

use crate::clock;
use crate::units::Nanos;

/// Smallest difference that is kept, ns.
const LOW: u64 = 64;
/// Longest latency that is told apart from longer ones, ns.
const HIGH: u64 = 100 * Nanos::SECOND;
/// Significant decimal digits.
const DIGITS: u8 = 3;
/// Most intervals of a log: about 90 KB each, all of it allocated before the run.
const INTERVALS: u64 = 240;

/// An empty histogram for nanoseconds from 64 ns to 100 s, with three significant digits. Longer times count as 100 s.
pub fn histogram() -> Histogram<u32> {
    Histogram::new_with_bounds(LOW, HIGH, DIGITS).expect("the bounds above are in order")
}

/// A quantile in microseconds, to a tenth.
pub fn micros(histogram: &Histogram<u32>, quantile: f64) -> f64 {
    round(histogram.value_at_quantile(quantile))
}

/// Nanoseconds as microseconds, to a tenth.
pub fn round(ns: u64) -> f64 {
    (ns as f64 / 100.0).round() / 10.0
}

/// The latencies of a run.
#[derive(Debug)]
pub struct Latencies {
    /// All of them.
    pub all: Histogram<u32>,
    intervals: Vec<Histogram<u32>>,
    start: Nanos,
    interval: u64,
    began: SystemTime,
}

impl Latencies {
    /// For a run that begins at `start` and lasts `length` ns; by the interval (1 s, longer in long runs) if `log`.
    pub fn new(start: Nanos, length: u64, log: bool) -> Latencies {
        let interval = Nanos::SECOND.max(length.div_ceil(INTERVALS).next_multiple_of(Nanos::SECOND));
        let count = if log { length.div_ceil(interval).max(1) } else { 0 };
        let intervals = (0..count).map(|_| histogram()).collect();
        // It may begin a little later than now.
        let began = SystemTime::now() + Duration::from_nanos(start.since(clock::boot()));
        Latencies { all: histogram(), intervals, start, interval, began }
    }

    /// Adds those of another generator of the same run.
    pub fn add(&mut self, other: &Latencies) {
        const SAME: &str = "histograms of one run have the same bounds";
        self.all.add(&other.all).expect(SAME);
        for (mine, theirs) in self.intervals.iter_mut().zip(&other.intervals) {
            mine.add(theirs).expect(SAME);
        }
    }

    /// Records a latency under the interval in which its request was due.
    #[inline]
    pub fn record(&mut self, intended: Nanos, ns: u64) {
        self.all.saturating_record(ns);
        if !self.intervals.is_empty() {
            let last = self.intervals.len() - 1;
            let index = (intended.since(self.start) / self.interval) as usize;
            self.intervals[index.min(last)].saturating_record(ns);
        }
    }

    /// Writes the intervals as an HDR interval log (version 1.3 text, V2 deflate histograms, values in ns, maxima in ms),
    /// which the usual HdrHistogram tools read.
    pub fn write_log(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        let mut serializer = V2DeflateSerializer::new();
        let mut builder = IntervalLogWriterBuilder::new();
        builder.add_comment("[Histogram log format version 1.3]");
        builder.add_comment("corebid load: latency from the intended send time, ns");
        builder.with_start_time(self.began).with_base_time(self.began).with_max_value_divisor(1e6);
        let mut log = builder.begin_log_with(&mut file, &mut serializer)?;
        let length = Duration::from_nanos(self.interval);
        for (index, histogram) in self.intervals.iter().enumerate() {
            log.write_histogram(histogram, length * index as u32, length, None).map_err(|error| match error {
                IntervalLogWriterError::IoError(error) => error,
                IntervalLogWriterError::SerializeError(error) => io::Error::other(format!("{error:?}")),
            })?;
        }
        file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64_of_log::decode;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    /// RFC 4648 base64, written out so that the log is read by something that did not write it.
    mod base64_of_log {
        pub(super) fn decode(text: &str) -> Vec<u8> {
            const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
            for byte in text.bytes().filter(|byte| *byte != b'=') {
                let value = ALPHABET.iter().position(|letter| *letter == byte).expect("a base64 letter");
                (bits, count) = (bits << 6 | value as u32, count + 6);
                if count >= 8 {
                    count -= 8;
                    out.push((bits >> count) as u8);
                }
            }
            out
        }
    }

    #[test]
    fn a_log_holds_every_interval_with_its_values() {
        let start = Nanos(5_000);
        let mut latencies = Latencies::new(start, 3 * Nanos::SECOND, true);
        for (second, ns) in [(0, 10_000), (0, 20_000), (2, 8_000_000), (9, 1_000)] {
            latencies.record(start.after(second * Nanos::SECOND), ns);
        }
        let path = std::env::temp_dir().join(format!("corebid-latency-{}.hlog", std::process::id()));
        latencies.write_log(&path).expect("written");
        let text = std::fs::read(&path).expect("read");
        std::fs::remove_file(&path).expect("removed");
        let mut totals = Vec::new();
        let mut merged = histogram();
        for entry in IntervalLogIterator::new(&text) {
            if let LogEntry::Interval(interval) = entry.expect("a readable line") {
                let bytes = decode(interval.encoded_histogram());
                let histogram: Histogram<u32> =
                    Deserializer::new().deserialize(&mut bytes.as_slice()).expect("a histogram");
                assert_eq!(interval.duration(), Duration::from_secs(1));
                totals.push(histogram.len());
                merged.add(&histogram).expect("the same bounds");
            }
        }
        assert_eq!(totals, [2, 0, 2]);
        assert_eq!(merged.len(), latencies.all.len());
        assert_eq!(merged.value_at_quantile(1.0), latencies.all.value_at_quantile(1.0));
        assert!(merged.value_at_quantile(1.0).abs_diff(8_000_000) <= 8_000);
    }

    #[test]
    fn times_out_of_bounds_are_kept_at_the_bound() {
        let mut latencies = Latencies::new(Nanos(0), 1, false);
        latencies.record(Nanos(0), 0);
        latencies.record(Nanos(0), u64::MAX);
        assert_eq!(latencies.all.len(), 2);
        assert!(latencies.all.max() >= HIGH);
    }
}
