//! The supply path of a request: the exchange that sent it and the systems it was sold through, by `asi`. What each path
//! brings and costs is counted, so that those that bring nothing can be cut.
//!
//! `sid`, the account within a system, is no part of it: every publisher has one of its own, so paths would be as many as
//! publishers times resellers, and what can be switched off is a system at an exchange.

use crate::bid::admit::Exchange;
use crate::bid::{Outcome, Pass};
use crate::metrics::core::CoreMetrics;
use crate::metrics::paths::PathCounts;
use crate::snapshot::supply::domain;
use crate::snapshot::targeting::codes;
use crate::units::{Micros, PathKey};
use crate::wire::consent::Purposes;
use crate::wire::openrtb::chain::{Form, SupplyChain, SupplyChainNode};
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{BidRequest, Parts};

/// The path of one request, or nothing where it is not counted.
#[derive(Clone, Copy, Debug)]
pub struct Path(Option<(PathKey, &'static PathCounts)>);

const SYSTEMS: u64 = 0x510E_527F_ADE6_82D1;
/// Room for a domain whose JSON has escapes in it; a longer one is none (RFC 1035 section 2.3.4), and read as it stands.
const SYSTEM_BYTES: usize = 253;

impl Path {
    /// Counts a request on its path. Tests, and requests of a bidder that counts no paths, have none.
    #[inline]
    pub fn of<'r>(
        metrics: &'static CoreMetrics,
        exchange: &Exchange,
        parts: &mut Parts<'r, '_>,
        request: &mut BidRequest<'r>,
        pass: Pass,
    ) -> Path {
        if !metrics.paths.is_on() || request.test {
            return Path(None);
        }
        parts.systems(request);
        let mut hash = codes::hash(SYSTEMS, &exchange.key.0.to_le_bytes(), |word| word);
        each_system(&request.schain, |system| hash = codes::hash(hash, system, codes::lower));
        let path = metrics.paths.claim(PathKey::of(hash), |counts| describe(counts, exchange, &request.schain));
        if let Some((_, counts)) = path {
            counts.requests.add(u64::from(pass == Pass::First));
        }
        Path(path)
    }

    /// Counts a refusal, if it is one that tells something of the path.
    pub fn refused(self, outcome: Outcome) {
        if let Some((_, counts)) = self.0.filter(|_| outcome == NoBidReason::Duplicate.into()) {
            counts.duplicates.add(1);
        }
    }

    /// What the bids of this request carry, so that their wins count for the path: nothing without leave to measure.
    #[inline]
    pub fn claimed(self, purposes: Purposes) -> PathKey {
        self.0.filter(|_| purposes.has(Purposes::MEASURE)).map_or(PathKey::NONE, |(key, _)| key)
    }

    /// Counts a bid that carries `claimed` and would cost `money` at most.
    #[inline]
    pub fn bid(self, claimed: PathKey, money: Micros) {
        if let Some((_, counts)) = self.0 {
            counts.bids.add(1);
            counts.measured.add(u64::from(claimed != PathKey::NONE));
            counts.bid_micros.add(money.0 as u64);
        }
    }
}

/// The systems of the chain, the owner's first; of a chain that cannot be read, a question mark.
fn each_system(chain: &SupplyChain<'_>, mut each: impl FnMut(&[u8])) {
    let mut room = [0; SYSTEM_BYTES];
    for SupplyChainNode { asi, .. } in &chain.nodes {
        each(domain(asi.unescape(&mut room).unwrap_or(asi.raw)));
    }
    if chain.form == Form::Malformed {
        each(b"?");
    }
}

/// The systems as people read them. Those that do not fit are three dots together; what no domain has is a question mark.
#[cold]
fn describe(counts: &PathCounts, exchange: &Exchange, chain: &SupplyChain<'_>) {
    const MORE: &[u8] = b"...";
    let mut text = [0; PathCounts::NODES_BYTES];
    let (mut length, mut cut) = (0, false);
    each_system(chain, |system| {
        let start = length + usize::from(length > 0);
        cut |= start + system.len() + 1 + MORE.len() > text.len();
        if cut {
            return;
        }
        text[length..start].fill(b' ');
        for (place, letter) in text[start..].iter_mut().zip(system) {
            *place = match letter {
                b'-' | b'.' | b'_' => *letter,
                _ if letter.is_ascii_alphanumeric() => letter.to_ascii_lowercase(),
                _ => b'?',
            };
        }
        length = start + system.len();
    });
    if cut {
        let start = length + usize::from(length > 0);
        text[length..start].fill(b' ');
        text[start..start + MORE.len()].copy_from_slice(MORE);
        length = start + MORE.len();
    }
    counts.describe(exchange.id.0, &text[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bid::admit::Exchanges;
    use crate::config::Config;
    use crate::limits;
    use crate::wire::json::Scratch;

    fn counted() -> &'static CoreMetrics {
        Box::leak(Box::new(CoreMetrics::new(true)))
    }

    fn path(metrics: &'static CoreMetrics, chain: &str) -> (Path, String) {
        let exchanges = Exchanges::new(&Config::demo(std::path::Path::new("")));
        let body = format!(r#"{{"id":"1","imp":[{{"id":"1"}}],"source":{{"schain":{chain}}}}}"#);
        let (mut scratch, mut request) = (Scratch::new(limits::BODY_BYTES), BidRequest::default());
        let mut parts = Parts::open(body.as_bytes(), &mut scratch, &mut request).unwrap();
        let path = Path::of(metrics, exchanges.by_name("generic").unwrap(), &mut parts, &mut request, Pass::First);
        (path, path.0.unwrap().1.nodes())
    }

    /// A chain of these systems.
    fn chain(systems: &[&str]) -> String {
        let nodes: Vec<_> =
            systems.iter().map(|asi| format!(r#"{{"sid":"{}","asi":"{asi}","hp":1}}"#, asi.len())).collect();
        format!(r#"{{"ver":"1.0","complete":1,"nodes":[{}]}}"#, nodes.join(","))
    }

    #[test]
    fn systems_make_the_path_whoever_sells_there() {
        let metrics = counted();
        let key = |chain: &str| path(metrics, chain).0.claimed(Purposes::ALL);
        let (_, read) = path(metrics, &chain(&["owner.example", "reseller.example"]));
        assert_eq!(read, "owner.example reseller.example");
        let first = key(&chain(&["owner.example", "reseller.example"]));
        for same in [
            chain(&["Owner.Example", "reseller.example"]),
            chain(&["WWW.owner.example", "reseller.example."]),
            chain(&["owner.example", "reseller.example"]).replace("\"sid\":\"13\"", "\"sid\":\"other\""),
            chain(&["owner.example", "res\\u0065ller.example"]),
        ] {
            assert_eq!(key(&same), first, "{same}");
        }
        let others = [
            chain(&["reseller.example", "owner.example"]),
            chain(&["owner.examplereseller.example"]),
            chain(&["owner.example"]),
            chain(&[]),
        ];
        for other in others {
            assert_ne!(key(&other), first, "{other}");
        }
        assert_eq!(key("null"), key(&chain(&[])), "a chain without nodes says no more than none");
    }

    #[test]
    fn what_cannot_be_read_is_a_path_of_its_own_and_text_is_plain() {
        let metrics = counted();
        for (chain, read) in [
            (r#"{"nodes":7}"#, "?"),
            (r#"{"nodes":[{"asi":"a.example"},{"asi":7}]}"#, "?"),
            (r#"{"nodes":[{"asi":"a\nb <c>.example"}]}"#, "a?b??c?.example"),
            (r#"[]"#, "?"),
        ] {
            assert_eq!(path(metrics, chain).1, read);
        }
        let long: Vec<_> = (0..limits::CHAIN_NODES).map(|at| format!("reseller-{at:02}.example")).collect();
        let (_, read) = path(metrics, &chain(&long.iter().map(String::as_str).collect::<Vec<_>>()));
        assert!(read.starts_with("reseller-00.example reseller-01.example ") && read.ends_with(" ..."), "{read}");
        assert_eq!(path(metrics, &chain(&["x".repeat(500).as_str()])).1, "...");
    }

    /// Who does not let performance be measured is bid to, and the win is nobody's.
    #[test]
    fn without_leave_to_measure_a_bid_carries_no_path() {
        let metrics = counted();
        let (path, _) = path(metrics, "null");
        let Some((_, counts)) = path.0 else { panic!("counted") };
        let granted = Purposes(Purposes::ALL.0 & !Purposes::MEASURE.0);
        for purposes in [Purposes::ALL, granted] {
            path.bid(path.claimed(purposes), Micros(5));
        }
        assert_eq!(path.claimed(granted), PathKey::NONE);
        assert_eq!((counts.bids.get(), counts.measured.get(), counts.bid_micros.get()), (2, 1, 10));
    }
}
