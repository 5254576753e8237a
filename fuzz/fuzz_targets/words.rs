//! Small forms of text are read as they are written.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/words.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
