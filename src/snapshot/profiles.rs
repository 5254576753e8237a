//! Profiles of users: one immutable table that all cores read because nobody writes it.
//!
//! ```text
//!   slots (16 bytes, at most half full)            values (profile/value.rs), each from a multiple of 4
//!   ┌──────────┬────────┬────────┐                 ┌───────────┬───────┬──────────
//!   │ user key │ start  │ length │ ──────────────► │ value     │ value │ …
//!   └──────────┴────────┴────────┘                 └───────────┴───────┴──────────
//! ```
//!
//! A user is known by a [`UserKey`], a keyed hash of the exchange's user id ([`UserKeys`]): the table holds no id that
//! anybody else uses. More users than memory holds are in a [`base`] of files.

pub mod base;
mod lines;

use std::path::Path;
use std::sync::Arc;

use crate::profile::value;
use crate::snapshot::demo::Draw;
use crate::snapshot::document::{self, FileError};
use crate::units::{Region, UserKey};

pub use lines::Lines;

/// The exchange of a profile whose line names none, and of demo users.
pub const ANY_EXCHANGE: &str = "";

/// Makes user keys: SipHash-2-4 (Aumasson and Bernstein, 2012) under a secret, so that who knows an id but not the secret
/// cannot tell its key, and nobody can flood one place of a table.
#[derive(Clone)]
pub struct UserKeys([u64; 2]);

impl std::fmt::Debug for UserKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UserKeys(secret)")
    }
}

impl UserKeys {
    /// Keys under this secret. Another secret makes every user a stranger.
    pub fn new(secret: &[u8; 16]) -> UserKeys {
        let secret = u128::from_le_bytes(*secret);
        UserKeys([secret as u64, (secret >> 64) as u64])
    }

    /// The key of an exchange's user, or of another space of ids ([`crate::config::profiles::Id`]); [`UserKey::NOBODY`] for an empty
    /// id, and for no other.
    #[inline]
    pub fn key(&self, region: Region, exchange: &str, id: &[u8]) -> UserKey {
        if id.is_empty() {
            return UserKey::NOBODY;
        }
        // The exchange's own hash keys the user's, so that no exchange and id can run into another pair.
        let [k0, k1] = self.0;
        let exchange = if exchange.is_empty() { 0 } else { siphash(k1, k0, exchange.as_bytes()) };
        UserKey::new(region, siphash(k0 ^ exchange, k1, id))
    }
}

