//! Writes the ledger: one commit after the other, and a new file when the current one is long.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use glommio::io::{BufferedFile, DmaFile, OpenOptions};

use super::commit::{self, Header};
use super::embedded::{self, Position};
use super::journal::Batch;

/// One commit, and a new file after it when the current one is long. Its steps are tried until each is on disk.
#[derive(Debug)]
pub struct Job {
    batch: Option<Batch>,
    upto: u64,
    opening: Option<Vec<u8>>,
}

impl Job {
    /// Nothing is left to be written.
    pub fn is_done(&self) -> bool {
        self.batch.is_none() && self.opening.is_none()
    }

    /// After the first step these records are on disk ([`Batch::upto`]).
    pub fn upto(&self) -> u64 {
        self.upto
    }
}

/// The end of the ledger, and the right to write there.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    file_bytes: u64,
    position: Position,
    _lock: File,
    /// Opened with the first commit, and again after a failure.
    sink: Option<Sink>,
}

impl Writer {
    /// Goes on at `position`. A file grows by `file_bytes`, or three times its opening balance, before the next one starts.
    pub fn new(dir: PathBuf, file_bytes: u64, position: Position, lock: File) -> Self {
        Self { dir, file_bytes, position, _lock: lock, sink: None }
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the next commit goes.
    pub fn position(&self) -> Position {
        self.position
    }

    /// A batch, and what `opening` makes of the next file's number and the next record's if that is to be started.
    pub fn job(&self, batch: Batch, opening: impl FnOnce(u32, u64) -> Vec<u8>) -> Job {
        let Position { file, offset, next, opening: first } = self.position;
        let opening =
            (offset - first > self.file_bytes.max(3 * first)).then(|| opening(file + 1, next + u64::from(batch.count)));
        Job { upto: batch.upto, batch: Some(batch), opening }
    }

    /// Tries the next step of a job; on failure it stays to be done.
    ///
    /// # Errors
    /// Of the disk. Nothing has moved then: the next try writes the same blocks, none of which was acknowledged.
    pub async fn step(&mut self, job: &mut Job) -> io::Result<()> {
        if let Some(batch) = &job.batch {
            self.commit(batch).await?;
            job.batch = None;
        } else if let Some(opening) = &job.opening {
            // The old file must not go on: the new one may be on disk, whatever an error says, and is read first.
            self.start_file(opening).await?;
            job.opening = None;
        }
        Ok(())
    }

    /// Writes a batch and syncs it.
    ///
    /// # Errors
    /// As [`Writer::step`].
    pub async fn commit(&mut self, batch: &Batch) -> io::Result<()> {
        let Position { file, offset, next, .. } = self.position;
        let header = Header { file, first: next, count: batch.count, opening: false };
        let length = commit::padded(batch.bytes.len());
        let sink = match self.sink.take() {
            Some(sink) => sink,
            None => Sink::open(&embedded::path(&self.dir, file)).await?,
        };
        sink.write(offset, length, |out| commit::write(header, &batch.bytes, out)).await?;
        self.sink = Some(sink);
        self.position.offset += length as u64;
        self.position.next += u64::from(batch.count);
        Ok(())
    }

    /// Starts the next file with its opening balance.
    async fn start_file(&mut self, opening: &[u8]) -> io::Result<()> {
        let file = self.position.file + 1;
        let path = embedded::path(&self.dir, file);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let sink = Sink::open(&path).await?;
        sink.write(0, opening.len(), |out| out.copy_from_slice(opening)).await?;
        embedded::sync_dir(&path)?;
        let length = opening.len() as u64;
        self.sink = Some(sink);
        self.position = Position { file, offset: length, opening: length, next: self.position.next };
        Ok(())
    }
}

/// A ledger file open for writing.
#[derive(Debug)]
enum Sink {
    /// O_DIRECT. On tmpfs glommio leaves the flag out by itself.
    Direct(DmaFile),
    /// For file systems that refuse O_DIRECT: through the page cache, synced all the same.
    Buffered(BufferedFile),
}

impl Sink {
    async fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true);
        match options.dma_open(path).await.map_err(io::Error::from) {
            Ok(file) => Ok(Self::Direct(file)),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                log::warn!("{}: no direct I/O on this file system; writing through the page cache", path.display());
                Ok(Self::Buffered(options.buffered_open(path).await?))
            }
            Err(error) => Err(error),
        }
    }

    /// Writes `length` bytes, made by `fill`, at `offset`, and syncs them.
    async fn write(&self, offset: u64, length: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<()> {
        let written = match self {
            Self::Direct(file) => {
                let mut buffer = file.alloc_dma_buffer(length);
                fill(&mut buffer.as_bytes_mut()[..length]);
                file.write_at(buffer, offset).await?
            }
            Self::Buffered(file) => {
                let mut buffer = vec![0; length];
                fill(&mut buffer);
                file.write_at(buffer, offset).await?
            }
        };
        if written != length {
            return Err(io::Error::new(io::ErrorKind::WriteZero, format!("{written} of {length} bytes written")));
        }
        match self {
            Self::Direct(file) => file.fdatasync().await?,
            Self::Buffered(file) => file.fdatasync().await?,
        }
        Ok(())
    }
}
