//! Campaign files: the first byte chooses TOML or JSON.

use std::path::Path;

use corebid::snapshot::campaign::{Slots, parse};

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Some((&first, text)) = input.split_first() else { return };
    let json = first & 1 != 0;
    let name = if json { "campaigns.json" } else { "campaigns.toml" };
    let mut slots = Slots::new();
    match parse(Path::new(name), text.to_vec(), &mut slots) {
        Ok(campaigns) => {
            assert_eq!(slots.len(), campaigns.len(), "a slot for each, and ids are distinct");
            assert!(std::str::from_utf8(text).is_ok());
            assert!(!json || serde_json::from_slice::<serde_json::Value>(text).is_ok());
        }
        Err(error) => {
            assert_eq!(slots.len(), 0, "nothing has changed");
            let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
            assert!(error.line <= lines, "line {} of {lines}", error.line);
            assert!(!error.what.is_empty() && !error.to_string().contains('\n'), "{error:?}");
        }
    }
}
