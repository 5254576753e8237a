//! Against flate2, which packs and unpacks with another library (zlib-rs).

use std::io::{Read, Write};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use proptest::prelude::*;

use super::{Deflater, Inflater, Unreadable};

/// Small, so that the bound is met often.
const MOST: usize = 4096;

fn packed(plain: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn inflate(packed: &[u8]) -> Result<Vec<u8>, Unreadable> {
    Inflater::new(MOST).inflate(packed).map(<[u8]>::to_vec)
}

/// Bytes that shrink, as documents do, and bytes that do not.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..2 * MOST),
        proptest::collection::vec(0u8..4, 0..2 * MOST),
        (any::<u8>(), 0..2 * MOST).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

proptest! {
    #[test]
    fn what_another_library_packs_is_unpacked_up_to_the_bound(plain in content(), level in 0u32..=9) {
        let expected = if plain.len() <= MOST { Ok(plain.clone()) } else { Err(Unreadable::TooLong) };
        prop_assert_eq!(inflate(&packed(&plain, level)), expected);
    }

    #[test]
    fn another_library_unpacks_what_is_packed(plain in content(), most in 0usize..2 * MOST) {
        let mut deflater = Deflater::for_content(plain.len());
        let packed = deflater.deflate(&plain, usize::MAX).unwrap().to_vec();
        let mut unpacked = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        prop_assert_eq!(&unpacked, &plain);
        let bounded = deflater.deflate(&plain, most).map(<[u8]>::to_vec);
        prop_assert!(bounded.is_none_or(|bounded| bounded.len() <= most));
    }

    /// No byte of a member can be missing or added, and one changed bit is seen, or does not matter: the header says things
    /// (time, system, the level) that have no meaning for content, and a stream may end within a byte.
    #[test]
    fn damage_is_seen(plain in content(), bit in any::<proptest::sample::Index>(), cut in any::<proptest::sample::Index>()) {
        let plain = &plain[..plain.len().min(MOST)];
        let whole = packed(plain, 6);
        // What is cut off behind a full buffer could as well go on.
        prop_assert!(inflate(&whole[..cut.index(whole.len())]).is_err());
        // The trailer of no content is eight zeros, and one more makes it no different.
        if !plain.is_empty() {
            prop_assert_eq!(inflate(&[&whole[..], b"\0"].concat()), Err(Unreadable::Damaged));
        }
        let mut changed = whole.clone();
        let bit = bit.index(whole.len() * 8);
        changed[bit / 8] ^= 1 << (bit % 8);
        match inflate(&changed) {
            Ok(unpacked) => prop_assert_eq!(unpacked, plain),
            // A changed stream may go on beyond the bound before it is found out.
            Err(Unreadable::TooLong | Unreadable::Damaged) => {}
        }
    }

    /// The oracle reads one member and says what is left of the input.
    #[test]
    fn noise_is_read_as_the_other_library_reads_it(mut noise in proptest::collection::vec(any::<u8>(), 0..200), header in any::<bool>()) {
        if header {
            noise.splice(..0, *b"\x1f\x8b\x08\0\0\0\0\0\0\xff");
        }
        let mut unpacked = Vec::new();
        let mut rest = &noise[..];
        let read = flate2::bufread::GzDecoder::new(&mut rest).read_to_end(&mut unpacked);
        match inflate(&noise) {
            Ok(plain) => prop_assert!(read.is_ok() && rest.is_empty() && plain == unpacked),
            Err(Unreadable::TooLong) => prop_assert!(unpacked.len() > MOST || read.is_err()),
            Err(Unreadable::Damaged) => prop_assert!(read.is_err() || !rest.is_empty()),
        }
    }
}

#[test]
fn every_part_of_a_header_is_understood() {
    let mut encoder = GzBuilder::new()
        .filename("request.json")
        .comment("a comment")
        .extra(vec![7; 300])
        .mtime(1_700_000_000)
        .operating_system(3)
        .write(Vec::new(), Compression::fast());
    encoder.write_all(b"{}").unwrap();
    assert_eq!(inflate(&encoder.finish().unwrap()), Ok(b"{}".to_vec()));
}

#[test]
fn a_second_member_is_damage() {
    let (one, two) = (packed(b"{\"id\":\"1\"", 6), packed(b"}", 6));
    assert_eq!(inflate(&[&one[..], &two[..]].concat()), Err(Unreadable::Damaged));
    assert_eq!(inflate(&[&one[..], b"}"].concat()), Err(Unreadable::Damaged));
    assert_eq!(inflate(&packed(&packed(b"{}", 6), 6)), Ok(packed(b"{}", 6)), "packed twice is unpacked once");
}

#[test]
fn the_length_at_the_end_is_believed_by_nobody() {
    for lie in [0, 1, 3, MOST as u32, u32::MAX] {
        let mut member = packed(b"{}", 6);
        let end = member.len();
        member[end - 4..].copy_from_slice(&lie.to_le_bytes());
        assert_eq!(inflate(&member), Err(Unreadable::Damaged), "{lie}");
        // A long one that says it is short.
        let mut member = packed(&[0; MOST + 1], 6);
        let end = member.len();
        member[end - 4..].copy_from_slice(&lie.to_le_bytes());
        assert_eq!(inflate(&member), Err(Unreadable::TooLong), "{lie}");
    }
}

#[test]
fn a_refused_body_leaves_nothing_behind() {
    let mut inflater = Inflater::new(MOST);
    for refused in [packed(&[7; 2 * MOST], 6), packed(b"{}", 6)[..15].to_vec(), Vec::new(), vec![0x1f; 100]] {
        assert!(inflater.inflate(&refused).is_err());
        assert_eq!(inflater.inflate(&packed(b"{}", 6)), Ok(&b"{}"[..]));
    }
    assert_eq!(inflater.inflate(&packed(b"", 6)), Ok(&b""[..]));
}
