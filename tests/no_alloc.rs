//! A bid core takes its memory at the start. Once warm it neither allocates nor frees, whatever it is asked: an allocator
//! counts what threads named `bid-…` do while it is armed.

#[path = "support/fetching.rs"]
mod fetching;
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::thread;

use corebid::bid::busy::BusyWork;
use corebid::bid::probe::{Blind, StageTimer};
use corebid::bid::server::Backend;
use corebid::bid::{self, Outcome};
use corebid::capture::Ask;
use corebid::clock;
use corebid::config::exchange::Format;
use corebid::config::shading::Shading;
use corebid::config::{Config, Exchange, Velocity};
use corebid::lab::bench::Bench;
use corebid::launch::{Launch, Node};
use corebid::limits;
use corebid::market::corpus;
use corebid::metrics::core::CoreMetrics;
use corebid::secrets::Key;
use corebid::shading::Arm;
use corebid::snapshot::data::{Data, Source};
use corebid::snapshot::edge::Files;
use corebid::snapshot::features::Schema;
use corebid::snapshot::supply::{Body, Builder, Kind, Origin, Policy};
use corebid::units::UnixMillis;
use fetching::{Asked, Mood, Store};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;
use support::client::{Client, http, target};
use support::{Folder, campaign, eventually, request, samples};

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

static ARMED: AtomicBool = AtomicBool::new(false);
static ALLOCATED: AtomicU64 = AtomicU64::new(0);
static FREED: AtomicU64 = AtomicU64::new(0);
/// Bytes of the first allocation: a hint at whose it is.
static FIRST: AtomicUsize = AtomicUsize::new(0);
/// The counters are one; the tests take turns.
static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether this thread is a bid core's, once that was asked.
    static BIDS: Cell<Option<bool>> = const { Cell::new(None) };
}

fn counts() -> bool {
    ARMED.load(SeqCst)
        && BIDS.with(|bids| {
            bids.get().unwrap_or_else(|| {
                let mut name = [0u8; 16];
                // SAFETY: PR_GET_NAME writes at most 16 bytes.
                unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
                let is = name.starts_with(b"bid-");
                bids.set(Some(is));
                is
            })
        })
}

fn allocated(bytes: usize) {
    if counts() && ALLOCATED.fetch_add(1, SeqCst) == 0 {
        FIRST.store(bytes, SeqCst);
    }
}

// SAFETY: every call is handed to the system's allocator as it is; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocated(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        allocated(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        allocated(bytes);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, bytes) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if counts() {
            FREED.fetch_add(1, SeqCst);
        }
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Allocations and frees of bid threads while `run` runs.
fn counted<T>(run: impl FnOnce() -> T) -> (u64, u64, T) {
    ALLOCATED.store(0, SeqCst);
    FREED.store(0, SeqCst);
    ARMED.store(true, SeqCst);
    let result = run();
    ARMED.store(false, SeqCst);
    (ALLOCATED.load(SeqCst), FREED.load(SeqCst), result)
}

#[track_caller]
fn none(what: &str, (allocated, freed, ()): (u64, u64, ())) {
    let first = FIRST.load(SeqCst);
    assert_eq!((allocated, freed), (0, 0), "{what}: allocations (the first of {first} bytes) and frees of a bid core");
}

