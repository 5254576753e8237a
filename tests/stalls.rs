//! A bidder that is kept from its work: stopped, crowded out, or busy with itself. Every request is answered once; those that lay
//! unread say so; and the meter names what it was.

#![allow(clippy::disallowed_methods, reason = "a test may wait")]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use corebid::admin::stalls::{Stall, View};
use support::client::{Client, http};
use support::process::Bidder;
use support::{Folder, eventually, request};

const BACKENDS: [&str; 2] = ["io_uring", "epoll"];
/// How long the process is stopped: several times the deadline.
const STOPPED: Duration = Duration::from_millis(50);

fn ask(id: &str) -> Vec<u8> {
    http("POST", "/openrtb/generic", "x-debug: 1\r\n", &request(id, ""))
}

fn longest(bidder: &Bidder) -> Vec<Stall> {
    let answer = bidder.admin("/api/stalls");
    assert_eq!(answer.status, 200);
    let View { stalls } = serde_json::from_slice(&answer.body).unwrap();
    assert!(stalls.is_sorted_by(|one, other| one.seconds >= other.seconds), "the longest come first: {stalls:?}");
    for Stall { seconds, kept_seconds, causes, .. } in &stalls {
        assert!(kept_seconds <= seconds, "{stalls:?}");
        assert!((causes.values().sum::<f64>() - seconds).abs() < 1e-6, "the causes make up the whole: {stalls:?}");
    }
    stalls
}

/// The longest of those that have this cause, once there is one that took so long.
fn stall_of(bidder: &Bidder, cause: &str, least: Duration) -> Stall {
    eventually(cause, || {
        let found = longest(bidder).into_iter().find(|stall| stall.cause == cause && stall.kept_seconds > 0.0);
        found.filter(|stall| stall.seconds >= least.as_secs_f64())
    })
}

/// Stops every thread of the process, so that none runs when this returns.
fn stop(bidder: &Bidder) {
    bidder.signal(libc::SIGSTOP);
    eventually("a stopped process", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", bidder.process())).unwrap();
        let mut states = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("stat")).unwrap());
        states.all(|stat| stat.rsplit(") ").next().unwrap().starts_with('T')).then_some(())
    });
}

/// Sets it when it goes out of scope, so that a test that fails ends, too.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks one after the other until `over`; says how often it was answered what.
fn ask_on(mut client: Client, over: &AtomicBool) -> BTreeMap<String, u64> {
    let mut answers = BTreeMap::new();
    let ask = ask("r");
    while !over.load(Ordering::Relaxed) {
        client.send(&ask).unwrap();
        let answer = client.answer().expect("every request is answered");
        let outcome = answer.reason().unwrap_or(if answer.status == 200 { "bid" } else { "withdrawn" });
        *answers.entry(outcome.to_owned()).or_default() += 1;
    }
    answers
}

#[test]
fn what_waits_while_the_process_is_stopped_is_answered_once_and_says_why_it_is_late() {
    for backend in BACKENDS {
        let folder = Folder::new("stopped");
        let bidder = Bidder::demo(&folder.text("data"), backend);
        let mut quiet: Vec<Client> = (0..16).map(|_| bidder.client()).collect();
        for client in &mut quiet {
            assert!([200, 204].contains(&client.bid(&request("first", "")).status));
        }
        let (over, mut stalled) = (AtomicBool::new(false), 0);
        let answers = thread::scope(|scope| {
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| ask_on(bidder.client(), &over))).collect();
            let end = SetAtEnd(&over);
            for round in 0..4 {
                thread::sleep(Duration::from_millis(30));
                stop(&bidder);
                // These came when nobody could look: there is no doubt about them.
                for client in &mut quiet {
                    client.send(&ask("unread")).unwrap();
                }
                thread::sleep(STOPPED);
                bidder.signal(libc::SIGCONT);
                for client in &mut quiet {
                    let answer = client.answer().expect("every request is answered");
                    assert_eq!(answer.reason(), Some("stalled"), "{backend}, round {round}: {answer:?}");
                    stalled += 1;
                }
            }
            drop(end);
            asking.into_iter().map(|asking| asking.join().unwrap()).collect::<Vec<_>>()
        });
        let mut outcomes = BTreeMap::from([("stalled".to_owned(), stalled)]);
        for (outcome, count) in answers.into_iter().flatten() {
            *outcomes.entry(outcome).or_default() += count;
        }
        // One answer each, and no more: what is sent now is answered next.
        for client in &mut quiet {
            assert_eq!(client.get("/nowhere").status, 404);
        }
        let asked: u64 = outcomes.values().sum::<u64>() + quiet.len() as u64;
        assert_eq!(bidder.metric("corebid_requests_total", ""), asked);
        assert_eq!(bidder.metric("corebid_nobid_total", "\"stalled\""), outcomes["stalled"], "{outcomes:?}");
        assert!(bidder.metric("corebid_stalled_requests_total", "") >= outcomes["stalled"]);
        // Those of the others that were under way when the process stopped: not read yet, or a bid by then, which is withdrawn.
        let late = outcomes["stalled"] + outcomes.get("withdrawn").unwrap_or(&0);
        assert!(late > stalled, "{outcomes:?}");

        let stop = stall_of(&bidder, "off_cpu", STOPPED);
        assert!(stop.involuntary_switches.is_some() && stop.window_seconds >= stop.seconds, "{stop:?}");
        assert!(bidder.metric("corebid_stalls_total", "\"off_cpu\"") > 0);
        assert!(bidder.metric("corebid_turn_seconds_count", "") > 0);
        bidder.stop();
    }
}

