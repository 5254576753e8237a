//! No document makes a forest that cannot be walked, and both forms say the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/model_xgboost.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
