//! Shades bids in first-price auctions: the curves that the reconciliation core has learnt, by cell, and the share of bids that are
//! made to learn from.

use crate::bid::admit::{Exchange, Exchanges};
use crate::bid::answer::Backed;
use crate::bid::offers::Offer;
use crate::bid::paper::Heard;
use crate::config::shading::Auctions;
use crate::metrics::core::CoreMetrics;
use crate::ring::message::{Agreed, Ended, Event, NoticeKind, NoticePrice, Reserved, Shaded, Told};
use crate::ring::spsc::EventSender;
use crate::shading::Arm;
use crate::shading::cell::{CELLS, Cell, Placement};
use crate::shading::curve::Curve;
use crate::shading::explore::{self, Share};
use crate::snapshot::campaign::Shape;
use crate::snapshot::rates::floor_in_account;
use crate::splitmix;
use crate::units::{CpmMicros, ExchangeId, Now};
use crate::wire::openrtb::request::BidRequest;

/// The curves of all exchanges that are shaded, and the draws of this core.
#[derive(Debug)]
pub struct Shades {
    /// By exchange; nothing where bids are not shaded.
    curves: Box<[Option<Box<[Curve]>>]>,
    draws: u64,
}

/// How the bids of one auction are shaded.
#[derive(Clone, Copy, Debug)]
pub struct Shade<'s> {
    curves: &'s [Curve],
    exchange: ExchangeId,
    hour: u8,
    /// Whether bids are drawn, and how: one draw for all bids of a request, so that their order stays.
    drawn: Option<u32>,
    /// The same where nothing is learnt yet.
    drawn_wide: Option<u32>,
}

impl Shades {
    /// None is known yet.
    pub fn new(exchanges: &Exchanges) -> Shades {
        let curves = |exchange: &Exchange| {
            (exchange.shading.arm != Arm::None).then(|| vec![Curve::None; CELLS].into_boxed_slice())
        };
        Shades { curves: exchanges.iter().map(curves).collect(), draws: 0 }
    }

    /// Carries out [`crate::ring::message::Order::Curve`].
    pub fn learn(&mut self, cell: Cell, curve: Curve) {
        if let Some(Some(curves)) = self.curves.get_mut(usize::from(cell.exchange.0)) {
            curves[cell.place()] = curve;
        }
    }

    /// How the bids of a request are shaded: not at all where its auction is none of first price, or the exchange has no arm.
    #[inline]
    pub fn open(&mut self, exchange: &Exchange, request: &BidRequest<'_>, now: Now) -> Option<Shade<'_>> {
        let curves = self.curves.get(usize::from(exchange.id.0))?.as_deref()?;
        if exchange.shading.auctions == Auctions::AsRequested && request.at != FIRST_PRICE {
            return None;
        }
        let draw = splitmix::next(&mut self.draws);
        let (whether, which) = ((draw >> 32) as u32, draw as u32);
        let explore = exchange.shading.share();
        let of = |share: Share| share.takes(whether).then_some(which);
        Some(Shade {
            curves,
            exchange: exchange.id,
            hour: now.wall.hour(),
            drawn: of(explore),
            drawn_wide: of(if explore == Share::default() { explore } else { Share::HALF }),
        })
    }
}

/// What a notice says of a bid's price; nothing where that is not learnt from.
pub fn told(exchange: &Exchange, heard: &Heard) -> Option<Told> {
    let &Heard { kind, price, loss, to_win, ref claim, .. } = heard;
    if exchange.shading.arm == Arm::None || claim.agreed.any(Agreed::TEST) {
        return None;
    }
    let (ended, priced) = match kind {
        NoticeKind::Win | NoticeKind::Bill => (Ended::Won, None),
        // A loss that names the clearing price names what there was to beat.
        NoticeKind::Loss if loss.is_none_or(is_about_price) => match price {
            NoticePrice::Cpm(price) if price > CpmMicros(0) => (Ended::Outbid, Some(price)),
            _ => (Ended::Outbid, None),
        },
        NoticeKind::Loss => (Ended::Void, None),
        // The impression was billed.
        NoticeKind::Click | NoticeKind::Conversion => return None,
    };
    let to_win = to_win.or(priced).map(|price| floor_in_account(price, claim.terms.rate));
    Some(Told { reservation: claim.reservation, exchange: exchange.id, ended, to_win })
}

/// Whether a loss is about the price (OpenRTB 2.5 section 5.25): below the floor, below the deal's, a higher bid. All others would have
/// been lost at any price.
const fn is_about_price(loss: u16) -> bool {
    matches!(loss, 100..=102)
}

/// `BidRequest.at` of a first-price auction (OpenRTB 2.6 section 3.2.1).
const FIRST_PRICE: u16 = 1;

impl Shade<'_> {
    /// Where an offer's price is learnt.
    #[inline]
    pub fn cell(&self, request: &BidRequest<'_>, offer: &Offer) -> Cell {
        let placement = match offer.shape {
            Shape::Banner(size) => Placement::banner(u32::from(size.w), u32::from(size.h)),
            Shape::Video => Placement::video(offer.size(request).w.into()),
            Shape::Audio => Placement::Audio,
            Shape::Native => Placement::Native,
        };
        Cell::new(self.exchange, placement, self.hour)
    }

    /// The curve of a cell: its own, or that of the one above.
    #[inline]
    pub fn curve(&self, cell: Cell) -> &Curve {
        let mut next = Some(cell);
        while let Some(cell) = next {
            let curve = &self.curves[cell.place()];
            if *curve != Curve::None {
                return curve;
            }
            next = cell.parent();
        }
        &Curve::None
    }