/// SipHash-2-4.
pub(super) fn siphash(k0: u64, k1: u64, bytes: &[u8]) -> u64 {
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let round = |v: &mut [u64; 4]| {
        v[0] = v[0].wrapping_add(v[1]);
        v[2] = v[2].wrapping_add(v[3]);
        v[1] = v[1].rotate_left(13) ^ v[0];
        v[3] = v[3].rotate_left(16) ^ v[2];
        v[0] = v[0].rotate_left(32).wrapping_add(v[3]);
        v[2] = v[2].wrapping_add(v[1]);
        v[1] = v[1].rotate_left(17) ^ v[2];
        v[3] = v[3].rotate_left(21) ^ v[0];
        v[2] = v[2].rotate_left(32);
    };
    let mut absorb = |word: u64| {
        v[3] ^= word;
        round(&mut v);
        round(&mut v);
        v[0] ^= word;
    };
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().for_each(|word| absorb(u64::from_le_bytes(*word)));
    let last = rest.iter().rev().fold(0, |last, &byte| last << 8 | u64::from(byte));
    absorb(last | (bytes.len() as u64) << 56);
    v[2] ^= 0xff;
    (0..4).for_each(|_| round(&mut v));
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

/// The base of profiles. A clone is the same table.
#[derive(Clone, Debug)]
pub struct Profiles(Arc<Base>);

#[derive(Debug)]
struct Base {
    slots: Box<[Slot]>,
    values: Box<[u8]>,
    users: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    user: UserKey,
    /// Of the value, in units of [`ALIGN`].
    start: u32,
    /// In bytes.
    length: u32,
}

/// Values begin at multiples of this, bytes, so that 32 bits count 16 GiB of them.
const ALIGN: usize = 4;

impl Default for Profiles {
    fn default() -> Self {
        Profiles::new(Vec::new())
    }
}

impl Profiles {
    /// A table of these users and their values, which [`value::write`] made. A user who comes twice has the last value;
    /// [`UserKey::NOBODY`] is left out.
    pub fn new(users: Vec<(UserKey, Vec<u8>)>) -> Profiles {
        let mut slots = vec![Slot::default(); (2 * users.len() + 1).next_power_of_two()].into_boxed_slice();
        let mut values = Vec::new();
        let mut known = 0;
        for (user, value) in users {
            if user == UserKey::NOBODY {
                continue;
            }
            let start = u32::try_from(values.len() / ALIGN).expect("at most 16 GiB of values");
            let slot = &mut slots[Self::place(&slots, user)];
            known += usize::from(slot.user == UserKey::NOBODY);
            *slot = Slot { user, start, length: value.len() as u32 };
            values.extend(value);
            values.resize(values.len().next_multiple_of(ALIGN), 0);
        }
        Profiles(Arc::new(Base { slots, values: values.into_boxed_slice(), users: known }))
    }

    /// Reads NDJSON, a profile a line (docs/PROFILES.md). Empty lines are passed over.
    ///
    /// # Errors
    /// The first line that is no profile, with its number.
    pub fn load(path: &Path, keys: &UserKeys) -> Result<Profiles, FileError> {
        let text = document::read(path)?;
        let mut lines = Lines::new(keys);
        let mut users = Vec::new();
        for line in text.lines() {
            let read = lines.read(line).map_err(|fault| fault.within(path))?;
            users.extend(read.map(|(user, value)| (user, value.to_vec())));
        }
        Ok(Profiles::new(users))
    }

    /// Users `u0` to `u{n-1}` of [`ANY_EXCHANGE`], each in a Zipf number of segments (1 to 64) drawn by Zipf's law from
    /// those that [`demo`](crate::snapshot::demo) campaigns want. Always the same for the same `n` and secret.
    pub fn synthetic(n: usize, keys: &UserKeys) -> Profiles {
        let mut draw = Draw::new(0x5E6);
        let user = |at: usize| {
            let count = 1 + draw.zipf(64, 1.1);
            let mut segments = (0..count).map(|_| draw.segment()).collect();
            let mut value = Vec::new();
            value::write(&mut segments, &mut Vec::new(), None, &mut value).expect("64 segments fit");
            (keys.key(Region::Eu, ANY_EXCHANGE, format!("u{at}").as_bytes()), value)
        };
        Profiles::new((0..n).map(user).collect())
    }

    /// A user's value; `None` for a user who is not in the table, and for [`UserKey::NOBODY`].
    #[inline]
    pub fn get(&self, user: UserKey) -> Option<&[u8]> {
        let slot = self.0.slots[Self::place(&self.0.slots, user)];
        let value = || &self.0.values[slot.start as usize * ALIGN..][..slot.length as usize];
        (slot.user == user && user != UserKey::NOBODY).then(value)
    }

    /// How many users are in the table.
    pub fn len(&self) -> usize {
        self.0.users
    }

    /// Whether nobody is in the table.
    pub fn is_empty(&self) -> bool {
        self.0.users == 0
    }

    /// The user's slot, or the empty one where it would be: there always is one, half of them are empty.
    #[inline]
    fn place(slots: &[Slot], user: UserKey) -> usize {
        let mask = slots.len() - 1;
        let mut at = user.0 as usize & mask;
        while slots[at].user != user && slots[at].user != UserKey::NOBODY {
            at = (at + 1) & mask;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::count::{Count, CountOf, Window};
    use crate::profile::value::{ConsentRecord, ConsentSource, Profile};
    use crate::units::{AdvertiserId, CampaignId, SegmentId};

    fn segments(profiles: &Profiles, user: UserKey) -> Option<Vec<SegmentId>> {
        profiles.get(user).map(|value| Profile::check(value).unwrap().segments.iter().collect())
    }

    fn keys() -> UserKeys {
        UserKeys::new(&std::array::from_fn(|at| at as u8))
    }

    #[test]
    fn siphash_is_siphash() {
        // The example of the paper's appendix A, and the first values of the reference implementation's vectors.
        let bytes: Vec<u8> = (0..64).collect();
        let [k0, k1] = keys().0;
        assert_eq!(siphash(k0, k1, &bytes[..15]), 0xa129_ca61_49be_45e5);
        assert_eq!(siphash(k0, k1, &[]), 0x726f_db47_dd0e_0e31);
        assert_eq!(siphash(k0, k1, &bytes[..1]), 0x74f8_39c5_93dc_67fd);
        // The standard library's old hasher is SipHash-2-4, too.
        for length in 0..=64 {
            #[expect(deprecated, reason = "an independent SipHash-2-4")]
            let mut oracle = std::hash::SipHasher::new_with_keys(k0, k1);
            std::hash::Hasher::write(&mut oracle, &bytes[..length]);
            assert_eq!(siphash(k0, k1, &bytes[..length]), std::hash::Hasher::finish(&oracle), "{length} bytes");
        }
    }

    #[test]
    fn users_are_apart_by_exchange_and_nobody_is_nobody() {
        let keys = keys();
        assert_eq!(keys.key(Region::Eu, "a", b""), UserKey::NOBODY);
        let all = [
            keys.key(Region::Eu, "", b"u"),
            keys.key(Region::Eu, "a", b"u"),
            keys.key(Region::Eu, "b", b"u"),
            keys.key(Region::Eu, "", b"au"),
            keys.key(Region::Eu, "a", b"v"),
        ];
        for (at, key) in all.iter().enumerate() {
            assert!(*key != UserKey::NOBODY && !all[..at].contains(key));
        }
        // Another region is another key of the same hash.
        let other = keys.key(Region::Other, "a", b"u");
        assert!(!all.contains(&other) && other.within(Region::Eu) == all[1]);
        assert_eq!((all[1].region(), other.region()), (Some(Region::Eu), Some(Region::Other)));
        assert_ne!(UserKeys::new(&[7; 16]).key(Region::Eu, "a", b"u"), all[1]);
    }

    #[test]
    fn lines_become_profiles_and_mistakes_are_told() {
        let directory = std::env::temp_dir().join(format!("corebid-profiles-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("profiles.ndjson");
        let keys = keys();
        let load = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Profiles::load(&path, &keys)
        };
        let good = "{\"user\":\"a\",\"segments\":[9,2,2]}\n\n{\"user\":\"b\",\"exchange\":\"x\",\"segments\":[]}\n";
        let profiles = load(good).unwrap();
        assert_eq!(profiles.len(), 2);
        assert_eq!(segments(&profiles, keys.key(Region::Eu, "", b"a")), Some(vec![SegmentId(2), SegmentId(9)]));
        assert_eq!(segments(&profiles, keys.key(Region::Eu, "x", b"b")), Some(vec![]));
        assert_eq!(profiles.get(keys.key(Region::Eu, "x", b"a")), None);
        assert_eq!(profiles.get(UserKey::NOBODY), None);
        let long = format!("{{\"user\":\"a\",\"segments\":{:?}}}", (0..300).collect::<Vec<_>>());
        for (text, line) in [
            (r#"{"user":"a","segments":[1]"#, 1),
            (r#"{"user":"a","region":"us","segments":[1]}"#, 1),
            ("\n{\"user\":\"a\"}", 2),
            (r#"{"user":"a","segments":[-1]}"#, 1),
            (r#"{"user":"a","segments":[],"counts":[{"day":1,"times":1}]}"#, 1),
            (r#"{"user":"a","segments":[],"counts":[{"campaign":1,"advertiser":1,"day":1,"times":1}]}"#, 1),
            (r#"{"user":"a","segments":[],"counts":[{"campaign":1,"day":1,"week":1,"times":1}]}"#, 1),
            (r#"{"user":"a","segments":[],"counts":[{"campaign":1,"day":1,"times":0}]}"#, 1),
            (r#"{"user":"a","segments":[],"consent":{"seconds":1,"purposes":[0],"source":"tcf"}}"#, 1),
            (r#"{"user":"a","segments":[],"consent":{"seconds":1,"purposes":[25],"source":"tcf"}}"#, 1),
            (r#"{"user":"a","segments":[],"age":3}"#, 1),
            (r#"{"user":"","segments":[]}"#, 1),
            (long.as_str(), 1),
        ] {
            let error = load(text).unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.to_string().starts_with(&format!("{}:{line}: ", path.display())));
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_line_says_all_that_a_value_does() {
        let keys = keys();
        let line = r#"{"user":"a","segments":[3],"counts":[{"campaign":7,"creative":2,"day":20000,"times":4},
            {"advertiser":9,"times":1},{"campaign":7,"hour":480000,"times":2}],
            "consent":{"seconds":1750000000,"purposes":[1,4,24],"source":"gpp"}}"#;
        let mut lines = Lines::new(&keys);
        let (user, value) = lines.read(line).unwrap().unwrap();
        assert_eq!(user, keys.key(Region::Eu, "", b"a"));
        let profile = Profile::check(value).unwrap();
        let count = |of, window, period, times| Count { of, window, period, times };
        let campaign = CampaignId(7);
        assert!(profile.counts.iter().eq([
            count(CountOf::Campaign(campaign), Window::Hour, 480_000, 2),
            count(CountOf::Creative(campaign, 2), Window::Day, 20_000, 4),
            count(CountOf::Advertiser(AdvertiserId(9)), Window::Lifetime, 0, 1),
        ]));
        let purposes = 1 | 1 << 3 | 1 << 23;
        let consent = ConsentRecord { seconds: 1_750_000_000, purposes, source: ConsentSource::Gpp };
        assert_eq!(profile.consent, Some(consent));
    }

    #[test]
    fn synthetic_users_are_found_again() {
        let keys = keys();
        let profiles = Profiles::synthetic(1000, &keys);
        assert_eq!(profiles.len(), 1000);
        for at in 0..1000 {
            let segments =
                segments(&profiles, keys.key(Region::Eu, ANY_EXCHANGE, format!("u{at}").as_bytes())).unwrap();
            assert!(!segments.is_empty());
        }
        assert_eq!(profiles.get(keys.key(Region::Eu, ANY_EXCHANGE, b"u1000")), None);
    }
}
