//! The market against a scripted bidder: what it billed must be what the bidder was told, to the micro.

mod scripted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use corebid::market::auction::{Pricing, Rivals};
use corebid::market::{Behaviour, Options, Summary, corpus, run};
use corebid::units::Micros;
use scripted::{Reply, Request, Server};
use serde_json::{Value, json};

/// What a bidder heard.
#[derive(Default)]
struct Heard {
    /// Distinct bills, with the price as it was written.
    bills: BTreeMap<String, String>,
    bill_calls: u64,
    wins: BTreeSet<String>,
    losses: BTreeMap<String, String>,
    refused: BTreeSet<String>,
}

/// Bids `price` on every request with a banner and sends notices to itself. `refuse` refuses each bill this many times.
fn bidder(price: f64, refuse: u64, heard: Arc<Mutex<Heard>>) -> Server {
    let base = Arc::new(std::sync::OnceLock::<String>::new());
    let known = base.clone();
    let server = Server::start(move |index, request| {
        let path = request.path().to_owned();
        let mut heard = heard.lock().expect("the bidder's books");
        let name = path.rsplit('/').next().and_then(|name| name.split('?').next()).unwrap_or_default().to_owned();
        let query = path.split_once("p=").map(|(_, value)| value.to_owned()).unwrap_or_default();
        if path.starts_with("/notice/bill/") {
            heard.bill_calls += 1;
            if refuse > 0 && heard.refused.insert(name.clone()) {
                return Reply::text("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
            }
            heard.bills.insert(name, query);
        } else if path.starts_with("/notice/win/") {
            heard.wins.insert(name);
        } else if path.starts_with("/notice/loss/") {
            heard.losses.insert(name, query);
        } else {
            return answer(index, request, price, base.get().map_or("", String::as_str));
        }
        Reply::text("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    known.set(server.url("/notice")).expect("set once");
    server
}

fn answer(index: u64, request: &Request, price: f64, notice: &str) -> Reply {
    let document: Value = serde_json::from_slice(&request.body).expect("a request");
    let reason = if request.header("x-debug") == Some("1") { "x-nobid-reason: seat\r\n" } else { "" };
    if document["imp"][0]["banner"].is_null() || !document["wseat"].is_null() {
        return Reply::text(format!("HTTP/1.1 204 No Content\r\n{reason}\r\n"));
    }
    let bid = json!({
        "id": format!("b{index}"), "impid": document["imp"][0]["id"], "price": price, "cid": (index % 3).to_string(),
        "nurl": format!("{notice}/win/b{index}?p=${{AUCTION_PRICE}}"),
        "burl": format!("{notice}/bill/b{index}?p=${{AUCTION_PRICE}}"),
        "lurl": format!("{notice}/loss/b{index}?p=${{AUCTION_LOSS}}"),
    });
    let body = json!({ "id": document["id"], "seatbid": [{ "bid": [bid] }] }).to_string();
    Reply::text(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

fn options(server: &Server, behaviour: Behaviour) -> Options {
    Options {
        url: server.url("/openrtb/generic"),
        rate: 500,
        seconds: 1.0,
        connections: 4,
        corpus: Some(corpus::corpus(9, 200)),
        behaviour,
        ..Options::default()
    }
}

fn hold(options: &Options) -> (Summary, Vec<String>) {
    let mut lines = Vec::new();
    let summary = run(options, |second| lines.push(second.to_string())).expect("a market");
    (summary, lines)
}

/// A CPM as written in a URL, to the money of one impression, by integers alone.
fn per_impression(price: &str) -> i64 {
    let (whole, fraction) = price.split_once('.').unwrap_or((price, ""));
    let micros: i64 = format!("{whole}{fraction:0<6}").parse().expect("a price");
    (micros + 999) / 1000
}

#[test]
fn what_the_market_billed_is_what_the_bidder_was_told() {
    let heard = Arc::new(Mutex::new(Heard::default()));
    let server = bidder(2.123457, 0, heard.clone());
    let behaviour = Behaviour { twice: 0.2, told: 0.5, ..Behaviour::default() };
    let (summary, lines) = hold(&options(&server, behaviour));
    let heard = heard.lock().expect("the bidder's books");
    assert_eq!((summary.requests, summary.answered, summary.unanswered, summary.unsent), (500, 500, 0, 0));
    assert_eq!(summary.bids, summary.status[&200]);
    assert_eq!(summary.bids, summary.wins + summary.outbid + summary.below_floor);
    assert_eq!(summary.invalid, 0);
    assert!(summary.wins > 20 && summary.outbid > 20 && summary.below_floor > 20, "{summary:?}");
    assert!(!lines.is_empty() && lines[0].contains("seat 100 %"), "{lines:?}");

    let notices = &summary.notices;
    assert_eq!((notices.undelivered, notices.refused, notices.elsewhere, notices.retried), (0, 0, 0, 0));
    assert_eq!(notices.billed, summary.rendered);
    assert_eq!(notices.billed, heard.bills.len() as u64);
    assert_eq!(notices.billed_money, Micros(heard.bills.values().map(|price| per_impression(price)).sum()));
    assert!(notices.repeated > 0 && notices.bills == notices.billed + notices.repeated);
    assert_eq!(notices.bills, heard.bill_calls);
    assert_eq!(summary.wins, heard.wins.len() as u64);
    assert!(heard.bills.keys().all(|bid| heard.wins.contains(bid)), "only what was won is billed");
    assert!(summary.wins > notices.billed, "some impressions are never shown");
    assert_eq!(notices.losses, heard.losses.len() as u64);
    assert!(heard.losses.values().all(|code| code == "102" || code == "100"));
    assert!(notices.losses > 0 && notices.losses < summary.outbid + summary.below_floor, "most losers hear nothing");
    let by_campaign = notices
        .campaigns
        .values()
        .fold((0, Micros::ZERO), |(n, sum), account| (n + account.billed, sum.plus(account.money)));
    assert_eq!(by_campaign, (notices.billed, notices.billed_money));
}

#[test]
fn a_bill_that_is_refused_is_called_again_and_booked_once() {
    let heard = Arc::new(Mutex::new(Heard::default()));
    let server = bidder(5.0, 1, heard.clone());
    let behaviour = Behaviour { twice: 0.0, render_ms: 5_000.0, pricing: Pricing::First, ..Behaviour::default() };
    let (summary, _) = hold(&Options { rate: 200, ..options(&server, behaviour) });
    let (notices, heard) = (&summary.notices, heard.lock().expect("the bidder's books"));
    assert!(notices.billed > 10);
    assert_eq!((notices.billed, notices.undelivered), (heard.bills.len() as u64, 0));
    assert_eq!(notices.retried, notices.billed);
    assert_eq!(notices.billed_money, Micros(5_000 * notices.billed as i64));
}

#[test]
fn the_same_seed_gives_the_same_auctions() {
    let hold = |seed| {
        let server = bidder(2.0, 0, Arc::default());
        let (summary, _) = hold(&Options { seed, seconds: 0.5, ..options(&server, Behaviour::default()) });
        (summary.bids, summary.wins, summary.won_money, summary.rendered, summary.notices.billed_money)
    };
    assert_eq!(hold(4), hold(4));
    assert_ne!(hold(4), hold(5));
}

#[test]
fn unusable_answers_are_counted_and_bill_nothing() {
    let server = Server::start(|index, request| {
        let id = serde_json::from_slice::<Value>(&request.body).expect("a request")["id"].clone();
        let bid = |impid: &str, price: f64| {
            json!({"id": id, "seatbid": [{"bid": [{"id": "b", "impid": impid, "price": price}]}]}).to_string()
        };
        let body = match index % 5 {
            0 => "{".to_owned(),
            1 => bid("nowhere", 5.0),
            2 => bid("1", 0.0),
            3 => json!({"id": "another", "seatbid": []}).to_string(),
            _ => json!({"id": id, "cur": "EUR", "seatbid": []}).to_string(),
        };
        Reply::text(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    });
    let behaviour = Behaviour { rivals: Rivals { most: 1, median: 0.01, sigma: 0.0 }, ..Behaviour::default() };
    let (summary, _) = hold(&Options { seconds: 0.2, ..options(&server, behaviour) });
    assert_eq!((summary.requests, summary.invalid, summary.wins, summary.notices.billed), (100, 100, 0, 0));
}

#[test]
fn a_market_without_a_bidder_says_so() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let options = Options { url: format!("http://{dead}/openrtb/generic"), ..Options::default() };
    let error = run(&options, |_| {}).expect_err("nobody listens");
    assert!(error.to_string().contains(&dead.to_string()), "{error}");
}
