//! What is done to the ledger of a process that does not run.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::server::executor;
use crate::authority::{Authority, NotRetired, Retired};
use crate::clock;
use crate::store::disk::Directory;
use crate::store::embedded::{Embedded, OpenError};
use crate::store::journal::Journal;
use crate::store::writer::{Job, Writer};
use crate::units::NodeId;

/// Why it was not done. Nothing has changed then.
#[derive(Debug)]
pub enum OfflineError {
    /// There is no ledger.
    Missing(PathBuf),
    /// It cannot be used; another process may have it.
    Open(Box<OpenError>),
    /// The node ran on this directory last.
    Itself(NodeId),
    /// The authority refuses.
    Refused(NodeId, NotRetired),
    /// It cannot be written.
    Write(PathBuf, io::Error),
}

impl fmt::Display for OfflineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(dir) => {
                write!(f, "{}: no ledger here; give the data directory of an authority", dir.display())
            }
            Self::Open(error) => match &**error {
                OpenError::InUse(dir) => {
                    write!(f, "{}: in use; ask the running bidder with --admin instead of --data", dir.display())
                }
                error => error.fmt(f),
            },
            Self::Itself(node) => {
                write!(f, "node {} ran on this directory last; start and stop it, and nothing is lost", node.0)
            }
            Self::Refused(node, why) => write!(f, "node {}: {why}", node.0),
            Self::Write(dir, error) => write!(f, "{}: the ledger cannot be written: {error}", dir.display()),
        }
    }
}

impl std::error::Error for OfflineError {}

/// Retires a node in the ledger of a stopped authority. On disk when this returns.
///
/// # Errors
/// [`OfflineError`].
pub fn retire(dir: &Path, node: NodeId) -> Result<Retired, OfflineError> {
    if !dir.join("ledger").is_dir() {
        return Err(OfflineError::Missing(dir.to_owned()));
    }
    let (Embedded { position, ids_from, lock }, replayed) =
        Embedded::open_replayed(dir).map_err(|error| OfflineError::Open(Box::new(error)))?;
    if position.segment == 0 {
        return Err(OfflineError::Missing(dir.to_owned()));
    }
    let now = clock::now();
    let books = &replayed.books;
    let last = books.bidder(books.incarnation()).map(|bidder| bidder.node);
    if last == Some(node) && !books.is_retired(node) {
        return Err(OfflineError::Itself(node));
    }
    let mut authority = Authority::new(replayed.books.clone());
    // No process runs, so any worker id serves that is nobody's.
    let worker = authority.free_workers(now, NodeId(u16::MAX), 1).unwrap_or_default();
    let mut journal = Journal::new(worker, ids_from);
    let opening = position.closed.then(|| journal.opening(now, replayed.opening()));
    let retired = authority.retire(now, &mut journal, node).map_err(|refused| OfflineError::Refused(node, refused))?;
    let batch = Job::new(journal.take().expect("retiring a node is a record"), None);
    let failed = |error| OfflineError::Write(dir.to_owned(), error);
    let executor = executor(None).map_err(|error| failed(io::Error::other(error.to_string())))?;
    let mut writer = Writer::new(Directory::new(dir.to_owned()), u64::MAX, position, ids_from);
    let written = executor.run(async move {
        let _lock = lock;
        for mut job in opening.map(Job::start).into_iter().chain([batch]) {
            writer.step(&mut job, now.wall).await?;
        }
        Ok(())
    });
    written.map_err(failed)?;
    Ok(retired)
}
