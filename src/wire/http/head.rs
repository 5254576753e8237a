//! The head of a request, read once from left to right, every byte checked against RFC 9112.

use super::{Encoding, Method, Persistence, Status};
use crate::limits;

/// What was found.
pub(super) enum Scanned<'a> {
    /// A head, and its length with the empty line.
    Whole(Head<'a>, usize),
    /// The end of the head is not there yet.
    Partial,
    /// It cannot become a head.
    Refused(Status),
}

/// The parts of a head in use.
pub(super) struct Head<'a> {
    pub(super) method: Method,
    pub(super) path: &'a [u8],
    pub(super) framing: Framing,
    pub(super) persistence: Persistence,
    pub(super) encoding: Encoding,
    pub(super) accepts_gzip: bool,
    pub(super) openrtb_version: &'a [u8],
    pub(super) debug: bool,
    pub(super) expects: bool,
}

/// How the body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// By its length; 0 without a body.
    Length(usize),
    /// By chunks.
    Chunked,
}

/// Why a part of a head could not be read.
pub(super) enum Stop {
    Partial,
    Refused(Status),
}

const BAD: Stop = Stop::Refused(Status::BadRequest);

/// The field lines seen so far.
#[derive(Default)]
struct Fields<'a> {
    length: Option<usize>,
    chunked: Option<()>,
    host: Option<()>,
    close: bool,
    keep_alive: bool,
    encoding: Option<Encoding>,
    accepted: Accepted,
    openrtb_version: &'a [u8],
    debug: bool,
    expects: bool,
    unexpected: bool,
}

/// Reads the head at the start of `bytes`.
#[inline]
pub(super) fn scan(bytes: &[u8]) -> Scanned<'_> {
    let window = &bytes[..bytes.len().min(limits::HEAD_BYTES)];
    match read(window) {
        Ok((head, length)) => Scanned::Whole(head, length),
        Err(Stop::Refused(status)) => Scanned::Refused(status),
        Err(Stop::Partial) if window.len() == limits::HEAD_BYTES => Scanned::Refused(Status::HeadTooLarge),
        Err(Stop::Partial) => Scanned::Partial,
    }
}

fn read(bytes: &[u8]) -> Result<(Head<'_>, usize), Stop> {
    // One empty line before a request is tolerated (RFC 9112 section 2.2).
    let mut at = if bytes.first() == Some(&b'\r') { line_end(bytes, 0)? } else { 0 };
    let method = method(bytes, &mut at)?;
    let path = target(bytes, &mut at)?;
    let old = version(bytes, &mut at)?;

    let mut fields = Fields::default();
    let mut count = 0;
    while let Some((name, value)) = field(bytes, &mut at)? {
        count += 1;
        if count > limits::HEADERS {
            return Err(Stop::Refused(Status::HeadTooLarge));
        }
        note(&mut fields, name, value)?;
    }

    let framing = match (fields.chunked.is_some(), fields.length) {
        // Two lengths, or a coding HTTP/1.0 does not know: a proxy may have seen another boundary.
        (true, Some(_)) => return Err(BAD),
        (true, None) if old => return Err(BAD),
        (true, None) => Framing::Chunked,
        (false, Some(length)) if length > limits::BODY_BYTES => return Err(Stop::Refused(Status::ContentTooLarge)),
        (false, length) => Framing::Length(length.unwrap_or(0)),
    };
    if fields.unexpected && !old {
        return Err(Stop::Refused(Status::ExpectationFailed));
    }
    let persistence = match (fields.close, old, fields.keep_alive) {
        (true, _, _) | (false, true, false) => Persistence::Close,
        (false, true, true) => Persistence::KeepSaid,
        (false, false, _) => Persistence::Keep,
    };
    let head = Head {
        method,
        path,
        framing,
        persistence,
        encoding: fields.encoding.unwrap_or_default(),
        accepts_gzip: fields.accepted.gzip(),
        openrtb_version: fields.openrtb_version,
        debug: fields.debug,
        expects: fields.expects && !old,
    };
    Ok((head, at))
}

/// The method and the space after it.
#[inline]
fn method(bytes: &[u8], at: &mut usize) -> Result<Method, Stop> {
    let rest = &bytes[*at..];
    let length = token(rest);
    match rest.get(length) {
        None => Err(Stop::Partial),
        Some(b' ') if length > 0 => {
            *at += length + 1;
            Ok(match &rest[..length] {
                b"POST" => Method::Post,
                b"GET" => Method::Get,
                b"HEAD" => Method::Head,
                _ => Method::Other,
            })
        }
        Some(_) => Err(BAD),
    }
}

