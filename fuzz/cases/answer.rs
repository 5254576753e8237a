//! A bidder's answer, as the load generator reads it: what httparse makes of its head, and the same however it is cut.

use corebid::lab::answer::{Parsed, parse};

/// Checks one input.
pub(crate) fn check(bytes: &[u8]) {
    let read = parse(bytes);
    if let Parsed::Answer(answer, used) = read {
        assert!(used <= bytes.len() && answer.body.len() <= used);
        for end in (0..used).rev().take(600) {
            assert_eq!(parse(&bytes[..end]), Parsed::Incomplete, "cut at {end}");
        }
        assert_eq!(parse(&bytes[..used]), read, "what follows is another answer");
    }
    agrees(bytes, read);
}

/// httparse also takes bare line feeds, which end a head earlier; and it knows nothing of bodies.
fn agrees(bytes: &[u8], read: Parsed<'_>) {
    let mut room = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut room);
    let Ok(httparse::Status::Complete(head)) = response.parse(bytes) else { return };
    let lines = &bytes[..head];
    let bare = (0..lines.len()).any(|at| lines[at] == b'\n' && (at == 0 || lines[at - 1] != b'\r'));
    if bare || !lines.starts_with(b"HTTP/") {
        return;
    }
    let status = response.code.expect("a whole head");
    let of = |name: &str| response.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).count();
    let lengths: Vec<_> =
        response.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("content-length")).collect();
    match read {
        Parsed::Answer(answer, used) => {
            assert_eq!((answer.status, of("transfer-encoding")), (status, 0));
            let body = used - head;
            assert_eq!(answer.body, &bytes[head..used]);
            if !matches!(status, 204 | 304) {
                assert!(!lengths.is_empty());
                for length in lengths {
                    let length = std::str::from_utf8(length.value).expect("digits").trim();
                    assert_eq!(length.parse(), Ok(body), "the length it says");
                }
            }
        }
        Parsed::Incomplete => assert!(!lengths.is_empty(), "it waits for a body of no length"),
        Parsed::Broken => {
            let plain = lengths.len() == 1
                && lengths[0].value.trim_ascii().iter().all(u8::is_ascii_digit)
                && (1..7).contains(&lengths[0].value.trim_ascii().len());
            let framed = matches!(status, 204 | 304) && lengths.is_empty() || status >= 200 && plain;
            assert!(!framed || of("transfer-encoding") > 0, "an answer called broken");
        }
    }
}
