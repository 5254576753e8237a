//! Makes a base of more users than memory holds: sorted runs go to a file without a name, and are merged into the files of the base.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::header::{self, ENTRY, Entry, HEADER, Header};
use super::{VALUE_BYTES, file_name};
use crate::snapshot::supply::spill::nameless;
use crate::units::UserKey;

/// A file of a base, bytes at most.
const FILE_BYTES: u64 = 1024 * 1024 * 1024 - 1;
/// Values in memory, bytes with what belongs to them.
const MEMORY_BYTES: usize = 256 * 1024 * 1024;
/// What is read of a run at once, bytes.
const READ_BYTES: usize = 64 * 1024;

/// Builds a base. Of a user who comes twice the last value stays.
pub struct Builder<S> {
    folder: PathBuf,
    /// Where the base becomes what it is; then it is moved.
    making: PathBuf,
    sealed: bool,
    seal: S,
    file_bytes: u64,
    memory_bytes: usize,
    /// User, and where its value is in `values`.
    waiting: Vec<(UserKey, u32, u32)>,
    values: Vec<u8>,
    spilled: File,
    spilled_bytes: u64,
    /// Where each run ends.
    runs: Vec<u64>,
    taken: u64,
    done: bool,
}

/// What was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Built {
    /// Users in the base.
    pub users: u64,
    /// Values that another one of the same user replaced.
    pub replaced: u64,
    /// Files.
    pub files: u64,
    /// Of all files, bytes.
    pub bytes: u64,
    /// Of the values, bytes.
    pub value_bytes: u64,
}

impl<S: FnMut(UserKey, &[u8]) -> io::Result<Vec<u8>>> Builder<S> {
    /// A builder of the base in this folder, which must not be there yet, or empty. If `sealed`, it says so in the files; what `seal`
    /// returns of each value is what is kept, and only that ever reaches a disk.
    ///
    /// # Errors
    /// If the folder holds something, or none can be made beside it.
    pub fn new(folder: &Path, sealed: bool, seal: S) -> io::Result<Builder<S>> {
        Builder::within(folder, sealed, seal, FILE_BYTES, MEMORY_BYTES)
    }

    /// The same with these bounds.
    pub(super) fn within(
        folder: &Path,
        sealed: bool,
        seal: S,
        file_bytes: u64,
        memory_bytes: usize,
    ) -> io::Result<Builder<S>> {
        let there = match fs::read_dir(folder) {
            Ok(mut there) => there.next().is_some(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if there {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the folder is not empty"));
        }
        let mut making = folder.as_os_str().to_owned();
        making.push(format!(".{}.tmp", std::process::id()));
        let making = PathBuf::from(making);
        fs::create_dir_all(&making)?;
        let spilled = nameless(&making).inspect_err(|_| drop(fs::remove_dir(&making)))?;
        Ok(Builder {
            folder: folder.to_owned(),
            making,
            sealed,
            seal,
            file_bytes,
            memory_bytes,
            waiting: Vec::new(),
            values: Vec::new(),
            spilled,
            spilled_bytes: 0,
            runs: Vec::new(),
            taken: 0,
            done: false,
        })
    }

    /// Takes a user's plain value. [`UserKey::NOBODY`] has none.
    ///
    /// # Errors
    /// What `seal` or the disk says; a sealed value longer than [`VALUE_BYTES`].
    pub fn push(&mut self, user: UserKey, value: &[u8]) -> io::Result<()> {
        if user == UserKey::NOBODY {
            return Ok(());
        }
        let sealed = (self.seal)(user, value)?;
        if sealed.len() > VALUE_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a value is longer than a base holds"));
        }
        self.taken += 1;
        self.waiting.push((user, self.values.len() as u32, sealed.len() as u32));
        self.values.extend(sealed);
        if self.values.len() + self.waiting.len() * size_of::<(UserKey, u32, u32)>() >= self.memory_bytes {
            self.spill()?;
        }
        Ok(())
    }

    /// Writes the base and moves it to its place.
    ///
    /// # Errors
    /// What the disk says; then there is no base.
    pub fn finish(mut self) -> io::Result<Built> {
        self.spill()?;
        let mut out = Files::new(&self.making, self.sealed, self.file_bytes)?;
        let mut start = 0;
        let mut runs: Vec<Run<'_>> = Vec::new();
        for end in &self.runs {
            runs.push(Run { file: &self.spilled, at: start, end: *end, room: Vec::new(), next: 0 });
            start = *end;
        }
        // The first user of each run; of one user, the newest run comes last.
        let mut first = BinaryHeap::new();
        for (at, run) in runs.iter_mut().enumerate() {
            first.extend(run.read()?.map(|(user, value)| Reverse((user, at, value))));
        }
        while let Some(Reverse((user, at, value))) = first.pop() {
            first.extend(runs[at].read()?.map(|(user, value)| Reverse((user, at, value))));
            if first.peek().is_none_or(|Reverse((next, ..))| *next != user) {
                out.push(user, &value)?;
            }
        }
        let built = out.finish()?;
        fs::rename(&self.making, &self.folder)?;
        self.done = true;
        if let Some(parent) = self.folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(Built { replaced: self.taken - built.users, ..built })
    }

    fn spill(&mut self) -> io::Result<()> {
        // Stable: of one user's values, the last stays the last.
        self.waiting.sort_by_key(|(user, ..)| *user);
        let mut out = BufWriter::with_capacity(1 << 20, &self.spilled);
        for (user, start, length) in self.waiting.drain(..) {
            out.write_all(&user.0.to_le_bytes())?;
            out.write_all(&length.to_le_bytes())?;
            out.write_all(&self.values[start as usize..][..length as usize])?;
            self.spilled_bytes += RECORD as u64 + u64::from(length);
        }
        out.flush()?;
        drop(out);
        self.values.clear();
        if self.runs.last().copied().unwrap_or_default() != self.spilled_bytes {
            self.runs.push(self.spilled_bytes);
        }
        Ok(())
    }
}

impl<S> fmt::Debug for Builder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("folder", &self.folder).field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl<S> Drop for Builder<S> {
    /// What was not finished leaves nothing behind.
    fn drop(&mut self) {
        if !self.done {
            drop(fs::remove_dir_all(&self.making));
        }
    }
}

/// User and length before a value in a run, bytes.
const RECORD: usize = 12;

/// A sorted run, read from its front.
struct Run<'f> {
    file: &'f File,
    at: u64,
    end: u64,
    room: Vec<u8>,
    next: usize,
}

