//! Answers, written into the bytes given; each function says how many it wrote, or `None` when they do not fit.
//!
//! No `Date` is sent: nothing here may be stored by a cache, and every byte of a 204 is sent for 95 of 100 requests.

use super::{Persistence, Status};

/// The answer to almost every request.
pub const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
/// The interim answer to `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// The longest answer of this module without a body: all but [`Open`]. With room for this much none of them fails.
pub const LONGEST_EMPTY: usize = 256;
/// What [`Open::start_gzip`] says more than [`Open::start`].
pub const CONTENT_ENCODING_GZIP: &[u8] = b"Content-Encoding: gzip\r\n";
/// The longest `x-openrtb-version` that is echoed; a longer one is none.
const VERSION_BYTES: usize = 16;

/// Status lines in use, without a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// 200.
    Ok,
    /// 400.
    BadRequest,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 405, where only POST is allowed.
    PostOnly,
    /// 405, where only GET and POST are.
    GetAndPostOnly,
    /// 408: the rest of the request did not come in time, or others need its room.
    RequestTimeout,
    /// 410.
    Gone,
    /// 413.
    ContentTooLarge,
    /// 415.
    UnsupportedMediaType,
    /// 417.
    ExpectationFailed,
    /// 429.
    TooManyRequests,
    /// 431.
    HeadTooLarge,
    /// 503.
    Unavailable,
    /// 505.
    VersionNotSupported,
}

impl Empty {
    const fn line(self) -> &'static str {
        match self {
            Empty::Ok => "HTTP/1.1 200 OK\r\n",
            Empty::BadRequest => "HTTP/1.1 400 Bad Request\r\n",
            Empty::Forbidden => "HTTP/1.1 403 Forbidden\r\n",
            Empty::NotFound => "HTTP/1.1 404 Not Found\r\n",
            Empty::PostOnly => "HTTP/1.1 405 Method Not Allowed\r\nAllow: POST\r\n",
            Empty::GetAndPostOnly => "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, POST\r\n",
            Empty::RequestTimeout => "HTTP/1.1 408 Request Timeout\r\n",
            Empty::Gone => "HTTP/1.1 410 Gone\r\n",
            Empty::ContentTooLarge => "HTTP/1.1 413 Content Too Large\r\n",
            Empty::UnsupportedMediaType => "HTTP/1.1 415 Unsupported Media Type\r\n",
            Empty::ExpectationFailed => "HTTP/1.1 417 Expectation Failed\r\n",
            Empty::TooManyRequests => "HTTP/1.1 429 Too Many Requests\r\n",
            Empty::HeadTooLarge => "HTTP/1.1 431 Request Header Fields Too Large\r\n",
            Empty::Unavailable => "HTTP/1.1 503 Service Unavailable\r\n",
            Empty::VersionNotSupported => "HTTP/1.1 505 HTTP Version Not Supported\r\n",
        }
    }
}

impl From<Status> for Empty {
    fn from(status: Status) -> Empty {
        match status {
            Status::BadRequest => Empty::BadRequest,
            Status::ContentTooLarge => Empty::ContentTooLarge,
            Status::ExpectationFailed => Empty::ExpectationFailed,
            Status::HeadTooLarge => Empty::HeadTooLarge,
            Status::VersionNotSupported => Empty::VersionNotSupported,
        }
    }
}

/// 204, the constant bytes if nothing need be said.
#[inline]
pub fn no_content(out: &mut [u8], persistence: Persistence) -> Option<usize> {
    no_bid(out, persistence, b"", None)
}

/// 204 for a no-bid: `version` is echoed as `x-openrtb-version` unless it is empty, `reason` is `x-nobid-reason`.
#[inline]
pub fn no_bid(out: &mut [u8], persistence: Persistence, version: &[u8], reason: Option<&str>) -> Option<usize> {
    let plain = NO_CONTENT.len() - 2;
    let mut writer = Writer { out, at: 0 };
    writer.put(&NO_CONTENT[..plain])?;
    if let Some(reason) = reason {
        writer.field(b"x-nobid-reason: ", reason.as_bytes())?;
    }
    writer.version(version)?;
    writer.end(persistence)
}

/// A status without content, with `Content-Length: 0`.
pub fn empty(out: &mut [u8], status: Empty, persistence: Persistence) -> Option<usize> {
    let mut writer = Writer { out, at: 0 };
    writer.put(status.line().as_bytes())?;
    writer.put(b"Content-Length: 0\r\n")?;
    writer.end(persistence)
}

