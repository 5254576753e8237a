//! `corebid load`: constant-rate load from one thread, latency counted from when each request was *due*.
//!
//! A generator that waits for an answer before it sends the next request stops asking just when the server is slow, and
//! its percentiles leave the slow time out ("coordinated omission"). Here request `i` is due at `start + i / rate`,
//! whatever came before, and its latency counts from that time.
//!
//! **One request per connection at a time** by default, as exchanges do it (exchange rules A.3): when every connection is
//! busy the next request waits, and its waiting counts. `pipeline` allows more on one connection, where an answer may
//! wait behind the one before it.
//!
//! The thread spins between requests: a generator that sleeps measures its own waking up.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hdrhistogram::Histogram;

use crate::clock;
use crate::lab::latency::{self, Latencies};
use crate::lab::pool::{Flight, Outcome, Pool, Wait};
use crate::lab::report::Report;
use crate::lab::requests::{Requests, read_ndjson};
use crate::lab::schedule::{Schedule, is_length};
use crate::lab::target::{BadTarget, Target};
use crate::lab::thread;
use crate::market::corpus;
use crate::units::Nanos;

/// An answer after this time is late, ns (mission M3).
const LATE_NS: u64 = 8 * Nanos::MS;
/// Requests sent before answers are looked at again.
const BURST: usize = 8;

