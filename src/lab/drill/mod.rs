//! Failure drills: each starts real processes, makes one thing fail, and checks what comes of it.
//!
//! A drill reads from top to bottom: start what it needs ([`Serve`]), put load on it ([`Stage::load`]), break something, and
//! say what must hold ([`Stage::check`], [`Stage::reaches`]). Whatever way it ends, its processes are killed and its folder
//! is removed.

mod clock_step;
mod core_stall;
mod counter_unreadable;
mod disk_full;
mod duplicate_auctions;
mod ingress_lost;
mod profile_failover;
mod profile_stall;
mod reconcile_stall;
mod runaway;
mod surge_10x;

mod background;
mod books;
mod exchange;
mod files;
mod held;
mod http;
mod interrupt;
mod process;
mod prometheus;
mod report;
mod scrape;
mod stores;
mod threads;
mod told;
mod users;

pub use background::Background;
pub use books::{Books, Sale, booked};
pub use files::{Files, campaign, request};
pub use http::{Answer, Client, get, post, stream};
pub use process::{Bidder, Process, Serve, program};
pub use prometheus::{Prometheus, RULES, quickened};
pub use report::{Check, Report, Stage};
pub use scrape::Metrics;
pub use threads::{Thread, resident_bytes, threads};

use std::fmt;

/// A failure that is made on purpose.
#[derive(Clone, Copy, Debug)]
pub struct Drill {
    /// What `corebid drill` calls it; its runbook page has the same name.
    pub name: &'static str,
    /// What fails, and what is checked.
    pub about: &'static str,
    /// Goes through it.
    pub run: fn(&mut Stage) -> Result<(), Halt>,
}

/// Every drill, in the order of `corebid drill --list`.
pub const DRILLS: &[Drill] = &[
    counter_unreadable::DRILL,
    runaway::DRILL,
    surge_10x::DRILL,
    duplicate_auctions::DRILL,
    profile_stall::DRILL,
    profile_failover::DRILL,
    ingress_lost::DRILL,
    reconcile_stall::DRILL,
    core_stall::DRILL,
    disk_full::DRILL,
    clock_step::DRILL,
];

/// Why a drill ended before its checks were through. A check that does not hold is no halt: the drill goes on.
#[derive(Debug)]
pub enum Halt {
    /// Something that the drill needs is not here: what, and where to get it.
    Missing(String),
    /// A step could not be done.
    Failed(String),
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Halt::Missing(what) => write!(f, "it needs {what}"),
            Halt::Failed(what) => f.write_str(what),
            Halt::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Halt {}

impl Halt {
    /// A step that failed: what was tried, and what came of it.
    pub fn failed(what: &str, why: impl fmt::Display) -> Halt {
        Halt::Failed(format!("{what}: {why}"))
    }
}

impl From<std::io::Error> for Halt {
    fn from(error: std::io::Error) -> Halt {
        Halt::Failed(error.to_string())
    }
}

/// The drill of this name.
pub fn find(name: &str) -> Option<&'static Drill> {
    DRILLS.iter().find(|drill| drill.name == name)
}

/// A place, which says nothing, for what is no drill and starts processes like one: they and its folder are gone when it is, and Ctrl-C
/// is an error of the next step.
pub(in crate::lab) fn backstage(name: &'static str) -> Result<Stage, Halt> {
    interrupt::watch();
    Stage::new(name, true, 1).map_err(|error| Halt::failed("a folder in the temporary folder", error))
}

/// Goes through a drill. Its lines are printed as they come, unless `quiet`.
pub fn run(drill: &Drill, quiet: bool, patience: u32) -> Report {
    interrupt::watch();
    let mut stage = match Stage::new(drill.name, quiet, patience) {
        Ok(stage) => stage,
        Err(error) => return Report::halted(drill.name, &Halt::failed("a folder in the temporary folder", error)),
    };
    let ended = (drill.run)(&mut stage);
    stage.finish(ended)
}
