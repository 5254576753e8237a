//! Choosing: of the offers that are left, those that make the answer.
//!
//! For each impression the dearest, the earlier campaign on a tie, under these rules:
//!
//! * A campaign bids once in a response, so that one affordability check covers what it promises; one that takes a page
//!   whole is the exception, and its money is asked for bid by bid.
//! * Two advertisers that compete are not in one response.
//! * Deals and open bids are not held against each other by price (2.6 section 7.3): a guaranteed deal goes before a deal, a
//!   deal before the open auction. Where the exchange takes several bids for an impression there is one for each deal and
//!   up to [`limits::OPEN_BIDS`] open ones ("M+N").
//! * A dynamic pod is filled with the dearest seconds first, as long as time and places last (2.6 section 7.6).

use arrayvec::ArrayVec;

use crate::bid::offers::{Offer, Offers};
use crate::limits;
use crate::snapshot::campaign::{Campaign, Shape};
use crate::units::CampaignIx;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{BidRequest, Deal, Imp, Pod};

/// What the answer is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chosen {
    /// The winners, in the order of their impressions.
    pub winners: Winners,
    /// All of them or none (`seatbid.group`).
    pub together: bool,
}

/// The winners of one response.
pub type Winners = ArrayVec<Offer, { limits::BIDS }>;

/// What an exchange takes in one response.
#[derive(Clone, Copy, Debug, Default)]
pub struct Takes {
    /// Several bids for one impression: deals beside the open auction.
    pub several_for_one: bool,
    /// One bid in a response, and no more.
    pub single: bool,
}

/// Chooses. `campaign` looks a campaign up.
///
/// # Errors
/// [`NoBidReason::Together`]: only campaigns that take a page whole are left, and this page cannot be had whole.
pub fn choose<'s>(
    offers: &Offers,
    request: &BidRequest<'_>,
    takes: Takes,
    campaign: impl Fn(CampaignIx) -> &'s Campaign,
) -> Result<Chosen, NoBidReason> {
    let mut winners = Winners::new();
    for of_imp in offers.chunk_by(|a, b| a.imp == b.imp) {
        let imp = &request.imps[of_imp[0].imp as usize];
        let mut hall = Hall { of_imp, deals: request.deals_of(imp), winners: &mut winners, campaign: &campaign };
        match dynamic_pod(imp) {
            Some((shape, pod)) if of_imp.iter().any(|offer| offer.shape == shape) => hall.fill_pod(shape, pod),
            _ if takes.several_for_one && imp.deals.count > 0 => hall.one_for_each_deal(),
            _ => drop(hall.one(|_| true)),
        }
    }
    if takes.single && winners.len() > 1 {
        let best = winners
            .iter()
            .copied()
            .reduce(|best, offer| if ranks(&offer, request) > ranks(&best, request) { offer } else { best });
        winners = best.into_iter().collect();
    }
    let single = Chosen { winners, together: false };
    match whole_page(offers, request, takes, &campaign) {
        Some(page) if page.worth() > single.worth() && !single.is_promised(request) => Ok(page),
        _ if single.winners.is_empty() => Err(NoBidReason::Together),
        _ => Ok(single),
    }
}

impl Chosen {
    fn worth(&self) -> i64 {
        self.winners.iter().fold(0i64, |sum, offer| sum.saturating_add(offer.price.0))
    }

    /// A guaranteed deal must be bid on.
    fn is_promised(&self, request: &BidRequest<'_>) -> bool {
        self.winners
            .iter()
            .any(|offer| rank(offer, request.deals_of(&request.imps[offer.imp as usize])) == Rank::Guaranteed)
    }
}

/// What goes before what, whatever the price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Open,
    Deal,
    Guaranteed,
}

