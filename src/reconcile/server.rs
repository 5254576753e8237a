//! The thread of the reconciliation core: pinned, glommio, about a millisecond between turns. It moves events into the
//! [`Keeper`], its records to disk and its orders to the cores; it decides nothing.
//!
//! Two kinds of task share it. The turns drain the rings, tick, and send. A commit writes one batch and syncs it; there is
//! one at a time, so that the records of all notices that arrive meanwhile share the next. Neither holds the machines
//! across an await.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use glommio::timer::sleep;
use glommio::{GlommioError, LocalExecutor, LocalExecutorBuilder, Placement};
use tokio::sync::oneshot;

use super::fleet::{RegisterError, Wire};
use super::gauges::Gauges;
use super::guards::operator::{Ask, Said};
use super::keeper::Keeper;
use super::quota::Limit;
use super::shading::Lessons;
use super::solo::Start;
use super::{Funding, Settings, Spends};
use crate::authority::message::{NotRegistered, Registered};
use crate::clock;
use crate::ids;
use crate::limits;
use crate::profile::count::{Counted, Delta};
use crate::ring::message::{Event, Outcome};
use crate::ring::spsc::{BoxReceiver, BoxSender, EventReceiver, OrderSender, Refused, Sender};
use crate::snapshot::Snapshot;
use crate::store::anchor::Anchors;
use crate::store::disk::Directory;
use crate::store::embedded::{Embedded, OpenError};
use crate::store::writer::{Job, Writer};
use crate::units::{CoreId, ExchangeKey, Nanos, NodeId, Now, UnixMillis};
use crate::usdt;

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
/// Default of [`Options::segment_bytes`]: a start reads such a segment in a fraction of a second.
pub const SEGMENT_BYTES: u64 = 64 << 20;
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
    /// A segment of the ledger grows by this much ([`SEGMENT_BYTES`]), or three times its opening balance, or until its UTC
    /// day ends, before the next is started.
    pub segment_bytes: u64,
    /// The heads of the ledger's chain are appended here ([`crate::store::anchor`]).
    pub head_file: Option<PathBuf>,
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
    /// What their impressions count for. Sent before them.
    Counted(Vec<Counted>),
    /// How they spend. Sent before them.
    Spends(Vec<Spends>),
    /// The exchanges, with their H2 in ms. Sent once, before the campaigns.
    Exchanges(Vec<(ExchangeKey, u64)>),
    /// The limits of the exchanges. Sent once, before the campaigns.
    Limits(Vec<Limit>),
    /// How the prices of the exchanges are learnt, by their ids. Sent once, before the campaigns.
    Lessons(Vec<Lessons>),
    /// One snapshot for each core, in order.
    Snapshots(Vec<Box<Snapshot>>),
    /// Where billed impressions go that count for frequency caps, once they are on disk. Sent at most once, before the campaigns.
    ShareCounts(Sender<Delta>),
    /// Where it goes what becomes of bids that the training log has. Sent at most once, before the campaigns.
    LogOutcomes(Sender<Outcome>),
    /// From an operator; answered when it is on disk.
    Operator(Ask, oneshot::Sender<Said>),
    /// Panic: a drill.
    Panic,
    /// Drain all cores, sync the ledger, end.
    Stop,
}

