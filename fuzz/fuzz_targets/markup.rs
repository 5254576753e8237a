//! What others put into markup is data there.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/markup.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
