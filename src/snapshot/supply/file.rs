//! The table as a file.
//!
//! ```text
//!   "corebid supply\n" 0 · layout · key · what is counted · lengths │ files │ systems │ apps │ sellers │ pairs │ more │ CRC-32
//! ```
//!
//! Little-endian throughout. The tables are the lines of memory as they are, so that a file is read as fast as the disk gives it.
//! It is read, not mapped: a mapped file that somebody truncates is a SIGBUS in a bidder. The lengths must add up to the
//! file's before anything is allocated, and the checksum must be right before anything is believed; what the tables say of
//! each other is checked where it is used.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::hash::Key;
use super::table::{Line, Table, WORDS, empty};
use super::{Counts, Supply};
use crate::snapshot::document::FileError;

const MAGIC: &[u8; 16] = b"corebid supply\n\0";
/// Changes with anything that a reader must know: this layout, the hashes, what slots mean.
const LAYOUT: u64 = 2;
/// Numbers in the head: layout, key, counts, lengths.
const NUMBERS: usize = 1 + 2 + 5 + 6;
const HEAD: usize = MAGIC.len() + 8 * NUMBERS;
const CHECKSUM: usize = 4;
const LINE: usize = size_of::<Line>();

impl Supply {
    /// Reads a file that [`Supply::write`] made.
    ///
    /// # Errors
    /// It cannot be read, was made by another version, or is damaged.
    pub fn load(path: &Path) -> Result<Supply, FileError> {
        let told = |what: String| FileError { path: path.to_owned(), line: 0, what };
        let mut file = File::open(path).map_err(|error| told(format!("cannot read it: {error}")))?;
        let length = file.metadata().map_err(|error| told(format!("cannot read it: {error}")))?.len();
        read(&mut file, length).map_err(told)
    }

    /// Writes it, beside its place first and then by renaming: whoever reads finds the old file or the new one, whole.
    ///
    /// # Errors
    /// There is no room, or no right to write.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let beside = beside(path)?;
        let written = self.write_to(&beside).and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }

    fn write_to(&self, path: &Path) -> io::Result<()> {
        let file = File::create(path)?;
        let mut out = Summed { inner: BufWriter::with_capacity(1 << 20, file), sum: crc32fast::Hasher::new() };
        let Counts { files, pairs, systems, sellers, apps } = self.counts;
        let [a, b] = self.key.0;
        let lengths = [
            self.files.lines.len(),
            self.systems.lines.len(),
            self.apps.lines.len(),
            self.sellers.lines.len(),
            self.pairs.lines.len(),
            self.more.len(),
        ];
        let numbers = [LAYOUT, a, b, files, pairs, systems, sellers, apps].into_iter();
        out.write_all(MAGIC)?;
        for number in numbers.chain(lengths.map(|length| length as u64)) {
            out.write_all(&number.to_le_bytes())?;
        }
        for table in [&self.files.lines, &self.systems.lines, &self.apps.lines, &self.sellers.lines, &self.pairs.lines]
        {
            table.iter().try_for_each(|line| out.write_all(&bytes_of(line)))?;
        }
        self.more.iter().try_for_each(|word| out.write_all(&word.to_le_bytes()))?;
        let sum = out.sum.finalize();
        out.inner.write_all(&sum.to_le_bytes())?;
        out.inner.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"))?;
    let mut name = name.to_owned();
    name.push(".new");
    Ok(path.with_file_name(name))
}

fn bytes_of(line: &Line) -> [u8; LINE] {
    let mut bytes = [0; LINE];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(line.0) {
        *bytes = word.to_le_bytes();
    }
    bytes
}

fn read(file: &mut (impl Read + Seek), length: u64) -> Result<Supply, String> {
    const DAMAGED: &str = "the file is damaged or cut; build it again";
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => DAMAGED.to_owned(),
        _ => format!("cannot read it: {error}"),
    };
    let mut file = Summed { inner: file, sum: crc32fast::Hasher::new() };
    let mut head = [0; HEAD];
    file.read_exact(&mut head).map_err(failed)?;
    let Some(numbers) = head.strip_prefix(MAGIC) else {
        return Err("not a table of `corebid supply build`".to_owned());
    };
    let mut numbers = numbers.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
    let mut next = || numbers.next().ok_or(DAMAGED);
    let layout = next()?;
    if layout != LAYOUT {
        return Err(format!("layout {layout}, made by another version; this one reads {LAYOUT}: build it again"));
    }
    let key = Key([next()?, next()?]);
    let counts = Counts { files: next()?, pairs: next()?, systems: next()?, sellers: next()?, apps: next()? };
    let mut lengths = [0; 6];
    for length in &mut lengths {
        *length = next()?;
    }
    let bytes = lengths
        .iter()
        .zip([LINE, LINE, LINE, LINE, LINE, 4])
        .try_fold((HEAD + CHECKSUM) as u64, |sum, (count, size)| sum.checked_add(count.checked_mul(size as u64)?));
    if bytes != Some(length) {
        return Err(DAMAGED.to_owned());
    }
    let [files, systems, apps, sellers, pairs, more] = lengths.map(|length| length as usize);
    let supply = Supply {
        stale_open: false,
        key,
        files: Table { lines: lines(&mut file, files).map_err(failed)? },
        systems: Table { lines: lines(&mut file, systems).map_err(failed)? },
        apps: Table { lines: lines(&mut file, apps).map_err(failed)? },
        sellers: Table { lines: lines(&mut file, sellers).map_err(failed)? },
        pairs: Table { lines: lines(&mut file, pairs).map_err(failed)? },
        more: words(&mut file, more).map_err(failed)?,
        counts,
    };
    let sum = file.sum.clone().finalize();
    let mut told = [0; CHECKSUM];
    file.read_exact(&mut told).map_err(failed)?;
    if u32::from_le_bytes(told) == sum { Ok(supply) } else { Err(DAMAGED.to_owned()) }
}

fn lines(file: &mut impl Read, count: usize) -> io::Result<Box<[Line]>> {
    let mut lines = empty(count);
    let mut buffer = [0; 1024 * LINE];
    for some in lines.chunks_mut(1024) {
        let bytes = &mut buffer[..some.len() * LINE];
        file.read_exact(bytes)?;
        for (line, bytes) in some.iter_mut().zip(bytes.as_chunks::<LINE>().0) {
            let words = bytes.as_chunks().0;
            *line = Line(std::array::from_fn::<_, WORDS, _>(|at| u32::from_le_bytes(words[at])));
        }
    }
    Ok(lines)
}

fn words(file: &mut impl Read, count: usize) -> io::Result<Box<[u32]>> {
    let mut bytes = vec![0; count * 4];
    file.read_exact(&mut bytes)?;
    Ok(bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect())
}

/// What passes through it is summed.
struct Summed<T> {
    inner: T,
    sum: crc32fast::Hasher,
}

impl<T: Read> Read for Summed<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.sum.update(&buffer[..count]);
        Ok(count)
    }
}

impl<T: Write> Write for Summed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.sum.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
