//! Operators' commands against a running bidder, and who is kept from giving them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::process::{Bidder, run};
use crate::support::{Folder, campaign, eventually, request};

/// A request to the admin port as it stands on the wire.
fn raw(bidder: &Bidder, text: &str) -> Answer {
    let mut client = Client::connect(bidder.admin).unwrap();
    client.send(text.as_bytes()).unwrap();
    client.answer().unwrap()
}

fn error(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    body["error"].as_str().unwrap().to_owned()
}

#[test]
fn who_is_no_operator_changes_nothing() {
    let folder = Folder::new("operators");
    let bidder = Bidder::demo(&folder.text("data"), "epoll");
    let path = "/api/campaigns/1/stop";
    let admin = bidder.admin;
    let lawless = [
        (format!("Host: {admin}\r\n"), "x-corebid"),
        (format!("Host: {admin}\r\nx-corebid: 0\r\n"), "x-corebid"),
        (format!("Host: rebound.example:{}\r\nx-corebid: 1\r\n", admin.port()), "Host"),
        (format!("Host: {admin}\r\nOrigin: http://page.example\r\nx-corebid: 1\r\n"), "Origin"),
        (format!("Host: {admin}\r\nOrigin: null\r\nx-corebid: 1\r\n"), "Origin"),
    ];
    for path in [path, "/api/campaigns/1/resume", "/api/advertisers/1/stop", "/api/nodes/5/retire"] {
        for (headers, what) in &lawless {
            let answer = raw(&bidder, &format!("POST {path} HTTP/1.1\r\n{headers}Content-Length: 0\r\n\r\n"));
            assert_eq!(answer.status, 403, "{path} {headers}");
            assert!(error(&answer).contains(what), "{answer:?}");
        }
    }
    // Nor does a request that a browser makes by following a link.
    let answer = raw(&bidder, &format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nx-corebid: 1\r\n\r\n"));
    assert_eq!(answer.status, 405);
    let stopped: Value = serde_json::from_slice(&bidder.admin("/api/stopped").body).unwrap();
    assert_eq!(stopped, serde_json::json!({ "stopped": [] }));
}

/// One line on stderr and the exit code that says which kind of trouble it is.
#[track_caller]
fn fails(arguments: &[&str], code: i32, what: &str) {
    let (ended, stdout, stderr) = run(arguments);
    assert_eq!((ended, stdout.as_str()), (Some(code), ""), "{arguments:?}: {stderr}");
    assert!(stderr.contains(what), "{arguments:?}: {stderr}");
    assert!(code == 2 || stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn commands_say_what_is_wrong() {
    let folder = Folder::new("commands");
    let config = folder.configure("", "", &campaign(7, ""));
    let bidder = Bidder::start(&["--config", &config, "--data", &folder.text("data"), "--backend", "epoll"]);
    let admin = format!("http://{}", bidder.admin);
    fails(&["resume", "--campaign", "999", "--admin", &admin], 1, "no campaign 999");
    fails(&["stop", "--campaign", "999", "--admin", &admin], 1, "no campaign 999");
    fails(&["stop", "--advertiser", "999", "--admin", &admin], 1, "no advertiser 999");
    fails(&["retire", "9", "--admin", &admin], 1, "node 9: the ledger knows no such node");
    fails(&["retire", "0", "--admin", &admin], 1, "node 0: it is alive");
    fails(&["resume"], 2, "--campaign");
    fails(&["resume", "--campaign", "7", "--advertiser", "7"], 2, "cannot be used with");
    fails(&["stop", "--campaign", "seven"], 2, "seven");
    fails(&["retire"], 2, "NODE");
    fails(&["retire", "65536"], 2, "65536");
    fails(&["retire", "9", "--admin", &admin, "--data", &folder.text("data")], 2, "cannot be used with");
    fails(&["retire", "9", "--data", &folder.text("data")], 1, "--admin instead of --data");
    fails(&["retire", "9", "--data", &folder.text("elsewhere")], 1, "no ledger here");
    assert!(!folder.path("elsewhere").exists());
    fails(&["stop", "--campaign", "7", "--admin", "nowhere"], 2, "http://");
    // Not an admin port, and none at all.
    fails(&["stop", "--campaign", "7", "--admin", &format!("http://{}", bidder.address)], 1, "--admin");
    bidder.stop();
    fails(&["stop", "--campaign", "7", "--admin", &admin], 1, "--admin");
    fails(&["retire", "9", "--data", &folder.text("data")], 1, "node 9: the ledger knows no such node");
    fails(&["retire", "0", "--data", &folder.text("data")], 1, "nothing is lost");
}

/// Which campaigns bid, within so many requests that all of them want.
fn bidders(bidder: &Bidder) -> BTreeSet<String> {
    let mut client = bidder.client();
    let bids = (0..40).filter_map(|number| {
        let answer = client.debug(&request(&format!("r{number}"), ""));
        let bid = (answer.status == 200).then(|| answer.json()["seatbid"][0]["bid"][0].clone())?;
        Some(bid["cid"].as_str().unwrap().to_owned())
    });
    bids.collect()
}

/// What a command says with `--json`.
#[track_caller]
fn said(arguments: &[&str]) -> Value {
    let (code, stdout, stderr) = run(arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn what_is_stopped_bids_no_more_until_it_is_resumed() {
    let folder = Folder::new("stopped");
    // Both want every request; 7 pays more.
    let list = format!("{}{}", campaign(7, "").replace("cpm = 2.00", "cpm = 3.00"), campaign(8, ""));
    let config = folder.configure("", "", &list);
    let data = folder.text("data");
    let arguments = ["--config", &config, "--data", &data, "--backend", "epoll"];
    let bidder = Bidder::start(&arguments);
    let admin = format!("http://{}", bidder.admin);
    let one = |id: &str| BTreeSet::from([id.to_owned()]);
    eventually("campaign 7", || (bidders(&bidder) == one("7")).then_some(()));

    let stopped = said(&["stop", "--campaign", "7", "--admin", &admin, "--json"]);
    assert_eq!(stopped, json!({ "scope": "campaign", "id": 7, "before": null, "stopped": "operator" }));
    eventually("campaign 8 in its place", || (bidders(&bidder) == one("8")).then_some(()));
    assert_eq!(bidder.metric("corebid_stopped", "scope=\"campaign\",why=\"operator\""), 1);
    assert_eq!(bidder.metric("corebid_stopped", ""), 1);
    assert_eq!(bidder.metric("corebid_stops_total", ""), 1);
    assert!(bidder.log().contains("`corebid resume --campaign 7`"), "{}", bidder.log());
    let again = said(&["stop", "--campaign", "7", "--admin", &admin, "--json"]);
    assert_eq!(again["before"], "operator");

    // An advertiser with all its campaigns; on record, whatever becomes of the process.
    said(&["stop", "--advertiser", "8", "--admin", &admin, "--json"]);
    bidder.kill();
    let bidder = Bidder::start(&arguments);
    let admin = format!("http://{}", bidder.admin);
    let view: Value = serde_json::from_slice(&bidder.admin("/api/stopped").body).unwrap();
    let row = |scope: &str, id: u32| json!({ "scope": scope, "id": id, "why": "operator" });
    assert_eq!(view, json!({ "stopped": [row("campaign", 7), row("advertiser", 8)] }));
    assert_eq!(bidders(&bidder), BTreeSet::new());
    let resumed = said(&["resume", "--campaign", "8", "--admin", &admin, "--json"]);
    assert_eq!(resumed, json!({ "scope": "campaign", "id": 8, "before": null, "stopped": "operator" }));

    let resumed = said(&["resume", "--campaign", "7", "--admin", &admin, "--json"]);
    assert_eq!(resumed, json!({ "scope": "campaign", "id": 7, "before": "operator", "stopped": null }));
    let resumed = said(&["resume", "--advertiser", "8", "--admin", &admin, "--json"]);
    assert_eq!(resumed["before"], "operator");
    eventually("campaign 7 again", || (bidders(&bidder) == one("7")).then_some(()));
    assert_eq!(bidder.metric("corebid_stopped", ""), 0);
}

/// A process dies with money on its leases, and its node number is given up.
#[test]
fn a_node_that_will_not_come_back_is_retired() {
    let folder = Folder::new("retired");
    let data = folder.text("data");
    let configure = |node: u32| folder.configure(&format!("node = {node}"), "", &campaign(7, ""));
    let start = |node: u32| {
        let config = configure(node);
        Bidder::try_start(&["--config", &config, "--data", &data, "--backend", "epoll"])
    };
    start(1).unwrap().kill();
    let bidder = start(2).unwrap();
    let admin = format!("http://{}", bidder.admin);
    // It may be alive for as long as its last lease may be.
    let retired = eventually("the end of its leases", || {
        let (code, stdout, stderr) = run(&["retire", "1", "--admin", &admin, "--json"]);
        assert!(code == Some(0) || stderr.contains("it is alive"), "{stderr}");
        (code == Some(0)).then(|| serde_json::from_str::<Value>(&stdout).unwrap())
    });
    assert_eq!((&retired["node"], &retired["leases"]), (&json!(1), &json!(1)));
    assert!(retired["micros"].as_i64().unwrap() > 0, "{retired}");
    fails(&["retire", "1", "--admin", &admin], 1, "it was retired before");
    bidder.stop();
    let refused = start(1).unwrap_err();
    assert!(refused.stderr.contains("node 1 was retired"), "{refused:?}");

    // The same without a process: node 2 has ended in order, node 3 ran last.
    start(3).unwrap().stop();
    let retired = said(&["retire", "2", "--data", &data, "--json"]);
    assert_eq!((&retired["node"], &retired["micros"]), (&json!(2), &json!(0)));
    fails(&["retire", "2", "--data", &data], 1, "it was retired before");
    let refused = start(2).unwrap_err();
    assert!(refused.stderr.contains("node 2 was retired"), "{refused:?}");
    start(3).unwrap().stop();
}
