//! An exchange that nobody can rely on: its connections die with the bidder, its memory does not.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::thread::{self, Scope};
use std::time::Duration;

use serde_json::Value;

use crate::support::client::{Client, http, target};
use crate::support::{impression, micros, request};

/// Connections that ask for bids, and that call notices.
const ASKING: usize = 2;
const CALLING: usize = 12;
/// Connections that call what is left when all is over.
const SETTLING: usize = 32;

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % most
    }
}

/// A notice to be called in this life or a later one.
struct Call {
    bid: String,
    target: String,
    is_bill: bool,
    /// The life of the process in which it is due.
    due: u32,
}

/// What the exchange knows of a bid that has a bill.
struct Bill {
    money: i64,
    made_in: u32,
    called: bool,
    acknowledged: bool,
}

/// What happened in all lives.
#[derive(Clone, Debug, Default)]
#[allow(dead_code, reason = "printed")]
pub(crate) struct Totals {
    pub(crate) bids: u64,
    pub(crate) bill_calls: u64,
    pub(crate) acknowledged: u64,
    /// Acknowledged bills that were called again and acknowledged again.
    pub(crate) repeated: u64,
    /// Acknowledged bills of bids that a killed process had made.
    pub(crate) across: u64,
    /// Calls that were not acknowledged: the process was killed, or said 503.
    pub(crate) unanswered: u64,
}

struct State {
    random: Random,
    life: u32,
    is_alive: bool,
    bids: u64,
    refused: u64,
    /// In the order of bidding, so that a run can be followed.
    bills: BTreeMap<String, Bill>,
    silent: Vec<Call>,
    calls: VecDeque<Call>,
    totals: Totals,
}

/// The exchange.
pub(crate) struct Exchange(Mutex<State>);

