//! A thread panics: what was framed is answered, the process aborts and says why, and the next one fences what it held.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::account::Account;
use crate::exchange::{Exchange, Random};
use crate::support::client::{Client, http, target};
use crate::support::process::Bidder;
use crate::support::{Folder, PATIENCE, campaign, request};

/// What one connection saw.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    sent: u64,
    answered: u64,
    /// Of the answers, those to notices that were not booked because the process ended.
    refused: u64,
    /// The connection was reset, and not ended.
    reset: bool,
}

/// One request after the other until the connection ends: bids, and, for each, its bill.
fn trade(address: SocketAddr) -> Seen {
    let mut seen = Seen::default();
    let Ok(mut client) = Client::connect(address) else { return seen };
    let ask = http("POST", "/openrtb/generic", "", &request("r", ""));
    let mut next = ask.clone();
    loop {
        if let Err(error) = client.send(&next) {
            seen.reset |= error.kind() != std::io::ErrorKind::UnexpectedEof;
            return seen;
        }
        seen.sent += 1;
        let answer = match client.answer() {
            Ok(answer) => answer,
            Err(error) => {
                seen.reset |= error.kind() != std::io::ErrorKind::UnexpectedEof;
                return seen;
            }
        };
        seen.answered += 1;
        seen.refused += u64::from(answer.status == 503);
        next = match answer.status {
            200 if !answer.body.is_empty() => {
                let bid = answer.json()["seatbid"][0]["bid"][0].take();
                http("POST", &target(bid["burl"].as_str().unwrap(), "0.5"), "", b"")
            }
            _ => ask.clone(),
        };
    }
}

/// A number before a word in the last line of a core.
fn said(line: &str, word: &str) -> u64 {
    let before = line[..line.find(word).unwrap_or_else(|| panic!("{word} in {line}"))].trim_end();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

/// How often a drill is done again on a machine so busy that a bid core did not get its CPU in time, which the log says.
const ATTEMPTS: usize = 20;

fn drill(who: &str, backend: &str) {
    for _ in 0..ATTEMPTS {
        if try_drill(who, backend) {
            return;
        }
    }
    panic!("{who} on {backend}: never did all bid cores answer in time");
}

/// Starts a bidder of two bid cores, trades with it until the drill, and holds what the exchange counted against what the cores
/// say of themselves. `false` if a core had no time for its last answers.
fn try_drill(who: &str, backend: &str) -> bool {
    let folder = Folder::new("hardened-drill");
    let data = folder.text("data");
    let panics = format!("{who}:400");
    let arguments = [
        "--demo",
        "--data",
        &data,
        "--backend",
        backend,
        "--cores",
        "0,1",
        "--reconcile-core",
        "0",
        "--drill-panic",
        &panics,
    ];
    let mut bidder = Bidder::start(&arguments);
    let seen = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let one = trade(bidder.address);
                seen.lock().unwrap().push(one);
            });
        }
    });
    let status = bidder.wait();
    assert_eq!(status.signal(), Some(libc::SIGABRT), "{}", bidder.log());
    let seen = seen.into_inner().unwrap();
    // What the process wrote is read by another thread.
    let log = crate::support::eventually("the reason", || {
        let log = bidder.log();
        log.contains("the process ends").then_some(log)
    });
    let thread = if who == "housekeeping" { "drill" } else { who };
    assert!(log.contains(&format!("thread {thread} panicked at")) && log.contains("a drill"), "{log}");
    if log.contains("not every bid core could answer in time") {
        return false;
    }
    assert!(log.contains("the bid cores have answered"), "{log}");

    let lines: Vec<&str> = log.lines().filter(|line| line.contains("another thread panicked")).collect();
    let (mut framed, mut answered) = (0, 0);
    for line in &lines {
        framed += said(line, "requests framed");
        answered += said(line, "answered");
        assert_eq!(said(line, "requests framed"), said(line, "answered") + said(line, "given up"), "{line}");
        if said(line, "connections did not") > 0 {
            return false;
        }
    }
    let total = |count: fn(&Seen) -> u64| seen.iter().map(count).sum::<u64>();
    let (got, sent, refused) = (total(|one| one.answered), total(|one| one.sent), total(|one| one.refused));
    let resets = seen.iter().filter(|one| one.reset).count();
    println!(
        "{who} on {backend}: {sent} sent, {got} answered, {refused} of them 503 at the end; {framed} framed and {answered} answered \
         by the cores that live; {resets} connections reset"
    );
    assert!(got > 16, "there was trade");
    if who.starts_with("bid-") {
        assert_eq!(lines.len(), 1, "the other core: {log}");
        assert!(got >= answered, "{got} of {answered}");
    } else {
        assert_eq!(lines.len(), 2, "both cores: {log}");
        assert_eq!((framed, got), (answered, answered), "each request that was framed has its answer");
    }
    true
}

