//! How often one address and one user come: more often than people do, it is no person.
//!
//! Each has a bucket that a request fills by one and time empties by the limit per window. One that overflows is over the limit,
//! and what comes then counts too, up to two limits: who keeps up the pace stays out, and who was quiet for a window is let in.
//!
//! ```text
//!    2 x limit ┤        ╭────────╮             what comes while it is over counts, no further than this
//!              │      ╭─╯        ╰─╮
//!        limit ┤- - ╭─╯ - - - - - -╰─╮- - -   above: no bid
//!              │  ╭─╯                ╰──╮
//!            0 ┤──╯                     ╰──    empty: its place is anybody's
//!              └──┴────── flood ───┴────┴───
//! ```
//!
//! So who asks no more than the limit in every interval of a window's length is never turned away: to be over at some moment,
//! more must have come since the bucket was last empty than the limit and what ran out meanwhile, hence in one of the windows
//! of that time more than the limit. Who asked more than twice the limit in the last window is always turned away, if its bucket was kept.
//!
//! Buckets are in a table of fixed size per core, four to a cache line, by a keyed hash of 64 bits. A full set gives up the emptiest:
//! sources that came once push each other out and not the ones that are counted, and what is forgotten is let through. The
//! error the other way, two sources in one bucket, takes equal hashes: less than one in 10^13 for a source among as many as the
//! table holds. The key is the process's own, drawn at its start, so nobody can choose whom to share with, and what the table holds is no address.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limits;
use crate::units::Nanos;

const WAYS: usize = 4;

/// Buckets of one kind of source.
#[derive(Debug)]
pub struct Velocity {
    /// Empty: switched off.
    sets: Box<[[Bucket; WAYS]]>,
    /// What one request fills, in ns of emptying.
    request_ns: u64,
    /// The limit, in the same.
    limit_ns: u64,
    /// SipHash: its key keeps who sends requests from choosing buckets.
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(16))]
struct Bucket {
    /// The source's hash; 0 is nobody's.
    source: u64,
    empty_at: Nanos,
}

const _: () = assert!(size_of::<[Bucket; WAYS]>() == 64);
const _: () = assert!((limits::VELOCITY / WAYS).is_power_of_two());

impl Velocity {
    /// Buckets for a limit of so many requests in so many seconds; without one nobody is ever over it, and no memory taken.
    pub fn new(limit: Option<u32>, seconds: u32) -> Velocity {
        let sets = if limit.is_some() { limits::VELOCITY / WAYS } else { 0 };
        let limit = u64::from(limit.unwrap_or(1).max(1));
        // Rounded down: who is at the limit exactly is not over it.
        let request_ns = u64::from(seconds) * Nanos::SECOND / limit;
        Velocity {
            sets: vec![[Bucket::default(); WAYS]; sets].into_boxed_slice(),
            request_ns,
            limit_ns: request_ns * limit,
            hasher: RandomState::new(),
        }
    }

    /// Whether anybody is counted.
    #[inline]
    pub fn is_on(&self) -> bool {
        !self.sets.is_empty()
    }

    /// Counts a request of this source; whether it is over the limit.
    #[inline]
    pub fn over(&mut self, source: impl Hash, now: Nanos) -> bool {
        if !self.is_on() {
            return false;
        }
        let source = self.hasher.hash_one(source).max(1);
        let place = (source >> 32) as usize & (self.sets.len() - 1);
        let set = &mut self.sets[place];
        let own = set.iter().position(|bucket| bucket.source == source);
        let way = own.unwrap_or_else(|| (0..WAYS).min_by_key(|&way| set[way].empty_at).unwrap_or(0));
        let before = own.map_or(0, |way| set[way].empty_at.since(now));
        let filled = before.saturating_add(self.request_ns);
        set[way] = Bucket { source, empty_at: now.after(filled.min(2 * self.limit_ns)) };
        filled > self.limit_ns
    }
}

/// What an address is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A whole IPv4 address.
    V4(u32),
    /// The first 64 bits of an IPv6 address: a subscriber has them all to choose the others from (RFC 6177, RFC 8981).
    V6(u64),
}

impl Source {
    /// Of an address as a request writes it; `None` if it is no single subscriber's. Those are what reaches us by mistake from inside a
    /// network, and addresses without their last bits, as exchanges send them for privacy: an IPv4 address that
    /// ends in 0 (256 people's), an IPv6 address whose last 64 bits are 0 (no host's, RFC 4291 section 2.6.1).
    #[inline]
    pub fn of(address: &[u8]) -> Option<Source> {
        let address = std::str::from_utf8(address).ok()?.parse::<IpAddr>().ok()?;
        match address.to_canonical() {
            IpAddr::V4(address) => is_subscribers(address).then(|| Source::V4(address.to_bits())),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                (is_global(address) && bits as u64 != 0).then_some(Source::V6((bits >> 64) as u64))
            }
        }
    }
}

fn is_subscribers(address: Ipv4Addr) -> bool {
    let [a, b, _, d] = address.octets();
    // RFC 6598: addresses of carriers' own networks.
    let is_carriers = a == 100 && b & 0xC0 == 64;
    let is_inside = address.is_private() || address.is_loopback() || address.is_link_local() || is_carriers;
    d != 0 && a != 0 && a < 224 && !is_inside
}

/// 2000::/3, all that is given out (RFC 4291 section 2.4).
fn is_global(address: Ipv6Addr) -> bool {
    address.segments()[0] >> 13 == 0b001
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_counted_by_who_has_it() {
        let of = |text: &str| Source::of(text.as_bytes());
        for (one, other) in
            [("203.0.113.9", "::ffff:203.0.113.9"), ("2001:db8:1:2::1", "2001:DB8:1:2:ffff:ffff:ffff:ffff")]
        {
            assert!(of(one).is_some() && of(one) == of(other), "{one} {other}");
        }
        for (one, other) in [("203.0.113.9", "203.0.113.8"), ("2001:db8:1:2::1", "2001:db8:1:3::1")] {
            assert!(of(one).is_some() && of(other).is_some() && of(one) != of(other), "{one} {other}");
        }
        for nobody in [
            "",
            "x",
            "203.0.113",
            "203.0.113.0",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "100.127.255.1",
            "0.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "fe80::1",
            "fd00::1",
            "2001:db8:1:2::",
            "2001:db8:1::",
        ] {
            assert_eq!(of(nobody), None, "{nobody}");
        }
        for somebody in ["100.63.255.1", "100.128.0.1", "172.32.0.1", "11.0.0.1", "3fff::1"] {
            assert!(of(somebody).is_some(), "{somebody}");
        }
    }
}
