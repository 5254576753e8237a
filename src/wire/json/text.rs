//! Strings and values as they stand in the document, borrowed; unescaped only when somebody needs it.

use super::number;

/// A JSON string as it stands between its quotes: unescaped only when somebody needs it. Empty if absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text<'a> {
    /// The bytes between the quotes.
    pub raw: &'a [u8],
    /// Whether there is an escape among them.
    pub escaped: bool,
}

impl<'a> Text<'a> {
    /// Absent, or the empty string: nothing tells them apart.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Whether the two are the same string, however each is escaped.
    #[inline]
    pub fn is(&self, other: Text<'_>) -> bool {
        if self.escaped || other.escaped { self.bytes().eq(other.bytes()) } else { self.raw == other.raw }
    }

    /// Whether the unescaped string is `other`.
    #[inline]
    pub fn eq_str(&self, other: &str) -> bool {
        if self.escaped { self.bytes().eq(other.bytes()) } else { self.raw == other.as_bytes() }
    }

    /// Whether the unescaped string is `other`, but for the case of ASCII letters.
    #[inline]
    pub fn eq_ignore_ascii_case(&self, other: &[u8]) -> bool {
        if self.escaped {
            self.bytes().map(|byte| byte.to_ascii_lowercase()).eq(other.iter().map(u8::to_ascii_lowercase))
        } else {
            self.raw.eq_ignore_ascii_case(other)
        }
    }

    /// The unescaped string, UTF-8: the document itself where nothing is escaped, else written to `buffer`. `None` when it
    /// does not fit; `raw.len()` bytes always suffice.
    #[inline]
    pub fn unescape<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        if !self.escaped {
            return Some(self.raw);
        }
        let mut length = 0;
        for byte in self.bytes() {
            *buffer.get_mut(length)? = byte;
            length += 1;
        }
        Some(&buffer[..length])
    }

    /// The bytes of the unescaped string, one by one.
    #[inline]
    pub fn bytes(&self) -> Unescaped<'a> {
        Unescaped { rest: self.raw, pending: [0; 4], first: 0, end: 0 }
    }
}

/// The bytes of an unescaped string; see [`Text::bytes`].
#[derive(Clone, Debug)]
pub struct Unescaped<'a> {
    rest: &'a [u8],
    pending: [u8; 4],
    first: u8,
    end: u8,
}

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.first < self.end {
            let byte = self.pending[usize::from(self.first)];
            self.first += 1;
            return Some(byte);
        }
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        if byte != b'\\' {
            return Some(byte);
        }
        let (&letter, rest) = self.rest.split_first()?;
        self.rest = rest;
        match letter {
            b'b' => Some(8),
            b'f' => Some(12),
            b'n' => Some(b'\n'),
            b'r' => Some(b'\r'),
            b't' => Some(b'\t'),
            b'u' => {
                let character = self.code_point();
                self.end = character.encode_utf8(&mut self.pending).len() as u8;
                self.first = 1;
                Some(self.pending[0])
            }
            itself => Some(itself),
        }
    }
}

impl Unescaped<'_> {
    /// The character of a `\u` escape, and of the second one where the first is a high surrogate. A surrogate without its
    /// other half is U+FFFD.
    fn code_point(&mut self) -> char {
        let Some(unit) = self.code_unit(0) else { return char::REPLACEMENT_CHARACTER };
        self.rest = &self.rest[4..];
        if (0xd800..0xdc00).contains(&unit)
            && self.rest.starts_with(b"\\u")
            && let Some(low @ 0xdc00..0xe000) = self.code_unit(2)
        {
            self.rest = &self.rest[6..];
            let joined = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            return char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// Four hexadecimal digits at `offset`.
    fn code_unit(&self, offset: usize) -> Option<u32> {
        self.rest
            .get(offset..offset + 4)?
            .iter()
            .try_fold(0, |unit, &digit| Some(unit << 4 | (digit as char).to_digit(16)?))
    }
}

/// A JSON value as it stands, already checked. Empty if absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw<'a>(pub &'a [u8]);

impl<'a> Raw<'a> {
    /// The value is absent; an empty array is not.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The strings of an array of strings, in order; elements that are `null` are passed over. Nothing if absent.
    #[inline]
    pub fn strings(&self) -> Strings<'a> {
        Strings { rest: self.0 }
    }

    /// The numbers of an array of integers, in order, saturated to `i64`; what is not an integer is passed over.
    #[inline]
    pub fn integers(&self) -> Integers<'a> {
        Integers { rest: self.0 }
    }
}

