//! Keys of users: each user's values are sealed with a key of the user's own, so that destroying it makes every copy unreadable.

use std::fmt;

use zeroize::Zeroize;

use crate::units::UserKey;

/// A user's data key as it is kept: sealed under a key of the fleet. Wiped when it goes: together with that key, it opens.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey(pub Vec<u8>);

impl Drop for WrappedKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WrappedKey(..)")
    }
}

/// Why a key could not be had, made or destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The store did not answer in time, or cannot be reached.
    Unavailable(String),
    /// The store refuses us.
    Denied(String),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "the store of keys does not answer: {why}"),
            Self::Denied(why) => write!(f, "the store of keys refuses: {why}"),
        }
    }
}

impl std::error::Error for KeyError {}

/// Where wrapped keys are kept, apart from what they seal.
pub trait KeyStore {
    /// Those of these users that there are.
    fn get(&self, users: &[UserKey]) -> impl Future<Output = Result<Vec<(UserKey, WrappedKey)>, KeyError>>;

    /// Keeps a new user's key; if there is one already, that one is returned.
    fn create(&self, user: UserKey, key: WrappedKey) -> impl Future<Output = Result<WrappedKey, KeyError>>;

    /// Destroys a user's key and makes sure that it is gone; returns whether there was one.
    fn destroy(&self, user: UserKey) -> impl Future<Output = Result<bool, KeyError>>;
}
