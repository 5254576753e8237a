//! No body stops the scanner, and every level of instructions reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/openrtb_request.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
