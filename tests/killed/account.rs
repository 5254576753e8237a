//! What the ledger says, held against what the exchange knows.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use corebid::reconcile::record::{Marks, NO_NUMBER, Record};
use corebid::units::Day;

use crate::exchange::Exchange;
use crate::support::ledger::{bid_id, records};

/// What each campaign may spend a day, in micros.
pub(crate) struct Account(BTreeMap<u32, i64>);

/// What is booked.
#[derive(Debug)]
#[allow(dead_code, reason = "printed")]
pub(crate) struct Booked {
    pub(crate) bills: u64,
    pub(crate) micros: i64,
    /// Bills that the authority has in its account.
    pub(crate) accounted: u64,
}

impl Account {
    pub(crate) fn new(budgets: impl IntoIterator<Item = (u32, i64)>) -> Account {
        Account(budgets.into_iter().collect())
    }

    pub(crate) fn unlimited() -> Account {
        Account(BTreeMap::new())
    }

    /// Every acknowledged bill is booked, every booked bill was called, none is booked twice, each costs what it should, and
    /// no campaign has spent more than its budget of a day. The authority has in its account what the node booked, but for
    /// the last that it was not told of.
    pub(crate) fn check(&self, data: &Path, exchange: &Exchange) -> Booked {
        let mut days: HashMap<u64, Day> = HashMap::new();
        let mut booked: HashMap<String, i64> = HashMap::new();
        // By reservation: what the node billed, with its number, and what the authority has in its account.
        let (mut billed, mut accounted) = (HashMap::new(), HashMap::new());
        let mut told = 0;
        let mut spent: BTreeMap<(u32, u32), i64> = BTreeMap::new();
        for record in records(data) {
            match record {
                Record::Granted { lease, day, .. } | Record::Lease { lease, day, .. } => {
                    days.insert(lease.0, day);
                }
                Record::Bill { bid, number, reservation, lease, campaign, amount, .. } => {
                    let before = booked.insert(bid_id(bid), amount.0);
                    assert_eq!(before, None, "billed twice: {record:?}");
                    billed.insert(reservation.0, (number, amount.0));
                    *spent.entry((campaign.0, days[&lease.0].0)).or_default() += amount.0;
                }
                Record::Booked { reservation, amount, number, marks, .. } => {
                    assert!(!marks.any(Marks::EXCESS), "a bill that no lease covers: {record:?}");
                    let before = accounted.insert(reservation.0, amount.0);
                    assert_eq!(before, None, "booked twice: {record:?}");
                    told = if number == NO_NUMBER { told } else { number + 1 };
                }
                Record::Skipped { number, .. } => told = number + 1,
                _ => {}
            }
        }
        for (reservation, (number, money)) in &billed {
            let there = accounted.get(reservation);
            assert!(there == Some(money) || there.is_none() && *number >= told, "reservation {reservation} was billed");
        }
        for (bid, money) in exchange.acknowledged() {
            assert_eq!(booked.get(&bid), Some(&money), "bid {bid} was acknowledged");
        }
        for (bid, money) in &booked {
            assert_eq!(exchange.called(bid), Some(*money), "bid {bid} was booked");
        }
        for (&(campaign, day), micros) in &spent {
            let budget = self.0.get(&campaign).copied().unwrap_or(i64::MAX);
            assert!(*micros <= budget, "campaign {campaign} spent {micros} of {budget} on day {day}");
        }
        let accounted = accounted.len() as u64;
        Booked { bills: booked.len() as u64, micros: booked.values().sum(), accounted }
    }
}
