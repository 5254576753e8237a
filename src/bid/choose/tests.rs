use super::*;
use crate::bid::offers::Estimate;
use crate::snapshot::campaign::Slots;
use crate::snapshot::demo;
use crate::units::{AdvertiserId, CpmMicros};
use crate::wire::openrtb::request::{DealRange, Size, Stream};
use proptest::prelude::*;

/// Ten campaigns: advertisers 0 to 4, of whom 0 and 1 compete; the last takes pages whole.
fn campaigns() -> Vec<Campaign> {
    let mut campaigns = demo::built_in(&mut Slots::new());
    campaigns.truncate(10);
    for (at, campaign) in campaigns.iter_mut().enumerate() {
        campaign.advertiser = AdvertiserId(at as u32 / 2);
        campaign.competes = if at < 4 { [7].into() } else { [].into() };
        campaign.together = at == 9;
    }
    campaigns
}

fn offer(imp: u8, campaign: u32, price: i64) -> Offer {
    Offer {
        imp,
        campaign: CampaignIx(campaign),
        creative: 0,
        deal: None,
        shape: Shape::Banner(Size::default()),
        seconds: 0,
        estimate: Estimate::None,
        value: CpmMicros(0),
        floor: CpmMicros(0),
        price: CpmMicros(price),
    }
}

fn request(imps: usize) -> BidRequest<'static> {
    let mut request = BidRequest::default();
    request.imps.extend((0..imps).map(|_| Imp::default()));
    request
}

fn chosen(offers: &[Offer], request: &BidRequest<'_>, takes: Takes) -> Result<Vec<(u8, u32)>, NoBidReason> {
    let campaigns = campaigns();
    let offers: Offers = offers.iter().copied().collect();
    choose(&offers, request, takes, |at| &campaigns[at.0 as usize])
        .map(|chosen| chosen.winners.iter().map(|won| (won.imp, won.campaign.0)).collect())
}

/// Gives the first impression deals.
fn deals(request: &mut BidRequest<'_>, guaranteed: &[bool]) {
    let deal = |&guaranteed| Deal { guaranteed, ..Deal::default() };
    request.deals = guaranteed.iter().map(deal).collect();
    request.imps[0].deals = DealRange { first: 0, count: guaranteed.len() as u8 };
}

#[test]
fn deals_are_not_held_against_open_bids() {
    let mut request = request(1);
    deals(&mut request, &[false, true]);
    let with = |campaign, price, deal| Offer { deal: Some(deal), ..offer(0, campaign, price) };
    let offers = [offer(0, 4, 900), offer(0, 5, 800), offer(0, 6, 700), with(7, 100, 0), with(8, 50, 1)];
    assert_eq!(chosen(&offers, &request, Takes::default()), Ok(vec![(0, 8)]));
    assert_eq!(chosen(&offers[..4], &request, Takes::default()), Ok(vec![(0, 7)]));
    assert_eq!(chosen(&offers[..3], &request, Takes::default()), Ok(vec![(0, 4)]));
    // M+N: one for each deal, two in the open.
    let several = Takes { several_for_one: true, single: false };
    assert_eq!(chosen(&offers, &request, several), Ok(vec![(0, 7), (0, 8), (0, 4), (0, 5)]));
    let single = Takes { several_for_one: true, single: true };
    assert_eq!(chosen(&offers, &request, single), Ok(vec![(0, 8)]));
}

#[test]
fn competitors_are_kept_apart() {
    let request = request(2);
    // 0 and 1 are of one advertiser, 2 of its competitor.
    assert_eq!(
        chosen(&[offer(0, 0, 9), offer(1, 2, 9), offer(1, 1, 5)], &request, Takes::default()),
        Ok(vec![(0, 0), (1, 1)])
    );
    assert_eq!(chosen(&[offer(0, 0, 9), offer(1, 2, 9)], &request, Takes::default()), Ok(vec![(0, 0)]));
    assert_eq!(chosen(&[offer(0, 0, 9), offer(1, 4, 9)], &request, Takes::default()), Ok(vec![(0, 0), (1, 4)]));
}

