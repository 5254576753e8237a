//! Is a row what the request and the campaign say? The oracle reads the request and the campaigns with `serde_json` and `toml`, has
//! hashes and encoders written out a second time from docs/FEATURES.md, and knows nothing of the bidder's own types.
//!
//! And are the rows of training those of serving: is what a recorded request gives later the same, bit for bit?

mod support;

use std::collections::HashMap;

use corebid::bid::probe::Blind;
use corebid::bid::train::{Row, RowLog, Sample};
use corebid::bid::{Ask, BidCore, Outcome, Process, Seed};
use corebid::clock;
use corebid::config::Config;
use corebid::limits;
use corebid::metrics::core::CoreMetrics;
use corebid::ring::spsc::{self, EventReceiver, Receiver};
use corebid::secrets::Key;
use corebid::snapshot::data::{Data, Source};
use corebid::snapshot::features::Schema;
use corebid::units::{CoreId, Incarnation, LeaseId, Micros, Nanos, Now, UnixMillis};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use support::{Folder, campaign};

/// Every source, and every way to a number.
const SCHEMA: &str = r#"
features = [
  { name = "hour" }, { name = "weekday" }, { name = "auction" }, { name = "impressions" },
  { name = "exchange", as = "vocabulary", values = ["other", "generic"] },
  { name = "channel" }, { name = "channel_word", from = "channel", as = "vocabulary", values = ["app", "site"] },
  { name = "device" }, { name = "device_word", from = "device", as = "vocabulary", values = [4, 2] },
  { name = "connection" }, { name = "os" }, { name = "os_hash", from = "os", as = "hash", buckets = 64 },
  { name = "browser" }, { name = "language", as = "vocabulary", values = ["EN", "de"] },
  { name = "carrier", as = "hash", buckets = 1000 }, { name = "country", as = "vocabulary", values = ["DEU", "usa"] },
  { name = "country_hash", from = "country", as = "hash", buckets = 4096 }, { name = "region", as = "hash", buckets = 777 },
  { name = "domain", as = "hash", buckets = 16777216 }, { name = "bundle", as = "hash", buckets = 65536 },
  { name = "publisher", as = "hash", buckets = 65536 }, { name = "segments" },
  { name = "runner", from = "segment", segment = 9 }, { name = "nobody", from = "segment", segment = 10 },
  { name = "width" }, { name = "height" }, { name = "area" }, { name = "position" }, { name = "format" },
  { name = "interstitial" }, { name = "tag", as = "hash", buckets = 65536 }, { name = "floor" },
  { name = "deal", as = "hash", buckets = 128 }, { name = "seconds" }, { name = "campaign", as = "hash", buckets = 16384 },
  { name = "campaign_number", from = "campaign" }, { name = "creative", as = "hash", buckets = 65536 }, { name = "advertiser" },
  { name = "max_cpm" }, { name = "shown" }, { name = "shown_ad", from = "shown", per = "creative", window = "hour" },
  { name = "shown_ever", from = "shown", per = "advertiser", window = "lifetime" },
  { name = "where_what", cross = ["domain", "campaign", "hour"], buckets = 262144 },
  { name = "who_what", cross = ["runner", "creative"], buckets = 500 },
]
"#;

/// Three banners, the first counted by three caps and the second by one, a video, and one that is sold by a deal.
fn campaigns() -> String {
    let video = "creatives = [{ id = \"spot\", format = \"video\", duration = 30, media = [{ url = \"https://a.example/v.mp4\", \
                 mime = \"video/mp4\", w = 640, h = 360 }] }]";
    let caps = "frequency = [{ window = \"day\", times = 900 }, { per = \"creative\", window = \"hour\", times = 900 }, \
                { per = \"advertiser\", window = \"lifetime\", times = 900 }]\n";
    let banner = |id: u32, w: u32, more: &str| {
        campaign(id, more).replace("w = 300", &format!("w = {w}")).replace("cpm = 2.00", &format!("cpm = {id}.25"))
    };
    let spot = campaign(4, "");
    let creatives = spot.lines().find(|line| line.starts_with("creatives")).unwrap();
    [
        banner(1, 300, caps),
        banner(2, 320, "frequency_cap = 900\n"),
        banner(3, 728, ""),
        spot.replace(creatives, video),
        banner(5, 160, "[campaigns.targeting]\ndeals = [\"spring\"]\n"),
    ]
    .concat()
}

