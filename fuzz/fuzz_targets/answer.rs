//! What the load generator reads of a bidder's answer is what others read.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/answer.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
