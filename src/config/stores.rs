//! `[stores]`: Valkey and DynamoDB, for a fleet of more than one machine. Left out, the node is its own authority.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;
use super::dynamodb::DynamoDb;
use crate::units::Region;

/// `[stores]`. Relative paths start from the configuration file's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stores {
    /// Where the users of these stores live. Users of another region are neither read nor written here.
    #[serde(deserialize_with = "super::parsed")]
    pub region: Region,
    /// `[stores.valkey]`: leases and frequency counts; without it the node is its own authority.
    pub valkey: Option<Valkey>,
    /// `[stores.dynamodb]`: processes, epochs, profiles, keys, campaigns.
    pub dynamodb: Option<DynamoDb>,
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
            timeout_ms: 1000,
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

/// The longest timeout, milliseconds: a lease lasts ten seconds, and an answer that comes later is worth nothing.
const MAX_TIMEOUT_MS: u16 = 5_000;

impl Stores {
    /// The files it names.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let Stores { valkey, dynamodb, .. } = self;
        let valkey = valkey.iter_mut().flat_map(|valkey| [&mut valkey.password_file, &mut valkey.ca_file]).flatten();
        valkey.chain(dynamodb.iter_mut().flat_map(DynamoDb::files))
    }

    /// The rules that span fields or that a type cannot hold.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let fail = |text: &str| Err(ConfigError(text.to_owned()));
        if cfg!(not(feature = "stores")) && *self != Stores::default() {
            return fail("[stores]: this program was built without them; build it with the feature `stores`");
        }
        if self.valkey.is_some() && self.dynamodb.is_none() {
            return fail("stores.valkey needs stores.dynamodb: processes and epochs are registered there");
        }
        self.valkey.as_ref().map_or(Ok(()), Valkey::validate)?;
        self.dynamodb.as_ref().map_or(Ok(()), DynamoDb::validate)
    }
}

impl Valkey {
    fn validate(&self) -> Result<(), ConfigError> {
        let fail = |text: String| Err(ConfigError(format!("stores.valkey.{text}")));
        if self.addresses.is_empty() {
            return fail("addresses is empty: name at least one server, such as \"10.0.0.1:6379\"".into());
        }
        if let Some(address) = self.addresses.iter().find(|address| host_port(address).is_none()) {
            return fail(format!("addresses {address:?}: write host:port, such as \"10.0.0.1:6379\""));
        }
        if self.username.is_some() && self.password_file.is_none() {
            return fail("username needs stores.valkey.password_file".into());
        }
        if self.ca_file.is_some() && !self.tls {
            return fail("ca_file needs stores.valkey.tls = true: without it nothing is verified".into());
        }
        if self.timeout_ms == 0 || self.timeout_ms > MAX_TIMEOUT_MS {
            return fail(format!("timeout_ms {}: 1 to {MAX_TIMEOUT_MS}", self.timeout_ms));
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
    // A number takes a sign, a port does not.
    let port = port.parse().ok().filter(|&number| number != 0 && !port.starts_with('+'))?;
    (!host.is_empty() && host.bytes().all(plain)).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "region = \"eu\"\n[valkey]\naddresses = [\"127.0.0.1:6379\"]\n[dynamodb]\naws_region = \"eu-central-1\"\n\
         credentials_file = \"aws\"\n";

    #[cfg(feature = "stores")]
    #[test]
    fn mistakes_are_named() {
        let said = |text: &str| toml::from_str::<Stores>(text).unwrap().validate().map_err(|error| error.0);
        assert_eq!(said(GOOD), Ok(()));
        for (from, to, key) in [
            ("\"127.0.0.1:6379\"", "", "stores.valkey.addresses"),
            (":6379", "", "stores.valkey.addresses"),
            (":6379", ":0", "stores.valkey.addresses"),
            ("[valkey]", "[valkey]\nusername = \"corebid\"", "stores.valkey.password_file"),
            ("[valkey]", "[valkey]\nca_file = \"ca.pem\"", "stores.valkey.tls"),
            ("[valkey]", "[valkey]\ntimeout_ms = 0", "stores.valkey.timeout_ms"),
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
