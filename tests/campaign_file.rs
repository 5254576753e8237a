//! What does a campaign file mean, and is every mistake in one told with file, line and what is wrong?

use std::path::PathBuf;

use corebid::snapshot::campaign::{Campaign, CampaignError, Flight, Slots, load};
use corebid::snapshot::demo;
use corebid::units::{AdvertiserId, CampaignId, CpmMicros, Micros, SegmentId, Slot, UnixMillis};
use corebid::wire::openrtb::request::{Channel, Size};

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
flight = { start = 2026-03-01, end = 2026-03-31T12:00:00+02:00 }
cpm = 2.345678
adomain = ["Acme.example", "acme.example.org"]
cat = ["IAB18", "IAB20-1"]
frequency_cap = 3

[[campaigns.creatives]]
id = "c-1"
w = 300
h = 250
markup = """<a href="https://acme.example/?p=${AUCTION_PRICE}">\u00e9 </script>
</a>"""
btype = 3
attr = [1, 16]

[[campaigns.creatives]]
id = "c-2"
w = 320
h = 50
markup = "<img src='HTTP://acme.example/'>"

[campaigns.targeting]
countries = { include = ["usa", "GBR"], exclude = ["DEU"] }
regions = ["USA-ca"]
devices = ["phone", "tablet"]
channels = ["site"]
sites = { include = ["News.example"], exclude = ["bad.news.example"] }
bundles = { exclude = ["com.Bad.app"] }
publishers = ["Pub-1"]
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
    assert_eq!(first.cpm, CpmMicros(2_345_678));
    // Seconds of `date -u -d … +%s`.
    let flight = Flight { start: UnixMillis(1_772_323_200_000), end: UnixMillis(1_774_951_200_000) };
    assert_eq!(first.flight, flight);
    assert_eq!(first.adomain, ["acme.example", "acme.example.org"]);
    assert_eq!(first.cat, ["IAB18", "IAB20-1"]);
    assert_eq!(first.frequency_cap.map(std::num::NonZeroU16::get), Some(3));
    assert_eq!(first.creatives[0].size, Size { w: 300, h: 250 });
    assert_eq!((first.creatives[0].btype, first.creatives[0].attr), (3, 1 << 1 | 1 << 16));
    assert_eq!((first.creatives[1].btype, first.creatives[1].attr), (2, 0));
    assert_eq!([first.creatives[0].secure, first.creatives[1].secure], [true, false]);

    let targeting = &first.targeting;
    assert_eq!(targeting.countries.include, ["USA", "GBR"]);
    assert_eq!(targeting.countries.exclude, ["DEU"]);
    assert_eq!(targeting.regions.include, ["USA-CA"]);
    assert_eq!(targeting.devices, [4, 5]);
    assert_eq!(targeting.channels, [Channel::Site]);
    assert_eq!(targeting.sites.include, ["news.example"]);
    assert_eq!(targeting.sites.exclude, ["bad.news.example"]);
    assert_eq!(targeting.bundles.exclude, ["com.Bad.app"]);
    assert_eq!(targeting.publishers.include, ["Pub-1"]);
    assert_eq!(targeting.exchanges.include, ["generic"]);
    assert_eq!(targeting.segments.any, [SegmentId(3), SegmentId(9)]);
    assert_eq!(targeting.segments.none, [SegmentId(1)]);

    assert!(!second.enabled && second.creatives[0].secure && second.frequency_cap.is_none());
    assert_eq!((second.flight, second.slot), (Flight::ALWAYS, Slot(1)));
    assert_eq!((second.daily_budget, second.cpm), (Micros(10_000_000), CpmMicros(1_000_000)));
}

