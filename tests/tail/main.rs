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
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
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
fn bidder(folder: &Folder, cpus: (usize, usize), threshold_us: u32, more: &str, command: std::process::Command) -> Bidder {
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
            assert!((sum - request.latency_us).abs() < 0.01 * request.causes.len() as f64, "the causes make up the whole: {request:?}");
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

/// Those that were asked while the bidder was held, and kept for that.
fn kept(asked: &[Asked], held: &[Range<u64>]) -> Vec<Asked> {
    let is_kept = |asked: &&Asked| {
        held.iter().any(|held| asked.sent >= held.start && asked.overlap(held) >= LATE_NS)
    };
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
    held.inspect_err(|error| eprintln!("skipped: without real-time priority CPU {cpu} is not to be taken: {error}")).ok()
}

#[test]
fn a_hog_on_its_cpu_is_named() {
    let (_turn, Some(cpus)) = (alone(), cpus()) else { return };
    let folder = Folder::new("tail-hog");
    let bidder = bidder(&folder, cpus, 3_000, "", corebid());
    let (exchange, mut told, mut held) = (Exchange::begin(bidder.address, cpus.1), Told::default(), Vec::new());
    for _ in 0..15 {
        thread::sleep(Duration::from_millis(120));
        let Some(window) = hog(cpus.0, Duration::from_millis(30)) else { return };
        held.push(window);
        thread::sleep(Duration::from_millis(250));
        told.ask(&bidder);
    }
    let late = kept(&exchange.end(), &held);
    assert_recalled("run_delay", told.recalled(&late, "run_delay"), late.len(), 30, &told);
    let named = told.0.values().find(|request| request.cause == "run_delay").unwrap();
    assert!(named.cpu == Some(cpus.0) && named.exchange.as_deref() == Some("generic") && named.body_bytes > 0, "{named:?}");
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
    let (exchange, mut told, mut held) = (Exchange::begin(bidder.address, cpus.1), Told::default(), Vec::new());
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
    // In between it runs, at what it is granted.
    let late = kept(&exchange.end(), &held);
    assert_recalled("throttle", told.recalled(&late, "throttle"), late.len(), 30, &told);
    assert!(bidder.metric("corebid_stalls_total", "\"throttle\"") > 0);
    bidder.stop();
    drop(cgroup);
}

#[test]
fn pages_that_were_taken_away_are_named() {
    let (_turn, Some(cpus)) = (alone(), cpus()) else { return };
    // On a disk, as programs are.
    let folder = Folder::within(Path::new(env!("CARGO_TARGET_TMPDIR")), "tail-pages");
    let program = pages::copy(Path::new(corebid().get_program()), &folder.path("corebid"));
    let bidder = bidder(&folder, cpus, 500, "[process]\nmlock = \"off\"\n", program);
    let (exchange, mut told, mut taken) = (Exchange::begin(bidder.address, cpus.1), Told::default(), Vec::new());
    for _ in 0..15 {
        thread::sleep(Duration::from_millis(50));
        let before = pages::major_faults(bidder.process());
        let from = clock::boot().0;
        if let Err(error) = pages::take_away(bidder.process(), &folder.path("corebid")) {
            eprintln!("skipped: the kernel takes no pages of another process away: {error}");
            return;
        }
        thread::sleep(Duration::from_millis(300));
        let faults = pages::major_faults(bidder.process()) - before;
        taken.push((from..clock::boot().0, faults));
        told.ask(&bidder);
    }
    drop(exchange.end());
    let mut said = String::new();
    for (window, faults) in &taken {
        let inside: Vec<_> = told.0.values().filter(|r| r.arrived_ns < window.end && r.answered_ns > window.start).collect();
        let _ = writeln!(said, "{faults} faults; {:?}", inside.iter().map(|r| (&r.cause, r.latency_us as u64, r.kernel.as_ref().map(|k| (k.major_faults, k.minor_faults)))).take(12).collect::<Vec<_>>());
    }
    eprintln!("{said}");
    bidder.stop();
}
