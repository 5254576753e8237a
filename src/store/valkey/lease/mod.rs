//! The lease authority of a fleet, as a client sees it: one shard per advertiser, each a few hashes on a Valkey server that the
//! function library [`LIBRARY`] keeps. It does what [`Authority`](crate::authority::Authority) does, which is its oracle.
//!
//! ```text
//! FCALL corebid_report 1 {a7} envelope body  ──►  status, epoch, version, time, then what the function says
//! ```
//!
//! Every call says whom it is meant for ([`Envelope`]); a shard that is not that one does nothing and says [`Reply::Lost`]. All numbers
//! are little endian; ids are eight bytes. A Lua number is exact below 2^53: more is not sent ([`encode::Unfit`]).

pub mod decode;
pub mod encode;
pub mod state;

use std::fmt;

use crate::units::{AdvertiserId, Epoch, UnixMillis};

/// The library, as `FUNCTION LOAD REPLACE` takes it.
pub const LIBRARY: &str = include_str!("../corebid.lua");
/// What client and library agree on; both refuse another.
const FORMAT: u8 = 1;

/// The shard of an advertiser: all its keys hash to one slot.
pub fn key(advertiser: AdvertiserId) -> String {
    format!("{{a{}}}", advertiser.0)
}

/// What the library can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// [`encode::report`], answered by [`decode::report`].
    Report,
    /// [`encode::fund`], answered by [`decode::done`].
    Fund,
    /// [`encode::open`] and a checkpoint or nothing, answered by [`decode::done`].
    Open,
    /// [`encode::stop`], answered by [`decode::done`].
    Stop,
    /// [`encode::resume`], answered by [`decode::resumed`].
    Resume,
    /// [`encode::retire`], answered by [`decode::retired`].
    Retire,
    /// Answered by [`decode::checkpoint`]; writes nothing.
    Checkpoint,
    /// Answered by [`decode::stops`]; writes nothing.
    Stops,
}

impl Function {
    /// Its name on the server.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Report => "corebid_report",
            Self::Fund => "corebid_fund",
            Self::Open => "corebid_open",
            Self::Stop => "corebid_stop",
            Self::Resume => "corebid_resume",
            Self::Retire => "corebid_retire",
            Self::Checkpoint => "corebid_checkpoint",
            Self::Stops => "corebid_stops",
        }
    }
}

/// The replication id of a server (`INFO replication`, `master_replid`): another one after every failover and restart, when
/// acknowledged writes may be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerId(pub [u8; 40]);

impl ServerId {
    /// From its text: 40 hexadecimal digits.
    pub fn of(text: &str) -> Option<Self> {
        let id: [u8; 40] = text.as_bytes().try_into().ok()?;
        id.iter().all(u8::is_ascii_hexdigit).then_some(Self(id))
    }
}

/// Whom a call is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The epoch of the shard.
    pub epoch: Epoch,
    /// The highest version seen of it in this epoch.
    pub version: u64,
    /// The server.
    pub server: ServerId,
}

/// Where a shard is, as each of its replies says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Its epoch; 0 if there is nothing.
    pub epoch: Epoch,
    /// Grows with each step that writes.
    pub version: u64,
    /// Its clock.
    pub at: UnixMillis,
}

/// What a shard says.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply<T> {
    /// It was done.
    Done(T),
    /// The shard is not the one that was meant. Nothing was done. Unless its epoch is later than the caller's, the epoch is to be
    /// raised in the register, and the shard opened.
    Lost(Lost),
    /// Its accounts do not add up: nothing was done, and the advertiser is stopped.
    Mismatch,
    /// The call cannot be answered. Nothing was done.
    Refused(Refused),
}

impl<T> Reply<T> {
    /// The same, of another thing that was done.
    pub fn map<U>(self, of: impl FnOnce(T) -> U) -> Reply<U> {
        match self {
            Self::Done(done) => Reply::Done(of(done)),
            Self::Lost(lost) => Reply::Lost(lost),
            Self::Mismatch => Reply::Mismatch,
            Self::Refused(refused) => Reply::Refused(refused),
        }
    }
}

/// Why a shard is not the one that was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Lost {
    /// There is nothing.
    Blank = 0,
    /// It is in another epoch.
    Epoch = 1,
    /// It does not know what it said.
    Version = 2,
    /// The server has another replication id than it, or than the caller's.
    Server = 3,
}

/// Why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refused {
    /// Its bytes are not what the function takes: another format.
    Malformed = 0,
    /// It came after its time.
    Late = 1,
    /// A list as new, or newer, is known.
    OldList = 2,
    /// The node was retired before.
    Retired = 4,
    /// The node is alive: it renewed within the last lease's length.
    Alive = 5,
}

impl Lost {
    fn of(number: u8) -> Option<Self> {
        [Self::Blank, Self::Epoch, Self::Version, Self::Server].into_iter().find(|it| *it as u8 == number)
    }
}

impl Refused {
    fn of(number: u8) -> Option<Self> {
        [Self::Malformed, Self::Late, Self::OldList, Self::Retired, Self::Alive]
            .into_iter()
            .find(|it| *it as u8 == number)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blank => "the shard is empty",
            Self::Epoch => "the shard is in another epoch",
            Self::Version => "the shard does not know what it said last",
            Self::Server => "another server has taken over the shard",
        })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the function library is of another version",
            Self::Late => "the call came too late",
            Self::OldList => "a list as new is known",
            Self::Retired => "the node was retired before",
            Self::Alive => "the node is alive; stop it first",
        })
    }
}
