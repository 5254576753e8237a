//! A record of the ledger is one run of bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/record.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
