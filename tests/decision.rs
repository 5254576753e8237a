//! The decision as a function: which document ends how, and whether what is answered may be answered.

mod support;

use corebid::bid::probe::Blind;
use corebid::bid::{Ask, BidCore, Outcome, Process, Seed};
use corebid::clock;
use corebid::config::{Config, Exchange};
use corebid::lab::bench::Bench;
use corebid::limits;
use corebid::market::corpus;
use corebid::ring::spsc;
use corebid::secrets::Key;
use corebid::snapshot::data::{Data, Source};
use corebid::units::{CoreId, Incarnation, LeaseId, Micros, Nanos, UnixMillis};
use corebid::wire::openrtb::nobid::NoBidReason::{self, *};
use corebid::wire::openrtb::request::Size;
use serde_json::Value;
use support::judge::Judge;
use support::{Folder, campaign, samples};

/// A bench with the campaigns of `source`.
fn bench(source: Source) -> (Bench, Data) {
    let mut config = Config::demo(std::path::Path::new(""));
    config.exchanges.push(Exchange { name: "seatless".into(), seat: String::new(), network_margin_ms: 0, gzip: true });
    let data = Data::load(source, &Key([0; 32])).unwrap();
    (Bench::new(&config, &data).unwrap(), data)
}

fn ask<'a>(exchange: &'a str, body: &'a [u8], bench: &Bench) -> Ask<'a> {
    Ask { exchange: exchange.as_bytes(), body, arrived: bench.now().boot }
}

/// 300x250 only. 1: open, insecure, in IAB7-1. 2: for segment 9. 3: capped. 4: France. Two and three wait in sizes of their own.
fn golden_campaigns(folder: &Folder) -> Source {
    let at = |text: String, w: u32| text.replace("w = 300", &format!("w = {w}"));
    let open = campaign(1, "cat = [\"IAB7-1\"]\n").replace("<b>1</b>", "<img src='http://a1.example/x.png'>");
    let open = open.replace("markup =", "attr = [3], btype = 4, markup =");
    let segment = at(campaign(2, "[campaigns.targeting]\nsegments = { any = [9] }\n"), 120);
    let capped = at(campaign(3, "frequency_cap = 1\n"), 160);
    let french = at(campaign(4, "[campaigns.targeting]\ncountries = [\"FRA\"]\n"), 468);
    Source::Files {
        campaigns: folder.write("campaigns.toml", [open, segment, capped, french].concat()),
        profiles: None,
        model: None,
    }
}

const BIDS: Option<NoBidReason> = None;