/// A bid core whose rows are read.
struct Bidder {
    core: BidCore,
    rows: Receiver<Row>,
    events: EventReceiver,
    response: Vec<u8>,
    now: Now,
}

impl Bidder {
    fn new(folder: &Folder, schema: &str, now: Now) -> Bidder {
        let users: String = ["u1", "u2"]
            .map(|user| format!("{{\"user\":\"{user}\",\"exchange\":\"generic\",\"segments\":[3,9]}}\n"))
            .concat();
        let source = Source::Files {
            campaigns: folder.write("campaigns.toml", campaigns()),
            profiles: Some(folder.write("profiles.ndjson", users)),
            model: None,
            scoring: Default::default(),
            rates: Default::default(),
            geo: None,
            edge: Default::default(),
            privacy: Default::default(),
            supply: Default::default(),
        };
        let data = Data::load(source, &Key([0; 32])).unwrap();
        let (events, receiver) = spsc::events();
        let (rows, row_receiver) = spsc::ring(limits::ROWS);
        let process = Process {
            incarnation: Incarnation(1),
            first_worker: 0,
            not_before: UnixMillis(0),
            base: "http://b.example".into(),
        };
        let config = Config::demo(std::path::Path::new(""));
        let log = RowLog::new(Schema::parse(schema).unwrap(), Sample::of(1), rows);
        let seed = Seed::new(&config, CoreId(0), process, &Key([7; 32]), &data).unwrap().logging(Some(log));
        let metrics: &'static CoreMetrics = Box::leak(Box::new(CoreMetrics::new(false)));
        let mut core = BidCore::new(seed, events, metrics);
        core.leases.renew(Nanos::NEVER);
        for campaign in data.campaigns() {
            core.leases.grant(campaign.slot, LeaseId(1), Micros(1 << 50), Nanos::NEVER);
        }
        Bidder { core, rows: row_receiver, events: receiver, response: vec![0; limits::ANSWER_BUFFER], now }
    }

    /// Bids, and the rows of its bids with the ids that the response has.
    fn ask(&mut self, request: &str) -> Vec<(String, Row)> {
        let ask = Ask { exchange: b"generic", body: request.as_bytes(), arrived: self.now.boot };
        let outcome = self.core.handle(self.now, ask, &mut self.response, &mut Blind);
        while self.events.take().is_some() {}
        let mut rows = Vec::new();
        while let Some(row) = self.rows.take() {
            rows.push(row);
        }
        let Outcome::Bid { length, .. } = outcome else {
            assert!(rows.is_empty(), "a row without a bid");
            return Vec::new();
        };
        let response: Value = serde_json::from_slice(&self.response[..length]).unwrap();
        let bids: Vec<&Value> =
            response["seatbid"].as_array().unwrap().iter().flat_map(|seat| seat["bid"].as_array().unwrap()).collect();
        // Who opted out is not learnt from.
        if request.contains("\"lmt\":1") {
            assert!(rows.is_empty(), "a row of somebody who opted out");
            return Vec::new();
        }
        assert_eq!(bids.len(), rows.len(), "a row for each bid");
        let imp = |bid: &Value| bid["impid"].as_str().unwrap().to_owned();
        for (bid, row) in bids.iter().zip(&rows) {
            assert_eq!(bid["id"], format!("{:032x}", u128::from_be_bytes(row.bid.0)));
            assert_eq!(bid["cid"], row.campaign.0.to_string());
        }
        bids.iter().map(|bid| imp(bid)).zip(rows).collect()
    }
}

/// The 64 bits that stand for a value: docs/FEATURES.md, "Keys".
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ b) * 0x9E37_79B9_7F4A_7C15;
    (product as u64) ^ (product >> 64) as u64
}

fn key_of_text(text: &str) -> u64 {
    let mut bytes = text.as_bytes().to_vec();
    let mut key = mix(0x243F_6A88_85A3_08D3, bytes.len() as u64);
    while !bytes.len().is_multiple_of(8) {
        bytes.push(0);
    }
    for word in bytes.chunks(8) {
        key = mix(key, word.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)));
    }
    key
}

