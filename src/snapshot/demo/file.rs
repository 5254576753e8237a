//! The demo's campaigns as a campaign file: docs/CAMPAIGNS.md read backwards, by hand, so that what the reader of files makes of
//! it can be held against what was meant.

use serde_json::{Map, Value, json};

use super::{ADVERTISERS, Ad, BUDGET, CATEGORIES, Plan};
use crate::snapshot::campaign::native::NativeParts;
use crate::snapshot::campaign::vast::{Event, Spot};
use crate::snapshot::campaign::{Daypart, Order, Rule, Targeting};
use crate::units::SegmentId;
use crate::wire::openrtb::agent::{Browser, Os};
use crate::wire::openrtb::request::Channel;

/// The campaigns of `--demo` (no count) or `--demo=N` as the JSON of a campaign file, one a line from the second line on.
pub fn file(count: Option<usize>) -> String {
    let mut text = String::from("{\"campaigns\":[\n");
    let mut put = |plan: Plan| {
        text += &campaign(&plan).to_string();
        text += ",\n";
    };
    match count {
        None => super::plain().for_each(&mut put),
        Some(count) => (0..count).map(super::particular).for_each(&mut put),
    }
    // No comma after the last.
    if text.ends_with(",\n") {
        text.truncate(text.len() - 2);
    }
    text + "\n]}\n"
}

fn campaign(plan: &Plan) -> Value {
    let creatives: Vec<Value> = plan.ads.iter().map(|(order, ad)| creative(order, ad)).collect();
    table([
        ("id", plan.id.into()),
        ("advertiser", (plan.advertiser + 1).into()),
        ("name", plan.name().into()),
        ("daily_budget", money(BUDGET.0)),
        ("pacing", "asap".into()),
        ("cpm", money(plan.cpm.0)),
        ("adomain", json!([ADVERTISERS[plan.advertiser]])),
        ("cat", json!([CATEGORIES[plan.advertiser]])),
        ("creatives", creatives.into()),
        ("targeting", targeting(&plan.targeting)),
    ])
}

fn creative(order: &Order, ad: &Ad) -> Value {
    let mut value = match ad {
        Ad::Banner(size, markup) => json!({"w": size.w, "h": size.h, "markup": markup}),
        Ad::Video(spot) => video(spot),
        Ad::Audio(spot) => audio(spot),
        Ad::Native(parts) => native(parts),
    };
    value["id"] = order.id.as_str().into();
    value["click"] = order.click.as_deref().into();
    value
}

fn video(spot: &Spot) -> Value {
    let media = spot.media.iter().map(|media| {
        json!({"url": media.url, "mime": media.mime, "bitrate": media.bitrate, "w": media.size.w, "h": media.size.h})
    });
    played("video", spot, media.collect())
}

fn audio(spot: &Spot) -> Value {
    let media = spot.media.iter().map(|media| json!({"url": media.url, "mime": media.mime, "bitrate": media.bitrate}));
    played("audio", spot, media.collect())
}

fn played(format: &str, spot: &Spot, media: Vec<Value>) -> Value {
    let seen: Vec<&str> =
        spot.trackers.iter().filter(|(event, _)| *event == Event::Impression).map(|(_, url)| &url[..]).collect();
    json!({"format": format, "duration": spot.duration, "title": spot.title, "media": media, "trackers": {"impression": seen}})
}

fn native(parts: &NativeParts) -> Value {
    let images = parts.images.iter().map(|image| {
        let kind = if image.kind == 1 { "icon" } else { "main" };
        json!({"type": kind, "url": image.url, "mime": image.mime, "w": image.size.w, "h": image.size.h})
    });
    let text = |kind| parts.data.iter().find(|(of, _)| *of == kind).map(|(_, text)| text.as_str());
    json!({"format": "native", "titles": parts.titles, "images": images.collect::<Value>(),
        "data": {"sponsored": text(1), "desc": text(2), "ctatext": text(12)}, "trackers": {"impression": parts.impressions}})
}

fn targeting(wants: &Targeting) -> Value {
    let ids = |segments: &[SegmentId]| segments.iter().map(|segment| segment.0).collect::<Value>();
    let segments = &wants.segments;
    table([
        ("countries", rule(&wants.countries)),
        ("regions", rule(&wants.regions)),
        ("devices", wants.devices.iter().map(|&kind| device(kind)).collect()),
        ("os", wants.os.include.iter().map(|os| called(&Os::NAMED, os)).collect()),
        ("browsers", wants.browsers.include.iter().map(|browser| called(&Browser::NAMED, browser)).collect()),
        ("channels", wants.channels.iter().map(|&of| if of == Channel::Site { "site" } else { "app" }).collect()),
        ("sites", rule(&wants.sites)),
        ("bundles", rule(&wants.bundles)),
        ("categories", rule(&wants.categories)),
        ("languages", rule(&wants.languages)),
        ("daypart", wants.daypart.as_ref().map_or(Value::Null, daypart)),
        ("segments", table([("any", ids(&segments.any)), ("all", ids(&segments.all)), ("none", ids(&segments.none))])),
    ])
}

fn device(kind: u8) -> &'static str {
    ["mobile", "pc", "tv", "phone", "tablet"][usize::from(kind) - 1]
}

fn called<T: PartialEq>(named: &[(T, &'static str)], value: &T) -> &'static str {
    named.iter().find(|(known, _)| known == value).expect("it has a name").1
}

fn rule(rule: &Rule<String>) -> Value {
    let list = |names: &[String]| names.iter().map(String::as_str).collect();
    table([("include", list(&rule.include)), ("exclude", list(&rule.exclude))])
}

/// Day by day: each stretch of hours of each.
fn daypart(daypart: &Daypart) -> Value {
    let mut spans = Vec::new();
    for (day, name) in (0u8..).zip(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]) {
        let mut hours = (0..24).filter(|hour| daypart.contains(day * 24 + hour)).peekable();
        while let Some(first) = hours.next() {
            let mut last = first;
            while let Some(next) = hours.next_if_eq(&(last + 1)) {
                last = next;
            }
            spans.push(format!("{name} {first:02}-{:02}", last + 1));
        }
    }
    json!({"zone": daypart.zone, "hours": spans.join(", ")})
}

/// What says nothing is left out.
fn table<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let says = |value: &Value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
        _ => true,
    };
    let entries = entries.into_iter().filter(|(_, value)| says(value));
    Value::Object(entries.map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())
}

/// Millionths as a number that says exactly that: a double tells 15 decimal digits.
fn money(micros: i64) -> Value {
    match micros % 1_000_000 {
        0 => (micros / 1_000_000).into(),
        _ => (micros as f64 / 1e6).into(),
    }
}
