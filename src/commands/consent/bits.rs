//! One segment of a consent string: base64url without padding, read as bits, most significant first.

use super::Refused;
use super::vendors::Vendors;

/// What is left to read of a segment.
#[derive(Clone, Debug)]
pub(super) struct Bits<'a> {
    /// How messages call the segment.
    segment: &'static str,
    text: &'a [u8],
    /// The next bit.
    at: usize,
}

/// The six bits of a character of base64url (RFC 4648, section 5).
fn sextet(character: u8) -> Option<u8> {
    Some(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    })
}

impl<'a> Bits<'a> {
    /// A segment, from its first bit. Refuses what is empty or not in the alphabet throughout.
    pub(super) fn new(segment: &'static str, text: &'a str) -> Result<Bits<'a>, Refused> {
        if text.is_empty() {
            return Err(Refused::new(format!("{segment}: is empty")));
        }
        match text.chars().find(|&character| !u8::try_from(character).is_ok_and(|byte| sextet(byte).is_some())) {
            Some(stray) => Err(Refused::new(format!("{segment}: {stray:?} is not of base64url without padding"))),
            None => Ok(Bits { segment, text: text.as_bytes(), at: 0 }),
        }
    }

    /// Why this segment is refused.
    pub(super) fn refused(&self, why: impl std::fmt::Display) -> Refused {
        Refused::new(format!("{}: {why}", self.segment))
    }

    /// How many bits were read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn bit(&mut self, field: &str) -> Result<bool, Refused> {
        let Some(&character) = self.text.get(self.at / 6) else {
            return Err(self.refused(format_args!("ends within {field}")));
        };
        let six = sextet(character).expect("checked by Bits::new");
        let bit = six >> (5 - self.at % 6) & 1 == 1;
        self.at += 1;
        Ok(bit)
    }

    /// An integer of `width` bits, 1 to 64.
    pub(super) fn int(&mut self, field: &str, width: u32) -> Result<u64, Refused> {
        (0..width).try_fold(0, |value, _| Ok(value << 1 | u64::from(self.bit(field)?)))
    }

    /// An integer of at most 16 bits.
    pub(super) fn short(&mut self, field: &str, width: u32) -> Result<u16, Refused> {
        let value = self.int(field, width)?;
        Ok(u16::try_from(value).expect("at most 16 bits"))
    }

    pub(super) fn flag(&mut self, field: &str) -> Result<bool, Refused> {
        self.bit(field)
    }

    /// One bit each.
    pub(super) fn flags(&mut self, field: &str, count: usize) -> Result<Vec<bool>, Refused> {
        (0..count).map(|_| self.bit(field)).collect()
    }

    /// Two letters of six bits each, counted from `A`: a language, a country. What is beyond `Z` comes as the ASCII
    /// character that lies there.
    pub(super) fn letters(&mut self, field: &str) -> Result<String, Refused> {
        let letter = |bits: &mut Self| Ok(char::from(b'A' + bits.int(field, 6)? as u8));
        Ok(String::from_iter([letter(self)?, letter(self)?]))
    }

    fn vendor(&mut self, field: &str) -> Result<u16, Refused> {
        match self.short(field, 16)? {
            0 => Err(self.refused(format_args!("{field}: there is no vendor 0"))),
            vendor => Ok(vendor),
        }
    }

    /// `Range(Int)`: 12 bits say how many entries follow, each one vendor or the first and last of several. Entries may come in
    /// any order; one whose last vendor comes before its first names nobody.
    pub(super) fn ranges(&mut self, field: &str) -> Result<Vendors, Refused> {
        let count = self.int(field, 12)?;
        let entry = |bits: &mut Self| {
            let several = bits.flag(field)?;
            let first = bits.vendor(field)?;
            Ok((first, if several { bits.vendor(field)? } else { first }))
        };
        (0..count).map(|_| entry(self)).collect::<Result<_, _>>().map(Vendors)
    }

    /// A number in Fibonacci code (GPP, "Fibonacci Encoding"): the sum of the Fibonacci numbers whose bits are set, the
    /// smallest first, until two bits in a row are. What does not fit saturates.
    fn fibonacci(&mut self, field: &str) -> Result<u64, Refused> {
        let (mut value, mut number, mut next, mut before) = (0_u64, 1_u64, 2_u64, false);
        loop {
            let bit = self.bit(field)?;
            if bit && before {
                return Ok(value);
            }
            if bit {
                value = value.saturating_add(number);
            }
            (number, next, before) = (next, number.saturating_add(next), bit);
        }
    }

    /// `Range(Fibonacci)`: as [`ranges`](Bits::ranges), each id as its distance from the one before.
    pub(super) fn fibonacci_ranges(&mut self, field: &str) -> Result<Vendors, Refused> {
        let count = self.int(field, 12)?;
        let mut last = 0_u16;
        let mut next = |bits: &mut Self| {
            last = u16::try_from(bits.fibonacci(field)?.saturating_add(u64::from(last)))
                .map_err(|_| bits.refused(format_args!("{field}: an id is beyond {}", u16::MAX)))?;
            Ok(last)
        };
        let mut entry = |bits: &mut Self| {
            let several = bits.flag(field)?;
            let first = next(bits)?;
            Ok((first, if several { next(bits)? } else { first }))
        };
        (0..count).map(|_| entry(self)).collect::<Result<_, _>>().map(Vendors)
    }
}
