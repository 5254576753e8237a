//! Everything that keeps a campaign from an impression, with what was asked and what was found.
//!
//! The predicates are those of the decision ([`crate::bid::fits`], [`crate::snapshot::marks`], the index's
//! [`why_nots`]); the decision stops at the first that fails, this does not.

use serde::Serialize;

use super::arithmetic::amount;
use super::witness::shape_text;
use crate::bid::blocks::Blocks;
use crate::bid::eligible::Scene;
use crate::bid::fits::{self, Place};
use crate::bid::sale::{Sale, welcomes};
use crate::config::exchange::Field;
use crate::metrics::stage::Stage;
use crate::profile::value::Segments;
use crate::snapshot::campaign::{Ad, Campaign, Creative, StreamAd};
use crate::snapshot::marks;
use crate::snapshot::supply::Verdict;
use crate::snapshot::targeting::{Asked, Candidate, WhyNot, why_nots};
use crate::wire::json::{Raw, Text};
use crate::wire::openrtb::agent::{Browser, Os};
use crate::wire::openrtb::native::AssetKind;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{BidRequest, Channel, Stream};

/// One thing in a campaign's way.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Obstacle {
    #[serde(skip)]
    pub(super) at: Stage,
    /// The stage that looks for it.
    pub(super) stage: &'static str,
    /// In a word.
    pub(super) why: &'static str,
    /// With the values, if there are any.
    pub(super) detail: Option<String>,
}

impl Obstacle {
    /// A reason of the decision.
    pub(super) fn of(reason: NoBidReason, detail: Option<String>) -> Obstacle {
        Obstacle { at: reason.stage(), stage: reason.stage().label(), why: reason.label(), detail }
    }

    fn targeting(why: WhyNot, detail: Option<String>) -> Obstacle {
        Obstacle { at: Stage::Match, stage: Stage::Match.label(), why: why.label(), detail }
    }
}

/// What the publisher blocks, entry by entry.
#[derive(Debug, Default)]
pub(super) struct Lists {
    taken: bool,
    blocks: Option<Box<Blocks>>,
    taxonomy: u16,
    entries: Vec<(&'static str, String, u64)>,
    allowed: Vec<u64>,
}

impl Lists {
    /// Takes the lists of a request.
    pub(super) fn fill(&mut self, request: &BidRequest<'_>) {
        self.taken = true;
        let mut blocks = Box::<Blocks>::default();
        // One that is too long ends the request.
        self.blocks = blocks.fill(request).is_ok().then_some(blocks);
        self.taxonomy = request.cattax;
        let category = |name: &[u8]| marks::category(request.cattax, name);
        self.take("bcat", request.bcat, category);
        self.take("badv", request.badv, marks::domain);
        self.take("bapp", request.bapp, marks::app);
        self.allowed = request.acat.strings().map(|entry| category(text(entry).as_bytes())).collect();
    }

    fn take(&mut self, list: &'static str, entries: Raw<'_>, mark: impl Fn(&[u8]) -> u64) {
        self.entries.extend(entries.strings().map(|entry| {
            let entry = text(entry);
            let mark = mark(entry.as_bytes());
            (list, entry, mark)
        }));
    }

    /// Whether no request's lists were taken yet.
    pub(super) fn is_new(&self) -> bool {
        !self.taken
    }

    /// What of them blocks a campaign; nothing if it is not blocked.
    fn of(&self, campaign: &Campaign) -> Vec<String> {
        if !self.blocks.as_ref().is_some_and(|blocks| blocks.hold(campaign)) {
            return Vec::new();
        }
        let named = self.entries.iter().filter(|(.., mark)| campaign.marks.contains(mark));
        let mut found: Vec<String> = named.map(|(list, entry, _)| format!("{list} {entry}")).collect();
        match campaign.categories_in(self.taxonomy) {
            None if campaign.has_categories() => {
                found.push(format!(
                    "its categories are not named in the taxonomy of the lists (cattax {})",
                    self.taxonomy
                ));
            }
            names => {
                let names = names.unwrap_or_default();
                if !self.allowed.is_empty() && !marks::all_within(self.taxonomy, names, &self.allowed) {
                    found.push(format!("acat allows none of its categories {names:?}"));
                }
            }
        }
        found
    }
}

/// What every campaign is asked for one impression.
pub(super) struct Question<'q> {
    pub(super) scene: Scene<'q>,
    pub(super) asked: &'q Asked<'q>,
    pub(super) sale: &'q Sale<'q>,
    pub(super) place: &'q Place<'q>,
    pub(super) lists: &'q Lists,
    /// What the files say of the supply path, if somebody asks.
    pub(super) verdict: Option<Verdict>,
}

