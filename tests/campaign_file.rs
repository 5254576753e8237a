//! What does a campaign file mean, and is every mistake in one told with file, line and what is wrong?

use std::path::{Path, PathBuf};

use std::collections::BTreeMap;

use corebid::bid::server::ANSWER_ROOM;
use corebid::limits;
use corebid::profile::count::{Per, Window};
use corebid::snapshot::campaign;
use corebid::snapshot::campaign::markup::{Markup, Outcomes, Signals, Values};
use corebid::snapshot::campaign::{
    Ad, BannerAd, Campaign, CampaignError, Circle, Creative, Flight, Mode, Pacing, Shape, Slots, Spending, Targeting,
    load,
};
use corebid::snapshot::demo;
use corebid::snapshot::supply::Policy;
use corebid::units::{AdvertiserId, BidId, CampaignId, CpmMicros, Micros, SegmentId, Slot, UnixMillis};
use corebid::wire::json::Text;
use corebid::wire::openrtb::agent::{Browser, Os};
use corebid::wire::openrtb::mime::Mimes;
use corebid::wire::openrtb::request::{Channel, Dsa, Point, Size};
use corebid::wire::openrtb::response::{Bid, MarkupType, Out, ResponseWriter, SEAT_BYTES};

/// A file of this test, removed with the value.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: impl AsRef<[u8]>) -> File {
        let directory = std::env::temp_dir().join(format!("corebid-campaign-file-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        File(path)
    }

    fn load(&self) -> Result<Vec<Campaign>, CampaignError> {
        load(&self.0, &mut Slots::new())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const TOML: &str = r#"
[[campaigns]]
id = 42
advertiser = 7
name = "Spring \"sale\""
daily_budget = 1_234.000001
total_budget = 20_000
pacing = "fast"
curve = [0, 0, 0, 0, 0, 0.5, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.000001, 0]
time_zone = "europe/berlin"
mode = "quantile"
tolerance = 0.015
flight = { start = 2026-03-01, end = 2026-03-31T12:00:00+02:00 }
cpm = 2.345678
adomain = ["Acme.example", "acme.example.org"]
cat = ["IAB18", "IAB20-1"]
cat_in = { 6 = ["552", "553"], 7 = ["483"] }
competes = ["shoes"]
together = true
supply = "prefer"
frequency_cap = 3
frequency = [{ window = "hour", times = 1 }, { per = "creative", window = "week", times = 4 }, { per = "advertiser", window = "lifetime", times = 20 }]

[[campaigns.creatives]]
id = "c-1"
w = 300
h = 250
markup = """<a href="https://acme.example/?p=${AUCTION_PRICE}">\u00e9 </script>
</a>"""
btype = 3
attr = [1, 16]
language = "DE"

[[campaigns.creatives]]
id = "c-2"
w = 320
h = 50
markup = "<img src='HTTP://acme.example/'>"

[campaigns.targeting]
countries = { include = ["usa", "GBR"], exclude = ["DEU"] }
regions = ["USA-ca"]
cities = ["usa-San Francisco"]
zips = { exclude = ["USA-94103", "GBR-SW1A 1AA"] }
circles = [{ lat = 52.52, lon = -13.405, km = 2.5 }]
os = ["ios", "android"]
browsers = { exclude = ["uc"] }
carriers = ["Verizon"]
connections = ["wifi", "5g"]
devices = ["phone", "tablet"]
channels = ["site", "dooh"]
sites = { include = ["News.example"], exclude = ["bad.news.example"] }
bundles = { exclude = ["com.Bad.app"] }
publishers = ["Pub-1"]
categories = { include = ["IAB1"], exclude = ["IAB1-5"] }
languages = ["EN"]
deals = ["Deal-1"]
daypart = { zone = "Europe/Berlin", hours = "mon 00-02, sun 23-24" }
exchanges = ["generic"]
segments = { any = [9, 3, 3], none = [1] }

[[campaigns]]
id = 1
advertiser = 7
name = "plain"
enabled = false
daily_budget = 10
cpm = 1
adomain = ["acme.example"]
creatives = [{ id = "c", w = 728, h = 90, markup = "<b>", secure = true }]
"#;

/// A creative of each other format.
const FORMATS: &str = r#"
[[campaigns]]
id = 3
advertiser = 7
name = "formats"
daily_budget = 10
cpm = 1
adomain = ["acme.example"]

[[campaigns.creatives]]
id = "v"
format = "video"
duration = 30
skip = 5
title = "Shoes & more"
api = [7]
click = "https://acme.example/?a=1&i=${AUCTION_IMP_ID}"
media = [
    { url = "https://cdn.acme.example/hd.mp4", mime = "video/mp4", w = 1920, h = 1080, bitrate = 4000 },
    { url = "https://cdn.acme.example/sd.webm", mime = "video/webm", w = 640, h = 360, bitrate = 700, delivery = "streaming" },
]
trackers = { impression = ["https://t.example/i"], start = ["https://t.example/s"], skip = ["https://t.example/k"] }

[[campaigns.creatives]]
id = "wrapped"
format = "video"
duration = 15
media = [{ mime = "video/mp4", w = 640, h = 360 }]
vast_url = "http://ads.example/vast?r=${CACHEBUSTER}"

[[campaigns.creatives]]
id = "own"
format = "audio"
duration = 15
media = [{ mime = "audio/mpeg", bitrate = 128 }]
protocol = 3
vast = """<VAST version="3.0" xmlns:xs="http://www.w3.org/2001/XMLSchema"/>"""

[[campaigns.creatives]]
id = "n"
format = "native"
click = "https://acme.example/n"
titles = ["Shoes", "Shoes for everybody"]
images = [{ type = "main", url = "https://cdn.acme.example/m.png", mime = "image/png", w = 1200, h = 627 }]
data = { sponsored = "Acme", ctatext = ["Buy", "Buy now"] }
trackers = { impression = ["https://t.example/i"], click = ["https://t.example/c"] }
"#;

fn banner(creative: &Creative) -> &BannerAd {
    match &creative.ad {
        Ad::Banner(banner) => banner,
        other => panic!("{other:?}"),
    }
}

const NOTHING: Values<'static> = Values {
    auction: Text { raw: b"", escaped: false },
    bid: BidId([0; 16]),
    imp: Text { raw: b"", escaped: false },
    seat: b"",
    cachebuster: 7,
    currency: b"USD",
    price_macro: b"${AUCTION_PRICE}",
    click_macro: b"",
    bill_url: b"",
    outcomes: Outcomes::NONE,
    signals: Signals::NONE,
};

/// What the markup is when nothing of the request is in it.
fn plain(markup: &Markup) -> String {
    let mut room = vec![0; 65_536];
    let mut out = Out::new(&mut room);
    markup.write(&NOTHING, &mut out);
    let length = out.written().unwrap();
    serde_json::from_slice(&[b"\"", &room[..length], b"\""].concat()).unwrap()
}

#[test]
fn every_key_means_what_it_says() {
    let mut slots = Slots::new();
    let file = File::new("all.toml", TOML);
    let campaigns = load(&file.0, &mut slots).unwrap();
    let [first, second] = &campaigns[..] else { panic!("two campaigns") };

    assert_eq!((first.id, first.advertiser, first.slot), (CampaignId(42), AdvertiserId(7), Slot(0)));
    assert_eq!(first.name, "Spring \"sale\"");
    assert!(first.enabled);
    assert_eq!(first.daily_budget, Micros(1_234_000_001));
    let mut hours = [1_000_000; 24];
    hours[..5].fill(0);
    (hours[5], hours[12], hours[22], hours[23]) = (500_000, 2_000_000, 1, 0);
    let spending = Spending {
        total: Some(Micros(20_000_000_000)),
        pacing: Pacing::Fast,
        curve: Some(Box::new(hours)),
        zone: "Europe/Berlin".into(),
        mode: Mode::Quantile,
        tolerance: Some(15_000),
    };
    assert_eq!(first.spending, spending);
    assert_eq!(first.cpm, CpmMicros(2_345_678));
    // Seconds of `date -u -d … +%s`.
    let flight = Flight { start: UnixMillis(1_772_323_200_000), end: UnixMillis(1_774_951_200_000) };
    assert_eq!(first.flight, flight);
    assert_eq!(first.adomain, ["acme.example", "acme.example.org"]);
    assert_eq!(first.cat, ["IAB18", "IAB20-1"]);
    assert_eq!(
        first.frequency.iter().map(|cap| (cap.per, cap.window, cap.times.get())).collect::<Vec<_>>(),
        [
            (Per::Campaign, Window::Day, 3),
            (Per::Campaign, Window::Hour, 1),
            (Per::Creative, Window::Week, 4),
            (Per::Advertiser, Window::Lifetime, 20),
        ]
    );
    assert_eq!(first.cat_in, [(6, vec!["552".into(), "553".into()]), (7, vec!["483".into()])]);
    assert_eq!((first.competes.len(), first.together), (1, true));
    assert_eq!((first.supply, second.supply), (Policy::Prefer, Policy::Off));
    assert_eq!(banner(&first.creatives[0]).size, Size { w: 300, h: 250 });
    assert_eq!((banner(&first.creatives[0]).btype, first.creatives[0].attr), (3, 1 << 1 | 1 << 16));
    assert_eq!((banner(&first.creatives[1]).btype, first.creatives[1].attr), (2, 0));
    assert_eq!([first.creatives[0].language, first.creatives[1].language], [Some(*b"de"), None]);
    assert_eq!([first.creatives[0].secure, first.creatives[1].secure], [true, false]);

    let targeting = &first.targeting;
    assert_eq!(targeting.countries.include, ["USA", "GBR"]);
    assert_eq!(targeting.countries.exclude, ["DEU"]);
    assert_eq!(targeting.regions.include, ["USA-CA"]);
    assert_eq!(targeting.devices, [4, 5]);
    assert_eq!(targeting.cities.include, ["USA-San Francisco"]);
    assert_eq!(targeting.zips.exclude, ["USA-94103", "GBR-SW1A 1AA"]);
    let berlin = Circle { centre: Point { lat: 52_520_000, lon: -13_405_000 }, metres: 2500 };
    assert_eq!(targeting.circles.include, [berlin]);
    assert_eq!(targeting.os.include, [Os::Ios, Os::Android]);
    assert_eq!(targeting.browsers.exclude, [Browser::Uc]);
    assert_eq!(targeting.carriers.include, ["Verizon"]);
    assert_eq!(targeting.connections, [2, 7]);
    assert_eq!(targeting.categories.include, ["IAB1"]);
    assert_eq!(targeting.categories.exclude, ["IAB1-5"]);
    assert_eq!(targeting.languages.include, ["en"]);
    assert_eq!(targeting.deals, ["Deal-1"]);
    let daypart = targeting.daypart.as_ref().unwrap();
    assert_eq!(daypart.zone, "Europe/Berlin");
    assert_eq!((0..168).filter(|&hour| daypart.contains(hour)).collect::<Vec<_>>(), [0, 1, 167]);
    assert_eq!(targeting.channels, [Channel::Site, Channel::Dooh]);
    assert_eq!(targeting.sites.include, ["news.example"]);
    assert_eq!(targeting.sites.exclude, ["bad.news.example"]);
    assert_eq!(targeting.bundles.exclude, ["com.Bad.app"]);
    assert_eq!(targeting.publishers.include, ["Pub-1"]);
    assert_eq!(targeting.exchanges.include, ["generic"]);
    assert_eq!(targeting.segments.any, [SegmentId(3), SegmentId(9)]);
    assert_eq!(targeting.segments.none, [SegmentId(1)]);

    assert!(!second.enabled && second.creatives[0].secure && second.frequency.is_empty());
    assert_eq!((second.flight, second.slot), (Flight::ALWAYS, Slot(1)));
    assert_eq!((second.daily_budget, second.cpm), (Micros(10_000_000), CpmMicros(1_000_000)));
    assert_eq!(second.spending, Spending::default());
}

#[test]
fn what_an_answer_needs_is_finished_json() {
    let campaigns = File::new("rendered.toml", TOML).load().unwrap();
    let text = |json: &[u8]| serde_json::from_slice::<String>(json).unwrap();
    let list = |json: &[u8]| serde_json::from_slice::<Vec<String>>(json).unwrap();
    let first = &campaigns[0];
    let markup = "<a href=\"https://acme.example/?p=${AUCTION_PRICE}\">\u{e9} </script>\n</a>";
    assert_eq!(plain(&banner(&first.creatives[0]).markup), markup);
    assert_eq!(text(&first.creatives[0].crid_json), "c-1");
    assert_eq!(text(&first.cid_json), "42");
    assert_eq!(list(&first.adomain_json), first.adomain);
    assert_eq!(list(&first.cat_json), first.cat);
    assert_eq!(&campaigns[1].cat_json[..], b"[]");
    assert_eq!(first.categories(7), (7, &b"[\"483\"]"[..]));
    assert_eq!(first.categories(5), (1, &first.cat_json[..]));
}

#[test]
fn every_format_has_its_keys() {
    let campaigns = File::new("formats.toml", FORMATS).load().unwrap();
    let creatives: BTreeMap<_, _> = campaigns[0].creatives.iter().map(|c| (c.id.as_str(), c)).collect();
    let shapes: Vec<_> = campaigns[0].creatives.iter().map(Creative::shape).collect();
    assert_eq!(shapes, [Shape::Video, Shape::Video, Shape::Audio, Shape::Native]);
    let secure: Vec<_> = campaigns[0].creatives.iter().map(|creative| creative.secure).collect();
    assert_eq!(secure, [true, false, true, true]);

    let Ad::Video(video) = &creatives["v"].ad else { panic!() };
    assert_eq!((video.duration, video.skippable, video.api), (30, true, 1 << 7));
    let (mp4, webm) = (Mimes::of(b"video/mp4"), Mimes::of(b"video/webm"));
    assert_eq!(*video.files, [(mp4, 4000), (webm, 700)]);
    assert_eq!(video.size, Size { w: 1920, h: 1080 });
    assert_eq!(video.mimes, Mimes::of(b"video/mp4").with(Mimes::of(b"video/webm")));
    assert_eq!(video.versions.iter().map(|(protocol, _)| *protocol).collect::<Vec<_>>(), [7, 3, 2]);

    let Ad::Video(wrapped) = &creatives["wrapped"].ad else { panic!() };
    assert_eq!(wrapped.versions.iter().map(|(protocol, _)| *protocol).collect::<Vec<_>>(), [8, 6, 5]);
    assert!(plain(&wrapped.versions[0].1).contains("<![CDATA[http://ads.example/vast?r=7]]>"));

    let Ad::Audio(own) = &creatives["own"].ad else { panic!() };
    let [(3, markup)] = &own.versions[..] else { panic!() };
    assert_eq!(plain(markup), "<VAST version=\"3.0\" xmlns:xs=\"http://www.w3.org/2001/XMLSchema\"/>");
    assert_eq!((&*own.files, own.size), (&[(Mimes::of(b"audio/mpeg"), 128)][..], Size::default()));

    let Ad::Native(native) = &creatives["n"].ad else { panic!() };
    assert_eq!(native.titles.iter().map(|title| title.characters).collect::<Vec<_>>(), [19, 5]);
    assert_eq!(
        native.data.iter().map(|(kind, text)| (*kind, text.characters)).collect::<Vec<_>>(),
        [(1, 4), (12, 7), (12, 3)]
    );
}

/// The same document in JSON, by way of the TOML library's own value type.
fn as_json(toml: &str) -> String {
    fn json(value: toml::Value) -> serde_json::Value {
        match value {
            toml::Value::String(text) => text.into(),
            toml::Value::Integer(number) => number.into(),
            toml::Value::Float(number) => number.into(),
            toml::Value::Boolean(value) => value.into(),
            toml::Value::Datetime(date) => date.to_string().into(),
            toml::Value::Array(items) => items.into_iter().map(json).collect(),
            toml::Value::Table(table) => {
                serde_json::Value::Object(table.into_iter().map(|(k, v)| (k, json(v))).collect())
            }
        }
    }
    serde_json::to_string_pretty(&json(toml::Value::Table(toml.parse().unwrap()))).unwrap()
}

#[test]
fn toml_and_json_mean_the_same() {
    let text = format!("{TOML}{FORMATS}");
    let toml = File::new("same.toml", &text).load().unwrap();
    assert_eq!(File::new("same.json", as_json(&text)).load().unwrap(), toml);
}

#[test]
fn slots_stay_when_a_file_is_read_again_and_a_wrong_file_takes_none() {
    let mut slots = Slots::new();
    load(&File::new("again.toml", TOML).0, &mut slots).unwrap();
    let wrong = TOML.replace("id = 1\n", "id = 9\n").replace("cpm = 1\n", "cpm = -1\n");
    load(&File::new("wrong.toml", wrong).0, &mut slots).unwrap_err();
    assert_eq!(slots.len(), 2);
    let reordered = TOML.replace("id = 42", "id = 5").replace("id = 1\n", "id = 42\n");
    let campaigns = load(&File::new("other.toml", reordered).0, &mut slots).unwrap();
    assert_eq!(campaigns.iter().map(|campaign| campaign.slot).collect::<Vec<_>>(), [Slot(2), Slot(0)]);
}

/// A campaign on lines 1 to 13, with one line replaced or added.
fn with(line: usize, text: &str) -> String {
    let mut lines = vec![
        "[[campaigns]]",
        "id = 1",
        "advertiser = 2",
        "name = 'n'",
        "daily_budget = 1",
        "cpm = 1.5",
        "adomain = ['a.example']",
        "",
        "[[campaigns.creatives]]",
        "id = 'c'",
        "w = 300",
        "h = 250",
        "markup = '<b>'",
        "",
        "[campaigns.targeting]",
        "",
    ];
    lines[line - 1] = text;
    lines.join("\n")
}

#[test]
fn mistakes_are_told_with_file_line_and_reason() {
    assert!(File::new("right.toml", with(8, "")).load().is_ok());
    let long = format!("markup = '{}'", "x".repeat(16 * 1024 + 1));
    let control = format!("markup = \"{}\"", "\\u0001".repeat(6000));
    let labels = "sites = ['a.b.c.d.e.f.g.h.example']";
    for (line, text, reason) in [
        (2, "id = = 1", ""),
        (2, "id = -1", "-1 is not within 0 to 4294967295"),
        (2, "id = '1'", "expected a whole number, found text"),
        (2, "id = 1.0", "not a whole number"),
        (4, "name = ''", "name: is empty"),
        (5, "daily_budget = 0", "must be greater than 0"),
        (5, "daily_budget = 0.0000001", "whole millionths"),
        (5, "daily_budget = 1e12", "must be at most"),
        (8, "pacing = 'slow'", "\"slow\" is none of even, fast, asap"),
        (8, "mode = 'loose'", "\"loose\" is none of strict, quantile"),
        (
            8,
            "time_zone = 'Berlin'",
            "time_zone: \"Berlin\" is no time zone of the IANA database; there is Europe/Berlin",
        ),
        (8, "total_budget = 0", "total_budget: must be greater than 0"),
        (8, "tolerance = 1.1", "from 0 to 1"),
        (8, "tolerance = 0.1\nmode = 'strict'", "nothing is tolerated"),
        (8, "curve = [1, 2]", "curve: a curve has 24 weights, one for each hour, not 2"),
        (8, "curve = [0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]", "every hour weighs nothing"),
        (8, "curve = [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,-1]", "a weight is from 0 to 4000"),
        (
            8,
            "curve = [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]\npacing = 'asap'",
            "a campaign that spends as soon as possible",
        ),
        (6, "cpm = 0", "campaign 1: cpm: must be greater than 0"),
        (6, "cpm = -2.5", "must be greater than 0"),
        (6, "cpm = inf", "inf is not an amount"),
        (6, "cpm = 4000.1", "must be at most 4000"),
        (8, "cpc = 0", "campaign 1: cpc: must be greater than 0"),
        (8, "cpa = 1000000.01", "campaign 1: cpa: must be at most 1000000"),
        (8, "cpc = 0.4\ncpa = 3", "by click (`cpc`) or by conversion (`cpa`), and not by both"),
        (7, "adomain = []", "the list is empty"),
        (7, "adomain = ['https://a.example']", "is not a domain"),
        (8, "budget = 3", "unknown key `budget`"),
        (8, "cat = ['IAB 1']", "is not a category"),
        (8, "enabled = 1", "expected true or false, found a number"),
        (8, "supply = \"some\"", "\"some\" is no policy: require, prefer or off"),
        (8, "supply = true", "supply"),
        (8, "frequency_cap = 0", "0 is not within 1 to 65535"),
        (8, "frequency = []", "the list is empty"),
        (8, "frequency = [{ window = 'day' }]", "times"),
        (8, "frequency = [{ times = 3 }]", "window"),
        (8, "frequency = [{ window = 'day', times = 65536 }]", "65536 is not within 1 to 65535"),
        (8, "frequency = [{ window = 'month', times = 3 }]", "hour, day, week, lifetime"),
        (8, "frequency = [{ window = 'day', times = 3, per = 'user' }]", "campaign, creative, advertiser"),
        (8, "frequency = [{ window = 'day', times = 3, cap = 1 }]", "unknown key `cap`"),
        (
            8,
            "frequency = [{ window = 'day', times = 3 }, { window = 'day', times = 2 }]",
            "two caps per campaign and day",
        ),
        (8, "flight = { start = 2026-02-30 }", ""),
        (8, "flight = { start = '2026-02-30' }", "is not a date"),
        (8, "flight = { start = 'soon' }", "is not a date"),
        (8, "flight = { start = 2026-03-01T10:00:00 }", "needs its offset"),
        (8, "flight = { start = 2026-03-01T10:00:00.5Z }", "whole seconds"),
        (8, "flight = { start = 2026-03-02, end = 2026-03-01 }", "ends before it starts"),
        (8, "flight = { start = 1969-12-31 }", "is not within 1970 to 2105"),
        (8, "flight = { stop = 2026-03-02 }", "unknown key `stop`"),
        (11, "w = 0", "0 is not within 1 to 10000"),
        (12, "h = 70000", "70000 is not within"),
        (13, "markup = ''", "the markup is empty"),
        (13, &long, "16385 bytes of markup; the most is 16384"),
        (13, &control, "escaped for JSON; the most is 32768"),
        (13, "markup = '${CLICK_URL}'", "the creative no `click`"),
        (13, "markup = 'http://x/${BILL_URL}'", "cannot be part of another"),
        (14, "click = 'acme.example'", "is not an http or https address"),
        (14, "click = 'https://a.example/a b'", "is not an http or https address"),
        (14, "language = 'english'", "is not an ISO 639-1"),
        (14, "format = 'popup'", "is not a format: banner, video, audio, native"),
        (14, "duration = 5", "unknown key `duration`"),
        (8, "cat_in = { 1 = ['IAB1'] }", "taxonomy 1 is what `cat` is in"),
        (8, "cat_in = { x = ['1'] }", "is not a number of AdCOM list"),
        (8, "competes = 'shoes'", "expected a list, found text"),
        (14, "attr = [64]", "64 is not within 1 to 63"),
        (14, "color = 'red'", "creative \"c\": unknown key `color`"),
        (16, "countries = ['US']", "is not an ISO 3166-1 alpha-3 country"),
        (16, "countries = []", "the list is empty"),
        (16, "countries = { only = ['USA'] }", "unknown key `only`"),
        (16, "regions = ['CA']", "is not a region"),
        (16, "devices = ['fridge']", "is not a device type: mobile, pc"),
        (16, "channels = ['billboard']", "is not a channel: site, app, dooh"),
        (16, "cities = ['San Francisco']", "is not a city"),
        (16, "zips = ['94103']", "is not a postal code"),
        (16, "circles = [{ lat = 90.1, lon = 0, km = 1 }]", "is not within -90 to 90"),
        (16, "circles = [{ lat = 90, lon = 0, km = 501 }]", "is not within 0.001 to 500"),
        (16, "circles = [{ lat = 90, lon = 0 }]", "`km` is missing"),
        (16, "os = ['beos']", "is not an operating system: android, ios"),
        (16, "browsers = ['lynx']", "is not a browser: chrome"),
        (16, "connections = ['6g']", "is not a connection type: ethernet"),
        (16, "languages = ['deu']", "is not an ISO 639-1"),
        (16, "deals = []", "the list is empty"),
        (16, "daypart = { zone = 'Berlin', hours = 'mon' }", "is no time zone of the IANA database"),
        (16, "daypart = { zone = 'Europe/Berlin', hours = 'mon 9-17' }", "is not hours of the week"),
        (16, "daypart = { zone = 'Europe/Berlin' }", "`hours` is missing"),
        (16, "sites = ['*.a.example']", "is not a domain"),
        (16, labels, "has more than 8 labels"),
        (16, "segments = { any = [-1] }", "-1 is not within"),
        (16, "age = 30", "targeting: unknown key `age`"),
    ] {
        let file = File::new("mistake.toml", with(line, text));
        let Err(error) = file.load() else { panic!("{text} is taken") };
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.what.contains(reason), "{text}: {error}");
        assert_eq!(error.to_string(), format!("{}:{line}: {}", file.0.display(), error.what));
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn mistakes_in_json_are_told_with_their_line_too() {
    let good = as_json(&with(8, ""));
    assert!(File::new("right.json", &good).load().is_ok());
    for (from, to, reason) in [
        ("\"cpm\": 1.5", "\"cpm\": 0.0", "campaign 1: cpm: must be greater than 0"),
        ("\"cpm\": 1.5", "\"cpm\": null", "null is not a value"),
        ("\"cpm\": 1.5", "\"cpm\": 1.5, \"cpm\": 1.5", "`cpm` is given twice"),
        ("\"cpm\": 1.5", "\"cpm\": 01.5", "invalid number"),
        ("\"w\": 300", "\"w\": \"300\"", "expected a whole number, found text"),
        ("\"markup\": \"<b>\"", "\"markup\": \"\"", "the markup is empty"),
    ] {
        let at = good.find(from).unwrap();
        let line = 1 + good[..at].matches('\n').count();
        let error = File::new("mistake.json", good.replacen(from, to, 1)).load();
        let Err(error) = error else { panic!("{to} is taken") };
        assert!(error.what.contains(reason), "{to}: {error}");
        // Syntax is refused where the reader noticed, a key missing where its table begins.
        assert!(error.line.abs_diff(line) <= 1, "{to}: {error}, not {line}");
    }
}

#[test]
fn mistakes_between_campaigns_and_of_the_whole_file() {
    let one = with(8, "");
    let twice = format!("{one}\n{one}");
    let error = File::new("twice.toml", twice).load().unwrap_err();
    assert_eq!((error.line, error.what.as_str()), (17, "campaign 1: this id is already taken on line 1"));

    let creative = "[[campaigns.creatives]]\nid = 'c'\nw = 1\nh = 1\nmarkup = 'x'";
    let error = File::new("creatives.toml", with(14, creative)).load().unwrap_err();
    assert!(error.what.contains("two creatives have the id \"c\""), "{error}");

    let error =
        File::new("none.toml", with(8, "").split("[[campaigns.creatives]]").next().unwrap()).load().unwrap_err();
    assert_eq!((error.line, error.what.as_str()), (1, "campaign 1: `creatives` is missing"));

    assert!(File::new("empty.toml", "").load().unwrap_err().what.contains("`campaigns` is missing"));
    assert!(File::new("list.json", "[]").load().unwrap_err().what.contains("expected a table"));
    assert!(File::new("half.json", "{\"campaigns\":\n[").load().unwrap_err().line == 2);
    assert!(File::new("file.yaml", "").load().unwrap_err().what.contains(".toml or .json"));
    assert_eq!(File::new("latin.toml", b"# a\n# \xe9\n").load().unwrap_err().line, 2);
    let error = load("nowhere/campaigns.toml".as_ref(), &mut Slots::new()).unwrap_err();
    assert!(error.to_string().starts_with("nowhere/campaigns.toml: cannot be read: "), "{error}");
}

#[test]
fn mistakes_in_other_formats_are_told_too() {
    assert!(File::new("right.toml", FORMATS).load().is_ok());
    for (from, to, reason) in [
        ("duration = 30", "duration = 0", "duration: 0 is not within 1 to 3600"),
        ("duration = 30", "", "`duration` is missing"),
        ("mime = \"video/mp4\", w = 1920", "mime = \"video/mp5\", w = 1920", "not a type of media file"),
        (", w = 1920, h = 1080", "", "media: `w` is missing"),
        ("https://cdn.acme.example/hd.mp4", "cdn.acme.example/hd.mp4", "is not an http or https address"),
        ("delivery = \"streaming\"", "delivery = \"fax\"", "is not a delivery: progressive, streaming"),
        ("start = [", "begin = [", "\"begin\" is not an event of VAST"),
        ("skip = 5", "skip = -5", "-5 is not within"),
        ("protocol = 3", "protocol = 9", "9 is not VAST"),
        ("protocol = 3", "", "`protocol` is missing"),
        ("protocol = 3", "vast_url = \"http://x.example/\"", "exclude each other"),
        ("bitrate = 128", "bitrate = 128, url = \"http://x.example/\"", "unknown key `url`"),
        ("click = \"https://acme.example/n\"", "", "a native ad needs `click`"),
        ("type = \"main\"", "type = \"logo\"", "is not an image type: icon, main"),
        ("mime = \"image/png\"", "mime = \"video/mp4\"", "is not a type of image"),
        ("sponsored = \"Acme\"", "slogan = \"Acme\"", "unknown key `slogan`"),
        ("titles = [\"Shoes\"", "titles = [\"\"", "is empty"),
    ] {
        let at = FORMATS.find(from).expect(from);
        let line = 1 + FORMATS[..at].matches('\n').count();
        let error = File::new("mistake.toml", FORMATS.replacen(from, to, 1)).load();
        let Err(error) = error else { panic!("{to} is taken") };
        assert!(error.what.contains(reason), "{to}: {error}");
        // A key that is missing is missed where its table begins.
        assert!((line.saturating_sub(12)..=line + 1).contains(&error.line), "{to}: {error}, not {line}");
    }
}

#[test]
fn the_example_is_a_valid_file_with_every_format() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/campaigns.toml");
    let campaigns = load(&path, &mut Slots::new()).unwrap();
    let shapes: Vec<_> = campaigns.iter().flat_map(|campaign| campaign.creatives.iter().map(Creative::shape)).collect();
    for shape in [Shape::Banner(Size { w: 300, h: 250 }), Shape::Video, Shape::Audio, Shape::Native] {
        assert!(shapes.contains(&shape), "{shape:?}");
    }
}

#[test]
fn the_reference_has_an_example_of_every_key() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/CAMPAIGNS.md")).unwrap();
    let examples: Vec<_> = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let campaigns = File::new("reference.toml", examples.concat()).load().unwrap();
    assert!(!campaigns.is_empty());
    let keys = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .flat_map(|line| line.split('|').next().unwrap().split(", ").map(|key| key.trim().trim_matches('`')));
    for key in keys.filter(|key| !key.starts_with("${")).take_while(|key| *key != "bias") {
        assert!(examples.iter().any(|text| text.contains(&format!("{key} ="))), "no example of `{key}`");
    }
}

