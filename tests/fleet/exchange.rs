//! An exchange that buys from two bidders. Every bid wins, and is billed at its price sooner or later: at the bidder that made it,
//! at the other one, or when all is over. A bill that is not acknowledged is called again, at whoever is left.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::support::client::{Answer, Client, http, target};
use crate::support::{eventually, impression, micros, request};

/// Connections that call bills, at each bidder.
const CALLING: usize = 4;
/// Between two requests to a bidder.
const PAUSE: Duration = Duration::from_millis(5);
/// Before a bill is called again.
const AGAIN: Duration = Duration::from_millis(100);

/// A bill to be called.
struct Call {
    bid: String,
    target: String,
    at: usize,
}

/// What the exchange knows of a bid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bill {
    pub(crate) campaign: u32,
    pub(crate) money: i64,
    pub(crate) made_by: usize,
    /// Who acknowledged it first.
    pub(crate) booked_by: Option<usize>,
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) bids: [u64; 2],
    /// Requests answered without a bid.
    pub(crate) declined: [u64; 2],
    pub(crate) acknowledged: u64,
    /// Acknowledged by a bidder that did not make the bid.
    pub(crate) across: u64,
    /// The same while the other one was dead.
    pub(crate) for_the_dead: u64,
    /// Why, by bidder and reason.
    pub(crate) reasons: BTreeMap<(usize, String), u64>,
    /// Bills answered 503.
    pub(crate) deferred: u64,
}

#[derive(Default)]
struct State {
    addresses: [Option<SocketAddr>; 2],
    is_open: bool,
    is_over: bool,
    /// In the order of their ids.
    bills: BTreeMap<String, Bill>,
    calls: VecDeque<Call>,
    late: Vec<Call>,
    under_way: usize,
    totals: Totals,
}

/// The exchange. Its threads end with it.
pub(crate) struct Exchange {
    state: Arc<Mutex<State>>,
    threads: Vec<JoinHandle<()>>,
}

