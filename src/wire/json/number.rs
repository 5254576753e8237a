//! Numbers and literals: their grammar, and their values as exact decimals. No float is involved.

/// Where the number or literal that starts at `start` ends, if it is one (RFC 8259 sections 3 and 6).
pub(super) fn scalar_end(body: &[u8], start: usize) -> Option<usize> {
    let rest = body.get(start..)?;
    for literal in [&b"true"[..], b"false", b"null"] {
        if rest.starts_with(literal) {
            return Some(start + literal.len());
        }
    }
    let digits = |from: usize| rest[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = usize::from(rest.first() == Some(&b'-'));
    let whole = digits(end);
    if whole == 0 || (whole > 1 && rest[end] == b'0') {
        return None;
    }
    end += whole;
    if rest.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    }
    if matches!(rest.get(end), Some(b'e' | b'E')) {
        end += 1 + usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end);
        if exponent == 0 {
            return None;
        }
        end += exponent;
    }
    Some(start + end)
}

/// The checked number at the start of `text` as an integer, saturated to `i64`; `None` if it has a fraction (1.0 has none).
/// It ends within `length` bytes, followed by nothing but white space there.
#[inline(always)]
pub(super) fn integer(text: &[u8], length: usize) -> Option<i64> {
    match text.first_chunk::<8>() {
        Some(word) if length <= 8 => match digits(u64::from_le_bytes(*word) << (64 - 8 * length)) {
            Some(value) => Some(value),
            None => decimal(text),
        },
        _ => decimal(text),
    }
}

/// The same of a number that is not a few digits and nothing else.
#[cold]
#[inline(never)]
fn decimal(text: &[u8]) -> Option<i64> {
    Decimal::read(text).integer()
}

/// The value of up to eight digits, the last of them in the highest byte; the bytes before the first are 0.
#[inline(always)]
fn digits(word: u64) -> Option<i64> {
    const TENS: u64 = 0x0f0f_0f0f_0f0f_0f0f;
    // A digit is 0x30 to 0x39: its high nibble is 3 and stays so when 6 is added.
    let high = (word | word.wrapping_add(0x0606_0606_0606_0606)) & !TENS;
    let filled = 0x3030_3030_3030_3030 & (u64::MAX << (word.trailing_zeros() & !7));
    if word & !TENS != filled || high != filled {
        return None;
    }
    let pairs = (word & TENS).wrapping_mul(10 << 8 | 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100 << 16 | 1) >> 16 & 0x0000_ffff_0000_ffff;
    Some((fours.wrapping_mul(10_000 << 32 | 1) >> 32) as i64)
}

/// The checked number at the start of `text` in units of 10^-`places`, rounded up, saturated to `i64`.
#[inline]
pub(super) fn ceiling(text: &[u8], places: i64) -> i64 {
    Decimal::read(text).scaled(places).0
}

/// A decimal number: `mantissa` times ten to the `exponent`, and a bit more if `more`.
struct Decimal {
    negative: bool,
    mantissa: u64,
    exponent: i64,
    /// A digit other than 0 stood after the nineteen that the mantissa holds.
    more: bool,
}

impl Decimal {
    /// A mantissa below this takes one more digit without overflow.
    const ROOM: u64 = 1_000_000_000_000_000_000;
    /// No document is long enough to make up for such an exponent by digits.
    const FAR: i64 = 1 << 40;

    fn read(text: &[u8]) -> Decimal {
        let mut number = Decimal { negative: text.first() == Some(&b'-'), mantissa: 0, exponent: 0, more: false };
        let mut fraction = false;
        for (position, &byte) in text.iter().enumerate().skip(usize::from(number.negative)) {
            match byte {
                b'0'..=b'9' => {
                    let digit = u64::from(byte - b'0');
                    let kept = number.mantissa < Self::ROOM;
                    if kept {
                        number.mantissa = number.mantissa * 10 + digit;
                    } else {
                        number.more |= digit != 0;
                    }
                    number.exponent += i64::from(!kept) - i64::from(fraction);
                }
                b'.' => fraction = true,
                b'e' | b'E' => {
                    number.exponent += Self::written_exponent(&text[position + 1..]);
                    break;
                }
                _ => break,
            }
        }
        number
    }

