//! What an exchange says became of a bid: booked once, never above the bid, and only what we signed.

use serde_json::Value;

use crate::support::client::{Answer, Client, target};
use crate::support::process::Bidder;
use crate::support::{Folder, campaign, impression, micros, request};
use corebid::wire::price_cipher::PriceCipher;

/// One bid: its price, and its notice URLs.
pub(crate) struct Bid(Value);

impl Bid {
    #[track_caller]
    pub(crate) fn get(client: &mut Client) -> Bid {
        Bid::of(&client.debug(&request("r", "")))
    }

    /// The one bid of a response.
    #[track_caller]
    pub(crate) fn of(answer: &Answer) -> Bid {
        Bid(answer.json()["seatbid"][0]["bid"][0].take())
    }

    /// `Bid.id`.
    pub(crate) fn id(&self) -> &str {
        self.0["id"].as_str().unwrap()
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

/// An exchange that hides its prices: they are read with the keys of the configuration, and nothing else is a price.
#[test]
fn an_encrypted_bill_books_what_is_inside() {
    const BID: i64 = 2_000_000;
    let folder = Folder::new("encrypted");
    let config = folder.configure("debug_header = true", "", &campaign(1, ""));
    folder.write_key("encryption.key", 'a');
    folder.write_key("integrity.key", 'b');
    let mut text = std::fs::read_to_string(&config).unwrap();
    for name in ["google", "openx"] {
        text.push_str(&format!(
            "[[exchange]]\nname = \"{name}-eu\"\nprofile = \"{name}\"\npath = \"{name}/eu\"\n\
             encryption_key_file = \"encryption.key\"\nintegrity_key_file = \"integrity.key\"\n"
        ));
    }
    std::fs::write(&config, text).unwrap();
    let bidder = Bidder::start(&["--config", &config]);
    let mut client = bidder.client();
    let cipher = PriceCipher::new(&[0xaa; 32], &[0xbb; 32]);
    let hidden = |number: u64| String::from_utf8(cipher.encrypt(&[number as u8; 16], number).to_vec()).unwrap();
    let forged = String::from_utf8(PriceCipher::new(&[0xaa; 32], &[0; 32]).encrypt(&[1; 16], 1).to_vec()).unwrap();

    let (mut spent, mut unpriced) = (0, 0);
    // Micros per thousand impressions, and per impression.
    for (name, price_macro, unit) in [("google", "%%WINNING_PRICE%%", 1), ("openx", "${AUCTION_PRICE:OXCRYPT}", 1_000)]
    {
        let bill = |client: &mut Client| loop {
            let answer = client.ask("POST", &format!("/openrtb/{name}/eu"), "x-debug: 1\r\n", &request("r", ""));
            if answer.status == 200 {
                let bid = Bid::of(&answer);
                assert!((1..=BID).contains(&bid.price()));
                let url = bid.0["burl"].as_str().unwrap();
                let (_, path) = url.split_once("/notice/").unwrap();
                assert!(path.ends_with(&format!("?p={price_macro}")), "{url}");
                return (bid.price(), format!("/notice/{}", path.replace(price_macro, "{}")));
            }
            assert!(answer.came_late(), "{answer:?}");
        };
        let (_, url) = bill(&mut client);
        for nothing in ["0.5", "", "AUDIT", &forged] {
            assert_eq!(status(&mut client, "GET", &url.replace("{}", nothing)), 200, "{nothing}");
        }
        unpriced += 1;
        assert_eq!((bidder.booked("unpriced"), bidder.booked("spend_micros")), (unpriced, spent), "{name}");
        assert_eq!(status(&mut client, "GET", &url.replace("{}", &hidden(321_000 / unit))), 200);
        spent += 321;
        assert_eq!(bidder.booked("spend_micros"), spent, "{name}");
        assert_eq!(status(&mut client, "POST", &url.replace("{}", &hidden(400_000 / unit))), 200, "once");
        // Padded, percent-encoded, and above the bid.
        let (bid, url) = bill(&mut client);
        let dear = format!("{}%3D%3D", hidden(90_000_000 / unit));
        assert_eq!(status(&mut client, "GET", &url.replace("{}", &dear)), 200);
        spent += impression(bid) as u64;
        assert_eq!(bidder.booked("spend_micros"), spent, "{name}: never above the bid");
    }
    // The plain exchange beside them does not take what is hidden.
    let bid = Bid::get(&mut client);
    assert_eq!(status(&mut client, "GET", &bid.target("burl", &hidden(321_000))), 200);
    assert_eq!((bidder.booked("unpriced"), bidder.booked("spend_micros")), (unpriced + 1, spent));
    assert_eq!((bidder.booked("bills"), bidder.booked("disputes")), (4, 2));
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
