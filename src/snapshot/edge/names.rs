//! Block lists of a million names and more: a name is a 64-bit hash, and eight hashes are a cache line.
//!
//! ```text
//!   hash(name) ──► bucket, one cache line     ┌────┬────┬────┬────┬────┬────┬────┬────┐
//!                                             │ h0 │ h1 │ h2 │ h3 │ h4 │  0 │  0 │  0 │   0 is empty: the search ends
//!                                             └────┴────┴────┴────┴────┴────┴────┴────┘
//! ```
//!
//! The table is far larger than the caches near a core, so what a look-up costs is the lines it touches: one, but for the
//! few buckets that are full and run over into the next. A domain is looked up once for each number of labels that some
//! entry has, which is two or three times; these look-ups do not wait for each other.
//!
//! The hash is keyed, so that nobody can make a name that stands for another's. Two names of a list and a request of a
//! billion others would be taken for one with a probability of 5e-5.

use std::hash::{BuildHasher, RandomState};

use crate::snapshot::document::{Fault, fault};
use crate::snapshot::targeting::{DOMAIN_BYTES, LABELS, codes};

/// Hashes in a cache line.
const BUCKET: usize = 8;
/// Of which this many are used on average: then one bucket in fourteen runs over.
const FILLED: usize = 5;
/// Bytes of the longest bundle.
const BUNDLE_BYTES: usize = 256;

/// Names not to bid on.
#[derive(Clone, Debug, Default)]
pub struct Names {
    key: u64,
    /// Bit n: some domain has n + 1 labels.
    depths: u32,
    buckets: Box<[Bucket]>,
    count: usize,
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Bucket([u64; BUCKET]);

impl Names {
    /// A list of domains, one a line, each with all domains below it.
    pub(crate) fn domains(text: &str) -> Result<Names, Fault> {
        let (key, mut depths) = (key(), 0);
        let hashes = super::lines(text).map(|(line, number)| {
            let labels = labels(line).map_err(|what| Fault { line: number, what })?;
            depths |= 1 << (labels - 1);
            let mut hash = 0;
            codes::domains_from(key, line.as_bytes(), |of| hash = of);
            Ok(hash)
        });
        let hashes = hashes.collect::<Result<Vec<u64>, Fault>>()?;
        Ok(Names { key, depths, ..Names::of(hashes) })
    }

    /// A list of bundles, one a line, as exchanges write them: `com.example.app`, `1234567890`.
    pub(crate) fn bundles(text: &str) -> Result<Names, Fault> {
        let key = key();
        let hashes = super::lines(text).map(|(line, number)| match line {
            line if line.contains(char::is_whitespace) => fault(number, format!("{line:?} is two names: one a line")),
            line if line.len() > BUNDLE_BYTES => fault(number, format!("longer than {BUNDLE_BYTES} bytes")),
            line => Ok(codes::hash(key, line.as_bytes(), |word| word)),
        });
        let hashes = hashes.collect::<Result<Vec<u64>, Fault>>()?;
        Ok(Names { key, ..Names::of(hashes) })
    }

    fn of(mut hashes: Vec<u64>) -> Names {
        hashes.iter_mut().for_each(|hash| *hash = (*hash).max(1));
        hashes.sort_unstable();
        hashes.dedup();
        if hashes.is_empty() {
            return Names::default();
        }
        let mut buckets = vec![Bucket::default(); hashes.len() / FILLED + 1].into_boxed_slice();
        for &hash in &hashes {
            let mut at = place(hash, buckets.len());
            // There is room somewhere: five of eight are used.
            loop {
                if let Some(slot) = buckets[at].0.iter_mut().find(|slot| **slot == 0) {
                    *slot = hash;
                    break;
                }
                at = if at + 1 == buckets.len() { 0 } else { at + 1 };
            }
        }
        Names { key: 0, depths: 0, count: hashes.len(), buckets }
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of it all.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.buckets[..])
    }

    /// Whether the domain, or one above it, is on a list of domains.
    #[inline]
    pub fn covers(&self, domain: &[u8]) -> bool {
        let (mut depth, mut found) = (0, false);
        codes::domains_from(self.key, domain, |hash| {
            found |= self.depths >> depth & 1 == 1 && self.holds(hash);
            depth += 1;
        });
        found
    }