/// The running thread.
#[derive(Debug)]
pub struct Handle {
    /// This process's number, on disk; its worker ids, of which the cores take one each in order; and where its reservation
    /// ids start.
    pub registered: Registered,
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
    /// The clock is years beyond the second of these, which is when the last record was made.
    Clock(UnixMillis, UnixMillis),
    /// The ledger's authority does not take this node.
    Refused(NodeId, NotRegistered),
    /// The stores that keep the accounts cannot be used.
    Stores(String),
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
            Self::Clock(wall, last) => {
                let date = |time: &UnixMillis| jiff::Timestamp::from_millisecond(time.0 as i64).unwrap_or_default();
                let (wall, last) = (date(wall), date(last));
                write!(f, "the clock says {wall}, and the ledger's last record is of {last}: set the clock")
            }
            Self::Refused(node, NotRegistered::Retired) => {
                write!(f, "node {} was retired; give this machine a node number of its own", node.0)
            }
            Self::Refused(node, NotRegistered::Overtaken) => write!(
                f,
                "node {}: its authority has heard of later processes than its ledger knows of; restore the ledger, or retire the \
                 node and give this machine a number of its own",
                node.0
            ),
            Self::Refused(node, NotRegistered::NoWorkers) => {
                write!(f, "node {}: all 1,024 worker ids are in use; retire nodes that will not come back", node.0)
            }
            Self::Stores(why) => write!(f, "the stores of [stores] cannot be used: {why}"),
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

/// Replays the ledger, makes the new incarnation durable, with those at the other end of the wire if there is one, and runs the reconciliation core on a thread of its own. It
/// ends with [`Command::Stop`], or when the sender of the commands is gone.
///
/// # Errors
/// [`StartError`], each saying what to do; no thread is left then.
pub fn spawn(
    options: Options,
    wire: Option<Wire>,
    cores: Vec<CoreEnds>,
    commands: Receiver<Command>,
) -> Result<Handle, StartError> {
    assert_eq!(cores.len(), usize::from(options.settings.cores), "as many ends as cores");
    let (Embedded { position, ids_from, lock }, replayed) =
        Embedded::open_replayed(&options.dir).map_err(StartError::Open)?;
    let wall = clock::now().wall;
    if !ids::believes(wall, ids_from) {
        return Err(StartError::Clock(wall, ids_from));
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
            // Held until the last commit.
            let _lock = lock;
            let Options { dir, segment_bytes, head_file, settings, .. } = options;
            let now = clock::now();
            let mut nonce = [0; 8];
            getrandom::fill(&mut nonce).expect("the kernel has no randomness to give");
            let start = Start { nonce: u64::from_le_bytes(nonce), ids_from, opens: position.closed };
            let (mut keeper, opening) = match Keeper::new(settings, replayed, start, wire, &shared_gauges, now) {
                Ok(started) => started,
                Err(RegisterError::Refused(why)) => {
                    let _ = ready.send(Err(StartError::Refused(settings.node, why)));
                    return Ended::Cut;
                }
                Err(RegisterError::Unavailable(why)) => {
                    let _ = ready.send(Err(StartError::Stores(why)));
                    return Ended::Cut;
                }
            };
            let first = Job::new(keeper.node_mut().journal().take().expect("a start is a record"), None);
            let mut writer = Writer::new(Directory::new(dir), segment_bytes, position, ids_from);
            for mut job in opening.map(Job::start).into_iter().chain([first]) {
                if let Err(error) = writer.step(&mut job, now.wall).await {
                    let _ = ready.send(Err(StartError::Write(writer.disk().path().to_owned(), error)));
                    return Ended::Cut;
                }
                keeper.durable(now, job.upto());
            }
            let anchors = match Anchors::start(head_file, shared_gauges.clone()) {
                Ok(anchors) => anchors,
                Err(error) => {
                    let _ = ready.send(Err(StartError::Executor(error.to_string())));
                    return Ended::Cut;
                }
            };
            let _ = ready.send(Ok(*keeper.node().registered()));
            let core = Core {
                keeper,
                snapshots: cores.iter().map(|_| VecDeque::new()).collect(),
                cores,
                commands,
                replies: VecDeque::new(),
                deltas: None,
                gauges: shared_gauges,
                next_tick: Nanos::NEVER,
                stop_by: None,
                anchors,
            };
            run(Rc::new(RefCell::new(core)), writer).await
        })
    });
    let thread = thread.map_err(|error| StartError::Executor(error.to_string()))?;
    match started.recv() {
        Ok(Ok(registered)) => Ok(Handle { registered, gauges, thread }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(StartError::Executor("its thread panicked".into())),
    }
}

