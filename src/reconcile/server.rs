//! The thread of the reconciliation core: pinned, glommio, about a millisecond between turns. It moves events into the
//! [`Reconciler`], its records to disk and its orders to the cores; it decides nothing.
//!
//! Two kinds of task share it. The turns drain the rings, tick, and send. A commit writes one batch and syncs it; there is
//! one at a time, so that the records of all notices that arrive meanwhile share the next. Neither holds the reconciler
//! across an await.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use glommio::io::{BufferedFile, DmaFile, OpenOptions};
use glommio::timer::sleep;
use glommio::{GlommioError, LocalExecutor, LocalExecutorBuilder, Placement};
use tokio::sync::oneshot;

use super::gauges::Gauges;
use super::guards::operator::{Ask, Said};
use super::quota::Limit;
use super::{Batch, Funding, Reconciler, Settings};
use crate::clock;
use crate::limits;
use crate::ring::message::Event;
use crate::ring::spsc::{BoxReceiver, BoxSender, EventReceiver, OrderSender, Refused};
use crate::snapshot::Snapshot;
use crate::store::commit::{self, Header};
use crate::store::embedded::{self, Embedded, OpenError, Position};
use crate::units::{CoreId, Incarnation, Nanos, Now, UnixMillis};

/// Between turns while there are events, and after [`CALM_TURNS`] turns without.
const TURN: Duration = Duration::from_millis(1);
const CALM_TURN: Duration = Duration::from_millis(4);
const CALM_TURNS: u32 = 200;
/// Between the starts of two commits at least: a commit takes a block of the disk, however small it is.
const COMMIT_GAP_NS: u64 = 2 * Nanos::MS;
/// After a failed commit.
const RETRY: Duration = Duration::from_millis(200);
/// Events of one core per turn, so that no core waits for another's flood.
const EVENTS_PER_TURN: usize = 8192;
/// Default of [`Options::file_bytes`]: a start reads such a file in a fraction of a second.
pub const FILE_BYTES: u64 = 64 << 20;
/// Registered memory for direct I/O; larger commits take theirs from the heap. Fits a memlock limit of 8 MiB.
const IO_MEMORY: usize = 1 << 20;
/// How long the end may take, from [`Command::Stop`] on.
const STOP_NS: u64 = 4 * Nanos::SECOND;

/// What the thread is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory.
    pub dir: PathBuf,
    /// The CPU to be pinned to. If this process may not use it, the thread runs unpinned and says so.
    pub cpu: Option<usize>,
    /// A ledger file grows by this much ([`FILE_BYTES`]), or three times its opening balance, before the next is started.
    pub file_bytes: u64,
    /// Slots that [`Gauges::spend`] covers.
    pub slots: usize,
    /// Whether wins and spend are counted by supply path.
    pub paths: bool,
    /// What the reconciler is told.
    pub settings: Settings,
}

/// The reconciliation core's ends of one bid core's rings.
#[derive(Debug)]
pub struct CoreEnds {
    /// What the core says.
    pub events: EventReceiver,
    /// What it is told.
    pub orders: OrderSender,
    /// New snapshots.
    pub snapshots: BoxSender<Snapshot>,
    /// Replaced snapshots, to be freed here.
    pub retired: BoxReceiver<Snapshot>,
}

/// From housekeeping.
#[derive(Debug)]
pub enum Command {
    /// The campaigns that may spend. Sent before the snapshots that hold them.
    Campaigns(Vec<Funding>),
    /// The limits of the exchanges. Sent once, before the campaigns.
    Limits(Vec<Limit>),
    /// One snapshot for each core, in order.
    Snapshots(Vec<Box<Snapshot>>),
    /// From an operator; answered when it is on disk.
    Operator(Ask, oneshot::Sender<Said>),
    /// Drain all cores, sync the ledger, end.
    Stop,
}

/// The running thread.
#[derive(Debug)]
pub struct Handle {
    /// This process's number, on disk.
    pub incarnation: Incarnation,
    /// Reservation ids of this process start here ([`crate::bid::ids::Snowflake::new`]): no earlier process of this
    /// directory made a bid after it, whatever clock it ran on.
    pub ids_from: UnixMillis,
    /// What is counted.
    pub gauges: Arc<Gauges>,
    thread: JoinHandle<Ended>,
}

/// How the thread ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All cores drained, all records on disk.
    Clean,
    /// The time for it was up first. Nothing acknowledged is lost; what was not is charged until its leases end.
    Cut,
}

/// Why the thread did not start.
#[derive(Debug)]
pub enum StartError {
    /// The data directory cannot be used.
    Open(OpenError),
    /// The first record could not be written.
    Write(PathBuf, io::Error),
    /// No thread, or no io_uring for it.
    Executor(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Write(dir, error) => {
                write!(f, "{}: the ledger cannot be written: {error}; free or replace the disk", dir.display())
            }
            Self::Executor(why) => {
                write!(f, "the reconciliation core cannot start: {why}; it needs io_uring and 2 MiB of locked memory")
            }
        }
    }
}

