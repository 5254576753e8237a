//! Where profiles come from.

use super::fetched::FetchOutcome;
use crate::units::UserKey;

/// A source that may be far away. It runs on the stores thread.
pub trait ProfileSource {
    /// Asks for these users, all different, at once. One answer for each, in any order; one that is missing counts as failed.
    fn fetch(&self, users: &[UserKey]) -> impl Future<Output = Vec<(UserKey, FetchOutcome)>>;
}
