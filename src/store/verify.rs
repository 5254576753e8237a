//! Checks a ledger from outside: read only, without its lock, while it is written or from an archive.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use blake3::Hash;

use super::anchor::Anchor;
use super::commit::{Damage, Entry, NOTHING, Segment};
use super::embedded;
use crate::reconcile::record::{Record, RecordId};

/// How often a segment is read again that seems damaged: a writer that is faster than the reading leaves the same picture.
const READINGS: usize = 3;

/// What does not hold, or cannot be told. Each says what to do.
#[derive(Debug)]
pub enum Fault {
    /// The file system said no.
    Io(PathBuf, io::Error),
    /// What was read could not be shown.
    Show(io::Error),
    /// There is no ledger.
    Empty(PathBuf),
    /// A segment cannot be read to its end.
    Damaged(PathBuf, Damage),
    /// A segment has no whole commit, or none that closes it, though others follow.
    Unfinished(PathBuf),
    /// A segment between two others is not there.
    Missing(PathBuf, u32),
    /// A segment does not go on from the one before.
    Unchained(PathBuf),
    /// A head that was told is not in the chain.
    NotThere(Anchor),
    /// The head asked for is not in the chain.
    NoSuchHead(Hash),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => {
                write!(f, "{}: {error}; give the data directory of serve, or an export", path.display())
            }
            Self::Show(error) => write!(f, "cannot print: {error}"),
            Self::Empty(path) => {
                write!(f, "{}: no ledger here; give the data directory of serve, or an export", path.display())
            }
            Self::Damaged(path, damage) => write!(f, "{}: {damage}; restore the file from its export", path.display()),
            Self::Unfinished(path) => {
                write!(f, "{}: ends before it was closed, though later segments follow; restore it", path.display())
            }
            Self::Missing(path, segment) => {
                write!(f, "{}: segment {segment} is missing; restore it from its export", path.display())
            }
            Self::Unchained(path) => write!(
                f,
                "{}: does not go on from the segment before: one of the two was replaced; compare both with their exports",
                path.display()
            ),
            Self::NotThere(anchor) => {
                write!(
                    f,
                    "{anchor}: not in this chain: what was written until then was changed; compare with the exports"
                )
            }
            Self::NoSuchHead(head) => write!(
                f,
                "head {head}: not in this chain: what was written until then was changed, or it is of another ledger"
            ),
        }
    }
}

impl std::error::Error for Fault {}

/// A ledger that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Segments read.
    pub segments: u64,
    /// The first of them: earlier ones were not there to be read.
    pub first_segment: u32,
    /// The last of them.
    pub last_segment: u32,
    /// Records in them, opening balances left out.
    pub records: u64,
    /// Records of the whole ledger, those of earlier segments included.
    pub total: u64,
    /// Commits in them.
    pub commits: u64,
    /// The hash that stands for all of it.
    pub head: Hash,
    /// What stands after it is a commit that was being written.
    pub torn: bool,
    /// Anchors found in the chain.
    pub anchors: u64,
    /// Anchors of segments that were not there to be read.
    pub unchecked: u64,
}

/// Where the segments of `dir` are: a data directory, or an export.
pub fn folder(dir: &Path) -> PathBuf {
    let ledger = dir.join("ledger");
    if ledger.is_dir() { ledger } else { dir.to_owned() }
}

/// The segments in `dir`, in order.
///
/// # Errors
/// [`Fault`]: none, or one is missing.
pub fn segments(dir: &Path) -> Result<Vec<(u32, PathBuf)>, Fault> {
    let folder = folder(dir);
    let files = embedded::segments(&folder).map_err(|error| Fault::Io(folder.clone(), error))?;
    if let Some(gap) = files.windows(2).find(|pair| pair[0].0 + 1 != pair[1].0) {
        return Err(Fault::Missing(folder, gap[0].0 + 1));
    }
    if files.is_empty() {
        return Err(Fault::Empty(folder));
    }
    Ok(files)
}

