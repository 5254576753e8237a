//! AVX2: a block is two registers; classes of bytes are found by nibble tables and comparisons.

use std::arch::x86_64::*;

use super::{BLOCK, Bytes, Engine, Level, Tokens, WINDOW};

/// Needs [`Level::Avx2`].
pub(in crate::wire::json) struct Avx2;

/// Sixteen bytes in both halves of a register.
#[inline(always)]
unsafe fn twice(table: [u8; 16]) -> __m256i {
    // SAFETY: the array is 16 bytes; the instructions are there, as the caller promises.
    unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast())) }
}

/// A mask from two registers.
#[inline(always)]
unsafe fn mask(halves: [__m256i; 2]) -> u64 {
    // SAFETY: the instructions are there, as the caller promises.
    let [low, high] = unsafe { halves.map(|half| _mm256_movemask_epi8(half) as u32) };
    u64::from(low) | u64::from(high) << 32
}

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
#[inline(always)]
unsafe fn kinds(bytes: __m256i) -> __m256i {
    // SAFETY: the instructions are there, as the caller promises.
    unsafe {
        let nibble = _mm256_set1_epi8(15);
        let low = _mm256_shuffle_epi8(twice(KIND_BY_LOW), _mm256_and_si256(bytes, nibble));
        let high = _mm256_shuffle_epi8(twice(KIND_BY_HIGH), _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble));
        let bits = _mm256_and_si256(low, high);
        let scalar = _mm256_and_si256(_mm256_cmpeq_epi8(bits, _mm256_setzero_si256()), _mm256_set1_epi8(-128));
        _mm256_or_si256(bits, scalar)
    }
}

impl Engine for Avx2 {
    const LEVEL: Level = Level::Avx2;

    #[inline(always)]
    unsafe fn bytes(block: &[u8; BLOCK]) -> Bytes {
        // SAFETY: two loads of 32 bytes from a block of 64; the instructions are there, as the caller promises.
        unsafe {
            let start: *const __m256i = block.as_ptr().cast();
            let bytes = [_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))];
            let equal = |byte: u8| mask(bytes.map(|half| _mm256_cmpeq_epi8(half, _mm256_set1_epi8(byte as i8))));
            let control = mask(bytes.map(|half| {
                let limit = _mm256_set1_epi8(0x1f);
                _mm256_cmpeq_epi8(_mm256_max_epu8(half, limit), limit)
            }));
            let space = mask(bytes.map(|half| _mm256_cmpeq_epi8(_mm256_shuffle_epi8(twice(SPACES), half), half)));
            let operator = mask(bytes.map(|half| {
                let lowered = _mm256_or_si256(half, _mm256_set1_epi8(0x20));
                _mm256_cmpeq_epi8(_mm256_shuffle_epi8(twice(OPERATORS), half), lowered)
            }));
            let digit = mask(bytes.map(|half| {
                let value = _mm256_sub_epi8(half, _mm256_set1_epi8(b'0' as i8));
                _mm256_cmpeq_epi8(_mm256_min_epu8(value, _mm256_set1_epi8(9)), value)
            }));
            Bytes {
                quote: equal(b'"'),
                backslash: equal(b'\\'),
                control,
                // Bit 5 set makes 0x0c and 0x1a look like a comma and a colon.
                operator: operator & !control,
                space,
                digit,
                zero: equal(b'0'),
                non_ascii: mask(bytes),
            }
        }
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
        // SAFETY: the last load of 32 bytes begins 35 bytes into a window of 67; the instructions are there, as the caller
        // promises.
        unsafe {
            let load = |offset: usize| {
                let start = window.as_ptr().add(offset);
                [_mm256_loadu_si256(start.cast()), _mm256_loadu_si256(start.add(32).cast())]
            };
            let is = |tokens: [__m256i; 2], kind: u8| {
                mask(tokens.map(|half| _mm256_cmpeq_epi8(half, _mm256_set1_epi8(kind as i8))))
            };
            let (before, token, next, after) = (load(0), load(1), load(2), load(3));
            let bits = token.map(|half| kinds(half));
            let allowed = before.map(|half| {
                let bits = kinds(half);
                let nibble = _mm256_set1_epi8(15);
                let low = _mm256_shuffle_epi8(twice(FOLLOW_BY_LOW), _mm256_and_si256(bits, nibble));
                let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bits), nibble);
                _mm256_or_si256(low, _mm256_shuffle_epi8(twice(FOLLOW_BY_HIGH), high))
            });
            let zero = _mm256_setzero_si256();
            let refused = mask([0, 1].map(|n| _mm256_cmpeq_epi8(_mm256_and_si256(allowed[n], bits[n]), zero)));
            let with = |kinds_wanted: u8| {
                let wanted = _mm256_set1_epi8(kinds_wanted as i8);
                !mask(bits.map(|half| _mm256_cmpeq_epi8(_mm256_and_si256(half, wanted), zero)))
            };
            let comma = is(token, b',');
            let open_object = is(token, b'{');
            let colon = is(after, b':');
            Tokens {
                wrong: refused | colon & !(open_object | comma) | open_object & is(next, b'"') & !colon,
                key_comma: comma & colon,
                value_comma: comma & !colon,
                open: with(1 | 4),
                close: with(2 | 8),
                object: with(1 | 2),
            }
        }
    }
}
