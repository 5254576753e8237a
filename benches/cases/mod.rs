//! The operations that are measured, by name: criterion times them, callgrind counts their instructions.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use corebid::bid::{Ask, Outcome};
use corebid::clock;
use corebid::config::{Config, Privacy};
use corebid::lab::bench::Bench;
use corebid::limits;
use corebid::market::corpus::{self, Class, Length, Mix};
use corebid::market::vocabulary::CONSENT;
use corebid::ring::message::Event;
use corebid::ring::spsc;
use corebid::secrets::Key;
use corebid::snapshot::data::{Data, Source};
use corebid::snapshot::demo;
use corebid::snapshot::features::Schema;
use corebid::snapshot::supply::{Body, Builder, Kind, Origin, Policy};
use corebid::units::{LeaseId, Micros, Slot, UnixMillis};
use corebid::wire::http;
use corebid::wire::json::Scratch;
use corebid::wire::openrtb::nobid::NoBidReason;
use corebid::wire::openrtb::request::{BidRequest, scan};
use serde_json::{Value, json};

/// One operation.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) make: fn() -> Operation,
}

/// Does it once.
pub(crate) type Operation = Box<dyn FnMut()>;

/// Campaigns behind every decision.
pub(crate) const CAMPAIGNS: usize = 1_000;
/// Bodies each case goes round in: more than a branch predictor learns by heart.
const BODIES: usize = 512;

pub(crate) const CASES: &[Case] = &[
    Case { name: "frame", make: frame },
    Case { name: "scan_2k", make: || scanned(Length::USUAL) },
    Case { name: "scan_4k", make: || scanned(Length::LARGE) },
    Case { name: "handle_early_no", make: || handled(&[(Class::Seat, 1)]) },
    Case { name: "handle_no_match", make: || handled(&[(Class::OddSize, 1)]) },
    Case { name: "handle_late_no", make: || handled(&[(Class::ScoredBelowFloor, 1)]) },
    Case { name: "handle_bid", make: || handled(&[(Class::Bid, 1)]) },
    Case { name: "handle_bid_logged", make: || logged(&[(Class::Bid, 1)]) },
    Case { name: "handle_mix", make: || handled(&Mix::default().classes) },
    Case { name: "path_unasked", make: || pathed(Policy::Off, false) },
    Case { name: "path_verified", make: || pathed(Policy::Require, false) },
    Case { name: "path_and_consent", make: || pathed(Policy::Require, true) },
    Case { name: "ring_event", make: ring },
];

fn bodies(classes: &[(Class, u32)], length: Length) -> Vec<Vec<u8>> {
    let mix = Mix { classes: classes.to_vec(), ..Mix::default() };
    corpus::generate(7, BODIES, &mix, length).map(|(_, body)| body).collect()
}

fn scanned(length: Length) -> Operation {
    let bodies: &'static [Vec<u8>] = bodies(&Mix::default().classes, length).leak();
    let mut scratch = Scratch::new(limits::BODY_BYTES);
    let mut next = bodies.iter().cycle();
    Box::new(move || {
        let mut request = BidRequest::default();
        let scanned = scan(next.next().expect("endless"), &mut scratch, &mut request);
        std::hint::black_box((&request, scanned.is_ok()));
    })
}

fn handled(classes: &[(Class, u32)]) -> Operation {
    decided(classes, Bench::new)
}

/// The same, and what each bid was made with is logged: the built-in features of as many offers as there are bids, and their way
/// into the ring.
fn logged(classes: &[(Class, u32)]) -> Operation {
    decided(classes, |config, data| Bench::logging(config, data, Schema::builtin()))
}

fn decided(classes: &[(Class, u32)], bench: impl FnOnce(&Config, &Data) -> std::io::Result<Bench>) -> Operation {
    let config = Config::demo(std::path::Path::new(""));
    let data = Data::load(Source::Synthetic(CAMPAIGNS), &Key([1; 32])).expect("built in");
    let mut bench = bench(&config, &data).expect("a kernel with randomness");
    let bodies = bodies(classes, Length::USUAL);
    let mut next = 0;
    Box::new(move || {
        let body = &bodies[next % BODIES];
        next += 1;
        let outcome = bench.handle(Ask { exchange: b"generic", body, arrived: bench.now().boot });
        assert!(outcome != Outcome::Broken);
    })
}

