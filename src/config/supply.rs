//! `[supply]`: the ways on which requests reach us.

use serde::Deserialize;

/// `[supply]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Supply {
    /// Whether requests, bids, wins and spend are counted by supply path.
    pub paths: bool,
}