    /// What to bid on an offer that is worth its value, and for which no more than `most` is bid: nothing below its floor and nothing
    /// above either. Where these leave no room, the lesser of the two.
    #[inline]
    pub fn bid(&self, request: &BidRequest<'_>, offer: &Offer, most: CpmMicros) -> CpmMicros {
        let most = most.min(offer.value);
        let least = offer.floor.max(CpmMicros(1));
        if most <= least {
            return most;
        }
        let curve = self.curve(self.cell(request, offer));
        let best = curve.best(offer.value, offer.floor, most);
        match (curve, self.drawn, self.drawn_wide) {
            (Curve::None, _, Some(which)) => explore::wide(least, most, which),
            (Curve::None, ..) | (_, None, _) => best,
            (_, Some(which), _) => explore::near(best, least, most, which),
        }
    }

    /// Has the bids of an answer watched, as far as there is room, and counts them.
    pub fn made(
        &self,
        request: &BidRequest<'_>,
        bids: &[(Backed, Reserved)],
        events: &mut EventSender,
        metrics: &CoreMetrics,
    ) {
        let open = bids.iter().filter(|(backed, _)| backed.is_held() && backed.offer.deal.is_none());
        for (Backed { offer, .. }, reserved) in open {
            let cell = self.cell(request, offer);
            let wide = *self.curve(cell) == Curve::None && self.drawn_wide.is_some();
            metrics.shaded.add(1);
            metrics.shaded_explored.add(u64::from(wide || self.drawn.is_some()));
            metrics.shaded_worth_micros.add(offer.value.0.max(0).cast_unsigned());
            metrics.shaded_bid_micros.add(offer.price.0.max(0).cast_unsigned());
            let shaded = Shaded { reservation: reserved.reservation, cell, bid: offer.price };
            // What finds no room is not learnt from.
            let _ = events.offer(Event::Shaded(shaded));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::ring::message::Claim;
    use crate::units::{
        ArmId, BidId, CampaignId, ExchangeKey, Incarnation, LeaseId, Multiplier, NodeId, PathKey, Rate, ReservationId,
        Terms, UnixMillis, UserKey,
    };

    fn exchange(arm: Arm) -> Exchange {
        let mut config = Config::demo(std::path::Path::new("x"));
        config.exchanges[0].shading.arm = arm;
        Exchanges::new(&config).iter().next().unwrap().clone()
    }

    fn heard(kind: NoticeKind, loss: Option<u16>, price: NoticePrice, to_win: Option<i64>, agreed: Agreed) -> Heard {
        let claim = Claim {
            reservation: ReservationId(7),
            lease: LeaseId(1),
            price: CpmMicros(2_000_000),
            // A unit of the bid's currency is two of ours.
            terms: Terms { rate: Rate(2 * Rate::ONE.0), multiplier: Multiplier::ONE },
            expires: UnixMillis(1),
            user: UserKey::NOBODY,
            bid: BidId([0; 16]),
            campaign: CampaignId(1),
            incarnation: Incarnation(1),
            node: NodeId(1),
            exchange: ExchangeKey(1),
            agreed,
            creative: 0,
        };
        let (multiplier, path, arm, to_win) = (Multiplier::ONE, PathKey::NONE, ArmId(0), to_win.map(CpmMicros));
        Heard { kind, price, multiplier, path, arm, loss, to_win, claim }
    }

    /// OpenRTB 2.5 section 5.25, by what each reason says of the price.
    #[test]
    fn a_loss_for_another_reason_than_the_price_says_nothing_of_it() {
        let shading = exchange(Arm::LogNormal);
        let told = |kind, loss, price, to_win| {
            let told = told(&shading, &heard(kind, loss, price, to_win, Agreed::NOTHING))?;
            assert_eq!((told.reservation, told.exchange), (ReservationId(7), ExchangeId(0)));
            Some((told.ended, told.to_win.map(|price| price.0)))
        };
        let (empty, clearing) = (NoticePrice::Empty, NoticePrice::Cpm(CpmMicros(3_000_000)));
        for kind in [NoticeKind::Win, NoticeKind::Bill] {
            assert_eq!(told(kind, None, clearing, None), Some((Ended::Won, None)), "what it pays is its own bid");
            assert_eq!(told(kind, None, clearing, Some(1_500_000)), Some((Ended::Won, Some(3_000_000))));
        }
        for reason in [None, Some(100), Some(101), Some(102)] {
            assert_eq!(told(NoticeKind::Loss, reason, empty, None), Some((Ended::Outbid, None)), "{reason:?}");
            assert_eq!(told(NoticeKind::Loss, reason, clearing, None), Some((Ended::Outbid, Some(6_000_000))));
            let both = told(NoticeKind::Loss, reason, clearing, Some(2_500_000));
            assert_eq!(both, Some((Ended::Outbid, Some(5_000_000))));
        }
        for reason in [0, 1, 2, 3, 10, 99, 103, 104, 200, 203, 1000] {
            assert_eq!(told(NoticeKind::Loss, Some(reason), clearing, None), Some((Ended::Void, None)), "{reason}");
        }
        for kind in [NoticeKind::Click, NoticeKind::Conversion] {
            assert_eq!(told(kind, None, empty, None), None);
        }
    }

    #[test]
    fn tests_and_exchanges_without_an_arm_teach_nothing() {
        let win = |agreed| heard(NoticeKind::Win, None, NoticePrice::Empty, Some(1), agreed);
        assert_eq!(told(&exchange(Arm::Empirical), &win(Agreed::TEST)), None);
        assert_eq!(told(&exchange(Arm::None), &win(Agreed::NOTHING)), None);
        assert!(told(&exchange(Arm::Empirical), &win(Agreed::NOTHING)).is_some());
    }
}
