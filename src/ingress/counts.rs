//! What the ingress counts.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::metrics::counter::Counter;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its peer went, or broke off.
    Peer,
    /// Its last answer said so: the peer had asked for that, or the bid port had.
    Answered,
    /// It was idle, or its peer did not read.
    Idle,
    /// There were too many.
    Full,
    /// The handshake failed, or took too long.
    Handshake,
    /// It began without TLS: answered 400.
    Plain,
    /// A request did not come whole in time: answered 408.
    Slow,
    /// What came was no HTTP, or too much: answered as the bid port does.
    Refused,
    /// The bid port did not answer: 503.
    Unanswered,
    /// The ingress was closed.
    Closed,
}

impl Ending {
    /// All, in the order of their numbers.
    pub const ALL: [Ending; 10] = [
        Ending::Peer,
        Ending::Answered,
        Ending::Idle,
        Ending::Full,
        Ending::Handshake,
        Ending::Plain,
        Ending::Slow,
        Ending::Refused,
        Ending::Unanswered,
        Ending::Closed,
    ];

    /// As metrics name it.
    pub const fn label(self) -> &'static str {
        match self {
            Ending::Peer => "peer",
            Ending::Answered => "answered",
            Ending::Idle => "idle",
            Ending::Full => "full",
            Ending::Handshake => "handshake",
            Ending::Plain => "plain",
            Ending::Slow => "slow",
            Ending::Refused => "refused",
            Ending::Unanswered => "unanswered",
            Ending::Closed => "closed",
        }
    }
}

/// Counters of the ingress; its thread is the only writer.
#[derive(Debug, Default)]
pub struct IngressCounts {
    /// 1 while it listens.
    pub open: Counter,
    /// 1 while it should, and cannot.
    pub failing: Counter,
    /// Connections now.
    pub connections: Counter,
    /// Connections accepted.
    pub accepted: Counter,
    /// How they ended, by [`Ending`].
    pub ended: [Counter; Ending::ALL.len()],
    /// Requests framed.
    pub requests: Counter,
    /// Of those, bid requests answered 204 because there were too many.
    pub limited: Counter,
    /// Times a changed certificate was taken up.
    pub rotations: Counter,
    /// 1 while the files of the certificate cannot be used, so that the one before is.
    pub unrotated: Counter,
    /// When the certificate in use ends, Unix s.
    pub expires: Counter,
}

impl IngressCounts {
    pub(super) fn ended(&self, ending: Ending) {
        self.ended[ending as usize].add(1);
    }
}

/// The metrics of the ingress, as one collector.
#[derive(Debug)]
pub struct Ingressed(pub Arc<IngressCounts>);

type Read = fn(&IngressCounts) -> &Counter;

const GAUGES: &[(&str, &str, Read)] = &[
    ("corebid_ingress_open", "1 while the ingress listens", |counts| &counts.open),
    ("corebid_ingress_failing", "1 while the ingress should listen and cannot", |counts| &counts.failing),
    ("corebid_ingress_connections", "Connections of the ingress", |counts| &counts.connections),
    (
        "corebid_ingress_certificate_failing",
        "1 while the certificate's files cannot be used, so that the one before is",
        |counts| &counts.unrotated,
    ),
    ("corebid_ingress_certificate_expires_seconds", "End of the certificate in use, Unix time", |counts| {
        &counts.expires
    }),
];

const COUNTERS: &[(&str, &str, Read)] = &[
    ("corebid_ingress_accepted", "Connections that the ingress accepted", |counts| &counts.accepted),
    ("corebid_ingress_requests", "Requests framed by the ingress", |counts| &counts.requests),
    ("corebid_ingress_limited", "Bid requests answered 204 by the ingress for their number", |counts| &counts.limited),
    ("corebid_ingress_rotations", "Times a changed certificate was taken up", |counts| &counts.rotations),
];

impl Collector for Ingressed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = &self.0;
        for &(name, help, read) in GAUGES {
            let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            gauge.encode_gauge(&(read(counts).get() as i64))?;
        }
        for &(name, help, read) in COUNTERS {
            let mut counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            counter.encode_counter::<NoLabelSet, u64, f64>(&read(counts).get(), None)?;
        }
        let help = "Connections of the ingress that ended, by why";
        let mut family = encoder.encode_descriptor("corebid_ingress_ended", help, None, MetricType::Counter)?;
        for ending in Ending::ALL {
            let count = counts.ended[ending as usize].get();
            family.encode_family(&[("why", ending.label())])?.encode_counter::<NoLabelSet, u64, f64>(&count, None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::registry::Registry;

    #[test]
    fn every_ending_has_its_counter() {
        let counts = Arc::new(IngressCounts::default());
        for (number, ending) in Ending::ALL.into_iter().enumerate() {
            assert_eq!(ending as usize, number);
        }
        counts.ended(Ending::Slow);
        counts.open.set(1);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Ingressed(counts)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "corebid_ingress_open 1",
            "corebid_ingress_failing 0",
            "corebid_ingress_requests_total 0",
            "corebid_ingress_ended_total{why=\"slow\"} 1",
            "corebid_ingress_ended_total{why=\"closed\"} 0",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
    }
}
