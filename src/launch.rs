//! Starts the threads of a bidder, hands each what it owns, and ends them in order.
//!
//! Start: files are read and checked, sockets bound, the ledger replayed and this process's incarnation made durable; then
//! the bid cores begin, get their first leases, and the bidder is ready. End: the reconciliation core orders the bid cores
//! to drain, empties the rings, syncs the ledger, and stops last.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio::task::spawn_local;

use crate::admin::Observed;
use crate::admin::operator::Operator;
use crate::admin::paths::Paths;
use crate::admin::rollout::Rollout;
use crate::admin::users::Users;
use crate::audit;
use crate::bid::alarm::Panel;
use crate::bid::audit::Auditor;
use crate::bid::busy::BusyWork;
use crate::bid::flight::Tail;
use crate::bid::miss;
use crate::bid::net::{Listener, Steering, steer};
use crate::bid::server::{CoreNet, Counters, run_core};
use crate::bid::service::{Bidder, Fittings, Health, Stores as StoresEnds};
use crate::bid::tap::Tap;
use crate::bid::train::{RowLog, Sample};
use crate::bid::{BidCore, Process, Seed};
use crate::bounds::{self, Bound, Loaded};
use crate::capture::{self, Control, Origin};
use crate::config::process::Effort;
use crate::config::shading::Silence;
use crate::config::{self, Config};
use crate::harden::panic::{Drill, Who};
use crate::ingress::Ingress;
use crate::ingress::certificate::Certificate;
use crate::ingress::counts::Ingressed;
use crate::metrics::arms::{self, Arms};
use crate::metrics::clock::Steps;
use crate::metrics::core::CoreMetrics;
use crate::metrics::exchanges::Exchanges;
use crate::metrics::flight;
use crate::metrics::render::{Cores, Reconciliation};
use crate::metrics::stalls;
use crate::metrics::stalls::watch::{Told, Watch};
use crate::profile::count::Delta;
use crate::profile::erase::{self, Erase};
use crate::profile::keyfile::{self, KeyFile};
use crate::profile::seal::FleetKeys;
use crate::profile::sealed::{Keyring, SealedProfiles};
use crate::profile::source::ProfileSource;
use crate::reconcile::fleet::Wire;
use crate::reconcile::gauges::Gauges;
use crate::reconcile::quota::Limit;
use crate::reconcile::server::{self as reconciliation, Command, CoreEnds, Ended};
use crate::reconcile::shading::Lessons;
use crate::reconcile::{Horizons, Parts, Settings};
use crate::reload::{self, Asked, Reloader, Reloads, counted, funding, spends};
use crate::ring::{spsc, wake};
use crate::secrets::Key;
use crate::snapshot::data::{Data, Kept, Source};
use crate::snapshot::profiles::base::Base;
use crate::store::embedded;
use crate::stores::fetch::Settings as FetchSettings;
use crate::stores::metrics::{FetchCounts, Fetches, Spreading, Spreads};
#[cfg(feature = "stores")]
use crate::stores::start::Fleet;
use crate::stores::{self, Stores};
use crate::topology::Topology;
use crate::training;
use crate::units::{CoreId, ExchangeId, ExchangeKey, Nanos};

/// What to start.
#[derive(Debug)]
pub struct Launch {
    /// The configuration, already checked.
    pub config: Config,
    /// Where campaigns and profiles come from.
    pub source: Source,
    /// Keys are made where they are missing: for the demo only.
    pub make_keys: bool,
    /// Extra work for each bid request.
    pub busy_work: BusyWork,
}

/// Why a bidder did not start, in one line.
#[derive(Debug)]
pub struct LaunchError(String);

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LaunchError {}

fn failed(error: impl fmt::Display) -> LaunchError {
    LaunchError(error.to_string())
}

/// A running bidder.
#[derive(Debug)]
pub struct Node {
    /// Where exchanges connect.
    pub address: SocketAddr,
    /// Where the admin port shall be.
    pub admin: SocketAddr,
    /// What the admin port shows.
    pub observed: Arc<Observed>,
    /// What the bid cores count.
    pub metrics: Vec<&'static CoreMetrics>,
    /// How much memory it may come to hold.
    pub bound: Bound,
    /// What loading campaigns took of it.
    pub loaded: Loaded,
    /// What the reconciliation core counts.
    pub gauges: Arc<Gauges>,
    /// Tells the bid cores that the process ends.
    pub panel: Arc<Panel>,
    /// The CPU of everything that is neither a bid core nor the reconciliation core.
    pub housekeeping: usize,
    reloader: Option<(Reloader, Asked)>,
    reloads: Reloads,
    commands: SyncSender<Command>,
    reconciliation: reconciliation::Handle,
    bids: Vec<JoinHandle<io::Result<Counters>>>,
    audit_log: Option<audit::Log>,
    training_log: Option<training::Log>,
    watch: Watch,
    stores: Option<Stores>,
    ingress: Option<Ingress>,
}

