//! The metrics as Prometheus reads them. Names start with `corebid_`; what a bid core counts carries `core="N"`.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::core::CoreMetrics;
use super::histogram::Histogram;
use super::stage::Stage;
use crate::clock;
use crate::reconcile::gauges::{Gauges, Kind, Reading};
use crate::reconcile::guards::counts::Count;
use crate::reconcile::shading::CHANCES;
use crate::ring::message::NoticeKind;
use crate::store::anchor::Anchor;
use crate::units::Nanos;
use crate::wire::openrtb::nobid::NoBidReason;

/// The metrics of all bid cores, as one collector.
#[derive(Debug)]
pub struct Cores(pub Vec<&'static CoreMetrics>);

type Read = fn(&CoreMetrics) -> u64;
/// Key and value.
type Label = (&'static str, &'static str);
type ReadHistograms = fn(&CoreMetrics) -> Vec<(Option<Label>, &Histogram)>;

const COUNTERS: &[(&str, &str, Read)] = &[
    ("requests", "Bid requests framed", |core| core.requests.get()),
    ("filtered_requests", "Bid requests that passed every filter before the match", |core| core.filtered()),
    ("bids", "Answers with a bid", |core| core.bids.get()),
    ("bid_micros", "Sum of the maximum prices of all bids, micros", |core| core.bid_micros.get()),
    ("shaded_bids", "Bids in first-price auctions whose price is learnt", |core| core.shaded.get()),
    ("shaded_explored", "Of those, bids made to learn from", |core| core.shaded_explored.get()),
    ("shaded_worth_micros", "What they were worth, CPM micros", |core| core.shaded_worth_micros.get()),
    ("shaded_bid_micros", "What they bid, CPM micros", |core| core.shaded_bid_micros.get()),
    ("broken", "Bid requests answered 400", |core| core.broken.get()),
    ("oversized", "Bid requests in gzip answered 413", |core| core.oversized.get()),
    ("inflated", "Bid requests in gzip that were unpacked", |core| core.inflated.get()),
    ("deflated", "Bid responses sent in gzip", |core| core.deflated.get()),
    ("notices_forged", "Notices refused with 403", |core| core.notices_forged.get()),
    ("notices_refused", "Notices refused with 503 because too many were waiting", |core| core.notices_refused.get()),
    ("notices_timed_out", "Notices answered 503 because the disk took too long", |core| core.notices_timed_out.get()),
    ("strays", "Requests for unknown paths", |core| core.strays.get()),
    ("candidates", "Candidates that came out of the match", |core| core.candidates.get()),
    ("events_refused", "Events the full ring to the reconciliation core refused", |core| core.events_refused.get()),
    ("orders", "Orders from the reconciliation core carried out", |core| core.orders.get()),
    ("snapshot_swaps", "Snapshots swapped in", |core| core.swaps.get()),
    ("loop_turns", "Turns of the loop", |core| core.turns.get()),
    ("connections_accepted", "Connections accepted", |core| core.accepted.get()),
    ("connections_closed", "Connections closed", |core| core.closed.get()),
    ("connections_turned_away", "Connections closed as they came for want of a place", |core| core.turned_away.get()),
    ("connections_crowded", "Silent connections closed to make room for others", |core| core.crowded.get()),
    ("connections_unread", "Connections closed because they did not read their answers", |core| core.unread.get()),
    ("requests_timed_out", "Requests that did not come whole in time", |core| core.timed_out.get()),
    ("inputs_pressed", "Inputs given up because others needed their memory", |core| core.pressed.get()),
    ("streams_refused", "Streams refused for their framing", |core| core.refused.get()),
    ("receives_rearmed", "Multishot receives armed again", |core| core.rearmed.get()),
    ("received_bytes", "Bytes received", |core| core.received_bytes.get()),
    ("profile_hits", "Profile lookups answered by the shard", |core| core.profile_hits.get()),
    ("profile_unknown", "Profile lookups of users of whom the shard knows that nothing is known", |core| {
        core.profile_unknown.get()
    }),
    ("profile_misses", "Profile lookups that went to what is behind the shard", |core| core.profile_misses.get()),
    ("profile_evictions", "Profiles the shard forgot to make room", |core| core.profile_evictions.get()),
    ("profile_refused", "Values that were no profile", |core| core.profile_refused.get()),
    ("parked", "Bid requests parked until their user's profile came", |core| core.parked.get()),
    ("resumed", "Parked bid requests whose user's profile came, or word of it", |core| core.resumed.get()),
    ("waited_in_vain", "Parked bid requests whose time was up before", |core| core.waited_in_vain.get()),
    ("unfetched", "Bid requests of unknown users that did not wait for a profile", |core| core.unfetched.get()),
    ("fetched", "Users who came from the stores thread", |core| core.fetched.get()),
    ("fingerprints", "Requests looked up among the copies of auctions bid on", |core| core.fingerprints.get()),
    ("fingerprint_evictions", "Bids forgotten before the window for their copies was over", |core| {
        core.fingerprint_evictions.get()
    }),
    ("stalled_requests", "Bid requests that lay unread while their core was kept from its loop, or may have", |core| {
        core.stalled_requests.get()
    }),
    ("stalls_lost", "Long turns of the loop that found nobody to be told to", |core| core.stalls_lost.get()),
    ("tail_lost", "Bid requests that took too long and are not explained, because there were too many", |core| {
        core.tail_lost.get()
    }),
    ("audit_lost", "Records of the compliance log lost because more were made than written", |core| {
        core.audit_lost.get()
    }),
    ("captured", "Requests copied for captures", |core| core.captured.get()),
    ("capture_lost", "Requests that captures lost because more came than were taken up", |core| {
        core.capture_lost.get()
    }),
    ("scored_rows", "Rows that models scored", |core| core.scored_rows.get()),
    ("outranked", "Offers that had no place on the shortlist of those that a model looks at", |core| {
        core.outranked.get()
    }),
    ("scores_averaged", "Requests valued at the average, because scoring had used up its share of the time", |core| {
        core.averaged.get()
    }),
    ("training_lost", "Rows of the training log lost because more were made than written", |core| {
        core.training_lost.get()
    }),
    ("training_forbidden", "Answers with bids that the training log may not hear of", |core| {
        core.training_forbidden.get()
    }),
    ("frequency_evictions", "Frequency entries forgotten for want of room", |core| core.frequency_evictions.get()),
];

/// What each core holds now.
const HELD: &[(&str, &str, Read)] = &[
    ("waiting_connections", "Connections with something to be read that wait for their turn", |core| {
        core.waiting.get()
    }),
    ("scoring_over", "1 while impressions are valued at the average for want of time", |core| core.scoring_over.get()),
    ("score_row_nanoseconds", "What a row is taken to cost to be scored, ns", |core| core.score_row_ns.get()),
    ("profiles", "Profiles in the shard", |core| core.profiles.get()),
    ("profile_bytes", "Bytes of the profile shard in use, tables included", |core| core.profile_bytes.get()),
];

const NOTICE_ENDS: [&str; 3] = ["safe", "expired", "unsafe"];

impl Collector for Cores {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for &(name, help, read) in COUNTERS {
            let name = format!("corebid_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            for (core, metrics) in self.0.iter().enumerate() {
                family
                    .encode_family(&[("core", core.to_string())])?
                    .encode_counter::<NoLabelSet, u64, f64>(&read(metrics), None)?;
            }
        }
        for &(name, help, read) in HELD {
            let name = format!("corebid_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
            for (core, metrics) in self.0.iter().enumerate() {
                family.encode_family(&[("core", core.to_string())])?.encode_gauge(&(read(metrics) as i64))?;
            }
        }
        self.labelled(&mut encoder, "corebid_nobid", "Answers 204 by reason", "reason", |core| {
            NoBidReason::ALL.iter().map(|&reason| (reason.label(), core.nobid(reason).get())).collect()
        })?;
        self.labelled(&mut encoder, "corebid_notices", "Notices with a good signature by kind", "kind", |core| {
            NoticeKind::ALL.iter().map(|&kind| (kind.label(), core.notice_of(kind).get())).collect()
        })?;
        self.labelled(&mut encoder, "corebid_noticed", "Notices by how they ended", "end", |core| {
            NOTICE_ENDS.into_iter().zip(core.noticed.iter().map(|counter| counter.get())).collect()
        })?;
        let help = "Connections by whether the CPU of their bid core received them, where they are steered";
        self.labelled(&mut encoder, "corebid_steered", help, "hit", |core| {
            ["yes", "no"].into_iter().zip(core.steered.iter().map(|counter| counter.get())).collect()
        })?;
        self.histograms(&mut encoder, "corebid_stage_seconds", "Time in each stage of sampled requests", |core| {
            Stage::ALL.iter().map(|&stage| (Some(("stage", stage.label())), &core.stages[stage as usize])).collect()
        })?;
        self.histograms(
            &mut encoder,
            "corebid_turn_seconds",
            "Length of the turns of the loop, without waiting",
            |core| vec![(None, &core.turn)],
        )?;
        self.histograms(
            &mut encoder,
            "corebid_queue_seconds",
            "Time bid requests may have waited before they were framed",
            |core| vec![(None, &core.queue)],
        )?;
        self.histograms(
            &mut encoder,
            "corebid_service_seconds",
            "Time from framing a bid request to submitting its answer",
            |core| vec![(None, &core.service)],
        )?;
        self.histograms(&mut encoder, "corebid_notice_seconds", "Time from a notice's arrival to its answer", |core| {
            NOTICE_ENDS.into_iter().zip(&core.notice).map(|(end, times)| (Some(("end", end)), times)).collect()
        })
    }
}

/// The numbers of the reconciliation core.
#[derive(Debug)]
pub struct Reconciliation(pub Arc<Gauges>);

impl Collector for Reconciliation {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Reading { name, help, kind, value } in self.0.all() {
            let name = format!("corebid_reconcile_{name}");
            let metric = match kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
            };
            let mut encoder = encoder.encode_descriptor(&name, help, None, metric)?;
            match kind {
                Kind::Counter => encoder.encode_counter::<NoLabelSet, u64, f64>(&value, None)?,
                Kind::Gauge => encoder.encode_gauge(&value)?,
            }
        }
        let help = "Time since the last turn of the reconciliation core began, seconds";
        let age = match self.0.turned.get() {
            0 => 0,
            turned => clock::boot().since(Nanos(turned)),
        };
        let turn_age =
            encoder.encode_descriptor("corebid_reconcile_turn_age_seconds", help, None, MetricType::Gauge)?;
        ConstGauge::new(age as f64 / 1e9).encode(turn_age)?;
        // A series for each head, a minute apart: a hash is no number.
        if let Some(Anchor { segment, records, head }) = self.0.head.get() {
            let help = "Records of the ledger up to the head of its hash chain that was told last";
            let mut head_of = encoder.encode_descriptor("corebid_ledger_head", help, None, MetricType::Gauge)?;
            let labels = [("segment", segment.to_string()), ("hash", head.to_string())];
            head_of.encode_family(&labels)?.encode_gauge(&records)?;
        }
        let labels = |count: &Count| [("scope", count.scope), ("why", count.why)];
        let help = "Campaigns and advertisers that are stopped";
        let mut family = encoder.encode_descriptor("corebid_stopped", help, None, MetricType::Gauge)?;
        for count in self.0.guards.all() {
            family.encode_family(&labels(&count))?.encode_gauge(&count.stopped)?;
        }
        let help = "Times that a campaign or an advertiser was stopped";
        let mut family = encoder.encode_descriptor("corebid_stops", help, None, MetricType::Counter)?;
        for count in self.0.guards.all() {
            family.encode_family(&labels(&count))?.encode_counter::<NoLabelSet, u64, f64>(&count.stops, None)?;
        }
        let help = "Bid that wins this share of the first-price auctions of an exchange, as learnt, CPM micros";
        let mut family = encoder.encode_descriptor("corebid_shading_price_micros", help, None, MetricType::Gauge)?;
        for price in self.0.prices.all() {
            for (reaching, chance) in price.reaching.iter().zip(CHANCES) {
                let labels = [("exchange", price.name.to_string()), ("wins", chance.to_string())];
                family.encode_family(&labels)?.encode_gauge(&reaching.get())?;
            }
        }
        let shadow = &self.0.shadow;
        for (name, help, counter) in [
            (
                "corebid_frequency_shadow_bills",
                "Billed impressions under a frequency cap, of one user in 1024",
                &shadow.bills,
            ),
            ("corebid_frequency_shadow_over", "Those of them that went beyond a cap", &shadow.over),
        ] {
            let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            encoder.encode_counter::<NoLabelSet, u64, f64>(&counter.get(), None)?;
        }
        Ok(())
    }
}

