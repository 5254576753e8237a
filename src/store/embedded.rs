//! The embedded store: the ledger as segments in a directory.
//!
//! ```text
//! DIR/lock                    held by the process that writes
//! DIR/ledger/00000001.ledger  commits; a segment starts with an opening balance
//! ```
//!
//! Only the newest segment with a whole opening balance is read at start, so a start costs what the segment holds, never
//! the history. Opening and replay are plain file reads, done once; the reconciliation core writes.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use blake3::Hash;

use super::commit::{self, BLOCK, Damage, Entry, Segment};
use crate::authority::books::Inconsistent;
use crate::reconcile::history::Replayed;
use crate::reconcile::record::{Record, RecordId};
use crate::units::{ReservationId, UnixMillis};

/// An opened directory: what was read, and where to go on.
#[derive(Debug)]
pub struct Embedded {
    /// Where the next commit goes.
    pub position: Position,
    /// Record ids of the next process start here ([`super::journal::Journal::new`]).
    pub ids_from: UnixMillis,
    /// Held for as long as this process may write.
    pub lock: File,
}

/// The end of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Number of the segment; 0 before the first.
    pub segment: u32,
    /// Offset in it, in whole blocks.
    pub offset: u64,
    /// Number of the next record.
    pub next: u64,
    /// Length of the segment's opening balance.
    pub opening: u64,
    /// Hash of the last commit: it stands for all before it.
    pub head: Hash,
    /// The segment takes no commit more; the next one is to be started.
    pub closed: bool,
}

impl Position {
    /// Before the first segment.
    pub const START: Position =
        Position { segment: 0, offset: 0, next: 0, opening: 0, head: commit::NOTHING, closed: true };
}

/// Why a directory cannot be used. Each says what to do.
#[derive(Debug)]
pub enum OpenError {
    /// The file system said no.
    Io(PathBuf, io::Error),
    /// Another process has it.
    InUse(PathBuf),
    /// A segment is damaged where no crash explains it.
    Damaged(PathBuf, Damage),
    /// The records contradict each other.
    Inconsistent(PathBuf, Box<Inconsistent>),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => {
                write!(f, "{}: {error}; choose a data directory that this user can write", path.display())
            }
            Self::InUse(dir) => {
                write!(f, "{}: in use by another corebid; stop it or choose another data directory", dir.display())
            }
            Self::Damaged(path, damage) => write!(f, "{}: {damage}; restore the file", path.display()),
            Self::Inconsistent(path, why) => write!(f, "{}: {why}; restore the file", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

impl Embedded {
    /// Opens or makes `dir`, takes its lock, replays the ledger into `apply`, and cuts off what was being written when it
    /// stopped. A segment of version 1 is not gone on with: its hash is that of the file, and the next segment is to be
    /// started.
    ///
    /// # Errors
    /// [`OpenError`]. Nothing was changed then, but for directories made.
    pub fn open(dir: &Path, apply: impl FnMut(&Record) -> Result<(), Inconsistent>) -> Result<Self, OpenError> {
        let ledger = dir.join("ledger");
        make_durable(&ledger).map_err(|error| OpenError::Io(ledger.clone(), error))?;
        let lock = lock(dir)?;
        let files = segments(&ledger).map_err(|error| OpenError::Io(ledger.clone(), error))?;
        let numbers = files.into_iter().map(|(number, _)| number).collect();
        let end = End::find(numbers, |segment| fs::read(path(dir, segment)), apply);
        let End { position, ids_from } = end.map_err(|(segment, fault)| {
            let path = path(dir, segment);
            match fault {
                Fault::Io(error) => OpenError::Io(path, error),
                Fault::Damaged(damage) => OpenError::Damaged(path, damage),
                Fault::Inconsistent(why) => OpenError::Inconsistent(path, why),
            }
        })?;
        if position.segment > 0 {
            let path = path(dir, position.segment);
            cut(&path, position.offset).map_err(|error| OpenError::Io(path, error))?;
        }
        Ok(Self { position, ids_from, lock })
    }

    /// The same, with what follows from its records.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn open_replayed(dir: &Path) -> Result<(Self, Replayed), OpenError> {
        let mut replayed = Replayed::default();
        let store = Self::open(dir, |record| replayed.apply(record))?;
        Ok((store, replayed))
    }
}

/// The path of a segment.
pub fn path(dir: &Path, segment: u32) -> PathBuf {
    dir.join("ledger").join(name(segment))
}

/// The name of a segment's file.
pub fn name(segment: u32) -> String {
    format!("{segment:08}.ledger")
}

/// The segments in a folder, by number.
///
/// # Errors
/// The folder cannot be read.
pub fn segments(folder: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let paths = fs::read_dir(folder)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut segments: Vec<(u32, PathBuf)> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "ledger"))
        .filter_map(|path| Some((path.file_stem()?.to_str()?.parse().ok()?, path)))
        .collect();
    segments.sort();
    Ok(segments)
}

