//! No configuration is half a mistake.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/config.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
