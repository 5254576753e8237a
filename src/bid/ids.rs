//! Identities made on a bid core, without asking anyone.

use crate::units::BidId;

/// `Bid.id`: 128 bits of xoshiro256++ (Blackman and Vigna, 2019), one generator per core, its 256 bits of state drawn
/// from the kernel at each start.
///
/// That makes ids distinct across cores, nodes and restarts, which is all that is asked of them. They can be predicted
/// from earlier ones, and may be: what an exchange calls back is proved by its signature, never by knowing an id.
#[derive(Debug)]
pub struct BidIds {
    state: [u64; 4],
}

impl BidIds {
    /// A generator seeded from the kernel.
    ///
    /// # Errors
    /// The kernel has no randomness to give.
    pub fn from_kernel() -> std::io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
        Ok(Self::from_seed(seed))
    }

    /// A generator with a given seed, for runs that must repeat.
    ///
    /// # Panics
    /// If the seed is all zeros, from which the generator never leaves.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(seed.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        assert!(state != [0; 4], "a seed of zeros");
        Self { state }
    }

    /// The next id.
    #[inline]
    pub fn draw(&mut self) -> BidId {
        let (high, low) = (self.word(), self.word());
        BidId((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    }

    #[inline]
    fn word(&mut self) -> u64 {
        let s = &mut self.state;
        let word = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of the authors' xoshiro256plusplus.c from the state 1, 2, 3, 4.
    #[test]
    fn the_generator_is_xoshiro256plusplus() {
        let mut seed = [0; 32];
        for (place, byte) in [(0, 1), (8, 2), (16, 3), (24, 4)] {
            seed[place] = byte;
        }
        let mut ids = BidIds::from_seed(seed);
        let words: Vec<u64> = (0..4).map(|_| ids.word()).collect();
        assert_eq!(words, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn two_starts_share_no_id() {
        let (mut one, mut other) = (BidIds::from_kernel().unwrap(), BidIds::from_kernel().unwrap());
        let ids: std::collections::HashSet<_> = (0..1000).flat_map(|_| [one.draw(), other.draw()]).collect();
        assert_eq!(ids.len(), 2000);
    }
}
