//! `[stores.dynamodb]`: where DynamoDB is, as whom we ask it, and what comes from it.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;

/// `[stores.dynamodb]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamoDb {
    /// Its URL; without it, AWS's own in the region.
    pub endpoint: Option<String>,
    /// The AWS region, which is signed with every request.
    pub aws_region: String,
    /// Access key and secret, as in AWS's shared credentials file. Read again when it changes.
    pub credentials_file: PathBuf,
    /// The only certificate authorities that are believed; without it, those of the system.
    pub ca_file: Option<PathBuf>,
    /// Before the name of every table, with a hyphen.
    #[serde(default = "table_prefix")]
    pub table_prefix: String,
    /// How long a call may take, ms.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// How long a fetch of users may take in all, ms.
    #[serde(default = "fetch_ms")]
    pub fetch_ms: u64,
    /// Advertisers whose campaigns come from here, into the file of `data.campaigns`; none: the file is the operator's.
    #[serde(default)]
    pub tenants: Vec<u32>,
    /// Whether what the tenants know of sellers comes from here too, into the table of `supply.table`.
    #[serde(default)]
    pub sellers: bool,
}

fn table_prefix() -> String {
    "corebid".to_owned()
}

/// DynamoDB answers a read within 10 ms, and a conditional write within 20, but for few in ten thousand.
fn timeout_ms() -> u64 {
    1000
}

/// Who is fetched later than this is of use to a later request only.
fn fetch_ms() -> u64 {
    50
}

impl DynamoDb {
    /// Of one call.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Of a fetch of users, its repetitions included.
    pub fn fetch_timeout(&self) -> Duration {
        Duration::from_millis(self.fetch_ms)
    }

    /// Paths, to be made relative to the configuration.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.credentials_file].into_iter().chain(self.ca_file.as_mut())
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let fail = |what: &str| Err(ConfigError(format!("stores.dynamodb.{what}")));
        let url = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        if !self.endpoint.as_ref().is_none_or(url) {
            return fail("endpoint: give a URL, such as https://dynamodb.eu-central-1.amazonaws.com");
        }
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if !plain(&self.aws_region) {
            return fail("aws_region: give a region, such as eu-central-1");
        }
        // A table's name has 255 characters at most.
        if !plain(&self.table_prefix) || self.table_prefix.len() > 200 {
            return fail("table_prefix: letters, digits, `-`, `_` and `.`, at most 200 of them");
        }
        if self.timeout_ms == 0 || self.fetch_ms == 0 {
            return fail("timeout_ms and fetch_ms must be at least 1");
        }
        let mut tenants = self.tenants.clone();
        tenants.sort_unstable();
        if tenants.windows(2).any(|pair| pair[0] == pair[1]) {
            return fail("tenants: each advertiser once");
        }
        if self.sellers && self.tenants.is_empty() {
            return fail("sellers: there are no tenants to have them from");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        let good = "aws_region = \"eu-central-1\"\ncredentials_file = \"aws\"\n";
        let read = |more: &str| {
            let read: DynamoDb = toml::from_str(&format!("{good}{more}")).unwrap();
            read.validate().map_err(|error| error.0)
        };
        assert_eq!(read("tenants = [7, 8]\nsellers = true\n"), Ok(()));
        for (more, said) in [
            ("endpoint = \"localhost:8000\"", "endpoint"),
            ("table_prefix = \"a/b\"", "table_prefix"),
            ("timeout_ms = 0", "timeout_ms"),
            ("tenants = [7, 8, 7]", "tenants"),
            ("sellers = true", "sellers"),
        ] {
            assert!(read(more).unwrap_err().contains(said), "{more}");
        }
    }
}
