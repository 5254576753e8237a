//! The checkers. They are told what crossed the border of the code under test (bids that left, answers that exchanges got,
//! records that are on disk) as plain numbers, and keep accounts of their own. Nothing here calls the code under test.
//!
//! ```text
//! market     per campaign and day, at every step:  spent + could still be billed   <=  ceiling      (strict)
//! lease      per lease, at every step:             could still be billed + unbooked <=  its charge   (strict)
//! journal    per campaign and day, life, advertiser: settled + charged             <=  ceiling
//! answers    200 only for what is on disk; in the end all of it is booked, once, at its price; nothing else is
//! messages   no process claims to know of bookings that it was not told of
//! time       no bid after its incarnation's time, none under a closed lease; no id twice
//! ```
//!
//! Each step costs what it changed. [`Checker::recount`] adds everything up again from the beginning.

mod journal;
mod market;

pub use journal::{Fact, Journal};
pub use market::{Market, Sums};

use std::collections::HashMap;

use super::time::{Time, WORST_ERROR_MS, wall};
use super::trace::Trace;

/// A hash map whose layout is the same in every run.
pub type Map<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// How much of it is printed.
const KEPT: usize = 20;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When, in true time.
    pub at: Time,
    /// Which rule.
    pub rule: &'static str,
    /// What.
    pub what: String,
}

/// A bid as it left.
#[derive(Clone, Copy, Debug)]
pub struct Bid {
    /// Its reservation.
    pub id: u64,
    /// The campaign.
    pub campaign: u32,
    /// The lease it is a claim on.
    pub lease: u64,
    /// Who made it.
    pub incarnation: u32,
    /// Its maximum price, micros.
    pub most: i64,
    /// H2, Unix ms.
    pub expires: u64,
    /// What a bill of it will say, micros; `None` if none with a price is sent.
    pub bill: Option<i64>,
}

/// All checkers, and what they found.
#[derive(Debug)]
pub struct Checker {
    /// Every bid and bill, as the market knows them.
    pub market: Market,
    /// What the authority's records say.
    pub journal: Journal,
    /// The trace, if one is written.
    pub trace: Trace,
    strict: bool,
    /// By incarnation, advertiser if each has an epoch of its own, and epoch: the last foreign booking it was told of.
    heard: Map<(u32, Option<u32>, u32), u64>,
    violations: Vec<Violation>,
    count: u64,
    checks: u64,
}

impl Checker {
    /// Nothing has happened.
    pub fn new(strict: bool, trace: Trace) -> Checker {
        Checker {
            market: Market::default(),
            journal: Journal::default(),
            trace,
            strict,
            heard: Map::default(),
            violations: Vec::new(),
            count: 0,
            checks: 0,
        }
    }

    /// How many violations there are.
    pub fn violations(&self) -> u64 {
        self.count
    }

    /// The first of them.
    pub fn first(&self) -> &[Violation] {
        &self.violations
    }

    /// How often an account was checked.
    pub fn checks(&self) -> u64 {
        self.checks
    }

    /// Puts a violation on record.
    pub fn violated(&mut self, at: Time, rule: &'static str, what: String) {
        self.count += 1;
        self.trace.violated(at, rule, &what);
        if self.violations.len() < KEPT {
            self.violations.push(Violation { at, rule, what });
        }
    }

