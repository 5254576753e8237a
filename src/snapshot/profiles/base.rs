//! The base of profiles in files: more users than memory holds, read-only, mapped once and read by whoever may wait for a disk.
//!
//! ```text
//!   profiles-0000.base, profiles-0001.base, …: users ascending, each file below 1 GiB
//!   ┌────────┬───────────────────────────────┬─────────────────────────────────────────────┐
//!   │ header │ values, one behind the other  │ index: user, start and checksum of its value │ ascending, and one more: the end
//!   └────────┴───────────────────────────────┴─────────────────────────────────────────────┘
//! ```
//!
//! Header and index are checked whole when a base is opened, a value when it is asked for: its checksum covers the user too, so
//! that no damage makes one user's value another's. What the values are is not looked into: they may be sealed. Each header holds
//! the hash of the one before it, so that files of two builds do not pass for one base.
//!
//! A base is built beside its place and moved there ([`Builder`]), and never written again. Nobody else may write it either: a file
//! that is cut while it is mapped ends the process that reads it.

mod build;
mod header;

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use memmap2::Mmap;

pub use build::{Builder, Built};
use header::{ENTRY, Entry, HEADER, Header};

use crate::limits;
use crate::units::UserKey;

/// A value in a base, bytes: a profile and what its seal adds.
pub const VALUE_BYTES: usize = limits::PROFILE_BYTES + 256;

/// Why there is no such base. Displays as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseError {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for BaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}

impl std::error::Error for BaseError {}

impl BaseError {
    fn new(path: &Path, what: impl fmt::Display) -> BaseError {
        BaseError { path: path.to_owned(), what: what.to_string() }
    }
}

/// A value that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of the base is damaged")
    }
}

impl std::error::Error for Damaged {}

/// A base of profiles, open.
#[derive(Debug)]
pub struct Base {
    shards: Vec<Shard>,
    sealed: bool,
}

#[derive(Debug)]
struct Shard {
    map: Mmap,
    header: Header,
}

impl Base {
    /// Opens the base in a folder and checks all that says where values are.
    ///
    /// # Errors
    /// The first file that is not as [`Builder`] made it, or is missing.
    pub fn open(folder: &Path) -> Result<Base, BaseError> {
        let unreadable = |error: std::io::Error| BaseError::new(folder, format!("cannot read it: {error}"));
        let mut there = 0;
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            there += usize::from(Path::new(&name).extension().is_some_and(|extension| extension == "base"));
        }
        let mut shards: Vec<Shard> = Vec::new();
        for number in 0..there {
            let path = folder.join(file_name(number));
            let refused = |what| BaseError::new(&path, what);
            let shard = Shard::open(&path)?;
            if shard.header.number as usize != number {
                return Err(refused("another file's name"));
            }
            let before = shards.last().map(|shard| &shard.header);
            if shard.header.previous != before.map_or([0; 16], Header::hash) {
                return Err(refused("not of the same build as the file before it"));
            }
            if before.is_some_and(|before| before.last >= shard.header.first) {
                return Err(refused("its users do not follow those of the file before it"));
            }
            if shard.header.is_final != (number + 1 == there) {
                return Err(refused("the base has more files than there are, or fewer"));
            }
            shards.push(shard);
        }
        let Some(first) = shards.first() else { return Err(BaseError::new(folder, "no base of profiles")) };
        let sealed = first.header.sealed;
        match shards.iter().all(|shard| shard.header.sealed == sealed) {
            true => Ok(Base { shards, sealed }),
            false => Err(BaseError::new(folder, "sealed files and plain ones")),
        }
    }

    /// The user's value, as it was written; nothing of who is not in the base. This may wait for the disk.
    ///
    /// # Errors
    /// If it is not as it was written.
    pub fn get(&self, user: UserKey) -> Result<Option<&[u8]>, Damaged> {
        let after = self.shards.partition_point(|shard| shard.header.first <= user);
        let Some(shard) = after.checked_sub(1).map(|at| &self.shards[at]) else { return Ok(None) };
        shard.get(user)
    }

    /// Whether its values are sealed.
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// How many users it has.
    pub fn users(&self) -> u64 {
        self.shards.iter().map(|shard| shard.header.users).sum()
    }

    /// How many files.
    pub fn files(&self) -> usize {
        self.shards.len()
    }

    /// Of all files, bytes.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.header.length).sum()
    }

    /// Every user and value, by user.
    pub fn iter(&self) -> impl Iterator<Item = (UserKey, Result<&[u8], Damaged>)> {
        self.shards.iter().flat_map(|shard| {
            let users = shard.index().iter().take(shard.header.users as usize).map(|entry| Entry::decode(entry).user);
            users.enumerate().map(|(at, user)| (user, shard.value(at)))
        })
    }
}

