//! What is JSON: every level of instructions agrees, and agrees with `serde_json` where the two promise the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/json.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
