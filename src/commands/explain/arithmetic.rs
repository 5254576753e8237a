//! Prices as sums that a person can follow, from the integers that were decided with.

use serde::Serialize;

use super::obstacles::text;
use super::witness::currency;
use crate::bid::eligible::Scene;
use crate::bid::floor::by_time;
use crate::bid::offers::{Estimate, Offer};
use crate::snapshot::campaign::{Campaign, Chance, Goal, Shape};
use crate::units::{CpmMicros, Currency, Multiplier, Rate};
use crate::wire::openrtb::request::{BidRequest, TimeFloors};

/// Where the floor of an offer comes from, as the exchange said it.
#[derive(Debug, Serialize)]
pub(super) struct Floor {
    /// `imp`, `deal`, or one of them by the time the ad takes.
    pub(super) from: &'static str,
    /// The deal, if it is a deal's.
    pub(super) deal: Option<String>,
    /// Millionths of its currency, CPM.
    pub(super) said_micros: i64,
    /// Its currency.
    pub(super) currency: String,
    /// What that is worth in the account's.
    pub(super) rate_billionths: Option<u64>,
}

impl Floor {
    /// The floor of an offer: a deal's before those that go by time, those before the impression's.
    pub(super) fn of(scene: Scene<'_>, request: &BidRequest<'_>, offer: &Offer) -> Floor {
        let imp = &request.imps[offer.imp as usize];
        let stream = match offer.shape {
            Shape::Video => imp.video.as_ref(),
            Shape::Audio => imp.audio.as_ref(),
            _ => None,
        };
        let timed = |floors: &TimeFloors| stream.and_then(|_| by_time(floors, offer.seconds));
        let deal = offer.sold_by(request);
        let (from, said, code) = match deal {
            Some(deal) => match timed(&deal.floors) {
                Some(floor) => ("deal by time", floor, deal.floor_cur),
                None => ("deal", deal.floor, deal.floor_cur),
            },
            None => match stream.and_then(|stream| timed(&stream.floors)) {
                Some(floor) => ("imp by time", floor, imp.floor_cur),
                None => ("imp", imp.floor, imp.floor_cur),
            },
        };
        let currency = currency(code);
        let rate = scene.snapshot.rates.to_account(currency.as_bytes(), scene.now.wall);
        Floor {
            from,
            deal: deal.map(|deal| text(deal.id)),
            said_micros: said.0,
            rate_billionths: rate.ok().map(|rate| rate.0),
            currency,
        }
    }

    /// As a sum that ends in the floor that was held against the price.
    pub(super) fn text(&self, floor: CpmMicros, account: Currency) -> String {
        let whose = match &self.deal {
            Some(deal) => format!("{} {deal}", self.from),
            None => self.from.to_owned(),
        };
        match self.rate_billionths {
            Some(by) if Rate(by) != Rate::ONE && self.said_micros > 0 => format!(
                "the floor {} {} x {} = {} {account} ({whose})",
                amount(self.said_micros),
                self.currency,
                rate(Rate(by)),
                amount(floor.0)
            ),
            _ => format!("the floor {} {account} ({whose})", amount(floor.0)),
        }
    }
}

/// What the impression is worth to the campaign, and how that comes about.
pub(super) fn worth(campaign: &Campaign, offer: &Offer) -> String {
    let value = amount(offer.value.0);
    let each = match campaign.goal {
        Goal::Cpm => None,
        Goal::Cpc(each) => Some((each, "click")),
        Goal::Cpa(each) => Some((each, "conversion")),
    };
    let likely = |chance: Chance, on_average: &str| {
        let (each, what) = each.unwrap_or_default();
        let per_mille = 1000.0 * chance.probability();
        format!("{per_mille:.6} of a thousand by {what}{on_average} x {} = {value}", amount(each.0))
    };
    match offer.estimate {
        Estimate::None => value,
        Estimate::Factor(factor) => format!("{} x {factor}/65536 = {value}", amount(campaign.cpm.0)),
        Estimate::Chance(chance) => likely(chance, ""),
        Estimate::Average(chance) => likely(chance, " on average"),
    }
}

/// Millionths, exactly, with two decimals at least.
pub(super) fn amount(micros: i64) -> String {
    decimal(micros.unsigned_abs(), 6, if micros < 0 { "-" } else { "" })
}

/// A rate, exactly.
pub(super) fn rate(rate: Rate) -> String {
    decimal(rate.0, 9, "")
}

/// A multiplier, exactly.
pub(super) fn factor(multiplier: Multiplier) -> String {
    decimal(multiplier.0, 6, "")
}

fn decimal(value: u64, places: usize, sign: &str) -> String {
    let one = 10u64.pow(places as u32);
    let fraction = format!("{:0places$}", value % one);
    let kept = fraction.trim_end_matches('0').len().max(2);
    format!("{sign}{}.{}", value / one, &fraction[..kept])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (micros, text) in [
            (0, "0.00"),
            (1, "0.000001"),
            (2_500_000, "2.50"),
            (-1_230_000, "-1.23"),
            (i64::MIN, "-9223372036854.775808"),
        ] {
            assert_eq!(amount(micros), text);
        }
        assert_eq!(rate(Rate(1_084_200_001)), "1.084200001");
        assert_eq!(factor(Multiplier(30_300_000)), "30.30");
    }
}