    /// A bid leaves.
    pub fn bid(&mut self, at: Time, bid: &Bid) {
        self.expire(at);
        self.trace.bid(at, bid);
        if !self.market.ids.insert(bid.id) {
            self.violated(at, "id", format!("reservation {} was made twice", bid.id));
        }
        let until = self.journal.until(bid.incarnation);
        if wall(at).0 > until {
            let late = wall(at).0 - until;
            self.violated(
                at,
                "expiry",
                format!("bid {} of incarnation {} left {late} ms after its time", bid.id, bid.incarnation),
            );
        }
        let Some((campaign, incarnation, budget_day)) = self.journal.owner(bid.lease) else {
            return self.violated(at, "lease", format!("bid {} under lease {}, which is unknown", bid.id, bid.lease));
        };
        if (campaign, incarnation) != (bid.campaign, bid.incarnation) {
            self.violated(at, "lease", format!("bid {} under lease {} of somebody else", bid.id, bid.lease));
        }
        if self.journal.lease(bid.lease).is_some_and(|lease| lease.closed) {
            self.violated(at, "lease", format!("bid {} under lease {}, which is closed", bid.id, bid.lease));
        }
        let day = self.market.day_of(campaign, budget_day);
        self.market.open(bid, day);
        self.check_day(at, campaign, budget_day);
        self.check_lease(at, bid.lease);
    }

    /// A node's ledger holds a bill, on disk.
    pub fn recorded(&mut self, at: Time, node: u16, id: u64, amount: i64) {
        self.expire(at);
        self.trace.recorded(at, node, id, amount);
        match self.market.bill_of(id) {
            None => self.violated(at, "invented", format!("node {node} booked {amount} for {id}, which nobody billed")),
            Some(bill) if bill != amount => {
                self.violated(at, "amount", format!("node {node} booked {amount} for {id}, which was billed {bill}"));
            }
            Some(_) => {
                let booked = self.journal.was_booked(id);
                self.market.recorded(node, id, booked);
                self.check_claim(at, id);
            }
        }
    }

    /// A node hears of a loss that is final.
    pub fn lost(&mut self, at: Time, id: u64) {
        self.trace.lost(at, id);
        self.market.lost(id);
    }

    /// An exchange is told that a bill is safe.
    pub fn acknowledged(&mut self, at: Time, node: u16, id: u64) {
        self.expire(at);
        self.trace.acknowledged(at, node, id);
        let on_disk = self.market.is_recorded(node, id) || self.journal.was_booked(id);
        if !on_disk {
            self.violated(
                at,
                "acknowledged",
                format!("node {node} acknowledged the bill of {id}, which is on no disk"),
            );
        }
        self.market.acknowledged(id);
    }

    /// An exchange is told that a bill comes too late. Returns whether that is so.
    pub fn refused(&mut self, at: Time, id: u64) {
        self.trace.refused(at, id);
        let Some(expires) = self.market.expires(id) else { return };
        if wall(at).0 + WORST_ERROR_MS as u64 <= expires {
            self.violated(at, "refused", format!("the bill of {id} was refused {} ms early", expires - wall(at).0));
        }
        self.market.refused(id);
    }

    /// The authority has a record on disk.
    pub fn fact(&mut self, at: Time, fact: Fact) {
        self.expire(at);
        self.trace.fact(at, &fact);
        self.checks += 1;
        if let Err(what) = self.journal.apply(fact) {
            self.violated(at, "journal", what);
        }
        match fact {
            Fact::Booked { reservation, lease, amount, counted, overdrawn, .. } => {
                if overdrawn && self.strict {
                    self.violated(at, "budget", format!("less than {amount} was held for {reservation}"));
                }
                match self.market.bill_of(reservation) {
                    None => {
                        self.violated(at, "invented", format!("{amount} is booked for {reservation}, never billed"))
                    }
                    Some(bill) if bill != amount => {
                        self.violated(at, "amount", format!("{amount} is booked for {reservation}, billed {bill}"));
                    }
                    Some(_) => self.market.booked(reservation, counted),
                }
                self.check_claim(at, reservation);
                self.check_lease(at, lease);
            }
            Fact::Released { lease, .. } => self.check_lease(at, lease),
            Fact::Closed { lease } => {
                let claims = self.market.lease(lease);
                if claims.open > 0 {
                    let what = format!("lease {lease} was closed with {} that can still be billed", claims.open);
                    self.violated(at, "closed", what);
                }
            }
            Fact::Funded { campaign, day, daily, .. } => {
                let committed = self.journal.day(campaign, day).committed();
                self.market.fund(campaign, day, daily, committed);
            }
            _ => {}
        }
    }

