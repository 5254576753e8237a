//! The bits of base64url text, read where they stand: six in a character, nothing is decoded that nobody asks for.

use super::digits::{LANES, sextet, sextets};
use crate::limits;

/// Text whose characters are all digits of base64url, as a row of bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    text: &'a [u8],
}

/// Bits that one look has at least, wherever it begins: the 48 of eight characters less those before the first.
const LOOK: usize = 43;

impl<'a> Bits<'a> {
    /// The bits of `text`, which somebody has had [`separators`] look at. What is no digit gives anything.
    pub(super) fn of(text: &'a [u8]) -> Bits<'a> {
        Bits { text }
    }

    /// The bits of `text`; `None` if it is empty or has a character that is no digit.
    pub(super) fn new(text: &'a [u8]) -> Option<Bits<'a>> {
        (!text.is_empty() && separators(text) == Some(0)).then_some(Bits { text })
    }

    /// The first 240, to take several fields out of.
    #[inline]
    pub(super) fn head(self) -> Option<Head> {
        (self.len() >= 240).then(|| {
            let [a, b] = self.sixteen(0);
            let [c, d] = self.sixteen(16);
            let [e, _] = self.sixteen(32);
            Head([a, b, c, d, e])
        })
    }

    /// How many there are.
    #[inline]
    pub(super) fn len(self) -> usize {
        self.text.len() * 6
    }

    /// The `width` bits from `at` on as a number, of at most [`LOOK`]; `None` if they are not all there.
    #[inline]
    pub(super) fn get(self, at: usize, width: usize) -> Option<u64> {
        debug_assert!(0 < width && width <= LOOK);
        (at + width <= self.len()).then(|| self.look(at) >> (64 - width))
    }

    /// The bit at `at`; none that is not there is set.
    #[inline]
    pub(super) fn has(self, at: usize) -> bool {
        self.text.get(at / 6).is_some_and(|digit| sextet(*digit) >> (5 - at % 6) & 1 == 1)
    }

    /// The bits from `at` on at the high end of a word: [`LOOK`] of them at least, zeros beyond the last.
    #[inline]
    pub(super) fn look(self, at: usize) -> u64 {
        self.sixteen(at / 6)[0] << (16 + at % 6)
    }

    /// The bits of sixteen characters, 48 in a word, zeros for those beyond the last.
    #[inline]
    fn sixteen(self, first: usize) -> [u64; 2] {
        sextets(match self.text.get(first..).and_then(|rest| rest.first_chunk::<LANES>()) {
            Some(chunk) => *chunk,
            None => self.last(first),
        })
    }

    /// The characters from `first` on, fewer than sixteen, and zeros.
    fn last(self, first: usize) -> [u8; LANES] {
        let rest = self.text.get(first..).unwrap_or_default();
        if let Some(last) = self.text.last_chunk::<LANES>() {
            let there = 8 * rest.len() as u32;
            let digits = u128::from_le_bytes(*last).checked_shr(128 - there).unwrap_or(0);
            return (digits | u128::from_le_bytes([b'A'; LANES]) << there).to_le_bytes();
        }
        let mut chunk = [b'A'; LANES];
        chunk[..rest.len()].copy_from_slice(rest);
        chunk
    }

    /// Reads on from `at`.
    #[inline]
    pub(super) fn from(self, at: usize) -> Reader<'a> {
        let (first, before) = (at / 6, at % 6);
        let [held, spare] = self.sixteen(first);
        Reader {
            bits: self,
            held: held << (16 + before),
            count: 48 - before as u32,
            spare: Some(spare),
            next: first + 8,
        }
    }
}

/// The first 240 bits of a text, 48 in a word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head([u64; 5]);

impl Head {
    /// The field that begins at the first number and is the second wide, at most 48, as a number.
    #[inline(always)]
    pub(super) fn field(&self, (at, width): (usize, usize)) -> u64 {
        let (word, first) = (at / 48, at % 48);
        let following = self.0.get(word + 1).copied().unwrap_or_default();
        let both = u128::from(self.0[word]) << 48 | u128::from(following);
        (both >> (96 - first - width)) as u64 & ((1 << width) - 1)
    }
}

/// Reads bits one after the other. Which characters come next does not depend on what was read, so that a core can have them
/// ready; a list of ranges, whose entries tell where the next begins, is read several times as fast as by [`Bits::get`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    bits: Bits<'a>,
    /// Bits that are ready, at the high end.
    held: u64,
    count: u32,
    /// The bits of the next eight characters, if they were read with those before.
    spare: Option<u64>,
    /// The character after those that are ready; may be beyond the last, where zeros are.
    next: usize,
}

