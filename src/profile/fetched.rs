//! What a fetch brings to a bid core.

use zeroize::Zeroizing;

use super::count::Count;
use crate::units::UserKey;

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
    /// Impressions billed so far, as far as the store of counters says.
    pub counts: Vec<Count>,
}
