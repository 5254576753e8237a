//! The seal of a user's values: AES-256-GCM under a key of the user's own, which is kept sealed under a key of the fleet.
//!
//! ```text
//!   value   │ 1 │ nonce 12 │ ciphertext …  │ tag 16 │     under the user's data key; authenticated with the user's key
//!   key     │ 1 │ fleet key 4 │ nonce 12 │ ciphertext 32 │ tag 16 │     under the fleet key of that number; likewise
//! ```
//!
//! What is sealed for one user, or in one region, opens for no other: the [`UserKey`], which holds the region, is authenticated with
//! it. Nonces are random, 96 bits (NIST SP 800-38D, 8.2.2), of a key that seals a few hundred values in its life; the fleet's seals one
//! for each user, and is to be replaced before 2^32 of them.
//!
//! Whatever was plain is wiped, where it was kept and on the stack: the cipher's own schedule begins with the key itself.

use std::fmt;
use std::path::Path;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::{Zeroize, Zeroizing};

use super::keys::WrappedKey;
use crate::secrets::{self, Key, SecretError};
use crate::units::UserKey;

/// Of both forms.
const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// Bytes that a seal adds to a value.
pub const SEAL_BYTES: usize = 1 + NONCE_LEN + TAG_BYTES;
/// Bytes of a [`WrappedKey`].
pub const WRAPPED_BYTES: usize = 1 + 4 + NONCE_LEN + KEY_BYTES + TAG_BYTES;

const VALUE: &[u8] = b"corebid value";
const KEY: &[u8] = b"corebid key";

/// Why something could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// It is no seal of a version that this program knows.
    Form,
    /// The fleet key of this number is not in the file.
    UnknownKey(u32),
    /// It was changed, is of another user or region, or was sealed under another key.
    Damaged,
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("no seal that is known"),
            Self::UnknownKey(id) => write!(f, "sealed under fleet key {id}, which profiles.key_file does not hold"),
            Self::Damaged => f.write_str("damaged, another user's, or sealed under another key"),
        }
    }
}

impl std::error::Error for Unopened {}

/// A user's key, plain: for as long as something is opened or sealed with it.
pub struct DataKey(Box<Zeroizing<[u8; KEY_BYTES]>>);

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

impl DataKey {
    /// A new one.
    ///
    /// # Panics
    /// If the kernel gives no randomness.
    pub fn draw() -> DataKey {
        let mut key = Box::new(Zeroizing::new([0; KEY_BYTES]));
        getrandom::fill(&mut key[..]).expect("the kernel has no randomness to give");
        DataKey(key)
    }

    /// Seals a value of this user.
    pub fn seal(&self, user: UserKey, plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(SEAL_BYTES + plain.len());
        sealed.push(VERSION);
        seal(&self.0, VALUE, user, plain, &mut sealed);
        sealed
    }

    /// Opens a value of this user, in its place.
    ///
    /// # Errors
    /// [`Unopened`]; nothing of the value is told then.
    pub fn open(&self, user: UserKey, sealed: Vec<u8>) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let mut sealed = Zeroizing::new(sealed);
        if sealed.len() < SEAL_BYTES || sealed[0] != VERSION {
            return Err(Unopened::Form);
        }
        let length = open(&self.0, VALUE, user, &mut sealed[1..])?;
        // The plain value stands behind the nonce.
        sealed.copy_within(1 + NONCE_LEN..1 + NONCE_LEN + length, 0);
        sealed[length..].zeroize();
        sealed.truncate(length);
        Ok(sealed)
    }
}

/// The keys of the fleet, under which users' keys are kept: each with a number, the last one for new users.
#[derive(Clone)]
pub struct FleetKeys(Vec<(u32, Zeroizing<[u8; KEY_BYTES]>)>);

impl fmt::Debug for FleetKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

impl FleetKeys {
    /// Reads `profiles.key_file`: a number, a space and 64 hexadecimal digits a line.
    ///
    /// # Errors
    /// No such file, one that others may read, or another text.
    pub fn read(path: &Path) -> Result<FleetKeys, SecretError> {
        let text = secrets::read(path, "make one with `echo \"1 $(openssl rand -hex 32)\"`, mode 0600")?;
        let text = Zeroizing::new(text);
        FleetKeys::parse(&text).ok_or_else(|| {
            secrets::not_a_key(
                path,
                "a number, a space and 64 hexadecimal digits a line are wanted, and no number twice",
            )
        })
    }

