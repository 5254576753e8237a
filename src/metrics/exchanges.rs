//! What the bid cores count of each exchange, as Prometheus reads it.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::core::{CoreMetrics, ExchangeCounts};
use super::counter::Counter;
use crate::bid::response_rate::{ALARM, ENOUGH, is_beyond};

/// Them, as one collector.
#[derive(Debug)]
pub struct Exchanges(pub Vec<&'static CoreMetrics>);

type Read = fn(&ExchangeCounts) -> &Counter;

const COUNTERS: &[(&str, &str, Read)] = &[
    ("corebid_answers", "Bid requests answered", |counts| &counts.answers),
    ("corebid_late", "Bid requests answered after their time was up, whatever the answer", |counts| &counts.late),
    ("corebid_invalid", "Answers that the exchange called invalid", |counts| &counts.invalid),
];

impl Exchanges {
    /// Each exchange with its answers of the last seconds, and the bad ones among them, over all cores.
    fn recent(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        let names = self.0.first().map_or(&[][..], |core| &core.exchanges).iter();
        names.enumerate().map(|(index, first)| {
            let sum = |read: Read| self.0.iter().map(|core| read(&core.exchanges[index]).get()).sum::<u64>();
            (&*first.name, sum(|counts| &counts.recent), sum(|counts| &counts.recent_bad))
        })
    }
}

impl Collector for Exchanges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let labels =
            |core: usize, counts: &ExchangeCounts| [("core", core.to_string()), ("exchange", counts.name.to_string())];
        for &(name, help, read) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (core, metrics) in self.0.iter().enumerate() {
                for counts in &metrics.exchanges {
                    let count = read(counts).get();
                    family
                        .encode_family(&labels(core, counts))?
                        .encode_counter::<NoLabelSet, u64, f64>(&count, None)?;
                }
            }
        }
        let help = "The age that a request may have when its answer is on its way";
        let mut family = encoder.encode_descriptor("corebid_age_limit_seconds", help, None, MetricType::Gauge)?;
        for (core, metrics) in self.0.iter().enumerate() {
            for counts in &metrics.exchanges {
                let seconds = counts.age_limit_ns.get() as f64 / 1e9;
                family.encode_family(&labels(core, counts))?.encode_gauge(&seconds)?;
            }
        }
        let help = "Share of the answers of the last seconds that were late or invalid";
        let mut family = encoder.encode_descriptor("corebid_late_share", help, None, MetricType::Gauge)?;
        for (exchange, answers, bad) in self.recent() {
            let share = if answers < ENOUGH { 0.0 } else { (bad as f64 / answers as f64).min(1.0) };
            family.encode_family(&[("exchange", exchange)])?.encode_gauge(&share)?;
        }
        let help = "1 while that share is above 5 %";
        let mut family = encoder.encode_descriptor("corebid_response_rate_alarm", help, None, MetricType::Gauge)?;
        for (exchange, answers, bad) in self.recent() {
            family
                .encode_family(&[("exchange", exchange)])?
                .encode_gauge(&i64::from(is_beyond(ALARM, answers, bad)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::registry::Registry;

    #[test]
    fn the_share_is_the_nodes_and_the_counters_are_the_cores() {
        let core = || &*Box::leak(Box::new(CoreMetrics::new(false).with_exchanges(["a", "b"])));
        let cores: Vec<&'static CoreMetrics> = vec![core(), core()];
        for (core, bad) in cores.iter().zip([0, 30]) {
            core.exchanges[0].recent.set(150);
            core.exchanges[0].recent_bad.set(bad);
            core.exchanges[0].answers.add(1_000);
            // Too few to say anything.
            core.exchanges[1].recent.set(10);
            core.exchanges[1].recent_bad.set(10);
        }
        cores[1].exchanges[0].late.add(7);
        cores[1].exchanges[1].age_limit_ns.set(1_500_000);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Exchanges(cores)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "corebid_answers_total{core=\"0\",exchange=\"a\"} 1000",
            "corebid_late_total{core=\"1\",exchange=\"a\"} 7",
            "corebid_invalid_total{core=\"1\",exchange=\"b\"} 0",
            "corebid_age_limit_seconds{core=\"0\",exchange=\"a\"} 0.008",
            "corebid_age_limit_seconds{core=\"1\",exchange=\"b\"} 0.0015",
            "corebid_late_share{exchange=\"a\"} 0.1",
            "corebid_late_share{exchange=\"b\"} 0.0",
            "corebid_response_rate_alarm{exchange=\"a\"} 1",
            "corebid_response_rate_alarm{exchange=\"b\"} 0",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
    }
}
