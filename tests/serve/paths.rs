//! What each supply path brought and cost, against sums made by hand.

use serde_json::{Value, json};

use crate::support::client::{Client, target};
use crate::support::process::{Bidder, run};
use crate::support::{Folder, campaign, request};

/// A core and its bidder: copies of an auction are known on the core that bid.
fn start(folder: &Folder) -> Bidder {
    let cpu = corebid::topology::Topology::allowed().last().unwrap().to_string();
    Bidder::start(&["--config", &folder.text("corebid.toml"), "--cores", &cpu])
}

fn configured(name: &str, supply: &str) -> Folder {
    let folder = Folder::new(name);
    folder.configure("debug_header = true", supply, &campaign(1, ""));
    folder
}

/// A chain through these systems.
fn chain(systems: &[&str]) -> Value {
    let nodes: Vec<_> = systems.iter().map(|asi| json!({"asi": asi, "sid": "1", "hp": 1})).collect();
    json!({"ver": "1.0", "complete": 1, "nodes": nodes})
}

fn sold_through(systems: &[&str]) -> String {
    format!(",\"source\":{{\"schain\":{}}}", chain(systems))
}

/// A request with these further members, and the notice URLs of its bid.
#[track_caller]
fn bid(client: &mut Client, more: &str) -> Value {
    client.debug(&request("r", more)).json()["seatbid"][0]["bid"][0].take()
}

#[track_caller]
fn call(client: &mut Client, bid: &Value, url: &str, price: &str) {
    assert_eq!(client.get(&target(bid[url].as_str().unwrap(), price)).status, 200);
}

/// The rows of the view, as the command prints them.
#[track_caller]
fn paths(bidder: &Bidder, more: &[&str]) -> Vec<Value> {
    let admin = format!("http://{}", bidder.admin);
    let (code, out, err) = run(&[&["supply", "paths", "--admin", &admin, "--json"], more].concat());
    assert_eq!(code, Some(0), "{err}");
    let mut view: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(view["currency"], "USD");
    let Value::Array(rows) = view["paths"].take() else { panic!("{out}") };
    rows
}

#[test]
fn each_path_has_its_own_sums() {
    let folder = configured("paths", "[supply]\npaths = true\n[edge]\nduplicates_ms = 10000\n");
    let bidder = start(&folder);
    let mut client = bidder.client();

    let long = sold_through(&["Owner.example", "reseller.example"]);
    let [first, second, third] = [(); 3].map(|()| bid(&mut client, &long));
    // The same chain where 2.5 and 2.4 keep it.
    bid(
        &mut client,
        &format!(",\"source\":{{\"ext\":{{\"schain\":{}}}}}", chain(&["owner.example", "reseller.example"])),
    );
    bid(&mut client, &format!(",\"ext\":{{\"schain\":{}}}", chain(&["owner.example", "RESELLER.example"])));
    let short = sold_through(&["owner.example"]);
    let elsewhere = bid(&mut client, &short);
    bid(&mut client, "");

    // 0.5 and 0.25 USD per thousand are 500 and 250 millionths for one.
    for _ in 0..3 {
        call(&mut client, &first, "nurl", "0.5");
        call(&mut client, &first, "burl", "0.5");
        call(&mut client, &second, "burl", "0.25");
    }
    call(&mut client, &second, "nurl", "0.25");
    call(&mut client, &third, "lurl", "");
    call(&mut client, &elsewhere, "nurl", "0.125");

    // Two of the three are copies, on the path that the copy takes.
    let user = ",\"regs\":{\"gdpr\":0}";
    let of_user = |chain: &str| {
        let body = String::from_utf8(request("r", &format!("{user}{chain}"))).unwrap();
        body.replace("\"devicetype\":2", "\"devicetype\":2,\"ifa\":\"an-advertising-id\"").into_bytes()
    };
    assert_eq!(client.debug(&of_user(&short)).status, 200);
    assert_eq!(client.debug(&of_user(&short)).reason(), Some("duplicate"));
    assert_eq!(client.debug(&of_user(&long)).reason(), Some("duplicate"));
    // A test is nobody's.
    let test = bid(&mut client, &format!(",\"test\":1{long}"));
    call(&mut client, &test, "nurl", "0.5");
    call(&mut client, &test, "burl", "0.5");

    let rows = paths(&bidder, &[]);
    let row = |systems: Value| {
        let row = rows.iter().find(|row| row["systems"] == systems).unwrap_or_else(|| panic!("{systems}: {rows:?}"));
        assert_eq!(row["exchange"], "generic");
        let counts = ["requests", "duplicates", "bids", "measured_bids", "wins", "bills", "spend_micros"];
        counts.map(|name| row[name].as_u64().unwrap())
    };
    assert_eq!(row(json!(["owner.example", "reseller.example"])), [6, 1, 5, 5, 2, 2, 750]);
    assert_eq!(row(json!(["owner.example"])), [3, 1, 2, 2, 1, 0, 0]);
    assert_eq!(row(json!([])), [1, 0, 1, 1, 0, 0, 0]);
    assert_eq!(rows.len(), 3);
    let dearest = &rows[0];
    assert_eq!(dearest["systems"][1], "reseller.example", "most spend comes first");
    assert_eq!((&dearest["win_rate"], &dearest["duplicate_share"]), (&json!(0.4), &json!(1.0 / 6.0)));
    // 750 millionths for two: 0.375 USD per thousand.
    assert_eq!((&dearest["price_micros"], &dearest["cost_per_win_micros"]), (&json!(375_000), &json!(375)));
    assert_eq!((&rows[2]["price_micros"], &rows[2]["win_rate"]), (&Value::Null, &json!(0.0)));
    let promised: u64 = rows.iter().map(|row| row["bid_micros"].as_u64().unwrap()).sum();
    assert_eq!(promised, bidder.metric("corebid_bid_micros_total", ""));

    assert_eq!(paths(&bidder, &["--sort", "duplicates", "--top", "1"])[0]["systems"], json!(["owner.example"]));
    let (code, table, _) = run(&["supply", "paths", "--admin", &format!("http://{}/", bidder.admin)]);
    assert_eq!(code, Some(0));
    assert_eq!(table.lines().count(), 4, "{table}");
    let line = table.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(line, "generic < reseller.example < owner.example 6 16.7% 5 2 40.0% 2 0.000750 0.375000 0.000375");
    bidder.stop();
}

