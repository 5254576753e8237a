//! From bytes to tokens: strings are told from structure, and every operator, string and scalar gets its place in a row.
//!
//! In one go over blocks of 64 bytes, without a branch on what a byte is:
//! quotes that are not escaped, by parity, say what is inside a string; operators outside of strings are tokens; runs of what
//! is left are scalars. Runs of digits that begin with no needless zero are numbers; all other scalars, and all escapes, are
//! looked at one by one. UTF-8 is checked from the first block to the last that is not ASCII.

use super::block::portable::Portable;
use super::block::{BLOCK, Engine, Level};
#[cfg(target_arch = "x86_64")]
use super::block::{avx2::Avx2, avx512::Avx512};
use super::{grammar, number};
use crate::limits;

/// The document is not JSON, or nests deeper than [`limits::JSON_DEPTH`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// The tokens of the document read last, and room for those of any other. One per core; 9 bytes per byte of the longest
/// document, touched only as far as a document needs.
#[derive(Debug)]
pub struct Scratch {
    pub(super) level: Level,
    /// The longest document, bytes.
    capacity: usize,
    /// Where each token begins.
    pub(super) at: Box<[u32]>,
    /// The first byte of each token. Token 0 stands before the document and reads `:`, after which a value must follow.
    pub(super) kinds: Box<[u8]>,
    /// The closing bracket of each opening bracket.
    pub(super) partner: Box<[u32]>,
    /// One past the last token.
    pub(super) count: usize,
    /// Every backslash is between these places.
    pub(super) escapes: (usize, usize),
}

impl Scratch {
    /// Room for documents of up to `capacity` bytes, read with the fastest instructions this machine has.
    pub fn new(capacity: usize) -> Scratch {
        Scratch::with_level(capacity, Level::best())
    }

    /// As [`Scratch::new`], with the instructions given.
    ///
    /// # Panics
    /// When the machine does not have the instructions, or `capacity` is more than [`limits::BODY_BYTES`].
    pub fn with_level(capacity: usize, level: Level) -> Scratch {
        assert!(level.is_available(), "this machine has no {level:?}");
        assert!(capacity <= limits::BODY_BYTES, "documents are limited to {} bytes", limits::BODY_BYTES);
        // A block's tokens are written 64 at a time, and 64 are looked at together with their surroundings.
        let tokens = 1 + capacity + 2 * BLOCK;
        let (at, kinds, partner) = (vec![0; tokens], vec![0; tokens], vec![0; tokens]);
        Scratch {
            level,
            capacity,
            at: at.into_boxed_slice(),
            kinds: kinds.into_boxed_slice(),
            partner: partner.into_boxed_slice(),
            count: 0,
            escapes: (usize::MAX, 0),
        }
    }

