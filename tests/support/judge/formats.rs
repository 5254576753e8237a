//! Whether a bid is of a kind that the impression can show: format, size, duration, player, attributes.

use serde_json::Value;

use super::{Case, Verdict, elements, flag, meet, native, strings, sure, vast, within};

pub(super) fn judge(case: &Case<'_>) -> Verdict {
    let Case { exchange, imp, bid, creative, .. } = *case;
    let format = creative["format"].as_str().unwrap_or("banner");
    sure(exchange.formats.iter().any(|taken| taken == format), "a format that is not bid on there")?;
    let place = &imp[format];
    sure(place.is_object(), "a format that was not offered")?;
    let mtype = ["banner", "video", "audio", "native"].iter().position(|known| *known == format).expect("a format") + 1;
    sure(bid["mtype"] == mtype, "mtype is of another format")?;
    let none = Value::Array(Vec::new());
    let attributes = if creative["attr"].is_null() { &none } else { &creative["attr"] };
    sure(within(attributes, &bid["attr"]) && within(&bid["attr"], attributes), "not the creative's attributes")?;
    sure(!meet(attributes, &place["battr"]), "a blocked attribute")?;
    sure(bid["iurl"] == creative["preview"], "not the creative's preview")?;
    let plays = matches!(format, "video" | "audio");
    sure(plays != bid["dur"].is_null(), "only what plays has a duration")?;
    sure(plays || (bid["protocol"].is_null() && bid["slotinpod"].is_null()), "only what plays has a protocol")?;
    let markup = bid["adm"].as_str();
    match format {
        "banner" => banner(place, bid, creative),
        "native" => match markup {
            Some(markup) => native::judge(place, markup, flag(&imp["secure"])),
            None => Ok(()),
        },
        _ => {
            stream(place, bid, creative)?;
            markup.map_or(Ok(()), |markup| vast::judge(place, bid, creative, markup))
        }
    }
}

fn banner(banner: &Value, bid: &Value, creative: &Value) -> Verdict {
    let (w, h) = (&bid["w"], &bid["h"]);
    let offered = elements(&banner["format"]).chain([banner]).any(|size| size["w"] == *w && size["h"] == *h);
    sure(w.is_u64() && h.is_u64() && offered, "a size that was not offered")?;
    sure(*w == creative["w"] && *h == creative["h"], "not the creative's size")?;
    let kind = if creative["btype"].is_null() { 2.into() } else { creative["btype"].clone() };
    sure(!elements(&banner["btype"]).any(|blocked| *blocked == kind), "a blocked creative type")
}

/// What the player can play (2.6 sections 3.2.7 and 3.2.8), whatever the markup.
fn stream(stream: &Value, bid: &Value, creative: &Value) -> Verdict {
    let seconds = bid["dur"].as_u64().ok_or("no duration")?;
    sure(creative["duration"] == seconds, "not the creative's duration")?;
    let mut exact = elements(&stream["rqddurs"]).peekable();
    if exact.peek().is_some() {
        sure(exact.any(|duration| *duration == seconds), "a duration that was not asked for")?;
    } else {
        let bound = |key: &str, default| stream[key].as_u64().unwrap_or(default);
        let window = bound("minduration", 0)..=bound("maxduration", u64::MAX);
        sure(window.contains(&seconds), "too short or too long")?;
    }
    let protocol = &bid["protocol"];
    let mut protocols = elements(&stream["protocols"]).peekable();
    sure(protocols.peek().is_none() || protocols.any(|taken| taken == protocol), "a protocol that was not offered")?;
    sure(protocol.is_u64(), "no protocol")?;
    sure(stream["linearity"] != 2, "linear where an overlay was asked for")?;
    sure(stream["skip"] != 0 || creative["skip"].is_null(), "skippable where nothing is skipped")?;
    sure(within(&creative["api"], &stream["api"]), "an API that the player does not have")?;
    let dynamic = stream["poddur"].as_u64().is_some_and(|seconds| seconds > 0);
    sure(dynamic != bid["slotinpod"].is_null(), "a slot, of a dynamic pod only")?;
    // One of the files is of a type and a bit rate that the player takes.
    let taken: Vec<&str> = strings(&stream["mimes"]).collect();
    let rates = stream["minbitrate"].as_u64().unwrap_or(0)..=stream["maxbitrate"].as_u64().unwrap_or(u64::MAX);
    let plays = |media: &Value| {
        let mime = media["mime"].as_str().unwrap_or_default();
        let rate = media["bitrate"].as_u64();
        taken.iter().any(|taken| taken.eq_ignore_ascii_case(mime)) && rate.is_none_or(|rate| rates.contains(&rate))
    };
    sure(elements(&creative["media"]).any(plays), "no file that the player takes")
}
