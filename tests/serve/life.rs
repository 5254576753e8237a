//! Ends and beginnings: a drain, a power cut, a second process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use corebid::store::embedded::Embedded;
use corebid::units::NodeId;

use crate::notices::{Bid, decimal};
use crate::support::client::{Client, http};
use crate::support::process::Bidder;
use crate::support::{Folder, impression, request};

/// What the ledger of a stopped bidder says was billed, all campaigns together.
fn ledger(folder: &Folder) -> i64 {
    let (_, replayed) = Embedded::open_replayed(&folder.path("data")).expect("a ledger that adds up");
    let books = &replayed.books;
    let booked: i64 = books.lives().map(|(_, life)| life.account.settled.0 + life.excess.0).sum();
    // Of a process that was killed: bills that the authority has not been told of.
    let untold = replayed.history.bookings_from(books.booked(NodeId(0)));
    booked + untold.map(|booking| booking.amount.0).sum::<i64>()
}

#[test]
fn a_power_cut_loses_no_bill_and_books_none_twice() {
    let folder = Folder::new("cut");
    let mut all: BTreeMap<String, i64> = BTreeMap::new();
    for round in 0..3 {
        let bidder = Bidder::demo(&folder.text("data"), ["io_uring", "epoll"][round % 2]);
        let mut client = bidder.client();
        // What was acknowledged before is known, whichever process acknowledged it.
        for target in all.keys() {
            assert_eq!(client.get(target).status, 200);
        }
        assert_eq!((bidder.booked("bills"), bidder.booked("spend_micros")), (0, 0), "round {round}");
        assert_eq!(bidder.booked("duplicates"), all.len() as u64);
        for _ in 0..20 {
            let bid = Bid::get(&mut client);
            let target = bid.target("burl", &decimal(bid.price()));
            assert_eq!(client.get(&target).status, 200);
            all.insert(target, impression(bid.price()));
        }
        bidder.kill();
        assert_eq!(ledger(&folder), all.values().sum::<i64>(), "round {round}");
    }
}

/// The cut comes while bills are on their way: those acknowledged are booked, the others at most once, and calling all of
/// them again books the rest.
#[test]
fn a_power_cut_among_bills_under_way_is_made_good_by_calling_again() {
    let folder = Folder::new("under-way");
    let bidder = Bidder::demo(&folder.text("data"), "io_uring");
    let mut client = bidder.client();
    let bids: Vec<Bid> = (0..64).map(|_| Bid::get(&mut client)).collect();
    let bills: Vec<(String, i64)> =
        bids.iter().map(|bid| (bid.target("burl", &decimal(bid.price())), impression(bid.price()))).collect();
    let mut callers: Vec<Client> = bills.iter().map(|_| bidder.client()).collect();
    let (early, late) = callers.split_at_mut(16);
    let call = |caller: &mut Client, bill: &(String, i64)| caller.send(&http("GET", &bill.0, "", b"")).unwrap();
    for (caller, bill) in early.iter_mut().zip(&bills) {
        call(caller, bill);
    }
    let acknowledged: i64 = early
        .iter_mut()
        .zip(&bills)
        .map(|(caller, bill)| {
            assert_eq!(caller.answer().unwrap().status, 200);
            bill.1
        })
        .sum();
    for (caller, bill) in late.iter_mut().zip(&bills[16..]) {
        call(caller, bill);
    }
    bidder.kill();
    let heard: i64 = late
        .iter_mut()
        .zip(&bills[16..])
        .filter_map(|(caller, bill)| caller.answer().ok().filter(|answer| answer.status == 200).map(|_| bill.1))
        .sum();
    let total = bills.iter().map(|bill| bill.1).sum::<i64>();
    let booked = ledger(&folder);
    assert!(
        (acknowledged + heard..=total).contains(&booked),
        "{booked} of {acknowledged} + {heard} and at most {total}"
    );

    let bidder = Bidder::demo(&folder.text("data"), "io_uring");
    let mut client = bidder.client();
    for (target, _) in &bills {
        assert_eq!(client.get(target).status, 200);
    }
    assert_eq!(bidder.booked("spend_micros") as i64, total - booked);
    assert_eq!(client.debug(&request("again", "")).status, 200);
    bidder.stop();
    assert_eq!(ledger(&folder), total);
}

