//! The money, simulated: the production state machines of nodes and authority, the production sub-leases and ids of bid cores,
//! under virtual time, with everything going wrong that may go wrong.
//!
//! ```text
//!             market (fates, bills, calls)                     nemesis (what goes wrong, planned)
//!    auctions │        ▲ bids       │ notices                        │
//!    ┌────────▼────────┴────────────▼───────┐                        ▼
//!    │ node: bid cores ──rings── Reconciler │◄── links: lost, late, twice, overtaken ──► Authority
//!    │        clock, disk                   │                                            clock, disk
//!    └──────────────────┬───────────────────┘                                              │
//!                       └────────────► checkers: accounts of their own ◄───────────────────┘
//! ```
//!
//! One thread, one queue of steps in true time, one seed: the same run every time. The checkers ([`check`]) are told what crosses
//! the border of the code under test and share nothing with it. docs/SIMULATION.md says how to use it.

pub mod authority;
pub mod calls;
pub mod canary;
pub mod check;
pub mod curve;
pub mod disk;
pub mod faults;
pub mod market;
pub mod node;
pub mod queue;
pub mod summary;
pub mod time;
pub mod trace;
pub mod world;

use std::collections::BTreeSet;

use faults::Fault;
use summary::Summary;
use time::Time;
use trace::Trace;
use world::World;

/// What to simulate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Decides everything that is drawn.
    pub seed: u64,
    /// Days of auctions.
    pub days: u32,
    /// Nodes at the beginning.
    pub nodes: u16,
    /// Bid cores of each.
    pub cores: u8,
    /// Campaigns.
    pub campaigns: u32,
    /// So many times the usual auctions and budgets.
    pub size: u32,
    /// Every silent bid holds its maximum price; otherwise a quantile of what they may be billed.
    pub strict: bool,
    /// All exchanges tell of every loss within five seconds.
    pub told: bool,
    /// What may go wrong.
    pub faults: BTreeSet<Fault>,
    /// Of the planned mishaps only these, by number.
    pub only: Option<BTreeSet<u32>>,
    /// The protocol is broken in this way.
    pub canary: Option<u8>,
    /// Who keeps the accounts.
    pub authority: authority::Keeper,
    /// The run ends here.
    pub until: Option<Time>,
}

impl Options {
    /// Whether something is to go wrong.
    pub fn may(&self, fault: Fault) -> bool {
        self.faults.contains(&fault) && fault.can_hit(self.authority)
    }

    /// The exchange of a place in [`market::EXCHANGES`].
    fn exchange(&self, place: usize) -> &'static market::Exchange {
        if self.told { &market::TOLD } else { &market::EXCHANGES[place] }
    }
}

/// Runs it to its end. `note` is shown the world before the first step and every simulated hour.
///
/// # Errors
/// The trace cannot be written.
pub fn run(options: Options, trace: Trace, note: impl Fn(&World)) -> std::io::Result<Summary> {
    let mut world = World::new(options, trace);
    let mut noted = 0;
    note(&world);
    while world.step() {
        if world.now() / time::HOUR > noted {
            noted = world.now() / time::HOUR;
            note(&world);
        }
    }
    let summary = Summary::of(&world);
    std::mem::take(&mut world.checker.trace).close()?;
    Ok(summary)
}
