//! Instructions per request, counted by callgrind of two binaries: no clock, no cache, no neighbour is in them, so that a difference of
//! a percent shows on any machine, however busy. They say nothing of waiting, of memory, or of the kernel, which is why they have a vote
//! of their own and not the last word.
//!
//! Each binary runs `corebid instructions` twice, over `n` and over `2 n` requests: the difference is `n` requests and nothing of the
//! start.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::drill::{Halt, Stage, program};
use crate::lab::gate::run::Side;

/// Where callgrind is.
pub fn valgrind() -> Result<PathBuf, Halt> {
    program("valgrind", "install the package `valgrind`, or leave the counts out with --no-instructions")
}

/// Instructions per request of one side, over so many requests.
pub fn count(stage: &Stage, valgrind: &Path, side: &Side, requests: u64) -> Result<f64, Halt> {
    let once = collected(stage, valgrind, side, requests)?;
    let twice = collected(stage, valgrind, side, 2 * requests)?;
    Ok(twice.saturating_sub(once) as f64 / requests as f64)
}

fn collected(stage: &Stage, valgrind: &Path, side: &Side, requests: u64) -> Result<u64, Halt> {
    stage.pause(std::time::Duration::ZERO)?;
    let mut command = Command::new(valgrind);
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(&side.binary).arg("instructions");
    command.args(["--count", &requests.to_string()]);
    if !side.says("--demo") && !side.says("--config") {
        command.arg("--demo");
    }
    let output = command.args(&side.arguments).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let counted = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    match counted.filter(|_| output.status.success()) {
        Some(count) => Ok(count),
        None => {
            let last = said.lines().rfind(|line| !line.starts_with("==")).unwrap_or("it said nothing");
            Err(Halt::Failed(format!("the {} does not count its instructions: {last}", side.name)))
        }
    }
}