/// All that is in the way of a campaign until the user is known, in the order in which the match looks.
pub(super) fn of(question: &Question<'_>, campaign: &Campaign, listed: Option<&Candidate>) -> Vec<Obstacle> {
    let Question { scene, asked, sale, place, lists, verdict } = question;
    let offer = sale.offer();
    let targeting = why_nots(campaign, scene.snapshot.targeting.zones(), asked, &offer);
    let mut found: Vec<Obstacle> =
        targeting.into_iter().map(|why| Obstacle::targeting(why, about(why, question, campaign))).collect();
    found.extend(creatives(question, campaign, listed));
    if place.required.contains(Field::Cat) && !campaign.has_categories() {
        let detail = "the exchange requires categories of a bid".to_owned();
        found.push(Obstacle::of(NoBidReason::NoCreative, Some(detail)));
    }
    found.extend(lists.of(campaign).into_iter().map(|entry| Obstacle::of(NoBidReason::Blocked, Some(entry))));
    let deal = listed.and_then(|candidate| candidate.deal).map(|deal| &place.deals[sale.place(deal) as usize]);
    if let Some(deal) = deal.filter(|deal| !welcomes(deal, &campaign.adomain)) {
        let detail = format!("deal {} is for other advertisers (wadomain)", text(deal.id));
        found.push(Obstacle::of(NoBidReason::Blocked, Some(detail)));
    }
    let unfit = |verdict: &Verdict| !campaign.supply.accepts(*verdict, scene.exchange.demand.no_ads_txt);
    if let Some(verdict) = verdict.filter(unfit) {
        let detail = format!("the supply path is {}, and its supply is {}", verdict.label(), campaign.supply.label());
        found.push(Obstacle::of(NoBidReason::UnverifiedSupply, Some(detail)));
    }
    found
}

/// Why none of the creatives in an offered shape may be shown; nothing if one may, or if there is none, which is the
/// index's affair. The creative that the index listed comes first.
fn creatives(question: &Question<'_>, campaign: &Campaign, listed: Option<&Candidate>) -> Vec<Obstacle> {
    let Question { sale, place, .. } = question;
    let offered = || campaign.creatives.iter().filter(|creative| sale.shapes.contains(&creative.shape()));
    if offered().any(|creative| place.takes(creative, creative.shape()).is_ok()) {
        return Vec::new();
    }
    let first = listed.map(|candidate| &campaign.creatives[candidate.creative as usize]);
    let others = offered().filter(|creative| first.is_none_or(|first| !std::ptr::eq(first, *creative)));
    first.into_iter().chain(others).flat_map(|creative| of_creative(place, creative)).collect()
}

fn of_creative(place: &Place<'_>, creative: &Creative) -> Vec<Obstacle> {
    let imp = place.imp;
    let mut found: Vec<(NoBidReason, String)> = Vec::new();
    let attributes = match &creative.ad {
        Ad::Banner(ad) => {
            let banner = imp.banner.as_ref();
            if banner.is_some_and(|banner| banner.btype >> (ad.btype & 63) & 1 == 1) {
                found.push((NoBidReason::Blocked, format!("btype {} is blocked", ad.btype)));
            }
            banner.map_or(0, |banner| banner.battr)
        }
        Ad::Video(ad) => in_stream(ad, imp.video.as_ref(), &mut found),
        Ad::Audio(ad) => in_stream(ad, imp.audio.as_ref(), &mut found),
        Ad::Native(ad) => {
            if place.native.assets.is_empty() {
                found.push((NoBidReason::NoCreative, "the native request cannot be read".to_owned()));
            }
            let missing = place.native.assets.iter().filter(|asset| asset.required && !ad.fills(asset.kind));
            found.extend(missing.map(|asset| {
                (NoBidReason::NoCreative, format!("nothing for asset {}: {}", asset.id, asset_text(asset.kind)))
            }));
            if found.is_empty() && !ad.fits(place.native) {
                found.push((NoBidReason::NoCreative, "nothing for any of the assets".to_owned()));
            }
            imp.native.map_or(0, |native| native.battr)
        }
    };
    if !place.has_required(creative) {
        found.push((NoBidReason::NoCreative, "lacks what the exchange requires of a bid".to_owned()));
    }
    if !place.languages.is_empty() && !place.speaks(creative.language) {
        let ours = creative.language.map_or("none".to_owned(), |code| code.escape_ascii().to_string());
        let wanted = String::from_utf8_lossy(place.languages.0);
        found.push((NoBidReason::Language, format!("its language is {ours}, wanted {wanted}")));
    }
    let blocked = creative.attr & attributes;
    found.extend(bits(blocked).map(|bit| (NoBidReason::Blocked, format!("battr {bit} is blocked"))));
    if imp.secure == Some(true) && !creative.secure {
        found.push((NoBidReason::Blocked, "loads over plain HTTP, and secure is 1".to_owned()));
    }
    let of = |(reason, what)| Obstacle::of(reason, Some(format!("creative {}: {what}", creative.id)));
    found.into_iter().map(of).collect()
}

