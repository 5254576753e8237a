//! One request: what is sent, how long it may take, and what can go wrong before there is an answer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use ureq::http::{HeaderMap, Response};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, Error, Timeout};

use crate::limits;
use crate::supply::fetch::address::{Addresses, NotPublic};
use crate::supply::fetch::freshness;
use crate::supply::fetch::url::Url;
use crate::supply::store::{Entry, Status};

/// How the crawler connects.
#[derive(Debug, Default)]
pub struct Connection {
    /// Requests to private, loopback and link-local addresses are allowed.
    pub private: bool,
    /// Names with an address of their own; `*` is every name.
    pub fixed: HashMap<String, SocketAddr>,
    /// Root certificates in DER, instead of Mozilla's.
    pub roots: Option<Vec<Vec<u8>>>,
    /// Where the operator can be reached: part of the user agent.
    pub contact: Option<String>,
    /// Connections that are kept for the next file of their host.
    pub idle: usize,
}

/// Why a file was not got.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// For people.
    pub reason: String,
    /// The host itself does not answer: its other files need not be tried.
    pub host: bool,
    /// There is no TLS to be had, so plain HTTP may be tried (app-ads.txt 1.0: "if SSL is unavailable").
    pub no_tls: bool,
    /// When to come back, as the host says.
    pub retry_after: Option<Duration>,
}

impl Trouble {
    /// With this file only.
    pub fn new(reason: impl ToString) -> Trouble {
        Trouble { reason: reason.to_string(), host: false, no_tls: false, retry_after: None }
    }

    /// A status that is no file.
    pub fn status(status: u16, headers: &HeaderMap) -> Trouble {
        let retry_after = freshness::retry_after(headers);
        Trouble { retry_after, host: retry_after.is_some(), ..Trouble::new(format!("status {status}")) }
    }
}

/// Sends requests. Follows nothing by itself.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
}

impl Client {
    /// A client for many threads.
    pub fn new(connection: Connection) -> Client {
        let contact = connection.contact.as_deref().unwrap_or("supply chain crawler");
        let roots = match connection.roots {
            Some(roots) => roots.iter().map(|der| Certificate::from_der(der).to_owned()).collect::<Vec<_>>().into(),
            None => RootCerts::WebPki,
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Addresses are checked here; a proxy would look names up by itself.
            .proxy(None)
            .user_agent(format!("corebid/{} (+{contact})", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .max_response_header_size(limits::CRAWL_HEAD_BYTES)
            .input_buffer_size(limits::CRAWL_HEAD_BYTES)
            .output_buffer_size(limits::CRAWL_HEAD_BYTES)
            .max_idle_connections(connection.idle)
            .max_idle_connections_per_host(1)
            .build();
        let addresses = Addresses { private: connection.private, fixed: connection.fixed };
        Client { agent: Agent::with_parts(config, DefaultConnector::default(), addresses) }
    }

    /// Asks for a URL. The answer has `left` to arrive, its body included. With an entry that has a copy, only a newer one is
    /// asked for.
    pub fn get(&self, url: &Url, entry: &Entry, left: Duration) -> Result<Response<Body>, Trouble> {
        let mut request = self
            .agent
            .get(url.to_string())
            .config()
            .timeout_global(Some(left))
            .timeout_connect(Some(left / 3))
            .timeout_resolve(Some(left / 3))
            .build()
            .header("accept", "text/plain, application/json;q=0.9, */*;q=0.1")
            .header("accept-encoding", "gzip");
        if conditional(entry) {
            if let Some(etag) = &entry.etag {
                request = request.header("if-none-match", etag);
            }
            if let Some(date) = &entry.last_modified {
                request = request.header("if-modified-since", date);
            }
        }
        request.call().map_err(|error| trouble(error, url.secure))
    }
}

/// Only a newer copy is wanted.
pub fn conditional(entry: &Entry) -> bool {
    entry.status == Status::Good && (entry.etag.is_some() || entry.last_modified.is_some())
}

fn trouble(error: Error, secure: bool) -> Trouble {
    let reason = Trouble::new(&error);
    match error {
        Error::HostNotFound => Trouble { host: true, ..Trouble::new("the name has no address") },
        Error::Other(other) if other.is::<NotPublic>() => Trouble { host: true, ..Trouble::new(other) },
        Error::Timeout(Timeout::Resolve) => Trouble { host: true, ..reason },
        Error::Timeout(Timeout::Connect) | Error::ConnectionFailed => Trouble { host: true, no_tls: secure, ..reason },
        Error::Io(ref io) if io.kind() == std::io::ErrorKind::ConnectionRefused => {
            Trouble { host: true, no_tls: secure, ..reason }
        }
        Error::Io(_) | Error::Tls(_) | Error::Rustls(_) => Trouble { no_tls: secure, ..reason },
        _ => reason,
    }
}