/// Every list and text as long as it may be, with characters that JSON escapes; ids of the request as long as macros take them.
#[test]
fn a_bid_of_the_longest_creative_has_room() {
    let domains: Vec<_> = (10..26)
        .map(|n| format!("{}.{}", ["a".repeat(62).as_str(); 3].join("."), "b".repeat(60) + &n.to_string()))
        .collect();
    let escaped = "\\u0001".repeat(256);
    let cat: Vec<_> = (10..26).map(|n| format!("\"{}{n}\"", "C".repeat(30))).collect();
    let markup = format!("{}{}", "${AUCTION_ID}".repeat(20), "\\\"".repeat(6900));
    let name = "𝄞".repeat(100);
    let parties: Vec<_> =
        domains[..8].iter().map(|domain| format!("{{ domain = {domain:?}, params = {:?} }}", [255; 8])).collect();
    let file = format!(
        "[[campaigns]]\nid = 4294967295\nadvertiser = 1\nname = 'n'\ndaily_budget = 1\ncpm = 3999.999999\n\
         adomain = {domains:?}\ndsa = {{ behalf = '{name}', renders = true, transparency = [{}] }}\ncat_in = {{ 65535 = [{}] }}\n\
         creatives = [{{ id = \"{escaped}\", w = 10000, h = 10000, language = 'de', attr = {:?}, markup = \"{markup}\" }}]\n",
        parties.join(","),
        cat.join(","),
        (1..64).collect::<Vec<_>>(),
    );
    let campaign = File::new("longest.toml", file).load().unwrap().remove(0);
    let creative = &campaign.creatives[0];
    let markup = &banner(creative).markup;
    assert!(limits::EXPANDED_BYTES - markup.longest() < 2000, "{} is not nearly the longest", markup.longest());
    let (cattax, cat) = campaign.categories(65535);
    let id = "\\u0022".repeat(limits::VALUE_BYTES);
    let text = Text { raw: id.as_bytes(), escaped: true };
    let url = &[b'u'; limits::NOTICE_URL_BYTES][..];
    let dsa = Dsa { required: 3, publisher_renders: Some(1), wants_parameters: true };
    let bid = Bid {
        registered: true,
        preview: None,
        app: None,
        id: BidId([0xff; 16]),
        imp: text.raw,
        price: CpmMicros(3_999_999_999),
        deal: Some(text.raw),
        win_url: Some(url),
        bill_url: Some(url),
        loss_url: Some(url),
        adomain: &campaign.adomain_json,
        campaign: &campaign.cid_json,
        creative: &creative.crid_json,
        cat,
        cattax,
        attr: creative.attr,
        language: creative.language,
        size: Some(Size { w: 10_000, h: 10_000 }),
        duration: Some(u16::MAX),
        protocol: Some(u8::MAX),
        slot_in_pod: Some(i8::MIN),
        kind: Some(MarkupType::Banner),
        dsa: campaign.dsa.as_ref().unwrap().of(dsa, true),
    };
    assert!(bid.dsa.is_some_and(|[_, transparency]| transparency.len() > 2000));
    let values = Values { auction: text, imp: text, bill_url: url, ..NOTHING };
    let mut room = vec![0; ANSWER_ROOM];
    let mut writer = ResponseWriter::new(&mut room, text.raw);
    assert!(writer.bid(&bid, |out| markup.write(&values, out)));
    let length = writer.finish(&[b's'; SEAT_BYTES], true, b"USD").unwrap();
    serde_json::from_slice::<serde_json::Value>(&room[..length]).unwrap();
}

