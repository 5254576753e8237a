//! The URLs of the crawler: http and https, a host, a path. What a `Location` may hold beyond that is refused.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::supply::fetch::names;

/// A longer path and query is refused, bytes.
const LONGEST: usize = 2048;
/// Printable ASCII that no URL holds as it is (RFC 3986 section 2), and that no client sends on.
const NEVER: &[u8] = b"\"<>`";

/// An absolute URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// https.
    pub secure: bool,
    /// In lower case; a leading `www.` stays, for it is where to connect to.
    pub host: String,
    port: Option<u16>,
    /// Path and query, beginning with a slash.
    path: String,
}

impl Url {
    /// A file at the root of a host.
    pub fn of(secure: bool, host: &str, file: &str) -> Url {
        Url { secure, host: host.to_owned(), port: None, path: format!("/{file}") }
    }

    /// Reads an absolute URL.
    pub fn parse(text: &str) -> Option<Url> {
        let (scheme, rest) = text.split_once("://")?;
        let secure = if scheme.eq_ignore_ascii_case("https") {
            true
        } else if scheme.eq_ignore_ascii_case("http") {
            false
        } else {
            return None;
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // Neither `user@host` nor an empty port: nobody who hosts a file needs them.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(number(port)?)),
            _ => (authority, None),
        };
        let host = host.to_ascii_lowercase();
        // A name may have blanks around it where people write it; what is connected to has none.
        if host.trim() != host || names::host(&host).is_none() && literal(&host).is_none() {
            return None;
        }
        let path = path.split('#').next()?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let plain = |byte: u8| byte.is_ascii_graphic() && !NEVER.contains(&byte);
        let good = path.len() <= LONGEST && path.bytes().all(plain);
        good.then_some(Url { secure, host, port, path })
    }

    /// Where a `Location` of this URL leads to (RFC 3986, 5.2, without dot segments: servers resolve those).
    pub fn join(&self, location: &str) -> Option<Url> {
        let location = location.trim();
        let scheme = if self.secure { "https" } else { "http" };
        if let Some(rest) = location.strip_prefix("//") {
            return Url::parse(&format!("{scheme}://{rest}"));
        }
        let before_path = location.split(['/', '?', '#']).next()?;
        if before_path.contains(':') {
            return Url::parse(location);
        }
        let path = match location.as_bytes().first()? {
            b'/' => location.to_owned(),
            b'?' => format!("{}{location}", self.path.split('?').next()?),
            _ => {
                let folder = self.path.split('?').next()?.rsplit_once('/')?.0;
                format!("{folder}/{location}")
            }
        };
        let authority = self.authority();
        Url::parse(&format!("{scheme}://{authority}{path}"))
    }

    /// The root domain of the host; an address is its own.
    pub fn root(&self) -> &str {
        if literal(&self.host).is_some() { &self.host } else { names::root(&self.host) }
    }

    fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(out, "{scheme}://{}{}", self.authority(), self.path)
    }
}

/// An address: IPv6 in brackets, IPv4 without.
fn literal(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::from),
    }
}

/// A port: digits, and no sign before them.
fn number(port: &str) -> Option<u16> {
    port.parse().ok().filter(|_| port.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_leads_to_what_rfc_3986_says() {
        let base = Url::parse("https://www.A.example:8443/b/c.txt?d=e").unwrap();
        for (location, wanted) in [
            ("/ads.txt", Some("https://www.a.example:8443/ads.txt")),
            ("ads.txt", Some("https://www.a.example:8443/b/ads.txt")),
            ("?f=g", Some("https://www.a.example:8443/b/c.txt?f=g")),
            ("//other.example/x", Some("https://other.example/x")),
            ("http://Other.example", Some("http://other.example/")),
            ("HTTPS://other.example?x#y", Some("https://other.example/?x")),
            ("http://169.254.169.254/latest", Some("http://169.254.169.254/latest")),
            ("http://[::1]:80/", Some("http://[::1]:80/")),
            ("/x?to=http://b.example/", Some("https://www.a.example:8443/x?to=http://b.example/")),
            ("ftp://other.example/", None),
            ("javascript:alert(1)", None),
            ("http://user:word@other.example/", None),
            ("http://localhost/", None),
            ("http://other.example:99999/", None),
            ("/a b", None),
            ("/\u{e9}", None),
            ("", None),
        ] {
            assert_eq!(base.join(location).map(|url| url.to_string()).as_deref(), wanted, "{location}");
        }
        assert_eq!(base.join(&format!("/{}", "x".repeat(3000))), None);
    }

    #[test]
    fn the_root_of_a_url_is_its_hosts() {
        for (url, wanted) in [
            ("https://www.a.example/", "a.example"),
            ("https://x.y.a.co.uk/", "a.co.uk"),
            ("https://10.0.0.1/", "10.0.0.1"),
        ] {
            assert_eq!(Url::parse(url).unwrap().root(), wanted);
        }
    }
}
