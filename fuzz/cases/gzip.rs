//! Bodies in gzip: the input is a body, or, after an odd first byte, the deflate stream of one that gets a header and a
//! trailer which say the truth if the oracle can read it.

use std::io::Read;

use corebid::wire::gzip::{Deflater, Inflater, Unreadable};

/// The bound, small enough that an input reaches it.
const MOST: usize = 16 * 1024;

/// What the oracle reads of one member, one byte beyond the bound at most; `None` if it is damaged before that.
fn oracle(body: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut rest = body;
    let mut plain = Vec::new();
    let mut decoder = flate2::bufread::GzDecoder::new(&mut rest).take(MOST as u64 + 1);
    decoder.read_to_end(&mut plain).ok()?;
    Some((plain, rest.len()))
}

fn member(stream: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let _ = flate2::bufread::DeflateDecoder::new(stream).take(MOST as u64 + 1).read_to_end(&mut plain);
    let mut crc = flate2::Crc::new();
    crc.update(&plain);
    [&b"\x1f\x8b\x08\0\0\0\0\0\0\xff"[..], stream, &crc.sum().to_le_bytes(), &crc.amount().to_le_bytes()].concat()
}

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let made;
    let body = match input.split_first() {
        Some((kind, stream)) if kind & 1 == 1 => {
            made = member(stream);
            &made[..]
        }
        _ => input,
    };
    let mut inflater = Inflater::new(MOST);
    let read = inflater.inflate(body).map(<[u8]>::to_vec);
    match (&read, oracle(body)) {
        // The oracle also checks the checksum of a header, which says nothing of the content.
        (Ok(plain), Some((expected, _))) => assert_eq!(*plain, expected),
        (Ok(_), None) => assert!(body[3] & 2 != 0, "read what the oracle calls damaged"),
        (Err(Unreadable::TooLong), Some((expected, _))) => assert!(expected.len() > MOST, "it would have fitted"),
        (Err(Unreadable::TooLong), None) => {}
        (Err(Unreadable::Damaged), Some((expected, rest))) => {
            assert!(rest > 0 || expected.len() > MOST, "a whole member called damaged");
        }
        (Err(Unreadable::Damaged), None) => {}
    }
    if let Ok(plain) = read {
        let again = Deflater::for_content(plain.len()).deflate(&plain, usize::MAX).map(<[u8]>::to_vec);
        assert_eq!(inflater.inflate(&again.expect("there is room")), Ok(&plain[..]));
    }
}
