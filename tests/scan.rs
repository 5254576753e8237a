//! The OpenRTB scanner held against `serde_json`: what is JSON, and what each field says.
//!
//! The oracle reads a `serde_json::Value` field by field, in its own words. It differs from the scanner by design in three
//! things, and such documents are left out of a comparison: nesting over 64 (serde_json: 128), lone surrogates (refused by
//! serde_json), and numbers beyond `f64` (refused by serde_json).

use std::path::Path;

use corebid::limits;
use corebid::wire::json::{Level, Raw, Scratch, Text};
use corebid::wire::openrtb::request::{BidRequest, Channel, Device, Geo, Imp, ScanError, scan};
use proptest::prelude::*;
use serde_json::{Value, json};

#[path = "../benches/bodies.rs"]
mod bodies;

/// What a body says, in owned values, so that the scanner's answer and the oracle's can be compared.
type Said = Result<Value, ScanError>;

fn scratches() -> Vec<Scratch> {
    let available = Level::ALL.iter().filter(|level| level.is_available());
    available.map(|&level| Scratch::with_level(limits::BODY_BYTES, level)).collect()
}

mod scanned {
    use super::*;

    pub(super) fn said(body: &[u8], scratch: &mut Scratch) -> Said {
        let mut request = BidRequest::default();
        scan(body, scratch, &mut request)?;
        Ok(json!({
            "id": text(request.id), "at": request.at, "tmax": request.tmax, "test": request.test,
            "imps": request.imps.iter().map(imp).collect::<Vec<_>>(),
            "cur": strings(request.cur), "bcat": strings(request.bcat), "badv": strings(request.badv),
            "bapp": strings(request.bapp), "wseat": strings(request.wseat), "bseat": strings(request.bseat),
            "channel": match request.channel {
                Channel::Unknown => "",
                Channel::Site => "site",
                Channel::App => "app",
                Channel::Dooh => "dooh",
            },
            "domain": text(request.domain), "page": text(request.page), "bundle": text(request.bundle),
            "publisher": text(request.publisher), "device": device(&request.device),
            "user_id": text(request.user_id), "buyeruid": text(request.buyeruid), "eids": raw(request.eids),
            "consent": text(request.consent), "user_geo": geo(&request.user_geo),
            "coppa": request.coppa, "gdpr": request.gdpr, "us_privacy": text(request.us_privacy), "gpp": text(request.gpp),
            "gpp_sid": request.gpp_sid.integers().collect::<Vec<_>>(), "gpc": request.gpc, "schain": raw(request.schain),
        }))
    }

    fn imp(imp: &Imp<'_>) -> Value {
        json!({
            "id": text(imp.id), "video": imp.video, "audio": imp.audio, "native": imp.native,
            "banner": imp.banner.as_ref().map(|banner| json!({
                "sizes": banner.sizes.iter().map(|size| [size.w, size.h]).collect::<Vec<_>>(),
                "btype": banner.btype, "battr": banner.battr, "pos": banner.pos,
            })),
            "floor": imp.floor.0, "floor_cur": text(imp.floor_cur), "secure": imp.secure,
            "private_auction": imp.private_auction, "deals": raw(imp.deals), "tagid": text(imp.tagid),
            "interstitial": imp.interstitial,
        })
    }

    fn device(device: &Device<'_>) -> Value {
        json!({
            "ua": text(device.ua), "ip": text(device.ip), "ipv6": text(device.ipv6), "kind": device.kind,
            "os": text(device.os), "language": text(device.language), "ifa": text(device.ifa),
            "connection": device.connection, "lmt": device.lmt, "dnt": device.dnt, "geo": geo(&device.geo),
        })
    }

    fn geo(geo: &Geo<'_>) -> Value {
        json!([text(geo.country), text(geo.region), text(geo.city), text(geo.zip)])
    }

    fn text(text: Text<'_>) -> String {
        let mut buffer = vec![0; text.raw.len()];
        let unescaped = text.unescape(&mut buffer).expect("unescaping never lengthens");
        assert!(text.escaped == text.raw.contains(&b'\\'));
        let string = String::from_utf8(unescaped.to_vec()).expect("checked");
        assert!(text.eq_str(&string));
        string
    }