/// A status of somebody's choice, 200 to 599, without content.
pub fn status(out: &mut [u8], code: u16, persistence: Persistence) -> Option<usize> {
    let digits = [100, 10, 1].map(|place| b'0' + (code / place % 10) as u8);
    let mut writer = Writer { out, at: 0 };
    writer.put(b"HTTP/1.1 ")?;
    writer.put(&digits)?;
    // The phrase may be empty (RFC 9112 section 4).
    writer.put(b" \r\n")?;
    // RFC 9110 section 8.6.
    if code != 204 {
        writer.put(b"Content-Length: 0\r\n")?;
    }
    writer.end(persistence)
}

/// 200 with a short text. `bodiless`: the request was a HEAD, so the text is announced and not sent.
pub fn text(out: &mut [u8], persistence: Persistence, text: &[u8], bodiless: bool) -> Option<usize> {
    let open = Open::start(out, "text/plain", persistence, b"")?;
    let body = open.body();
    out.get_mut(body..body + text.len())?.copy_from_slice(text);
    let whole = open.finish(out, text.len());
    Some(if bodiless { body } else { whole })
}

/// A 200 whose length is filled in once its content is written.
#[derive(Clone, Copy, Debug)]
#[must_use = "an answer that is not finished has no length"]
pub struct Open {
    digits: usize,
    body: usize,
}

impl Open {
    /// Room for the length: answers are shorter than 10 MB. Unused places stay blank, which is white space before the
    /// value (RFC 9112 section 5).
    const DIGITS: usize = 7;

    /// Writes the head of a 200 with this `Content-Type`; `version` is echoed unless it is empty.
    pub fn start(out: &mut [u8], content_type: &str, persistence: Persistence, version: &[u8]) -> Option<Open> {
        Open::start_with(out, content_type, b"", persistence, version)
    }

    /// As [`Open::start`], for content in gzip. No `Vary`: an answer to a POST is not stored.
    pub fn start_gzip(out: &mut [u8], content_type: &str, persistence: Persistence, version: &[u8]) -> Option<Open> {
        Open::start_with(out, content_type, CONTENT_ENCODING_GZIP, persistence, version)
    }

    #[inline]
    fn start_with(
        out: &mut [u8],
        content_type: &str,
        coding: &[u8],
        persistence: Persistence,
        version: &[u8],
    ) -> Option<Open> {
        let mut writer = Writer { out, at: 0 };
        writer.put(b"HTTP/1.1 200 OK\r\n")?;
        writer.field(b"Content-Type: ", content_type.as_bytes())?;
        writer.put(coding)?;
        writer.version(version)?;
        writer.put(b"Content-Length: ")?;
        let digits = writer.at;
        writer.put(b"       \r\n")?;
        let body = writer.end(persistence)?;
        Some(Open { digits, body })
    }

    /// Where the content begins.
    #[inline]
    pub fn body(&self) -> usize {
        self.body
    }

    /// Fills in the length of the content, which stands at [`Open::body`], and says how long the answer is.
    #[inline]
    pub fn finish(self, out: &mut [u8], length: usize) -> usize {
        let mut rest = length;
        for digit in out[self.digits..self.digits + Self::DIGITS].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        assert_eq!(rest, 0, "an answer of {length} bytes");
        self.body + length
    }
}

struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.at + bytes.len();
        self.out.get_mut(self.at..end)?.copy_from_slice(bytes);
        self.at = end;
        Some(())
    }

    #[inline]
    fn field(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        self.put(name)?;
        self.put(value)?;
        self.put(b"\r\n")
    }

    #[inline]
    fn version(&mut self, version: &[u8]) -> Option<()> {
        if version.is_empty() || version.len() > VERSION_BYTES {
            return Some(());
        }
        self.field(b"x-openrtb-version: ", version)
    }

    #[inline]
    fn end(mut self, persistence: Persistence) -> Option<usize> {
        match persistence {
            Persistence::Keep => {}
            Persistence::KeepSaid => self.put(b"Connection: keep-alive\r\n")?,
            Persistence::Close => self.put(b"Connection: close\r\n")?,
        }
        self.put(b"\r\n")?;
        Some(self.at)
    }
}
