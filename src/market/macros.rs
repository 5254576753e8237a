//! Substitution macros in notice URLs (OpenRTB 2.6 section 4.4).

use std::fmt::Write as _;

use crate::market::auction::Bid;
use crate::units::CpmMicros;

/// What is known of an auction when a notice is sent. What is not known becomes the empty string.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// `BidRequest.id`.
    pub auction: &'a str,
    /// The bid.
    pub bid: &'a Bid<'a>,
    /// The seat that bid.
    pub seat: &'a str,
    /// The clearing price, when it is told.
    pub price: Option<CpmMicros>,
    /// What the bid had to reach.
    pub to_win: Option<CpmMicros>,
    /// The loss reason (2.5 section 5.25), 0 for a winner.
    pub loss: u32,
}

/// The URL with every macro replaced by its value, percent-encoded.
pub fn expand(url: &str, facts: &Facts<'_>) -> String {
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
    match name {
        "ID" => facts.auction.to_owned(),
        "BID_ID" => facts.bid.id.to_string(),
        "IMP_ID" => facts.bid.impid.to_string(),
        "SEAT_ID" => facts.seat.to_owned(),
        "AD_ID" => facts.bid.adid.to_string(),
        "PRICE" => price(facts.price),
        "MIN_TO_WIN" => price(facts.to_win),
        "CURRENCY" => "USD".to_owned(),
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
    use std::borrow::Cow;

    #[test]
    fn macros_are_replaced_and_encoded() {
        let nothing = Cow::Borrowed("");
        let bid = Bid {
            id: "b/1".into(),
            impid: "1 ü".into(),
            price: 2.5,
            cid: nothing.clone(),
            adid: nothing,
            nurl: None,
            burl: None,
            lurl: None,
        };
        let facts =
            Facts { auction: "a&b", bid: &bid, seat: "s", price: Some(CpmMicros(2_500_000)), to_win: None, loss: 102 };
        let expand = |url: &str| super::expand(url, &facts);
        assert_eq!(expand("http://h/p?x=1"), "http://h/p?x=1");
        assert_eq!(expand("/${AUCTION_PRICE}"), "/2.5");
        assert_eq!(
            expand("/${AUCTION_ID}/${AUCTION_BID_ID}/${AUCTION_IMP_ID}?l=${AUCTION_LOSS}&"),
            "/a%26b/b%2F1/1%20%C3%BC?l=102&"
        );
        assert_eq!(expand("/${AUCTION_MIN_TO_WIN}|${AUCTION_PRICE:X}|${AUCTION_NEW}|"), "/|||");
        assert_eq!(expand("/${AUCTION_PRICE"), "/${AUCTION_PRICE");
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
