//! Shaded bids: how much of the best there is they keep, that nothing but first-price auctions is shaded, and that a running bidder
//! learns to pay less.

mod support;

use std::path::Path;
use std::thread;

use corebid::bid::probe::Blind;
use corebid::bid::{Ask, Outcome};
use corebid::config::Config;
use corebid::config::shading::Auctions;
use corebid::lab::bench::Bench;
use corebid::lab::shading::{Market, Run, run};
use corebid::market::auction::{Pricing, Rivals};
use corebid::market::exchange;
use corebid::market::{Behaviour, Options, Summary};
use corebid::secrets::Key;
use corebid::shading::Arm;
use corebid::shading::cell::Cell;
use corebid::shading::curve::Curve;
use corebid::snapshot::data::{Data, Source};
use corebid::units::{CpmMicros, ExchangeId};
use serde_json::Value;
use support::process::Bidder;
use support::{Folder, campaign, micros, request};

/// A made-up market that no curve fits: most prices are round ones, of two sorts of buyers.
fn spiky() -> Market {
    let counts = (1..=300i64).map(|price| {
        let bump = |at: f64, wide: f64| (-0.5 * ((price as f64 / at).ln() / wide).powi(2)).exp() / price as f64;
        let round = match price {
            5 | 20 | 50 | 70 | 80 | 150 => 60.0,
            _ if price % 10 == 0 => 12.0,
            _ if price % 5 == 0 => 4.0,
            _ => 1.0,
        };
        (CpmMicros(price * 10_000), round * (bump(25.0, 0.5) + 2.0 * bump(75.0, 0.35)))
    });
    Market::of(counts)
}

/// What an arm keeps of the oracle's surplus after 100,000 auctions, exploration included.
fn kept(market: &Market, arm: Arm, told: bool) -> f64 {
    let auctions = 130_000;
    run(market, &Run { arm, told, auctions, ..Run::default() }).share(100_000..auctions)
}

/// Every price there is, and every one between: the oracle is right that only the former matter.
#[test]
fn the_oracle_finds_the_best_of_all_bids() {
    let market = spiky();
    for value in [9_999, 10_001, 123_456, 700_000, 1_234_567, 2_999_999, 9_000_000] {
        let value = CpmMicros(value);
        let dense = (1..=value.0.min(3_000_001)).map(|bid| market.keeps(value, CpmMicros(bid))).fold(0.0, f64::max);
        assert!((dense - market.oracle(value)).abs() <= 1e-9 * dense, "{value:?}: {dense} {}", market.oracle(value));
    }
}

#[test]
fn fitted_arms_keep_nearly_all_of_a_log_normal_market() {
    let market = Market::log_normal(2.0, 0.7);
    for told in [true, false] {
        let kept = kept(&market, Arm::Empirical, told);
        assert!((0.97..1.0).contains(&kept), "empirical, told {told}: {kept}");
    }
    for (arm, told) in [(Arm::Logistic, false), (Arm::LogNormal, true), (Arm::LogNormal, false)] {
        let kept = kept(&market, arm, told);
        assert!((0.98..1.0).contains(&kept), "{arm:?}, told {told}: {kept}");
    }
}

#[test]
fn the_empirical_arm_keeps_nearly_all_of_a_market_of_round_prices() {
    let market = spiky();
    for told in [true, false] {
        let kept = kept(&market, Arm::Empirical, told);
        assert!((0.95..1.0).contains(&kept), "told {told}: {kept}");
    }
}

#[test]
fn and_of_real_prices() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|above| above.join("shared/data"));
    let Some(market) = data.into_iter().find_map(|data| Market::read(&data.join("win_price_histogram.csv"))) else {
        eprintln!("skipped: no shared/data/win_price_histogram.csv above this repository");
        return;
    };
    for told in [true, false] {
        let kept = kept(&market, Arm::Empirical, told);
        assert!((0.95..1.0).contains(&kept), "told {told}: {kept}");
    }
}

/// The price of the one bid on a request of the demo, by its auction type and floor.
fn bid(bench: &mut Bench, at: u8, floor: &str) -> i64 {
    let body = format!(
        "{{\"id\":\"r\",\"at\":{at},\"imp\":[{{\"id\":\"1\",\"banner\":{{\"w\":300,\"h\":250}},\"bidfloor\":{floor}}}],\
         \"site\":{{\"domain\":\"news.example\"}}}}"
    );
    let ask = Ask { exchange: b"generic", body: body.as_bytes(), arrived: bench.now().boot };
    let (outcome, response) = bench.handle_with(ask, &mut Blind);
    assert!(matches!(outcome, Outcome::Bid { .. }), "{outcome:?}");
    let response: Value = serde_json::from_slice(response.expect("a response")).expect("JSON");
    let Value::Number(price) = &response["seatbid"][0]["bid"][0]["price"] else { panic!("{response}") };
    micros(price)
}

fn bench(arm: Arm, auctions: Auctions) -> Bench {
    let mut config = Config::demo(Path::new(""));
    let shading = &mut config.exchanges[0].shading;
    (shading.arm, shading.auctions, shading.explore) = (arm, auctions, 0.0);
    let data = Data::load(Source::demo(None), &Key([0; 32])).expect("the demo");
    Bench::new(&config, &data).expect("a bench")
}

