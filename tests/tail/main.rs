//! Requests are made late on purpose, and each cause is to be named: another thread takes the CPU, the cgroup's quota runs out, pages
//! are taken away, a snapshot is swapped in.
//!
//! The oracle is the exchange. It knows when it asked and when it was answered, by the clock that the records have too; and who made
//! the requests late knows when that was. A request counts if it could not be answered for what was done to the bidder, whatever
//! else happened on the machine; nine of ten such requests must have a record of their time with that cause.

#![allow(clippy::disallowed_methods, reason = "a test may wait")]

#[path = "../support/mod.rs"]
mod support;

mod cgroup;
mod exchange;
mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use corebid::admin::tail::{Request, View};
use corebid::clock;
use corebid::lab;
use support::process::{Bidder, corebid, run};
use support::{Folder, campaign, eventually};

use cgroup::Cgroup;
use exchange::{Asked, Exchange};

/// What these do to a CPU they do to each other.
static TURN: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request that was kept for so long is late beyond doubt, ns.
const LATE_NS: u64 = 5_000_000;

/// The CPUs of this process, one for bidding and one for the rest. Nothing if there is one alone.
fn cpus() -> Option<(usize, usize)> {
    let cpus = core_affinity::get_core_ids().unwrap();
    let (first, last) = (cpus.first()?.id, cpus.last()?.id);
    if first == last {
        eprintln!("skipped: an exchange on the CPU that is taken would not know how late it is answered");
    }
    (first != last).then_some((last, first))
}

/// A bidder that explains what takes this long, with its bid core on the first CPU.
fn bidder(folder: &Folder, cpus: (usize, usize), threshold_us: u32, more: &str, command: Command) -> Bidder {
    let more = format!("[tail]\nthreshold_us = {threshold_us}\n{more}");
    let config = folder.configure("", &more, &campaign(1, ""));
    let (bid, other) = (cpus.0.to_string(), cpus.1.to_string());
    let arguments = ["--config", &config, "--cores", &bid, "--reconcile-core", &other];
    Bidder::try_start_on("127.0.0.1", command, &arguments).unwrap()
}

/// What the bidder has told, request by request.
#[derive(Default)]
struct Told(BTreeMap<(usize, u64), Request>);

impl Told {
    /// Takes down what is new.
    fn ask(&mut self, bidder: &Bidder) -> View {
        let answer = bidder.admin("/api/tail");
        assert_eq!(answer.status, 200);
        let view: View = serde_json::from_slice(&answer.body).unwrap();
        for request in &view.requests {
            let sum: f64 = request.causes.values().sum();
            assert!(
                (sum - request.latency_us).abs() < 0.01 * request.causes.len() as f64,
                "the causes make up the whole: {request:?}"
            );
            let stages: f64 = request.stages.iter().map(|stage| stage.us).sum();
            assert!(stages <= request.latency_us + 0.1, "{request:?}");
            self.0.insert((request.core, request.id), request.clone());
        }
        view
    }

    /// How many of those who asked have a record of their time that names the cause.
    fn recalled(&self, asked: &[Asked], cause: &str) -> usize {
        let of: Vec<&Request> = self.0.values().filter(|request| request.cause == cause).collect();
        let explains = |asked: &&Asked| {
            of.iter().any(|request| asked.overlap(&(request.arrived_ns..request.answered_ns)) >= LATE_NS / 2)
        };
        asked.iter().filter(explains).count()
    }

    /// What causes there were, for who reads a failure.
    fn causes(&self) -> String {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for request in self.0.values() {
            *counts.entry(&request.cause).or_default() += 1;
        }
        format!("{counts:?}")
    }
}

/// Those that were asked while the bidder was held, and kept for that, and for so long.
fn kept(asked: &[Asked], held: &[Range<u64>], least_ns: u64) -> Vec<Asked> {
    let is_kept = |asked: &&Asked| held.iter().any(|held| asked.sent >= held.start && asked.overlap(held) >= least_ns);
    asked.iter().filter(is_kept).cloned().collect()
}

#[track_caller]
fn assert_recalled(cause: &str, recalled: usize, of: usize, least: usize, told: &Told) {
    let said = format!("{cause}: {recalled} of {of} recalled; all records: {}", told.causes());
    eprintln!("{said}");
    assert!(of >= least, "too few were late to say anything: {said}");
    assert!(recalled * 10 >= of * 9, "{said}");
}

