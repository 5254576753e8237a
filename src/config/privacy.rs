//! `[privacy]`: who we are in consent strings, and what is taken to hold where a request does not say.

use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;
use crate::snapshot::vendor::Assume;

/// `[privacy]`. Relative paths start from the configuration file's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Privacy {
    /// Our id in the Global Vendor List of IAB Europe. Without it no request under the GDPR gets a bid.
    pub vendor: Option<u16>,
    /// The list, versions 2 and 3 of its format: what we declared there.
    pub vendor_list: Option<PathBuf>,
    /// When the GDPR applies to a request that does not say.
    pub assume_gdpr: Assume,
}

impl Privacy {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let said = match (self.vendor, &self.vendor_list) {
            (Some(0), _) => "privacy.vendor 0: ids of the Global Vendor List begin at 1",
            (Some(_), None) => "privacy.vendor needs privacy.vendor_list: the Global Vendor List says what we declared",
            (None, Some(_)) => "privacy.vendor_list needs privacy.vendor: our id in it",
            _ => return Ok(()),
        };
        Err(ConfigError(said.into()))
    }
}