    /// The instructions in use.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Checks the document and finds its tokens. A document over the capacity is not looked at and called broken.
    #[inline]
    pub(super) fn read(&mut self, body: &[u8]) -> Result<(), Broken> {
        if body.len() > self.capacity {
            return Err(Broken);
        }
        match self.level {
            // SAFETY: needs nothing.
            Level::Portable => unsafe { read_with::<Portable>(self, body) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `with_level` has seen that the machine has the instructions.
            Level::Avx2 => unsafe { read_avx2(self, body) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx512 => unsafe { read_avx512(self, body) },
        }
    }
}

/// # Safety
/// The machine has the instructions named.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,pclmulqdq,bmi1,bmi2,lzcnt,popcnt")]
unsafe fn read_avx2(scratch: &mut Scratch, body: &[u8]) -> Result<(), Broken> {
    // SAFETY: as promised by the caller.
    unsafe { read_with::<Avx2>(scratch, body) }
}

/// # Safety
/// The machine has the instructions named.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,pclmulqdq,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vbmi,avx512vbmi2")]
unsafe fn read_avx512(scratch: &mut Scratch, body: &[u8]) -> Result<(), Broken> {
    // SAFETY: as promised by the caller.
    unsafe { read_with::<Avx512>(scratch, body) }
}

/// # Safety
/// The machine has what the engine needs.
#[inline(always)]
unsafe fn read_with<E: Engine>(scratch: &mut Scratch, body: &[u8]) -> Result<(), Broken> {
    // SAFETY: as promised by the caller.
    unsafe {
        index::<E>(scratch, body)?;
        grammar::check::<E>(scratch)
    }
}

/// What one block hands to the next. Passed by value, so that it stays in registers.
#[derive(Clone, Copy)]
struct Carry {
    /// One past the last token found.
    count: usize,
    /// All ones if the block ended inside a string.
    in_string: u64,
    /// 1 if the block ended with a backslash that escapes.
    escaped: u64,
    /// 1 if the block ended with a scalar.
    in_scalar: u64,
    /// Where the last scalar began.
    scalar: usize,
    /// What is wrong: any bit.
    wrong: u64,
    /// The first block with a backslash, and the end of the last; none if the end is 0.
    escapes: (usize, usize),
    /// The first block that is not ASCII, and the end of the last; none if the end is 0.
    non_ascii: (usize, usize),
}

/// Finds the tokens of the document, and checks what is inside of each.
///
/// # Safety
/// The machine has what the engine needs.
#[inline(always)]
unsafe fn index<E: Engine>(scratch: &mut Scratch, body: &[u8]) -> Result<(), Broken> {
    let mut carry = Carry {
        count: 1,
        in_string: 0,
        escaped: 0,
        in_scalar: 0,
        scalar: 0,
        wrong: 0,
        escapes: (usize::MAX, 0),
        non_ascii: (usize::MAX, 0),
    };
    let (blocks, tail) = body.as_chunks::<BLOCK>();
    let mut base = 0;
    for block in blocks {
        // SAFETY: as promised by the caller.
        carry = unsafe { index_block::<E>(scratch, body, block, base, carry) };
        base += BLOCK;
    }
    if !tail.is_empty() {
        let mut block = [b' '; BLOCK];
        block[..tail.len()].copy_from_slice(tail);
        // SAFETY: as promised by the caller.
        carry = unsafe { index_block::<E>(scratch, body, &block, base, carry) };
    }
    scratch.kinds[0] = b':';
    scratch.count = carry.count;
    scratch.escapes = carry.escapes;
    if carry.wrong | carry.in_string != 0 {
        return Err(Broken);
    }
    match carry.non_ascii {
        (_, 0) => Ok(()),
        // ASCII surrounds these blocks, so no character begins or ends outside of them.
        (first, end) => std::str::from_utf8(&body[first..end.min(body.len())]).map(|_| ()).map_err(|_| Broken),
    }
}

/// # Safety
/// The machine has what the engine needs.
#[inline(always)]
unsafe fn index_block<E: Engine>(
    scratch: &mut Scratch,
    body: &[u8],
    block: &[u8; BLOCK],
    base: usize,
    before: Carry,
) -> Carry {
    let mut carry = before;
    // SAFETY: as promised by the caller.
    let bytes = unsafe { E::bytes(block) };
    let mut quotes = bytes.quote;
    let mut escaped = 0;
    if bytes.backslash | before.escaped != 0 {
        (escaped, carry.escaped) = escape(bytes.backslash, before.escaped);
        quotes &= !escaped;
        // A block that only begins with an escaped byte may be counted too.
        carry.escapes = (before.escapes.0.min(base), base + BLOCK);
    }
    // SAFETY: as promised by the caller.
    let in_string = unsafe { E::parity(quotes) } ^ before.in_string;
    carry.in_string = ((in_string as i64) >> 63) as u64;
    carry.wrong |= bytes.control & in_string;
    if escaped & in_string != 0 {
        carry.wrong |= u64::from(!escapes_are_good(body, escaped & in_string, base));
    }
    if bytes.non_ascii != 0 {
        carry.non_ascii = (before.non_ascii.0.min(base), base + BLOCK);
    }

    let scalars = !(bytes.operator | bytes.space | in_string | quotes);
    let starts = scalars & !(scalars << 1 | before.in_scalar);
    carry.in_scalar = scalars >> 63;
    let needless_zero = starts & bytes.zero & (scalars >> 1 | 1 << 63);
    let odd = scalars & !bytes.digit | needless_zero;
    if odd != 0 {
        carry.wrong |= u64::from(!scalars_are_good(body, odd, starts, base, before.scalar));
    }
    if starts != 0 {
        carry.scalar = base + (63 - starts.leading_zeros()) as usize;
    }

    let tokens = bytes.operator & !in_string | quotes & in_string | starts;
    let at = scratch.at[before.count..].first_chunk_mut().expect("as many tokens as bytes, and a block");
    let kinds = scratch.kinds[before.count..].first_chunk_mut().expect("as many tokens as bytes, and a block");
    // SAFETY: as promised by the caller.
    unsafe { E::select(block, tokens, base as u32, at, kinds) };
    carry.count += tokens.count_ones() as usize;
    carry
}

/// Which bytes are escaped, given the backslashes: those after an odd number of them. And whether the first byte of the next
/// block is.
#[inline(always)]
fn escape(backslashes: u64, first_escaped: u64) -> (u64, u64) {
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    let backslashes = backslashes & !first_escaped;
    let follows = backslashes << 1 | first_escaped;
    // Adding its first bit to a run of backslashes carries to the bit after it. Done for the runs that begin at an odd
    // bit, the even bits are right for the others, and inverted for these (Langdale and Lemire 2019, section 3.1.1).
    let odd_starts = backslashes & ODD & !follows;
    let (carried, overflow) = odd_starts.overflowing_add(backslashes);
    ((!ODD ^ carried << 1) & follows, u64::from(overflow))
}

/// Checks what stands after each escaping backslash (RFC 8259 section 7).
#[inline(never)]
fn escapes_are_good(body: &[u8], mut escaped: u64, base: usize) -> bool {
    while escaped != 0 {
        let position = base + escaped.trailing_zeros() as usize;
        escaped &= escaped - 1;
        let good = match body.get(position) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => true,
            Some(b'u') => {
                body.get(position + 1..position + 5).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            }
            _ => false,
        };
        if !good {
            return false;
        }
    }
    true
}

/// Checks the scalars that have a byte in `odd`; the first may have begun in a block before, at `earlier`.
#[inline(never)]
fn scalars_are_good(body: &[u8], mut odd: u64, starts: u64, base: usize, earlier: usize) -> bool {
    while odd != 0 {
        let through = odd ^ (odd - 1);
        let start = match starts & through {
            0 => earlier,
            starts => base + (63 - starts.leading_zeros()) as usize,
        };
        // On to the next scalar that has one.
        let later = starts & !through;
        odd &= !(later & later.wrapping_neg()).wrapping_sub(1);
        let ends_well = |end| match body.get(end) {
            None => true,
            Some(byte) => matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'),
        };
        if !number::scalar_end(body, start).is_some_and(ends_well) {
            return false;
        }
    }
    true
}
