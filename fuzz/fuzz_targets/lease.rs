//! A reply of the lease authority is read to its last byte.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/lease.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
