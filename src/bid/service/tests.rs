use super::*;
use crate::bid::busy::BusyWork;
use crate::bid::{Process, Seed};
use crate::config::{Config, Exchange};
use crate::ring::{spsc, wake};
use crate::secrets::Key;
use crate::snapshot::data::{Data, Source};
use crate::units::{CoreId, ExchangeId, Incarnation, UnixMillis};
use crate::wire::http::{self, Parsed, Progress};

/// A bidder without a network: what it is asked comes as bytes, and what it answers is read.
struct Bench {
    bidder: Bidder,
    /// Their other ends must live.
    _ends: Box<dyn std::any::Any>,
    now: Now,
}

impl Bench {
    fn new(config: &Config) -> Bench {
        let data = Data::load(Source::demo(None), &Key([1; 32])).unwrap();
        let process = Process {
            incarnation: Incarnation(1),
            first_worker: 0,
            not_before: UnixMillis(0),
            base: "http://bid.example".to_owned(),
        };
        let seed = Seed::new(config, CoreId(0), process, &Key([2; 32]), &data).unwrap();
        let (events, event_receiver) = spsc::events();
        let (waker, wakeup) = wake::pair().unwrap();
        let (order_sender, orders) = spsc::orders(waker);
        let (snapshots, arriving) = spsc::boxes();
        let (retired, back) = spsc::boxes();
        let (stalls, told) = spsc::ring(8);
        let (capture_orders, ordered) = spsc::ring(limits::CAPTURE_ORDERS);
        let (copying, copies) = spsc::ring(limits::CAPTURE_RING);
        let tap = Tap::new(ordered, copying);
        let names = config.exchanges.iter().map(|exchange| exchange.name.as_str());
        let metrics: &'static CoreMetrics = Box::leak(Box::new(CoreMetrics::new(false).with_exchanges(names)));
        let health = Health { path: "/well".into(), ok: 299, not_ready: 418 };
        let fittings =
            Fittings { orders, arriving, retired, stores: None, stalls, tap, health, debug_header: true, busy_work: BusyWork::NONE };
        let bidder = Bidder::new(BidCore::new(seed, events, metrics), fittings);
        let ends = (event_receiver, wakeup, order_sender, snapshots, back, told, capture_orders, copies);
        Bench { bidder, _ends: Box::new(ends), now: crate::clock::now() }
    }

    /// The answer to a request that came so many ns ago, and the time until which it may be sent.
    fn ask(&mut self, bytes: &[u8], age: u64) -> String {
        let (mut scratch, mut progress) = (Vec::new(), Progress::default());
        let Parsed::Request { request, .. } = http::parse(bytes, &mut progress, &mut scratch) else {
            panic!("no request: {}", bytes.escape_ascii())
        };
        let mut out = vec![0; limits::ANSWER_BUFFER];
        let arrived = Nanos(self.now.boot.0 - age);
        let length = match self.bidder.request(self.now, arrived, Token(1), &request, &mut out) {
            Served::Done(length) | Served::Shed(length) | Served::Bid { length, .. } => length,
            Served::Parked => panic!("parked"),
        };
        String::from_utf8(out[..length].to_vec()).unwrap()
    }
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

fn bid(exchange: &str) -> Vec<u8> {
    let body = r#"{"id":"1","imp":[{"id":"1","banner":{"w":300,"h":250}}]}"#;
    let length = body.len();
    format!("POST /openrtb/{exchange} HTTP/1.1\r\nx-debug: 1\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn config() -> Config {
    Config::demo(std::path::Path::new("/nowhere"))
}

#[test]
fn health_is_a_lease_and_not_draining() {
    let mut bench = Bench::new(&config());
    assert_eq!(bench.ask(&get("/well"), 0), "HTTP/1.1 418 \r\nContent-Length: 0\r\n\r\n");
    bench.bidder.core.leases.renew(Nanos::NEVER);
    assert_eq!(bench.ask(&get("/well?x=1"), 0), "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n");
    bench.bidder.health.ok = 204;
    assert_eq!(bench.ask(&get("/well"), 0), "HTTP/1.1 204 \r\n\r\n");
    bench.bidder.draining = true;
    assert!(bench.ask(&get("/well"), 0).starts_with("HTTP/1.1 418 "));
    assert!(bench.ask(&get("/health"), 0).starts_with("HTTP/1.1 404 "));
}

#[test]
fn beyond_its_limit_an_exchange_hears_what_it_asked_for() {
    let mut config = config();
    for (name, over_quota) in [("quiet", OverQuota::NoBid), ("slows", OverQuota::TooMany)] {
        let mut exchange = Exchange::generic(name);
        (exchange.qps, exchange.rules.over_quota) = (Some(1), over_quota);
        config.exchanges.push(exchange);
    }
    let mut bench = Bench::new(&config);
    bench.bidder.core.leases.renew(Nanos::NEVER);
    // Before the first order a limit's share is nothing.
    assert_eq!(bench.ask(&bid("slows"), 0), "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(bench.ask(&bid("slows?x"), 0), "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(bench.ask(&bid("quiet"), 0), "HTTP/1.1 204 No Content\r\nx-nobid-reason: quota\r\n\r\n");
    assert!(bench.ask(&bid("generic"), 0).contains("x-nobid-reason: budget"), "no limit, and no money");
    assert_eq!(bench.bidder.metrics.nobid(NoBidReason::Quota).get(), 3);
}

#[test]
fn an_exchange_that_hears_too_late_is_given_up_sooner_and_others_are_not() {
    let mut config = config();
    config.exchanges.push(Exchange::generic("calm"));
    let mut bench = Bench::new(&config);
    bench.bidder.core.leases.renew(Nanos::NEVER);
    let second = |bench: &mut Bench, late: bool| {
        for count in 0..100 {
            bench.ask(&bid("generic"), 0);
            // One in a hundred of the others.
            if count == 0 {
                bench.ask(&bid("calm"), 0);
            }
        }
        bench.bidder.submitted(bench.now.boot.after(if late { 9 * Nanos::MS } else { 10_000 }));
        bench.now.boot = bench.now.boot.after(Nanos::SECOND);
        bench.bidder.turn(bench.now, &Counters::default(), &mut Vec::new());
    };
    (0..12).for_each(|_| second(&mut bench, true));
    let counts = bench.bidder.metrics.exchange(ExchangeId(0)).unwrap();
    assert_eq!((counts.answers.get(), counts.late.get()), (1200, 1200));
    assert_eq!(counts.age_limit_ns.get(), Nanos::MS);
    // What answering takes is back to what it was, so that age alone decides.
    for _ in 0..60 {
        bench.ask(&bid("generic"), 0);
        bench.bidder.submitted(bench.now.boot.after(10_000));
    }
    let is_shed = |bench: &mut Bench, exchange, age| bench.ask(&bid(exchange), age).contains("x-nobid-reason: shed");
    assert!(is_shed(&mut bench, "generic", 2 * Nanos::MS) && !is_shed(&mut bench, "generic", 0));
    assert!(!is_shed(&mut bench, "calm", 2 * Nanos::MS) && is_shed(&mut bench, "calm", 8 * Nanos::MS));
    (0..60).for_each(|_| second(&mut bench, false));
    assert!(!is_shed(&mut bench, "generic", 7 * Nanos::MS));
}
