//! What crosses between a bid core and the stores thread: who is asked for, and what comes back.

use zeroize::Zeroizing;

use super::count::Count;
use crate::units::{Nanos, UserKey};

/// What became of asking for a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchOutcome {
    /// The profile's plain value.
    Profile(Zeroizing<Vec<u8>>),
    /// Nothing is known of the user.
    Nothing,
    /// The store did not say.
    Failed,
}

/// One user, on the way from the stores thread to the bid core that asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Who.
    pub user: UserKey,
    /// The profile.
    pub outcome: FetchOutcome,
    /// Impressions billed so far; `None` if there is no store of counts, or it did not say.
    pub counts: Option<Vec<Count>>,
}

/// A bid core asks for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Miss {
    /// Whom.
    pub user: UserKey,
    /// When it asked.
    pub at: Nanos,
}

/// What a bid core may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asking {
    /// Every user whom it does not know.
    #[default]
    Always,
    /// One user, to see whether the store is back.
    Once,
    /// Nobody: the store does not answer.
    Never,
}

/// From the stores thread to a bid core.
#[derive(Debug)]
pub enum Told {
    /// A user that it asked for. The box goes back, to be wiped and freed off the bid core.
    Fetched(Box<Fetched>),
    /// What it may ask for from now on.
    Asking(Asking),
}
