//! `load` against servers that answer by a script: what it counts must be what they did.

mod scripted;
mod support;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use corebid::lab::capacity::{self, Shows};
use corebid::lab::load::{self, Error, Live, Options, Source};
use corebid::lab::recording::{RecordedRequest, Recording};
use corebid::lab::report::Report;
use corebid::topology::Topology;
use scripted::{Reply, Server};
use support::Folder;

/// Generators spin: one at a time, or they measure each other.
fn run(options: &Options) -> Result<Report, Error> {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    load::run(options)
}

fn options(server: &Server) -> Options {
    Options { url: server.url("/openrtb/generic"), rate: 400, seconds: 0.5, connections: 4, ..Options::default() }
}

const NO_BID: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const SHED: &str = "HTTP/1.1 204 No Content\r\nx-nobid-reason: shed\r\n\r\n";
const BID: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"seatbid\":0}";
const BAD: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";

#[test]
fn every_answer_is_counted_by_what_it_says() {
    let server = Server::start(|index, _| Reply::text([NO_BID, SHED, BID, BAD][index as usize % 4]));
    let report = run(&options(&server)).expect("a report");
    assert_eq!((report.sent, report.answered, report.unanswered, report.unsent), (200, 200, 0, 0));
    assert_eq!(
        report.status.iter().map(|(status, count)| (*status, *count)).collect::<Vec<_>>(),
        [(200, 50), (204, 100), (400, 50)]
    );
    assert_eq!(report.shed, 50);
    assert_eq!(server.requests(), 200);
    let json = serde_json::to_value(&report).expect("JSON");
    let keys = "sent answered unanswered shed late achieved_rate send_lag_p99 p50 p90 p99 p999 p9999 max";
    for key in keys.split(' ') {
        assert!(json[key].is_number(), "{key}");
    }
    assert_eq!(json["status"]["204"], 100);
    assert!(report.p50 <= report.p90 && report.p90 <= report.p99 && report.p99 <= report.max);
}

#[test]
fn requests_are_whole_and_from_the_corpus() {
    let path = std::env::temp_dir().join(format!("corebid-load-{}.ndjson", std::process::id()));
    std::fs::write(&path, "{\"id\":\"a\"}\n\n{\"id\":\"bc\"}\n").expect("a corpus");
    let server = Server::start(|index, request| {
        let body = if index.is_multiple_of(2) { "{\"id\":\"a\"}" } else { "{\"id\":\"bc\"}" };
        let right = request.body == body.as_bytes()
            && request.head.starts_with("POST /openrtb/generic HTTP/1.1\r\n")
            && request.header("content-type") == Some("application/json")
            && request.header("x-openrtb-version").is_some()
            && request.header("x-debug") == Some("1");
        Reply::text(if right { NO_BID } else { BAD })
    });
    // One connection, so that the server sees the requests in the order of the corpus.
    let report = run(&Options { source: Source::file(&path), connections: 1, ..options(&server) }).expect("a report");
    std::fs::remove_file(path).expect("removed");
    assert_eq!((report.status.get(&204), report.status.len()), (Some(&200), 1));
}

/// The server stops once for a while. A closed loop would see one slow request; all requests that fell due meanwhile
/// waited, and must show it.
#[test]
fn a_stall_is_seen_by_every_request_that_fell_due_in_it() {
    let stalled = AtomicBool::new(false);
    let server = Server::start(move |index, _| {
        let stall = index >= 20 && !stalled.swap(true, Ordering::Relaxed);
        Reply::text(NO_BID).after(Duration::from_millis(if stall { 300 } else { 0 }))
    });
    let report = run(&Options { connections: 1, ..options(&server) }).expect("a report");
    // On a machine too busy to catch up some were never sent; they waited too.
    assert_eq!((report.answered + report.unsent, report.unanswered), (200, 0), "{report:?}");
    // 300 ms at 400 a second: 120 requests fell due, and all but the last three waited longer than 8 ms.
    assert!(report.late + report.unsent >= 110, "{report:?}");
    assert!(report.p50 > 8_000.0 && report.max >= 299_000.0, "{report:?}");
}

