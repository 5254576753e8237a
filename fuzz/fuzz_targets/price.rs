//! A price in a notice is exact, or none.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/price.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
