//! `/api/supply/paths`: what each supply path brings and costs, since this process started.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::metrics::core::CoreMetrics;
use crate::reconcile::gauges::Gauges;
use crate::units::{Currency, ExchangeKey, PathKey};

/// Where paths are counted.
#[derive(Debug)]
pub struct Paths {
    /// Requests and bids.
    pub cores: Vec<&'static CoreMetrics>,
    /// Wins and spend.
    pub sales: Arc<Gauges>,
    /// The exchanges by name, in the order of the configuration.
    pub exchanges: Vec<String>,
    /// Of all amounts.
    pub currency: Currency,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Of all amounts, ISO 4217.
    pub currency: String,
    /// The dearest first.
    pub paths: Vec<Row>,
}

/// A path. Amounts are in millionths of the account currency; what there is nothing to divide by for is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name in the configuration; null for the paths counted together because there was no room for each.
    pub exchange: Option<String>,
    /// The systems of the chain, the owner's first; empty without a chain, and null while no request of the path was seen.
    pub systems: Option<Vec<String>>,
    /// Requests whose terms were read, tests left out.
    pub requests: u64,
    /// Requests that were copies of one bid on a moment ago.
    pub duplicates: u64,
    /// Of the requests.
    pub duplicate_share: Option<f64>,
    /// Bids made.
    pub bids: u64,
    /// Of these, the bids whose wins may be counted: the user lets performance be measured (TCF purpose 7).
    pub measured_bids: u64,
    /// What the bids would cost at most.
    pub bid_micros: u64,
    /// Measured bids that won.
    pub wins: u64,
    /// Wins of the measured bids.
    pub win_rate: Option<f64>,
    /// Bills booked for measured bids.
    pub bills: u64,
    /// What those bills came to.
    pub spend_micros: u64,
    /// What a thousand of those bills cost: the average clearing price as CPM.
    pub price_micros: Option<u64>,
    /// Spend by win.
    pub cost_per_win_micros: Option<u64>,
}

impl Paths {
    /// What was counted until now.
    pub fn view(&self) -> View {
        let mut rows: BTreeMap<PathKey, Row> = BTreeMap::new();
        for (key, counts) in self.cores.iter().flat_map(|core| core.paths.iter()) {
            let row = rows.entry(key).or_default();
            if key != PathKey::OTHER {
                row.exchange = self.exchanges.get(counts.exchange()).cloned();
                row.systems = Some(counts.nodes().split_whitespace().map(str::to_owned).collect());
            }
            row.requests += counts.requests.get();
            row.duplicates += counts.duplicates.get();
            row.bids += counts.bids.get();
            row.measured_bids += counts.measured.get();
            row.bid_micros += counts.bid_micros.get();
        }
        for (key, sales) in self.sales.paths.iter() {
            let row = rows.entry(key).or_default();
            if row.exchange.is_none() && key != PathKey::OTHER {
                let named = |name: &&String| u64::from(ExchangeKey::of(name).0) == sales.exchange.get();
                row.exchange = self.exchanges.iter().find(named).cloned();
            }
            row.wins += sales.wins.get();
            row.bills += sales.bills.get();
            row.spend_micros += sales.spend_micros.get();
        }
        let mut paths: Vec<Row> =
            rows.into_values().filter(|row| row.requests + row.wins > 0).map(Row::divided).collect();
        paths.sort_by_key(|row| std::cmp::Reverse((row.spend_micros, row.requests)));
        View { currency: self.currency.to_string(), paths }
    }
}

impl Row {
    fn divided(self) -> Row {
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let average = |sum: u64, count: u64| sum.checked_div(count);
        Row {
            duplicate_share: share(self.duplicates, self.requests),
            win_rate: share(self.wins, self.measured_bids),
            price_micros: average(self.spend_micros.saturating_mul(1000), self.bills),
            cost_per_win_micros: average(self.spend_micros, self.wins),
            ..self
        }
    }
}
