//! The demo's campaigns as a campaign file would say them, as far as the judge asks.

use corebid::snapshot::campaign::{Ad, Campaign, Creative, Rule, StreamAd};
use corebid::wire::openrtb::mime::Mimes;
use corebid::wire::openrtb::request::Channel;
use serde_json::{Map, Value, json};

const DEVICES: [&str; 8] = ["mobile", "pc", "tv", "phone", "tablet", "connected_device", "set_top_box", "ooh"];

pub(crate) fn book(campaigns: &[Campaign]) -> Value {
    json!({ "campaigns": campaigns.iter().map(campaign).collect::<Vec<_>>() })
}

fn campaign(campaign: &Campaign) -> Value {
    let money = |micros: i64| json!(micros as f64 / 1e6);
    let cat_in: Map<String, Value> =
        campaign.cat_in.iter().map(|(taxonomy, names)| (taxonomy.to_string(), json!(names))).collect();
    let mut value = json!({"id": campaign.id.0, "advertiser": campaign.advertiser.0, "enabled": campaign.enabled,
        "cpm": money(campaign.cpm.0), "adomain": campaign.adomain, "cat": campaign.cat, "cat_in": cat_in,
        "together": campaign.together, "creatives": campaign.creatives.iter().map(creative).collect::<Vec<_>>()});
    if let Some(cap) = campaign.frequency.first() {
        value["frequency_cap"] = cap.times.get().into();
    }
    // What else there is to want is held against a reference in tests/targeting.
    let targeting = &campaign.targeting;
    let mut wants = Map::new();
    for (key, rule) in [
        ("countries", &targeting.countries),
        ("regions", &targeting.regions),
        ("cities", &targeting.cities),
        ("zips", &targeting.zips),
        ("sites", &targeting.sites),
        ("bundles", &targeting.bundles),
        ("publishers", &targeting.publishers),
        ("exchanges", &targeting.exchanges),
        ("languages", &targeting.languages),
        ("categories", &targeting.categories),
    ] {
        let Rule { include, exclude } = rule;
        if !include.is_empty() || !exclude.is_empty() {
            wants.insert(key.to_owned(), json!({ "include": include, "exclude": exclude }));
        }
    }
    if !targeting.circles.include.is_empty() {
        wants.insert("circles".to_owned(), json!([]));
    }
    if !targeting.devices.is_empty() {
        let devices: Vec<_> = targeting.devices.iter().map(|&kind| DEVICES[usize::from(kind) - 1]).collect();
        wants.insert("devices".to_owned(), json!(devices));
    }
    if !targeting.channels.is_empty() {
        let name = |channel: &Channel| format!("{channel:?}").to_lowercase();
        wants.insert("channels".to_owned(), targeting.channels.iter().map(name).collect());
    }
    if !targeting.deals.is_empty() {
        wants.insert("deals".to_owned(), json!(targeting.deals));
    }
    value["targeting"] = wants.into();
    value
}

fn creative(creative: &Creative) -> Value {
    let attr: Vec<u8> = (1..64).filter(|bit| creative.attr >> bit & 1 == 1).collect();
    let language = creative.language.map(|language| String::from_utf8(language.to_vec()).unwrap());
    let preview = creative.preview_json.as_deref().map(|text| serde_json::from_slice::<String>(text).unwrap());
    let mut value = json!({"id": creative.id, "attr": attr, "language": language, "preview": preview});
    let (format, more) = match &creative.ad {
        Ad::Banner(ad) => ("banner", json!({"w": ad.size.w, "h": ad.size.h, "btype": ad.btype})),
        Ad::Video(ad) => ("video", stream(ad)),
        Ad::Audio(ad) => ("audio", stream(ad)),
        Ad::Native(_) => ("native", json!({})),
    };
    value["format"] = format.into();
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

fn stream(ad: &StreamAd) -> Value {
    let mimes = Mimes::NAMES.iter().filter(|name| Mimes::of(name.as_bytes()).meet(ad.mimes));
    let media: Vec<Value> = mimes.map(|mime| json!({ "mime": mime })).collect();
    let api: Vec<u8> = (1..64).filter(|bit| ad.api >> bit & 1 == 1).collect();
    let skip = if ad.skippable { json!(1) } else { Value::Null };
    json!({"duration": ad.duration, "media": media, "api": api, "skip": skip})
}