    pub(super) fn parse(text: &str) -> Option<FleetKeys> {
        let mut keys = Vec::new();
        for line in text.lines() {
            let (id, digits) = line.split_once(' ')?;
            let (id, Key(key)) = (id.parse().ok()?, Key::from_hex(digits)?);
            if keys.iter().any(|(known, _)| *known == id) {
                return None;
            }
            keys.push((id, Zeroizing::new(key)));
        }
        (!keys.is_empty()).then_some(FleetKeys(keys))
    }

    /// Seals a user's key under the newest of these.
    pub fn wrap(&self, user: UserKey, key: &DataKey) -> WrappedKey {
        let (id, fleet) = self.0.last().expect("there is one");
        let mut sealed = Vec::with_capacity(WRAPPED_BYTES);
        sealed.push(VERSION);
        sealed.extend_from_slice(&id.to_le_bytes());
        seal(fleet, KEY, user, &key.0[..], &mut sealed);
        WrappedKey(sealed)
    }

    /// Opens a user's key.
    ///
    /// # Errors
    /// [`Unopened`].
    pub fn unwrap(&self, user: UserKey, key: &WrappedKey) -> Result<DataKey, Unopened> {
        let sealed: &[u8; WRAPPED_BYTES] = key.0.as_slice().try_into().map_err(|_| Unopened::Form)?;
        let [VERSION, i0, i1, i2, i3, ..] = *sealed else { return Err(Unopened::Form) };
        let id = u32::from_le_bytes([i0, i1, i2, i3]);
        let (_, fleet) = self.0.iter().find(|(known, _)| *known == id).ok_or(Unopened::UnknownKey(id))?;
        let mut sealed = Zeroizing::new(*sealed);
        let length = open(fleet, KEY, user, &mut sealed[5..])?;
        let mut key = Box::new(Zeroizing::new([0; KEY_BYTES]));
        key.copy_from_slice(&sealed[5 + NONCE_LEN..][..length]);
        Ok(DataKey(key))
    }
}

/// What is authenticated with a seal: what it is of, and whose.
fn bound(what: &[u8], user: UserKey) -> Aad<[u8; 24]> {
    let mut bound = [0; 24];
    bound[..what.len()].copy_from_slice(what);
    bound[15] = VERSION;
    bound[16..].copy_from_slice(&user.0.to_le_bytes());
    Aad::from(bound)
}

/// Appends nonce, ciphertext and tag.
fn seal(key: &[u8; KEY_BYTES], what: &[u8], user: UserKey, plain: &[u8], out: &mut Vec<u8>) {
    #[inline(never)]
    fn with_key(
        key: &[u8; KEY_BYTES],
        nonce: [u8; NONCE_LEN],
        bound: Aad<[u8; 24]>,
        text: &mut [u8],
    ) -> [u8; TAG_BYTES] {
        let tag = cipher(key).seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), bound, text);
        tag.expect("a value is far shorter than 64 GiB").as_ref().try_into().expect("16 bytes")
    }
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).expect("the kernel has no randomness to give");
    out.extend_from_slice(&nonce);
    let start = out.len();
    // Before it is sealed it must not be left behind by a vector that grows.
    out.reserve_exact(plain.len() + TAG_BYTES);
    out.extend_from_slice(plain);
    let tag = with_key(key, nonce, bound(what, user), &mut out[start..]);
    wipe_stack();
    out.extend_from_slice(&tag);
}

/// Opens nonce, ciphertext and tag in their place; the length of what stands behind the nonce now.
fn open(key: &[u8; KEY_BYTES], what: &[u8], user: UserKey, sealed: &mut [u8]) -> Result<usize, Unopened> {
    #[inline(never)]
    fn with_key(key: &[u8; KEY_BYTES], nonce: [u8; NONCE_LEN], bound: Aad<[u8; 24]>, text: &mut [u8]) -> Option<usize> {
        let opened = cipher(key).open_in_place(Nonce::assume_unique_for_key(nonce), bound, text);
        opened.ok().map(|plain| plain.len())
    }
    let (nonce, text) = sealed.split_first_chunk_mut().ok_or(Unopened::Form)?;
    let opened = with_key(key, *nonce, bound(what, user), text);
    wipe_stack();
    opened.ok_or(Unopened::Damaged)
}

fn cipher(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes"))
}

