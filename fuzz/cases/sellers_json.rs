//! A sellers.json: the same in pieces of any size, and what `serde_json` reads as a whole.

use std::io::BufReader;

use corebid::supply::sellers_json::{Seller, Summary, read_from};
use serde_json::Value;

/// Checks one input.
pub(crate) fn check(text: &[u8]) {
    let say = |seller: Seller<'_>| format!("{seller:?}");
    let (mut whole, mut streamed) = (Vec::new(), Vec::new());
    let summary = read_from(text, |seller| whole.push(say(seller)));
    let again = read_from(BufReader::with_capacity(16, text), |seller| streamed.push(say(seller)));
    match (summary, again) {
        (Ok(summary), Ok(again)) => {
            assert_eq!((&summary, &whole), (&again, &streamed));
            as_a_whole(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text), &summary, whole.len());
        }
        (Err(error), Err(_)) => {
            let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
            assert!(error.line <= lines && !error.what.is_empty() && !error.to_string().contains('\n'), "{error:?}");
        }
        (summary, again) => panic!("in one piece {summary:?}, in many {again:?}"),
    }
}

/// What `serde_json` refuses in a field that is passed over here (a number beyond f64, a lone surrogate) says nothing.
fn as_a_whole(text: &[u8], summary: &Summary, handed_out: usize) {
    assert_eq!(summary.sellers as usize, handed_out);
    let Ok(Value::Object(document)) = serde_json::from_slice(text) else { return };
    let entries = document["sellers"].as_array().expect("a list");
    // Of a list that stands there twice, `serde_json` keeps the last.
    assert!(summary.sellers + summary.unnamed >= entries.len() as u64);
}
