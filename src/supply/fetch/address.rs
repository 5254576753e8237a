//! From names to addresses: only public ones, so that no publisher's redirect reaches what stands beside the bidder, such as
//! a cloud's metadata service. The addresses that were checked are those that are connected to, so a name that changes its
//! mind in between (DNS rebinding) gains nothing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// A name that leads to an address that is not public.
#[derive(Debug)]
pub struct NotPublic(IpAddr);

impl std::fmt::Display for NotPublic {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}: not a public address", self.0)
    }
}

impl std::error::Error for NotPublic {}

/// What is allowed, and what the operator says himself.
#[derive(Debug, Default)]
pub struct Addresses {
    /// Private addresses are as good as public ones.
    pub private: bool,
    /// Names with an address and a port of their own; `*` is every name.
    pub fixed: HashMap<String, SocketAddr>,
}

impl Resolver for Addresses {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().unwrap_or_default();
        // A literal address is never what an operator means by "every name".
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        if let Some(address) = self.fixed.get(host).or_else(|| self.fixed.get("*").filter(|_| !literal)) {
            let mut addresses = self.empty();
            addresses.push(*address);
            return Ok(addresses);
        }
        let found = DefaultResolver::default().resolve(uri, config, timeout).map_err(|error| match error {
            Error::Io(_) => Error::HostNotFound,
            error => error,
        })?;
        // One bad address is enough: a name that mixes both is not an honest one.
        match found.iter().find(|address| !self.private && !is_public(address.ip())) {
            Some(address) => Err(Error::Other(Box::new(NotPublic(address.ip())))),
            None => Ok(found),
        }
    }
}

/// An address that the IANA special-purpose registries call globally reachable, and that is not multicast.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(matches!(a, 0 | 10 | 127 | 224..)
        || (a == 100 && (64..128).contains(&b))
        || (a == 172 && (16..32).contains(&b))
        || (a == 198 && (18..20).contains(&b))
        || matches!((a, b), (169, 254) | (192, 168))
        || matches!((a, b, c), (192, 0, 0 | 2) | (192, 88, 99) | (198, 51, 100) | (203, 0, 113)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let [a, b, c, d, e, f, g, h] = address.segments();
    if [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0] {
        // NAT64: an IPv4 address in other clothes.
        let [[i, j], [k, l]] = [g.to_be_bytes(), h.to_be_bytes()];
        return is_public_v4(Ipv4Addr::new(i, j, k, l));
    }
    // Global unicast, less what the IETF keeps (Teredo among it), documentation and 6to4.
    a & 0xe000 == 0x2000
        && !(a == 0x2001 && b < 0x200)
        && !(a == 0x2001 && b == 0xdb8)
        && a != 0x2002
        && !(a == 0x3fff && b < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "100::1",
            "4000::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "169.253.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860::8888",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
