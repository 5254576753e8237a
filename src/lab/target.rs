//! Where requests go: an `http://` URL whose host is an address or a name the system resolves.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};

/// An HTTP endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// Host and port as written: the `Host` header (RFC 9110 section 7.2).
    pub authority: String,
    /// Path and query, from the first `/`.
    pub path: String,
}

/// Why a URL is not a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadTarget {
    /// Not `http://host[:port][/path]`.
    Syntax(String),
    /// The host has no address.
    Unresolved(String),
}

impl fmt::Display for BadTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadTarget::Syntax(url) => write!(f, "`{url}` is not of the form http://HOST:PORT/PATH"),
            BadTarget::Unresolved(url) => write!(f, "the host of `{url}` has no address"),
        }
    }
}

impl std::error::Error for BadTarget {}

/// Authority and path of an `http://` URL; the path is `/` if there is none.
pub fn split(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let fits = !authority.is_empty() && !authority.contains('@') && plain(authority) && plain(path);
    fits.then_some((authority, if path.is_empty() { "/" } else { path }))
}

impl Target {
    /// Reads a URL and resolves its host once, with the system's resolver. Port 80 if none is given.
    pub fn parse(url: &str) -> Result<Target, BadTarget> {
        let (authority, path) = split(url).ok_or_else(|| BadTarget::Syntax(url.to_owned()))?;
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let resolved = match has_port {
            true => authority.to_socket_addrs(),
            false => format!("{authority}:80").to_socket_addrs(),
        };
        // IPv4 first: `localhost` is often both, and a bidder listens on 127.0.0.1 more often than on ::1.
        let mut addresses: Vec<_> = resolved.map_err(|_| BadTarget::Unresolved(url.to_owned()))?.collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        let address = *addresses.first().ok_or_else(|| BadTarget::Unresolved(url.to_owned()))?;
        Ok(Target { address, authority: authority.to_owned(), path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_targets() {
        let target = Target::parse("http://127.0.0.1:8080/openrtb/generic?a=b").expect("a target");
        assert_eq!(target.address.to_string(), "127.0.0.1:8080");
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("127.0.0.1:8080", "/openrtb/generic?a=b"));
        assert_eq!(Target::parse("http://[::1]:81").expect("a target").address.to_string(), "[::1]:81");
        assert_eq!(Target::parse("http://10.0.0.1").expect("a target").address.port(), 80);
        assert!(Target::parse("http://localhost:9000/x").expect("a target").address.ip().is_loopback());
    }

    #[test]
    fn what_is_not_a_url_is_refused() {
        for url in
            ["", "127.0.0.1:80/", "https://127.0.0.1/", "http://", "http:///x", "http://a b/", "http://h/\r\nx: y"]
        {
            assert!(Target::parse(url).is_err(), "{url:?}");
        }
    }
}
