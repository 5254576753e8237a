//! The longest turns of each bid core's loop, and what kept it: as far as the kernel tells, which is said where it does not.
//!
//! A core notes what it alone can: when, how long, over how many requests, and what the kernel counts of its thread
//! ([`witness::Witness`]). That leaves it by a ring. What the kernel counts of the machine's CPUs takes longer to read the more of them
//! there are, so a thread of its own reads it, off the bid cores; it gives each stall its causes ([`cause`]) and keeps the longest
//! ([`watch`]).

pub mod cause;
pub mod cpus;
pub mod longest;
pub mod quota;
pub mod thread;
pub mod watch;
pub mod witness;

use crate::units::Nanos;
use thread::Spent;

/// Stalls under way from a bid core to the thread that keeps them. A core cannot make more in the time between two looks than
/// it has turns longer than [`crate::limits::STALL_NS`].
pub const CROSSING: usize = 256;

/// Once around a loop: a wait, and the turn after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// When its wait should have been over, at the earliest, if it was over late; else when its turn began.
    pub from: Nanos,
    /// When its turn began.
    pub woke: Nanos,
    /// When its turn ended.
    pub ended: Nanos,
    /// For how long the loop was kept away, beyond what its requests explain, ns. 0: it was not.
    pub kept_ns: u64,
    /// Requests framed in it.
    pub requests: u64,
    /// How long one usually takes, ns.
    pub usual_ns: u64,
}

impl Round {
    /// How long its turn was, ns.
    pub fn turn_ns(&self) -> u64 {
        self.ended.since(self.woke)
    }

    /// Whether it is to be told.
    #[inline]
    pub fn is_long(&self) -> bool {
        self.kept_ns > 0 || self.turn_ns() > crate::limits::STALL_NS
    }
}

/// A long round, as the core tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long {
    /// The round.
    pub round: Round,
    /// The CPU it ended on.
    pub cpu: usize,
    /// For how long before its end the following was spent: the round, and what came since the counters were read before it, ns.
    pub window_ns: u64,
    /// What the kernel counted meanwhile, if it counts that.
    pub spent: Option<Spent>,
}

impl Long {
    /// How long it was, ns.
    pub fn length_ns(&self) -> u64 {
        self.round.ended.since(self.round.from)
    }
}
