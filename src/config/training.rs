//! `[training]`: what models learn from.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;

/// `[training]`. Relative paths start from the configuration file's folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// The folder of the log; none is kept without it.
    pub dir: Option<PathBuf>,
    /// The schema of its features; the built-in one without it.
    pub features: Option<PathBuf>,
    /// One bid in so many is told of, with all that comes of it.
    pub sample: NonZeroU32,
    /// Bytes of a file after which another is begun.
    pub max_bytes: NonZeroU64,
    /// How many files are kept, of rows and of outcomes each.
    pub keep: NonZeroU16,
    /// Minutes after which a file is complete however short it is.
    pub roll_minutes: NonZeroU16,
}

/// The shortest [`Training::max_bytes`]: a file of a few hundred rows.
const LEAST_BYTES: u64 = 64 * 1024;

impl Default for Training {
    fn default() -> Self {
        Training {
            dir: None,
            features: None,
            sample: NonZeroU32::MIN,
            max_bytes: NonZeroU64::MIN.saturating_add((256 << 20) - 1),
            keep: NonZeroU16::MIN.saturating_add(143),
            roll_minutes: NonZeroU16::MIN.saturating_add(9),
        }
    }
}

impl Training {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.max_bytes.get() < LEAST_BYTES {
            return Err(ConfigError(format!("training.max_bytes {}: at least {LEAST_BYTES}", self.max_bytes)));
        }
        if self.dir.is_none() && self.features.is_some() {
            return Err(ConfigError("training.features: without training.dir nothing is logged".to_owned()));
        }
        Ok(())
    }
}