/// What was booked before a restart is not counted again; what was not is, on the path that its URL names.
#[test]
fn notices_find_their_path_after_a_restart_and_count_once() {
    let folder = configured("paths-restart", "[supply]\npaths = true\n");
    let through = sold_through(&["owner.example"]);
    let bidder = start(&folder);
    let mut client = bidder.client();
    let [booked, open] = [(); 2].map(|()| bid(&mut client, &through));
    call(&mut client, &booked, "nurl", "0.5");
    call(&mut client, &booked, "burl", "0.5");
    bidder.stop();

    let bidder = start(&folder);
    let mut client = bidder.client();
    call(&mut client, &booked, "nurl", "0.5");
    call(&mut client, &booked, "burl", "0.5");
    assert_eq!(paths(&bidder, &[]), [] as [Value; 0]);
    for _ in 0..2 {
        call(&mut client, &open, "burl", "0.25");
    }
    let rows = paths(&bidder, &[]);
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((&row["exchange"], &row["systems"]), (&json!("generic"), &Value::Null), "no request of it was seen");
    assert_eq!((&row["wins"], &row["bills"], &row["spend_micros"]), (&json!(1), &json!(1), &json!(250)));

    bid(&mut client, &through);
    let rows = paths(&bidder, &[]);
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((&row["systems"], &row["wins"], &row["bids"]), (&json!(["owner.example"]), &json!(1), &json!(1)));
    bidder.stop();
}

/// Off, nothing is kept, and a notice URL is as long as ever.
#[test]
fn a_bidder_that_counts_no_paths_says_so() {
    let length = |supply: &str| {
        let folder = configured("paths-off", supply);
        let bidder = start(&folder);
        let url = bid(&mut bidder.client(), &sold_through(&["owner.example"]))["burl"].as_str().unwrap().len();
        let (code, out, err) = run(&["supply", "paths", "--admin", &format!("http://{}", bidder.admin)]);
        bidder.stop();
        (url, code, out, err)
    };
    let (off, code, out, err) = length("");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("`paths = true` in [supply]") && err.lines().count() == 1, "{err}");
    let (on, code, ..) = length("[supply]\npaths = true\n");
    // Six bytes are eight digits of base64.
    assert_eq!((code, on), (Some(0), off + 8));

    let (code, _, err) = run(&["supply", "paths", "--admin", "http://127.0.0.1:1"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("127.0.0.1:1") && err.contains("--admin") && err.lines().count() == 1, "{err}");
    assert_eq!(run(&["supply", "paths", "--admin", "ftp://x"]).0, Some(2));
}
