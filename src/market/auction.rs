//! One auction: the bidder's bids against a few rivals whose prices are log-normal, by the rules the request announced.
//!
//! Prices are whole micros from the moment they are read: the market's accounts must be exact to be worth comparing.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use crate::market::clicks::Viewer;
use crate::market::random::Random;
use crate::market::settlement::Settlement;
use crate::snapshot::rates::price_in;
use crate::units::{CpmMicros, Multiplier, Rate};

/// What a second-price winner pays above the next price, micros CPM (one cent; "second price plus").
const INCREMENT: CpmMicros = CpmMicros(10_000);

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
    items: Vec<Item>,
}

/// One impression.
#[derive(Clone, Debug)]
struct Item {
    id: String,
    viewer: Viewer,
    multiplier: Option<Multiplier>,
    deals_only: bool,
    open: Floor,
    /// Of an audio bid, where a video is offered too and `open` has the video's times.
    audio: Option<Floor>,
    deals: Vec<Deal>,
}

#[derive(Clone, Debug)]
struct Deal {
    id: String,
    floor: Floor,
    /// Its floor is the price (`at` 3).
    is_fixed: bool,
    /// Its own `at` is 1, or 2.
    first_price: Option<bool>,
}

/// Floors of an impression or a deal (2.6 section 7.11).
#[derive(Clone, Debug)]
struct Floor {
    least: CpmMicros,
    currency: String,
    per_second: CpmMicros,
    /// `durfloors`: from and to how many seconds.
    spans: Vec<(u64, u64, CpmMicros)>,
}

impl Floor {
    /// `timed` has the floors that go by time.
    fn read(object: &Value, timed: &Value) -> Floor {
        let seconds = |value: &Value, default| value.as_u64().unwrap_or(default);
        let spans = timed["durfloors"].as_array().into_iter().flatten();
        Floor {
            least: amount(&object["bidfloor"]),
            currency: object["bidfloorcur"].as_str().unwrap_or("USD").to_owned(),
            per_second: amount(&timed["mincpmpersec"]),
            spans: spans
                .map(|span| {
                    (seconds(&span["mindur"], 0), seconds(&span["maxdur"], u64::MAX), amount(&span["bidfloor"]))
                })
                .collect(),
        }
    }

    /// For an ad that plays for so many seconds, or is shown.
    fn of(&self, plays: Option<u64>) -> CpmMicros {
        let Some(seconds) = plays else { return self.least };
        if self.per_second > CpmMicros(0) {
            return CpmMicros(self.per_second.0.saturating_mul(i64::try_from(seconds).unwrap_or(i64::MAX)));
        }
        let spans = self.spans.iter().filter(|(from, to, _)| (*from..=*to).contains(&seconds));
        spans.map(|(.., floor)| *floor).max().unwrap_or(self.least)
    }
}

impl Lot {
    /// Reads a request of the corpus. What is not a request sells nothing.
    pub fn read(body: &[u8]) -> Lot {
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let imps = request["imp"].as_array().into_iter().flatten();
        Lot {
            id: text(&request["id"]),
            first_price: request["at"] == 1,
            items: imps.map(|imp| Item::read(&request, imp)).collect(),
        }
    }

    fn item(&self, imp: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.id == imp)
    }

    /// Who sees an impression.
    pub fn viewer(&self, imp: &str) -> Viewer {
        self.item(imp).map(|item| item.viewer).unwrap_or_default()
    }

    /// How many see an impression, if the request says so.
    pub fn multiplier(&self, imp: &str) -> Option<Multiplier> {
        self.item(imp)?.multiplier
    }
}

