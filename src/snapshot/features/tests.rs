use proptest::prelude::*;

use super::*;
use crate::units::SegmentId;
use crate::wire::json::Text;

fn wrong(text: &str) -> String {
    Schema::parse(text).unwrap_err().to_string()
}

#[test]
fn the_built_in_schema_is_read_and_split() {
    let schema = Schema::builtin();
    assert_eq!((schema.width(), schema.shared().len(), schema.varying().len()), (25, 13, 12));
    let name = |at: &usize| schema.names().nth(*at).unwrap().to_owned();
    assert_eq!(schema.shared().iter().map(name).next_back().unwrap(), "segments");
    assert_eq!(schema.varying().iter().map(name).next_back().unwrap(), "domain_campaign");
    assert_eq!(schema.categorical().count(), 9);
    assert!(schema.asks_agent());
    assert_eq!(Schema::parse(schema.text()).unwrap(), schema);
}

/// Rows on disk and models name it: it changes when the meaning does, and then [`file`]'s `MEANING` has to as well.
#[test]
fn the_fingerprint_is_of_the_meaning() {
    let of = |text: &str| Schema::parse(text).unwrap().fingerprint();
    let plain = of("features = [{ name = \"hour\" }, { name = \"x\", cross = [\"hour\", \"domain\"], buckets = 16 }]");
    let spelled = "# the same\n[[features]]\nname = \"hour\"\nfrom = \"hour\"\nas = \"number\"\n[[features]]\nname = \"x\"\n\
                   cross = [\"hour\", \"domain\"]\nbuckets = 16\n";
    assert_eq!(of(spelled), plain);
    for other in [
        "features = [{ name = \"hour\" }, { name = \"x\", cross = [\"hour\", \"domain\"], buckets = 17 }]",
        "features = [{ name = \"hour\" }, { name = \"x\", cross = [\"domain\", \"hour\"], buckets = 16 }]",
        "features = [{ name = \"hours\", from = \"hour\" }, { name = \"x\", cross = [\"hour\", \"domain\"], buckets = 16 }]",
        "features = [{ name = \"x\", cross = [\"hour\", \"domain\"], buckets = 16 }, { name = \"hour\" }]",
    ] {
        assert_ne!(of(other), plain, "{other}");
    }
    let listed =
        |values: &str| of(&format!("features = [{{ name = \"country\", as = \"vocabulary\", values = {values} }}]"));
    assert_eq!(listed("['usa', 'FRA']"), listed("['USA', 'fra']"));
    assert_ne!(listed("['USA', 'FRA']"), listed("['FRA', 'USA']"));
    assert_eq!(Schema::builtin().fingerprint(), BUILTIN);
}

const BUILTIN: u64 = 357_845_312_201_918_671;

#[test]
fn mistakes_are_told_with_their_line() {
    for (text, told) in [
        ("", "schema.toml:1: `features` is missing"),
        ("features = []", "schema.toml:1: no feature is declared"),
        ("[[features]]\nname = \"hour\"\n[[features]]\nname = \"hour\"", "schema.toml:3: `hour` is declared twice"),
        ("\n[[features]]\nname = \"colour\"", "schema.toml:2: `colour` is no source"),
        (
            "[[features]]\nname = \"a b\"\nfrom = \"hour\"",
            "schema.toml:1: name \"a b\": 1 to 64 of ASCII letters, digits and _",
        ),
        (
            "[[features]]\nname = \"domain\"",
            "schema.toml:1: domain: `domain` is no number: as = \"hash\" or \"vocabulary\"",
        ),
        ("[[features]]\nname = \"domain\"\nas = \"hash\"", "schema.toml:1: `buckets` is missing"),
        (
            "[[features]]\nname = \"domain\"\nas = \"hash\"\nbuckets = 16777217",
            "schema.toml:4: buckets: 16777217 is not within 2 to 16777216",
        ),
        (
            "[[features]]\nname = \"domain\"\nas = \"onehot\"",
            "schema.toml:1: as \"onehot\": number, hash or vocabulary",
        ),
        (
            "[[features]]\nname = \"os\"\nas = \"vocabulary\"\nvalues = [\"ios\",\n\"symbian\"]",
            "schema.toml:5: os: \"symbian\" is none of android, ios, windows, macos, linux, chromeos, fireos, roku, tvos, tizen, webos, playstation, xbox",
        ),
        (
            "[[features]]\nname = \"country\"\nas = \"vocabulary\"\nvalues = [\"USA\", \"usa\"]",
            "schema.toml:4: country: a value that is listed before",
        ),
        (
            "[[features]]\nname = \"x\"\ncross = [\"hour\"]\nbuckets = 8",
            "schema.toml:1: cross: 1 sources where 2 to 4 belong",
        ),
        (
            "[[features]]\nname = \"x\"\ncross = [\"hour\", \"y\"]\nbuckets = 8",
            "schema.toml:3: cross: \"y\" is neither a source nor a feature before this",
        ),
        ("[[features]]\nname = \"seg\"\nfrom = \"segment\"", "schema.toml:1: `segment` is missing"),
        (
            "[[features]]\nname = \"shown\"\nwindow = \"month\"",
            "schema.toml:3: window: \"month\" is none of hour, day, week, lifetime",
        ),
        ("[[features]]\nname = \"hour\"\ncolour = 1", "schema.toml:3: unknown key `colour`"),
    ] {
        assert_eq!(wrong(text), told);
    }
    let many: Vec<String> = (0..97).map(|n| format!("[[features]]\nname = \"f{n}\"\nfrom = \"hour\"\n")).collect();
    assert_eq!(wrong(&many.concat()), "schema.toml:289: more than 96 features");
    assert!(Schema::parse(&many[..96].concat()).is_ok());
}

