//! The crawler goes where a URL says, and nowhere else.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/crawl.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
