//! The folder of fetched files: what `corebid supply fetch` writes and `corebid supply build` reads.
//!
//! ```text
//! DIR/state.ndjson          one line per change of an entry; the last line of a (kind, domain) counts
//! DIR/apps.ndjson           bundle and developer domain of each app
//! DIR/bodies/ab/cd/abcd…    bodies as fetched, named by their SHA-256; publishers of one network share one
//! DIR/lock                  held by the one crawler that may write
//! ```
//!
//! A body is synced and renamed into its place before the line that names it is written, and removed only by [`Writer::sweep`],
//! long after the line that let go of it. So a process killed anywhere leaves bodies nobody names and at most one torn
//! line at the end of the state, and neither is read. A reader may run beside the crawler.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::units::UnixMillis;

/// Which file of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// `/ads.txt` of a site.
    #[serde(rename = "ads.txt")]
    AdsTxt,
    /// `/app-ads.txt` of an app's developer.
    #[serde(rename = "app-ads.txt")]
    AppAdsTxt,
    /// `/sellers.json` of an advertising system.
    #[serde(rename = "sellers.json")]
    SellersJson,
}

impl Kind {
    /// The file's name, which is its path on the domain too.
    pub const fn file(self) -> &'static str {
        match self {
            Kind::AdsTxt => "ads.txt",
            Kind::AppAdsTxt => "app-ads.txt",
            Kind::SellersJson => "sellers.json",
        }
    }
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// There is a copy; it may be the last good one of long ago, see [`Entry::expires`].
    Good,
    /// 404: the publisher declares nothing. Never of a sellers.json.
    Absent,
    /// It was asked for and never had.
    Unavailable,
}

/// One file of one domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which file.
    pub kind: Kind,
    /// Whose, in lower case, without a leading `www.`.
    pub domain: String,
    /// What is known of it.
    pub status: Status,
    /// When the copy, or the 404, was last got or confirmed; 0 if never.
    #[serde(with = "millis")]
    pub fetched: UnixMillis,
    /// Until when it may be relied on; 0 if there is nothing.
    #[serde(with = "millis")]
    pub expires: UnixMillis,
    /// SHA-256 of the body, in hexadecimal; empty without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// Length of the body, bytes.
    #[serde(default)]
    pub bytes: u64,
    /// `ETag` of the copy, for `If-None-Match`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// `Last-Modified` of the copy, for `If-Modified-Since`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// The copy came over TLS.
    #[serde(default)]
    pub secure: bool,
    /// When a crawl last wanted it.
    #[serde(default, with = "millis")]
    pub wanted: UnixMillis,
    /// Failed attempts since `fetched`.
    #[serde(default)]
    pub failures: u32,
    /// Not to be asked for before this time.
    #[serde(default, with = "millis")]
    pub retry: UnixMillis,
    /// Why the last attempt failed; empty if it did not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}

impl Entry {
    /// A file that was never asked for.
    pub fn new(kind: Kind, domain: &str) -> Entry {
        Entry {
            kind,
            domain: domain.to_owned(),
            status: Status::Unavailable,
            fetched: UnixMillis(0),
            expires: UnixMillis(0),
            digest: String::new(),
            bytes: 0,
            etag: None,
            last_modified: None,
            secure: false,
            wanted: UnixMillis(0),
            failures: 0,
            retry: UnixMillis(0),
            error: String::new(),
        }
    }
}

mod millis {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::units::UnixMillis;

    pub(super) fn serialize<S: Serializer>(time: &UnixMillis, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(time.0)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<UnixMillis, D::Error> {
        u64::deserialize(from).map(UnixMillis)
    }
}

#[derive(Serialize, Deserialize)]
struct App {
    bundle: String,
    domain: String,
}

/// The folder, as it was when it was opened.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    entries: BTreeMap<(Kind, String), Entry>,
    apps: BTreeMap<String, String>,
}

