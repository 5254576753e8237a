//! HTTP framing: the first two bytes of an input choose where the rest is cut.

use corebid::wire::http::{Encoding, Method, Parsed, Persistence, Progress, Status, parse};

type Seen = (Method, Vec<u8>, Vec<u8>, bool, Vec<u8>, Encoding, Persistence);

/// The requests of a stream that arrives in pieces of these lengths, and how it ends: refused, or waiting for more.
fn read(stream: &[u8], mut pieces: impl FnMut() -> usize) -> (Vec<Seen>, Option<Status>) {
    let (mut seen, mut start, mut end) = (Vec::new(), 0, 0);
    let mut scratch = Vec::new();
    let mut progress = Progress::default();
    loop {
        match parse(&stream[start..end], &mut progress, &mut scratch) {
            Parsed::Request { request, consumed } => {
                assert!(consumed > 0 && consumed <= end - start);
                seen.push((
                    request.method,
                    request.path.to_vec(),
                    request.body.to_vec(),
                    request.debug,
                    request.openrtb_version.to_vec(),
                    request.encoding,
                    request.persistence,
                ));
                start += consumed;
                progress = Progress::default();
            }
            Parsed::Partial { .. } if end == stream.len() => return (seen, None),
            Parsed::Partial { .. } => end = stream.len().min(end + pieces().max(1)),
            Parsed::Refused(status) => return (seen, Some(status)),
        }
    }
}

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Some((seed, stream)) = input.split_first_chunk::<2>() else { return };
    let whole = read(stream, || stream.len());
    let mut state = u32::from(u16::from_le_bytes(*seed));
    let cut = read(stream, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 26) as usize
    });
    assert_eq!(whole, cut, "cut at random");
    if stream.len() <= 512 {
        assert_eq!(whole, read(stream, || 1), "byte by byte");
    }
}
