//! AVX-512 with VBMI2: a block is one register, a class of bytes one table lookup, a selection one compress.

use std::arch::x86_64::*;

use super::{BLOCK, Bytes, Engine, Level, Tokens, WINDOW, kind_bit, may_follow};

/// Needs [`Level::Avx512`].
pub(in crate::wire::json) struct Avx512;

/// A value for each ASCII byte.
#[repr(align(64))]
struct Table([u8; 128]);

const QUOTE: i8 = 1;
const BACKSLASH: i8 = 2;
const CONTROL: i8 = 4;
const OPERATOR: i8 = 8;
const SPACE: i8 = 16;
const DIGIT: i8 = 32;
const ZERO: i8 = 64;

const fn class(byte: u8) -> u8 {
    let class = match byte {
        b'"' => QUOTE,
        b'\\' => BACKSLASH,
        b'{' | b'}' | b'[' | b']' | b':' | b',' => OPERATOR,
        b' ' => SPACE,
        b'\t' | b'\n' | b'\r' => SPACE | CONTROL,
        b'0' => DIGIT | ZERO,
        b'1'..=b'9' => DIGIT,
        0..0x20 => CONTROL,
        _ => 0,
    };
    class as u8
}

const fn itself(byte: u8) -> u8 {
    byte
}

macro_rules! table {
    ($value:expr) => {{
        let mut table = [0; 128];
        let mut byte = 0;
        while byte < 128 {
            table[byte] = $value(byte as u8);
            byte += 1;
        }
        Table(table)
    }};
}

static CLASS: Table = table!(class);
static KIND: Table = table!(kind_bit);
static FOLLOW: Table = table!(may_follow);
static COUNT: Table = table!(itself);

/// Looks every byte up; those above 0x7f as if their highest bit were not there.
#[inline(always)]
unsafe fn look_up(table: &Table, bytes: __m512i) -> __m512i {
    // SAFETY: a table is 128 bytes; the instructions are there, as the caller promises.
    unsafe {
        let low = _mm512_load_si512(table.0.as_ptr().cast());
        let high = _mm512_load_si512(table.0.as_ptr().add(64).cast());
        _mm512_permutex2var_epi8(low, bytes, high)
    }
}

impl Engine for Avx512 {
    const LEVEL: Level = Level::Avx512;

    #[inline(always)]
    unsafe fn bytes(block: &[u8; BLOCK]) -> Bytes {
        // SAFETY: a block is 64 bytes; the instructions are there, as the caller promises.
        unsafe {
            let bytes = _mm512_loadu_si512(block.as_ptr().cast());
            let non_ascii = _mm512_movepi8_mask(bytes);
            let classes = _mm512_maskz_mov_epi8(!non_ascii, look_up(&CLASS, bytes));
            let with = |class| _mm512_test_epi8_mask(classes, _mm512_set1_epi8(class));
            Bytes {
                quote: with(QUOTE),
                backslash: with(BACKSLASH),
                control: with(CONTROL),
                operator: with(OPERATOR),
                space: with(SPACE),
                digit: with(DIGIT),
                zero: with(ZERO),
                non_ascii,
            }
        }
    }

    #[inline(always)]
    unsafe fn parity(mask: u64) -> u64 {
        // SAFETY: AVX-512 is offered only together with what AVX2 needs.
        unsafe { super::avx2::Avx2::parity(mask) }
    }

    #[inline(always)]
    unsafe fn select(block: &[u8; BLOCK], mask: u64, base: u32, at: &mut [u32; BLOCK], kinds: &mut [u8; BLOCK]) {
        // SAFETY: every load and store is 64 bytes inside the arrays given (`at` holds four times as many); the
        // instructions are there, as the caller promises.
        unsafe {
            let bytes = _mm512_loadu_si512(block.as_ptr().cast());
            _mm512_storeu_si512(kinds.as_mut_ptr().cast(), _mm512_maskz_compress_epi8(mask, bytes));
            let numbers = _mm512_load_si512(COUNT.0.as_ptr().cast());
            let positions = _mm512_maskz_compress_epi8(mask, numbers);
            let base = _mm512_set1_epi32(base as i32);
            let at = at.as_mut_ptr();
            let store = |quarter: usize, positions: __m128i| {
                let wide = _mm512_add_epi32(base, _mm512_cvtepu8_epi32(positions));
                _mm512_storeu_si512(at.add(16 * quarter).cast(), wide);
            };
            // A block of JSON seldom has more than 32 tokens, and often more than 16.
            store(0, _mm512_castsi512_si128(positions));
            store(1, _mm512_extracti32x4_epi32::<1>(positions));
            if mask.count_ones() > 32 {
                store(2, _mm512_extracti32x4_epi32::<2>(positions));
                store(3, _mm512_extracti32x4_epi32::<3>(positions));
            }
        }
    }

    #[inline(always)]
    unsafe fn tokens(window: &[u8; WINDOW]) -> Tokens {
        // SAFETY: the last of four loads of 64 bytes begins 3 bytes into a window of 67; the instructions are there, as
        // the caller promises.
        unsafe {
            let load = |offset: usize| _mm512_loadu_si512(window.as_ptr().add(offset).cast());
            let is = |tokens: __m512i, kind: u8| _mm512_cmpeq_epi8_mask(tokens, _mm512_set1_epi8(kind as i8));
            let (before, token, next, after) = (load(0), load(1), load(2), load(3));
            let kinds = look_up(&KIND, token);
            let follows = _mm512_test_epi8_mask(look_up(&FOLLOW, before), kinds);
            let with = |kinds_wanted: i8| _mm512_test_epi8_mask(kinds, _mm512_set1_epi8(kinds_wanted));
            let comma = with(32);
            let open_object = with(1);
            let colon = is(after, b':');
            Tokens {
                wrong: !follows | colon & !(open_object | comma) | open_object & is(next, b'"') & !colon,
                key_comma: comma & colon,
                value_comma: comma & !colon,
                open: with(1 | 4),
                close: with(2 | 8),
                object: with(1 | 2),
            }
        }
    }
}
