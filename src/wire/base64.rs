//! Base64 with the URL-safe alphabet (RFC 4648 section 5), into and out of fixed buffers.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const INVALID: u8 = 0xff;
const VALUES: [u8; 256] = {
    let mut values = [INVALID; 256];
    let mut at = 0;
    while at < 64 {
        values[ALPHABET[at] as usize] = at as u8;
        at += 1;
    }
    values
};

/// Length of `bytes` bytes in base64url without padding (RFC 4648 section 5).
pub const fn encoded(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// Fills `out`, which is [`encoded`] long: first with the values of the digits, then all at once with the digits.
pub fn encode(bytes: &[u8], out: &mut [u8]) {
    debug_assert_eq!(out.len(), encoded(bytes.len()));
    let (threes, rest) = bytes.as_chunks::<3>();
    let (fours, last) = out.as_chunks_mut::<4>();
    for (three, four) in threes.iter().zip(fours) {
        *four = sixes(*three);
    }
    if !rest.is_empty() {
        let mut three = [0; 3];
        three[..rest.len()].copy_from_slice(rest);
        last.copy_from_slice(&sixes(three)[..last.len()]);
    }
    for value in out {
        *value = digit(*value);
    }
}

/// The 24 bits of three bytes, six by six.
#[inline]
fn sixes([high, middle, low]: [u8; 3]) -> [u8; 4] {
    let bits = u32::from_be_bytes([0, high, middle, low]);
    let spread = (bits & 0x00fc_0000) << 6 | (bits & 0x0003_f000) << 4 | (bits & 0x0fc0) << 2 | bits & 0x3f;
    spread.to_be_bytes()
}

/// `ALPHABET[value]` for a value below 64, by sums instead of a look-up so that many are made at once.
#[inline]
const fn digit(value: u8) -> u8 {
    let lower = (value > 25) as u8 * (b'a' - b'Z' - 1);
    let number = (value > 51) as u8 * (b'z' - b'0' + 1);
    let dash = (value > 61) as u8 * (b'9' - b'-' + 1);
    let underscore = (value > 62) as u8 * (b'_' - b'-' - 1);
    (b'A' + value + lower).wrapping_sub(number).wrapping_sub(dash).wrapping_add(underscore)
}

/// Fills `out` exactly. Bits beyond the last byte must be zero, so that a token has one spelling.
pub fn decode(token: &[u8], out: &mut [u8]) -> bool {
    if token.len() != encoded(out.len()) {
        return false;
    }
    let (fours, last) = token.as_chunks::<4>();
    let (threes, rest) = out.as_chunks_mut::<3>();
    let mut seen = 0;
    for (four, three) in fours.iter().zip(threes) {
        let [_, bytes @ ..] = value(*four, &mut seen).to_be_bytes();
        *three = bytes;
    }
    let mut beyond = 0;
    if !rest.is_empty() {
        let mut four = [ALPHABET[0]; 4];
        four[..last.len()].copy_from_slice(last);
        let value = value(four, &mut seen);
        rest.copy_from_slice(&value.to_be_bytes()[1..=rest.len()]);
        beyond = value & (0x00ff_ffff >> (8 * rest.len()));
    }
    seen < 64 && beyond == 0
}

/// The 24 bits of four digits; `seen` collects the bits of their values, above 63 if one of them is no digit.
#[inline]
fn value(four: [u8; 4], seen: &mut u8) -> u32 {
    four.iter().fold(0, |value, digit| {
        let bits = VALUES[*digit as usize];
        *seen |= bits;
        value << 6 | u32::from(bits & 63)
    })
}

/// Reads either alphabet, padded to a multiple of four or not at all, into the front of `out`; how many bytes those were.
/// Nothing if it is no base64 or does not fit.
pub fn decode_any<const N: usize>(text: &[u8], out: &mut [u8; N]) -> Option<usize> {
    let digits = match text {
        [digits @ .., b'=', b'='] | [digits @ .., b'='] if text.len().is_multiple_of(4) => digits,
        digits => digits,
    };
    let bytes = digits.len() * 3 / 4;
    // Digits are two more than their bytes for every six, so that this holds those of any `out` of some use.
    let mut safe = [0; ANY_DIGITS];
    let safe = safe.get_mut(..digits.len())?;
    for (to, from) in safe.iter_mut().zip(digits) {
        *to = match from {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        };
    }
    decode(safe, out.get_mut(..bytes)?).then_some(bytes)
}

/// The longest text that [`decode_any`] takes, without padding.
const ANY_DIGITS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648 section 10, in the URL-safe alphabet without padding.
    #[test]
    fn base64url_is_the_published_one() {
        for (bytes, text) in [("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE")] {
            let mut out = vec![0; encoded(bytes.len())];
            encode(bytes.as_bytes(), &mut out);
            assert_eq!(out, text.as_bytes());
            let mut back = vec![0; bytes.len()];
            assert!(decode(text.as_bytes(), &mut back));
            assert_eq!(back, bytes.as_bytes());
        }
        assert!(!decode(b"Zh", &mut [0]), "bits beyond the last byte");
    }

    #[test]
    fn either_alphabet_padded_or_not() {
        let mut out = [0; 48];
        for text in ["-_-_", "+/+/", "-/+_"] {
            assert_eq!(decode_any(text.as_bytes(), &mut out), Some(3), "{text}");
            assert_eq!(out[..3], [0xfb, 0xff, 0xbf]);
        }
        for (text, length) in [("", 0), ("Zg", 1), ("Zg==", 1), ("Zm8", 2), ("Zm8=", 2), ("Zm9v", 3), ("Zm9vYg==", 4)] {
            assert_eq!(decode_any(text.as_bytes(), &mut out), Some(length), "{text}");
        }
        for bad in ["Z", "Zg=", "Zg===", "=", "====", "Zm9v=", "Zm9v====", "Z!==", "Zh==", "Z=g="] {
            assert_eq!(decode_any(bad.as_bytes(), &mut out), None, "{bad}");
        }
        assert_eq!(decode_any(&[b'A'; 64], &mut out), Some(48));
        assert_eq!(decode_any(&[b'A'; 65], &mut out), None);
        assert_eq!(decode_any(&[b'A'; 64], &mut [0; 47]), None);
    }
}