#[test]
fn a_page_is_taken_whole_or_not_at_all() {
    let mut request = request(2);
    let page = [offer(0, 4, 10), offer(0, 9, 8), offer(1, 5, 4), offer(1, 9, 8)];
    assert_eq!(chosen(&page, &request, Takes::default()), Ok(vec![(0, 4), (1, 5)]));
    request.all_imps = true;
    assert_eq!(chosen(&page, &request, Takes::default()), Ok(vec![(0, 9), (1, 9)]));
    let dear = [offer(0, 4, 13), page[1], page[2], page[3]];
    assert_eq!(chosen(&dear, &request, Takes::default()), Ok(vec![(0, 4), (1, 5)]));
    assert_eq!(chosen(&page[1..2], &request, Takes::default()), Err(NoBidReason::Together));
    assert_eq!(chosen(&page, &request, Takes { single: true, ..Takes::default() }), Ok(vec![(0, 4)]));
    // What was promised is kept.
    deals(&mut request, &[true]);
    let promised = [Offer { deal: Some(0), ..page[0] }, page[1], page[2], page[3]];
    assert_eq!(chosen(&promised, &request, Takes::default()), Ok(vec![(0, 4), (1, 5)]));
}

proptest! {
    /// Impression by impression, the best of the campaigns not used yet and not in the way of one that is, found by sorting.
    #[test]
    fn best_of_each_impression_without_bidding_a_campaign_twice(
        drawn in prop::collection::btree_map((0u8..6, 0u32..9), 1i64..6, 1..40),
    ) {
        let campaigns = campaigns();
        let offers: Vec<Offer> = drawn.iter().map(|(&(imp, campaign), &price)| offer(imp, campaign, price)).collect();
        let mut expected: Vec<(u8, u32)> = Vec::new();
        for imp in 0..6 {
            let mut of_imp: Vec<Offer> = offers.iter().copied().filter(|offer| offer.imp == imp).collect();
            of_imp.sort_by_key(|offer| std::cmp::Reverse(offer.price));
            let may = |offer: &Offer| expected.iter().all(|&(_, won)| {
                let (a, b) = (won as usize, offer.campaign.0 as usize);
                let compete = a < 4 && b < 4 && campaigns[a].advertiser != campaigns[b].advertiser;
                a != b && !compete
            });
            let best = of_imp.into_iter().find(may);
            expected.extend(best.map(|offer| (offer.imp, offer.campaign.0)));
        }
        prop_assert_eq!(chosen(&offers, &request(6), Takes::default()), Ok(expected));
    }

    /// A pod never holds more seconds or ads than it has room for, no campaign twice, and nothing that would still fit.
    #[test]
    fn a_pod_is_filled_and_not_overfilled(
        drawn in prop::collection::btree_map(4u32..9, (1i64..100, 5u16..40), 1..6),
        duration in 1u16..120,
        most_ads in 1u8..5,
    ) {
        let mut request = request(1);
        let pod = Pod { duration, most_ads, ..Pod::default() };
        request.imps[0].video = Some(Stream { pod: Some(pod), ..Stream::default() });
        let offers: Vec<Offer> = drawn
            .iter()
            .map(|(&campaign, &(price, seconds))| Offer { seconds, shape: Shape::Video, ..offer(0, campaign, price * 1_000_000) })
            .collect();
        let won = chosen(&offers, &request, Takes::default());
        let won = match won {
            Err(no) => {
                prop_assert_eq!(no, NoBidReason::Together);
                Vec::new()
            }
            Ok(won) => won,
        };
        let seconds = |campaign: u32| drawn[&campaign].1;
        let filled: u16 = won.iter().map(|&(_, campaign)| seconds(campaign)).sum();
        prop_assert!(filled <= duration && won.len() <= most_ads as usize);
        for &campaign in drawn.keys().filter(|&&campaign| won.iter().all(|&(_, won)| won != campaign)) {
            prop_assert!(won.len() == most_ads as usize || filled + seconds(campaign) > duration);
        }
    }
}
