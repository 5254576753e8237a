//! Sixteen digits of base64url at a time.

/// Digits that are read at a time.
pub(super) const LANES: usize = 16;

/// The bits of sixteen digits, 48 in a word. What is no digit gives anything.
#[inline(always)]
pub(super) fn sextets(chunk: [u8; LANES]) -> [u64; 2] {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 is part of x86-64.
    return unsafe { sse2::sextets(chunk) };
    #[cfg(not(target_arch = "x86_64"))]
    return portable::sextets(chunk);
}

/// The six bits of a digit: a sum that depends on its kind.
#[inline]
pub(super) fn sextet(digit: u8) -> u8 {
    let from_numbers = match digit {
        b'-' => 17,
        b'0'..=b'9' => 4,
        b'A'..=b'Z' => -65,
        b'_' => -32,
        _ => -71_i8,
    };
    digit.wrapping_add_signed(from_numbers) & 0x3f
}

/// What is meant, a digit after the other.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    use super::{LANES, sextet};

    pub(super) fn sextets(chunk: [u8; LANES]) -> [u64; 2] {
        let [first, second] = [0, LANES / 2].map(|from| &chunk[from..from + LANES / 2]);
        [first, second].map(|half| half.iter().fold(0, |bits, digit| bits << 6 | u64::from(sextet(*digit))))
    }
}

/// In registers of SSE2, which all x86-64 have. Compilers do not find this by themselves: a read of three lists of 56 entries takes
/// three quarters of the instructions that it takes with a table, and half of those with a loop (decision 0015).
#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi8, _mm_and_si128, _mm_cmpeq_epi8, _mm_cmpgt_epi8, _mm_cvtsi128_si64, _mm_madd_epi16,
        _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8, _mm_set1_epi16, _mm_set1_epi32, _mm_set1_epi64x, _mm_slli_epi16,
        _mm_slli_epi64, _mm_srli_epi16, _mm_srli_epi64, _mm_unpackhi_epi64,
    };

    use super::LANES;

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn sextets(chunk: [u8; LANES]) -> [u64; 2] {
        let digits = u128::from_le_bytes(chunk);
        together(values(_mm_set_epi64x((digits >> 64) as i64, digits as i64)))
    }

    /// The values of digits: what is added to a number, and what the others take more or less. Comparisons are of signed
    /// bytes; digits are ASCII.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn values(digits: __m128i) -> __m128i {
        let byte = |byte: u8| _mm_set1_epi8(byte as i8);
        let more = |these: __m128i, more: i8| _mm_and_si128(these, _mm_set1_epi8(more));
        let sums = _mm_add_epi8(digits, _mm_set1_epi8(4));
        let sums = _mm_add_epi8(sums, more(_mm_cmpeq_epi8(digits, byte(b'-')), 13));
        let sums = _mm_add_epi8(sums, more(_mm_cmpgt_epi8(digits, byte(b'9')), -69));
        let sums = _mm_add_epi8(sums, more(_mm_cmpeq_epi8(digits, byte(b'_')), 33));
        _mm_add_epi8(sums, more(_mm_cmpgt_epi8(digits, byte(b'_')), -6))
    }

    /// Six bits in each byte moved together: neighbours, then pairs, then fours. The first is in the lowest byte.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn together(ones: __m128i) -> [u64; 2] {
        let firsts = _mm_and_si128(_mm_slli_epi16::<6>(ones), _mm_set1_epi16(0x0fc0));
        let twos = _mm_or_si128(firsts, _mm_srli_epi16::<8>(ones));
        // The first of each pair by 1 << 12, and the second added.
        let fours = _mm_madd_epi16(twos, _mm_set1_epi32(1 << 16 | 1 << 12));
        let eights = _mm_or_si128(_mm_slli_epi64::<24>(fours), _mm_srli_epi64::<32>(fours));
        let eights = _mm_and_si128(eights, _mm_set1_epi64x((1 << 48) - 1));
        [eights, _mm_unpackhi_epi64(eights, eights)].map(|word| _mm_cvtsi128_si64(word) as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::{LANES, portable, sextet, sextets};

    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    #[test]
    fn a_digit_is_its_place_in_the_alphabet() {
        for (digit, place) in ALPHABET.iter().zip(0..) {
            assert_eq!(sextet(*digit), place, "{}", char::from(*digit));
        }
    }

    proptest! {
        #[test]
        fn sixteen_are_read_as_one_after_the_other(chunk: [prop::sample::Index; LANES]) {
            let chunk = chunk.map(|place| *place.get(ALPHABET));
            prop_assert_eq!(sextets(chunk), portable::sextets(chunk));
        }

        /// Each digit at each place.
        #[test]
        fn each_alone(digit in select(ALPHABET.to_vec()), place in 0..LANES) {
            let mut chunk = [b'A'; LANES];
            chunk[place] = digit;
            let bits = u128::from(sextet(digit)) << (6 * (LANES - 1 - place));
            prop_assert_eq!(sextets(chunk), [(bits >> 48) as u64, bits as u64 & ((1 << 48) - 1)]);
        }
    }
}
