//! Two bidders that spend one budget, as processes, with the stores of a fleet as processes: killed, stopped, cut off.
//!
//! An exchange stands outside and keeps its own account: whatever happened, the distinct bills that were acknowledged cost no more
//! than a campaign's budget, every one of them is in a ledger, and every request to a bidder that lives was answered.

#![cfg(feature = "stores")]
#![allow(clippy::disallowed_methods, reason = "a test may wait")]

#[path = "../support/mod.rs"]
mod support;

mod exchange;
mod machines;
mod network;

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use corebid::reconcile::record::Record;

use exchange::{Bill, Exchange, Totals};
use machines::{BUDGET, Fleet};
use network::{Machine, STORES};
use support::eventually;
use support::ledger::{bid_id, records};
use support::process::Bidder;

/// A fleet takes the machine: one at a time.
static MACHINE: Mutex<()> = Mutex::new(());
/// Longer than a lease, and than what a process may miss before it has to stop.
const FAULT: Duration = Duration::from_secs(15);

/// Both bidders, once both bid.
fn open(fleet: &Fleet) -> ([Bidder; 2], Exchange) {
    trade([0, 1].map(|node| fleet.start(node)))
}

fn trade(bidders: [Bidder; 2]) -> ([Bidder; 2], Exchange) {
    let exchange = Exchange::open([bidders[0].address, bidders[1].address]);
    exchange.sees_bids(0, 1);
    exchange.sees_bids(1, 1);
    (bidders, exchange)
}

/// Bills what is left, stops the bidders in good order, and holds the exchange's account against the budget and the ledgers.
#[track_caller]
fn settle(fleet: &Fleet, bidders: [Bidder; 2], exchange: Exchange) -> Totals {
    let (totals, bills) = exchange.close();
    println!("{totals:?}");
    bidders.into_iter().for_each(Bidder::stop);
    let mut booked: HashMap<String, i64> = HashMap::new();
    for folder in &fleet.folders {
        let mut here: HashMap<String, i64> = HashMap::new();
        for record in records(&folder.path("data")) {
            if let Record::Bill { bid, amount, .. } = record {
                assert_eq!(here.insert(bid_id(bid), amount.0), None, "billed twice: {record:?}");
            }
        }
        booked.extend(here);
    }
    check(&bills, &booked);
    totals
}

#[track_caller]
fn check(bills: &BTreeMap<String, Bill>, booked: &HashMap<String, i64>) {
    let mut spent = [[0; 2]; 2];
    for (id, bill) in bills {
        assert!(bill.booked_by.is_some(), "bid {id} was never acknowledged");
        assert_eq!(booked.get(id), Some(&bill.money), "bid {id} was acknowledged");
        spent[bill.campaign as usize - 1][bill.made_by] += bill.money;
    }
    assert_eq!(bills.len(), booked.len(), "what is booked, and what was acknowledged");
    println!("spent, by campaign and bidder: {spent:?}");
    let [first, second] = spent[0];
    assert!(first + second <= BUDGET, "{first} and {second} of {BUDGET}");
    // Else the account above could not fail. A busy machine spends less in the same time.
    assert!(first > 0 && second > 0 && first + second > BUDGET / 8, "{first} and {second} of {BUDGET}");
}

/// Kill one bidder under load and start it again; then let it stand still for longer than its leases live.
#[test]
fn a_bidder_dies_and_another_stands_still() {
    let _alone = MACHINE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let fleet = Fleet::new();
    let ([first, second], exchange) = open(&fleet);
    eventually("a bill booked across", || (exchange.totals().across > 0).then_some(()));

    exchange.sees_bids(1, 50);
    exchange.leaves(1);
    second.kill();
    eventually("a bill of the dead", || (exchange.totals().for_the_dead > 0).then_some(()));
    exchange.sees_bids(0, 100);
    let second = fleet.start(1);
    exchange.returns(1, second.address);
    exchange.sees_bids(1, 100);

    second.signal(libc::SIGSTOP);
    let before = exchange.totals().bids[0];
    thread::sleep(FAULT);
    assert!(exchange.totals().bids[0] > before, "the other one bids");
    second.signal(libc::SIGCONT);
    exchange.sees_bids(1, 100);
    let totals = settle(&fleet, [first, second], exchange);
    assert!(totals.across > 0 && totals.for_the_dead > 0, "{totals:?}");
}

/// While Valkey stands still leases run out, and every request is answered all the same. While DynamoDB does, nobody can start, and
/// who has started bids.
#[test]
fn the_stores_stand_still() {
    let _alone = MACHINE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let fleet = Fleet::new();
    let (bidders, exchange) = open(&fleet);
    fleet.primary.signal(libc::SIGSTOP);
    thread::sleep(FAULT);
    for node in [0, 1] {
        exchange.sees_none(node, 100);
    }
    fleet.primary.signal(libc::SIGCONT);
    for node in [0, 1] {
        exchange.sees_bids(node, 100);
    }

    fleet.dynamodb.signal(libc::SIGSTOP);
    let refused = fleet.refused(2);
    assert!(refused.code == Some(1) && refused.stderr.contains("register in DynamoDB"), "{refused:?}");
    for node in [0, 1] {
        exchange.sees_bids(node, 100);
    }
    fleet.dynamodb.signal(libc::SIGCONT);
    settle(&fleet, bidders, exchange);
}

/// What the primary alone knew is gone. The register begins another epoch with the replica, which learns before it grants.
#[test]
fn a_replica_takes_over() {
    let _alone = MACHINE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut fleet = Fleet::new();
    let (bidders, exchange) = open(&fleet);
    let epochs =
        || bidders.each_ref().map(|bidder| bidder.metric("corebid_lease_epochs_total", "")).iter().sum::<u64>();
    let before = epochs();
    fleet.primary.kill();
    fleet.replica.ask(&["REPLICAOF", "NO", "ONE"]);
    eventually("another epoch of both advertisers", || (epochs() >= before + 2).then_some(()));
    // What was out lives on while the authority learns; it is not what is waited for.
    thread::sleep(FAULT);
    for node in [0, 1] {
        exchange.sees_bids(node, 100);
    }
    settle(&fleet, bidders, exchange);
}

/// The second bidder is cut off from the stores, and not from the exchange.
#[test]
fn a_bidder_is_cut_off() {
    let _alone = MACHINE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let Some(machine) = Machine::new() else { return };
    let fleet = Fleet::at(["127.0.0.1", STORES]);
    let (bidders, exchange) = trade([fleet.start(0), machine.start(&fleet.config(1))]);
    machine.cut();
    thread::sleep(FAULT);
    exchange.sees_none(1, 100);
    exchange.sees_bids(0, 100);
    machine.mend();
    exchange.sees_bids(1, 100);
    settle(&fleet, bidders, exchange);
}
