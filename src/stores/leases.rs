//! The way from a node to those who keep its accounts: the functions on Valkey, one shard for each advertiser, and the register in
//! DynamoDB, which alone may say that a memory was lost.
//!
//! ```text
//! reconcile ── Report ──► queue of the server ──► one pipeline at a time: [fund] report … WAIT ──► Answer ──► reconcile
//!                                                      │ Lost
//!                                                      ▼
//!                                    register: epoch + 1, by condition ──► open ──► learning
//! ```
//!
//! Nothing here decides about money. What fails is dropped, and counts as lost on the wire: the node says it again at its next tick,
//! and if nobody answers for a lease's length, its leases end.

pub mod counts;
mod operate;
mod recover;
mod shard;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{interval, sleep, timeout};

use crate::authority::Budget;
use crate::authority::message::{Answer, Part, Register, Registered, Report};
use crate::clock;
use crate::config::Stores;
use crate::limits;
use crate::reconcile::fleet::{Call, RegisterError, Wire};
use crate::store::dynamodb::client::Client;
use crate::store::dynamodb::epochs::Epochs;
use crate::store::dynamodb::register::Processes;
use crate::store::valkey::lease::{self, Function};
use crate::store::valkey::{Call as ServerCall, Failure, Library, ShardId, Valkey, Value};
use crate::units::{AdvertiserId, Epoch, Incarnation, Nanos, UnixMillis};
use counts::LeaseCounts;
use shard::Shard;

/// What the servers are to have.
pub const LIBRARIES: &[Library] = &[Library(lease::LIBRARY)];
/// How long a start waits for the register.
const START: Duration = Duration::from_secs(20);
/// Between two tries of it.
const AGAIN: Duration = Duration::from_millis(500);
/// A process tells the register this often that it lives, and for how long it should be taken to live at least.
const BEAT: Duration = Duration::from_secs(20);
const ALIVE_MS: u64 = 60_000;
/// Each shard is put down in the register about this often, by whichever of its nodes is first.
const CHECKPOINT: Duration = Duration::from_secs(60);
/// How long the end waits for the register.
const END: Duration = Duration::from_secs(1);
/// Calls taken from the node at a time.
const AT_ONCE: usize = 8192;

/// Calls and answers under way: a tick of a node has one for each advertiser.
const UNDER_WAY: usize = 8192;

/// Starts the thread beside the reconciliation core, on `cpu`. It ends when the node does.
///
/// # Errors
/// A secret or an authority of certificates cannot be read, or the kernel gives no thread.
pub fn start(cpu: usize, stores: &Stores) -> Result<Option<(Wire, Arc<LeaseCounts>)>, String> {
    let (Some(valkey), Some(dynamodb)) = (&stores.valkey, &stores.dynamodb) else { return Ok(None) };
    let (valkey, dynamodb) = (valkey.clone(), dynamodb.clone());
    let counts = Arc::new(LeaseCounts::default());
    let (calls, called) = mpsc::channel(UNDER_WAY);
    let (answer, answers) = sync_channel(UNDER_WAY);
    let (ready, started) = sync_channel(1);
    let counted = counts.clone();
    let run = move || {
        crate::topology::pin_beside(cpu, "the leases thread");
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error.to_string()))),
        };
        LocalSet::new().block_on(&runtime, async {
            let replicas = valkey.wait_replicas;
            let clients = Valkey::new(&valkey, LIBRARIES)
                .map_err(|failure| failure.to_string())
                .and_then(|valkey| Ok((valkey, Client::new(&dynamodb).map_err(|error| error.to_string())?)));
            let (valkey, client) = match clients {
                Ok(clients) => clients,
                Err(error) => return drop(ready.send(Err(error))),
            };
            let _ = ready.send(Ok(()));
            let (epochs, processes) = (Epochs::new(client.clone()), Processes::new(client));
            Keepers::new(valkey, epochs, processes, answer, counted, replicas).run(called).await;
        });
    };
    thread::Builder::new().name("leases".into()).spawn(run).map_err(|error| error.to_string())?;
    match started.recv() {
        Ok(Ok(())) => Ok(Some((Wire { calls, answers }, counts))),
        Ok(Err(error)) => Err(format!("[stores]: {error}")),
        Err(_) => Err("[stores]: the leases thread panicked".into()),
    }
}

/// All that a node's accounts need.
pub struct Keepers {
    valkey: Valkey,
    epochs: Epochs,
    processes: Processes,
    answers: SyncSender<Answer>,
    counts: Arc<LeaseCounts>,
    /// How many replicas are to have what was answered.
    replicas: u8,
    incarnation: Cell<Option<Incarnation>>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    shards: HashMap<AdvertiserId, Shard>,
    queues: HashMap<ShardId, Queue>,
    /// Grows with each list of campaigns.
    revision: u64,
}

/// What waits for a server.
#[derive(Default)]
struct Queue {
    #[expect(clippy::vec_box, reason = "they come boxed, and a queue moves pointers rather than reports")]
    reports: Vec<Box<Report>>,
    busy: bool,
}

impl Keepers {
    /// Over these clients.
    pub fn new(
        valkey: Valkey,
        epochs: Epochs,
        processes: Processes,
        answers: SyncSender<Answer>,
        counts: Arc<LeaseCounts>,
        replicas: u8,
    ) -> Rc<Keepers> {
        Rc::new(Keepers {
            valkey,
            epochs,
            processes,
            answers,
            counts,
            replicas,
            incarnation: Cell::default(),
            state: RefCell::default(),
        })
    }

