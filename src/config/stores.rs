//! `[stores]`: Valkey and DynamoDB, for a fleet of more than one machine. Left out, the node is its own authority.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;

/// `[stores]`. Relative paths start from the configuration file's folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stores {
    /// Where the users of these stores live: `eu` or `other`. Users of another region are neither read nor written here.
    pub region: String,
    /// `[stores.valkey]`: leases and frequency counts.
    pub valkey: Valkey,
    /// `[stores.dynamodb]`: processes, epochs, profiles, keys, campaigns.
    pub dynamodb: DynamoDb,
}

/// `[stores.valkey]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Valkey {
    /// Servers to begin with, `host:port`: any of a cluster, or the one primary. With TLS, the certificate must name the host.
    pub addresses: Vec<String>,
    /// User of the access control list.
    pub username: Option<String>,
    /// That user's password, mode 0600. Read again when it changes.
    pub password_file: Option<PathBuf>,
    /// Whether connections are encrypted, and the server proves who it is.
    pub tls: bool,
    /// Authorities that sign servers' certificates, PEM; without it those of the system.
    pub ca_file: Option<PathBuf>,
    /// For one round trip, milliseconds.
    pub timeout_ms: u16,
    /// How many replicas confirm a grant before it counts, as far as that many are attached.
    pub wait_replicas: u8,
    /// Whether frequency counts are read from replicas.
    pub replica_reads: bool,
}

impl Default for Valkey {
    fn default() -> Self {
        Valkey {
            addresses: Vec::new(),
            username: None,
            password_file: None,
            tls: false,
            ca_file: None,
            timeout_ms: 50,
            wait_replicas: 1,
            replica_reads: false,
        }
    }
}

impl Valkey {
    /// For one round trip.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }
}

/// `[stores.dynamodb]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DynamoDb {
    /// `http://host:port` or `https://host:port`; without it Amazon's of the region.
    pub endpoint: Option<String>,
    /// Amazon's region, `eu-central-1`: requests are signed for it.
    pub aws_region: String,
    /// Access key, in the format of the AWS command line, mode 0600. Read again when it changes. Without it the machine's role.
    pub credentials_file: Option<PathBuf>,
    /// Authorities that sign the endpoint's certificate, PEM; without it those of the system.
    pub ca_file: Option<PathBuf>,
    /// What the names of the tables begin with.
    pub table_prefix: String,
    /// For one request, milliseconds.
    pub timeout_ms: u16,
}

impl Default for DynamoDb {
    fn default() -> Self {
        DynamoDb {
            endpoint: None,
            aws_region: String::new(),
            credentials_file: None,
            ca_file: None,
            table_prefix: "corebid".into(),
            timeout_ms: 200,
        }
    }
}

impl DynamoDb {
    /// For one request.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }
}

/// The longest timeout, milliseconds: a lease lasts ten seconds, and an answer that comes later is worth nothing.
const MAX_TIMEOUT_MS: u16 = 5_000;
/// The longest [`DynamoDb::table_prefix`], so that Amazon's 255 characters hold every table's name.
const PREFIX_BYTES: usize = 64;

