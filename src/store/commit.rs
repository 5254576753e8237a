//! The framing of a ledger's segments: commits. Pure functions between bytes and commits.
//!
//! ```text
//! segment = commit*                       each starts on a block of 4 KiB
//! commit  = header(96) records zeros      the zeros fill the last block
//! header  = magic(8) version(2) flags(2) count(4) first(8) segment(4) length(4) previous(32) hash(32)
//! ```
//!
//! A commit is what was written and synced together, and the unit of recovery: its BLAKE3 covers the header before it and
//! the records, so it is there whole or not at all. The next one starts on a new block, so a block with acknowledged
//! records is never written again. `previous` is the hash of the commit before, over all segments: the last hash stands
//! for all that was ever written.
//!
//! The first commit of a segment is an opening balance (a flag says so): earlier segments are history, not needed to start.
//! The last one of a segment that is finished says that too.
//!
//! Version 1 is read and written no more. Its header is 80 bytes: `previous` and the 12 bytes after it are zeros, then a
//! CRC-32 over the header before it and the records. Such a segment's hash is that of all its bytes.

use std::fmt;

use blake3::Hasher;

pub use blake3::Hash;

use crate::reconcile::record::{Record, RecordId};

/// Blocks are this long: the page, and the largest logical block of current disks.
pub const BLOCK: usize = 4096;
const MAGIC: &[u8; 8] = b"COREBIDL";
const HEADER: usize = 96;
const HASHED: usize = 64;
const HEADER_V1: usize = 80;
const CHECKED_V1: usize = 76;
const OPENING: u16 = 1;
const CLOSING: u16 = 2;
/// Before the first commit of all.
pub const NOTHING: Hash = Hash::from_bytes([0; 32]);

/// What a commit's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Number of the segment it stands in.
    pub segment: u32,
    /// Number of its first record, counted over all segments from 0. An opening balance repeats what is known and is not
    /// counted: its number is that of the record after it.
    pub first: u64,
    /// How many records.
    pub count: u32,
    /// It is an opening balance.
    pub opening: bool,
    /// It is the last of its segment.
    pub closing: bool,
    /// Hash of the commit before; [`NOTHING`] if there is none.
    pub previous: Hash,
}

/// Length of a commit with `records` bytes of records, in whole blocks.
pub fn padded(records: usize) -> usize {
    (HEADER + records).next_multiple_of(BLOCK)
}

/// Writes a commit into `out`, which is [`padded`] long. Returns its hash.
///
/// # Panics
/// If `out` has another length.
pub fn write(header: &Header, records: &[u8], out: &mut [u8]) -> Hash {
    assert_eq!(out.len(), padded(records.len()), "a commit fills its blocks");
    let flags = if header.opening { OPENING } else { 0 } | if header.closing { CLOSING } else { 0 };
    let (head, rest) = out.split_at_mut(HEADER);
    head[0..8].copy_from_slice(MAGIC);
    head[8..10].copy_from_slice(&2_u16.to_le_bytes());
    head[10..12].copy_from_slice(&flags.to_le_bytes());
    head[12..16].copy_from_slice(&header.count.to_le_bytes());
    head[16..24].copy_from_slice(&header.first.to_le_bytes());
    head[24..28].copy_from_slice(&header.segment.to_le_bytes());
    head[28..32].copy_from_slice(&u32::try_from(records.len()).expect("a commit of 4 GiB").to_le_bytes());
    head[32..HASHED].copy_from_slice(header.previous.as_bytes());
    let (body, padding) = rest.split_at_mut(records.len());
    body.copy_from_slice(records);
    padding.fill(0);
    let hash = hash(&head[..HASHED], body);
    head[HASHED..].copy_from_slice(hash.as_bytes());
    hash
}

fn hash(head: &[u8], records: &[u8]) -> Hash {
    Hasher::new().update(head).update(records).finalize()
}

/// A whole commit.
struct Commit<'a> {
    version: u16,
    header: Header,
    records: &'a [u8],
    hash: Hash,
    /// In whole blocks.
    length: usize,
}

impl<'a> Commit<'a> {
    /// The one at the front of `bytes`. `None` if there is none, or not all of it.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let half = |at: usize| bytes[at..].first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
        let number = |at: usize| bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if bytes.len() < HEADER_V1 || &bytes[0..8] != MAGIC {
            return None;
        }
        let version = half(8);
        let length = match version {
            1 => HEADER_V1,
            2 => HEADER,
            _ => return None,
        };
        let records = bytes.get(length..)?.get(..number(28) as usize)?;
        let (previous, hash) = if version == 1 {
            (crc(&bytes[..CHECKED_V1], records) == number(CHECKED_V1)).then_some((NOTHING, NOTHING))?
        } else {
            let hash = hash(&bytes[..HASHED], records);
            (hash.as_bytes() == &bytes[HASHED..HEADER]).then_some(())?;
            (Hash::from_bytes(*bytes[32..].first_chunk()?), hash)
        };
        let header = Header {
            segment: number(24),
            first: bytes[16..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)),
            count: number(12),
            opening: half(10) & OPENING != 0,
            closing: half(10) & CLOSING != 0,
            previous,
        };
        let length = (length + records.len()).next_multiple_of(BLOCK);
        Some(Self { version, header, records, hash, length })
    }
}

fn crc(head: &[u8], records: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(records);
    crc.finalize()
}