    fn written_exponent(text: &[u8]) -> i64 {
        let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
        let size = digits
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .fold(0, |size, digit| (size * 10 + i64::from(digit - b'0')).min(Self::FAR));
        if text.first() == Some(&b'-') { -size } else { size }
    }

    /// The value in units of 10^-`places`, rounded up, saturated; and whether it was rounded.
    fn scaled(&self, places: i64) -> (i64, bool) {
        let exponent = self.exponent + places;
        let mantissa = u128::from(self.mantissa);
        let (size, rest) = match u32::try_from(exponent.unsigned_abs()) {
            _ if self.mantissa == 0 => (0, false),
            Ok(zeros @ 0..=19) if exponent >= 0 => (mantissa * 10_u128.pow(zeros), false),
            Ok(zeros @ 0..=19) => (mantissa / 10_u128.pow(zeros), mantissa % 10_u128.pow(zeros) != 0),
            _ if exponent > 0 => (u128::MAX, false),
            _ => (0, true),
        };
        let rest = rest || self.more;
        if self.negative {
            (i64::try_from(size).map_or(i64::MIN, |size| -size), rest)
        } else {
            (i64::try_from(size.saturating_add(u128::from(rest))).unwrap_or(i64::MAX), rest)
        }
    }

    fn integer(&self) -> Option<i64> {
        match self.scaled(0) {
            (value @ (i64::MIN | i64::MAX), _) | (value, false) => Some(value),
            (_, true) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_and_saturate() {
        for (text, value) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("250}", Some(250)),
            ("-17,", Some(-17)),
            ("3.0", Some(3)),
            ("3.1", None),
            ("1e2", Some(100)),
            ("25e-1", None),
            ("250e-1", Some(25)),
            ("1E+3 ", Some(1000)),
            ("7 ", Some(7)),
            ("12345678,", Some(12_345_678)),
            ("10203040", Some(10_203_040)),
            ("100000000", Some(100_000_000)),
            ("0e-999999999999999999999", Some(0)),
            ("1e-999999999999999999999", None),
            ("1e999999999999999999999", Some(i64::MAX)),
            ("-1e400", Some(i64::MIN)),
            ("999999999999999999", Some(999_999_999_999_999_999)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("12345678901234567890e-1", Some(1_234_567_890_123_456_789)),
            ("12345678901234567891e-1", None),
        ] {
            let length = text.trim_end_matches(['}', ',']).len();
            let long = format!("{text}        ");
            assert_eq!(integer(text.as_bytes(), length), value, "{text}");
            assert_eq!(integer(long.as_bytes(), length), value, "{text}");
        }
    }

    #[test]
    fn prices_are_rounded_up() {
        for (text, value) in [
            ("0", 0),
            ("0.03", 30_000),
            ("0.1", 100_000),
            ("1.0000001", 1_000_001),
            ("0.0000001", 1),
            ("1e-300", 1),
            ("-0.0000001", 0),
            ("-1.5", -1_500_000),
            ("2.5e0", 2_500_000),
            ("9223372036854.775807", i64::MAX),
            ("9223372036853.7758070000000000000001", 9_223_372_036_853_775_808),
            ("1e300", i64::MAX),
            ("-1e300", i64::MIN),
        ] {
            assert_eq!(ceiling(text.as_bytes(), 6), value, "{text}");
        }
    }

    #[test]
    fn the_grammar_of_numbers() {
        for good in ["0", "-0", "10", "0.5", "1e5", "1E-05", "-1.25e+10", "true", "false", "null"] {
            assert_eq!(scalar_end(good.as_bytes(), 0), Some(good.len()), "{good}");
        }
        for bad in ["", "-", "01", "-01", "1.", ".5", "+1", "1e", "1e+", "tru", "nul", "Infinity", "NaN", "\u{1}"] {
            assert_eq!(scalar_end(bad.as_bytes(), 0), None, "{bad}");
        }
    }
}