/// Exit code 0 says that the drain was over within its own limit of 4 s, with every ring empty and the ledger synced.
fn a_drain_answers_all_that_was_sent(backend: &str) {
    let folder = Folder::new("drain");
    let mut bidder = Bidder::demo(&folder.text("data"), backend);
    let told = AtomicBool::new(false);
    let body = http("POST", "/openrtb/generic", "", &request("r", ""));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..16)
            .map(|_| {
                let mut client = bidder.client();
                let (told, body) = (&told, &body);
                scope.spawn(move || {
                    let mut answers = 0u64;
                    loop {
                        let sent = client.send(body).is_ok();
                        let before = !told.load(Ordering::SeqCst);
                        match client.answer() {
                            Ok(answer) => {
                                assert!(matches!(answer.status, 200 | 204), "{answer:?}");
                                answers += 1;
                                if answer.closes() {
                                    return answers;
                                }
                            }
                            Err(error) => {
                                assert!(!(sent && before), "sent before the signal and not answered: {error}");
                                return answers;
                            }
                        }
                    }
                })
            })
            .collect();
        // Connections with nothing to say must not hold it up.
        let _idle: Vec<Client> = (0..8).map(|_| bidder.client()).collect();
        crate::support::eventually("load", || (bidder.metric("corebid_requests_total", "") > 500).then_some(()));
        told.store(true, Ordering::SeqCst);
        bidder.signal(libc::SIGTERM);
        let answers: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
        assert!(answers > 500);
    });
    assert_eq!(bidder.wait().code(), Some(0), "{}", bidder.log());
}

#[test]
fn a_drain_answers_all_that_was_sent_on_io_uring() {
    a_drain_answers_all_that_was_sent("io_uring");
}

#[test]
fn a_drain_answers_all_that_was_sent_on_epoll() {
    a_drain_answers_all_that_was_sent("epoll");
}

#[test]
fn bills_under_way_are_answered_by_a_drain() {
    let folder = Folder::new("drain-bills");
    let mut bidder = Bidder::demo(&folder.text("data"), "io_uring");
    let mut client = bidder.client();
    let mut callers: Vec<(Client, i64)> = (0..32)
        .map(|_| {
            let bid = Bid::get(&mut client);
            let mut caller = bidder.client();
            assert_eq!(caller.get("/ready").status, 200);
            caller.send(&http("POST", &bid.target("burl", &decimal(bid.price())), "", b"")).unwrap();
            (caller, impression(bid.price()))
        })
        .collect();
    bidder.signal(libc::SIGTERM);
    let mut safe = 0;
    for (caller, money) in &mut callers {
        match caller.answer().expect("every notice is answered").status {
            200 => safe += *money,
            status => assert_eq!(status, 503),
        }
    }
    assert_eq!(bidder.wait().code(), Some(0), "{}", bidder.log());
    assert!(ledger(&folder) >= safe);
}

/// `ready` is said when there is money to bid with, not before.
#[test]
fn who_is_ready_bids() {
    let folder = Folder::new("ready");
    for _ in 0..8 {
        let bidder = Bidder::demo(&folder.text("data"), "epoll");
        let first = bidder.client().debug(&request("first", ""));
        assert_eq!(first.status, 200, "{first:?}");
        bidder.kill();
    }
}

#[test]
fn a_second_process_on_the_same_data_is_refused() {
    let folder = Folder::new("twice");
    let first = Bidder::demo(&folder.text("data"), "epoll");
    let refused = Bidder::try_start(&["--demo", "--data", &folder.text("data")]).unwrap_err();
    assert_eq!((refused.code, refused.stderr.lines().count()), (Some(1), 1), "{refused:?}");
    assert!(refused.stderr.contains("in use") && refused.stderr.contains(&folder.text("data")), "{refused:?}");
    let answer = first.client().debug(&request("r", ""));
    assert_eq!(answer.status, 200, "{answer:?}");
    first.stop();
    Bidder::demo(&folder.text("data"), "epoll").stop();
}