/// Starts the stores thread, once its rings are there.
type StartStores = Box<dyn FnOnce(usize, Vec<stores::CoreEnds>, wake::Wakeup, Beside) -> io::Result<Stores>>;

/// What the stores thread is lent by the rest of the node, if it takes it.
#[cfg_attr(not(feature = "stores"), expect(dead_code, reason = "only stores of a fleet are told of them"))]
struct Beside {
    commands: SyncSender<Command>,
    gauges: Arc<Gauges>,
    deltas: Option<spsc::Receiver<Delta>>,
    spreading: Arc<Spreading>,
}

/// Why a node does not reload itself.
const APART: &str = "the reloader is a thread of its own by now";
/// Commands under way to the reconciliation core.
const COMMANDS: usize = 16;

/// What to start, with its bid port bound: the last thing for which it may take root.
#[derive(Debug)]
pub struct Reserved {
    launch: Launch,
    topology: Topology,
    /// One for each bid core, not listening yet.
    listeners: Vec<Listener>,
    /// Where exchanges are to connect.
    pub address: SocketAddr,
}

impl Launch {
    /// Chooses the CPUs and binds the bid port for each bid core. Nobody can connect before [`Reserved::start`].
    ///
    /// # Errors
    /// A CPU or the address cannot be had.
    pub fn bind(self) -> Result<Reserved, LaunchError> {
        let server = &self.config.server;
        let topology =
            Topology::choose(&Topology::allowed(), server.cores.as_deref(), server.reconcile_core).map_err(failed)?;
        let mut address = server.listen;
        let mut listeners = Vec::new();
        for _ in &topology.bid {
            let listener =
                Listener::reserve(address).map_err(|error| failed(format!("cannot listen on {address}: {error}")))?;
            // Port 0 took a free one, and the other cores share it.
            address = listener.address().map_err(failed)?;
            listeners.push(listener);
        }
        if server.steer == Steering::Cpu {
            let refused = |error| failed(format!("server.steer: connections to {address} cannot be steered: {error}"));
            steer::attach(&listeners[0], &topology.bid).map_err(refused)?;
            let cpus = &topology.bid;
            log::info!(
                "a connection goes to the bid core of the CPU that receives it: CPUs {cpus:?}, in the order of the cores"
            );
        }
        Ok(Reserved { launch: self, topology, listeners, address })
    }

    /// [`Launch::bind`] and [`Reserved::start`].
    ///
    /// # Errors
    /// The first thing that cannot be had: a file with its line, a key, an address, a CPU, the ledger.
    pub fn start(self) -> Result<Node, LaunchError> {
        self.bind()?.start()
    }

    /// The same, with a store to ask for users whom a bid core does not know. `source` is made on the stores thread.
    ///
    /// # Errors
    /// As [`Launch::start`].
    pub fn start_fetching<S: ProfileSource + 'static>(
        self,
        source: impl FnOnce() -> S + Send + 'static,
    ) -> Result<Node, LaunchError> {
        self.bind()?.start_with(Some(start_stores(|_| Ok(source()))), None)
    }
}

impl Reserved {
    /// The configuration it was made for.
    pub fn config(&self) -> &Config {
        &self.launch.config
    }

    /// The files that are watched while it runs.
    pub fn source(&self) -> &Source {
        &self.launch.source
    }

