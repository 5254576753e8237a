//! No consent string stops a bid core, and what one says is what the slow reference reads.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/consent.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
