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
