//! The notice desk: a thread that calls `nurl`, `burl` and `lurl` when their time has come, again where an exchange would,
//! and keeps the market's account of what was billed.
//!
//! A bill counts as billed when the bidder acknowledged it (200 or 204), once, however often it was called; this is the
//! figure to hold against the bidder's own books.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::clock;
use crate::lab::latency;
use crate::lab::pool::{Flight, Outcome, Pool, Wait};
use crate::lab::target::{Target, split};
use crate::ring::message::NoticeKind;
use crate::units::{Micros, Nanos};

/// Pause before a bill that was not acknowledged is called again, ns (2.6 section 4.4: "every 10 s for the next minute").
const RETRY_NS: u64 = 10 * Nanos::SECOND;
/// The same once the market closes, ns.
const CLOSING_RETRY_NS: u64 = 500 * Nanos::MS;
/// Attempts for one bill.
const ATTEMPTS: u32 = 7;
/// Pause before a bill that is called twice is called again, ns.
const REPEAT_NS: u64 = 500 * Nanos::MS;
/// Connections for notices.
const CONNECTIONS: usize = 16;
/// Longest sleep, so that new notices are heard of, ns.
const NAP_NS: u64 = 2 * Nanos::MS;

/// A notice to be called.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub(super) kind: NoticeKind,
    /// With all macros replaced.
    pub(super) url: String,
    pub(super) due: Nanos,
    /// Whom it bills, and how much; nothing once it has been acknowledged, or if it is no bill.
    pub(super) bill: Option<(String, Micros)>,
    /// It will be called again after it was acknowledged, as if it had not been.
    pub(super) twice: bool,
    pub(super) attempts: u32,
}

/// What the desk did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Notices {
    /// Calls of `nurl`.
    pub wins: u64,
    /// Calls of `burl`, repetitions included.
    pub bills: u64,
    /// Calls of `lurl`.
    pub losses: u64,
    /// Clicks that were told.
    pub clicks: u64,
    /// Bills called again although acknowledged.
    pub repeated: u64,
    /// Bills called again because they were not acknowledged.
    pub retried: u64,
    /// Notices other than bills that were not acknowledged.
    pub refused: u64,
    /// Bills never acknowledged.
    pub undelivered: u64,
    /// What those would have cost.
    pub undelivered_money: Micros,
    /// Notices that could not be called: not `http://`, or of another host than the first.
    pub elsewhere: u64,
    /// Bills acknowledged, each counted once.
    pub billed: u64,
    /// Their sum.
    pub billed_money: Micros,
    /// Bills and their sum by `cid`.
    pub campaigns: BTreeMap<String, Account>,
    /// Time to the acknowledgement of a bill, median, us.
    pub bill_p50: f64,
    /// The same, 99th percentile.
    pub bill_p99: f64,
}

/// What one campaign was billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Impressions.
    pub billed: u64,
    /// Their price.
    pub money: Micros,
}

/// What the desk shares with the thread that holds the auctions.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Acknowledged bills so far, micros.
    pub(super) billed: AtomicI64,
    /// No more auctions: what is due later is called now.
    pub(super) closing: AtomicBool,
}

/// The desk.
pub(super) struct Desk {
    incoming: Receiver<Notice>,
    shared: Arc<Shared>,
    queue: BinaryHeap<Reverse<(Nanos, u64)>>,
    notices: HashMap<u64, Notice>,
    numbered: u64,
    authority: Option<String>,
    pool: Option<Pool>,
    latency: Histogram<u32>,
    done: Notices,
}

impl Desk {
    pub(super) fn new(incoming: Receiver<Notice>, shared: Arc<Shared>) -> Desk {
        Desk {
            incoming,
            shared,
            queue: BinaryHeap::new(),
            notices: HashMap::new(),
            numbered: 0,
            authority: None,
            pool: None,
            latency: latency::histogram(),
            done: Notices::default(),
        }
    }

    /// Works until the market has closed and all is delivered, or `settle` ns after it closed.
    pub(super) fn work(mut self, settle: u64) -> Notices {
        let mut closed: Option<Nanos> = None;
        loop {
            // Read before the channel: once it is set, all there is to hear is in the channel.
            let closing = self.shared.closing.load(Ordering::Acquire);
            let open = self.hear();
            let now = clock::boot();
            if closed.is_none() && (!open || closing) {
                closed = Some(now);
                self.bring_forward(now);
            }
            self.call(now, closed.is_some());
            let wait = self.queue.peek().map_or(NAP_NS, |Reverse((due, _))| due.since(now).clamp(100_000, NAP_NS));
            self.listen(wait, closed.is_some());
            let finished = !open && self.notices.is_empty();
            if finished || closed.is_some_and(|closed| clock::boot().since(closed) > settle) {
                break;
            }
        }
        for (_, notice) in self.notices.drain() {
            if let Some((_, money)) = notice.bill {
                self.done.undelivered += 1;
                self.done.undelivered_money = self.done.undelivered_money.plus(money);
            }
        }
        self.done.bill_p50 = latency::micros(&self.latency, 0.5);
        self.done.bill_p99 = latency::micros(&self.latency, 0.99);
        self.done
    }