#[test]
fn what_is_framed_is_answered_when_reconciliation_panics() {
    drill("reconcile", "io_uring");
    drill("reconcile", "epoll");
}

#[test]
fn what_is_framed_is_answered_when_housekeeping_panics() {
    drill("housekeeping", "io_uring");
    drill("housekeeping", "epoll");
}

#[test]
fn the_other_cores_answer_when_one_panics() {
    drill("bid-1", "io_uring");
    drill("bid-1", "epoll");
}

/// One life of the process: it trades until a thread of it panics. Returns how long it took from the start to the first bid, if
/// there was one.
fn live(exchange: &Exchange, arguments: &[&str]) -> Option<Duration> {
    let started = Instant::now();
    let mut bidder = Bidder::start(arguments);
    exchange.begins();
    let mut first = None;
    thread::scope(|scope| {
        exchange.trade(scope, bidder.address);
        while first.is_none() && bidder.is_running() && started.elapsed() < PATIENCE {
            if exchange.bids_of_this_life() > 0 {
                first = Some(started.elapsed());
            }
            thread::sleep(Duration::from_millis(1));
        }
        let status = bidder.wait();
        exchange.ends();
        assert_eq!(status.signal(), Some(libc::SIGABRT), "{}", bidder.log());
    });
    first
}

/// A supervisor in small: whoever panicked, another process is started on the same data at once. No bill that was acknowledged is
/// lost or booked twice, and no campaign costs more than its budget, though each life ended with money out on leases.
#[test]
fn the_next_process_fences_what_the_last_one_held() {
    let folder = Folder::new("hardened-lives");
    let budgets = [(1, "6.00", "0.2", 200_000), (2, "4.00", "2", 2_000_000), (3, "2.00", "20", 20_000_000)];
    let campaigns: String = budgets
        .iter()
        .map(|(id, cpm, budget, _)| {
            campaign(*id, &format!("daily_budget = {budget}\n")).replace("cpm = 2.00", &format!("cpm = {cpm}"))
        })
        .collect();
    let config = folder.configure("debug_header = true", "", &campaigns);
    let account = Account::new(BTreeMap::from(budgets.map(|(id, .., micros)| (id, micros))));
    let seed = u64::from(std::process::id());
    println!("SEED={seed}");
    let (mut random, exchange) = (Random(seed), Exchange::new(seed));
    let mut starts = Vec::new();
    for who in ["reconcile", "bid-0", "housekeeping", "reconcile"] {
        let panics = format!("{who}:{}", 200 + random.below(300));
        starts.extend(live(&exchange, &["--config", &config, "--drill-panic", &panics]));
        account.check(&folder.path("data"), &exchange);
    }
    let bidder = Bidder::start(&["--config", &config]);
    exchange.begins();
    exchange.bill_the_silent();
    thread::scope(|scope| exchange.settle(scope, bidder.address));
    bidder.stop();
    let booked = account.check(&folder.path("data"), &exchange);
    let totals = exchange.totals();
    assert_eq!(booked.bills, totals.acknowledged, "what is booked, and what was acknowledged");
    assert_eq!(booked.accounted, booked.bills, "what the authority has, and what was booked");
    assert!(totals.bids > 0, "{totals:?}");
    println!("from start to bid: {starts:?}; {totals:?}");
}
