//! The US privacy string of IAB Tech Lab, version 1 ("CCPA string").

/// Whether a string leaves the user's data to us: well formed, without an opt-out of sale.
pub fn allows_sale(string: &[u8]) -> bool {
    matches!(string, [b'1', b'Y' | b'N' | b'-', b'N' | b'-', b'Y' | b'N' | b'-'])
}
