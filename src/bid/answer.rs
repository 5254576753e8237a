//! The answer: money for what was chosen, then the response.

use arrayvec::ArrayVec;

use crate::bid::admit::Exchange;
use crate::bid::budget::{Backing, Leases, Refusal};
use crate::bid::choose::Chosen;
use crate::bid::eligible::{Memory, Scene};
use crate::bid::fits::version;
use crate::bid::offers::Offer;
use crate::bid::paper::{Deed, Draft, Paper};
use crate::bid::price;
use crate::bid::quote::Quote;
use crate::bid::train::Sample;
use crate::config::exchange::{self, Billing, Field, Version};
use crate::limits;
use crate::ring::message::{NoticeKind, Reserved};
use crate::snapshot::campaign::markup::{Markup, Outcomes, Signals, Values};
use crate::snapshot::campaign::{Ad, Campaign, Creative, Shape};
use crate::snapshot::marks::CONTENT_1_0;
use crate::units::{ArmId, BidId, CpmMicros, LeaseId, Micros, Nanos, PathKey, Terms, UserKey};
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{BidRequest, Imp, Stream};
use crate::wire::openrtb::response::{Bid, MarkupType, Out, ResponseWriter};

/// A winner with the money it may cost.
#[derive(Clone, Copy, Debug)]
pub struct Backed {
    /// The winner.
    pub offer: Offer,
    /// Its price in the currency of the response.
    pub price: CpmMicros,
    /// What turns that into money.
    pub terms: Terms,
    /// The most it may cost.
    pub money: Micros,
    /// What the money was taken from; nothing for a test, which costs none.
    backing: Option<Backing>,
}

impl Backed {
    /// The lease it is a claim on; none of a test.
    pub fn lease(&self) -> LeaseId {
        self.backing.map_or(LeaseId(0), |backing| backing.lease)
    }

    /// Until when it may leave.
    pub fn valid_until(&self) -> Nanos {
        self.backing.map_or(Nanos::NEVER, |backing| backing.valid_until)
    }

    /// Whether money is held for it.
    pub fn is_held(&self) -> bool {
        self.backing.is_some()
    }
}

/// The winners that are paid for.
pub type Purse = ArrayVec<Backed, { limits::BIDS }>;

/// Takes the winners' money: of those that go together all or none.
///
/// # Errors
/// There is money for none, or no price in the currency of the response. None is held then.
pub fn reserve(
    scene: Scene<'_>,
    request: &BidRequest<'_>,
    chosen: &Chosen,
    quote: Quote,
    leases: &mut Leases,
) -> Result<Purse, NoBidReason> {
    let mut purse = Purse::new();
    let mut reason = NoBidReason::Floor;
    for offer in &chosen.winners {
        let campaign = scene.snapshot.campaign(offer.campaign);
        let terms = quote.terms(request.imps[offer.imp as usize].multiplier);
        // In a dear currency there may be no price that is neither under the floor nor above what the campaign bids.
        let priced = price::quoted(offer, offer.sold_by(request), &quote, campaign.cpm);
        let backed = priced.and_then(|price| {
            reason = NoBidReason::Budget;
            let money = terms.money(price);
            let backing = match request.test {
                true => None,
                false => match leases.reserve(campaign.slot, money, scene.now.boot) {
                    Ok(backing) => Some(backing),
                    Err(refusal) => {
                        if refusal == Refusal::Allowance {
                            reason = NoBidReason::Paced;
                        }
                        return None;
                    }
                },
            };
            Some(Backed { offer: *offer, price, terms, money, backing })
        });
        match backed {
            Some(backed) => purse.push(backed),
            None if chosen.together => {
                give_back(scene, &purse, leases);
                purse.clear();
                // Each bid alone was afforded; what is short is the sum.
                let bids = chosen.winners.iter().map(|offer| offer.terms(request).money(offer.price).0);
                let page = Micros(bids.fold(0, i64::saturating_add));
                if reason == NoBidReason::Paced {
                    leases.lacks_allowance(campaign.slot, page);
                } else {
                    leases.affords(campaign.slot, page, scene.now.boot);
                }
                break;
            }
            None => {}
        }
    }
    if purse.is_empty() { Err(reason) } else { Ok(purse) }
}

/// Gives money back: these bids are not made.
pub fn give_back(scene: Scene<'_>, purse: &[Backed], leases: &mut Leases) {
    for backed in purse {
        if let Some(backing) = backed.backing {
            leases.cancel(scene.snapshot.campaign(backed.offer.campaign).slot, backing, backed.money);
        }
    }
}

/// A written response.
#[derive(Debug)]
pub struct Written {
    /// Its bytes.
    pub length: usize,
    /// Its bids, and what each is to be accounted as.
    pub bids: ArrayVec<(Backed, Reserved), { limits::BIDS }>,
    /// Those of them that the training log is to hear of, by their place, each with its id.
    pub logged: ArrayVec<(usize, BidId), { limits::BIDS }>,
}

