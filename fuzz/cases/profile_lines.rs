//! Files of profiles, a line of JSON each: who is in one has the segments of the last line about them, as `serde_json` reads it.

use std::collections::HashMap;

use corebid::profile::value::Profile;
use corebid::snapshot::profiles::{Profiles, UserKeys};
use corebid::units::{Region, SegmentId};
use serde_json::Value;

#[path = "support/place.rs"]
mod place;

/// Checks one input.
pub(crate) fn check(text: &[u8]) {
    let keys = UserKeys::new(&[7; 16]);
    let profiles = match place::with_file("profiles.ndjson", text, |path| Profiles::load(path, &keys)) {
        Ok(profiles) => profiles,
        Err(error) => {
            let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
            assert!((1..=lines).contains(&error.line), "line {} of {lines}", error.line);
            return assert!(!error.what.is_empty() && !error.to_string().contains('\n'), "{error:?}");
        }
    };
    let mut expected = HashMap::new();
    let text = std::str::from_utf8(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)).expect("checked");
    for line in text.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            assert!(line.trim().is_empty(), "{line:?} was read");
            continue;
        };
        let user = line["user"].as_str().expect("checked");
        let region = line["region"].as_str().map_or(Region::default(), |region| region.parse().expect("checked"));
        let key = keys.key(region, line["exchange"].as_str().unwrap_or_default(), user.as_bytes());
        let mut segments: Vec<_> = line["segments"].as_array().expect("checked").iter().map(Value::as_u64).collect();
        segments.sort_unstable();
        segments.dedup();
        expected.insert(key, segments);
    }
    assert_eq!(profiles.len(), expected.len());
    for (user, segments) in expected {
        let profile = Profile::check(profiles.get(user).expect("a user of the file")).expect("a profile");
        assert!(profile.segments.iter().map(|SegmentId(id)| Some(id.into())).eq(segments));
    }
}
