//! What comes back in a notice where the price macro stood (OpenRTB 2.6 section 4.4): a number, nothing, `AUDIT`, or a
//! number that only we can read.

use super::price_cipher::PriceCipher;
use crate::ring::message::NoticePrice;
use crate::units::{CpmMicros, Multiplier};

/// The longest value looked at. A price has some ten characters; an encrypted one, thirty-eight, or more where the padding
/// is percent-encoded.
pub const VALUE_BYTES: usize = 64;
/// Above this a number is no price: a billion units per thousand impressions.
const HIGHEST: u64 = 1_000_000_000_000_000;

/// How an exchange writes a clearing price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// `${AUCTION_PRICE}`: a decimal number.
    #[default]
    Plain,
    /// `%%WINNING_PRICE%%` of Authorized Buyers: encrypted micros per thousand impressions.
    Google,
    /// `${AUCTION_PRICE:OXCRYPT}` of OpenX: encrypted micros per impression, so that 1 USD CPM is 1,000.
    Openx,
}

impl Scheme {
    /// All schemes.
    pub const ALL: [Scheme; 3] = [Scheme::Plain, Scheme::Google, Scheme::Openx];

    /// What stands in a notice URL or in markup for the price.
    pub const fn price_macro(self) -> &'static str {
        match self {
            Scheme::Plain => "${AUCTION_PRICE}",
            Scheme::Google => "%%WINNING_PRICE%%",
            Scheme::Openx => "${AUCTION_PRICE:OXCRYPT}",
        }
    }

    /// Whether the price comes encrypted.
    pub const fn is_encrypted(self) -> bool {
        !matches!(self, Scheme::Plain)
    }

    /// The number that was encrypted, as a price. `None` for one that is no price.
    pub const fn cpm(self, number: u64) -> Option<CpmMicros> {
        let micros = match self {
            Scheme::Plain | Scheme::Google => Some(number),
            Scheme::Openx => number.checked_mul(1000),
        };
        match micros {
            Some(micros) if micros <= HIGHEST => Some(CpmMicros(micros as i64)),
            _ => None,
        }
    }
}

/// What it takes to read an exchange's prices.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one for each exchange, read where it is: a box would only be a detour")]
pub enum Reading {
    /// They are plain.
    Plain,
    /// They are encrypted.
    Encrypted(Scheme, PriceCipher),
    /// They are encrypted, and we do not have the keys (any more).
    Blind,
}

impl Reading {
    /// The price in a query: the first `p=`, percent-decoded. A missing `p` is an empty one. Where prices are encrypted a
    /// plain number is none: anybody could have put it there.
    pub fn price(&self, query: &[u8]) -> NoticePrice {
        let Some(value) = parameter(query, b"p=") else { return NoticePrice::Empty };
        let mut decoded = [0; VALUE_BYTES];
        match percent_decoded(value, &mut decoded) {
            Some(value) => self.parse(value),
            None => NoticePrice::Unreadable,
        }
    }

    /// The price that this text says. Digits beyond the millionth round it up: what is booked is never below what is
    /// invoiced.
    pub fn parse(&self, value: &[u8]) -> NoticePrice {
        let value = value.trim_ascii();
        match value {
            b"" => return NoticePrice::Empty,
            b"AUDIT" => return NoticePrice::Audit,
            _ => {}
        }
        let price = match self {
            Reading::Plain => decimal(value).map(CpmMicros),
            Reading::Encrypted(scheme, cipher) => cipher.decrypt(value).ok().and_then(|number| scheme.cpm(number)),
            Reading::Blind => None,
        };
        price.map_or(NoticePrice::Unreadable, NoticePrice::Cpm)
    }
}

/// How many impressions the exchange counted: the first `m=` if it is a number above 0 and at most what was `claimed`,
/// else what was claimed (OpenRTB 2.6 section 4.4, `${AUCTION_MULTIPLIER}`).
pub fn multiplier(query: &[u8], claimed: Multiplier) -> Multiplier {
    let mut decoded = [0; VALUE_BYTES];
    let value = parameter(query, b"m=").and_then(|value| percent_decoded(value, &mut decoded));
    match value.and_then(|value| decimal(value.trim_ascii())) {
        Some(counted @ 1..) => Multiplier(counted.cast_unsigned()).min(claimed),
        _ => claimed,
    }
}

/// Why a bid lost, a code of the exchange's list (OpenRTB 2.5 section 5.25): the first `l=` if it is a number.
pub fn loss(query: &[u8]) -> Option<u16> {
    let mut decoded = [0; VALUE_BYTES];
    let digits = percent_decoded(parameter(query, b"l=")?, &mut decoded)?.trim_ascii();
    let is_number = (1..=4).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')))
}

/// The least that would have won, in the bid's currency: the first `w=` if it is a price above 0 (OpenRTB 2.6 section 4.4,
/// `${AUCTION_MIN_TO_WIN}`).
pub fn to_win(query: &[u8]) -> Option<CpmMicros> {
    let mut decoded = [0; VALUE_BYTES];
    let value = percent_decoded(parameter(query, b"w=")?, &mut decoded)?;
    decimal(value.trim_ascii()).filter(|price| *price > 0).map(CpmMicros)
}

