//! From tokens to a document: may each token stand where it stands, and which bracket closes which?
//!
//! What may follow what is decided for 64 tokens at a time from their kinds alone. What depends on the surroundings is left
//! to one walk over the brackets: in an object every comma is followed by a key and a colon, in an array none is. (A colon
//! stands only after a string that follows a comma or an opening brace, so nothing else is left to ask.)

use super::block::{BLOCK, Engine, WINDOW};
use super::index::{Broken, Scratch};
use crate::limits::JSON_DEPTH;

const _: () = assert!(JSON_DEPTH <= 64, "the kinds of the open brackets are kept in 64 bits");

/// Open brackets by depth: twice the limit, so that an index needs no branch.
const OPENED: usize = 128;

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
    let mut opened = [0_u32; OPENED];
    let mut depth = 0_usize;
    // One bit for each open bracket, the innermost lowest: 1 is an object.
    let mut objects = 0_u64;
    for from in (1..count).step_by(BLOCK) {
        let window = scratch.kinds[from - 1..].first_chunk().expect("kinds go on for a window");
        // SAFETY: as promised by the caller.
        let tokens = unsafe { E::tokens(window) };
        let present = u64::MAX >> (BLOCK - (count - from).min(BLOCK));
        let mut wrong = tokens.wrong & present;
        let mut key_commas = tokens.key_comma & present;
        let mut value_commas = tokens.value_comma & present;
        let mut brackets = (tokens.open | tokens.close) & present;
        while brackets != 0 {
            let bit = brackets & brackets.wrapping_neg();
            let position = brackets.trailing_zeros();
            let token = from + position as usize;
            brackets ^= bit;
            // The commas since the bracket before stand in what that bracket opened or went back to.
            let up_to = bit - 1;
            wrong |= up_to & if objects & 1 == 1 { value_commas } else { key_commas };
            key_commas &= !up_to;
            value_commas &= !up_to;

            let opens = (tokens.open >> position & 1) as usize;
            let object = tokens.object >> position & 1;
            wrong |= (objects ^ object) & 1 & !opens as u64;
            let below = depth.wrapping_sub(1 - opens);
            let opener = &mut opened[below % OPENED];
            // An opening bracket is its own partner until the closing one comes.
            let owner = if opens == 1 { token } else { *opener as usize };
            *opener = token as u32;
            scratch.partner[owner] = token as u32;
            objects = if opens == 1 { objects << 1 | object } else { objects >> 1 };
            depth = below.wrapping_add(opens);
            wrong |= u64::from(depth > JSON_DEPTH) | u64::from(depth == 0 && token != last);
        }
        wrong |= if objects & 1 == 1 { value_commas } else { key_commas };
        if wrong != 0 {
            return Err(Broken);
        }
    }
    if depth == 0 { Ok(()) } else { Err(Broken) }
}
