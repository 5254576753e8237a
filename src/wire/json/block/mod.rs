//! Work on 64 bytes at a time, in as many ways as there are instruction sets worth it.
//!
//! [`portable`] says what is meant; the others are held to it by the tests below.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
pub(super) mod portable;

/// Which instructions the reader uses. Decided once, when a [`super::Scratch`] is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What every machine has.
    Portable,
    /// AVX2, BMI and carry-less multiplication: x86-64 since 2013 (Intel) and 2015 (AMD).
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 with VBMI2: Ice Lake servers (2021), Zen 4 (2022).
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// All levels of this architecture, slowest first.
    pub const ALL: &'static [Level] = &[
        Level::Portable,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512,
    ];

    /// Whether this machine has the instructions.
    pub fn is_available(self) -> bool {
        match self {
            Level::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("pclmulqdq")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
                    && is_x86_feature_detected!("lzcnt")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                Level::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vbmi")
                    && is_x86_feature_detected!("avx512vbmi2")
            }
        }
    }

    /// The fastest level this machine has.
    pub fn best() -> Level {
        Level::ALL.iter().copied().rfind(|level| level.is_available()).unwrap_or(Level::Portable)
    }
}

/// Bytes of a block.
pub(super) const BLOCK: usize = 64;

/// What each byte of a block is: bit n speaks of byte n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bytes {
    /// `"`
    pub(super) quote: u64,
    /// `\`
    pub(super) backslash: u64,
    /// Below 0x20.
    pub(super) control: u64,
    /// One of `{}[]:,`
    pub(super) operator: u64,
    /// Space, tab, newline, carriage return.
    pub(super) space: u64,
    /// `0` to `9`
    pub(super) digit: u64,
    /// `0`
    pub(super) zero: u64,
    /// 0x80 and above.
    pub(super) non_ascii: u64,
}

/// What 64 consecutive tokens are: bit n speaks of token n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    /// Must not follow the token before it, or is an object's first key without a colon, or has a colon as its next but one
    /// without being where a key can begin.
    pub(super) wrong: u64,
    /// A comma before a key and its colon.
    pub(super) key_comma: u64,
    /// Any other comma.
    pub(super) value_comma: u64,
    /// `{` or `[`
    pub(super) open: u64,
    /// `}` or `]`
    pub(super) close: u64,
    /// `{` or `}`
    pub(super) object: u64,
}

/// One way to do it.
///
/// # Safety
/// For every method: the machine has the instructions of [`Engine::LEVEL`].
pub(super) trait Engine {
    /// What this engine needs.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests go by it"))]
    const LEVEL: Level;

    /// What the bytes are.
    unsafe fn bytes(block: &[u8; BLOCK]) -> Bytes;

    /// Bit n is the parity of bits 0 to n.
    unsafe fn parity(mask: u64) -> u64;

    /// Writes the positions (from `base`) and the bytes selected by `mask` to the front of `at` and `kinds`. What follows
    /// them there may be overwritten.
    #[inline(always)]
    unsafe fn select(block: &[u8; BLOCK], mask: u64, base: u32, at: &mut [u32; BLOCK], kinds: &mut [u8; BLOCK]) {
        let mut rest = mask;
        let mut count = 0;
        while rest != 0 {
            let position = rest.trailing_zeros();
            at[count & (BLOCK - 1)] = base + position;
            kinds[count & (BLOCK - 1)] = block[position as usize & (BLOCK - 1)];
            rest &= rest - 1;
            count += 1;
        }
    }

    /// What tokens `from` to `from + 63` are, given their first bytes. `window` begins at token `from - 1`.
    unsafe fn tokens(window: &[u8; WINDOW]) -> Tokens;
}

/// Tokens that [`Engine::tokens`] looks at: one before the 64 in question, and two after.
pub(super) const WINDOW: usize = BLOCK + 3;

