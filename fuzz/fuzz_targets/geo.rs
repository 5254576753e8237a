//! No file of places stops its reader.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/geo.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