    fn strings(list: Raw<'_>) -> Vec<String> {
        list.strings().map(text).collect()
    }

    fn raw(raw: Raw<'_>) -> Value {
        if raw.is_empty() { Value::Null } else { serde_json::from_slice(raw.0).expect("checked") }
    }
}

mod oracle {
    use super::*;

    pub(super) fn said(body: &[u8]) -> Said {
        read(&serde_json::from_slice(body).map_err(|_| ScanError::Broken)?)
    }

    fn read(root: &Value) -> Said {
        object(root)?;
        let (site, app, dooh) = (at(root, "site")?, at(root, "app")?, at(root, "dooh")?);
        let (device, user, regs, source) =
            (at(root, "device")?, at(root, "user")?, at(root, "regs")?, at(root, "source")?);
        let (user_ext, regs_ext, root_ext) = (ext(user)?, ext(regs)?, ext(root)?);
        let (channel, owner) = match (site.is_null(), app.is_null(), object(dooh)?.is_null()) {
            (false, ..) => ("site", at(site, "publisher")?),
            (_, false, _) => ("app", at(app, "publisher")?),
            (.., false) => ("dooh", &Value::Null),
            _ => ("", &Value::Null),
        };
        let imps = elements(at(root, "imp")?)?.iter().take(32).map(imp).collect::<Result<Vec<_>, _>>()?;
        let id = text(at(root, "id")?)?;
        let lists = ["cur", "bcat", "badv", "bapp", "wseat", "bseat"];
        let mut said = json!({
            "id": id, "at": integer(at(root, "at")?)?.map_or(2, |value| value.clamp(0, 65_535)),
            "tmax": integer(at(root, "tmax")?)?.unwrap_or(0).clamp(0, 4_294_967_295), "test": flag(at(root, "test")?)? == Some(true),
            "channel": channel, "domain": text(at(site, "domain")?)?, "page": text(at(site, "page")?)?,
            "bundle": text(at(app, "bundle")?)?, "publisher": text(at(owner, "id")?)?,
            "device": {
                "ua": text(at(device, "ua")?)?, "ip": text(at(device, "ip")?)?, "ipv6": text(at(device, "ipv6")?)?,
                "kind": integer(at(device, "devicetype")?)?.unwrap_or(0).clamp(0, 255), "os": text(at(device, "os")?)?,
                "language": text(at(device, "language")?)?, "ifa": text(at(device, "ifa")?)?,
                "connection": integer(at(device, "connectiontype")?)?.unwrap_or(0).clamp(0, 255),
                "lmt": flag(at(device, "lmt")?)? == Some(true), "dnt": flag(at(device, "dnt")?)? == Some(true),
                "geo": geo(at(device, "geo")?)?,
            },
            "user_id": text(at(user, "id")?)?, "buyeruid": text(at(user, "buyeruid")?)?,
            "eids": array(or(at(user, "eids")?, at(user_ext, "eids")?))?,
            "consent": text(or(at(user, "consent")?, at(user_ext, "consent")?))?, "user_geo": geo(at(user, "geo")?)?,
            "coppa": flag(at(regs, "coppa")?)? == Some(true), "gdpr": flag(or(at(regs, "gdpr")?, at(regs_ext, "gdpr")?))?,
            "us_privacy": text(or(at(regs, "us_privacy")?, at(regs_ext, "us_privacy")?))?,
            "gpp": text(or(at(regs, "gpp")?, at(regs_ext, "gpp")?))?,
            "gpp_sid": integers(or(at(regs, "gpp_sid")?, at(regs_ext, "gpp_sid")?))?,
            "gpc": match at(regs_ext, "gpc")? {
                Value::String(string) => string == "1",
                other => flag(other)? == Some(true),
            },
            "schain": object(or(or(at(source, "schain")?, at(ext(source)?, "schain")?), at(root_ext, "schain")?))?,
        });
        let mut too_much = false;
        for list in lists {
            said[list] = strings(at(root, list)?)?.into();
            too_much |= elements(at(root, list)?)?.len() > 256;
        }
        if too_much {
            return Err(ScanError::TooMuch);
        }
        if id.is_empty() || imps.is_empty() || imps.iter().any(|imp| imp["id"] == "") {
            return Err(ScanError::NotABidRequest);
        }
        said["imps"] = imps.into();
        Ok(said)
    }