/// One change to a plain request, and how it ends. The last change that matters names the stage.
const GOLDEN: &[(&str, &str, Option<NoBidReason>)] = &[
    // Nothing in the way.
    ("{}", "{}", BIDS),
    ("\"at\":1", "\"at\":2,\"test\":1,\"unknown\":{\"deep\":[1,{}]}", BIDS),
    ("\"at\":1", "\"cur\":[\"EUR\",\"USD\"]", BIDS),
    ("\"at\":1", "\"cur\":[],\"wseat\":[],\"bseat\":[],\"bcat\":[],\"cattax\":6,\"badv\":[]", BIDS),
    ("\"at\":1", "\"cur\":[null],\"wseat\":null,\"bcat\":[ null ],\"cattax\":6", BIDS),
    ("\"at\":1", "\"wseat\":[\"corebid\"]", BIDS),
    ("\"at\":1", "\"bseat\":[\"other\"]", BIDS),
    ("\"at\":1", "\"tmax\":100", BIDS),
    ("\"at\":1", "\"bcat\":[\"IAB7-2\",\"IAB1\"],\"badv\":[\"x.a1.example\",\"1.example\"]", BIDS),
    ("\"bidfloor\":0.5", "\"bidfloor\":0,\"bidfloorcur\":\"EUR\"", BIDS),
    ("\"bidfloor\":0.5", "\"bidfloorcur\":\"USD\",\"secure\":0", BIDS),
    ("\"bidfloor\":0.5", "\"pmp\":{\"private_auction\":0,\"deals\":[{\"id\":\"d\"}]}", BIDS),
    ("\"w\":300,\"h\":250", "\"format\":[{\"w\":1,\"h\":1},{\"w\":300,\"h\":250}]", BIDS),
    ("\"site\":", "\"app\":", BIDS),
    ("\"site\":{}", "\"site\":null", BIDS),
    // Scan.
    ("\"id\":\"r\"", "\"id\":7", Some(NotABidRequest)),
    ("\"id\":\"r\"", "\"id\":\"\"", Some(NotABidRequest)),
    ("\"id\":\"r\",", "", Some(NotABidRequest)),
    ("\"imp\":[{", "\"pmi\":[{", Some(NotABidRequest)),
    ("\"imp\":[{", "\"imp\":[],\"pmi\":[{", Some(NotABidRequest)),
    ("\"w\":300", "\"w\":\"300\"", Some(NotABidRequest)),
    ("\"site\":{}", "\"site\":[]", Some(NotABidRequest)),
    ("\"at\":1", "\"badv\":[*257]", Some(TooMuch)),
    ("\"at\":1", "\"tmax\":20", Some(NoTime)),
    ("\"at\":1", "\"tmax\":1", Some(NoTime)),
    // Comply.
    ("\"at\":1", "\"cur\":[\"EUR\"]", Some(Currency)),
    ("\"at\":1", "\"cur\":[\"usd\"]", Some(Currency)),
    ("\"at\":1", "\"wseat\":[\"other\"]", Some(Seat)),
    ("\"at\":1", "\"bseat\":[\"corebid\"]", Some(Seat)),
    ("\"site\":", "\"dooh\":", Some(Inventory)),
    ("\"at\":1", "\"wlang\":[\"de\"]", Some(Language)),
    ("\"at\":1", "\"wlangb\":[\"de-AT\"]", Some(Language)),
    ("\"at\":1", "\"wlang\":[]", BIDS),
    ("\"at\":1", "\"regs\":{\"ext\":{\"dsa\":{\"dsarequired\":2}}}", Some(Transparency)),
    ("\"at\":1", "\"regs\":{\"ext\":{\"dsa\":{\"dsarequired\":1}}}", BIDS),
    // Match.
    ("\"banner\":", "\"video\":", Some(Format)),
    ("\"banner\":", "\"native\":", Some(Format)),
    ("\"bidfloor\":0.5", "\"pmp\":{\"private_auction\":1,\"deals\":[{\"id\":\"d\"}]}", Some(DealsOnly)),
    ("\"bidfloor\":0.5", "\"bidfloor\":0.5,\"bidfloorcur\":\"EUR\"", Some(FloorCurrency)),
    ("\"w\":300", "\"w\":301", Some(NoMatch)),
    ("\"w\":300", "\"w\":468", Some(NoMatch)),
    ("\"bidfloor\":0.5", "\"bidfloor\":2.000001", Some(FloorAbove)),
    ("\"at\":1", "\"bcat\":[\"IAB7-1\"]", Some(Blocked)),
    ("\"at\":1", "\"bcat\":[\"IAB7\"]", Some(Blocked)),
    ("\"at\":1", "\"bcat\":[\"223\"],\"cattax\":6", Some(Blocked)),
    ("\"at\":1", "\"acat\":[\"IAB1\"]", Some(Blocked)),
    ("\"at\":1", "\"acat\":[\"IAB7-1\"],\"cattax\":6", Some(Blocked)),
    ("\"at\":1", "\"acat\":[\"IAB1\",\"IAB7-1\"]", BIDS),
    ("\"at\":1", "\"acat\":[\"iab7\"]", BIDS),
    ("\"at\":1", "\"badv\":[\"a1.example\"]", Some(Blocked)),
    ("\"at\":1", "\"badv\":[\"EXAMPLE\"]", Some(Blocked)),
    ("\"w\":300", "\"btype\":[1,4],\"w\":300", Some(Blocked)),
    ("\"w\":300", "\"battr\":[3],\"w\":300", Some(Blocked)),
    ("\"bidfloor\":0.5", "\"secure\":1", Some(Blocked)),
    // Know, cap, price.
    ("\"w\":300", "\"w\":120", Some(NoSegment)),
    ("\"w\":300", "\"w\":160", Some(FrequencyCap)),
    ("\"bidfloor\":0.5", "\"bidfloor\":2", Some(Floor)),
];