fn key_of_number(number: f64) -> u64 {
    mix(0x1319_8A2E_0370_7344, number as i64 as u64)
}

/// What a source says: its number, if it is one, and its key.
#[derive(Clone, Copy, Debug)]
enum Said {
    Nothing,
    Is { number: Option<f64>, key: u64 },
}

impl Said {
    fn number(number: impl Into<f64>) -> Said {
        let number = number.into();
        Said::Is { number: Some(number), key: key_of_number(number) }
    }

    fn unless_zero(number: Option<u64>) -> Said {
        number.filter(|&number| number > 0).map_or(Said::Nothing, |number| Said::number(number as f64))
    }

    fn code(code: u32, name: &str) -> Said {
        Said::Is { number: Some(code.into()), key: key_of_text(name) }
    }

    fn text(text: Option<&str>) -> Said {
        text.filter(|text| !text.is_empty())
            .map_or(Said::Nothing, |text| Said::Is { number: None, key: key_of_text(text) })
    }

    fn lower(text: Option<&str>) -> Said {
        Said::text(text.map(str::to_ascii_lowercase).as_deref())
    }

    fn key(self) -> Option<u64> {
        match self {
            Said::Nothing => None,
            Said::Is { key, .. } => Some(key),
        }
    }
}

/// What has been bid so far, to whom.
type Counts = HashMap<(String, u32), u32>;

/// What the request, the campaign and the clock say, by the names of docs/FEATURES.md.
fn said(source: &str, column: &toml::Value, request: &Value, imp: &Value, row: &Row, at: u64, counts: &Counts) -> Said {
    let campaign = row.campaign.0;
    let device = &request["device"];
    let user = request["user"]["id"].as_str();
    let known = user.is_some_and(|user| user == "u1" || user == "u2");
    let inventory = ["site", "app"].into_iter().find(|kind| request[kind].is_object());
    let of = |kind: &str, key: &str| inventory.filter(|own| *own == kind).and_then(|own| request[own][key].as_str());
    let is_video = campaign == 4;
    let size = || {
        let place = if is_video { &imp["video"] } else { &imp["banner"] };
        (place["w"].as_u64(), place["h"].as_u64())
    };
    let shown = |counted: bool| match user {
        Some(user) if counted => {
            let key = (user.to_owned(), campaign);
            // Of bids that are still open, so many are told apart (docs/FREQUENCY.md).
            Said::number(counts.get(&key).copied().unwrap_or(0).min(15))
        }
        _ => Said::Nothing,
    };
    match source {
        "hour" => Said::number((at / 3_600_000 % 24) as f64),
        // 2024-01-01 was a Monday.
        "weekday" => Said::number(((at - 1_704_067_200_000) / 86_400_000 % 7) as f64),
        "exchange" => Said::text(Some("generic")),
        "auction" => Said::number(request["at"].as_u64().unwrap_or(2) as f64),
        "impressions" => Said::number(request["imp"].as_array().unwrap().len() as f64),
        "channel" => match inventory {
            Some("site") => Said::code(1, "site"),
            Some(_) => Said::code(2, "app"),
            None => Said::Nothing,
        },
        "device" => Said::unless_zero(device["devicetype"].as_u64()),
        "connection" => Said::unless_zero(device["connectiontype"].as_u64()),
        "os" => match device["os"].as_str() {
            Some("Android") => Said::code(1, "android"),
            Some("iOS") => Said::code(2, "ios"),
            _ => Said::Nothing,
        },
        "browser" => match device["sua"]["browsers"][0]["brand"].as_str() {
            Some("Google Chrome") => Said::code(1, "chrome"),
            Some("Firefox") => Said::code(3, "firefox"),
            _ => Said::Nothing,
        },
        "language" => Said::lower(device["language"].as_str()),
        "carrier" => Said::lower(device["carrier"].as_str()),
        "country" => Said::lower(device["geo"]["country"].as_str()),
        "region" => Said::lower(device["geo"]["region"].as_str()),
        "domain" => {
            let page = of("site", "page").and_then(|page| page.split("://").nth(1)?.split(['/', ':']).next());
            Said::lower(of("site", "domain").or(page))
        }
        "bundle" => Said::text(of("app", "bundle")),
        "publisher" => Said::text(inventory.and_then(|own| request[own]["publisher"]["id"].as_str())),
        "segments" if known => Said::number(2),
        "segment" if known => Said::number(u8::from([3, 9].contains(&column["segment"].as_integer().unwrap()))),
        "segments" | "segment" => Said::Nothing,
        "width" => Said::unless_zero(size().0),
        "height" => Said::unless_zero(size().1),
        "area" => Said::unless_zero(size().0.zip(size().1).map(|(w, h)| w * h)),
        "position" => Said::unless_zero(if is_video { &imp["video"] } else { &imp["banner"] }["pos"].as_u64()),
        "format" => {
            if is_video {
                Said::code(2, "video")
            } else {
                Said::code(1, "banner")
            }
        }
        "interstitial" => Said::number(imp["instl"].as_u64().unwrap_or(0) as f64),
        "tag" => Said::text(imp["tagid"].as_str()),
        "floor" => {
            let deal = imp["pmp"]["deals"][0]["bidfloor"].as_f64().filter(|_| campaign == 5);
            Said::number(deal.or(imp["bidfloor"].as_f64()).unwrap_or(0.0))
        }
        "deal" => Said::text(imp["pmp"]["deals"][0]["id"].as_str().filter(|_| campaign == 5)),
        "seconds" => {
            if is_video {
                Said::number(30)
            } else {
                Said::Nothing
            }
        }
        "campaign" => Said::number(campaign),
        "creative" => {
            Said::text(Some(if is_video { "spot" } else { ["c1", "c2", "c3", "", "c5"][campaign as usize - 1] }))
        }
        "advertiser" => Said::number(campaign),
        "max_cpm" => Said::number(if is_video { 2.0 } else { f64::from(campaign) + 0.25 }),
        "shown" => {
            let key = |key: &str, usual: &'static str| {
                column.get(key).map_or(usual, |value| value.as_str().unwrap()).to_owned()
            };
            let counted = match (key("per", "campaign").as_str(), key("window", "day").as_str()) {
                ("campaign", "day") => campaign <= 2,
                ("creative", "hour") | ("advertiser", "lifetime") => campaign == 1,
                other => panic!("{other:?}"),
            };
            shown(counted)
        }
        other => panic!("the oracle does not know {other}"),
    }
}