impl Shard {
    fn open(path: &Path) -> Result<Shard, BaseError> {
        let refused = |what: &str| BaseError::new(path, what);
        let unreadable = |error: std::io::Error| BaseError::new(path, format!("cannot read it: {error}"));
        let file = File::open(path).map_err(unreadable)?;
        // SAFETY: nobody writes a file of a base once it has its name: see above what a breach of that does. The bytes are read as
        // bytes only.
        let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
        // Larger than memory: it is not to be locked there with the rest of the process.
        let _ = map.unlock();
        let header =
            map.first_chunk::<HEADER>().and_then(Header::decode).ok_or_else(|| refused("no header of a base"))?;
        if header.length != map.len() as u64 || !header.is_sound() {
            return Err(refused("not as long as it was written"));
        }
        let shard = Shard { map, header };
        if header::hash(shard.index().as_flattened()) != shard.header.index_hash {
            return Err(refused("its index is damaged"));
        }
        shard.check().map_err(refused)?;
        Ok(shard)
    }

    /// Whether the index is one: a hash says only that it is as it was written, by whomever.
    fn check(&self) -> Result<(), &'static str> {
        let (header, mut before) = (&self.header, None::<Entry>);
        for entry in self.index().iter().map(Entry::decode) {
            let Entry { user, start, .. } = entry;
            let follows = match before {
                Some(before) => {
                    let is_end = user == Entry::END;
                    let length = u64::from(start).checked_sub(before.start.into());
                    (before.user < user || is_end) && length.is_some_and(|length| length <= VALUE_BYTES as u64)
                }
                None => start as usize == HEADER && (user == header.first || header.users == 0),
            };
            if !follows || u64::from(start) > header.index {
                return Err("its index is out of order");
            }
            before = Some(entry);
        }
        let last = (header.users as usize).checked_sub(1).map(|at| Entry::decode(&self.index()[at]).user);
        match before.is_some_and(|end| end.user == Entry::END) && last.is_none_or(|last| last == header.last) {
            true => Ok(()),
            false => Err("its index ends elsewhere"),
        }
    }

    fn index(&self) -> &[[u8; ENTRY]] {
        self.map[self.header.index as usize..].as_chunks().0
    }

    fn get(&self, user: UserKey) -> Result<Option<&[u8]>, Damaged> {
        let users = &self.index()[..self.header.users as usize];
        match users.binary_search_by_key(&user, |entry| Entry::decode(entry).user) {
            Ok(at) => self.value(at).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn value(&self, at: usize) -> Result<&[u8], Damaged> {
        let [entry, next] = [at, at + 1].map(|at| Entry::decode(&self.index()[at]));
        let value = self.map.get(entry.start as usize..next.start as usize).ok_or(Damaged)?;
        if header::checksum(entry.user, value) == entry.checksum { Ok(value) } else { Err(Damaged) }
    }
}

fn file_name(number: usize) -> String {
    format!("profiles-{number:04}.base")
}

#[cfg(test)]
mod tests;
