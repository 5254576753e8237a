//! What an exchange says became of a bid: booked once, never above the bid, and only what we signed.

use serde_json::Value;

use crate::support::client::{Client, target};
use crate::support::process::Bidder;
use crate::support::{Folder, impression, micros, request};

/// One bid: its price, and its notice URLs.
pub(crate) struct Bid(Value);

impl Bid {
    #[track_caller]
    pub(crate) fn get(client: &mut Client) -> Bid {
        Bid(client.debug(&request("r", "")).json()["seatbid"][0]["bid"][0].take())
    }

    /// Millionths per thousand impressions.
    pub(crate) fn price(&self) -> i64 {
        let Value::Number(price) = &self.0["price"] else { panic!("a bid without a price: {}", self.0) };
        micros(price)
    }

    /// The path of a notice URL with this price.
    pub(crate) fn target(&self, url: &str, price: &str) -> String {
        target(self.0[url].as_str().unwrap(), price)
    }
}

/// The decimal of millionths.
pub(crate) fn decimal(micros: i64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn status(client: &mut Client, method: &str, target: &str) -> u16 {
    let answer = client.ask(method, target, "", b"");
    assert!(!answer.closes());
    answer.status
}

fn notices_are_booked_once(backend: &str) {
    let folder = Folder::new("notices");
    let bidder = Bidder::demo(&folder.text("data"), backend);
    let mut client = bidder.client();
    let bid = Bid::get(&mut client);

    assert_eq!(status(&mut client, "GET", &bid.target("nurl", "0.5")), 200);
    assert_eq!(
        (bidder.booked("wins"), bidder.booked("bills"), bidder.booked("spend_micros")),
        (1, 0, 0),
        "a win moves no money"
    );
    // 0.123457 USD per thousand are 123.457 millionths for one: rounded up.
    let bill = bid.target("burl", "0.123457");
    for method in ["GET", "GET", "POST", "POST"] {
        assert_eq!(status(&mut client, method, &bill), 200);
    }
    assert_eq!(
        status(&mut bidder.client(), "GET", &bid.target("burl", "0.2")),
        200,
        "another price, another connection"
    );
    assert_eq!((bidder.booked("bills"), bidder.booked("duplicates")), (1, 4));
    assert_eq!(bidder.booked("spend_micros"), 124);

    let lost = Bid::get(&mut client);
    for method in ["POST", "GET"] {
        assert_eq!(status(&mut client, method, &lost.target("lurl", "")), 200);
    }
    assert_eq!((bidder.booked("losses"), bidder.booked("bills")), (1, 1));
    assert_eq!(bidder.metric("corebid_notices_total", "kind=\"bill\""), 5);
    bidder.stop();
}

#[test]
fn notices_are_booked_once_on_io_uring() {
    notices_are_booked_once("io_uring");
}

#[test]
fn notices_are_booked_once_on_epoll() {
    notices_are_booked_once("epoll");
}

#[test]
fn spend_is_exact_to_the_millionth_and_never_above_the_bid() {
    let folder = Folder::new("spend");
    let bidder = Bidder::demo(&folder.text("data"), "io_uring");
    let mut client = bidder.client();
    let mut spent = 0;
    for step in 0..40 {
        let bid = Bid::get(&mut client);
        let price = bid.price() * step / 39;
        assert_eq!(status(&mut client, "GET", &bid.target("burl", &decimal(price))), 200);
        spent += impression(price);
        assert_eq!(bidder.booked("spend_micros"), spent as u64, "after {} of {}", decimal(price), decimal(bid.price()));
    }
    assert_eq!((bidder.booked("bills"), bidder.booked("disputes")), (40, 0));

    let bid = Bid::get(&mut client);
    assert_eq!(status(&mut client, "GET", &bid.target("burl", &decimal(bid.price() + 1))), 200);
    let dear = Bid::get(&mut client);
    assert_eq!(status(&mut client, "GET", &dear.target("burl", "1000")), 200);
    spent += impression(bid.price()) + impression(dear.price());
    assert_eq!((bidder.booked("disputes"), bidder.booked("spend_micros")), (2, spent as u64));
    bidder.stop();
}

#[test]
fn prices_that_say_nothing_book_nothing() {
    let folder = Folder::new("unpriced");
    let bidder = Bidder::demo(&folder.text("data"), "io_uring");
    let mut client = bidder.client();
    let prices = [
        "AUDIT",
        "",
        "garbage",
        "-1",
        "NaN",
        "1e",
        "0x10",
        "1,5",
        "1e400",
        "%00",
        "%7BAUCTION_PRICE%7D",
        "$%7BAUCTION_PRICE%7D",
    ];
    let bids: Vec<Bid> = prices.iter().map(|_| Bid::get(&mut client)).collect();
    for (price, bid) in prices.iter().zip(&bids) {
        assert_eq!(status(&mut client, "GET", &bid.target("burl", price)), 200, "{price}");
    }
    assert_eq!((bidder.booked("bills"), bidder.booked("spend_micros")), (0, 0));
    assert_eq!(bidder.booked("unpriced"), prices.len() as u64);
    // The bill may still come.
    assert_eq!(status(&mut client, "GET", &bids[0].target("burl", "0.1")), 200);
    assert_eq!((bidder.booked("bills"), bidder.booked("spend_micros")), (1, 100));
    bidder.stop();
}

#[test]
fn what_we_did_not_sign_is_refused() {
    let folder = Folder::new("forged");
    let bidder = Bidder::demo(&folder.text("data"), "epoll");
    let mut client = bidder.client();
    let bid = Bid::get(&mut client);
    let mut forged = 0;
    for (url, kind) in [("nurl", "win"), ("burl", "bill"), ("lurl", "loss")] {
        let good = bid.target(url, "0.1");
        let start = good.find(kind).unwrap() + kind.len() + 1;
        for at in start..good.find('?').unwrap() {
            let other = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
            let bad = format!("{}{other}{}", &good[..at], &good[at + 1..]);
            assert_eq!(status(&mut client, "GET", &bad), 403, "{bad}");
            forged += 1;
        }
        for other in ["win", "bill", "loss", "bills", ""] {
            if other != kind {
                assert_eq!(status(&mut client, "POST", &good.replace(kind, other)), 403, "{other}");
                forged += 1;
            }
        }
    }
    for bad in ["/notice/", "/notice/bill", "/notice/bill/", "/notice/bill/x?p=1", "/notice/bill/../ready"] {
        assert_eq!(status(&mut client, "GET", bad), 403, "{bad}");
        forged += 1;
    }
    assert_eq!(bidder.metric("corebid_notices_forged_total", ""), forged);
    assert_eq!((bidder.booked("bills"), bidder.booked("wins"), bidder.booked("losses")), (0, 0, 0));
    assert_eq!(status(&mut client, "GET", &bid.target("burl", "0.1")), 200, "the genuine one still counts");
    assert_eq!(bidder.booked("bills"), 1);
    bidder.stop();
}