/// Overwrites the stack below its caller, where the cipher had the key: several times its largest frame.
#[inline(never)]
fn wipe_stack() {
    let mut below = [0u8; 16 * 1024];
    below.zeroize();
    std::hint::black_box(&mut below);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::Region;

    const USER: UserKey = UserKey(0x0123_4567_89ab_cdef);

    fn fleet(ids: &[u32]) -> FleetKeys {
        FleetKeys(ids.iter().map(|&id| (id, Zeroizing::new([id as u8; 32]))).collect())
    }

    /// AES-256-GCM, test case 16 of the GCM specification (McGrew and Viega, appendix B), which sets nonce and data by hand.
    #[test]
    fn the_cipher_is_aes_256_gcm() {
        let hex = |text: &str| -> Vec<u8> {
            text.as_bytes().chunks(2).map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
        };
        let key: [u8; 32] = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308").try_into().unwrap();
        let nonce = Nonce::try_assume_unique_for_key(&hex("cafebabefacedbaddecaf888")).unwrap();
        let mut text = hex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        let bound = Aad::from(hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"));
        cipher(&key).seal_in_place_append_tag(nonce, bound, &mut text).unwrap();
        assert_eq!(text[..4], hex("522dc1f0")[..]);
        assert_eq!(text[60..], hex("76fc6ece0f4e1768cddf8853bb2d551b")[..]);
    }

    #[test]
    fn a_value_of_another_user_region_or_key_does_not_open() {
        let key = DataKey::draw();
        let sealed = key.seal(USER, b"segments");
        assert_eq!(*key.open(USER, sealed.clone()).unwrap(), b"segments");
        assert_ne!(sealed, key.seal(USER, b"segments"), "a nonce is used once");
        for (key, user) in [(&key, UserKey(USER.0 + 1)), (&key, USER.within(Region::Other)), (&DataKey::draw(), USER)] {
            assert_eq!(key.open(user, sealed.clone()), Err(Unopened::Damaged));
        }
        // What is sealed as a key is no value, whatever it is sealed under.
        let fleet = fleet(&[7]);
        let wrapped = fleet.wrap(USER, &key);
        let as_value: Vec<u8> = [&[VERSION], &wrapped.0[5..]].concat();
        assert_eq!(DataKey(Box::new(Zeroizing::new([7; 32]))).open(USER, as_value), Err(Unopened::Damaged));
    }

    #[test]
    fn a_key_opens_under_any_fleet_key_that_is_kept() {
        let key = DataKey::draw();
        let old = fleet(&[1]).wrap(USER, &key);
        assert_eq!(old.0.len(), WRAPPED_BYTES);
        let rotated = fleet(&[1, 2]);
        let new = rotated.wrap(USER, &key);
        for wrapped in [&old, &new] {
            assert_eq!(rotated.unwrap(USER, wrapped).unwrap().0, key.0);
        }
        assert_eq!(fleet(&[1]).unwrap(USER, &new).unwrap_err(), Unopened::UnknownKey(2));
        assert_eq!(rotated.unwrap(UserKey(1), &old).unwrap_err(), Unopened::Damaged);
    }

    #[test]
    fn fleet_keys_are_read_with_their_numbers() {
        let (a, b) = ("0a".repeat(32), "0b".repeat(32));
        let keys = FleetKeys::parse(&format!("3 {a}\n1 {b}\n")).unwrap();
        assert_eq!(format!("{keys:?}"), "[3, 1]");
        for bad in [String::new(), a.clone(), format!("1 {a}\n1 {b}"), format!("x {a}"), format!("1 {}", &a[1..])] {
            assert!(FleetKeys::parse(&bad).is_none(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_changed_does_not_open(
            plain in proptest::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            bit in 0..8u8,
            cut in any::<prop::sample::Index>(),
        ) {
            let key = DataKey::draw();
            let sealed = key.seal(USER, &plain);
            prop_assert_eq!(sealed.len(), plain.len() + SEAL_BYTES);
            let mut changed = sealed.clone();
            changed[at.index(sealed.len())] ^= 1 << bit;
            prop_assert!(key.open(USER, changed).is_err());
            prop_assert!(key.open(USER, sealed[..cut.index(sealed.len())].to_vec()).is_err());
            prop_assert_eq!(&**key.open(USER, sealed).unwrap(), &plain[..]);
            let fleet = fleet(&[1]);
            let mut wrapped = fleet.wrap(USER, &key);
            let length = wrapped.0.len();
            wrapped.0[at.index(length)] ^= 1 << bit;
            prop_assert!(fleet.unwrap(USER, &wrapped).is_err());
        }
    }
}