/// Reasons that no document alone brings about, and where each is tested.
const NOT_BY_DOCUMENT: &[(NoBidReason, &str)] = &[
    (UnknownExchange, "the path: below, and tests/serve"),
    (Shed, "the clock: below"),
    (NoLease, "the reconciliation core: below"),
    (Encoding, "a header: tests/serve"),
    (Budget, "what was spent before: below, and tests/serve"),
    (RingFull, "a stalled reconciliation core: below"),
    (NoRoom, "a buffer shorter than the loop gives: below"),
    (Late, "the clock between decision and submission: tests/http.rs"),
];

#[test]
fn each_document_ends_as_it_should() {
    let folder = Folder::new("golden");
    let (mut bench, _) = bench(golden_campaigns(&folder));
    let plain =
        r#"{"id":"r","imp":[{"id":"1","banner":{"w":300,"h":250},"bidfloor":0.5}],"site":{},"device":{},"at":1}"#;
    for &(from, to, wanted) in GOLDEN {
        assert!(from == "{}" || plain.contains(from), "{from} is not in the plain request");
        let long = vec!["\"x.example\""; 257].join(",");
        let body = if from == "{}" { plain.to_owned() } else { plain.replacen(from, &to.replace("*257", &long), 1) };
        assert!(serde_json::from_str::<Value>(&body).is_ok(), "{body}");
        let outcome = bench.handle(ask("generic", body.as_bytes(), &bench));
        match (outcome, wanted) {
            (Outcome::Bid { .. }, None) => {}
            (Outcome::NoBid(reason), Some(wanted)) => assert_eq!(reason, wanted, "{from} -> {to}"),
            other => panic!("{from} -> {to}: {other:?}"),
        }
    }
    for broken in ["", "{", &plain[..plain.len() - 1], &plain.replace(":1}", ":01}"), &format!("{plain},")] {
        assert_eq!(bench.handle(ask("generic", broken.as_bytes(), &bench)), Outcome::Broken, "{broken}");
    }
}

#[test]
fn every_reason_is_covered() {
    for &reason in NoBidReason::ALL {
        let golden = GOLDEN.iter().any(|&(.., wanted)| wanted == Some(reason));
        let elsewhere = NOT_BY_DOCUMENT.iter().any(|&(listed, _)| listed == reason);
        assert!(golden != elsewhere, "{reason:?}: by a document {golden}, elsewhere {elsewhere}");
    }
}

#[test]
fn reasons_that_no_document_brings_about() {
    let (mut bench, _) = bench(Source::BuiltIn);
    let body = support::request("r", "");
    let now = bench.now();
    let mut reason = |ask: Ask<'_>| match bench.handle(ask) {
        Outcome::NoBid(reason) => Some(reason),
        _ => None,
    };
    let asked = |exchange: &'static str, arrived| Ask { exchange: exchange.as_bytes(), body: &body, arrived };
    assert_eq!(reason(asked("generic", now.boot)), None);
    assert_eq!(reason(asked("nobody", now.boot)), Some(UnknownExchange));
    assert_eq!(reason(asked("", now.boot)), Some(UnknownExchange));
    assert_eq!(reason(asked("generic", Nanos(now.boot.0 - 8_000_000))), Some(Shed));
    assert_eq!(reason(asked("generic", Nanos(now.boot.0 - 7_999_999))), None);
    // An exchange that does not know our seat invites nobody by naming seats.
    let invited = support::request("r", ",\"wseat\":[\"corebid\"]");
    assert_eq!(reason(Ask { exchange: b"seatless", body: &invited, arrived: now.boot }), Some(Seat));
}

