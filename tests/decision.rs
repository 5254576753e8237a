//! The decision as a function: which document ends how. Whether what is answered may be answered is asked in tests/judged.

mod support;

use corebid::bid::probe::Blind;
use corebid::bid::{Ask, BidCore, Outcome, Process, Seed};
use corebid::clock;
use corebid::config::{Config, Exchange, Privacy};
use corebid::ids;
use corebid::lab::bench::Bench;
use corebid::limits;
use corebid::ring::message::Event;
use corebid::ring::spsc;
use corebid::secrets::Key;
use corebid::snapshot::campaign::{Ad, Creative};
use corebid::snapshot::data::{Data, Source};
use corebid::snapshot::edge::Files;
use corebid::snapshot::rates;
use corebid::units::{CoreId, Currency, Incarnation, LeaseId, Micros, Nanos, UnixMillis};
use corebid::wire::openrtb::nobid::NoBidReason::{self, *};
use corebid::wire::openrtb::request::Size;
use serde_json::Value;
use support::{Folder, campaign, consent};

/// A bench with the campaigns of `source`.
fn bench(source: Source) -> (Bench, Data) {
    let mut config = Config::demo(std::path::Path::new(""));
    let mut seatless = Exchange::generic("seatless");
    seatless.rules.network_margin_ms = 0;
    config.exchanges.push(seatless);
    let data = Data::load(source, &Key([0; 32])).unwrap();
    (Bench::new(&config, &data).unwrap(), data)
}

/// The size of a creative that is a banner.
fn size(creative: &Creative) -> Option<Size> {
    match &creative.ad {
        Ad::Banner(ad) => Some(ad.size),
        _ => None,
    }
}

fn ask<'a>(exchange: &'a str, body: &'a [u8], bench: &Bench) -> Ask<'a> {
    Ask { exchange: exchange.as_bytes(), body, arrived: bench.now().boot }
}