#[test]
fn silence_is_unanswered_and_counts_with_the_time_waited() {
    let server = Server::start(|index, _| if index == 0 { Reply::Silence } else { Reply::text(NO_BID) });
    let report = run(&Options { connections: 2, ..options(&server) }).expect("a report");
    assert_eq!((report.sent, report.answered, report.unanswered), (200, 199, 1));
    assert!(report.max > 1_000_000.0, "it had waited for the whole run and a second: {report:?}");

    let server = Server::start(|_, _| Reply::Silence);
    let report = run(&options(&server)).expect("a report");
    assert_eq!((report.sent, report.answered, report.unanswered, report.unsent), (4, 0, 4, 196));
    assert!(report.p50 > 1_000_000.0, "{report:?}");
}

/// More is asked for than the server can do: what was sent is answered, the rest is never sent, and all of it counts.
#[test]
fn a_surge_waits_for_connections_and_is_not_hidden() {
    let server = Server::start(|_, _| Reply::text(NO_BID).after(Duration::from_millis(10)));
    let report = run(&Options { rate: 2000, connections: 2, ..options(&server) }).expect("a report");
    assert_eq!((report.sent, report.sent + report.unsent), (report.answered, 1000));
    assert!(report.unsent > 850, "two connections and 10 ms leave at most 120: {report:?}");
    assert!(report.p50 > 100_000.0 && report.achieved_rate <= 201.0, "{report:?}");
}

/// The same from an exchange whose patience is over after 5 ms: it sends what is fresh, and nobody waits in a queue that it keeps.
#[test]
fn what_cannot_be_sent_in_time_is_given_up() {
    let server = Server::start(|_, _| Reply::text(NO_BID).after(Duration::from_millis(10)));
    let options = Options { rate: 2000, connections: 2, give_up_ms: Some(5.0), ..options(&server) };
    let report = run(&options).expect("a report");
    assert_eq!((report.sent, report.sent + report.unsent), (report.answered, 1000));
    assert!(report.unsent > 850 && report.sent > 10, "{report:?}");
    assert!(report.p50 < 100_000.0, "half a second of waiting is not in it: {report:?}");
    assert_eq!(report.in_time, 0, "each is answered after 10 ms");
    assert!(matches!(run(&Options { saturate: true, ..options }), Err(Error::Option("give-up", _))));
}

#[test]
fn in_time_is_what_was_decided_and_not_what_was_turned_away() {
    let stalled = SHED.replace("shed", "stalled");
    let server = Server::start(move |index, _| Reply::text([NO_BID, SHED, BID, BAD, &stalled][index as usize % 5]));
    let report = run(&options(&server)).expect("a report");
    assert_eq!((report.shed, report.stalled), (40, 40));
    assert!(report.in_time > 0 && report.in_time <= 80, "the bids and the plain 204s: {report:?}");
}

#[test]
fn a_run_can_be_watched_and_ended() {
    let server = Server::start(|_, _| Reply::text(BID));
    let live = Arc::new(Live::default());
    let options = Options { seconds: 600.0, live: Some(live.clone()), ..options(&server) };
    let report = std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&options).expect("a report"));
        while live.answered.load(Ordering::Relaxed) < 20 {
            std::thread::yield_now();
        }
        live.stop.store(true, Ordering::Relaxed);
        running.join().expect("no panic")
    });
    assert!(report.sent >= 20 && report.sent < 100_000, "{report:?}");
    assert_eq!((report.unanswered, report.unsent), (0, 0), "what is not due any more was not left out: {report:?}");
    let counts =
        [&live.sent, &live.answered, &live.bids, &live.shed, &live.lost].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(counts, [report.sent, report.answered, report.answered, 0, 0]);
}

#[test]
fn broken_connections_are_counted_and_opened_again() {
    let server = Server::start(|index, _| match index {
        10 => Reply::Close,
        20 => Reply::text("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"),
        30 => Reply::text("what is this?\r\n\r\n"),
        _ => Reply::text(NO_BID),
    });
    let report = run(&options(&server)).expect("a report");
    assert_eq!((report.sent, report.answered, report.unanswered), (200, 198, 2), "{report:?}");
    assert_eq!((report.faults.reset, report.faults.closed, report.faults.unreadable), (1, 1, 1));
    assert_eq!(server.connections(), 7);
}

