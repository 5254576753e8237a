//! `corebid record` against a running bidder: what was sent is in the file, and nothing that tells who it was about.

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Output, Stdio};

use corebid::capture::format::{Captured, Foot, Item, Reader};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use support::client::{Answer, Client};
use support::process::{Bidder, corebid};
use support::{Folder, eventually};

const ID: &str = "5e2f7a10-sentinel-97c1";

fn body(number: usize) -> String {
    format!(
        r#"{{"id":"auction-{ID}-{number}","imp":[{{"id":"1","banner":{{"w":300,"h":250}},"bidfloor":0.01}}],"site":{{"domain":"news.example"}},"device":{{"ifa":"{ID}","ip":"203.0.113.{}","devicetype":2}},"user":{{"buyeruid":"{ID}","ext":{{"eids":[{{"source":"id.example","uids":[{{"id":"{ID}"}}]}}]}}}},"n":{number}}}"#,
        number % 250
    )
}

/// Once, whatever a busy bidder answers.
fn post(client: &mut Client, number: usize) -> Answer {
    client.ask("POST", "/openrtb/generic", "", body(number).as_bytes())
}

/// Starts a capture and waits until every core copies.
fn record(bidder: &Bidder, out: &str, more: &[&str]) -> Child {
    let admin = bidder.admin.to_string();
    let before = bidder.log().matches("a capture begins").count();
    let child = corebid()
        .args(["record", out, "--json", "--admin", &admin])
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the capture", || (bidder.log().matches("a capture begins").count() > before).then_some(()));
    child
}

fn ended(child: Child) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn read(path: &str) -> (Vec<Captured<Vec<u8>>>, Foot) {
    let bytes = fs::read(path).unwrap();
    let mut reader = Reader::open(&bytes).unwrap();
    let mut requests = Vec::new();
    loop {
        match reader.item().unwrap() {
            Item::Request(request) => requests.push(request),
            Item::Foot(foot) => return (requests, foot),
        }
    }
}

#[test]
fn a_capture_has_every_request_and_nobody_in_it() {
    let folder = Folder::new("record");
    let bidder = Bidder::demo(&folder.text("data"), "io_uring");
    let out = folder.text("traffic.cap");
    // It ends when it is so long as only the last request makes it, however long the others take.
    let child = record(&bidder, &out, &["--seconds", "600", "--bytes", "400000"]);
    let mut client = bidder.client();
    for number in 0..200 {
        assert!(matches!(post(&mut client, number).status, 200 | 204));
    }
    // In gzip; not JSON; to nobody.
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(body(200).as_bytes()).unwrap();
    client.ask("POST", "/openrtb/generic", "Content-Encoding: gzip\r\n", &packed.finish().unwrap());
    let broken = format!("{{\"user\":{{\"id\":\"{ID}\"");
    assert_eq!(client.ask("POST", "/openrtb/generic", "", broken.as_bytes()).status, 400);
    assert_eq!(client.ask("POST", "/openrtb/nobody", "x-openrtb-version: 2.5\r\n", body(202).as_bytes()).status, 204);
    // A second capture waits for the end of the first.
    let admin = bidder.admin.to_string();
    let second = corebid().args(["record", &folder.text("second.cap"), "--admin", &admin]).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(second.status.code() == Some(1) && said.contains("one at a time") && said.lines().count() == 1, "{said}");
    assert!(!folder.path("second.cap").exists() && !folder.path("second.cap.new").exists());

    let last = format!(r#"{{"id":"last","pad":"{}"}}"#, "x".repeat(400_000));
    client.ask("POST", "/openrtb/generic", "", last.as_bytes());
    let (code, stdout, stderr) = ended(child);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let told: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (told["captured"].as_u64(), told["lost"].as_u64(), told["withheld"].as_u64()),
        (Some(204), Some(0), Some(1))
    );
    assert_eq!((told["exchanges"]["generic"].as_u64(), told["gzip"].as_u64()), (Some(203), Some(1)));

    let bytes = fs::read(&out).unwrap();
    for what in [&bytes[..], bidder.log().as_bytes()] {
        assert!(
            !what.windows(8).any(|part| ID.as_bytes().windows(8).any(|id| id == part)),
            "an id in what was captured"
        );
    }
    let (requests, foot) = read(&out);
    assert_eq!((foot.captured, requests.len()), (204, 204));
    assert!(requests.windows(2).all(|pair| pair[0].offset_ns <= pair[1].offset_ns), "one connection, in order");
    assert!(
        requests
            .iter()
            .all(|request| request.offset_ns < foot.length_ns && request.connection == requests[0].connection)
    );
    let mut users = Vec::new();
    for (number, request) in requests.iter().enumerate().take(203).filter(|(number, _)| *number != 201) {
        let sent: Value = serde_json::from_str(&body(number)).unwrap();
        let kept: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            (sent["imp"].clone(), sent["n"].clone(), sent["site"].clone()),
            (kept["imp"].clone(), kept["n"].clone(), kept["site"].clone())
        );
        assert_eq!((request.body.len(), request.gzip), (body(number).len(), number == 200));
        users.push(kept["user"]["buyeruid"].clone());
    }
    users.dedup();
    assert_eq!(users.len(), 1, "one person is one pseudonym");
    assert!(requests[201].withheld && requests[201].body == vec![b'x'; broken.len()]);
    assert_eq!((requests[202].exchange, requests[202].version.as_slice()), (None, &b"2.5"[..]));
    assert_eq!(bidder.metric("corebid_captured_total", ""), 204);
    assert_eq!(bidder.metric("corebid_capture_lost_total", ""), 0);
}

