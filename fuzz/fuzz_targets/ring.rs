//! No order of messages between cores loses money.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/ring.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
