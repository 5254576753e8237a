//! Just enough of HTTP/1.1 (RFC 9112) to read a bidder's answer: status, length, body, the reason of a no-bid.
//!
//! A client that measures must cost less than the server it measures, so only the headers in use are looked at. Answers
//! with a chunked body, or with neither length nor a status that has no body, are [`Parsed::Broken`]: a bidder sends none.

use memchr::memmem;

/// Longest answer head that is waited for, bytes.
const HEAD_BYTES: usize = 16 * 1024;
/// Longest body that is waited for, bytes.
const BODY_BYTES: usize = 4 * 1024 * 1024;

/// One answer, borrowed from the receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// The body; empty for 204 and 304.
    pub body: &'a [u8],
    /// The value of `x-nobid-reason`, empty without one.
    pub reason: &'a [u8],
    /// The server closes the connection after this answer.
    pub close: bool,
}

/// What the bytes received so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// An answer, and how many bytes it took.
    Answer(Answer<'a>, usize),
    /// The beginning of one.
    Incomplete,
    /// Not an answer this client reads; what follows on the connection cannot be trusted.
    Broken,
}

/// Reads the first answer in `bytes`.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let Some(head) = memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > HEAD_BYTES { Parsed::Broken } else { Parsed::Incomplete };
    };
    let mut lines = Lines(&bytes[..head + 2]);
    let status = match lines.next() {
        Some([b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor, b' ', a, b, c, rest @ ..])
            if [a, b, c].iter().all(|digit| digit.is_ascii_digit())
                && rest.first().is_none_or(|byte| *byte == b' ') =>
        {
            (u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'), *minor == b'0')
        }
        _ => return Parsed::Broken,
    };
    let (status, mut close) = status;
    let (mut length, mut reason) = (None, &b""[..]);
    for line in lines {
        // One look at the first letter spares most headers the comparison.
        match line.first().map(u8::to_ascii_lowercase) {
            Some(b'c') => {
                if let Some(value) = value(line, b"content-length") {
                    match decimal(value) {
                        Some(n) if n <= BODY_BYTES && length.is_none_or(|earlier| earlier == n) => length = Some(n),
                        _ => return Parsed::Broken,
                    }
                } else if let Some(value) = value(line, b"connection") {
                    close =
                        value.eq_ignore_ascii_case(b"close") || (close && !value.eq_ignore_ascii_case(b"keep-alive"));
                }
            }
            Some(b'x') => reason = value(line, b"x-nobid-reason").unwrap_or(reason),
            Some(b't') if value(line, b"transfer-encoding").is_some() => return Parsed::Broken,
            _ => {}
        }
    }
    let length = match (status, length) {
        (100..200, _) => return Parsed::Broken,
        (204 | 304, _) => 0,
        (_, Some(length)) => length,
        (_, None) => return Parsed::Broken,
    };
    let start = head + 4;
    match bytes.get(start..start + length) {
        Some(body) => Parsed::Answer(Answer { status, body, reason, close }, start + length),
        None => Parsed::Incomplete,
    }
}

/// Lines of a head, each ended by CRLF.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(b'\n', self.0)?;
        let (line, rest) = self.0.split_at(end + 1);
        self.0 = rest;
        Some(line.strip_suffix(b"\r\n").unwrap_or(&line[..end]))
    }
}

/// The value of a header line with this lower-case name.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = line.split_at_checked(name.len())?;
    let rest = rest.strip_prefix(b":")?;
    head.eq_ignore_ascii_case(name).then(|| rest.trim_ascii())
}

fn decimal(digits: &[u8]) -> Option<usize> {
    let plain = !digits.is_empty() && digits.len() <= 9 && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| digits.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BID: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    const NO: &[u8] = b"HTTP/1.1 204 No Content\r\nX-NoBid-Reason: shed\r\n\r\n";

    #[test]
    fn a_bid_and_a_no_bid_are_read_one_after_the_other() {
        let both = [BID, NO].concat();
        let Parsed::Answer(bid, used) = parse(&both) else { panic!("an answer") };
        assert_eq!((bid.status, bid.body, bid.reason, bid.close, used), (200, &b"{}"[..], &b""[..], false, BID.len()));
        let Parsed::Answer(no, used) = parse(&both[used..]) else { panic!("an answer") };
        assert_eq!((no.status, no.body, no.reason, used), (204, &b""[..], &b"shed"[..], NO.len()));
    }

    #[test]
    fn every_beginning_is_incomplete() {
        for bytes in [BID, NO] {
            for end in 0..bytes.len() {
                assert_eq!(parse(&bytes[..end]), Parsed::Incomplete, "{end}");
            }
        }
    }

    #[test]
    fn what_cannot_be_framed_is_broken() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            b"HTTP/1.1 2x0 OK\r\n\r\n",
            b"SSH-2.0\r\n\r\n",
            &[b'a'; HEAD_BYTES + 1],
        ] {
            assert_eq!(parse(bytes), Parsed::Broken, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn close_is_heard() {
        let closes = |head: &str| match parse(format!("{head}content-length: 0\r\n\r\n").as_bytes()) {
            Parsed::Answer(answer, _) => answer.close,
            other => panic!("{other:?}"),
        };
        assert!(!closes("HTTP/1.1 400 Bad Request\r\n"));
        assert!(closes("HTTP/1.1 413 Too Large\r\nConnection: Close\r\n"));
        assert!(closes("HTTP/1.0 200 OK\r\n"));
        assert!(!closes("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n"));
    }
}