#[test]
fn demo_campaigns_are_what_is_promised() {
    let campaigns = demo::built_in(&mut Slots::new());
    let count = |shape| campaigns.iter().filter(|campaign| campaign.creatives[0].shape() == shape).count();
    for size in [(300, 250), (320, 50), (728, 90), (160, 600), (970, 250)].map(|(w, h)| Size { w, h }) {
        assert_eq!(count(Shape::Banner(size)), 2);
    }
    assert_eq!((count(Shape::Video), count(Shape::Audio), count(Shape::Native), campaigns.len()), (4, 4, 2, 50));
    // 10^8 bids at its own price that nobody ever bills.
    let lasts = |campaign: &Campaign| campaign.cpm.per_impression().0 * 100_000_000 <= campaign.daily_budget.0;
    let plain = |campaign: &Campaign| {
        campaign.creatives.iter().all(|creative| creative.secure)
            && campaign.frequency.is_empty()
            && campaign.targeting == Targeting::default()
    };
    assert!(campaigns.iter().all(|campaign| lasts(campaign) && plain(campaign)));
    let (low, high) = (campaigns.iter().map(|c| c.cpm.0).min(), campaigns.iter().map(|c| c.cpm.0).max());
    assert_eq!((low, high), (Some(500_000), Some(8_000_000)));

    let synthetic = demo::synthetic(2000, &mut Slots::new());
    assert_eq!(synthetic.len(), 2000);
    assert_eq!(demo::synthetic(50, &mut Slots::new()), synthetic[..50]);
    assert!(synthetic.iter().all(lasts));
    for shape in [Shape::Video, Shape::Audio, Shape::Native] {
        let share = synthetic.iter().filter(|campaign| campaign.creatives[0].shape() == shape).count();
        assert!((5..120).contains(&share), "{shape:?}: {share}");
    }
    // Money is summed per advertiser and over all: as many as there can be must not overflow.
    let slots = corebid::limits::SLOTS as i64;
    assert!(synthetic.iter().all(|campaign| campaign.daily_budget.0.checked_mul(slots).is_some()));
}

/// The campaigns of the example, taken apart and put together as JSON, are what they were: amounts, dates and all.
#[test]
fn a_file_that_is_split_says_the_same() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/campaigns.toml");
    let parts = campaign::split(&path).unwrap();
    let json = parts.iter().map(|(_, _, json)| &**json).collect::<Vec<_>>().join(",");
    assert!(!json.contains('\n') && json.contains("\"daily_budget\":250.00"));
    let json = format!("{{\"campaigns\":[{json}]}}").into_bytes();
    let (split, whole) = (
        campaign::parse(Path::new("split.json"), json, &mut Slots::new()).unwrap(),
        campaign::load(&path, &mut Slots::new()).unwrap(),
    );
    assert_eq!(split, whole);
    assert_eq!(parts.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), whole.iter().map(|it| it.id).collect::<Vec<_>>());
}