#[test]
fn a_connection_closed_between_requests_is_not_used_again() {
    let server = Server::start(|index, _| match index {
        10 => Reply::Last(NO_BID.into()),
        _ => Reply::text(NO_BID),
    });
    let report = run(&options(&server)).expect("a report");
    // The next request may have been on its way already.
    assert_eq!((report.sent, report.answered + report.unanswered), (200, 200), "{report:?}");
    assert_eq!((report.faults.closed + report.faults.reset, report.unanswered), (1, report.faults.reset), "{report:?}");
    assert_eq!(server.connections(), 5);
}

#[test]
fn answers_in_pieces_and_pipelines_are_put_together() {
    let server = Server::start(|index, _| match index % 2 {
        0 => Reply::text(BID).in_pieces(),
        _ => Reply::text(NO_BID),
    });
    let report = run(&Options { pipeline: 8, connections: 2, ..options(&server) }).expect("a report");
    assert_eq!((report.sent, report.answered, report.unanswered), (200, 200, 0));
    assert_eq!((report.status[&200], report.status[&204]), (100, 100));
}

#[test]
fn saturating_keeps_every_connection_at_work() {
    let server = Server::start(|_, _| Reply::text(NO_BID));
    let report = run(&Options { saturate: true, ..options(&server) }).expect("a report");
    assert!(report.sent > 4, "{report:?}");
    assert_eq!((report.answered, report.unanswered, report.unsent, report.saturated), (report.sent, 0, 0, true));
    assert_eq!(report.answered, server.requests());
}

#[test]
fn what_cannot_be_run_is_refused_with_a_reason() {
    let refused = |options: Options| match run(&options) {
        Ok(report) => panic!("{report:?}"),
        Err(error) => (error.to_string(), error),
    };
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let url = format!("http://{dead}/openrtb/generic");
    let valid = Options { url, ..Options::default() };
    let (text, error) = refused(valid.clone());
    assert!(matches!(error, Error::Connect(..)) && text.contains(&dead.to_string()), "{text}");
    assert!(matches!(refused(Options { url: "ftp://x/".into(), ..valid.clone() }).1, Error::Target(_)));
    assert!(matches!(refused(Options { rate: 0, ..valid.clone() }).1, Error::Option("rate", _)));
    assert!(matches!(refused(Options { seconds: f64::NAN, ..valid.clone() }).1, Error::Option("seconds", _)));
    assert!(matches!(refused(Options { source: Source::file("/nonexistent"), ..valid }).1, Error::Corpus(..)));
    let server = Server::start(|_, _| Reply::text(NO_BID));
    assert!(matches!(refused(Options { core: Some(4000), ..options(&server) }).1, Error::Pin(4000)));
}

#[test]
fn the_log_is_written() {
    let server = Server::start(|_, _| Reply::text(NO_BID));
    let path = std::env::temp_dir().join(format!("corebid-load-{}.hlog", std::process::id()));
    run(&Options { hdr: Some(path.clone()), ..options(&server) }).expect("a report");
    let text = std::fs::read_to_string(&path).expect("a log");
    std::fs::remove_file(path).expect("removed");
    // The base64 of a V2 deflate histogram begins with its cookie.
    assert!(text.contains("StartTime") && text.lines().any(|line| line.contains(",HISTFAAAA")), "{text}");
}

