//! Networks of data centres: sorted ranges without overlap, IPv4 by way of an index over the first 16 bits of an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::snapshot::document::{Fault, fault};

/// Ranges of addresses.
#[derive(Clone, Debug, Default)]
pub struct Networks {
    v4: Ranges<u32>,
    /// How many ranges of `v4` begin before each first half of an address, and all of them at the end. Empty if there are none.
    index: Box<[u32]>,
    v6: Ranges<u128>,
}

/// Apart from each other, in order; the ends stand by themselves, because only one of them is looked at.
#[derive(Clone, Debug, Default)]
struct Ranges<A> {
    first: Box<[A]>,
    last: Box<[A]>,
}

impl Networks {
    /// A list: one address or network (`192.0.2.0/24`, `2001:db8::/32`) a line.
    pub(crate) fn parse(text: &str) -> Result<Networks, Fault> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (line, number) in super::lines(text) {
            let Ok(net) = line.parse::<IpNet>().or_else(|_| line.parse::<IpAddr>().map(IpNet::from)) else {
                return fault(number, format!("{line:?} is no network: write 192.0.2.0/24 or 2001:db8::/32"));
            };
            match canonical(net) {
                Some(IpNet::V4(net)) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                Some(IpNet::V6(net)) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
                None => {
                    let what = format!("{line:?} is wider than IPv4: a mapped network has a prefix of {MAPPED} to 128");
                    return fault(number, what);
                }
            }
        }
        let v4 = Ranges::of(v4);
        let before = |half: u32| v4.first.partition_point(|&first| first >> 16 < half) as u32;
        let index = if v4.first.is_empty() { Box::default() } else { (0..=1 << 16).map(before).collect() };
        Ok(Networks { index, v4, v6: Ranges::of(v6) })
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.v4.first.is_empty() && self.v6.first.is_empty()
    }

    /// How many ranges are left of the list: those that touch are one.
    pub fn len(&self) -> usize {
        self.v4.first.len() + self.v6.first.len()
    }

    /// Whether an address, as a request writes it, is in one of them. What is no address is not.
    #[inline]
    pub fn hold(&self, address: &[u8]) -> bool {
        let parsed = std::str::from_utf8(address).ok().and_then(|text| text.parse::<IpAddr>().ok());
        match parsed.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => self.hold_v4(address),
            Some(IpAddr::V6(address)) => self.hold_v6(address),
            None => false,
        }
    }

    /// Whether an IPv4 address is in one of them.
    #[inline]
    pub fn hold_v4(&self, address: Ipv4Addr) -> bool {
        let address = address.to_bits();
        let half = (address >> 16) as usize;
        let (Some(&from), Some(&to)) = (self.index.get(half), self.index.get(half + 1)) else { return false };
        self.v4.hold(address, from as usize, to as usize)
    }

    /// Whether an IPv6 address is in one of them.
    #[inline]
    pub fn hold_v6(&self, address: Ipv6Addr) -> bool {
        self.v6.hold(address.to_bits(), 0, self.v6.first.len())
    }
}

/// Bits before an IPv4 address in an IPv6 one (RFC 4291 section 2.5.5.2).
const MAPPED: u8 = 96;

/// An IPv4-mapped network as the IPv4 network that it is, because addresses are asked about in that form; nothing if it
/// reaches beyond IPv4.
fn canonical(net: IpNet) -> Option<IpNet> {
    let IpNet::V6(wide) = net else { return Some(net) };
    match wide.addr().to_ipv4_mapped() {
        None => Some(net),
        Some(address) => IpNet::new(address.into(), wide.prefix_len().checked_sub(MAPPED)?).ok(),
    }
}

impl<A: Ord + Copy> Ranges<A> {
    fn of(mut ranges: Vec<(A, A)>) -> Ranges<A> {
        ranges.sort_unstable();
        let mut apart: Vec<(A, A)> = Vec::new();
        for (first, last) in ranges {
            match apart.last_mut() {
                Some(before) if first <= before.1 => before.1 = before.1.max(last),
                _ => apart.push((first, last)),
            }
        }
        let (first, last): (Vec<A>, Vec<A>) = apart.into_iter().unzip();
        Ranges { first: first.into(), last: last.into() }
    }

