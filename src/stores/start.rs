//! What a node of a fleet does on the stores thread beside the leases: profiles and counts of users, as `[stores]` says where they are;
//! erasures, its own and those of other nodes; and billed impressions, told to the store of counts.

use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomData;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::frequency::Spread;
use super::metrics::Spreading;
use crate::clock;
use crate::config::{Config, DynamoDb, stores};
use crate::limits;
use crate::profile::count::{Count, Delta};
use crate::profile::erase::{self, Erasable, Erase, Traces};
use crate::profile::fetched::FetchOutcome;
use crate::profile::keyfile::KeyFile;
use crate::profile::keys::KeyError;
use crate::profile::region::{Elsewhere, Eu, InRegion, Regional, Resident};
use crate::profile::seal::FleetKeys;
use crate::profile::sealed::{Keyring, SealedProfiles};
use crate::profile::source::ProfileSource;
use crate::reconcile::gauges::Gauges;
use crate::reconcile::guards::operator::Ask;
use crate::reconcile::server::Command;
use crate::ring::spsc::Receiver;
use crate::snapshot::profiles::base::Base;
use crate::store::dynamodb::client::Client;
use crate::store::dynamodb::erasures::Erasures;
use crate::store::dynamodb::users::{Keys, Profiles};
use crate::store::valkey::Valkey;
use crate::store::valkey::frequency::{self, LIBRARIES};
use crate::store::valkey::servers::Sharded;
use crate::units::{Nanos, NodeId, Region, UserKey};

/// How often the fleet's list of erased users is read.
const FOLLOW: Duration = Duration::from_secs(5);
/// How often billed impressions are told.
const TELL: Duration = Duration::from_millis(500);
/// For so long counts are not asked for after a question that was not answered in time: profiles would wait for them.
const SILENCE_NS: u64 = Nanos::SECOND;
/// How long a fetch waits for counts: half of what it may take.
const PATIENCE: Duration = Duration::from_nanos(limits::FETCH_TIMEOUT_NS / 2);
/// How long the reconciliation core is given to take what fills its ring of commands.
const MOMENT: Duration = Duration::from_millis(2);

/// A base of sealed profiles on this machine, with the keys to it.
pub type OnDisk = SealedProfiles<Base, KeyFile>;
/// Profiles in the store, with the keys to them.
type InStore = SealedProfiles<Profiles, Keys>;

/// What the rest of the node lends the thread.
#[derive(Debug)]
pub struct Beside {
    /// To the reconciliation core.
    pub commands: SyncSender<Command>,
    /// Its gauges: the estimate of impressions beyond a cap is made where all of them are known.
    pub gauges: Arc<Gauges>,
    /// Users to be erased.
    pub asks: mpsc::Receiver<Erase>,
    /// Billed impressions, if they are told to a store.
    pub deltas: Option<Receiver<Delta>>,
    /// What is counted of that.
    pub spreading: Arc<Spreading>,
}

/// The stores of a configuration, to be moved onto the thread.
#[derive(Debug)]
pub struct Fleet {
    node: NodeId,
    region: Region,
    base: Option<OnDisk>,
    profiles: Option<InStore>,
    erasures: Erasures,
    valkey: Option<stores::Valkey>,
}

impl Fleet {
    /// As configured, with a base that was opened already. Connects to nobody yet.
    ///
    /// # Errors
    /// A file that it names cannot be used, in one line.
    pub fn of(config: &Config, dynamodb: &DynamoDb, base: Option<OnDisk>) -> Result<Fleet, String> {
        let client = Client::new(dynamodb).map_err(|error| error.to_string())?;
        if let Some(valkey) = &config.stores.valkey {
            Valkey::new(valkey, LIBRARIES).map_err(|failure| failure.to_string())?;
        }
        let sealed = |path: &Path| {
            let keys = FleetKeys::read(path).map_err(|error| error.to_string())?;
            let (profiles, keys) = (Profiles::new(client.clone()), Keyring::new(keys, Keys::new(client.clone())));
            Ok::<_, String>(SealedProfiles::new(profiles, keys))
        };
        Ok(Fleet {
            node: config.node(),
            region: config.stores.region,
            base,
            profiles: config.profiles.key_file.as_deref().map(sealed).transpose()?,
            erasures: Erasures::new(client),
            valkey: config.stores.valkey.clone(),
        })
    }

    /// Whether there is something that users are asked for from.
    pub fn knows_users(&self) -> bool {
        self.base.is_some() || self.profiles.is_some() || self.valkey.is_some()
    }

