//! No file of a supply table is believed that was not written, and none stops a check.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/supply_table.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