    /// Whether an address is in a range. Those that begin at or before it are all before `to`, those before `from` among them.
    #[inline]
    fn hold(&self, address: A, from: usize, to: usize) -> bool {
        let after = from + self.first[from..to].partition_point(|&first| first <= address);
        after > 0 && address <= self.last[after - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_of_both_kinds_as_requests_write_them() {
        let text = "10.0.0.0/8\n10.1.0.0/16 # inside\n192.0.2.7\n198.51.100.9/24\n2001:db8::/32\n0.0.0.0/32\n255.255.255.255\n";
        let list = Networks::parse(text).unwrap();
        assert_eq!(list.len(), 6);
        for inside in [
            "10.0.0.0",
            "10.255.255.255",
            "192.0.2.7",
            "198.51.100.255",
            "::ffff:10.1.2.3",
            "2001:DB8::1",
            "0.0.0.0",
            "255.255.255.255",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        ] {
            assert!(list.hold(inside.as_bytes()), "{inside}");
        }
        for outside in
            ["9.255.255.255", "11.0.0.0", "192.0.2.6", "192.0.2.8", "2001:db9::", "", "10.0.0", "10.0.0.256", "x"]
        {
            assert!(!list.hold(outside.as_bytes()), "{outside}");
        }
        assert!(!Networks::default().hold(b"10.0.0.0"));
        assert_eq!(Networks::parse("10.0.0.0/8\n10.0.0.0/33").unwrap_err().line, 2);
    }

    #[test]
    fn a_mapped_network_is_the_ipv4_network() {
        let list = Networks::parse("::ffff:81.2.69.0/120\n::ffff:192.0.2.7\n::FFFF:c612:0/111\n").unwrap();
        for inside in ["81.2.69.0", "81.2.69.255", "::ffff:81.2.69.9", "192.0.2.7", "198.18.0.0", "198.19.255.255"] {
            assert!(list.hold(inside.as_bytes()), "{inside}");
        }
        for outside in ["81.2.68.255", "81.2.70.0", "192.0.2.8", "198.20.0.0", "::51.2.69.0", "::5102:4500"] {
            assert!(!list.hold(outside.as_bytes()), "{outside}");
        }
        assert!(Networks::parse("::ffff:0.0.0.0/96").unwrap().hold(b"203.0.113.1"));
        let wide = Networks::parse("10.0.0.0/8\n::ffff:81.2.69.0/95").unwrap_err();
        assert!(wide.line == 2 && wide.what.contains("96 to 128"), "{wide:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn an_address_is_held_if_some_network_contains_it(
            nets in prop::collection::vec((any::<u32>(), 0u8..=32), 0..20),
            wide in prop::collection::vec((any::<u128>(), 0u8..=128), 0..20),
            others in prop::collection::vec(any::<u32>(), 20),
        ) {
            let v4: Vec<IpNet> = nets.iter().map(|&(bits, prefix)| IpNet::new(Ipv4Addr::from(bits).into(), prefix).unwrap()).collect();
            let v6: Vec<IpNet> = wide.iter().map(|&(bits, prefix)| IpNet::new(Ipv6Addr::from(bits).into(), prefix).unwrap()).collect();
            let all: Vec<IpNet> = v4.into_iter().chain(v6).collect();
            let text: String = all.iter().map(|net| format!("{net}\n")).collect();
            let list = Networks::parse(&text).unwrap();
            let edges = all.iter().flat_map(|net| match net {
                IpNet::V4(net) => {
                    let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
                    [first, last, first.wrapping_sub(1), last.wrapping_add(1)].map(|bits| IpAddr::from(Ipv4Addr::from(bits)))
                }
                IpNet::V6(net) => {
                    let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
                    [first, last, first.wrapping_sub(1), last.wrapping_add(1)].map(|bits| IpAddr::from(Ipv6Addr::from(bits)))
                }
            });
            let others = others.iter().map(|&bits| IpAddr::from(Ipv4Addr::from(bits)));
            for address in edges.chain(others).map(|address| address.to_canonical()) {
                let held = all.iter().any(|net| net.contains(&address));
                prop_assert_eq!(list.hold(address.to_string().as_bytes()), held, "{}", address);
            }
        }
    }
}
