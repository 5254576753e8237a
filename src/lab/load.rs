//! `corebid load`: open-loop load, latency counted from when each request was *due*.
//!
//! A generator that waits for an answer before it sends the next request stops asking just when the server is slow, and
//! its percentiles leave the slow time out ("coordinated omission"). Here a schedule says when each request is due
//! whatever came before it ([`crate::lab::schedule`]), and its latency counts from that time.
//!
//! **One request per connection at a time** by default, as exchanges do it (exchange rules A.3): when every connection is
//! busy the next request waits, and its waiting counts. `pipeline` allows more on one connection, where an answer may
//! wait behind the one before it.
//!
//! A generator spins between requests: one that sleeps measures its own waking up. Several of them, each on a core of its own,
//! share one schedule from one start: each takes every so manieth request. What they measured is added up in histograms.

mod generator;
mod tally;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::Builder;

use crate::clock;
use crate::lab::deck::Deck;
use crate::lab::pool::Pool;
use crate::lab::recording::Recording;
use crate::lab::report::Report;
use crate::lab::requests::{Fields, Requests, read_ndjson};
use crate::lab::schedule::{Arrivals, Plan, Schedule, is_length};
use crate::lab::target::{BadTarget, Target};
use crate::lab::thread;
use crate::market::corpus;
use crate::units::Nanos;
use generator::Generator;
use tally::Tally;

/// From the moment at which the generators are started until the schedule begins, ns: so that all of them are there.
const LEAD_NS: u64 = 5 * Nanos::MS;
/// Most generators.
const MOST_CORES: usize = 64;
/// More than machines are asked for; each costs something at the end of a run, sent or not.
const MOST_RATE: u64 = 10_000_000;

/// Where the requests come from.
#[derive(Clone, Debug, Default)]
pub enum Source {
    /// The built-in corpus.
    #[default]
    BuiltIn,
    /// Files of bodies, one a line, and how often each is drawn from beside the others. One file is sent in its order.
    Corpora(Vec<(PathBuf, u32)>),
    /// What a bidder recorded, at the times at which it came: rate, seconds and arrivals are the recording's.
    Recorded(Arc<Recording>),
}

impl Source {
    /// One file of bodies.
    pub fn file(path: impl Into<PathBuf>) -> Source {
        Source::Corpora(vec![(path.into(), 1)])
    }
}

/// What to send, where, and how fast.
#[derive(Clone, Debug)]
pub struct Options {
    /// `http://HOST:PORT/openrtb/EXCHANGE`; of a recording each request names its own exchange.
    pub url: String,
    /// Requests per second; ignored when saturating.
    pub rate: u64,
    /// Requests per second at which a linear ramp up or down to `rate` begins.
    pub ramp_from: Option<u64>,
    /// In which order requests arrive at that rate.
    pub arrivals: Arrivals,
    /// Length of the schedule, seconds.
    pub seconds: f64,
    /// Time before it in which requests are sent and nothing is counted, seconds. Of a recording its beginning.
    pub warm_up: f64,
    /// Connections, over all generators.
    pub connections: usize,
    /// Requests on one connection at a time, at least 1.
    pub pipeline: usize,
    /// The core of the generator; `None` leaves it to the scheduler.
    pub core: Option<usize>,
    /// A generator on each of these cores, instead of one on `core`.
    pub cores: Vec<usize>,
    /// What to send.
    pub source: Source,
    /// Of what is drawn: arrivals, and the order of corpora.
    pub seed: u64,
    /// Where to write an HDR interval log.
    pub hdr: Option<PathBuf>,
    /// Closed loop: every connection always has `pipeline` requests. For capacity, never for latency.
    pub saturate: bool,
    /// Send `x-debug: 1`, without which the bidder does not say which 204s were shed.
    pub debug: bool,
    /// Send every body in gzip, compressed before the run, and accept answers in gzip.
    pub gzip: bool,
    /// A request that could not be sent within so many ms of when it was due is dropped and counted as unsent, as an exchange
    /// does whose patience is over. `None` sends however late.
    pub give_up_ms: Option<f64>,
    /// Where somebody may watch, or end the run.
    pub live: Option<Arc<Live>>,
}