/// Takes one record of a commit off the front of `bytes`. Records of version 1 have no id; what stands for it is the number
/// of the record, and of those in an opening balance nothing does.
fn decode(commit: &Commit<'_>, index: u32, bytes: &mut &[u8]) -> Option<(Option<RecordId>, Record)> {
    if commit.version == 1 {
        let id = (!commit.header.opening).then(|| RecordId(commit.header.first.saturating_add(index.into())));
        return Record::decode_v1(bytes).map(|record| (id, record));
    }
    Record::decode(bytes).map(|(id, record)| (Some(id), record))
}

/// What reading a segment comes upon, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A record.
    Record {
        /// Its id, or its number in version 1, where those of an opening balance have none.
        id: Option<RecordId>,
        /// It repeats what is known.
        opening: bool,
        /// What it says.
        record: Record,
    },
    /// The end of a commit.
    Commit {
        /// Where it starts.
        at: usize,
        /// Its hash; [`NOTHING`] in version 1.
        hash: Hash,
        /// Number of the record after it.
        next: u64,
    },
}

/// What a segment comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its number.
    pub number: u32,
    /// Layout version of its commits; 0 if there is none.
    pub version: u16,
    /// Number of its first counted record.
    pub first: u64,
    /// Number of the record that comes next.
    pub next: u64,
    /// Ids of the first and the last record, those of the opening balance included. `None` if there is none, or in version 1.
    pub ids: Option<(RecordId, RecordId)>,
    /// Records of the opening balance.
    pub opening: u64,
    /// Length of the opening balance, in whole blocks.
    pub opening_length: usize,
    /// Commits.
    pub commits: u64,
    /// Where the next commit belongs.
    pub end: usize,
    /// Bytes beyond that are not zero: a commit that was being written when the process or the machine stopped.
    pub torn: bool,
    /// Nothing comes after it in this segment.
    pub closed: bool,
    /// The hash that the segment goes on from.
    pub previous: Hash,
    /// The hash that stands for all up to `end`.
    pub head: Hash,
}

/// Why a segment cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Broken at this offset, with whole commits after it: not a write that was cut off.
    Middle(usize),
    /// A whole commit at this offset is not the one that belongs there, or holds a record this version does not know.
    Foreign(usize),
    /// It has no whole opening balance, and the segment before it is not there.
    Alone,
    /// It ends at this offset without a commit that closes it, though a later segment was started.
    Open(usize),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Middle(at) => write!(f, "damaged at byte {at}, with whole commits after it"),
            Self::Foreign(at) => {
                write!(f, "the commit at byte {at} does not belong here, or was written by a newer version")
            }
            Self::Alone => write!(f, "has no whole opening balance, and the segment before it is missing"),
            Self::Open(at) => write!(f, "ends at byte {at} before it was closed, though a later segment was started"),
        }
    }
}

impl Segment {
    fn empty(number: u32) -> Self {
        Self {
            number,
            version: 0,
            first: 0,
            next: 0,
            ids: None,
            opening: 0,
            opening_length: 0,
            commits: 0,
            end: 0,
            torn: false,
            closed: false,
            previous: NOTHING,
            head: NOTHING,
        }
    }

    /// Reads a segment from the start to its last whole commit, and shows what it comes upon.
    ///
    /// # Errors
    /// [`Damage`] that cutting off the last commit does not explain: nothing must be written then.
    pub fn read(number: u32, bytes: &[u8], mut each: impl FnMut(Entry)) -> Result<Segment, Damage> {
        let mut segment = Segment::empty(number);
        while let Some(commit) = bytes.get(segment.end..).and_then(Commit::read) {
            segment.add(&commit, &mut each).ok_or(Damage::Foreign(segment.end))?;
        }
        // The last commit's padding may be missing.
        let rest = bytes.get(segment.end..).unwrap_or_default();
        segment.torn = rest.iter().any(|byte| *byte != 0);
        let whole = |block: usize| Commit::read(&rest[block * BLOCK..]).is_some();
        if segment.torn && (1..rest.len().div_ceil(BLOCK)).any(whole) {
            return Err(Damage::Middle(segment.end));
        }
        if segment.version == 1 {
            // Of the file as it will be when its last block is filled up.
            let there = &bytes[..bytes.len().min(segment.end)];
            let missing = vec![0; segment.end - there.len()];
            segment.head = Hasher::new().update(there).update(&missing).finalize();
        }
        Ok(segment)
    }

    /// `None` if the commit does not belong here.
    fn add(&mut self, commit: &Commit<'_>, each: &mut impl FnMut(Entry)) -> Option<()> {
        let Header { segment, first, count, opening, closing, previous } = commit.header;
        let is_first = self.end == 0;
        let follows = is_first || (first, previous, commit.version) == (self.next, self.head, self.version);
        if segment != self.number || opening != is_first || !follows || self.closed {
            return None;
        }
        let mut records = commit.records;
        for index in 0..count {
            let (id, record) = decode(commit, index, &mut records)?;
            if let Some(id) = id.filter(|_| commit.version > 1) {
                let (from, to) = self.ids.map_or((id, None), |(from, to)| (from, Some(to)));
                (to < Some(id)).then_some(())?;
                self.ids = Some((from, id));
            }
            each(Entry::Record { id, opening, record });
        }
        records.is_empty().then_some(())?;
        if is_first {
            *self = Self { version: commit.version, first, previous, opening: count.into(), ..self.clone() };
            self.opening_length = commit.length;
        }
        self.next = first.checked_add(if opening { 0 } else { count.into() })?;
        self.head = commit.hash;
        self.closed = closing;
        self.commits += 1;
        each(Entry::Commit { at: self.end, hash: self.head, next: self.next });
        self.end += commit.length;
        Some(())
    }

    /// The records that its own commits added.
    pub fn records(&self) -> u64 {
        self.next - self.first
    }
}

#[cfg(test)]
mod tests;
