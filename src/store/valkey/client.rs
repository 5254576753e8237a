//! The client: calls grouped by shard, one round trip for each group, and an outcome for each call, on time.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::future::poll_fn;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use redis::{Pipeline, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::Call;
use super::endpoint::{Endpoint, Settings};
use super::failure::Failure;
use super::library::Library;
use super::topology::{Map, Replication, ShardId, ranges};
use crate::config::stores;

/// How often the password file is looked at.
const PASSWORD_CHECK: Duration = Duration::from_millis(250);

/// Connections to all servers. Calls fail at once while there is no connection, and on time in any case.
pub struct Valkey {
    settings: Arc<Settings>,
    map: RefCell<Map>,
    endpoints: RefCell<HashMap<String, Rc<Endpoint>>>,
    /// The server that answered last for a shard, and what [`Endpoint::lost_libraries`] said then.
    servers: RefCell<HashMap<ShardId, (Server, u64)>>,
    /// Something happened that may mean that the map is wrong.
    stale: Cell<bool>,
    /// Held while that is found out: once for all calls.
    refreshing: Mutex<()>,
    password: PasswordFile,
    turn: Cell<usize>,
}

/// A primary, as it said itself in the round trip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `host:port`.
    pub address: String,
    /// Its replication id, 40 hexadecimal digits: another one after each failover and restart, when writes that were acknowledged
    /// may be gone.
    pub replication_id: String,
    /// Replicas that follow it.
    pub replicas: usize,
    /// Grows whenever the shard may have lost writes that were acknowledged: the server is another, or has another replication
    /// id, or had no function library, which was loaded.
    pub losses: u64,
}

/// What one round trip came back with.
#[derive(Debug)]
pub struct Answered {
    /// One for each call, in order.
    pub results: Vec<Result<Value, Failure>>,
    /// The server that was asked, if it answered.
    pub server: Option<Server>,
    /// As many replicas have what was written as were asked for, or all that there are. Never where a call was sent on to another
    /// server.
    pub confirmed: bool,
}

impl Answered {
    fn failed(calls: usize, failure: &Failure) -> Answered {
        let results = (0..calls).map(|_| Err(failure.clone())).collect();
        Answered { results, server: None, confirmed: false }
    }
}

/// Where a call is sent on to.
struct Redirect {
    to: String,
    asking: bool,
}

impl Valkey {
    /// A client of these servers, which will have these libraries. Reads the password, and asks nobody anything yet.
    pub fn new(config: &stores::Valkey, libraries: &'static [Library]) -> Result<Valkey, Failure> {
        let settings = Arc::new(Settings { config: config.clone(), libraries });
        settings.password()?;
        Ok(Valkey {
            map: RefCell::new(Map::new()),
            endpoints: RefCell::new(HashMap::new()),
            servers: RefCell::new(HashMap::new()),
            stale: Cell::new(true),
            refreshing: Mutex::new(()),
            password: PasswordFile::new(config.password_file.as_deref()),
            turn: Cell::new(0),
            settings,
        })
    }

    /// The shard of a key, by its hash tag. It may be another after the next round trip; calls find their way in any case.
    pub fn shard_of(&self, key: &[u8]) -> ShardId {
        self.map.borrow().shard_of(key)
    }

    /// All shards that serve something.
    pub fn shards(&self) -> Vec<ShardId> {
        self.map.borrow().shards().map(|(id, _)| id).collect()
    }

    /// The server that answered last for a shard.
    pub fn server(&self, shard: ShardId) -> Option<Server> {
        self.servers.borrow().get(&shard).map(|(server, _)| server.clone())
    }

    /// A server's replication id, as it answered last for a shard.
    pub fn replication_id(&self, shard: ShardId) -> Option<String> {
        self.server(shard).map(|server| server.replication_id)
    }

    /// Connects, finds out who serves what, and asks every shard's primary who it is.
    pub async fn discover(&self) -> Result<(), Failure> {
        self.stale.set(true);
        self.refresh(self.deadline()).await?;
        let answers =
            self.pipelines(self.shards().into_iter().map(|shard| (shard, vec![redis::cmd("PING")])).collect(), 0);
        let failure = answers.await.into_iter().find_map(|answered| answered.results.into_iter().find_map(Result::err));
        failure.map_or(Ok(()), Err)
    }

