//! Bid requests, good and bad: each is answered, and the connection stays.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::process::Bidder;
use crate::support::{Folder, campaign, request, samples};
use corebid::limits::BODY_BYTES;
use corebid::market::corpus;

/// The same test on both backends.
macro_rules! on_both_backends {
    ($($name:ident)*) => {
        mod io_uring { $(#[test] fn $name() { super::$name("io_uring"); })* }
        mod epoll { $(#[test] fn $name() { super::$name("epoll"); })* }
    };
}

on_both_backends! { probes_answer every_sample_is_answered bad_documents_harm_nobody long_bodies_are_read_up_to_the_limit }

fn probes_answer(backend: &str) {
    let folder = Folder::new("probes");
    let bidder = Bidder::demo(&folder.text("data"), backend);
    let mut client = bidder.client();
    let ready = client.get("/ready");
    assert_eq!((ready.status, &ready.body[..]), (200, &b"1"[..]));
    assert_eq!(client.get("/elsewhere").status, 404);
    assert_eq!(client.get("/openrtb/generic").status, 405);
    assert_eq!(
        client.ask("POST", "/openrtb/nobody", "x-debug: 1\r\n", &request("r", "")).reason(),
        Some("unknown_exchange")
    );
    for (target, body) in [("/live", "1"), ("/ready", "1")] {
        let answer = bidder.admin(target);
        assert_eq!((answer.status, &answer.body[..]), (200, body.as_bytes()), "{target}");
    }
    let metrics = bidder.admin("/metrics");
    assert!(metrics.field("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    let text = String::from_utf8(metrics.body).unwrap();
    assert!(text.lines().all(|line| line.starts_with("corebid_") || line.starts_with('#')), "{text}");
    assert_eq!(bidder.metric("corebid_nobid_total", "reason=\"unknown_exchange\""), 1);
    assert_eq!(bidder.metric("corebid_strays_total", ""), 2);
    bidder.stop();
}

fn every_sample_is_answered(backend: &str) {
    let samples = samples();
    let folder = Folder::new("samples");
    let bidder = Bidder::demo(&folder.text("data"), backend);
    let mut client = bidder.client();
    for sample in &samples {
        let answer = client.ask("POST", "/openrtb/generic", "", sample);
        assert!(
            matches!(answer.status, 200 | 204) && !answer.closes(),
            "{answer:?} to {}",
            String::from_utf8_lossy(sample)
        );
    }
    assert_eq!(bidder.metric("corebid_requests_total", ""), samples.len() as u64);
    assert_eq!(bidder.metric("corebid_broken_total", ""), 0);
    bidder.stop();
}

fn bad_documents_harm_nobody(backend: &str) {
    let folder = Folder::new("bad");
    let mut bidder = Bidder::demo(&folder.text("data"), backend);
    let mut client = bidder.client();
    // serde_json is the judge of what is JSON; what is, gets 200 or 204.
    let mut put = |client: &mut Client, body: &[u8], what: &str| {
        let answer = client.bid(body);
        let shown = || String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        match serde_json::from_slice::<Value>(body) {
            Ok(_) => assert!(matches!(answer.status, 200 | 204), "{what}: {answer:?} to {}", shown()),
            Err(_) => assert_eq!((answer.status, answer.body.len()), (400, 0), "{what}: {}", shown()),
        }
        assert!(!answer.closes(), "{what}: closed after {}", shown());
        assert!(bidder.is_running(), "{what}: the process ended after {}", shown());
    };
    let rich = &corpus::plain(7, 1)[0];
    for length in (0..rich.len()).step_by(13).chain(rich.len() - 40..rich.len()) {
        put(&mut client, &rich[..length], "truncated");
    }
    for (what, body) in broken() {
        put(&mut client, &body, what);
    }
    let document: Value = serde_json::from_slice(rich).unwrap();
    for pointer in pointers(&document) {
        for wrong in
            [json!(null), json!(true), json!(-7), json!("x"), json!([]), json!([[0]]), json!({}), json!({"a": 1})]
        {
            let mut changed = document.clone();
            *changed.pointer_mut(&pointer).unwrap() = wrong;
            put(&mut client, &serde_json::to_vec(&changed).unwrap(), &pointer);
        }
    }
    // Numbers that serde_json does not read as such are JSON all the same (RFC 8259 section 6).
    let text = String::from_utf8(request("r", ",\"tmax\":300,\"at\":1")).unwrap();
    let long = "9".repeat(400);
    for number in [
        "1e999999",
        "-1e999999",
        "1e-999999",
        "0.1e+400",
        &long,
        &format!("-{long}"),
        &format!("0.{long}"),
        &format!("{long}e{long}"),
    ] {
        for field in ["\"w\":300", "\"h\":250", "\"bidfloor\":0.01", "\"tmax\":300", "\"at\":1", "\"devicetype\":2"] {
            let name = field.split(':').next().unwrap();
            let answer = client.bid(text.replace(field, &format!("{name}:{number}")).as_bytes());
            assert!(matches!(answer.status, 200 | 204) && !answer.closes(), "{name}: {number}: {answer:?}");
        }
    }
    // Deeper than anybody means it: broken, or not bid on, at whatever place.
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let inner = if open == "[" { "" } else { "1" };
        for depth in [65, 1_000, 100_000] {
            let deep = format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
            for body in [deep.clone(), text.replace("\"at\":1", &format!("\"ext\":{deep}")), open.repeat(depth)] {
                let answer = client.bid(body.as_bytes());
                assert!(
                    matches!(answer.status, 400 | 204) && answer.body.is_empty() && !answer.closes(),
                    "{depth}: {answer:?}"
                );
            }
        }
    }
    assert_eq!(client.debug(&request("after", "")).status, 200, "the same connection, and it bids");
    assert!(bidder.metric("corebid_broken_total", "") > 0);
    bidder.stop();
}

/// Bodies that are not JSON, by what is wrong with them.
fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let good = request("r", "");
    let with = |from: &str, to: &[u8]| {
        let at = good.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        [&good[..at], to, &good[at + from.len()..]].concat()
    };
    vec![
        ("nothing", Vec::new()),
        ("blank", b" \r\n\t ".to_vec()),
        ("a byte order mark", [b"\xEF\xBB\xBF", &good[..]].concat()),
        ("two documents", [&good[..], &good[..]].concat()),
        ("something after it", [&good[..], b"x"].concat()),
        ("a NUL after it", [&good[..], b"\0"].concat()),
        ("only NULs", vec![0; 4096]),
        ("a NUL in a text", with("news", b"ne\0ws")),
        ("a NUL between", with(":[{", b":\0[{")),
        ("a newline in a text", with("news", b"ne\nws")),
        ("invalid UTF-8", with("news", b"ne\xFFws")),
        ("overlong UTF-8", with("news", b"ne\xC0\xAFws")),
        ("a surrogate in UTF-8", with("news", b"\xED\xA0\x80")),
        ("a cut character", with("news.example\"", b"news.example\xE2\x82\"")),
        ("a bad escape", with("news", b"ne\\xws")),
        ("a cut escape", with("news", b"ne\\u12")),
        ("a trailing comma", with("0.01}]", b"0.01},]")),
        ("a leading zero", with("300", b"0300")),
        ("a plus", with("300", b"+300")),
        ("a bare point", with("0.01", b".01")),
        ("a point at the end", with("0.01", b"0.")),
        ("hexadecimal", with("300", b"0x12C")),
        ("not a number", with("300", b"NaN")),
        ("a single quote", with("\"r\"", b"'r'")),
        ("a bare key", with("\"imp\"", b"imp")),
        ("a comment", with(",\"imp\"", b",/**/\"imp\"")),
        ("a wrong bracket", with("0.01}]", b"0.01]}")),
        ("noise", (0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
        ("markup", b"<html><body>hello</body></html>".to_vec()),
    ]
}

/// A JSON pointer to everything in a document.
fn pointers(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let below = children
        .into_iter()
        .flat_map(|(key, value)| pointers(value).into_iter().map(move |rest| format!("/{key}{rest}")));
    std::iter::once(String::new()).chain(below).collect()
}

fn long_bodies_are_read_up_to_the_limit(backend: &str) {
    let folder = Folder::new("long");
    let bidder = Bidder::demo(&folder.text("data"), backend);
    let sized = |length: usize| {
        let rest = request("r", ",\"ext\":\"\"").len();
        request("r", &format!(",\"ext\":\"{}\"", "x".repeat(length - rest)))
    };
    let mut client = bidder.client();
    for length in [BODY_BYTES - 1, BODY_BYTES] {
        let body = sized(length);
        assert_eq!(body.len(), length);
        let answer = client.bid(&body);
        assert!(matches!(answer.status, 200 | 204) && !answer.closes(), "{length}: {answer:?}");
    }
    assert_eq!(client.bid(&vec![b'['; BODY_BYTES]).status, 400);
    assert_eq!(client.debug(&request("r", "")).status, 200);
    // The head alone says that it is too much; what follows it need not be read.
    client
        .send(
            format!("POST /openrtb/generic HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", BODY_BYTES + 1)
                .as_bytes(),
        )
        .unwrap();
    assert_eq!(client.answer().unwrap().status, 413);
    assert_eq!(bidder.client().debug(&request("r", "")).status, 200);
    bidder.stop();
}

#[test]
fn the_version_is_echoed_and_the_reason_told_only_when_asked() {
    let folder = Folder::new("fields");
    let bidder = Bidder::demo(&folder.text("data"), "io_uring");
    let mut client = bidder.client();
    let hopeless = String::from_utf8(request("r", "")).unwrap().replace("0.01", "1000");
    for version in ["2.5", "2.6"] {
        let field = format!("x-openrtb-version: {version}\r\n");
        for body in [&request("r", "")[..], hopeless.as_bytes()] {
            assert_eq!(client.ask("POST", "/openrtb/generic", &field, body).field("x-openrtb-version"), Some(version));
        }
    }
    let bid = client.debug(&request("r", ""));
    assert_eq!((bid.status, bid.reason(), bid.field("x-openrtb-version")), (200, None, None));
    assert!(bid.field("content-type").is_some_and(|kind| kind.starts_with("application/json")));
    assert_eq!(client.debug(hopeless.as_bytes()).reason(), Some("floor_above"));
    let packed = client.ask("POST", "/openrtb/generic", "x-debug: 1\r\nContent-Encoding: br\r\n", &request("r", ""));
    assert_eq!((packed.status, packed.reason()), (204, Some("encoding")));
    for field in ["", "x-debug: 0\r\n", "x-debug: \r\n"] {
        let answer = client.ask("POST", "/openrtb/generic", field, hopeless.as_bytes());
        assert_eq!((answer.status, answer.reason()), (204, None), "{field:?}");
    }
    bidder.stop();

    let silent = Bidder::start(&["--config", &folder.configure("", "", &campaign(1, ""))]);
    let answer = silent.client().ask("POST", "/openrtb/generic", "x-debug: 1\r\n", hopeless.as_bytes());
    assert_eq!((answer.status, answer.reason()), (204, None));
    silent.stop();
}
