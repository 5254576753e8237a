//! `[edge]`: who is turned away before the campaigns are asked. Nobody, by default.

use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;
use super::exchange::{Exchange, Formats};
use crate::limits;

/// `[edge]`: for all exchanges. Relative paths start from the configuration file's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Edge {
    /// Countries that are answered.
    pub countries: Countries,
    /// Formats of impressions that are bid on, of those that an exchange's rules name; all without it.
    pub formats: Option<Formats>,
    /// Domains that are not bid on, one a line.
    pub blocked_domains: Option<PathBuf>,
    /// Bundles that are not bid on, one a line.
    pub blocked_bundles: Option<PathBuf>,
    /// Parts of the user agents of known bots, one a line.
    pub bots: Option<PathBuf>,
    /// Networks of data centres, one a line.
    pub data_centers: Option<PathBuf>,
    /// A copy of a request that was bid on is not answered within this time, ms.
    pub duplicates_ms: Option<u32>,
    /// Devices whose own statements contradict each other are turned away.
    pub impossible_devices: bool,
    /// Addresses and users that ask more often are turned away.
    pub velocity: Option<Velocity>,
}

/// How often one source may ask, on one core. At least one of the two limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Velocity {
    /// Requests of one IPv4 address, or of one IPv6 network of 64 bits.
    pub per_ip: Option<u32>,
    /// Requests for one user.
    pub per_user: Option<u32>,
    /// In so many seconds.
    #[serde(default = "a_minute")]
    pub seconds: u32,
}

fn a_minute() -> u32 {
    60
}

/// Countries to answer, as ISO 3166-1 alpha-3 codes: those included, or all where none are, but for those excluded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Countries {
    /// Only these, and no request without a country.
    pub include: Vec<String>,
    /// Not these.
    pub exclude: Vec<String>,
}

/// Longest [`Edge::duplicates_ms`]: a user who comes back later than that comes back.
const DUPLICATES_MS: u32 = 10_000;
/// Most requests of [`Velocity`]: beyond, it is no limit.
const VELOCITY: u32 = 1_000_000;
/// Longest window of [`Velocity`], seconds: a day's traffic of a household is no flood.
const VELOCITY_SECONDS: u32 = 3_600;

impl Edge {
    /// The files it names.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let Edge { blocked_domains, blocked_bundles, bots, data_centers, .. } = self;
        [blocked_domains, blocked_bundles, bots, data_centers].into_iter().flatten()
    }

    pub(super) fn validate(&self, exchanges: &[Exchange]) -> Result<(), ConfigError> {
        self.countries.validate("edge")?;
        if let Some(formats) = self.formats {
            if formats.is_empty() {
                return Err(ConfigError(
                    "edge.formats is empty, so that nothing is bid on; leave it out for all formats".into(),
                ));
            }
            if let Some(exchange) = exchanges.iter().find(|exchange| exchange.rules.formats.both(formats).is_empty()) {
                return Err(ConfigError(format!(
                    "exchange {:?}: none of its formats is among edge.formats, so that nothing is bid on",
                    exchange.name
                )));
            }
        }
        if let Some(velocity) = self.velocity {
            velocity.validate()?;
        }
        match self.duplicates_ms {
            Some(ms) if !(1..=DUPLICATES_MS).contains(&ms) => {
                Err(ConfigError(format!("edge.duplicates_ms {ms}: 1 to {DUPLICATES_MS}; leave it out for none")))
            }
            _ => Ok(()),
        }
    }
}

impl Velocity {
    fn validate(&self) -> Result<(), ConfigError> {
        let Velocity { per_ip, per_user, seconds } = *self;
        if per_ip.is_none() && per_user.is_none() {
            return Err(ConfigError("edge.velocity: per_ip, per_user or both; leave it out for no limit".into()));
        }
        for (key, value, most) in [
            ("per_ip", per_ip, VELOCITY),
            ("per_user", per_user, VELOCITY),
            ("seconds", Some(seconds), VELOCITY_SECONDS),
        ] {
            if let Some(value) = value.filter(|value| !(1..=most).contains(value)) {
                return Err(ConfigError(format!("edge.velocity.{key} {value}: 1 to {most}")));
            }
        }
        Ok(())
    }
}

impl Countries {
    pub(super) fn validate(&self, section: &str) -> Result<(), ConfigError> {
        match self.include.iter().chain(&self.exclude).find(|code| index(code.as_bytes()).is_none()) {
            Some(code) => Err(ConfigError(format!(
                "{section}.countries {code:?}: countries are three letters (ISO 3166-1 alpha-3), such as \"USA\""
            ))),
            None => Ok(()),
        }
    }
}

/// The number of a country code of three letters, in any case; below [`CODES`].
#[inline]
pub fn index(code: &[u8]) -> Option<usize> {
    let &[a, b, c] = code else { return None };
    [a, b, c].into_iter().try_fold(0, |index, letter| {
        let letter = letter.to_ascii_uppercase();
        letter.is_ascii_uppercase().then(|| index * 26 + usize::from(letter - b'A'))
    })
}

/// Codes of three letters there can be.
pub const CODES: usize = 26 * 26 * 26;

pub(super) fn validate_qps(exchange: &str, qps: Option<u32>) -> Result<(), ConfigError> {
    match qps {
        Some(qps) if !(1..=limits::QPS).contains(&qps) => Err(ConfigError(format!(
            "exchange.qps {qps} of {exchange:?}: 1 to {} requests per second; leave it out for no limit",
            limits::QPS
        ))),
        _ => Ok(()),
    }
}
