//! Prices: the currency of the response, the campaign's CPM, the floor that applies (2.6 section 7.11) and the price a deal fixes.

use serde_json::Value;

use super::amounts::{MICRO, UNIT, amount};
use super::{Case, Exchange, Verdict, elements, strings, sure};

/// `cur` of the response: one that the request takes, and that has a rate.
pub(super) fn currency(exchange: &Exchange, request: &Value, currency: &str) -> Verdict {
    let taken = strings(&request["cur"]).collect::<Vec<_>>();
    sure(taken.is_empty() || taken.contains(&currency), "a currency that the request does not take")?;
    sure(exchange.rates.contains_key(currency), "a currency without a rate")
}

pub(super) fn judge(case: &Case<'_>) -> Verdict {
    let Case { exchange, imp, bid, campaign, currency, .. } = *case;
    let price = amount(&bid["price"]);
    sure(price > 0 && price % MICRO == 0, "no price in whole millionths")?;
    let worth = exchange.rates[currency];
    // Amounts and rates are both in trillionths; their products are compared as they are.
    let limit = amount(&campaign["cpm"]) * UNIT;
    sure(price * worth <= limit, "a price above the campaign's")?;

    let deal = match &bid["dealid"] {
        Value::Null => None,
        id => Some(elements(&imp["pmp"]["deals"]).find(|deal| deal["id"] == *id).ok_or("a deal that was not offered")?),
    };
    let stream = match bid["mtype"].as_u64() {
        Some(2) => &imp["video"],
        Some(3) => &imp["audio"],
        _ => &Value::Null,
    };
    let seconds = i128::from(bid["dur"].as_u64().unwrap_or(0));
    let (floor, code) = match deal {
        Some(deal) => {
            let timed = if stream.is_null() { None } else { timed(deal, seconds) };
            (timed.unwrap_or_else(|| amount(&deal["bidfloor"])), &deal["bidfloorcur"])
        }
        None => (timed(stream, seconds).unwrap_or_else(|| amount(&imp["bidfloor"])), &imp["bidfloorcur"]),
    };
    if floor <= 0 {
        return Ok(());
    }
    let code = code.as_str().filter(|code| !code.is_empty()).unwrap_or("USD").to_ascii_uppercase();
    let Some(rate) = exchange.rates.get(&code) else { return Err("a floor in a currency without a rate".into()) };
    let least = floor.saturating_mul(*rate);
    sure(price * worth >= least, &format!("a price below the floor of {floor} trillionths of {code}"))?;
    // In its own currency the price is the deal's to the digit; in another it is the next that can be said, and neither the
    // deal's currency nor the account's, through which it is converted, goes beyond millionths.
    let slack = if code == currency { 0 } else { MICRO * (rate + UNIT) };
    let fixed = deal.is_some_and(|deal| deal["at"] == 3);
    sure(!fixed || (price - MICRO) * worth < least + slack, "not the price that the deal fixes")
}

/// `mincpmpersec`, or what `durfloors` say of this duration.
fn timed(object: &Value, seconds: i128) -> Option<i128> {
    let per_second = amount(&object["mincpmpersec"]);
    if per_second > 0 {
        return Some(per_second * seconds);
    }
    let spans = elements(&object["durfloors"]).filter(|span| {
        let end = |key: &str, default| span[key].as_i64().map_or(default, i128::from);
        (end("mindur", 0)..=end("maxdur", i128::MAX)).contains(&seconds)
    });
    spans.map(|span| amount(&span["bidfloor"])).max()
}
