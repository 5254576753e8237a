//! Where profiles come from.

use std::rc::Rc;

use zeroize::Zeroizing;

use super::count::Count;
use super::fetched::FetchOutcome;
use crate::snapshot::profiles::base::Base;
use crate::units::UserKey;

/// A source that may be far away. It runs on the stores thread.
pub trait ProfileSource {
    /// Asks for these users, all different, at once. One answer for each, in any order; one that is missing counts as failed.
    fn fetch(&self, users: &[UserKey]) -> impl Future<Output = Vec<(UserKey, FetchOutcome)>>;

    /// Impressions billed of these users, as far as the store of counts says. Of who is missing it did not say.
    fn counts(&self, _users: &[UserKey]) -> impl Future<Output = Vec<(UserKey, Vec<Count>)>> {
        async { Vec::new() }
    }

    /// Whether a user was erased a short time ago, so that what was fetched before must not be handed on.
    fn holds_back(&self, _user: UserKey) -> bool {
        false
    }
}

impl<S: ProfileSource> ProfileSource for Rc<S> {
    async fn fetch(&self, users: &[UserKey]) -> Vec<(UserKey, FetchOutcome)> {
        S::fetch(self, users).await
    }

    async fn counts(&self, users: &[UserKey]) -> Vec<(UserKey, Vec<Count>)> {
        S::counts(self, users).await
    }

    fn holds_back(&self, user: UserKey) -> bool {
        S::holds_back(self, user)
    }
}

/// Values as the base has them; sealed, if it is. This may wait for the disk, for no longer than that takes.
impl ProfileSource for Base {
    async fn fetch(&self, users: &[UserKey]) -> Vec<(UserKey, FetchOutcome)> {
        let of = |user| match self.get(user) {
            Ok(Some(value)) => FetchOutcome::Profile(Zeroizing::new(value.to_vec())),
            Ok(None) => FetchOutcome::Nothing,
            Err(_) => FetchOutcome::Failed,
        };
        users.iter().map(|&user| (user, of(user))).collect()
    }
}
