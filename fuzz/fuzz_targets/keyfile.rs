//! The keys of all whole slots are there.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/keyfile.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
