//! What is put into a bid response is read out of it.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/response.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
