//! How long an exchange waits for the 200 of a bill: a real process on a real disk, bids and bills flowing, each at its own rate
//! whether answers come or not. A wait counts from when its bill was to be sent.
//!
//! `cargo bench --profile quick --bench notice_wait -- [--rate BILLS] [--bids BIDS] [--seconds S] [--data DIR]`, rates per second.
//! The ledger is written to a new folder in DIR, by default that of temporary files: name one on the disk in question, and leave
//! the machine alone meanwhile.

#![allow(clippy::disallowed_methods, reason = "a benchmark may wait")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use corebid::clock;
use corebid::units::Nanos;
use hdrhistogram::Histogram;
use support::client::{Client, http, target};
use support::process::Bidder;
use support::{Folder, request};

/// Connections for bids. Each asks again when it has its answer, and at its time.
const ASKING: u64 = 4;
/// Connections for bills: as many can wait for the disk at once.
const CALLING: u64 = 64;
/// Bids that are ahead before the first bill is called.
const AHEAD: Duration = Duration::from_millis(500);
/// What the wait is to stay under at the 99th percentile, ms.
const TARGET_MS: f64 = 20.0;

/// Per second, and seconds.
struct Plan {
    rate: u64,
    bids: u64,
    seconds: u64,
    data: Option<String>,
}

impl Plan {
    /// As asked for; next to nothing when it is only tried whether it runs.
    fn of(arguments: &[String]) -> Plan {
        let given = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name)?;
            Some(arguments.get(at + 1).unwrap_or_else(|| panic!("{name} needs a value")))
        };
        let number = |name, usual| given(name).map_or(usual, |text| text.parse().expect("a number"));
        let is_tried = !arguments.iter().any(|argument| argument == "--bench");
        let (rate, seconds) = if is_tried { (100, 1) } else { (1_000, 10) };
        let rate = number("--rate", rate);
        Plan {
            rate,
            bids: number("--bids", 2 * rate),
            seconds: number("--seconds", seconds),
            data: given("--data").cloned(),
        }
    }
}

/// Sleeps until then.
fn until(time: Nanos) {
    thread::sleep(Duration::from_nanos(time.since(clock::boot())));
}

/// The times of every `of`-th event from the `first`, at `rate` a second.
fn times(start: Nanos, rate: u64, first: u64, of: u64, seconds: u64) -> impl Iterator<Item = Nanos> {
    (first..rate * seconds).step_by(of as usize).map(move |event| start.after(event * Nanos::SECOND / rate))
}

/// Bids, and passes on the bills of those that were made.
fn ask(bidder: &Bidder, times: impl Iterator<Item = Nanos>, bills: &Sender<String>) {
    let (mut client, ask) = (bidder.client(), http("POST", "/openrtb/generic", "", &request("r", "")));
    for time in times {
        until(time);
        client.send(&ask).expect("the connection takes a request");
        let answer = client.answer().expect("every request is answered");
        if answer.status == 200 {
            let response = answer.json();
            let url = response["seatbid"][0]["bid"][0]["burl"].as_str().expect("a bid with a bill");
            let _ = bills.send(target(url, "0.5"));
        }
    }
}

/// Calls bills; how long each waited, and how it ended.
fn call(
    mut client: Client,
    times: impl Iterator<Item = Nanos>,
    bills: &Mutex<Receiver<String>>,
) -> (Histogram<u64>, BTreeMap<u16, u64>) {
    let mut waits = waits_of_none();
    let mut ends = BTreeMap::new();
    for time in times {
        until(time);
        let bill = bills.lock().expect("no caller fails").try_recv();
        let Ok(bill) = bill else {
            *ends.entry(0).or_default() += 1;
            continue;
        };
        let status = client.get(&bill).status;
        waits.saturating_record(clock::boot().since(time));
        *ends.entry(status).or_default() += 1;
    }
    (waits, ends)
}

