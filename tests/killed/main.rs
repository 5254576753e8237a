//! The real process, killed with -9 at random moments while it bids and books, and started again on the same data.
//!
//! Beside it runs an exchange that is silent about most bids, loses some, bills others at once or some lives later, and
//! calls again until it is acknowledged, and now and then once more. It keeps its own account, and after every kill
//! the ledger is held against that: what was acknowledged is in it, once.
//!
//! A kill takes the process and leaves the page cache, so it cannot show a record that was written and not synced; it shows
//! an answer that was sent before its record was written, a booking forgotten or done twice by a restart, and money spent
//! twice by two incarnations.
//!
//! `KILLS=200 cargo test --test killed -- --nocapture` for more than a few.

#![allow(clippy::disallowed_methods, reason = "a test may wait")]

#[path = "../support/mod.rs"]
mod support;

mod account;
mod exchange;

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use account::Account;
use exchange::{Exchange, Random};
use support::process::{Bidder, corebid};
use support::{Folder, PATIENCE, campaign};

/// How often the process is killed in each test.
fn kills() -> u32 {
    std::env::var("KILLS").map_or(5, |kills| kills.parse().expect("KILLS is a number"))
}

/// One life of the process. It is killed while connections ask, answer and wait; when, is drawn.
fn live(exchange: &Exchange, arguments: &[&str], random: &mut Random) -> Duration {
    let started = Instant::now();
    let mut bidder = Bidder::start(arguments);
    exchange.begins();
    let mut first = None;
    thread::scope(|scope| {
        exchange.trade(scope, bidder.address);
        let asked = Instant::now();
        while exchange.bids_of_this_life() == 0 && asked.elapsed() < PATIENCE && !exchange.is_sold_out() {
            thread::sleep(Duration::from_millis(1));
        }
        first = Some(started.elapsed());
        thread::sleep(Duration::from_millis(random.below(250)));
        bidder.signal(libc::SIGKILL);
        bidder.wait();
        exchange.ends();
    });
    first.expect("a life has a first bid or nothing left to sell")
}

/// A start that is killed before it says that it is ready.
fn still_birth(arguments: &[&str], random: &mut Random) {
    let ports = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--wait", "block"];
    let mut child = corebid().args(ports).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_micros(random.below(120_000)));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Kills it over and over, then lets one process hear what is left, silent bids included, and stops that in good order.
fn is_killed(name: &str, folder: &Folder, arguments: &[&str], account: &Account) {
    let seed = std::env::var("SEED").map_or_else(|_| u64::from(std::process::id()), |seed| seed.parse().unwrap());
    println!("{name}: SEED={seed}");
    let (mut random, exchange) = (Random(seed), Exchange::new(seed));
    let mut starts = Vec::new();
    let mut born_dead = 0;
    for _ in 0..kills() {
        starts.push(live(&exchange, arguments, &mut random));
        account.check(&folder.path("data"), &exchange);
        if random.below(4) == 0 {
            still_birth(arguments, &mut random);
            born_dead += 1;
        }
    }
    let bidder = Bidder::start(arguments);
    exchange.begins();
    exchange.bill_the_silent();
    thread::scope(|scope| {
        exchange.settle(scope, bidder.address);
    });
    bidder.stop();
    let booked = account.check(&folder.path("data"), &exchange);
    let totals = exchange.totals();
    assert_eq!(booked.bills, totals.acknowledged, "what is booked, and what was acknowledged");
    assert_eq!(booked.accounted, booked.bills, "what the authority has, and what was booked");
    assert!(totals.across > 0 && totals.repeated > 0, "{totals:?}");
    println!("{name}: {} kills, {born_dead} of them during a start; {totals:?}; {booked:?}", starts.len() + born_dead);
    let (first, last) = (starts[0], starts[starts.len() - 1]);
    starts.sort();
    let (median, most) = (starts[starts.len() / 2], starts[starts.len() - 1]);
    println!(
        "{name}: from start to bid: {first:?} the first time, {last:?} the last; median {median:?}, most {most:?}"
    );
}

#[test]
fn the_demo_loses_no_bill_and_books_none_twice() {
    for backend in ["io_uring", "epoll"] {
        let folder = Folder::new("killed-demo");
        let data = folder.text("data");
        let arguments = ["--demo", "--data", &data, "--backend", backend];
        is_killed(&format!("demo on {backend}"), &folder, &arguments, &Account::unlimited());
    }
}

/// Budgets for 33, 500 and 10,000 bids of which the first is gone at once: even if every bid that was ever made is billed at
/// its price, no day of a campaign costs more than its budget.
#[test]
fn small_budgets_are_kept_over_all_lives() {
    let folder = Folder::new("killed-budgets");
    let budgets = [(1, "6.00", "0.2", 200_000), (2, "4.00", "2", 2_000_000), (3, "2.00", "20", 20_000_000)];
    let campaigns: String = budgets
        .iter()
        .map(|(id, cpm, budget, _)| {
            campaign(*id, &format!("daily_budget = {budget}\n")).replace("cpm = 2.00", &format!("cpm = {cpm}"))
        })
        .collect();
    let config = folder.configure("debug_header = true", "", &campaigns);
    let account = Account::new(budgets.map(|(id, .., micros)| (id, micros)));
    is_killed("small budgets", &folder, &["--config", &config], &account);
}
