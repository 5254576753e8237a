//! Without special instructions: a table lookup per byte, eight lookups gathered in a register.

use super::{BLOCK, Bytes, Engine, Level, Tokens, WINDOW, kind_bit, may_follow};

/// Needs nothing.
pub(in crate::wire::json) struct Portable;

/// One bit per field of [`Bytes`], in their order.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = byte as u8;
        classes[byte] = (value == b'"') as u8
            | ((value == b'\\') as u8) << 1
            | ((value < 0x20) as u8) << 2
            | (matches!(value, b'{' | b'}' | b'[' | b']' | b':' | b',') as u8) << 3
            | (matches!(value, b' ' | b'\t' | b'\n' | b'\r') as u8) << 4
            | (value.is_ascii_digit() as u8) << 5
            | ((value == b'0') as u8) << 6
            | (!value.is_ascii() as u8) << 7;
        byte += 1;
    }
    classes
};

/// Bit `bit` of each of eight bytes, as eight bits.
#[inline(always)]
fn gather(bytes: u64, bit: u32) -> u64 {
    ((bytes >> bit) & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

impl Engine for Portable {
    const LEVEL: Level = Level::Portable;

    #[inline(always)]
    unsafe fn bytes(block: &[u8; BLOCK]) -> Bytes {
        let mut masks = [0_u64; 8];
        for (group, bytes) in block.as_chunks::<8>().0.iter().enumerate() {
            let classes = u64::from_le_bytes(bytes.map(|byte| CLASSES[usize::from(byte)]));
            for (bit, mask) in masks.iter_mut().enumerate() {
                *mask |= gather(classes, bit as u32) << (8 * group);
            }
        }
        let [quote, backslash, control, operator, space, digit, zero, non_ascii] = masks;
        Bytes { quote, backslash, control, operator, space, digit, zero, non_ascii }
    }

    #[inline(always)]
    unsafe fn parity(mut mask: u64) -> u64 {
        for shift in [1, 2, 4, 8, 16, 32] {
            mask ^= mask << shift;
        }
        mask
    }

    #[inline(always)]
    unsafe fn tokens(window: &[u8; WINDOW]) -> Tokens {
        let mut tokens = Tokens::default();
        for n in 0..BLOCK {
            let [before, token, next, after] = [window[n], window[n + 1], window[n + 2], window[n + 3]];
            let colon = after == b':';
            let key_can_begin = token == b'{' || token == b',';
            let wrong = may_follow(before) & kind_bit(token) == 0
                || colon && !key_can_begin
                || token == b'{' && next == b'"' && !colon;
            tokens.wrong |= u64::from(wrong) << n;
            tokens.key_comma |= u64::from(token == b',' && colon) << n;
            tokens.value_comma |= u64::from(token == b',' && !colon) << n;
            tokens.open |= u64::from(token == b'{' || token == b'[') << n;
            tokens.close |= u64::from(token == b'}' || token == b']') << n;
            tokens.object |= u64::from(token == b'{' || token == b'}') << n;
        }
        tokens
    }
}
