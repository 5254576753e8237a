//! Every line of an ads.txt is a record, a variable, or skipped with its number; none depends on another.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/ads_txt.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
