//! No ledger file stops the recovery, and what is recovered reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/ledger.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
