//! The bits of base64url text, read where they stand: six in a character, nothing is decoded that nobody asks for.

/// Text whose characters are all digits of base64url, as a row of bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    text: &'a [u8],
}

/// Bits that one look has at least, wherever it begins: the 48 of eight characters less those before the first.
const LOOK: usize = 43;

impl<'a> Bits<'a> {
    /// The bits of `text`, which somebody has found [`clean`].
    pub(super) fn of_clean(text: &'a [u8]) -> Bits<'a> {
        Bits { text }
    }

    /// The bits of `text`; `None` if it is empty or has a character that is no digit.
    pub(super) fn new(text: &'a [u8]) -> Option<Bits<'a>> {
        (!text.is_empty() && clean(text, b'-')).then_some(Bits { text })
    }

    /// The first 240, to take several fields out of.
    #[inline]
    pub(super) fn head(self) -> Option<Head> {
        let (chunks, _) = self.text.as_chunks::<8>();
        let [a, b, c, d, e, ..] = chunks else { return None };
        Some(Head([sextets(*a), sextets(*b), sextets(*c), sextets(*d), sextets(*e)]))
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
        self.look(at) >> 63 == 1
    }

    /// The bits from `at` on at the high end of a word: [`LOOK`] of them at least, zeros beyond the last.
    #[inline]
    pub(super) fn look(self, at: usize) -> u64 {
        self.eight(at / 6) << (16 + at % 6)
    }

    /// The 48 bits of eight characters, zeros for those beyond the last.
    #[inline]
    fn eight(self, first: usize) -> u64 {
        match self.text.get(first..).unwrap_or_default().first_chunk::<8>() {
            Some(chunk) => sextets(*chunk),
            None => self.last(first),
        }
    }

    fn last(self, first: usize) -> u64 {
        let rest = self.text.get(first..).unwrap_or_default();
        let mut chunk = [b'A'; 8];
        chunk[..rest.len()].copy_from_slice(rest);
        sextets(chunk)
    }

    /// Reads on from `at`.
    #[inline]
    pub(super) fn from(self, at: usize) -> Reader<'a> {
        Reader { bits: self, at, held: self.look(at), count: 48 - (at % 6) as u32, next: at / 6 + 8 }
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
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bits: Bits<'a>,
    /// Where the next bit stands; may run beyond the last, where zeros are.
    at: usize,
    /// Bits that are ready, at the high end.
    held: u64,
    count: u32,
    /// The character after them.
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
            self.held |= self.bits.eight(self.next) << 16 >> self.count;
            self.count += 48;
            self.next += 8;
        }
        let value = self.held >> (64 - width);
        self.held <<= width;
        self.count -= width;
        self.at += width as usize;
        value as u32
    }

    /// Where the next bit stands.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }
}

/// Whether all characters are digits of base64url or `separator`. Written so that sixteen are looked at at a time: a string
/// is believed only as a whole, and this is the one thing that looks at all of it.
#[inline]
pub(super) fn clean(text: &[u8], separator: u8) -> bool {
    // All bits or none, which is what a comparison of vectors gives. From `-` to `9` there are two more, `.` and `/`.
    let good = |byte: u8| {
        let letter = u8::from((byte | 0x20).wrapping_sub(b'a') < 26).wrapping_neg();
        let number = u8::from(byte.wrapping_sub(b'-') < 13 && byte != b'/' && byte != b'.').wrapping_neg();
        let others = u8::from(byte == b'_' || byte == separator).wrapping_neg();
        letter | number | others
    };
    let (chunks, rest) = text.as_chunks::<16>();
    let mut all = [u8::MAX; 16];
    for chunk in chunks {
        for (all, byte) in all.iter_mut().zip(chunk) {
            *all &= good(*byte);
        }
    }
    let last = rest.iter().fold(u8::MAX, |all, byte| all & good(*byte));
    all == [u8::MAX; 16] && last == u8::MAX
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

/// The same byte eight times.
const fn all(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The values of eight digits, the first in the highest byte. What is no digit gives anything.
///
/// The low five bits of a digit and a sum that depends on its kind: 36 for numbers, 37 less for letters and `_`, which have
/// bit 6; 26 more for small letters, with bit 5 too; 33 more for `_`, whose low bits are all set; 13 more for `-`, the only
/// one without bits 4 and 6.
#[inline]
const fn values(chunk: [u8; 8]) -> u64 {
    let text = u64::from_be_bytes(chunk);
    let low = text & all(0x1f);
    let high = text >> 6 & all(1);
    let small = text >> 5 & high;
    let underscore = low.wrapping_add(all(1)) >> 5 & all(1);
    let dash = !(text >> 4 | high) & all(1);
    low.wrapping_add(all(36))
        .wrapping_sub(high.wrapping_mul(37))
        .wrapping_add(small.wrapping_mul(26))
        .wrapping_add(underscore.wrapping_mul(33))
        .wrapping_add(dash.wrapping_mul(13))
}

/// The 48 bits of eight digits: neighbours are moved together, then pairs, then fours.
#[inline]
const fn sextets(chunk: [u8; 8]) -> u64 {
    let ones = values(chunk);
    let twos = (ones & 0x3f00_3f00_3f00_3f00) >> 2 | ones & 0x003f_003f_003f_003f;
    let fours = (twos & 0x0fff_0000_0fff_0000) >> 4 | twos & 0x0000_0fff_0000_0fff;
    (fours & 0x00ff_ffff_0000_0000) >> 8 | fours & 0x0000_0000_00ff_ffff
}