#[test]
fn a_capture_ends_with_its_bytes_or_with_who_asked_and_another_may_begin() {
    let folder = Folder::new("record-ends");
    let bidder = Bidder::demo(&folder.text("data"), "epoll");
    let out = folder.text("traffic.cap");
    // By bytes, long before its time; one request in two.
    let child = record(&bidder, &out, &["--seconds", "600", "--bytes", "20000", "--share", "2"]);
    let mut client = bidder.client();
    for number in 0..200 {
        post(&mut client, number);
    }
    let (code, stdout, stderr) = ended(child);
    assert_eq!(code, Some(0), "{stderr}");
    let told: Value = serde_json::from_str(&stdout).unwrap();
    assert!(told["captured"].as_u64().is_some_and(|captured| (20..=60).contains(&captured)), "{told}");
    let (requests, _) = read(&out);
    let number =
        |request: &Captured<Vec<u8>>| serde_json::from_slice::<Value>(&request.body).unwrap()["n"].as_u64().unwrap();
    assert!(requests.windows(2).all(|pair| number(&pair[1]) == number(&pair[0]) + 2), "one in two");
    // With who asked.
    let gone = folder.text("gone.cap");
    let mut child = record(&bidder, &gone, &["--seconds", "600"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.path("gone.cap").exists());
    // It is found out when there is something to send; then the next may begin, and has nothing of the one before.
    eventually("the end of the capture", || {
        post(&mut client, 7);
        (bidder.log().matches("the capture ends").count() == 2).then_some(())
    });
    let captured = bidder.metric("corebid_captured_total", "");
    for number in 0..5 {
        post(&mut client, number);
    }
    assert_eq!(bidder.metric("corebid_captured_total", ""), captured, "no core copies any more");
    let child = record(&bidder, &out, &["--seconds", "2"]);
    post(&mut client, 99);
    assert_eq!(ended(child).0, Some(0));
    let (requests, foot) = read(&out);
    assert_eq!((requests.len(), number(&requests[0]), foot.lost), (1, 99, 0));
}

#[test]
fn a_capture_that_is_cut_is_kept_beside_and_told() {
    let folder = Folder::new("record-cut");
    let bidder = Bidder::demo(&folder.text("data"), "epoll");
    let out = folder.write("traffic.cap", "an earlier one").display().to_string();
    let child = record(&bidder, &out, &["--seconds", "600"]);
    let mut client = bidder.client();
    let long = format!(r#"{{"id":"1","pad":"{}"}}"#, "x".repeat(20_000));
    eventually("the file", || {
        client.ask("POST", "/openrtb/generic", "", long.as_bytes());
        fs::metadata(folder.path("traffic.cap.new")).is_ok_and(|file| file.len() > 0).then_some(())
    });
    bidder.kill();
    let (code, stdout, stderr) = ended(child);
    assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stdout.contains("\"cut\":\"") && stderr.contains("traffic.cap.cut: "), "{stdout}\n{stderr}");
    assert!(Reader::open(&fs::read(folder.path("traffic.cap.cut")).unwrap()).is_ok());
    assert_eq!(fs::read(&out).unwrap(), b"an earlier one");
    assert!(!folder.path("traffic.cap.new").exists());
}

#[test]
fn mistakes_are_told_in_one_line() {
    let folder = Folder::new("record-mistakes");
    let out = folder.text("x.cap");
    let cut = folder.write("cut.cap", corebid_file()).display().to_string();
    let other = folder.write("other.cap", "{}").display().to_string();
    for (arguments, code, said) in [
        (&["record", &out, "--seconds", "0"][..], 2, "seconds"),
        (&["record", &out, "--share", "0"], 2, "share"),
        (&["record", &out, "--admin", "127.0.0.1:1"], 1, "admin port"),
        (&["record", &other, "--show"], 1, "no capture"),
        (&["record", &cut, "--show"], 1, "before its foot"),
        (&["record", &out, "--show"], 1, "No such file"),
    ] {
        let Output { status, stderr, .. } = corebid().args(arguments).output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), stderr.lines().count(), stderr.contains(said)), (Some(code), 1, true), "{stderr}");
    }
    assert!(!folder.path("x.cap").exists() && !folder.path("x.cap.new").exists());
}

/// A capture without its foot.
fn corebid_file() -> Vec<u8> {
    let mut out = Vec::new();
    corebid::capture::format::head(&Default::default(), &mut out);
    out
}
