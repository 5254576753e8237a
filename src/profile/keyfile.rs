//! The key store of a node without a fleet: one file of slots in the data directory, apart from what the keys seal.
//!
//! ```text
//!   slot, 128 bytes   │ user 8 │ length 1 │ key, 65 used of 103 │ CRC-32 4 of all before it, padded │
//! ```
//!
//! A slot lies within a sector of the disk, and one is written at a time. One whose sum is wrong was being written when the machine
//! stopped: what was to be created was not acknowledged, and what was to be destroyed is; it is overwritten at the next start. More
//! than one is damage, and nothing is touched. Where the slots are is kept in memory, the keys are not.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::keys::{KeyError, KeyStore, WrappedKey};
use crate::units::UserKey;

/// In the data directory.
pub const NAME: &str = "users.keys";

const SLOT: usize = 128;
const KEY_AT: usize = 9;
const SUM_AT: usize = SLOT - 4;
/// Slots read at once at start.
const CHUNK: usize = 1024;

/// An open file of keys. One process has it open.
#[derive(Debug)]
pub struct KeyFile {
    file: File,
    path: PathBuf,
    slots: RefCell<Slots>,
    /// Whether a key that is kept is on disk when that is said.
    syncs: bool,
}

#[derive(Debug, Default)]
struct Slots {
    of: HashMap<UserKey, u32>,
    /// Overwritten, to be used again.
    free: Vec<u32>,
    /// Slots of the file.
    count: u32,
}

impl KeyFile {
    /// Opens the file, or makes it; slots that were being written are overwritten.
    ///
    /// # Errors
    /// The disk's; the file is open elsewhere; more than one slot is damaged.
    pub fn open(path: &Path) -> io::Result<KeyFile> {
        KeyFile::open_with(path, true)
    }

    /// The same, for many new keys at once: they are on disk after [`KeyFile::sync`].
    ///
    /// # Errors
    /// As [`KeyFile::open`].
    pub fn open_to_fill(path: &Path) -> io::Result<KeyFile> {
        KeyFile::open_with(path, false)
    }