impl Run<'_> {
    fn read(&mut self) -> io::Result<Option<(UserKey, Vec<u8>)>> {
        if !self.has(RECORD)? {
            return Ok(None);
        }
        let (user, length) = self.room[self.next..][..RECORD].split_at(8);
        let user = UserKey(user.first_chunk().map_or(0, |user| u64::from_le_bytes(*user)));
        let length = length.first_chunk().map_or(0, |length| u32::from_le_bytes(*length)) as usize;
        if !self.has(RECORD + length)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let value = self.room[self.next + RECORD..][..length].to_vec();
        self.next += RECORD + length;
        Ok(Some((user, value)))
    }

    /// Reads on until so many bytes are at hand; whether there are so many.
    fn has(&mut self, bytes: usize) -> io::Result<bool> {
        if self.room.len() - self.next >= bytes {
            return Ok(true);
        }
        self.room.drain(..self.next);
        self.next = 0;
        let more = (self.end - self.at).min(READ_BYTES as u64) as usize;
        let held = self.room.len();
        self.room.resize(held + more, 0);
        self.file.read_exact_at(&mut self.room[held..], self.at)?;
        self.at += more as u64;
        Ok(self.room.len() >= bytes)
    }
}

/// The files of a base, in the making.
struct Files<'f> {
    folder: &'f Path,
    sealed: bool,
    most: u64,
    open: Open,
    built: Built,
}

/// The file that is written now.
struct Open {
    file: BufWriter<File>,
    /// Its index: as long as the file is open, in one of its own.
    index: BufWriter<File>,
    header: Header,
    /// Where the next value goes.
    end: u64,
}

impl Files<'_> {
    fn new(folder: &Path, sealed: bool, most: u64) -> io::Result<Files<'_>> {
        let open = Open::new(folder, 0, sealed, [0; 16])?;
        Ok(Files { folder, sealed, most, open, built: Built::default() })
    }

    fn push(&mut self, user: UserKey, value: &[u8]) -> io::Result<()> {
        let entries = self.open.header.users + 2;
        if self.open.header.users > 0 && self.open.end + value.len() as u64 + entries * ENTRY as u64 > self.most {
            let previous = self.close(false)?;
            self.open = Open::new(self.folder, self.built.files, self.sealed, previous)?;
        }
        self.open.push(user, value)?;
        self.built.users += 1;
        self.built.value_bytes += value.len() as u64;
        Ok(())
    }

    fn finish(mut self) -> io::Result<Built> {
        self.close(true)?;
        File::open(self.folder)?.sync_all()?;
        Ok(self.built)
    }

    /// Finishes the open file; what the next one knows it by.
    fn close(&mut self, is_final: bool) -> io::Result<[u8; 16]> {
        self.open.header.is_final = is_final;
        let header = self.open.close()?;
        self.built.files += 1;
        self.built.bytes += header.length;
        Ok(header.hash())
    }
}

impl Open {
    fn new(folder: &Path, number: u64, sealed: bool, previous: [u8; 16]) -> io::Result<Open> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create_new(folder.join(file_name(number as usize)))?);
        file.write_all(&[0; HEADER])?;
        let header = Header {
            sealed,
            is_final: false,
            number,
            users: 0,
            first: UserKey(0),
            last: UserKey(0),
            index: 0,
            length: 0,
            index_hash: [0; 16],
            previous,
        };
        Ok(Open { file, index: BufWriter::new(nameless(folder)?), header, end: HEADER as u64 })
    }

    fn push(&mut self, user: UserKey, value: &[u8]) -> io::Result<()> {
        if self.header.users == 0 {
            self.header.first = user;
        }
        self.header.last = user;
        self.header.users += 1;
        let entry = Entry { user, start: self.end as u32, checksum: header::checksum(user, value) };
        self.index.write_all(&entry.encode())?;
        self.file.write_all(value)?;
        self.end += value.len() as u64;
        Ok(())
    }

    fn close(&mut self) -> io::Result<Header> {
        let end = Entry { user: Entry::END, start: self.end as u32, checksum: 0 };
        self.index.write_all(&end.encode())?;
        self.index.flush()?;
        let mut index = self.index.get_ref();
        index.rewind()?;
        let (mut hash, mut room) = (blake3::Hasher::new(), vec![0; READ_BYTES]);
        loop {
            let read = index.read(&mut room)?;
            if read == 0 {
                break;
            }
            hash.update(&room[..read]);
            self.file.write_all(&room[..read])?;
        }
        self.header.index = self.end;
        self.header.length = self.end + (self.header.users + 1) * ENTRY as u64;
        self.header.index_hash = header::half(&hash.finalize());
        self.file.flush()?;
        let file = self.file.get_mut();
        file.rewind()?;
        file.write_all(&self.header.encode())?;
        file.sync_all()?;
        Ok(self.header.clone())
    }
}
