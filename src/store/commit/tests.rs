use super::*;
use crate::units::{LeaseId, Micros};

const SEGMENT: u32 = 7;
/// A frame and a body of [`Record::Released`].
const RELEASED: usize = 12 + 16;

struct Maker {
    bytes: Vec<u8>,
    head: Hash,
    next: u64,
    total: u32,
    /// Of each commit: bytes it needs, bytes it takes, records so far.
    ends: Vec<(usize, usize, u32)>,
}

impl Maker {
    fn new() -> Self {
        Self { bytes: Vec::new(), head: Hash::from_bytes([3; 32]), next: 40, total: 0, ends: Vec::new() }
    }

    fn commit(mut self, count: u32, closing: bool) -> Self {
        let mut records = Vec::new();
        for number in self.total..self.total + count {
            let record = Record::Released { lease: LeaseId(u64::from(number)), total: Micros(1) };
            record.encode(RecordId(1000 + u64::from(number)), &mut records);
        }
        let (start, opening) = (self.bytes.len(), self.bytes.is_empty());
        let header = Header { segment: SEGMENT, first: self.next, count, opening, closing, previous: self.head };
        self.bytes.resize(start + padded(records.len()), 0xee);
        self.head = write(&header, &records, &mut self.bytes[start..]);
        self.next += if opening { 0 } else { u64::from(count) };
        self.total += count;
        self.ends.push((start + HEADER + RELEASED * count as usize, self.bytes.len(), self.total));
        self
    }
}

fn file() -> Maker {
    [1, 3, 250, 2, 400].into_iter().fold(Maker::new(), |maker, count| maker.commit(count, false))
}

fn read(bytes: &[u8]) -> Result<(Segment, Vec<u64>), Damage> {
    let mut leases = Vec::new();
    let segment = Segment::read(SEGMENT, bytes, |entry| match entry {
        Entry::Record { record: Record::Released { lease, .. }, .. } => leases.push(lease.0),
        Entry::Record { record, .. } => panic!("{record:?}"),
        Entry::Commit { .. } => {}
    })?;
    Ok((segment, leases))
}

/// What is there after each prefix of bytes, from the lengths alone.
#[test]
fn every_prefix_gives_the_whole_commits_in_it() {
    let Maker { bytes, ends, .. } = file();
    for cut in 0..=bytes.len() {
        let whole = ends.iter().rfind(|(needed, ..)| *needed <= cut);
        let (segment, leases) = read(&bytes[..cut]).unwrap();
        assert!(leases.iter().copied().eq(0..u64::from(whole.map_or(0, |(_, _, count)| *count))), "cut at {cut}");
        assert_eq!(segment.end, whole.map_or(0, |(_, end, _)| *end));
    }
}

#[test]
fn a_segment_says_what_it_holds() {
    let Maker { bytes, head, .. } = file().commit(2, true);
    let (segment, _) = read(&bytes).unwrap();
    let ids = Some((RecordId(1000), RecordId(1657)));
    assert_eq!((segment.first, segment.next, segment.records(), segment.ids), (40, 697, 657, ids));
    assert_eq!((segment.opening, segment.opening_length, segment.commits), (1, BLOCK, 6));
    assert_eq!((segment.head, segment.previous), (head, Hash::from_bytes([3; 32])));
    assert!(segment.closed && !segment.torn);
}

/// A block of the last commit that never reached the disk, while those around it did. The opening balance may be the last.
#[test]
fn a_torn_tail_is_left_out_whichever_block_is_missing() {
    for maker in [file(), Maker::new().commit(400, false)] {
        let (last, before) = match maker.ends[..] {
            [.., before, last] => (last.1, before),
            [last] => (last.1, (0, 0, 0)),
            [] => unreachable!(),
        };
        for block in (before.1..last).step_by(BLOCK) {
            for junk in [0, 0xff] {
                let mut bytes = maker.bytes.clone();
                bytes[block..block + BLOCK].fill(junk);
                let (segment, leases) = read(&bytes).unwrap();
                assert_eq!((leases.len() as u32, segment.end), (before.2, before.1));
                assert!(segment.torn);
            }
        }
    }
}

/// Any bit of header or records.
#[test]
fn damage_before_the_last_commit_is_not_taken_for_a_torn_tail() {
    let Maker { bytes, ends, .. } = file();
    for at in (0..ends[0].0).chain((ends[1].1..ends[2].0).step_by(97)) {
        for bit in [0, 7] {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            assert!(matches!(read(&bytes), Err(Damage::Middle(_))), "at {at}");
        }
    }
}

#[test]
fn commits_of_another_segment_or_out_of_order_are_refused() {
    let Maker { bytes, ends, .. } = file();
    assert_eq!(Segment::read(8, &bytes, |_| ()), Err(Damage::Foreign(0)));
    let swapped = [&bytes[..ends[0].1], &bytes[ends[1].1..]].concat();
    assert_eq!(read(&swapped).unwrap_err(), Damage::Foreign(ends[0].1));
}

/// Whole, with a good hash, and yet not what was written here: the chain tells.
#[test]
fn a_commit_that_was_written_anew_breaks_the_chain() {
    let (maker, other) = (
        file(),
        [1, 3, 250, 2, 400].into_iter().fold(Maker::new(), |maker, count| {
            let closing = false;
            Maker { head: Hash::from_bytes([9; 32]), ..maker }.commit(count, closing)
        }),
    );
    let (from, to) = (maker.ends[1].1, maker.ends[2].1);
    let mut bytes = maker.bytes;
    bytes[from..to].copy_from_slice(&other.bytes[from..to]);
    assert_eq!(read(&bytes).unwrap_err(), Damage::Foreign(from));
}

#[test]
fn nothing_follows_a_closing_commit() {
    let Maker { bytes, ends, .. } = Maker::new().commit(1, false).commit(1, true).commit(1, false);
    assert_eq!(read(&bytes).unwrap_err(), Damage::Foreign(ends[1].1));
}

#[test]
fn ids_that_do_not_grow_are_refused() {
    let again = Maker { total: 0, ..Maker::new().commit(1, false) }.commit(1, false);
    assert_eq!(read(&again.bytes).unwrap_err(), Damage::Foreign(BLOCK));
}
