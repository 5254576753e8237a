//! Prices of notices: the first byte chooses what the rest is. A number is what exact fractions make of it; an encrypted one is
//! believed if it was encrypted, and nothing else is; base64 is what its table says.

use std::sync::LazyLock;

use corebid::ring::message::NoticePrice;
use corebid::units::{CpmMicros, Multiplier};
use corebid::wire::base64;
use corebid::wire::price::{Reading, Scheme, VALUE_BYTES, multiplier};
use corebid::wire::price_cipher::PriceCipher;
use num_bigint::BigUint;

static CIPHER: LazyLock<PriceCipher> = LazyLock::new(|| PriceCipher::new(&[1; 32], &[2; 32]));
static ENCRYPTED: LazyLock<Reading> = LazyLock::new(|| Reading::Encrypted(Scheme::Google, CIPHER.clone()));

/// A billion units, in millionths.
const HIGHEST: u64 = 1_000_000_000_000_000;

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Some((&kind, rest)) = input.split_first() else { return };
    match kind % 4 {
        0 => number(rest),
        1 => query(rest),
        2 => encrypted(rest),
        _ => digits(rest),
    }
}

/// `[+] digits [. digits] [e [sign] digits]`, in millionths rounded up.
fn reference(text: &str) -> Option<CpmMicros> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let digits = format!("{whole}{fraction}");
    let power = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !plain(&digits) || !plain(power) || !(1..=3).contains(&power.len()) {
        return None;
    }
    let power = power.parse::<i32>().ok()? * if exponent.starts_with('-') { -1 } else { 1 };
    let places = power + 6 - fraction.len() as i32;
    let digits: BigUint = digits.parse().ok()?;
    let ten = BigUint::from(10u32);
    let micros = match u32::try_from(places) {
        Ok(places) => digits * ten.pow(places),
        Err(_) => {
            let divisor = ten.pow(places.unsigned_abs());
            (digits + &divisor - 1u32) / divisor
        }
    };
    let micros = u64::try_from(micros).ok().filter(|micros| *micros <= HIGHEST)?;
    Some(CpmMicros(micros.cast_signed()))
}

fn number(value: &[u8]) {
    let expected = match value.trim_ascii() {
        b"" => NoticePrice::Empty,
        b"AUDIT" => NoticePrice::Audit,
        text => {
            let read = std::str::from_utf8(text).ok().and_then(reference);
            read.map_or(NoticePrice::Unreadable, NoticePrice::Cpm)
        }
    };
    assert_eq!(Reading::Plain.parse(value), expected);
    assert!(!matches!(Reading::Blind.parse(value), NoticePrice::Cpm(_)));
}

/// The value of the first of these parameters, without percent signs.
fn parameter<'q>(query: &'q [u8], name: &[u8]) -> Option<&'q [u8]> {
    let value = query.split(|byte| *byte == b'&').find_map(|pair| pair.strip_prefix(name))?;
    (!value.contains(&b'%') && value.len() <= VALUE_BYTES).then_some(value)
}

fn query(query: &[u8]) {
    for reading in [&Reading::Plain, &ENCRYPTED, &Reading::Blind] {
        let price = reading.price(query);
        assert!(!matches!(price, NoticePrice::Cpm(CpmMicros(i64::MIN..0))));
        if let Some(value) = parameter(query, b"p=") {
            assert_eq!(price, reading.parse(value));
        }
        // Spelt out, it is the same.
        let spelt: Vec<u8> = query.iter().flat_map(|byte| format!("%{byte:02x}").into_bytes()).collect();
        if query.len() <= VALUE_BYTES {
            assert_eq!(reading.price(&[b"x=1&p=", &spelt[..], b"&p=7"].concat()), reading.parse(query));
        } else {
            assert_eq!(reading.price(&[b"p=", &spelt[..]].concat()), NoticePrice::Unreadable);
        }
    }
    let claimed = Multiplier(30_300_000);
    let counted = multiplier(query, claimed);
    assert!(Multiplier(0) < counted && counted <= claimed);
    if let Some(value) = parameter(query, b"m=") {
        let read = std::str::from_utf8(value.trim_ascii()).ok().and_then(reference);
        let expected = read.filter(|price| price.0 > 0).map_or(claimed, |price| Multiplier(price.0.cast_unsigned()));
        assert_eq!(counted, expected.min(claimed));
    }
}

fn encrypted(input: &[u8]) {
    // Without the key there is none: what is believed is what we would have encrypted.
    if let Ok(price) = CIPHER.decrypt(input) {
        let mut message = [0; 28];
        assert_eq!(base64::decode_any(input, &mut message), Some(28));
        let iv = message.first_chunk().expect("28 bytes");
        let text = CIPHER.encrypt(iv, price);
        let mut same = [0; 28];
        assert_eq!((base64::decode_any(&text, &mut same), message), (Some(28), same));
    }
    let Some((iv, rest)) = input.split_first_chunk::<16>() else { return };
    let Some((price, changes)) = rest.split_first_chunk::<8>() else { return };
    let price = u64::from_le_bytes(*price);
    let genuine = CIPHER.encrypt(iv, price);
    assert_eq!(CIPHER.decrypt(&genuine), Ok(price));
    assert_eq!(CIPHER.decrypt(&[&genuine[..], b"=="].concat()), Ok(price));
    let mut changed = genuine;
    for change in changes.chunks_exact(2) {
        changed[usize::from(change[0]) % changed.len()] = change[1];
    }
    let other = |byte: u8| match byte {
        b'+' => b'-',
        b'/' => b'_',
        byte => byte,
    };
    if changed.map(other) != genuine.map(other) {
        assert!(CIPHER.decrypt(&changed).is_err(), "a price that nobody encrypted");
    }
}

/// The bytes of base64 of one alphabet and without padding, bit by bit.
fn slowly(text: &[u8]) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = Vec::new();
    for digit in text {
        let value = ALPHABET.iter().position(|known| known == digit)?;
        bits.extend((0..6).rev().map(|bit| value >> bit & 1 == 1));
    }
    let whole = bits.len() / 8 * 8;
    let none_left = text.len() % 4 != 1 && !bits[whole..].contains(&true);
    none_left.then(|| {
        bits[..whole].chunks(8).map(|byte| byte.iter().fold(0, |all, bit| all << 1 | u8::from(*bit))).collect()
    })
}

fn digits(text: &[u8]) {
    let mut text = text;
    if text.len() > 128 {
        text = &text[..128];
    }
    let length = text.len() * 3 / 4;
    let mut out = vec![0; length];
    let read = base64::decode(text, &mut out).then(|| out.clone());
    assert_eq!(read, slowly(text));
    let mut again = vec![0; base64::encoded(out.len())];
    if read.is_some() {
        base64::encode(&out, &mut again);
        assert_eq!(again, text, "one spelling");
    }
    let mut token = vec![0; base64::encoded(text.len())];
    base64::encode(text, &mut token);
    assert_eq!(slowly(&token).as_deref(), Some(text));

    // Either alphabet, and padding that fits.
    let mut any = [0; 28];
    let lax: Vec<u8> = text
        .iter()
        .map(|byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            byte => *byte,
        })
        .collect();
    let padding = if text.len().is_multiple_of(4) {
        text.iter().rev().take(2).take_while(|byte| **byte == b'=').count()
    } else {
        0
    };
    let expected = slowly(&lax[..lax.len() - padding]).filter(|bytes| bytes.len() <= any.len());
    let read = base64::decode_any(text, &mut any).map(|length| any[..length].to_vec());
    assert!(read == expected || text.len() > 38 + padding, "{read:?} for {expected:?}");
}
