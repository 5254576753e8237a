//! The crawler of `corebid supply fetch`. Blocking threads: each takes a host whose turn it is, fetches one file of it, puts what
//! came of it into the store, and adds the files that this one names.
//!
//! Everything is bounded: threads, files per target, bytes per file and per round, time per file. A file that cannot be had never
//! replaces the last one that could.

pub mod address;
pub mod attempt;
pub mod client;
pub mod follow;
pub mod freshness;
pub mod names;
pub mod queue;
pub mod report;
pub mod take;
pub mod targets;
pub mod url;

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use ureq::http::HeaderMap;

use crate::clock;
use crate::limits;
use crate::supply::fetch::attempt::{Attempt, Attempts, End};
use crate::supply::fetch::client::{Client, Trouble};
use crate::supply::fetch::follow::References;
use crate::supply::fetch::queue::Queue;
use crate::supply::fetch::report::{Line, Outcome, Report};
use crate::supply::fetch::take::{Meter, Refused};
use crate::supply::fetch::targets::Targets;
use crate::supply::store::{Bodies, Entry, Kind, Status, Writer};
use crate::units::UnixMillis;

/// How a round goes.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads, and so files under way.
    pub concurrency: usize,
    /// What a publisher's file may take, redirects and body included. A sellers.json may take ten times as long.
    pub timeout: Duration,
    /// Bytes of bodies per second, all hosts together.
    pub rate: u64,
    /// Bytes of bodies after which no file is begun.
    pub bytes: u64,
    /// What a copy is relied on at the least, whatever its headers say.
    pub least_life: Duration,
    /// What was got within this time is not asked for again.
    pub fresh: Duration,
    /// Files that failed are asked for before their time.
    pub force: bool,
}

/// Which references of a file are fetched too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Follow {
    /// None: it is a partner's (ads.txt 1.1, 5.7: one hop).
    Nothing,
    /// Its partners: it is a subdomain's, which may not refer to subdomains, or an app's, where subdomains mean nothing.
    Partners,
    /// Both.
    All,
}

/// A file to fetch.
#[derive(Debug)]
struct Job {
    kind: Kind,
    domain: String,
    /// The target that it is fetched for.
    target: usize,
    /// Where it stands; `None` if it was fetched and only its references are wanted.
    attempt: Option<Attempt>,
}

/// What came of a job.
enum Done {
    /// Only references were wanted.
    Looked,
    /// It goes on at another host.
    Elsewhere(Attempt),
    /// It was not tried.
    Skipped(Outcome, String),
    /// It ended.
    Ended(End),
    /// It failed.
    Failed(Trouble),
}

/// What the threads share.
struct State<'a> {
    writer: &'a mut Writer,
    queue: Queue<Job>,
    /// Files of this round: how far they are followed, and whether they are over.
    wanted: HashMap<(Kind, String), (Follow, bool)>,
    /// Further files by target.
    further: Vec<usize>,
    /// Hosts that do not answer in this round.
    down: HashMap<String, Trouble>,
    report: Report,
    lines: BufWriter<File>,
    /// Our own disk failed.
    broken: Option<io::Error>,
}

struct Round<'a> {
    options: &'a Options,
    client: &'a Client,
    meter: Meter,
    bodies: Bodies,
    state: Mutex<State<'a>>,
    changed: Condvar,
}