#[test]
fn sources_with_parameters() {
    let text = "features = [{ name = \"a\", from = \"segment\", segment = 9 }, { name = \"b\", from = \"segment\", segment = 10 },
        { name = \"w\", from = \"shown\", per = \"advertiser\", window = \"week\" }, { name = \"x\", cross = [\"a\", \"b\"], buckets = 4 }]";
    let schema = Schema::parse(text).unwrap();
    assert_eq!(schema.of_request(), [Source::Segment(SegmentId(9)), Source::Segment(SegmentId(10))]);
    assert_eq!(schema.of_offer().len(), 1);
    assert_eq!(schema.varying(), [2]);
    let mut row = [0.0; 4];
    let values = [Value::flag(true), Value::MISSING, Value::whole(3)];
    schema.encode(&[0, 1, 2, 3], &values, &mut row);
    assert_eq!((row[0], row[2]), (1.0, 3.0));
    assert!(row[1].is_nan() && row[3].is_nan(), "what is missing is in no cross");
}

#[test]
fn words_have_places_and_the_rest_has_none() {
    let schema = Schema::parse(
        "features = [{ name = \"country\", as = \"vocabulary\", values = [\"USA\", \"fra\"] },
          { name = \"os\", as = \"vocabulary\", values = [\"ios\", \"android\"] }, { name = \"device\", as = \"vocabulary\", values = [4, 2] }]",
    )
    .unwrap();
    let of = |country: &str, os: u8, device: i64| {
        let os = Value::named(os, if os == 2 { "ios" } else { "windows" });
        let mut row = [0.0; 3];
        schema.encode(&[0, 1, 2], &[Value::caseless(country.as_bytes()), os, Value::whole(device)], &mut row);
        row
    };
    let of_whole = |country, os, device| of(country, os, device).map(|number: f32| number as u32);
    assert_eq!(of_whole("usa", 2, 2), [1, 1, 2]);
    assert_eq!(of_whole("FRA", 3, 4), [2, 0, 1]);
    assert_eq!(of_whole("DEU", 3, 5), [0, 0, 0]);
    let row = of("", 0, 5);
    assert!(row[0].is_nan() && row[1].is_nan() && row[2] == 0.0);
}

/// Each name once, and each is what it displays as.
#[test]
fn sources_have_names_of_their_own() {
    for (at, (source, name)) in Source::NAMED.iter().enumerate() {
        assert!(Source::NAMED[..at].iter().all(|(other, used)| other != source && used != name), "{name}");
        if *name != "shown" {
            assert_eq!(source.to_string(), *name);
        }
    }
}

proptest! {
    /// However a text stands in the document, it is the same value; and buckets are below their number, exact in `f32`.
    #[test]
    fn escapes_do_not_count(text in "[a-zA-Z0-9 .\\-]{0,40}", caseless in prop::bool::ANY, buckets in 2..=BUCKETS) {
        let escaped: String = text.chars().map(|letter| format!("\\u{:04x}", letter as u32)).collect();
        let plain = Value::of(Text { raw: text.as_bytes(), escaped: false }, caseless);
        prop_assert_eq!(Value::of(Text { raw: escaped.as_bytes(), escaped: true }, caseless), plain);
        let upper = text.to_ascii_uppercase();
        let same = Value::of(Text { raw: upper.as_bytes(), escaped: false }, caseless) == plain;
        prop_assert_eq!(same, caseless || upper == text);
        let place = bucket(plain.key(), buckets);
        let good = if text.is_empty() { place.is_nan() } else { place < buckets as f32 && place.fract() == 0.0 };
        prop_assert!(good, "{}", place);
    }
}
