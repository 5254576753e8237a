//! What is on disk when a notice has been answered: the records of the ledger, read back.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use corebid::clock;
use corebid::reconcile::record::{Marks, Record};
use corebid::ring::message::{Claim, NoticeKind};
use corebid::units::{BidId, UnixMillis};
use corebid::wire::notice::{Signer, Verified, url_bytes};
use corebid::wire::price::Scheme;

use crate::notices::{Bid, decimal};
use crate::support::client::Client;
use crate::support::ledger::{bid_id, records};
use crate::support::process::Bidder;
use crate::support::{Folder, campaign, impression, request};

/// What was recorded of each bid: its marks and, of a bill, the money.
fn heard(folder: &Folder) -> BTreeMap<String, Vec<(Marks, i64)>> {
    let mut heard: BTreeMap<String, Vec<(Marks, i64)>> = BTreeMap::new();
    for record in records(&folder.path("data")) {
        let (bid, marks, amount): (BidId, _, _) = match record {
            Record::Bill { bid, marks, amount, .. } => (bid, marks, amount.0),
            Record::Heard { bid, marks, .. } => (bid, marks, 0),
            _ => continue,
        };
        heard.entry(bid_id(bid)).or_default().push((marks, amount));
    }
    heard
}

fn bid(client: &mut Client, exchange: &str) -> Bid {
    loop {
        let answer = client.ask("POST", &format!("/openrtb/{exchange}"), "x-debug: 1\r\n", &request("r", ""));
        if answer.status == 200 {
            return Bid::of(&answer);
        }
        assert!(answer.came_late(), "{answer:?}");
    }
}

/// Every order of up to three of win, loss and bill.
fn orders() -> Vec<String> {
    let mut orders = vec![String::new()];
    for first in 0..13 {
        let before = orders[first].clone();
        orders.extend("WLB".chars().map(|notice| format!("{before}{notice}")));
    }
    orders.split_off(1)
}

/// What is to be recorded: each notice at its first coming. A final loss frees the money of what neither won nor was billed
/// before, as long as the process lives that bid; a bill after that is beyond the account. Of another process's bid the authority
/// is asked first.
fn expected(order: &str, is_final: bool, in_first_life: usize, money: i64) -> Vec<(Marks, i64)> {
    let mut freed = false;
    let mut all = Vec::new();
    for (at, notice) in order.char_indices() {
        if order[..at].contains(notice) {
            continue;
        }
        all.push(match notice {
            'W' => (Marks::WON, 0),
            'L' => {
                freed = is_final && at == 0 && in_first_life > 0;
                (if freed { Marks::LOST.and(Marks::FREED) } else { Marks::LOST }, 0)
            }
            _ => {
                let when = |is, mark| if is { mark } else { Marks::BILLED };
                (when(freed, Marks::FREED).and(Marks::BILLED).and(when(at >= in_first_life, Marks::ASKED)), money)
            }
        });
    }
    all
}

/// Half of each order comes to one process; that is killed, and the next hears the rest, and all of it once more.
#[test]
fn any_order_is_recorded_once_over_a_kill() {
    let folder = Folder::new("orders");
    let config = folder.configure("debug_header = true", "", &campaign(1, ""));
    let mut text = std::fs::read_to_string(&config).unwrap();
    text.push_str("[[exchange]]\nname = \"final\"\nseat = \"seat-1\"\nlosses_final = true\n");
    std::fs::write(&config, text).unwrap();
    let url = |notice| match notice {
        'W' => ("nurl", "0.9"),
        'L' => ("lurl", ""),
        _ => ("burl", "0.7"),
    };
    let call = |client: &mut Client, bid: &Bid, notices: &str| {
        for notice in notices.chars() {
            let (url, price) = url(notice);
            assert_eq!(client.get(&bid.target(url, price)).status, 200, "{notice} of {notices}");
        }
    };

    let bidder = Bidder::start(&["--config", &config]);
    let mut client = bidder.client();
    let mut cases = Vec::new();
    for order in orders() {
        for exchange in ["generic", "final"] {
            let bid = bid(&mut client, exchange);
            let half = order.len().div_ceil(2);
            call(&mut client, &bid, &order[..half]);
            cases.push((order.clone(), exchange == "final", half, bid));
        }
    }
    bidder.kill();
    let bidder = Bidder::start(&["--config", &config]);
    let mut client = bidder.client();
    for (order, _, half, bid) in &cases {
        call(&mut client, bid, &order[*half..]);
        call(&mut client, bid, order);
    }
    let bills = cases.iter().filter(|(order, ..)| order.contains('B')).count();
    bidder.stop();

    let heard = heard(&folder);
    assert_eq!(heard.len(), cases.len());
    for (order, is_final, half, bid) in &cases {
        let expected = expected(order, *is_final, *half, impression(700_000));
        assert_eq!(heard[bid.id()], expected, "{order}, final {is_final}, {half} in the first life");
    }
    assert_eq!(heard.values().flatten().filter(|(marks, _)| marks.any(Marks::BILLED)).count(), bills);
}

