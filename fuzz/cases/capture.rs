//! Captures: what is read of a file is written again byte for byte; what is redacted keeps its length and what is not about people.

use corebid::capture::format::{self, Captured, Fault, Item, Reader};
use corebid::capture::pseudonym::Pseudonyms;
use corebid::capture::redact::Redactor;
use serde_json::Value;

/// Checks one input: a file, or, where its first byte says so, a document to redact.
pub(crate) fn check(input: &[u8]) {
    match input.split_first() {
        Some((b'{', _)) => redact(input),
        _ => read(input),
    }
}

fn read(input: &[u8]) {
    let Ok(mut reader) = Reader::open(input) else { return };
    let mut written = Vec::new();
    format::head(&reader.head, &mut written);
    let fault = loop {
        match reader.item() {
            Ok(Item::Request(Captured { offset_ns, connection, exchange, gzip, withheld, version, body })) => {
                assert!(exchange.is_none_or(|index| usize::from(index) < reader.head.exchanges.len()));
                let (version, body) = (&version[..], &body[..]);
                let request = Captured { offset_ns, connection, exchange, gzip, withheld, version, body };
                format::request(&request, &mut written);
            }
            Ok(Item::Foot(foot)) => {
                format::foot(&foot, &mut written);
                break None;
            }
            Err(fault) => break Some(fault),
        }
    };
    // Whatever follows, what was read is what stood there.
    assert!(input.starts_with(&written));
    match fault {
        None => assert_eq!(input.len(), written.len()),
        Some(fault) => {
            assert!(matches!(fault, Fault::Cut | Fault::Damaged));
            assert_eq!(reader.item(), Err(fault));
        }
    }
}

fn redact(input: &[u8]) {
    let mut redactor = Redactor::new(corebid::limits::BODY_BYTES, Pseudonyms::random().expect("random bytes"));
    let mut body = input.to_vec();
    let before: Option<Value> = serde_json::from_slice(input).ok();
    match redactor.redact(&mut body) {
        Err(_) => assert_eq!(body, input),
        Ok(()) => {
            let mut again = input.to_vec();
            redactor.redact(&mut again).expect("it was read before");
            assert_eq!(body, again, "the same is the same within a capture");
            if let Some(before) = before {
                let after: Value = serde_json::from_slice(&body).expect("it stays JSON");
                let (before, after) = (before.as_object().expect("an object"), after.as_object().expect("still one"));
                for part in ["imp", "at", "tmax", "cur", "bcat", "badv", "regs"] {
                    let plain =
                        |value: Option<&Value>| value.is_none_or(|value| !value.is_object() && !value.is_array());
                    assert!(!plain(before.get(part)) || before.get(part) == after.get(part), "{part}");
                }
            }
        }
    }
}