/// 1: open, 300x250, insecure, in IAB7-1. The others wait in sizes of their own: 2 for segment 9, 3 capped, 4 in France, 5 for
/// whole pages, 6 with a deal. 7 is a video. The rates are old.
fn golden_campaigns(folder: &Folder) -> Source {
    let at = |text: String, w: u32| text.replace("w = 300", &format!("w = {w}"));
    let open = campaign(1, "cat = [\"IAB7-1\"]\n").replace("<b>1</b>", "<img src='http://a1.example/x.png'>");
    let open = open.replace("markup =", "attr = [3], btype = 4, markup =");
    let segment = at(campaign(2, "[campaigns.targeting]\nsegments = { any = [9] }\n"), 120);
    let capped = at(campaign(3, "frequency_cap = 1\n"), 160);
    let french = at(campaign(4, "[campaigns.targeting]\ncountries = [\"FRA\"]\n"), 468);
    let whole = at(campaign(5, "together = true\n"), 336);
    let dealt = at(campaign(6, "[campaigns.targeting]\ndeals = [\"ours\"]\n"), 250);
    let media = "media = [{ url = \"https://a7.example/v.mp4\", mime = \"video/mp4\", w = 640, h = 360 }]";
    let video = campaign(7, "")
        .replace("w = 300, h = 250, markup = \"<b>7</b>\"", &format!("format = \"video\", duration = 30, {media}"));
    let rates = "base = \"USD\"\nas_of = 2024-01-02T16:00:00Z\nrates = { EUR = 1.1 }\n";
    Source::Files {
        campaigns: folder.write("campaigns.toml", [open, segment, capped, french, whole, dealt, video].concat()),
        profiles: None,
        model: None,
        scoring: Default::default(),
        rates: rates::Origin {
            file: Some(folder.write("rates.toml", rates)),
            account: Currency::USD,
            max_age_hours: 96,
        },
        geo: None,
        edge: Files::default(),
        privacy: Privacy {
            vendor: Some(1),
            vendor_list: Some(folder.write("vendor-list.json", consent::VENDOR_LIST)),
            ..Privacy::default()
        },
        supply: Default::default(),
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
    ("\"site\":", "\"dooh\":", BIDS),
    ("\"bidfloor\":0.5", "\"qty\":{\"multiplier\":30.3}", BIDS),
    ("\"bidfloor\":0.5", "\"video\":{},\"native\":{},\"audio\":{}", BIDS),
    (BANNER, "\"video\":{\"mimes\":[\"video/mp4\"],\"protocols\":[2],\"mincpmpersec\":0.02}", BIDS),
    ("\"at\":1", "\"wlang\":[]", BIDS),
    ("\"at\":1", "\"regs\":{\"ext\":{\"dsa\":{\"dsarequired\":1}}}", BIDS),
    (
        "\"w\":300,\"h\":250}",
        "\"w\":250,\"h\":250},\"pmp\":{\"private_auction\":1,\"deals\":[{\"id\":\"ours\",\"wseat\":[\"corebid\"],\"bidfloor\":0.1}]}",
        BIDS,
    ),
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
    ("\"at\":1", "\"cur\":[\"GBP\"]", Some(NoBidReason::Currency)),
    ("\"at\":1", "\"cur\":[\"usd\"]", Some(NoBidReason::Currency)),
    ("\"at\":1", "\"cur\":[\"EUR\"]", Some(StaleRates)),
    ("\"at\":1", "\"cur\":[\"GBP\",\"EUR\"]", Some(StaleRates)),
    ("\"at\":1", "\"wseat\":[\"other\"]", Some(Seat)),
    ("\"at\":1", "\"bseat\":[\"corebid\"]", Some(Seat)),
    ("\"at\":1", "\"regs\":{\"gdpr\":1}", Some(NoConsent)),
    ("\"at\":1", "\"regs\":{\"gdpr\":1},\"user\":{\"consent\":\"*all\"}", BIDS),
    ("\"at\":1", "\"regs\":{\"gdpr\":1},\"user\":{\"consent\":\"*without\"}", Some(NoPurpose)),
    // Match.
    ("\"banner\":", "\"bannr\":", Some(Format)),
    ("\"banner\":{", "\"banner\":{\"w\":0},\"bannr\":{", Some(Format)),
    ("\"bidfloor\":0.5", "\"pmp\":{\"private_auction\":1}", Some(DealsOnly)),
    (
        "\"bidfloor\":0.5",
        "\"pmp\":{\"private_auction\":1,\"deals\":[{\"id\":\"d\",\"wseat\":[\"other\"]}]}",
        Some(DealsOnly),
    ),
    ("\"bidfloor\":0.5", "\"pmp\":{\"private_auction\":1,\"deals\":[{\"id\":\"d\"}]}", Some(NoMatch)),
    ("\"bidfloor\":0.5", "\"bidfloor\":0.5,\"bidfloorcur\":\"GBP\"", Some(FloorCurrency)),
    ("\"bidfloor\":0.5", "\"bidfloor\":0.5,\"bidfloorcur\":\"EUR\"", Some(StaleFloorRate)),
    ("\"w\":300", "\"w\":250", Some(NoMatch)),
    ("\"banner\":", "\"native\":", Some(NoMatch)),
    (BANNER, "\"video\":{\"mimes\":[\"video/webm\"]}", Some(NoCreative)),
    (BANNER, "\"video\":{\"mimes\":[\"video/mp4\"],\"maxduration\":29}", Some(NoCreative)),
    (BANNER, "\"video\":{\"mimes\":[\"video/mp4\"],\"protocols\":[1,4]}", Some(NoCreative)),
    (BANNER, "\"video\":{\"mimes\":[\"video/mp4\"],\"mincpmpersec\":0.07}", Some(FloorAbove)),
    ("\"at\":1", "\"wlang\":[\"de\"]", Some(Language)),
    ("\"at\":1", "\"wlangb\":[\"de-AT\"]", Some(Language)),
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
    // Know, cap, price, choose.
    ("\"at\":1", "\"regs\":{\"ext\":{\"dsa\":{\"dsarequired\":2}}}", Some(Transparency)),
    ("\"w\":300", "\"w\":120", Some(NoSegment)),
    ("\"w\":300", "\"w\":160", Some(FrequencyCap)),
    ("\"bidfloor\":0.5", "\"bidfloor\":2", Some(Floor)),
    ("\"w\":300", "\"w\":336", Some(Together)),
    ("\"w\":300,\"h\":250}", "\"w\":336,\"h\":250}},{\"id\":\"2\",\"banner\":{\"w\":336,\"h\":250}", Some(Together)),
];

const BANNER: &str = "\"banner\":{\"w\":300,\"h\":250}";

/// Reasons that no document alone brings about, and where each is tested.
const NOT_BY_DOCUMENT: &[(NoBidReason, &str)] = &[
    (Outranked, "a model: tests/scoring.rs"),
    (UnknownExchange, "the path: below, and tests/serve"),
    (Shed, "the clock: below"),
    (Stalled, "a loop that was kept away: tests/stalls.rs"),
    (NoLease, "the reconciliation core: below"),
    (Quota, "the rate: tests/edge"),
    (Encoding, "a header: tests/serve"),
    (GeoFilter, "the configuration: tests/edge"),
    (Blocklisted, "a file: tests/edge"),
    (DataCenter, "a file: tests/edge"),
    (KnownBot, "a file: tests/edge"),
    (Velocity, "the requests before it: tests/edge"),
    (ImpossibleDevice, "the configuration: tests/edge"),
    (ChainIncomplete, "the configuration: tests/supply"),
    (ChainBlocked, "the configuration: tests/supply"),
    (AdsTxtViolation, "the configuration: tests/supply"),
    (AdsTxtUnavailable, "the configuration: tests/supply"),
    (UnverifiedSupply, "the configuration: tests/supply"),
    (Duplicate, "a request before it: tests/edge"),
    (Paced, "its pace: tests/pacing.rs"),
    (ProfileMissing, "a store that does not answer: tests/miss.rs"),
    (Budget, "what was spent before: below, and tests/serve"),
    (RingFull, "a stalled reconciliation core: below"),
    (IdsExhausted, "the end of the Snowflake clock: below"),
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
        let to = to.replace("*257", &long).replace("*all", consent::ALL).replace("*without", consent::WITHOUT_ADS);
        let body = if from == "{}" { plain.to_owned() } else { plain.replacen(from, &to, 1) };
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

fn process(not_before: UnixMillis) -> Process {
    let base = "http://127.0.0.1".into();
    Process { incarnation: Incarnation(1), first_worker: 0, not_before, base }
}

/// A core between rings whose other ends the test holds, and money as the test gives it.
#[test]
fn reasons_of_money_and_room() {
    let data = Data::load(Source::BuiltIn, &Key([0; 32])).unwrap();
    let process = process(UnixMillis(0));
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
            Outcome::Broken | Outcome::Parked(_) => panic!("a good request is broken"),
        }
    };
    assert_eq!(decide(&mut core, 4096), Some(NoLease));
    core.leases.renew(Nanos::NEVER);
    assert_eq!(decide(&mut core, 4096), Some(Budget));

    // Money for one bid of each campaign for the size: what does not fit must give it back.
    let sized =
        data.campaigns().iter().filter(|campaign| size(&campaign.creatives[0]) == Some(Size { w: 300, h: 250 }));
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

/// The last 4,096 ids there are, and then no bid, and no money held for one.
#[test]
fn without_ids_there_are_no_bids() {
    let data = Data::load(Source::BuiltIn, &Key([0; 32])).unwrap();
    let last_ms = UnixMillis(ids::EPOCH.0 + (1 << 41) - 1);
    let process = process(last_ms);
    let seed = Seed::new(&Config::demo(std::path::Path::new("")), CoreId(0), process, &Key([7; 32]), &data).unwrap();
    let (events, mut receiver) = spsc::events();
    let mut core = BidCore::new(seed, events, Box::leak(Box::default()));
    core.leases.renew(Nanos::NEVER);
    for campaign in data.campaigns() {
        core.leases.grant(campaign.slot, LeaseId(1), Micros(1 << 50), Nanos::NEVER);
    }
    let (now, body) = (clock::now(), support::request("r", ""));
    let mut response = vec![0; limits::ANSWER_BUFFER];
    let mut decide = || {
        let ask = Ask { exchange: b"generic", body: &body, arrived: now.boot };
        core.handle(now, ask, &mut response, &mut Blind)
    };
    let bids = (0..).take_while(|_| matches!(decide(), Outcome::Bid { .. })).count();
    assert_eq!((bids, decide()), (4096, Outcome::NoBid(IdsExhausted)));
    assert_eq!(std::iter::from_fn(|| receiver.take()).count(), bids);
}

/// A campaign that takes a page whole affords each bid by itself; what is reported is what the page costs.
#[test]
fn a_page_beyond_the_credit_is_reported_whole() {
    let folder = Folder::new("page");
    let data = Data::load(golden_campaigns(&folder), &Key([0; 32])).unwrap();
    let process = process(UnixMillis(0));
    let seed = Seed::new(&Config::demo(std::path::Path::new("")), CoreId(0), process, &Key([7; 32]), &data).unwrap();
    let (events, mut receiver) = spsc::events();
    let mut core = BidCore::new(seed, events, Box::leak(Box::default()));
    let now = clock::now();
    let imp = |id: u32| format!(r#"{{"id":"{id}","banner":{{"w":336,"h":250}},"qty":{{"multiplier":10}}}}"#);
    let imps = [imp(1), imp(2), imp(3)].join(",");
    let body = format!(r#"{{"id":"r","imp":[{imps}],"allimps":1,"site":{{}},"device":{{}}}}"#);
    let mut response = vec![0; limits::ANSWER_BUFFER];
    let mut decide = |core: &mut BidCore| {
        let ask = Ask { exchange: b"generic", body: body.as_bytes(), arrived: now.boot };
        core.handle(now, ask, &mut response, &mut Blind)
    };
    let slot = data.campaigns().iter().find(|campaign| campaign.id.0 == 5).unwrap().slot;
    let lease = LeaseId(1);
    let mut refused = |core: &mut BidCore, more: i64| {
        core.leases.grant(slot, lease, Micros(more), Nanos::NEVER);
        assert_eq!(decide(core), Outcome::NoBid(Budget));
        let mut said = None;
        core.leases.report(|event| said.replace(event).is_none());
        said.map(|event| match event {
            Event::Short { slot: at, lease: under, wanted } if (at, under) == (slot, lease) => wanted.0,
            other => panic!("{other:?}"),
        })
    };
    // At most 2 per thousand for ten viewers: 20,000 micros a bid.
    core.leases.renew(Nanos::NEVER);
    assert_eq!(refused(&mut core, 19_999), Some(20_000));
    let page = refused(&mut core, 1).expect("the page was not reported");
    assert_eq!(refused(&mut core, page - 20_001), None);
    assert!(receiver.take().is_none(), "money was reserved for a page that was not bid on");
    core.leases.grant(slot, lease, Micros(1), Nanos::NEVER);
    assert!(matches!(decide(&mut core), Outcome::Bid { .. }));
    let reserved = std::iter::from_fn(|| receiver.take()).map(|event| match event {
        Event::Reserved(reserved) => reserved.price.0,
        other => panic!("{other:?}"),
    });
    assert_eq!(reserved.sum::<i64>(), page);
}