    /// Starts everything; returns once every bid core runs. Whether it is funded yet, [`Node::is_funded`] tells.
    ///
    /// # Errors
    /// The first thing that cannot be had: a file with its line, a key, the ledger.
    pub fn start(self) -> Result<Node, LaunchError> {
        let config = &self.launch.config;
        let base = sealed_base(config)?;
        let (erasures, asks) = mpsc::channel(erase::ASKS);
        #[cfg(feature = "stores")]
        if let Some(dynamodb) = &config.stores.dynamodb {
            let fleet = Fleet::of(config, dynamodb, base).map_err(failed)?;
            // A node that has campaigns from there, and nothing of users, needs no thread for it.
            let start = fleet.knows_users().then(|| start_fleet(fleet, asks));
            let erasures = start.is_some().then_some(erasures);
            return self.start_with(start, erasures);
        }
        let Some(base) = base else { return self.start_with(None, None) };
        let source = move |_| {
            let profiles = Rc::new(base);
            let erased = profiles.clone();
            spawn_local(async move { erase::serve(asks, &*erased, &erase::Alone).await });
            Ok(profiles)
        };
        self.start_with(Some(start_stores(source)), Some(erasures))
    }

    fn start_with(
        self,
        start_stores: Option<StartStores>,
        erasures: Option<mpsc::Sender<Erase>>,
    ) -> Result<Node, LaunchError> {
        let Reserved { launch: Launch { config, source, make_keys, busy_work }, topology, listeners, address } = self;
        let server = &config.server;
        let (notice_key, user_key) = keys(&config, make_keys)?;
        let before = bounds::resident();
        let data = Data::load(source, &user_key).map_err(failed)?;
        data.check(&config).map_err(failed)?;
        let loaded = Loaded { campaigns: data.campaigns().len(), before, after: bounds::resident() };
        let connections = bounds::connections(&config, bounds::descriptors(), topology.bid.len());
        let bound = Bound::of(&config, topology.bid.len(), connections, loaded);
        let audit_file = audit::open(&config.audit).map_err(failed)?;
        let training_dir = training::open(&config.training).map_err(failed)?;
        let read = |ingress: &config::Ingress| Certificate::read(&ingress.cert_file, &ingress.key_file);
        let certificate = config.ingress.as_ref().map(read).transpose().map_err(failed)?;

        // In the order of the cores: the n-th to listen is the n-th that steering knows.
        for listener in &listeners {
            listener.listen().map_err(|error| failed(format!("cannot listen on {address}: {error}")))?;
        }

        let prefault = config.process.mlock != Effort::Off;
        let mut wakers = Vec::new();
        let mut cores = Vec::new();
        let mut ends = Vec::new();
        let (stores_waker, stores_wakeup) = wake::pair().map_err(failed)?;
        let mut stores_ends = Vec::new();
        let mut stalls_ends = Vec::new();
        let mut captures_ends = Vec::new();
        for listener in listeners {
            let (mut events, event_receiver) = spsc::events();
            let (waker, wakeup) = wake::pair().map_err(failed)?;
            let mut source = None;
            let mut stores = None;
            if start_stores.is_some() {
                let (misses, missed) = spsc::ring(crate::limits::MISSES);
                let (teller, told) = spsc::ring(crate::limits::FETCHED);
                let (returned, back) = spsc::ring(crate::limits::FETCHED);
                let profiles = &config.profiles;
                let budget_ns = u64::from(profiles.fetch_budget_us) * 1_000;
                source = Some(miss::Source { misses, budget_ns, on_miss: profiles.on_miss });
                stores = Some(StoresEnds { told, returned, waker: stores_waker.another().map_err(failed)? });
                let waker = waker.another().map_err(failed)?;
                stores_ends.push(stores::CoreEnds { misses: missed, told: teller, returned: back, waker });
            }
            wakers.push(waker.another().map_err(failed)?);
            let (mut order_sender, orders) = spsc::orders(waker);
            if prefault {
                events.prefault();
                order_sender.prefault();
            }
            let (snapshots, arriving) = spsc::boxes();
            let (retired, retired_receiver) = spsc::boxes();
            ends.push(CoreEnds { events: event_receiver, orders: order_sender, snapshots, retired: retired_receiver });
            let (debug_header, busy_work) = (server.debug_header, busy_work.clone());
            let (stalls, rounds) = spsc::ring(stalls::CROSSING);
            let (told, late) = spsc::ring(flight::CROSSING);
            stalls_ends.push(Told { rounds, late });
            let tail = Tail { threshold_ns: config.tail.threshold_ns(), told };
            let (capture_orders, ordered) = spsc::ring(crate::limits::CAPTURE_ORDERS);
            let (copying, copies) = spsc::ring(crate::limits::CAPTURE_RING);
            captures_ends.push((capture_orders, copies));
            let tap = Tap::new(ordered, copying);
            let health = Health {
                path: server.health_path.as_str().into(),
                ok: server.health_ok,
                not_ready: server.health_not_ready,
            };
            let fittings =
                Fittings { orders, arriving, retired, stores, stalls, tap, tail, health, debug_header, busy_work };
            cores.push((listener, wakeup, events, fittings, source));
        }

        let (commands, receiver) = sync_channel(COMMANDS);
        let (wire, leasing) = leases(topology.housekeeping(&Topology::allowed()), &config)?;
        let options = reconciliation::Options {
            dir: config.data.dir.clone(),
            cpu: Some(topology.reconcile),
            segment_bytes: reconciliation::SEGMENT_BYTES,
            head_file: config.data.head_file.clone(),
            slots: data.campaigns().len(),
            paths: config.supply.paths,
            settings: Settings {
                node: config.node(),
                cores: u8::try_from(topology.bid.len()).expect("at most MAX_BID_CORES"),
                horizons: horizons(&config),
                parts: if wire.is_some() { Parts::Advertisers } else { Parts::One },
            },
        };
        let reconciliation = reconciliation::spawn(options, wire, ends, receiver).map_err(failed)?;
        let mut deltas = None;
        let shares_counts = start_stores.is_some() && config.stores.valkey.is_some();
        if shares_counts {
            let (crossing, crossed) = spsc::ring(crate::limits::DELTAS_CROSSING);
            commands.send(Command::ShareCounts(crossing)).map_err(failed)?;
            deltas = Some(crossed);
        }
        let mut outcomes = None;
        if training_dir.is_some() {
            let (crossing, crossed) = spsc::ring(crate::limits::OUTCOMES);
            commands.send(Command::LogOutcomes(crossing)).map_err(failed)?;
            outcomes = Some(crossed);
        }
        commands.send(Command::Limits(limits(&config))).map_err(failed)?;
        commands.send(Command::Exchanges(horizon_of_each(&config))).map_err(failed)?;
        commands.send(Command::Lessons(lessons(&config))).map_err(failed)?;
        commands.send(Command::Counted(counted(&data))).map_err(failed)?;
        commands.send(Command::Spends(spends(&data))).map_err(failed)?;
        commands.send(Command::Campaigns(funding(&data))).map_err(failed)?;

        let process = Process {
            incarnation: reconciliation.registered.incarnation,
            first_worker: reconciliation.registered.first_worker,
            not_before: reconciliation.registered.ids_from,
            base: server.public_url.clone().unwrap_or_else(|| format!("http://{address}")),
        };
        let panel = Arc::new(Panel::new(wakers));
        let net =
            CoreNet { backend: server.backend, waiting: server.wait, connections, prefault, ..CoreNet::default() };
        let (started, all_started) = sync_channel(cores.len());
        let mut metrics = Vec::new();
        let mut bids = Vec::new();
        let (mut records, mut rows) = (Vec::new(), Vec::new());
        for (index, (listener, wakeup, events, fittings, source)) in cores.into_iter().enumerate() {
            let core = CoreId(u8::try_from(index).expect("at most MAX_BID_CORES"));
            let auditor = audit_file.is_some().then(|| {
                let (sender, receiver) = spsc::ring(crate::limits::AUDITED);
                records.push(receiver);
                Auditor::new(config.audit.sample.get(), sender)
            });
            let row_log = training_dir.as_ref().map(|opened| {
                let (sender, receiver) = spsc::ring(crate::limits::ROWS);
                rows.push(receiver);
                RowLog::new(opened.schema().clone(), Sample::of(config.training.sample.get()), sender)
            });
            let seed = Seed::new(&config, core, process.clone(), &notice_key, &data).map_err(failed)?;
            let seed = seed.audited(auditor).logging(row_log).asking(source).sharing(shares_counts);
            // Lives as long as the process: scrapes may come until the very end.
            let names = config.exchanges.iter().map(|exchange| exchange.name.as_str());
            let counts = CoreMetrics::new(config.supply.paths).with_exchanges(names);
            let counts: &'static CoreMetrics = Box::leak(Box::new(counts));
            metrics.push(counts);
            let cpu = topology.bid[index];
            let started = started.clone();
            let steered_from = (server.steer == Steering::Cpu).then_some(cpu);
            let net = CoreNet { bell: Some(panel.bell(core)), steered_from, ..net };
            let bid = thread::Builder::new().name(format!("bid-{index}")).spawn(move || {
                if !core_affinity::set_for_current(core_affinity::CoreId { id: cpu }) {
                    log::warn!("bid-{index} cannot be pinned to CPU {cpu} and runs where the kernel puts it");
                }
                let bidder = Bidder::new(BidCore::new(seed, events, counts), fittings);
                run_core(&net, listener, wakeup, bidder, || {
                    let _ = started.send(());
                })
            });
            bids.push(bid.map_err(failed)?);
        }
        drop(started);
        for _ in &bids {
            if all_started.recv().is_err() {
                let why = bids.into_iter().find(JoinHandle::is_finished).and_then(|bid| bid.join().ok()?.err());
                return Err(failed(format!(
                    "a bid core did not start: {}",
                    why.map_or("it panicked".into(), |why| why.to_string())
                )));
            }
        }

        let gauges = reconciliation.gauges.clone();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Cores(metrics.clone())));
        registry.register_collector(Box::new(Exchanges(metrics.clone())));
        registry.register_collector(Box::new(Reconciliation(gauges.clone())));
        registry.register_collector(Box::new(Steps::begin()));
        if let Some(leasing) = leasing {
            registry.register_collector(leasing);
        }
        let exchanges: Vec<String> = config.exchanges.iter().map(|exchange| exchange.name.clone()).collect();
        let housekeeping = topology.housekeeping(&Topology::allowed());
        let watch = Watch::start(stalls_ends, housekeeping).map_err(failed)?;
        registry.register_collector(Box::new(stalls::watch::Metrics(watch.stalls.clone())));
        registry.register_collector(Box::new(flight::records::Metrics(watch.records.clone())));
        let mut stores = None;
        if let Some(start) = start_stores {
            let spreading = Arc::new(Spreading::default());
            if shares_counts {
                registry.register_collector(Box::new(Spreads(spreading.clone())));
            }
            let beside = Beside { commands: commands.clone(), gauges: gauges.clone(), deltas, spreading };
            let started = start(housekeeping, stores_ends, stores_wakeup, beside).map_err(failed)?;
            registry.register_collector(Box::new(Fetches(started.counts.clone())));
            stores = Some(started);
        }
        let mut audit_log = None;
        if let Some(opened) = audit_file {
            let source = audit::Source { rings: records, cores: metrics.clone(), exchanges: exchanges.clone() };
            let log = opened.start(source, housekeeping).map_err(failed)?;
            registry.register_collector(Box::new(audit::Metrics(log.counts.clone())));
            audit_log = Some(log);
        }
        let mut training_log = None;
        if let Some((opened, outcomes)) = training_dir.zip(outcomes) {
            let source = training::Source { rows, outcomes, exchanges: exchanges.clone() };
            let log = opened.start(source, housekeeping).map_err(failed)?;
            registry.register_collector(Box::new(training::Metrics(log.counts.clone())));
            training_log = Some(log);
        }
        let mut ingress = None;
        if let Some((section, certificate)) = config.ingress.as_ref().zip(certificate) {
            let started = Ingress::start(section, certificate, address, housekeeping).map_err(failed)?;
            registry.register_collector(Box::new(Ingressed(started.counts.clone())));
            ingress = Some(started);
        }
        let of_core = |((orders, copies), metrics)| capture::CoreEnds::new(orders, copies, metrics);
        let captures = captures_ends.into_iter().zip(metrics.iter().copied()).map(of_core).collect();
        let origin = Origin { node: config.node().0, exchanges: exchanges.clone(), cpu: housekeeping };
        let captures = Control::new(origin, captures);
        let paths = config.supply.paths.then(|| Paths {
            cores: metrics.clone(),
            sales: gauges.clone(),
            exchanges,
            currency: config.data.currency,
        });
        let arms = Arc::new(Arms::new(metrics.clone(), gauges.clone()));
        registry.register_collector(Box::new(arms::Metrics(arms.clone())));
        let (reloads, asked) = reload::asks();
        let observed = Arc::new(Observed {
            registry,
            cores: metrics.clone(),
            paths,
            stalls: watch.stalls.clone(),
            tail: watch.records.clone(),
            tail_threshold_us: config.tail.threshold_us,
            operator: Some(Operator::new(commands.clone())),
            users: Some(Users::new(&config, data.users.clone(), data.profiles.clone(), erasures)),
            ingress: ingress.as_ref().map(|ingress| ingress.control.clone()),
            captures: Some(captures),
            rollout: Some(Rollout { arms: arms.clone(), reloads: reloads.clone() }),
            draining: false.into(),
        });
        let reloader = Some((Reloader::new(data, commands.clone(), bids.len(), arms), asked));
        let admin = server.admin;
        Ok(Node {
            address,
            admin,
            observed,
            metrics,
            bound,
            loaded,
            gauges,
            panel,
            housekeeping,
            reloader,
            reloads,
            commands,
            reconciliation,
            bids,
            audit_log,
            training_log,
            watch,
            stores,
            ingress,
        })
    }
}

