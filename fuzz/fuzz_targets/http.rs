//! A stream of requests reads the same however it is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/http.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
