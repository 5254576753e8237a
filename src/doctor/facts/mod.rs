//! What matters and cannot be set by a value in a file: limits, the kernel, the hardware.

mod kernel;
mod limits;
mod place;

use super::host::Host;
use super::roles::Roles;
use super::surroundings::Surroundings;
use super::{Knob, Scope, Severity, State};

pub(super) use self::kernel::RELEASE;

/// What facts are read from.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The files.
    pub host: &'a Host,
    /// Who does what.
    pub roles: &'a Roles,
    /// Where it runs.
    pub surroundings: &'a Surroundings,
    /// The process whose limits count; none is this one.
    pub pid: Option<u32>,
}

impl Ground<'_> {
    /// A file of the process.
    fn process(&self, file: &str) -> Option<String> {
        let process = self.pid.map_or("self".to_owned(), |pid| pid.to_string());
        self.host.text(&format!("/proc/{process}/{file}"))
    }
}

/// What was read.
#[derive(Debug)]
pub struct Reading {
    state: State,
    current: String,
    wanted: String,
}

impl Reading {
    /// A value, which is as wanted or not.
    fn of(holds: bool, current: impl ToString, wanted: impl ToString) -> Reading {
        let state = if holds { State::Good } else { State::Differs };
        Reading { state, current: current.to_string(), wanted: wanted.to_string() }
    }

    /// None, and why.
    fn unseen(why: &str, wanted: impl ToString) -> Reading {
        Reading { state: State::Unseen, current: format!("unseen: {why}"), wanted: wanted.to_string() }
    }

    /// None that would say something.
    fn not_applicable(why: &str, wanted: impl ToString) -> Reading {
        Reading { state: State::NotApplicable, current: why.to_owned(), wanted: wanted.to_string() }
    }
}

/// A fact.
#[derive(Debug)]
pub struct Fact {
    /// Its name.
    pub name: &'static str,
    /// What it belongs to.
    pub group: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Whose value it is.
    pub scope: Scope,
    /// Why it matters.
    pub why: &'static str,
    /// What a change costs.
    pub cost: &'static str,
    /// How it is changed.
    pub change: &'static str,
    /// How it is changed back.
    pub undo: &'static str,
    /// Who says so.
    pub source: &'static str,
    read: fn(&Ground<'_>) -> Reading,
}

/// All of them.
pub static FACTS: [&Fact; 13] = [
    &kernel::KERNEL,
    &kernel::IO_URING,
    &limits::CPUS,
    &limits::QUOTA,
    &limits::MEMLOCK,
    &limits::NOFILE,
    &place::STEAL,
    &place::THROTTLED,
    &place::NODE,
    &place::NIC_NODE,
    &place::HUGE_PAGES,
    &place::VIRTUALIZATION,
    &place::CONTAINER,
];

impl Fact {
    pub(super) fn judged(&self, ground: &Ground<'_>) -> Knob {
        let Reading { state, current, wanted } = (self.read)(ground);
        Knob {
            name: self.name,
            group: self.group,
            severity: self.severity,
            state,
            scope: self.scope,
            current,
            wanted,
            why: self.why,
            cost: self.cost,
            change: self.change.to_owned(),
            undo: self.undo.to_owned(),
            source: self.source,
            note: ground.surroundings.note(self.scope, state),
            places: Vec::new(),
        }
    }
}
