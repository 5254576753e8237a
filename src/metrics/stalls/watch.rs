//! The thread `stalls`, off the bid cores: takes what the cores tell of long rounds and late requests, gives it causes, counts, and
//! keeps the longest.

use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::Long;
use super::cause::{Cause, Machine, Shares};
use super::cpus::{History, Reading, Stat};
use super::longest::{Longest, Row};
use super::quota::Quota;
use crate::clock;
use crate::metrics::counter::Counter;
use crate::metrics::flight::Late;
use crate::metrics::flight::cause::fault_ns;
use crate::metrics::flight::records::Records;
use crate::ring::spsc;
use crate::units::{Nanos, Now, UnixMillis};

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(100);

/// What is known of the stalls of one core; the thread is its only writer.
#[derive(Debug, Default)]
struct Core {
    /// By main cause.
    stalls: [Counter; Cause::COUNT],
    /// By cause, ns.
    ns: [Counter; Cause::COUNT],
    longest: Mutex<Longest<Row>>,
}

/// The stalls of all cores, as others read them.
#[derive(Clone, Debug, Default)]
pub struct Stalls(Arc<Vec<Core>>);

impl Stalls {
    fn of(cores: usize) -> Stalls {
        Stalls(Arc::new((0..cores).map(|_| Core::default()).collect()))
    }

    /// The longest rounds of each core, the longest first.
    pub fn longest(&self, now: Nanos) -> Vec<Vec<Row>> {
        let rows = |core: &Core| core.longest.lock().unwrap_or_else(PoisonError::into_inner).rows(now);
        self.0.iter().map(rows).collect()
    }

    fn note(&self, core: usize, long: Long, machine: Machine, now: Now) {
        let core = &self.0[core];
        let shares = Shares::of(&long, machine);
        if long.round.kept_ns > 0 {
            core.stalls[shares.main(true) as usize].add(1);
            for &cause in Cause::ALL {
                core.ns[cause as usize].add(if cause == Cause::Work { 0 } else { shares.0[cause as usize] });
            }
        }
        let ago_ms = now.boot.since(long.round.from) / Nanos::MS;
        let began = UnixMillis(now.wall.0.saturating_sub(ago_ms));
        core.longest.lock().unwrap_or_else(PoisonError::into_inner).push(Row { began, long, shares });
    }
}

/// Where one core tells.
#[derive(Debug)]
pub struct Told {
    /// Its long rounds.
    pub rounds: spsc::Receiver<Long>,
    /// Its late requests.
    pub late: spsc::Receiver<Late>,
}

/// The running thread.
#[derive(Debug)]
pub struct Watch {
    /// What it knows of long rounds.
    pub stalls: Stalls,
    /// What it knows of late requests.
    pub records: Records,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Watch {
    /// Takes what the cores tell through these rings, in their order; pinned to `cpu` if it can be.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub fn start(rings: Vec<Told>, cpu: usize) -> io::Result<Watch> {
        let (stalls, records) = (Stalls::of(rings.len()), Records::of(rings.len()));
        let (stop, stopped) = channel();
        let mut watcher = Watcher::new(rings, stalls.clone(), records.clone());
        let thread = thread::Builder::new().name("stalls".into()).spawn(move || {
            crate::topology::pin_beside(cpu, "the thread that watches for stalls");
            watcher.stat = Stat::open()
                .inspect_err(|error| log::warn!("/proc/stat: {error}; stolen time and interrupts will not be known"))
                .ok();
            watcher.quota = Quota::open();
            watcher.fault_ns = fault_ns();
            watcher.run(&stopped);
        })?;
        Ok(Watch { stalls, records, stop, thread })
    }

    /// Ends it.
    pub fn close(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            log::error!("the thread that watches for stalls panicked");
        }
    }
}

struct Watcher {
    rings: Vec<Told>,
    stalls: Stalls,
    records: Records,
    stat: Option<Stat>,
    quota: Quota,
    history: History,
    /// What a page fault takes that needs no disk, ns.
    fault_ns: u64,
}

impl Watcher {
    fn new(rings: Vec<Told>, stalls: Stalls, records: Records) -> Watcher {
        let (quota, history) = (Quota::default(), History::default());
        Watcher { rings, stalls, records, stat: None, quota, history, fault_ns: 0 }
    }

