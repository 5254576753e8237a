//! A campaign file written from campaigns: docs/CAMPAIGNS.md read backwards, so that what the reader makes of it can be held
//! against what it was made from.

use corebid::snapshot::campaign::{Campaign, Flight, Rule};
use corebid::wire::openrtb::request::Channel;
use serde_json::{Map, Value, json};

const DEVICES: [&str; 8] = ["mobile", "pc", "tv", "phone", "tablet", "connected_device", "set_top_box", "ooh"];

/// The campaigns as the JSON of a campaign file, one a line.
pub(crate) fn json(campaigns: &[Campaign]) -> String {
    let lines: Vec<String> = campaigns.iter().map(|campaign| one(campaign).to_string()).collect();
    format!("{{\"campaigns\":[\n{}\n]}}\n", lines.join(",\n"))
}

fn one(campaign: &Campaign) -> Value {
    assert_eq!(campaign.flight, Flight::ALWAYS, "the flight is not written");
    let text = |json: &[u8]| serde_json::from_slice::<String>(json).unwrap();
    let creatives: Vec<Value> = campaign
        .creatives
        .iter()
        .map(|creative| {
            json!({"id": creative.id, "w": creative.size.w, "h": creative.size.h, "markup": text(&creative.adm_json),
                "btype": creative.btype, "attr": (1..64).filter(|bit| creative.attr >> bit & 1 == 1).collect::<Vec<_>>(),
                "secure": creative.secure})
        })
        .collect();
    let mut value = json!({"id": campaign.id.0, "advertiser": campaign.advertiser.0, "name": campaign.name,
        "enabled": campaign.enabled, "daily_budget": money(campaign.daily_budget.0), "cpm": money(campaign.cpm.0),
        "adomain": campaign.adomain, "cat": campaign.cat, "creatives": creatives});
    if let Some(cap) = campaign.frequency_cap {
        value["frequency_cap"] = cap.get().into();
    }
    let targeting = &campaign.targeting;
    let mut wants = Map::new();
    for (key, rule) in [
        ("countries", &targeting.countries),
        ("regions", &targeting.regions),
        ("sites", &targeting.sites),
        ("bundles", &targeting.bundles),
        ("publishers", &targeting.publishers),
        ("exchanges", &targeting.exchanges),
    ] {
        put(&mut wants, key, written(rule));
    }
    let devices: Vec<_> = targeting.devices.iter().map(|&kind| DEVICES[kind as usize - 1]).collect();
    put(&mut wants, "devices", devices.into());
    let channel = |channel: &Channel| Value::from(if *channel == Channel::Site { "site" } else { "app" });
    let channels: Vec<_> = targeting.channels.iter().map(channel).collect();
    put(&mut wants, "channels", channels.into());
    let mut segments = Map::new();
    for (key, list) in
        [("any", &targeting.segments.any), ("all", &targeting.segments.all), ("none", &targeting.segments.none)]
    {
        let ids: Vec<u32> = list.iter().map(|segment| segment.0).collect();
        put(&mut segments, key, ids.into());
    }
    put(&mut wants, "segments", Value::Object(segments));
    if !wants.is_empty() {
        value["targeting"] = Value::Object(wants);
    }
    value
}

fn written(rule: &Rule<String>) -> Value {
    let mut value = Map::new();
    put(&mut value, "include", rule.include.clone().into());
    put(&mut value, "exclude", rule.exclude.clone().into());
    Value::Object(value)
}

/// What says nothing is left out.
fn put(table: &mut Map<String, Value>, key: &str, value: Value) {
    let empty = value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty);
    if !empty {
        table.insert(key.to_owned(), value);
    }
}

/// Millionths as a number that says exactly that.
fn money(micros: i64) -> Value {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let exact: f64 = text.parse().unwrap();
    if micros % 1_000_000 == 0 { (micros / 1_000_000).into() } else { exact.into() }
}
