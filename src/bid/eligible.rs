//! The match: which campaigns want which impressions, and may have them.
//!
//! The targeting index says who wants an impression. Who may have it is the exchange's and the publisher's word: formats
//! and players, deals and seats, blocked categories and advertisers, languages, HTTPS only.

use crate::bid::Outcome;
use crate::bid::admit::Exchange;
use crate::bid::asked::{self, Unescaped};
use crate::bid::blocks::Blocks;
use crate::bid::comply::Leave;
use crate::bid::fits::Place;
use crate::bid::floor::Exchanged;
use crate::bid::offers::{Offer, Offers};
use crate::bid::probe::{Probe, Sight};
use crate::bid::sale::{self, Sale, welcomes};
use crate::bid::user::User;
use crate::config::exchange::{Field, Version};
use crate::limits;
use crate::snapshot::Snapshot;
use crate::snapshot::calendar::Hours;
use crate::snapshot::campaign::{Ad, Campaign, Shape};
use crate::snapshot::marks::CONTENT_1_0;
use crate::snapshot::model::Features;
use crate::snapshot::targeting::{Candidates, Query};
use crate::units::{CpmMicros, Now};
use crate::wire::json::Scratch;
use crate::wire::openrtb::agent::Agents;
use crate::wire::openrtb::native::NativeRequest;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{BidRequest, Imp, Parts};

/// Memory of the match that outlives a request.
#[derive(Debug, Default)]
pub struct Memory {
    candidates: Box<Candidates>,
    blocks: Box<Blocks>,
    unescaped: Box<Unescaped>,
    native: Natives,
    hours: Box<Hours>,
    agents: Agents,
}

/// What is decided about: one request of one exchange, at one moment, with one snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'s> {
    /// What we decide with.
    pub snapshot: &'s Snapshot,
    /// Who asks.
    pub exchange: &'s Exchange,
    /// When.
    pub now: Now,
}

impl<'s> Scene<'s> {
    /// What floors in other currencies are worth now.
    #[inline]
    pub fn exchanged(&self) -> Exchanged<'s> {
        Exchanged { rates: &self.snapshot.rates, now: self.now.wall }
    }
}

impl Memory {
    /// Fills `offers` with who wants which impression and may have it; the reason if nobody does. Reads of the request what
    /// it comes to need.
    #[inline]
    pub fn find<'r, P: Probe>(
        &mut self,
        scene: Scene<'_>,
        parts: &mut Parts<'r, '_>,
        request: &mut BidRequest<'r>,
        leave: &Leave,
        offers: &mut Offers,
        probe: &mut P,
    ) -> Result<(), Outcome> {
        offers.clear();
        parts.impressions(request)?;
        // Whoever sells nothing we may take costs no look at site, device and user.
        let (mut reason, first, sale) = first_sold(request, scene, probe)?;
        let mut first_sale = Some(sale);
        let Memory { candidates, blocks, unescaped, native: natives, hours, agents } = self;
        let snapshot = scene.snapshot;
        let place = asked::read(snapshot, parts, request, agents, leave)?;
        let request = &*request;
        hours.refresh(&snapshot.calendar, snapshot.version, scene.now.wall);
        let categories = asked::categories(request);
        let asked = unescaped.asked(request, scene, place.as_ref(), &categories, hours.each());
        let query = snapshot.targeting.query(&asked);
        let mut blocks_filled = false;
        for (imp, at) in request.imps.iter().zip(0..).skip(first) {
            let sale = match first_sale.take().map_or_else(|| Sale::of(request, imp, &scene), Ok) {
                Ok(sale) => sale,
                Err(no) => {
                    probe.unsold(scene, request, at, no);
                    reason = reason.max(no);
                    continue;
                }
            };
            let listed = list(snapshot, &query, &sale, candidates);
            probe.listed(Sight { scene, request, asked: &asked, imp, at, sale: &sale, candidates, natives });
            if let Err(no) = listed {
                reason = reason.max(no);
                continue;
            }
            if !blocks_filled {
                blocks.fill(request)?;
                blocks_filled = true;
            }
            let place = place_of(scene, request, imp, natives);
            // None of many impressions takes the room of the others.
            let room = (offers.len() + limits::CANDIDATES / request.imps.len()).min(limits::CANDIDATES);
            for candidate in candidates.iter() {
                if offers.len() >= room {
                    break;
                }
                let campaign = snapshot.campaign(candidate.campaign);
                let listed = Offer::of(candidate, at, &sale, campaign);
                let (before, mut refused) = (offers.len(), None);
                for deal in sale.named_by(candidate, campaign) {
                    let mut offer = Offer { deal, ..listed };
                    match settle(&mut offer, campaign, &sale, &place, blocks, &scene.exchanged()) {
                        Err(no) => drop(refused.get_or_insert((offer, no))),
                        Ok(()) if offers.try_push(offer).is_err() => return Ok(()),
                        Ok(()) => {}
                    }
                }
                if let Some((offer, no)) = refused.filter(|_| offers.len() == before) {
                    reason = reason.max(no);
                    probe.dropped(&offer, no);
                }
            }
        }
        if offers.is_empty() { Err(reason.into()) } else { Ok(()) }
    }

    /// What user agents say, as far as they were asked about lately.
    pub fn agents(&mut self) -> &mut Agents {
        &mut self.agents
    }

    /// What the native placement of an impression asks for.
    pub fn native(&mut self, imp: &Imp<'_>) -> &NativeRequest {
        self.native.of(imp)
    }
}

