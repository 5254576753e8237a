//! Values as small numbers: what campaigns name gets a code per dimension, the most named first.
//!
//! A request's values are hashed once and looked up once; everything after that compares codes. A value no campaign names
//! has no code, and most values of most requests are such. Two values with the same 64-bit hash would be one; among a
//! million names that happens with a probability of 3e-8.

use crate::snapshot::campaign::Shape;

/// Labels of a domain that count, from the right: longer domains match by these.
pub const LABELS: usize = 8;
/// Bytes of the longest domain (RFC 1035 section 2.3.4, as text). A longer one is no domain, and unknown.
pub const DOMAIN_BYTES: usize = 253;

/// What a campaign may be particular about. Each has its own codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Dimension {
    /// Domains and bundles together: the inventory lists of a campaign are one list.
    Inventory,
    /// Countries, regions, cities, postal codes, and cells of the globe for circles: likewise.
    Place,
    Publisher,
    Exchange,
    Carrier,
    Category,
    Language,
    // Those above may be excluded and have any number of values. Below, what may be excluded fits a mask.
    Deal,
    Shape,
    // From here on the codes are the values themselves.
    Device,
    Channel,
    Os,
    Browser,
    Connection,
}

impl Dimension {
    pub(super) const COUNT: usize = 14;
    pub(super) const ALL: [Dimension; Self::COUNT] = [
        Dimension::Inventory,
        Dimension::Place,
        Dimension::Publisher,
        Dimension::Exchange,
        Dimension::Carrier,
        Dimension::Category,
        Dimension::Language,
        Dimension::Deal,
        Dimension::Shape,
        Dimension::Device,
        Dimension::Channel,
        Dimension::Os,
        Dimension::Browser,
        Dimension::Connection,
    ];
    /// The first of these have exclusions by code.
    pub(super) const RULED: usize = Dimension::Language as usize + 1;
    /// The first of these have dictionaries.
    pub(super) const NAMED: usize = Dimension::Shape as usize + 1;

    pub(super) const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Device types that can be named, 1 to this; the others are unknown.
pub(super) const DEVICES: u8 = 14;
/// Connection types that can be named, 1 to this.
pub(super) const CONNECTIONS: u8 = 7;

/// The golden ratio's fraction.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// Both halves of the product: each bit of it depends on all bits of what goes in. Models have learnt keys that are made with it
/// ([`crate::snapshot::features::value`]), so that it never changes.
#[inline]
pub(in crate::snapshot) fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word) * u128::from(MULTIPLIER);
    (product >> 64) as u64 ^ product as u64
}

/// Fewer than eight bytes as a word; with the length it is unambiguous.
#[inline]
fn tail(bytes: &[u8]) -> u64 {
    let length = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
    } else if length > 0 {
        u64::from(bytes[0]) | u64::from(bytes[length / 2]) << 8 | u64::from(bytes[length - 1]) << 16
    } else {
        0
    }
}

/// ASCII capitals to small letters, eight at a time.
#[inline]
pub(crate) fn lower(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low_bits = word & (0x7F * ONES);
    let from_a = low_bits + (0x80 - u64::from(b'A')) * ONES;
    let past_z = low_bits + (0x7F - u64::from(b'Z')) * ONES;
    let capital = (from_a ^ past_z) & !word & (0x80 * ONES);
    word | capital >> 2
}

#[inline]
pub(crate) fn hash(seed: u64, bytes: &[u8], fold: impl Fn(u64) -> u64) -> u64 {
    let mut hash = mix(seed, MULTIPLIER ^ bytes.len() as u64);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = mix(hash, fold(u64::from_le_bytes(*word)));
    }
    mix(hash, fold(tail(rest)))
}

/// The fraction of pi, 64 bits at a time.
const SEEDS: [u64; 14] = [
    0x243F_6A88_85A3_08D3,
    0x1319_8A2E_0370_7344,
    0xA409_3822_299F_31D0,
    0x082E_FA98_EC4E_6C89,
    0x4528_21E6_38D0_1377,
    0xBE54_66CF_34E9_0C6C,
    0xC0AC_29B7_C97C_50DD,
    0x3F84_D5B5_B547_0917,
    0x9216_D5D9_8979_FB1B,
    0xD131_0BA6_98DF_B5AC,
    0x2FFD_72DB_D01A_DFB7,
    0xB8E1_AFED_6A26_7E96,
    0xBA7C_9045_F12C_7F99,
    0x24A1_9947_B391_6CF7,
];

pub(super) fn country(country: &[u8]) -> u64 {
    hash(SEEDS[0], country, lower)
}

/// A region is told apart by its country; `country` is that country's hash.
pub(super) fn region(country: u64, region: &[u8]) -> u64 {
    hash(country ^ SEEDS[1], region, lower)
}

/// A city is told apart by its country, given as that country's hash.
pub(super) fn city(country: u64, city: &[u8]) -> u64 {
    hash(country ^ SEEDS[7], city, lower)
}

/// A postal code, likewise; spaces do not count.
pub(super) fn zip(country: u64, zip: &[u8]) -> u64 {
    zip.iter()
        .filter(|&&byte| byte != b' ')
        .fold(country ^ SEEDS[8], |hash, byte| mix(hash, 1 + u64::from(byte.to_ascii_lowercase())))
}

/// A cell of the globe.
pub(super) fn cell(level: u32, row: u32, column: u32) -> u64 {
    mix(mix(SEEDS[9], u64::from(level) << 32 | u64::from(row)), u64::from(column))
}

pub(super) fn carrier(carrier: &[u8]) -> u64 {
    hash(SEEDS[10], carrier, lower)
}

pub(super) fn category(category: &[u8]) -> u64 {
    hash(SEEDS[11], category, lower)
}

