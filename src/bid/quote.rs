//! The currency of a response, and what its prices are worth to us.

use crate::bid::admit::Exchange;
use crate::bid::floor::Exchanged;
use crate::snapshot::rates::{NoRate, price_in};
use crate::units::{CpmMicros, Currency, Multiplier, Rate, Terms};
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::BidRequest;

/// The currency a response is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Which.
    pub currency: Currency,
    /// What one unit of it is worth in the account's currency.
    pub rate: Rate,
}

impl Quote {
    /// The currency to bid in: the one agreed with the exchange if the request takes it, else the account's, else the first
    /// of `cur` that has a rate. A request without `cur` takes what is agreed.
    ///
    /// # Errors
    /// None of `cur` has a rate, or only old ones.
    #[inline]
    pub fn of(request: &BidRequest<'_>, exchange: &Exchange, exchanged: &Exchanged<'_>) -> Result<Quote, NoBidReason> {
        let agreed = exchange.rules.currency;
        let quote = |currency: Currency| {
            let rate = exchanged.rates.to_account(&currency.0, exchanged.now).map_err(refusal)?;
            Ok(Quote { currency, rate })
        };
        if request.cur.is_empty() {
            return quote(agreed);
        }
        // Letter for letter: codes are capitals.
        let taken = |currency: Currency| request.cur.strings().any(|text| text.raw == currency.0);
        let named = request
            .cur
            .strings()
            .filter_map(|text| Currency::parse(text.raw).filter(|currency| currency.0 == text.raw));
        // What comes back encrypted is in the currency that was agreed, whatever the bid is in.
        if exchange.rules.price.is_encrypted() {
            return if taken(agreed) { quote(agreed) } else { Err(NoBidReason::Currency) };
        }
        let ours = [agreed, exchanged.rates.account()].into_iter().filter(|&currency| taken(currency));
        let mut reason = NoBidReason::Currency;
        for currency in ours.chain(named) {
            match quote(currency) {
                Ok(quote) => return Ok(quote),
                Err(no) => reason = reason.max(no),
            }
        }
        Err(reason)
    }

    /// A price in this currency, rounded down, or up where down would be under `floor`; nothing if up is above `most`. All
    /// three are in the account's currency.
    #[inline]
    pub fn price(&self, price: CpmMicros, floor: CpmMicros, most: CpmMicros) -> Option<CpmMicros> {
        if self.rate == Rate::ONE {
            return Some(price);
        }
        let down = price_in(price, self.rate);
        let up = CpmMicros(down.0.saturating_add(1));
        if self.worth(down) >= exactly(floor) {
            return Some(down);
        }
        (self.worth(up) <= exactly(most)).then_some(up)
    }

    /// A price in this currency, in the account's, to the last digit.
    fn worth(&self, price: CpmMicros) -> i128 {
        i128::from(price.0) * i128::from(self.rate.0)
    }

    /// What turns a price in this currency into money.
    #[inline]
    pub fn terms(&self, multiplier: Multiplier) -> Terms {
        Terms { rate: self.rate, multiplier }
    }
}

/// A price in the account's currency, as [`Quote::worth`] counts.
fn exactly(price: CpmMicros) -> i128 {
    i128::from(price.0) * i128::from(Rate::ONE.0)
}

fn refusal(why: NoRate) -> NoBidReason {
    match why {
        NoRate::Unknown => NoBidReason::Currency,
        NoRate::Stale => NoBidReason::StaleRates,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Between floor and limit in the account's currency a price is so in every other, or there is none.
        #[test]
        fn neither_under_the_floor_nor_above_the_limit(
            rate in 1u64..=Rate::MAX.0,
            floor in 0i64..1 << 33,
            above in prop_oneof![Just(0i64), 0i64..1 << 33],
            room in prop_oneof![Just(0i64), 0i64..1 << 33],
        ) {
            let quote = Quote { currency: Currency::USD, rate: Rate(rate) };
            let (floor, price, most) = (CpmMicros(floor), CpmMicros(floor + above), CpmMicros(floor + above + room));
            match quote.price(price, floor, most) {
                Some(quoted) => {
                    prop_assert!(quote.worth(quoted) >= exactly(floor) && quote.worth(quoted) <= exactly(most));
                    prop_assert!(quote.worth(quoted) - exactly(price) <= i128::from(rate));
                }
                None => prop_assert!(rate > Rate::ONE.0 || floor == most),
            }
        }
    }

    #[test]
    fn a_floor_met_to_the_micro_is_met_in_a_dear_currency() {
        let gold = Quote { currency: Currency::USD, rate: Rate(2_651_370_000_000) };
        let price = CpmMicros(4_563_577);
        assert_eq!(gold.price(price, CpmMicros(0), price), Some(CpmMicros(1721)));
        assert_eq!(gold.price(price, price, CpmMicros(9_000_000)), Some(CpmMicros(1722)));
        assert_eq!(gold.price(price, price, price), None);
    }
}