/// What of a spot the player does not take; the attributes it blocks.
fn in_stream(ad: &StreamAd, stream: Option<&Stream<'_>>, found: &mut Vec<(NoBidReason, String)>) -> u64 {
    let Some(stream) = stream else { return 0 };
    let (least, most) = (stream.min_duration, stream.max_duration);
    let durations = match &stream.exact_durations[..] {
        [] if most == u16::MAX => format!("{least} s or more"),
        [] => format!("{least} to {most} s"),
        exact => format!("one of {exact:?} s"),
    };
    let pod = stream.pod.unwrap_or_default();
    let protocols: Vec<u8> = ad.versions.iter().map(|(protocol, _)| *protocol).collect();
    let wrong = [
        (fits::lasts(ad, stream), format!("plays {} s, wanted {durations}", ad.duration)),
        (
            fits::fits_pod(ad, stream),
            format!("plays {} s, the pod has {} s for {} ads", ad.duration, pod.duration, pod.most_ads),
        ),
        (
            fits::streams(ad, stream) || !ad.mimes.meet(stream.mimes),
            format!(
                "none of its files in mimes has {} to {} kbit/s: {:?}",
                stream.min_bitrate,
                stream.max_bitrate,
                ad.files.iter().map(|&(_, rate)| rate).collect::<Vec<_>>()
            ),
        ),
        (fits::is_linear(stream), "is linear, wanted is an overlay (linearity 2)".to_owned()),
        (fits::may_skip(ad, stream), "can be skipped, and skip is 0".to_owned()),
        (ad.mimes.meet(stream.mimes), "none of its types is among mimes".to_owned()),
        (fits::has_api(ad, stream), format!("needs api {:?}", bits(ad.api & !stream.api).collect::<Vec<_>>())),
        (
            fits::version(ad, stream).is_some(),
            format!("comes in protocols {protocols:?}, wanted {:?}", bits(stream.protocols).collect::<Vec<_>>()),
        ),
    ];
    found.extend(wrong.into_iter().filter(|(fits, _)| !fits).map(|(_, what)| (NoBidReason::NoCreative, what)));
    stream.battr
}

fn asset_text(kind: AssetKind) -> String {
    match kind {
        AssetKind::Title { len } => format!("a title of at most {len} characters"),
        AssetKind::Image { kind, size, least, .. } => {
            format!("an image of type {kind}, {}x{}, at least {}x{}", size.w, size.h, least.w, least.h)
        }
        AssetKind::Data { kind, len } => format!("data of type {kind}, at most {len} characters"),
        AssetKind::Other => "a video, or something newer".to_owned(),
    }
}

/// What the request says where a predicate of the targeting fails.
fn about(why: WhyNot, question: &Question<'_>, campaign: &Campaign) -> Option<String> {
    let Question { asked, sale, place, .. } = question;
    let offer = sale.offer();
    let said = |what: &str, value: String| {
        Some(format!("{what} {}", if value.is_empty() { "not said".into() } else { value }))
    };
    match why {
        WhyNot::Disabled => Some("enabled = false".to_owned()),
        WhyNot::Flight => None,
        WhyNot::Daypart => {
            campaign.targeting.daypart.as_ref().map(|daypart| format!("not at this hour in {}", daypart.zone))
        }
        WhyNot::Size => {
            let mut has: Vec<String> = campaign.creatives.iter().map(|creative| shape_text(creative.shape())).collect();
            has.dedup();
            let asked: Vec<String> = offer.shapes.iter().map(|&shape| shape_text(shape)).collect();
            Some(format!("has {}; asked {}", has.join(", "), asked.join(", ")))
        }
        WhyNot::Channel => Some(channel(asked.channel).to_owned()),
        WhyNot::Device => said("device type", number(asked.device)),
        WhyNot::Os => said("os", os(asked.os)),
        WhyNot::Browser => said("browser", browser(asked.browser)),
        WhyNot::Carrier => said("carrier", lossy(asked.carrier)),
        WhyNot::Connection => said("connection type", number(asked.connection)),
        WhyNot::Place => said("place", place_text(asked)),
        WhyNot::Inventory => said(channel(asked.channel), format!("{}{}", lossy(asked.domain), lossy(asked.bundle))),
        WhyNot::Publisher => said("publisher", lossy(asked.publisher)),
        WhyNot::Category => said("categories", categories(asked)),
        WhyNot::Language => said("language", lossy(asked.language)),
        WhyNot::Exchange => said("exchange", lossy(asked.exchange)),
        WhyNot::Deal if campaign.targeting.deals.is_empty() => Some("only deals may be bid on".to_owned()),
        WhyNot::Deal => {
            let status = |ours: &String| match place.deals.iter().any(|deal| deal.id.eq_str(ours)) {
                true => format!("{ours} is not for our seat, or its floor in a currency without a rate"),
                false => format!("{ours} is not offered"),
            };
            Some(campaign.targeting.deals.iter().map(status).collect::<Vec<_>>().join("; "))
        }
        WhyNot::Floor => {
            Some(format!("its CPM {} is below the least floor {}", amount(campaign.cpm.0), amount(offer.floor.0)))
        }
    }
}

