//! What an operator can ask of the running process, and what is said to it. Said once what was done is on disk.

use super::stops::{Scope, Stop};
use crate::authority::message::Why;
use crate::units::{Micros, NodeId};

/// Asked by the admin port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Make no bids for it until it is resumed.
    Stop(Scope),
    /// Bid again.
    Resume(Scope),
    /// Give up the leases of a node that will not come back.
    Retire(NodeId),
    /// What is stopped?
    Stopped,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is stopped; why it was before, if it was.
    Stopped {
        /// The reason that stays.
        before: Option<Why>,
    },
    /// It is not stopped any more.
    Resumed {
        /// Why it was stopped, if it was.
        before: Option<Why>,
        /// Why the campaign bids all the same not: its advertiser is stopped.
        still: Option<Why>,
    },
    /// The node is retired.
    Retired(GivenUp),
    /// All that is stopped.
    List(Vec<Stop>),
    /// No such campaign, advertiser or node is known.
    Unknown,
    /// A node cannot retire itself.
    Itself,
    /// The disk does not take records.
    Unsafe,
}

/// What retiring a node gave up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenUp {
    /// Leases that were not closed.
    pub leases: u64,
    /// What they were still charged with.
    pub money: Micros,
    /// The node had been retired before: nothing was left.
    pub before: bool,
}