/// With the stores of a fleet.
#[cfg(feature = "stores")]
fn start_fleet(fleet: Fleet, asks: mpsc::Receiver<Erase>) -> StartStores {
    start_stores(move |Beside { commands, gauges, deltas, spreading }| {
        fleet.begin(stores::start::Beside { commands, gauges, asks, deltas, spreading })
    })
}

fn start_stores<S: ProfileSource + 'static>(
    source: impl FnOnce(Beside) -> io::Result<S> + Send + 'static,
) -> StartStores {
    let settings = FetchSettings {
        timeout: Duration::from_nanos(crate::limits::FETCH_TIMEOUT_NS),
        seed: RandomState::new().hash_one(()),
    };
    Box::new(move |cpu, ends, wakeup, beside| stores::spawn(cpu, settings, ends, wakeup, || source(beside)))
}

/// Sealed profiles on this machine's disk, and the keys to them, if they are configured.
fn sealed_base(config: &Config) -> Result<Option<SealedProfiles<Base, KeyFile>>, LaunchError> {
    let (Some(folder), Some(key_file)) = (&config.profiles.base, &config.profiles.key_file) else {
        return Ok(None);
    };
    let base = Base::open(folder).map_err(failed)?;
    if !base.is_sealed() {
        return Err(failed(format!("{}: its profiles are not sealed", folder.display())));
    }
    let fleet = FleetKeys::read(key_file).map_err(failed)?;
    make_data_directory(config)?;
    let path = config.data.dir.join(keyfile::NAME);
    let store = KeyFile::open(&path).map_err(|error| failed(format!("{}: {error}", path.display())))?;
    Ok(Some(SealedProfiles::new(base, Keyring::new(fleet, store))))
}

