//! `[supply]`: what is asked of the path that a request took, and whether paths are counted. Nothing, by default.

use std::path::PathBuf;

use serde::Deserialize;

use super::{ConfigError, Exchange};
use crate::snapshot::supply::{NoAdsTxt, Policy, Stale};

/// `[supply]`. Relative paths start from the configuration file's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Supply {
    /// Who may sell what, as `corebid supply build` writes it.
    pub table: Option<PathBuf>,
    /// What is asked of the requests of an exchange that does not say otherwise.
    pub policy: Policy,
    /// What files of sellers are worth that have expired.
    pub stale: Stale,
    /// What it is worth that a publisher has no file.
    pub no_ads_txt: NoAdsTxt,
    /// Whether requests, bids, wins and spend are counted by path.
    pub paths: bool,
}

/// The longest domain (RFC 1035), bytes.
const DOMAIN_BYTES: usize = 253;

impl Supply {
    /// What is asked of an exchange's requests.
    pub fn policy_of(&self, exchange: &Exchange) -> Policy {
        exchange.supply.unwrap_or(self.policy)
    }

    pub(super) fn validate(&self, exchanges: &[Exchange]) -> Result<(), ConfigError> {
        let fail = |text: String| Err(ConfigError(text));
        if self.table.is_none() && self.policy != Policy::Off {
            return fail(format!("supply.policy is {} but supply.table is missing", self.policy.label()));
        }
        for exchange in exchanges {
            let (name, policy) = (&exchange.name, self.policy_of(exchange));
            if let Some(domain) = exchange.domain.as_deref().filter(|domain| !is_domain(domain)) {
                return fail(format!(
                    "exchange.domain {domain:?} of {name:?}: give a domain only, such as exchange.example"
                ));
            }
            if policy == Policy::Off {
                continue;
            }
            if self.table.is_none() {
                return fail(format!("exchange {name:?}: supply is {} but supply.table is missing", policy.label()));
            }
            if exchange.domain.is_none() {
                return fail(format!(
                    "exchange {name:?}: supply is {} but its domain is missing: give exchange.domain, which is that of the \
                     last node of the chains it sends",
                    policy.label()
                ));
            }
        }
        Ok(())
    }
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.len() <= DOMAIN_BYTES && text.contains('.') && text.split('.').all(label)
}