/// A row by the schema's text.
fn expected(schema: &str, request: &Value, imp: &Value, row: &Row, at: u64, counts: &Counts) -> Vec<f32> {
    let schema: toml::Value = toml::from_str(schema).unwrap();
    let columns = schema["features"].as_array().unwrap();
    let bucket = |key: Option<u64>, column: &toml::Value| {
        let buckets = column["buckets"].as_integer().unwrap() as u128;
        key.map_or(f32::NAN, |key| ((u128::from(key) * buckets) >> 64) as f32)
    };
    let value = |column: &toml::Value| {
        let name = column["name"].as_str().unwrap();
        let from = column.get("from").map_or(name, |from| from.as_str().unwrap());
        said(from, column, request, imp, row, at, counts)
    };
    let row = columns.iter().map(|column| {
        if let Some(crossed) = column.get("cross") {
            let mut key = Some(0xA409_3822_299F_31D0);
            for name in crossed.as_array().unwrap() {
                let named = columns.iter().find(|column| column["name"] == *name).expect("a feature");
                key = key.zip(value(named).key()).map(|(key, own)| mix(key, own));
            }
            return bucket(key, column);
        }
        let value = value(column);
        match (column.get("as").map(|how| how.as_str().unwrap()), value) {
            (Some("hash"), value) => bucket(value.key(), column),
            (Some("vocabulary"), Said::Nothing) => f32::NAN,
            (Some("vocabulary"), value) => {
                let caseless = ["language", "country"].contains(&column["name"].as_str().unwrap());
                let mut words = column["values"].as_array().unwrap().iter().map(|word| match word.as_integer() {
                    Some(number) => key_of_number(number as f64),
                    None if caseless => key_of_text(&word.as_str().unwrap().to_ascii_lowercase()),
                    None => key_of_text(word.as_str().unwrap()),
                });
                words.position(|word| Some(word) == value.key()).map_or(0, |at| at + 1) as f32
            }
            (_, Said::Is { number: Some(number), .. }) => number as f32,
            (_, _) => f32::NAN,
        }
    });
    row.collect()
}

