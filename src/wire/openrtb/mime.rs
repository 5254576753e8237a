//! MIME types of creatives: one bit each, so that "which of these do you take?" is one AND.

/// A set of the types in [`Mimes::NAMES`]. All others are one, [`Mimes::FOREIGN`]: nothing of ours is of another type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mimes(pub u32);

impl Mimes {
    /// The types a creative may have, bit by bit.
    pub const NAMES: [&'static str; 26] = [
        "video/mp4",
        "video/webm",
        "video/ogg",
        "video/3gpp",
        "video/quicktime",
        "video/x-flv",
        "video/x-ms-wmv",
        "video/mpeg",
        "video/x-m4v",
        "application/x-mpegurl",
        "application/vnd.apple.mpegurl",
        "application/dash+xml",
        "application/javascript",
        "audio/mpeg",
        "audio/mp3",
        "audio/mp4",
        "audio/m4a",
        "audio/aac",
        "audio/ogg",
        "audio/wav",
        "audio/webm",
        "image/jpeg",
        "image/png",
        "image/gif",
        "image/webp",
        "image/svg+xml",
    ];

    /// A type that is none of ours: in a list that names only such, it tells "nothing of yours" from "nothing said".
    pub const FOREIGN: Mimes = Mimes(1 << 31);

    /// Whether it has no type, not even a foreign one.
    #[inline]
    pub fn is_empty(self) -> bool {
        self == Mimes::default()
    }

    /// The set of this type alone, letter case aside; empty if it is none of ours.
    #[inline]
    pub fn of(name: &[u8]) -> Mimes {
        let found = Self::NAMES.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name));
        Mimes(found.map_or(0, |bit| 1 << bit))
    }

    /// Both sets.
    #[inline]
    pub fn with(self, other: Mimes) -> Mimes {
        Mimes(self.0 | other.0)
    }

    /// Whether the sets have a type in common.
    #[inline]
    pub fn meet(self, other: Mimes) -> bool {
        self.0 & other.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_each() {
        let all = Mimes::NAMES.iter().fold(Mimes::default(), |all, name| all.with(Mimes::of(name.as_bytes())));
        assert_eq!(all.0.count_ones() as usize, Mimes::NAMES.len());
        assert!(!all.meet(Mimes::FOREIGN));
        assert!(Mimes::of(b"VIDEO/MP4").meet(all) && Mimes::of(b"video/mp5").0 == 0);
    }
}