/// Fetches every target, and every file that they name, once.
///
/// # Errors
///
/// If the folder cannot be written to. What a host does is in the report.
pub fn round(writer: &mut Writer, targets: &Targets, options: &Options, client: &Client) -> io::Result<Report> {
    let started = clock::boot();
    let now = clock::wall();
    let forget = limits::SUPPLY_FORGET.as_millis() as u64;
    writer.sweep(|entry| {
        let last = entry.wanted.max(entry.expires).0;
        targets.files.contains(&(entry.kind, entry.domain.clone())) || last.saturating_add(forget) > now.0
    })?;
    put_apps(writer, targets)?;
    let (beside, place) = (writer.root().join("report.new"), writer.root().join("report.ndjson"));
    let round = Round {
        options,
        client,
        meter: Meter::new(options.rate),
        bodies: writer.bodies(),
        state: Mutex::new(State {
            queue: Queue::default(),
            wanted: HashMap::new(),
            further: vec![0; targets.files.len()],
            down: HashMap::new(),
            report: Report::default(),
            lines: BufWriter::new(File::create(&beside)?),
            broken: None,
            writer,
        }),
        changed: Condvar::new(),
    };
    for (target, (kind, domain)) in targets.files.iter().enumerate() {
        let follow = if *kind == Kind::AdsTxt { Follow::All } else { Follow::Partners };
        round.state().want(*kind, domain, follow, target, options);
    }
    thread::scope(|scope| {
        for number in 0..options.concurrency.max(1) {
            let round = &round;
            // Half a megabyte is four times what TLS, inflation and a buffer take.
            let made = thread::Builder::new()
                .name(format!("fetch-{number}"))
                .stack_size(512 * 1024)
                .spawn_scoped(scope, move || round.work(number));
            if let Err(error) = made {
                round.state().broken.get_or_insert(error);
                break;
            }
        }
    });
    let bytes = round.meter.bytes();
    let State { writer, mut report, lines, broken, .. } =
        round.state.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(error) = broken {
        return Err(error);
    }
    put_apps(writer, targets)?;
    writer.sync()?;
    lines.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()?;
    fs::rename(beside, place)?;
    report.bytes = bytes;
    report.seconds = Duration::from_nanos(clock::boot().0 - started.0).as_secs_f64();
    Ok(report)
}

/// Which file counts for each app: the parent's where the developer's subdomain has none (app-ads.txt 1.0).
fn put_apps(writer: &mut Writer, targets: &Targets) -> io::Result<()> {
    let absent =
        |host: &str| writer.store().entry(Kind::AppAdsTxt, host).is_some_and(|entry| entry.status == Status::Absent);
    let apps: BTreeMap<String, String> = targets
        .apps
        .iter()
        .map(|(bundle, host)| (bundle.clone(), if absent(host) { names::root(host) } else { host }.to_owned()))
        .collect();
    writer.put_apps(apps)
}

impl State<'_> {
    /// Adds a file, unless it is known already and followed as far.
    fn want(&mut self, kind: Kind, domain: &str, follow: Follow, target: usize, options: &Options) {
        let known = self.wanted.get(&(kind, domain.to_owned())).copied();
        if known.is_some_and(|(before, _)| before >= follow) {
            return;
        }
        let over = known.is_some_and(|(_, over)| over);
        self.wanted.insert((kind, domain.to_owned()), (follow, over));
        let attempt = match known {
            // It sees how far it is followed when it is over.
            Some((_, false)) => return,
            Some((_, true)) => None,
            None => {
                let time = if kind == Kind::SellersJson { 10 * options.timeout } else { options.timeout };
                Some(Attempt::new(kind, domain, time))
            }
        };
        self.queue.push(names::root(domain), Job { kind, domain: domain.to_owned(), target, attempt });
    }

    /// Adds what a file names.
    fn want_references(&mut self, job: &Job, references: &References, options: &Options) {
        let Some((follow, _)) = self.wanted.get(&(job.kind, job.domain.clone())).copied() else { return };
        let subdomains =
            references.subdomains.iter().filter(|_| follow >= Follow::All).map(|host| (host, Follow::Partners));
        let partners =
            references.partners.iter().filter(|_| follow >= Follow::Partners).map(|host| (host, Follow::Nothing));
        for (host, follow) in subdomains.chain(partners) {
            if self.further[job.target] >= limits::REFERENCES_OF_TARGET {
                return;
            }
            self.further[job.target] += 1;
            // A partner's file is its ads.txt even where an app-ads.txt names it (ads.txt 1.1, 3.5.1).
            self.want(Kind::AdsTxt, host, follow, job.target, options);
        }
    }

    fn entry(&self, kind: Kind, domain: &str) -> Entry {
        self.writer.store().entry(kind, domain).cloned().unwrap_or_else(|| Entry::new(kind, domain))
    }

    fn tell(&mut self, line: &Line<'_>) -> io::Result<()> {
        self.report.add(line);
        serde_json::to_writer(&mut self.lines, line)?;
        self.lines.write_all(b"\n")
    }
}

