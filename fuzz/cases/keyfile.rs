//! The file of users' keys: an input is a recipe of slots, each empty, of a user, or any bytes, and of what follows the last. The keys
//! of all whole slots are there; one slot that is none is wiped, and more than one is refused.

use std::collections::HashMap;

use corebid::profile::keyfile::KeyFile;
use corebid::profile::keys::KeyStore;
use corebid::store::memory::ready;
use corebid::units::UserKey;

#[path = "support/place.rs"]
mod place;
#[path = "support/recipe.rs"]
mod recipe;

use recipe::Recipe;

const SLOT: usize = 128;
const SUM_AT: usize = SLOT - 4;

fn slot(user: u64, key: &[u8]) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[..8].copy_from_slice(&user.to_le_bytes());
    slot[8] = key.len() as u8;
    slot[9..][..key.len()].copy_from_slice(key);
    let sum = crc32fast::hash(&slot[..SUM_AT]);
    slot[SUM_AT..].copy_from_slice(&sum.to_le_bytes());
    slot
}

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let mut recipe = Recipe(input);
    let (mut file, mut keys, mut torn) = (Vec::new(), HashMap::new(), 0);
    for _ in 0..recipe.u8() & 15 {
        match recipe.u8() & 3 {
            0 => file.extend([0; SLOT]),
            1 | 2 => {
                let (user, key) = (1 + u64::from(recipe.u8()), 1 + usize::from(recipe.u8()) % (SUM_AT - 9));
                let key = vec![user as u8; key];
                file.extend(slot(user, &key));
                keys.insert(user, key);
            }
            _ => {
                let mut any = [0; SLOT];
                let taken = recipe.take(SLOT);
                any[..taken.len()].copy_from_slice(taken);
                file.extend(any);
                torn += u32::from(any != [0; SLOT]);
            }
        }
    }
    // A slot that is cut off, or any number of bytes that are no slots.
    let tail = recipe.0;
    torn += tail.chunks(SLOT).filter(|some| some.len() < SLOT || some.iter().any(|byte| *byte != 0)).count() as u32;
    file.extend(tail);
    place::with_file("users.keys", &file, |path| {
        let opened = KeyFile::open(path);
        // Bytes that happen to have a right sum are a slot.
        assert!(opened.is_ok() || torn > 1);
        let Ok(opened) = opened else { return };
        if torn > 1 {
            return;
        }
        let judge = |opened: &KeyFile| {
            assert_eq!(opened.len(), keys.len());
            for (user, key) in &keys {
                let found = ready(opened.get(&[UserKey(*user)])).expect("a sound file");
                assert!(matches!(&found[..], [(UserKey(found), wrapped)] if found == user && wrapped.0 == *key));
            }
        };
        judge(&opened);
        drop(opened);
        judge(&KeyFile::open(path).expect("what was torn is wiped"));
    });
}