/// What may stand in a member that may be absent.
fn maybe(values: Vec<Value>) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![1 => Just(None), 3 => prop::sample::select(values).prop_map(Some)]
}

fn impressions() -> impl Strategy<Value = Vec<Value>> {
    let kind = prop::sample::select(vec!["300x250", "320x50", "728x90", "video", "deal"]);
    let place = (maybe(vec![json!(0), json!(1), json!(3)]), maybe(vec![json!(0.1), json!(0.75), json!(1.234567)]));
    let more = (maybe(vec![json!("top-1"), json!("Ünten / \"links\""), json!("")]), maybe(vec![json!(0), json!(1)]));
    let imp = (kind, place, more).prop_map(|(kind, (pos, floor), (tag, full))| {
        let mut imp = json!({});
        let mut place = match kind {
            "video" => json!({ "mimes": ["video/mp4"], "protocols": [2, 3, 7], "w": 1280, "h": 720 }),
            "deal" => json!({ "w": 160, "h": 250 }),
            "300x250" => json!({ "w": 300, "h": 250 }),
            "320x50" => json!({ "w": 320, "h": 250 }),
            _ => json!({ "w": 728, "h": 250 }),
        };
        pos.into_iter().for_each(|pos| place["pos"] = pos);
        imp[if kind == "video" { "video" } else { "banner" }] = place;
        floor.into_iter().for_each(|floor| imp["bidfloor"] = floor);
        tag.into_iter().for_each(|tag| imp["tagid"] = tag);
        full.into_iter().for_each(|full| imp["instl"] = full);
        if kind == "deal" {
            imp["pmp"] = json!({ "private_auction": 1, "deals": [{ "id": "spring", "bidfloor": 0.5 }] });
        }
        imp
    });
    prop::collection::vec(imp, 1..4).prop_map(|mut imps| {
        imps.iter_mut().zip(1..).for_each(|(imp, id)| imp["id"] = json!(id.to_string()));
        imps
    })
}

/// Requests; as text, in which some strings are spelt with escapes throughout.
fn requests() -> impl Strategy<Value = (Value, String)> {
    let inventory = prop_oneof![
        Just(json!({ "site": { "domain": "News.Example", "publisher": { "id": "Pub-1" } } })),
        Just(json!({ "site": { "page": "https://www.Pages.example:8443/a?b=c" } })),
        Just(json!({ "app": { "bundle": "com.Example.App", "publisher": { "id": "9" } } })),
        Just(json!({})),
    ];
    let os = maybe(vec![json!("Android"), json!("iOS"), json!("Symbian")]);
    let browser = maybe(vec![json!("Google Chrome"), json!("Firefox"), json!("Not.A/Brand")]);
    let device = (
        (maybe(vec![json!(0), json!(2), json!(4), json!(5)]), maybe(vec![json!(0), json!(2), json!(6)])),
        (os, browser),
        (maybe(vec![json!("EN"), json!("de"), json!("fr")]), maybe(vec![json!("Telefónica"), json!("T-Mobile")])),
        (maybe(vec![json!("USA"), json!("deu"), json!("FRA")]), maybe(vec![json!("CA"), json!("ny")])),
    );
    let user = maybe(vec![json!("u1"), json!("u2"), json!("u3")]);
    let more = (maybe(vec![json!(1), json!(2)]), prop::option::weighted(0.2, Just(json!(1))), any::<bool>());
    (inventory, impressions(), device, user, more).prop_map(|(inventory, imps, device, user, (at, lmt, escaped))| {
        let mut request = inventory;
        request["id"] = json!("r");
        request["imp"] = json!(imps);
        let ((kind, connection), (os, browser), (language, carrier), (country, region)) = device;
        let brand = browser.map(|brand| json!({ "browsers": [{ "brand": brand, "version": ["1"] }] }));
        let mut device = json!({ "geo": {} });
        let members = [
            ("devicetype", kind),
            ("connectiontype", connection),
            ("os", os),
            ("sua", brand),
            ("language", language),
            ("carrier", carrier),
            ("lmt", lmt),
        ];
        members.into_iter().for_each(|(key, value)| value.into_iter().for_each(|value| device[key] = value));
        country.into_iter().for_each(|country| device["geo"]["country"] = country);
        region.into_iter().for_each(|region| device["geo"]["region"] = region);
        request["device"] = device;
        at.into_iter().for_each(|at| request["at"] = at);
        user.into_iter().for_each(|user| request["user"] = json!({ "id": user }));
        let text = request.to_string();
        (request, if escaped { spelt_out(&text) } else { text })
    })
}

