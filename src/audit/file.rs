//! A file of lines that is never longer than a bound, and the full ones before it: `log`, `log.1`, `log.2`, the oldest last.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    max_bytes: u64,
    keep: u8,
    /// With its length; none after a failure.
    open: Option<(fs::File, u64)>,
}

impl File {
    /// Opens it to go on at its end; it is made if it is not there.
    pub(super) fn open(path: &Path, max_bytes: u64, keep: u8) -> io::Result<File> {
        let mut file = File { path: path.to_owned(), max_bytes, keep, open: None };
        file.current()?;
        Ok(file)
    }

    /// Where it is, for people.
    pub(super) fn path(&self) -> impl std::fmt::Display {
        self.path.display()
    }

    /// Adds whole lines, all of them or none, as far as the disk lets us take half of them back. After a failure the file is
    /// opened anew, so that one that was moved or made writable is found.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let (_, length) = self.current()?;
        if *length > 0 && *length + lines.len() as u64 > self.max_bytes {
            self.turn_over()?;
        }
        let (file, length) = self.current()?;
        match file.write_all(lines) {
            Ok(()) => {
                *length += lines.len() as u64;
                Ok(())
            }
            Err(error) => {
                // What can be said is said by the first error.
                let _ = file.set_len(*length);
                self.open = None;
                Err(error)
            }
        }
    }

    fn current(&mut self) -> io::Result<&mut (fs::File, u64)> {
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
                let length = file.metadata()?.len();
                (file, length)
            }
        };
        Ok(self.open.insert(open))
    }

    /// Moves every file on by one, and forgets the oldest.
    fn turn_over(&mut self) -> io::Result<()> {
        self.open = None;
        for number in (0..self.keep).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn numbered(&self, number: u8) -> PathBuf {
        match number {
            0 => self.path.clone(),
            _ => {
                let mut name = self.path.clone().into_os_string();
                name.push(format!(".{number}"));
                name.into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_files_move_on_and_the_oldest_goes() {
        let folder = std::env::temp_dir().join(format!("corebid-audit-file-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("log");
        let read = || {
            let names = ["log", "log.1", "log.2", "log.3"];
            names.map(|name| fs::read_to_string(folder.join(name)).unwrap_or_else(|_| "-".into()))
        };
        let mut file = File::open(&path, 8, 2).unwrap();
        for line in ["aaa\n", "bbb\n", "ccc\n"] {
            file.append(line.as_bytes()).unwrap();
        }
        assert_eq!(read(), ["ccc\n", "aaa\nbbb\n", "-", "-"]);
        // Goes on where it was, also in another process.
        let mut file = File::open(&path, 8, 2).unwrap();
        for line in ["ddd\n", "longer than all\n", "e\n", "f\n"] {
            file.append(line.as_bytes()).unwrap();
        }
        assert_eq!(read(), ["e\nf\n", "longer than all\n", "ccc\nddd\n", "-"]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_failed_is_opened_anew() {
        let folder = std::env::temp_dir().join(format!("corebid-audit-full-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (path, real) = (folder.join("log"), folder.join("real"));
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut file = File::open(&path, 1 << 20, 1).unwrap();
        assert_eq!(file.append(b"a\n").unwrap_err().kind(), ErrorKind::StorageFull);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&real, &path).unwrap();
        file.append(b"b\n").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "b\n");
        fs::remove_dir_all(&folder).unwrap();
    }
}
