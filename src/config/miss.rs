//! What is done about a user whom a bid core does not know, where there is a store to ask.

use serde::Deserialize;

use super::ConfigError;
use crate::limits;

/// What a request is answered whose user's profile cannot be had in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnMiss {
    /// A bid without the profile: campaigns that ask for segments, or cap how often a user sees them, stay out.
    #[default]
    Contextual,
    /// No bid.
    NoBid,
}

/// How long a request waits for a profile, us: DynamoDB answers 99 of 100 reads within it.
pub(super) const FETCH_BUDGET_US: u32 = 5_000;
/// The longest: what is left of the deadline is for the decision.
const MOST_US: u64 = (limits::DEADLINE_NS - limits::MISS_MARGIN_NS) / 1_000;

pub(super) fn validate(fetch_budget_us: u32) -> Result<(), ConfigError> {
    if (1..=MOST_US).contains(&u64::from(fetch_budget_us)) {
        return Ok(());
    }
    Err(ConfigError(format!(
        "profiles.fetch_budget_us {fetch_budget_us}: from 1 to {MOST_US}, so that there is time to answer"
    )))
}