impl Node {
    /// The campaigns it bids for.
    ///
    /// # Panics
    /// After [`Node::reload_apart`].
    pub fn campaigns(&self) -> &[crate::snapshot::campaign::Campaign] {
        self.reloader.as_ref().expect(APART).0.campaigns()
    }

    /// Reads what may have changed again, on this thread, and hands every core a new snapshot; the files that stay in use as
    /// they were.
    ///
    /// # Panics
    /// After [`Node::reload_apart`].
    pub fn reload(&mut self) -> Vec<Kept> {
        self.reloader.as_mut().expect(APART).0.reload()
    }

    /// From now on a thread of its own reloads, off the bid cores, when it is asked to.
    ///
    /// # Errors
    /// The kernel gives no thread.
    ///
    /// # Panics
    /// When called twice.
    pub fn reload_apart(&mut self) -> io::Result<Reloads> {
        let (reloader, asked) = self.reloader.take().expect(APART);
        reloader.spawn(self.housekeeping, asked)?;
        Ok(self.reloads.clone())
    }

    /// Whether every bid core holds a living lease, so that it can bid.
    pub fn is_funded(&self) -> bool {
        self.observed.is_funded()
    }

    /// What the fetches of profiles count, if there is a store to ask.
    pub fn fetches(&self) -> Option<&FetchCounts> {
        self.stores.as_ref().map(|stores| &*stores.counts)
    }