impl Item {
    fn read(request: &Value, imp: &Value) -> Item {
        let (video, audio) = (&imp["video"], &imp["audio"]);
        let stream = if video.is_null() { audio } else { video };
        let multiplier = &imp["qty"]["multiplier"];
        let deals = imp["pmp"]["deals"].as_array().into_iter().flatten();
        Item {
            id: text(&imp["id"]),
            viewer: Viewer::read(request, imp),
            multiplier: multiplier.is_number().then(|| Multiplier(amount(multiplier).0.cast_unsigned())),
            deals_only: imp["pmp"]["private_auction"] == 1,
            open: Floor::read(imp, stream),
            audio: (!video.is_null() && !audio.is_null()).then(|| Floor::read(imp, audio)),
            deals: deals
                .map(|deal| Deal {
                    id: text(&deal["id"]),
                    floor: Floor::read(deal, deal),
                    is_fixed: deal["at"] == 3,
                    first_price: deal["at"].as_u64().map(|at| at == 1),
                })
                .collect(),
        }
    }

    /// The floor of a bid for no deal. What goes by time is the format's own, which a bid that says how long it plays names,
    /// because `mtype` and `dur` are both of 2.6.
    fn open(&self, bid: &Bid<'_>) -> &Floor {
        self.audio.as_ref().filter(|_| bid.mtype == Some(AUDIO)).unwrap_or(&self.open)
    }
}

/// `mtype` of an audio bid (2.6 section 4.2.3).
const AUDIO: u8 = 3;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn amount(value: &Value) -> CpmMicros {
    micros(value.as_f64().unwrap_or(0.0))
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
    /// 1: all of its bids or none.
    #[serde(default)]
    pub group: u8,
}

/// One bid.
#[derive(Debug, Default, Deserialize)]
pub struct Bid<'a> {
    /// The bidder's id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The impression.
    #[serde(borrow)]
    pub impid: Cow<'a, str>,
    /// CPM.
    pub price: f64,
    /// The deal it is for.
    #[serde(borrow, default)]
    pub dealid: Option<Cow<'a, str>>,
    /// What its markup is; bids before 2.6 do not say.
    #[serde(default)]
    pub mtype: Option<u8>,
    /// Seconds it plays.
    #[serde(default)]
    pub dur: Option<u64>,
    /// It is one of several that fill a pod.
    #[serde(default)]
    pub slotinpod: Option<i8>,
    /// The markup.
    #[serde(borrow, default)]
    pub adm: Option<Cow<'a, str>>,
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

/// Holds the auction of one bid, whose prices are in a currency of this rate. `random` is the auction's own stream, so that its
/// outcome does not depend on timing.
pub fn hold(
    lot: &Lot,
    bid: &Bid<'_>,
    rate: Rate,
    settlement: &Settlement,
    (pricing, rivals): (Pricing, &Rivals),
    random: &mut Random,
) -> Verdict {
    let count = random.between(1, rivals.most.max(1));
    let best = (0..count).map(|_| micros(random.log_normal(rivals.median, rivals.sigma))).max().unwrap_or_default();
    let Some(item) = lot.item(&bid.impid) else { return Verdict::Invalid };
    let deal = match &bid.dealid {
        None if item.deals_only => return Verdict::Invalid,
        None => None,
        Some(id) => match item.deals.iter().find(|deal| deal.id == *id) {
            None => return Verdict::Invalid,
            deal => deal,
        },
    };
    if bid.id.is_empty() || !(bid.price > 0.0 && bid.price < 1e9) {
        return Verdict::Invalid;
    }
    let floor = deal.map_or_else(|| item.open(bid), |deal| &deal.floor);
    let least = floor.of(bid.dur);
    let floor = match settlement.rate(&floor.currency) {
        Some(from) => settlement.floor(least, from, rate),
        None if least > CpmMicros(0) => return Verdict::Invalid,
        None => CpmMicros(0),
    };
    let price = micros(bid.price);
    if price < floor {
        return Verdict::BelowFloor { to_win: floor };
    }
    if deal.is_some_and(|deal| deal.is_fixed) {
        return Verdict::Won { clearing: settlement.telling(price), to_win: floor };
    }
    // A rival below the floor is none.
    let to_win = price_in(best, rate).max(floor);
    if price < to_win {
        return Verdict::Outbid { to_win };
    }
    let first_price = match pricing {
        Pricing::AsRequested => deal.and_then(|deal| deal.first_price).unwrap_or(lot.first_price),
        Pricing::First => true,
        Pricing::Second => false,
    };
    let clearing = if first_price { price } else { price.min(CpmMicros(to_win.0 + price_in(INCREMENT, rate).0)) };
    Verdict::Won { clearing: settlement.telling(clearing), to_win }
}