impl Reader<'_> {
    /// The most that [`Reader::take`] gives at a time: what is left below it leaves room for eight characters.
    pub(super) const MOST: u32 = 17;

    /// The next `width` bits, 1 to [`Reader::MOST`].
    #[inline]
    pub(super) fn take(&mut self, width: u32) -> u32 {
        debug_assert!(0 < width && width <= Self::MOST);
        if self.count < width {
            let more = self.spare.take().unwrap_or_else(|| {
                let [more, spare] = self.bits.sixteen(self.next);
                self.spare = Some(spare);
                more
            });
            self.held |= more << 16 >> self.count;
            self.count += 48;
            self.next += 8;
        }
        let value = self.held >> (64 - width);
        self.held <<= width;
        self.count -= width;
        value as u32
    }

    /// Jumps over `width` bits.
    #[inline]
    pub(super) fn skip(&mut self, width: usize) {
        if width < self.count as usize {
            self.held <<= width;
            self.count -= width as u32;
        } else {
            *self = self.bits.from(self.at() + width);
        }
    }

    /// Where the next bit stands.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.next * 6 - self.count as usize
    }

    /// How many there are from it on; `None` if more were read than there are.
    #[inline]
    pub(super) fn left(&self) -> Option<usize> {
        self.bits.len().checked_sub(self.at())
    }

    /// Whether the bit so many after the next is set; none that is not there is.
    #[inline]
    pub(super) fn has(&self, ahead: usize) -> bool {
        self.bits.has(self.at() + ahead)
    }
}

/// How many `.` a text has whose other characters are all digits of base64url; `None` if there is another character, or more
/// `.` than any consent string has. A string is believed only as a whole, and this is the one thing that looks at all of it.
#[inline]
pub(super) fn separators(text: &[u8]) -> Option<u32> {
    #[cfg(target_arch = "x86_64")]
    if text.len() >= 32 && is_x86_feature_detected!("avx2") {
        // SAFETY: the machine has AVX2.
        return unsafe { separators_avx2(text) };
    }
    separators_by::<16>(text)
}

/// With registers of twice the length, in a third of the instructions.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn separators_avx2(text: &[u8]) -> Option<u32> {
    separators_by::<32>(text)
}

/// The same, written so that compilers look at `N` characters in one register: they are counted by their place in it.
#[inline(always)]
fn separators_by<const N: usize>(text: &[u8]) -> Option<u32> {
    const { assert!(limits::CONSENT_BYTES <= 16 * 255, "a place may count more than a byte holds") };
    if text.len() > limits::CONSENT_BYTES {
        return None;
    }
    let (mut bad, mut dots) = ([0_u8; N], [0_u8; N]);
    let (chunks, rest) = text.as_chunks::<N>();
    for chunk in chunks {
        for ((bad, dots), byte) in bad.iter_mut().zip(&mut dots).zip(chunk) {
            *bad |= badness(*byte);
            *dots = dots.wrapping_add(u8::from(*byte == b'.'));
        }
    }
    if let (Some(last), false) = (text.last_chunk::<N>(), rest.is_empty()) {
        // Those before `rest` are looked at a second time, but not counted again.
        let again = (N - rest.len()) as u8;
        for (((bad, dots), byte), place) in bad.iter_mut().zip(&mut dots).zip(last).zip(0_u8..) {
            *bad |= badness(*byte);
            *dots = dots.wrapping_add(u8::from(*byte == b'.' && place >= again));
        }
    } else {
        for ((bad, dots), byte) in bad.iter_mut().zip(&mut dots).zip(rest) {
            *bad |= badness(*byte);
            *dots += u8::from(*byte == b'.');
        }
    }
    let (mut any_bad, mut many, mut sums) = (0, 0, 0);
    for (bad, dots) in bad.as_chunks::<8>().0.iter().zip(dots.as_chunks::<8>().0) {
        let dots = u64::from_le_bytes(*dots);
        any_bad |= u64::from_le_bytes(*bad);
        many |= dots & 0xf8f8_f8f8_f8f8_f8f8;
        sums += dots & 0x0707_0707_0707_0707;
    }
    // The highest byte of the product is the sum of all bytes.
    (any_bad | many == 0).then_some((sums.wrapping_mul(0x0101_0101_0101_0101) >> 56) as u32)
}

/// Zero for a digit and for `.`. How far a byte is from the letters, and from what lies from `-` to `9`, is the least that says
/// so: comparisons of unsigned bytes are two instructions.
#[inline(always)]
fn badness(byte: u8) -> u8 {
    let from_letters = (byte | 0x20).wrapping_sub(b'a').saturating_sub(25);
    let from_numbers = byte.wrapping_sub(b'-').saturating_sub(b'9' - b'-');
    let neither = from_letters.min(from_numbers);
    neither & u8::from(byte == b'_').wrapping_sub(1) | u8::from(byte == b'/').wrapping_neg()
}

/// The parts of `text` between separators.
#[inline]
pub(super) fn parts(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (part, after) = match memchr::memchr(separator, text) {
            Some(end) => (&text[..end], Some(&text[end + 1..])),
            None => (text, None),
        };
        rest = after;
        Some(part)
    })
}
