//! `corebid replay`: what was recorded comes again, in its order, at its times, and is decided as it was.

#![allow(clippy::disallowed_methods, reason = "a test may wait")]

mod scripted;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use corebid::capture::format::{self, Captured, Foot, Head};
use corebid::lab::recording::Recorded;
use scripted::{Reply, Server};
use serde_json::Value;
use support::process::{Bidder, corebid};
use support::{Folder, eventually};

const NO_BID: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// A capture whose request `i` came at `offsets[i]` ms.
fn capture(offsets_ms: &[u64], more: impl Fn(usize, &mut Captured<&[u8]>)) -> Vec<u8> {
    let mut out = Vec::new();
    let exchanges = vec!["generic".to_owned(), "other".to_owned()];
    format::head(&Head { every: 1, exchanges, ..Head::default() }, &mut out);
    for (number, ms) in offsets_ms.iter().enumerate() {
        let body = format!("{{\"id\":\"{number}\"}}");
        let mut request =
            Captured { offset_ns: ms * 1_000_000, exchange: Some(0), body: body.as_bytes(), ..Captured::default() };
        more(number, &mut request);
        format::request(&request, &mut out);
    }
    let length_ns = (offsets_ms.iter().max().unwrap() + 10) * 1_000_000;
    format::foot(&Foot { length_ns, captured: offsets_ms.len() as u64, ..Foot::default() }, &mut out);
    out
}

fn replay(arguments: &[&str]) -> Value {
    let Output { status, stdout, stderr } = corebid().arg("replay").args(arguments).arg("--json").output().unwrap();
    assert_eq!(status.code(), Some(0), "{}", String::from_utf8_lossy(&stderr));
    serde_json::from_slice(&stdout).unwrap()
}

/// Uneven distances, some of them none.
fn uneven(count: usize) -> Vec<u64> {
    let mut seed = 7_u64;
    let mut at = 0;
    (0..count)
        .map(|_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            at += seed % 40;
            at
        })
        .collect()
}

#[test]
fn requests_come_in_their_order_at_their_times_as_they_came() {
    let folder = Folder::new("replay");
    let offsets = uneven(100);
    let file = capture(&offsets, |number, request| match number % 4 {
        1 => request.gzip = true,
        2 => (request.exchange, request.version) = (Some(1), b"2.5"),
        3 => request.exchange = None,
        _ => {}
    });
    let path = folder.write("x.cap", file).display().to_string();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let began = Instant::now();
    let sink = seen.clone();
    let server = Server::start(move |_, request| {
        let head = request.head.lines().next().unwrap().to_owned();
        let fields = (
            request.header("content-encoding").map(str::to_owned),
            request.header("x-openrtb-version").map(str::to_owned),
        );
        sink.lock().unwrap().push((began.elapsed(), head, fields, request.body.to_vec()));
        Reply::text(NO_BID)
    });
    let base = server.url("");
    for (speed, times) in [("1", 1), ("2", 2)] {
        seen.lock().unwrap().clear();
        // On one connection, so that the server sees them in the order in which they are sent.
        let report =
            replay(&[&path, "--url", &base, "--connections", "1", "--speed", speed, "--loop", &times.to_string()]);
        let seen = seen.lock().unwrap();
        // A machine that is too busy to send the last ones in time says so.
        let (sent, unsent) = (report["sent"].as_u64().unwrap(), report["unsent"].as_u64().unwrap());
        assert_eq!((sent + unsent, seen.len()), (100 * times, sent as usize));
        assert!(sent >= 50 * times, "{report}");
        let speed: f64 = speed.parse().unwrap();
        let lengths = (offsets[99] + 10) as f64;
        let mut lags = Vec::new();
        for (index, (at, line, (coding, version), body)) in seen.iter().enumerate() {
            let number = index % 100;
            let path = ["generic", "generic", "other", ""][number % 4];
            assert_eq!(*line, format!("POST /openrtb/{path} HTTP/1.1"));
            assert_eq!(coding.as_deref(), (number % 4 == 1).then_some("gzip"));
            assert_eq!(version.as_deref(), (number % 4 == 2).then_some("2.5"));
            if number % 4 != 1 {
                assert_eq!(*body, format!("{{\"id\":\"{number}\"}}").into_bytes(), "in order");
            }
            let due_ms = ((index / 100) as f64 * lengths + offsets[number] as f64 - offsets[0] as f64) / speed;
            lags.push(at.as_secs_f64() * 1e3 - due_ms);
        }
        // The middle half: a busy machine is late with some, and a schedule that drifts, or is of another speed, with all behind it.
        lags.sort_by(f64::total_cmp);
        let spread = lags[lags.len() * 3 / 4] - lags[lags.len() / 4];
        // From when each was due until it was answered, as the generator counts it: what a busy machine adds is in it.
        let late = report["as_recorded"]["max"].as_f64().unwrap() / 1e3;
        assert!(spread <= 5.0 + late, "at speed {speed}: {spread} ms off, {late} ms by its own account");
    }
    seen.lock().unwrap().clear();
    replay(&[&path, "--url", &base, "--speed", "50", "--exchange", "mine"]);
    assert!(seen.lock().unwrap().iter().all(|(_, line, ..)| line == "POST /openrtb/mine HTTP/1.1"));
}