    fn run(&mut self, stopped: &Receiver<()>) {
        while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
            self.turn(clock::now());
        }
    }

    fn turn(&mut self, now: Now) {
        let reading = self.stat.as_mut().and_then(|stat| stat.read(now.boot).ok());
        let reading = reading.unwrap_or(Reading { at: now.boot, ..Reading::default() });
        self.history.push(Reading { throttled_ns: self.quota.throttled_ns(), ..reading });
        for (core, told) in self.rings.iter_mut().enumerate() {
            while let Some(long) = told.rounds.take() {
                let machine = self.history.taken(long.cpu, long.round.from, long.round.ended);
                self.stalls.note(core, long, machine, now);
            }
            while let Some(late) = told.late.take() {
                let machine = self.history.taken(late.turn.cpu, late.flight.arrived, late.turn.ended);
                self.records.note(core, late, machine, self.fault_ns, now);
            }
        }
    }
}

/// The counters, as Prometheus reads them.
#[derive(Debug)]
pub struct Metrics(pub Stalls);

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let causes = || Cause::ALL.iter().filter(|&&cause| cause != Cause::Work);
        let labels = |core: usize, cause: Cause| [("core", core.to_string()), ("cause", cause.label().to_owned())];
        let help = "Times a bid core was kept from its loop, by what took most of it";
        let mut family = encoder.encode_descriptor("corebid_stalls", help, None, MetricType::Counter)?;
        for (index, core) in self.0.0.iter().enumerate() {
            for &cause in causes() {
                let count = core.stalls[cause as usize].get();
                family.encode_family(&labels(index, cause))?.encode_counter::<NoLabelSet, u64, f64>(&count, None)?;
            }
        }
        let help = "Time bid cores were kept from their loops, by what took it";
        let mut family = encoder.encode_descriptor("corebid_stall_seconds", help, None, MetricType::Counter)?;
        for (index, core) in self.0.0.iter().enumerate() {
            for &cause in causes() {
                let seconds = core.ns[cause as usize].get() as f64 / 1e9;
                family.encode_family(&labels(index, cause))?.encode_counter::<NoLabelSet, f64, f64>(&seconds, None)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::stalls::Round;
    use crate::metrics::stalls::thread::Spent;
    use prometheus_client::registry::Registry;

    #[test]
    fn what_a_core_tells_is_counted_by_cause_and_load_is_not_a_stall() {
        let (mut told, heard) = spsc::ring(4);
        let stalls = Stalls::of(2);
        let (_, silent) = spsc::ring(4);
        let (mut late, heard_late) = spsc::ring(4);
        let rings = [silent, heard].map(|rounds| Told { rounds, late: spsc::ring(1).1 });
        let records = Records::of(2);
        let mut watcher = Watcher::new(rings.into(), stalls.clone(), records.clone());
        watcher.rings[1].late = heard_late;
        late.offer(Late::default()).unwrap();
        let from = Nanos(100 * Nanos::SECOND);
        let round = |length_ns: u64, kept_ns: u64| Round {
            from,
            woke: from,
            ended: from.after(length_ns),
            kept_ns,
            requests: 9,
            usual_ns: 0,
        };
        let waited = Some(Spent { waited_ns: 40 * Nanos::MS, ran_ns: 2 * Nanos::MS, ..Spent::default() });
        for round in [round(50 * Nanos::MS, 48 * Nanos::MS), round(4 * Nanos::MS, 0)] {
            told.offer(Long { round, cpu: 0, window_ns: 51 * Nanos::MS, spent: waited }).unwrap();
        }
        let now = Now { boot: from.after(Nanos::SECOND), wall: UnixMillis(1_000_000) };
        watcher.turn(now);
        assert_eq!(records.kept(now.boot).iter().map(Vec::len).collect::<Vec<_>>(), [0, 1]);
        let longest = stalls.longest(now.boot);
        assert!(longest[0].is_empty());
        assert_eq!(
            longest[1].iter().map(|row| row.shares.main(row.long.round.kept_ns > 0)).collect::<Vec<_>>(),
            [Cause::RunDelay, Cause::Work]
        );
        assert_eq!(longest[1][0].began, UnixMillis(999_000));
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Metrics(stalls)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "corebid_stalls_total{core=\"1\",cause=\"run_delay\"} 1",
            "corebid_stalls_total{core=\"0\",cause=\"run_delay\"} 0",
            "corebid_stall_seconds_total{core=\"1\",cause=\"run_delay\"} 0.04",
            "corebid_stall_seconds_total{core=\"1\",cause=\"off_cpu\"} 0.008",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("cause=\"work\""));
    }
}
