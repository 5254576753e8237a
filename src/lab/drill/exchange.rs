//! An exchange with an account of its own, for drills of money: it asks at a steady pace, every bid wins, and every bill is called
//! until it is acknowledged. Bills begin when the drill says so.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::lab::drill::{Answer, Client, Halt, Stage};
use crate::units::{CpmMicros, Micros};

/// Before a bill that was not acknowledged is called again.
const AGAIN: Duration = Duration::from_millis(100);
/// Between two looks of a thread that has nothing to call.
const IDLE: Duration = Duration::from_millis(10);

/// What the exchange knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// Requests sent.
    pub(super) asked: u64,
    /// Those answered with a bid.
    pub(super) bids: u64,
    /// Those that were not answered at all, by what came instead.
    pub(super) unanswered: BTreeMap<String, u64>,
    /// Those answered without a bid, by status and reason.
    pub(super) declined: BTreeMap<String, u64>,
    /// Bids and acknowledged bills of each campaign.
    pub(super) campaigns: BTreeMap<String, Trade>,
    /// Bills answered 503, each time.
    pub(super) deferred: u64,
    /// Bills answered otherwise, and not acknowledged.
    pub(super) refused: u64,
}

/// What came of one campaign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trade {
    /// Its bids.
    pub(super) bids: u64,
    /// Its bills that were acknowledged.
    pub(super) billed: u64,
    /// What they cost.
    pub(super) spent: Micros,
}

impl Account {
    /// What came of a campaign.
    pub(super) fn of(&self, campaign: u32) -> Trade {
        self.campaigns.get(&campaign.to_string()).copied().unwrap_or_default()
    }

    /// Checks that every request was answered.
    pub(super) fn is_answered(&self, stage: &mut Stage) {
        let unanswered: u64 = self.unanswered.values().sum();
        let seen = format!("{} of {} {:?}", self.asked - unanswered, self.asked, self.unanswered);
        stage.check("every request was answered", unanswered == 0, seen.trim_end_matches(" {}"));
    }

    /// Requests answered without a bid.
    pub(super) fn declined(&self) -> u64 {
        self.declined.values().sum()
    }

    /// Those of them with a reason.
    pub(super) fn declined_as(&self, reason: &str) -> u64 {
        self.declined.iter().filter(|(said, _)| said.ends_with(reason)).map(|(_, count)| count).sum()
    }
}

#[derive(Debug)]
struct Bill {
    campaign: String,
    /// Path and query, the price filled in.
    target: String,
    cost: Micros,
}

#[derive(Debug)]
struct Shared {
    bidder: SocketAddr,
    /// Where it posts.
    path: String,
    /// Requests are sent.
    asks: AtomicBool,
    /// Bills are called.
    ends: AtomicBool,
    account: Mutex<Account>,
    due: Mutex<VecDeque<Bill>>,
}

/// The exchange. It ends with this.
#[derive(Debug)]
pub(super) struct Exchange {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Exchange {
    /// Asks from now on, under its name: a request after each pause, the body made from its number.
    pub(super) fn open(
        bidder: SocketAddr,
        name: &str,
        pause: Duration,
        body: impl Fn(u64) -> String + Send + 'static,
    ) -> Result<Exchange, Halt> {
        let shared = Arc::new(Shared {
            bidder,
            path: format!("/openrtb/{name}"),
            asks: AtomicBool::new(true),
            ends: AtomicBool::new(false),
            account: Mutex::default(),
            due: Mutex::default(),
        });
        let mut exchange = Exchange { shared: shared.clone(), threads: Vec::new() };
        exchange.spawn(move || shared.ask(pause, &body))?;
        Ok(exchange)
    }

    /// Calls bills from now on, with so many at once, and a pause after each.
    pub(super) fn bill(&mut self, callers: usize, pause: Duration) -> Result<(), Halt> {
        for _ in 0..callers {
            let shared = self.shared.clone();
            self.spawn(move || shared.call(pause))?;
        }
        Ok(())
    }

    fn spawn(&mut self, work: impl FnOnce() + Send + 'static) -> Result<(), Halt> {
        self.threads.push(thread::Builder::new().name("exchange".into()).spawn(work)?);
        Ok(())
    }

    /// Asks for nothing more. Bills are called all the same.
    pub(super) fn ask_no_more(&self) {
        self.shared.asks.store(false, Relaxed);
    }

    /// What it knows so far.
    pub(super) fn account(&self) -> Account {
        self.shared.account().clone()
    }

    /// Bids so far.
    pub(super) fn bids(&self) -> u64 {
        self.shared.account().bids
    }

    /// Bids that are not billed yet.
    pub(super) fn unbilled(&self) -> u64 {
        let account = self.shared.account();
        account.bids - account.campaigns.values().map(|trade| trade.billed).sum::<u64>() - account.refused
    }

