//! The currency of a response, and what its prices are worth to us.

use crate::bid::admit::Exchange;
use crate::bid::floor::Exchanged;
use crate::snapshot::rates::{NoRate, price_in};
use crate::units::{CpmMicros, Multiplier, Rate, Terms};
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::BidRequest;

/// The currency a response is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// ISO 4217, upper-case.
    pub currency: [u8; 3],
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
        let agreed = exchange.rules.currency.0;
        let quote = |currency: [u8; 3]| {
            exchanged.rates.to_account(&currency, exchanged.now).map(|rate| Quote { currency, rate })
        };
        let taken = |currency: &[u8; 3]| request.cur.strings().any(|text| text.raw == currency);
        if request.cur.is_empty() || taken(&agreed) {
            match quote(agreed) {
                Ok(quote) => return Ok(quote),
                Err(why) if request.cur.is_empty() => return Err(refusal(why)),
                Err(_) => {}
            }
        }
        let account = exchanged.rates.account().0;
        if taken(&account) {
            return quote(account).map_err(refusal);
        }
        let mut reason = NoBidReason::Currency;
        for text in request.cur.strings() {
            match text.raw.first_chunk().filter(|_| text.raw.len() == 3).map(|currency| quote(*currency)) {
                Some(Ok(quote)) => return Ok(quote),
                Some(Err(why)) => reason = reason.max(refusal(why)),
                None => {}
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
