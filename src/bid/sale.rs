//! How an impression is sold to us: in which shapes, through which deals, from what price on.

use arrayvec::ArrayVec;

use crate::bid::eligible::Scene;
use crate::config::exchange::{Format, Formats};
use crate::limits;
use crate::snapshot::campaign::{Campaign, Shape};
use crate::snapshot::rates::NoRate;
use crate::snapshot::targeting::{self, Candidate};
use crate::units::CpmMicros;
use crate::wire::json::Raw;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{BidRequest, Deal, Imp};

/// One impression, as the targeting index is asked for it.
#[derive(Debug)]
pub struct Sale<'r> {
    /// What it can show, in the order of the request: banner sizes, then video, audio, native.
    pub shapes: ArrayVec<Shape, { limits::SHAPES }>,
    /// The ids of deals we may take.
    ids: ArrayVec<&'r [u8], { limits::DEALS }>,
    /// Their places among the impression's.
    places: ArrayVec<u8, { limits::DEALS }>,
    /// It is sold in the open auction too.
    open: bool,
    /// The least it could be sold for.
    least: CpmMicros,
}

impl<'r> Sale<'r> {
    /// What we may take of an impression.
    ///
    /// # Errors
    /// Why there is nothing: an id that another has, no format of ours, deals for others only, floors in a currency without a rate.
    pub fn of(request: &BidRequest<'r>, imp: &Imp<'r>, scene: &Scene<'_>) -> Result<Sale<'r>, NoBidReason> {
        let (exchange, exchanged) = (scene.exchange, scene.exchanged());
        if is_repeated(request, imp) {
            return Err(NoBidReason::NotABidRequest);
        }
        let shapes = shapes(imp, exchange.formats);
        if shapes.is_empty() {
            return Err(NoBidReason::Format);
        }
        let mut sale =
            Sale { shapes, ids: ArrayVec::new(), places: ArrayVec::new(), open: false, least: CpmMicros(i64::MAX) };
        let mut no_rate = None;
        for (deal, place) in request.deals_of(imp).iter().zip(0..) {
            if !invites(deal, &exchange.seat) {
                continue;
            }
            match exchanged.least_of_deal(deal) {
                Ok(floor) => {
                    sale.least = sale.least.min(floor);
                    sale.ids.push(deal.id.raw);
                    sale.places.push(place);
                }
                Err(why) => no_rate = Some(why),
            }
        }
        if !imp.private_auction {
            match exchanged.least_open(imp) {
                Ok(floor) => {
                    sale.least = sale.least.min(floor);
                    sale.open = true;
                }
                Err(why) => no_rate = Some(why),
            }
        }
        match no_rate {
            _ if sale.open || !sale.ids.is_empty() => Ok(sale),
            Some(why) => Err(refusal(why)),
            None => Err(NoBidReason::DealsOnly),
        }
    }

    /// The question for the index.
    #[inline]
    pub fn offer(&self) -> targeting::Offer<'_> {
        targeting::Offer { shapes: &self.shapes, floor: self.least, deals: &self.ids, deals_only: !self.open }
    }

    /// The deals a candidate offers for, by their places among the impression's: each that the campaign names; `None` is the
    /// open auction.
    #[inline]
    pub fn named_by(&self, candidate: &Candidate, campaign: &Campaign) -> impl Iterator<Item = Option<u8>> {
        let first = candidate.deal.map(usize::from);
        let more = first.map_or(&[][..], |first| &self.ids[first + 1..]);
        let named = |(at, id): (usize, &&[u8])| {
            campaign.targeting.deals.iter().any(|deal| deal.as_bytes() == *id).then_some(at)
        };
        let more = more.iter().enumerate().filter_map(named).map(move |at| first.unwrap_or(0) + 1 + at);
        std::iter::once(first).chain(more.map(Some)).map(|deal| deal.map(|deal| self.places[deal]))
    }

    /// Where among the impression's deals the one stands that the index names by its place in the question.
    #[inline]
    pub fn place(&self, deal: u8) -> u8 {
        self.places[deal as usize]
    }
}

/// Whether an impression before it has the same id: in a response nobody could tell the two apart, so the first stands for both.
#[inline]
fn is_repeated(request: &BidRequest<'_>, imp: &Imp<'_>) -> bool {
    let before = request.imps.iter().take_while(|other| !std::ptr::eq(*other, imp));
    before.into_iter().any(|other| other.id.is(imp.id))
}

/// Why a floor cannot be held against a price.
pub fn refusal(why: NoRate) -> NoBidReason {
    match why {
        NoRate::Unknown => NoBidReason::FloorCurrency,
        NoRate::Stale => NoBidReason::StaleFloorRate,
    }
}

/// What an impression can show, of what may be shown on this exchange.
fn shapes(imp: &Imp<'_>, formats: Formats) -> ArrayVec<Shape, { limits::SHAPES }> {
    let mut shapes = ArrayVec::new();
    if let Some(banner) = imp.banner.as_ref().filter(|_| formats.contains(Format::Banner)) {
        shapes.extend(banner.sizes.iter().map(|&size| Shape::Banner(size)));
    }
    let present = [
        (Shape::Video, formats.contains(Format::Video) && imp.video.is_some()),
        (Shape::Audio, formats.contains(Format::Audio) && imp.audio.is_some()),
        (Shape::Native, formats.contains(Format::Native) && imp.native.is_some()),
    ];
    shapes.extend(present.into_iter().filter(|&(_, present)| present).map(|(shape, _)| shape));
    shapes
}

/// Whether the deal is open to our seat (`deal.wseat`); one whose id needs escapes is nobody's.
fn invites(deal: &Deal<'_>, seat: &str) -> bool {
    !deal.id.escaped && (deal.wseat.is_empty() || holds(deal.wseat, seat))
}

/// Whether a list of strings holds this one, letter for letter.
pub fn holds(list: Raw<'_>, wanted: &str) -> bool {
    list.strings().any(|text| text.eq_str(wanted))
}

/// Whether a deal takes these advertisers (`deal.wadomain`, 2.6 section 3.2.12): all of them must be named, or below a domain
/// that is.
pub fn welcomes(deal: &Deal<'_>, adomain: &[String]) -> bool {
    let named = |domain: &String| {
        deal.wadomain.strings().any(|listed| {
            let mut room = [0; 256];
            let listed = listed.unescape(&mut room).unwrap_or_default();
            !listed.is_empty() && targeting::below(domain.as_bytes(), listed)
        })
    };
    deal.wadomain.is_empty() || adomain.iter().all(named)
}
