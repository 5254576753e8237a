//! The match: which campaigns want which impressions, and may have them.
//!
//! The targeting index says who wants an impression. Who may have it is the publisher's word: blocked categories and
//! advertisers, blocked creative types and attributes, HTTPS only. What a simple campaign cannot honour is not offered:
//! deal-only impressions, formats other than banner, floors in a currency without a rate.

use arrayvec::ArrayVec;

use crate::bid::Outcome;
use crate::bid::admit::Exchange;
use crate::bid::comply::CURRENCY;
use crate::bid::offers::{Offer, Offers};
use crate::bid::probe::Probe;
use crate::bid::user::User;
use crate::limits;
use crate::snapshot::Snapshot;
use crate::snapshot::campaign::{Campaign, Creative};
use crate::snapshot::marks;
use crate::snapshot::model::Features;
use crate::snapshot::targeting::{self, Asked, Candidates, Query, host};
use crate::units::{CpmMicros, Now};
use crate::wire::json::{Raw, Text};
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{Banner, BidRequest, Channel, Imp, Parts, Size};

/// Memory of the match that outlives a request.
#[derive(Debug, Default)]
pub struct Memory {
    candidates: Box<Candidates>,
    blocks: Blocks,
    unescaped: Unescaped,
}

impl Memory {
    /// Fills `offers` with who wants which impression and may have it; the reason if nobody does. Reads of the request what
    /// it comes to need.
    #[inline]
    pub fn find<'r, P: Probe>(
        &mut self,
        snapshot: &Snapshot,
        parts: &mut Parts<'r, '_>,
        request: &mut BidRequest<'r>,
        asking: (&Exchange, Now),
        offers: &mut Offers,
        probe: &mut P,
    ) -> Result<(), Outcome> {
        offers.clear();
        parts.impressions(request)?;
        asking.0.formats.limit(&mut request.imps);
        let unwanted = |worst: NoBidReason, imp| wanted(imp).err().map(|no| worst.max(no));
        if let Some(reason) = request.imps.iter().try_fold(NoBidReason::Format, unwanted) {
            return Err(reason.into());
        }
        parts.inventory(request)?;
        let request = &*request;
        let query = snapshot.targeting.query(&asked(request, asking, &mut self.unescaped));
        let mut reason = NoBidReason::Format;
        for (index, imp) in request.imps.iter().enumerate() {
            let listed = wanted(imp).and_then(|banner| self.list(snapshot, &query, imp, banner).map(|()| banner));
            let banner = match listed {
                Ok(banner) => banner,
                Err(no) => {
                    reason = reason.max(no);
                    continue;
                }
            };
            if reason < NoBidReason::Blocked {
                reason = NoBidReason::Blocked;
                self.blocks.fill(request)?;
            }
            for candidate in self.candidates.iter() {
                let campaign = snapshot.campaign(candidate.campaign);
                let mut offer = Offer {
                    campaign: candidate.campaign,
                    imp: index as u8,
                    creative: candidate.creative,
                    size: candidate.size,
                    score: 0,
                    price: campaign.cpm,
                };
                let fitting = match fits(&campaign.creatives[candidate.creative as usize], imp, banner) {
                    true => Some((candidate.creative, candidate.size)),
                    false => another(campaign, imp, banner),
                };
                if let Some(fitting) = fitting {
                    (offer.creative, offer.size) = fitting;
                }
                if fitting.is_none() || self.blocks.hold(campaign) {
                    probe.dropped(&offer, NoBidReason::Blocked);
                } else if offers.try_push(offer).is_err() {
                    return Ok(());
                }
            }
        }
        if offers.is_empty() { Err(reason.into()) } else { Ok(()) }
    }

    /// Lists the candidates of one impression.
    fn list(&mut self, snapshot: &Snapshot, query: &Query, imp: &Imp<'_>, banner: &Banner) -> Result<(), NoBidReason> {
        let offer = targeting::Offer { sizes: &banner.sizes, floor: imp.floor };
        let matched = snapshot.targeting.candidates(query, &offer, &mut self.candidates);
        match self.candidates.is_empty() {
            false => Ok(()),
            true if matched.below_floor => Err(NoBidReason::FloorAbove),
            true => Err(NoBidReason::NoMatch),
        }
    }
}

/// The banner of an impression we may bid on in the open auction.
pub fn wanted<'r>(imp: &'r Imp<'_>) -> Result<&'r Banner, NoBidReason> {
    let banner = imp.banner.as_ref().ok_or(NoBidReason::Format)?;
    if imp.private_auction {
        return Err(NoBidReason::DealsOnly);
    }
    if imp.floor > CpmMicros(0) && !imp.floor_cur.is_empty() && !imp.floor_cur.eq_ignore_ascii_case(CURRENCY.as_bytes())
    {
        return Err(NoBidReason::FloorCurrency);
    }
    Ok(banner)
}

/// The request, as the targeting index asks it.
pub fn asked<'r>(
    request: &BidRequest<'r>,
    (exchange, now): (&'r Exchange, Now),
    unescaped: &'r mut Unescaped,
) -> Asked<'r> {
    let Unescaped { inventory, publisher } = unescaped;
    let geo = if request.device.geo.country.is_empty() { &request.user_geo } else { &request.device.geo };
    let (domain, bundle): (&[u8], &[u8]) = match request.channel {
        Channel::Site if request.domain.is_empty() => (host(plain(request.page, inventory)), b""),
        Channel::Site => (plain(request.domain, inventory), b""),
        Channel::App => (b"", plain(request.bundle, inventory)),
        _ => (b"", b""),
    };
    Asked {
        country: unless_escaped(geo.country),
        region: unless_escaped(geo.region),
        device: request.device.kind,
        channel: request.channel,
        domain,
        bundle,
        publisher: plain(request.publisher, publisher),
        exchange: exchange.name.as_bytes(),
        now: now.wall,
    }
}

