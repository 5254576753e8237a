//! `[profiles]`: what is known of users, and what is done where it is not known.

use serde::Deserialize;

use super::ConfigError;
use super::miss::{self, OnMiss};

/// `[profiles]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profiles {
    /// What a request is answered whose user's profile cannot be had in time.
    pub on_miss: OnMiss,
    /// How long a request waits for a profile at most, us.
    pub fetch_budget_us: u32,
}

impl Default for Profiles {
    fn default() -> Self {
        Profiles { on_miss: OnMiss::default(), fetch_budget_us: miss::FETCH_BUDGET_US }
    }
}

impl Profiles {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        miss::validate(self.fetch_budget_us)
    }
}