/// HdrHistogram's own log processor, in Java, reads the log and finds the percentiles that the report says.
#[test]
fn the_tools_of_hdrhistogram_find_the_same_percentiles_in_the_log() {
    let jars = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/hdrhistogram/lib");
    let Ok(jars) = std::fs::read_dir(&jars) else {
        return eprintln!("skipped: {} is not there; scripts/test fetches it", jars.display());
    };
    let jar = jars.map(|entry| entry.expect("an entry").path()).next().expect("a library");
    let folder = Folder::new("hlog");
    let log = folder.path("a.hlog");
    let server = Server::start(|index, _| Reply::text(NO_BID).after(Duration::from_micros(index % 97 * 100)));
    let run = run(&Options { hdr: Some(log.clone()), seconds: 2.2, connections: 16, ..options(&server) });
    let report = run.expect("a report");
    let made = Command::new("java")
        .arg("-cp")
        .arg(jar)
        .args(["org.HdrHistogram.HistogramLogProcessor", "-outputValueUnitRatio", "1000", "-i"])
        .arg(&log)
        .arg("-o")
        .arg(folder.path("out"))
        .status();
    assert!(made.expect("Java").success());
    // The last line of intervals has all of the run: `T:COUNT ( 50% 90% 99% 99.9% 99.99% Max )`.
    let text = std::fs::read_to_string(folder.path("out")).expect("percentiles");
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("I:")).collect();
    assert_eq!(lines.len(), 3, "an interval for each second: {text}");
    let (count, values) = lines[2].split_once("T:").and_then(|(_, total)| total.split_once(" ( ")).expect("totals");
    let values: Vec<f64> = values.split_whitespace().filter_map(|value| value.parse().ok()).collect();
    assert_eq!(count.parse::<u64>().expect("a count"), report.answered);
    let ours = [report.p50, report.p90, report.p99, report.p999, report.p9999, report.max];
    assert_eq!(values.len(), ours.len(), "{text}");
    for (theirs, ours) in values.iter().zip(ours) {
        assert!((theirs - ours).abs() <= 0.051, "{values:?} {ours:?}: rounding to a tenth is all that may differ");
    }
}

/// A run of which nothing was left unsent: a machine too busy to catch up gets another try.
fn whole(options: &Options, seen: &Mutex<Vec<String>>) -> Report {
    for _ in 0..10 {
        seen.lock().expect("notes").clear();
        let report = run(options).expect("a report");
        if report.unsent == 0 {
            return report;
        }
    }
    panic!("ten runs of half a second, and none of them whole");
}

/// A corpus whose requests say their own number.
fn numbered(folder: &Folder, name: &str, count: u32) -> std::path::PathBuf {
    folder.write(name, (0..count).map(|index| format!("{{\"id\":\"{name}-{index}\"}}\n")).collect::<String>())
}

/// What a server is asked, by the `id` of each request.
fn noting(answer: impl Fn(&str) -> &'static str + Send + Sync + 'static) -> (Server, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = seen.clone();
    let server = Server::start(move |_, request| {
        let text = String::from_utf8_lossy(&request.body);
        let id = text.split('"').nth(3).unwrap_or("").to_owned();
        let reply = Reply::text(answer(&id));
        notes.lock().expect("notes").push(id);
        reply
    });
    (server, seen)
}

#[test]
fn corpora_are_mixed_by_their_weights_and_each_is_sent_in_its_order() {
    let folder = Folder::new("corpora");
    let (server, seen) = noting(|_| NO_BID);
    let source = Source::Corpora(vec![(numbered(&folder, "a", 1000), 3), (numbered(&folder, "b", 20), 1)]);
    let mixed = |seed| {
        whole(&Options { source: source.clone(), connections: 1, seed, ..options(&server) }, &seen);
        std::mem::take(&mut *seen.lock().expect("notes"))
    };
    let first = mixed(1);
    let of = |name: &str| first.iter().filter(|id| id.starts_with(name)).cloned().collect::<Vec<_>>();
    assert_eq!((of("a").len(), of("b").len()), (150, 50));
    assert_eq!(of("a"), (0..150).map(|index| format!("a-{index}")).collect::<Vec<_>>());
    assert_eq!(of("b"), (0..50).map(|index| format!("b-{}", index % 20)).collect::<Vec<_>>());
    assert_eq!(mixed(1), first, "the seed says the order");
    assert!((2..9).any(|seed| mixed(seed) != first));
}