    /// Sends calls to a shard's primary in one round trip, and waits for `replicas` replicas to have what they wrote, as far as
    /// that many follow. Calls whose slot is elsewhere are sent on, once. All is over after the configured time.
    pub async fn pipeline(&self, shard: ShardId, calls: Vec<Call>, replicas: u8) -> Answered {
        let (deadline, count) = (self.deadline(), calls.len());
        if self.stale.get()
            && let Err(failure) = self.refresh(deadline).await
        {
            return Answered::failed(count, &failure);
        }
        let Some(address) = self.map.borrow().get(shard).map(|shard| shard.primary.clone()) else {
            self.stale.set(true);
            return Answered::failed(count, &Failure::ClusterDown);
        };
        let known = self.server(shard);
        // One more than are known may follow by now; they are waited for from the next round trip on.
        let wait = known.as_ref().map_or(0, |server| server.replicas.min(replicas.into()));
        let mut pipeline = Pipeline::with_capacity(count + 2);
        pipeline.cmd("INFO").arg("replication");
        calls.into_iter().for_each(|call| _ = pipeline.add_command(call));
        if wait > 0 {
            // The half of the time: the answers must come back too.
            let half = self.settings.config.timeout() / 2;
            pipeline.cmd("WAIT").arg(wait).arg(half.as_millis().max(1) as u64);
        }
        let endpoint = self.endpoint(&address);
        let mut values = match endpoint.send(&pipeline, self.password.change(), deadline).await {
            Ok(values) => values.into_iter(),
            Err(failure) => {
                self.stale.set(true);
                return Answered::failed(count, &failure);
            }
        };
        let replication = values.next().and_then(|info| Replication::parse(&info));
        let mut results: Vec<_> = values.by_ref().take(count).map(result).collect();
        let acknowledged = match values.next() {
            Some(Value::Int(replicas)) => usize::try_from(replicas).unwrap_or(0),
            _ => 0,
        };
        let first = pipeline.cmd_iter().skip(1).take(count);
        let moved = self.redirect(first, &mut results, &address, deadline).await;
        self.heed(&results);
        let server = replication.map(|replication| {
            if !replication.is_primary {
                self.stale.set(true);
            }
            self.answered(shard, &endpoint, replication)
        });
        let wanted = server.as_ref().map_or(usize::MAX, |server| server.replicas.min(replicas.into()));
        Answered { results, server, confirmed: acknowledged >= wanted && !moved }
    }

    /// Remembers who answered for a shard.
    fn answered(&self, shard: ShardId, endpoint: &Endpoint, replication: Replication) -> Server {
        let (address, lost) = (endpoint.address.clone(), endpoint.lost_libraries());
        let mut servers = self.servers.borrow_mut();
        let losses = servers.get(&shard).map_or(0, |(before, lost_before)| {
            let same = before.address == address && before.replication_id == replication.id && *lost_before == lost;
            before.losses + u64::from(!same)
        });
        let server = Server { address, replication_id: replication.id, replicas: replication.replicas.len(), losses };
        servers.insert(shard, (server.clone(), lost));
        server
    }

    /// [`Valkey::pipeline`] to several shards at the same time; the answers in the same order.
    pub async fn pipelines(&self, calls: Vec<(ShardId, Vec<Call>)>, replicas: u8) -> Vec<Answered> {
        all(calls.into_iter().map(|(shard, calls)| self.pipeline(shard, calls, replicas))).await
    }

    /// Sends calls that only read to a shard: to one of its replicas if the configuration allows that, in turn, otherwise to the
    /// primary. A replica that has no connection is left out.
    pub async fn read(&self, shard: ShardId, calls: Vec<Call>) -> Vec<Result<Value, Failure>> {
        let (deadline, count) = (self.deadline(), calls.len());
        let failed = |failure: Failure| (0..count).map(|_| Err(failure.clone())).collect();
        if self.stale.get()
            && let Err(failure) = self.refresh(deadline).await
        {
            return failed(failure);
        }
        let Some(found) = self.map.borrow().get(shard).cloned() else {
            self.stale.set(true);
            return failed(Failure::ClusterDown);
        };
        let replica = (self.settings.config.replica_reads && !found.replicas.is_empty()).then(|| {
            let turn = self.turn.replace(self.turn.get().wrapping_add(1));
            found.replicas[turn % found.replicas.len()].clone()
        });
        let mut pipeline = Pipeline::with_capacity(count);
        calls.into_iter().for_each(|call| _ = pipeline.add_command(call));
        let mut last = Failure::ClusterDown;
        for address in replica.into_iter().chain([found.primary]) {
            match self.endpoint(&address).send(&pipeline, self.password.change(), deadline).await {
                Ok(values) => {
                    let mut results: Vec<_> = values.into_iter().map(result).collect();
                    self.redirect(pipeline.cmd_iter(), &mut results, &address, deadline).await;
                    self.heed(&results);
                    return results;
                }
                // Reading again does no harm, and after a timeout no time is left.
                Err(failure) => last = failure,
            }
        }
        self.stale.set(true);
        failed(last)
    }