    /// Whether a thread ended that should not have.
    pub fn has_failed(&self) -> bool {
        self.reconciliation.is_finished()
            || self.bids.iter().any(JoinHandle::is_finished)
            || self.stores.as_ref().is_some_and(Stores::is_finished)
    }

    /// Makes a thread panic later on, to see what becomes of it.
    ///
    /// # Errors
    /// There is no such core, or the kernel gives no thread.
    #[allow(clippy::disallowed_methods, reason = "a thread of its own waits")]
    pub fn drill(&self, drill: Drill) -> io::Result<()> {
        if matches!(drill.who, Who::Bid(core) if usize::from(core.0) >= self.panel.cores()) {
            return Err(io::Error::other("a drill for a bid core that is not there"));
        }
        let (panel, commands) = (self.panel.clone(), self.commands.clone());
        let run = move || {
            thread::sleep(drill.after);
            match drill.who {
                Who::Bid(core) => panel.drill(core),
                Who::Reconcile => _ = commands.send(Command::Panic),
                Who::Housekeeping => panic!("a drill: a thread of housekeeping was told to panic"),
            }
        };
        thread::Builder::new().name("drill".into()).spawn(run).map(drop)
    }

    /// Stops accepting, answers what is framed, empties the rings, syncs the ledger.
    ///
    /// # Errors
    /// A thread that had failed before, or records that could not be synced in time.
    pub fn drain(self) -> Result<(), LaunchError> {
        // First, so that what it has taken up is answered before the bid port closes.
        self.ingress.iter().for_each(Ingress::end);
        let _ = self.commands.send(Command::Stop);
        for (index, bid) in self.bids.into_iter().enumerate() {
            match bid.join() {
                Ok(ended) => drop(ended.map_err(|error| failed(format!("bid-{index}: {error}")))?),
                Err(_) => return Err(failed(format!("bid-{index} panicked"))),
            }
        }
        if let Some(ingress) = self.ingress {
            ingress.join();
        }
        if let Some(stores) = self.stores {
            stores.close().map_err(|error| failed(format!("stores: {error}")))?;
        }
        if let Some(log) = self.audit_log {
            log.close();
        }
        self.watch.close();
        let ended = self.reconciliation.join();
        // Last, so that it has all that became of its bids.
        if let Some(log) = self.training_log {
            log.close();
        }
        match ended {
            Ok(Ended::Clean) => Ok(()),
            Ok(Ended::Cut) => {
                Err(failed("the ledger could not be synced in time; what was not acknowledged stays charged"))
            }
            Err(_) => Err(failed("the reconciliation core panicked: an account did not add up")),
        }
    }
}

