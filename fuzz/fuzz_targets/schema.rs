//! A schema of features is what its file says.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/schema.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