    /// [`Valkey::read`] of several shards at the same time; the answers in the same order.
    pub async fn reads(&self, calls: Vec<(ShardId, Vec<Call>)>) -> Vec<Vec<Result<Value, Failure>>> {
        all(calls.into_iter().map(|(shard, calls)| self.read(shard, calls))).await
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.settings.config.timeout()
    }

    fn endpoint(&self, address: &str) -> Rc<Endpoint> {
        match self.endpoints.borrow_mut().entry(address.to_owned()) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => new.insert(Rc::new(Endpoint::new(address, &self.settings))).clone(),
        }
    }

    /// Sends on what belongs elsewhere, once, and returns whether there was any.
    async fn redirect<'a>(
        &self,
        calls: impl Iterator<Item = &'a Call>,
        results: &mut [Result<Value, Failure>],
        asked: &str,
        deadline: Instant,
    ) -> bool {
        let mut groups: HashMap<(String, bool), (Vec<usize>, Pipeline)> = HashMap::new();
        for (place, call) in calls.enumerate().take(results.len()) {
            let Some(Redirect { to, asking }) = redirect(&results[place], asked) else { continue };
            let (places, pipeline) = groups.entry((to, asking)).or_default();
            places.push(place);
            if asking {
                pipeline.cmd("ASKING");
            }
            pipeline.add_command(call.clone());
        }
        let moved = !groups.is_empty();
        let groups = groups.into_iter().map(async |((to, asking), (places, pipeline))| {
            let replies = self.endpoint(&to).send(&pipeline, self.password.change(), deadline).await;
            (
                places,
                replies.map(|values| values.into_iter().skip(usize::from(asking)).step_by(1 + usize::from(asking))),
            )
        });
        for (places, replies) in all(groups).await {
            match replies {
                Ok(values) => places.into_iter().zip(values).for_each(|(place, value)| results[place] = result(value)),
                Err(failure) => places.into_iter().for_each(|place| results[place] = Err(failure.clone())),
            }
        }
        // A slot that is only on its way is where it was for the map, so that asking costs two round trips until it is there.
        self.stale.set(self.stale.get() || moved);
        moved
    }

    /// What the outcomes of calls say about the map.
    fn heed(&self, results: &[Result<Value, Failure>]) {
        let wrong = |result: &Result<Value, Failure>| {
            matches!(result, Err(Failure::ReadOnly | Failure::ClusterDown | Failure::Moved { .. } | Failure::Timeout))
                || matches!(result, Err(Failure::Disconnected(_)))
        };
        if results.iter().any(wrong) {
            self.stale.set(true);
        }
    }

    /// Asks who serves what: all that are known and may be asked now, at the same time; the first who knows is believed.
    async fn refresh(&self, deadline: Instant) -> Result<(), Failure> {
        let Ok(_alone) = timeout_at(deadline, self.refreshing.lock()).await else { return Err(Failure::Timeout) };
        if !self.stale.get() {
            return Ok(());
        }
        let mut candidates: Vec<String> = {
            let map = self.map.borrow();
            map.shards().flat_map(|(_, shard)| [&shard.primary].into_iter().chain(&shard.replicas).cloned()).collect()
        };
        candidates.extend(self.settings.config.addresses.iter().cloned());
        candidates.sort();
        candidates.dedup();
        let endpoints: Vec<_> = candidates.iter().map(|address| self.endpoint(address)).collect();
        let found = first(endpoints.iter().map(|endpoint| self.ask(endpoint, deadline))).await?;
        match found {
            Found::Cluster(ranges) => self.map.borrow_mut().set_cluster(&ranges),
            Found::Plain { primary, replicas } => self.map.borrow_mut().set_plain(primary, replicas),
        }
        self.stale.set(false);
        // Those that are neither in the map nor in the configuration are let go.
        let map = self.map.borrow();
        self.endpoints.borrow_mut().retain(|address, _| {
            let serves = |shard: &super::topology::Shard| shard.primary == *address || shard.replicas.contains(address);
            self.settings.config.addresses.contains(address) || map.shards().any(|(_, shard)| serves(shard))
        });
        Ok(())
    }

    async fn ask(&self, endpoint: &Endpoint, deadline: Instant) -> Result<Found, Failure> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("INFO").arg("replication");
        pipeline.cmd("CLUSTER").arg("SLOTS");
        let values = endpoint.send(&pipeline, self.password.change(), deadline).await?;
        let [info, slots] =
            <[Value; 2]>::try_from(values).map_err(|_| Failure::Protocol("INFO, CLUSTER SLOTS".into()))?;
        match result(slots) {
            Ok(slots) => match ranges(&slots, &endpoint.address)? {
                none if none.is_empty() => Err(Failure::ClusterDown),
                ranges => Ok(Found::Cluster(ranges)),
            },
            Err(Failure::Server(said)) if said.contains("cluster support disabled") => {
                let replication = Replication::parse(&result(info)?);
                match replication.ok_or_else(|| Failure::Protocol("INFO replication".into()))? {
                    Replication { is_primary: true, replicas, .. } => {
                        Ok(Found::Plain { primary: endpoint.address.clone(), replicas })
                    }
                    _ => Err(Failure::ReadOnly),
                }
            }
            Err(failure) => Err(failure),
        }
    }
}