/// The request target and the space after it: origin form, absolute form without its authority, or `*`.
#[inline]
fn target<'a>(bytes: &'a [u8], at: &mut usize) -> Result<&'a [u8], Stop> {
    let rest = &bytes[*at..];
    let Some(length) = rest.iter().position(|byte| !(0x21..=0x7e).contains(byte)) else {
        return Err(Stop::Partial);
    };
    if rest[length] != b' ' {
        return Err(BAD);
    }
    *at += length + 1;
    let target = &rest[..length];
    match target.first() {
        Some(b'/') => Ok(target),
        Some(b'*') if length == 1 => Ok(target),
        Some(_) => {
            let authority = [&b"http://"[..], b"https://"]
                .into_iter()
                .find(|scheme| target.len() > scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme))
                .map(|scheme| &target[scheme.len()..])
                .ok_or(BAD)?;
            match authority.iter().position(|&byte| byte == b'/') {
                Some(path) => Ok(&authority[path..]),
                None => Ok(b"/"),
            }
        }
        None => Err(BAD),
    }
}

/// `HTTP/1.1` or `HTTP/1.0` and the end of the line; `true` for 1.0.
#[inline]
fn version(bytes: &[u8], at: &mut usize) -> Result<bool, Stop> {
    const NAME: &[u8] = b"HTTP/";
    let rest = &bytes[*at..];
    let known = rest.len().min(NAME.len());
    if rest[..known] != NAME[..known] {
        return Err(BAD);
    }
    let &[major, dot, minor] = rest.get(NAME.len()..NAME.len() + 3).ok_or(Stop::Partial)? else {
        return Err(BAD);
    };
    if !major.is_ascii_digit() || dot != b'.' || !minor.is_ascii_digit() {
        return Err(BAD);
    }
    *at = line_end(bytes, *at + NAME.len() + 3)?;
    match (major, minor) {
        (b'1', b'1') => Ok(false),
        (b'1', b'0') => Ok(true),
        _ => Err(Stop::Refused(Status::VersionNotSupported)),
    }
}

/// Name and value of a field line.
type Field<'a> = (&'a [u8], &'a [u8]);

/// One field line, or nothing at the empty line that ends the head. The value comes without surrounding white space.
/// A folded line, a space before the colon and a bare CR or LF are refused (RFC 9112 sections 2.2, 5.1 and 5.2).
#[inline]
pub(super) fn field<'a>(bytes: &'a [u8], at: &mut usize) -> Result<Option<Field<'a>>, Stop> {
    let start = *at;
    let rest = &bytes[start..];
    let name = token(rest);
    match rest.get(name) {
        None => return Err(Stop::Partial),
        Some(b':') if name > 0 => {}
        Some(b'\r') if name == 0 => {
            *at = line_end(bytes, start)?;
            return Ok(None);
        }
        Some(_) => return Err(BAD),
    }
    let after = &rest[name + 1..];
    let length = until_control(after);
    *at = line_end(bytes, start + name + 1 + length)?;
    Ok(Some((&rest[..name], after[..length].trim_ascii())))
}

/// Keeps what is in use of one field line.
#[inline]
fn note<'a>(fields: &mut Fields<'a>, name: &[u8], value: &'a [u8]) -> Result<(), Stop> {
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    match name.len() {
        4 if is(b"host") => {
            once(&mut fields.host, ())?;
        }
        6 if is(b"expect") => {
            if value.eq_ignore_ascii_case(b"100-continue") {
                fields.expects = true;
            } else {
                fields.unexpected = true;
            }
        }
        7 if is(b"x-debug") => fields.debug = value == b"1",
        10 if is(b"connection") => {
            for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                fields.close |= option.eq_ignore_ascii_case(b"close");
                fields.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        14 if is(b"content-length") => {
            once(&mut fields.length, length(value)?)?;
        }
        15 if is(b"accept-encoding") => fields.accepted.add(value),
        16 if is(b"content-encoding") => {
            let encoding = if value.eq_ignore_ascii_case(b"gzip") || value.eq_ignore_ascii_case(b"x-gzip") {
                Encoding::Gzip
            } else if value.is_empty() || value.eq_ignore_ascii_case(b"identity") {
                Encoding::Identity
            } else {
                Encoding::Other
            };
            // Two lines make a list (RFC 9110 section 5.3).
            fields.encoding = Some(if fields.encoding.is_some() { Encoding::Other } else { encoding });
        }
        17 if is(b"transfer-encoding") => {
            once(&mut fields.chunked, chunked(value)?)?;
        }
        17 if is(b"x-openrtb-version") => fields.openrtb_version = value,
        _ => {}
    }
    Ok(())
}

