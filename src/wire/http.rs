//! HTTP/1.1 framing (RFC 9110, RFC 9112): where a request begins and ends in a stream of bytes, and what of its head a
//! bidder uses. Strict where two readers could disagree about a boundary, so that nothing can be smuggled past a proxy.
//!
//! The outcome depends on the bytes alone, never on how they were cut: [`parse`] of a prefix is [`Parsed::Partial`] or
//! what the whole stream would give. `docs/decisions/0003-http.md` has the rules and the figures.

pub mod answer;
mod chunked;
mod head;

use crate::limits;

/// A request body with its chunk framing, bytes; more is answered 413. Room for chunks of 50 bytes and more.
pub const CODED_BYTES: usize = limits::BODY_BYTES + limits::BODY_BYTES / 8;

/// What the start of a stream holds.
#[derive(Debug)]
pub enum Parsed<'a> {
    /// A whole request.
    Request {
        /// The request.
        request: Request<'a>,
        /// How many bytes it took.
        consumed: usize,
    },
    /// More bytes are needed. `proceed`: the peer waits for `100 Continue` before it sends the body; said once.
    Partial {
        /// Whether to write [`answer::CONTINUE`].
        proceed: bool,
    },
    /// Answer with this status and close: where the next request begins is unknown.
    Refused(Status),
}

/// The request methods a bidder tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD: the answer has a head only.
    Head,
    /// POST.
    Post,
    /// Any other token.
    Other,
}

/// `Content-Encoding` of the request body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// None, or `identity`.
    #[default]
    Identity,
    /// `gzip` or `x-gzip`.
    Gzip,
    /// Something else, or more than one.
    Other,
}

/// What becomes of the connection after the answer, and what the answer has to say about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Persistence {
    /// HTTP/1.1: it stays, and nothing need be said.
    #[default]
    Keep,
    /// HTTP/1.0 with `Connection: keep-alive`: it stays if the answer says so.
    KeepSaid,
    /// It is closed, and the answer says so.
    Close,
}

/// One request, borrowed from the connection's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Method.
    pub method: Method,
    /// Path and query, as sent.
    pub path: &'a [u8],
    /// The body, contiguous, still encoded as `encoding` says.
    pub body: &'a [u8],
    /// `x-debug: 1`.
    pub debug: bool,
    /// `x-openrtb-version`, empty if absent.
    pub openrtb_version: &'a [u8],
    /// `Content-Encoding`.
    pub encoding: Encoding,
    /// Whether `Accept-Encoding` names gzip with a weight above 0.
    pub accepts_gzip: bool,
    /// What becomes of the connection.
    pub persistence: Persistence,
}

impl Request<'_> {
    /// Whether the connection stays open after the answer.
    #[inline]
    pub fn keep_alive(&self) -> bool {
        self.persistence != Persistence::Close
    }
}

/// Why a stream cannot be read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 400: not HTTP, or a boundary two readers could see in different places.
    BadRequest,
    /// 413: the body is longer than [`limits::BODY_BYTES`].
    ContentTooLarge,
    /// 417: an expectation other than `100-continue`.
    ExpectationFailed,
    /// 431: the head is longer than [`limits::HEAD_BYTES`] or has more than [`limits::HEADERS`] fields.
    HeadTooLarge,
    /// 505: neither HTTP/1.0 nor HTTP/1.1.
    VersionNotSupported,
}

/// How far the request at the start of a stream was read. Reset to the default when the request has been consumed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Fewer bytes than this cannot make the request whole.
    needed: usize,
    /// Chunked body: what was walked of it.
    walk: chunked::Walk,
    /// `100 Continue` was asked for.
    asked: bool,
}

/// Reads the request at the start of `bytes`. `progress` is the default for a new request, and what the last call left of
/// it when bytes were added. A chunked body is put together in `scratch`, which grows to [`limits::BODY_BYTES`] at most.
#[inline]
pub fn parse<'a>(bytes: &'a [u8], progress: &mut Progress, scratch: &'a mut Vec<u8>) -> Parsed<'a> {
    if bytes.len() < progress.needed {
        return Parsed::Partial { proceed: false };
    }
    let (head, length) = match head::scan(bytes) {
        head::Scanned::Whole(head, length) => (head, length),
        head::Scanned::Partial => return Parsed::Partial { proceed: false },
        head::Scanned::Refused(status) => return Parsed::Refused(status),
    };
    let rest = &bytes[length..];
    let (body, taken) = match head.framing {
        head::Framing::Length(size) if rest.len() >= size => (&rest[..size], size),
        head::Framing::Length(size) => {
            progress.needed = length + size;
            return Parsed::Partial { proceed: wants_continue(&head, rest, progress) };
        }
        head::Framing::Chunked => match chunked::walk(rest, &mut progress.walk) {
            chunked::Walked::Whole { coded } => {
                chunked::join(&rest[..coded], scratch);
                (scratch.as_slice(), coded)
            }
            chunked::Walked::Partial => {
                return Parsed::Partial { proceed: wants_continue(&head, rest, progress) };
            }
            chunked::Walked::Refused(status) => return Parsed::Refused(status),
        },
    };
    let request = Request {
        method: head.method,
        path: head.path,
        body,
        debug: head.debug,
        openrtb_version: head.openrtb_version,
        encoding: head.encoding,
        accepts_gzip: head.accepts_gzip,
        persistence: head.persistence,
    };
    Parsed::Request { request, consumed: length + taken }
}

/// Whether the peer holds its body back until it hears `100 Continue` (RFC 9110 section 10.1.1). A body that has begun
/// to arrive shows that it does not.
fn wants_continue(head: &head::Head<'_>, rest: &[u8], progress: &mut Progress) -> bool {
    let proceed = head.expects && rest.is_empty() && !progress.asked;
    progress.asked |= head.expects;
    proceed
}

#[cfg(test)]
mod tests;
