//! What a miss costs, and what a stalled store costs.
//!
//! `cargo bench --profile quick --bench miss -- fetch [--seconds S] [--users N]`: users per second from the ring of a bid core, by
//! the stores thread, DynamoDB's client and a `BatchGetItem` to an HTTP server of this process, back to the ring, with N users
//! under way at once.
//!
//! `cargo bench --profile quick --bench miss -- stall [--rate R] [--seconds S]`: a bidder on loopback whose every request misses, at a
//! constant rate; the store answers, stalls, answers and stalls. All requests have to be answered, and no more of them late
//! while it stalls.

#![allow(clippy::disallowed_methods, reason = "a benchmark may wait")]

#[path = "../tests/support/batch_get.rs"]
mod batch_get;
#[path = "../tests/support/fetching.rs"]
mod fetching;
#[path = "../tests/support/mod.rs"]
mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use corebid::bid::busy::BusyWork;
use corebid::clock;
use corebid::config::{Config, DynamoDb};
use corebid::lab::load;
use corebid::launch::Launch;
use corebid::limits;
use corebid::profile::fetched::{FetchOutcome, Miss, Told};
use corebid::ring::wake::Wake;
use corebid::ring::{spsc, wake};
use corebid::snapshot::data::Source;
use corebid::store::dynamodb::client::Client;
use corebid::store::dynamodb::users::Profiles;
use corebid::stores::fetch::Settings;
use corebid::stores::{self, CoreEnds};
use corebid::units::{Nanos, UserKey};
use fetching::{Asked, Mood, Store};
use hdrhistogram::Histogram;
use support::{Folder, campaign, eventually, request};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let is_tried = !arguments.iter().any(|argument| argument == "--bench");
    let number = |name: &str, usual: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.map_or(usual, |at| arguments[at + 1].parse().expect("a number"))
    };
    let asked = |name: &str| arguments.iter().any(|argument| argument == name);
    let all = !asked("fetch") && !asked("stall");
    let seconds = number("--seconds", if is_tried { 1 } else { 5 });
    if all || asked("fetch") {
        fetch(seconds, number("--users", 1000));
    }
    if all || asked("stall") {
        stall(seconds, number("--rate", if is_tried { 200 } else { 20_000 }));
    }
}

/// Keeps so many users under way, and counts who comes back.
fn fetch(seconds: u64, under_way: u64) {
    let folder = Folder::new("bench-miss");
    let credentials = folder.write("credentials", "[default]\naws_access_key_id = a\naws_secret_access_key = b\n");
    std::fs::set_permissions(&credentials, std::fs::Permissions::from_mode(0o600)).unwrap();
    // A profile of 64 segments.
    let server = batch_get::start(fetching::profile(&(0..64).collect::<Vec<u32>>()));
    let config = DynamoDb {
        endpoint: Some(format!("http://{}", server.address)),
        aws_region: "eu-central-1".into(),
        credentials_file: credentials,
        ca_file: None,
        table_prefix: "corebid".into(),
        timeout_ms: 1000,
        fetch_ms: 1000,
        tenants: Vec::new(),
        sellers: false,
    };
    let (mut misses, missed) = spsc::ring(limits::MISSES);
    let (teller, mut told) = spsc::ring(limits::FETCHED);
    let (mut returned, back) = spsc::ring(limits::FETCHED);
    let (core_waker, _core) = wake::pair().unwrap();
    let (waker, wakeup) = wake::pair().unwrap();
    let ends = vec![CoreEnds { misses: missed, told: teller, returned: back, waker: core_waker }];
    let settings = Settings { timeout: Duration::from_secs(1), seed: 1 };
    let stores =
        stores::spawn(0, settings, ends, wakeup, move || Ok(Profiles::new(Client::new(&config).unwrap()))).unwrap();
    let (mut next, mut out, mut failed) = (1u64, 0, 0u64);
    let mut times = Histogram::<u64>::new(3).unwrap();
    let mut asked = std::collections::HashMap::new();
    let start = clock::boot();
    let end = start.after(seconds * Nanos::SECOND);
    loop {
        let now = clock::boot();
        if now >= end && out == 0 {
            break;
        }
        let before = next;
        while now < end && out < under_way && misses.has_room(1) {
            let user = UserKey(next);
            misses.offer(Miss { user, at: now }).unwrap();
            asked.insert(user, now);
            next += 1;
            out += 1;
        }
        if next != before {
            waker.wake();
        }
        let mut idle = true;
        while let Some(word) = told.take() {
            idle = false;
            if let Told::Fetched(fetched) = word {
                failed += u64::from(!matches!(fetched.outcome, FetchOutcome::Profile(_)));
                times.record(now.since(asked.remove(&fetched.user).unwrap())).unwrap();
                out -= 1;
                returned.offer(fetched).unwrap();
            }
        }
        if idle {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
    let spent = clock::boot().since(start) as f64 / 1e9;
    let (users, batches) = (stores.counts.users.get(), stores.counts.fetches.get());
    println!(
        "fetch: {:.0} users/s, {failed} failed, {:.1} users a batch, p50 {:.2} ms, p99 {:.2} ms, {under_way} under way",
        users as f64 / spent,
        users as f64 / batches as f64,
        times.value_at_quantile(0.5) as f64 / 1e6,
        times.value_at_quantile(0.99) as f64 / 1e6,
    );
    stores.close().unwrap();
}

/// The same load with a store that answers and one that stalls, in turns.
fn stall(seconds: u64, rate: u64) {
    let folder = Folder::new("bench-stall");
    let mut config = Config::demo(&folder.path("data"));
    config.server.listen.set_port(0);
    let campaigns = folder.write("campaigns.toml", campaign(1, ""));
    let source = Source::Files {
        campaigns,
        profiles: None,
        model: None,
        scoring: Default::default(),
        rates: Default::default(),
        geo: None,
        edge: Default::default(),
        privacy: Default::default(),
        supply: Default::default(),
    };
    let store = Store::new(Mood::Known);
    let asked = Asked(store.clone());
    let launch = Launch { config, source, make_keys: true, busy_work: BusyWork::NONE };
    let node = launch.start_fetching(move || asked).unwrap();
    eventually("money", || node.is_funded().then_some(()));
    for (round, mood) in [Mood::Known, Mood::Stalled, Mood::Known, Mood::Stalled].into_iter().enumerate() {
        store.set(mood);
        let mut corpus = Vec::new();
        for at in 0..rate * seconds {
            corpus.extend(request("r", &format!(",\"user\":{{\"id\":\"{round}-{at}\"}}")));
            corpus.push(b'\n');
        }
        let options = load::Options {
            url: format!("http://{}/openrtb/generic", node.address),
            rate,
            seconds: seconds as f64,
            source: load::Source::file(folder.write("corpus.ndjson", corpus)),
            ..load::Options::default()
        };
        let parked = || node.metrics.iter().map(|core| core.parked.get()).sum::<u64>();
        let before = parked();
        let report = load::run(&options).unwrap();
        println!(
            "stall: {mood:?}: {} sent, {} unanswered, {:.4} % after 8 ms, p50 {} us, p99 {} us, {} parked",
            report.sent,
            report.unanswered,
            100.0 * report.late as f64 / report.answered.max(1) as f64,
            report.p50,
            report.p99,
            parked() - before,
        );
    }
    node.drain().unwrap();
}