#[test]
fn a_recorded_bidder_decides_a_replay_as_it_did_then() {
    let folder = Folder::new("replay-decided");
    let (first, second) =
        (Bidder::demo(&folder.text("one"), "io_uring"), Bidder::demo(&folder.text("two"), "io_uring"));
    let path = folder.text("x.cap");
    let admin = first.admin.to_string();
    let recording = corebid()
        .args(["record", &path, "--seconds", "5", "--admin", &admin, "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the capture", || first.log().contains("a capture begins").then_some(()));
    let url = format!("http://{}/openrtb/generic", first.address);
    let load = [
        "load",
        "--url",
        &url,
        "--rate",
        "300",
        "--seconds",
        "2",
        "--arrivals",
        "poisson",
        "--connections",
        "8",
        "--json",
    ];
    let loaded: Value = serde_json::from_slice(&corebid().args(load).output().unwrap().stdout).unwrap();
    let told: Value = serde_json::from_slice(&recording.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!((told["captured"].as_u64(), told["lost"].as_u64()), (loaded["sent"].as_u64(), Some(0)));

    let recorded = Recorded::read(&fs::read(&path).unwrap()).unwrap();
    assert!(recorded.recording.offsets_ns.is_sorted());
    let base = format!("http://{}", second.address);
    let report = replay(&[&path, "--url", &base, "--connections", "8"]);
    let unsent = report["unsent"].as_i64().unwrap();
    assert_eq!(report["sent"].as_i64().unwrap() + unsent, recorded.recording.requests.len() as i64);
    // Same bodies but for whom they are about, and no caps, budgets or lists in the demo: the same answers, but for what a busy machine
    // sheds.
    let reasons = |bidder: &Bidder| {
        let text = String::from_utf8(bidder.admin("/metrics").body).unwrap();
        let mut counts = BTreeMap::new();
        for line in text
            .lines()
            .filter(|line| line.starts_with("corebid_nobid_total") || line.starts_with("corebid_bids_total"))
        {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split("reason=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("bid");
            *counts.entry(name.to_owned()).or_insert(0_i64) += value.parse::<i64>().unwrap();
        }
        counts.retain(|_, count| *count > 0);
        counts
    };
    let (then, now) = (reasons(&first), reasons(&second));
    let disturbed: i64 = ["shed", "stalled", "late", "no_time", "no_lease"]
        .iter()
        .map(|reason| then.get(*reason).unwrap_or(&0).max(now.get(*reason).unwrap_or(&0)))
        .sum::<i64>()
        + unsent;
    for name in then.keys().chain(now.keys()) {
        let difference = then.get(name).unwrap_or(&0) - now.get(name).unwrap_or(&0);
        assert!(difference.abs() <= 2 * disturbed, "{name}: {then:?}\n{now:?}");
    }
    assert!(then.contains_key("bid") && then.len() > 5, "{then:?}");
    // What fleets are scaled by: every answer but those of the stages before the match.
    let before = "unknown_exchange shed stalled no_lease quota encoding not_a_bid_request too_much no_time currency stale_rates seat \
                  geo_filter blocklisted data_center known_bot velocity impossible_device no_consent no_purpose chain_incomplete \
                  chain_blocked ads_txt_violation ads_txt_unavailable";
    let late = then.get("late").unwrap_or(&0);
    let filtered: i64 = then
        .iter()
        .filter(|(name, _)| !before.split_ascii_whitespace().any(|one| one == *name))
        .map(|(_, count)| count)
        .sum::<i64>()
        - late;
    assert_eq!(first.metric("corebid_filtered_requests_total", "") as i64, filtered);
    assert!(filtered < loaded["sent"].as_i64().unwrap());
}

#[test]
fn a_cut_capture_is_replayed_as_far_as_it_goes_unless_asked_to_be_strict() {
    let folder = Folder::new("replay-cut");
    let whole = capture(&[0, 1, 2, 3], |_, _| {});
    let cut = folder.write("cut.cap", &whole[..whole.len() - 30]).display().to_string();
    let server = Server::start(|_, _| Reply::text(NO_BID));
    let base = server.url("");
    let sent = replay(&[&cut, "--url", &base])["sent"].as_u64();
    assert!(sent.is_some_and(|sent| (2..=4).contains(&sent)), "{sent:?}");
    let nothing = folder.write("nothing.cap", &capture(&[5], |_, _| {})[..50]).display().to_string();
    let other = folder.write("other.cap", "{}").display().to_string();
    let path = folder.write("whole.cap", &whole).display().to_string();
    for (arguments, code, said) in [
        (&[&cut, "--url", &base, "--strict"][..], 1, "before its foot"),
        (&[&nothing, "--url", &base], 1, "no requests"),
        (&[&other, "--url", &base], 1, "no capture"),
        (&[&path, "--url", &base, "--speed", "0"], 2, "--speed"),
        (&[&path, "--url", "ftp://x"], 2, "--url"),
        (&[&path, "--url", "http://127.0.0.1:1"], 1, "no connection"),
    ] {
        let Output { status, stderr, .. } = corebid().arg("replay").args(arguments).output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        let last = stderr.lines().last().unwrap_or("");
        assert_eq!((status.code(), last.contains(said)), (Some(code), true), "{stderr}");
    }
}
