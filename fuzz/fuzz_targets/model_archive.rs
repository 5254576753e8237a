//! No damage to an import makes a walk that does not end.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/model_archive.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
