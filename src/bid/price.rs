//! The price of a bid. Integers only: the score arrived as a fraction of 65,536, and here float has ended.

use crate::bid::floor;
use crate::bid::offers::Offer;
use crate::bid::quote::Quote;
use crate::bid::shade::Shade;
use crate::units::CpmMicros;
use crate::wire::openrtb::request::{BidRequest, Deal};

/// One, as a score.
pub const ONE: u32 = 1 << 16;

/// A CPM scaled by a score, rounded down so that it never exceeds the CPM.
#[inline]
pub fn price(cpm: CpmMicros, score: u32) -> CpmMicros {
    assert!(score <= ONE, "a score above one would bid more than the campaign allows");
    CpmMicros(((i128::from(cpm.0) * i128::from(score)) >> 16) as i64)
}

/// What an offer bids: what it is worth, or less where the winner pays its own bid and `shade` knows what that takes. Where a deal fixes
/// the price that is the price (`deal.at` 3), and a guaranteed deal, which must be bid on, is not lost for its worth: it gets its floor
/// at least. Never more than the campaign allows.
#[inline]
pub fn of(offer: &Offer, request: &BidRequest<'_>, shade: Option<&Shade<'_>>) -> CpmMicros {
    let most = offer.price;
    match offer.sold_by(request) {
        Some(deal) if is_fixed(deal) && offer.floor > CpmMicros(0) => most.min(offer.floor),
        Some(deal) if deal.guaranteed => most.min(offer.value).max(most.min(offer.floor)),
        None if let Some(shade) = shade => shade.bid(request, offer, most),
        _ => most.min(offer.value),
    }
}

/// Whether the deal's floor is the agreed price (`deal.at` 3, OpenRTB 2.6 section 3.2.12).
#[inline]
pub fn is_fixed(deal: &Deal<'_>) -> bool {
    deal.at == 3
}

/// What an offer bids in the currency of the response. A price that a deal fixes in that currency is that price to the digit,
/// and not what is left of it after two conversions. Nothing if no price there is between its floor and `limit`, the most its
/// campaign bids.
#[inline]
pub fn quoted(offer: &Offer, deal: Option<&Deal<'_>>, quote: &Quote, limit: CpmMicros) -> Option<CpmMicros> {
    if let Some(deal) = deal.filter(|deal| is_fixed(deal)) {
        let agreed = floor::of_deal(deal, (offer.seconds > 0).then_some(offer.seconds));
        if agreed > CpmMicros(0) && floor::currency_of(deal).eq_ignore_ascii_case(&quote.currency.0) {
            return Some(agreed);
        }
    }
    quote.price(offer.price, offer.floor, limit).filter(|&price| price > CpmMicros(0))
}

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
