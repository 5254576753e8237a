//! No register gives a worker id twice.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/register.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