/// Room for texts whose JSON had escapes in it: `https:\/\/` is common in `site.page`.
#[derive(Debug)]
pub struct Unescaped {
    inventory: [u8; 2048],
    publisher: [u8; 256],
}

impl Default for Unescaped {
    fn default() -> Self {
        Unescaped { inventory: [0; 2048], publisher: [0; 256] }
    }
}

/// A text without its escapes. One too long to be ours to name is unknown.
fn plain<'t>(text: Text<'t>, room: &'t mut [u8]) -> &'t [u8] {
    text.unescape(room).unwrap_or_default()
}

/// Codes are plain ASCII: one that had to be escaped is none.
fn unless_escaped(text: Text<'_>) -> &[u8] {
    if text.escaped { b"" } else { text.raw }
}

/// Whether a creative may stand in this place.
#[inline]
fn fits(creative: &Creative, imp: &Imp<'_>, banner: &Banner) -> bool {
    let type_blocked = banner.btype >> (creative.btype & 63) & 1 == 1;
    let attribute_blocked = banner.battr & creative.attr != 0;
    let secure = creative.secure || imp.secure != Some(true);
    !type_blocked && !attribute_blocked && secure
}

/// The creative that stands in when the first of the right size may not be shown: first size offered first, as ever.
#[cold]
fn another(campaign: &Campaign, imp: &Imp<'_>, banner: &Banner) -> Option<(u8, Size)> {
    banner.sizes.iter().find_map(|&size| {
        let good = |creative: &Creative| creative.size == size && fits(creative, imp, banner);
        campaign.creatives.iter().position(good).map(|at| (at as u8, size))
    })
}

/// `bcat`, `acat` and `badv` of one request, as marks: a campaign carries the marks of its own categories and domains and of all
/// above them, so that a blocked parent blocks its children.
#[derive(Debug, Default)]
struct Blocks {
    /// One bit per mark: most campaigns are cleared by one look.
    filter: u64,
    /// All categories are blocked: they are named in a taxonomy that ours cannot be compared with.
    unknown_taxonomy: bool,
    /// `acat`: the only categories allowed, if there are any.
    allowed: ArrayVec<u64, { limits::LIST }>,
    marks: ArrayVec<u64, { 2 * limits::LIST }>,
}

impl Blocks {
    fn fill(&mut self, request: &BidRequest<'_>) -> Result<(), NoBidReason> {
        self.marks.clear();
        self.filter = 0;
        self.allowed.clear();
        self.unknown_taxonomy = request.cattax != 1 && !(request.bcat.is_empty() && request.acat.is_empty());
        if !self.unknown_taxonomy {
            self.add(request.bcat, marks::category)?;
            let mut room = [0; 256];
            for text in request.acat.strings() {
                let mark = marks::category(plain(text, &mut room));
                self.allowed.try_push(mark).map_err(|_| NoBidReason::TooMuch)?;
            }
        }
        self.add(request.badv, marks::domain)
    }

    fn add(&mut self, list: Raw<'_>, mark: fn(&[u8]) -> u64) -> Result<(), NoBidReason> {
        let mut room = [0; 256];
        for text in list.strings() {
            let mark = mark(plain(text, &mut room));
            self.filter |= 1 << (mark >> 58);
            self.marks.try_push(mark).map_err(|_| NoBidReason::TooMuch)?;
        }
        Ok(())
    }

    #[inline]
    fn hold(&self, campaign: &Campaign) -> bool {
        if self.unknown_taxonomy && !campaign.cat.is_empty() {
            return true;
        }
        if !self.allowed.is_empty() && !marks::all_within(&campaign.cat, &self.allowed) {
            return true;
        }
        self.filter != 0
            && campaign.marks.iter().any(|mark| self.filter >> (mark >> 58) & 1 == 1 && self.marks.contains(mark))
    }
}

/// What the model is told of a request; [`features_of`] adds what it is told of an offer.
pub fn features(request: &BidRequest<'_>, user: &User<'_>, now: Now) -> Features {
    Features {
        device: request.device.kind,
        channel: request.channel,
        hour: (now.wall.0 / 3_600_000 % 24) as u8,
        segments: user.profile(),
        ..Features::default()
    }
}

/// What the model is told of one offer.
#[inline]
pub fn features_of(features: &Features, request: &BidRequest<'_>, offer: &Offer) -> Features {
    let position = request.imps[offer.imp as usize].banner.as_ref().map_or(0, |banner| banner.pos);
    Features { position, size: offer.size, ..*features }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::campaign::Slots;
    use crate::snapshot::demo;

    #[test]
    fn a_creative_that_may_not_be_shown_is_stood_in_for() {
        let mut campaign = demo::built_in(&mut Slots::new()).swap_remove(0);
        let size = campaign.creatives[0].size;
        let plain = Creative::new("plain".into(), size, "<img src=\"http://a.example/\">", None).unwrap();
        campaign.creatives.insert(0, plain);
        let banner = Banner { sizes: [Size { w: 1, h: 1 }, size].into_iter().collect(), ..Banner::default() };
        let secure = Imp { secure: Some(true), ..Imp::default() };
        assert!(!fits(&campaign.creatives[0], &secure, &banner));
        assert_eq!(another(&campaign, &secure, &banner), Some((1, size)));
        assert_eq!(another(&campaign, &secure, &Banner { btype: 1 << 2, ..banner.clone() }), None);
        assert_eq!(
            another(&campaign, &secure, &Banner { sizes: [Size { w: 1, h: 1 }].into_iter().collect(), ..banner }),
            None
        );
    }
}