/// A run that is on, for another thread. Its warm-up is counted too.
#[derive(Debug, Default)]
pub struct Live {
    /// Set to send nothing more: the run ends as if its time were over.
    pub stop: AtomicBool,
    /// Requests sent.
    pub sent: AtomicU64,
    /// Requests answered, whatever the status.
    pub answered: AtomicU64,
    /// Answers 200.
    pub bids: AtomicU64,
    /// 204s whose `x-nobid-reason` is `shed` or `stalled`.
    pub shed: AtomicU64,
    /// Requests whose connection broke.
    pub lost: AtomicU64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            url: String::new(),
            rate: 1000,
            ramp_from: None,
            arrivals: Arrivals::Constant,
            seconds: 10.0,
            warm_up: 0.0,
            connections: 64,
            pipeline: 1,
            core: None,
            cores: Vec::new(),
            source: Source::BuiltIn,
            seed: 1,
            hdr: None,
            saturate: false,
            debug: true,
            gzip: false,
            give_up_ms: None,
            live: None,
        }
    }
}

/// Why a run could not be made.
#[derive(Debug)]
pub enum Error {
    /// The URL.
    Target(BadTarget),
    /// An option has a value that makes no sense; which, and why.
    Option(&'static str, String),
    /// The corpus cannot be read.
    Corpus(PathBuf, io::Error),
    /// The log cannot be written. The run was made.
    Log(PathBuf, io::Error),
    /// No connection could be opened.
    Connect(Target, io::Error),
    /// The core does not exist or is not ours to use.
    Pin(usize),
    /// The kernel refused to wait for events.
    Poll(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Target(bad) => write!(f, "--url: {bad}"),
            Error::Option(name, why) => write!(f, "--{name}: {why}"),
            Error::Corpus(path, error) => write!(f, "--corpus {}: {error}", path.display()),
            Error::Log(path, error) => write!(f, "--hdr {}: {error}", path.display()),
            Error::Connect(target, error) => {
                write!(f, "no connection to {}: {error}; is the bidder running there?", target.authority)
            }
            Error::Pin(core) => write!(f, "--core {core}: this process may not run on that core"),
            Error::Poll(error) => write!(f, "cannot wait for answers: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// Makes one run: blocks for its warm-up, its length, and at most a second more.
pub fn run(options: &Options) -> Result<Report, Error> {
    let target = Target::parse(&options.url).map_err(Error::Target)?;
    check(options)?;
    let requests = requests(options, &target)?;
    let cores = match options.cores.as_slice() {
        [] => vec![options.core],
        cores => cores.iter().copied().map(Some).collect(),
    };
    if let Some(core) = cores.iter().flatten().find(|core| !thread::may_pin(**core)) {
        return Err(Error::Pin(*core));
    }
    let mut pools = Vec::with_capacity(cores.len());
    for which in 0..cores.len() {
        // The first ones have one more where they cannot be divided evenly; each has at least one.
        let connections = (options.connections + cores.len() - 1 - which) / cores.len();
        match Pool::open(target.address, connections, options.pipeline) {
            Ok(pool) => pools.push(pool),
            Err(error) => return Err(Error::Connect(target, error)),
        }
    }
    let schedule = schedule(options);
    let tallies = std::thread::scope(|scope| {
        let generators: Vec<_> = cores
            .iter()
            .zip(pools)
            .enumerate()
            .map(|(which, (core, pool))| {
                let part = schedule.clone().share(which as u64, cores.len() as u64);
                let name = if cores.len() == 1 { "load".to_owned() } else { format!("load-{which}") };
                let requests = &requests;
                Builder::new().name(name).spawn_scoped(scope, move || {
                    // A generator has a thread of its own, so that pinning it binds nothing else.
                    match core {
                        Some(core) if !thread::pin(*core) => Err(Error::Pin(*core)),
                        _ => Generator::new(options, part, pool, requests, *core).run().map_err(Error::Poll),
                    }
                })
            })
            .collect();
        generators
            .into_iter()
            .map(|thread| match thread {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(error) => Err(Error::Poll(error)),
            })
            .collect::<Vec<Result<Tally, Error>>>()
    });
    let mut sum: Option<Tally> = None;
    for tally in tallies {
        match &mut sum {
            None => sum = Some(tally?),
            Some(sum) => sum.add(tally?),
        }
    }
    let sum = sum.expect("there is at least one generator");
    let report = sum.report(options);
    if let Some(path) = &options.hdr {
        sum.latencies.write_log(path).map_err(|error| Error::Log(path.clone(), error))?;
    }
    Ok(report)
}

fn check(options: &Options) -> Result<(), Error> {
    let refuse = |name, why: &str| Err(Error::Option(name, why.to_owned()));
    let recorded = matches!(options.source, Source::Recorded(_));
    if !options.saturate && !recorded && !(1..=MOST_RATE).contains(&options.rate) {
        return refuse("rate", "1 to 10,000,000 requests a second");
    }
    if !is_length(options.seconds) {
        return Err(Error::Option("seconds", format!("{} is not a length of time", options.seconds)));
    }
    if options.warm_up != 0.0 && !is_length(options.warm_up) {
        return Err(Error::Option("warm-up", format!("{} is not a length of time", options.warm_up)));
    }
    if options.ramp_from.is_some() && (options.saturate || recorded) {
        return refuse("ramp-from", "there is no rate to come from");
    }
    if let Arrivals::Beats(count, ms) = options.arrivals {
        let (in_bursts, least) = (count as f64 * 1000.0 / ms, options.rate.min(options.ramp_from.unwrap_or(u64::MAX)));
        if !options.saturate && in_bursts > least as f64 {
            let why = format!("these bursts alone are {in_bursts:.0} requests a second, and the rate is {least}");
            return Err(Error::Option("arrivals", why));
        }
    }
    if let Some(ms) = options.give_up_ms
        && (options.saturate || !is_length(ms))
    {
        let why = format!("{ms} ms is no patience, or there is no schedule to be late by");
        return Err(Error::Option("give-up", why));
    }
    if options.saturate && recorded {
        return refuse("saturate", "a recording has its own times");
    }
    if options.cores.len() > MOST_CORES || options.cores.len() > options.connections.max(1) {
        return refuse("cores", "at most 64 generators, and each needs a connection");
    }
    if options.cores.iter().enumerate().any(|(at, core)| options.cores[..at].contains(core)) {
        return refuse("cores", "two generators on one core measure each other");
    }
    Ok(())
}

fn requests(options: &Options, target: &Target) -> Result<Requests, Error> {
    let fields = Fields { debug: options.debug, gzip: options.gzip };
    let corpora = match &options.source {
        Source::BuiltIn => return Ok(Requests::new(target, &corpus::built_in(), fields)),
        Source::Recorded(recording) => {
            if recording.requests.is_empty() || recording.requests.len() != recording.offsets_ns.len() {
                return Err(Error::Option("recording", "it holds no request, or not as many as times".into()));
            }
            return Ok(Requests::recorded(target, &recording.requests, options.debug));
        }
        Source::Corpora(corpora) => corpora,
    };
    let read = |path: &Path| match read_ndjson(path) {
        Ok(bodies) if bodies.is_empty() => Err(Error::Option("corpus", format!("{} holds no request", path.display()))),
        Ok(bodies) => Ok(bodies),
        Err(error) => Err(Error::Corpus(path.to_owned(), error)),
    };
    let bodies: Vec<_> = corpora.iter().map(|(path, _)| read(path)).collect::<Result<_, _>>()?;
    let weights: Vec<u32> = corpora.iter().map(|(_, weight)| *weight).collect();
    match Deck::new(&weights, options.seed) {
        Some(deck) => Ok(Requests::mixed(target, &bodies, deck, fields)),
        None => Err(Error::Option("corpus", format!("the weights {weights:?} are all 0, or too uneven"))),
    }
}

/// The schedule of all generators, from a little later on.
fn schedule(options: &Options) -> Schedule {
    let start = clock::boot().after(LEAD_NS);
    match &options.source {
        Source::Recorded(recording) => Schedule::recorded(start, Arc::from(recording.offsets_ns.as_slice()))
            .with_warm_up((options.warm_up * Nanos::SECOND as f64) as u64),
        _ => Schedule::generated(
            start,
            &Plan {
                rate: options.rate.max(1) as f64,
                ramp_from: options.ramp_from.map(|rate| rate as f64),
                seconds: options.seconds,
                warm_up: options.warm_up,
                arrivals: options.arrivals,
                seed: options.seed,
            },
        ),
    }
}
