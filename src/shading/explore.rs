//! Bids that are made to learn from: where the curve is right they cost a little, where it is wrong they show it.

use crate::units::CpmMicros;

/// How far below the most it may be a bid is drawn of which nothing is known: a factor of eight.
const WIDE: f64 = 3.0;
/// How far from the best one a bid is drawn otherwise: a factor of two to both sides.
const NEAR: f64 = 1.0;

/// A share of bids, in 1/4,294,967,296.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// Half of them: what is drawn where there is no curve.
    pub const HALF: Share = Share(1 << 31);

    /// A share of 0 to 1; what is beyond is cut off.
    pub fn of(share: f64) -> Share {
        Share((share * 4_294_967_296.0) as u32)
    }

    /// Whether a draw of 32 random bits is in it.
    #[inline]
    pub const fn takes(self, draw: u32) -> bool {
        draw < self.0
    }
}

/// A bid about the best one, drawn evenly on the logarithm by 32 random bits; between the two, which must not cross.
#[cold]
pub fn near(best: CpmMicros, least: CpmMicros, most: CpmMicros, draw: u32) -> CpmMicros {
    scaled(best, NEAR * (2.0 * unit(draw) - 1.0)).clamp(least, most)
}

/// A bid of which nothing is known, drawn likewise.
#[cold]
pub fn wide(least: CpmMicros, most: CpmMicros, draw: u32) -> CpmMicros {
    scaled(most, -WIDE * unit(draw)).clamp(least, most)
}

fn unit(draw: u32) -> f64 {
    f64::from(draw) / 4_294_967_296.0
}

fn scaled(price: CpmMicros, doublings: f64) -> CpmMicros {
    CpmMicros((price.0 as f64 * doublings.exp2()) as i64)
}