/// Decides on requests that come over a reseller, all of whom the files know, with a consent string that grants us everything, and
/// that no campaign has the size for. The rest is the same whatever the policy, and whether the GDPR applies: the difference is
/// what the chain and the string cost.
fn pathed(policy: Policy, gdpr: bool) -> Operation {
    let name = format!("corebid-paths-{}-{}-{gdpr}", std::process::id(), policy.label());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).expect("a folder for the table");
    let table = folder.join("supply.bin");
    let mut builder = Builder::new(&folder).expect("a folder for the table");
    let expires = UnixMillis(clock::wall().0 + 365 * UnixMillis::DAY);
    let resellers = RESELLERS.map(|at| {
        let seller =
            |id: String| format!("{{\"seller_id\":\"{id}\",\"seller_type\":\"PUBLISHER\",\"is_confidential\":1}}");
        let sellers: Vec<String> = (0..BODIES).map(|site| seller(format!("publisher-{site}"))).collect();
        let file = format!("{{\"sellers\":[{}]}}", sellers.join(","));
        builder.sellers_json(&format!("reseller{at}.example"), file.as_bytes(), expires).expect("room for the table");
        format!("{{\"seller_id\":\"{at}\",\"seller_type\":\"INTERMEDIARY\",\"domain\":\"reseller{at}.example\"}}")
    });
    let file = format!("{{\"sellers\":[{}]}}", resellers.join(","));
    builder.sellers_json("exchange.example", file.as_bytes(), expires).expect("room for the table");
    let mut bodies = bodies(&[(Class::OddSize, 1)], Length::USUAL);
    for (at, body) in bodies.iter_mut().enumerate() {
        let (site, reseller) = (format!("site{at}.example"), RESELLERS[at % RESELLERS.len()]);
        let named =
            format!("reseller{reseller}.example, publisher-{at}, DIRECT\nexchange.example, {reseller}, RESELLER\n");
        builder.ads_txt(Kind::AdsTxt, &site, Body::Good(named.as_bytes()), expires).expect("room for the table");
        let mut request: Value = serde_json::from_slice(body).expect("a request");
        let members = request.as_object_mut().expect("a request");
        members.remove("app");
        members.insert(
            "site".into(),
            json!({ "domain": site, "page": format!("https://{site}/"), "publisher": { "id": "1" } }),
        );
        let nodes = json!([
            { "asi": format!("reseller{reseller}.example"), "sid": format!("publisher-{at}"), "hp": 1 },
            { "asi": "exchange.example", "sid": reseller.to_string(), "hp": 1 },
        ]);
        members.insert("source".into(), json!({ "schain": { "complete": 1, "ver": "1.0", "nodes": nodes } }));
        members.insert("regs".into(), json!({ "gdpr": u8::from(gdpr) }));
        members.insert("user".into(), json!({ "id": format!("u{at}"), "consent": CONSENT[0] }));
        *body = request.to_string().into_bytes();
    }
    let vendors = folder.join("vendor-list.json");
    std::fs::write(&vendors, VENDOR_LIST).expect("room for the list");
    builder.finish().and_then(|supply| supply.write(&table)).expect("room for the table");
    let campaigns = folder.join("campaigns.json");
    std::fs::write(&campaigns, demo::file(Some(CAMPAIGNS))).expect("room for the campaigns");
    let source = Source::Files {
        campaigns,
        profiles: None,
        model: None,
        scoring: Default::default(),
        rates: Default::default(),
        geo: None,
        edge: Default::default(),
        privacy: Privacy { vendor: Some(1), vendor_list: Some(vendors), ..Privacy::default() },
        supply: Origin { table: Some(table), ..Origin::default() },
    };
    let data = Data::load(source, &Key([1; 32])).expect("written a moment ago");
    std::fs::remove_dir_all(&folder).expect("written a moment ago");
    let mut config = Config::demo(std::path::Path::new(""));
    config.exchanges[0].domain = Some("exchange.example".into());
    config.exchanges[0].supply = Some(policy);
    let mut bench = Bench::new(&config, &data).expect("a kernel with randomness");
    let mut next = 0;
    Box::new(move || {
        let body = &bodies[next % BODIES];
        next += 1;
        let outcome = bench.handle(Ask { exchange: b"generic", body, arrived: bench.now().boot });
        assert!(matches!(outcome, Outcome::NoBid(NoBidReason::NoMatch)), "{outcome:?}");
    })
}

