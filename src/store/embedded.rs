//! The embedded store: the ledger as files in a directory.
//!
//! ```text
//! DIR/lock                    held by the process that writes
//! DIR/ledger/00000001.ledger  commits; a file starts with an opening balance
//! ```
//!
//! Only the newest file with a whole opening balance is read at start. Opening and replay are plain file reads, done once;
//! the reconciliation core writes.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::commit::{self, BLOCK, Damage, Header};
use crate::authority::books::Inconsistent;
use crate::reconcile::history::Replayed;
use crate::reconcile::record::Record;

/// An opened directory: the books as they were left, and where to go on.
#[derive(Debug)]
pub struct Embedded {
    /// What the ledger says.
    pub replayed: Replayed,
    /// Where the next commit goes.
    pub position: Position,
    /// Held for as long as this process may write.
    pub lock: File,
    dir: PathBuf,
}

/// The end of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Number of the file.
    pub file: u32,
    /// Offset in it, in whole blocks.
    pub offset: u64,
    /// Number of the next record.
    pub next: u64,
    /// Length of the file's opening balance.
    pub opening: u64,
}

/// Why a directory cannot be used. Each says what to do.
#[derive(Debug)]
pub enum OpenError {
    /// The file system said no.
    Io(PathBuf, io::Error),
    /// Another process has it.
    InUse(PathBuf),
    /// A file is damaged where no crash explains it.
    Damaged(PathBuf, Damage),
    /// The records contradict each other.
    Inconsistent(PathBuf, Inconsistent),
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
            Self::Damaged(path, Damage::Middle(at)) => {
                write!(f, "{}: damaged at byte {at}, with whole commits after it; restore the file", path.display())
            }
            Self::Damaged(path, Damage::Foreign(at)) => write!(
                f,
                "{}: the commit at byte {at} does not belong here, or was written by a newer version; restore the file",
                path.display()
            ),
            Self::Inconsistent(path, why) => write!(f, "{}: {why}; restore the file", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

impl Embedded {
    /// Opens or makes `dir`, takes its lock, replays the ledger, and cuts off what was being written when it stopped.
    ///
    /// # Errors
    /// [`OpenError`]. Nothing was changed then, but for directories made.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let ledger = dir.join("ledger");
        make_durable(&ledger).map_err(|error| OpenError::Io(ledger.clone(), error))?;
        let lock = lock(dir)?;
        let (replayed, position) = replay(&ledger)?;
        if position.file > 0 {
            let path = path(dir, position.file);
            cut(&path, position.offset).map_err(|error| OpenError::Io(path, error))?;
        }
        Ok(Self { replayed, position, lock, dir: dir.to_owned() })
    }

    /// Starts the next file with an opening balance of what was replayed, on disk when this returns. Done at the first start; later
    /// files are started by the reconciliation core.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn start_file(&mut self) -> Result<(), OpenError> {
        let file = self.position.file + 1;
        let path = path(&self.dir, file);
        let bytes = opening(file, self.position.next, self.replayed.opening());
        let length = bytes.len() as u64;
        let write = || {
            let mut out = File::create(&path)?;
            out.write_all(&bytes)?;
            out.sync_all()?;
            sync_dir(&path)
        };
        write().map_err(|error| OpenError::Io(path.clone(), error))?;
        self.position = Position { file, offset: length, opening: length, ..self.position };
        Ok(())
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// The path of a ledger file.
pub fn path(dir: &Path, file: u32) -> PathBuf {
    dir.join("ledger").join(format!("{file:08}.ledger"))
}

/// The opening balance of a file, in whole blocks. It repeats what is known, so it takes no record numbers.
pub fn opening(file: u32, next: u64, balance: impl Iterator<Item = Record>) -> Vec<u8> {
    let (mut records, mut count) = (Vec::new(), 0);
    for record in balance {
        record.encode(&mut records);
        count += 1;
    }
    let mut out = vec![0; commit::padded(records.len())];
    commit::write(Header { file, first: next, count, opening: true }, &records, &mut out);
    out
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
fn make_durable(ledger: &Path) -> io::Result<()> {
    let names = names(ledger, Path::exists);
    fs::create_dir_all(ledger)?;
    for (name, was_there) in names {
        match sync_dir(&name) {
            // Whoever made it had the right to read what it stands in; this user may not.
            Err(error) if was_there && error.kind() == io::ErrorKind::PermissionDenied => {}
            done => done?,
        }
    }
    Ok(())
}

/// The names to be made durable, and whether they are there already: those that are missing; the ledger's and the data
/// directory's in any case, as a start that was cut off may have left them unsynced.
fn names(ledger: &Path, exists: impl Fn(&Path) -> bool) -> Vec<(PathBuf, bool)> {
    let names = ledger.ancestors().filter(|name| name.file_name().is_some());
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

/// Reads the newest file that has a whole opening balance; position 0 if there is none.
fn replay(ledger: &Path) -> Result<(Replayed, Position), OpenError> {
    let entries = fs::read_dir(ledger).map_err(|error| OpenError::Io(ledger.to_owned(), error))?;
    let mut files: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "ledger"))
        .filter_map(|path| Some((path.file_stem()?.to_str()?.parse().ok()?, path)))
        .collect();
    files.sort();
    while let Some((file, path)) = files.pop() {
        let bytes = fs::read(&path).map_err(|error| OpenError::Io(path.clone(), error))?;
        let contents = commit::contents(file, &bytes).map_err(|damage| OpenError::Damaged(path.clone(), damage))?;
        if contents.end == 0 && !(files.is_empty() && file > 1) {
            // Its opening balance was being written; until that was whole, the file before it was the ledger.
            continue;
        }
        if contents.end == 0 {
            return Err(OpenError::Damaged(path, Damage::Middle(0)));
        }
        let mut replayed = Replayed::default();
        for record in &contents.records {
            replayed.apply(record).map_err(|why| OpenError::Inconsistent(path.clone(), why))?;
        }
        let opening = commit::first_length(&bytes) as u64;
        let position = Position { file, offset: contents.end as u64, next: contents.next, opening };
        return Ok((replayed, position));
    }
    Ok((Replayed::default(), Position { file: 0, offset: 0, next: 0, opening: 0 }))
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

    #[test]
    fn a_directory_is_made_with_all_that_leads_to_it() {
        let root = std::env::temp_dir().join(format!("corebid-embedded-{}", std::process::id()));
        let store = Embedded::open(&root.join("one/two")).unwrap();
        assert_eq!((store.position.file, root.join("one/two/ledger").is_dir()), (0, true));
        fs::remove_dir_all(root).unwrap();
        // A relative name stands in the working directory.
        sync_dir(Path::new("data")).unwrap();
    }
}