impl std::error::Error for StartError {}

impl Handle {
    /// Waits for the end.
    ///
    /// # Errors
    /// The thread panicked: an account did not add up.
    pub fn join(self) -> thread::Result<Ended> {
        self.thread.join()
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Replays the ledger, makes the new incarnation durable, and runs the reconciliation core on a thread of its own. It
/// ends with [`Command::Stop`], or when the sender of the commands is gone.
///
/// # Errors
/// [`StartError`], each saying what to do; no thread is left then.
pub fn spawn(options: Options, cores: Vec<CoreEnds>, commands: Receiver<Command>) -> Result<Handle, StartError> {
    assert_eq!(cores.len(), usize::from(options.settings.cores), "as many ends as cores");
    let mut store = Embedded::open(&options.dir).map_err(StartError::Open)?;
    if store.position.file == 0 {
        store.start_file().map_err(StartError::Open)?;
    }
    let gauges = Gauges::new(options.slots);
    let gauges = Arc::new(if options.paths { gauges.with_paths() } else { gauges });
    let (ready, started) = mpsc::sync_channel(1);
    let shared_gauges = gauges.clone();
    let thread = thread::Builder::new().name("reconcile".into()).spawn(move || {
        let executor = match executor(options.cpu) {
            Ok(executor) => executor,
            Err(error) => {
                let _ = ready.send(Err(StartError::Executor(error.to_string())));
                return Ended::Cut;
            }
        };
        executor.run(async move {
            let Embedded { books, position, lock, .. } = store;
            let mut reconciler = Reconciler::new(options.settings, books, shared_gauges.clone(), clock::now());
            let first = reconciler.records().expect("a start is a record");
            let Options { dir, file_bytes, .. } = options;
            let mut writer = Writer { dir, file_bytes, position, _lock: lock, sink: None };
            if let Err(error) = writer.commit(&first).await {
                let _ = ready.send(Err(StartError::Write(writer.dir, error)));
                return Ended::Cut;
            }
            reconciler.durable(first.upto);
            let _ = ready.send(Ok((reconciler.incarnation(), reconciler.ids_from())));
            let core = Core {
                reconciler,
                snapshots: cores.iter().map(|_| VecDeque::new()).collect(),
                cores,
                commands,
                gauges: shared_gauges,
                next_tick: Nanos::NEVER,
                stop_by: None,
            };
            run(Rc::new(RefCell::new(core)), writer).await
        })
    });
    let thread = thread.map_err(|error| StartError::Executor(error.to_string()))?;
    match started.recv() {
        Ok(Ok((incarnation, ids_from))) => Ok(Handle { incarnation, ids_from, gauges, thread }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(StartError::Executor("its thread panicked".into())),
    }
}

fn executor(cpu: Option<usize>) -> Result<LocalExecutor, GlommioError<()>> {
    let make =
        |placement| LocalExecutorBuilder::new(placement).name("reconcile").io_memory(IO_MEMORY).ring_depth(64).make();
    match cpu.map(|cpu| (cpu, make(Placement::Fixed(cpu)))) {
        Some((_, Ok(executor))) => return Ok(executor),
        Some((cpu, Err(error))) => log::warn!("reconciliation core: not pinned to CPU {cpu}: {error}"),
        None => {}
    }
    make(Placement::Unbound)
}

/// What turns and commits share.
struct Core {
    reconciler: Reconciler,
    cores: Vec<CoreEnds>,
    /// Snapshots that found a ring full.
    snapshots: Vec<VecDeque<Box<Snapshot>>>,
    commands: Receiver<Command>,
    gauges: Arc<Gauges>,
    /// Never until the campaigns are known: the first renewal tells the cores that they can bid, so their first grants go
    /// before it.
    next_tick: Nanos,
    stop_by: Option<Nanos>,
}

async fn run(core: Rc<RefCell<Core>>, writer: Writer) -> Ended {
    let writer = Rc::new(RefCell::new(Some(writer)));
    let (mut calm, mut last_commit) = (0, Nanos(0));
    loop {
        let now = clock::now();
        let moved = core.borrow_mut().turn(now);
        calm = if moved { 0 } else { calm + 1 };
        if now.boot.since(last_commit) >= COMMIT_GAP_NS
            && let Some(idle) = take(&writer)
        {
            match Job::next(&mut core.borrow_mut(), &idle) {
                Some(job) => {
                    last_commit = now.boot;
                    glommio::spawn_local(job.run(core.clone(), idle, writer.clone())).detach();
                }
                None => *writer.borrow_mut() = Some(idle),
            }
        }
        if let Some(ended) = core.borrow_mut().ended(now) {
            return ended;
        }
        sleep(if calm > CALM_TURNS { CALM_TURN } else { TURN }).await;
    }
}

fn take(writer: &Rc<RefCell<Option<Writer>>>) -> Option<Writer> {
    writer.borrow_mut().take()
}

impl Core {
    /// Returns whether there was anything to do.
    fn turn(&mut self, now: Now) -> bool {
        self.command(now);
        let mut moved = 0;
        for (core, ends) in self.cores.iter_mut().enumerate() {
            let core = CoreId(core as u8);
            moved += ends.events.drain(EVENTS_PER_TURN, |event| self.reconciler.on_event(now, core, event));
            if self.stop_by.is_some() && ends.events.is_abandoned() && ends.events.waiting() == 0 {
                self.reconciler.on_event(now, core, Event::Drained);
            }
            while ends.retired.take().is_some() {}
        }
        if now.boot >= self.next_tick {
            self.next_tick = now.boot.after(limits::TICK_NS);
            self.reconciler.tick(now);
            self.gauges.cpu_ns.set(clock::thread_cpu());
        } else {
            self.reconciler.poll(now);
        }
        self.gauges.oldest_unsynced_ns.set(self.reconciler.unsynced(now.boot));
        if self.reconciler.disk_stalled(now.boot) {
            self.reconciler.disk_failed();
        }
        self.send();
        moved > 0
    }

    fn command(&mut self, now: Now) {
        let stop = loop {
            match self.commands.try_recv() {
                Ok(Command::Campaigns(list)) => {
                    self.reconciler.campaigns(now, &list);
                    if self.next_tick == Nanos::NEVER {
                        self.next_tick = now.boot;
                    }
                }
                Ok(Command::Limits(limits)) => self.reconciler.limit(&limits),
                Ok(Command::Snapshots(snapshots)) => {
                    assert_eq!(snapshots.len(), self.cores.len(), "a snapshot for each core");
                    self.gauges.snapshots.add(1);
                    for (queue, snapshot) in self.snapshots.iter_mut().zip(snapshots) {
                        // A newer one replaces one that was not yet taken.
                        queue.clear();
                        queue.push_back(snapshot);
                    }
                }
                Ok(Command::Operator(ask, reply)) => {
                    let said = match ask {
                        Ask::Stopped => Said::List(Vec::new()),
                        Ask::Retire(node) if node == self.reconciler.node() => Said::Itself,
                        _ => Said::Unknown,
                    };
                    // Whoever asked may have gone.
                    let _ = reply.send(said);
                }
                Ok(Command::Stop) | Err(mpsc::TryRecvError::Disconnected) => break true,
                Err(mpsc::TryRecvError::Empty) => break false,
            }
        };
        if stop && self.stop_by.is_none() {
            self.stop_by = Some(now.boot.after(STOP_NS));
            self.reconciler.drain();
        }
    }

    /// Sends what may leave, as far as the rings have room.
    fn send(&mut self) {
        let (mut refused, mut waiting) = (0, 0);
        for (core, ends) in self.cores.iter_mut().enumerate() {
            let orders = self.reconciler.orders(CoreId(core as u8));
            while let Some(order) = orders.pop_front() {
                if let Err(Refused(order)) = ends.orders.offer(order) {
                    orders.push_front(order);
                    break;
                }
            }
            waiting += orders.len() as u64;
            ends.orders.flush();
            refused += ends.orders.refused();
            let queue = &mut self.snapshots[core];
            while let Some(snapshot) = queue.pop_front() {
                if let Err(Refused(snapshot)) = ends.snapshots.offer(snapshot) {
                    queue.push_front(snapshot);
                    break;
                }
                ends.orders.wake();
            }
        }
        self.gauges.orders_refused.set(refused);
        self.gauges.orders_waiting.set(waiting);
    }

    /// A write failed, not the first of `before`: what waits for it is refused. Returns how many failed.
    fn failed(&mut self, before: u32, writer: &Writer, error: &io::Error) -> u32 {
        if before == 0 {
            log::error!("{}: the ledger cannot be written: {error}; no grants until it can", writer.dir.display());
        }
        self.gauges.commit_failures.add(1);
        self.reconciler.disk_failed();
        self.send();
        before.saturating_add(1)
    }

    fn written(&mut self, upto: u64, failures: u32, writer: &Writer) {
        if failures > 0 {
            log::info!("{}: the ledger is written again", writer.dir.display());
        }
        self.gauges.commits.add(1);
        self.gauges.ledger_bytes.set(writer.position.offset);
        self.reconciler.durable(upto);
        self.send();
    }

    fn ended(&self, now: Now) -> Option<Ended> {
        let stop_by = self.stop_by?;
        if self.reconciler.is_drained() {
            Some(Ended::Clean)
        } else if now.boot >= stop_by {
            log::error!("reconciliation core: stopped before all cores had drained and the ledger was synced");
            Some(Ended::Cut)
        } else {
            None
        }
    }
}

/// One commit, and a new file after it when the current one is long.
struct Job {
    batch: Batch,
    opening: Option<Vec<u8>>,
}

impl Job {
    fn next(core: &mut Core, writer: &Writer) -> Option<Self> {
        let batch = core.reconciler.records()?;
        let Position { file, offset, next, opening } = writer.position;
        // The books are as they are after this batch: all of it goes to the old file, all that follows to the new one.
        let opening = (offset - opening > writer.file_bytes.max(3 * opening))
            .then(|| embedded::opening(file + 1, next + u64::from(batch.count), core.reconciler.books()));
        Some(Self { batch, opening })
    }

    async fn run(self, core: Rc<RefCell<Core>>, mut writer: Writer, home: Rc<RefCell<Option<Writer>>>) {
        let mut failures = 0;
        while let Err(error) = writer.commit(&self.batch).await {
            failures = core.borrow_mut().failed(failures, &writer, &error);
            sleep(RETRY).await;
        }
        core.borrow_mut().written(self.batch.upto, failures, &writer);
        if let Some(opening) = self.opening {
            failures = 0;
            // The old file must not go on: the new one may be on disk, whatever the error says, and is read first.
            while let Err(error) = writer.start_file(&opening).await {
                failures = core.borrow_mut().failed(failures, &writer, &error);
                sleep(RETRY).await;
            }
            core.borrow_mut().written(self.batch.upto, failures, &writer);
        }
        home.replace(Some(writer));
    }
}

/// Writes commits, one after the other.
struct Writer {
    dir: PathBuf,
    file_bytes: u64,
    position: Position,
    _lock: File,
    /// Opened with the first commit, and again after a failure.
    sink: Option<Sink>,
}

/// A ledger file open for writing.
enum Sink {
    /// O_DIRECT. On tmpfs glommio leaves the flag out by itself.
    Direct(DmaFile),
    /// For file systems that refuse O_DIRECT: through the page cache, synced all the same.
    Buffered(BufferedFile),
}

impl Writer {
    /// Writes a batch and syncs it. On failure nothing has moved: the next try writes the same blocks, none of which
    /// was acknowledged.
    async fn commit(&mut self, batch: &Batch) -> io::Result<()> {
        let Position { file, offset, next, .. } = self.position;
        let header = Header { file, first: next, count: batch.count, opening: false };
        let length = commit::padded(batch.bytes.len());
        let sink = match self.sink.take() {
            Some(sink) => sink,
            None => Sink::open(&embedded::path(&self.dir, file)).await?,
        };
        sink.write(offset, length, |out| commit::write(header, &batch.bytes, out)).await?;
        self.sink = Some(sink);
        self.position.offset += length as u64;
        self.position.next += u64::from(batch.count);
        Ok(())
    }

    /// Starts the next file with its opening balance.
    async fn start_file(&mut self, opening: &[u8]) -> io::Result<()> {
        let file = self.position.file + 1;
        let path = embedded::path(&self.dir, file);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let sink = Sink::open(&path).await?;
        sink.write(0, opening.len(), |out| out.copy_from_slice(opening)).await?;
        embedded::sync_dir(&path)?;
        let length = opening.len() as u64;
        self.sink = Some(sink);
        self.position = Position { file, offset: length, opening: length, next: self.position.next };
        Ok(())
    }
}

impl Sink {
    async fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true);
        match options.dma_open(path).await.map_err(io::Error::from) {
            Ok(file) => Ok(Self::Direct(file)),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                log::warn!("{}: no direct I/O on this file system; writing through the page cache", path.display());
                Ok(Self::Buffered(options.buffered_open(path).await?))
            }
            Err(error) => Err(error),
        }
    }

    /// Writes `length` bytes, made by `fill`, at `offset`, and syncs them.
    async fn write(&self, offset: u64, length: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<()> {
        let written = match self {
            Self::Direct(file) => {
                let mut buffer = file.alloc_dma_buffer(length);
                fill(&mut buffer.as_bytes_mut()[..length]);
                file.write_at(buffer, offset).await?
            }
            Self::Buffered(file) => {
                let mut buffer = vec![0; length];
                fill(&mut buffer);
                file.write_at(buffer, offset).await?
            }
        };
        if written != length {
            return Err(io::Error::new(io::ErrorKind::WriteZero, format!("{written} of {length} bytes written")));
        }
        match self {
            Self::Direct(file) => file.fdatasync().await?,
            Self::Buffered(file) => file.fdatasync().await?,
        }
        Ok(())
    }
}
