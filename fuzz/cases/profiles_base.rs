//! Bases of profiles: an input is a recipe of users and of what is wrong with the file, which gets hashes and checksums that are
//! right. A sound base gives each user's value back; whatever happens to a file, nobody gets another's value.

use corebid::snapshot::profiles::base::{Base, VALUE_BYTES};
use corebid::units::UserKey;

#[path = "support/place.rs"]
mod place;
#[path = "support/recipe.rs"]
mod recipe;

use recipe::Recipe;

/// The layout of docs in `base/header.rs`.
const HEADER: usize = 128;

fn half(bytes: &[u8]) -> [u8; 16] {
    *blake3::hash(bytes).as_bytes().first_chunk().expect("32 bytes")
}

struct File {
    bytes: Vec<u8>,
    index: usize,
    users: Vec<(u64, Vec<u8>)>,
    sound: bool,
}

/// `(gap, length)*`, of users that follow each other unless a gap is 0.
fn cook(recipe: &mut Recipe<'_>, flags: u8) -> File {
    let (mut values, mut entries, mut users) = (vec![0; HEADER], Vec::new(), Vec::new());
    let (mut user, mut sound) = (0u64, true);
    for _ in 0..recipe.u8() & 31 {
        let (gap, length) = (recipe.u16(), recipe.u16());
        sound &= gap > 0 || users.is_empty();
        user += u64::from(gap) << 40;
        let length = usize::from(if length & 0xf000 == 0xf000 { length } else { length & 0xff });
        sound &= length <= VALUE_BYTES;
        let value: Vec<u8> = (0..length).map(|at| (at as u8) ^ (gap as u8)).collect();
        entries.push((user, values.len() as u32, crc32fast::hash(&[&user.to_le_bytes()[..], &value].concat())));
        values.extend(&value);
        users.push((user, value));
    }
    let index = values.len();
    let (first, last) = (users.first().map_or(0, |user| user.0), users.last().map_or(0, |user| user.0));
    entries.push((u64::MAX, index as u32, 0));
    for (user, start, checksum) in entries {
        values.extend([&user.to_le_bytes()[..], &start.to_le_bytes(), &checksum.to_le_bytes()].concat());
    }
    // Final, plain, the first file, and of as many users as there are, but for what the recipe wants otherwise.
    let number = u64::from(flags >> 2 & 1);
    let more = u64::from(flags >> 3 & 1);
    sound &= flags & 0b1110 == 0;
    let words = [number, users.len() as u64 + more, first, last, index as u64, values.len() as u64];
    let mut head = [
        &b"cbprofil"[..],
        &1u32.to_le_bytes(),
        &u32::from(flags & 1 | if flags & 2 == 0 { 2 } else { 0 }).to_le_bytes(),
    ]
    .concat();
    head.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    values[..head.len()].copy_from_slice(&head);
    let mut file = File { bytes: values, index, users, sound };
    file.seal();
    file
}

impl File {
    /// Makes the hashes right.
    fn seal(&mut self) {
        let index = half(&self.bytes[self.index..]);
        self.bytes[64..80].copy_from_slice(&index);
        let own = half(&self.bytes[..96]);
        self.bytes[96..112].copy_from_slice(&own);
    }

    fn open<T>(&self, read: impl FnOnce(Option<Base>) -> T) -> T {
        place::with_file("profiles-0000.base", &self.bytes, |path| {
            read(
                Base::open(path.parent().expect("a folder"))
                    .map_err(|error| assert!(!error.to_string().contains('\n')))
                    .ok(),
            )
        })
    }

    /// Each user's value is what was written, or nothing can be said of it.
    fn judge(&self, base: &Base, all: bool) {
        for (user, value) in &self.users {
            match base.get(UserKey(*user)) {
                Ok(Some(found)) => assert!(self.users.iter().any(|(other, value)| other == user && value == found)),
                other => assert!(!all, "{user}: {other:?} for {value:?}"),
            }
        }
        assert!(!all || base.users() == self.users.len() as u64);
        assert!(matches!(base.get(UserKey(3)), Ok(None) | Err(_)));
        assert!(base.iter().count() as u64 == base.users() && base.files() == 1);
    }
}

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let mut recipe = Recipe(input);
    let flags = recipe.u8();
    let mut file = cook(&mut recipe, flags);
    file.open(|base| {
        assert_eq!(base.is_some(), file.sound);
        if let Some(base) = base {
            assert_eq!(base.is_sealed(), flags & 1 == 1);
            file.judge(&base, true);
        }
    });
    // Then bytes are changed, behind the hashes' back or not.
    let mended = flags & 16 != 0;
    let mut changed = false;
    while !recipe.is_over() {
        let (at, byte) = (usize::from(recipe.u16()), recipe.u8());
        let at = if mended { file.index + at % (file.bytes.len() - file.index) } else { at % file.bytes.len() };
        changed |= file.bytes[at] != byte;
        file.bytes[at] = byte;
    }
    if !changed {
        return;
    }
    if mended {
        file.seal();
        // What is left to hold it is that each value has its own checksum.
        file.users.iter_mut().for_each(|user| user.0 = user.0.max(1));
        file.open(|base| {
            if let Some(base) = base {
                for (user, value) in base.iter() {
                    assert!(value.is_err() || base.get(user).is_ok() || file.users.len() > 1);
                }
            }
        });
    } else {
        file.open(|base| base.iter().for_each(|base| file.judge(base, false)));
    }
}
