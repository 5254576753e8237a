//! The late requests of each core: how many by cause, the last ones, and of each cause the longest of the last minutes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::Late;
use super::cause::{Cause, Shares};
use crate::metrics::counter::Counter;
use crate::metrics::stalls::cause::Machine;
use crate::metrics::stalls::longest::{Lasted, Longest};
use crate::units::{Nanos, Now, UnixMillis};

/// The last ones of each core that are kept.
pub const LAST: usize = 256;

/// A late request and what took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which of its core's, from 1 on.
    pub id: u64,
    /// When it was answered.
    pub answered: UnixMillis,
    /// As the core told it.
    pub late: Late,
    /// What took it.
    pub shares: Shares,
    /// What took most of it.
    pub cause: Cause,
}

impl Lasted for Record {
    fn ended(&self) -> Nanos {
        self.late.turn.ended
    }

    fn length_ns(&self) -> u64 {
        self.late.length_ns()
    }
}

/// Of one core; the thread that keeps them is the only writer.
#[derive(Debug, Default)]
struct Core {
    /// Late requests by main cause, those included that are counted with another of their turn.
    late: [Counter; Cause::COUNT],
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    told: u64,
    last: VecDeque<Record>,
    /// By main cause: one that is frequent is not to hide the others.
    longest: [Longest<Record>; Cause::COUNT],
}

/// The late requests of all cores, as others read them.
#[derive(Clone, Debug, Default)]
pub struct Records(Arc<Vec<Core>>);

impl Records {
    /// Of so many cores.
    pub fn of(cores: usize) -> Records {
        Records(Arc::new((0..cores).map(|_| Core::default()).collect()))
    }

    /// Requests of a core that were late for this cause.
    pub fn count(&self, core: usize, cause: Cause) -> u64 {
        self.0[core].late[cause as usize].get()
    }

    /// What is kept of each core, the last first.
    pub fn kept(&self, now: Nanos) -> Vec<Vec<Record>> {
        let of = |core: &Core| {
            let mut kept = core.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let mut records: Vec<Record> = kept.longest.iter_mut().flat_map(|longest| longest.rows(now)).collect();
            records.extend(&kept.last);
            records.sort_by_key(|record| std::cmp::Reverse(record.id));
            records.dedup_by_key(|record| record.id);
            records
        };
        self.0.iter().map(of).collect()
    }

    /// One more of a core.
    pub(in crate::metrics) fn note(&self, core: usize, late: Late, machine: Machine, fault_ns: u64, now: Now) {
        let core = &self.0[core];
        let shares = Shares::of(&late, machine, fault_ns);
        let cause = shares.main(&late);
        core.late[cause as usize].add(1 + late.others);
        let ago_ms = now.boot.since(late.turn.ended) / Nanos::MS;
        let answered = UnixMillis(now.wall.0.saturating_sub(ago_ms));
        let mut kept = core.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.told += 1;
        let record = Record { id: kept.told, answered, late, shares, cause };
        kept.longest[cause as usize].push(record);
        if kept.last.len() == LAST {
            kept.last.pop_front();
        }
        kept.last.push_back(record);
    }
}

/// The counters, as Prometheus reads them.
#[derive(Debug)]
pub struct Metrics(pub Records);

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Bid requests that took longer than tail.threshold_us, by what took most of each";
        let mut family = encoder.encode_descriptor("corebid_tail", help, None, MetricType::Counter)?;
        for core in 0..self.0.0.len() {
            for &cause in Cause::ALL {
                let labels = [("core", core.to_string()), ("cause", cause.label().to_owned())];
                let count = self.0.count(core, cause);
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, f64>(&count, None)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::flight::{Flight, Turn};
    use crate::metrics::stalls::thread::Spent;
    use prometheus_client::registry::Registry;

    fn late(second: u64, length_ms: u64, others: u64) -> Late {
        let ended = Nanos(second * Nanos::SECOND);
        let arrived = Nanos(ended.0 - length_ms * Nanos::MS);
        let spent = Some(Spent { waited_ns: length_ms * Nanos::MS, ..Spent::default() });
        let turn = Turn { woke: arrived, ended, ..Turn::default() };
        Late { flight: Flight { arrived, ..Flight::default() }, turn, spent, others, ..Late::default() }
    }

    #[test]
    fn all_are_counted_and_the_last_and_the_longest_are_kept() {
        let records = Records::of(2);
        let now = Now { boot: Nanos(1_000 * Nanos::SECOND), wall: UnixMillis(5_000_000) };
        records.note(1, late(999, 500, 3), Machine::default(), 500, now);
        records.note(1, Late { spent: None, ..late(999, 1, 0) }, Machine::default(), 500, now);
        for _ in 0..2 * LAST {
            records.note(1, late(1_000, 2, 0), Machine::default(), 500, now);
        }
        let kept = records.kept(now.boot);
        assert!(kept[0].is_empty());
        assert!(kept[1].is_sorted_by(|one, other| one.id > other.id), "each once, the last first");
        let longest = kept[1].last().unwrap();
        assert_eq!((longest.id, longest.late.length_ns() / Nanos::MS, longest.answered.0), (1, 500, 4_999_000));
        assert_eq!(kept[1][0].id, 2 + 2 * LAST as u64);
        assert!(kept[1].len() > LAST && kept[1][LAST - 1].id == 3 + LAST as u64);
        let unknown = kept[1].iter().find(|record| record.cause == Cause::Unknown);
        assert_eq!(unknown.map(|record| record.id), Some(2), "shorter than all others, and the longest of its cause");
        assert_eq!(records.count(1, Cause::RunDelay), 4 + 2 * LAST as u64);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Metrics(records)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("corebid_tail_total{core=\"1\",cause=\"run_delay\"} 516"), "{text}");
        assert!(text.contains("corebid_tail_total{core=\"0\",cause=\"swap\"} 0"), "{text}");
    }
}