/// The strings of an array; see [`Raw::strings`].
#[derive(Clone, Debug)]
pub struct Strings<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Strings<'a> {
    type Item = Text<'a>;

    #[inline]
    fn next(&mut self) -> Option<Text<'a>> {
        let open = memchr::memchr(b'"', self.rest)?;
        let inside = &self.rest[open + 1..];
        let mut escaped = false;
        let mut end = 0;
        loop {
            end += memchr::memchr2(b'"', b'\\', inside.get(end..)?)?;
            if inside[end] == b'"' {
                break;
            }
            escaped = true;
            end += 2;
        }
        self.rest = &inside[end + 1..];
        Some(Text { raw: &inside[..end], escaped })
    }
}

/// The integers of an array; see [`Raw::integers`].
#[derive(Clone, Debug)]
pub struct Integers<'a> {
    rest: &'a [u8],
}

impl Iterator for Integers<'_> {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        loop {
            let start = self.rest.iter().position(|byte| matches!(byte, b'0'..=b'9' | b'-'))?;
            let number = &self.rest[start..];
            let end = number.iter().position(|byte| matches!(byte, b',' | b']')).unwrap_or(number.len());
            self.rest = &number[end..];
            if let Some(integer) = number::integer(number, end) {
                return Some(integer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unescaped(raw: &str) -> String {
        let text = Text { raw: raw.as_bytes(), escaped: raw.contains('\\') };
        let mut buffer = vec![0; raw.len()];
        String::from_utf8(text.unescape(&mut buffer).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn escapes_are_those_of_rfc_8259() {
        assert_eq!(unescaped(r"plain"), "plain");
        assert_eq!(unescaped(r#"\"\\\/\b\f\n\r\t"#), "\"\\/\u{8}\u{c}\n\r\t");
        assert_eq!(unescaped(r"\u0041\u00e9\u20AC\ud83d\ude00!"), "Aé€😀!");
        assert_eq!(unescaped(r"\ud83d!\ude00\ud83d\ud83d\ude00"), "\u{fffd}!\u{fffd}\u{fffd}😀");
    }

    #[test]
    fn a_text_too_long_for_the_buffer_is_refused() {
        let text = Text { raw: br"a\u20ac", escaped: true };
        assert_eq!(text.unescape(&mut [0; 3]), None);
        assert_eq!(text.unescape(&mut [0; 4]), Some("a€".as_bytes()));
        assert_eq!(Text { raw: b"abc", escaped: false }.unescape(&mut []), Some(&b"abc"[..]));
    }

    #[test]
    fn texts_compare_unescaped() {
        let text = Text { raw: br"Us\u0044", escaped: true };
        assert!(text.eq_str("UsD") && !text.eq_str("USD") && text.eq_ignore_ascii_case(b"usd"));
        let text = Text { raw: b"UsD", escaped: false };
        assert!(text.eq_str("UsD") && !text.eq_str("UsDx") && text.eq_ignore_ascii_case(b"usd"));
    }

    #[test]
    fn malformed_escapes_do_not_panic() {
        for raw in [r"\", r"\u", r"\u12", r"\ud83d\u", r"\ud83d\", r"\uzzzz"] {
            let _ = Text { raw: raw.as_bytes(), escaped: true }.bytes().count();
        }
    }

    #[test]
    fn lists_are_walked() {
        let texts: Vec<_> = Raw(br#"[ "a" , null, "b\"]", "" ]"#).strings().map(|text| text.raw.len()).collect();
        assert_eq!(texts, [1, 4, 0]);
        let integers: Vec<_> = Raw(b"[1, -2 ,3.0, 4.5,1e2,null, 99999999999999999999]").integers().collect();
        assert_eq!(integers, [1, -2, 3, 100, i64::MAX]);
        assert_eq!(Raw::default().strings().count() + Raw(b"[]").integers().count(), 0);
    }
}