impl Store {
    /// Reads what the folder says. A folder that is not there yet is an empty one to a [`Writer`], and an error to a reader.
    pub fn open(root: &Path) -> io::Result<Store> {
        let mut entries = BTreeMap::new();
        each_line(&root.join("state.ndjson"), |entry: Entry| {
            entries.insert((entry.kind, entry.domain.clone()), entry);
        })?;
        let mut apps = BTreeMap::new();
        match each_line(&root.join("apps.ndjson"), |app: App| {
            apps.insert(app.bundle, app.domain);
        }) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Store { root: root.to_owned(), entries, apps })
    }

    /// Every file that was ever asked for and is still wanted, by kind and domain.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// One of them.
    pub fn entry(&self, kind: Kind, domain: &str) -> Option<&Entry> {
        self.entries.get(&(kind, domain.to_owned()))
    }

    /// Bundle and developer domain of each app, by bundle.
    pub fn apps(&self) -> impl Iterator<Item = (&str, &str)> {
        self.apps.iter().map(|(bundle, domain)| (bundle.as_str(), domain.as_str()))
    }

    /// The copy of a good entry, whole. [`io::ErrorKind::InvalidData`] if the file is not what was fetched.
    pub fn body(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        self.reader(entry)?.read_to_end(&mut body)?;
        if hex(&Sha256::digest(&body)) == entry.digest {
            Ok(body)
        } else {
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: not the file that was fetched", body_path(&self.root, &entry.digest).display()),
            ))
        }
    }

    /// The copy of a good entry, for a file too large to hold: nobody compares it with its digest.
    pub fn reader(&self, entry: &Entry) -> io::Result<File> {
        if entry.status != Status::Good {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no copy"));
        }
        File::open(body_path(&self.root, &entry.digest))
    }
}

/// The folder, for the one who writes to it.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    log: File,
    /// Lines of the log.
    lines: usize,
    _lock: File,
}

