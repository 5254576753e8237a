//! Profiles: which segments a user is in. One immutable table that all cores read because nobody writes it.
//!
//! ```text
//!   slots (16 bytes, at most half full)            segments, sorted per user
//!   ┌──────────┬────────┬────────┐                 ┌───┬───┬───┬───┬───┬───
//!   │ user key │ start  │ length │ ──────────────► │ 3 │17 │40 │ 3 │ 9 │ …
//!   └──────────┴────────┴────────┘                 └───┴───┴───┴───┴───┴───
//! ```
//!
//! A user is known by a [`UserKey`], a keyed hash of the exchange's user id ([`UserKeys`]): the table holds no id that
//! anybody else uses.

use std::path::Path;
use std::sync::Arc;

use crate::limits;
use crate::snapshot::demo::Draw;
use crate::snapshot::document::{self, Fault, FileError, fault};
use crate::units::{Region, SegmentId, UserKey};

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

fn siphash(k0: u64, k1: u64, bytes: &[u8]) -> u64 {
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
    segments: Box<[SegmentId]>,
    users: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    user: UserKey,
    found: Found,
}

/// Where a user's segments stand in a [`Profiles`]; only that table can read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    start: u32,
    length: u32,
}

impl Default for Profiles {
    fn default() -> Self {
        Profiles::new(Vec::new())
    }
}

impl Profiles {
    /// A table of these users. Segments are sorted and freed of repetitions; the first [`limits::SEGMENTS`] are kept. A user
    /// who comes twice has the last list; [`UserKey::NOBODY`] is left out.
    pub fn new(users: Vec<(UserKey, Vec<SegmentId>)>) -> Profiles {
        let mut slots = vec![Slot::default(); (2 * users.len() + 1).next_power_of_two()].into_boxed_slice();
        let mut segments = Vec::new();
        let mut known = 0;
        for (user, mut of_user) in users {
            if user == UserKey::NOBODY {
                continue;
            }
            of_user.sort_unstable();
            of_user.dedup();
            of_user.truncate(limits::SEGMENTS);
            let start = u32::try_from(segments.len()).expect("at most 2^32 segments in all");
            let slot = &mut slots[Self::place(&slots, user)];
            known += usize::from(slot.user == UserKey::NOBODY);
            *slot = Slot { user, found: Found { start, length: of_user.len() as u32 } };
            segments.append(&mut of_user);
        }
        Profiles(Arc::new(Base { slots, segments: segments.into_boxed_slice(), users: known }))
    }

    /// Reads NDJSON: `{"user":"id","exchange":"optional","region":"eu","segments":[1,2,…]}` a line; `"eu"` where it says no region. Empty lines are passed over.
    ///
    /// # Errors
    /// The first line that is not such an object, with its number; more than [`limits::SEGMENTS`] segments are an error too.
    pub fn load(path: &Path, keys: &UserKeys) -> Result<Profiles, FileError> {
        let text = document::read(path)?;
        let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
        let users: Result<Vec<_>, Fault> = lines.map(|(line, number)| profile(line, number, keys)).collect();
        Ok(Profiles::new(users.map_err(|fault| fault.within(path))?))
    }

    /// Users `u0` to `u{n-1}` of [`ANY_EXCHANGE`], each in a Zipf number of segments (1 to 64) drawn by Zipf's law from
    /// those that [`demo`](crate::snapshot::demo) campaigns want. Always the same for the same `n` and secret.
    pub fn synthetic(n: usize, keys: &UserKeys) -> Profiles {
        let mut draw = Draw::new(0x5E6);
        let user = |at: usize| {
            let count = 1 + draw.zipf(64, 1.1);
            let segments = (0..count).map(|_| draw.segment()).collect();
            (keys.key(Region::Eu, ANY_EXCHANGE, format!("u{at}").as_bytes()), segments)
        };
        Profiles::new((0..n).map(user).collect())
    }

    /// Where a user's segments stand; `None` for a user who is not in the table, and for [`UserKey::NOBODY`].
    #[inline]
    pub fn find(&self, user: UserKey) -> Option<Found> {
        let slot = self.0.slots[Self::place(&self.0.slots, user)];
        (slot.user == user && user != UserKey::NOBODY).then_some(slot.found)
    }

    /// What [`Profiles::find`] found in this table: sorted, without repetition.
    #[inline]
    pub fn segments(&self, found: Found) -> &[SegmentId] {
        &self.0.segments[found.start as usize..][..found.length as usize]
    }

    /// A user's segments, if the user is in the table.
    #[inline]
    pub fn get(&self, user: UserKey) -> Option<&[SegmentId]> {
        self.find(user).map(|found| self.segments(found))
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

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    user: String,
    #[serde(default)]
    exchange: String,
    #[serde(default, deserialize_with = "region")]
    region: Region,
    segments: Vec<u32>,
}

fn region<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Region, D::Error> {
    <std::borrow::Cow<'_, str> as serde::Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn profile(line: &str, number: usize, keys: &UserKeys) -> Result<(UserKey, Vec<SegmentId>), Fault> {
    let Line { user, exchange, region, segments } = serde_json::from_str(line).map_err(|error| {
        let message = error.to_string();
        let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what).to_owned();
        Fault { line: number, what }
    })?;
    if user.is_empty() {
        return fault(number, "`user` is empty");
    }
    if segments.len() > limits::SEGMENTS {
        return fault(number, format!("{} segments; the most is {}", segments.len(), limits::SEGMENTS));
    }
    Ok((keys.key(region, &exchange, user.as_bytes()), segments.into_iter().map(SegmentId).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let all =
            [keys.key(Region::Eu, "", b"u"), keys.key(Region::Eu, "a", b"u"), keys.key(Region::Eu, "b", b"u"), keys.key(Region::Eu, "", b"au"), keys.key(Region::Eu, "a", b"v")];
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
        assert_eq!(profiles.get(keys.key(Region::Eu, "", b"a")), Some(&[SegmentId(2), SegmentId(9)][..]));
        assert_eq!(profiles.get(keys.key(Region::Eu, "x", b"b")), Some(&[][..]));
        assert_eq!(profiles.get(keys.key(Region::Eu, "x", b"a")), None);
        assert_eq!(profiles.get(UserKey::NOBODY), None);
        let long = format!("{{\"user\":\"a\",\"segments\":{:?}}}", (0..300).collect::<Vec<_>>());
        for (text, line) in [
            (r#"{"user":"a","segments":[1]"#, 1),
            (r#"{"user":"a","region":"us","segments":[1]}"#, 1),
            ("\n{\"user\":\"a\"}", 2),
            (r#"{"user":"a","segments":[-1]}"#, 1),
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
    fn synthetic_users_are_found_again() {
        let keys = keys();
        let profiles = Profiles::synthetic(1000, &keys);
        assert_eq!(profiles.len(), 1000);
        for at in 0..1000 {
            let segments = profiles.get(keys.key(Region::Eu, ANY_EXCHANGE, format!("u{at}").as_bytes())).unwrap();
            assert!(!segments.is_empty() && segments.is_sorted_by(|a, b| a < b));
        }
        assert_eq!(profiles.get(keys.key(Region::Eu, ANY_EXCHANGE, b"u1000")), None);
    }
}