/// What of the campaign's segments the user lacks, or has and should not.
pub(super) fn segments(campaign: &Campaign, has: Segments<'_>) -> String {
    let rule = &campaign.targeting.segments;
    let list = |ids: Vec<u32>| ids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let mut found = Vec::new();
    if !rule.any.is_empty() && !rule.any.iter().any(|segment| has.contains(*segment)) {
        found.push(format!("in none of {}", list(rule.any.iter().map(|segment| segment.0).collect())));
    }
    let missing: Vec<u32> =
        rule.all.iter().filter(|segment| !has.contains(**segment)).map(|segment| segment.0).collect();
    if !missing.is_empty() {
        found.push(format!("not in {}", list(missing)));
    }
    let unwanted: Vec<u32> =
        rule.none.iter().filter(|segment| has.contains(**segment)).map(|segment| segment.0).collect();
    if !unwanted.is_empty() {
        found.push(format!("in {}", list(unwanted)));
    }
    format!("the user is {}", found.join("; "))
}

/// The request in the index's words; what it does not say is left out.
pub(super) fn asked(asked: &Asked<'_>) -> String {
    let parts = [
        ("", channel(asked.channel).to_owned()),
        ("", lossy(asked.domain)),
        ("", lossy(asked.bundle)),
        ("publisher ", lossy(asked.publisher)),
        ("place ", place_text(asked)),
        ("device type ", number(asked.device)),
        ("os ", os(asked.os)),
        ("browser ", browser(asked.browser)),
        ("carrier ", lossy(asked.carrier)),
        ("connection ", number(asked.connection)),
        ("language ", lossy(asked.language)),
        ("categories ", categories(asked)),
    ];
    let said = parts.iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| format!("{name}{value}")).collect::<Vec<_>>().join(", ")
}

fn place_text(asked: &Asked<'_>) -> String {
    let parts = [asked.country, asked.region, asked.city, asked.zip];
    let said: Vec<String> = parts.iter().filter(|part| !part.is_empty()).map(|part| lossy(part)).collect();
    let point = asked.point.map(|point| format!("({}, {})", amount(point.lat.into()), amount(point.lon.into())));
    said.into_iter().chain(point).collect::<Vec<_>>().join(" ")
}

fn categories(asked: &Asked<'_>) -> String {
    asked.categories.iter().map(|name| lossy(name)).collect::<Vec<_>>().join(" ")
}

fn channel(channel: Channel) -> &'static str {
    match channel {
        Channel::Unknown => "neither site, app nor screen",
        Channel::Site => "site",
        Channel::App => "app",
        Channel::Dooh => "screen",
    }
}

fn os(os: Os) -> String {
    Os::NAMED.iter().find(|(known, _)| *known == os).map_or(String::new(), |(_, name)| (*name).to_owned())
}

fn browser(browser: Browser) -> String {
    Browser::NAMED.iter().find(|(known, _)| *known == browser).map_or(String::new(), |(_, name)| (*name).to_owned())
}

fn number(value: u8) -> String {
    if value == 0 { String::new() } else { value.to_string() }
}

fn bits(set: u64) -> impl Iterator<Item = u32> {
    (0..64).filter(move |bit| set >> bit & 1 == 1)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A text of the request, unescaped.
pub(super) fn text(text: Text<'_>) -> String {
    lossy(&text.bytes().collect::<Vec<u8>>())
}
