//! `[tail]`: which requests are explained.

use serde::Deserialize;

use super::ConfigError;
use crate::limits;

/// `[tail]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tail {
    /// Requests that take this long are recorded and explained, us: from the earliest moment at which one may have come until its
    /// answer is on its way.
    pub threshold_us: u32,
}

impl Default for Tail {
    fn default() -> Tail {
        Tail { threshold_us: 1_000 }
    }
}

impl Tail {
    /// The same, ns.
    pub fn threshold_ns(self) -> u64 {
        u64::from(self.threshold_us) * 1_000
    }

    pub(super) fn validate(self) -> Result<(), ConfigError> {
        const MOST_US: u64 = limits::DEADLINE_NS / 1_000;
        if (1..=MOST_US).contains(&u64::from(self.threshold_us)) {
            return Ok(());
        }
        Err(ConfigError(format!("tail.threshold_us {}: from 1 to {MOST_US}, the deadline", self.threshold_us)))
    }
}
