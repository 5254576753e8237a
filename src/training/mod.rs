//! The training log: rows of bids and what became of them, as Parquet files of bounded size and number (docs/TRAINING.md).
//!
//! A thread of its own, off the bid cores, empties their rings and that of the reconciliation core ten times a second. Rows are put
//! together in memory, go to the disk some thousands at a time, and are seen when their file is complete: it is written under
//! another name, synced and renamed. Nobody waits for it: when it cannot write, rows are lost and counted, and bidding goes on.

mod columns;
mod file;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use crate::bid::train::Row;
use crate::clock;
use crate::config::Training;
use crate::limits;
use crate::metrics::counter::Counter;
use crate::ring::message::Outcome;
use crate::ring::spsc;
use crate::snapshot::features::Schema;
use crate::units::Now;
use columns::Layout;
use file::Files;

/// Between two looks into the rings.
const PERIOD: Duration = Duration::from_millis(100);
/// Rows that go to the disk together, about: 2 MB.
const BATCH: usize = 4096;
/// What the thread may hold, bytes: rows that wait, the pages of one group of them, what the ends of two files will say of
/// theirs, and outcomes on their way.
pub const MEMORY: usize = 2 * BATCH * size_of::<Row>() + limits::OUTCOMES * size_of::<Outcome>() + (24 << 20);

/// What the thread counts; it is the only writer.
#[derive(Debug, Default)]
pub struct Counts {
    /// Rows in complete files.
    pub rows: Counter,
    /// Outcomes in complete files.
    pub outcomes: Counter,
    /// Rows and outcomes lost because their file could not be written.
    pub unwritten: Counter,
    /// Files completed.
    pub files: Counter,
    /// 1 while files cannot be written.
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

/// The log cannot be kept, and why.
#[derive(Debug)]
pub struct OpenError(String);

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OpenError {}

/// What the thread writes from.
#[derive(Debug)]
pub struct Source {
    /// Rows, core by core.
    pub rows: Vec<spsc::Receiver<Row>>,
    /// What the reconciliation core hears of them.
    pub outcomes: spsc::Receiver<Outcome>,
    /// The exchanges by name, in the order of the configuration.
    pub exchanges: Vec<String>,
}

/// Reads the schema and makes sure that the folder can be written, so that a mistake stops the start.
///
/// # Errors
/// A mistake of the schema; or the folder cannot be written.
pub fn open(config: &Training) -> Result<Option<Opened>, OpenError> {
    let Some(dir) = &config.dir else { return Ok(None) };
    let schema = match &config.features {
        Some(path) => Schema::load(path).map_err(|error| OpenError(error.to_string()))?,
        None => Schema::builtin(),
    };
    prepare(dir)?;
    Ok(Some(Opened { dir: dir.clone(), config: config.clone(), schema }))
}

/// Makes the folder, removes what an earlier process left half written, and makes sure that it can be written.
///
/// # Errors
/// It cannot be.
pub fn prepare(dir: &Path) -> Result<(), OpenError> {
    file::prepare(dir).map_err(|error| {
        let dir = dir.display();
        OpenError(format!("{dir}: cannot write the training log: {error}; set training.dir to a folder that can be"))
    })
}

/// A folder that can be written.
#[derive(Debug)]
pub struct Opened {
    dir: PathBuf,
    config: Training,
    schema: Schema,
}

impl Opened {
    /// What rows are made of.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Starts the thread, pinned to `cpu` if it can be.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub fn start(self, source: Source, cpu: usize) -> io::Result<Log> {
        let counts = Arc::new(Counts::default());
        let (stop, stopped) = channel();
        let mut writer = Writer::new(self, source, counts.clone());
        let thread = thread::Builder::new().name("training".into()).spawn(move || {
            crate::topology::pin_beside(cpu, "the training log");
            writer.run(&stopped);
        })?;
        Ok(Log { counts, stop, thread })
    }
}

