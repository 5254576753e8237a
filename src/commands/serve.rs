//! `corebid serve`: the bidder, its admin port, its signals and its files.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use clap::builder::RangedI64ValueParser;
use clap::{Args as ClapArgs, value_parser};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::admin;
use crate::admin::bounded::Bounded;
use crate::bid::busy::BusyWork;
use crate::bid::net::{Steering, Waiting};
use crate::bid::server::Backend;
use crate::bounds;
use crate::commands::Failure;
use crate::config::Config;
use crate::harden;
use crate::harden::panic::Drill;
use crate::launch::{Launch, Node};
use crate::limits;
use crate::reload::Reloads;
use crate::snapshot::data::Source;

/// What `corebid serve` is told. What is given here goes before the configuration.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The configuration (docs/CONFIGURATION.md)
    #[arg(long, required_unless_present = "demo")]
    config: Option<PathBuf>,
    /// Where exchanges connect
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Metrics and health
    #[arg(long)]
    admin: Option<SocketAddr>,
    /// CPUs of the bid cores
    #[arg(long, value_delimiter = ',')]
    cores: Option<Vec<usize>>,
    /// CPU of the reconciliation core
    #[arg(long)]
    reconcile_core: Option<usize>,
    /// Where the ledger lives
    #[arg(long)]
    data: Option<PathBuf>,
    /// Without a configuration: built-in campaigns, or N synthetic ones with overlapping predicates
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, conflicts_with = "config", value_parser = demo())]
    demo: Option<Option<u32>>,
    /// With `--demo`: most campaigns pay by click, as the built-in model of 100 trees says how likely one is
    #[arg(long, requires = "demo")]
    score: bool,
    /// How a bid core waits: block, hybrid or spin
    #[arg(long)]
    wait: Option<Waiting>,
    /// What serves the sockets: io_uring or epoll
    #[arg(long)]
    backend: Option<Backend>,
    /// Which bid core takes a connection: off, a hash says; cpu, the one of the CPU that receives it (docs/STEERING.md)
    #[arg(long)]
    steer: Option<Steering>,
    /// Make each request take so many percent more of a bid core's busy time, to calibrate performance gates (docs/GATE.md)
    #[arg(long, value_name = "PCT", default_value_t = 0.0)]
    pub(super) busy_work: f64,
    /// Let a thread panic: bid-N, reconcile or housekeeping, a colon, milliseconds after the start (docs/HARDENING.md)
    #[arg(long, value_name = "WHO:MS", hide = true)]
    drill_panic: Option<Drill>,
}

/// How many campaigns `--demo=N` can ask for: those there are slots for.
pub(super) fn demo() -> RangedI64ValueParser<u32> {
    value_parser!(u32).range(..=limits::SLOTS as i64)
}

/// How often files are looked at for a change.
const WATCH: Duration = Duration::from_secs(1);
/// How often it is looked whether the cores are funded, before `ready`.
const POLL: Duration = Duration::from_millis(2);

/// Runs it until SIGTERM or SIGINT.
pub fn run(args: &Args) -> Result<(), Failure> {
    let demo = args.demo;
    bounds::raise_descriptors();
    let reserved = launch(args)?.bind()?;
    // While this is the only thread.
    let enclosed = harden::enclose(reserved.config(), reserved.address.port())?;
    #[cfg(feature = "stores")]
    let feeds = crate::feed::Feeds::begin(reserved.config()).map_err(Failure::new)?;
    // Before they are read, so that a change while the bidder starts is seen.
    let files = Stamps::of(reserved.source().watched());
    let mut node = reserved.start()?;
    harden::panic::install(node.panel.clone());
    log::info!("{}", node.bound);
    let (admin, campaigns) = (node.admin, node.campaigns().len());
    let reloads = node.reload_apart()?;
    #[cfg(feature = "stores")]
    let _feeding = feeds.map(|feeds| feeds.spawn(node.housekeeping)).transpose()?;
    // Scrapes, too, must not take time from a bid core.
    crate::topology::pin_beside(node.housekeeping, "housekeeping");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let metrics = node.metrics.clone();
    if let Err(error) = enclosed.seal() {
        node.drain()?;
        return Err(error.into());
    }
    if let Some(drill) = args.drill_panic {
        node.drill(drill)?;
    }
    let ended = runtime.block_on(housekeeping(node, admin, campaigns, &reloads, files));
    if let Some(Some(campaigns)) = demo {
        let sum =
            |read: fn(&crate::metrics::core::CoreMetrics) -> u64| metrics.iter().map(|core| read(core)).sum::<u64>();
        let (bids, requests) = (sum(|core| core.bids.get()), sum(|core| core.requests.get()));
        let share = bids as f64 / requests.max(1) as f64;
        eprintln!("demo={campaigns}: {bids} bids for {requests} requests, a share of {share:.4}");
    }
    ended
}

