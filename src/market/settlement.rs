//! What an exchange settles with: what currencies are worth to it, and how it writes a price into a notice.

use crate::market::macros::decimal;
use crate::snapshot::rates::{floor_in_account, price_in};
use crate::units::{CpmMicros, Currency, Rate};
use crate::wire::price::{Reading, Scheme};
use crate::wire::price_cipher::IV;

/// How an exchange settles.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// How it writes prices, and with which keys.
    pub prices: Reading,
    /// What a unit of each currency is worth in US dollars, besides the dollar itself. Bids in others are invalid.
    pub rates: Vec<(Currency, Rate)>,
}

impl Default for Settlement {
    fn default() -> Settlement {
        Settlement { prices: Reading::Plain, rates: Vec::new() }
    }
}

impl Settlement {
    /// What a unit of the currency of this code is worth in US dollars.
    pub fn rate(&self, code: &str) -> Option<Rate> {
        if code == "USD" {
            return Some(Rate::ONE);
        }
        self.rates.iter().find(|(currency, _)| currency.code() == code).map(|(_, rate)| *rate)
    }

    /// A floor in one currency, in another: rounded up.
    pub(super) fn floor(&self, floor: CpmMicros, from: Rate, to: Rate) -> CpmMicros {
        if from == to {
            return floor;
        }
        let dollars = floor_in_account(floor, from);
        let down = price_in(dollars, to);
        if floor_in_account(down, to) < dollars { CpmMicros(down.0 + 1) } else { down }
    }

    /// The clearing price that can be told: OpenX counts in millionths per impression.
    pub(super) fn telling(&self, clearing: CpmMicros) -> CpmMicros {
        match self.scheme() {
            Scheme::Openx => CpmMicros((clearing.0 / 1000).max(1) * 1000),
            Scheme::Plain | Scheme::Google => clearing,
        }
    }

    /// What stands in a notice in place of a price macro (its name without `${` and `}`, or with its `%%`); nothing if it is
    /// another exchange's.
    pub(super) fn price(&self, name: &str, price: CpmMicros, iv: &[u8; IV]) -> Option<String> {
        let Reading::Encrypted(scheme, cipher) = &self.prices else {
            return (name == "AUCTION_PRICE").then(|| decimal(price));
        };
        let (ours, number) = match scheme {
            Scheme::Google => ("%%WINNING_PRICE%%", price.0),
            Scheme::Openx => ("AUCTION_PRICE:OXCRYPT", price.0 / 1000),
            Scheme::Plain => return None,
        };
        let hidden = (name == ours).then(|| cipher.encrypt(iv, number.cast_unsigned()));
        hidden.map(|text| text.iter().copied().map(char::from).collect())
    }

    fn scheme(&self) -> Scheme {
        match &self.prices {
            Reading::Encrypted(scheme, _) => *scheme,
            Reading::Plain | Reading::Blind => Scheme::Plain,
        }
    }
}
