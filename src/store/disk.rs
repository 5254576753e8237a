//! Where segments are written: a directory, on direct I/O. [`super::memory`] is another.

use std::io;
use std::path::{Path, PathBuf};

use glommio::io::{BufferedFile, DmaFile, OpenOptions};

use super::embedded;

/// What the [`super::writer::Writer`] asks of a disk. Writes start and end on blocks.
#[expect(async_fn_in_trait, reason = "all of it runs on one thread")]
pub trait Disk {
    /// A segment open for writing.
    type File;

    /// Opens a segment that is there. After a failure this is a new descriptor: errors of the old one are not its own.
    async fn open(&self, segment: u32) -> io::Result<Self::File>;

    /// Makes a segment, empty even if there was one: an opening balance that was cut off.
    async fn create(&self, segment: u32) -> io::Result<Self::File>;

    /// Writes `length` bytes, made by `fill`, at `offset`. They may be on disk, or some of their blocks, or none.
    async fn write(
        &self,
        file: &Self::File,
        offset: u64,
        length: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<()>;

    /// All that was written to the file is on disk when this returns.
    async fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// The names of all files are on disk when this returns.
    async fn sync_names(&self) -> io::Result<()>;
}

/// A data directory.
#[derive(Debug)]
pub struct Directory(PathBuf);

/// A segment in a directory.
#[derive(Debug)]
pub enum Sink {
    /// O_DIRECT. On tmpfs glommio leaves the flag out by itself.
    Direct(DmaFile),
    /// For file systems that refuse O_DIRECT: through the page cache, synced all the same.
    Buffered(BufferedFile),
}

impl Directory {
    /// The segments of a data directory.
    pub fn new(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// The data directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    async fn open(&self, segment: u32, create: bool) -> io::Result<Sink> {
        let path = embedded::path(&self.0, segment);
        let mut options = OpenOptions::new();
        options.write(true).create(create);
        match options.dma_open(&path).await.map_err(io::Error::from) {
            Ok(file) => Ok(Sink::Direct(file)),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                log::warn!("{}: no direct I/O on this file system; writing through the page cache", path.display());
                Ok(Sink::Buffered(options.buffered_open(&path).await?))
            }
            Err(error) => Err(error),
        }
    }
}

impl Disk for Directory {
    type File = Sink;

    async fn open(&self, segment: u32) -> io::Result<Sink> {
        Directory::open(self, segment, false).await
    }

    async fn create(&self, segment: u32) -> io::Result<Sink> {
        match std::fs::remove_file(embedded::path(&self.0, segment)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Directory::open(self, segment, true).await
    }

    async fn write(&self, file: &Sink, offset: u64, length: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<()> {
        let written = match file {
            Sink::Direct(file) => {
                let mut buffer = file.alloc_dma_buffer(length);
                fill(&mut buffer.as_bytes_mut()[..length]);
                file.write_at(buffer, offset).await?
            }
            Sink::Buffered(file) => {
                let mut buffer = vec![0; length];
                fill(&mut buffer);
                file.write_at(buffer, offset).await?
            }
        };
        if written != length {
            return Err(io::Error::new(io::ErrorKind::WriteZero, format!("{written} of {length} bytes written")));
        }
        Ok(())
    }

    async fn sync(&self, file: &Sink) -> io::Result<()> {
        match file {
            Sink::Direct(file) => file.fdatasync().await?,
            Sink::Buffered(file) => file.fdatasync().await?,
        }
        Ok(())
    }

    async fn sync_names(&self) -> io::Result<()> {
        embedded::sync_dir(&embedded::path(&self.0, 0))
    }
}