/// The path of a bill like this bid's, signed with the same key, whose time ends at `expires`.
fn bill_until(bid: &Bid, expires: UnixMillis) -> String {
    // What `Folder::configure` writes into the file of the key.
    let signer = Signer::new(1, &[0x11; 32]);
    let target = bid.target("burl", "0.7");
    let Verified::Claim { claim, path, arm, .. } = signer.verify(target.as_bytes()) else {
        panic!("{target} is not signed")
    };
    let mut out = [0; url_bytes(0)];
    let signed = signer.sign(&Claim { expires, ..claim }, path, arm);
    let length = signed.write(NoticeKind::Bill, b"", Scheme::Plain, &mut out).unwrap();
    String::from_utf8(out[..length].to_vec()).unwrap().replace("${AUCTION_PRICE}", "0.7")
}

/// 410 is for bills that were not booked in time. Who booked in time hears that it was.
#[test]
fn a_bill_past_its_time_is_recorded_and_not_booked() {
    let folder = Folder::new("late");
    let config = folder.configure("debug_header = true", "", &campaign(1, ""));
    let bidder = Bidder::start(&["--config", &config]);
    let mut client = bidder.client();
    let late = bid(&mut client, "generic");
    let expired = bill_until(&late, UnixMillis(clock::wall().0 - 1_000));
    for _ in 0..3 {
        assert_eq!(client.get(&expired).status, 410);
    }
    // On a machine that is slow beyond measure this one is late, too; then another is tried.
    let (timely, in_time, ends) = loop {
        let timely = bid(&mut client, "generic");
        let ends = UnixMillis(clock::wall().0 + 2_000);
        let target = bill_until(&timely, ends);
        match client.get(&target).status {
            200 => break (timely, target, ends),
            status => assert_eq!(status, 410),
        }
    };
    while clock::wall() <= ends {
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!((client.get(&in_time).status, client.get(&expired).status), (200, 410));
    assert_eq!((bidder.booked("bills"), bidder.booked("spend_micros")), (1, 700));
    bidder.kill();
    let bidder = Bidder::start(&["--config", &config]);
    let mut client = bidder.client();
    assert_eq!((client.get(&in_time).status, client.get(&expired).status), (200, 410));
    bidder.stop();
    let heard = heard(&folder);
    assert_eq!(heard[timely.id()], [(Marks::BILLED, 700)]);
    assert_eq!(heard[late.id()], [(Marks::LATE, 0)]);
}

/// Without a readable price there is a record and no money; above the bid it is the bid's money, and a dispute.
#[test]
fn what_a_price_says_is_what_is_recorded() {
    let folder = Folder::new("priced");
    let config = folder.configure("debug_header = true", "", &campaign(1, ""));
    let bidder = Bidder::start(&["--config", &config]);
    let mut client = bidder.client();
    let unpriced = vec![(Marks::UNPRICED, 0)];
    let (mut cases, mut without) = (Vec::new(), Vec::new());
    for price in
        ["AUDIT", "", "${AUCTION_PRICE}", "%24%7BAUCTION_PRICE%7D", "-0.5", "NaN", "9e99", "99999999999999999999"]
    {
        cases.push((bid(&mut client, "generic"), price.to_owned(), unpriced.clone()));
    }
    for query in ["", "?", "?q=0.5", "?P=0.5", "?m=1&p"] {
        let bid = bid(&mut client, "generic");
        let target = bid.target("burl", "");
        let path = target.strip_suffix("?p=").unwrap();
        for _ in 0..2 {
            assert_eq!(client.get(&format!("{path}{query}")).status, 200, "{query}");
        }
        without.push(bid);
    }
    for price in [0, 1, 1_000, 1_001] {
        let booked = (Marks::BILLED, impression(price));
        cases.push((bid(&mut client, "generic"), decimal(price), vec![booked]));
    }
    for above in [1, 1_000_000_000] {
        let bid = bid(&mut client, "generic");
        let (price, money) = (decimal(bid.price() + above), impression(bid.price()));
        cases.push((bid, price, vec![(Marks::BILLED.and(Marks::DISPUTED), money)]));
    }
    for (bid, price, _) in &cases {
        for method in ["POST", "GET"] {
            assert_eq!(client.ask(method, &bid.target("burl", price), "", b"").status, 200, "{price}");
        }
    }
    bidder.stop();
    let heard = heard(&folder);
    for (bid, price, expected) in &cases {
        assert_eq!(&heard[bid.id()], expected, "{price}");
    }
    for bid in &without {
        assert_eq!(heard[bid.id()], unpriced);
    }
}

/// A notice is a GET or a POST; what else is asked of its URL books nothing.
#[test]
fn other_methods_book_nothing() {
    let folder = Folder::new("methods");
    let bidder = Bidder::demo(&folder.text("data"), "io_uring");
    let mut client = bidder.client();
    let bid = Bid::get(&mut client);
    for url in ["nurl", "burl", "lurl"] {
        for method in ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            let answer = client.ask(method, &bid.target(url, "0.1"), "", b"");
            assert_eq!((answer.status, answer.field("allow")), (405, Some("GET, POST")), "{method} {url}");
        }
    }
    bidder.stop();
    assert!(heard(&folder).is_empty());
}
