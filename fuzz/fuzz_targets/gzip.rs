//! A body in gzip is read as another library reads it, within its bound.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/gzip.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
