//! Writes the campaigns of `--demo`, or of `--demo=N`, as a campaign file: `cargo run --example campaigns [-- N] > campaigns.json`.
//! To try a large file, or to begin one of one's own with.

use std::io::{self, Write};
use std::process::ExitCode;

use corebid::snapshot::demo;

fn main() -> ExitCode {
    let count = match std::env::args().nth(1).map(|count| count.parse()).transpose() {
        Ok(count) => count,
        Err(error) => {
            eprintln!("how many campaigns? {error}");
            return ExitCode::from(2);
        }
    };
    match io::stdout().write_all(demo::file(count).as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the campaigns cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}
