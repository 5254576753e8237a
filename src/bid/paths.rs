//! The supply path of a request: the exchange that sent it and the systems it was sold through, by `asi`. What each path
//! brings and costs is counted, so that those that bring nothing can be cut.
//!
//! `sid`, the account within a system, is no part of it: every publisher has one of its own, so paths would be as many as
//! publishers times resellers, and what can be switched off is a system at an exchange.

use crate::bid::Outcome;
use crate::bid::admit::Exchange;
use crate::metrics::core::CoreMetrics;
use crate::metrics::paths::PathCounts;
use crate::snapshot::targeting::codes;
use crate::units::{Micros, PathKey};
use crate::wire::consent::Purposes;
use crate::wire::json::Text;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{BidRequest, Parts};

/// The path of one request, or nothing where it is not counted.
#[derive(Clone, Copy, Debug)]
pub struct Path(Option<(PathKey, &'static PathCounts)>);

const SYSTEMS: u64 = 0x510E_527F_ADE6_82D1;
/// The longest domain that is told from others by more than its length, bytes: longer ones are none (RFC 1035 section 2.3.4).
const SYSTEM_BYTES: usize = 253;

impl Path {
    /// Counts a request on its path. Tests, and requests of a bidder that counts no paths, have none.
    #[inline]
    pub fn of(
        metrics: &'static CoreMetrics,
        exchange: &Exchange,
        parts: &Parts<'_, '_>,
        request: &BidRequest<'_>,
    ) -> Path {
        if !metrics.paths.is_on() || request.test {
            return Path(None);
        }
        let mut hash = codes::hash(SYSTEMS, &exchange.key.0.to_le_bytes(), |word| word);
        each_system(parts, |system| hash = codes::hash(hash, system, codes::lower));
        let path = metrics.paths.claim(PathKey::of(hash), |counts| describe(counts, exchange, parts));
        if let Some((_, counts)) = path {
            counts.requests.add(1);
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

/// The systems of the chain, the owner's first; of a chain that cannot be read, what could be, and a question mark.
fn each_system(parts: &Parts<'_, '_>, mut each: impl FnMut(&[u8])) {
    let mut room = [0; SYSTEM_BYTES];
    let told = parts.systems(|system: Text<'_>| each(system.unescape(&mut room).unwrap_or(system.raw)));
    if told.is_err() {
        each(b"?");
    }
}

/// The systems as people read them. Those that do not fit are three dots together; what no domain has is a question mark.
#[cold]
fn describe(counts: &PathCounts, exchange: &Exchange, parts: &Parts<'_, '_>) {
    const MORE: &[u8] = b"...";
    let mut text = [0; PathCounts::NODES_BYTES];
    let (mut length, mut cut) = (0, false);
    each_system(parts, |system| {
        let start = length + usize::from(length > 0);
        cut |= start + system.len() + 1 + MORE.len() > text.len();
        if cut {
            return;
        }
        if length > 0 {
            text[length] = b' ';
        }
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
        text[length] = b' ';
        text[start..start + MORE.len()].copy_from_slice(MORE);
        length = start + MORE.len();
    }
    counts.describe(exchange.id.0, &text[..length]);
}
