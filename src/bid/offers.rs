//! The offers of one request: campaign and creative for an impression, thinned out from stage to stage.

use arrayvec::ArrayVec;

use crate::bid::probe::Probe;
use crate::bid::sale::Sale;
use crate::limits;
use crate::snapshot::campaign::{Campaign, Chance, Shape};
use crate::snapshot::targeting::Candidate;
use crate::units::{CampaignIx, CpmMicros, Terms};
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{BidRequest, Deal, Size};

/// One campaign's offer for one impression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer {
    /// Which campaign of the snapshot.
    pub campaign: CampaignIx,
    /// Which impression of the request.
    pub imp: u8,
    /// Which of the campaign's creatives.
    pub creative: u8,
    /// Which of the impression's deals ([`BidRequest::deals_of`]); `None` in the open auction.
    pub deal: Option<u8>,
    /// The shape it would fill.
    pub shape: Shape,
    /// Seconds it plays; 0 if it does not play.
    pub seconds: u16,
    /// What the model says of it.
    pub estimate: Estimate,
    /// What a thousand such impressions are worth to its campaign; in the account's currency. May be more than the campaign bids.
    pub value: CpmMicros,
    /// The least it sells for, in the account's currency.
    pub floor: CpmMicros,
    /// The most it bids, until the price stage has set what it bids; in the account's currency.
    pub price: CpmMicros,
}

/// What a model says of an offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Estimate {
    /// Nothing yet.
    #[default]
    None,
    /// How good the impression is, in 1/65,536 of the best there is.
    Factor(u32),
    /// How likely what the campaign wants is.
    Chance(Chance),
    /// The same, on the average of all impressions, because there was no time to look at this one.
    Average(Chance),
}

/// Offers of one request, in the order of its impressions.
pub type Offers = ArrayVec<Offer, { limits::CANDIDATES }>;

impl Offer {
    /// What a candidate offers for impression `imp`, sold as `sale` says; its deal is still open.
    #[inline]
    pub fn of(candidate: &Candidate, imp: u8, sale: &Sale<'_>, campaign: &Campaign) -> Offer {
        Offer {
            campaign: candidate.campaign,
            imp,
            creative: candidate.creative,
            deal: None,
            shape: sale.shapes[candidate.shape as usize],
            seconds: 0,
            estimate: Estimate::None,
            value: CpmMicros(0),
            floor: CpmMicros(0),
            price: campaign.cpm,
        }
    }
}

impl Offer {
    /// The deal it is sold by; `None` in the open auction.
    #[inline]
    pub fn sold_by<'q, 'r>(&self, request: &'q BidRequest<'r>) -> Option<&'q Deal<'r>> {
        self.deal.map(|deal| &request.deals_of(&request.imps[self.imp as usize])[deal as usize])
    }

    /// The size of what it would show; nothing of what has none, or fills the place.
    #[inline]
    pub fn size(&self, request: &BidRequest<'_>) -> Size {
        match self.shape {
            Shape::Banner(size) => size,
            Shape::Video => request.imps[self.imp as usize].video.as_ref().map_or(Size::default(), |video| video.size),
            Shape::Audio | Shape::Native => Size::default(),
        }
    }

    /// AdCOM placement position of what it would fill; 0 is unknown.
    #[inline]
    pub fn position(&self, request: &BidRequest<'_>) -> u8 {
        let imp = &request.imps[self.imp as usize];
        match self.shape {
            Shape::Banner(_) => imp.banner.as_ref().map_or(0, |banner| banner.pos),
            Shape::Video => imp.video.as_ref().map_or(0, |video| video.pos),
            Shape::Audio | Shape::Native => 0,
        }
    }

    /// What turns its price, which is in the account's currency, into money.
    #[inline]
    pub fn terms(&self, request: &BidRequest<'_>) -> Terms {
        Terms { multiplier: request.imps[self.imp as usize].multiplier, ..Terms::PLAIN }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bid::probe::Blind;

    #[test]
    fn the_last_to_fall_names_the_reason() {
        let offer = |campaign, price| Offer {
            campaign: CampaignIx(campaign),
            imp: 0,
            creative: 0,
            deal: None,
            shape: Shape::Banner(Size::default()),
            seconds: 0,
            estimate: Estimate::None,
            value: CpmMicros(0),
            floor: CpmMicros(0),
            price: CpmMicros(price),
        };
        let mut offers: Offers = [offer(1, 5), offer(2, 7)].into_iter().collect();
        assert_eq!(keep(&mut offers, &mut Blind, NoBidReason::Floor, |offer| offer.price.0 > 5), Ok(()));
        assert_eq!(offers.len(), 1);
        assert_eq!(keep(&mut offers, &mut Blind, NoBidReason::Budget, |_| false), Err(NoBidReason::Budget));
    }
}
