//! What is read of the Global Vendor List is what it says.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../cases/vendor_list.rs"]
mod case;

fuzz_target!(|data: &[u8]| case::check(data));
