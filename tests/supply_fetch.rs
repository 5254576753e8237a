//! `corebid supply fetch` against a web server with every odd case: what the folder holds afterwards.

#![allow(clippy::disallowed_methods, reason = "a test may wait")]

mod support;
#[path = "support/web.rs"]
mod web;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use corebid::snapshot::supply::Supply;
use corebid::supply::store::{Entry, Kind, Status, Store};
use serde_json::{Value, json};
use support::Folder;
use support::process::corebid;
use web::{Request, Tls, Web, reply, text};

const DAY: u64 = 24 * 3600 * 1000;

/// A run of the crawler, and what it said.
struct Run {
    code: Option<i32>,
    report: Value,
    stderr: String,
}

impl Run {
    fn count(&self, outcome: &str) -> u64 {
        self.report["outcomes"][outcome].as_u64().unwrap_or(0)
    }
}

fn fetch(folder: &Folder, web: &Web, targets: &str, more: &[&str]) -> Run {
    folder.write("targets", targets);
    let resolve = format!("*={}", web.address);
    let output = corebid()
        .args(["supply", "fetch", "--json", "--timeout", "5", "--resolve", &resolve])
        .args(["--targets", &folder.text("targets"), "--out", &folder.text("out")])
        .args(more)
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    Run {
        code: output.status.code(),
        report: serde_json::from_str(&stdout).unwrap_or(Value::Null),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn store(folder: &Folder) -> Store {
    Store::open(&folder.path("out")).unwrap()
}

#[track_caller]
fn entry(store: &Store, kind: Kind, domain: &str) -> Entry {
    store.entry(kind, domain).unwrap_or_else(|| panic!("no {}/{}", domain, kind.file())).clone()
}

/// Error by domain, from the report.
fn errors(folder: &Folder) -> HashMap<String, String> {
    fs::read_to_string(folder.path("out").join("report.ndjson"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| {
            (line["domain"].as_str().unwrap().to_owned(), line["error"].as_str().unwrap_or_default().to_owned())
        })
        .collect()
}

type Odd = fn(&Request, &mut dyn Write) -> std::io::Result<()>;

const GOOD: &str = "ssp.example, 1, DIRECT\n";

/// Answers that are a good ads.txt, kept byte by byte.
const GOOD_ANSWERS: &[(&str, &str)] = &[
    ("bom", "\u{feff}ssp.example, 1, DIRECT\n"),
    ("crlf", "ssp.example, 1, DIRECT\r\nother.example, 2, RESELLER\r\n"),
    ("cr", "ssp.example, 1, DIRECT\rother.example, 2, RESELLER\r"),
    ("comments", "# ours\nssp.example, 1, DIRECT # yes\n#\n"),
    ("case", "SSP.Example , 1, Direct\n"),
    ("typos", "ssp.example; 1; DIRECT\nssp.example, 1, DIRECT\nssp.example, 1, DIRCT\n,,,\n"),
    ("placeholder", "placeholder.example.com, placeholder, DIRECT, placeholder\n"),
    ("variables", "OWNERDOMAIN=owner.example\n"),
];

/// Answers that must leave the last good copy, and what the report says of them.
const ODD_ANSWERS: &[(&str, &str, Odd)] = &[
    ("html", "a page", |_, out| text(out, "<!DOCTYPE html><html><body>a, b, DIRECT</body></html>")),
    ("empty", "neither a record", |_, out| text(out, "")),
    ("words", "neither a record", |_, out| text(out, "Not found\n")),
    ("error", "neither a record", |_, out| text(out, "error=404\n")),
    ("tag", "a page", |_, out| text(out, "<div class=\"x\">\nowner=nobody\na, b, DIRECT\n</div>")),
    ("type", "content type text/html", |_, out| reply(out, 200, "content-type: text/html\r\n", GOOD.as_bytes())),
    ("type-json", "content type", |_, out| reply(out, 200, "content-type: application/json\r\n", GOOD.as_bytes())),
    ("type-twice", "content type", |_, out| {
        reply(out, 200, "content-type: text/plain\r\ncontent-type: text/html\r\n", GOOD.as_bytes())
    }),
    ("type-like", "content type", |_, out| reply(out, 200, "content-type: text/plainer\r\n", GOOD.as_bytes())),
    ("type-none", "no content type", |_, out| reply(out, 200, "", GOOD.as_bytes())),
    ("nocontent", "status 204", |_, out| reply(out, 204, "", b"")),
    ("partial", "status 206", |_, out| reply(out, 206, "content-type: text/plain\r\n", GOOD.as_bytes())),
    ("unauthorized", "status 401", |_, out| reply(out, 401, "", b"")),
    ("forbidden", "status 403", |_, out| reply(out, 403, "content-type: text/plain\r\n", GOOD.as_bytes())),
    ("gone", "status 410", |_, out| reply(out, 410, "", b"")),
    ("broken", "status 500", |_, out| reply(out, 500, "", b"")),
    ("busy", "status 503", |_, out| reply(out, 503, "", b"")),
    ("choices", "status 300", |_, out| reply(out, 300, "location: /other.txt\r\n", b"")),
    ("seeother", "status 303", |_, out| reply(out, 303, "location: /other.txt\r\n", b"")),
    ("nowhere", "leads to no URL", |_, out| reply(out, 302, "", b"")),
    ("script", "leads to no URL", |_, out| reply(out, 302, "location: file:///etc/passwd\r\n", b"")),
    ("loop", "too many redirects", |_, out| reply(out, 302, "location: /ads.txt\r\n", b"")),
    ("cut", "", |_, out| write!(out, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-le")),
    ("silent", "", |_, _| Ok(())),
    ("liar", "", |_, out| {
        write!(out, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9999\r\n\r\n{GOOD}")
    }),
    ("cut-chunk", "", |_, out| {
        write!(out, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n99\r\n{GOOD}")
    }),
    ("large", "larger than", |_, out| {
        write!(out, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 8388609\r\n\r\n{GOOD}")
    }),
    ("endless", "larger than", |_, out| gigabyte(out, "text/plain", b"ssp.example, 1, DIRECT\n")),
    ("bomb", "larger than", |_, out| {
        let body = gzip(&GOOD.repeat(9 * 1024 * 1024 / GOOD.len()));
        assert!(body.len() < 100_000);
        reply(out, 200, "content-type: text/plain\r\ncontent-encoding: gzip\r\n", &body)
    }),
    ("gzip-cut", "", |_, out| {
        let body = gzip(GOOD);
        reply(out, 200, "content-type: text/plain\r\ncontent-encoding: gzip\r\n", &body[..body.len() - 4])
    }),
    ("gzip-not", "", |_, out| {
        reply(out, 200, "content-type: text/plain\r\ncontent-encoding: gzip\r\n", GOOD.as_bytes())
    }),
    ("brotli", "content encoding br", |_, out| {
        reply(out, 200, "content-type: text/plain\r\ncontent-encoding: br\r\n", GOOD.as_bytes())
    }),
    ("head", "", |_, out| reply(out, 200, &format!("x: {}\r\n", "x".repeat(100_000)), GOOD.as_bytes())),
    ("heads", "", |_, out| reply(out, 200, &"x: y\r\n".repeat(50_000), GOOD.as_bytes())),
    ("drip", "timeout", |_, out| {
        write!(out, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")?;
        drip(out)
    }),
    ("drip-head", "timeout", |_, out| {
        write!(out, "HTTP/1.1 200 OK\r\nx: ")?;
        drip(out)
    }),
    ("unasked", "", |_, out| write!(out, "no HTTP at all")),
];

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

/// A byte at a time, for longer than anybody should wait.
fn drip(out: &mut dyn Write) -> std::io::Result<()> {
    for _ in 0..600 {
        out.write_all(b"a")?;
        out.flush()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// 1 GiB in chunks.
fn gigabyte(out: &mut dyn Write, kind: &str, line: &[u8]) -> std::io::Result<()> {
    write!(out, "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let chunk = line.repeat((1 << 20) / line.len());
    for _ in 0..1024 {
        write!(out, "{:x}\r\n", chunk.len())?;
        out.write_all(&chunk)?;
        out.write_all(b"\r\n")?;
    }
    out.write_all(b"0\r\n\r\n")
}

/// Two phases: one in which everything is `first`, one in which everything is `then`.
fn phases(first: impl web::Handler, then: impl web::Handler) -> (Web, Arc<AtomicUsize>) {
    let phase = Arc::new(AtomicUsize::new(0));
    let now = phase.clone();
    let web = Web::start(None, move |request, out| match now.load(Ordering::Relaxed) {
        0 => first(request, out),
        _ => then(request, out),
    });
    (web, phase)
}

fn odd(request: &Request, out: &mut dyn Write) -> std::io::Result<()> {
    let name = request.host.split('.').next().unwrap();
    let (_, _, odd) = ODD_ANSWERS.iter().find(|(known, ..)| *known == name).expect(name);
    odd(request, out)
}

fn odd_targets() -> String {
    ODD_ANSWERS.iter().map(|(name, ..)| format!("site {name}.example\n")).collect()
}

#[test]
fn good_files_are_kept_as_they_were_sent() {
    let folder = Folder::new("fetch");
    let lines: String = (0..20_000).map(|line| format!("ssp{line}.example, {line}, RESELLER\n")).collect();
    let long = lines.clone();
    let web = Web::start(None, move |request, out| {
        assert_eq!(request.path, "/ads.txt");
        match request.host.split('.').next().unwrap() {
            "lines" => text(out, &long),
            "chunked" => {
                write!(out, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n")?;
                GOOD.bytes().try_for_each(|byte| write!(out, "1\r\n{}\r\n", byte as char))?;
                write!(out, "0\r\n\r\n")
            }
            "gzip" => reply(out, 200, "content-type: text/plain\r\ncontent-encoding: gzip\r\n", &gzip(GOOD)),
            "until-close" => write!(out, "HTTP/1.0 200 OK\r\nContent-Type: TEXT/Plain;x=\"y\"\r\n\r\n{GOOD}"),
            name => text(out, GOOD_ANSWERS.iter().find(|(known, _)| *known == name).expect(name).1),
        }
    });
    let mut wanted: BTreeMap<&str, &str> = GOOD_ANSWERS.iter().copied().collect();
    wanted.extend([("lines", &*lines), ("chunked", GOOD), ("gzip", GOOD), ("until-close", GOOD)]);
    let targets: String = wanted.keys().map(|name| format!("site {name}.example\n")).collect();
    let run = fetch(&folder, &web, &targets, &["--contact", "https://bidder.example/crawler"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.count("fetched"), wanted.len() as u64, "{}", run.stderr);
    let store = store(&folder);
    for (name, body) in wanted {
        let entry = entry(&store, Kind::AdsTxt, &format!("{name}.example"));
        assert_eq!(entry.status, Status::Good);
        assert_eq!(store.body(&entry).unwrap(), body.as_bytes(), "{name}");
        assert_eq!(entry.expires.0 - entry.fetched.0, 7 * DAY);
    }
    for request in web.take_seen() {
        let agent = &request.headers["user-agent"];
        assert!(agent.starts_with("corebid/") && agent.ends_with("(+https://bidder.example/crawler)"), "{agent}");
        assert_ne!(request.path, "/robots.txt");
    }
}

#[test]
fn what_cannot_be_had_never_replaces_what_could() {
    let folder = Folder::new("fetch");
    let (web, phase) = phases(|_, out| text(out, GOOD), odd);
    let run = fetch(&folder, &web, &odd_targets(), &[]);
    assert_eq!(run.count("fetched"), ODD_ANSWERS.len() as u64, "{}", run.stderr);
    let before = store(&folder);
    phase.store(1, Ordering::Relaxed);
    let run = fetch(&folder, &web, &odd_targets(), &[]);
    assert_eq!(run.code, Some(1), "nothing at all was fetched");
    assert_eq!(run.count("kept"), ODD_ANSWERS.len() as u64, "{}", run.report);
    assert_eq!(run.report["errors"], ODD_ANSWERS.len() as u64);
    assert_eq!(run.stderr.lines().filter(|line| line.contains(".example/ads.txt: kept: ")).count(), 20);
    assert!(run.stderr.contains(&format!("and {} more", ODD_ANSWERS.len() - 20)), "{}", run.stderr);
    let (after, errors) = (store(&folder), errors(&folder));
    for (name, error, _) in ODD_ANSWERS {
        let domain = format!("{name}.example");
        let (was, is) = (entry(&before, Kind::AdsTxt, &domain), entry(&after, Kind::AdsTxt, &domain));
        assert_eq!(after.body(&is).unwrap(), GOOD.as_bytes(), "{name}");
        assert_eq!((is.status, is.fetched, is.expires), (Status::Good, was.fetched, was.expires), "{name}");
        assert_eq!((is.failures, is.retry > is.wanted), (1, true), "{name}");
        assert!(!errors[&domain].is_empty() && errors[&domain].contains(error), "{name}: {}", errors[&domain]);
    }
}

#[test]
fn what_was_never_had_is_unavailable() {
    let folder = Folder::new("fetch");
    let web = Web::start(None, odd);
    let run = fetch(&folder, &web, &odd_targets(), &[]);
    assert_eq!(run.count("failed"), ODD_ANSWERS.len() as u64, "{}", run.report);
    for entry in store(&folder).entries() {
        assert_eq!((entry.status, entry.fetched.0, entry.expires.0), (Status::Unavailable, 0, 0), "{}", entry.domain);
    }
    // No half of a body is left.
    assert_eq!(fs::read_dir(folder.path("out").join("bodies")).unwrap().count(), 0);
}

#[test]
fn a_404_is_a_publishers_word_and_not_an_exchanges() {
    let folder = Folder::new("fetch");
    let (web, phase) = phases(
        |request, out| match &*request.path {
            "/sellers.json" => reply(out, 200, "content-type: application/json\r\n", br#"{"sellers":[]}"#),
            _ => text(out, GOOD),
        },
        |_, out| reply(out, 404, "cache-control: max-age=172800\r\n", b"<html>not here</html>"),
    );
    let targets = "site pub.example\napp com.app dev.example\nseller ssp.example";
    assert_eq!(fetch(&folder, &web, targets, &[]).count("fetched"), 3);
    phase.store(1, Ordering::Relaxed);
    let run = fetch(&folder, &web, targets, &[]);
    assert_eq!((run.code, run.count("absent"), run.count("kept")), (Some(0), 2, 1), "{}", run.report);
    let store = store(&folder);
    for (kind, domain) in [(Kind::AdsTxt, "pub.example"), (Kind::AppAdsTxt, "dev.example")] {
        let entry = entry(&store, kind, domain);
        assert_eq!((entry.status, &*entry.digest, entry.failures), (Status::Absent, "", 0));
        assert_eq!(entry.expires.0 - entry.fetched.0, 2 * DAY);
        assert!(store.body(&entry).is_err());
    }
    let seller = entry(&store, Kind::SellersJson, "ssp.example");
    assert_eq!((seller.status, seller.failures), (Status::Good, 1));
    assert_eq!(store.body(&seller).unwrap(), br#"{"sellers":[]}"#);
}

#[test]
fn a_sellers_json_must_be_whole_json_of_any_type() {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| format!("{{\"sellers\":[{{\"seller_id\":\"{}\"}}]}}", "1".repeat(1 << 20)));
    static DEEP: LazyLock<String> = LazyLock::new(|| format!("{{\"sellers\":[],\"a\":{}", "[".repeat(8 << 20)));
    let folder = Folder::new("fetch");
    let web = Web::start(None, |request, out| {
        let (kind, body): (_, &[u8]) = match request.host.split('.').next().unwrap() {
            "json" => ("application/json", br#"{"version":"1.0","sellers":[{"seller_id":"1"}]}"#),
            "plain" => ("text/plain", br#"{"sellers":[{"seller_id":1}]}"#),
            "bom" => ("text/json", b"\xef\xbb\xbf{\"sellers\":[]}"),
            "html" => ("application/json", b"<!doctype html>"),
            "cut" => ("application/json", br#"{"sellers":[{"seller_id":"1"},{"sel"#),
            "none" => ("application/json", br#"{"version":"1.0"}"#),
            "list" => ("application/json", b"[]"),
            "text" => ("application/json", TEXT.as_bytes()),
            "deep" => ("application/json", DEEP.as_bytes()),
            _ => ("application/json", b"{\"sellers\":[]} trailing"),
        };
        reply(out, 200, &format!("content-type: {kind}\r\n"), body)
    });
    let (good, bad) = (["json", "plain", "bom"], ["html", "cut", "none", "list", "text", "deep", "trailing"]);
    let targets: String = good.iter().chain(&bad).map(|name| format!("seller {name}.example\n")).collect();
    let run = fetch(&folder, &web, &targets, &[]);
    assert_eq!((run.count("fetched"), run.count("failed")), (3, 7), "{}", run.stderr);
    for (name, error) in [("text", "a text that is too long"), ("deep", "nested too deep")] {
        assert!(errors(&folder)[&format!("{name}.example")].ends_with(error), "{:?}", errors(&folder));
    }
    let store = store(&folder);
    for name in good {
        assert_eq!(entry(&store, Kind::SellersJson, &format!("{name}.example")).status, Status::Good, "{name}");
    }
    for name in bad {
        assert_eq!(entry(&store, Kind::SellersJson, &format!("{name}.example")).status, Status::Unavailable, "{name}");
    }
}

#[test]
fn redirects_may_leave_the_root_domain_once() {
    let folder = Folder::new("fetch");
    let web = Web::start(None, |request, out| {
        let to = |out: &mut dyn Write, status: u16, location: &str| {
            reply(out, status, &format!("location: {location}\r\n"), b"")
        };
        match (&*request.host, &*request.path) {
            (_, "/final") | ("www.inside.example", _) => text(out, GOOD),
            ("inside.example", _) => to(out, 301, "http://www.inside.example/ads.txt"),
            ("five.example", "/ads.txt") => to(out, 302, "/1"),
            ("five.example", "/4") => to(out, 308, "/final"),
            ("six.example", "/ads.txt") => to(out, 307, "/0"),
            ("six.example", "/4") => to(out, 302, "/final"),
            ("five.example" | "six.example", path) => {
                let next = path[1..].parse::<u8>().unwrap() + 1;
                to(out, 302, &format!("{next}"))
            }
            ("outside.example", _) => to(out, 302, "http://cdn.third.example/final"),
            ("inside-outside.example", "/ads.txt") => to(out, 302, "/x"),
            ("inside-outside.example", _) => to(out, 302, "//third.example/final"),
            ("twice.example", _) => to(out, 302, "http://third.example/again"),
            ("back.example", "/ads.txt") => to(out, 302, "http://third.example/back"),
            ("third.example", "/again") => to(out, 302, "http://third.example/final"),
            ("third.example", "/back") => to(out, 302, "http://back.example/final"),
            ("metadata.example", _) => to(out, 302, "http://169.254.169.254/final"),
            ("loopback.example", _) => to(out, 302, "http://[::1]/final"),
            other => panic!("{other:?}"),
        }
    });
    let good = ["inside", "five", "outside", "inside-outside"];
    let bad = [
        ("six", "too many redirects"),
        ("twice", "status 302 from a third party"),
        ("back", "status 302 from a third party"),
        ("metadata", "169.254.169.254: not a public address"),
        ("loopback", "::1: not a public address"),
    ];
    let names = good.into_iter().chain(bad.iter().map(|(name, _)| *name));
    let targets: String = names.map(|name| format!("site {name}.example\n")).collect();
    let run = fetch(&folder, &web, &targets, &[]);
    assert_eq!((run.count("fetched"), run.count("failed")), (4, 5), "{}", run.stderr);
    let (store, errors) = (store(&folder), errors(&folder));
    for name in good {
        let entry = entry(&store, Kind::AdsTxt, &format!("{name}.example"));
        assert_eq!(store.body(&entry).unwrap(), GOOD.as_bytes(), "{name}");
    }
    for (name, error) in bad {
        assert_eq!(entry(&store, Kind::AdsTxt, &format!("{name}.example")).status, Status::Unavailable);
        assert_eq!(errors[&format!("{name}.example")], error);
    }
}

#[test]
fn private_addresses_are_asked_only_if_the_operator_says_so() {
    let folder = Folder::new("fetch");
    let port = Arc::new(AtomicUsize::new(0));
    let known = port.clone();
    let web = Web::start(None, move |request, out| match &*request.host {
        "127.0.0.1" => text(out, GOOD),
        _ => {
            let location = format!("location: http://127.0.0.1:{}/ads.txt\r\n", known.load(Ordering::Relaxed));
            reply(out, 302, &location, b"")
        }
    });
    port.store(usize::from(web.address.port()), Ordering::Relaxed);
    assert_eq!(fetch(&folder, &web, "site a.example", &[]).count("failed"), 1);
    assert!(web.take_seen().iter().all(|request| request.host == "a.example"));
    assert_eq!(fetch(&folder, &web, "site a.example", &["--force", "--allow-private"]).count("fetched"), 1);
}

#[test]
fn a_copy_is_asked_for_only_if_it_changed() {
    let folder = Folder::new("fetch");
    let (web, phase) = phases(
        |_, out| {
            let headers =
                "content-type: text/plain\r\netag: \"one\"\r\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
            reply(out, 200, &format!("{headers}cache-control: max-age=86400\r\n"), GOOD.as_bytes())
        },
        |request, out| {
            assert_eq!(request.headers["if-none-match"], "\"one\"");
            assert_eq!(request.headers["if-modified-since"], "Sun, 06 Nov 1994 08:49:37 GMT");
            write!(out, "HTTP/1.1 304 X\r\ncache-control: max-age=259200\r\nconnection: close\r\n\r\n")
        },
    );
    assert_eq!(fetch(&folder, &web, "site a.example", &[]).count("fetched"), 1);
    let first = entry(&store(&folder), Kind::AdsTxt, "a.example");
    assert_eq!(first.expires.0 - first.fetched.0, DAY);
    assert!(web.take_seen().iter().all(|request| !request.headers.contains_key("if-none-match")));
    assert_eq!(fetch(&folder, &web, "site a.example", &[]).count("unchanged"), 1);
    phase.store(1, Ordering::Relaxed);
    let run = fetch(&folder, &web, "site a.example", &[]);
    assert_eq!((run.code, run.count("not_modified"), run.report["bytes"].as_u64()), (Some(0), 1, Some(0)));
    let store = store(&folder);
    let renewed = entry(&store, Kind::AdsTxt, "a.example");
    assert!(renewed.fetched > first.fetched);
    assert_eq!(renewed.expires.0 - renewed.fetched.0, 3 * DAY);
    assert_eq!(store.body(&renewed).unwrap(), GOOD.as_bytes());
    // A copy that is gone is not asked for on conditions.
    fs::remove_dir_all(folder.path("out").join("bodies")).unwrap();
    phase.store(0, Ordering::Relaxed);
    web.take_seen();
    assert_eq!(fetch(&folder, &web, "site a.example", &[]).count("fetched"), 1);
    assert!(web.take_seen().iter().all(|request| !request.headers.contains_key("if-none-match")));
    // What was just got is left alone where that is asked for.
    assert_eq!(fetch(&folder, &web, "site a.example", &["--fresh", "1h"]).count("fresh"), 1);
    assert!(web.take_seen().is_empty());
}

#[test]
fn a_304_that_nobody_asked_for_is_no_answer() {
    let folder = Folder::new("fetch");
    let web = Web::start(None, |_, out| write!(out, "HTTP/1.1 304 X\r\nconnection: close\r\n\r\n"));
    assert_eq!(fetch(&folder, &web, "site a.example", &[]).count("failed"), 1);
}

#[test]
fn a_host_that_fails_is_left_alone_for_a_while() {
    let folder = Folder::new("fetch");
    let web = Web::start(None, |request, out| match &*request.host {
        "later.example" => reply(out, 429, "retry-after: 7200\r\n", b""),
        "never.example" => reply(out, 503, "retry-after: 99999999\r\n", b""),
        _ => reply(out, 500, "", b""),
    });
    let targets = "site a.example\nsite later.example\nseller later.example\nsite never.example";
    assert_eq!(fetch(&folder, &web, targets, &[]).count("failed"), 4);
    // A host that says when to come back is not asked for its other file before.
    assert_eq!(web.take_seen().iter().filter(|request| request.host == "later.example").count(), 1);
    let wait = |domain: &str| {
        let entry = entry(&store(&folder), Kind::AdsTxt, domain);
        (entry.retry.0 - entry.wanted.0) / 1000
    };
    assert!((900..=1800).contains(&wait("a.example")), "{}", wait("a.example"));
    assert_eq!(wait("later.example"), 7200);
    assert_eq!(wait("never.example"), 24 * 3600);
    let run = fetch(&folder, &web, targets, &[]);
    assert_eq!((run.code, run.count("delayed")), (Some(1), 4));
    assert!(web.take_seen().is_empty());
    assert_eq!(fetch(&folder, &web, targets, &["--force"]).count("failed"), 4);
    assert!((1800..=3600).contains(&wait("a.example")), "{}", wait("a.example"));
}

#[test]
fn files_that_a_file_names_are_fetched_too() {
    let folder = Folder::new("fetch");
    let web = Web::start(None, |request, out| match (&*request.host, &*request.path) {
        ("pub.example", "/ads.txt") => {
            let mut lines = String::from("subdomain=m.pub.example\nSubdomain=other.example\n");
            lines += "inventorypartnerdomain=Partner.example\n";
            // A file of a public suffix would stand above everybody's.
            lines += "inventorypartnerdomain=co.uk\ninventorypartnerdomain=com\n";
            text(out, &lines)
        }
        ("m.pub.example", "/ads.txt") => {
            text(out, "subdomain=n.pub.example\nsubdomain=x.m.pub.example\ninventorypartnerdomain=second.example")
        }
        ("partner.example", "/ads.txt") => {
            text(out, "subdomain=m.partner.example\ninventorypartnerdomain=third.example")
        }
        ("second.example", "/ads.txt") => text(out, GOOD),
        ("games.dev.example" | "no.dev.example", "/app-ads.txt") => reply(out, 404, "", b""),
        ("dev.example", "/app-ads.txt") => text(out, "subdomain=z.dev.example\ninventorypartnerdomain=fourth.example"),
        ("fourth.example", "/ads.txt") => text(out, "inventorypartnerdomain=fifth.example"),
        ("own.dev.example", "/app-ads.txt") => text(out, GOOD),
        other => panic!("{other:?}"),
    });
    let targets = "site www.pub.example\napp com.games https://www.games.dev.example/about\napp com.own own.dev.example\n\
                   app com.root https://m.dev.example";
    let run = fetch(&folder, &web, targets, &[]);
    assert_eq!((run.count("fetched"), run.count("absent"), run.count("failed")), (7, 1, 0), "{}", run.stderr);
    let store = store(&folder);
    let apps: Vec<_> = store.apps().collect();
    assert_eq!(apps, [("com.games", "dev.example"), ("com.own", "own.dev.example"), ("com.root", "dev.example")]);
    // They are fetched again although the file that names them is not; only m.pub.example says now that it has no partner.
    let again = Web::start(None, |request, out| match &*request.host {
        "pub.example" | "dev.example" => reply(out, 500, "", b""),
        _ => text(out, GOOD),
    });
    let run = fetch(&folder, &again, targets, &[]);
    assert_eq!((run.count("kept"), run.report["files"].as_u64()), (2, Some(7)), "{}", run.report);
}

#[test]
fn what_one_publisher_can_make_us_fetch_is_bounded() {
    let folder = Folder::new("fetch");
    let web = Web::start(None, |request, out| {
        let name = request.host.strip_suffix(".example").unwrap().replace('.', "-");
        let lines =
            (0..300).map(|line| format!("subdomain=s{line}.a.example\ninventorypartnerdomain={name}-{line}.example\n"));
        text(out, &lines.collect::<String>())
    });
    let run = fetch(&folder, &web, "site a.example", &[]);
    assert_eq!(run.report["files"], 201, "{}", run.report);
}

#[test]
fn a_host_is_asked_for_one_file_at_a_time() {
    let folder = Folder::new("fetch");
    let web = Web::start(None, |request, out| {
        std::thread::sleep(Duration::from_millis(20));
        match &*request.host {
            "third.example" => text(out, GOOD),
            _ => reply(out, 302, "location: http://third.example/all\r\n", b""),
        }
    });
    let targets: String = (0..30).map(|site| format!("site s{site}.example\n")).collect();
    assert_eq!(fetch(&folder, &web, &targets, &["--concurrency", "16"]).count("fetched"), 30);
    assert_eq!(web.most_at_once("third.example"), 1);
}

#[test]
fn a_gigabyte_is_cut_off_in_bounded_memory() {
    let folder = Folder::new("fetch");
    let web = Web::start(None, |_, out| gigabyte(out, "application/json", b"          "));
    folder.write("targets", "seller ssp.example");
    let resolve = format!("*={}", web.address);
    let mut child = corebid()
        .args(["supply", "fetch", "--json", "--resolve", &resolve, "--bandwidth", "100000", "--timeout", "60"])
        .args(["--targets", &folder.text("targets"), "--out", &folder.text("out")])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(peak_memory(child.id()));
        std::thread::sleep(Duration::from_millis(5));
    }
    let report: Value = serde_json::from_reader(child.stdout.take().unwrap()).unwrap();
    assert_eq!(report["outcomes"]["failed"], 1);
    assert!(errors(&folder)["ssp.example"].contains("larger than 536870912 bytes"), "{:?}", errors(&folder));
    let bytes = report["bytes"].as_u64().unwrap();
    assert!((512 << 20..513 << 20).contains(&bytes), "{bytes} bytes taken of a gigabyte");
    assert!((1..100 << 10).contains(&peak), "{peak} KiB at the most");
    assert_eq!(fs::read_dir(folder.path("out").join("bodies")).unwrap().count(), 0);
}

/// VmHWM, KiB; 0 of a process that has ended.
fn peak_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn tls_is_used_where_there_is_any() {
    let folder = Folder::new("fetch");
    let tls = Tls::new(&["good.example"]);
    let ca = folder.write("ca.pem", &tls.pem);
    let ca = ca.to_str().unwrap();
    let web = Web::start(Some(&tls), |request, out| {
        text(out, if request.secure { "a.example, tls, DIRECT" } else { "a.example, plain, DIRECT" })
    });
    let targets = "site good.example\nsite bad.example";
    let run = fetch(&folder, &web, targets, &["--ca", ca]);
    assert_eq!(run.count("fetched"), 2, "{}", run.stderr);
    let copies = store(&folder);
    let (good, bad) = (entry(&copies, Kind::AdsTxt, "good.example"), entry(&copies, Kind::AdsTxt, "bad.example"));
    assert_eq!((good.secure, copies.body(&good).unwrap()), (true, b"a.example, tls, DIRECT".to_vec()));
    // Its certificate is for another name: the specification prefers TLS, and does not insist.
    assert_eq!((bad.secure, copies.body(&bad).unwrap()), (false, b"a.example, plain, DIRECT".to_vec()));
    // While a copy that came over TLS is alive, whoever breaks TLS on the way cannot replace it.
    let run = fetch(&folder, &web, targets, &[]);
    assert_eq!((run.count("kept"), run.count("unchanged")), (1, 1), "{}", run.report);
    let copies = store(&folder);
    let good = entry(&copies, Kind::AdsTxt, "good.example");
    assert_eq!(copies.body(&good).unwrap(), b"a.example, tls, DIRECT");
}

#[test]
fn a_kill_at_any_time_leaves_a_folder_that_can_be_read() {
    let folder = Folder::new("fetch");
    let web = Web::start(None, |request, out| {
        // A body of its own for each host, in pieces.
        let line = format!("ssp.example, {}, DIRECT\n", request.host);
        let length = 200 * line.len();
        write!(out, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n")?;
        (0..200).try_for_each(|_| out.write_all(line.as_bytes()))
    });
    let targets: String = (0..3000).map(|site| format!("site s{site}.example\n")).collect();
    folder.write("targets", &targets);
    let resolve = format!("*={}", web.address);
    let mut had: HashSet<String> = HashSet::new();
    for kill in 0..8 {
        let mut child = corebid()
            .args(["supply", "fetch", "--resolve", &resolve, "--fresh", "1h"])
            .args(["--targets", &folder.text("targets"), "--out", &folder.text("out")])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Not at its start, and never at the same place.
        let state = folder.path("out").join("state.ndjson");
        // A file that is fresh has a line too.
        let files = |path: &Path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            text.lines().filter_map(|line| line.split('"').nth(7)).collect::<HashSet<_>>().len()
        };
        let enough = had.len() + 40 + 13 * kill;
        support::eventually("some files", || (files(&state) > enough).then_some(()));
        child.kill().unwrap();
        child.wait().unwrap();
        let store = store(&folder);
        let good: Vec<_> = store.entries().filter(|entry| entry.status == Status::Good).collect();
        for entry in &good {
            let line = format!("ssp.example, {}, DIRECT\n", entry.domain);
            assert_eq!(store.body(entry).unwrap(), line.repeat(200).as_bytes());
        }
        // What was there before the kill is neither lost nor fetched again.
        let now: HashSet<String> = good.iter().map(|entry| entry.domain.clone()).collect();
        assert!(now.is_superset(&had) && now.len() > had.len());
        let again = web.take_seen().into_iter().filter(|request| had.contains(&request.host)).count();
        assert_eq!(again, 0, "fetched again after kill {kill}");
        had = now;
    }
}

#[test]
fn bad_usage_is_told_in_one_line() {
    let folder = Folder::new("fetch");
    let web = Web::start(None, |_, out| text(out, GOOD));
    for (targets, more, wanted) in [
        ("site a.example\nsight b.example", &[][..], "targets:2: "),
        ("# nothing\n", &[], "no targets"),
        ("site a.example", &["--every", "soon"], "--every"),
        ("site a.example", &["--every", "0s"], "1m to 168h"),
        ("site a.example", &["--contact", "a\nb"], "--contact"),
        ("site a.example", &["--resolve", "a.example"], "--resolve"),
        ("site a.example", &["--ca", "/nowhere.pem"], "/nowhere.pem"),
    ] {
        let run = fetch(&folder, &web, targets, more);
        assert_eq!(run.code, Some(2), "{wanted}");
        assert!(run.stderr.contains(wanted), "{}", run.stderr);
    }
    assert!(web.take_seen().is_empty());
}

#[test]
fn a_crawler_between_its_rounds_keeps_others_off() {
    let folder = Folder::new("fetch");
    let web = Web::start(None, |_, out| text(out, GOOD));
    folder.write("targets", "site a.example");
    let resolve = format!("*={}", web.address);
    let mut child = corebid()
        .args(["supply", "fetch", "--resolve", &resolve, "--every", "1h", "--build", &folder.text("supply.bin")])
        .args(["--targets", &folder.text("targets"), "--out", &folder.text("out")])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    support::eventually("a table", || folder.path("supply.bin").exists().then_some(()));
    let run = fetch(&folder, &web, "site b.example", &[]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("another crawler writes to it"), "{}", run.stderr);
    assert!(child.try_wait().unwrap().is_none(), "it goes on");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// How many files the table has, as it says itself.
fn table(folder: &Folder) -> u64 {
    Supply::load(&folder.path("supply.bin")).unwrap().counts().files
}

#[test]
fn a_round_ends_with_a_table_of_all_that_is_in_hand() {
    let folder = Folder::new("fetch");
    let (web, phase) = phases(|_, out| text(out, GOOD), |_, out| reply(out, 500, "", b""));
    let blocked = folder.write("blocked.txt", "bad.example # they know why\nssp.example 9\n");
    let (blocked, place) = (blocked.to_str().unwrap(), folder.text("supply.bin"));
    let build = ["--build", &place, "--blocked", blocked];
    let run = fetch(&folder, &web, "site a.example\nsite b.example", &build);
    assert_eq!((run.code, run.count("fetched"), table(&folder)), (Some(0), 2, 2), "{}", run.stderr);
    assert_eq!((&run.report["table"]["domains"], &run.report["table"]["blocked"]), (&json!(2), &json!(2)));
    // One file more, and those of before that cannot be had now.
    phase.store(1, Ordering::Relaxed);
    let more = Web::start(None, |request, out| match &*request.host {
        "c.example" => reply(out, 404, "", b""),
        _ => reply(out, 500, "", b""),
    });
    let run = fetch(&folder, &more, "site a.example\nsite b.example\nsite c.example", &build);
    assert_eq!((run.code, run.count("kept"), table(&folder)), (Some(0), 2, 3), "{}", run.stderr);
    // Nothing could be asked, and whom to block is read all the same.
    folder.write("blocked.txt", "bad.example\n");
    let run = fetch(&folder, &web, "site a.example\nsite b.example\nsite c.example", &build);
    assert_eq!((run.code, &run.report["table"]["blocked"]), (Some(1), &json!(1)), "{}", run.report);
    // Of a folder with nothing in it no table is made, and the one that is there stays.
    fs::remove_dir_all(folder.path("out")).unwrap();
    let run = fetch(&folder, &web, "site a.example", &build);
    assert_eq!((run.code, run.report.get("table"), table(&folder)), (Some(1), None, 3), "{}", run.stderr);
    assert!(run.stderr.contains("stays what it was"), "{}", run.stderr);
    // What would be refused after the round is refused before it.
    web.take_seen();
    folder.write("blocked.txt", "one two three\n");
    for (more, wanted) in [
        (&build[..], "blocked.txt:1: "),
        (&["--build", "/nowhere/supply.bin"], "/nowhere"),
        (&["--blocked", blocked], "--build"),
    ] {
        let run = fetch(&folder, &web, "site a.example", more);
        assert_eq!(run.code, Some(2), "{wanted}");
        assert!(run.stderr.contains(wanted), "{}", run.stderr);
    }
    assert!(web.take_seen().is_empty());
    let left = fs::read_dir(folder.path("")).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let known = ["targets", "out", "supply.bin", "blocked.txt"];
    assert!(left.into_iter().all(|name| known.contains(&&*name)), "something is left beside the table");
}