/// One bit for each kind of token, by its first byte; scalars are what is left.
pub(super) const fn kind_bit(byte: u8) -> u8 {
    match byte {
        b'{' => 1,
        b'}' => 2,
        b'[' => 4,
        b']' => 8,
        b':' => 16,
        b',' => 32,
        b'"' => 64,
        _ => 128,
    }
}

/// The kinds that may follow a token, as [`kind_bit`]s, whatever surrounds it.
pub(super) const fn may_follow(byte: u8) -> u8 {
    const VALUE: u8 = 1 | 4 | 64 | 128;
    const AFTER_VALUE: u8 = 2 | 8 | 32;
    match byte {
        b'{' => 2 | 64,
        b'[' => 8 | VALUE,
        b':' | b',' => VALUE,
        b'"' => 16 | AFTER_VALUE,
        _ => AFTER_VALUE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a reproducible mess, half of it JSON's own characters.
    fn mess() -> impl Iterator<Item = u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let byte = (state >> 32) as u8;
            if state & 1 == 0 { byte } else { b"{}[]:,\"\\ 019at\n"[usize::from(byte) % 15] }
        })
    }

    fn agree<E: Engine>() {
        use portable::Portable;
        if !E::LEVEL.is_available() {
            eprintln!("skipped: this machine has no {:?}", E::LEVEL);
            return;
        }
        let mut bytes = mess();
        let rounds = if cfg!(miri) { 20 } else { 5_000 };
        for round in 0..rounds {
            let block: [u8; BLOCK] = std::array::from_fn(|_| bytes.next().unwrap());
            let window: [u8; WINDOW] = std::array::from_fn(|_| bytes.next().unwrap() & 0x7f);
            let mask = u64::from_le_bytes(std::array::from_fn(|_| bytes.next().unwrap()));
            let (mut at, mut kinds) = ([[0; BLOCK]; 2], [[0; BLOCK]; 2]);
            // SAFETY: the instructions are there, as asked above.
            unsafe {
                assert_eq!(E::bytes(&block), Portable::bytes(&block), "{block:?}");
                assert_eq!(E::parity(mask), Portable::parity(mask));
                assert_eq!(E::tokens(&window), Portable::tokens(&window), "{window:?}");
                E::select(&block, mask, round, &mut at[0], &mut kinds[0]);
                Portable::select(&block, mask, round, &mut at[1], &mut kinds[1]);
            }
            let count = mask.count_ones() as usize;
            assert_eq!((&at[0][..count], &kinds[0][..count]), (&at[1][..count], &kinds[1][..count]));
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn avx2_agrees_with_portable() {
        agree::<avx2::Avx2>();
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn avx512_agrees_with_portable() {
        agree::<avx512::Avx512>();
    }

    #[test]
    fn portable_says_what_is_meant() {
        let mut bytes = mess();
        for _ in 0..100 {
            let block: [u8; BLOCK] = std::array::from_fn(|_| bytes.next().unwrap());
            let is = |test: fn(u8) -> bool| (0..BLOCK).fold(0, |mask, n| mask | u64::from(test(block[n])) << n);
            // SAFETY: the portable engine needs nothing.
            let found = unsafe { portable::Portable::bytes(&block) };
            let meant = Bytes {
                quote: is(|byte| byte == b'"'),
                backslash: is(|byte| byte == b'\\'),
                control: is(|byte| byte < 0x20),
                operator: is(|byte| b"{}[]:,".contains(&byte)),
                space: is(|byte| b" \t\n\r".contains(&byte)),
                digit: is(|byte| byte.is_ascii_digit()),
                zero: is(|byte| byte == b'0'),
                non_ascii: is(|byte| !byte.is_ascii()),
            };
            assert_eq!(found, meant);
        }
        // Bits 2, 4 and 7: odd from 2 to 3, even from 4 to 6, odd from 7 on.
        // SAFETY: as above.
        assert_eq!(unsafe { portable::Portable::parity(0b1001_0100) }, u64::MAX << 7 | 0b1100);
    }
}