/// On a thread that counts.
fn as_bid_core(run: impl FnOnce() + Send) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    thread::scope(|scope| {
        let core = thread::Builder::new().name("bid-test".into()).spawn_scoped(scope, run).unwrap();
        core.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

#[test]
fn the_counter_counts() {
    as_bid_core(|| {
        let (allocated, freed, ()) = counted(|| {
            let mut list = std::hint::black_box(Vec::with_capacity(1));
            list.push(1u8);
            std::hint::black_box(&mut list).reserve(100);
        });
        assert_eq!((allocated, freed), (2, 1));
    });
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    none("a thread of another name", counted(|| drop(std::hint::black_box(vec![1u8; 10]))));
}

/// Documents of every kind: for bids, for every stage's no, and broken ones; none longer than what a connection's input is
/// kept in, 64 KiB with its head.
fn documents(seed: u64) -> Vec<Vec<u8>> {
    let mut all = corpus::corpus(seed, 2000);
    all.extend(corpus::plain(seed, 500));
    all.extend(corpus::large(seed, 300));
    let broken: Vec<_> = all.iter().step_by(50).map(|body| body[..body.len() * 2 / 3].to_vec()).collect();
    all.extend(broken);
    all.extend(samples());
    all.push(request("r", &format!(",\"badv\":[{}]", vec!["\"x.example\""; 257].join(","))));
    all.push(request("r", &format!(",\"ext\":\"{}\"", "x".repeat(60_000))));
    all.push(b"[".repeat(60_000));
    all
}

/// Who may sell what on the site of [`request`]; what its chain says is in [`chained`].
fn table(folder: &Folder) -> PathBuf {
    let mut builder = Builder::new(&folder.path("")).unwrap();
    let tomorrow = UnixMillis(clock::wall().0 + UnixMillis::DAY);
    let sellers = r#"{"sellers":[{"seller_id":"7","seller_type":"PUBLISHER","domain":"news.example"}]}"#;
    builder.sellers_json("ssp.example", sellers.as_bytes(), tomorrow).unwrap();
    let named = Body::Good(b"ssp.example, 7, DIRECT\n");
    builder.ads_txt(Kind::AdsTxt, "news.example", named, tomorrow).unwrap();
    let path = folder.path("supply.bin");
    builder.finish().unwrap().write(&path).unwrap();
    path
}

/// A request with this account in its supply chain, as JSON.
fn chained(sid: &str) -> Vec<u8> {
    let node = format!("{{\"asi\":\"ssp\\u002eexample\",\"sid\":\"{sid}\",\"hp\":1}}");
    request("r", &format!(",\"source\":{{\"schain\":{{\"complete\":1,\"ver\":\"1.0\",\"nodes\":[{node}]}}}}"))
}

/// Campaigns for each thing a request may be asked for: any, a segment, a cap, a supply path.
fn campaigns(folder: &Folder) -> Source {
    folder.write(
        "profiles.ndjson",
        (0..2000)
            .map(|user| format!("{{\"user\":\"u{user}\",\"exchange\":\"generic\",\"segments\":[9]}}\n"))
            .collect::<String>(),
    );
    let text = campaign(1, "frequency_cap = 2\n").replace("cpm = 2.00", "cpm = 4.00")
        + &campaign(2, "[campaigns.targeting]\nsegments = { any = [9] }\n").replace("cpm = 2.00", "cpm = 3.00")
        + &campaign(
            3,
            "[campaigns.targeting]\ncountries = { exclude = [\"FRA\"] }\nsites = { exclude = [\"x.example\"] }\n",
        )
        + &campaign(4, "supply = \"require\"\n")
            .replace("<b>", "<b onclick='${CLICK_NOTICE_URL}' id='${CONVERSION_TOKEN}'>");
    // Long enough to be packed.
    let text = text.replace("</b>", &format!("{}</b>", "a banner ".repeat(100)));
    Source::Files {
        campaigns: folder.write("campaigns.toml", text),
        profiles: Some(folder.path("profiles.ndjson")),
        model: None,
        scoring: Default::default(),
        rates: Default::default(),
        geo: None,
        edge: Files {
            blocked_domains: Some(folder.write("domains.txt", "blocked.example\n")),
            blocked_bundles: Some(folder.write("bundles.txt", "com.blocked\n")),
            bots: Some(folder.write("bots.txt", "Googlebot\nbot | cubot\n")),
            data_centers: Some(folder.write("centers.txt", "192.0.2.0/24\n2001:db8::/32\n")),
        },
        privacy: Default::default(),
        supply: Origin { table: Some(table(folder)), ..Origin::default() },
    }
}

#[test]
fn a_decision_allocates_nothing() {
    let folder = Folder::new("no-alloc");
    for source in [Source::BuiltIn, Source::Synthetic(1000), Source::Scored, campaigns(&folder)] {
        as_bid_core(|| {
            let data = Data::load(source.clone(), &Key([0; 32])).unwrap();
            let mut config = Config::demo(std::path::Path::new(""));
            // Every filter of the edge is asked.
            config.edge.duplicates_ms = Some(200);
            config.edge.impossible_devices = true;
            config.edge.velocity = Some(Velocity { per_ip: Some(9), per_user: Some(9), seconds: 1 });
            config.supply.paths = true;
            config.exchanges[0].qps = Some(1000);
            config.exchanges[0].shading = Shading { arm: Arm::LogNormal, explore: 0.5, ..Shading::default() };
            config.exchanges[0].countries.exclude = vec!["PRK".into()];
            let mut strict = Exchange::generic("strict");
            strict.domain = Some("ssp.example".into());
            strict.supply = Some(Policy::Prefer);
            config.exchanges.push(strict);
            config.edge.formats = Some([Format::Banner].into_iter().collect());
            let mut bench = Bench::logging(&config, &data, Schema::builtin()).unwrap();
            let metrics: &CoreMetrics = Box::leak(Box::default());
            let mut documents = documents(21);
            for device in ["\"ip\":\"192.0.2.1\"", "\"ua\":\"x \\u0042ot\"", "\"ua\":\"cubot\",\"ip\":\"::1\""] {
                let plain = String::from_utf8(request("r", "")).unwrap();
                documents.push(plain.replace("\"devicetype\":2", device).into_bytes());
            }
            for sid in ["7", "\\u0037", "8", "\\u0038", &"\\n".repeat(limits::CHAIN_BYTES)] {
                documents.push(chained(sid));
            }
            documents.push(b"[".repeat(limits::BODY_BYTES));
            documents.push(request("r", &format!(",\"ext\":\"{}\"", "x".repeat(limits::BODY_BYTES - 1000))));
            // Not one to warm up: all the memory there will be was taken by `BidCore::new`.
            let (mut bids, mut verified) = (0, 0);
            let counts = counted(|| {
                for body in &documents {
                    for exchange in ["generic", "strict", "nobody"] {
                        let ask = bid::Ask { exchange: exchange.as_bytes(), body, arrived: bench.now().boot };
                        let bid = u32::from(matches!(bench.handle_with(ask, &mut Blind).0, Outcome::Bid { .. }));
                        bids += bid;
                        verified += if exchange == "strict" { bid } else { 0 };
                        bench.handle_with(ask, &mut StageTimer::new(metrics));
                    }
                }
            });
            none(&format!("{source:?}"), counts);
            // The market bids seldom.
            let expected = if samples().is_empty() { 100 } else { 300 };
            assert!(
                bids > expected && verified > 1,
                "{source:?}: only {bids} bids, {verified} of them on a path that was asked for"
            );
        });
    }
}

/// Longer than a body may be.
static TOO_LONG: [u8; limits::BODY_BYTES + 1] = [b' '; limits::BODY_BYTES + 1];

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// One round over a running bidder: documents whole, in pieces and in gzip, in a pipeline, with and without `x-debug`; notices good,
/// repeated and forged; probes and strays. Returns the bids and the bills.
fn round(clients: &mut [Client], documents: &[Vec<u8>]) -> (usize, usize) {
    let (mut bids, mut bills) = (0, 0);
    for (at, body) in documents.iter().enumerate() {
        let client = &mut clients[at % 4];
        let fields = ["", "x-debug: 1\r\nx-openrtb-version: 2.6\r\n"][at % 2];
        let answer = if at % 16 == 9 {
            // Packed in both directions; every other one is damaged, and some are longer than they may be.
            let mut packed = gzip(if at % 512 == 9 { &TOO_LONG } else { body });
            packed.truncate(packed.len() - at % 32 / 16);
            client.ask("POST", "/openrtb/generic", "Content-Encoding: gzip\r\nAccept-Encoding: gzip\r\n", &packed)
        } else if at % 16 == 5 {
            // The head and the body arrive apart.
            let whole = http("POST", "/openrtb/generic", fields, body);
            client.send(&whole[..whole.len() - body.len() / 2]).unwrap();
            client.send(&whole[whole.len() - body.len() / 2..]).unwrap();
            client.answer().unwrap()
        } else {
            client.ask("POST", "/openrtb/generic", fields, body)
        };
        assert!(!answer.closes());
        if answer.status != 200 {
            continue;
        }
        bids += 1;
        let mut unpacked = Vec::new();
        if answer.field("content-encoding") == Some("gzip") {
            GzDecoder::new(&answer.body[..]).read_to_end(&mut unpacked).unwrap();
        } else {
            unpacked = answer.body;
        }
        let response: Value = serde_json::from_slice(&unpacked).unwrap();
        let bid = &response["seatbid"][0]["bid"][0];
        let url = |key: &str, price: &str| target(bid[key].as_str().unwrap(), price);
        if bids % 8 == 1 {
            let bill = url("burl", "0.25");
            for target in [url("nurl", ""), bill.clone(), bill.clone(), url("lurl", "AUDIT")] {
                assert_eq!(client.get(&target).status, 200);
            }
            assert_eq!(client.get(&bill.replacen("/bill/", "/bill/A", 1)).status, 403);
            bills += 1;
        }
    }
    for client in clients.iter_mut() {
        let pipeline: Vec<u8> =
            documents.iter().take(32).flat_map(|body| http("POST", "/openrtb/generic", "", body)).collect();
        client.send(&pipeline).unwrap();
        for _ in 0..32 {
            client.answer().unwrap();
        }
        assert_eq!((client.get("/ready").status, client.get("/elsewhere").status), (200, 404));
    }
    (bids, bills)
}

fn a_bidder_allocates_nothing(backend: Backend) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new("no-alloc-serve");
    let mut config = Config::demo(&folder.path("data"));
    config.server.listen.set_port(0);
    config.server.backend = backend;
    config.supply.paths = true;
    config.audit.file = Some(folder.path("compliance.ndjson"));
    config.audit.sample = std::num::NonZeroU32::new(3).unwrap();
    let launch = Launch { config, source: campaigns(&folder), make_keys: true, busy_work: BusyWork::NONE };
    // Who is not in the base is fetched.
    let store = Store::new(Mood::Known);
    let asked = Asked(store.clone());
    let mut node: Node = launch.start_fetching(move || asked).unwrap();
    eventually("money", || node.is_funded().then_some(()));
    let mut clients: Vec<Client> = (0..4).map(|_| Client::connect(node.address).unwrap()).collect();
    let swaps = |node: &Node| node.metrics.iter().map(|core| core.swaps.get()).sum::<u64>();
    let reload = |node: &mut Node| {
        let before = swaps(node);
        assert_eq!(node.reload(), []);
        eventually("the new snapshot", || (swaps(node) >= before + node.metrics.len() as u64).then_some(()));
    };

    round(&mut clients, &documents(31));
    reload(&mut node);
    let (ticks, documents) = (node.gauges.ticks.get(), documents(32));
    let (mut bids, mut bills) = (0, 0);
    let captures = node.observed.captures.clone().expect("a bidder can be captured");
    let mut file = None;
    let counts = counted(|| {
        reload(&mut node);
        // Nobody reads it, so that rings fill.
        file = Some(captures.begin(Ask { seconds: 600.0, ..Ask::default() }).expect("the only one"));
        // Until leases have been renewed and granted, too. A slow machine sheds many of them.
        while node.gauges.ticks.get() == ticks || bids <= 300 || bills <= 30 {
            let (more_bids, more_bills) = round(&mut clients, &documents);
            bids += more_bids;
            bills += more_bills;
        }
    });
    none(&format!("{backend:?}"), counts);
    assert!(node.metrics.iter().any(|core| core.resumed.get() > 100), "nobody was fetched");
    assert!(bids > 300 && bills > 30, "{bids} bids, {bills} bills");
    let sum = |read: fn(&CoreMetrics) -> u64| node.metrics.iter().map(|core| read(core)).sum::<u64>();
    assert!(sum(|core| core.captured.get() + core.capture_lost.get()) > 300, "little was captured");
    drop(file);
    let packed = (sum(|core| core.inflated.get()), sum(|core| core.deflated.get()), sum(|core| core.oversized.get()));
    assert!(packed.0 > 300 && packed.1 > 5 && packed.2 > 0, "{packed:?} in gzip");
    drop(clients);
    node.drain().unwrap();
}

#[test]
fn a_bidder_on_io_uring_allocates_nothing() {
    a_bidder_allocates_nothing(Backend::IoUring);
}

#[test]
fn a_bidder_on_epoll_allocates_nothing() {
    a_bidder_allocates_nothing(Backend::Epoll);
}