#[test]
fn what_is_sent_to_warm_up_is_in_no_figure() {
    let folder = Folder::new("warm");
    // The first 100 are the warm-up, by their number and not by when they came.
    let (server, seen) = noting(|id| match id.rsplit('-').next().and_then(|number| number.parse::<u32>().ok()) {
        Some(number) if number >= 100 => NO_BID,
        _ => SHED,
    });
    let source = Source::file(numbered(&folder, "w", 300));
    let report = whole(&Options { source, warm_up: 0.25, ..options(&server) }, &seen);
    assert_eq!(seen.lock().expect("notes").len(), 300);
    assert_eq!((report.sent, report.answered, report.shed, report.unsent), (200, 200, 0, 0), "{report:?}");
    assert_eq!((report.status.get(&204), report.measured.latency.len()), (Some(&200), 200));
    assert_eq!(report.measured.lag.len(), 200);
    assert!(report.achieved_rate <= 401.0, "{report:?}");
}

#[test]
fn generators_on_several_cores_send_one_schedule_and_add_up() {
    let cores: Vec<usize> = Topology::allowed().into_iter().take(2).collect();
    let &[_, _] = cores.as_slice() else { return eprintln!("skipped: this needs two CPUs") };
    let folder = Folder::new("cores");
    let (server, seen) = noting(|_| NO_BID);
    let source = Source::file(numbered(&folder, "c", 200));
    let options =
        Options { source, cores: cores.clone(), connections: 5, hdr: Some(folder.path("a.hlog")), ..options(&server) };
    let report = whole(&options, &seen);
    assert_eq!((report.sent, report.answered, report.unsent), (200, 200, 0), "{report:?}");
    assert_eq!(
        report.generators.iter().map(|one| (one.core, one.sent)).collect::<Vec<_>>(),
        [(Some(cores[0]), 100), (Some(cores[1]), 100)]
    );
    assert_eq!(report.measured.latency.len(), 200, "histograms are added up, not averaged");
    assert_eq!(server.connections() % 5, 0, "they share the connections");
    let mut ids = std::mem::take(&mut *seen.lock().expect("notes"));
    ids.sort_by_key(|id| id[2..].parse::<u32>().expect("a number"));
    assert_eq!(ids, (0..200).map(|index| format!("c-{index}")).collect::<Vec<_>>(), "each once");
    assert!(matches!(load::run(&Options { cores: vec![cores[0]; 2], ..options }), Err(Error::Option("cores", _))));
}

#[test]
fn what_was_recorded_is_sent_as_it_came() {
    let recorded = |exchange: &str, gzip, version: Option<&str>, body: &str| RecordedRequest {
        exchange: exchange.into(),
        gzip,
        version: version.map(str::to_owned),
        body: body.into(),
    };
    let recording = Recording {
        offsets_ns: vec![0, 1_000_000, 1_000_000, 300_000_000],
        requests: vec![
            recorded("one", false, None, "{\"a\":1}"),
            recorded("two", false, Some("2.5"), "{\"b\":2}"),
            recorded("three", true, Some("2.6"), "{\"c\":3}"),
            recorded("one", false, None, "{\"d\":4}"),
        ],
    };
    let server = Server::start(|_, request| {
        let right = match request.path() {
            "/openrtb/one" => {
                request.header("x-openrtb-version").is_none()
                    && matches!(request.body.as_slice(), b"{\"a\":1}" | b"{\"d\":4}")
            }
            "/openrtb/two" => request.header("x-openrtb-version") == Some("2.5") && request.body == b"{\"b\":2}",
            "/openrtb/three" => {
                request.header("content-encoding") == Some("gzip") && request.body.starts_with(&[0x1f, 0x8b])
            }
            _ => false,
        };
        Reply::text(if right { NO_BID } else { BAD })
    });
    let source = Source::Recorded(Arc::new(recording));
    let report = run(&Options { source: source.clone(), rate: 0, ..options(&server) }).expect("a report");
    assert_eq!((report.status.get(&204), report.status.len(), report.sent), (Some(&4), 1, 4), "{report:?}");
    assert_eq!((report.arrivals.as_str(), report.unsent), ("recorded", 0));
    assert!(
        (report.seconds - 0.3).abs() < 1e-6 && report.achieved_rate <= 14.0,
        "not sent before its time: {report:?}"
    );
    let warm = run(&Options { source, warm_up: 0.1, ..options(&server) }).expect("a report");
    assert_eq!(warm.sent, 1);
}