    fn imp(imp: &Value) -> Said {
        let (banner, pmp) = (at(imp, "banner")?, at(imp, "pmp")?);
        Ok(json!({
            "id": text(at(imp, "id")?)?, "video": !object(at(imp, "video")?)?.is_null(),
            "audio": !object(at(imp, "audio")?)?.is_null(), "native": !object(at(imp, "native")?)?.is_null(),
            "banner": if banner.is_null() { Value::Null } else { self::banner(banner)? },
            "floor": micros(at(imp, "bidfloor")?)?, "floor_cur": text(at(imp, "bidfloorcur")?)?,
            "secure": flag(at(imp, "secure")?)?, "private_auction": flag(at(pmp, "private_auction")?)? == Some(true),
            "deals": array(at(pmp, "deals")?)?, "tagid": text(at(imp, "tagid")?)?,
            "interstitial": flag(at(imp, "instl")?)? == Some(true),
        }))
    }

    fn banner(banner: &Value) -> Said {
        let mut offers = vec![banner];
        offers.extend(elements(at(banner, "format")?)?);
        let mut sizes = Vec::new();
        for offer in offers {
            let side = |name| Ok::<_, ScanError>(integer(at(offer, name)?)?.unwrap_or(0).clamp(0, 65_535));
            let size = [side("w")?, side("h")?];
            if !size.contains(&0) {
                sizes.push(size);
            }
        }
        sizes.truncate(16);
        let bits = |list| {
            Ok::<_, ScanError>(
                integers(list)?.iter().filter(|n| (0..64).contains(*n)).fold(0_u64, |bits, n| bits | 1 << n),
            )
        };
        Ok(json!({
            "sizes": sizes, "btype": bits(at(banner, "btype")?)?, "battr": bits(at(banner, "battr")?)?,
            "pos": integer(at(banner, "pos")?)?.unwrap_or(0).clamp(0, 255),
        }))
    }

    fn geo(geo: &Value) -> Said {
        let part = |name| text(at(geo, name)?);
        Ok(json!([part("country")?, part("region")?, part("city")?, part("zip")?]))
    }

    /// A member of an object or of nothing; `null` if it has none.
    fn at<'v>(value: &'v Value, key: &str) -> Result<&'v Value, ScanError> {
        Ok(object(value)?.get(key).unwrap_or(&Value::Null))
    }

    /// `ext`, unless it is something else than an object.
    fn ext(value: &Value) -> Result<&Value, ScanError> {
        at(value, "ext").map(|ext| if ext.is_object() { ext } else { &Value::Null })
    }

    fn or<'v>(value: &'v Value, other: &'v Value) -> &'v Value {
        if value.is_null() { other } else { value }
    }

    fn object(value: &Value) -> Result<&Value, ScanError> {
        if value.is_object() || value.is_null() { Ok(value) } else { Err(ScanError::NotABidRequest) }
    }

    fn array(value: &Value) -> Result<&Value, ScanError> {
        if value.is_array() || value.is_null() { Ok(value) } else { Err(ScanError::NotABidRequest) }
    }

    fn elements(value: &Value) -> Result<&[Value], ScanError> {
        Ok(array(value)?.as_array().map_or(&[], Vec::as_slice))
    }

    fn text(value: &Value) -> Result<String, ScanError> {
        match value {
            Value::Null => Ok(String::new()),
            Value::String(string) => Ok(string.clone()),
            _ => Err(ScanError::NotABidRequest),
        }
    }

    fn strings(value: &Value) -> Result<Vec<String>, ScanError> {
        elements(value)?.iter().filter(|element| !element.is_null()).map(text).collect()
    }

    fn integers(value: &Value) -> Result<Vec<i64>, ScanError> {
        elements(value)?
            .iter()
            .filter(|element| !element.is_null())
            .map(|element| Ok(integer(element)?.unwrap_or(0)))
            .collect()
    }

    fn integer(value: &Value) -> Result<Option<i64>, ScanError> {
        match value {
            Value::Null => Ok(None),
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(integer), ..) => Ok(Some(integer)),
                (_, Some(_), _) => Ok(Some(i64::MAX)),
                (.., Some(float)) if float.fract() == 0.0 => Ok(Some(float as i64)),
                _ => Err(ScanError::NotABidRequest),
            },
            _ => Err(ScanError::NotABidRequest),
        }
    }

    fn flag(value: &Value) -> Result<Option<bool>, ScanError> {
        match value {
            Value::Bool(flag) => Ok(Some(*flag)),
            other => Ok(integer(other)?.map(|integer| integer != 0)),
        }
    }

    /// The shortest decimal of a float is what was written, if that had at most 15 digits.
    fn micros(value: &Value) -> Result<i64, ScanError> {
        let Value::Number(number) = value else {
            return if value.is_null() { Ok(0) } else { Err(ScanError::NotABidRequest) };
        };
        let plain = number.as_f64().map_or_else(|| number.to_string(), |float| format!("{float}"));
        let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
        let digits = format!("{whole}{fraction:0<6}");
        let (kept, dropped) = digits.split_at(whole.len() + 6);
        let kept: i128 = kept.parse().unwrap_or(if plain.starts_with('-') { i128::MIN } else { i128::MAX });
        let up = !plain.starts_with('-') && dropped.bytes().any(|digit| digit != b'0');
        Ok(kept.saturating_add(i128::from(up)).clamp(i64::MIN.into(), i64::MAX.into()) as i64)
    }
}