/// A core between rings whose other ends the test holds, and money as the test gives it.
#[test]
fn reasons_of_money_and_room() {
    let data = Data::load(Source::BuiltIn, &Key([0; 32])).unwrap();
    let process = Process { incarnation: Incarnation(1), not_before: UnixMillis(0), base: "http://127.0.0.1".into() };
    let seed = Seed::new(&Config::demo(std::path::Path::new("")), CoreId(0), process, &Key([7; 32]), &data).unwrap();
    let (events, mut receiver) = spsc::events();
    let mut core = BidCore::new(seed, events, Box::leak(Box::default()));
    let now = clock::now();
    let body = support::request("r", "");
    let mut response = vec![0; limits::ANSWER_BUFFER];
    let mut decide = |core: &mut BidCore, room: usize| {
        let ask = Ask { exchange: b"generic", body: &body, arrived: now.boot };
        match core.handle(now, ask, &mut response[..room], &mut Blind) {
            Outcome::NoBid(reason) => Some(reason),
            Outcome::Bid { .. } => None,
            Outcome::Broken => panic!("a good request is broken"),
        }
    };
    assert_eq!(decide(&mut core, 4096), Some(NoLease));
    core.leases.renew(Nanos::NEVER);
    assert_eq!(decide(&mut core, 4096), Some(Budget));

    // Money for one bid of each campaign for the size: what does not fit must give it back.
    let sized = data.campaigns().iter().filter(|campaign| campaign.creatives[0].size == Size { w: 300, h: 250 });
    let slots: Vec<_> = sized.map(|campaign| (campaign.slot, campaign.cpm.per_impression())).collect();
    assert_eq!(slots.len(), 2);
    for &(slot, once) in &slots {
        core.leases.grant(slot, LeaseId(1), once, Nanos::NEVER);
    }
    for room in [0, 64, 600] {
        assert_eq!(decide(&mut core, room), Some(NoRoom), "{room}");
    }
    assert!(receiver.take().is_none(), "money was reserved for a bid that was not made");
    assert_eq!([decide(&mut core, 4096), decide(&mut core, 4096), decide(&mut core, 4096)], [None, None, Some(Budget)]);

    for &(slot, _) in &slots {
        core.leases.grant(slot, LeaseId(1), Micros(1 << 50), Nanos::NEVER);
    }
    let bids = (0..).take_while(|_| decide(&mut core, 4096).is_none()).count();
    assert_eq!((bids + 2, decide(&mut core, 4096)), (limits::EVENTS, Some(RingFull)));
    assert!(receiver.take().is_some());
    assert_eq!([decide(&mut core, 4096), decide(&mut core, 4096)], [None, Some(RingFull)]);
}

/// Every document, judged. Returns how many got a bid.
#[track_caller]
fn judged(bench: &mut Bench, data: &Data, bodies: &[Vec<u8>]) -> usize {
    let judge = Judge::new(data.campaigns());
    let mut bidden = 0;
    for body in bodies {
        let request: Value = serde_json::from_slice(body).unwrap();
        let asked = ask("generic", body, bench);
        let (outcome, response) = bench.handle_with(asked, &mut Blind);
        let Some(response) = response else {
            assert!(matches!(outcome, Outcome::NoBid(_)), "{outcome:?} to {request}");
            continue;
        };
        let response: Value = serde_json::from_slice(response).expect("a response is JSON");
        match judge.verdict(&request, &response) {
            Ok(_) => bidden += 1,
            Err(wrong) => panic!("{wrong}\n{request}\n{response}"),
        }
    }
    bidden
}

