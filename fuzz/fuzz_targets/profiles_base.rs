//! No damage to a base of profiles makes one user's value another's.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/profiles_base.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