impl Exchange {
    pub(crate) fn new(seed: u64) -> Exchange {
        Exchange(Mutex::new(State {
            random: Random(!seed),
            life: 0,
            is_alive: false,
            bids: 0,
            refused: 0,
            bills: BTreeMap::new(),
            silent: Vec::new(),
            calls: VecDeque::new(),
            totals: Totals::default(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A process answers from now on.
    pub(crate) fn begins(&self) {
        let mut state = self.state();
        state.life += 1;
        (state.is_alive, state.bids, state.refused) = (true, 0, 0);
    }

    /// It is dead.
    pub(crate) fn ends(&self) {
        self.state().is_alive = false;
    }

    pub(crate) fn bids_of_this_life(&self) -> u64 {
        self.state().bids
    }

    /// Whether the process says that it has no money left.
    pub(crate) fn is_sold_out(&self) -> bool {
        self.state().refused > 20
    }

    pub(crate) fn totals(&self) -> Totals {
        self.state().totals.clone()
    }

    /// The bids whose bills were acknowledged, and what they cost.
    pub(crate) fn acknowledged(&self) -> Vec<(String, i64)> {
        let state = self.state();
        let bills = state.bills.iter().filter(|(_, bill)| bill.acknowledged);
        bills.map(|(bid, bill)| (bid.clone(), bill.money)).collect()
    }

    /// What the bill of a bid costs, if it was ever called.
    pub(crate) fn called(&self, bid: &str) -> Option<i64> {
        self.state().bills.get(bid).filter(|bill| bill.called).map(|bill| bill.money)
    }

    /// Asks for bids and calls notices until the process is dead.
    pub(crate) fn trade<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, address: SocketAddr) {
        for _ in 0..ASKING {
            scope.spawn(move || self.ask(address));
        }
        for _ in 0..CALLING {
            scope.spawn(move || self.call(address));
        }
    }

    /// Calls all that is left until it is acknowledged.
    pub(crate) fn settle<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, address: SocketAddr) {
        self.state().calls.iter_mut().for_each(|call| call.due = 0);
        for _ in 0..SETTLING {
            scope.spawn(move || {
                let mut client = Client::connect(address).expect("a bidder that accepts");
                while let Some(call) = self.next_call() {
                    self.made(call, notify(&mut client));
                }
            });
        }
    }

    /// Bids of which nothing was said are billed after all: no exchange need tell what it is going to bill.
    pub(crate) fn bill_the_silent(&self) {
        let state = &mut *self.state();
        state.calls.extend(state.silent.drain(..));
    }

    /// Asks for one bid after the other until the connection dies.
    fn ask(&self, address: SocketAddr) -> Option<()> {
        let mut client = Client::connect(address).ok()?;
        let ask = http("POST", "/openrtb/generic", "x-debug: 1\r\n", &request("r", ""));
        loop {
            client.send(&ask).ok()?;
            let answer = client.answer().ok()?;
            match answer.status {
                200 => self.heard(answer.json()["seatbid"][0]["bid"][0].take()),
                204 if answer.reason() == Some("budget") => {
                    self.state().refused += 1;
                    thread::sleep(Duration::from_millis(5));
                }
                204 => {}
                status => panic!("a bid request was answered {status}"),
            }
        }
    }

    /// Decides what becomes of a bid.
    fn heard(&self, bid: Value) {
        let Value::Number(price) = &bid["price"] else { panic!("a bid without a price: {bid}") };
        let price = micros(price);
        let id = bid["id"].as_str().unwrap().to_owned();
        let state = &mut *self.state();
        let life = state.life;
        let call = |url: &str, price: &str, due: u32| Call {
            bid: id.clone(),
            target: target(bid[url].as_str().unwrap(), price),
            is_bill: url == "burl",
            due,
        };
        let decimal = format!("{}.{:06}", price / 1_000_000, price % 1_000_000);
        state.bids += 1;
        state.totals.bids += 1;
        let bill = Bill { money: impression(price), made_in: life, called: false, acknowledged: false };
        assert!(state.bills.insert(id.clone(), bill).is_none(), "a Bid.id that came twice: {id}");
        match state.random.below(20) {
            0..3 => state.calls.push_back(call("lurl", "", life)),
            3..6 => {
                state.calls.push_back(call("nurl", &decimal, life));
                state.calls.push_back(call("burl", &decimal, life));
            }
            6..8 => state.calls.push_back(call("burl", &decimal, life)),
            8 => {
                let due = life + 1 + state.random.below(3) as u32;
                state.calls.push_back(call("burl", &decimal, due));
                state.calls.push_back(call("nurl", &decimal, life));
            }
            _ => state.silent.push(call("burl", &decimal, 0)),
        }
    }

    /// Calls what is due until the process is dead.
    fn call(&self, address: SocketAddr) -> Option<()> {
        let mut client = Client::connect(address).ok()?;
        while self.state().is_alive {
            match self.next_call() {
                Some(call) => {
                    let answer = notify(&mut client)(&call);
                    let is_dead = answer.is_err();
                    self.made(call, |_| answer);
                    if is_dead {
                        return None;
                    }
                }
                None => thread::sleep(Duration::from_millis(1)),
            }
        }
        None
    }

    /// The oldest call that is due. From now on it may be booked.
    fn next_call(&self) -> Option<Call> {
        let state = &mut *self.state();
        let at = state.calls.iter().position(|call| call.due <= state.life)?;
        let call = state.calls.remove(at)?;
        if call.is_bill {
            state.totals.bill_calls += 1;
            state.bills.get_mut(&call.bid).unwrap().called = true;
        }
        Some(call)
    }

    /// Makes a call and draws the consequences: what is not acknowledged is called again.
    fn made(&self, call: Call, notify: impl FnOnce(&Call) -> io::Result<u16>) {
        let answer = notify(&call);
        let state = &mut *self.state();
        match answer {
            Ok(200) => {}
            Ok(503) | Err(_) => {
                state.totals.unanswered += 1;
                state.calls.push_back(call);
                return;
            }
            Ok(status) => panic!("a genuine notice was answered {status}: {}", call.target),
        }
        if !call.is_bill {
            return;
        }
        let bill = state.bills.get_mut(&call.bid).unwrap();
        if bill.acknowledged {
            state.totals.repeated += 1;
        } else {
            bill.acknowledged = true;
            state.totals.acknowledged += 1;
            state.totals.across += u64::from(bill.made_in < state.life);
            if state.random.below(5) == 0 {
                let due = state.life + state.random.below(2) as u32;
                state.calls.push_back(Call { due, ..call });
            }
        }
    }
}

fn notify(client: &mut Client) -> impl FnMut(&Call) -> io::Result<u16> {
    |call| {
        client.send(&http("POST", &call.target, "", b""))?;
        Ok(client.answer()?.status)
    }
}
