//! AVX2: a block is two registers; classes of bytes are found by nibble tables and comparisons.

use std::arch::x86_64::*;

use super::{BLOCK, Bytes, Engine, Level, Tokens, WINDOW};

/// Needs [`Level::Avx2`].
pub(in crate::wire::json) struct Avx2;

/// White space, each at its low nibble; 255 equals no byte looked up here (those above 0x7f look up 0).
const SPACES: [u8; 16] = [b' ', 255, 255, 255, 255, 255, 255, 255, 255, b'\t', b'\n', 255, 255, b'\r', 255, 255];
/// Operators with bit 5 set, each at its low nibble: `[` and `]` become `{` and `}`.
const OPERATORS: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b':', b'{', b',', b'}', 0, 0];

/// [`super::kind_bit`] of operators and quotes is the conjunction of a value for either nibble. Scalars have no bit here.
const KIND_BY_LOW: [u8; 16] = [0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 16, 1 | 4, 32, 2 | 8, 0, 0];
const KIND_BY_HIGH: [u8; 16] = [0, 0, 32 | 64, 16, 0, 4 | 8, 0, 1 | 2, 0, 0, 0, 0, 0, 0, 0, 0];

/// [`super::may_follow`], by the kind bit's nibble; nothing for 0, so that the two may be joined.
const FOLLOW_BY_LOW: [u8; 16] = [0, 66, 42, 0, 205, 0, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0];
const FOLLOW_BY_HIGH: [u8; 16] = [0, 197, 197, 0, 58, 0, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0];

/// [`super::kind_bit`] of every byte.
#[target_feature(enable = "avx2")]
#[inline]
fn kinds(bytes: __m256i) -> __m256i {
    let nibble = _mm256_set1_epi8(15);
    let low = _mm256_shuffle_epi8(twice(KIND_BY_LOW), _mm256_and_si256(bytes, nibble));
    let high = _mm256_shuffle_epi8(twice(KIND_BY_HIGH), _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble));
    let bits = _mm256_and_si256(low, high);
    let scalar = _mm256_and_si256(_mm256_cmpeq_epi8(bits, _mm256_setzero_si256()), _mm256_set1_epi8(-128));
    _mm256_or_si256(bits, scalar)
}

/// A block, or what was found in it. (Not by `map`: a function without the instructions cannot have these inlined.)
type Halves = [__m256i; 2];

/// Sixteen bytes in both halves of a register.
#[target_feature(enable = "avx2")]
#[inline]
fn twice(table: [u8; 16]) -> __m256i {
    // SAFETY: the array is 16 bytes.
    unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast())) }
}

/// The highest bit of each byte.
#[target_feature(enable = "avx2")]
#[inline]
fn mask(low: __m256i, high: __m256i) -> u64 {
    u64::from(_mm256_movemask_epi8(low) as u32) | u64::from(_mm256_movemask_epi8(high) as u32) << 32
}

#[target_feature(enable = "avx2")]
#[inline]
fn equal([low, high]: Halves, byte: u8) -> u64 {
    let byte = _mm256_set1_epi8(byte as i8);
    mask(_mm256_cmpeq_epi8(low, byte), _mm256_cmpeq_epi8(high, byte))
}

#[target_feature(enable = "avx2")]
#[inline]
fn control(half: __m256i) -> __m256i {
    let limit = _mm256_set1_epi8(0x1f);
    _mm256_cmpeq_epi8(_mm256_max_epu8(half, limit), limit)
}

#[target_feature(enable = "avx2")]
#[inline]
fn space(half: __m256i) -> __m256i {
    _mm256_cmpeq_epi8(_mm256_shuffle_epi8(twice(SPACES), half), half)
}

/// Also 0x0c and 0x1a, which with bit 5 set look like a comma and a colon.
#[target_feature(enable = "avx2")]
#[inline]
fn operator(half: __m256i) -> __m256i {
    let lowered = _mm256_or_si256(half, _mm256_set1_epi8(0x20));
    _mm256_cmpeq_epi8(_mm256_shuffle_epi8(twice(OPERATORS), half), lowered)
}

