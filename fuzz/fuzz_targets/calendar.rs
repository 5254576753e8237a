//! Hours of the week are what the calendar says.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/calendar.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
