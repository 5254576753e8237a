//! What the stores thread counts.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::metrics::counter::Counter;
use crate::metrics::histogram::Histogram;
use crate::metrics::render;

/// Counters of the fetches.
#[derive(Debug, Default)]
pub struct FetchCounts {
    /// Fetches that left.
    pub fetches: Counter,
    /// Users in them.
    pub users: Counter,
    /// Users who came with a profile.
    pub found: Counter,
    /// Users of whom the store knows nothing.
    pub unknown: Counter,
    /// Users of whom the store did not say, in time or at all.
    pub failed: Counter,
    /// Users who were not asked for: the breaker was open, or too many were wanted.
    pub refused: Counter,
    /// Answers that a core had no room for.
    pub dropped: Counter,
    /// Times the breaker opened.
    pub trips: Counter,
    /// The breaker: 0 closed, 1 half-open, 2 open.
    pub breaker: Counter,
    /// From the first core's question to the answer, ns.
    pub time: Histogram,
}

/// Counters of what is told to the store of frequency counts.
#[derive(Debug, Default)]
pub struct Spreading {
    /// Bookings that the store has counted.
    pub told: Counter,
    /// Those that it had counted before.
    pub known: Counter,
    /// Those that were lost: too many waited, or something else stands under the user's key.
    pub lost: Counter,
    /// Bookings that wait.
    pub waiting: Counter,
    /// Users whose counts were not read in time, or at all.
    pub unread: Counter,
}

/// Them, as one collector.
#[derive(Debug)]
pub struct Spreads(pub Arc<Spreading>);

impl Collector for Spreads {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = &self.0;
        for (name, help, counter) in [
            ("corebid_frequency_told", "Billed impressions that the store of counts has counted", &counts.told),
            ("corebid_frequency_known", "Billed impressions that it had counted before", &counts.known),
            ("corebid_frequency_lost", "Billed impressions that it was not told of, or cannot count", &counts.lost),
            ("corebid_frequency_unread", "Users whose counts the store did not say", &counts.unread),
        ] {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            metric.encode_counter::<NoLabelSet, u64, f64>(&counter.get(), None)?;
        }
        let help = "Billed impressions that wait to be told to the store of counts";
        let metric = encoder.encode_descriptor("corebid_frequency_waiting", help, None, MetricType::Gauge)?;
        prometheus_client::metrics::gauge::ConstGauge::new(counts.waiting.get()).encode(metric)
    }
}

/// The metrics of the fetches, as one collector.
#[derive(Debug)]
pub struct Fetches(pub Arc<FetchCounts>);

type Read = fn(&FetchCounts) -> &Counter;

const COUNTERS: &[(&str, &str, Read)] = &[
    ("corebid_fetch_batches", "Fetches of profiles that left", |counts| &counts.fetches),
    ("corebid_fetch_users", "Users in fetches of profiles", |counts| &counts.users),
    ("corebid_fetch_found", "Users fetched who have a profile", |counts| &counts.found),
    ("corebid_fetch_unknown", "Users fetched of whom the store knows nothing", |counts| &counts.unknown),
    ("corebid_fetch_failed", "Users of whom the store did not say", |counts| &counts.failed),
    ("corebid_fetch_refused", "Users not asked for: the breaker was open or too many were wanted", |counts| {
        &counts.refused
    }),
    ("corebid_fetch_dropped", "Users fetched whom a bid core had no room for", |counts| &counts.dropped),
    ("corebid_fetch_trips", "Times the breaker of the store of profiles opened", |counts| &counts.trips),
];

impl Collector for Fetches {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for &(name, help, read) in COUNTERS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            metric.encode_counter::<NoLabelSet, u64, f64>(&read(&self.0).get(), None)?;
        }
        let help = "The breaker of the store of profiles: 0 closed, 1 half-open, 2 open";
        let metric = encoder.encode_descriptor("corebid_fetch_breaker", help, None, MetricType::Gauge)?;
        prometheus_client::metrics::gauge::ConstGauge::new(self.0.breaker.get()).encode(metric)?;
        let help = "From a bid core's question for a user to the answer";
        let mut family = encoder.encode_descriptor("corebid_fetch_seconds", help, None, MetricType::Histogram)?;
        render::encode(&mut family, &[("source", "profiles")], &self.0.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::registry::Registry;

    #[test]
    fn the_text_holds_every_number() {
        let counts = Arc::new(FetchCounts::default());
        counts.users.add(7);
        counts.breaker.set(2);
        counts.time.record(3_000_000);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Fetches(counts)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "corebid_fetch_users_total 7",
            "corebid_fetch_trips_total 0",
            "corebid_fetch_breaker 2",
            "corebid_fetch_seconds_count{source=\"profiles\"} 1",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
    }
}