fn launch(args: &Args) -> Result<Launch, Failure> {
    let (config, source) = asked(args)?;
    let busy_work = BusyWork::new(args.busy_work, config.server.wait);
    Ok(Launch { config, source, make_keys: args.demo.is_some(), busy_work })
}

/// The configuration that was asked for, and where its data come from.
pub(super) fn asked(args: &Args) -> Result<(Config, Source), Failure> {
    if !(0.0..=10_000.0).contains(&args.busy_work) {
        return Err(Failure::usage(format!("--busy-work {}: a percentage from 0 to 10000", args.busy_work)));
    }
    let mut config = match &args.config {
        Some(path) => Config::load(path)?,
        None => Config::demo(args.data.as_deref().unwrap_or(Path::new("corebid-data"))),
    };
    let server = &mut config.server;
    server.listen = args.listen.unwrap_or(server.listen);
    server.admin = args.admin.unwrap_or(server.admin);
    server.cores = args.cores.clone().or(server.cores.take());
    server.reconcile_core = args.reconcile_core.or(server.reconcile_core);
    server.wait = args.wait.unwrap_or(server.wait);
    server.backend = args.backend.unwrap_or(server.backend);
    server.steer = args.steer.unwrap_or(server.steer);
    if let Some(dir) = &args.data {
        config.data.dir.clone_from(dir);
    }
    let source = match &args.config {
        Some(_) => Source::files(&config),
        None if args.score && args.demo == Some(None) => Source::Scored,
        None if args.score => {
            return Err(Failure::usage("--score: for the built-in campaigns, `--demo` without a number"));
        }
        None => Source::demo(args.demo.flatten()),
    };
    Ok((config, source))
}

async fn housekeeping(
    node: Node,
    admin: SocketAddr,
    campaigns: usize,
    reloads: &Reloads,
    mut files: Stamps,
) -> Result<(), Failure> {
    let listener = match TcpListener::bind(admin).await {
        Ok(listener) => listener,
        Err(error) => {
            node.drain()?;
            return Err(Failure::new(format!("cannot listen on {admin} for the admin port: {error}")));
        }
    };
    let observed = node.observed.clone();
    let admin = listener.local_addr()?;
    let serving = tokio::spawn(async move { axum::serve(Bounded::new(listener), admin::router(observed)).await });
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let mut watch = tokio::time::interval(WATCH);
    let mut poll = tokio::time::interval(POLL);
    let mut ready = false;
    loop {
        tokio::select! {
            _ = term.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reloads.ask(),
            _ = poll.tick(), if !ready => {
                if node.is_funded() {
                    ready = true;
                    log::info!("bids on http://{}, admin on http://{admin}, {campaigns} campaigns", node.address);
                    println!("ready");
                }
                if node.has_failed() {
                    break;
                }
            }
            _ = watch.tick() => {
                let now = files.again();
                if now != files {
                    files = now;
                    reloads.ask();
                }
                if node.has_failed() {
                    break;
                }
            }
        }
    }
    node.observed.draining.store(true, Ordering::Relaxed);
    let drained = tokio::task::spawn_blocking(move || node.drain()).await;
    serving.abort();
    Ok(drained??)
}

/// When files were last changed, and how long they are.
#[derive(Debug, PartialEq, Eq)]
struct Stamps(HashMap<PathBuf, Option<(SystemTime, u64)>>);

impl Stamps {
    fn of<'f>(files: impl Iterator<Item = &'f Path>) -> Stamps {
        let stamp = |file: &Path| {
            let data = std::fs::metadata(file).ok()?;
            Some((data.modified().ok()?, data.len()))
        };
        Stamps(files.map(|file| (file.to_owned(), stamp(file))).collect())
    }

    /// Of the same files, now.
    fn again(&self) -> Stamps {
        Stamps::of(self.0.keys().map(PathBuf::as_path))
    }
}
