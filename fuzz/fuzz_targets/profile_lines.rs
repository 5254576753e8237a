//! What is read of a file of profiles is what it says.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/profile_lines.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
