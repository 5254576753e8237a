//! A capture is a file of frames, or a document to redact.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/capture.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
