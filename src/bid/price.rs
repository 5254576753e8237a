//! The price of a bid. Integers only: the score arrived as a fraction of 65,536, and here float has ended.

use crate::bid::offers::Offer;
use crate::units::CpmMicros;
use crate::wire::openrtb::request::Deal;

/// One, as a score.
pub const ONE: u32 = 1 << 16;

/// A campaign's price for this impression: its CPM scaled by the score, rounded down so that it never exceeds the CPM.
#[inline]
pub fn price(cpm: CpmMicros, score: u32) -> CpmMicros {
    assert!(score <= ONE, "a score above one would bid more than the campaign allows");
    CpmMicros(((i128::from(cpm.0) * i128::from(score)) >> 16) as i64)
}

/// What an offer bids: its campaign's price by the score. Where a deal fixes the price that is the price (`deal.at` 3), and a
/// guaranteed deal, which must be bid on, is not lost for the score: it gets its floor at least. Neither ever more than the
/// campaign allows.
#[inline]
pub fn of(offer: &Offer, deal: Option<&Deal<'_>>) -> CpmMicros {
    let most = offer.price;
    match deal {
        Some(deal) if deal.at == FIXED && offer.floor > CpmMicros(0) => most.min(offer.floor),
        Some(deal) if deal.guaranteed => price(most, offer.score).max(most.min(offer.floor)),
        _ => price(most, offer.score),
    }
}

/// `deal.at`: the deal's floor is the agreed price (OpenRTB 2.6 section 3.2.12).
const FIXED: u16 = 3;

/// Whether a price may be bid: some price, and at least the floor.
#[inline]
pub fn clears(price: CpmMicros, floor: CpmMicros) -> bool {
    price.0 > 0 && price >= floor
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_above_the_cpm_and_monotone(cpm in 0i64..i64::MAX, score in 0u32..ONE) {
            let lower = price(CpmMicros(cpm), score);
            prop_assert!(lower <= price(CpmMicros(cpm), score + 1));
            prop_assert_eq!(price(CpmMicros(cpm), ONE), CpmMicros(cpm));
            prop_assert!(lower.0 >= 0);
        }
    }

    #[test]
    fn a_floor_is_met_by_the_same_price() {
        assert!(clears(CpmMicros(5), CpmMicros(5)) && !clears(CpmMicros(4), CpmMicros(5)));
        assert!(!clears(CpmMicros(0), CpmMicros(0)));
    }
}
