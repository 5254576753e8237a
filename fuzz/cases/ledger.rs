//! Ledger segments: an input as it stands, and as a recipe of commits with good hashes, which no fuzzer would come upon.

use corebid::reconcile::record::{Record, RecordId};
use corebid::store::commit::{self, Damage, Entry, Hash, Header, NOTHING, Segment};

const NUMBER: u32 = 7;

/// What a recipe gives: `(flags, first, count, length, records)*`, then a tail that is taken as it stands.
struct Cooked {
    file: Vec<u8>,
    /// The records of all commits.
    written: Vec<u8>,
    /// Every commit is of this segment, and stands where its header says.
    fits: bool,
}

fn cook(mut recipe: &[u8]) -> Cooked {
    let (mut file, mut written, mut fits, mut next) = (Vec::new(), Vec::new(), true, None);
    let (mut previous, mut closed) = (NOTHING, false);
    while let Some((&[flags, first, count, length], rest)) = recipe.split_first_chunk() {
        let Some((records, rest)) = rest.split_at_checked(usize::from(length)) else { break };
        let header = Header {
            segment: NUMBER + u32::from(flags & 1),
            first: if flags & 2 != 0 { u64::MAX - u64::from(first) } else { first.into() },
            count: count.into(),
            opening: flags & 4 != 0,
            closing: flags & 8 != 0,
            previous: if flags & 16 != 0 { Hash::from_bytes([first; 32]) } else { previous },
        };
        fits &= header.segment == NUMBER && header.opening == next.is_none();
        fits &= next.is_none_or(|next| (next, previous) == (header.first, header.previous)) && !closed;
        next = header.first.checked_add(if header.opening { 0 } else { count.into() });
        fits &= next.is_some();
        closed = header.closing;
        let start = file.len();
        file.resize(start + commit::padded(records.len()), 0);
        previous = commit::write(&header, records, &mut file[start..]);
        written.extend_from_slice(records);
        recipe = rest;
    }
    file.extend_from_slice(recipe);
    Cooked { file, written, fits }
}

fn read(bytes: &[u8]) -> Result<(Segment, Vec<(RecordId, Record)>), Damage> {
    let mut records = Vec::new();
    let segment = Segment::read(NUMBER, bytes, |entry| {
        if let Entry::Record { id, record, .. } = entry {
            records.push((id.unwrap_or_default(), record));
        }
    })?;
    Ok((segment, records))
}

fn encoded(records: &[(RecordId, Record)]) -> Vec<u8> {
    let mut out = Vec::new();
    records.iter().for_each(|(id, record)| record.encode(*id, &mut out));
    out
}

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    if let Ok((segment, _)) = read(input) {
        assert!(segment.torn == input.get(segment.end..).unwrap_or_default().iter().any(|byte| *byte != 0));
    }
    let Cooked { file, written, fits } = cook(input);
    let Ok((whole, records)) = read(&file) else { return };
    assert!(fits, "a commit that does not belong there");
    assert!(records.windows(2).all(|pair| pair[0].0 < pair[1].0), "ids that do not grow");
    // Padding inside an archived body is not read, so lengths and what is read again are compared.
    let again = encoded(&records);
    assert!(again.len() <= written.len(), "records that were not written");
    assert!(whole.torn || again.len() == written.len(), "a commit is missing");
    // What a crash leaves of it: each cut reads, and gives the first of these records.
    for cut in (0..file.len()).step_by(509) {
        let (left, first) = read(&file[..cut]).expect("a cut is a torn tail");
        assert!(records.starts_with(&first));
        assert!(left.end <= whole.end);
    }
}
