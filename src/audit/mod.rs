//! The compliance log: sampled records of the bid cores, as lines of JSON in a file of bounded size (docs/AUDIT.md).
//!
//! A thread of its own, off the bid cores, empties their rings ten times a second and writes. Nobody waits for it: when it cannot
//! write, records are lost and counted, an alarm metric stands, and bidding goes on.

mod file;
pub mod line;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;

use crate::bid::audit::Treated;
use crate::config::Audit;
use crate::metrics::core::CoreMetrics;
use crate::metrics::counter::Counter;
use crate::ring::spsc;
use file::File;

/// Between two looks into the rings.
const PERIOD: Duration = Duration::from_millis(100);
/// Bytes that are written at once, about.
const BATCH: usize = 32 * 1024;

/// What the thread counts; it is the only writer.
#[derive(Debug, Default)]
pub struct Counts {
    /// Records written.
    pub written: Counter,
    /// Records lost because the file could not be written.
    pub unwritten: Counter,
    /// 1 while the file cannot be written.
    pub failing: Counter,
}

/// The running thread.
#[derive(Debug)]
pub struct Log {
    /// What it counts.
    pub counts: Arc<Counts>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// The log cannot be kept: which file, and why.
#[derive(Debug)]
pub struct OpenError(PathBuf, io::Error);

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OpenError(path, error) = self;
        write!(f, "{}: cannot write the compliance log: {error}; set audit.file to a file that can be", path.display())
    }
}

impl std::error::Error for OpenError {}

/// What the thread writes from.
#[derive(Debug)]
pub struct Source {
    /// The records, core by core.
    pub rings: Vec<spsc::Receiver<Treated>>,
    /// The cores, which count what their rings refused.
    pub cores: Vec<&'static CoreMetrics>,
    /// The exchanges by name, in the order of the configuration.
    pub exchanges: Vec<String>,
}

/// Opens the file, so that a mistake stops the start.
///
/// # Errors
/// It cannot be written.
pub fn open(config: &Audit) -> Result<Option<Opened>, OpenError> {
    let Some(path) = &config.file else { return Ok(None) };
    match File::open(path, config.max_bytes.get(), config.keep.get()) {
        Ok(file) => Ok(Some(Opened(file))),
        Err(error) => Err(OpenError(path.clone(), error)),
    }
}

/// A file that can be written.
#[derive(Debug)]
pub struct Opened(File);

impl Opened {
    /// Starts the thread, pinned to `cpu` if it can be.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub fn start(self, source: Source, cpu: usize) -> io::Result<Log> {
        let counts = Arc::new(Counts::default());
        let (stop, stopped) = channel();
        let mut writer = Writer { file: self.0, source, counts: counts.clone(), lost: 0 };
        let thread = thread::Builder::new().name("audit".into()).spawn(move || {
            crate::topology::pin_beside(cpu, "the compliance log");
            writer.run(&stopped);
        })?;
        Ok(Log { counts, stop, thread })
    }
}

impl Log {
    /// Writes what is still in the rings, and ends. After the bid cores have.
    pub fn close(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            log::error!("the compliance log's thread panicked");
        }
    }
}

struct Writer {
    file: File,
    source: Source,
    counts: Arc<Counts>,
    /// Records that rings had refused when that was last said.
    lost: u64,
}

impl Writer {
    fn run(&mut self, stopped: &Receiver<()>) {
        let mut going = true;
        while going {
            going = stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout);
            self.turn();
        }
    }

    fn turn(&mut self) {
        let (mut lines, mut count) = (Vec::with_capacity(BATCH), 0);
        for core in 0..self.source.rings.len() {
            let most = self.source.rings[core].waiting();
            for _ in 0..most {
                let Some(treated) = self.source.rings[core].take() else { break };
                line::write(&treated, &self.source.exchanges, &mut lines);
                count += 1;
                if lines.len() >= BATCH {
                    self.write(&lines, std::mem::take(&mut count));
                    lines.clear();
                }
            }
        }
        self.write(&lines, count);
        let lost = self.source.cores.iter().map(|core| core.audit_lost.get()).sum::<u64>();
        if lost / 1000 > self.lost / 1000 || (lost > 0 && self.lost == 0) {
            log::warn!("compliance log: {lost} records lost, since more were made than written; raise audit.sample");
        }
        self.lost = lost;
    }

    fn write(&mut self, lines: &[u8], count: u64) {
        if count == 0 {
            return;
        }
        let was_failing = self.counts.failing.get() == 1;
        match self.file.append(lines) {
            Ok(()) => {
                self.counts.written.add(count);
                self.counts.failing.set(0);
                if was_failing {
                    let lost = self.counts.unwritten.get();
                    log::info!("{}: the compliance log is written again; {lost} records lost", self.file.path());
                }
            }
            Err(error) => {
                self.counts.unwritten.add(count);
                self.counts.failing.set(1);
                if !was_failing {
                    log::error!("{}: cannot write the compliance log: {error}; its records are lost", self.file.path());
                }
            }
        }
    }
}

/// The counts for the metrics.
#[derive(Debug)]
pub struct Metrics(pub Arc<Counts>);

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Counts { written, unwritten, failing } = &*self.0;
        let counters = [
            ("corebid_audit_written", "Records of the compliance log written", written),
            (
                "corebid_audit_unwritten",
                "Records of the compliance log lost because its file could not be written",
                unwritten,
            ),
        ];
        for (name, help, counter) in counters {
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            prometheus_client::metrics::counter::ConstCounter::new(counter.get()).encode(encoder)?;
        }
        let help = "1 while the compliance log cannot be written";
        let mut encoder = encoder.encode_descriptor("corebid_audit_failing", help, None, MetricType::Gauge)?;
        encoder.encode_gauge(&failing.get())
    }
}