    /// Waits for so many more bids.
    pub(super) fn sees_bids(&self, stage: &Stage, more: u64, most: Duration) -> Result<(), Halt> {
        let before = self.bids();
        stage.until(&format!("{more} more bids"), most, || (self.bids() >= before + more).then_some(()))
    }

    /// Asks for nothing more, waits until every bill is acknowledged, and closes.
    pub(super) fn settle(self, stage: &Stage, most: Duration) -> Result<Account, Halt> {
        self.ask_no_more();
        stage.until("an acknowledgement of every bill", most, || (self.unbilled() == 0).then_some(()))?;
        Ok(self.account())
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.shared.asks.store(false, Relaxed);
        self.shared.ends.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn due(&self) -> MutexGuard<'_, VecDeque<Bill>> {
        self.due.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn ask(&self, pause: Duration, body: &impl Fn(u64) -> String) {
        let mut client = None;
        for number in 0.. {
            if !self.asks.load(Relaxed) {
                return;
            }
            let body = body(number);
            let ask = |client: &mut Client| client.ask("POST", &self.path, "x-debug: 1\r\n", &body);
            self.heard(self.speak(&mut client, ask));
            sleep(pause);
        }
    }

    /// Over the connection that is open, or another one after a failure.
    fn speak(
        &self,
        client: &mut Option<Client>,
        ask: impl FnOnce(&mut Client) -> io::Result<Answer>,
    ) -> io::Result<Answer> {
        let open = match client {
            Some(open) => open,
            None => client.insert(Client::connect(self.bidder)?),
        };
        let answer = ask(open);
        if answer.is_err() {
            *client = None;
        }
        answer
    }

    fn heard(&self, answer: io::Result<Answer>) {
        let bill = answer.as_ref().ok().filter(|answer| answer.status == 200).and_then(bill);
        let mut account = self.account();
        account.asked += 1;
        match (answer, bill) {
            (_, Some(bill)) => {
                account.bids += 1;
                account.campaigns.entry(bill.campaign.clone()).or_default().bids += 1;
                self.due().push_back(bill);
            }
            (Ok(answer), None) => {
                let said = format!("{} {}", answer.status, answer.reason());
                *account.declined.entry(said.trim_end().to_owned()).or_default() += 1;
            }
            (Err(error), None) => *account.unanswered.entry(error.to_string()).or_default() += 1,
        }
    }

    fn call(&self, pause: Duration) {
        let mut client = None;
        while !self.ends.load(Relaxed) {
            let Some(bill) = self.due().pop_front() else {
                sleep(IDLE);
                continue;
            };
            let ask = |client: &mut Client| client.ask("GET", &bill.target, "", "");
            match self.speak(&mut client, ask).map(|answer| answer.status) {
                Ok(200) => {
                    let mut account = self.account();
                    let trade = account.campaigns.entry(bill.campaign).or_default();
                    trade.billed += 1;
                    trade.spent = trade.spent.plus(bill.cost);
                }
                Ok(status @ (400..=499)) => {
                    log::warn!("a bill was answered {status}");
                    self.account().refused += 1;
                }
                answer => {
                    self.account().deferred += u64::from(matches!(answer, Ok(503)));
                    self.due().push_back(bill);
                    sleep(AGAIN);
                }
            }
            sleep(pause);
        }
    }
}

/// The bill of the bid in an answer: the first price is the clearing price.
fn bill(answer: &Answer) -> Option<Bill> {
    let json = answer.json();
    let bid = &json["seatbid"][0]["bid"][0];
    let price = bid["price"].as_number()?.to_string();
    let url = bid["burl"].as_str()?.replace("${AUCTION_PRICE}", &price);
    let (_, rest) = url.split_once("://")?;
    let target = rest[rest.find('/')?..].to_owned();
    let cost = CpmMicros(micros(&price)?).per_impression();
    Some(Bill { campaign: bid["cid"].as_str()?.to_owned(), target, cost })
}

/// A decimal in millionths, exactly; none with more digits than that.
fn micros(decimal: &str) -> Option<i64> {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    (fraction.len() <= 6).then(|| format!("{whole}{fraction:0<6}").parse().ok())?
}

#[allow(clippy::disallowed_methods, reason = "an exchange waits here, not a request")]
fn sleep(time: Duration) {
    thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bill_costs_what_the_bid_says() {
        let body = r#"{"seatbid":[{"bid":[{"cid":"7","price":12.3456,"burl":"http://h:1/notice/bill/x?p=${AUCTION_PRICE}"}]}]}"#;
        let bill = bill(&Answer { status: 200, head: String::new(), body: body.into() }).expect("a bill");
        assert_eq!((bill.campaign.as_str(), bill.target.as_str()), ("7", "/notice/bill/x?p=12.3456"));
        assert_eq!(bill.cost, Micros(12_346));
        assert_eq!([micros("10"), micros("0.000001"), micros("1.0000001")], [Some(10_000_000), Some(1), None]);
    }
}