/// What is the same for all bids of a response.
#[derive(Debug)]
pub struct Letter<'a> {
    /// What is answered.
    pub request: &'a BidRequest<'a>,
    /// In which currency.
    pub quote: &'a Quote,
    /// Whether the GDPR applies, if anybody says.
    pub gdpr: Option<bool>,
    /// All bids or none.
    pub together: bool,
    /// Whether the user, and where they exactly are, may have been known.
    pub known: bool,
    /// About whom.
    pub user: UserKey,
    /// The supply path that wins count for.
    pub path: PathKey,
    /// The arm of a rollout that it is of.
    pub arm: ArmId,
    /// Which of its bids the training log hears of.
    pub sample: Sample,
}

/// Writes the response with as many of the bids as fit, and gives back the money of those that do not.
///
/// # Errors
/// [`NoBidReason::NoRoom`]: none fits, or not all of those that go together. All money is given back.
pub fn write(
    scene: Scene<'_>,
    letter: &Letter<'_>,
    purse: &Purse,
    memory: &mut Memory,
    paper: &mut Paper,
    leases: &mut Leases,
    response: &mut [u8],
) -> Result<Written, NoBidReason> {
    let Letter { request, quote, together, user, path, arm, sample, .. } = letter;
    let exchange = scene.exchange;
    let mut writer = ResponseWriter::new(response, request.id.raw);
    let mut bids: ArrayVec<(Backed, Reserved), { limits::BIDS }> = ArrayVec::new();
    let mut logged = ArrayVec::new();
    let mut lost = Purse::new();
    for backed in purse {
        let campaign = scene.snapshot.campaign(backed.offer.campaign);
        let deed = paper.draw(Draft {
            now: scene.now,
            campaign,
            creative: backed.offer.creative,
            price: backed.price,
            terms: backed.terms,
            lease: backed.lease(),
            user: *user,
            path: *path,
            arm: *arm,
            sample: *sample,
            exchange,
            test: request.test,
        });
        let imp = &request.imps[backed.offer.imp as usize];
        let form = Form::new(campaign, imp, &backed.offer, exchange, &deed);
        let billing = form.billing(memory);
        let outcomes = form.tells_outcomes().then(|| paper.outcomes(&deed));
        let outcomes = outcomes.as_ref().map_or(Outcomes::NONE, |urls| urls.as_values());
        let values = form.values(letter, billing, outcomes);
        let written = writer.bid(&form.bid(request, letter.known, billing), |out| {
            if exchange.rules.adm == exchange::Markup::Inline {
                form.markup(memory, &values, out);
            }
        });
        if written {
            if deed.is_logged() {
                logged.push((bids.len(), deed.bid_id()));
            }
            bids.push((*backed, deed.reserved(campaign.slot, backed.money)));
        } else {
            lost.push(*backed);
        }
    }
    let whole = lost.is_empty() || !together;
    let length = writer.finish(exchange.seat.as_bytes(), *together, &quote.currency.0).filter(|_| whole);
    give_back(scene, if length.is_some() { &lost } else { purse }, leases);
    length.map(|length| Written { length, bids, logged }).ok_or(NoBidReason::NoRoom)
}

/// One bid, about to be written.
struct Form<'a> {
    campaign: &'a Campaign,
    imp: &'a Imp<'a>,
    offer: &'a Offer,
    exchange: &'a Exchange,
    deed: &'a Deed,
    creative: &'a Creative,
    /// The stream it plays in.
    stream: Option<&'a Stream<'a>>,
    /// The version of a spot's markup that the player takes, with its protocol.
    version: Option<&'a (u8, Markup)>,
}

impl<'a> Form<'a> {
    fn new(campaign: &'a Campaign, imp: &'a Imp<'a>, offer: &'a Offer, exchange: &'a Exchange, deed: &'a Deed) -> Self {
        let creative = &campaign.creatives[offer.creative as usize];
        let stream = match offer.shape {
            Shape::Video => imp.video.as_ref(),
            Shape::Audio => imp.audio.as_ref(),
            _ => None,
        };
        let version = match (&creative.ad, stream) {
            (Ad::Video(ad) | Ad::Audio(ad), Some(stream)) => version(ad, stream).map(|at| &ad.versions[at]),
            _ => None,
        };
        Form { campaign, imp, offer, exchange, deed, creative, stream, version }
    }