#[target_feature(enable = "avx2")]
#[inline]
fn digit(half: __m256i) -> __m256i {
    let value = _mm256_sub_epi8(half, _mm256_set1_epi8(b'0' as i8));
    _mm256_cmpeq_epi8(_mm256_min_epu8(value, _mm256_set1_epi8(9)), value)
}

#[target_feature(enable = "avx2")]
#[inline]
fn bytes(block: &[u8; BLOCK]) -> Bytes {
    let start: *const __m256i = block.as_ptr().cast();
    // SAFETY: two loads of 32 bytes from a block of 64.
    let (low, high) = unsafe { (_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))) };
    let controls = mask(control(low), control(high));
    Bytes {
        quote: equal([low, high], b'"'),
        backslash: equal([low, high], b'\\'),
        control: controls,
        operator: mask(operator(low), operator(high)) & !controls,
        space: mask(space(low), space(high)),
        digit: mask(digit(low), digit(high)),
        zero: equal([low, high], b'0'),
        non_ascii: mask(low, high),
    }
}

/// The kinds that may follow, by the kind bit of a token.
#[target_feature(enable = "avx2")]
#[inline]
fn allowed(bits: __m256i) -> __m256i {
    let nibble = _mm256_set1_epi8(15);
    let low = _mm256_shuffle_epi8(twice(FOLLOW_BY_LOW), _mm256_and_si256(bits, nibble));
    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bits), nibble);
    _mm256_or_si256(low, _mm256_shuffle_epi8(twice(FOLLOW_BY_HIGH), high))
}

/// Which bytes have no bit in common.
#[target_feature(enable = "avx2")]
#[inline]
fn disjoint([low, high]: Halves, [other_low, other_high]: Halves) -> u64 {
    let zero = _mm256_setzero_si256();
    mask(
        _mm256_cmpeq_epi8(_mm256_and_si256(low, other_low), zero),
        _mm256_cmpeq_epi8(_mm256_and_si256(high, other_high), zero),
    )
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(window: &[u8; WINDOW], offset: usize) -> Halves {
    let window: &[u8; BLOCK] = window[offset..].first_chunk().expect("a window is three longer than a block");
    // SAFETY: two loads of 32 bytes from 64.
    unsafe { [_mm256_loadu_si256(window.as_ptr().cast()), _mm256_loadu_si256(window.as_ptr().add(32).cast())] }
}

#[target_feature(enable = "avx2")]
#[inline]
fn tokens(window: &[u8; WINDOW]) -> Tokens {
    let (before, token) = (load(window, 0), load(window, 1));
    let bits = [kinds(token[0]), kinds(token[1])];
    let refused = disjoint([allowed(kinds(before[0])), allowed(kinds(before[1]))], bits);
    let string_next = equal(load(window, 2), b'"');
    let colon = equal(load(window, 3), b':');
    let comma = equal(token, b',');
    let open_object = equal(token, b'{');
    let close_object = equal(token, b'}');
    Tokens {
        wrong: refused | colon & !(open_object | comma) | open_object & string_next & !colon,
        key_comma: comma & colon,
        value_comma: comma & !colon,
        open: open_object | equal(token, b'['),
        close: close_object | equal(token, b']'),
        object: open_object | close_object,
    }
}

impl Engine for Avx2 {
    const LEVEL: Level = Level::Avx2;

    #[inline(always)]
    unsafe fn bytes(block: &[u8; BLOCK]) -> Bytes {
        // SAFETY: the instructions are there, as the caller promises.
        unsafe { bytes(block) }
    }

    #[inline(always)]
    unsafe fn parity(mask: u64) -> u64 {
        // SAFETY: the instructions are there, as the caller promises.
        unsafe {
            let product = _mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(mask as i64), _mm_set1_epi8(-1));
            _mm_cvtsi128_si64(product) as u64
        }
    }

    #[inline(always)]
    unsafe fn tokens(window: &[u8; WINDOW]) -> Tokens {
        // SAFETY: the instructions are there, as the caller promises.
        unsafe { tokens(window) }
    }
}