/// What a document must be like for the two to be comparable, beyond being JSON to either.
fn is_comparable(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_lowercase();
    let numbers_are_small = text
        .split(|letter: char| !matches!(letter, '0'..='9' | 'e' | '.' | '-' | '+'))
        .all(|token| token.len() < 15 && token.split('e').nth(1).is_none_or(|exponent| exponent.len() < 3));
    !text.contains("\\ud") && numbers_are_small
}

#[track_caller]
fn compare(body: &[u8], scratches: &mut [Scratch]) {
    let expected = oracle::said(body);
    for scratch in scratches {
        // Twice: nothing of one document may show in the next.
        for _ in 0..2 {
            let said = scanned::said(body, scratch);
            let context =
                || format!("{:?} {scratch:?}", String::from_utf8_lossy(body)).chars().take(6_000).collect::<String>();
            match (&said, &expected) {
                // Both faults at once: which is named is nobody's business.
                (
                    Err(ScanError::NotABidRequest | ScanError::TooMuch),
                    Err(ScanError::NotABidRequest | ScanError::TooMuch),
                ) => {}
                _ => assert_eq!(said, expected, "{}", context()),
            }
        }
    }
}

fn samples() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/openrtb_requests.ndjson");
    match std::fs::read_to_string(&path) {
        Ok(text) => text.lines().map(str::to_owned).collect(),
        Err(_) => {
            eprintln!("skipped: {} is not there", path.display());
            Vec::new()
        }
    }
}

fn corpus() -> Vec<String> {
    let generated = (0..if cfg!(miri) { 2 } else { 300 }).map(bodies::body);
    samples().into_iter().take(if cfg!(miri) { 2 } else { usize::MAX }).chain(generated).collect()
}

#[test]
fn every_document_says_the_same() {
    let scratches = &mut scratches();
    for body in corpus() {
        compare(body.as_bytes(), scratches);
        let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(&body).unwrap()).unwrap();
        compare(pretty.as_bytes(), scratches);
    }
}