/// Lets one bid win where several are for one impression, a deal before the open auction; and of bids that go together all or
/// none.
pub fn contest(bids: &[(&SeatBid<'_>, &Bid<'_>)], verdicts: &mut [Verdict]) {
    let won = |verdict: &Verdict| matches!(verdict, Verdict::Won { .. });
    for one in 0..bids.len() {
        for other in 0..bids.len() {
            let (ours, theirs) = (bids[one].1, bids[other].1);
            let rivals =
                one != other && ours.impid == theirs.impid && ours.slotinpod.is_none() && theirs.slotinpod.is_none();
            if rivals && won(&verdicts[one]) && won(&verdicts[other]) {
                let worth = |bid: &Bid<'_>| (bid.dealid.is_some(), micros(bid.price));
                let loser = if worth(ours) >= worth(theirs) { other } else { one };
                verdicts[loser] = Verdict::Outbid { to_win: micros(bids[one + other - loser].1.price) };
            }
        }
    }
    let groups = bids.iter().map(|(seat, _)| std::ptr::from_ref(*seat));
    let broken: Vec<_> =
        groups.clone().zip(&*verdicts).filter(|(_, verdict)| !won(verdict)).map(|(seat, _)| seat).collect();
    for ((seat, _), verdict) in bids.iter().zip(verdicts) {
        if let Verdict::Won { clearing, .. } = *verdict
            && seat.group == 1
            && broken.contains(&std::ptr::from_ref(*seat))
        {
            *verdict = Verdict::Outbid { to_win: clearing };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Currency;

    const REQUEST: &str = r#"{"id":"r","at":AT,"imp":[{"id":"1","bidfloor":1.5},{"id":"2"}]}"#;

    fn bid(imp: &'static str, price: f64) -> Bid<'static> {
        Bid { id: "b".into(), impid: imp.into(), price, ..Bid::default() }
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
        let settlement = Settlement::default();
        let mut hold = |lot: &Lot, bid: &Bid<'_>, pricing, rivals: &Rivals| {
            super::hold(lot, bid, Rate::ONE, &settlement, (pricing, rivals), &mut random)
        };
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

    const RICH: &str = r#"{"id":"r","at":2,"imp":[
        {"id":"1","bidfloor":1,"pmp":{"private_auction":1,"deals":[{"id":"d","at":3,"bidfloor":2.5},{"id":"e","at":1}]}},
        {"id":"2","bidfloor":1,"bidfloorcur":"EUR","qty":{"multiplier":30.3},
         "video":{"durfloors":[{"maxdur":15,"bidfloor":3}]}},
        {"id":"3","audio":{"mincpmpersec":0.1}},
        {"id":"4","bidfloor":1,"bidfloorcur":"ISK"},
        {"id":"5","bidfloor":1,"video":{"mincpmpersec":0.5},"audio":{"durfloors":[{"maxdur":15,"bidfloor":2}]}}]}"#;

    #[test]
    fn deals_seconds_and_currencies_have_their_floors() {
        let lot = Lot::read(RICH.as_bytes());
        let euro = (Currency(*b"EUR"), Rate(1_250_000_000));
        let settlement = Settlement { rates: vec![euro], ..Settlement::default() };
        let mut random = Random::new(1);
        let mut hold = |bid: &Bid<'_>, rate| {
            super::hold(&lot, bid, rate, &settlement, (Pricing::AsRequested, &at(0.01)), &mut random)
        };
        let dealt = |price, deal: &'static str| Bid { dealid: Some(deal.into()), ..bid("1", price) };
        let plays = |imp, price, seconds| Bid { dur: Some(seconds), ..bid(imp, price) };
        let won = |clearing, to_win| Verdict::Won { clearing: CpmMicros(clearing), to_win: CpmMicros(to_win) };
        let below = |floor| Verdict::BelowFloor { to_win: CpmMicros(floor) };
        for (bid, rate, verdict) in [
            (bid("1", 9.0), Rate::ONE, Verdict::Invalid),
            (dealt(9.0, "x"), Rate::ONE, Verdict::Invalid),
            (dealt(2.5, "d"), Rate::ONE, won(2_500_000, 2_500_000)),
            (dealt(2.4, "d"), Rate::ONE, below(2_500_000)),
            (dealt(2.0, "d"), euro.1, won(2_000_000, 2_000_000)),
            (dealt(0.5, "e"), Rate::ONE, won(500_000, 10_000)),
            (bid("2", 1.2), Rate::ONE, below(1_250_000)),
            (bid("2", 1.5), euro.1, won(1_008_000, 1_000_000)),
            (plays("2", 3.5, 15), Rate::ONE, below(3_750_000)),
            (plays("2", 1.3, 16), Rate::ONE, won(1_260_000, 1_250_000)),
            (plays("3", 1.4, 15), Rate::ONE, below(1_500_000)),
            (bid("4", 9.0), Rate::ONE, Verdict::Invalid),
            (Bid { mtype: Some(2), ..plays("5", 7.4, 15) }, Rate::ONE, below(7_500_000)),
            (Bid { mtype: Some(3), ..plays("5", 1.9, 15) }, Rate::ONE, below(2_000_000)),
            (Bid { mtype: Some(3), ..plays("5", 2.0, 15) }, Rate::ONE, won(2_000_000, 2_000_000)),
            (Bid { mtype: Some(3), ..plays("3", 1.4, 15) }, Rate::ONE, below(1_500_000)),
            (Bid { mtype: Some(1), ..bid("5", 1.0) }, Rate::ONE, won(1_000_000, 1_000_000)),
        ] {
            assert_eq!(hold(&bid, rate), verdict, "{bid:?}");
        }
        assert_eq!((lot.multiplier("2"), lot.multiplier("1")), (Some(Multiplier(30_300_000)), None));
    }

    #[test]
    fn one_wins_an_impression_and_groups_are_whole() {
        let won = Verdict::Won { clearing: CpmMicros(1), to_win: CpmMicros(0) };
        let dealt = Bid { dealid: Some("d".into()), ..bid("1", 1.0) };
        let pod = |price| Bid { slotinpod: Some(0), ..bid("2", price) };
        let seat = |group| SeatBid { bid: Vec::new(), seat: "".into(), group };
        let (open, whole) = (seat(0), seat(1));
        let bids = [bid("1", 2.0), dealt, bid("1", 3.0), pod(1.0), pod(2.0)];
        let of_seat: Vec<_> = bids.iter().map(|bid| (&open, bid)).collect();
        let mut verdicts = [won; 5];
        contest(&of_seat, &mut verdicts);
        assert_eq!(verdicts.map(|verdict| verdict == won), [false, true, false, true, true]);
        let pages = [bid("1", 2.0), bid("2", 2.0)];
        let of_seat: Vec<_> = pages.iter().map(|bid| (&whole, bid)).collect();
        for (second, wins) in [(won, true), (Verdict::Outbid { to_win: CpmMicros(9) }, false)] {
            let mut verdicts = [won, second];
            contest(&of_seat, &mut verdicts);
            assert_eq!(verdicts.map(|verdict| verdict == won), [wins, wins]);
        }
    }
}