fn parameter<'q>(query: &'q [u8], name: &[u8]) -> Option<&'q [u8]> {
    query.split(|byte| *byte == b'&').find_map(|pair| pair.strip_prefix(name))
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
    fn what_would_have_won_is_a_price_or_nothing() {
        for (query, price) in [
            ("p=1&w=2.5", Some(2_500_000)),
            ("w=0.000001&p=1", Some(1)),
            ("w=2%2E5", Some(2_500_000)),
            ("w=0", None),
            ("w=-1", None),
            ("w=", None),
            ("w=AUDIT", None),
            ("w=${AUCTION_MIN_TO_WIN}", None),
            ("w=1e30", None),
            ("p=1&l=102", None),
        ] {
            assert_eq!(to_win(query.as_bytes()), price.map(CpmMicros), "{query}");
        }
    }

    #[test]
    fn why_a_bid_lost_is_a_number_or_nothing() {
        for (query, code) in [
            ("p=1&l=3", Some(3)),
            ("l=102&l=3", Some(102)),
            ("p=&m=2&l=%33", Some(3)),
            ("l=1001", Some(1001)),
            ("l=", None),
            ("p=3", None),
            ("l=-3", None),
            ("l=3.0", None),
            ("l=${AUCTION_LOSS}", None),
            ("l=99999", None),
            ("l=%", None),
        ] {
            assert_eq!(loss(query.as_bytes()), code, "{query}");
        }
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
            assert_eq!(Reading::Plain.price(query.as_bytes()), price, "{query}");
        }
        let long = format!("p=1{}", "0".repeat(200));
        assert_eq!(Reading::Plain.price(long.as_bytes()), NoticePrice::Unreadable);
    }

    /// The first of the published vectors is 100 micros.
    #[test]
    fn an_encrypted_price_is_read_and_nothing_else_is_one() {
        let key = |text: &str| {
            let mut key = [0; 32];
            assert_eq!(crate::wire::base64::decode_any(text.as_bytes(), &mut key), Some(32));
            key
        };
        let keys =
            [key("skU7Ax_NL5pPAFyKdkfZjZz2-VhIN8bjj1rVFOaJ_5o="), key("arO23ykdNqUQ5LEoQ0FVmPkBd7xB5CO89PDZlSjpFxo=")];
        let cipher = PriceCipher::new(&keys[0], &keys[1]);
        let reading = |scheme| Reading::Encrypted(scheme, cipher.clone());
        let text = "p=YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCce_6msaw";
        assert_eq!(reading(Scheme::Google).price(text.as_bytes()), cpm(100));
        assert_eq!(reading(Scheme::Openx).price(text.as_bytes()), cpm(100_000));
        assert_eq!(Reading::Blind.price(text.as_bytes()), NoticePrice::Unreadable);
        assert_eq!(reading(Scheme::Google).price(format!("{text}%3D%3D").as_bytes()), cpm(100));
        let highest = cipher.encrypt(&[5; 16], HIGHEST);
        assert_eq!(reading(Scheme::Google).parse(&highest), cpm(HIGHEST as i64));
        assert_eq!(reading(Scheme::Openx).parse(&highest), NoticePrice::Unreadable);
        for (query, price) in [
            ("", NoticePrice::Empty),
            ("p=", NoticePrice::Empty),
            ("p=AUDIT", NoticePrice::Audit),
            ("p=1.5", NoticePrice::Unreadable),
            ("p=%%WINNING_PRICE%%", NoticePrice::Unreadable),
            ("p=YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCce_6msaQ", NoticePrice::Unreadable),
        ] {
            assert_eq!(reading(Scheme::Google).price(query.as_bytes()), price, "{query}");
        }
    }

    #[test]
    fn a_multiplier_is_at_most_the_claimed_one() {
        let claimed = Multiplier(30_300_000);
        for (query, counted) in [
            ("p=1&m=12.5", 12_500_000),
            ("m=0.4", 400_000),
            ("m=30.3", 30_300_000),
            ("m=30.300001", 30_300_000),
            ("m=1e9", 30_300_000),
            ("m=0", 30_300_000),
            ("m=-1", 30_300_000),
            ("m=", 30_300_000),
            ("m=AUDIT", 30_300_000),
            ("p=1", 30_300_000),
        ] {
            assert_eq!(multiplier(query.as_bytes(), claimed), Multiplier(counted), "{query}");
        }
    }

    proptest! {
        /// Against integer arithmetic on the same digits.
        #[test]
        fn decimals_are_exact(whole in 0u64..1_000_000_000, fraction in 0u64..1_000_000_000, shift in -6i32..1) {
            let nano = u128::from(whole) * 1_000_000_000 + u128::from(fraction);
            let divisor = 1_000u128 * 10u128.pow(-shift as u32);
            let expected = nano.div_ceil(divisor) as i64;
            let text = format!("{whole}.{fraction:09}e{shift}");
            prop_assert_eq!(Reading::Plain.parse(text.as_bytes()), cpm(expected), "{}", text);
        }

        #[test]
        fn nothing_panics(query in prop::collection::vec(any::<u8>(), 0..100)) {
            let encrypted = Reading::Encrypted(Scheme::Google, PriceCipher::new(&[1; 32], &[2; 32]));
            for reading in [Reading::Plain, encrypted, Reading::Blind] {
                let _ = reading.price(&[b"p=", &query[..]].concat());
                let _ = reading.price(&query);
            }
            let _ = multiplier(&[b"m=", &query[..]].concat(), Multiplier::ONE);
        }
    }
}