/// The CPUs of this process, one for bidding and one for the rest, if there are two.
fn cpus() -> (usize, usize) {
    let cpus = core_affinity::get_core_ids().unwrap();
    (cpus.last().unwrap().id, cpus[0].id)
}

/// The bid thread yields to whoever else wants its CPU.
fn give_way(bidder: &Bidder) {
    for task in fs::read_dir(format!("/proc/{}/task", bidder.process())).unwrap().map(Result::unwrap) {
        if fs::read_to_string(task.path().join("comm")).unwrap().starts_with("bid-") {
            let thread = task.file_name().to_str().unwrap().parse().unwrap();
            // SAFETY: no pointer is passed.
            assert_eq!(unsafe { libc::setpriority(libc::PRIO_PROCESS, thread, 10) }, 0);
        }
    }
}

#[test]
fn a_core_that_others_crowd_out_says_so() {
    let folder = Folder::new("crowded");
    let (bid, other) = cpus();
    let (bid_text, other_text, data) = (bid.to_string(), other.to_string(), folder.text("data"));
    let arguments = ["--demo", "--data", &data, "--cores", &bid_text, "--reconcile-core", &other_text];
    let bidder = Bidder::start(&arguments);
    give_way(&bidder);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let end = SetAtEnd(&over);
        for _ in 0..2 {
            scope.spawn(|| {
                core_affinity::set_for_current(core_affinity::CoreId { id: bid });
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let asking = scope.spawn(|| ask_on(bidder.client(), &over));
        let crowded = stall_of(&bidder, "run_delay", Duration::ZERO);
        drop(end);
        assert_eq!(crowded.cpu, Some(bid), "{crowded:?}");
        assert!(asking.join().unwrap().values().sum::<u64>() > 0);
    });
    assert!(bidder.metric("corebid_stalls_total", "\"run_delay\"") > 0);
    bidder.stop();
}

#[test]
fn a_core_that_takes_longer_than_it_used_to_has_kept_itself() {
    let folder = Folder::new("busy");
    // Each request takes 700 us more than those the loop is used to, of which it has had none yet.
    let bidder = Bidder::start(&["--demo", "--data", &folder.text("data"), "--busy-work", "10000"]);
    let mut client = bidder.client();
    let together: Vec<u8> = (0..64).flat_map(|_| ask("together")).collect();
    for _ in 0..8 {
        client.send(&together).unwrap();
        for _ in 0..64 {
            client.answer().expect("every request is answered");
        }
    }
    // Of the 45 ms that the first lot burns; the machine may have taken more of the time than that.
    let own = |stall: &Stall| stall.requests > 0 && stall.causes.get("own").is_some_and(|&seconds| seconds > 0.02);
    let found = eventually("a core that kept itself", || longest(&bidder).into_iter().find(own));
    assert!(found.kept_seconds > 0.02, "{found:?}");
    bidder.stop();
}
