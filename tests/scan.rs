//! The OpenRTB scanner held against `serde_json`: what is JSON, and what each field says.
//!
//! The oracle reads a `serde_json::Value` field by field, in its own words. It differs from the scanner by design in three
//! things, and such documents are left out of a comparison: nesting over 64 (serde_json: 128), lone surrogates (refused by
//! serde_json), and numbers beyond `f64` (refused by serde_json).

use std::path::Path;

use corebid::limits;
use corebid::wire::json::{Level, Raw, Scratch, Text};
use corebid::wire::openrtb::agent::{self, Browser, Os};
use corebid::wire::openrtb::chain::{Form, SupplyChain};
use corebid::wire::openrtb::mime::Mimes;
use corebid::wire::openrtb::native::{AssetKind, NativeRequest};
use corebid::wire::openrtb::request::{
    BidRequest, Channel, Deal, Device, Geo, Imp, ScanError, Size, Stream, TimeFloors, scan,
};
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

/// A document in a string as what it says, so that white space is no difference.
fn document(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

mod scanned {
    use super::*;

    pub(super) fn said(body: &[u8], scratch: &mut Scratch) -> Said {
        let mut request = BidRequest::default();
        scan(body, scratch, &mut request)?;
        Ok(json!({
            "id": text(request.id), "at": request.at, "tmax": request.tmax, "test": request.test,
            "imps": request.imps.iter().map(|one| imp(&request, one)).collect::<Vec<_>>(),
            "all_imps": request.all_imps, "cattax": request.cattax, "acat": strings(request.acat), "wlang": strings(request.wlang),
            "categories": request.categories.map(strings), "categories_tax": request.categories_tax,
            "content_language": text(request.content_language), "dsa": [json!(request.dsa.required), json!(request.dsa.publisher_renders), json!(request.dsa.wants_parameters)],
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
            "gpp_sid": request.gpp_sid.integers().collect::<Vec<_>>(), "gpc": request.gpc, "contradictory": request.contradictory, "schain": chain(&request.schain),
            "partner": text(request.partner),
        }))
    }

    fn chain(chain: &SupplyChain<'_>) -> Value {
        let nodes: Vec<_> = chain.nodes.iter().map(|node| json!([text(node.asi), text(node.sid), node.pays])).collect();
        match chain.form {
            Form::Absent => Value::Null,
            Form::Malformed => {
                assert!(nodes.is_empty() && !chain.complete);
                "malformed".into()
            }
            Form::Chain => json!({ "complete": chain.complete, "nodes": nodes }),
        }
    }

    fn imp(request: &BidRequest<'_>, imp: &Imp<'_>) -> Value {
        json!({
            "id": text(imp.id), "video": imp.video.as_ref().map(stream), "audio": imp.audio.as_ref().map(stream),
            "native": imp.native.map(|native| json!([document(unescaped(native.request)), native.battr])),
            "banner": imp.banner.as_ref().map(|banner| json!({
                "sizes": banner.sizes.iter().map(size).collect::<Vec<_>>(),
                "btype": banner.btype, "battr": banner.battr, "pos": banner.pos,
            })),
            "floor": imp.floor.0, "floor_cur": text(imp.floor_cur), "secure": imp.secure,
            "private_auction": imp.private_auction, "deals": request.deals_of(imp).iter().map(deal).collect::<Vec<_>>(),
            "multiplier": imp.multiplier.0, "tagid": text(imp.tagid), "interstitial": imp.interstitial,
        })
    }

    fn size(size: &Size) -> Value {
        json!([size.w, size.h])
    }

    fn stream(stream: &Stream<'_>) -> Value {
        json!({
            "mimes": stream.mimes.0, "durations": [stream.min_duration, stream.max_duration],
            "exact_durations": stream.exact_durations.as_slice(), "protocols": stream.protocols,
            "linearity": stream.linearity, "placement": stream.placement, "plcmt": stream.plcmt,
            "start_delay": stream.start_delay, "skip": stream.skip, "size": size(&stream.size),
            "bitrates": [stream.min_bitrate, stream.max_bitrate], "delivery": stream.delivery, "api": stream.api,
            "battr": stream.battr, "pos": stream.pos,
            "pod": stream.pod.map(|pod| json!([text(pod.id), pod.slot, pod.duration, pod.most_ads])),
            "floors": floors(&stream.floors),
        })
    }

    fn floors(floors: &TimeFloors) -> Value {
        let spans = floors.spans.iter().map(|span| json!([span.min, span.max, span.floor.0])).collect::<Vec<_>>();
        json!([floors.per_second.0, spans])
    }

    fn deal(deal: &Deal<'_>) -> Value {
        json!({
            "id": text(deal.id), "floor": deal.floor.0, "floor_cur": text(deal.floor_cur), "at": deal.at,
            "guaranteed": deal.guaranteed, "wseat": strings(deal.wseat), "wadomain": strings(deal.wadomain),
            "floors": floors(&deal.floors),
        })
    }

    fn device(device: &Device<'_>) -> Value {
        json!({
            "ua": text(device.ua), "ip": text(device.ip), "ipv6": text(device.ipv6), "kind": device.kind,
            "os": device.os as u8, "browser": device.browser as u8, "carrier": text(device.carrier),
            "language": text(device.language), "ifa": text(device.ifa), "connection": device.connection,
            "lmt": device.lmt, "dnt": device.dnt, "geo": geo(&device.geo),
        })
    }

    fn geo(geo: &Geo<'_>) -> Value {
        json!([
            text(geo.country),
            text(geo.region),
            text(geo.city),
            text(geo.zip),
            geo.point.map(|point| [point.lat, point.lon])
        ])
    }

    pub(super) fn native(request: &str, scratch: &mut Scratch) -> Said {
        let mut read = NativeRequest::default();
        let quoted = serde_json::to_string(request).expect("a string");
        let raw = &quoted.as_bytes()[1..quoted.len() - 1];
        let text = Text { raw, escaped: raw.contains(&b'\\') };
        read.read(text, &mut vec![0; raw.len()], scratch)?;
        let asset = |kind| match kind {
            AssetKind::Title { len } => json!(["title", len]),
            AssetKind::Image { kind, size: exact, least, mimes } => {
                json!(["img", kind, size(&exact), size(&least), mimes.0])
            }
            AssetKind::Data { kind, len } => json!(["data", kind, len]),
            AssetKind::Other => json!(["other"]),
        };
        let assets: Vec<_> = read.assets.iter().map(|it| json!([it.id, it.required, asset(it.kind)])).collect();
        Ok(json!([assets, read.pixel]))
    }

    fn text(text: Text<'_>) -> String {
        assert!(text.escaped == text.raw.contains(&b'\\'));
        unescaped(text)
    }

    /// Of a document in a string, or one in place of the string, whose own strings may hold escapes.
    fn unescaped(text: Text<'_>) -> String {
        let mut buffer = vec![0; text.raw.len()];
        let unescaped = text.unescape(&mut buffer).expect("unescaping never lengthens");
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
        let (device, user, regs) = (at(root, "device")?, at(root, "user")?, at(root, "regs")?);
        let (user_ext, regs_ext, root_ext) = (ext(user)?, ext(regs)?, ext(root)?);
        let (channel, subject) = match (site.is_null(), app.is_null(), dooh.is_null()) {
            (false, ..) => ("site", site),
            (_, false, _) => ("app", app),
            (.., false) => ("dooh", dooh),
            _ => ("", &Value::Null),
        };
        // Of an object that does not count, nothing is in use.
        let of =
            |channels: &[&str], field| if channels.contains(&channel) { at(subject, field) } else { Ok(&Value::Null) };
        let owner = at(subject, "publisher")?;
        let mut place = geo(at(device, "geo")?)?;
        let mut user_place = geo(&Value::Null)?;
        if place[0] == "" {
            let named = at(at(user, "geo")?, "country")?;
            let (country, region) = (text(named)?, text(at(at(user, "geo")?, "region")?)?);
            if country.is_empty() {
                user_place[1] = region.into();
            } else {
                // The details of the place that does not apply are not in use.
                user_place = geo(at(user, "geo")?)?;
                place = json!(["", place[1], "", "", null]);
            }
        }
        let (os, browser) = agent(device)?;
        let mut room = 32;
        let imps = elements(at(root, "imp")?)?
            .iter()
            .take(32)
            .map(|one| imp(one, &mut room))
            .collect::<Result<Vec<_>, _>>()?;
        let id = text(at(root, "id")?)?;
        let lists = ["cur", "bcat", "acat", "badv", "bapp", "wseat", "bseat"];
        let content = at(subject, "content")?;
        let tax = |object| Ok::<_, ScanError>(integer(at(object, "cattax")?)?.map_or(1, |tax| tax.clamp(0, 65_535)));
        let (subject_tax, content_tax) = (tax(subject)?, tax(content)?);
        let subject_cats: Vec<_> = ["cat", "sectioncat", "pagecat"]
            .into_iter()
            .map(|list| strings(at(subject, list)?))
            .collect::<Result<_, _>>()?;
        let content_cats = strings(at(content, "cat")?)?;
        let named = subject_cats.iter().any(|list| !list.is_empty());
        let mut categories = subject_cats.clone();
        categories.push(if named && subject_tax != content_tax { Vec::new() } else { content_cats.clone() });
        // What is said in both places, the newer first; what says nothing is not there.
        let both = |places: [&Value; 2], key: &str, read: &dyn Fn(&Value) -> Said| -> Result<Vec<Value>, ScanError> {
            let mut said = Vec::new();
            for place in places {
                said.push(read(at(place, key)?)?);
            }
            said.retain(|value| *value != json!("") && *value != json!([]));
            said.push(read(&Value::Null)?);
            if said.len() > 1 {
                said.pop();
            }
            Ok(said)
        };
        let of_text = |value: &Value| Ok(json!(text(value)?));
        let of_list = |value: &Value| Ok(json!(integers(value)?));
        let consent = both([user, user_ext], "consent", &of_text)?;
        let us_privacy = both([regs, regs_ext], "us_privacy", &of_text)?;
        let gpp = both([regs, regs_ext], "gpp", &of_text)?;
        let gpp_sid = both([regs, regs_ext], "gpp_sid", &of_list)?;
        let gpc = [at(regs, "gpc")?, at(regs_ext, "gpc")?].into_iter().any(|gpc| match gpc {
            Value::String(string) => !["", "0", "false"].contains(&string.as_str()),
            other => flag(other).map_or(true, |flag| flag == Some(true)),
        });
        let contradictory =
            [&consent, &us_privacy, &gpp, &gpp_sid].iter().any(|both| both.len() > 1 && both[0] != both[1]);
        let gdpr = [flag(at(regs, "gdpr")?)?, flag(at(regs_ext, "gdpr")?)?];
        let ifa = text(at(device, "ifa")?)?;
        let disclosed = inner(regs_ext, "dsa")?;
        let dsa = |key| Ok::<_, ScanError>(integer(at(disclosed, key)?)?.map(|value| value.clamp(0, 255)));
        let mut said = json!({
            "id": id, "at": integer(at(root, "at")?)?.map_or(2, |value| value.clamp(0, 65_535)),
            "tmax": integer(at(root, "tmax")?)?.unwrap_or(0).clamp(0, 4_294_967_295), "test": flag(at(root, "test")?)? == Some(true),
            "all_imps": flag(at(root, "allimps")?)? == Some(true),
            "cattax": integer(at(root, "cattax")?)?.map_or(1, |tax| tax.clamp(0, 65_535)),
            "wlang": strings(or(at(root, "wlang")?, at(root, "wlangb")?))?,
            "categories": categories, "categories_tax": if named { subject_tax } else { content_tax },
            "content_language": text(or(at(content, "language")?, at(content, "langb")?))?,
            "dsa": [json!(dsa("dsarequired")?.unwrap_or(0)), json!(dsa("pubrender")?), json!(dsa("datatopub")?.unwrap_or(0) > 0)],
            "channel": channel, "domain": text(of(&["site", "dooh"], "domain")?)?, "page": text(of(&["site"], "page")?)?,
            "bundle": text(of(&["app"], "bundle")?)?, "publisher": text(at(owner, "id")?)?,
            "device": {
                "ua": text(at(device, "ua")?)?, "ip": text(at(device, "ip")?)?, "ipv6": text(at(device, "ipv6")?)?,
                "kind": integer(at(device, "devicetype")?)?.unwrap_or(0).clamp(0, 255), "os": os as u8, "browser": browser as u8,
                "carrier": text(at(device, "carrier")?)?,
                "language": text(at(device, "language")?)?, "ifa": if ifa.trim_matches(['0', '-']).is_empty() { "" } else { &ifa },
                "connection": integer(at(device, "connectiontype")?)?.unwrap_or(0).clamp(0, 255),
                "lmt": flag(at(device, "lmt")?)? == Some(true), "dnt": flag(at(device, "dnt")?)? == Some(true),
                "geo": place,
            },
            "user_id": text(at(user, "id")?)?, "buyeruid": text(at(user, "buyeruid")?)?,
            "eids": array(or(at(user, "eids")?, at(user_ext, "eids")?))?,
            "consent": consent[0], "user_geo": user_place, "coppa": flag(at(regs, "coppa")?)? == Some(true),
            "gdpr": if gdpr.contains(&Some(true)) { Some(true) } else { gdpr[0].or(gdpr[1]) },
            "us_privacy": us_privacy[0], "gpp": gpp[0], "gpp_sid": gpp_sid[0],
            "contradictory": contradictory,
            "gpc": gpc,
            "schain": chain(&root["source"], root_ext).unwrap_or("malformed".into()),
            "partner": text(or(at(subject, "inventorypartnerdomain")?, at(ext(subject)?, "inventorypartnerdomain")?))
                .unwrap_or_default(),
        });
        let mut too_much = false;
        for list in lists {
            said[list] = strings(at(root, list)?)?.into();
            too_much |= elements(at(root, list)?)?.len() > 256;
        }
        too_much |= elements(or(at(root, "wlang")?, at(root, "wlangb")?))?.len() > 256;
        too_much |= categories.iter().chain([&content_cats]).any(|list| list.len() > 256);
        if too_much {
            return Err(ScanError::TooMuch);
        }
        if id.is_empty() || imps.is_empty() || imps.iter().any(|imp| imp["id"] == "") {
            return Err(ScanError::NotABidRequest);
        }
        said["imps"] = imps.into();
        Ok(said)
    }

    /// A chain is none of version 1, or too long, without spoiling the rest of the request.
    fn chain(source: &Value, root_ext: &Value) -> Said {
        let found = or(or(at(source, "schain")?, at(ext(source)?, "schain")?), at(root_ext, "schain")?);
        if found.is_null() {
            return Ok(Value::Null);
        }
        let version = at(found, "ver")?;
        let text_of_version = text(version)?;
        let one = |value: &Value| match value {
            Value::Bool(flag) => Ok(*flag),
            other => integer(other).map(|value| value == Some(1)),
        };
        let mut nodes = Vec::new();
        for node in elements(at(found, "nodes")?)? {
            let node = if node.is_object() { node } else { return Err(ScanError::NotABidRequest) };
            nodes.push(json!([text(at(node, "asi")?)?, text(at(node, "sid")?)?, one(at(node, "hp")?)?]));
        }
        let version_1 = version.is_null() || text_of_version == "1" || text_of_version.starts_with("1.");
        match version_1 && nodes.len() <= 16 {
            true => Ok(json!({ "complete": one(at(found, "complete")?)?, "nodes": nodes })),
            false => Err(ScanError::NotABidRequest),
        }
    }

    /// `room`: for deals, of all impressions together.
    fn imp(imp: &Value, room: &mut usize) -> Said {
        let (banner, pmp) = (at(imp, "banner")?, at(imp, "pmp")?);
        let present = |name, read: fn(&Value) -> Said| match at(imp, name)? {
            Value::Null => Ok(Value::Null),
            object => read(object),
        };
        let mut deals = Vec::new();
        for offer in elements(at(pmp, "deals")?)? {
            if *room > 0 {
                let deal = deal(offer)?;
                let named = deal["id"] != "";
                *room -= usize::from(named);
                deals.extend(named.then_some(deal));
            }
        }
        let multiplier = at(at(imp, "qty")?, "multiplier")?;
        let millionths = if multiplier.is_null() { 1_000_000 } else { micros(multiplier)? };
        if !(1..=1_000_000_000_000).contains(&millionths) {
            return Err(ScanError::NotABidRequest);
        }
        Ok(json!({
            "id": text(at(imp, "id")?)?, "video": present("video", stream)?, "audio": present("audio", stream)?,
            "native": present("native", |native| Ok(json!([
                match at(native, "request")? {
                    object @ Value::Object(_) => object.clone(),
                    other => document(text(other)?),
                },
                bits(at(native, "battr")?)?,
            ])))?,
            "banner": if banner.is_null() { Value::Null } else { self::banner(banner)? },
            "floor": micros(at(imp, "bidfloor")?)?, "floor_cur": text(at(imp, "bidfloorcur")?)?,
            "secure": flag(at(imp, "secure")?)?, "private_auction": flag(at(pmp, "private_auction")?)? == Some(true),
            "deals": deals, "multiplier": millionths, "tagid": text(at(imp, "tagid")?)?,
            "interstitial": flag(at(imp, "instl")?)? == Some(true),
        }))
    }

    fn stream(stream: &Value) -> Said {
        let number = |name, default: i64, least: i64, most: i64| {
            Ok::<_, ScanError>(integer(at(stream, name)?)?.unwrap_or(default).clamp(least, most))
        };
        let (byte, short, word) = (255, 65_535, 4_294_967_295);
        let mut exact: Vec<_> = integers(at(stream, "rqddurs")?)?.iter().map(|span| (*span).clamp(0, short)).collect();
        exact.truncate(8);
        let old = integer(at(stream, "protocol")?)?.filter(|protocol| (0..64).contains(protocol));
        let pod = (text(at(stream, "podid")?)?, number("slotinpod", 0, -128, 127)?, number("poddur", 0, 0, short)?);
        let most_ads = number("maxseq", byte, 0, byte)?;
        Ok(json!({
            "mimes": mimes(at(stream, "mimes")?)?,
            "durations": [number("minduration", 0, 0, short)?, number("maxduration", short, 0, short)?],
            "exact_durations": exact,
            "protocols": bits(at(stream, "protocols")?)? | old.map_or(0, |protocol| 1 << protocol),
            "linearity": number("linearity", 0, 0, byte)?, "placement": number("placement", 0, 0, byte)?,
            "plcmt": number("plcmt", 0, 0, byte)?,
            "start_delay": integer(at(stream, "startdelay")?)?.map(|delay| delay.clamp(i32::MIN.into(), i32::MAX.into())),
            "skip": flag(at(stream, "skip")?)?, "size": [number("w", 0, 0, short)?, number("h", 0, 0, short)?],
            "bitrates": [number("minbitrate", 0, 0, word)?, number("maxbitrate", word, 0, word)?],
            "delivery": bits(at(stream, "delivery")?)?, "api": bits(at(stream, "api")?)?,
            "battr": bits(at(stream, "battr")?)?, "pos": number("pos", 0, 0, byte)?,
            "pod": (!pod.0.is_empty() || pod.2 > 0).then(|| json!([pod.0, pod.1, pod.2, most_ads])),
            "floors": floors(stream)?,
        }))
    }

    fn floors(object: &Value) -> Said {
        let spans = elements(at(object, "durfloors")?)?;
        let side = |span, name, default: i64| {
            Ok::<_, ScanError>(integer(at(span, name)?)?.unwrap_or(default).clamp(0, 65_535))
        };
        let read = |span| {
            Ok::<_, ScanError>(json!([
                side(span, "mindur", 0)?,
                side(span, "maxdur", 65_535)?,
                micros(at(span, "bidfloor")?)?
            ]))
        };
        let read = spans.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if read.len() > 8 { Err(ScanError::TooMuch) } else { Ok(json!([micros(at(object, "mincpmpersec")?)?, read])) }
    }

    fn deal(deal: &Value) -> Said {
        for list in ["wseat", "wadomain"] {
            if strings(at(deal, list)?)?.len() > 256 {
                return Err(ScanError::TooMuch);
            }
        }
        Ok(json!({
            "id": text(at(deal, "id")?)?, "floor": micros(at(deal, "bidfloor")?)?,
            "floor_cur": text(at(deal, "bidfloorcur")?)?,
            "at": integer(at(deal, "at")?)?.unwrap_or(0).clamp(0, 65_535),
            "guaranteed": flag(at(deal, "guar")?)? == Some(true), "wseat": strings(at(deal, "wseat")?)?,
            "wadomain": strings(at(deal, "wadomain")?)?, "floors": floors(deal)?,
        }))
    }

    fn mimes(list: &Value) -> Result<u32, ScanError> {
        let list = strings(list)?;
        if list.len() > 256 {
            return Err(ScanError::TooMuch);
        }
        let bit =
            |name: &String| Mimes::NAMES.iter().position(|known| *known == name.to_ascii_lowercase()).unwrap_or(31);
        Ok(list.iter().fold(0, |mimes, name| mimes | 1 << bit(name)))
    }

    fn bits(list: &Value) -> Result<u64, ScanError> {
        Ok(integers(list)?.iter().filter(|n| (0..64).contains(*n)).fold(0_u64, |bits, n| bits | 1 << n))
    }

    /// The structured user agent before `os` before `ua`; what names mean is a question of its own (`tests/agents.rs`).
    fn agent(device: &Value) -> Result<(Os, Browser), ScanError> {
        fn plain(text: &str) -> Text<'_> {
            Text { raw: text.as_bytes(), escaped: false }
        }
        let sua = or(at(device, "sua")?, at(ext(device)?, "sua")?);
        let (ua, os) = (text(at(device, "ua")?)?, text(at(device, "os")?)?);
        let platform = text(at(at(sua, "platform")?, "brand")?)?;
        let brands: Vec<_> =
            elements(at(sua, "browsers")?)?.iter().map(|it| text(at(it, "brand")?)).collect::<Result<_, _>>()?;
        let (ua_os, ua_browser) = agent::of(plain(&ua));
        let systems = [Os::named(plain(&platform)), Os::named(plain(&os)), ua_os];
        let browsers = brands.iter().map(|brand| Browser::named(plain(brand))).chain([ua_browser]);
        Ok((
            systems.into_iter().find(|os| *os != Os::Unknown).unwrap_or_default(),
            browsers.into_iter().find(|browser| *browser != Browser::Unknown).unwrap_or_default(),
        ))
    }

    pub(super) fn native(request: &str) -> Said {
        let root: Value = serde_json::from_str(request).map_err(|_| ScanError::NotABidRequest)?;
        let request = or(at(&root, "native")?, &root);
        let mut assets = Vec::new();
        for asset in elements(at(request, "assets")?)? {
            let [title, img, data] = ["title", "img", "data"].map(|kind| &asset[kind]);
            let number = |object, name, default: i64| {
                Ok::<_, ScanError>(integer(at(object, name)?)?.unwrap_or(default).clamp(0, 65_535))
            };
            let kind = match (title.is_null(), img.is_null(), data.is_null()) {
                (false, ..) => json!(["title", number(title, "len", 65_535)?]),
                (_, false, _) => json!([
                    "img",
                    number(img, "type", 0)?,
                    [number(img, "w", 0)?, number(img, "h", 0)?],
                    [number(img, "wmin", 0)?, number(img, "hmin", 0)?],
                    mimes(at(img, "mimes")?)?
                ]),
                (.., false) => json!(["data", number(data, "type", 0)?, number(data, "len", 65_535)?]),
                _ => json!(["other"]),
            };
            let id = integer(at(asset, "id")?)?.ok_or(ScanError::NotABidRequest)?;
            assets.push(json!([id, flag(at(asset, "required")?)? == Some(true), kind]));
        }
        let trackers = at(request, "eventtrackers")?;
        let mut pixel = trackers.is_null();
        for tracker in elements(trackers)? {
            let (event, methods) = (integer(at(tracker, "event")?)?, integers(at(tracker, "methods")?)?);
            pixel |= event == Some(1) && methods.contains(&1);
        }
        match assets.len() {
            0 => Err(ScanError::NotABidRequest),
            1..=24 => Ok(json!([assets, pixel])),
            _ => Err(ScanError::TooMuch),
        }
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
        Ok(json!({
            "sizes": sizes, "btype": bits(at(banner, "btype")?)?, "battr": bits(at(banner, "battr")?)?,
            "pos": integer(at(banner, "pos")?)?.unwrap_or(0).clamp(0, 255),
        }))
    }

    fn geo(geo: &Value) -> Said {
        let part = |name| text(at(geo, name)?);
        let angle = |name, most: i64| match at(geo, name)? {
            Value::Null => Ok::<_, ScanError>(None),
            number => Ok(Some(micros(number)?).filter(|angle| (-most..=most).contains(angle))),
        };
        let point = angle("lat", 90_000_000)?.zip(angle("lon", 180_000_000)?);
        Ok(json!([part("country")?, part("region")?, part("city")?, part("zip")?, point]))
    }

    /// A member of an object or of nothing; `null` if it has none.
    fn at<'v>(value: &'v Value, key: &str) -> Result<&'v Value, ScanError> {
        Ok(object(value)?.get(key).unwrap_or(&Value::Null))
    }

    /// `ext`, unless it is something else than an object.
    fn ext(value: &Value) -> Result<&Value, ScanError> {
        at(value, "ext").map(|ext| if ext.is_object() { ext } else { &Value::Null })
    }

    /// The same of any member of `ext`.
    fn inner<'v>(value: &'v Value, key: &str) -> Result<&'v Value, ScanError> {
        at(value, key).map(|inner| if inner.is_object() { inner } else { &Value::Null })
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
    let schain = |fields: &str| root(&format!("\"source\":{{\"schain\":{{{fields}}}}}"));
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
        root(r#""source":[],"ext":{"schain":{}}"#),
        root(r#""source":{"schain":null,"ext":{"schain":null}},"ext":{"schain":{"complete":1}}"#),
        root(r#""source":{"schain":{"complete":1,"ver":"1.0"},"ext":{"schain":"x"}},"ext":{"schain":1}"#),
        schain(
            r#""complete":1,"ver":"1.0","nodes":[{"asi":"a\u002eexample","sid":"\"1\/2\"","hp":1,"rid":"x","name":1}]"#,
        ),
        schain(r#""complete":true,"ver":"1.1","nodes":[{"asi":"a.example","sid":"1","hp":true},{"hp":0},{"hp":2}]"#),
        schain(r#""complete":1.0,"ver":"1","nodes":[{"asi":null,"sid":"","hp":1e0}]"#),
        schain(r#""complete":0,"ver":null,"nodes":null"#),
        schain(r#""complete":2,"nodes":[]"#),
        schain(r#""complete":"1","nodes":[]"#),
        schain(r#""complete":1,"ver":"2.0""#),
        schain(r#""complete":1,"ver":"10""#),
        schain(r#""complete":1,"ver":"""#),
        schain(r#""complete":1,"ver":1.0"#),
        schain(r#""complete":1,"nodes":{}"#),
        schain(r#""complete":1,"nodes":[null]"#),
        schain(r#""complete":1,"nodes":[{"asi":"a.example","sid":1,"hp":1}]"#),
        schain(r#""complete":1,"nodes":[{"asi":["a.example"],"sid":"1","hp":1}]"#),
        schain(r#""complete":1,"nodes":[{"asi":"a.example","sid":"1","hp":"1"}]"#),
        schain(&format!(r#""complete":1,"nodes":[{}]"#, vec![r#"{"asi":"a","sid":"1","hp":1}"#; 16].join(","))),
        schain(&format!(r#""complete":1,"nodes":[{}]"#, vec![r#"{"asi":"a","sid":"1","hp":1}"#; 17].join(","))),
        root(r#""site":{"inventorypartnerdomain":"p.example","ext":{"inventorypartnerdomain":"q.example"}}"#),
        root(r#""app":{"ext":{"inventorypartnerdomain":"q\u002eexample"}}"#),
        root(
            r#""dooh":{"inventorypartnerdomain":"p.example","inventorypartnedomain":"q","inventory_artnerdomain":"r"}"#,
        ),
        root(r#""site":{"inventory\u0070artnerdomain":"p.example","inventory\u005fartnerdomain":"q"}"#),
        root(r#""site":{"inventorypartnerdomain":7,"ext":[]}"#),
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
        imp(r#""pmp":{"deals":[{"bidfloor":1},{"id":"a","bidfloor":0.1234567,"at":3,"guar":1},null]}"#),
        imp(&format!("\"pmp\":{{\"deals\":[{}]}}", vec![r#"{"id":"d"}"#; 40].join(","))),
        imp(r#""qty":{"multiplier":30.3}"#),
        imp(r#""qty":{"multiplier":0.0000001}"#),
        imp(r#""qty":{"multiplier":0}"#),
        imp(r#""qty":{"multiplier":-1}"#),
        imp(r#""qty":{"multiplier":1000000000}"#),
        imp(r#""qty":{"multiplier":1000000001}"#),
        imp(r#""qty":{}"#),
        imp(r#""video":{"protocol":2,"protocols":[3],"poddur":60,"maxseq":4,"slotinpod":-1,"podid":"p"}"#),
        imp(r#""native":{"request":{"assets":[ {"id":1} ]}}"#),
        imp(r#""native":{"request":[]}"#),
        imp(&format!("\"video\":{{\"durfloors\":[{}]}}", ["{}"; 8].join(","))),
        imp(&format!("\"video\":{{\"durfloors\":[{}]}}", ["{}"; 9].join(","))),
        imp(&format!("\"video\":{{\"rqddurs\":[{}]}}", ["15"; 9].join(","))),
        root(r#""device":{"geo":{"lat":48.137154,"lon":11.576124}}"#),
        root(r#""device":{"geo":{"lat":90.0000001,"lon":0}}"#),
        root(r#""device":{"geo":{"lat":"1","lon":0}}"#),
        root(r#""device":{"geo":{"country":"USA"}},"user":{"geo":"not in use"}"#),
        root(r#""device":{"geo":{"region":"x","city":"not in use"}},"user":{"geo":{"country":"USA","zip":"1"}}"#),
        root(r#""site":{"cat":["IAB1"],"content":{"cat":["483"],"cattax":6}}"#),
        root(r#""site":{"content":{"cat":["483"],"cattax":6,"language":"de"}}"#),
        root(r#""dooh":{"domain":"d.example","publisher":{"id":"p"}}"#),
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

/// Documents of the fields in use, each absent, right, at an edge, null, twice or of a wrong type.
mod made {
    use super::bodies::Dice;

    /// What a field is meant to be.
    enum Kind {
        Text(&'static [&'static str]),
        Number,
        Flag,
        Numbers,
        Texts(&'static [&'static str]),
        Object(&'static [(&'static str, Kind)]),
        /// At most so many.
        Objects(usize, &'static [(&'static str, Kind)]),
    }
    use Kind::{Flag, Number, Numbers, Object, Objects, Text, Texts};

    const WORDS: &[&str] = &["a", "", "USD", "1", "\\u0041\\/b", "é"];
    const CATS: &[&str] = &["IAB1", "IAB2-3", "483"];
    const MIMES: &[&str] = &[
        "video/mp4",
        "video\\/mp4",
        "VIDEO/WebM",
        "audio/mpeg",
        "image/jpeg",
        "image/bmp",
        "video/a-type-longer-than-any-of-ours",
    ];
    const SYSTEMS: &[&str] = &["iOS", "Android", "Mac OS X", "Linux", "what", "Fire\\u0020OS"];
    const BRANDS: &[&str] = &["Chromium", "Google Chrome", "Microsoft Edge", "Not.A/Brand", "Android WebView"];
    const AGENTS: &[&str] = &[
        "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
        "Mozilla\\/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit\\/605.1.15 (KHTML, like Gecko) Mobile\\/15E148",
        "Roku\\/DVP-9.10",
    ];
    const FLOORS: Kind = Objects(10, &[("mindur", Number), ("maxdur", Number), ("bidfloor", Number)]);
    const SIZE: &[(&str, Kind)] = &[("w", Number), ("h", Number)];
    const GEO: Kind = Object(&[
        ("country", Text(&["USA", "", "DEU"])),
        ("region", Text(WORDS)),
        ("city", Text(WORDS)),
        ("zip", Text(WORDS)),
        ("lat", Number),
        ("lon", Number),
    ]);
    const STREAM: Kind = Object(&[
        ("mimes", Texts(MIMES)),
        ("minduration", Number),
        ("maxduration", Number),
        ("rqddurs", Numbers),
        ("protocols", Numbers),
        ("protocol", Number),
        ("linearity", Number),
        ("placement", Number),
        ("plcmt", Number),
        ("startdelay", Number),
        ("skip", Flag),
        ("w", Number),
        ("h", Number),
        ("minbitrate", Number),
        ("maxbitrate", Number),
        ("delivery", Numbers),
        ("api", Numbers),
        ("battr", Numbers),
        ("pos", Number),
        ("podid", Text(WORDS)),
        ("podseq", Number),
        ("slotinpod", Number),
        ("poddur", Number),
        ("maxseq", Number),
        ("mincpmpersec", Number),
        ("durfloors", FLOORS),
    ]);
    const DEAL: &[(&str, Kind)] = &[
        ("id", Text(&["d1", "d2", ""])),
        ("bidfloor", Number),
        ("bidfloorcur", Text(WORDS)),
        ("at", Number),
        ("guar", Flag),
        ("wseat", Texts(WORDS)),
        ("wadomain", Texts(WORDS)),
        ("mincpmpersec", Number),
        ("durfloors", FLOORS),
    ];
    const IMP: &[(&str, Kind)] = &[
        (
            "banner",
            Object(&[
                ("w", Number),
                ("h", Number),
                ("format", Objects(3, SIZE)),
                ("btype", Numbers),
                ("battr", Numbers),
                ("pos", Number),
            ]),
        ),
        ("video", STREAM),
        ("audio", STREAM),
        ("native", Object(&[("request", Text(&["{\\\"assets\\\":[]}", "x", ""])), ("battr", Numbers)])),
        ("bidfloor", Number),
        ("bidfloorcur", Text(WORDS)),
        ("secure", Flag),
        ("pmp", Object(&[("private_auction", Flag), ("deals", Objects(20, DEAL))])),
        ("qty", Object(&[("multiplier", Number)])),
        ("tagid", Text(WORDS)),
        ("instl", Flag),
    ];
    const SUBJECT: Kind = Object(&[
        ("domain", Text(WORDS)),
        ("page", Text(WORDS)),
        ("bundle", Text(WORDS)),
        ("publisher", Object(&[("id", Text(WORDS))])),
        ("cat", Texts(CATS)),
        ("sectioncat", Texts(CATS)),
        ("pagecat", Texts(CATS)),
        ("cattax", Number),
        ("inventorypartnerdomain", Text(WORDS)),
        ("ext", Object(&[("inventorypartnerdomain", Text(WORDS))])),
        (
            "content",
            Object(&[("cat", Texts(CATS)), ("cattax", Number), ("language", Text(WORDS)), ("langb", Text(WORDS))]),
        ),
    ]);
    const CHAIN: Kind = Object(&[
        ("complete", Flag),
        ("ver", Text(&["1.0", "1", "1.1", "2.0", "10", "\\u0031.0", ""])),
        ("nodes", Objects(18, &[("asi", Text(WORDS)), ("sid", Text(WORDS)), ("hp", Flag)])),
    ]);
    const SUA: Kind = Object(&[
        ("browsers", Objects(3, &[("brand", Text(BRANDS))])),
        ("platform", Object(&[("brand", Text(SYSTEMS))])),
        ("mobile", Flag),
    ]);
    const DEVICE: &[(&str, Kind)] = &[
        ("ua", Text(AGENTS)),
        ("sua", SUA),
        ("os", Text(SYSTEMS)),
        ("ip", Text(WORDS)),
        ("carrier", Text(WORDS)),
        ("language", Text(WORDS)),
        ("connectiontype", Number),
        ("devicetype", Number),
        ("geo", GEO),
        ("lmt", Flag),
        ("ext", Object(&[("sua", SUA)])),
    ];
    const REQUEST: &[(&str, Kind)] = &[
        ("at", Number),
        ("test", Flag),
        ("allimps", Flag),
        ("acat", Texts(CATS)),
        ("wlang", Texts(WORDS)),
        ("wlangb", Texts(WORDS)),
        ("cattax", Number),
        ("site", SUBJECT),
        ("app", SUBJECT),
        ("dooh", SUBJECT),
        ("device", Object(DEVICE)),
        ("user", Object(&[("id", Text(WORDS)), ("geo", GEO), ("ext", Object(&[("consent", Text(WORDS))]))])),
        (
            "regs",
            Object(&[(
                "ext",
                Object(&[("dsa", Object(&[("dsarequired", Number), ("pubrender", Number), ("datatopub", Number)]))]),
            )]),
        ),
        ("source", Object(&[("schain", CHAIN), ("ext", Object(&[("schain", CHAIN)]))])),
        ("ext", Object(&[("schain", CHAIN)])),
    ];
    const NATIVE: &[(&str, Kind)] = &[
        (
            "assets",
            Objects(
                26,
                &[
                    ("id", Number),
                    ("required", Flag),
                    ("title", Object(&[("len", Number)])),
                    (
                        "img",
                        Object(&[
                            ("type", Number),
                            ("w", Number),
                            ("h", Number),
                            ("wmin", Number),
                            ("hmin", Number),
                            ("mimes", Texts(MIMES)),
                        ]),
                    ),
                    ("data", Object(&[("type", Number), ("len", Number)])),
                    ("video", Object(&[])),
                ],
            ),
        ),
        ("eventtrackers", Objects(3, &[("event", Number), ("methods", Numbers)])),
    ];

    /// How often a field is of a wrong type: in one of so many. Most documents are right, so that all of them is compared.
    pub(super) struct Maker(pub(super) Dice, pub(super) usize);

    impl Maker {
        pub(super) fn request(&mut self) -> String {
            let imps: Vec<_> = (0..1 + self.0.below(2)).map(|n| self.members(IMP, format!("\"id\":\"{n}\""))).collect();
            self.members(REQUEST, format!("\"id\":\"1\",\"imp\":[{}]", imps.join(",")))
        }

        pub(super) fn native(&mut self) -> String {
            let request = self.members(NATIVE, "\"ver\":\"1.2\"".into());
            if self.0.below(3) == 0 { format!("{{\"native\":{request}}}") } else { request }
        }

        fn members(&mut self, fields: &[(&str, Kind)], first: String) -> String {
            let mut members = vec![first];
            for (name, kind) in fields {
                // Absent, given, or given twice.
                for _ in 0..[0, 0, 1, 1, 1, 1, 1, 2][self.0.below(8)] {
                    members.push(format!("\"{name}\":{}", self.value(kind)));
                }
            }
            members.retain(|member| !member.is_empty());
            format!("{{{}}}", members.join(","))
        }

        fn list(&mut self, most: usize, element: impl Fn(&mut Self) -> String) -> String {
            let count = if self.0.below(6) == 0 { self.0.below(most + 1) } else { self.0.below(3.min(most + 1)) };
            format!("[{}]", (0..count).map(|_| element(self)).collect::<Vec<_>>().join(","))
        }

        fn value(&mut self, kind: &Kind) -> String {
            if self.0.below(self.1) == 0 {
                return self
                    .0
                    .pick(&["null", "1", "1.5", "-3", "\"1\"", "[]", "{}", "true", "[null]", "[1]", "[\"a\"]", "[{}]"])
                    .to_owned();
            }
            let numbers = [
                "0",
                "1",
                "2",
                "3",
                "6",
                "15",
                "30",
                "1.0",
                "63",
                "64",
                "-1",
                "300",
                "70000",
                "99999999999",
                "3e1",
                "-129",
                "180",
                "-90",
            ];
            match kind {
                Text(choices) => format!("\"{}\"", self.0.pick(choices)),
                Number if self.0.below(60) == 0 => {
                    self.0.pick(&["30.3", "0.0000001", "12.3456789", "-89.9999999"]).to_owned()
                }
                Number => self.0.pick(&numbers).to_owned(),
                Flag => self.0.pick(&["0", "1", "true", "false", "2"]).to_owned(),
                Numbers => self.list(12, |maker| maker.0.pick(&numbers).to_owned()),
                Texts(choices) => self.list(300, |maker| format!("\"{}\"", maker.0.pick(choices))),
                Object(fields) => self.members(fields, String::new()),
                Objects(most, fields) => self.list(*most, |maker| maker.members(fields, String::new())),
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

/// Every field, in all its forms. Some of the documents are without a fault, and say as much as a document can.
#[test]
fn made_documents_say_the_same() {
    let scratches = &mut scratches();
    let (mut read, mut refused, mut too_much) = (0, 0, 0);
    for seed in 0..if cfg!(miri) { 3 } else { 4_000 } {
        let faults = [30, 1_000, 100_000][seed as usize % 3];
        let body = made::Maker(bodies::Dice::new(seed), faults).request();
        compare(body.as_bytes(), scratches);
        match oracle::said(body.as_bytes()) {
            Ok(_) => read += 1,
            Err(ScanError::TooMuch) => too_much += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(cfg!(miri) || (read > 100 && refused > 100 && too_much > 10), "{read} {refused} {too_much}");
}

/// Native requests, in a string and with its escapes.
#[test]
fn made_native_requests_say_the_same() {
    let scratch = &mut Scratch::new(limits::BODY_BYTES);
    let (mut read, mut refused) = (0, 0);
    for seed in 0..if cfg!(miri) { 3 } else { 6_000 } {
        let request = made::Maker(bodies::Dice::new(seed), [30, 1_000][seed as usize % 2]).native();
        let (said, expected) = (scanned::native(&request, scratch), oracle::native(&request));
        match (&said, &expected) {
            (Err(_), Err(_)) => refused += 1,
            _ => {
                assert_eq!(said, expected, "{request}");
                read += 1;
            }
        }
    }
    assert!(cfg!(miri) || (read > 500 && refused > 500), "{read} {refused}");
    let assets = |count| format!("{{\"assets\":[{}]}}", vec!["{\"id\":1}"; count].join(","));
    for (request, said) in [
        (assets(limits::ASSETS), None),
        (assets(limits::ASSETS + 1), Some(ScanError::TooMuch)),
        ("{\"assets\":[{}]}".into(), Some(ScanError::NotABidRequest)),
        ("{test json string}".into(), Some(ScanError::NotABidRequest)),
        (String::new(), Some(ScanError::NotABidRequest)),
    ] {
        assert_eq!(scanned::native(&request, scratch).err(), said, "{request}");
    }
    let text = Text { raw: br#"{\"assets\":[{\"id\":1}]}"#, escaped: true };
    assert_eq!(NativeRequest::default().read(text, &mut [0; 8], scratch), Err(ScanError::NotABidRequest));
    let bare = Text { raw: br#"{"assets":[{"id":1}]}"#, escaped: false };
    assert_eq!(NativeRequest::default().read(bare, &mut [], scratch), Ok(()), "an object in place of the string");
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