#[test]
fn what_an_answer_needs_is_finished_json() {
    let campaigns = File::new("rendered.toml", TOML).load().unwrap();
    let text = |json: &[u8]| serde_json::from_slice::<String>(json).unwrap();
    let list = |json: &[u8]| serde_json::from_slice::<Vec<String>>(json).unwrap();
    let first = &campaigns[0];
    let markup = "<a href=\"https://acme.example/?p=${AUCTION_PRICE}\">\u{e9} </script>\n</a>";
    assert_eq!(text(&first.creatives[0].adm_json), markup);
    assert_eq!(text(&first.creatives[0].crid_json), "c-1");
    assert_eq!(text(&first.cid_json), "42");
    assert_eq!(list(&first.adomain_json), first.adomain);
    assert_eq!(list(&first.cat_json), first.cat);
    assert_eq!(&campaigns[1].cat_json[..], b"[]");
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
    let toml = File::new("same.toml", TOML).load().unwrap();
    assert_eq!(File::new("same.json", as_json(TOML)).load().unwrap(), toml);
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
        (6, "cpm = 0", "campaign 1: cpm: must be greater than 0"),
        (6, "cpm = -2.5", "must be greater than 0"),
        (6, "cpm = inf", "inf is not an amount"),
        (6, "cpm = 4000.1", "must be at most 4000"),
        (7, "adomain = []", "the list is empty"),
        (7, "adomain = ['https://a.example']", "is not a domain"),
        (8, "budget = 3", "unknown key `budget`"),
        (8, "cat = ['IAB 1']", "is not a category"),
        (8, "enabled = 1", "expected true or false, found a number"),
        (8, "frequency_cap = 0", "0 is not within 1 to 65535"),
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
        (13, &control, "once escaped for JSON"),
        (14, "attr = [64]", "64 is not within 1 to 63"),
        (14, "color = 'red'", "creative \"c\": unknown key `color`"),
        (16, "countries = ['US']", "is not an ISO 3166-1 alpha-3 country"),
        (16, "countries = []", "the list is empty"),
        (16, "countries = { only = ['USA'] }", "unknown key `only`"),
        (16, "regions = ['CA']", "is not a region"),
        (16, "devices = ['fridge']", "is not a device type: mobile, pc"),
        (16, "channels = ['dooh']", "is not a channel: site, app"),
        (16, "sites = ['*.a.example']", "is not a domain"),
        (16, labels, "has more than 8 labels"),
        (16, "segments = { any = [-1] }", "-1 is not within"),
        (16, "age = 30", "targeting: unknown key `age`"),
    ] {
        let file = File::new("mistake.toml", with(line, text));
        let error = file.load().expect_err(text);
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
        let error = File::new("mistake.json", good.replacen(from, to, 1)).load().expect_err(to);
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
fn the_example_is_a_valid_file() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/campaigns.toml");
    assert!(!load(&path, &mut Slots::new()).unwrap().is_empty());
}

#[test]
fn demo_campaigns_are_what_is_promised() {
    let campaigns = demo::built_in(&mut Slots::new());
    assert_eq!(campaigns.len(), 40);
    for size in [(300, 250), (320, 50), (728, 90), (160, 600), (970, 250)].map(|(w, h)| Size { w, h }) {
        assert!(campaigns.iter().any(|campaign| campaign.creatives[0].size == size));
    }
    // 10^8 bids at its own price that nobody ever bills.
    let lasts = |campaign: &Campaign| campaign.cpm.per_impression().0 * 100_000_000 <= campaign.daily_budget.0;
    let plain = |campaign: &Campaign| {
        campaign.creatives.iter().all(|creative| creative.secure)
            && campaign.frequency_cap.is_none()
            && !campaign.needs_user()
    };
    assert!(campaigns.iter().all(|campaign| lasts(campaign) && plain(campaign)));
    let (low, high) = (campaigns.iter().map(|c| c.cpm.0).min(), campaigns.iter().map(|c| c.cpm.0).max());
    assert_eq!((low, high), (Some(500_000), Some(8_000_000)));

    let synthetic = demo::synthetic(2000, &mut Slots::new());
    assert_eq!(synthetic.len(), 2000);
    assert_eq!(demo::synthetic(50, &mut Slots::new()), synthetic[..50]);
    assert!(synthetic.iter().all(lasts));
    // Money is summed per advertiser and over all: as many as there can be must not overflow.
    let slots = corebid::limits::SLOTS as i64;
    assert!(synthetic.iter().all(|campaign| campaign.daily_budget.0.checked_mul(slots).is_some()));
}