impl Stores {
    /// The files it names.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let Stores { valkey, dynamodb, .. } = self;
        [&mut valkey.password_file, &mut valkey.ca_file, &mut dynamodb.credentials_file, &mut dynamodb.ca_file]
            .into_iter()
            .flatten()
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let fail = |text: String| Err(ConfigError(text));
        if cfg!(not(feature = "stores")) {
            return fail("[stores]: this program was built without them; build it with the feature `stores`".into());
        }
        if !["eu", "other"].contains(&self.region.as_str()) {
            return fail(format!("stores.region {:?}: eu or other", self.region));
        }
        let Stores { valkey, dynamodb, .. } = self;
        if valkey.addresses.is_empty() {
            return fail(
                "stores.valkey.addresses is empty: name at least one server, such as \"10.0.0.1:6379\"".into(),
            );
        }
        if let Some(address) = valkey.addresses.iter().find(|address| host_port(address).is_none()) {
            return fail(format!("stores.valkey.addresses {address:?}: write host:port, such as \"10.0.0.1:6379\""));
        }
        if valkey.username.is_some() && valkey.password_file.is_none() {
            return fail("stores.valkey.username needs stores.valkey.password_file".into());
        }
        if valkey.ca_file.is_some() && !valkey.tls {
            return fail("stores.valkey.ca_file needs stores.valkey.tls = true: without it nothing is verified".into());
        }
        if dynamodb.aws_region.is_empty() {
            return fail("stores.dynamodb.aws_region is missing, such as \"eu-central-1\"".into());
        }
        let scheme = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        if let Some(endpoint) = dynamodb.endpoint.as_ref().filter(|url| !scheme(url)) {
            return fail(format!("stores.dynamodb.endpoint {endpoint:?}: begin it with http:// or https://"));
        }
        // Amazon's rule for names of tables: a-z, A-Z, 0-9, `_`, `-` and `.`.
        let prefix = &dynamodb.table_prefix;
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if prefix.is_empty() || prefix.len() > PREFIX_BYTES || !prefix.bytes().all(named) {
            return fail(format!(
                "stores.dynamodb.table_prefix {prefix:?}: 1 to {PREFIX_BYTES} letters, digits, `_`, `-` or `.`"
            ));
        }
        for (store, timeout) in [("valkey", valkey.timeout_ms), ("dynamodb", dynamodb.timeout_ms)] {
            if timeout == 0 || timeout > MAX_TIMEOUT_MS {
                return fail(format!("stores.{store}.timeout_ms {timeout}: 1 to {MAX_TIMEOUT_MS}"));
            }
        }
        Ok(())
    }
}

/// The parts of `host:port`; an IPv6 address stands in brackets, which are no part of the host.
pub fn host_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    let port = port.parse().ok().filter(|&port| port != 0)?;
    (!host.is_empty() && host.bytes().all(plain)).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "region = \"eu\"\n[valkey]\naddresses = [\"127.0.0.1:6379\"]\n[dynamodb]\naws_region = \"eu-central-1\"\n";

    #[cfg(feature = "stores")]
    #[test]
    fn mistakes_are_named() {
        let said = |text: &str| toml::from_str::<Stores>(text).unwrap().validate().map_err(|error| error.0);
        assert_eq!(said(GOOD), Ok(()));
        for (from, to, key) in [
            ("\"eu\"", "\"mars\"", "stores.region"),
            ("\"127.0.0.1:6379\"", "", "stores.valkey.addresses"),
            (":6379", "", "stores.valkey.addresses"),
            (":6379", ":0", "stores.valkey.addresses"),
            ("[valkey]", "[valkey]\nusername = \"corebid\"", "stores.valkey.password_file"),
            ("[valkey]", "[valkey]\nca_file = \"ca.pem\"", "stores.valkey.tls"),
            ("[valkey]", "[valkey]\ntimeout_ms = 0", "stores.valkey.timeout_ms"),
            ("[dynamodb]", "[dynamodb]\ntimeout_ms = 5001", "stores.dynamodb.timeout_ms"),
            ("[dynamodb]", "[dynamodb]\nendpoint = \"127.0.0.1:8000\"", "stores.dynamodb.endpoint"),
            ("[dynamodb]", "[dynamodb]\ntable_prefix = \"a b\"", "stores.dynamodb.table_prefix"),
            ("\"eu-central-1\"", "\"\"", "stores.dynamodb.aws_region"),
        ] {
            let error = said(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.contains(key), "{error}");
        }
    }

    #[cfg(not(feature = "stores"))]
    #[test]
    fn a_build_without_them_refuses_them() {
        let error = toml::from_str::<Stores>(GOOD).unwrap().validate().unwrap_err().0;
        assert!(error.contains("feature `stores`"), "{error}");
    }

    #[test]
    fn addresses_are_taken_apart() {
        assert_eq!(host_port("valkey.example:1"), Some(("valkey.example", 1)));
        assert_eq!(host_port("[::1]:6379"), Some(("::1", 6379)));
        for bad in ["", "a", ":1", "a:", "a:65536", "::1:6379", "[::1:6379", "a b:1"] {
            assert_eq!(host_port(bad), None, "{bad:?}");
        }
    }
}
