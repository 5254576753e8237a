//! Operators' commands against a running bidder, and who is kept from giving them.

use serde_json::Value;

use crate::support::client::{Answer, Client};
use crate::support::process::{Bidder, run};
use crate::support::{Folder, campaign};

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
    fails(&["retire", "9", "--admin", &admin], 1, "no node 9");
    fails(&["retire", "0", "--admin", &admin], 1, "this bidder itself");
    fails(&["resume"], 2, "--campaign");
    fails(&["resume", "--campaign", "7", "--advertiser", "7"], 2, "cannot be used with");
    fails(&["stop", "--campaign", "seven"], 2, "seven");
    fails(&["retire"], 2, "NODE");
    fails(&["retire", "65536"], 2, "65536");
    fails(&["stop", "--campaign", "7", "--admin", "nowhere"], 2, "http://");
    // Not an admin port, and none at all.
    fails(&["stop", "--campaign", "7", "--admin", &format!("http://{}", bidder.address)], 1, "--admin");
    bidder.stop();
    fails(&["stop", "--campaign", "7", "--admin", &admin], 1, "--admin");
}