/// The first impression that is sold to us: why those before it are not, its place, and its sale. The reason if none is.
fn first_sold<'r, P: Probe>(
    request: &BidRequest<'r>,
    scene: Scene<'_>,
    probe: &mut P,
) -> Result<(NoBidReason, usize, Sale<'r>), NoBidReason> {
    let mut reason = NoBidReason::Format;
    for (imp, at) in request.imps.iter().zip(0u8..) {
        match Sale::of(request, imp, &scene) {
            Ok(sale) => return Ok((reason, at.into(), sale)),
            Err(no) => {
                probe.unsold(scene, request, at, no);
                reason = reason.max(no);
            }
        }
    }
    Err(reason)
}

/// Lists the candidates of one impression; the reason if there are none.
#[inline]
fn list(snapshot: &Snapshot, query: &Query, sale: &Sale<'_>, candidates: &mut Candidates) -> Result<(), NoBidReason> {
    let matched = snapshot.targeting.candidates(query, &sale.offer(), candidates);
    match candidates.is_empty() {
        false => Ok(()),
        true if matched.below_floor => Err(NoBidReason::FloorAbove),
        true => Err(NoBidReason::NoMatch),
    }
}

/// The place that an impression is.
#[inline]
pub fn place_of<'p>(
    scene: Scene<'_>,
    request: &'p BidRequest<'p>,
    imp: &'p Imp<'p>,
    natives: &'p mut Natives,
) -> Place<'p> {
    let rules = &scene.exchange.rules;
    let taxonomy = if rules.openrtb >= Version::V2_6 { request.cattax } else { CONTENT_1_0 };
    let native = natives.of(imp);
    Place { imp, deals: request.deals_of(imp), native, required: rules.required, taxonomy, languages: request.wlang }
}

/// Settles what an offer is: its creative, its floor, and that nobody forbids it.
#[inline]
fn settle(
    offer: &mut Offer,
    campaign: &Campaign,
    sale: &Sale<'_>,
    place: &Place<'_>,
    blocks: &Blocks,
    exchanged: &Exchanged<'_>,
) -> Result<(), NoBidReason> {
    // Categories are the campaign's; an exchange may refuse a bid without.
    if place.required.contains(Field::Cat) && campaign.categories(place.taxonomy).1 == b"[]" {
        return Err(NoBidReason::NoCreative);
    }
    if blocks.hold(campaign) {
        return Err(NoBidReason::Blocked);
    }
    let deal = offer.deal.map(|deal| &place.deals[deal as usize]);
    if deal.is_some_and(|deal| !welcomes(deal, &campaign.adomain)) {
        return Err(NoBidReason::Blocked);
    }
    let fit = |creative: u8, shape| {
        let ad = &campaign.creatives[creative as usize];
        place.takes(ad, shape)?;
        let playing = match (&ad.ad, shape) {
            (Ad::Video(ad), Shape::Video) => place.imp.video.as_ref().zip(Some(ad.duration)),
            (Ad::Audio(ad), Shape::Audio) => place.imp.audio.as_ref().zip(Some(ad.duration)),
            _ => None,
        };
        let floor = exchanged.of(place.imp, deal, playing).map_err(sale::refusal)?;
        let seconds = playing.map_or(0, |(_, seconds)| seconds);
        if offer.price < floor { Err(NoBidReason::FloorAbove) } else { Ok(Fit { creative, shape, seconds, floor }) }
    };
    let fit = fit(offer.creative, offer.shape).or_else(|no| another(campaign, sale, fit).ok_or(no))?;
    (offer.creative, offer.shape, offer.seconds, offer.floor) = (fit.creative, fit.shape, fit.seconds, fit.floor);
    Ok(())
}

/// A creative in its place.
struct Fit {
    creative: u8,
    shape: Shape,
    seconds: u16,
    floor: CpmMicros,
}

/// The creative that stands in when the first of the right shape may not be shown or is not worth its floor: first shape
/// offered first, as ever.
#[cold]
fn another(campaign: &Campaign, sale: &Sale<'_>, fit: impl Fn(u8, Shape) -> Result<Fit, NoBidReason>) -> Option<Fit> {
    let creatives = 0..campaign.creatives.len() as u8;
    sale.shapes.iter().find_map(|&shape| creatives.clone().find_map(|creative| fit(creative, shape).ok()))
}

/// Reads native placements: documents in a string of the document.
#[derive(Debug)]
pub struct Natives {
    read: Box<NativeRequest>,
    room: Box<[u8]>,
    scanner: Scratch,
}

impl Default for Natives {
    fn default() -> Self {
        Natives {
            read: Box::default(),
            room: vec![0; limits::NATIVE_BYTES].into(),
            scanner: Scratch::new(limits::NATIVE_BYTES),
        }
    }
}

impl Natives {
    /// What the impression's native placement asks for; nothing if there is none. One that cannot be read asks for nothing,
    /// and gets nothing.
    pub fn of(&mut self, imp: &Imp<'_>) -> &NativeRequest {
        let Natives { read, room, scanner } = self;
        read.assets.clear();
        if let Some(native) = imp.native
            && read.read(native.request, room, scanner).is_err()
        {
            read.assets.clear();
        }
        read
    }
}

/// What the model is told of a request; [`features_of`] adds what it is told of an offer.
pub fn features(request: &BidRequest<'_>, user: &User<'_>, now: Now) -> Features {
    Features {
        device: request.device.kind,
        channel: request.channel,
        hour: now.wall.hour(),
        segments: user.profile().map(|profile| profile.segments.len()),
        ..Features::default()
    }
}

/// What the model is told of one offer.
#[inline]
pub fn features_of(features: &Features, request: &BidRequest<'_>, offer: &Offer) -> Features {
    Features { position: offer.position(request), size: offer.size(request), ..*features }
}
