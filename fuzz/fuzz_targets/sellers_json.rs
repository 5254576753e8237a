//! A sellers.json is the same in memory and as a stream, and what `serde_json` reads as a whole.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/sellers_json.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
