//! From tokens to a document: may each token stand where it stands, and which bracket closes which?
//!
//! What may follow what is decided for 64 tokens at a time from their kinds alone. What depends on the surroundings is left
//! to one walk over the brackets: in an object every comma is followed by a key and a colon, in an array none is. (A colon
//! stands only after a string that follows a comma or an opening brace, so nothing else is left to ask.)

use super::block::{BLOCK, Engine, WINDOW};
use super::index::{Broken, Scratch};
use crate::limits::JSON_DEPTH;

const _: () = assert!(JSON_DEPTH <= 64, "the kinds of the open brackets are kept in 64 bits");

/// Checks the tokens and pairs their brackets.
///
/// # Safety
/// The machine has what the engine needs.
#[inline(always)]
pub(super) unsafe fn check<E: Engine>(scratch: &mut Scratch) -> Result<(), Broken> {
    let count = scratch.count;
    scratch.kinds[count..count + WINDOW].fill(0);
    if count < 2 {
        return Err(Broken);
    }
    if !matches!(scratch.kinds[1], b'{' | b'[') {
        let is_value = !matches!(scratch.kinds[1], b'}' | b']' | b',' | b':');
        return if count == 2 && is_value { Ok(()) } else { Err(Broken) };
    }

    let last = count - 1;
    let mut opened = [0_u32; JSON_DEPTH];
    let mut depth = 0_usize;
    // One bit for each open bracket, the innermost lowest: 1 is an object.
    let mut objects = 0_u64;
    for from in (1..count).step_by(BLOCK) {
        let window = scratch.kinds[from - 1..].first_chunk().expect("kinds go on for a window");
        // SAFETY: as promised by the caller.
        let tokens = unsafe { E::tokens(window) };
        let present = u64::MAX >> (BLOCK - (count - from).min(BLOCK));
        let mut wrong = tokens.wrong & present;
        let key_commas = tokens.key_comma & present;
        let value_commas = tokens.value_comma & present;
        let mut brackets = (tokens.open | tokens.close) & present;
        // From each bracket on, whether what surrounds the tokens is an object.
        let mut in_object = (objects & 1).wrapping_neg();
        while brackets != 0 {
            let position = brackets.trailing_zeros();
            let token = from + position as usize;
            brackets &= brackets - 1;
            let object = tokens.object >> position & 1;
            let around = objects & 1;
            if tokens.open >> position & 1 == 1 {
                if depth == JSON_DEPTH || depth == 0 && token != 1 {
                    return Err(Broken);
                }
                opened[depth] = token as u32;
                depth += 1;
                objects = objects << 1 | object;
            } else {
                if depth == 0 || object != around || depth == 1 && token != last {
                    return Err(Broken);
                }
                depth -= 1;
                scratch.partner[opened[depth] as usize] = token as u32;
                objects >>= 1;
            }
            in_object ^= ((objects & 1) ^ around).wrapping_neg() << position;
        }
        wrong |= in_object & value_commas | !in_object & key_commas;
        if wrong != 0 {
            return Err(Broken);
        }
    }
    if depth == 0 { Ok(()) } else { Err(Broken) }
}
