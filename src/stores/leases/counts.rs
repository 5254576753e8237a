//! What the way to the authorities counts.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::metrics::counter::Counter;
use crate::metrics::histogram::Histogram;
use crate::metrics::render;

/// Counters of the `leases` thread.
#[derive(Debug, Default)]
pub struct LeaseCounts {
    /// Round trips to Valkey.
    pub pipelines: Counter,
    /// Calls in them.
    pub calls: Counter,
    /// Calls that failed.
    pub failures: Counter,
    /// Round trips that not enough replicas confirmed: they count as lost.
    pub unconfirmed: Counter,
    /// Answers the reconciliation core had no room for.
    pub dropped: Counter,
    /// Replies that said that the accounts of an advertiser do not add up.
    pub mismatches: Counter,
    /// Epochs this node began.
    pub epochs: Counter,
    /// Checkpoints this node put down.
    pub checkpoints: Counter,
    /// Calls of the register that failed.
    pub register_failures: Counter,
    /// Failures up to the last answer.
    told: Counter,
    /// Duration of a round trip, ns.
    pub time: Histogram,
}

/// The metrics of the thread, as one collector.
#[derive(Debug)]
pub struct Leasing(pub Arc<LeaseCounts>);

type Read = fn(&LeaseCounts) -> &Counter;

const COUNTERS: &[(&str, &str, Read)] = &[
    ("corebid_lease_round_trips", "Round trips to the lease authority", |counts| &counts.pipelines),
    ("corebid_lease_calls", "Calls of the lease authority's functions", |counts| &counts.calls),
    ("corebid_lease_failures", "Calls of the lease authority that failed", |counts| &counts.failures),
    ("corebid_lease_unconfirmed", "Round trips that not enough replicas confirmed", |counts| &counts.unconfirmed),
    ("corebid_lease_dropped", "Answers that the reconciliation core had no room for", |counts| &counts.dropped),
    ("corebid_lease_mismatches", "Replies that said that accounts do not add up", |counts| &counts.mismatches),
    ("corebid_lease_epochs", "Epochs begun by this node, because a shard was lost or new", |counts| &counts.epochs),
    ("corebid_lease_checkpoints", "Checkpoints of shards put down in the register", |counts| &counts.checkpoints),
    ("corebid_register_failures", "Calls of the register in DynamoDB that failed", |counts| &counts.register_failures),
];

impl LeaseCounts {
    /// A call failed: said once for as long as it goes on.
    pub(super) fn failed(&self, why: &dyn fmt::Display) {
        if self.failures.get() == self.told.get() {
            log::error!("the lease authority does not answer: {why}; leases that are not renewed run out");
        }
        self.failures.add(1);
    }

    /// Calls were answered again.
    pub(super) fn answered(&self) {
        if self.failures.get() > self.told.get() {
            log::info!("the lease authority answers again");
            self.told.set(self.failures.get());
        }
    }
}

impl Collector for Leasing {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for &(name, help, read) in COUNTERS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            metric.encode_counter::<NoLabelSet, u64, f64>(&read(&self.0).get(), None)?;
        }
        let help = "Duration of a round trip to the lease authority";
        let mut family = encoder.encode_descriptor("corebid_lease_seconds", help, None, MetricType::Histogram)?;
        render::encode(&mut family, &[("store", "valkey")], &self.0.time)
    }
}