    /// Returns when all keys that are kept are on disk.
    ///
    /// # Errors
    /// The disk's.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn open_with(path: &Path, syncs: bool) -> io::Result<KeyFile> {
        let mut open = OpenOptions::new();
        open.read(true).write(true).create(true).truncate(false).mode(0o600);
        let (file, path) = (open.open(path)?, path.to_owned());
        if file.metadata()?.mode() & 0o077 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "its mode lets others read the keys; chmod 600 it",
            ));
        }
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::Error::new(io::ErrorKind::WouldBlock, "another process has it open"),
        })?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            // The file itself must outlast a power cut, too.
            File::open(folder)?.sync_all()?;
        }
        let keys = KeyFile { file, path, slots: RefCell::default(), syncs };
        keys.replay()?;
        Ok(keys)
    }

    fn replay(&self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        // A last slot that is cut off is one that was being written.
        let count = u32::try_from(length.div_ceil(SLOT as u64)).map_err(|_| io::Error::other("it is too long"))?;
        let mut slots = self.slots.borrow_mut();
        slots.count = count;
        let (mut torn, mut chunk) = (Vec::new(), Zeroizing::new(vec![0; CHUNK * SLOT]));
        for first in (0..count).step_by(CHUNK) {
            let here = CHUNK.min((count - first) as usize);
            let read = read_fully(&self.file, &mut chunk[..here * SLOT], u64::from(first) * SLOT as u64)?;
            chunk[read..].fill(0xff);
            for (at, slot) in (first..).zip(chunk.chunks_exact(SLOT).take(here)) {
                match Slot::read(slot) {
                    Slot::Empty => slots.free.push(at),
                    Slot::Torn => torn.push(at),
                    Slot::Of(user) => drop(slots.of.insert(user, at)),
                }
            }
        }
        match torn[..] {
            [] => Ok(()),
            [at] => {
                log::warn!("{}: a key was being written when the machine stopped; it is wiped", self.path.display());
                self.write(at, &[0; SLOT])?;
                slots.free.push(at);
                self.file.sync_data()
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "{} damaged slots: this is no file of keys, or the disk fails; restore it from a copy",
                    torn.len()
                ),
            )),
        }
    }

    /// How many users have a key.
    pub fn len(&self) -> usize {
        self.slots.borrow().of.len()
    }

    /// Whether nobody has one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A user's key.
    fn find(&self, user: UserKey) -> io::Result<Option<WrappedKey>> {
        let Some(&at) = self.slots.borrow().of.get(&user) else { return Ok(None) };
        let mut slot = Zeroizing::new([0; SLOT]);
        self.file.read_exact_at(&mut slot[..], u64::from(at) * SLOT as u64)?;
        match Slot::read(&slot[..]) {
            Slot::Of(found) if found == user => {
                Ok(Some(WrappedKey(slot[KEY_AT..][..usize::from(slot[KEY_AT - 1])].to_vec())))
            }
            _ => Err(io::Error::other("a slot changed on the disk")),
        }
    }

    /// Keeps a key, durably; the one that the user has, if there is one.
    fn add(&self, user: UserKey, key: WrappedKey) -> io::Result<WrappedKey> {
        if let Some(known) = self.find(user)? {
            return Ok(known);
        }
        let room = SUM_AT - KEY_AT;
        let length = u8::try_from(key.0.len()).ok().filter(|&length| usize::from(length) <= room && length > 0);
        let length = length.ok_or_else(|| io::Error::other("a key of another form"))?;
        let mut slot = Zeroizing::new([0; SLOT]);
        slot[..8].copy_from_slice(&user.0.to_le_bytes());
        slot[KEY_AT - 1] = length;
        slot[KEY_AT..][..key.0.len()].copy_from_slice(&key.0);
        let sum = crc32fast::hash(&slot[..SUM_AT]);
        slot[SUM_AT..].copy_from_slice(&sum.to_le_bytes());
        let mut slots = self.slots.borrow_mut();
        let at = slots.free.last().copied().unwrap_or(slots.count);
        self.write(at, &slot)?;
        if self.syncs {
            self.file.sync_data()?;
        }
        if slots.free.pop().is_none() {
            slots.count += 1;
        }
        slots.of.insert(user, at);
        Ok(key)
    }

    /// Overwrites a user's key, durably. Whether there was one.
    fn remove(&self, user: UserKey) -> io::Result<bool> {
        let mut slots = self.slots.borrow_mut();
        let Some(&at) = slots.of.get(&user) else { return Ok(false) };
        self.write(at, &Zeroizing::new([0; SLOT]))?;
        self.file.sync_data()?;
        slots.of.remove(&user);
        slots.free.push(at);
        Ok(true)
    }

    fn write(&self, at: u32, slot: &[u8; SLOT]) -> io::Result<()> {
        self.file.write_all_at(slot, u64::from(at) * SLOT as u64)
    }

    fn failed(&self, error: io::Error) -> KeyError {
        KeyError::Unavailable(format!("{}: {error}", self.path.display()))
    }
}

