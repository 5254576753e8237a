//! Whether a native ad (Dynamic Native Ads 1.2) answers what its placement asks for.

use serde_json::Value;

use super::{Verdict, elements, flag, strings, sure, text};

pub(super) fn judge(placement: &Value, markup: &str, secure: bool) -> Verdict {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| format!("no native ad: {error}"));
    let unwrapped = |value: Value| if value["native"].is_object() { value["native"].clone() } else { value };
    let request = match &placement["request"] {
        Value::String(text) => unwrapped(parsed(text)?),
        object => unwrapped(object.clone()),
    };
    let response = unwrapped(parsed(markup)?);
    let mut answered = Vec::new();
    for asset in elements(&response["assets"]) {
        let id = &asset["id"];
        sure(id.is_i64() && !answered.contains(&id), "an asset that is answered twice")?;
        answered.push(id);
        let wanted =
            elements(&request["assets"]).find(|wanted| wanted["id"] == *id).ok_or("an asset nobody asked for")?;
        fits(asset, wanted, secure)?;
    }
    for wanted in elements(&request["assets"]).filter(|wanted| flag(&wanted["required"])) {
        sure(answered.contains(&&wanted["id"]), "a required asset is missing")?;
    }
    sure(!answered.is_empty(), "an ad without assets")?;
    is_url(&response["link"]["url"], secure)?;
    let trackers = &request["eventtrackers"];
    let by_image = |tracker: &Value| tracker["event"] == 1 && elements(&tracker["methods"]).any(|method| *method == 1);
    for tracker in elements(&response["eventtrackers"]) {
        sure(
            by_image(&serde_json::json!({ "event": tracker["event"], "methods": [tracker["method"]] })),
            "an odd tracker",
        )?;
        sure(trackers.is_null() || elements(trackers).any(by_image), "a tracker nobody asked for")?;
        is_url(&tracker["url"], secure)?;
    }
    Ok(())
}

fn fits(asset: &Value, wanted: &Value, secure: bool) -> Verdict {
    let length = |value: &Value| value.as_str().map_or(0, |text| text.chars().count() as u64);
    let most = |object: &Value| object["len"].as_u64().unwrap_or(u64::MAX);
    if wanted["title"].is_object() {
        let title = length(&asset["title"]["text"]);
        sure(0 < title && title <= most(&wanted["title"]), "a title that is too long")
    } else if wanted["img"].is_object() {
        let (image, wanted) = (&asset["img"], &wanted["img"]);
        is_url(&image["url"], secure)?;
        let side = |exact: &str, least: &str| {
            let (side, exact) = (image[exact].as_u64().unwrap_or(0), wanted[exact].as_u64().unwrap_or(0));
            (exact == 0 || side == exact) && side >= wanted[least].as_u64().unwrap_or(0)
        };
        sure(side("w", "wmin") && side("h", "hmin"), "an image of another size")?;
        let kind = wanted["type"].as_u64().unwrap_or(0);
        sure(kind == 0 || image["type"] == kind, "an image of another type")?;
        let mut mimes = strings(&wanted["mimes"]).peekable();
        // The answer does not say its type; the address of ours ends in it.
        let url = text(&image["url"])?;
        let kind = if url.ends_with(".png") { "image/png" } else { "image/jpeg" };
        sure(mimes.peek().is_none() || mimes.any(|mime| mime == kind), "an image of a type that is not shown")
    } else if wanted["data"].is_object() {
        let (data, wanted) = (&asset["data"], &wanted["data"]);
        sure(data["type"] == wanted["type"], "other data")?;
        sure(0 < length(&data["value"]) && length(&data["value"]) <= most(wanted), "data that are too long")
    } else {
        Err("an asset of a kind we do not have".into())
    }
}

fn is_url(value: &Value, secure: bool) -> Verdict {
    let url = text(value)?;
    sure(url.starts_with("https://") || (!secure && url.starts_with("http://")), "no address, or no secure one")
}
