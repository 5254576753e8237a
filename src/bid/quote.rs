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
        let named = request.cur.strings().filter_map(|text| {
            Currency::parse(text.raw).filter(|currency| currency.0 == text.raw)
        });
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

    /// A price in this currency, rounded down.
    #[inline]
    pub fn price(&self, price: CpmMicros) -> CpmMicros {
        if self.rate == Rate::ONE { price } else { price_in(price, self.rate) }
    }

    /// What turns a price in this currency into money.
    #[inline]
    pub fn terms(&self, multiplier: Multiplier) -> Terms {
        Terms { rate: self.rate, multiplier }
    }
}

fn refusal(why: NoRate) -> NoBidReason {
    match why {
        NoRate::Unknown => NoBidReason::Currency,
        NoRate::Stale => NoBidReason::StaleRates,
    }
}
