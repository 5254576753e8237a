//! Reproducible draws.

/// The next 64 bits of a stream: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). 64 bits of state, any of them is good.
#[inline]
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    /// The first output for seed 1234567 in the reference implementation.
    #[test]
    fn the_generator_is_splitmix64() {
        assert_eq!(super::next(&mut 1_234_567), 6_457_827_717_110_365_317);
    }
}
