//! The fixed parts of a base's files, little endian.
//!
//! ```text
//!   header  0        8       12    16     24    32    40   48    56     64         80       96    112  128
//!           ┌────────┬───────┬─────┬──────┬─────┬─────┬────┬─────┬──────┬──────────┬────────┬──────┬────┐
//!           │ magic  │version│flags│number│users│first│last│index│length│index hash│previous│ hash │ 0  │
//!           └────────┴───────┴─────┴──────┴─────┴─────┴────┴─────┴──────┴──────────┴────────┴──────┴────┘
//!   entry   ┌ 8 ─────┬ 4 ────┬ 4 ──────┐
//!           │ user   │ start │ checksum│   the last one: all ones, and where the values end
//!           └────────┴───────┴─────────┘
//! ```
//!
//! Hashes are the first half of BLAKE3, checksums CRC-32 over user and value.

use crate::units::UserKey;

pub(super) const HEADER: usize = 128;
pub(super) const ENTRY: usize = 16;
const MAGIC: [u8; 8] = *b"cbprofil";
const VERSION: u32 = 1;
const SEALED: u32 = 1;
const FINAL: u32 = 2;
/// Where the header's own hash is.
const HASH: usize = 96;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) sealed: bool,
    /// No file follows.
    pub(super) is_final: bool,
    pub(super) number: u64,
    pub(super) users: u64,
    pub(super) first: UserKey,
    pub(super) last: UserKey,
    /// Where the index begins.
    pub(super) index: u64,
    /// Of the file.
    pub(super) length: u64,
    pub(super) index_hash: [u8; 16],
    /// The header of the file before it, hashed.
    pub(super) previous: [u8; 16],
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        let flags = if self.sealed { SEALED } else { 0 } | if self.is_final { FINAL } else { 0 };
        let words = [self.number, self.users, self.first.0, self.last.0, self.index, self.length].map(u64::to_le_bytes);
        let parts: [&[u8]; 6] = [
            &MAGIC,
            &VERSION.to_le_bytes(),
            &flags.to_le_bytes(),
            words.as_flattened(),
            &self.index_hash,
            &self.previous,
        ];
        let mut at = 0;
        for part in parts {
            out[at..][..part.len()].copy_from_slice(part);
            at += part.len();
        }
        let own = hash(&out[..HASH]);
        out[HASH..][..own.len()].copy_from_slice(&own);
        out
    }

    /// Reads a header; nothing but what [`Header::encode`] writes is one.
    pub(super) fn decode(bytes: &[u8; HEADER]) -> Option<Header> {
        let word = |at: usize| bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        let half = |at: usize| bytes[at..].first_chunk().copied().unwrap_or_default();
        let flags = (word(8) >> 32) as u32;
        let header = Header {
            sealed: flags & SEALED != 0,
            is_final: flags & FINAL != 0,
            number: word(16),
            users: word(24),
            first: UserKey(word(32)),
            last: UserKey(word(40)),
            index: word(48),
            length: word(56),
            index_hash: half(64),
            previous: half(80),
        };
        (header.encode() == *bytes).then_some(header)
    }

    /// Whether its numbers agree with each other.
    pub(super) fn is_sound(&self) -> bool {
        let index = self.users.checked_add(1).and_then(|entries| entries.checked_mul(ENTRY as u64));
        index.and_then(|index| index.checked_add(self.index)) == Some(self.length) && self.index >= HEADER as u64
    }

    /// What the next file knows it by.
    pub(super) fn hash(&self) -> [u8; 16] {
        hash(&self.encode())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) user: UserKey,
    pub(super) start: u32,
    pub(super) checksum: u32,
}

impl Entry {
    /// The user of the entry behind the last one. A user may have this key too: it is told by its place.
    pub(super) const END: UserKey = UserKey(u64::MAX);

    pub(super) fn encode(self) -> [u8; ENTRY] {
        let high = u64::from(self.start) | u64::from(self.checksum) << 32;
        (u128::from(self.user.0) | u128::from(high) << 64).to_le_bytes()
    }

    pub(super) fn decode(bytes: &[u8; ENTRY]) -> Entry {
        let whole = u128::from_le_bytes(*bytes);
        let high = (whole >> 64) as u64;
        Entry { user: UserKey(whole as u64), start: high as u32, checksum: (high >> 32) as u32 }
    }
}

pub(super) fn hash(bytes: &[u8]) -> [u8; 16] {
    half(&blake3::hash(bytes))
}

pub(super) fn half(hash: &blake3::Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    half
}

pub(super) fn checksum(user: UserKey, value: &[u8]) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&user.0.to_le_bytes());
    checksum.update(value);
    checksum.finalize()
}
