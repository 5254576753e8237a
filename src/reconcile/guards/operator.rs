//! What an operator can ask of the running process, and what is said to it. Said once what was done is on disk.

use super::stops::Stop;
use crate::authority::books::Scope;
use crate::authority::message::Why;
use crate::authority::{NotRetired, Retired};
use crate::profile::erase::Wiped;
use crate::units::{NodeId, RecordId, UnixMillis, UserHash, UserKey};

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
    /// The stores have nothing readable of the user any more; drop what the cores have, and write the receipt.
    Erase(UserKey, Wiped),
    /// Another node erased the user, and wrote the receipt: drop what the cores have.
    Forget(UserKey),
}

/// What the ledger says of an erasure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The record.
    pub record: RecordId,
    /// Who.
    pub user: UserHash,
    /// Where something was wiped.
    pub wiped: Wiped,
    /// When.
    pub wall: UnixMillis,
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
    /// The node is retired, or why not.
    Retired(Result<Retired, NotRetired>),
    /// All that is stopped.
    List(Vec<Stop>),
    /// The user is erased.
    Erased(Receipt),
    /// The cores drop the user.
    Forgotten,
    /// No such campaign or advertiser is known.
    Unknown,
    /// The disk does not take records.
    Unsafe,
}