    /// Takes in new notices; `false` when there will be no more.
    fn hear(&mut self) -> bool {
        loop {
            match self.incoming.try_recv() {
                Ok(notice) => self.enqueue(notice),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn enqueue(&mut self, notice: Notice) {
        self.numbered += 1;
        self.queue.push(Reverse((notice.due, self.numbered)));
        self.notices.insert(self.numbered, notice);
    }

    fn bring_forward(&mut self, now: Nanos) {
        self.queue = self.queue.drain().map(|Reverse((due, number))| Reverse((due.min(now), number))).collect();
    }

    /// Calls what is due, as far as there are connections.
    fn call(&mut self, now: Nanos, closing: bool) {
        while let Some(&Reverse((due, number))) = self.queue.peek() {
            if due > now {
                return;
            }
            let Some(notice) = self.notices.get_mut(&number) else {
                self.queue.pop();
                continue;
            };
            let Some((authority, path)) =
                split(&notice.url).filter(|(host, _)| self.authority.as_deref().is_none_or(|known| known == *host))
            else {
                self.queue.pop();
                self.notices.remove(&number);
                self.done.elsewhere += 1;
                continue;
            };
            if self.pool.is_none() {
                let opened =
                    Target::parse(&notice.url).ok().and_then(|target| Pool::open(target.address, CONNECTIONS, 1).ok());
                self.authority = Some(authority.to_owned());
                self.pool = opened;
            }
            let Some(pool) = &mut self.pool else {
                // Nobody listens: as if the call had failed.
                self.queue.pop();
                self.failed(number, now, closing);
                continue;
            };
            if !pool.has_room() {
                return;
            }
            self.queue.pop();
            notice.attempts += 1;
            match notice.kind {
                NoticeKind::Win => self.done.wins += 1,
                NoticeKind::Bill => self.done.bills += 1,
                NoticeKind::Loss => self.done.losses += 1,
                NoticeKind::Click => self.done.clicks += 1,
                NoticeKind::Conversion => {}
            }
            let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
            pool.send(Flight { tag: number, intended: now, sent: now }, request.as_bytes());
        }
    }

    /// Waits, and settles what was answered.
    #[expect(clippy::disallowed_methods, reason = "without connections there is nothing to wait for but time")]
    fn listen(&mut self, wait: u64, closing: bool) {
        let mut ended = Vec::new();
        match &mut self.pool {
            Some(pool) => {
                let polled = pool.poll(Wait::For(wait), |flight, outcome, at| {
                    let acknowledged =
                        matches!(outcome, Outcome::Answered(answer) if matches!(answer.status, 200 | 204));
                    ended.push((flight, acknowledged, at));
                });
                if polled.is_err() {
                    std::thread::sleep(std::time::Duration::from_nanos(wait));
                }
            }
            None => std::thread::sleep(std::time::Duration::from_nanos(wait)),
        }
        for (flight, acknowledged, at) in ended {
            match acknowledged {
                true => self.acknowledged(flight, at),
                false => self.failed(flight.tag, at, closing),
            }
        }
    }

    fn acknowledged(&mut self, flight: Flight, at: Nanos) {
        let Some(mut notice) = self.notices.remove(&flight.tag) else { return };
        if notice.kind == NoticeKind::Bill {
            self.latency.saturating_record(at.since(flight.intended));
        }
        if let Some((campaign, money)) = notice.bill.take() {
            self.done.billed += 1;
            self.done.billed_money = self.done.billed_money.plus(money);
            self.shared.billed.store(self.done.billed_money.0, Ordering::Relaxed);
            let account = self.done.campaigns.entry(campaign).or_default();
            account.billed += 1;
            account.money = account.money.plus(money);
        }
        if std::mem::take(&mut notice.twice) {
            self.done.repeated += 1;
            notice.due = at.after(REPEAT_NS);
            self.enqueue(notice);
        }
    }

    fn failed(&mut self, number: u64, at: Nanos, closing: bool) {
        let Some(notice) = self.notices.get_mut(&number) else { return };
        if let Some((_, money)) = &notice.bill {
            if notice.attempts < ATTEMPTS {
                notice.attempts = notice.attempts.max(1);
                notice.due = at.after(if closing { CLOSING_RETRY_NS } else { RETRY_NS });
                self.done.retried += 1;
                self.queue.push(Reverse((notice.due, number)));
                return;
            }
            self.done.undelivered += 1;
            self.done.undelivered_money = self.done.undelivered_money.plus(*money);
        } else {
            self.done.refused += 1;
        }
        self.notices.remove(&number);
    }
}
