//! One auction: the bidder's bids against a few rivals whose prices are log-normal, by the rules the request announced.
//!
//! Prices are whole micros from the moment they are read: the market's accounts must be exact to be worth comparing.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use crate::market::random::Random;
use crate::units::CpmMicros;

/// What a second-price winner pays above the next price, micros CPM (one cent; "second price plus").
const INCREMENT: i64 = 10_000;

/// How the winner's price is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pricing {
    /// By `at` of the request: 1 is first price, anything else second price plus (2.6 section 3.2.1).
    #[default]
    AsRequested,
    /// Always first price.
    First,
    /// Always second price plus.
    Second,
}

/// The rivals in every auction.
#[derive(Clone, Debug)]
pub struct Rivals {
    /// Most of them; each auction has one to this many.
    pub most: u64,
    /// Median of their prices, USD CPM.
    pub median: f64,
    /// Standard deviation of the logarithm of their prices.
    pub sigma: f64,
}

/// What a request sells, as far as its auction needs it.
#[derive(Clone, Debug, Default)]
pub struct Lot {
    /// `BidRequest.id`.
    pub id: String,
    first_price: bool,
    floors: Vec<(String, CpmMicros)>,
}

impl Lot {
    /// Reads a request of the corpus. What is not a request sells nothing.
    pub fn read(body: &[u8]) -> Lot {
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let imps = request["imp"].as_array().into_iter().flatten();
        Lot {
            id: text(&request["id"]),
            first_price: request["at"] == 1,
            floors: imps.map(|imp| (text(&imp["id"]), micros(imp["bidfloor"].as_f64().unwrap_or(0.0)))).collect(),
        }
    }

    fn floor(&self, imp: &str) -> Option<CpmMicros> {
        self.floors.iter().find(|(id, _)| id == imp).map(|(_, floor)| *floor)
    }
}

/// A price as written in JSON, to the nearest micro.
fn micros(price: f64) -> CpmMicros {
    CpmMicros((price * 1e6).round() as i64)
}

/// A `BidResponse` (2.6 section 4.2.1), as far as an auction and its notices need it.
#[derive(Debug, Deserialize)]
pub struct BidResponse<'a> {
    /// `id` of the request.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Bids by seat.
    #[serde(borrow, default)]
    pub seatbid: Vec<SeatBid<'a>>,
    /// Currency; USD if absent.
    #[serde(borrow, default)]
    pub cur: Option<Cow<'a, str>>,
}

/// Bids of one seat.
#[derive(Debug, Deserialize)]
pub struct SeatBid<'a> {
    /// The bids.
    #[serde(borrow)]
    pub bid: Vec<Bid<'a>>,
    /// The seat.
    #[serde(borrow, default)]
    pub seat: Cow<'a, str>,
}

/// One bid.
#[derive(Debug, Deserialize)]
pub struct Bid<'a> {
    /// The bidder's id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The impression.
    #[serde(borrow)]
    pub impid: Cow<'a, str>,
    /// CPM.
    pub price: f64,
    /// The campaign.
    #[serde(borrow, default)]
    pub cid: Cow<'a, str>,
    /// The ad.
    #[serde(borrow, default)]
    pub adid: Cow<'a, str>,
    /// Called when won.
    #[serde(borrow, default)]
    pub nurl: Option<Cow<'a, str>>,
    /// Called when billed.
    #[serde(borrow, default)]
    pub burl: Option<Cow<'a, str>>,
    /// Called when lost.
    #[serde(borrow, default)]
    pub lurl: Option<Cow<'a, str>>,
}

/// How a bid fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It won.
    Won {
        /// What one thousand such impressions cost.
        clearing: CpmMicros,
        /// What it had to reach.
        to_win: CpmMicros,
    },
    /// A rival bid more: loss reason 102.
    Outbid {
        /// What it had to reach.
        to_win: CpmMicros,
    },
    /// Below the floor: loss reason 100.
    BelowFloor {
        /// The floor.
        to_win: CpmMicros,
    },
    /// No bid an exchange can use: no such impression, or no price.
    Invalid,
}