fn make_data_directory(config: &Config) -> Result<(), LaunchError> {
    let dir = &config.data.dir;
    embedded::make_durable(dir)
        .map_err(|error| failed(format!("{}: cannot make the data directory: {error}", dir.display())))
}

fn keys(config: &Config, make: bool) -> Result<(Key, Key), LaunchError> {
    let data = &config.data;
    make_data_directory(config)?;
    let read = if make { Key::read_or_make } else { Key::read };
    Ok((read(&data.notice_key_file).map_err(failed)?, read(&data.user_key_file).map_err(failed)?))
}

/// Where the accounts are kept, if not here: the way there, and what is counted on it.
type Accounts = (Option<Wire>, Option<Box<dyn Collector>>);

#[cfg(feature = "stores")]
fn leases(cpu: usize, config: &Config) -> Result<Accounts, LaunchError> {
    use crate::stores::leases::{counts::Leasing, start};
    let started = start(cpu, &config.stores).map_err(failed)?;
    Ok(started.map_or((None, None), |(wire, counts)| (Some(wire), Some(Box::new(Leasing(counts)) as _))))
}

#[cfg(not(feature = "stores"))]
fn leases(_: usize, _: &Config) -> Result<Accounts, LaunchError> {
    Ok((None, None))
}

fn horizon_of_each(config: &Config) -> Vec<(ExchangeKey, u64)> {
    config.exchanges.iter().map(|exchange| (ExchangeKey::of(&exchange.name), exchange.rules.h2_ms())).collect()
}

fn lessons(config: &Config) -> Vec<Lessons> {
    let of = |exchange: &config::Exchange| Lessons {
        name: exchange.name.as_str().into(),
        arm: exchange.shading.arm,
        judged_ns: u64::from(exchange.shading.judge_seconds) * Nanos::SECOND,
        silence_is_loss: exchange.shading.silence == Silence::Lost,
    };
    config.exchanges.iter().map(of).collect()
}

fn horizons(config: &Config) -> Horizons {
    let all = || config.exchanges.iter().map(|exchange| exchange.rules.h2_ms());
    let usual = Horizons::default();
    Horizons { shortest: all().min().unwrap_or(usual.shortest), longest: all().max().unwrap_or(usual.longest) }
}

fn limits(config: &Config) -> Vec<Limit> {
    let exchanges = config.exchanges.iter().zip(0..);
    exchanges.filter_map(|(exchange, id)| Some(Limit { exchange: ExchangeId(id), qps: exchange.qps? })).collect()
}
