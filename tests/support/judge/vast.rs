//! Whether a VAST document is what the bid says it is.

use roxmltree::{Document, Node};
use serde_json::Value;

use super::{Verdict, elements, strings, sure};

/// Version and whether it is a wrapper, by AdCOM list "Creative Subtypes - Audio/Video".
const SUBTYPES: [(u64, &str, bool); 12] = [
    (1, "1.0", false),
    (2, "2.0", false),
    (3, "3.0", false),
    (4, "1.0", true),
    (5, "2.0", true),
    (6, "3.0", true),
    (7, "4.0", false),
    (8, "4.0", true),
    (11, "4.1", false),
    (12, "4.1", true),
    (13, "4.2", false),
    (14, "4.2", true),
];

pub(super) fn judge(stream: &Value, bid: &Value, creative: &Value, markup: &str) -> Verdict {
    let document = Document::parse(markup).map_err(|error| format!("no VAST: {error}"))?;
    let root = document.root_element();
    sure(root.has_tag_name("VAST"), "no VAST")?;
    let subtype = SUBTYPES.iter().find(|(number, ..)| bid["protocol"] == *number);
    let &(_, version, wraps) = subtype.ok_or("a protocol that is no VAST")?;
    sure(root.attribute("version") == Some(version), "VAST of another version than the bid says")?;
    if creative["vast"].is_string() {
        return Ok(());
    }
    let all = |name: &'static str| document.descendants().filter(move |node| node.has_tag_name(name));
    sure(
        all("Wrapper").count() == usize::from(wraps) && all("InLine").count() == usize::from(!wraps),
        "wrapper or not",
    )?;
    sure(all("Impression").next().is_some(), "VAST without an impression")?;
    if wraps {
        return sure(all("VASTAdTagURI").all(|node| is_url(content(node).as_str())), "no address to go on to");
    }
    let seconds = all("Duration").map(|node| clock(&content(node))).collect::<Vec<_>>();
    sure(seconds == [bid["dur"].as_u64()], "VAST of another duration")?;
    let skips = all("Linear").any(|node| node.attribute("skipoffset").is_some());
    sure(stream["skip"] != 0 || !skips, "VAST that can be skipped")?;
    let taken: Vec<&str> = strings(&stream["mimes"]).collect();
    let mime = |node: Node<'_, '_>| node.attribute("type").unwrap_or_default().to_ascii_lowercase();
    let plays = all("MediaFile").any(|node| taken.iter().any(|taken| taken.eq_ignore_ascii_case(&mime(node))));
    sure(plays && all("MediaFile").all(|node| is_url(content(node).as_str())), "no media file that the player takes")?;
    sure(all("MediaFile").count() >= elements(&creative["media"]).count(), "not the creative's media files")
}

fn content(node: Node<'_, '_>) -> String {
    node.text().unwrap_or_default().trim().to_owned()
}

fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// `HH:MM:SS` in seconds.
fn clock(text: &str) -> Option<u64> {
    let parts: Vec<u64> = text.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts[..] else { return None };
    Some(hours * 3600 + minutes * 60 + seconds)
}
