//! Substitution macros in notice URLs (OpenRTB 2.6 section 4.4).

use std::fmt::Write as _;

use crate::market::auction::Bid;
use crate::market::settlement::Settlement;
use crate::units::{CpmMicros, Multiplier};
use crate::wire::price_cipher::IV;

/// What is known of an auction when a notice is sent. What is not known becomes the empty string.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// `BidRequest.id`.
    pub auction: &'a str,
    /// The bid.
    pub bid: &'a Bid<'a>,
    /// The seat that bid.
    pub seat: &'a str,
    /// `BidResponse.cur`.
    pub currency: &'a str,
    /// How prices are written.
    pub settlement: &'a Settlement,
    /// What an encrypted price is mixed with; of this auction alone.
    pub iv: [u8; IV],
    /// The clearing price, when it is told.
    pub price: Option<CpmMicros>,
    /// How many see it, of a screen.
    pub multiplier: Option<Multiplier>,
    /// What the bid had to reach.
    pub to_win: Option<CpmMicros>,
    /// The loss reason (2.5 section 5.25), 0 for a winner.
    pub loss: u32,
}

/// The macro of Authorized Buyers.
const WINNING_PRICE: &str = "%%WINNING_PRICE%%";

/// The URL with every macro replaced by its value, percent-encoded.
pub fn expand(url: &str, facts: &Facts<'_>) -> String {
    let told = facts.price.and_then(|price| facts.settlement.price(WINNING_PRICE, price, &facts.iv));
    let url = told.map_or_else(|| url.into(), |price| std::borrow::Cow::from(url.replace(WINNING_PRICE, &price)));
    let url = &*url;
    let mut expanded = String::with_capacity(url.len() + 16);
    let mut rest = url;
    while let Some(start) = rest.find("${AUCTION_") {
        let (before, after) = rest.split_at(start);
        expanded.push_str(before);
        let Some(end) = after.find('}') else {
            rest = after;
            break;
        };
        encode(&value(&after["${AUCTION_".len()..end], facts), &mut expanded);
        rest = &after[end + 1..];
    }
    expanded.push_str(rest);
    expanded
}

fn value(name: &str, facts: &Facts<'_>) -> String {
    let price = |price: Option<CpmMicros>| price.map(decimal).unwrap_or_default();
    let told = |name: &str| facts.price.and_then(|price| facts.settlement.price(name, price, &facts.iv));
    match name {
        "ID" => facts.auction.to_owned(),
        "BID_ID" => facts.bid.id.to_string(),
        "IMP_ID" => facts.bid.impid.to_string(),
        "SEAT_ID" => facts.seat.to_owned(),
        "AD_ID" => facts.bid.adid.to_string(),
        "PRICE" => told("AUCTION_PRICE").unwrap_or_default(),
        "PRICE:OXCRYPT" => told("AUCTION_PRICE:OXCRYPT").unwrap_or_default(),
        "MIN_TO_WIN" => price(facts.to_win),
        "CURRENCY" => facts.currency.to_owned(),
        "MULTIPLIER" => facts.multiplier.map(|times| decimal(CpmMicros(times.0.cast_signed()))).unwrap_or_default(),
        "LOSS" => facts.loss.to_string(),
        _ => String::new(),
    }
}

/// A price in currency units, exactly: `2.5` for 2,500,000 micros.
pub fn decimal(price: CpmMicros) -> String {
    let text = format!("{}.{:06}", price.0 / 1_000_000, price.0 % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Percent-encoding (RFC 3986 section 2.1) of all but unreserved characters.
fn encode(text: &str, to: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => to.push(char::from(byte)),
            _ => write!(to, "%{byte:02X}").expect("memory"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::price::{Reading, Scheme};
    use crate::wire::price_cipher::PriceCipher;

    #[test]
    fn macros_are_replaced_and_encoded() {
        let bid = Bid { id: "b/1".into(), impid: "1 ü".into(), price: 2.5, ..Bid::default() };
        let settlement = Settlement::default();
        let facts = Facts {
            auction: "a&b",
            bid: &bid,
            seat: "s",
            currency: "EUR",
            settlement: &settlement,
            iv: [7; IV],
            price: Some(CpmMicros(2_500_000)),
            multiplier: Some(Multiplier(30_300_000)),
            to_win: None,
            loss: 102,
        };
        let expand = |url: &str| super::expand(url, &facts);
        assert_eq!(expand("http://h/p?x=1"), "http://h/p?x=1");
        assert_eq!(expand("/${AUCTION_PRICE}"), "/2.5");
        assert_eq!(
            expand("/${AUCTION_ID}/${AUCTION_BID_ID}/${AUCTION_IMP_ID}?l=${AUCTION_LOSS}&"),
            "/a%26b/b%2F1/1%20%C3%BC?l=102&"
        );
        assert_eq!(expand("/${AUCTION_MIN_TO_WIN}|${AUCTION_PRICE:X}|${AUCTION_NEW}|"), "/|||");
        assert_eq!(expand("/${AUCTION_PRICE"), "/${AUCTION_PRICE");
        assert_eq!(
            expand("/${AUCTION_CURRENCY}/${AUCTION_MULTIPLIER}/%%WINNING_PRICE%%"),
            "/EUR/30.3/%%WINNING_PRICE%%"
        );
    }

    #[test]
    fn an_encrypted_price_stands_where_the_exchange_puts_it() {
        let cipher = PriceCipher::new(&[1; 32], &[2; 32]);
        let bid = Bid::default();
        for (scheme, number) in [(Scheme::Google, 2_500_000), (Scheme::Openx, 2_500)] {
            let settlement = Settlement { prices: Reading::Encrypted(scheme, cipher.clone()), ..Settlement::default() };
            let facts = Facts {
                auction: "a",
                bid: &bid,
                seat: "",
                currency: "USD",
                settlement: &settlement,
                iv: [7; IV],
                price: Some(CpmMicros(2_500_000)),
                multiplier: None,
                to_win: None,
                loss: 0,
            };
            let told = expand(scheme.price_macro(), &facts);
            assert_eq!(cipher.decrypt(told.as_bytes()), Ok(number));
            assert_eq!(expand("${AUCTION_PRICE}", &facts), "", "never in plain");
        }
    }

    #[test]
    fn decimals_are_exact() {
        for (micros, text) in
            [(0, "0"), (1, "0.000001"), (2_000_000, "2"), (10_020_300, "10.0203"), (100_000_000, "100")]
        {
            assert_eq!(decimal(CpmMicros(micros)), text);
        }
    }
}