impl Exchange {
    /// Trades with these.
    pub(crate) fn open(addresses: [SocketAddr; 2]) -> Exchange {
        let state = State { addresses: addresses.map(Some), is_open: true, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let mut threads = Vec::new();
        for node in [0, 1] {
            let asking = Trader { state: state.clone(), node };
            threads.push(thread::spawn(move || asking.ask()));
            for _ in 0..CALLING {
                let calling = Trader { state: state.clone(), node };
                threads.push(thread::spawn(move || calling.call()));
            }
        }
        Exchange { state, threads }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A bidder is about to die: from now on it need not answer. Its bills come soon.
    pub(crate) fn leaves(&self, node: usize) {
        let state = &mut *self.state();
        state.addresses[node] = None;
        let (dead, others) = state.late.drain(..).partition(|call| call.at == node);
        state.late = others;
        let dead: Vec<Call> = dead;
        state.calls.extend(dead);
    }

    /// It is there again.
    pub(crate) fn returns(&self, node: usize, address: SocketAddr) {
        self.state().addresses[node] = Some(address);
    }

    pub(crate) fn totals(&self) -> Totals {
        self.state().totals.clone()
    }

    /// Waits for so many more bids of a bidder.
    #[track_caller]
    pub(crate) fn sees_bids(&self, node: usize, more: u64) {
        let before = self.totals().bids[node];
        eventually("bids", || (self.totals().bids[node] >= before + more).then_some(()));
    }

    /// Waits for so many more answers without a bid.
    #[track_caller]
    pub(crate) fn sees_none(&self, node: usize, more: u64) {
        let before = self.totals().declined[node];
        eventually("requests without a bid", || (self.totals().declined[node] >= before + more).then_some(()));
    }

    /// Asks for no more bids, and calls every bill until it is acknowledged.
    #[track_caller]
    pub(crate) fn close(mut self) -> (Totals, BTreeMap<String, Bill>) {
        self.state().is_open = false;
        eventually("an acknowledgement of every bill", || {
            let state = &mut *self.state();
            state.calls.extend(state.late.drain(..));
            (state.calls.is_empty() && state.under_way == 0).then_some(())
        });
        self.state().is_over = true;
        for thread in self.threads.drain(..) {
            thread.join().expect("a bidder that answers");
        }
        let state = self.state();
        (state.totals.clone(), state.bills.clone())
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Ok(mut state) = self.state.lock() {
            state.is_over = true;
        }
    }
}

/// One connection's worth of trading with a bidder.
struct Trader {
    state: Arc<Mutex<State>>,
    node: usize,
}

impl Trader {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What a request is answered; nothing if the bidder died meanwhile. One that lives answers everything.
    fn exchange(&self, client: &mut Option<(SocketAddr, Client)>, bytes: &[u8]) -> Option<Answer> {
        let address = self.state().addresses[self.node]?;
        let answer: io::Result<Answer> = (|| {
            if client.as_ref().is_none_or(|(to, _)| *to != address) {
                *client = Some((address, Client::connect(address)?));
            }
            let (_, client) = client.as_mut().expect("a connection");
            client.send(bytes)?;
            client.answer()
        })();
        match answer {
            Ok(answer) => {
                if answer.closes() {
                    *client = None;
                }
                Some(answer)
            }
            Err(error) => {
                *client = None;
                let lives = self.state().addresses[self.node] == Some(address);
                assert!(!lives, "bidder {} did not answer: {error}", self.node + 1);
                None
            }
        }
    }

    fn ask(&self) {
        let mut client = None;
        let ask = http("POST", "/openrtb/generic", "x-debug: 1\r\n", &request("r", ""));
        while self.state().is_open && !self.state().is_over {
            match self.exchange(&mut client, &ask) {
                Some(answer) if answer.status == 200 => self.heard(answer.json()["seatbid"][0]["bid"][0].take()),
                Some(answer) => {
                    assert_eq!(answer.status, 204, "{answer:?}");
                    let totals = &mut self.state().totals;
                    totals.declined[self.node] += 1;
                    let reason = answer.reason().unwrap_or("none").to_owned();
                    *totals.reasons.entry((self.node, reason)).or_default() += 1;
                }
                None => {}
            }
            thread::sleep(PAUSE);
        }
    }

    /// Decides where and when a bid is billed: half of them at once where they were made, a quarter at the other bidder, a
    /// quarter in the end.
    fn heard(&self, bid: Value) {
        let Value::Number(price) = &bid["price"] else { panic!("a bid without a price: {bid}") };
        let price = micros(price);
        let id = bid["id"].as_str().unwrap().to_owned();
        let decimal = format!("{}.{:06}", price / 1_000_000, price % 1_000_000);
        let state = &mut *self.state();
        let count = &mut state.totals.bids[self.node];
        *count += 1;
        let (at, is_late) = match *count % 4 {
            0 => (1 - self.node, false),
            1 => (self.node, true),
            _ => (self.node, false),
        };
        let call = Call { bid: id.clone(), target: target(bid["burl"].as_str().unwrap(), &decimal), at };
        if is_late {
            state.late.push(call)
        } else {
            state.calls.push_back(call)
        }
        let campaign = bid["cid"].as_str().unwrap().parse().unwrap();
        let bill = Bill { campaign, money: impression(price), made_by: self.node, booked_by: None };
        assert!(state.bills.insert(id.clone(), bill).is_none(), "a Bid.id that came twice: {id}");
    }

    fn call(&self) {
        let mut client = None;
        while !self.state().is_over {
            let Some(call) = self.next_call() else {
                thread::sleep(PAUSE);
                continue;
            };
            let answer = self.exchange(&mut client, &http("POST", &call.target, "", b"")).map(|answer| answer.status);
            let again = match answer {
                Some(200) => {
                    self.acknowledged(&call);
                    false
                }
                Some(503) => {
                    self.state().totals.deferred += 1;
                    true
                }
                None => true,
                Some(status) => panic!("a genuine bill was answered {status}: {}", call.target),
            };
            if again {
                thread::sleep(AGAIN);
                self.state().calls.push_back(call);
            }
            self.state().under_way -= 1;
        }
    }

    /// The oldest that is to be called here; what was to be called at a dead bidder is called at the other.
    fn next_call(&self) -> Option<Call> {
        let state = &mut *self.state();
        state.addresses[self.node]?;
        let is_dead = state.addresses.map(|address| address.is_none());
        let place = state.calls.iter().position(|call| call.at == self.node || is_dead[call.at])?;
        state.under_way += 1;
        state.calls.remove(place)
    }

    fn acknowledged(&self, call: &Call) {
        let state = &mut *self.state();
        let bill = state.bills.get_mut(&call.bid).unwrap();
        if bill.booked_by.replace(self.node).is_none() {
            state.totals.acknowledged += 1;
            if bill.made_by != self.node {
                state.totals.across += 1;
                state.totals.for_the_dead += u64::from(state.addresses[bill.made_by].is_none());
            }
        }
    }
}