/// The category above: `IAB1` of `IAB1-5`.
pub(super) fn parent(category: &[u8]) -> Option<&[u8]> {
    category.iter().position(|&byte| byte == b'-').map(|hyphen| &category[..hyphen])
}

/// A language without what stands behind a hyphen.
pub(super) fn language(language: &[u8]) -> u64 {
    hash(SEEDS[12], parent(language).unwrap_or(language), lower)
}

pub(super) fn deal(deal: &[u8]) -> u64 {
    hash(SEEDS[13], deal, |word| word)
}

pub(super) fn bundle(bundle: &[u8]) -> u64 {
    hash(SEEDS[2], bundle, |word| word)
}

pub(super) fn publisher(publisher: &[u8]) -> u64 {
    hash(SEEDS[3], publisher, |word| word)
}

pub(super) fn exchange(exchange: &[u8]) -> u64 {
    hash(SEEDS[4], exchange, |word| word)
}

pub(super) fn shape(shape: Shape) -> u64 {
    let format = |number: u64| number << 32;
    let number = match shape {
        Shape::Banner(size) => u64::from(size.w) << 16 | u64::from(size.h),
        Shape::Video => format(1),
        Shape::Audio => format(2),
        Shape::Native => format(3),
    };
    mix(SEEDS[5], number)
}

/// The hash of a domain and of each domain it is below: `c`, `b.c`, `a.b.c` of `a.b.c`, at most [`LABELS`] of them.
pub(in crate::snapshot) fn domains(domain: &[u8], each: impl FnMut(u64)) {
    domains_from(SEEDS[6], domain, each);
}

/// As [`domains`], under another seed.
#[inline]
pub(in crate::snapshot) fn domains_from(seed: u64, domain: &[u8], mut each: impl FnMut(u64)) {
    let domain = domain.strip_suffix(b".").unwrap_or(domain);
    if domain.is_empty() || domain.len() > DOMAIN_BYTES {
        return;
    }
    let mut above = seed;
    for label in domain.rsplit(|&byte| byte == b'.').take(LABELS) {
        above = hash(above, label, lower);
        each(above);
    }
}

/// The part of a region that ISO 3166-2 calls the subdivision: `CA` of `CA`, and of `US-CA`, which some exchanges send.
pub(super) fn subdivision(region: &[u8]) -> &[u8] {
    match region.iter().position(|&byte| byte == b'-') {
        Some(hyphen) => &region[hyphen + 1..],
        None => region,
    }
}

/// The code of a value no campaign names.
pub(super) const UNNAMED: u32 = u32::MAX;

/// Hashes to codes: open addressing, at most half full, one cache line for most look-ups.
#[derive(Clone, Debug)]
pub(super) struct Dictionary {
    slots: Box<[(u64, u32)]>,
}

impl Dictionary {
    /// Gives codes from 0 to hashes, which must differ.
    fn new(ranking: impl ExactSizeIterator<Item = u64>) -> Dictionary {
        let mut slots = vec![(0, UNNAMED); (2 * ranking.len() + 1).next_power_of_two()].into_boxed_slice();
        for (hash, code) in ranking.zip(0..) {
            let mut at = hash as usize & (slots.len() - 1);
            while slots[at].1 != UNNAMED {
                at = (at + 1) & (slots.len() - 1);
            }
            slots[at] = (hash, code);
        }
        Dictionary { slots }
    }

    #[inline]
    pub(super) fn code(&self, hash: u64) -> u32 {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let (known, code) = self.slots[at];
            if known == hash || code == UNNAMED {
                return code;
            }
            at = (at + 1) & mask;
        }
    }

    /// No code is as large as this.
    pub(super) fn bound(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.slots[..])
    }
}

/// Counts how often values are named, then gives them codes.
#[derive(Debug, Default)]
pub(super) struct Census(Vec<(u64, u32)>);

impl Census {
    pub(super) fn named(&mut self, hash: u64, times: u32) {
        self.0.push((hash, times));
    }

    /// Codes from 0, the most named value first, so that the small codes are the ones in use.
    pub(super) fn codes(mut self) -> Dictionary {
        self.0.sort_unstable();
        let same = self.0.chunk_by(|a, b| a.0 == b.0);
        let mut ranking: Vec<(u64, u32)> =
            same.map(|same| (same[0].0, same.iter().map(|&(_, times)| times).sum())).collect();
        ranking.sort_unstable_by_key(|&(hash, times)| (std::cmp::Reverse(times), hash));
        Dictionary::new(ranking.into_iter().map(|(hash, _)| hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_hashed_from_the_right_without_case() {
        let all = |domain: &str| {
            let mut hashes = Vec::new();
            domains(domain.as_bytes(), |hash| hashes.push(hash));
            hashes
        };
        assert_eq!(all("a.Example.COM")[..2], all("example.com"));
        assert_eq!(all("example.com."), all("example.com"));
        assert_ne!(all("anexample.com")[1], all("example.com")[1]);
        assert_eq!(all("a.b.c.d.e.f.g.h.i.j").len(), LABELS);
        assert!(all("").is_empty() && all(&"x".repeat(254)).is_empty());
    }

    #[test]
    fn only_capitals_change() {
        for byte in 0..=255u8 {
            let word = u64::from_le_bytes([byte; 8]);
            assert_eq!(lower(word), u64::from_le_bytes([byte.to_ascii_lowercase(); 8]), "{byte}");
        }
    }

    #[test]
    fn every_length_is_hashed_apart() {
        let bytes = [b'a'; 64];
        let mut hashes: Vec<u64> = (0..=64).map(|length| bundle(&bytes[..length])).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 65);
        for at in 0..64 {
            let mut other = bytes;
            other[at] = b'b';
            assert_ne!(bundle(&other), bundle(&bytes));
        }
    }
}