#[test]
fn only_first_price_auctions_are_shaded_and_none_below_its_floor() {
    let whole = Cell::at(ExchangeId(0), 0).expect("the exchange");
    let mut truthful = bench(Arm::None, Auctions::FirstPrice);
    let value = bid(&mut truthful, 1, "0.01");
    let curve = Curve::Mode(CpmMicros(value / 3));
    truthful.learn(whole, curve);
    assert_eq!(bid(&mut truthful, 1, "0.01"), value, "an exchange without an arm");

    let mut shading = bench(Arm::Mode, Auctions::AsRequested);
    assert_eq!(bid(&mut shading, 1, "0.01"), value, "nothing is learnt");
    shading.learn(whole, curve);
    assert_eq!(bid(&mut shading, 1, "0.01"), value / 3);
    assert_eq!(bid(&mut shading, 2, "0.01"), value, "second price");
    let floor = value / 2;
    assert_eq!(bid(&mut shading, 1, &format!("{}", floor as f64 / 1e6)), floor);
    shading.learn(whole, Curve::None);
    assert_eq!(bid(&mut shading, 1, "0.01"), value, "it is forgotten");

    let mut always = bench(Arm::Mode, Auctions::FirstPrice);
    always.learn(whole, curve);
    assert_eq!(bid(&mut always, 2, "0.01"), value / 3, "whatever the request says");
    // The cell of another exchange is nobody's.
    always.learn(Cell::at(ExchangeId(9), 0).expect("a cell"), Curve::Mode(CpmMicros(1)));
    assert_eq!(bid(&mut always, 2, "0.01"), value / 3);
}

/// Length of the market before it is looked at, and of the look, s. Bids are judged after two, and curves are sent every five.
const LEARNS: f64 = 13.0;
const LOOKS: f64 = 5.0;

/// Where every win is told and hardly any loss, a bidder that shades spends less for a win than one that does not.
#[test]
fn a_running_bidder_learns_to_pay_less() {
    let shaded = thread::spawn(|| market("lognormal"));
    let (truthful, _) = market("none");
    let (shaded, bidder) = shaded.join().expect("a market");
    let per_win = |summary: &Summary| summary.won_money.0 as f64 / summary.wins as f64;
    assert!(truthful.wins > 50 && shaded.wins > 50, "{} {}", truthful.wins, shaded.wins);
    // Against up to four rivals with a median of 2 the best bid of a value of 5 is about 3.
    assert!(per_win(&shaded) < 0.8 * per_win(&truthful), "{} of {}", per_win(&shaded), per_win(&truthful));
    let (worth, paid) =
        (bidder.metric("corebid_shaded_worth_micros_total", ""), bidder.metric("corebid_shaded_bid_micros_total", ""));
    let bids = bidder.metric("corebid_shaded_bids_total", "");
    assert!(bids > 1_000 && paid < worth, "{bids} bids: {paid} of {worth}");
    let value = worth as f64 / bids as f64 / 1000.0;
    assert!((per_win(&truthful) / value - 1.0).abs() < 0.02, "{} for a win that is worth {value}", per_win(&truthful));
    assert!(bidder.metric("corebid_shaded_explored_total", "") < bids);
    assert!(bidder.booked("shading_won") > 100 && bidder.booked("shading_silent") > 100);
    assert!(bidder.booked("shading_told") >= bidder.booked("shading_won"), "MIN_TO_WIN comes with every win");
    let half = bidder.metric("corebid_shading_price_micros", "wins=\"0.5\"");
    assert!((1_500_000..6_000_000).contains(&half), "what wins half: {half}");
}

/// A bidder with one campaign of 6 USD, in a first-price market; what it won once it has learnt, with the arm named.
fn market(arm: &str) -> (Summary, Bidder) {
    let folder = Folder::new("shading");
    let config = folder.configure("", "", &campaign(1, "").replace("cpm = 2.00", "cpm = 6.00"));
    let mut text = std::fs::read_to_string(&config).expect("the configuration");
    text += &format!("[exchange.shading]\narm = \"{arm}\"\nauctions = \"first_price\"\njudge_seconds = 2\n");
    std::fs::write(&config, text).expect("the configuration");
    let bidder = Bidder::start(&["--config", &config]);
    let hold = |seconds, seed| {
        let options = Options {
            url: format!("http://{}/openrtb/generic", bidder.address),
            rate: 300,
            seconds,
            connections: 4,
            seed,
            corpus: Some((0..64).map(|id| request(&format!("r{id}"), "")).collect()),
            settle: 2.0,
            behaviour: Behaviour {
                pricing: Pricing::First,
                rivals: Rivals { most: 4, median: 2.0, sigma: 0.7 },
                render_ms: 50.0,
                render_most_ms: 200,
                told: 0.1,
                ..Behaviour::default()
            },
            ..Options::default()
        };
        exchange::run(&options, |_| {}).expect("a market")
    };
    hold(LEARNS, 1);
    (hold(LOOKS, 2), bidder)
}
