//! What the process gives up once it has started: root, rights it could gain, files, ports and system calls it does not need.
//! And how it ends when it is found wrong ([`panic`]).
//!
//! Two steps, for two reasons. [`enclose`] comes after the sockets are bound and before any other thread runs, because Landlock
//! and the credentials of an io_uring are inherited from whoever starts a thread or opens a ring. [`Enclosed::seal`] comes when all
//! threads run, because what a start needs of the kernel is much more than what serving does. docs/HARDENING.md has the list.

pub mod landlock;
pub mod memory;
pub mod panic;
pub mod privileges;
pub mod seccomp;

use std::fmt;

use crate::config::Config;
use crate::config::process::{Effort, Process, Seccomp};
use crate::store::embedded;
use crate::training;
use landlock::Reach;

/// Why the process cannot be what it is told to, in one line.
#[derive(Debug)]
pub struct HardenError(String);

impl fmt::Display for HardenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HardenError {}

/// A process that has given up what it can before its threads run.
#[derive(Debug)]
#[must_use = "the last restriction is made by `seal`"]
pub struct Enclosed {
    seccomp: Seccomp,
    /// What holds, for the log.
    held: Vec<String>,
    /// What does not, for the log of a start that succeeds: one that fails says why, in one line.
    missing: Vec<String>,
}

/// Gives up root, new privileges and whatever no file, port or process of `config` needs, and locks memory. The bid port is bound
/// already; it is `bid`.
///
/// # Errors
/// What is required and cannot be had; a user that does not exist, or whom the files do not belong to.
pub fn enclose(config: &Config, bid: u16) -> Result<Enclosed, HardenError> {
    let Process { user, seccomp, landlock, mlock } = &config.process;
    privileges::no_new_privs().map_err(|error| HardenError(format!("no_new_privs: {error}")))?;
    let held = vec!["no new privileges".to_owned()];
    let mut enclosed = Enclosed { seccomp: *seccomp, held, missing: Vec::new() };
    // Its limit is root's to raise.
    enclosed.restrict(*mlock, "mlock", || memory::lock(user.is_none()).map(|()| "memory locked".to_owned()))?;
    match user {
        Some(name) => enclosed.held.push(privileges::become_user(name).map_err(HardenError)?),
        None if privileges::is_root() => {
            let root = "the process runs as root: name a user for it, process.user, or start it as one";
            enclosed.missing.push(root.to_owned());
        }
        None => {}
    }
    let dir = &config.data.dir;
    embedded::make_durable(dir)
        .map_err(|error| HardenError(format!("{}: cannot make the data directory: {error}", dir.display())))?;
    // A folder that is not there yet could not be named to Landlock.
    if let Some(dir) = &config.training.dir {
        training::prepare(dir).map_err(|error| HardenError(error.to_string()))?;
    }
    if let Some(name) = user {
        privileges::check_owner(name, config).map_err(HardenError)?;
    }
    enclosed.restrict(*landlock, "landlock", || landlock::restrict(&Reach::of(config, bid)))?;
    Ok(enclosed)
}

impl Enclosed {
    /// Refuses every system call that serving does not need, in all threads that run and all that they start, and says what holds.
    ///
    /// # Errors
    /// It is required and cannot be had.
    pub fn seal(mut self) -> Result<(), HardenError> {
        match self.seccomp {
            Seccomp::Log => self.restrict(Effort::Enforce, "seccomp", seccomp::log)?,
            Seccomp::Refuse(effort) => self.restrict(effort, "seccomp", seccomp::refuse)?,
        }
        for missing in &self.missing {
            log::warn!("{missing}");
        }
        log::info!("hardened: {}", self.held.join(", "));
        Ok(())
    }

    /// Does it, if it is wanted, and notes whether it holds then.
    fn restrict(
        &mut self,
        effort: Effort,
        key: &str,
        restrict: impl FnOnce() -> Result<String, String>,
    ) -> Result<(), HardenError> {
        if effort == Effort::Off {
            return Ok(());
        }
        match restrict() {
            Ok(holds) => self.held.push(holds),
            Err(missing) if effort == Effort::Required => {
                return Err(HardenError(format!("process.{key} is required: {missing}")));
            }
            Err(missing) => self.missing.push(format!("process.{key}: {missing}")),
        }
        Ok(())
    }
}
