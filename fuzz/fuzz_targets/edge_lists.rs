//! A list turns away whom its lines name.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/edge_lists.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