/// Takes a CPU from all who run there as threads do; says from when to when. Nothing where the kernel gives no such priority.
fn hog(cpu: usize, length: Duration) -> Option<Range<u64>> {
    let held = move || -> io::Result<Range<u64>> {
        if !lab::thread::pin(cpu) {
            return Err(io::Error::other("it is not ours"));
        }
        lab::thread::go_first()?;
        let from = clock::boot();
        let until = from.after(length.as_nanos() as u64);
        while clock::boot() < until {
            std::hint::spin_loop();
        }
        Ok(from.0..clock::boot().0)
    };
    let held = thread::spawn(held).join().unwrap();
    held.inspect_err(|error| eprintln!("skipped: without real-time priority CPU {cpu} is not to be taken: {error}"))
        .ok()
}

#[test]
fn a_hog_on_its_cpu_is_named() {
    let (_turn, Some(cpus)) = (alone(), cpus()) else { return };
    let folder = Folder::new("tail-hog");
    let bidder = bidder(&folder, cpus, 3_000, "", corebid());
    let (exchange, mut told, mut held) = (Exchange::begin(bidder.address, cpus.1, 8), Told::default(), Vec::new());
    for _ in 0..15 {
        thread::sleep(Duration::from_millis(120));
        let Some(window) = hog(cpus.0, Duration::from_millis(30)) else { return };
        held.push(window);
        thread::sleep(Duration::from_millis(250));
        told.ask(&bidder);
    }
    let late = kept(&exchange.end(), &held, LATE_NS);
    assert_recalled("run_delay", told.recalled(&late, "run_delay"), late.len(), 30, &told);
    let named = told.0.values().find(|request| request.cause == "run_delay").unwrap();
    assert!(
        named.cpu == Some(cpus.0) && named.exchange.as_deref() == Some("generic") && named.body_bytes > 0,
        "{named:?}"
    );
    assert!(named.kernel.as_ref().is_some_and(|kernel| kernel.run_delay_us >= 2_500.0), "{named:?}");
    assert!(bidder.metric("corebid_tail_total", "\"run_delay\"") >= 30);
    told_on_the_command_line(&bidder);
    bidder.stop();
}

