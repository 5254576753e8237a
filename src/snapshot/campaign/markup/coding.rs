//! Values of others, coded so that they are data wherever they stand.
//!
//! Each coding leaves the unreserved characters of RFC 3986 section 2.3 as they are and spells out every other ASCII character,
//! so that no quote, bracket, space or escape of anybody's syntax is ever among them, whatever the markup around it is.

use crate::limits::{SIGNAL_BYTES, VALUE_BYTES};
use crate::wire::json::{Raw, Text};
use crate::wire::openrtb::response::Out;

/// How a value is spelt within the JSON string that markup is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// In a URL: RFC 3986 section 2.1.
    Percent,
    /// In a URL within a URL.
    PercentTwice,
    /// In HTML or XML: character references. What XML 1.0 section 2.2 has no character for is U+FFFD.
    Reference,
    /// In a JSON string: `\u` escapes.
    Json,
}

impl Coding {
    /// The most bytes that one byte becomes.
    pub(super) fn growth(self) -> usize {
        match self {
            Coding::Percent => 3,
            Coding::PercentTwice => 5,
            Coding::Reference => 6,
            Coding::Json => 7,
        }
    }

    /// The same of a [`url`].
    pub(super) fn growth_of_url(self) -> usize {
        match self {
            Coding::Percent | Coding::PercentTwice => self.growth(),
            Coding::Reference | Coding::Json => 1,
        }
    }
}

/// Writes a URL of ours, of characters that mean nothing to HTML, XML or JSON: as it is, unless it stands in another.
pub(super) fn url(url: &[u8], coding: Coding, out: &mut Out<'_>) {
    match coding {
        Coding::Percent | Coding::PercentTwice => bytes(url, coding, out),
        Coding::Reference | Coding::Json => out.put(url),
    }
}

/// Writes a text of the request.
pub(super) fn text(text: Text<'_>, coding: Coding, out: &mut Out<'_>) {
    let mut room = [0; VALUE_BYTES];
    match text.unescape(&mut room) {
        Some(plain) if plain.len() <= VALUE_BYTES => bytes(plain, coding, out),
        _ => out.refuse(),
    }
}

/// Writes a privacy signal, which every coding leaves as it is; nothing if it is none.
pub(super) fn signal(signal: &[u8], out: &mut Out<'_>) {
    if signal.len() <= SIGNAL_BYTES && signal.iter().copied().all(is_unreserved) {
        out.put(signal);
    }
}

/// Sections of a GPP string that are named in markup: more than one applies nowhere today.
pub(super) const SECTIONS: usize = 8;

/// Writes the ids of GPP sections, below 100, with commas between them.
pub(super) fn sections(ids: Raw<'_>, coding: Coding, out: &mut Out<'_>) {
    for (at, id) in ids.integers().filter(|id| (0..100).contains(id)).take(SECTIONS).enumerate() {
        if at > 0 {
            bytes(b",", coding, out);
        }
        out.integer(id as u64);
    }
}

/// Writes bytes that are meant to be UTF-8; what is not becomes a question mark.
pub(super) fn bytes(bytes: &[u8], coding: Coding, out: &mut Out<'_>) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            write(character, coding, out);
        }
        if !chunk.invalid().is_empty() {
            write('?', coding, out);
        }
    }
}

fn write(character: char, coding: Coding, out: &mut Out<'_>) {
    let mut room = [0; 4];
    let bytes = character.encode_utf8(&mut room).as_bytes();
    match (coding, bytes) {
        (_, [byte]) if is_unreserved(*byte) => out.put(bytes),
        (Coding::Percent, _) => bytes.iter().for_each(|byte| spell(b"%", *byte, b"", out)),
        (Coding::PercentTwice, _) => bytes.iter().for_each(|byte| spell(b"%25", *byte, b"", out)),
        (Coding::Json, [byte]) => spell(br"\\u00", *byte, b"", out),
        (Coding::Reference, [b'\t' | b'\n' | b'\r' | b' '..]) => spell(b"&#x", bytes[0], b";", out),
        (Coding::Reference, [_]) | (Coding::Reference, [0xef, 0xbf, 0xbe | 0xbf]) => out.put("\u{fffd}".as_bytes()),
        (Coding::Reference | Coding::Json, _) => out.put(bytes),
    }
}

/// Unreserved characters of RFC 3986 section 2.3.
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn spell(before: &[u8], byte: u8, after: &[u8], out: &mut Out<'_>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.put(before);
    out.put(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    out.put(after);
}
