//! `corebid explain`: what it says of a request, and that the server says the same.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::Stdio;

use corebid::market::corpus::{self, Length, Mix};
use serde_json::Value;
use support::client::Answer;
use support::process::{Bidder, corebid, run};
use support::{Folder, campaign, micros, request};

/// Explains a request given on standard input.
fn explain(arguments: &[&str], body: &[u8]) -> Value {
    let mut command = corebid();
    command.args(["explain", "--json", "--request", "-"]).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout.iter().filter(|&&byte| byte == b'\n').count(), 1, "one object, one line");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Why each campaign does not bid, by id; `null` for one that does.
fn why_not(explanation: &Value) -> Vec<(u64, &str)> {
    let campaigns = explanation["campaigns"].as_array().unwrap();
    campaigns
        .iter()
        .map(|campaign| (campaign["id"].as_u64().unwrap(), campaign["why_not"].as_str().unwrap_or("bids")))
        .collect()
}

/// Six campaigns, each with its own fate.
fn six() -> String {
    let dear = |text: String, cpm: &str| text.replace("cpm = 2.00", &format!("cpm = {cpm}"));
    [
        dear(campaign(1, ""), "3.00"),
        dear(campaign(2, ""), "2.00"),
        campaign(3, "[campaigns.targeting]\ncountries = [\"FRA\"]\n"),
        campaign(4, "cat = [\"IAB7\"]\n"),
        campaign(5, "[campaigns.targeting]\nsegments = { any = [9] }\n"),
        campaign(6, "frequency_cap = 1\n"),
    ]
    .concat()
}

#[test]
fn each_campaign_is_told_why_not() {
    let folder = Folder::new("explain");
    let config = folder.configure("", "", &six());
    let body = request("r", ",\"bcat\":[\"IAB7\"]");
    let said = explain(&["--config", &config], &body);
    assert_eq!((&said["outcome"], &said["reason"], &said["status"]), (&"bid".into(), &Value::Null, &200.into()));
    let why = why_not(&said);
    let of = |id: u64| why.iter().find(|(found, _)| *found == id).unwrap().1;
    assert_eq!(why.len(), 6);
    assert_eq!((of(1), of(2), of(4), of(5), of(6)), ("bids", "outbid", "blocked", "no_segment", "frequency_cap"));
    assert!(of(3).contains("place") || of(3).contains("countr"), "{}", of(3));
    let stages = "admit scan comply match know cap afford score price choose reserve answer";
    assert_eq!(said["stages"], stages.split(' ').map(Value::from).collect::<Value>());
    let bid = &said["response"]["seatbid"][0]["bid"][0];
    assert_eq!((&bid["cid"], &bid["price"]), (&"1".into(), &said["price"]));
    let Value::Number(price) = &said["price"] else { panic!("{said}") };
    assert!((1..=3_000_000).contains(&micros(price)));
    let prices: Vec<bool> =
        said["campaigns"].as_array().unwrap().iter().map(|campaign| campaign["price"].is_number()).collect();
    assert_eq!(prices, [true, true, false, false, false, false], "only who came to the price has one");

    let none = explain(&["--config", &config], &request("r", ",\"cur\":[\"EUR\"]"));
    assert_eq!(
        (&none["outcome"], &none["reason"], &none["status"]),
        (&"no_bid".into(), &"currency".into(), &204.into())
    );
    assert_eq!(none["stages"], serde_json::json!(["admit", "scan", "comply"]));
    assert_eq!(
        (&none["price"], &none["response"], none["campaigns"].as_array().unwrap().len()),
        (&Value::Null, &Value::Null, 0)
    );
    let broken = explain(&["--config", &config], b"{");
    assert_eq!(
        (&broken["outcome"], &broken["reason"], &broken["status"]),
        (&"broken".into(), &Value::Null, &400.into())
    );
}

#[test]
fn the_server_says_the_same() {
    let folder = Folder::new("agrees");
    let bidder = Bidder::demo(&folder.text("data"), "io_uring");
    let mut client = bidder.client();
    // Two of each kind the corpus has, and what is no request.
    let mut requests: Vec<Vec<u8>> = Vec::new();
    let mut seen: BTreeMap<corpus::Class, usize> = BTreeMap::new();
    for (class, body) in corpus::generate(5, 400, &Mix::default(), Length::USUAL) {
        let count = seen.entry(class).or_default();
        *count += 1;
        if *count <= 2 {
            requests.push(body);
        }
    }
    requests.extend([request("r", ""), b"{".to_vec(), b"[]".to_vec(), b"{\"id\":\"r\"}".to_vec(), Vec::new()]);
    let bids = |response: &Value| -> Vec<Value> {
        let fields =
            |bid: &Value| ["impid", "cid", "crid", "adm", "w", "h", "price"].map(|key| bid[key].clone()).into();
        response["seatbid"][0]["bid"].as_array().unwrap().iter().map(fields).collect()
    };
    let mut kinds = BTreeSet::new();
    for body in &requests {
        // The model knows the hour, so that a price may change between two answers: asked before and after.
        let (before, said, after) = (client.debug(body), explain(&["--demo"], body), client.debug(body));
        let shown = String::from_utf8_lossy(body);
        kinds.insert(said["reason"].as_str().unwrap_or("-").to_owned());
        let agrees = |live: &Answer| {
            let same = said["status"] == live.status && said["reason"].as_str() == live.reason();
            same && (live.status != 200 || bids(&said["response"]) == bids(&live.json()))
        };
        assert!(agrees(&before) || agrees(&after), "{shown}\n{said}\n{after:?}");
    }
    assert!(kinds.len() > 6, "{kinds:?}");
    bidder.stop();
}

#[test]
fn people_can_read_it_and_mistakes_are_named() {
    let folder = Folder::new("explain-text");
    let path = folder.write("request.json", request("r", ""));
    let path = path.display().to_string();
    let (code, text, _) = run(&["explain", "--demo", "--request", &path]);
    assert_eq!(code, Some(0));
    for word in ["outcome", "stages", "campaigns", "price"] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
    let (code, text, stderr) = run(&["explain", "--demo", "--request", &folder.text("absent.json")]);
    assert_eq!((code, text.as_str(), stderr.lines().count()), (Some(1), "", 1));
    assert!(stderr.contains("absent.json"));
    let (code, _, stderr) = run(&["explain", "--demo", "--request", &path, "--exchange", "nobody"]);
    assert_eq!((code, stderr.lines().count()), (Some(2), 1), "{stderr}");
    assert_eq!(explain(&["--demo=50"], &request("r", ""))["campaigns"].as_array().unwrap().len(), 50);
}