/// Makes the name of a new file or directory durable.
///
/// # Errors
/// Of the file system.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Makes the directory, and makes the names that lead to it durable: a synced file in a directory whose name is lost is
/// lost with it.
///
/// # Errors
/// Of the file system.
pub fn make_durable(dir: &Path) -> io::Result<()> {
    let names = names(dir, Path::exists);
    fs::create_dir_all(dir)?;
    for (name, was_there) in names {
        match sync_dir(&name) {
            // Whoever made it had the right to read what it stands in; this user may not.
            Err(error) if was_there && error.kind() == io::ErrorKind::PermissionDenied => {}
            done => done?,
        }
    }
    Ok(())
}

/// The names to be made durable, and whether they are there already: those that are missing; the directory's own and the one
/// before it in any case, as a start that was cut off may have left them unsynced.
fn names(dir: &Path, exists: impl Fn(&Path) -> bool) -> Vec<(PathBuf, bool)> {
    let names = dir.ancestors().filter(|name| name.file_name().is_some());
    let names = names.map(|name| (name.to_owned(), exists(name))).enumerate();
    names.take_while(|(depth, (_, was_there))| *depth < 2 || !was_there).map(|(_, name)| name).collect()
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let open = File::options().write(true).create(true).truncate(false).open(&path);
    let mut file = open.map_err(|error| OpenError::Io(path.clone(), error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => return Err(OpenError::Io(path, error)),
    }
    // For people who look into the directory; nothing reads it.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

/// Where a ledger goes on, whatever its segments are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Where the next commit goes. What stands there is to be cut off first.
    pub position: Position,
    /// Record ids of the next process start here.
    pub ids_from: UnixMillis,
}

/// Why a segment cannot be gone on from.
#[derive(Debug)]
pub enum Fault {
    /// It cannot be read.
    Io(io::Error),
    /// It is damaged where no crash explains it.
    Damaged(Damage),
    /// Its records contradict each other.
    Inconsistent(Box<Inconsistent>),
}

impl End {
    /// Replays the newest of the segments (`numbers`, ascending) that has a whole opening balance: the last one, or the one
    /// before it if that is closed, as no segment is started before the last commit of the one before it is on disk.
    ///
    /// # Errors
    /// The segment that is to blame, and why.
    pub fn find(
        mut numbers: Vec<u32>,
        mut read: impl FnMut(u32) -> io::Result<Vec<u8>>,
        mut apply: impl FnMut(&Record) -> Result<(), Inconsistent>,
    ) -> Result<End, (u32, Fault)> {
        let mut later = None;
        while let Some(number) = numbers.pop() {
            if let Some(later) = later.filter(|later| *later != number + 1) {
                return Err((later, Fault::Damaged(Damage::Alone)));
            }
            let bytes = read(number).map_err(|error| (number, Fault::Io(error)))?;
            let mut wrong = None;
            let segment = Segment::read(number, &bytes, |entry| {
                if let (Entry::Record { record, .. }, None) = (entry, wrong) {
                    wrong = apply(&record).err();
                }
            });
            let segment = segment.map_err(|damage| (number, Fault::Damaged(damage)))?;
            if let Some(why) = wrong {
                return Err((number, Fault::Inconsistent(Box::new(why))));
            }
            let end = End::of(&segment);
            if later.is_some() && !end.position.closed {
                return Err((number, Fault::Damaged(Damage::Open(segment.end))));
            }
            if segment.end > 0 {
                return Ok(end);
            }
            // Its opening balance was being written; until that was whole, the segment before it was the ledger.
            if numbers.is_empty() && number > 1 {
                return Err((number, Fault::Damaged(Damage::Alone)));
            }
            later = Some(number);
        }
        Ok(End { position: Position::START, ids_from: UnixMillis(0) })
    }

    fn of(segment: &Segment) -> End {
        let position = Position {
            segment: segment.number,
            offset: segment.end as u64,
            next: segment.next,
            opening: segment.opening_length as u64,
            head: segment.head,
            closed: segment.closed || segment.version == 1,
        };
        End { position, ids_from: segment.ids.map_or(UnixMillis(0), |(_, last)| after(last)) }
    }
}

/// The millisecond after that of a record's id.
fn after(RecordId(id): RecordId) -> UnixMillis {
    UnixMillis(ReservationId(id).made().0 + 1)
}

/// Cuts a torn commit off, or fills the last block up, so that the file ends where the next commit starts.
fn cut(path: &Path, end: u64) -> io::Result<()> {
    debug_assert_eq!(end % BLOCK as u64, 0);
    let file = File::options().write(true).open(path)?;
    if file.metadata()?.len() != end {
        file.set_len(end)?;
        file.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(ledger: &str, there: &[&str]) -> Vec<(String, bool)> {
        let names = names(Path::new(ledger), |name| there.iter().any(|there| Path::new(there) == name));
        names.into_iter().map(|(name, was_there)| (name.to_str().unwrap().to_owned(), was_there)).collect()
    }

    #[test]
    fn every_name_that_leads_to_a_new_ledger_is_synced() {
        let owned =
            |names: &[(&str, bool)]| names.iter().map(|(name, was)| ((*name).to_owned(), *was)).collect::<Vec<_>>();
        let new = [("/var/corebid/a/ledger", false), ("/var/corebid/a", false), ("/var/corebid", false)];
        assert_eq!(named("/var/corebid/a/ledger", &["/", "/var"]), owned(&new));
        let made_by_another = [("/var/corebid/ledger", false), ("/var/corebid", true)];
        assert_eq!(named("/var/corebid/ledger", &["/", "/var", "/var/corebid"]), owned(&made_by_another));
        assert_eq!(named("data/ledger", &[]), owned(&[("data/ledger", false), ("data", false)]));
        assert_eq!(named("/ledger", &["/"]), owned(&[("/ledger", false)]));
    }

    /// What becomes of segments with these contents: `w` is whole and closed, `o` whole and open, `t` cut off in its opening
    /// balance.
    fn found(segments: &[(u32, char)]) -> Result<u32, (u32, Damage)> {
        let bytes = |number: u32, kind: char| {
            let header = |opening, closing, previous| commit::Header {
                segment: number,
                first: 0,
                count: 0,
                opening,
                closing,
                previous,
            };
            let mut bytes = vec![0; 2 * BLOCK];
            let head = commit::write(&header(true, false, commit::NOTHING), &[], &mut bytes[..BLOCK]);
            commit::write(&header(false, kind == 'w', head), &[], &mut bytes[BLOCK..]);
            bytes.truncate(if kind == 't' { 50 } else { bytes.len() });
            bytes
        };
        let numbers = segments.iter().map(|(number, _)| *number).collect();
        let read =
            |number| Ok(segments.iter().find(|segment| segment.0 == number).map(|it| bytes(it.0, it.1)).unwrap());
        match End::find(numbers, read, |_| Ok(())) {
            Ok(end) => Ok(end.position.segment),
            Err((number, Fault::Damaged(damage))) => Err((number, damage)),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_a_closed_segment_is_gone_on_from_when_a_later_one_was_begun() {
        assert_eq!(found(&[]), Ok(0));
        assert_eq!(found(&[(1, 't')]), Ok(0), "the first of all was being started");
        assert_eq!(found(&[(1, 'w'), (2, 'o')]), Ok(2));
        assert_eq!(found(&[(1, 'w'), (2, 'w'), (3, 't')]), Ok(2));
        // Damage to what closed it, which no crash explains: it was on disk before the next was started.
        assert_eq!(found(&[(1, 'w'), (2, 'o'), (3, 't')]), Err((2, Damage::Open(2 * BLOCK))));
        assert_eq!(found(&[(1, 'w'), (2, 't'), (3, 't')]), Err((2, Damage::Open(0))));
        // One in between is lost: so is all that was booked in it.
        assert_eq!(found(&[(1, 'w'), (3, 't')]), Err((3, Damage::Alone)));
        assert_eq!(found(&[(3, 't')]), Err((3, Damage::Alone)));
    }

    #[test]
    fn a_directory_is_made_with_all_that_leads_to_it() {
        let root = std::env::temp_dir().join(format!("corebid-embedded-{}", std::process::id()));
        let store = Embedded::open(&root.join("one/two"), |_| Ok(())).unwrap();
        assert_eq!((store.position.segment, root.join("one/two/ledger").is_dir()), (0, true));
        fs::remove_dir_all(root).unwrap();
        // A relative name stands in the working directory.
        sync_dir(Path::new("data")).unwrap();
    }
}
