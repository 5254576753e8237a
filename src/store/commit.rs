//! The ledger file's framing: commits. Pure functions between bytes and commits.
//!
//! ```text
//! file    = commit*                       each starts on a block of 4 KiB
//! commit  = header(80) records zeros      the zeros fill the last block
//! header  = magic(8) version(2) flags(2) count(4) first(8) file(4) length(4) previous(32) zeros(12) crc32(4)
//! ```
//!
//! A commit is what was written and synced together, and the unit of recovery: its CRC-32 covers header and records, so it
//! is there whole or not at all. The next one starts on a new block, so a block with acknowledged records is never written
//! again. `previous` is kept for the hash of the commit before; it is zero in version 1.
//!
//! The first commit of a file is an opening balance (a flag says so): earlier files are history, not needed to start.

use crate::reconcile::record::Record;

/// Blocks are this long: the page, and the largest logical block of current disks.
pub const BLOCK: usize = 4096;
const HEADER: usize = 80;
const MAGIC: &[u8; 8] = b"COREBIDL";
const VERSION: u16 = 1;
const OPENING: u16 = 1;

/// What a commit's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Number of the file it stands in.
    pub file: u32,
    /// Number of its first record, counted over all files from 0. An opening balance repeats what is known and is not
    /// counted: its number is that of the record after it.
    pub first: u64,
    /// How many records.
    pub count: u32,
    /// It is an opening balance.
    pub opening: bool,
}

/// Length of a commit with `records` bytes of records, in whole blocks.
pub fn padded(records: usize) -> usize {
    (HEADER + records).next_multiple_of(BLOCK)
}

/// Writes a commit into `out`, which is [`padded`] long.
///
/// # Panics
/// If `out` has another length.
pub fn write(header: Header, records: &[u8], out: &mut [u8]) {
    assert_eq!(out.len(), padded(records.len()), "a commit fills its blocks");
    let (head, rest) = out.split_at_mut(HEADER);
    head.fill(0);
    head[0..8].copy_from_slice(MAGIC);
    head[8..10].copy_from_slice(&VERSION.to_le_bytes());
    head[10..12].copy_from_slice(&u16::from(header.opening).to_le_bytes());
    head[12..16].copy_from_slice(&header.count.to_le_bytes());
    head[16..24].copy_from_slice(&header.first.to_le_bytes());
    head[24..28].copy_from_slice(&header.file.to_le_bytes());
    head[28..32].copy_from_slice(&u32::try_from(records.len()).expect("a commit of 4 GiB").to_le_bytes());
    let (body, padding) = rest.split_at_mut(records.len());
    body.copy_from_slice(records);
    padding.fill(0);
    let crc = checksum(head, body);
    head[76..80].copy_from_slice(&crc.to_le_bytes());
}

/// A commit at the front of `bytes`, and its length in whole blocks. `None` if there is none, or not all of it.
fn read(bytes: &[u8]) -> Option<(Header, &[u8], usize)> {
    let (head, rest) = bytes.split_at_checked(HEADER)?;
    let number = |at: usize| head[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let half = |at: usize| head[at..].first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
    if &head[0..8] != MAGIC || half(8) != VERSION {
        return None;
    }
    let records = rest.get(..number(28) as usize)?;
    if checksum(head, records) != number(76) {
        return None;
    }
    let first = head[16..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let header = Header { file: number(24), first, count: number(12), opening: half(10) & OPENING != 0 };
    Some((header, records, padded(records.len())))
}

/// Length of the first commit of a file, in whole blocks; 0 if there is none.
pub fn first_length(bytes: &[u8]) -> usize {
    read(bytes).map_or(0, |(.., length)| length)
}

fn checksum(head: &[u8], records: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head[..76]);
    crc.update(records);
    crc.finalize()
}

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The records of its whole commits.
    pub records: Vec<Record>,
    /// Number of the record that comes next.
    pub next: u64,
    /// Where the next commit belongs.
    pub end: usize,
    /// Bytes beyond that are not zero: a commit that was being written when the process or the machine stopped.
    pub torn: bool,
}

/// Why a file cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Broken at this offset, with whole commits after it: not a write that was cut off.
    Middle(usize),
    /// A whole commit at this offset is not the one that belongs there, or holds a record this version does not know.
    Foreign(usize),
}