enum Found {
    Cluster(Vec<super::topology::Range>),
    Plain { primary: String, replicas: Vec<String> },
}

pub(super) fn result(value: Value) -> Result<Value, Failure> {
    match value {
        Value::ServerError(error) => Err(Failure::of(&error)),
        value => Ok(value),
    }
}

fn redirect(result: &Result<Value, Failure>, asked: &str) -> Option<Redirect> {
    let (to, asking) = match result {
        Err(Failure::Moved { to, .. }) => (to, false),
        Err(Failure::Ask { to, .. }) => (to, true),
        _ => return None,
    };
    // A server that does not know its own address leaves the host out: it is where we asked.
    let host = asked.rsplit_once(':').map_or("", |(host, _)| host);
    let to = if to.starts_with(':') { format!("{host}{to}") } else { to.clone() };
    Some(Redirect { to, asking })
}

/// When the password file was changed, as far as it was looked at.
struct PasswordFile {
    path: Option<std::path::PathBuf>,
    looked: Cell<Instant>,
    seen: Cell<Option<(u64, i64, i64)>>,
    changes: Cell<u64>,
}

impl PasswordFile {
    fn new(path: Option<&Path>) -> PasswordFile {
        let looked = Cell::new(Instant::now());
        PasswordFile {
            seen: Cell::new(path.and_then(stamp)),
            path: path.map(Path::to_owned),
            looked,
            changes: Cell::new(1),
        }
    }

    /// Counts the changes of the file.
    fn change(&self) -> u64 {
        let now = Instant::now();
        if let Some(path) = &self.path
            && now - self.looked.get() >= PASSWORD_CHECK
        {
            self.looked.set(now);
            let stamp = stamp(path);
            // One that is missing is about to be replaced.
            if stamp.is_some() && self.seen.replace(stamp) != stamp {
                self.changes.set(self.changes.get() + 1);
            }
        }
        self.changes.get()
    }
}

fn stamp(path: &Path) -> Option<(u64, i64, i64)> {
    let found = fs::metadata(path).ok()?;
    Some((found.ino(), found.mtime(), found.mtime_nsec()))
}

/// Runs futures at the same time; their outcomes in order.
async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.map(Box::pin).collect();
    let mut outcomes: Vec<_> = running.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, outcome) in running.iter_mut().zip(&mut outcomes) {
            if outcome.is_none()
                && let Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *outcome = Some(ready);
            }
        }
        if outcomes.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outcomes.into_iter().flatten().collect()
}

/// Runs futures at the same time until one succeeds; otherwise the last failure.
async fn first<T>(futures: impl Iterator<Item = impl Future<Output = Result<T, Failure>>>) -> Result<T, Failure> {
    let mut running: Vec<_> = futures.map(Box::pin).collect();
    let mut last = Failure::Disconnected("no server is known".into());
    poll_fn(|context| {
        let mut found = None;
        running.retain_mut(|future| {
            if found.is_none()
                && let Poll::Ready(outcome) = future.as_mut().poll(context)
            {
                match outcome {
                    Ok(value) => found = Some(value),
                    Err(failure) => last = failure,
                }
                return false;
            }
            true
        });
        match found {
            Some(value) => Poll::Ready(Ok(value)),
            None if running.is_empty() => Poll::Ready(Err(last.clone())),
            None => Poll::Pending,
        }
    })
    .await
}
