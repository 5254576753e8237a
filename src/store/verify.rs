//! Checks a ledger from outside: read only, without its lock, while it is written or from an archive.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use blake3::Hash;

use super::anchor::Anchor;
use super::commit::{Damage, Entry, NOTHING, Segment};
use super::embedded;
use crate::reconcile::record::{Record, RecordId};

/// How often a segment is read again that seems damaged: a writer that is faster than the reading leaves the same picture.
const READINGS: usize = 3;
/// Between two readings: longer than a commit takes.
const PAUSE: Duration = Duration::from_millis(10);

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
    /// Something stands after the commit that closes a segment.
    Trailing(PathBuf),
    /// A segment between two others is not there.
    Missing(PathBuf, u32),
    /// A segment does not go on from the one before.
    Unchained(PathBuf),
    /// A head that was told is not in the chain.
    NotThere(Anchor),
    /// The latest head that was told is of a segment before the first that is here.
    Before(Anchor),
    /// No head that was told is the end of this export, though later ones were told.
    Unanchored(Hash),
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
            Self::Trailing(path) => {
                write!(f, "{}: bytes stand after the commit that closes it; restore it from its export", path.display())
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
            Self::Before(anchor) => write!(
                f,
                "{anchor}: the latest head that was told is of a segment before the first here, though the newest segments \
                 are never removed: the ledger was replaced, or these are the heads of another"
            ),
            Self::Unanchored(head) => write!(
                f,
                "head {head}: the end of this export was never told, though later heads were: it was changed, or these are \
                 the heads of another ledger"
            ),
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
    /// Anchors of earlier segments, which were not there to be read.
    pub unchecked: u64,
    /// Anchors of later segments, which are not in this export yet. What is in it is anchored by its end.
    pub ahead: u64,
}

/// Where the segments of `dir` are: a data directory, or an export.
pub fn folder(dir: &Path) -> PathBuf {
    if is_export(dir) { dir.to_owned() } else { dir.join("ledger") }
}

/// An export has its segments in the directory itself.
fn is_export(dir: &Path) -> bool {
    !dir.join("ledger").is_dir()
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

/// Reads a segment that may be being written. Returns its bytes too, and what it comes upon, in order. One without a whole opening
/// balance may be made anew meanwhile.
///
/// # Errors
/// [`Fault`], after having read more than once.
pub fn read(number: u32, path: &Path) -> Result<(Segment, Vec<u8>, Vec<Entry>), Fault> {
    let once = || {
        let bytes = fs::read(path).map_err(|error| Fault::Io(path.to_owned(), error))?;
        let mut entries = Vec::new();
        let segment = Segment::read(number, &bytes, |entry| entries.push(entry));
        let segment = segment.map_err(|damage| Fault::Damaged(path.to_owned(), damage))?;
        Ok((segment, bytes, entries))
    };
    for _ in 1..READINGS {
        match once() {
            Ok((segment, ..)) if segment.end == 0 => {}
            Err(Fault::Damaged(..)) => {}
            Err(Fault::Io(_, error)) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done,
        }
        #[expect(clippy::disallowed_methods, reason = "another process writes, and says nothing when it has")]
        thread::sleep(PAUSE);
    }
    once()
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
    // Commits of version 1 have no hash, and nothing comes before the first of all.
    if let Some(head) = head.filter(|head| *head == NOTHING) {
        return Err(Fault::NoSuchHead(head));
    }
    let mut left: Vec<Anchor> = anchors.to_vec();
    let mut before: Option<Segment> = None;
    let (mut records, mut commits, mut count) = (0, 0, 0);
    for (index, (number, path)) in files.iter().enumerate() {
        let is_last = index + 1 == files.len();
        let (segment, _, entries) = read(*number, path)?;
        if segment.end == 0 && is_last && (index > 0 || *number == 1) {
            // Its opening balance is being written; until that is whole, the segment before it is the ledger, if there is one.
            break;
        }
        if segment.torn && (segment.closed || !is_last) {
            return Err(Fault::Trailing(path.clone()));
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
                    let here = Anchor { segment: *number, records: next, head: hash };
                    left.retain(|anchor| hash == NOTHING || *anchor != here);
                }
            }
        }
        // That of a file of version 1, whose commits have none.
        head_found |= head == Some(segment.head);
        left.retain(|anchor| *anchor != Anchor { segment: *number, records: segment.next, head: segment.head });
        records += segment.records();
        commits += segment.commits;
        count += 1;
        before = Some(segment);
    }
    let last = before.ok_or_else(|| Fault::Empty(folder(dir)))?;
    let is_before = |anchor: &&Anchor| anchor.segment < first_segment;
    let is_ahead = |anchor: &&Anchor| is_export(dir) && anchor.segment > last.number;
    if let Some(anchor) = left.iter().find(|anchor| !is_before(anchor) && !is_ahead(anchor)) {
        return Err(Fault::NotThere(*anchor));
    }
    let unchecked = left.iter().filter(is_before).count() as u64;
    let ahead = left.iter().filter(is_ahead).count() as u64;
    let latest = anchors.iter().max_by_key(|anchor| (anchor.segment, anchor.records));
    if let Some(latest) = latest.filter(|latest| latest.segment < first_segment) {
        return Err(Fault::Before(*latest));
    }
    let end = Anchor { segment: last.number, records: last.next, head: last.head };
    if ahead > 0 && !anchors.contains(&end) {
        return Err(Fault::Unanchored(last.head));
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
        anchors: anchors.len() as u64 - unchecked - ahead,
        unchecked,
        ahead,
    })
}
