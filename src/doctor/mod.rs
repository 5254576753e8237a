//! What of a host keeps bid cores from their work: each knob with what it is, what is wanted, why, what that costs, and how it is
//! changed and changed back.
//!
//! Most knobs are declared in `tuning/knobs` ([`declared`]), which `tuning/tune` sets; [`facts`] are those that nothing can set.
//! All of it is a function of the files below a root ([`host`]), so that tests hold it against trees. What could not be read is said
//! to be unseen, and never good (docs/TUNING.md).

pub mod cpus;
pub mod declared;
pub mod facts;
pub mod host;
pub mod places;
pub mod roles;
pub mod rule;
pub mod surroundings;
mod judge;
mod text;

use std::path::PathBuf;

use serde::Serialize;

use self::cpus::CpuSet;
use self::host::Host;
use self::roles::Roles;
use self::surroundings::Surroundings;

/// What to look at.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// CPUs of the bid cores; by default as `corebid serve` chooses.
    pub cores: Option<CpuSet>,
    /// CPU of the reconciliation core.
    pub reconcile_core: Option<usize>,
    /// CPUs for everything that is no bid core; by default all others.
    pub housekeeping: Option<CpuSet>,
    /// The network card of the exchanges; by default that of the default route.
    pub nic: Option<String>,
    /// Where the host's `/proc` and `/sys` are; by default `/`.
    pub root: Option<PathBuf>,
    /// The process whose limits and CPUs are looked at; by default this one, which has them from the same shell or unit.
    pub pid: Option<u32>,
}

/// How much a knob matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Requests are late for it, or nothing works.
    High,
    /// It shows in the tail.
    Medium,
    /// It shows where the rest is in order.
    Low,
    /// It may be set either way, and costs something that only its owner can weigh.
    Choice,
    /// Good to know.
    Info,
}

impl Severity {
    /// By its name in a declaration.
    fn named(name: &str) -> Option<Severity> {
        Some(match name {
            "high" => Severity::High,
            "medium" => Severity::Medium,
            "low" => Severity::Low,
            "choice" => Severity::Choice,
            _ => return None,
        })
    }
}

/// Whose value it is, where there is a host of a guest, or of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The machine's: in a guest the hypervisor's host decides.
    Hardware,
    /// The kernel's: in a container the container's host decides.
    Host,
    /// The network namespace's: a container has its own.
    Netns,
    /// The process's.
    Process,
}

impl Scope {
    /// By its name in a declaration.
    fn named(name: &str) -> Option<Scope> {
        Some(match name {
            "hardware" => Scope::Hardware,
            "host" => Scope::Host,
            "netns" => Scope::Netns,
            "process" => Scope::Process,
            _ => return None,
        })
    }
}

/// How a knob stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As wanted, and it was read.
    Good,
    /// Otherwise than wanted.
    Differs,
    /// It could not be read, or not be understood.
    Unseen,
    /// It says nothing about this host.
    NotApplicable,
}

/// One place of a knob.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// The file, or what stands for one.
    pub path: String,
    /// How it stands.
    pub state: State,
    /// What it holds; empty if unseen.
    pub current: String,
    /// The value to put there.
    pub wanted: String,
}

/// One knob, in words.
#[derive(Clone, Debug, Serialize)]
pub struct Knob {
    /// Its name.
    pub name: &'static str,
    /// What it belongs to.
    pub group: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// How it stands.
    pub state: State,
    /// Whose value it is.
    pub scope: Scope,
    /// What it is; why not, where it is unseen or not applicable.
    pub current: String,
    /// What it shall be.
    pub wanted: String,
    /// What that is good for.
    pub why: &'static str,
    /// What it costs.
    pub cost: &'static str,
    /// How it is changed.
    pub change: String,
    /// How it is changed back.
    pub undo: String,
    /// Who says so.
    pub source: &'static str,
    /// What to know of it where this host is a guest of a hypervisor, or a container.
    pub note: Option<String>,
    /// Each place of it.
    pub places: Vec<Seen>,
}

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The release of the kernel.
    pub kernel: String,
    /// Where it runs.
    #[serde(flatten)]
    pub surroundings: Surroundings,
    /// Who does what on it.
    #[serde(flatten)]
    pub roles: Roles,
    /// Every knob.
    pub knobs: Vec<Knob>,
}

/// Looks at a host.
///
/// # Errors
/// Roles that cannot be had on it.
pub fn examine(options: &Options) -> Result<Report, String> {
    let host = Host::at(options.root.as_deref().unwrap_or("/".as_ref()));
    let roles = Roles::of(&host, options)?;
    let surroundings = Surroundings::of(&host);
    let tune = tune_command(options);
    let mut knobs: Vec<Knob> =
        declared::all().map(|knob| judge::judged(&knob, &host, &roles, &surroundings, &tune)).collect();
    let ground = facts::Ground { host: &host, roles: &roles, surroundings: &surroundings, pid: options.pid };
    knobs.extend(facts::FACTS.iter().map(|fact| fact.judged(&ground)));
    knobs.sort_by_key(|knob| knob.severity);
    Ok(Report { kernel: host.line(facts::RELEASE).unwrap_or_else(|| UNSEEN.to_owned()), surroundings, roles, knobs })
}

/// What stands for a value that was not seen.
const UNSEEN: &str = "unseen";

/// `tuning/tune` with the roles that were asked for, so that it is about the same CPUs.
fn tune_command(options: &Options) -> String {
    let mut command = "tuning/tune".to_owned();
    let asked = options.cores.as_ref().map(|cores| ("bid-cores", cores.to_string()));
    let keeping = options.housekeeping.as_ref().map(|cpus| ("housekeeping", cpus.to_string()));
    let card = options.nic.as_ref().map(|nic| ("nic", nic.clone()));
    for (option, value) in asked.into_iter().chain(keeping).chain(card) {
        command += &format!(" --{option} {value}");
    }
    command
}
