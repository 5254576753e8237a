//! What is read of a rates file is what it says.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/rates.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