impl Writer {
    /// Makes the folder if need be, and takes it for this process. [`io::ErrorKind::WouldBlock`] if another has it.
    pub fn open(root: &Path) -> io::Result<Writer> {
        fs::create_dir_all(root.join("bodies"))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(root.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::new(io::ErrorKind::WouldBlock, "another crawler writes to it"),
            TryLockError::Error(error) => error,
        })?;
        let state = root.join("state.ndjson");
        if !state.exists() {
            replace(&state, &[])?;
        }
        let store = Store::open(root)?;
        let log = OpenOptions::new().append(true).open(&state)?;
        let mut writer = Writer { store, log, lines: 0, _lock: lock };
        writer.compact()?;
        Ok(writer)
    }

    /// What it says now.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.store.root
    }

    /// Replaces an entry. Its body, if it is good, is in place ([`Body::keep`]).
    pub fn put(&mut self, entry: Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        // One write, so that a kill tears at most the end of the file.
        self.log.write_all(&line)?;
        self.lines += 1;
        self.store.entries.insert((entry.kind, entry.domain.clone()), entry);
        if self.lines > 2 * self.store.entries.len() + 4096 { self.compact() } else { Ok(()) }
    }

    /// Replaces the apps, all of them.
    pub fn put_apps(&mut self, apps: BTreeMap<String, String>) -> io::Result<()> {
        let mut text = Vec::new();
        for (bundle, domain) in &apps {
            serde_json::to_writer(&mut text, &App { bundle: bundle.clone(), domain: domain.clone() })?;
            text.push(b'\n');
        }
        replace(&self.store.root.join("apps.ndjson"), &text)?;
        self.store.apps = apps;
        Ok(())
    }

    /// Drops the entries that are not to stay, and the bodies that no entry names.
    pub fn sweep(&mut self, stays: impl Fn(&Entry) -> bool) -> io::Result<()> {
        self.store.entries.retain(|_, entry| stays(entry));
        self.compact()?;
        let named: HashSet<&str> = self.store.entries.values().map(|entry| entry.digest.as_str()).collect();
        for first in fs::read_dir(self.store.root.join("bodies"))? {
            let first = first?;
            if !first.file_type()?.is_dir() {
                // A body that was being fetched when its crawler ended.
                fs::remove_file(first.path())?;
                continue;
            }
            for second in fs::read_dir(first.path())? {
                for body in fs::read_dir(second?.path())? {
                    let body = body?;
                    if !body.file_name().to_str().is_some_and(|name| named.contains(name)) {
                        fs::remove_file(body.path())?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Everything said so far survives a loss of power.
    pub fn sync(&self) -> io::Result<()> {
        self.log.sync_data()
    }

    /// Where bodies are made; may be used by many threads.
    pub fn bodies(&self) -> Bodies {
        Bodies { root: self.store.root.clone() }
    }

    /// One line per entry again.
    fn compact(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        for entry in self.store.entries.values() {
            serde_json::to_writer(&mut text, entry)?;
            text.push(b'\n');
        }
        let path = self.store.root.join("state.ndjson");
        replace(&path, &text)?;
        self.log = OpenOptions::new().append(true).open(&path)?;
        self.lines = self.store.entries.len();
        Ok(())
    }
}

/// Makes bodies.
#[derive(Clone, Debug)]
pub struct Bodies {
    root: PathBuf,
}

impl Bodies {
    /// A body in the making. `number` is one that no other body in the making has.
    pub fn begin(&self, number: usize) -> io::Result<Body> {
        let path = self.root.join("bodies").join(format!("making-{number}"));
        let file = BufWriter::new(File::create(&path)?);
        Ok(Body { root: self.root.clone(), path, file, digest: Sha256::new(), bytes: 0, kept: false })
    }

    /// The copy of an entry is there, as long as it was fetched.
    pub fn have(&self, entry: &Entry) -> bool {
        fs::metadata(body_path(&self.root, &entry.digest)).is_ok_and(|file| file.len() == entry.bytes)
    }

    /// A body that was kept.
    pub fn open(&self, digest: &str) -> io::Result<File> {
        File::open(body_path(&self.root, digest))
    }
}

/// A body in the making, removed when it is dropped without having been kept.
#[derive(Debug)]
pub struct Body {
    root: PathBuf,
    path: PathBuf,
    file: BufWriter<File>,
    digest: Sha256,
    bytes: u64,
    kept: bool,
}

impl Body {
    /// What was written so far, to be looked at before it is kept.
    pub fn read(&mut self) -> io::Result<File> {
        self.file.flush()?;
        File::open(&self.path)
    }

    /// Puts the body in its place: its digest and length, for [`Entry::digest`] and [`Entry::bytes`].
    pub fn keep(mut self) -> io::Result<(String, u64)> {
        self.file.flush()?;
        self.file.get_ref().sync_data()?;
        let digest = hex(&std::mem::take(&mut self.digest).finalize());
        let path = body_path(&self.root, &digest);
        let folder = path.parent().expect("a body lies in a folder");
        fs::create_dir_all(folder)?;
        fs::rename(&self.path, &path)?;
        File::open(folder)?.sync_all()?;
        self.kept = true;
        Ok((digest, self.bytes))
    }
}

impl Write for Body {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if !self.kept {
            // What is left behind here is swept later.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Two levels of 256 folders: a hundred thousand files are one or two to a folder.
fn body_path(root: &Path, digest: &str) -> PathBuf {
    let part = |range: std::ops::Range<usize>| digest.get(range).unwrap_or("none");
    root.join("bodies").join(part(0..2)).join(part(2..4)).join(digest)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Each line of a file that is whole. What follows the last line end was being written when its writer was killed.
fn each_line<T: for<'a> Deserialize<'a>>(path: &Path, mut each: impl FnMut(T)) -> io::Result<()> {
    let in_file = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut file = BufReader::new(File::open(path).map_err(in_file)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        file.read_until(b'\n', &mut line).map_err(in_file)?;
        if line.pop() != Some(b'\n') {
            break;
        }
        each(serde_json::from_slice(&line).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}:{number}: {error}", path.display()))
        })?);
    }
    Ok(())
}

/// Writes a file beside its place and renames it there: a reader finds the old one or the new one, whole.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(text)?;
    file.sync_data()?;
    fs::rename(&beside, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
