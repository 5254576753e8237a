//! A machine's disk: what is synced is there for ever, what is being written may be there in part, and it may refuse.

use crate::market::random::Random;

/// What a machine has written.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// Synced.
    bytes: Vec<u8>,
    /// Given to the disk and not known to be synced, with what to report when it is.
    writing: Option<(Vec<u8>, u64)>,
    /// No room: a commit fails.
    pub full: bool,
    /// So many of the next commits fail.
    pub failing: u32,
}

impl Disk {
    /// What is synced.
    pub fn synced(&self) -> &[u8] {
        &self.bytes
    }

    /// A commit is under way.
    pub fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Begins a commit. One is under way at a time.
    pub fn write(&mut self, bytes: Vec<u8>, upto: u64) {
        assert!(self.writing.is_none(), "two commits at a time");
        self.writing = Some((bytes, upto));
    }

    /// The commit under way ends: what it covered, or `None` if it failed and must be tried again.
    pub fn sync(&mut self) -> Option<u64> {
        if self.full {
            return None;
        }
        if self.failing > 0 {
            self.failing -= 1;
            return None;
        }
        let (bytes, upto) = self.writing.take()?;
        self.bytes.extend_from_slice(&bytes);
        Some(upto)
    }

    /// The machine stops. Of the commit under way any prefix may be found again. Returns whether it was cut short.
    pub fn crash(&mut self, random: &mut Random) -> bool {
        self.failing = 0;
        let Some((bytes, _)) = self.writing.take() else { return false };
        let kept = random.below(bytes.len() as u64 + 1) as usize;
        self.bytes.extend_from_slice(&bytes[..kept]);
        kept < bytes.len()
    }

    /// Forgets what was synced beyond `length`: a torn record at the end, or what was never copied to where it is read now.
    pub fn truncate(&mut self, length: usize) -> Vec<u8> {
        self.bytes.split_off(length)
    }

    /// Adds what is known to be kept elsewhere.
    pub fn restore(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_keeps_all_that_is_synced_and_a_prefix_of_the_rest() {
        for seed in 0..50 {
            let mut disk = Disk::default();
            disk.write(vec![1, 2], 7);
            assert_eq!(disk.sync(), Some(7));
            disk.write(vec![3, 4, 5], 9);
            disk.failing = 1;
            assert_eq!(disk.sync(), None);
            let torn = disk.crash(&mut Random::new(seed));
            assert!([1, 2, 3, 4, 5].starts_with(disk.synced()) && disk.synced().starts_with(&[1, 2]));
            assert_eq!(torn, disk.synced().len() < 5);
            assert!(!disk.is_writing());
        }
    }
}
