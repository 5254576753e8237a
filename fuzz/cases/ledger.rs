//! Ledger files: an input as it stands, and as a recipe of commits with good checksums, which no fuzzer would come upon.

use corebid::store::commit::{self, Contents, Header};

const FILE: u32 = 7;

/// What a recipe gives: `(flags, first, count, length, records)*`, then a tail that is taken as it stands.
struct Cooked {
    file: Vec<u8>,
    /// The records of all commits.
    written: Vec<u8>,
    /// Every commit is of this file, and stands where its header says.
    fits: bool,
}

fn cook(mut recipe: &[u8]) -> Cooked {
    let (mut file, mut written, mut fits, mut next) = (Vec::new(), Vec::new(), true, None);
    while let Some((&[flags, first, count, length], rest)) = recipe.split_first_chunk() {
        let Some((records, rest)) = rest.split_at_checked(usize::from(length)) else { break };
        let header = Header {
            file: FILE + u32::from(flags & 1),
            first: if flags & 2 != 0 { u64::MAX - u64::from(first) } else { first.into() },
            count: count.into(),
            opening: flags & 4 != 0,
        };
        fits &= header.file == FILE && header.opening == next.is_none() && next.is_none_or(|next| next == header.first);
        next = header.first.checked_add(if header.opening { 0 } else { count.into() });
        fits &= next.is_some();
        let start = file.len();
        file.resize(start + commit::padded(records.len()), 0);
        commit::write(header, records, &mut file[start..]);
        written.extend_from_slice(records);
        recipe = rest;
    }
    file.extend_from_slice(recipe);
    Cooked { file, written, fits }
}

fn encoded(contents: &Contents) -> Vec<u8> {
    let mut out = Vec::new();
    contents.records.iter().for_each(|record| record.encode(&mut out));
    out
}

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    if let Ok(contents) = commit::contents(FILE, input) {
        assert!(contents.torn == input.get(contents.end..).unwrap_or_default().iter().any(|byte| *byte != 0));
    }
    let Cooked { file, written, fits } = cook(input);
    let Ok(whole) = commit::contents(FILE, &file) else { return };
    assert!(fits, "a commit that does not belong there");
    let records = encoded(&whole);
    assert!(written.starts_with(&records), "records that were not written");
    assert!(whole.torn || records == written, "a commit is missing");
    // What a crash leaves of it: each cut reads, and gives the first of these records.
    for cut in (0..file.len()).step_by(509) {
        let left = commit::contents(FILE, &file[..cut]).expect("a cut is a torn tail");
        assert!(records.starts_with(&encoded(&left)));
        assert!(left.end <= whole.end);
    }
}