    /// Begins all of it on this thread, and returns where users are asked for.
    ///
    /// # Errors
    /// A file that could be used a moment ago cannot be used any more.
    pub fn begin(self, beside: Beside) -> io::Result<Source> {
        Ok(match self.region {
            Region::Eu => Source::Eu(self.begin_in(beside)?),
            Region::Other => Source::Elsewhere(self.begin_in(beside)?),
        })
    }

    fn begin_in<R: InRegion>(self, beside: Beside) -> io::Result<Rc<Regional<Users, R>>> {
        let Fleet { node, base, profiles, erasures, valkey, .. } = self;
        let Beside { commands, gauges, asks, deltas, spreading } = beside;
        let valkey = valkey.map(|config| Valkey::new(&config, LIBRARIES).map(Rc::new));
        let valkey = valkey.transpose().map_err(io::Error::other)?;
        let counts =
            valkey.clone().map(|valkey| Counts { valkey, silent: Cell::default(), spreading: spreading.clone() });
        let users = Rc::new(Regional::<_, R>::new(Users { base, profiles, counts }));
        let erased = Erased::default();
        if let (Some(valkey), Some(deltas)) = (valkey.clone(), deltas) {
            let spread = Spread::new(node, UserKey::text).counted(spreading);
            spawn_local(tell::<R>(valkey, deltas, spread, erased.clone(), gauges));
        }
        let traces = Rc::new(Stored::<R> { valkey, erasures, erased: erased.clone(), region: PhantomData });
        let (served, served_traces) = (users.clone(), traces.clone());
        spawn_local(async move { erase::serve(asks, &*served, &*served_traces).await });
        let (forget, forgotten) = mpsc::unbounded_channel();
        spawn_local(drop_on_cores(forgotten, commands));
        let followed = users.clone();
        spawn_local(async move {
            // What a process finds on the list at its start is dropped too: there may be none of it, and it need not know since when.
            let drop = |user: UserKey| {
                erased.borrow_mut().extend(user.in_all_regions());
                let _ = forget.send(user);
            };
            erase::follow(&*followed, &*traces, 0, FOLLOW, drop).await;
        });
        Ok(users)
    }
}

/// Where users are asked for: the stores of one region.
#[derive(Debug)]
pub enum Source {
    /// Of [`Region::Eu`].
    Eu(Rc<Regional<Users, Eu>>),
    /// Of [`Region::Other`].
    Elsewhere(Rc<Regional<Users, Elsewhere>>),
}

impl ProfileSource for Source {
    async fn fetch(&self, users: &[UserKey]) -> Vec<(UserKey, FetchOutcome)> {
        match self {
            Source::Eu(source) => source.fetch(users).await,
            Source::Elsewhere(source) => source.fetch(users).await,
        }
    }

    async fn counts(&self, users: &[UserKey]) -> Vec<(UserKey, Vec<Count>)> {
        match self {
            Source::Eu(source) => source.counts(users).await,
            Source::Elsewhere(source) => source.counts(users).await,
        }
    }

    fn holds_back(&self, user: UserKey) -> bool {
        match self {
            Source::Eu(source) => source.holds_back(user),
            Source::Elsewhere(source) => source.holds_back(user),
        }
    }
}

/// Profiles, of the base first, and counts: each from where it is, if there is such a place.
#[derive(Debug)]
pub struct Users {
    base: Option<OnDisk>,
    profiles: Option<InStore>,
    counts: Option<Counts>,
}

/// The store of counts.
struct Counts {
    valkey: Rc<Valkey>,
    /// Until when it is not asked.
    silent: Cell<Nanos>,
    spreading: Arc<Spreading>,
}

impl std::fmt::Debug for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counts").field("silent", &self.silent).finish_non_exhaustive()
    }
}

impl ProfileSource for Users {
    async fn fetch(&self, users: &[UserKey]) -> Vec<(UserKey, FetchOutcome)> {
        let mut outcomes = match &self.base {
            Some(base) => base.fetch(users).await,
            None => users.iter().map(|&user| (user, FetchOutcome::Nothing)).collect(),
        };
        let Some(profiles) = &self.profiles else { return outcomes };
        let unknown: Vec<UserKey> = outcomes
            .iter()
            .filter(|(_, outcome)| !matches!(outcome, FetchOutcome::Profile(_)))
            .map(|at| at.0)
            .collect();
        if unknown.is_empty() {
            return outcomes;
        }
        let mut found = profiles.fetch(&unknown).await;
        for (user, outcome) in &mut outcomes {
            if let Some(at) = found.iter().position(|(known, _)| known == user) {
                let (_, of_store) = found.swap_remove(at);
                // What the base could not say, the store does not say by knowing nothing.
                if *outcome != FetchOutcome::Failed || of_store != FetchOutcome::Nothing {
                    *outcome = of_store;
                }
            }
        }
        outcomes
    }

