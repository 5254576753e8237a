//! No campaign file stops the start but by a mistake told with its line.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/campaign_file.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