/// From a microsecond to a minute, ns.
fn waits_of_none() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 60 * Nanos::SECOND, 3).expect("bounds in order")
}

fn main() {
    let plan = Plan::of(&std::env::args().skip(1).collect::<Vec<_>>());
    let folder = match &plan.data {
        Some(data) => Folder::within(data.as_ref(), "notice-wait"),
        None => Folder::new("notice-wait"),
    };
    let bidder = Bidder::demo(&folder.text("data"), "io_uring");
    let (sender, receiver) = channel();
    let receiver = Mutex::new(receiver);
    let (mut waits, mut ends) = (waits_of_none(), BTreeMap::<u16, u64>::new());
    let start = clock::boot();
    let first_bill = start.after(AHEAD.as_nanos() as u64);
    thread::scope(|scope| {
        for asking in 0..ASKING {
            let (bidder, bills) = (&bidder, sender.clone());
            let times = times(start, plan.bids, asking, ASKING, plan.seconds + 1);
            scope.spawn(move || ask(bidder, times, &bills));
        }
        let callers: Vec<_> = (0..CALLING)
            .map(|calling| {
                let (client, receiver) = (bidder.client(), &receiver);
                let times = times(first_bill, plan.rate, calling, CALLING, plan.seconds);
                scope.spawn(move || call(client, times, receiver))
            })
            .collect();
        for caller in callers {
            let (waited, ended) = caller.join().expect("a caller that ends");
            waits.add(waited).expect("the same digits");
            ended.into_iter().for_each(|(status, count)| *ends.entry(status).or_default() += count);
        }
    });
    let took = clock::boot().since(first_bill) as f64 / 1e9;
    let ms = |quantile| waits.value_at_quantile(quantile) as f64 / 1e6;
    let missing = ends.remove(&0).unwrap_or(0);
    println!(
        "{} bills in {took:.1} s at {} a second wanted, {} bids a second beside them",
        waits.len(),
        plan.rate,
        plan.bids
    );
    println!("answers {ends:?}; {missing} bills had no bid");
    println!(
        "from when it was to be sent to its answer, ms: p50 {:.2}  p99 {:.2}  p999 {:.2}  most {:.2}",
        ms(0.5),
        ms(0.99),
        ms(0.999),
        waits.max() as f64 / 1e6
    );
    println!("in the bidder, corebid_notice_seconds, ms: p99 up to {:.2}", served(&bidder, 0.99));
    println!("p99 {} {TARGET_MS} ms", if ms(0.99) < TARGET_MS { "under" } else { "NOT UNDER" });
    let booked = bidder.booked("bills");
    assert_eq!(Some(&booked), ends.get(&200), "every 200 is a bill that is booked");
    bidder.stop();
}

/// The upper bound of the bucket that holds a quantile of the bidder's own histogram, ms.
fn served(bidder: &Bidder, quantile: f64) -> f64 {
    let text = String::from_utf8(bidder.admin("/metrics").body).expect("text");
    let mut buckets = BTreeMap::<u64, u64>::new();
    for line in text.lines().filter(|line| line.contains("end=\"safe\"")) {
        let Some((bound, rest)) =
            line.strip_prefix("corebid_notice_seconds_bucket{le=\"").and_then(|l| l.split_once('"'))
        else {
            continue;
        };
        let count: u64 = rest.rsplit_once(' ').and_then(|(_, count)| count.parse().ok()).expect("a count");
        let bound = bound.parse().map_or(u64::MAX, |seconds: f64| (seconds * 1e9) as u64);
        *buckets.entry(bound).or_default() += count;
    }
    let all = buckets.last_key_value().map_or(0, |(_, count)| *count);
    let wanted = (all as f64 * quantile).ceil() as u64;
    buckets.iter().find(|(_, count)| **count >= wanted).map_or(f64::NAN, |(bound, _)| *bound as f64 / 1e6)
}