    async fn counts(&self, users: &[UserKey]) -> Vec<(UserKey, Vec<Count>)> {
        let Some(Counts { valkey, silent, spreading }) = &self.counts else { return Vec::new() };
        let now = clock::boot();
        if now < silent.get() {
            spreading.unread.add(users.len() as u64);
            return Vec::new();
        }
        let mut servers = Sharded(valkey);
        let read = match timeout(PATIENCE, frequency::read(&mut servers, users, UserKey::text)).await {
            Ok(read) => read.unwrap_or_default(),
            Err(_) => {
                silent.set(now.after(SILENCE_NS));
                Vec::new()
            }
        };
        let read: Vec<_> = users.iter().copied().zip(read).filter_map(|(user, counts)| Some((user, counts?))).collect();
        spreading.unread.add((users.len() - read.len()) as u64);
        read
    }

    fn holds_back(&self, user: UserKey) -> bool {
        self.base.as_ref().is_some_and(|base| base.holds_back(user))
            || self.profiles.as_ref().is_some_and(|profiles| profiles.holds_back(user))
    }
}

impl Erasable for Users {
    async fn erase(&self, user: UserKey) -> Result<bool, KeyError> {
        let mut there_was = false;
        if let Some(base) = &self.base {
            there_was |= base.erase(user).await?;
        }
        if let Some(profiles) = &self.profiles {
            there_was |= profiles.erase(user).await?;
        }
        Ok(there_was)
    }

    fn forget(&self, user: UserKey) {
        self.base.iter().for_each(|base| base.forget(user));
        self.profiles.iter().for_each(|profiles| profiles.forget(user));
    }
}

/// Users of whom nothing is to be told any more, of what waits.
type Erased = Rc<RefCell<Vec<UserKey>>>;

/// What else the stores of a region have of users.
struct Stored<R> {
    valkey: Option<Rc<Valkey>>,
    erasures: Erasures,
    erased: Erased,
    region: PhantomData<R>,
}

impl<R: InRegion> Traces for Stored<R> {
    async fn delete_counters(&self, user: UserKey) -> Result<bool, KeyError> {
        let (Some(valkey), Some(user)) = (&self.valkey, Resident::<R>::of(user)) else { return Ok(false) };
        self.erased.borrow_mut().push(user.key());
        let erased = frequency::erase(&mut Sharded(valkey), &user.key().text()).await;
        let failed = |why: String| KeyError::Unavailable(format!("the store of counts: {why}"));
        erased.map_err(|error| failed(error.to_string()))?.map_err(|failure| failed(failure.to_string()))?;
        Ok(true)
    }

    async fn tell_fleet(&self, user: UserKey) -> Result<bool, KeyError> {
        // As this region knows the user: a pseudonym of another one is not kept here.
        for user in user.in_all_regions().into_iter().filter_map(Resident::<R>::of) {
            self.erasures.append(user.key()).await?;
        }
        Ok(true)
    }

    async fn erasures_since(&self, known: u64) -> Result<(Vec<UserKey>, u64), KeyError> {
        Ok(self.erasures.since(known).await?)
    }
}

/// Has the cores drop users, one after the other, as fast as the reconciliation core takes them.
async fn drop_on_cores(mut users: mpsc::UnboundedReceiver<UserKey>, commands: SyncSender<Command>) {
    while let Some(user) = users.recv().await {
        // Nobody waits for the answer: the receipt is another node's.
        let (said, _) = oneshot::channel();
        let mut command = Command::Operator(Ask::Forget(user), said);
        loop {
            match commands.try_send(command) {
                Ok(()) => break,
                Err(TrySendError::Full(again)) => command = again,
                Err(TrySendError::Disconnected(_)) => return,
            }
            sleep(MOMENT).await;
        }
    }
}

/// Tells the store of billed impressions, as long as there is a reconciliation core. Those of users of other regions count on this
/// node only.
async fn tell<R: InRegion>(
    valkey: Rc<Valkey>,
    mut deltas: Receiver<Delta>,
    mut spread: Spread,
    erased: Erased,
    gauges: Arc<Gauges>,
) {
    let mut ticks = interval(TELL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut more = true;
        while more {
            let resident = |delta: &Delta| Resident::<R>::of(delta.user).is_some();
            deltas.drain(limits::DELTAS_CROSSING, |delta| {
                if resident(&delta) {
                    spread.take(delta);
                }
            });
            erased.take().into_iter().for_each(|user| spread.forget(user));
            more = spread.tell(&mut Sharded(&valkey), &gauges.shadow).await.unwrap_or(false);
            spread.counts().waiting.set(spread.waiting() as u64);
        }
    }
}
