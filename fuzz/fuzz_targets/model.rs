//! No model raises a price.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/model.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