impl Log {
    /// Writes what is still in the rings, completes the files, and ends. After the bid cores have, and the reconciliation core.
    pub fn close(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            log::error!("the training log's thread panicked");
        }
    }
}

struct Writer {
    source: Source,
    rows: Files<Row>,
    outcomes: Files<Outcome>,
    counts: Arc<Counts>,
}

impl Writer {
    fn new(Opened { dir, config, schema }: Opened, source: Source, counts: Arc<Counts>) -> Writer {
        let rows = Layout::rows(&schema, source.exchanges.clone());
        Writer {
            rows: Files::new("rows", &dir, &config, rows),
            outcomes: Files::new("outcomes", &dir, &config, Layout::outcomes()),
            source,
            counts,
        }
    }

    fn run(&mut self, stopped: &Receiver<()>) {
        let mut going = true;
        while going {
            going = stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout);
            self.turn(clock::now());
        }
        self.end();
    }

    fn turn(&mut self, now: Now) {
        let Writer { source, rows, outcomes, counts } = self;
        for ring in &mut source.rows {
            take(ring, rows, now, counts);
        }
        take(&mut source.outcomes, outcomes, now, counts);
        if rows.is_due(now) {
            settle(rows.complete(), &counts.rows, counts);
        }
        if outcomes.is_due(now) {
            settle(outcomes.complete(), &counts.outcomes, counts);
        }
    }

    fn end(&mut self) {
        let Writer { rows, outcomes, counts, .. } = self;
        settle(rows.complete(), &counts.rows, counts);
        settle(outcomes.complete(), &counts.outcomes, counts);
    }
}

/// Empties a ring of what was in it.
fn take<T: Copy>(ring: &mut spsc::Receiver<T>, files: &mut Files<T>, now: Now, counts: &Counts) {
    for _ in 0..ring.waiting() {
        let Some(item) = ring.take() else { break };
        files.push(now, item);
        if files.pending() >= BATCH
            && let Err(lost) = files.flush()
        {
            fail(lost, counts);
        }
    }
}

/// Rows that could not be written, and why.
#[derive(Debug)]
struct Lost {
    path: PathBuf,
    rows: u64,
    why: String,
}

/// Counts what a file became.
fn settle(completed: Result<u64, Lost>, written: &Counter, counts: &Counts) {
    match completed {
        Ok(0) => {}
        Ok(rows) => {
            written.add(rows);
            counts.files.add(1);
            if counts.failing.get() == 1 {
                counts.failing.set(0);
                log::info!("the training log is written again; {} rows and outcomes lost", counts.unwritten.get());
            }
        }
        Err(lost) => fail(lost, counts),
    }
}

fn fail(Lost { path, rows, why }: Lost, counts: &Counts) {
    counts.unwritten.add(rows);
    if counts.failing.get() == 0 {
        counts.failing.set(1);
        log::error!("{}: cannot write the training log: {why}; its rows are lost", path.display());
    }
}

/// The counts for the metrics.
#[derive(Debug)]
pub struct Metrics(pub Arc<Counts>);

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Counts { rows, outcomes, unwritten, files, failing } = &*self.0;
        let counters = [
            ("corebid_training_rows", "Rows of the training log in complete files", rows),
            ("corebid_training_outcomes", "Outcomes of the training log in complete files", outcomes),
            (
                "corebid_training_unwritten",
                "Rows and outcomes of the training log lost because a file could not be written",
                unwritten,
            ),
            ("corebid_training_files", "Files of the training log completed", files),
        ];
        for (name, help, counter) in counters {
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(counter.get()).encode(encoder)?;
        }
        let help = "1 while the training log cannot be written";
        let mut encoder = encoder.encode_descriptor("corebid_training_failing", help, None, MetricType::Gauge)?;
        encoder.encode_gauge(&failing.get())
    }
}

#[cfg(test)]
mod tests;