    /// Whether the bundle is on a list of bundles.
    #[inline]
    pub fn names(&self, bundle: &[u8]) -> bool {
        !self.is_empty() && !bundle.is_empty() && self.holds(codes::hash(self.key, bundle, |word| word))
    }

    #[inline]
    fn holds(&self, hash: u64) -> bool {
        let hash = hash.max(1);
        let mut at = place(hash, self.buckets.len());
        loop {
            let Bucket(hashes) = &self.buckets[at];
            // All eight are compared, whatever the first says: that is two instructions wide.
            if hashes.iter().fold(false, |found, &held| found | (held == hash)) {
                return true;
            }
            if hashes[BUCKET - 1] == 0 {
                return false;
            }
            at = if at + 1 == self.buckets.len() { 0 } else { at + 1 };
        }
    }
}

/// The bucket of a hash, from its high bits.
#[inline]
fn place(hash: u64, buckets: usize) -> usize {
    ((u128::from(hash) * buckets as u128) >> 64) as usize
}

/// Another key in every process.
fn key() -> u64 {
    RandomState::new().hash_one(0)
}

/// How many labels a domain of a list has.
fn labels(domain: &str) -> Result<usize, String> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let labels = domain.split('.').count();
    if domain.len() > DOMAIN_BYTES {
        Err(format!("longer than {DOMAIN_BYTES} bytes: no domain"))
    } else if !domain.is_ascii() {
        // Exchanges and pages write the name that is in the DNS (RFC 5890): another spelling would block nothing.
        Err(format!(
            "{domain:?} is not ASCII: write it in punycode, such as xn--mnchen-3ya.example for m\u{fc}nchen.example"
        ))
    } else if !domain.split('.').all(|label| !label.is_empty() && label.bytes().all(plain)) {
        Err(format!("{domain:?} is no domain: write example.com, without scheme, port, path and wildcard"))
    } else if labels > LABELS {
        Err(format!("{domain:?} has more than {LABELS} labels: block the domain above it"))
    } else {
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_domain_covers_what_is_below_it() {
        let list = Names::domains("example.com\nads.Other.example.\nru\n").unwrap();
        for blocked in ["example.com", "EXAMPLE.com", "a.b.example.com", "example.com.", "ads.other.example", "x.ru"] {
            assert!(list.covers(blocked.as_bytes()), "{blocked}");
        }
        for free in ["anexample.com", "com", "other.example", "xads.other.example", "", ".", "xru", "ru.example"] {
            assert!(!list.covers(free.as_bytes()), "{free}");
        }
        assert!(!Names::default().covers(b"example.com") && !Names::default().names(b"x"));
    }

    #[test]
    fn the_table_holds_what_a_set_holds() {
        let name = |at: u32| format!("app{}.n{}.example", at % 7, at.wrapping_mul(2_654_435_761) % 60_000);
        let listed: HashSet<String> = (0..40_000).map(name).collect();
        let text = (0..40_000).map(|at| name(at) + "\n").collect::<String>();
        let (domains, bundles) = (Names::domains(&text).unwrap(), Names::bundles(&text).unwrap());
        assert_eq!((domains.len(), bundles.len()), (listed.len(), listed.len()));
        for at in 0..80_000 {
            let name = name(at);
            assert_eq!(domains.covers(name.as_bytes()), listed.contains(&name), "{name}");
            assert_eq!(bundles.names(name.as_bytes()), listed.contains(&name), "{name}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let deep = format!("ok.example\n{}x.example\n", "a.".repeat(7));
        for (text, line) in [
            ("ok.example\nhttps://example.com/\n", 2),
            ("*.example.com", 1),
            ("a..b", 1),
            ("\n\na b", 3),
            (deep.as_str(), 2),
            (&"x".repeat(254), 1),
            ("ok.example\nm\u{fc}nchen.example\n", 2),
        ] {
            assert_eq!(Names::domains(text).unwrap_err().line, line, "{text}");
        }
        assert!(Names::domains("m\u{fc}nchen.example").unwrap_err().what.contains("punycode"));
        assert!(Names::domains("xn--mnchen-3ya.example").unwrap().covers(b"www.xn--mnchen-3ya.example"));
        assert_eq!(Names::bundles("com.a\ncom.b com.c").unwrap_err().line, 2);
    }
}
