//! Entries that wait until it is known how many there are, so that a table is made once and in its final size.
//!
//! A table of fingerprints cannot grow: of an entry it keeps too little to place it anew. So entries are collected in a chunk of
//! fixed size, and chunks that are full go to a file without a name, which is gone with the process whatever happens. Each is
//! sorted first: the table is then filled in as many sweeps through memory as there are chunks, not at one random place per
//! entry.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Entries of `N` words, the first of which is a hash.
#[derive(Debug)]
pub(super) struct Spill<const N: usize> {
    folder: PathBuf,
    most: usize,
    chunk: Vec<[u64; N]>,
    file: Option<BufWriter<File>>,
    spilled: usize,
}

impl<const N: usize> Spill<N> {
    /// An empty one that holds `most` entries in memory and the rest in a file of this folder.
    pub(super) fn new(folder: &Path, most: usize) -> Spill<N> {
        Spill { folder: folder.to_owned(), most, chunk: Vec::new(), file: None, spilled: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.spilled + self.chunk.len()
    }

    pub(super) fn push(&mut self, entry: [u64; N]) -> io::Result<()> {
        if self.chunk.len() == self.most {
            self.spill()?;
        }
        self.chunk.push(entry);
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        // Stable, so that of two entries of one hash the first stays the first.
        self.chunk.sort_by_key(|entry| entry[0]);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BufWriter::with_capacity(1 << 20, nameless(&self.folder)?)),
        };
        for word in self.chunk.as_flattened() {
            file.write_all(&word.to_le_bytes())?;
        }
        self.spilled += self.chunk.len();
        self.chunk.clear();
        Ok(())
    }

    /// Every entry; those of one hash in the order in which they came.
    pub(super) fn drain(mut self, mut each: impl FnMut([u64; N])) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.rewind()?;
            let mut file = BufReader::with_capacity(1 << 20, file);
            for _ in 0..self.spilled {
                let mut entry = [0; N];
                for word in &mut entry {
                    let mut bytes = [0; 8];
                    file.read_exact(&mut bytes)?;
                    *word = u64::from_le_bytes(bytes);
                }
                each(entry);
            }
        }
        self.chunk.sort_by_key(|entry| entry[0]);
        self.chunk.into_iter().for_each(each);
        Ok(())
    }
}

/// A file of this folder that has no name, and so is gone with the process.
pub(in crate::snapshot) fn nameless(folder: &Path) -> io::Result<File> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!(".corebid-{}-{number}.tmp", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_however_little_memory_there_is() {
        let entries: Vec<[u64; 2]> = (0..1000).map(|at| [at * 7919 % 101, at]).collect();
        for most in [1, 7, 999, 1000, 1001] {
            let mut spill = Spill::new(&std::env::temp_dir(), most);
            entries.iter().for_each(|entry| spill.push(*entry).unwrap());
            assert_eq!(spill.len(), 1000);
            let mut out = Vec::new();
            spill.drain(|entry| out.push(entry)).unwrap();
            for hash in 0..101 {
                let of = |all: &[[u64; 2]]| all.iter().filter(|entry| entry[0] == hash).copied().collect::<Vec<_>>();
                assert_eq!(of(&out), of(&entries), "{hash} with {most}");
            }
            assert_eq!(out.len(), 1000);
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let mut spill: Spill<1> = Spill::new(Path::new("/nowhere"), 1);
        spill.push([1]).unwrap();
        assert!(spill.push([2]).is_err());
    }
}
