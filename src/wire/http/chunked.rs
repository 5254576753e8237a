//! Chunked bodies (RFC 9112 section 7.1): walked as they arrive, joined once they are whole.

use super::head::{Stop, field, line_end, until_control};
use super::{CODED_BYTES, Status};
use crate::limits;

/// The line of one chunk size with its extensions, bytes; more is answered 400.
const SIZE_LINE: usize = 256;

/// How far a chunked body was walked, so that no byte is walked twice however many pieces it comes in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walk {
    /// Where the next chunk begins, or the trailers.
    at: usize,
    /// Bytes of content before it.
    content: usize,
    /// The last chunk was passed: trailers follow.
    last: bool,
}

/// What was found.
pub(super) enum Walked {
    /// The whole body, which takes this many bytes.
    Whole { coded: usize },
    /// More bytes are needed.
    Partial,
    /// It cannot become a body.
    Refused(Status),
}

/// Walks on through the chunks of `bytes`, which starts behind the head.
pub(super) fn walk(bytes: &[u8], walk: &mut Walk) -> Walked {
    match step(bytes, walk) {
        Ok(coded) => Walked::Whole { coded },
        Err(Stop::Refused(status)) => Walked::Refused(status),
        Err(Stop::Partial) => Walked::Partial,
    }
}

fn step(bytes: &[u8], walk: &mut Walk) -> Result<usize, Stop> {
    while !walk.last {
        let (size, start) = size(bytes, walk.at)?;
        if walk.content + size > limits::BODY_BYTES || start + size > CODED_BYTES {
            return Err(Stop::Refused(Status::ContentTooLarge));
        }
        if size == 0 {
            walk.at = start;
            walk.last = true;
        } else {
            walk.at = line_end(bytes, start + size)?;
            walk.content += size;
        }
    }
    trailers(bytes, walk.at)
}

/// Behind the trailer section, which is checked as field lines and ignored; as long as a head at most.
fn trailers(bytes: &[u8], start: usize) -> Result<usize, Stop> {
    let window = &bytes[..bytes.len().min(start + limits::HEAD_BYTES)];
    let mut at = start;
    let mut count = 0;
    loop {
        match field(window, &mut at) {
            Ok(Some(_)) if count == limits::HEADERS => return Err(Stop::Refused(Status::HeadTooLarge)),
            Ok(Some(_)) => count += 1,
            Ok(None) => return Ok(at),
            Err(Stop::Partial) if window.len() == start + limits::HEAD_BYTES => {
                return Err(Stop::Refused(Status::HeadTooLarge));
            }
            Err(stop) => return Err(stop),
        }
    }
}

/// The size of the chunk at `at`, and where its content begins. Extensions are passed over.
fn size(bytes: &[u8], at: usize) -> Result<(usize, usize), Stop> {
    const BAD: Stop = Stop::Refused(Status::BadRequest);
    let line = bytes.get(at..).ok_or(Stop::Partial)?;
    let line = &line[..line.len().min(SIZE_LINE)];
    let partial = if line.len() == SIZE_LINE { BAD } else { Stop::Partial };

    let mut size = 0u64;
    let mut digits = 0;
    while let Some(digit) = line.get(digits).and_then(|&byte| char::from(byte).to_digit(16)) {
        // Sixteen digits are all that 64 bits hold.
        if digits == 16 {
            return Err(BAD);
        }
        size = size << 4 | u64::from(digit);
        digits += 1;
    }
    let extensions = &line[digits..];
    match extensions.first() {
        None => return Err(partial),
        Some(_) if digits == 0 => return Err(BAD),
        Some(b'\r' | b';' | b' ' | b'\t') => {}
        Some(_) => return Err(BAD),
    }
    let length = until_control(extensions);
    // White space belongs to an extension, or to nothing (RFC 9112 section 7.1.1).
    match extensions[..length].trim_ascii_start().first() {
        None if length == 0 => {}
        Some(b';') => {}
        None if length == extensions.len() => return Err(partial),
        _ => return Err(BAD),
    }
    match line_end(line, digits + length) {
        // No body is as long as this address space, and none may be that long.
        Ok(end) => Ok((usize::try_from(size).unwrap_or(usize::MAX).min(usize::MAX / 4), at + end)),
        Err(Stop::Partial) => Err(partial),
        Err(stop) => Err(stop),
    }
}

/// Puts the content of a body that [`walk`] found whole together.
pub(super) fn join(coded: &[u8], content: &mut Vec<u8>) {
    content.clear();
    let mut at = 0;
    while let Ok((length, start)) = size(coded, at) {
        let Some(chunk) = coded.get(start..start + length).filter(|chunk| !chunk.is_empty()) else { break };
        content.extend_from_slice(chunk);
        at = start + length + 2;
    }
}