/// What to send, where, and how fast.
#[derive(Clone, Debug)]
pub struct Options {
    /// `http://HOST:PORT/openrtb/EXCHANGE`.
    pub url: String,
    /// Requests per second; ignored when saturating.
    pub rate: u64,
    /// Length of the schedule, seconds.
    pub seconds: f64,
    /// Connections.
    pub connections: usize,
    /// Requests on one connection at a time, at least 1.
    pub pipeline: usize,
    /// The core the generator is pinned to; `None` leaves it to the scheduler.
    pub core: Option<usize>,
    /// Bodies, one a line; `None` is the built-in corpus.
    pub corpus: Option<PathBuf>,
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

/// A run that is on, for another thread.
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
            seconds: 10.0,
            connections: 64,
            pipeline: 1,
            core: None,
            corpus: None,
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

/// Makes one run: blocks for [`Options::seconds`] and at most a second more.
pub fn run(options: &Options) -> Result<Report, Error> {
    let target = Target::parse(&options.url).map_err(Error::Target)?;
    if !options.saturate && options.rate == 0 {
        return Err(Error::Option("rate", "at least 1 request a second".into()));
    }
    if !is_length(options.seconds) {
        return Err(Error::Option("seconds", format!("{} is not a length of time", options.seconds)));
    }
    let bodies = match &options.corpus {
        Some(path) => read_ndjson(path).map_err(|error| Error::Corpus(path.clone(), error))?,
        None => corpus::built_in(),
    };
    if bodies.is_empty() {
        return Err(Error::Option("corpus", "it holds no request".into()));
    }
    if let Some(ms) = options.give_up_ms
        && (options.saturate || !is_length(ms))
    {
        return Err(Error::Option("give-up", format!("{ms} ms is no patience, or there is no schedule to be late by")));
    }
    let requests = if options.gzip { Requests::gzip } else { Requests::new }(&target, &bodies, options.debug);
    drop(bodies);
    // The generator has a thread of its own, so that pinning it binds nothing else.
    std::thread::scope(|scope| {
        let generator = std::thread::Builder::new()
            .name("load".into())
            .spawn_scoped(scope, || generate(options, target, &requests));
        match generator {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => Err(Error::Poll(error)),
        }
    })
}

fn generate(options: &Options, target: Target, requests: &Requests) -> Result<Report, Error> {
    if let Some(core) = options.core
        && !thread::pin(core)
    {
        return Err(Error::Pin(core));
    }
    let mut pool = match Pool::open(target.address, options.connections, options.pipeline) {
        Ok(pool) => pool,
        Err(error) => return Err(Error::Connect(target, error)),
    };
    let mut run = Run::new(options, Schedule::new(clock::boot(), options.rate, options.seconds));
    let polled = match options.saturate {
        true => run.saturate(&mut pool, requests),
        false => run.by_schedule(&mut pool, requests),
    };
    polled.map_err(Error::Poll)?;
    let report = run.finish(options, &pool);
    if let Some(path) = &options.hdr {
        run.latencies.write_log(path).map_err(|error| Error::Log(path.clone(), error))?;
    }
    Ok(report)
}

/// The state of a run.
struct Run {
    schedule: Schedule,
    /// The request that is sent next.
    next: u64,
    /// Requests sent so far.
    sent: u64,
    /// How late a request may be sent, ns.
    patience: u64,
    live: Option<Arc<Live>>,
    /// Time in loop turns that did something.
    busy: u64,
    stopped: Nanos,
    latencies: Latencies,
    lag: Histogram<u32>,
    answers: Answers,
}

/// What came back.
#[derive(Default)]
struct Answers {
    status: Vec<u64>,
    answered: u64,
    lost: u64,
    shed: u64,
    stalled: u64,
    late: u64,
    in_time: u64,
    last: Nanos,
    live: Option<Arc<Live>>,
}

impl Answers {
    #[inline]
    fn take(&mut self, latencies: &mut Latencies, flight: Flight, outcome: Outcome<'_>, at: Nanos) {
        match outcome {
            Outcome::Answered(answer) => {
                let latency = at.since(flight.intended);
                latencies.record(flight.intended, latency);
                self.answered += 1;
                self.late += u64::from(latency > LATE_NS);
                let (shed, stalled) = match (answer.status, answer.reason) {
                    (204, b"shed") => (true, false),
                    (204, b"stalled") => (false, true),
                    _ => (false, false),
                };
                let decided = matches!(answer.status, 200 | 204) && !shed && !stalled;
                self.shed += u64::from(shed);
                self.stalled += u64::from(stalled);
                self.in_time += u64::from(decided && at.since(flight.sent) <= LATE_NS);
                self.status[usize::from(answer.status)] += 1;
                self.last = at;
                if let Some(live) = &self.live {
                    live.answered.fetch_add(1, Ordering::Relaxed);
                    live.bids.fetch_add(u64::from(answer.status == 200), Ordering::Relaxed);
                    live.shed.fetch_add(u64::from(shed || stalled), Ordering::Relaxed);
                }
            }
            Outcome::Lost => {
                self.lost += 1;
                if let Some(live) = &self.live {
                    live.lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

impl Run {
    fn new(options: &Options, schedule: Schedule) -> Run {
        let length = schedule.end.since(schedule.start);
        Run {
            schedule,
            next: 0,
            sent: 0,
            patience: options.give_up_ms.map_or(u64::MAX, |ms| (ms * Nanos::MS as f64) as u64),
            live: options.live.clone(),
            busy: 0,
            stopped: schedule.start,
            latencies: Latencies::new(schedule.start, length, options.hdr.is_some()),
            lag: latency::histogram(),
            answers: Answers { status: vec![0; 1000], live: options.live.clone(), ..Answers::default() },
        }
    }

    /// Ends the schedule here if somebody wants it to.
    #[inline]
    fn heed(&mut self, now: Nanos) {
        if let Some(live) = &self.live
            && live.stop.load(Ordering::Relaxed)
            && now < self.schedule.end
        {
            self.schedule.cut(now, self.next);
        }
    }

    #[inline]
    fn send(&mut self, pool: &mut Pool, requests: &Requests, intended: Nanos, now: Nanos) {
        pool.send(Flight { tag: self.next, intended, sent: now }, requests.get(self.next));
        self.next += 1;
        self.sent += 1;
        if let Some(live) = &self.live {
            live.sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn by_schedule(&mut self, pool: &mut Pool, requests: &Requests) -> io::Result<()> {
        let start = self.schedule.start;
        let (mut now, mut due) = (start, start);
        // When the generator could first have sent the next request: lag counts from there, or from when it was due.
        let mut roomy = pool.has_room().then_some(now);
        loop {
            let turn = now;
            let mut burst = 0;
            self.heed(now);
            let Schedule { end, count, .. } = self.schedule;
            while self.next < count && now.since(due) > self.patience {
                self.next += 1;
                due = self.schedule.due(self.next);
            }
            while due <= now && self.next < count && burst < BURST && self.schedule.sends(now) {
                let Some(since) = roomy else { break };
                self.send(pool, requests, due, now);
                self.lag.saturating_record(now.since(due.max(since)));
                burst += 1;
                due = self.schedule.due(self.next);
                now = clock::boot();
                if !pool.has_room() {
                    roomy = None;
                }
            }
            let (answers, latencies) = (&mut self.answers, &mut self.latencies);
            let events = pool.poll(Wait::Spin, |flight, outcome, at| answers.take(latencies, flight, outcome, at))?;
            now = clock::boot();
            if roomy.is_none() && pool.has_room() {
                roomy = Some(now);
            }
            if burst + events > 0 && turn < end {
                self.busy += now.since(turn);
            }
            let nothing_to_come = pool.outstanding() == 0 && (self.next == count || !self.schedule.sends(now));
            if (nothing_to_come && now >= end) || !self.schedule.waits(now) {
                self.stopped = now;
                return Ok(());
            }
        }
    }

    fn saturate(&mut self, pool: &mut Pool, requests: &Requests) -> io::Result<()> {
        let mut now = self.schedule.start;
        loop {
            let turn = now;
            let mut burst = 0;
            self.heed(now);
            let end = self.schedule.end;
            while now < end && pool.has_room() && burst < 2 * BURST {
                self.send(pool, requests, now, now);
                burst += 1;
                now = clock::boot();
            }
            let (answers, latencies) = (&mut self.answers, &mut self.latencies);
            let events = pool.poll(Wait::Spin, |flight, outcome, at| answers.take(latencies, flight, outcome, at))?;
            now = clock::boot();
            if burst + events > 0 && turn < end {
                self.busy += now.since(turn);
            }
            if (now >= end && pool.outstanding() == 0) || !self.schedule.waits(now) {
                self.stopped = now;
                return Ok(());
            }
        }
    }

    /// Adds what is still waiting, and sums up.
    fn finish(&mut self, options: &Options, pool: &Pool) -> Report {
        for flight in pool.flights() {
            self.latencies.record(flight.intended, self.stopped.since(flight.intended));
        }
        let Schedule { start, end, count, .. } = self.schedule;
        let scheduled = if options.saturate { self.sent } else { count };
        // Those that were given up have no latency; those that the end of the run left over have waited until then.
        for index in self.next..scheduled {
            let due = self.schedule.due(index);
            self.latencies.record(due, self.stopped.since(due));
        }
        let answers = &self.answers;
        assert_eq!(self.sent, answers.answered + answers.lost + pool.outstanding() as u64, "a request without an end");
        let (all, length) = (&self.latencies.all, end.since(start));
        let elapsed = length.max(answers.last.since(start)) as f64 / Nanos::SECOND as f64;
        let statuses = answers.status.iter().enumerate().filter(|(_, count)| **count > 0);
        let mut report = Report {
            sent: self.sent,
            answered: answers.answered,
            unanswered: self.sent - answers.answered,
            unsent: scheduled - self.sent,
            status: statuses.map(|(status, count)| (status as u16, *count)).collect(),
            shed: answers.shed,
            stalled: answers.stalled,
            in_time: answers.in_time,
            late: answers.late,
            asked_rate: if options.saturate { 0.0 } else { options.rate as f64 },
            achieved_rate: (answers.answered as f64 / elapsed * 10.0).round() / 10.0,
            send_lag_p99: latency::micros(&self.lag, 0.99),
            send_lag_p999: latency::micros(&self.lag, 0.999),
            p50: latency::micros(all, 0.5),
            p90: latency::micros(all, 0.9),
            p99: latency::micros(all, 0.99),
            p999: latency::micros(all, 0.999),
            p9999: latency::micros(all, 0.9999),
            max: latency::round(all.max()),
            generator_work: latency::round(self.busy.checked_div(self.sent).unwrap_or(0)),
            generator_busy: (self.busy as f64 / length as f64 * 1000.0).round() / 1000.0,
            saturated: options.saturate,
            connections: options.connections.max(1),
            pipeline: options.pipeline.max(1),
            seconds: options.seconds,
            faults: pool.faults(),
            ..Report::default()
        };
        report.judge();
        report
    }
}