/// What `Accept-Encoding` says of gzip (RFC 9110 section 12.5.3). Several lines make one list.
#[derive(Clone, Copy, Default)]
struct Accepted {
    /// `gzip` or `x-gzip`, by name.
    named: Option<bool>,
    /// `*`: what is not named.
    others: Option<bool>,
}

impl Accepted {
    fn add(&mut self, value: &[u8]) {
        for item in value.split(|&byte| byte == b',') {
            let (coding, weight) = match item.iter().position(|&byte| byte == b';') {
                Some(at) => (item[..at].trim_ascii(), is_wanted(item[at + 1..].trim_ascii())),
                None => (item.trim_ascii(), true),
            };
            let said = if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") {
                &mut self.named
            } else if coding == b"*" {
                &mut self.others
            } else {
                continue;
            };
            // Said twice, a no counts.
            *said = Some(weight && *said != Some(false));
        }
    }

    fn gzip(self) -> bool {
        self.named.or(self.others).unwrap_or(false)
    }
}

/// Whether a weight, `q=` and at most three decimals, is above 0. What is no weight wants nothing: an answer without a
/// coding is always right.
fn is_wanted(weight: &[u8]) -> bool {
    let value = match weight {
        [b'q' | b'Q', b'=', value @ ..] => value,
        _ => return false,
    };
    match value {
        [b'1'] | [b'1', b'.'] => true,
        [b'1', b'.', zeros @ ..] => zeros.len() <= 3 && zeros.iter().all(|&digit| digit == b'0'),
        [b'0', b'.', digits @ ..] => {
            digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) && digits.iter().any(|&digit| digit != b'0')
        }
        _ => false,
    }
}

/// Keeps what a head may say once. Said twice, the readers of a stream may each believe another one, even if both are
/// equal here.
fn once<T>(field: &mut Option<T>, value: T) -> Result<(), Stop> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(BAD),
    }
}

/// `Transfer-Encoding`: `chunked` alone. Other codings would have to be undone to find the end.
fn chunked(value: &[u8]) -> Result<(), Stop> {
    if value.eq_ignore_ascii_case(b"chunked") { Ok(()) } else { Err(BAD) }
}

/// `Content-Length`: digits only; no sign, no list, and what overflows is no length. Saturates above every limit, so that
/// a number that is merely too large is answered 413.
fn length(value: &[u8]) -> Result<usize, Stop> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return Err(BAD);
    }
    let length = value.iter().fold(0u64, |length, digit| length * 10 + u64::from(digit - b'0'));
    Ok(usize::try_from(length).unwrap_or(usize::MAX))
}

/// Behind the CRLF at `at`.
#[inline]
pub(super) fn line_end(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    match bytes.get(at..) {
        Some([b'\r', b'\n', ..]) => Ok(at + 2),
        Some([] | [b'\r']) | None => Err(Stop::Partial),
        Some(_) => Err(BAD),
    }
}

/// `tchar` of RFC 9110 section 5.6.2.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
};

/// How many bytes of a token `bytes` starts with.
#[inline]
fn token(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| !TOKEN[byte as usize]).unwrap_or(bytes.len())
}

/// Where the first control character other than a tab is, eight bytes at a time; the length if there is none.
#[inline]
pub(super) fn until_control(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut at = 0;
    while let Some(&eight) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(eight);
        let delete = word ^ (0x7f * ONES);
        // A borrow may mark a byte above a marked one, never below: the lowest mark is right.
        let marks = ((word.wrapping_sub(0x20 * ONES) & !word) | (delete.wrapping_sub(ONES) & !delete)) & HIGH;
        if marks == 0 {
            at += 8;
            continue;
        }
        let found = at + (marks.trailing_zeros() / 8) as usize;
        if bytes[found] != b'\t' {
            return found;
        }
        at = found + 1;
    }
    let tail = bytes[at..].iter().position(|&byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f);
    tail.map_or(bytes.len(), |found| at + found)
}