impl Cores {
    fn labelled(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        label: &'static str,
        read: fn(&CoreMetrics) -> Vec<(&'static str, u64)>,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (core, metrics) in self.0.iter().enumerate() {
            for (value, count) in read(metrics) {
                let labels = [("core", core.to_string()), (label, value.to_owned())];
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, f64>(&count, None)?;
            }
        }
        Ok(())
    }

    fn histograms(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        read: ReadHistograms,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (core, metrics) in self.0.iter().enumerate() {
            for (label, histogram) in read(metrics) {
                let core = ("core", core.to_string());
                match label {
                    Some((key, value)) => encode(&mut family, &[core, (key, value.to_owned())], histogram)?,
                    None => encode(&mut family, &[core], histogram)?,
                }
            }
        }
        Ok(())
    }
}

/// A histogram of nanoseconds, in seconds.
pub(crate) fn encode(
    family: &mut prometheus_client::encoding::MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    histogram: &Histogram,
) -> fmt::Result {
    let mut buckets: Vec<(f64, u64)> = histogram.octaves().map(|(ns, count)| (ns as f64 / 1e9, count)).collect();
    // The last octave also holds what lies beyond it: Prometheus calls its bound infinity.
    if let Some(last) = buckets.last_mut() {
        last.0 = f64::INFINITY;
    }
    let count = buckets.iter().map(|(_, count)| count).sum();
    family.encode_family(labels)?.encode_histogram::<NoLabelSet>(histogram.sum() as f64 / 1e9, count, &buckets, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::books::Scope;
    use crate::authority::message::Why;
    use crate::reconcile::guards::stops::Stop;
    use crate::ring::message::Noticed;
    use crate::units::AdvertiserId;
    use prometheus_client::registry::Registry;

    #[test]
    fn the_text_holds_every_counter_with_its_core() {
        let cores: Vec<&'static CoreMetrics> = (0..2).map(|_| &*Box::leak(Box::<CoreMetrics>::default())).collect();
        cores[1].requests.add(3);
        cores[0].nobid(NoBidReason::Floor).add(7);
        cores[0].stages[Stage::Scan as usize].record(1_000);
        cores[1].answered(Noticed::Safe, 3_000_000);
        cores[1].answered(Noticed::Unsafe, 5_000_000_000);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Cores(cores)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "corebid_requests_total{core=\"1\"} 3",
            "corebid_nobid_total{core=\"0\",reason=\"floor\"} 7",
            "corebid_stage_seconds_count{core=\"0\",stage=\"scan\"} 1",
            "corebid_stage_seconds_bucket{le=\"0.000001024\",core=\"0\",stage=\"scan\"} 1",
            "corebid_stage_seconds_bucket{le=\"+Inf\",core=\"0\",stage=\"scan\"} 1",
            "corebid_noticed_total{core=\"1\",end=\"safe\"} 1",
            "corebid_notice_seconds_bucket{le=\"0.002097152\",core=\"1\",end=\"safe\"} 0",
            "corebid_notice_seconds_bucket{le=\"0.004194304\",core=\"1\",end=\"safe\"} 1",
            "corebid_notice_seconds_sum{core=\"1\",end=\"unsafe\"} 5.0",
            "corebid_notice_seconds_count{core=\"0\",end=\"safe\"} 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn what_only_grows_is_a_counter_and_each_number_says_what_it_is() {
        let gauges = Gauges::new(1);
        gauges.bills.add(3);
        gauges.held_micros.set(7);
        let scope = Scope::Advertiser(AdvertiserId(3));
        gauges.shadow.bills.add(1);
        gauges.guards.set([Stop { scope, why: Why::Mismatch }].into_iter());
        gauges.guards.stop(scope, Why::Mismatch);
        gauges.guards.stop(scope, Why::Mismatch);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Reconciliation(Arc::new(gauges))));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "# HELP corebid_reconcile_bills Bills booked",
            "# TYPE corebid_reconcile_bills counter",
            "corebid_reconcile_bills_total 3",
            "# TYPE corebid_reconcile_held_micros gauge",
            "corebid_reconcile_held_micros 7",
            "# TYPE corebid_stopped gauge",
            "corebid_stopped{scope=\"advertiser\",why=\"mismatch\"} 1",
            "corebid_stopped{scope=\"campaign\",why=\"mismatch\"} 0",
            "# TYPE corebid_stops counter",
            "corebid_stops_total{scope=\"advertiser\",why=\"mismatch\"} 2",
            "corebid_frequency_shadow_bills_total 1",
            "corebid_frequency_shadow_over_total 0",
        ] {
            assert!(text.lines().any(|known| known.trim_end_matches('.') == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("corebid_ledger_head"), "no head was told yet");
        let helps = text.lines().filter(|line| line.starts_with("# HELP ")).count();
        let (by_stop, of_the_shadow, of_shading, age) = (2, 2, 1, 1);
        assert_eq!(helps, Gauges::new(0).all().count() + by_stop + of_the_shadow + of_shading + age);
    }

    #[test]
    fn the_age_of_a_turn_grows_without_one() {
        let gauges = Arc::new(Gauges::new(0));
        let age = || {
            let mut registry = Registry::default();
            registry.register_collector(Box::new(Reconciliation(gauges.clone())));
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            let value = text.lines().find_map(|line| line.strip_prefix("corebid_reconcile_turn_age_seconds "));
            value.unwrap().parse::<f64>().unwrap()
        };
        assert!(age() < 1e-9, "before the first turn");
        gauges.turned.set(clock::boot().0.saturating_sub(7 * Nanos::SECOND));
        let (first, second) = (age(), age());
        assert!((7.0..1000.0).contains(&first) && second > first, "{first} {second}");
    }

    #[test]
    fn the_head_of_the_ledger_is_a_label() {
        let (gauges, head) = (Gauges::new(1), blake3::hash(b""));
        gauges.head.set(Anchor { segment: 4, records: 99, head });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Reconciliation(Arc::new(gauges))));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let line = format!("corebid_ledger_head{{segment=\"4\",hash=\"{head}\"}} 99");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}