    /// The authority tells a node what it was granted.
    pub fn told(&mut self, at: Time, lease: u64, granted: i64) {
        let on_disk = self.journal.lease(lease).map_or(0, |lease| lease.granted());
        if granted > on_disk {
            self.violated(at, "grant", format!("lease {lease} was granted {granted}, of which {on_disk} are on disk"));
        }
    }

    /// A process is told of bookings that others made on its leases, up to this number.
    pub fn heard(&mut self, incarnation: u32, advertiser: Option<u32>, epoch: u32, number: u64) {
        let heard = self.heard.entry((incarnation, advertiser, epoch)).or_default();
        *heard = number.max(*heard);
    }

    /// A process says that it knows of those bookings up to this number: what it frees counts if it does.
    pub fn presumed(&mut self, at: Time, incarnation: u32, advertiser: Option<u32>, epoch: u32, number: u64) {
        let heard = self.heard.get(&(incarnation, advertiser, epoch)).copied().unwrap_or_default();
        if number > heard {
            let what = format!("incarnation {incarnation} claims to know of {number} bookings and was told of {heard}");
            self.violated(at, "presumed", what);
        }
    }

    /// The authority goes on from its first `kept` records; later ones are gone.
    pub fn cut(&mut self, at: Time, kept: usize) {
        self.trace.cut(at, kept);
        if let Err(what) = self.journal.cut(kept) {
            self.violated(at, "journal", what);
        }
        self.market.unbook(|id| self.journal.booked(id).is_some());
    }

    /// An operator gives a node up. What only that node knew of is not owed any more.
    pub fn given_up(&mut self, at: Time, node: u16) {
        self.trace.given_up(at, node);
        self.market.given_up(node, |id| self.journal.was_booked(id));
    }

    /// Adds everything up again: the sums that were kept up step by step must be the same.
    pub fn recount(&mut self, at: Time) {
        if let Err(what) = self.journal.recount() {
            self.violated(at, "recount", what);
        }
    }

    /// All has healed and nothing is on its way: what was acknowledged is booked, once, at its price.
    pub fn finish(&mut self, at: Time) {
        self.expire(at);
        self.recount(at);
        for id in self.market.owed() {
            if self.journal.booked(id).is_none() {
                self.violated(at, "lost", format!("the bill of {id} was acknowledged and is not booked"));
            }
        }
        if self.strict {
            for (campaign, day, over) in self.market.overspent() {
                self.violated(at, "overspend", format!("campaign {campaign} on day {day} was billed {over} too much"));
            }
        }
        self.trace.end(at);
    }

    /// What can no longer be billed by any clock.
    fn expire(&mut self, at: Time) {
        self.market.expire(wall(at).0.saturating_sub(WORST_ERROR_MS as u64 + 1));
    }

    fn check_claim(&mut self, at: Time, id: u64) {
        if let Some((campaign, day)) = self.market.place_of(id) {
            self.check_day(at, campaign, day);
        }
    }

    fn check_day(&mut self, at: Time, campaign: u32, day: u32) {
        self.checks += 1;
        let sums = self.market.sums(campaign, day);
        if self.strict && sums.spent + sums.open > sums.ceiling {
            let Sums { spent, open, ceiling, .. } = sums;
            let what = format!("campaign {campaign}, day {day}: spent {spent} and open {open} are more than {ceiling}");
            self.violated(at, "budget", what);
        }
    }

    fn check_lease(&mut self, at: Time, lease: u64) {
        self.checks += 1;
        let Some(account) = self.journal.lease(lease).filter(|account| !account.is_in_doubt()) else { return };
        let claims = self.market.lease(lease);
        if self.strict && claims.open + claims.unbooked > account.charge() {
            let what = format!(
                "lease {lease}: open {} and unbooked {} are more than its charge of {}",
                claims.open,
                claims.unbooked,
                account.charge()
            );
            self.violated(at, "lease", what);
        }
    }
}
