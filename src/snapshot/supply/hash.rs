//! What the table knows instead of names: 64-bit hashes under a key that each build draws anew, so that nobody can make a
//! domain or an account that is taken for another's.
//!
//! ```text
//!   domain ─► domain(..) ──┬──────────────► file(kind, ..) ──┐
//!   asi ────► domain(..) ──┴─► seller(asi, account) ─────────┴─► pair(file, seller)
//!   sid ────► account(..) ─────┘
//! ```
//!
//! A text is hashed once; what it is asked together with costs one multiplication more. The construction is that of wyhash
//! (Wang Yi, 2020): the folded product of the text, sixteen bytes at a time, with a secret. It is part of the file's layout.

use std::fmt;

use crate::snapshot::targeting::codes::lower;

/// Bytes of the longest domain (RFC 1035 section 2.3.4, as text).
pub(super) const DOMAIN_BYTES: usize = 253;

/// The key of a table.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Key(pub(super) [u64; 2]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(secret)")
    }
}

/// Of which file of a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `ads.txt`, of sites.
    AdsTxt,
    /// `app-ads.txt`, of apps, by their developer's domain.
    AppAdsTxt,
}

/// The texts of one kind are apart from those of another.
const DOMAIN: u64 = 1 << 32;
const ACCOUNT: u64 = 2 << 32;
const BUNDLE: u64 = 3 << 32;
/// In the place of a file: the operator's block list.
pub(super) const BLOCKED: u64 = 3;

impl Key {
    /// A new one.
    pub(super) fn random() -> std::io::Result<Key> {
        Ok(Key([getrandom::u64()?, getrandom::u64()?]))
    }

    /// Of a domain as [`domain`] leaves it, whatever its case.
    #[inline]
    pub(super) fn domain(self, name: &[u8]) -> u64 {
        self.text(DOMAIN, name, lower)
    }

    /// Of an account of a system, trimmed.
    #[inline]
    pub(super) fn account(self, sid: &[u8]) -> u64 {
        self.text(ACCOUNT, sid, |word| word)
    }

    /// Of an app, trimmed.
    #[inline]
    pub(super) fn bundle(self, bundle: &[u8]) -> u64 {
        self.text(BUNDLE, bundle, |word| word)
    }

    /// Of a publisher's file, by the hash of its domain. Its low half is not 0, so that a slot keeps all of it.
    #[inline]
    pub(super) fn file(self, kind: Kind, domain: u64) -> u64 {
        let hash = self.join(domain, 1 + kind as u64);
        hash | u64::from(hash as u32 == 0)
    }

    /// Of an account in a system, by their hashes; and of a seller in a file.
    #[inline]
    pub(super) fn join(self, of: u64, what: u64) -> u64 {
        let Key([a, b]) = self;
        fold(of ^ a, what ^ b)
    }

    #[inline]
    fn text(self, kind: u64, bytes: &[u8], cased: impl Fn(u64) -> u64) -> u64 {
        let Key([a, b]) = self;
        let (words, rest) = bytes.as_chunks::<8>();
        let (pairs, odd) = words.as_chunks::<2>();
        let word = |word: &[u8; 8]| cased(u64::from_le_bytes(*word));
        let hash = pairs.iter().fold(b ^ kind, |hash, [low, high]| fold(word(low) ^ a, word(high) ^ hash));
        let hash = fold(odd.first().map_or(0, word) ^ a, cased(tail(rest)) ^ hash);
        // The length comes in where no text does: beside the text, `1` and `21` would be one, whatever the key.
        fold(hash ^ b, kind ^ bytes.len() as u64 ^ a)
    }
}

/// What is kept of a domain that is only ever compared with one other: 29 bits, never 0.
#[inline]
pub(super) fn short(domain: u64) -> u32 {
    ((domain >> 35) as u32).max(1)
}

/// A domain or host as files and requests write it, without what does not count: white space, the dot of the root, and a
/// leading `www.`.
#[inline]
pub fn domain(written: &[u8]) -> &[u8] {
    let name = written.trim_ascii();
    let name = name.strip_suffix(b".").unwrap_or(name);
    match name.split_at_checked(4) {
        Some((www, rest)) if www.eq_ignore_ascii_case(b"www.") && rest.contains(&b'.') => rest,
        _ => name,
    }
}

#[inline]
fn fold(x: u64, y: u64) -> u64 {
    let product = u128::from(x) * u128::from(y);
    (product >> 64) as u64 ^ product as u64
}

/// Fewer than eight bytes as a word; with the length it is unambiguous.
#[inline]
fn tail(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
    } else if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
        u64::from(*first) | u64::from(bytes[bytes.len() / 2]) << 8 | u64::from(*last) << 16
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_compare_as_the_trade_compares_them() {
        let key = Key::random().unwrap();
        let same = |a: &str, b: &str| key.domain(domain(a.as_bytes())) == key.domain(domain(b.as_bytes()));
        for written in ["Example.COM", "www.example.com", "WWW.example.com.", " example.com\t"] {
            assert!(same(written, "example.com"), "{written}");
        }
        for other in ["www2.example.com", "a.example.com", "www.www.example.com", "example.co", "", "www."] {
            assert!(!same(other, "example.com"), "{other}");
        }
        assert!(same("www.com", "WWW.COM") && !same("www.com", "com"));
        assert_ne!(key.account(b"Pub-1"), key.account(b"pub-1"));
    }

    #[test]
    fn every_byte_and_kind_counts() {
        let key = Key::random().unwrap();
        let mut seen = HashSet::new();
        for length in 0..=64 {
            let mut text = vec![b'-'; length];
            assert!(
                seen.insert(key.account(&text)) && seen.insert(key.domain(&text)) && seen.insert(key.bundle(&text))
            );
            for at in 0..length {
                text[at] = b'+';
                assert!(seen.insert(key.account(&text)), "byte {at} of {length}");
                text[at] = b'-';
            }
        }
        let digits: HashSet<u64> = (0..100_000).map(|number: u32| key.account(number.to_string().as_bytes())).collect();
        assert_eq!(digits.len(), 100_000);
        let [domain, account] = [key.domain(b"a.example"), key.account(b"1")];
        assert_ne!(key.join(domain, account), key.join(account, domain));
        assert_ne!(key.file(Kind::AdsTxt, domain), key.file(Kind::AppAdsTxt, domain));
    }

    #[test]
    fn a_file_made_elsewhere_is_understood() {
        // The layout's own, worked out with integers of any size: these may change only with its version.
        let key = Key([0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210]);
        let all = [key.domain(b"exchange.example"), key.account(b"pub-0000000000000000"), key.bundle(b"com.example")];
        assert_eq!(all, [0x7510_7cea_40ab_83c0, 0xf43a_25c1_507d_9f21, 0x034a_b633_0daa_50b1]);
    }
}