impl<'a> Round<'a> {
    /// A thread that panicked left the state as it was between two of its steps.
    fn state(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What a thread does until nothing is left.
    fn work(&self, number: usize) {
        let mut state = self.state();
        loop {
            if state.broken.is_some() || state.queue.is_over() {
                return;
            }
            let Some((host, mut job)) = state.queue.pop() else {
                state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
                continue;
            };
            let mut entry = state.entry(job.kind, &job.domain);
            let down = job.attempt.as_ref().and_then(|attempt| state.down.get(&attempt.url.host)).cloned();
            drop(state);
            if entry.status == Status::Good && !self.bodies.have(&entry) {
                log::warn!("{}/{}: its copy is damaged or gone, and fetched anew", job.domain, job.kind.file());
                entry = Entry { failures: entry.failures, retry: entry.retry, ..Entry::new(job.kind, &job.domain) };
            }
            let done = self.run(&mut job, &entry, down, number);
            // A copy that stays names further files as it did before.
            let references = match &done {
                Ok(Done::Elsewhere(_) | Done::Ended(End::Body { .. } | End::Absent(_))) => None,
                _ if entry.kind == Kind::SellersJson || entry.status != Status::Good => None,
                _ => self
                    .bodies
                    .open(&entry.digest)
                    .ok()
                    .and_then(|file| self.meter.references(entry.kind, &entry.domain, file).ok()),
            };
            state = self.state();
            if let Err(error) = done.and_then(|done| self.finish(&mut state, job, entry, done, references)) {
                state.broken.get_or_insert(error);
            }
            state.queue.done(host);
            self.changed.notify_all();
        }
    }

    /// Fetches a file, or says why it is not fetched now.
    fn run(&self, job: &mut Job, entry: &Entry, down: Option<Trouble>, number: usize) -> io::Result<Done> {
        let Some(attempt) = &mut job.attempt else { return Ok(Done::Looked) };
        let now = clock::wall();
        let fresh = now.0.saturating_sub(entry.fetched.0) < self.options.fresh.as_millis() as u64;
        if fresh && entry.failures == 0 {
            return Ok(Done::Skipped(Outcome::Fresh, String::new()));
        }
        if entry.retry > now && !self.options.force && !attempt.elsewhere {
            return Ok(Done::Skipped(Outcome::Delayed, entry.error.clone()));
        }
        if self.meter.bytes() >= self.options.bytes {
            return Ok(Done::Skipped(Outcome::Delayed, "the round has had its bytes".to_owned()));
        }
        if let Some(trouble) = down {
            return Ok(Done::Failed(trouble));
        }
        let attempts = Attempts {
            client: self.client,
            meter: &self.meter,
            bodies: self.bodies.clone(),
            number,
            plain: !entry.secure || entry.expires <= now,
        };
        match attempts.run(entry, attempt) {
            Ok(None) => Ok(Done::Elsewhere(attempt.clone())),
            Ok(Some(end)) => Ok(Done::Ended(end)),
            Err(Refused::Trouble(trouble)) => Ok(Done::Failed(trouble)),
            Err(Refused::Disk(error)) => Err(error),
        }
    }

    /// Writes down what came of a job, and adds what follows from it.
    fn finish(
        &self,
        state: &mut State<'_>,
        mut job: Job,
        mut entry: Entry,
        done: Done,
        references: Option<References>,
    ) -> io::Result<()> {
        let now = clock::wall();
        entry.wanted = now;
        let url = job.attempt.as_ref().map(|attempt| attempt.url.to_string());
        let secure = job.attempt.as_ref().is_some_and(|attempt| attempt.url.secure);
        let mut references = references.unwrap_or_default();
        let outcome = match done {
            Done::Looked => {
                state.want_references(&job, &references, self.options);
                return Ok(());
            }
            Done::Elsewhere(attempt) => {
                let host = attempt.url.root().to_owned();
                job.attempt = Some(attempt);
                state.queue.push(&host, job);
                return Ok(());
            }
            Done::Skipped(outcome, error) => {
                let line =
                    Line { kind: job.kind, domain: &job.domain, outcome, url: None, bytes: entry.bytes, error: &error };
                state.tell(&line)?;
                outcome
            }
            Done::Ended(end) => {
                let outcome = self.renew(&mut entry, end, &mut references, secure, now);
                let url = url.as_deref();
                let line = Line { kind: job.kind, domain: &job.domain, outcome, url, bytes: entry.bytes, error: "" };
                state.tell(&line)?;
                outcome
            }
            Done::Failed(trouble) => {
                entry.failures = entry.failures.saturating_add(1);
                let wait = freshness::back_off(entry.failures, &entry.domain);
                entry.retry = freshness::after(now, wait.max(trouble.retry_after.unwrap_or_default()));
                let outcome = if entry.status == Status::Unavailable { Outcome::Failed } else { Outcome::Kept };
                let error = &trouble.reason;
                let url = url.as_deref();
                state.tell(&Line { kind: job.kind, domain: &job.domain, outcome, url, bytes: entry.bytes, error })?;
                entry.error = trouble.reason.clone();
                if let Some(attempt) = job.attempt.as_ref().filter(|_| trouble.host) {
                    state.down.insert(attempt.url.host.clone(), trouble);
                }
                outcome
            }
        };
        log::debug!("{}/{}: {}", job.domain, job.kind.file(), outcome.label());
        let parent = names::root(&job.domain).to_owned();
        if job.kind == Kind::AppAdsTxt && entry.status == Status::Absent && parent != job.domain {
            state.want(Kind::AppAdsTxt, &parent, Follow::Partners, job.target, self.options);
        }
        state.writer.put(entry)?;
        if let Some((_, over)) = state.wanted.get_mut(&(job.kind, job.domain.clone())) {
            *over = true;
        }
        state.want_references(&job, &references, self.options);
        Ok(())
    }

    /// The entry after an answer.
    fn renew(&self, entry: &mut Entry, end: End, said: &mut References, secure: bool, now: UnixMillis) -> Outcome {
        let text = |headers: &HeaderMap, name: &str| {
            headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (headers, outcome) = match end {
            End::Body { digest, bytes, headers, references } => {
                let outcome = if entry.digest == digest { Outcome::Unchanged } else { Outcome::Fetched };
                entry.status = Status::Good;
                entry.digest = digest;
                entry.bytes = bytes;
                entry.etag = text(&headers, "etag");
                entry.last_modified = text(&headers, "last-modified");
                *said = references;
                (headers, outcome)
            }
            End::NotModified(headers) => {
                entry.etag = text(&headers, "etag").or(entry.etag.take());
                (headers, Outcome::NotModified)
            }
            End::Absent(headers) => {
                *entry = Entry { status: Status::Absent, wanted: now, ..Entry::new(entry.kind, &entry.domain) };
                (headers, Outcome::Absent)
            }
        };
        entry.secure = secure;
        entry.fetched = now;
        entry.expires = freshness::after(now, freshness::life(&headers, self.options.least_life));
        entry.failures = 0;
        entry.retry = UnixMillis(0);
        entry.error.clear();
        outcome
    }
}