/// Holds the auction of one bid. `random` is the auction's own stream, so that its outcome does not depend on timing.
pub fn hold(lot: &Lot, bid: &Bid<'_>, pricing: Pricing, rivals: &Rivals, random: &mut Random) -> Verdict {
    let Some(floor) = lot.floor(&bid.impid) else { return Verdict::Invalid };
    if bid.id.is_empty() || !(bid.price > 0.0 && bid.price < 1e6) {
        return Verdict::Invalid;
    }
    let price = micros(bid.price);
    let count = random.between(1, rivals.most.max(1));
    let best = (0..count).map(|_| micros(random.log_normal(rivals.median, rivals.sigma))).max().unwrap_or_default();
    if price < floor {
        return Verdict::BelowFloor { to_win: floor };
    }
    // A rival below the floor is none.
    let to_win = best.max(floor);
    if price < to_win {
        return Verdict::Outbid { to_win };
    }
    let first_price = match pricing {
        Pricing::AsRequested => lot.first_price,
        Pricing::First => true,
        Pricing::Second => false,
    };
    let clearing = if first_price { price } else { price.min(CpmMicros(to_win.0 + INCREMENT)) };
    Verdict::Won { clearing, to_win }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = r#"{"id":"r","at":AT,"imp":[{"id":"1","bidfloor":1.5},{"id":"2"}]}"#;

    fn bid(imp: &'static str, price: f64) -> Bid<'static> {
        let nothing = Cow::Borrowed("");
        Bid {
            id: "b".into(),
            impid: imp.into(),
            price,
            cid: nothing.clone(),
            adid: nothing,
            nurl: None,
            burl: None,
            lurl: None,
        }
    }

    /// Rivals who all bid the same.
    fn at(price: f64) -> Rivals {
        Rivals { most: 3, median: price, sigma: 0.0 }
    }

    #[test]
    fn prices_clear_by_the_rules() {
        let (first, second) =
            (Lot::read(REQUEST.replace("AT", "1").as_bytes()), Lot::read(REQUEST.replace("AT", "2").as_bytes()));
        let mut random = Random::new(1);
        let mut hold =
            |lot: &Lot, bid: &Bid<'_>, pricing, rivals: &Rivals| super::hold(lot, bid, pricing, rivals, &mut random);
        let won = |clearing, to_win| Verdict::Won { clearing: CpmMicros(clearing), to_win: CpmMicros(to_win) };
        let usual = Pricing::AsRequested;
        assert_eq!(hold(&first, &bid("1", 3.25), usual, &at(2.0)), won(3_250_000, 2_000_000));
        assert_eq!(hold(&second, &bid("1", 3.25), usual, &at(2.0)), won(2_010_000, 2_000_000));
        assert_eq!(hold(&second, &bid("1", 3.25), Pricing::First, &at(2.0)), won(3_250_000, 2_000_000));
        assert_eq!(hold(&first, &bid("1", 3.25), Pricing::Second, &at(1.0)), won(1_510_000, 1_500_000));
        assert_eq!(hold(&second, &bid("1", 2.005), usual, &at(2.0)), won(2_005_000, 2_000_000));
        assert_eq!(hold(&second, &bid("2", 1.999), usual, &at(2.0)), Verdict::Outbid { to_win: CpmMicros(2_000_000) });
        assert_eq!(
            hold(&second, &bid("1", 1.499999), usual, &at(0.1)),
            Verdict::BelowFloor { to_win: CpmMicros(1_500_000) }
        );
        assert_eq!(hold(&first, &bid("1", 1.5), usual, &at(0.1)), won(1_500_000, 1_500_000));
        for bad in [bid("3", 2.0), bid("1", 0.0), bid("1", -1.0), bid("1", f64::NAN), bid("1", f64::INFINITY)] {
            assert_eq!(hold(&second, &bad, usual, &at(0.1)), Verdict::Invalid);
        }
    }

    #[test]
    fn a_response_is_read_escapes_included() {
        let text = r#"{"id":"r","seatbid":[{"seat":"s","bid":[{"id":"b","impid":"1","price":2.5,"cid":"7","burl":"http:\/\/x\/","x":[1]}]}]}"#;
        let response: BidResponse<'_> = serde_json::from_str(text).expect("a response");
        let bid = &response.seatbid[0].bid[0];
        assert_eq!((bid.burl.as_deref(), bid.nurl.as_deref(), &*bid.cid), (Some("http://x/"), None, "7"));
    }
}