fn rank(offer: &Offer, deals: &[Deal<'_>]) -> Rank {
    match offer.deal.map(|deal| deals[deal as usize].guaranteed) {
        None => Rank::Open,
        Some(false) => Rank::Deal,
        Some(true) => Rank::Guaranteed,
    }
}

fn ranks(offer: &Offer, request: &BidRequest<'_>) -> (Rank, i64) {
    (rank(offer, request.deals_of(&request.imps[offer.imp as usize])), offer.price.0)
}

/// The dynamic pod of an impression, and of what it is.
fn dynamic_pod<'i>(imp: &'i Imp<'_>) -> Option<(Shape, &'i Pod<'i>)> {
    [(Shape::Video, &imp.video), (Shape::Audio, &imp.audio)].into_iter().find_map(|(shape, stream)| {
        let pod = stream.as_ref()?.pod.as_ref()?;
        pod.is_dynamic().then_some((shape, pod))
    })
}

/// Where the winners of one impression are found.
struct Hall<'h, 'i, C> {
    of_imp: &'h [Offer],
    deals: &'i [Deal<'i>],
    winners: &'h mut Winners,
    campaign: &'h C,
}

impl<'s, C: Fn(CampaignIx) -> &'s Campaign> Hall<'_, '_, C> {
    /// Whether the offer may join those that won already.
    fn is_free(&self, offer: &Offer) -> bool {
        let campaign = (self.campaign)(offer.campaign);
        !campaign.together
            && self
                .winners
                .iter()
                .all(|won| won.campaign != offer.campaign && (self.campaign)(won.campaign).bears(campaign))
    }

    /// Adds the best free offer among those wanted: by rank, then by price. False if there is none, or no room.
    fn add(&mut self, wanted: impl Fn(&Offer) -> bool, key: impl Fn(&Offer, &[Deal<'_>]) -> (Rank, u64)) -> bool {
        let free = self.of_imp.iter().filter(|offer| wanted(offer) && self.is_free(offer));
        let best = free.reduce(|best, offer| if key(offer, self.deals) > key(best, self.deals) { offer } else { best });
        best.copied().is_some_and(|best| self.winners.try_push(best).is_ok())
    }

    fn one(&mut self, wanted: impl Fn(&Offer) -> bool) -> bool {
        self.add(wanted, |offer, deals| (rank(offer, deals), offer.price.0 as u64))
    }

    fn one_for_each_deal(&mut self) {
        for deal in 0..self.deals.len() as u8 {
            self.one(|offer| offer.deal == Some(deal));
        }
        for _ in 0..limits::OPEN_BIDS {
            self.one(|offer| offer.deal.is_none());
        }
    }

    fn fill_pod(&mut self, shape: Shape, pod: &Pod<'_>) {
        let (mut seconds, mut places) = (pod.duration, pod.most_ads);
        while places > 0 {
            let per_second = |offer: &Offer, deals: &[Deal<'_>]| {
                (rank(offer, deals), offer.price.0 as u64 / u64::from(offer.seconds.max(1)))
            };
            if !self.add(|offer| offer.shape == shape && offer.seconds <= seconds, per_second) {
                break;
            }
            seconds -= self.winners.last().map_or(0, |won| won.seconds);
            places -= 1;
        }
    }
}

/// The best campaign that takes all impressions of the page, if the request names them all and there is one for each.
fn whole_page<'s>(
    offers: &Offers,
    request: &BidRequest<'_>,
    takes: Takes,
    campaign: impl Fn(CampaignIx) -> &'s Campaign,
) -> Option<Chosen> {
    let imps = request.imps.len();
    if !request.all_imps || imps > limits::BIDS || (takes.single && imps > 1) {
        return None;
    }
    let first = offers.iter().filter(|offer| offer.imp == 0 && campaign(offer.campaign).together);
    let pages = first.filter_map(|first| {
        // Of an impression's deals that it names, the best.
        let of_imp = |of_imp: &[Offer]| {
            let own = of_imp.iter().filter(|offer| offer.campaign == first.campaign);
            own.copied().reduce(|best, offer| if ranks(&offer, request) > ranks(&best, request) { offer } else { best })
        };
        let winners: Winners = offers.chunk_by(|a, b| a.imp == b.imp).filter_map(of_imp).collect();
        (winners.len() == imps).then_some(Chosen { winners, together: true })
    });
    pages.reduce(|best, page| if page.worth() > best.worth() { page } else { best })
}

#[cfg(test)]
mod tests;
