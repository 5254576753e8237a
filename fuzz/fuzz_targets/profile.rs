//! No value stops the shard, and what is read is written the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/profile.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
