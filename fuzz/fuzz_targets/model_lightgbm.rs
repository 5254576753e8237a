//! No text makes a forest that cannot be walked.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/model_lightgbm.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