/// The same document with every capital and every dot of its strings as an escape; names of members have none.
fn spelt_out(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            'A'..='Z' => format!("\\u{:04x}", letter as u32),
            other => other.to_string(),
        })
        .collect()
}

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|value| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }).collect()
}

/// So many requests, the same in each run.
fn sample_of_requests(count: usize) -> Vec<(Value, String)> {
    let mut runner =
        TestRunner::new_with_rng(ProptestConfig::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    (0..count).map(|_| requests().new_tree(&mut runner).unwrap().current()).collect()
}

fn a_thursday() -> Now {
    // 2027-01-14 08:00 UTC, one of those.
    Now { wall: UnixMillis(1_799_913_600_000), boot: clock::now().boot }
}

#[test]
fn a_row_is_what_the_request_and_the_campaign_say() {
    let folder = Folder::new("features");
    let builtin = Schema::builtin();
    for schema in [SCHEMA, builtin.text()] {
        let mut bidder = Bidder::new(&folder, schema, a_thursday());
        let width = Schema::parse(schema).unwrap().width();
        let (mut counts, mut by_campaign, mut told) = (Counts::new(), [0; 6], vec![0; width]);
        for (request, text) in sample_of_requests(1500) {
            let rows = bidder.ask(&text);
            for (imp, row) in &rows {
                let imp = request["imp"].as_array().unwrap().iter().find(|own| own["id"] == **imp).unwrap();
                let expected = expected(schema, &request, imp, row, bidder.now.wall.0, &counts);
                let names: Vec<String> = Schema::parse(schema).unwrap().names().map(str::to_owned).collect();
                for (at, name) in names.iter().enumerate() {
                    let (is, should) = (row.features[at], expected[at]);
                    assert_eq!(bits(&[is]), bits(&[should]), "{name} is {is}, not {should}: {text} {row:?}");
                    told[at] += u32::from(!should.is_nan());
                }
                by_campaign[row.campaign.0 as usize] += 1;
            }
            // Once the answer is made, its bids count.
            for (_, row) in &rows {
                if let Some(user) = request["user"]["id"].as_str() {
                    *counts.entry((user.to_owned(), row.campaign.0)).or_default() += 1;
                }
            }
        }
        assert!(by_campaign[1..].iter().all(|&bids| bids > 20), "{by_campaign:?}");
        assert!(told.iter().all(|&times| times > 20), "{told:?}");
    }
}

/// What is logged is what a recorded request gives again, elsewhere and later: same state, same time, same bits.
#[test]
fn the_rows_of_a_replay_are_the_rows_of_serving() {
    let folder = Folder::new("replay");
    let mut serving = Bidder::new(&folder, SCHEMA, a_thursday());
    let mut replayed = Bidder::new(&folder, SCHEMA, a_thursday());
    let mut rows = 0;
    for (_, text) in sample_of_requests(500) {
        let (served, again) = (serving.ask(&text), replayed.ask(&text));
        assert_eq!(served.len(), again.len());
        for ((_, one), (_, other)) in served.iter().zip(&again) {
            assert_eq!(bits(&one.features), bits(&other.features), "{text}");
            assert_eq!((one.campaign, one.creative, one.price), (other.campaign, other.creative, other.price));
            assert!(one.bid != other.bid);
            rows += 1;
        }
    }
    assert!(rows > 200, "{rows}");
}
