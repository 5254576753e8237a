//! Copies closed segments out, for write-once storage: each with a manifest that says what it is. A file that is there
//! already is compared, never written over; a new one gets its name when it is whole and on disk.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::commit::Segment;
use super::embedded;
use super::verify::{self, Fault};
use crate::reconcile::record::RecordId;

/// What a segment's file is, for those who keep it without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Number of the segment.
    pub segment: u32,
    /// Layout version.
    pub version: u16,
    /// The file.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Its hash.
    pub blake3: String,
    /// Another, for tools that know no BLAKE3.
    pub sha256: String,
    /// Number of its first record, counted over all segments.
    pub first_record: u64,
    /// How many records it adds.
    pub records: u64,
    /// How many records its opening balance has.
    pub opening_records: u64,
    /// Commits.
    pub commits: u64,
    /// Snowflake id of its first record, that of its opening balance if it has any.
    pub first_id: Option<u64>,
    /// Snowflake id of its last record.
    pub last_id: Option<u64>,
    /// The head of the chain before it.
    pub previous: String,
    /// The head of the chain at its end.
    pub head: String,
}

impl Manifest {
    fn of(segment: &Segment, bytes: &[u8]) -> Self {
        let ids = segment.ids.map(|(RecordId(first), RecordId(last))| (first, last));
        Self {
            segment: segment.number,
            version: segment.version,
            file: embedded::name(segment.number),
            bytes: bytes.len() as u64,
            blake3: blake3::hash(bytes).to_string(),
            sha256: Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
            first_record: segment.first,
            records: segment.records(),
            opening_records: segment.opening,
            commits: segment.commits,
            first_id: ids.map(|(first, _)| first),
            last_id: ids.map(|(_, last)| last),
            previous: segment.previous.to_string(),
            head: segment.head.to_string(),
        }
    }
}

/// Why nothing more was exported.
#[derive(Debug)]
pub enum ExportError {
    /// The ledger does not hold.
    Ledger(Fault),
    /// The target cannot be written.
    Io(PathBuf, io::Error),
    /// A file of that name is there, and is another.
    Differs(PathBuf),
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ledger(fault) => fault.fmt(f),
            Self::Io(path, error) => write!(f, "{}: {error}; free or mount the target", path.display()),
            Self::Differs(path) => write!(
                f,
                "{}: is there and differs from the ledger: one of the two was changed, or it is of another ledger; \
                 verify both, and export to another place",
                path.display()
            ),
        }
    }
}

impl std::error::Error for ExportError {}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Segments that are new in the target.
    pub written: u64,
    /// Segments that were there, and are the same.
    pub present: u64,
}

/// Copies the closed segments of `dir` to `out`, after having checked the whole chain. A segment of version 1 counts as
/// closed when another follows.
///
/// # Errors
/// [`ExportError`]. What has its name in `out` is whole.
pub fn export(dir: &Path, out: &Path) -> Result<Exported, ExportError> {
    verify::verify(dir, None, &[]).map_err(ExportError::Ledger)?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| ExportError::Io(path, error)
    };
    embedded::make_durable(out).map_err(failed(out))?;
    let mut exported = Exported::default();
    let files = verify::segments(dir).map_err(ExportError::Ledger)?;
    let last = files.last().map(|(number, _)| *number);
    for (number, path) in files {
        let (segment, mut bytes, _) = verify::read(number, &path).map_err(ExportError::Ledger)?;
        if !(segment.closed || segment.version == 1 && Some(number) != last) {
            continue;
        }
        bytes.truncate(segment.end);
        let manifest = Manifest::of(&segment, &bytes);
        let mut text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from).map_err(failed(out))?;
        text.push(b'\n');
        let file = out.join(&manifest.file);
        // The manifest comes last: where it is, the segment is.
        let is_new = place(&file, &bytes)?;
        if place(&file.with_extension("json"), &text)? || is_new {
            exported.written += 1
        } else {
            exported.present += 1
        }
    }
    embedded::sync_dir(&out.join("names")).map_err(failed(out))?;
    Ok(exported)
}

/// Writes a file unless it is there. Returns whether it is new.
fn place(path: &Path, bytes: &[u8]) -> Result<bool, ExportError> {
    let failed = |error| ExportError::Io(path.to_owned(), error);
    match fs::read(path) {
        Ok(there) if there == bytes => return Ok(false),
        Ok(_) => return Err(ExportError::Differs(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    // Its own name: another export may run at the same time.
    let mut unnamed = path.as_os_str().to_owned();
    unnamed.push(format!(".{}.partial", std::process::id()));
    let unnamed = PathBuf::from(unnamed);
    let write = || {
        let mut file = File::create(&unnamed)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unnamed, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&unnamed);
        failed(error)
    })?;
    Ok(true)
}

/// Checks the manifests that stand beside segments in `dir`; segments without one are none of its business. Returns how
/// many there are.
///
/// # Errors
/// The first manifest that does not fit its file.
pub fn check_manifests(dir: &Path) -> Result<u64, ExportError> {
    let mut checked = 0;
    for (number, path) in verify::segments(dir).map_err(ExportError::Ledger)? {
        let beside = path.with_extension("json");
        let text = match fs::read(&beside) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(ExportError::Io(beside, error)),
        };
        let (segment, bytes, _) = verify::read(number, &path).map_err(ExportError::Ledger)?;
        let says: Option<Manifest> = serde_json::from_slice(&text).ok();
        if says != Some(Manifest::of(&segment, &bytes)) {
            return Err(ExportError::Differs(beside));
        }
        checked += 1;
    }
    Ok(checked)
}