/// Four connections and 10 ms for each answer are 400 a second at most, however fast the machine is.
#[test]
fn a_capacity_is_never_more_than_the_server_can_do() {
    let server = Server::start(|_, _| Reply::text(NO_BID).after(Duration::from_millis(10)));
    let options = Options { rate: 100, seconds: 0.6, ..options(&server) };
    let found = capacity::find(&options, 30_000.0, |_| {}).expect("steps");
    assert!(found.held_once.unwrap_or(0) <= 410, "{found:?}");
    assert!(found.steps.iter().all(|step| step.rate <= 420 || step.shows != Shows::Holds), "{found:?}");
    assert!(found.capacity.is_none() || found.capacity <= found.held_once, "{found:?}");
    assert!(matches!(capacity::find(&options, f64::NAN, |_| {}), Err(Error::Option("find-capacity", _))));
}

#[test]
fn the_command_prints_and_draws_what_was_measured() {
    let folder = Folder::new("command");
    let server = Server::start(|_, _| Reply::text(NO_BID));
    let (url, plot) = (server.url("/openrtb/generic"), folder.text("a.svg"));
    let load = |more: &[&str]| {
        let usual = ["load", "--url", &url, "--seconds", "0.2", "--connections", "4"];
        support::process::run(&[&usual[..], more].concat())
    };
    let (code, out, err) = load(&["--rate", "500", "--arrivals", "poisson", "--plot", &plot, "--json"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let json: serde_json::Value = serde_json::from_str(&out).expect("one object");
    assert_eq!((&json["arrivals"], &json["seed"]), (&"poisson".into(), &1.into()));
    for key in "hiccup_p99 hiccup_max send_lag_max".split(' ') {
        assert!(json[key].is_number(), "{key}: {out}");
    }
    assert!(
        json["generators"][0]["on_cpu"].as_f64().is_some_and(|share| share > 0.05) && json["refused"].is_array(),
        "{out}"
    );
    let drawn = std::fs::read_to_string(&plot).expect("a plot");
    assert!(roxmltree::Document::parse(&drawn).is_ok() && drawn.contains(&url));
    let (code, out, _) = load(&["--ramp", "100..900", "--terminal"]);
    assert!(code == Some(0) && out.contains('┴') && out.contains(" 90 %"), "{out}");
    for wrong in [
        &["--rate", "0"][..],
        &[],
        &["--rate", "5", "--arrivals", "sometimes"],
        &["--rate", "5", "--arrivals", "burst:100@1"],
        &["--ramp", "5"],
        &["--rate", "5", "--ramp", "1..5"],
        &["--rate", "5", "--warm-up", "-1"],
        &["--rate", "5", "--cores", "4000"],
        &["--find-capacity", "2", "--saturate"],
    ] {
        assert_eq!(load(wrong).0, Some(2), "{wrong:?}");
    }
    let (code, _, err) = load(&["--rate", "5", "--corpus", "/nonexistent:2"]);
    assert!(code == Some(1) && err.lines().count() == 1 && err.contains("/nonexistent"), "{err}");
    let (code, out, err) = load(&["--find-capacity", "1us", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&out).expect("one object");
    assert!(code == Some(1) && err.lines().count() == 1 && found["capacity"].is_null(), "{out} {err}");
    assert!(found["steps"].as_array().is_some_and(|steps| steps.len() >= 7), "{out}");
}

/// Not a test: the figures of a run against `CAPACITY_URL`, at `CAPACITY_RATE` requests a second or saturated.
#[test]
#[ignore = "needs a server at CAPACITY_URL"]
fn capacity() {
    let variable = |name: &str| std::env::var(name).ok();
    let Some(url) = variable("CAPACITY_URL") else { return eprintln!("CAPACITY_URL is not set") };
    let number = |name: &str| variable(name).and_then(|text| text.parse::<u64>().ok());
    let rate = number("CAPACITY_RATE");
    let options = Options {
        url,
        rate: rate.unwrap_or(1),
        saturate: rate.is_none(),
        seconds: number("CAPACITY_SECONDS").unwrap_or(4) as f64,
        pipeline: number("CAPACITY_PIPELINE").unwrap_or(1) as usize,
        core: Some(0),
        ..Options::default()
    };
    println!("{}", run(&options).expect("a report"));
}
