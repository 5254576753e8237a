//! The market against a scripted bidder: what it billed must be what the bidder was told, to the micro.

mod scripted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use corebid::market::auction::{Pricing, Rivals};
use corebid::market::{Behaviour, Options, Settlement, Summary, corpus, run};
use corebid::units::{Currency, Micros, Rate};
use corebid::wire::price::{Reading, Scheme};
use corebid::wire::price_cipher::PriceCipher;
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
    let base = Arc::new(OnceLock::<String>::new());
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
    let imp = &document["imp"][0];
    let dollars = imp["bidfloorcur"].is_null() || imp["bidfloorcur"] == "USD";
    if imp["banner"].is_null() || !document["wseat"].is_null() || !imp["pmp"].is_null() || !dollars {
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

/// A number as written in a URL, in millionths, by integers alone.
fn micros(number: &str) -> i64 {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    format!("{whole}{fraction:0<6}").parse().expect("a number")
}

/// A CPM as written in a URL, to the money of one impression.
fn per_impression(price: &str) -> i64 {
    (micros(price) + 999) / 1000
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

/// Screens, pods and deals, paid in euros at an exchange that encrypts: the money is what the decrypted prices come to.
#[test]
fn encrypted_euros_for_screens_and_videos_come_to_the_same_money() {
    const EURO: u64 = 1_084_200_000;
    let cipher = PriceCipher::new(&[3; 32], &[4; 32]);
    let bills = Arc::new(Mutex::new(BTreeMap::<String, (String, String)>::new()));
    let (base, heard) = (Arc::new(OnceLock::<String>::new()), bills.clone());
    let known = base.clone();
    let server = Server::start(move |index, request| {
        if let Some((name, query)) =
            request.path().strip_prefix("/notice/bill/").and_then(|rest| rest.split_once("?p="))
        {
            let (price, multiplier) = query.split_once("&m=").expect("both macros");
            heard.lock().expect("the books").insert(name.to_owned(), (price.to_owned(), multiplier.to_owned()));
            return Reply::text("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
        let document: Value = serde_json::from_slice(&request.body).expect("a request");
        let imps = document["imp"].as_array().expect("impressions");
        let bids = imps.iter().zip(0..).map(|(imp, at)| {
            let url = format!("{}/bill/b{index}-{at}?p=%%WINNING_PRICE%%&m=${{AUCTION_MULTIPLIER}}", known.get().expect("set"));
            let deal = &imp["pmp"]["deals"][0]["id"];
            let mut bid = json!({"id": format!("b{index}-{at}"), "impid": imp["id"], "price": 60.123457, "dealid": deal, "cid": "1"});
            if imp["video"].is_null() {
                bid["burl"] = url.into();
            } else {
                // The impression is the bill, of the right one of two.
                bid["dur"] = 15.into();
                bid["adm"] = format!("<Impression><![CDATA[https://t.example/]]></Impression><Impression><![CDATA[{url}]]></Impression>").into();
            }
            bid
        });
        let group = u8::from(document["allimps"] == 1);
        let seat = json!({ "bid": bids.collect::<Vec<_>>(), "group": group });
        let body = json!({ "id": document["id"], "cur": "EUR", "seatbid": [seat] }).to_string();
        Reply::text(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    });
    base.set(server.url("/notice")).expect("set once");
    let settlement = Settlement {
        prices: Reading::Encrypted(Scheme::Google, cipher.clone()),
        rates: vec![(Currency(*b"EUR"), Rate(EURO)), (Currency(*b"GBP"), Rate(1_271_300_000))],
    };
    let behaviour = Behaviour { billed: 1.0, twice: 0.0, ..Behaviour::default() };
    let corpus = Some(corpus::formats(4, 300));
    let (summary, _) = hold(&Options { corpus, settlement, ..options(&server, behaviour) });
    let bills = bills.lock().expect("the books");
    let (mut screens, mut money) = (0, 0);
    for (price, multiplier) in bills.values() {
        let price = i128::from(cipher.decrypt(price.as_bytes()).expect("signed"));
        // Only screens say how many see them.
        let times = if multiplier.is_empty() { 1_000_000 } else { i128::from(micros(multiplier)) };
        screens += u32::from(!multiplier.is_empty());
        let (product, divisor) = (price * i128::from(EURO) * times, 1_000_000_000_000_000_000i128);
        money += (product + divisor - 1) / divisor;
    }
    assert!(screens > 10 && bills.len() > 200 && summary.invalid == 0, "{screens} {} {}", bills.len(), summary.invalid);
    assert_eq!((summary.notices.billed, summary.notices.elsewhere), (bills.len() as u64, 0));
    assert_eq!(i128::from(summary.notices.billed_money.0), money);
}

#[test]
fn a_market_without_a_bidder_says_so() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let options = Options { url: format!("http://{dead}/openrtb/generic"), ..Options::default() };
    let error = run(&options, |_| {}).expect_err("nobody listens");
    assert!(error.to_string().contains(&dead.to_string()), "{error}");
}