#[test]
fn samples_are_bid_requests() {
    let scratches = &mut scratches();
    let refused: Vec<_> =
        samples().into_iter().filter(|body| scanned::said(body.as_bytes(), &mut scratches[0]).is_err()).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn every_truncation_is_broken() {
    let scratches = &mut scratches();
    for body in corpus().iter().step_by(11) {
        for end in 0..body.len() {
            for scratch in &mut *scratches {
                let said = scan(&body.as_bytes()[..end], scratch, &mut BidRequest::default());
                assert_eq!(said, Err(ScanError::Broken), "{}", &String::from_utf8_lossy(&body.as_bytes()[..end]));
            }
        }
    }
}

/// Shifts every token over every place in a block.
#[test]
fn nothing_depends_on_where_a_block_begins() {
    let scratches = &mut scratches();
    let body = r#"{"id":"a\\\"b\u0041","x":[-1.5e3,true,false,null,0,"\\"],"imp":[{"id":"é€😀","bidfloor":1.25,"banner":{"w":300,"h":250}}]}"#;
    for shift in 0..200 {
        compare(format!("{}{body}{}", " ".repeat(shift), "\n".repeat(shift % 7)).as_bytes(), scratches);
        compare(format!("{{\"pad\":\"{}\",{}", "p".repeat(shift), &body[1..]).as_bytes(), scratches);
    }
}

#[test]
fn what_is_not_json_is_broken() {
    let scratches = &mut scratches();
    let values = [
        "01",
        "-",
        "1.",
        ".5",
        "+1",
        "1e",
        "0x10",
        "NaN",
        "tru",
        "truee",
        "nul",
        "'a'",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12\"",
        "\"\u{1}\"",
        "\"\n\"",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{1:2}",
        "{\"a\":1:2}",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[\"a\":1]",
        "[1}",
        "{\"a\":1]",
        "[[]",
        "[]]",
        "\u{c}1",
        "\u{1a}",
        "{\"a\",\"b\":1}",
        "{\"a\":\"b\":1}",
        "[{\"a\":1,2}]",
        "[[1],\"a\":2]",
        "{\"a\":[],[]}",
        "1\"a\"",
        "\"a\"1",
        "\"a\"\"b\"",
        "[]{}",
        "/**/1",
        "\u{feff}1",
    ];
    for value in values {
        for body in [
            value.to_owned(),
            format!("{{\"id\":\"1\",\"imp\":[{{\"id\":\"1\"}}],\"x\":{value}}}"),
            format!("{value}{{}}"),
            format!("[]{value} ,"),
        ] {
            compare(body.as_bytes(), scratches);
            assert_eq!(oracle::said(body.as_bytes()), Err(ScanError::Broken), "{body}");
        }
    }
    for bytes in [
        &b"\"\xff\""[..],
        b"\"\xc3\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xf4\x90\x80\x80\"",
        b"\"\xc0\x80\"",
        b"\xc3\xa9",
        b"\"a\x80\"",
    ] {
        for pad in [0, 1, 30, 61, 62, 63, 64] {
            compare(&[&b" ".repeat(pad)[..], bytes].concat(), scratches);
            assert_eq!(oracle::said(bytes), Err(ScanError::Broken), "{bytes:?}");
        }
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| {
        format!("{{\"id\":\"1\",\"imp\":[{{\"id\":\"1\"}}],\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth))
    };
    for scratch in &mut scratches() {
        let mut scan = |body: &str| scan(body.as_bytes(), scratch, &mut BidRequest::default());
        assert_eq!(scan(&nested(limits::JSON_DEPTH - 1)), Ok(()));
        assert_eq!(scan(&nested(limits::JSON_DEPTH)), Err(ScanError::Broken));
        for open in ["[", "{\"a\":", "[{\"a\":"] {
            assert_eq!(scan(&open.repeat(100_000)), Err(ScanError::Broken));
        }
        assert_eq!(scan(&nested(100_000)), Err(ScanError::Broken));
        assert_eq!(scan(&"]".repeat(100_000)), Err(ScanError::Broken));
        assert_eq!(scan(&" ".repeat(limits::BODY_BYTES + 1)), Err(ScanError::Broken));
    }
}

/// The cases that random documents seldom hit, by field.
#[test]
fn fields_are_read_as_documented() {
    let scratches = &mut scratches();
    let imp = |fields: &str| format!("{{\"id\":\"1\",\"imp\":[{{\"id\":\"1\",{fields}}}]}}");
    let root = |fields: &str| format!("{{\"id\":\"1\",\"imp\":[{{\"id\":\"1\"}}],{fields}}}");
    let long_list = |n: usize| format!("[{}]", vec!["\"x\""; n].join(","));
    for body in [
        "{}".into(),
        "[]".into(),
        "1".into(),
        "\"a\"".into(),
        "null".into(),
        r#"{"id":"1"}"#.into(),
        r#"{"id":"1","imp":[]}"#.into(),
        r#"{"id":"1","imp":[{}]}"#.into(),
        r#"{"id":"","imp":[{"id":"1"}]}"#.into(),
        r#"{"id":1,"imp":[{"id":"1"}]}"#.into(),
        r#"{"id":"1","imp":{"id":"1"}}"#.into(),
        r#"{"id":"1","imp":[[]]}"#.into(),
        r#"{"\u0069d":"1","i\u006dp":[{"id":"\u0031"}]}"#.into(),
        r#"{"id":"1","id":"2","imp":[],"imp":[{"id":"1"}]}"#.into(),
        r#" { "id" : "1" , "imp" : [ { "id" : "1" } ] } "#.into(),
        root(r#""at":1.0,"tmax":1.5e2,"test":true,"cur":null"#),
        root(r#""at":501,"tmax":-5,"test":0"#),
        root(r#""tmax":1.5"#),
        root(r#""at":99999999,"tmax":99999999999"#),
        root(r#""site":{"publisher":{"id":"p"}},"app":{"bundle":"b"}"#),
        root(r#""app":{"publisher":{"id":"p"}},"dooh":{}"#),
        root(r#""dooh":{}"#),
        root(r#""dooh":1"#),
        root(r#""site":"x""#),
        root(r#""regs":{"gdpr":1,"ext":{"gdpr":0,"gpc":"1","gpp_sid":[2,7.0]}}"#),
        root(r#""regs":{"gdpr":null,"ext":{"gdpr":0,"gpc":1}}"#),
        root(r#""regs":{"gpp_sid":[1.5]}"#),
        root(r#""regs":{"ext":{"gpc":"2"}}"#),
        root(r#""regs":{"ext":"none"}"#),
        root(r#""regs":{"gpp_sid":["2"]}"#),
        root(r#""source":{"ext":{"schain":{"nodes":[]}}}"#),
        root(r#""ext":{"schain":{"nodes":[1]}}"#),
        root(r#""source":{"schain":[]}"#),
        root(r#""bcat":["a",null,"b\"]c"]"#),
        root(r#""badv":["a",1]"#),
        root(r#""badv":[["a"]]"#),
        root(r#""wseat":"x""#),
        root(&format!("\"badv\":{}", long_list(256))),
        root(&format!("\"badv\":{}", long_list(257))),
        root(r#""user":{"eids":[],"consent":"","ext":{"consent":"x","eids":[1]}}"#),
        root(r#""device":{"lmt":true,"dnt":2,"devicetype":999}"#),
        imp(r#""bidfloor":0.1234567"#),
        imp(r#""bidfloor":-1"#),
        imp(r#""bidfloor":1e20"#),
        imp(r#""bidfloor":"1""#),
        imp(r#""bidfloor":0"#),
        imp(r#""bidfloor":12345678"#),
        imp(r#""secure":0"#),
        imp(r#""secure":"1""#),
        imp(r#""instl":true,"secure":null"#),
        imp(r#""banner":{"w":0,"h":0,"format":[{"w":1},{"w":99999,"h":2},{"w":-1,"h":1}]}"#),
        imp(r#""banner":{}"#),
        imp(r#""banner":null"#),
        imp(&format!("\"banner\":{{\"format\":[{}]}}", vec![r#"{"w":1,"h":2}"#; 40].join(","))),
        imp(r#""banner":[]"#),
        imp(r#""banner":{"battr":[0,63,64,-1,1000],"btype":[1,null],"pos":7}"#),
        imp(r#""banner":{"battr":["1"]}"#),
        imp(r#""video":{},"audio":null,"native":{"request":"{\"a\":[1]}"}"#),
        imp(r#""video":1"#),
        imp(r#""pmp":{"private_auction":1,"deals":[{}]}"#),
        format!(
            "{{\"id\":\"1\",\"imp\":[{}]}}",
            (0..40).map(|n| format!("{{\"id\":\"{n}\"}}")).collect::<Vec<_>>().join(",")
        ),
    ] {
        compare(body.as_bytes(), scratches);
    }
    let saturated =
        scanned::said(imp(r#""bidfloor":1e999999999999,"tagid":"\ud800""#).as_bytes(), &mut scratches[0]).unwrap();
    assert_eq!(
        (&saturated["imps"][0]["floor"], &saturated["imps"][0]["tagid"]),
        (&json!(i64::MAX), &json!("\u{fffd}"))
    );
}

/// A body that ends where the next page may not be read: reading past it would stop the process.
#[test]
#[cfg_attr(miri, ignore = "needs mprotect; Miri sees an overrun by itself")]
fn nothing_is_read_past_the_end() {
    let page = 4096;
    // SAFETY: a private mapping of our own, of which the last page is made unreadable.
    let mapping = unsafe {
        let start = libc::mmap(
            std::ptr::null_mut(),
            3 * page,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(start, libc::MAP_FAILED);
        assert_eq!(libc::mprotect(start.byte_add(2 * page), page, libc::PROT_NONE), 0);
        std::slice::from_raw_parts_mut(start.cast::<u8>(), 2 * page)
    };
    let scratches = &mut scratches();
    for body in corpus().iter().filter(|body| body.len() < 2 * page).step_by(5) {
        for cut in (0..body.len().min(130)).chain([body.len()]) {
            let body = &body.as_bytes()[..body.len() - cut];
            let end = &mut mapping[2 * page - body.len()..];
            end.copy_from_slice(body);
            compare(end, scratches);
        }
    }
}

/// Changes a document as a broken sender or a hostile one might.
fn mutate(body: &mut Vec<u8>, mutations: &[(u8, prop::sample::Index, u8)]) {
    const TOKENS: [&str; 24] = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        "\\u0041",
        "null",
        "true",
        "0",
        "-1.5e2",
        "\"id\":",
        "\"imp\":[",
        " ",
        "\n",
        "\u{1}",
        "é",
        "\"\"",
        "[]",
        "{}",
        ",null",
        "00",
    ];
    for &(what, place, byte) in mutations {
        if body.is_empty() {
            return;
        }
        let at = place.index(body.len());
        let until = (at + usize::from(byte) % 40).min(body.len());
        match what % 6 {
            0 => body[at] = byte,
            1 => body[at] ^= 1 << (byte % 8),
            2 => drop(body.drain(at..until)),
            3 => body.extend_from_within(at..until),
            4 => drop(body.splice(at..at, TOKENS[usize::from(byte) % TOKENS.len()].bytes())),
            _ => {
                let copy = body[at..until].to_vec();
                drop(body.splice(at..at, copy));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 5 } else { 6_000 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutations_say_the_same(which in any::<prop::sample::Index>(), mutations in prop::collection::vec(any::<(u8, prop::sample::Index, u8)>(), 1..5)) {
        thread_local! {
            static STATE: std::cell::RefCell<(Vec<String>, Vec<Scratch>)> = std::cell::RefCell::new((corpus(), scratches()));
        }
        STATE.with_borrow_mut(|(corpus, scratches)| {
            let mut body = which.get(corpus).clone().into_bytes();
            mutate(&mut body, &mutations);
            if is_comparable(&body) {
                compare(&body, scratches);
            }
        });
    }

    #[test]
    fn rows_of_tokens_say_the_same(tokens in prop::collection::vec(prop::sample::select(&["{", "}", "[", "]", ":", ",", "\"a\"", "1", " ", "\"id\":", "\"imp\":[{\"id\":\"1\"}]"][..]), 0..12)) {
        thread_local!(static SCRATCHES: std::cell::RefCell<Vec<Scratch>> = std::cell::RefCell::new(scratches()));
        SCRATCHES.with_borrow_mut(|scratches| compare(tokens.concat().as_bytes(), scratches));
    }
}

/// The fuzzers' corpus, so that what they once found stays found.
#[test]
fn the_fuzz_corpus_says_the_same() {
    let scratches = &mut scratches();
    for target in ["json", "openrtb_request"] {
        for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target))
            .expect("a committed corpus")
        {
            let body = std::fs::read(file.expect("a readable directory").path()).expect("a readable file");
            if is_comparable(&body) {
                compare(&body, scratches);
            } else {
                for scratch in &mut *scratches {
                    let _ = scanned::said(&body, scratch);
                }
            }
        }
    }
}
