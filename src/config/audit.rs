//! `[audit]`: the compliance log, which says of some requests why they were treated as they were.

use std::num::{NonZeroU8, NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;

/// `[audit]`. Relative paths start from the configuration file's folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// The log; none is kept without it.
    pub file: Option<PathBuf>,
    /// One request in so many is told of, on each bid core.
    pub sample: NonZeroU32,
    /// Bytes of the file after which another is begun.
    pub max_bytes: NonZeroU64,
    /// How many full files are kept.
    pub keep: NonZeroU8,
}

/// The shortest [`Audit::max_bytes`]: what is written at once fits.
const LEAST_BYTES: u64 = 64 * 1024;

impl Default for Audit {
    fn default() -> Self {
        Audit {
            file: None,
            sample: NonZeroU32::MIN.saturating_add(999),
            max_bytes: NonZeroU64::MIN.saturating_add((64 << 20) - 1),
            keep: NonZeroU8::MIN.saturating_add(3),
        }
    }
}

impl Audit {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.max_bytes.get() < LEAST_BYTES {
            return Err(ConfigError(format!("audit.max_bytes {}: at least {LEAST_BYTES}", self.max_bytes)));
        }
        Ok(())
    }
}
