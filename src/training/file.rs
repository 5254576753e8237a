//! Files of one kind: the one that is written, and the complete ones before it, of which the oldest go.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind};
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;

use super::Lost;
use super::columns::Layout;
use crate::config::Training;
use crate::units::{Nanos, Now, UnixMillis};

/// What ends the name of a complete file.
const COMPLETE: &str = ".parquet";
/// What ends the name of a file that is being written, after [`COMPLETE`].
const PARTIAL: &str = ".partial";

/// Makes the folder, removes what an earlier process left half written, and tries whether files can be made.
pub(super) fn prepare(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == &PARTIAL[1..]) {
            fs::remove_file(path)?;
        }
    }
    let probe = dir.join(format!("probe{PARTIAL}"));
    File::create(&probe)?;
    fs::remove_file(probe)
}

/// Files of `T`.
pub(super) struct Files<T> {
    kind: &'static str,
    dir: PathBuf,
    max_bytes: u64,
    keep: usize,
    roll: u64,
    layout: Layout<T>,
    pending: Vec<T>,
    /// When the oldest row that is in no complete file came.
    since: Option<Now>,
    open: Option<Open>,
    /// Files named so far: two of one millisecond have different names.
    serial: u32,
}

/// A file that is being written.
struct Open {
    writer: SerializedFileWriter<BufWriter<File>>,
    path: PathBuf,
    rows: u64,
}

impl<T> Files<T> {
    pub(super) fn new(kind: &'static str, dir: &Path, config: &Training, layout: Layout<T>) -> Files<T> {
        Files {
            kind,
            dir: dir.to_owned(),
            max_bytes: config.max_bytes.get(),
            keep: config.keep.get().into(),
            roll: u64::from(config.roll_minutes.get()) * 60 * Nanos::SECOND,
            layout,
            pending: Vec::new(),
            since: None,
            open: None,
            serial: 0,
        }
    }

    pub(super) fn push(&mut self, now: Now, item: T) {
        self.since.get_or_insert(now);
        self.pending.push(item);
    }

    /// How many are in memory alone.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Whether there is something to complete, and it is time for it.
    pub(super) fn is_due(&self, now: Now) -> bool {
        let long = self.open.as_ref().is_some_and(|open| open.writer.bytes_written() as u64 >= self.max_bytes);
        long || self.since.is_some_and(|since| now.boot.since(since.boot) >= self.roll)
    }

    /// Hands what is pending to the disk.
    pub(super) fn flush(&mut self) -> Result<(), Lost> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self.write();
        match written {
            Ok(()) => self.pending.clear(),
            Err(error) => return Err(self.give_up(&error)),
        }
        Ok(())
    }

    /// Makes a complete file of all there is; how many rows it has. Then the oldest go that are too many.
    pub(super) fn complete(&mut self) -> Result<u64, Lost> {
        self.flush()?;
        self.since = None;
        let Some(Open { writer, path, rows }) = self.open.take() else { return Ok(0) };
        let named = path.with_extension("");
        let closed = writer.into_inner().and_then(|buffer| {
            let file = buffer.into_inner().map_err(|error| ParquetError::External(Box::new(error.into_error())))?;
            file.sync_all()?;
            fs::rename(&path, &named)?;
            File::open(&self.dir)?.sync_all()?;
            Ok(())
        });
        if let Err(error) = closed {
            self.open = None;
            // What can be said is said by the first error.
            let _ = fs::remove_file(&path);
            return Err(Lost { path: named, rows, why: error.to_string() });
        }
        self.prune();
        Ok(rows)
    }

    fn write(&mut self) -> Result<(), ParquetError> {
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let since = self.since.map_or(UnixMillis(0), |since| since.wall);
                let (path, file) = create(&self.dir, self.kind, since, &mut self.serial)?;
                let (schema, properties) = (self.layout.schema.clone(), self.layout.properties.clone());
                let writer = SerializedFileWriter::new(BufWriter::new(file), schema, properties);
                none.insert(Open { writer: writer.inspect_err(|_| drop(fs::remove_file(&path)))?, path, rows: 0 })
            }
        };
        let group = open.writer.next_row_group()?;
        self.layout.write(&self.pending, group)?;
        open.writer.flush()?;
        open.rows += self.pending.len() as u64;
        Ok(())
    }

    /// The file is lost with all that is in it and what was to follow.
    fn give_up(&mut self, error: &ParquetError) -> Lost {
        let mut rows = self.pending.len() as u64;
        self.pending.clear();
        self.since = None;
        let mut path = self.dir.clone();
        if let Some(open) = self.open.take() {
            rows += open.rows;
            path = open.path;
            let _ = fs::remove_file(&path);
        }
        Lost { path, rows, why: error.to_string() }
    }

    /// Removes the oldest complete files that are too many. One that cannot be removed is tried again after the next.
    fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> =
            names.filter(|name| name.starts_with(self.kind) && name.ends_with(COMPLETE)).collect();
        names.sort_unstable();
        for name in &names[..names.len().saturating_sub(self.keep)] {
            let _ = fs::remove_file(self.dir.join(name));
        }
    }
}

/// Begins a file: its name is in the order of time, and taken by no other.
fn create(dir: &Path, kind: &str, since: UnixMillis, serial: &mut u32) -> io::Result<(PathBuf, File)> {
    loop {
        let name = format!("{kind}-{:013}-{:04}{COMPLETE}", since.0, *serial % 10_000);
        *serial += 1;
        if dir.join(&name).exists() {
            continue;
        }
        let path = dir.join(name + PARTIAL);
        match File::create_new(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map(|file| (path, file)),
        }
    }
}