#[test]
fn responses_to_the_samples_are_valid() {
    let samples = samples();
    for source in [Source::BuiltIn, Source::Synthetic(1000)] {
        let (mut bench, data) = bench(source.clone());
        let bids = judged(&mut bench, &data, &samples);
        eprintln!("{source:?}: {bids} bids for {} samples", samples.len());
    }
}

#[test]
fn responses_to_the_corpus_are_valid() {
    const COUNT: usize = 3000;
    for source in [Source::BuiltIn, Source::Synthetic(1000)] {
        let (mut bench, data) = bench(source.clone());
        let plain = judged(&mut bench, &data, &corpus::plain(11, COUNT));
        let mixed = judged(&mut bench, &data, &corpus::corpus(12, COUNT));
        let large = judged(&mut bench, &data, &corpus::large(13, COUNT / 3));
        eprintln!(
            "{source:?}: of {COUNT} plain {plain} bids, of {COUNT} mixed {mixed}, of {} large {large}",
            COUNT / 3
        );
        assert!(plain > 0);
        if source == Source::BuiltIn {
            assert!(plain * 10 >= COUNT * 3, "{plain} bids for {COUNT} plain requests");
        }
    }
}

/// The judge itself: each mutation of a good response must be found.
#[test]
fn the_judge_finds_what_is_wrong() {
    let (mut bench, data) = bench(Source::BuiltIn);
    let body = br#"{"id":"r","imp":[{"id":"1","banner":{"w":300,"h":250},"bidfloor":0.5,"secure":1},{"id":"2","banner":{"w":300,"h":250}}],
        "badv":["blocked.example"],"bcat":["IAB25"],"cur":["USD"],"site":{}}"#;
    let request: Value = serde_json::from_slice(body).unwrap();
    let asked = ask("generic", body, &bench);
    let (_, response) = bench.handle_with(asked, &mut Blind);
    let good: Value = serde_json::from_slice(response.expect("a bid")).unwrap();
    let judge = Judge::new(data.campaigns());
    assert_eq!(judge.verdict(&request, &good), Ok(2));
    let bid = "/seatbid/0/bid/0";
    for (pointer, wrong) in [
        ("/id".to_owned(), Value::from("other")),
        ("/cur".into(), "EUR".into()),
        ("/seatbid".into(), Vec::<Value>::new().into()),
        ("/seatbid/0/bid".into(), Vec::<Value>::new().into()),
        (format!("{bid}/impid"), "2".into()),
        (format!("{bid}/impid"), "3".into()),
        (format!("{bid}/cid"), "999".into()),
        (format!("{bid}/cid"), good["seatbid"][0]["bid"][1]["cid"].clone()),
        (format!("{bid}/id"), good["seatbid"][0]["bid"][1]["id"].clone()),
        (format!("{bid}/crid"), "other".into()),
        (format!("{bid}/price"), 0.49.into()),
        (format!("{bid}/price"), 9.into()),
        (format!("{bid}/w"), 301.into()),
        (format!("{bid}/mtype"), 2.into()),
        (format!("{bid}/adm"), "<img src=HTTP://x>".into()),
        (format!("{bid}/adomain"), vec!["x.blocked.example"].into()),
        (format!("{bid}/cat"), vec!["IAB25-3"].into()),
        (format!("{bid}/burl"), good["seatbid"][0]["bid"][0]["nurl"].clone()),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(&pointer).unwrap() = wrong;
        assert!(judge.verdict(&request, &bad).is_err(), "{pointer} passed");
    }
    for (pointer, value) in [
        ("/badv/0", "example"),
        ("/bcat/0", "IAB1"), // replaced below by the campaign's own
        ("/cur/0", "EUR"),
    ] {
        let mut strict = request.clone();
        let own = good.pointer(&format!("{bid}/cat/0")).cloned().unwrap();
        *strict.pointer_mut(pointer).unwrap() = if pointer == "/bcat/0" { own } else { value.into() };
        assert!(judge.verdict(&strict, &good).is_err(), "{pointer} passed");
    }
}