/// Reads a file from the start to its last whole commit.
///
/// # Errors
/// [`Damage`] that cutting off the last commit does not explain: nothing must be written then.
pub fn contents(file: u32, bytes: &[u8]) -> Result<Contents, Damage> {
    let mut contents = Contents::default();
    while let Some((header, mut records, length)) = bytes.get(contents.end..).and_then(read) {
        let fits = header.file == file && header.opening == (contents.end == 0);
        if !fits || (contents.end > 0 && header.first != contents.next) {
            return Err(Damage::Foreign(contents.end));
        }
        for _ in 0..header.count {
            contents.records.push(Record::decode(&mut records).ok_or(Damage::Foreign(contents.end))?);
        }
        if !records.is_empty() {
            return Err(Damage::Foreign(contents.end));
        }
        let counted = if header.opening { 0 } else { u64::from(header.count) };
        contents.next = header.first.checked_add(counted).ok_or(Damage::Foreign(contents.end))?;
        contents.end += length;
    }
    // The last commit's padding may be missing.
    let rest = bytes.get(contents.end..).unwrap_or_default();
    contents.torn = rest.iter().any(|byte| *byte != 0);
    if contents.torn && rest.chunks(BLOCK).enumerate().skip(1).any(|(block, _)| read(&rest[block * BLOCK..]).is_some())
    {
        return Err(Damage::Middle(contents.end));
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{LeaseId, Micros};

    fn commit(file: u32, first: u64, before: u32, count: u32) -> Vec<u8> {
        let mut records = Vec::new();
        for number in before..before + count {
            Record::Released { lease: LeaseId(u64::from(number)), total: Micros(1) }.encode(&mut records);
        }
        let mut out = vec![0xee; padded(records.len())];
        write(Header { file, first, count, opening: before == 0 }, &records, &mut out);
        out
    }

    fn file() -> (Vec<u8>, Vec<(usize, usize, u32)>) {
        let (mut bytes, mut ends, mut next, mut total) = (Vec::new(), Vec::new(), 0, 0);
        for count in [1, 3, 250, 2, 400] {
            let start = bytes.len();
            bytes.extend(commit(7, next, total, count));
            next += if next == 0 && start == 0 { 0 } else { u64::from(count) };
            total += count;
            let whole = start + HEADER + 18 * count as usize;
            ends.push((whole, bytes.len(), total));
        }
        (bytes, ends)
    }

    /// What is there after each prefix of bytes, from the lengths alone.
    #[test]
    fn every_prefix_gives_the_whole_commits_in_it() {
        let (bytes, ends) = file();
        for cut in 0..=bytes.len() {
            let whole = ends.iter().rfind(|(needed, ..)| *needed <= cut);
            let contents = contents(7, &bytes[..cut]).unwrap();
            assert_eq!(contents.records.len() as u32, whole.map_or(0, |(_, _, count)| *count), "cut at {cut}");
            assert_eq!(contents.end, whole.map_or(0, |(_, end, _)| *end));
            let ids: Vec<_> = contents
                .records
                .iter()
                .map(|record| match record {
                    Record::Released { lease, .. } => lease.0,
                    other => panic!("{other:?}"),
                })
                .collect();
            assert!(ids.iter().copied().eq(0..ids.len() as u64));
        }
    }

    /// A block of the last commit that never reached the disk, while those around it did.
    #[test]
    fn a_torn_tail_is_left_out_whichever_block_is_missing() {
        let (bytes, ends) = file();
        let (last, before) = (ends[4].1, ends[3]);
        for block in (before.1..last).step_by(BLOCK) {
            for junk in [0, 0xff] {
                let mut bytes = bytes.clone();
                bytes[block..block + BLOCK].fill(junk);
                let contents = contents(7, &bytes).unwrap();
                assert_eq!((contents.records.len() as u32, contents.end), (before.2, before.1));
                assert!(contents.torn);
            }
        }
    }

    #[test]
    fn damage_before_the_last_commit_is_not_taken_for_a_torn_tail() {
        let (bytes, ends) = file();
        for at in [ends[0].1 + 90, ends[1].1, ends[2].1 + 20] {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(matches!(contents(7, &bytes), Err(Damage::Middle(_))), "at {at}");
        }
    }

    #[test]
    fn commits_of_another_file_or_out_of_order_are_refused() {
        let (bytes, ends) = file();
        assert_eq!(contents(8, &bytes), Err(Damage::Foreign(0)));
        let swapped = [&bytes[..ends[0].1], &bytes[ends[1].1..]].concat();
        assert_eq!(contents(7, &swapped), Err(Damage::Foreign(ends[0].1)));
    }
}