/// As much as there is.
fn read_fully(file: &File, into: &mut [u8], from: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < into.len() {
        match file.read_at(&mut into[read..], from + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

enum Slot {
    Empty,
    Torn,
    Of(UserKey),
}

impl Slot {
    fn read(slot: &[u8]) -> Slot {
        if slot.iter().all(|&byte| byte == 0) {
            return Slot::Empty;
        }
        let user = UserKey(u64::from_le_bytes(*slot.first_chunk().expect("a slot")));
        let whole = crc32fast::hash(&slot[..SUM_AT]).to_le_bytes() == slot[SUM_AT..]
            && (1..=SUM_AT - KEY_AT).contains(&usize::from(slot[KEY_AT - 1]));
        if whole && user != UserKey::NOBODY { Slot::Of(user) } else { Slot::Torn }
    }
}

impl KeyStore for KeyFile {
    async fn get(&self, users: &[UserKey]) -> Result<Vec<(UserKey, WrappedKey)>, KeyError> {
        let found = users.iter().filter_map(|&user| self.find(user).transpose().map(|key| Ok((user, key?))));
        found.collect::<io::Result<_>>().map_err(|error| self.failed(error))
    }

    async fn create(&self, user: UserKey, key: WrappedKey) -> Result<WrappedKey, KeyError> {
        self.add(user, key).map_err(|error| self.failed(error))
    }

    async fn destroy(&self, user: UserKey) -> Result<bool, KeyError> {
        self.remove(user).map_err(|error| self.failed(error))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let folder = std::env::temp_dir().join(format!("corebid-keyfile-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            Place(folder)
        }

        fn file(&self) -> PathBuf {
            self.0.join(NAME)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn wrapped(fill: u8) -> WrappedKey {
        WrappedKey(vec![fill; super::super::seal::WRAPPED_BYTES])
    }

    #[test]
    fn a_destroyed_key_is_nowhere_in_the_file() {
        let place = Place::new("destroyed");
        let keys = KeyFile::open(&place.file()).unwrap();
        for user in 1..=3 {
            assert_eq!(keys.add(UserKey(user), wrapped(user as u8)).unwrap(), wrapped(user as u8));
        }
        assert_eq!(keys.add(UserKey(2), wrapped(9)).unwrap(), wrapped(2), "the first stays");
        let holds = |fill: u8| fs::read(place.file()).unwrap().windows(8).any(|eight| eight == [fill; 8]);
        assert!(holds(2) && !holds(9));
        assert!(keys.remove(UserKey(2)).unwrap() && !keys.remove(UserKey(2)).unwrap());
        assert!(!holds(2) && holds(1) && holds(3));
        drop(keys);
        let keys = KeyFile::open(&place.file()).unwrap();
        let found: Vec<_> = (1..=3).map(|user| keys.find(UserKey(user)).unwrap()).collect();
        assert_eq!(found, [Some(wrapped(1)), None, Some(wrapped(3))]);
        // Its place is taken by the next.
        keys.add(UserKey(4), wrapped(4)).unwrap();
        assert_eq!(fs::metadata(place.file()).unwrap().len(), 3 * SLOT as u64);
        assert_eq!(fs::metadata(place.file()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn one_process_has_it_open() {
        let place = Place::new("locked");
        let _keys = KeyFile::open(&place.file()).unwrap();
        assert!(KeyFile::open(&place.file()).unwrap_err().to_string().contains("another process"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// A write may stop anywhere within a slot: what was acknowledged before stays, and nothing half is left behind.
        #[test]
        fn a_torn_slot_is_wiped_and_the_others_stay(destroys in any::<bool>(), written in 0..SLOT, last in any::<bool>()) {
            let place = Place::new("torn");
            let keys = KeyFile::open(&place.file()).unwrap();
            for user in 1..=3 {
                keys.add(UserKey(user), wrapped(user as u8)).unwrap();
            }
            let victim = if last { 3 } else { 2 };
            let before = fs::read(place.file()).unwrap();
            if destroys {
                keys.remove(UserKey(victim)).unwrap();
            } else {
                keys.remove(UserKey(victim)).unwrap();
                keys.add(UserKey(8), wrapped(8)).unwrap();
            }
            drop(keys);
            let mut torn = before.clone();
            let after = fs::read(place.file()).unwrap();
            let at = (victim as usize - 1) * SLOT;
            torn[at..at + written].copy_from_slice(&after[at..at + written]);
            fs::write(place.file(), &torn).unwrap();
            let keys = KeyFile::open(&place.file()).unwrap();
            for user in (1..=3).filter(|&user| user != victim) {
                prop_assert_eq!(keys.find(UserKey(user)).unwrap(), Some(wrapped(user as u8)));
            }
            let changed = torn != before && torn != after;
            let found = keys.find(UserKey(victim)).unwrap();
            prop_assert_eq!(found.is_none(), changed || torn == after);
            if changed {
                let bytes = fs::read(place.file()).unwrap();
                prop_assert!(bytes[at..][..SLOT].iter().all(|&byte| byte == 0));
            }
        }

        /// A file that is cut off within its last slot opens; another file is refused, and stays as it is.
        #[test]
        fn another_file_is_left_alone(bytes in proptest::collection::vec(1..u8::MAX, 0..700)) {
            let place = Place::new("any");
            fs::write(place.file(), &bytes).unwrap();
            fs::set_permissions(place.file(), fs::Permissions::from_mode(0o600)).unwrap();
            let opened = KeyFile::open(&place.file());
            prop_assert_eq!(opened.is_ok(), bytes.len() <= SLOT);
            match opened {
                Ok(keys) => {
                    keys.add(UserKey(5), wrapped(5)).unwrap();
                    drop(keys);
                    let keys = KeyFile::open(&place.file()).unwrap();
                    prop_assert_eq!(keys.find(UserKey(5)).unwrap(), Some(wrapped(5)));
                }
                Err(error) => {
                    prop_assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                    prop_assert_eq!(fs::read(place.file()).unwrap(), bytes);
                }
            }
        }
    }
}