/// A Global Vendor List with vendor 1.
const VENDOR_LIST: &str = r#"{"gvlSpecificationVersion":3,"vendorListVersion":1,"tcfPolicyVersion":5,"vendors":{"1":{"id":1,
"purposes":[1,2,3,4,7,9,10],"legIntPurposes":[],"flexiblePurposes":[2,7]}}}"#;

/// Those of [`pathed`], by number.
const RESELLERS: [usize; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

/// Requests of the demo's mix that end alike.
pub(crate) struct Ending {
    /// `bid`, or the reason of the no-bid.
    pub(crate) label: &'static str,
    /// Its share of the mix, 0 to 1.
    pub(crate) share: f64,
    /// Decides the next of them.
    pub(crate) operation: Operation,
}

/// How the requests of the mix end, with `campaigns` synthetic campaigns: the commonest ending first.
pub(crate) fn endings(campaigns: usize) -> Vec<Ending> {
    const REQUESTS: usize = 16 * BODIES;
    let config = Config::demo(std::path::Path::new(""));
    let data = Data::load(Source::Synthetic(campaigns), &Key([1; 32])).expect("built in");
    let mut bench = Bench::new(&config, &data).expect("a kernel with randomness");
    let mut ended: BTreeMap<&'static str, Vec<Vec<u8>>> = BTreeMap::new();
    for (_, body) in corpus::generate(7, REQUESTS, &Mix::default(), Length::USUAL) {
        let label = match bench.handle(Ask { exchange: b"generic", body: &body, arrived: bench.now().boot }) {
            Outcome::Bid { .. } => "bid",
            Outcome::NoBid(reason) => reason.label(),
            Outcome::Broken | Outcome::Parked(_) => panic!("the corpus is broken"),
        };
        ended.entry(label).or_default().push(body);
    }
    // One core decides them all, as one core does.
    let bench = Rc::new(RefCell::new(bench));
    let ending = |(label, mut bodies): (&'static str, Vec<Vec<u8>>)| {
        let share = bodies.len() as f64 / REQUESTS as f64;
        bodies.truncate(BODIES);
        let (bench, mut next) = (bench.clone(), 0);
        let operation = Box::new(move || {
            let body = &bodies[next % bodies.len()];
            next += 1;
            let mut bench = bench.borrow_mut();
            let arrived = bench.now().boot;
            std::hint::black_box(bench.handle(Ask { exchange: b"generic", body, arrived }));
        });
        Ending { label, share, operation }
    };
    let mut endings: Vec<Ending> = ended.into_iter().map(ending).collect();
    endings.sort_by(|a, b| b.share.total_cmp(&a.share));
    endings
}

fn frame() -> Operation {
    let requests: Vec<Vec<u8>> = bodies(&Mix::default().classes, Length::USUAL)
        .into_iter()
        .map(|body| {
            let head = format!(
                "POST /openrtb/generic HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n\
                 x-openrtb-version: 2.6\r\nConnection: keep-alive\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            [head.into_bytes(), body].concat()
        })
        .collect();
    let (mut next, mut scratch) = (0, Vec::new());
    Box::new(move || {
        let bytes = &requests[next % BODIES];
        next += 1;
        let parsed = http::parse(bytes, &mut http::Progress::default(), &mut scratch);
        assert!(matches!(parsed, http::Parsed::Request { consumed, .. } if consumed == bytes.len()));
    })
}

fn ring() -> Operation {
    let (mut sender, mut receiver) = spsc::events();
    let event = Event::Returned { slot: Slot(1), lease: LeaseId(2), credit: Micros(3) };
    Box::new(move || {
        sender.offer(event).expect("drained each time");
        std::hint::black_box(receiver.take());
    })
}