/// Reads a segment that may be being written. Returns its bytes too, and what it comes upon, in order.
///
/// # Errors
/// [`Fault`], after having read more than once.
pub fn read(number: u32, path: &Path) -> Result<(Segment, Vec<u8>, Vec<Entry>), Fault> {
    let mut last = Fault::Unfinished(path.to_owned());
    for _ in 0..READINGS {
        let bytes = fs::read(path).map_err(|error| Fault::Io(path.to_owned(), error))?;
        let mut entries = Vec::new();
        match Segment::read(number, &bytes, |entry| entries.push(entry)) {
            Ok(segment) => return Ok((segment, bytes, entries)),
            Err(damage) => last = Fault::Damaged(path.to_owned(), damage),
        }
    }
    Err(last)
}

/// Checks all segments in `dir`: each whole, each going on from the one before, ids growing; and that the heads that were
/// told are in the chain.
///
/// # Errors
/// The first [`Fault`].
pub fn verify(dir: &Path, head: Option<Hash>, anchors: &[Anchor]) -> Result<Verified, Fault> {
    walk(dir, head, anchors, |_, _, _| Ok(()))
}

/// The same, showing every record.
///
/// # Errors
/// The first [`Fault`], or what `each` says.
pub fn walk(
    dir: &Path,
    head: Option<Hash>,
    anchors: &[Anchor],
    mut each: impl FnMut(Option<RecordId>, bool, &Record) -> io::Result<()>,
) -> Result<Verified, Fault> {
    let files = segments(dir)?;
    let (first_segment, mut head_found) = (files[0].0, head.is_none());
    let mut left: Vec<Anchor> = anchors.to_vec();
    let mut before: Option<Segment> = None;
    let (mut records, mut commits, mut count) = (0, 0, 0);
    for (index, (number, path)) in files.iter().enumerate() {
        let is_last = index + 1 == files.len();
        let (segment, _, entries) = read(*number, path)?;
        if segment.end == 0 && is_last && index > 0 {
            // Its opening balance is being written; until that is whole, the segment before it is the ledger.
            break;
        }
        if segment.end == 0 || (!is_last && segment.version > 1 && !segment.closed) {
            return Err(Fault::Unfinished(path.clone()));
        }
        if let Some(before) = &before {
            // Files of version 1 are not chained to each other.
            let chained = segment.previous == before.head || (segment.version == 1 && segment.previous == NOTHING);
            let grows = segment.ids.zip(before.ids).is_none_or(|((first, _), (_, last))| last < first);
            if !chained || segment.first != before.next || !grows {
                return Err(Fault::Unchained(path.clone()));
            }
        }
        for entry in entries {
            match entry {
                Entry::Record { id, opening, record } => {
                    each(id, opening, &record).map_err(Fault::Show)?;
                }
                Entry::Commit { hash, next, .. } => {
                    head_found |= head == Some(hash);
                    left.retain(|anchor| *anchor != Anchor { segment: *number, records: next, head: hash });
                }
            }
        }
        head_found |= head == Some(segment.head);
        records += segment.records();
        commits += segment.commits;
        count += 1;
        before = Some(segment);
    }
    let last = before.ok_or_else(|| Fault::Empty(folder(dir)))?;
    let unchecked = left.iter().filter(|anchor| anchor.segment < first_segment).count() as u64;
    if let Some(anchor) = left.into_iter().find(|anchor| anchor.segment >= first_segment) {
        return Err(Fault::NotThere(anchor));
    }
    if let Some(head) = head.filter(|_| !head_found) {
        return Err(Fault::NoSuchHead(head));
    }
    Ok(Verified {
        segments: count,
        first_segment,
        last_segment: last.number,
        records,
        total: last.next,
        commits,
        head: last.head,
        torn: last.torn,
        anchors: anchors.len() as u64 - unchecked,
        unchecked,
    })
}
