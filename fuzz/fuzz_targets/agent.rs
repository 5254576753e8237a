//! A user agent says the same however it is spelt.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/agent.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
