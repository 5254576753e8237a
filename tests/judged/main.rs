//! Responses, judged by a reader that shares nothing with the bidder (tests/support/judge): the samples, the corpora of the
//! market, and thousands of requests drawn at random, at exchanges that differ, with campaigns of every kind.

#[path = "../support/mod.rs"]
mod support;
#[path = "../support/judge/mod.rs"]
mod judge;

mod bidder;
mod demo;
mod mutations;
mod wild;

use corebid::market::corpus;
use corebid::market::random::Random;
use corebid::snapshot::data::Source;
use serde_json::Value;

use bidder::{Bidder, EXCHANGES};

/// Of these requests, how many are valid as far as a bidder can tell, and how many of those got a bid.
fn judged<'b>(bidder: &mut Bidder, exchange: &str, bodies: impl IntoIterator<Item = &'b Vec<u8>>) -> (usize, usize) {
    let (mut valid, mut bids) = (0, 0);
    for body in bodies {
        let request: Value = serde_json::from_slice(body).unwrap();
        valid += usize::from(is_valid(&request));
        bids += usize::from(bidder.judged(exchange, &request, body) > 0);
    }
    (valid, bids)
}

/// An object with an id, and impressions with an id and a format each.
fn is_valid(request: &Value) -> bool {
    let named = |value: &Value| value["id"].as_str().is_some_and(|id| !id.is_empty());
    let format = |imp: &Value| ["banner", "video", "audio", "native"].iter().any(|format| imp[*format].is_object());
    let imps = request["imp"].as_array();
    named(request) && imps.is_some_and(|imps| !imps.is_empty() && imps.iter().all(|imp| named(imp) && format(imp)))
}

#[test]
fn a_third_of_the_valid_samples_gets_a_bid() {
    let samples = support::samples();
    let mut bidder = Bidder::broad();
    for exchange in EXCHANGES {
        let (valid, bids) = judged(&mut bidder, exchange, &samples);
        eprintln!("{exchange}: {bids} bids for {valid} valid requests of {} samples", samples.len());
        assert!(exchange != "generic" || 3 * bids >= valid, "{bids} bids for {valid} valid requests");
    }
}

#[test]
fn responses_of_the_demo_are_valid() {
    const COUNT: usize = 2000;
    let samples = support::samples();
    for source in [Source::BuiltIn, Source::Synthetic(1000)] {
        let mut bidder = Bidder::demo(source.clone());
        let mut bids = |bodies: Vec<Vec<u8>>| judged(&mut bidder, "generic", &bodies).1;
        let plain = bids(corpus::plain(11, COUNT));
        let (mixed, large, samples) =
            (bids(corpus::corpus(12, COUNT)), bids(corpus::large(13, COUNT / 4)), bids(samples.clone()));
        eprintln!("{source:?}: bids for {plain} of {COUNT} plain, {mixed} mixed, {large} large, {samples} samples");
        assert!(plain > 0 && (source != Source::BuiltIn || plain * 10 >= COUNT * 3), "{plain} bids");
    }
}

#[test]
fn responses_to_the_corpora_are_valid() {
    let mut bidder = Bidder::broad();
    for exchange in EXCHANGES {
        let mut bids = |bodies: Vec<Vec<u8>>| judged(&mut bidder, exchange, &bodies).1;
        let (mixed, formats) = (bids(corpus::corpus(21, 1000)), bids(corpus::formats(22, 1000)));
        eprintln!("{exchange}: bids for {mixed} of 1000 mixed, {formats} of 1000 of every format");
        assert!(mixed > 0 && formats > 300);
    }
}

#[test]
fn responses_to_requests_drawn_at_random_are_valid() {
    const COUNT: u64 = 20_000;
    let mut bidder = Bidder::broad();
    let mut bids = 0;
    for index in 0..COUNT {
        let mut random = Random::of(7, index);
        let exchange = random.pick(&EXCHANGES);
        let request = wild::request(&mut random);
        bids += usize::from(bidder.judged(exchange, &request, request.to_string().as_bytes()) > 0);
    }
    eprintln!("{bids} of {COUNT} got bids: {:?}", bidder.kinds);
    assert!(bids as u64 > COUNT / 10);
    // The draw reaches every kind of answer.
    for kind in ["banner", "video", "audio", "native", "deal", "group", "pod", "several"] {
        assert!(bidder.kinds.get(kind).is_some_and(|&count| count > 20), "{kind}: {:?}", bidder.kinds);
    }
}

/// What is guaranteed is bid on, whichever of its deals a campaign names first; and one id is one impression.
#[test]
fn each_deal_is_offered_for_and_each_id_once() {
    let mut bidder = Bidder::broad();
    let deals = |floor: u32| {
        serde_json::json!({"id": "r", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "pmp": {"private_auction": 1,
            "deals": [{"id": "deal-fixed", "bidfloor": floor}, {"id": "deal-guaranteed", "guar": 1}]}}]})
    };
    for floor in [1, 99] {
        let response = bidder.response("generic", deals(floor).to_string().as_bytes()).expect("a bid");
        assert_eq!(response["seatbid"][0]["bid"][0]["dealid"], "deal-guaranteed", "{floor}");
    }
    let twice = serde_json::json!({"id": "r", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}},
        {"id": "\u{31}", "banner": {"w": 728, "h": 90}}, {"id": "2", "banner": {"w": 728, "h": 90}}]});
    let response = bidder.response("generic", twice.to_string().as_bytes()).expect("a bid");
    let bids = response["seatbid"][0]["bid"].as_array().unwrap();
    let imps: Vec<&str> = bids.iter().map(|bid| bid["impid"].as_str().unwrap()).collect();
    assert_eq!(imps, ["1", "2"]);
}
