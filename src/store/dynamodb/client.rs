//! The client: whom we ask, as whom, and for how long at most.
//!
//! The SDK repeats nothing by itself. Who has a deadline repeats within it ([`super::batch`]); who has none, uses
//! [`Client::patiently`].

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{IdentityCache, Region, StalledStreamProtectionConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use super::credentials::CredentialsFile;
use super::failure::Failure;
use super::tables::Table;
use crate::config::DynamoDb;

/// Attempts of a call that may wait.
const ATTEMPTS: u32 = 4;
/// Before the second of them; each further one waits twice as long.
const PAUSE: Duration = Duration::from_millis(25);

/// A client. Copies of it share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) sdk: aws_sdk_dynamodb::Client,
    prefix: String,
    pub(super) fetch: Duration,
}

/// What of the configuration cannot be used, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupError(String);

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SetupError {}

impl Client {
    /// A client as configured. It connects when it is first used.
    ///
    /// # Errors
    /// A file with a secret or with certificates cannot be used.
    pub fn new(config: &DynamoDb) -> Result<Client, SetupError> {
        let credentials = CredentialsFile::read(&config.credentials_file).map_err(SetupError)?;
        let mut trust = TrustStore::default();
        if let Some(path) = &config.ca_file {
            trust = TrustStore::empty().with_pem_certificate(certificates(path).map_err(SetupError)?);
        }
        let tls = TlsContext::builder().with_trust_store(trust).build();
        let tls = tls.map_err(|error| SetupError(format!("stores.dynamodb.ca_file: {error}")))?;
        let http = Builder::new().tls_provider(Provider::rustls(CryptoMode::Ring)).tls_context(tls).build_https();
        let timeout = config.timeout();
        let timeouts = TimeoutConfig::builder().connect_timeout(timeout).operation_timeout(timeout).build();
        let mut sdk = aws_sdk_dynamodb::Config::builder()
            .behavior_version_latest()
            .http_client(http)
            .region(Region::new(config.aws_region.clone()))
            .credentials_provider(credentials)
            // The file is looked at with each request, so that a new key is used at once.
            .identity_cache(IdentityCache::no_cache())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        sdk.set_endpoint_url(config.endpoint.clone());
        Ok(Client {
            sdk: aws_sdk_dynamodb::Client::from_conf(sdk.build()),
            prefix: config.table_prefix.clone(),
            fetch: config.fetch_timeout(),
        })
    }

    /// The full name of a table.
    pub fn table(&self, table: Table) -> String {
        format!("{}-{}", self.prefix, table.label())
    }

    /// Calls again, a few times and later and later, what failed and may do better: only for what may be done twice.
    pub(super) async fn patiently<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut attempt = 1;
        loop {
            match call().await {
                Err(failure) if failure.kind.is_passing() && attempt < ATTEMPTS => {
                    pause(PAUSE * (1 << (attempt - 1))).await;
                    attempt += 1;
                }
                ended => return ended,
            }
        }
    }
}

/// Between half of `most` and all of it, so that those who failed together do not come back together.
pub(super) async fn pause(most: Duration) {
    let share = getrandom::u32().unwrap_or(u32::MAX);
    let half = most / 2;
    tokio::time::sleep(half + half.mul_f64(f64::from(share) / f64::from(u32::MAX))).await;
}

/// The file, if all it holds is certificates.
fn certificates(path: &Path) -> Result<Vec<u8>, String> {
    let fail = |what: &dyn fmt::Display| format!("{}: {what}", path.display());
    let pem = fs::read(path).map_err(|error| fail(&format_args!("cannot read the certificates: {error}")))?;
    let mut count = 0;
    for item in ureq::tls::parse_pem(&pem) {
        match item {
            Ok(ureq::tls::PemItem::Certificate(_)) => count += 1,
            _ => return Err(fail(&"not only certificates in PEM")),
        }
    }
    if count == 0 { Err(fail(&"no certificate in PEM")) } else { Ok(pem) }
}
