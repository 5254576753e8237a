//! What a source says: a number, a key that stands for it where it is told apart from others, or nothing.
//!
//! Keys are part of what a model has learnt, so that how they are made never changes; `tests/features.rs` has it written out
//! a second time.

use crate::snapshot::targeting::codes::{lower, mix};
use crate::wire::json::Text;

/// A value.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    /// NaN of what is no number.
    number: f32,
    /// 0 where there is no value.
    key: u64,
}

/// The same, where both are missing too.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        (self.number.to_bits(), self.key) == (other.number.to_bits(), other.key)
    }
}

/// Where keys of texts begin, of numbers, and of crosses: the fraction of pi, 64 bits at a time.
const TEXT: u64 = 0x243F_6A88_85A3_08D3;
const NUMBER: u64 = 0x1319_8A2E_0370_7344;
pub(super) const CROSS: u64 = 0xA409_3822_299F_31D0;

impl Value {
    /// Nothing is known.
    pub const MISSING: Value = Value { number: f32::NAN, key: 0 };

    /// A whole number.
    #[inline]
    pub fn whole(number: i64) -> Value {
        Value { number: number as f32, key: mix(NUMBER, number as u64).max(1) }
    }

    /// A whole number of millionths, told in units.
    #[inline]
    pub fn micros(micros: i64) -> Value {
        Value { number: (micros as f64 / 1e6) as f32, ..Value::whole(micros) }
    }

    /// Yes or no, as 1 or 0.
    #[inline]
    pub fn flag(said: bool) -> Value {
        Value::whole(said.into())
    }

    /// A code of a list with a name for each: its number is the code, its key that of the name. Code 0 is nothing.
    #[inline]
    pub fn named(code: u8, name: &str) -> Value {
        if code == 0 { Value::MISSING } else { Value { number: code.into(), ..Value::text(name.as_bytes()) } }
    }

    /// A text, as its bytes stand; nothing if it is empty.
    #[inline]
    pub fn text(bytes: &[u8]) -> Value {
        Value::keyed(bytes, |word| word)
    }

    /// A text in which ASCII letters mean the same in either case.
    #[inline]
    pub fn caseless(bytes: &[u8]) -> Value {
        Value::keyed(bytes, lower)
    }

    /// A text of a document, case counting or not.
    #[inline]
    pub fn of(text: Text<'_>, caseless: bool) -> Value {
        match (text.escaped, caseless) {
            (false, false) => Value::text(text.raw),
            (false, true) => Value::caseless(text.raw),
            (true, _) => Value::escaped(text, caseless),
        }
    }

    /// The key of a text is that of its bytes, eight at a time, little endian, the last filled up with zeros; its length comes
    /// first.
    #[inline]
    fn keyed(bytes: &[u8], fold: impl Fn(u64) -> u64) -> Value {
        if bytes.is_empty() {
            return Value::MISSING;
        }
        let (words, rest) = bytes.as_chunks::<8>();
        let mut key = mix(TEXT, bytes.len() as u64);
        for word in words {
            key = mix(key, fold(u64::from_le_bytes(*word)));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            key = mix(key, fold(u64::from_le_bytes(last)));
        }
        Value { number: f32::NAN, key: key.max(1) }
    }

    /// The same of a text with escapes, which are taken out byte by byte.
    #[cold]
    fn escaped(text: Text<'_>, caseless: bool) -> Value {
        let length = text.bytes().count();
        if length == 0 {
            return Value::MISSING;
        }
        let (mut key, mut word) = (mix(TEXT, length as u64), 0);
        let fold = |word| if caseless { lower(word) } else { word };
        for (byte, at) in text.bytes().zip(0..) {
            word |= u64::from(byte) << (8 * (at % 8));
            if at % 8 == 7 {
                key = mix(key, fold(word));
                word = 0;
            }
        }
        if !length.is_multiple_of(8) {
            key = mix(key, fold(word));
        }
        Value { number: f32::NAN, key: key.max(1) }
    }

    /// The number; NaN if there is none.
    #[inline]
    pub fn number(self) -> f32 {
        self.number
    }

    /// The key, if there is a value.
    #[inline]
    pub fn key(self) -> Option<u64> {
        (self.key != 0).then_some(self.key)
    }

    /// The key of a cross so far, with this value; none if there is no value.
    #[inline]
    pub(super) fn crossed(self, key: u64) -> Option<u64> {
        self.key().map(|own| mix(key, own))
    }
}
