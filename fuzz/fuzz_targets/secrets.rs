//! A secret in a file is one form of text.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/secrets.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
