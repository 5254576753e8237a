//! A strict single pass without fields: jump from string to string with 32-byte comparisons, keep the open brackets in bits.

use std::arch::x86_64::*;

/// Whether the body is JSON (UTF-8 and nesting over 64 aside).
pub fn check(body: &[u8]) -> bool {
    // SAFETY: the comparison is only run where AVX2 is.
    unsafe { pass(body).is_some() && body.is_ascii() | std::str::from_utf8(body).is_ok() }
}

/// The end of the string whose content begins at `at`.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn string(body: &[u8], mut at: usize) -> Option<usize> {
    loop {
        if let Some(chunk) = body.get(at..at + 32) {
            // SAFETY: 32 bytes, as sliced.
            let bytes = unsafe { _mm256_loadu_si256(chunk.as_ptr().cast()) };
            let special = _mm256_or_si256(
                _mm256_or_si256(
                    _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'"' as i8)),
                    _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'\\' as i8)),
                ),
                _mm256_cmpeq_epi8(_mm256_max_epu8(bytes, _mm256_set1_epi8(0x1f)), _mm256_set1_epi8(0x1f)),
            );
            let mask = _mm256_movemask_epi8(special) as u32;
            if mask == 0 {
                at += 32;
                continue;
            }
            at += mask.trailing_zeros() as usize;
        } else {
            at += body.get(at..)?.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        }
        match body[at] {
            b'"' => return Some(at + 1),
            b'\\' => match *body.get(at + 1)? {
                b'u' if body.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => at += 6,
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                _ => return None,
            },
            _ => return None,
        }
    }
}

fn space(body: &[u8], mut at: usize) -> usize {
    while matches!(body.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

fn number(body: &[u8], mut at: usize) -> Option<usize> {
    let digits = |from: usize| body[from.min(body.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    at += usize::from(body[at] == b'-');
    let whole = digits(at);
    if whole == 0 || whole > 1 && body[at] == b'0' {
        return None;
    }
    at += whole;
    if body.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        at += 1 + fraction;
        (fraction > 0).then_some(())?;
    }
    if let Some(b'e' | b'E') = body.get(at) {
        at += 1 + usize::from(matches!(body.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at);
        at += exponent;
        (exponent > 0).then_some(())?;
    }
    Some(at)
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn pass(body: &[u8]) -> Option<()> {
    let (mut objects, mut depth) = (0_u64, 0);
    let mut at = space(body, 0);
    'value: loop {
        match *body.get(at)? {
            b'{' => {
                at = space(body, at + 1);
                depth += 1;
                (depth <= 64).then_some(())?;
                objects = objects << 1 | 1;
                if *body.get(at)? == b'}' {
                    at += 1;
                    objects >>= 1;
                    depth -= 1;
                } else {
                    at = key(body, at)?;
                    continue 'value;
                }
            }
            b'[' => {
                at = space(body, at + 1);
                depth += 1;
                (depth <= 64).then_some(())?;
                objects <<= 1;
                if *body.get(at)? == b']' {
                    at += 1;
                    objects >>= 1;
                    depth -= 1;
                } else {
                    continue 'value;
                }
            }
            b'"' => at = string(body, at + 1)?,
            b't' => at += body[at..].starts_with(b"true").then_some(4)?,
            b'f' => at += body[at..].starts_with(b"false").then_some(5)?,
            b'n' => at += body[at..].starts_with(b"null").then_some(4)?,
            b'-' | b'0'..=b'9' => at = number(body, at)?,
            _ => return None,
        }
        loop {
            at = space(body, at);
            if depth == 0 {
                return (at == body.len()).then_some(());
            }
            match *body.get(at)? {
                b',' => {
                    at = space(body, at + 1);
                    if objects & 1 == 1 {
                        at = key(body, at)?;
                    }
                    continue 'value;
                }
                b'}' if objects & 1 == 1 => {}
                b']' if objects & 1 == 0 => {}
                _ => return None,
            }
            at += 1;
            objects >>= 1;
            depth -= 1;
        }
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn key(body: &[u8], at: usize) -> Option<usize> {
    (*body.get(at)? == b'"').then_some(())?;
    let at = space(body, string(body, at + 1)?);
    (*body.get(at)? == b':').then_some(())?;
    Some(space(body, at + 1))
}
