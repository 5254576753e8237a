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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_drawn_bid_is_within_its_bounds(best in 1i64..1 << 40, room in 0i64..1 << 40, draw: u32) {
            let (least, best, most) = (CpmMicros(best / 3), CpmMicros(best), CpmMicros(best + room));
            let drawn = near(best, least, most, draw);
            prop_assert!(drawn >= least && drawn <= most && drawn.0 >= best.0 / 2 - 1 && drawn.0 <= 2 * best.0);
            let drawn = wide(least, most, draw);
            prop_assert!(drawn >= least && drawn <= most && drawn.0 >= most.0 / 8 - 1);
        }
    }

    #[test]
    fn a_share_is_taken_as_often_as_it_says() {
        let taken = |share: f64| (0..1000u32).filter(|draw| Share::of(share).takes(draw * 4_294_968)).count();
        assert_eq!([0.0, 0.01, 0.5].map(taken), [0, 10, 500]);
        assert_eq!((Share::of(0.5), Share::of(-1.0)), (Share::HALF, Share::default()));
    }
}
