//! What can go wrong with a call, and what follows from it. Nothing that goes wrong ever means "keep bidding": nothing is granted,
//! and leases run out.

use std::fmt;

use redis::{ErrorKind, RedisError, ServerError};

/// Why a call has no answer. Unless it says otherwise nothing was done, and the next tick asks again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The key holds another type than it should (`WRONGTYPE`). It stays so until an operator removes it: the advertiser gets no
    /// grants.
    WrongType,
    /// The server is a replica (`READONLY`): a primary was demoted. The client looks for the new one before the next call.
    ReadOnly,
    /// The server's memory is full and its policy is not to evict (`OOM`).
    OutOfMemory,
    /// The server refuses who we are, or what we ask (`NOAUTH`, `WRONGPASS`, `NOPERM`), in its words. The password file is read
    /// again for the next connection.
    NoAuth(String),
    /// The function library is gone: the server lost something, so the caller takes the shard for lost. It is loaded again before
    /// the next call.
    MissingFunction,
    /// The slot belongs to another server. The client asked there, once, and was sent on again; or there was no time left.
    Moved {
        /// The slot.
        slot: u16,
        /// Where to, `host:port`.
        to: String,
    },
    /// The slot is on its way to another server. The client asked there, once, and was sent on again; or there was no time left.
    Ask {
        /// The slot.
        slot: u16,
        /// Where to, `host:port`.
        to: String,
    },
    /// Nobody serves the slot (`CLUSTERDOWN`), or a replica has lost its primary (`MASTERDOWN`).
    ClusterDown,
    /// The keys of a call are on two servers while their slot moves (`TRYAGAIN`).
    TryAgain,
    /// The server reads its data from disk (`LOADING`).
    Loading,
    /// No answer in time. **It may have been done**; the caller repeats it only where that does no harm. The connection is given
    /// up, so that its late answer is not taken for another's.
    Timeout,
    /// There is no connection, and why. If there was one, **it may have been done**.
    Disconnected(String),
    /// The answer cannot be understood.
    Protocol(String),
    /// Any other error, in the server's words.
    Server(String),
}

impl Failure {
    /// The failure that an error reply tells of.
    pub(super) fn of(error: &ServerError) -> Failure {
        let detail = error.details().unwrap_or("");
        let whole = || format!("{} {detail}", error.code());
        let place = || {
            let (slot, to) = detail.split_once(' ')?;
            Some((slot.parse().ok()?, to.to_owned()))
        };
        match error.code() {
            "WRONGTYPE" => Failure::WrongType,
            "READONLY" => Failure::ReadOnly,
            "OOM" => Failure::OutOfMemory,
            "NOAUTH" | "WRONGPASS" | "NOPERM" => Failure::NoAuth(whole()),
            "ERR" if detail.starts_with("Function not found") => Failure::MissingFunction,
            "MOVED" => place().map_or_else(|| Failure::Protocol(whole()), |(slot, to)| Failure::Moved { slot, to }),
            "ASK" => place().map_or_else(|| Failure::Protocol(whole()), |(slot, to)| Failure::Ask { slot, to }),
            "CLUSTERDOWN" | "MASTERDOWN" => Failure::ClusterDown,
            "TRYAGAIN" => Failure::TryAgain,
            "LOADING" => Failure::Loading,
            _ => Failure::Server(whole()),
        }
    }

    /// The failure of a connection.
    pub(super) fn of_connection(error: &RedisError) -> Failure {
        match error.kind() {
            ErrorKind::Parse => Failure::Protocol(error.to_string()),
            _ => Failure::Disconnected(error.to_string()),
        }
    }

    /// Whether the server may have done what was asked.
    pub fn may_have_been_done(&self) -> bool {
        matches!(self, Failure::Timeout | Failure::Disconnected(_) | Failure::Protocol(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::WrongType => f.write_str("a key has the wrong type"),
            Failure::ReadOnly => f.write_str("the server is a read-only replica"),
            Failure::OutOfMemory => f.write_str("the server is out of memory"),
            Failure::NoAuth(said) => write!(f, "the server refuses us: {said}"),
            Failure::MissingFunction => f.write_str("the function library is missing"),
            Failure::Moved { slot, to } => write!(f, "slot {slot} has moved to {to}"),
            Failure::Ask { slot, to } => write!(f, "slot {slot} is moving to {to}"),
            Failure::ClusterDown => f.write_str("the cluster does not serve the slot"),
            Failure::TryAgain => f.write_str("the slot is moving"),
            Failure::Loading => f.write_str("the server is loading its data"),
            Failure::Timeout => f.write_str("no answer in time"),
            Failure::Disconnected(why) => write!(f, "not connected: {why}"),
            Failure::Protocol(what) => write!(f, "the answer cannot be understood: {what}"),
            Failure::Server(said) => write!(f, "the server says {said}"),
        }
    }
}

impl std::error::Error for Failure {}