/// `corebid tail` says what the admin port says.
fn told_on_the_command_line(bidder: &Bidder) {
    let admin = bidder.admin.to_string();
    let (code, page, stderr) = run(&["tail", "--admin", &admin, "--limit", "2"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{page}");
    let line = page.lines().find(|line| line.starts_with("run_delay ")).unwrap_or_else(|| panic!("{page}"));
    assert!(line.contains(" %)") && page.contains("isolate it"), "{page}");
    let (code, json, _) = run(&["tail", "--admin", &admin, "--by", "run_delay", "--json"]);
    let view: View = serde_json::from_str(&json).unwrap();
    let causes: BTreeSet<&str> = view.requests.iter().map(|request| request.cause.as_str()).collect();
    assert_eq!((code, causes, view.counts.len()), (Some(0), BTreeSet::from(["run_delay"]), 1));
    assert_eq!(view.threshold_us, 3_000);
    let (code, _, stderr) = run(&["tail", "--by", "bad_luck"]);
    assert!(code == Some(2) && stderr.contains("run_delay"), "{stderr}");
    let (code, _, stderr) = run(&["tail", "--admin", "127.0.0.1:1"]);
    assert!(code == Some(1) && stderr.contains("--admin") && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn a_quota_of_its_cgroup_is_named() {
    let (_turn, Some(cpus)) = (alone(), cpus()) else { return };
    let Some(cgroup) = Cgroup::make() else { return };
    let folder = Folder::new("tail-quota");
    let bidder = bidder(&folder, cpus, 3_000, "", cgroup.corebid());
    let (exchange, mut told, mut held) = (Exchange::begin(bidder.address, cpus.1, 8), Told::default(), Vec::new());
    for _ in 0..6 {
        thread::sleep(Duration::from_millis(120));
        let from = clock::boot().0;
        cgroup.limit(Some(Duration::from_millis(2)));
        thread::sleep(Duration::from_millis(500));
        let to = clock::boot().0;
        cgroup.limit(None);
        held.push(from..to);
        thread::sleep(Duration::from_millis(300));
        told.ask(&bidder);
    }
    // In between it runs, at what it is granted, and others may take that.
    let late = kept(&exchange.end(), &held, 4 * LATE_NS);
    assert_recalled("throttle", told.recalled(&late, "throttle"), late.len(), 30, &told);
    assert!(bidder.metric("corebid_stalls_total", "\"throttle\"") > 0);
    // How it ends after its CPU or its pages were taken is another matter.
    drop(bidder);
    drop(cgroup);
}

/// The command, before others that want its CPU: they would make requests late, too.
fn first(command: &Command) -> Command {
    let mut first = Command::new("nice");
    first.args(["-n", "-15"]).arg(command.get_program()).env_remove("COREBID_LOG");
    first
}

/// What one thing that was done to the bidder came to, by the records of that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// It is the cause of one.
    Named,
    /// It is among the causes, and something else that the kernel tells of took longer.
    Beside,
    /// It is not told.
    Missed,
}

impl Seen {
    fn of<'r>(records: impl Iterator<Item = &'r Request>, cause: &str) -> Seen {
        /// What makes a request late while nothing is done to the bidder.
        const OTHERS: [&str; 4] = ["run_delay", "steal", "irq", "off_cpu"];
        let mut seen = Seen::Missed;
        for request in records {
            if request.cause == cause {
                return Seen::Named;
            }
            if request.causes.contains_key(cause) && OTHERS.contains(&&*request.cause) {
                seen = Seen::Beside;
            }
        }
        seen
    }
}

/// Nine of ten are told, and of those that nothing else outlasted nine of ten are named.
#[track_caller]
fn assert_seen(cause: &str, seen: &[Seen], told: &Told) {
    let count = |of: Seen| seen.iter().filter(|&&seen| seen == of).count();
    let (named, beside) = (count(Seen::Named), count(Seen::Beside));
    assert_recalled(cause, named + beside, seen.len(), 5, told);
    assert_recalled(cause, named, seen.len() - beside, 1, told);
}

#[test]
fn pages_that_were_taken_away_are_named() {
    let (_turn, Some(cpus)) = (alone(), cpus()) else { return };
    // On a disk, as programs are.
    let folder = Folder::within(Path::new(env!("CARGO_TARGET_TMPDIR")), "tail-pages");
    let program = pages::copy(Path::new(corebid().get_program()), &folder.path("corebid"));
    let bidder = bidder(&folder, cpus, 500, "[process]\nmlock = \"off\"\n", first(&program));
    let (exchange, mut told, mut seen) = (Exchange::begin(bidder.address, cpus.1, 4), Told::default(), Vec::new());
    for _ in 0..15 {
        thread::sleep(Duration::from_millis(50));
        let (before, from) = (pages::major_faults(bidder.process()), clock::boot());
        // As long as memory is short they go again and again.
        while clock::boot() < from.after(100_000_000) {
            if let Err(error) = pages::take_away(bidder.process(), &folder.path("corebid")) {
                eprintln!("skipped: the kernel takes no pages of another process away: {error}");
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let faults = pages::major_faults(bidder.process()) - before;
        // Once the thread that keeps them has looked, and before others have come in their place.
        for _ in 0..2 {
            thread::sleep(Duration::from_millis(110));
            told.ask(&bidder);
        }
        let of = |request: &&Request| request.answered_ns >= from.0;
        // Fewer may have been in no request's time.
        if faults >= 10 {
            seen.push(Seen::of(told.0.values().filter(of), "major_fault"));
        }
    }
    drop(exchange.end());
    if seen.is_empty() {
        eprintln!("skipped: pages that are taken away come back without a disk");
        return;
    }
    assert_seen("major_fault", &seen, &told);
    // How it ends after its CPU or its pages were taken is another matter.
    drop(bidder);
}

/// How often the bid core has swapped snapshots.
fn swaps(bidder: &Bidder) -> u64 {
    bidder.metric("corebid_snapshot_swaps_total", "")
}

#[test]
fn a_swapped_snapshot_is_named() {
    let (_turn, Some(cpus)) = (alone(), cpus()) else { return };
    let folder = Folder::new("tail-swap");
    // Every request is explained: a swap makes few late.
    let bidder = bidder(&folder, cpus, 1, "", first(&corebid()));
    let (exchange, mut told, mut seen) = (Exchange::begin(bidder.address, cpus.1, 2), Told::default(), Vec::new());
    for round in 1..=12 {
        let (before, from) = (swaps(&bidder), clock::boot().0);
        let campaigns: String = (1..=400).map(|id| campaign(id + round, "")).collect();
        folder.write("new.toml", campaigns);
        fs::rename(folder.path("new.toml"), folder.path("campaigns.toml")).unwrap();
        bidder.signal(libc::SIGHUP);
        eventually("a swap", || (swaps(&bidder) > before).then_some(()));
        // For the next request, and for the thread that looks ten times a second.
        thread::sleep(Duration::from_millis(200));
        told.ask(&bidder);
        let of = |request: &&Request| request.answered_ns >= from && request.swap_us.is_some();
        let with: Vec<&Request> = told.0.values().filter(of).collect();
        // All that the thread ran for is the swap's then; where there is nothing of that, something else took all.
        seen.push(match Seen::of(with.iter().copied(), "swap") {
            Seen::Missed if !with.is_empty() && with.iter().all(|request| request.cause != "own") => Seen::Beside,
            seen => seen,
        });
    }
    drop(exchange.end());
    assert_seen("swap", &seen, &told);
    assert!(bidder.metric("corebid_tail_total", "\"swap\"") > 0);
    bidder.stop();
}
