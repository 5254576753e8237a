//! No target stops the verifier, and none is believed that was not signed.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/notice.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
