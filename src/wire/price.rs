//! `${AUCTION_PRICE}` as it comes back in a notice (OpenRTB 2.6 section 4.4): a number, nothing, `AUDIT`, or something
//! that only its sender can read.

use crate::ring::message::NoticePrice;
use crate::units::CpmMicros;

/// The longest value looked at. A price has some ten characters; an encrypted one, thirty-eight and more.
const VALUE_BYTES: usize = 64;
/// Above this a number is no price: a billion units per thousand impressions.
const HIGHEST: u64 = 1_000_000_000_000_000;

/// The price in a query: the first `p=`, percent-decoded. A missing `p` is an empty one.
pub fn from_query(query: &[u8]) -> NoticePrice {
    let value = query.split(|byte| *byte == b'&').find_map(|pair| pair.strip_prefix(b"p="));
    let Some(value) = value else { return NoticePrice::Empty };
    let mut decoded = [0; VALUE_BYTES];
    match percent_decoded(value, &mut decoded) {
        Some(value) => parse(value),
        None => NoticePrice::Unreadable,
    }
}

/// A price in plain text. Digits beyond the millionth round it up: what is booked is never below what is invoiced.
pub fn parse(value: &[u8]) -> NoticePrice {
    match value.trim_ascii() {
        b"" => NoticePrice::Empty,
        b"AUDIT" => NoticePrice::Audit,
        number => match decimal(number) {
            Some(micros) => NoticePrice::Cpm(CpmMicros(micros)),
            None => NoticePrice::Unreadable,
        },
    }
}

/// `digits [. digits] [e [sign] digits]` with an optional plus in front, in exact millionths, rounded up. `None` for
/// anything else, a negative number and one above [`HIGHEST`] included.
fn decimal(text: &[u8]) -> Option<i64> {
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let (whole, fraction) = match memchr::memchr(b'.', mantissa) {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &[][..]),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    // The place of a digit is the power of ten it counts in millionths; those below 0 only round.
    let first = whole.len() as i32 - 1 + 6 + exponent;
    let (mut micros, mut below) = (0u64, false);
    for (place, digit) in (0..).map(|index| first - index).zip(whole.iter().chain(fraction)) {
        if !digit.is_ascii_digit() {
            return None;
        }
        let digit = u64::from(digit - b'0');
        match place {
            _ if digit == 0 => {}
            0..=15 => micros += digit * 10u64.pow(place as u32),
            ..0 => below = true,
            _ => return None,
        }
    }
    let micros = micros + u64::from(below);
    if micros > HIGHEST { None } else { i64::try_from(micros).ok() }
}

fn exponent(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0, |value, digit| value * 10 + i32::from(digit - b'0'));
    Some(if negative { -value } else { value })
}

/// `None` if a percent sign is not followed by two hexadecimal digits, or the value is too long.
fn percent_decoded<'out>(value: &[u8], out: &'out mut [u8; VALUE_BYTES]) -> Option<&'out [u8]> {
    let hex = |byte: u8| (byte as char).to_digit(16);
    let (mut length, mut rest) = (0, value);
    while let Some((byte, after)) = rest.split_first() {
        let (byte, after) = match (byte, after) {
            (b'%', [high, low, after @ ..]) => ((hex(*high)? << 4 | hex(*low)?) as u8, after),
            (b'%', _) => return None,
            (byte, after) => (*byte, after),
        };
        *out.get_mut(length)? = byte;
        length += 1;
        rest = after;
    }
    Some(&out[..length])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cpm(micros: i64) -> NoticePrice {
        NoticePrice::Cpm(CpmMicros(micros))
    }

    #[test]
    fn the_forms_exchanges_send() {
        for (query, price) in [
            ("p=1.5", cpm(1_500_000)),
            ("x=1&p=0.000001&p=9", cpm(1)),
            ("p=0", cpm(0)),
            ("p=2.", cpm(2_000_000)),
            ("p=.25", cpm(250_000)),
            ("p=%31%2E5", cpm(1_500_000)),
            ("p=%201.5%20", cpm(1_500_000)),
            ("p=+1", cpm(1_000_000)),
            ("p=1.0000001", cpm(1_000_001)),
            ("p=1.00000000000000000000000000000", cpm(1_000_000)),
            ("p=1.2E-3", cpm(1_200)),
            ("p=1e-999", cpm(1)),
            ("p=0e999", cpm(0)),
            ("p=1e9", cpm(1_000_000_000_000_000)),
            ("p=", NoticePrice::Empty),
            ("p=%20", NoticePrice::Empty),
            ("", NoticePrice::Empty),
            ("price=3&xp=2", NoticePrice::Empty),
            ("p=AUDIT", NoticePrice::Audit),
            ("p=audit", NoticePrice::Unreadable),
            ("p=-1", NoticePrice::Unreadable),
            ("p=-0", NoticePrice::Unreadable),
            ("p=NaN", NoticePrice::Unreadable),
            ("p=inf", NoticePrice::Unreadable),
            ("p=1000000001", NoticePrice::Unreadable),
            ("p=1e99", NoticePrice::Unreadable),
            ("p=1e", NoticePrice::Unreadable),
            ("p=.", NoticePrice::Unreadable),
            ("p=1,5", NoticePrice::Unreadable),
            ("p=1.5.5", NoticePrice::Unreadable),
            ("p=%3", NoticePrice::Unreadable),
            ("p=%zz", NoticePrice::Unreadable),
            ("p=${AUCTION_PRICE}", NoticePrice::Unreadable),
            ("p=YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCce_6msaw", NoticePrice::Unreadable),
        ] {
            assert_eq!(from_query(query.as_bytes()), price, "{query}");
        }
        let long = format!("p=1{}", "0".repeat(200));
        assert_eq!(from_query(long.as_bytes()), NoticePrice::Unreadable);
    }

    proptest! {
        /// Against integer arithmetic on the same digits.
        #[test]
        fn decimals_are_exact(whole in 0u64..1_000_000_000, fraction in 0u64..1_000_000_000, shift in -6i32..1) {
            let nano = u128::from(whole) * 1_000_000_000 + u128::from(fraction);
            let divisor = 1_000u128 * 10u128.pow(-shift as u32);
            let expected = nano.div_ceil(divisor) as i64;
            let text = format!("{whole}.{fraction:09}e{shift}");
            prop_assert_eq!(parse(text.as_bytes()), cpm(expected), "{}", text);
        }

        #[test]
        fn nothing_panics(query in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = from_query(&[b"p=", &query[..]].concat());
            let _ = from_query(&query);
        }
    }
}
