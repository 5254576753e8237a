//! The offers of one request: campaign and creative for an impression, thinned out from stage to stage.

use arrayvec::ArrayVec;

use crate::bid::probe::Probe;
use crate::limits;
use crate::units::{CampaignIx, CpmMicros};
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::Size;

/// One campaign's offer for one impression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer {
    /// Which campaign of the snapshot.
    pub campaign: CampaignIx,
    /// Which impression of the request.
    pub imp: u8,
    /// Which of the campaign's creatives.
    pub creative: u8,
    /// The size it would fill.
    pub size: Size,
    /// What the model says of it, in 1/65,536 of the best it could say.
    pub score: u32,
    /// The most it bids, until the price stage has set what it bids.
    pub price: CpmMicros,
}

/// Offers of one request, in the order of its impressions.
pub type Offers = ArrayVec<Offer, { limits::CANDIDATES }>;

/// Keeps the offers that pass; if none does, that was the reason.
#[inline]
pub fn keep<P: Probe>(
    offers: &mut Offers,
    probe: &mut P,
    reason: NoBidReason,
    mut passes: impl FnMut(&mut Offer) -> bool,
) -> Result<(), NoBidReason> {
    offers.retain(|offer| {
        let kept = passes(offer);
        if !kept {
            probe.dropped(offer, reason);
        }
        kept
    });
    if offers.is_empty() { Err(reason) } else { Ok(()) }
}

/// The best offer of each impression: highest price, the earlier campaign on a tie. A campaign bids once in a response, so
/// that one affordability check covers what it promises. At most [`limits::BIDS`].
pub fn choose(offers: &Offers) -> ArrayVec<Offer, { limits::BIDS }> {
    let mut winners: ArrayVec<Offer, { limits::BIDS }> = ArrayVec::new();
    let mut rest = offers.as_slice();
    while let Some(first) = rest.first() {
        let (of_imp, after) = rest.split_at(rest.partition_point(|offer| offer.imp == first.imp));
        rest = after;
        let free = of_imp.iter().filter(|offer| winners.iter().all(|winner| winner.campaign != offer.campaign));
        let best = free.reduce(|best, offer| if offer.price > best.price { offer } else { best });
        if let Some(best) = best.copied()
            && winners.try_push(best).is_err()
        {
            break;
        }
    }
    winners
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bid::probe::Blind;
    use proptest::prelude::*;

    fn offer(imp: u8, campaign: u32, price: i64) -> Offer {
        Offer {
            imp,
            campaign: CampaignIx(campaign),
            creative: 0,
            size: Size::default(),
            score: 0,
            price: CpmMicros(price),
        }
    }

    #[test]
    fn the_last_to_fall_names_the_reason() {
        let mut offers: Offers = [offer(0, 1, 5), offer(0, 2, 7)].into_iter().collect();
        assert_eq!(keep(&mut offers, &mut Blind, NoBidReason::Floor, |offer| offer.price.0 > 5), Ok(()));
        assert_eq!(offers.len(), 1);
        assert_eq!(keep(&mut offers, &mut Blind, NoBidReason::Budget, |_| false), Err(NoBidReason::Budget));
    }

    proptest! {
        /// Impression by impression, the best of the campaigns not used yet, found by sorting.
        #[test]
        fn best_of_each_impression_without_bidding_a_campaign_twice(
            mut drawn in prop::collection::vec((0u8..6, 0u32..8, 1i64..6), 0..40),
        ) {
            drawn.sort_by_key(|&(imp, ..)| imp);
            let offers: Offers = drawn.iter().map(|&(imp, campaign, price)| offer(imp, campaign, price)).collect();
            let mut expected: Vec<Offer> = Vec::new();
            for imp in 0..6 {
                let mut of_imp: Vec<Offer> = offers.iter().copied().filter(|offer| offer.imp == imp).collect();
                of_imp.sort_by_key(|offer| std::cmp::Reverse(offer.price));
                expected.extend(of_imp.into_iter().find(|offer| expected.iter().all(|won| won.campaign != offer.campaign)));
            }
            prop_assert_eq!(choose(&offers).to_vec(), expected);
        }
    }
}