    /// Runs until the node is gone.
    pub async fn run(self: Rc<Self>, mut calls: mpsc::Receiver<Call>) {
        let mut batch = Vec::new();
        while calls.recv_many(&mut batch, AT_ONCE).await > 0 {
            for call in batch.drain(..) {
                match call {
                    Call::Register(ask, reply) => {
                        let keepers = self.clone();
                        spawn_local(async move {
                            let registered = keepers.register(ask).await;
                            // Whoever asked may have given up.
                            let _ = reply.send(registered);
                        });
                    }
                    Call::Budgets(list) => self.budgets(list),
                    Call::Report(report) => self.queue(report),
                    Call::Operate(part, ask, reply) => {
                        let keepers = self.clone();
                        spawn_local(async move { _ = reply.send(keepers.operate(part, ask).await) });
                    }
                }
            }
            self.pump();
        }
        // The node has said all it had to say: it bids no more.
        if let Some(incarnation) = self.incarnation.get()
            && let Err(_) | Ok(Err(_)) = timeout(END, self.processes.end(incarnation)).await
        {
            log::warn!("the register was not told that this process ends; its next start says so");
        }
    }

    /// Numbers the process, and keeps it alive in the register from then on.
    async fn register(self: &Rc<Self>, ask: Register) -> Result<Registered, RegisterError> {
        let until = tokio::time::Instant::now() + START;
        let (incarnation, process) = loop {
            match self.processes.register(clock::wall(), &ask).await {
                Ok(Ok(registered)) => break registered,
                Ok(Err(why)) => return Err(RegisterError::Refused(why)),
                Err(failure) if failure.kind.is_passing() && tokio::time::Instant::now() < until => sleep(AGAIN).await,
                Err(failure) => return Err(RegisterError::Unavailable(format!("the register in DynamoDB: {failure}"))),
            }
        };
        self.incarnation.set(Some(incarnation));
        let keepers = self.clone();
        spawn_local(async move { keepers.beat(incarnation).await });
        Ok(Registered {
            nonce: ask.nonce,
            incarnation,
            first_worker: process.first_worker,
            ids_from: process.ids_from,
            epoch: Epoch(0),
            booked: 0,
        })
    }

    async fn beat(&self, incarnation: Incarnation) {
        let mut beats = interval(BEAT);
        loop {
            beats.tick().await;
            let until = UnixMillis(clock::wall().0 + ALIVE_MS);
            match self.processes.renew(incarnation, until).await {
                Ok(Ok(())) => {}
                // The shards say so too, with the next report.
                Ok(Err(why)) => return log::error!("this process is not in the register any more: {why}"),
                Err(failure) => {
                    self.counts.register_failures.add(1);
                    log::warn!("the register was not told that this process lives: {failure}");
                }
            }
        }
    }

    /// A new list of campaigns: each shard is told of its own, before the next report to it.
    fn budgets(&self, list: Vec<Budget>) {
        let mut by_part: BTreeMap<AdvertiserId, Vec<Budget>> = BTreeMap::new();
        for budget in list {
            by_part.entry(budget.advertiser).or_default().push(budget);
        }
        let mut state = self.state.borrow_mut();
        let State { shards, revision, .. } = &mut *state;
        // Machines are told of a change at about the same time: the later list counts.
        *revision = clock::wall().0.max(*revision + 1);
        for (advertiser, shard) in shards.iter_mut() {
            shard.fund(by_part.remove(advertiser).unwrap_or_default(), *revision);
        }
        for (advertiser, list) in by_part {
            shards.entry(advertiser).or_default().fund(list, *revision);
        }
    }

    fn queue(&self, report: Box<Report>) {
        let Part::Advertiser(advertiser) = report.part else {
            return log::error!("a report that names no advertiser was dropped");
        };
        let id = self.valkey.shard_of(lease::key(advertiser).as_bytes());
        self.state.borrow_mut().queues.entry(id).or_default().reports.push(report);
    }

    /// Sends what waits, one pipeline for each server that has none under way.
    fn pump(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        for (&id, queue) in &mut state.queues {
            if !queue.busy && !queue.reports.is_empty() {
                queue.busy = true;
                let (keepers, reports) = (self.clone(), std::mem::take(&mut queue.reports));
                spawn_local(async move {
                    keepers.send(id, reports).await;
                    if let Some(queue) = keepers.state.borrow_mut().queues.get_mut(&id) {
                        queue.busy = false;
                    }
                    keepers.pump();
                });
            }
        }
    }

    /// One round trip: what each call was answered, and whether as many replicas have it as shall.
    async fn commit(&self, id: ShardId, calls: Vec<ServerCall>) -> (Vec<Result<Vec<u8>, Failure>>, bool) {
        let answered = self.valkey.pipeline(id, calls, self.replicas).await;
        let bytes = |value| match value {
            Value::BulkString(bytes) => Ok(bytes),
            other => Err(Failure::Protocol(format!("a function returned {other:?}").chars().take(120).collect())),
        };
        (answered.results.into_iter().map(|result| result.and_then(bytes)).collect(), answered.confirmed)
    }

    /// A lease that an answer to this report would grant is over already, or the report was not even sent in time.
    fn is_stale(report: &Report) -> bool {
        clock::boot().since(report.sent) >= limits::LEASE_NS - Nanos::SECOND
    }
}

/// A call of a function of the library.
fn call(function: Function, key: &str, arguments: &[&[u8]]) -> ServerCall {
    let mut call = ServerCall::new();
    call.arg("FCALL").arg(function.name()).arg(1).arg(key);
    arguments.iter().for_each(|argument| _ = call.arg(*argument));
    call
}