    /// What bills it: of what is agreed, that for which its markup has a place.
    fn billing(&self, memory: &mut Memory) -> Billing {
        let rules = &self.exchange.rules;
        let agreed = if self.stream.is_some() { rules.video_billing } else { rules.billing };
        let mut has_place = || match &self.creative.ad {
            Ad::Banner(ad) => ad.markup.bills(),
            Ad::Video(_) | Ad::Audio(_) => self.version.is_some_and(|(_, markup)| markup.bills()),
            Ad::Native(ad) => ad.trackers.bills() && memory.native(self.imp).pixel,
        };
        if agreed == Billing::Impression && !has_place() { Billing::Burl } else { agreed }
    }

    /// Whether its markup has a place for where clicks and conversions are told.
    fn tells_outcomes(&self) -> bool {
        match &self.creative.ad {
            Ad::Banner(ad) => ad.markup.tells_outcomes(),
            Ad::Video(_) | Ad::Audio(_) => self.version.is_some_and(|(_, markup)| markup.tells_outcomes()),
            Ad::Native(ad) => ad.rest.tells_outcomes() || ad.trackers.tells_outcomes(),
        }
    }

    fn bid(&self, request: &BidRequest<'a>, known: bool, billing: Billing) -> Bid<'a> {
        let Form { campaign, imp, offer, deed, creative, stream, .. } = *self;
        let protocol = self.version.map(|(protocol, _)| *protocol);
        let rules = &self.exchange.rules;
        let (kind, size) = match &creative.ad {
            Ad::Banner(ad) => (MarkupType::Banner, Some(ad.size)),
            Ad::Video(ad) => (MarkupType::Video, (ad.size.w > 0).then_some(ad.size)),
            Ad::Audio(_) => (MarkupType::Audio, None),
            Ad::Native(_) => (MarkupType::Native, None),
        };
        // Members that 2.6 has added.
        let recent = rules.openrtb >= Version::V2_6;
        // Before that there was one taxonomy.
        let (cattax, cat) = campaign.categories(if recent { request.cattax } else { CONTENT_1_0 });
        let url = |kind| Some(deed.url(kind)).filter(|url| !url.is_empty());
        let pod = stream.and_then(|stream| stream.pod.as_ref()).filter(|pod| pod.is_dynamic());
        Bid {
            id: deed.bid_id(),
            imp: imp.id.raw,
            price: deed.price(),
            deal: offer.sold_by(request).map(|deal| deal.id.raw),
            win_url: url(if billing == Billing::Nurl { NoticeKind::Bill } else { NoticeKind::Win }),
            bill_url: url(NoticeKind::Bill).filter(|_| billing == Billing::Burl),
            loss_url: url(NoticeKind::Loss),
            adomain: &campaign.adomain_json,
            campaign: &campaign.cid_json,
            creative: &creative.crid_json,
            registered: rules.adm == exchange::Markup::None || rules.required.contains(Field::Adid),
            preview: creative.preview_json.as_deref(),
            app: campaign.app_json.as_deref(),
            cat,
            cattax,
            attr: creative.attr,
            language: creative.language,
            size,
            duration: stream.filter(|_| recent).map(|_| offer.seconds),
            protocol,
            // Whether we want a place of its own in the pod: we take any (2.6 section 7.6, AdCOM "Slot Position in Pod").
            slot_in_pod: pod.filter(|_| recent).map(|_| 0),
            kind: recent.then_some(kind),
            dsa: campaign.dsa.as_deref().and_then(|disclosure| disclosure.of(request.dsa, known)),
        }
    }

    fn values(&self, letter: &Letter<'a>, billing: Billing, outcomes: Outcomes<'a>) -> Values<'a> {
        let Letter { request, quote, gdpr, .. } = *letter;
        // Random already, and the page that shows the bid knows it anyway.
        let BidId(id) = self.deed.bid_id();
        let cachebuster = id.first_chunk().expect("longer than a number");
        Values {
            auction: request.id,
            bid: self.deed.bid_id(),
            imp: self.imp.id,
            seat: self.exchange.seat.as_bytes(),
            cachebuster: u64::from_le_bytes(*cachebuster),
            currency: &quote.currency.0,
            price_macro: self.exchange.rules.price.price_macro().as_bytes(),
            click_macro: self.exchange.click_macro.as_bytes(),
            bill_url: if billing == Billing::Impression { self.deed.url(NoticeKind::Bill) } else { b"" },
            outcomes,
            signals: Signals {
                gdpr,
                consent: request.consent.raw,
                gpp: request.gpp.raw,
                gpp_sections: request.gpp_sid,
                us_privacy: request.us_privacy.raw,
            },
        }
    }

    fn markup(&self, memory: &mut Memory, values: &Values<'_>, out: &mut Out<'_>) {
        match &self.creative.ad {
            Ad::Banner(ad) => ad.markup.write(values, out),
            Ad::Video(_) | Ad::Audio(_) => {
                if let Some((_, markup)) = self.version {
                    markup.write(values, out);
                }
            }
            Ad::Native(ad) => ad.write(memory.native(self.imp), values, out),
        }
    }
}