pub(super) fn executor(cpu: Option<usize>) -> Result<LocalExecutor, GlommioError<()>> {
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
    keeper: Keeper,
    cores: Vec<CoreEnds>,
    /// Snapshots that found a ring full.
    snapshots: Vec<VecDeque<Box<Snapshot>>>,
    commands: Receiver<Command>,
    /// What operators are told when so much of the journal is on disk.
    replies: VecDeque<(u64, Said, oneshot::Sender<Said>)>,
    gauges: Arc<Gauges>,
    deltas: Option<Sender<Delta>>,
    /// Never until the campaigns are known: the first renewal tells the cores that they can bid, so their first grants go
    /// before it.
    next_tick: Nanos,
    stop_by: Option<Nanos>,
    anchors: Anchors,
}

type LedgerWriter = Writer<Directory>;

async fn run(core: Rc<RefCell<Core>>, writer: LedgerWriter) -> Ended {
    let writer = Rc::new(RefCell::new(Some(writer)));
    let (mut calm, mut last_commit) = (0, Nanos(0));
    loop {
        let now = clock::now();
        let moved = core.borrow_mut().turn(now);
        calm = if moved { 0 } else { calm + 1 };
        if now.boot.since(last_commit) >= COMMIT_GAP_NS
            && let Some(idle) = take(&writer)
        {
            match core.borrow_mut().job(now, &idle) {
                Some(job) => {
                    last_commit = now.boot;
                    glommio::spawn_local(write(job, core.clone(), idle, writer.clone())).detach();
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

fn take(writer: &Rc<RefCell<Option<LedgerWriter>>>) -> Option<LedgerWriter> {
    writer.borrow_mut().take()
}

/// Runs a job to its end, whatever the disk does, and brings the writer home.
async fn write(
    mut job: Job,
    core: Rc<RefCell<Core>>,
    mut writer: LedgerWriter,
    home: Rc<RefCell<Option<LedgerWriter>>>,
) {
    let mut failures = 0;
    while !job.is_done() {
        match writer.step(&mut job, clock::wall()).await {
            Ok(()) => {
                core.borrow_mut().written(job.upto(), failures, &writer);
                failures = 0;
            }
            Err(error) => {
                failures = core.borrow_mut().failed(failures, &writer, &error);
                sleep(RETRY).await;
            }
        }
    }
    home.replace(Some(writer));
}

impl Core {
    /// What is to be written next, if there is anything.
    fn job(&mut self, now: Now, writer: &LedgerWriter) -> Option<Job> {
        let batch = self.keeper.node_mut().journal().take()?;
        // The books are as they are after this batch: all of it goes to the old segment, all that follows to the new one.
        let opening = writer.wants_segment(now.wall).then(|| self.keeper.opening(now));
        Some(Job::new(batch, opening))
    }

    /// Returns whether there was anything to do.
    fn turn(&mut self, now: Now) -> bool {
        self.gauges.turned.set(now.boot.0);
        self.command(now);
        let mut moved = 0;
        for (core, ends) in self.cores.iter_mut().enumerate() {
            let core = CoreId(core as u8);
            moved += ends.events.drain(EVENTS_PER_TURN, |event| self.keeper.node_mut().on_event(now, core, event));
            if self.stop_by.is_some() && ends.events.is_abandoned() && ends.events.waiting() == 0 {
                self.keeper.node_mut().on_event(now, core, Event::Drained);
            }
            while ends.retired.take().is_some() {}
        }
        if now.boot >= self.next_tick {
            self.next_tick = now.boot.after(limits::TICK_NS);
            usdt::tick(now.boot);
            self.keeper.tick(now);
            self.gauges.cpu_ns.set(clock::thread_cpu());
        } else {
            self.keeper.node_mut().poll(now);
        }
        self.keeper.talk(now);
        self.gauges.oldest_unsynced_ns.set(self.keeper.node_mut().journal().unsynced(now.boot));
        self.gauges.oldest_unreported_ns.set(self.keeper.node().unreported(now.boot));
        if self.keeper.node().disk_stalled(now.boot) {
            self.keeper.node_mut().disk_failed();
        }
        self.send();
        moved > 0
    }

    fn command(&mut self, now: Now) {
        let stop = loop {
            match self.commands.try_recv() {
                Ok(Command::Campaigns(list)) => {
                    self.keeper.campaigns(now, &list);
                    if self.next_tick == Nanos::NEVER {
                        self.next_tick = now.boot;
                    }
                }
                Ok(Command::Counted(list)) => self.keeper.node_mut().counted(list),
                Ok(Command::ShareCounts(deltas)) => {
                    self.keeper.node_mut().share_counts();
                    self.deltas = Some(deltas);
                }
                Ok(Command::LogOutcomes(ring)) => self.keeper.node_mut().log_outcomes(ring),
                Ok(Command::Spends(list)) => self.keeper.node_mut().spends(list),
                Ok(Command::Exchanges(list)) => self.keeper.node_mut().exchanges(now, &list),
                Ok(Command::Lessons(lessons)) => self.keeper.node_mut().learn(&lessons),
                Ok(Command::Limits(limits)) => self.keeper.node_mut().limit(&limits),
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
                    if let Some((said, reply)) = self.keeper.operate(now, ask, reply) {
                        self.replies.push_back((self.keeper.node_mut().journal().appended(), said, reply));
                    }
                }
                Ok(Command::Panic) => panic!("a drill: the reconciliation core was told to panic"),
                Ok(Command::Stop) | Err(mpsc::TryRecvError::Disconnected) => break true,
                Err(mpsc::TryRecvError::Empty) => break false,
            }
        };
        if stop && self.stop_by.is_none() {
            self.stop_by = Some(now.boot.after(STOP_NS));
            self.keeper.node_mut().drain();
        }
    }

    /// Sends what may leave, as far as the rings have room.
    fn send(&mut self) {
        let synced = self.keeper.node_mut().journal().synced();
        while let Some((_, said, reply)) = self.replies.pop_front_if(|(needs, ..)| *needs <= synced) {
            // Whoever asked may have gone.
            let _ = reply.send(said);
        }
        if let Some(deltas) = &mut self.deltas {
            while deltas.has_room(1)
                && let Some(delta) = self.keeper.node_mut().next_delta()
            {
                deltas.offer(delta).expect("room was asked for");
            }
        }
        let (mut refused, mut waiting) = (0, 0);
        for (core, ends) in self.cores.iter_mut().enumerate() {
            let orders = self.keeper.node_mut().orders(CoreId(core as u8));
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
    fn failed(&mut self, before: u32, writer: &LedgerWriter, error: &io::Error) -> u32 {
        if before == 0 {
            log::error!(
                "{}: the ledger cannot be written: {error}; notices are answered 503, nothing is granted, bidding ends with \
                 the leases until it can: free or replace the disk",
                writer.disk().path().display()
            );
        }
        self.gauges.ledger_failing.set(1);
        self.gauges.commit_failures.add(1);
        self.keeper.node_mut().disk_failed();
        self.send();
        before.saturating_add(1)
    }

    fn written(&mut self, upto: u64, failures: u32, writer: &LedgerWriter) {
        if failures > 0 {
            log::info!("{}: the ledger is written again", writer.disk().path().display());
        }
        self.gauges.commits.add(1);
        let position = writer.position();
        self.gauges.ledger_failing.set(0);
        self.gauges.ledger_segment.set(position.segment.into());
        self.gauges.ledger_bytes.set(position.offset);
        self.gauges.ledger_records.set(position.next);
        self.anchors.committed(clock::now(), &position);
        self.keeper.durable(clock::now(), upto);
        self.send();
    }

    fn ended(&self, now: Now) -> Option<Ended> {
        let stop_by = self.stop_by?;
        if self.keeper.node().is_drained() {
            Some(Ended::Clean)
        } else if now.boot >= stop_by {
            log::error!("reconciliation core: stopped before all cores had drained and the ledger was synced");
            Some(Ended::Cut)
        } else {
            None
        }
    }
}
