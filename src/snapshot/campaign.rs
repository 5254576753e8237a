//! Campaigns: what was ordered, and the pieces of an answer that never change, rendered once.
//!
//! A campaign keeps what an answer needs as finished JSON, so that writing a bid is a handful of copies, with the macros of
//! [`markup`] between them.

pub mod creative;
pub mod markup;
pub mod vast;
pub mod native;
pub mod daypart;
pub mod dsa;
pub mod spending;
pub mod goal;
mod file;
mod slots;

pub use creative::{Ad, BannerAd, Creative, NativeAd, NativeImage, NativeText, Order, Shape, StreamAd, XHTML_BANNER};
pub use file::{load, parse, split};
pub use goal::{Chance, Goal};
pub use slots::Slots;
pub use spending::{Mode, Pacing, Spending};

use std::collections::HashMap;

use crate::profile::count::{Cap, Counted, Counters, Per, Shown};
use crate::snapshot::document::FileError;
use crate::snapshot::marks;
use crate::snapshot::supply::Policy;
use crate::units::{AdvertiserId, CampaignId, CpmMicros, Micros, SegmentId, Slot, UnixMillis};
use crate::wire::openrtb::agent::{Browser, Os};
use crate::wire::openrtb::request::{Channel, Dsa, Point};

/// A mistake in a campaign file: `file:line: what`.
pub type CampaignError = FileError;

/// The most a campaign may bid, per thousand impressions: 4,000 USD, so that a price fits 32 bits of micros in the index.
pub const MAX_CPM: CpmMicros = CpmMicros(4_000_000_000);

/// What an operator orders, checked and normalised.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// The operator's number, unique in a file.
    pub id: CampaignId,
    /// Whose money it is.
    pub advertiser: AdvertiserId,
    /// What people call it.
    pub name: String,
    /// Whether it bids at all.
    pub enabled: bool,
    /// What it may spend in a budget day ([`Spending::zone`]).
    pub daily_budget: Micros,
    /// How it spends that.
    pub spending: Spending,
    /// When it runs.
    pub flight: Flight,
    /// The most it bids, per thousand impressions; 1 micro to [`MAX_CPM`].
    pub cpm: CpmMicros,
    /// What it wants of its impressions.
    pub goal: Goal,
    /// Domains of the advertiser, lower-case (`bid.adomain`).
    pub adomain: Vec<String>,
    /// IAB content categories of what is shown, in Content Taxonomy 1.0 (`bid.cat`).
    pub cat: Vec<String>,
    /// The same in other taxonomies (`bid.cattax`), with all above them, because nothing in a number says what is.
    pub cat_in: Vec<(u16, Vec<String>)>,
    /// The app it advertises, by its id in the store (`bid.bundle`).
    pub app: Option<String>,
    /// What it competes for: of two advertisers that share one of these, only one is in a response.
    pub competes: Vec<String>,
    /// Takes all impressions of a page together or none (`seatbid.group`), and only where the request names them all.
    pub together: bool,
    /// What it asks of the supply path of a request, besides what the exchange is asked for.
    pub supply: Policy,
    /// How often it may be shown to a user; at most one cap of each kind and time.
    pub frequency: Vec<Cap>,
    /// What it discloses where the Digital Services Act asks; without it, nothing.
    pub dsa: Option<dsa::Disclosure>,
    /// What it shows; at least one, at most 255.
    pub creatives: Vec<Creative>,
    /// Whom it wants.
    pub targeting: Targeting,
}

/// A campaign of a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Campaign {
    /// Where its money sits.
    pub slot: Slot,
    /// See [`Definition::id`].
    pub id: CampaignId,
    /// See [`Definition::advertiser`].
    pub advertiser: AdvertiserId,
    /// See [`Definition::name`].
    pub name: String,
    /// See [`Definition::enabled`].
    pub enabled: bool,
    /// See [`Definition::daily_budget`].
    pub daily_budget: Micros,
    /// See [`Definition::spending`].
    pub spending: Spending,
    /// See [`Definition::flight`].
    pub flight: Flight,
    /// See [`Definition::cpm`].
    pub cpm: CpmMicros,
    /// See [`Definition::goal`].
    pub goal: Goal,
    /// See [`Definition::adomain`].
    pub adomain: Vec<String>,
    /// See [`Definition::cat`].
    pub cat: Vec<String>,
    /// See [`Definition::cat_in`].
    pub cat_in: Vec<(u16, Vec<String>)>,
    /// See [`Definition::app`].
    pub app: Option<String>,
    /// See [`Definition::together`].
    pub together: bool,
    /// See [`Definition::competes`]; as marks.
    pub competes: Box<[u64]>,
    /// See [`Definition::supply`].
    pub supply: Policy,
    /// See [`Definition::frequency`].
    pub frequency: Vec<Cap>,
    /// What its impressions count for: its own caps, and once it is in a snapshot, those of its advertiser.
    pub counted: Counted,
    /// See [`Definition::dsa`]; rendered.
    pub dsa: Option<Box<dsa::Rendered>>,
    /// See [`Definition::creatives`].
    pub creatives: Vec<Creative>,
    /// See [`Definition::targeting`].
    pub targeting: Targeting,
    /// What publishers may block it by ([`crate::snapshot::marks`]).
    pub marks: Box<[u64]>,
    /// `bid.cid`: the id as a JSON string, quotes included.
    pub cid_json: Box<[u8]>,
    /// `bid.adomain`: a JSON array of strings, brackets included; `[]` if there are none.
    pub adomain_json: Box<[u8]>,
    /// `bid.cat`: a JSON array of strings, brackets included; `[]` if there are none.
    pub cat_json: Box<[u8]>,
    /// `bid.bundle`: [`Definition::app`] as a JSON string, quotes included.
    pub app_json: Option<Box<[u8]>>,
    /// The same of [`Campaign::cat_in`].
    pub cat_in_json: Box<[(u16, Box<[u8]>)]>,
}

impl Campaign {
    /// Renders a definition.
    ///
    /// # Panics
    /// If the price is not within 1 to [`MAX_CPM`], or there are no creatives or more than 255: [`load`] refuses such files.
    pub fn new(slot: Slot, definition: Definition) -> Campaign {
        let Definition { id, advertiser, name, enabled, daily_budget, spending, flight, cpm, goal, .. } = definition;
        let Definition {
            adomain,
            cat,
            cat_in,
            app,
            competes,
            together,
            supply,
            frequency,
            dsa,
            creatives,
            targeting,
            ..
        } = definition;
        assert!(cpm.0 > 0 && cpm <= MAX_CPM, "campaign {}: a price of {} micros CPM", id.0, cpm.0);
        assert!((1..=255).contains(&creatives.len()), "campaign {}: {} creatives", id.0, creatives.len());
        Campaign {
            slot,
            marks: marks::of_campaign(
                &adomain,
                app.as_deref(),
                [(marks::CONTENT_1_0, &cat[..])].into_iter().chain(cat_in.iter().map(|(tax, cat)| (*tax, &cat[..]))),
            ),
            cid_json: json_bytes(&id.0.to_string()),
            adomain_json: json_bytes(&adomain),
            cat_json: json_bytes(&cat),
            app_json: app.as_ref().map(json_bytes),
            cat_in_json: cat_in.iter().map(|(taxonomy, cat)| (*taxonomy, json_bytes(cat))).collect(),
            id,
            advertiser,
            name,
            enabled,
            daily_budget,
            spending,
            flight,
            cpm,
            goal,
            adomain,
            cat,
            cat_in,
            app,
            together,
            competes: competes.iter().map(|label| marks::label(label.as_bytes())).collect(),
            supply,
            counted: Counted::new(id, advertiser, &frequency, Counters::NONE),
            frequency,
            dsa: dsa.map(|disclosure| Box::new(disclosure.render())),
            creatives,
            targeting,
        }
    }

    /// One of its creatives, shown.
    #[inline]
    pub fn shown(&self, creative: u8) -> Shown {
        let Counted { campaign, advertiser, counters, .. } = self.counted;
        Shown { campaign, creative: creative.into(), advertiser, counters }
    }

    /// Whether it bids, and only on some supply paths.
    #[inline]
    pub fn asks_supply(&self) -> bool {
        self.enabled && self.supply != Policy::Off
    }

    /// Its categories in a taxonomy (`cattax`); `None` if it names none there.
    #[inline]
    pub fn categories_in(&self, taxonomy: u16) -> Option<&[String]> {
        let named = match taxonomy {
            marks::CONTENT_1_0 => &self.cat,
            _ => &self.cat_in.iter().find(|(tax, _)| *tax == taxonomy)?.1,
        };
        (!named.is_empty()).then_some(&named[..])
    }

    /// Whether it names categories in any taxonomy.
    #[inline]
    pub fn has_categories(&self) -> bool {
        !self.cat.is_empty() || !self.cat_in.is_empty()
    }

    /// Whether a bid of it discloses what a request demands.
    #[inline]
    pub fn discloses(&self, dsa: Dsa) -> bool {
        !dsa.is_required() || self.dsa.as_deref().is_some_and(|disclosure| disclosure.suits(dsa))
    }

    /// Whether the two may stand side by side: they are of one advertiser, or compete for nothing both name.
    #[inline]
    pub fn bears(&self, other: &Campaign) -> bool {
        self.advertiser == other.advertiser || !self.competes.iter().any(|label| other.competes.contains(label))
    }

    /// `bid.cattax` and `bid.cat` for a request whose `cattax` is `taxonomy`: in that, or where the campaign does not say, in
    /// Content Taxonomy 1.0.
    #[inline]
    pub fn categories(&self, taxonomy: u16) -> (u16, &[u8]) {
        match self.cat_in_json.iter().find(|(known, _)| *known == taxonomy) {
            Some((taxonomy, json)) => (*taxonomy, json),
            None => (1, &self.cat_json),
        }
    }

    /// Whether only the user's profile tells if the campaign wants a request.
    #[inline]
    pub fn needs_user(&self) -> bool {
        !self.targeting.segments.is_empty()
    }

    /// Whether the campaign wants a user who is in the segments that `has` says.
    #[inline]
    pub fn wants(&self, has: impl Fn(SegmentId) -> bool) -> bool {
        let SegmentRule { any, all, none } = &self.targeting.segments;
        let has = |segment: &SegmentId| has(*segment);
        (any.is_empty() || any.iter().any(has)) && all.iter().all(has) && !none.iter().any(has)
    }
}

/// A span of time, `start <= now < end`, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// The first moment.
    pub start: UnixMillis,
    /// The first moment after it.
    pub end: UnixMillis,
}

impl Flight {
    /// Always: from 1970 until the last second that 32 bits count (2106-02-07).
    pub const ALWAYS: Flight = Flight { start: UnixMillis(0), end: UnixMillis(u32::MAX as u64 * 1000) };

    /// Whether the flight is under way.
    #[inline]
    pub fn contains(&self, now: UnixMillis) -> bool {
        self.start <= now && now < self.end
    }
}

/// Makes the campaigns count for what their advertisers' other campaigns are capped by.
pub(super) fn count_by_advertiser(campaigns: &mut [Campaign]) {
    let mut by_advertiser: HashMap<AdvertiserId, Counters> = HashMap::new();
    for campaign in campaigns.iter() {
        let own = campaign.counted.counters.only(Per::Advertiser);
        if !own.is_empty() {
            let all = by_advertiser.entry(campaign.advertiser).or_default();
            *all = all.and(own);
        }
    }
    if !by_advertiser.is_empty() {
        for campaign in campaigns {
            let others = by_advertiser.get(&campaign.advertiser).copied().unwrap_or_default();
            campaign.counted = Counted::new(campaign.id, campaign.advertiser, &campaign.frequency, others);
        }
    }
}

fn json_bytes<T: serde::Serialize + ?Sized>(value: &T) -> Box<[u8]> {
    serde_json::to_vec(value).expect("text and lists of text are always JSON").into_boxed_slice()
}

/// Whom a campaign wants. Parts that say nothing want everybody; all parts must agree.
///
/// What a request does not say is in no list: it fails an inclusion and passes an exclusion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Targeting {
    /// Countries: ISO 3166-1 alpha-3, upper-case. With regions, cities, zips and circles this is one list of places: a place
    /// is included if **any** of them includes it, and excluded if any excludes it.
    pub countries: Rule<String>,
    /// Regions: country, hyphen, and ISO 3166-2 subdivision, upper-case (`USA-CA`).
    pub regions: Rule<String>,
    /// Cities: country, hyphen, and the name as exchanges send it (`USA-San Francisco`); letter case does not count.
    pub cities: Rule<String>,
    /// Postal codes: country, hyphen, code (`USA-94103`); letter case and spaces do not count.
    pub zips: Rule<String>,
    /// Circles on the globe.
    pub circles: Rule<Circle>,
    /// AdCOM device types, 1 to 14; empty for any.
    pub devices: Vec<u8>,
    /// Operating systems.
    pub os: Rule<Os>,
    /// Browsers.
    pub browsers: Rule<Browser>,
    /// Carriers, as exchanges send them; letter case does not count.
    pub carriers: Rule<String>,
    /// AdCOM connection types, 1 to 7; empty for any.
    pub connections: Vec<u8>,
    /// Sites, apps, screens; empty for any.
    pub channels: Vec<Channel>,
    /// Domains of sites, lower-case; each stands for its subdomains too. Inventory is included if its domain **or** its
    /// bundle is.
    pub sites: Rule<String>,
    /// Bundles of apps.
    pub bundles: Rule<String>,
    /// Publisher ids, as the exchange sends them.
    pub publishers: Rule<String>,
    /// Content categories of the site, app or content; `IAB1` stands for `IAB1-5` too. Letter case does not count. One of
    /// the inventory's categories included is enough, and one excluded is too many.
    pub categories: Rule<String>,
    /// Languages of the content, ISO 639-1 alpha-2, lower-case; of the device where the content does not say.
    pub languages: Rule<String>,
    /// Exchanges, by their name in the configuration.
    pub exchanges: Rule<String>,
    /// Deals, by their ids. A campaign that names deals bids only for them; one that names none, only in the open auction.
    pub deals: Vec<String>,
    /// Hours of the week; `None` for all.
    pub daypart: Option<Daypart>,
    /// The user's segments.
    pub segments: SegmentRule,
}

/// A circle on the globe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circle {
    /// Its centre.
    pub centre: Point,
    /// Its radius, metres; 1 to [`Circle::MOST_METRES`].
    pub metres: u32,
}

impl Circle {
    /// The largest radius.
    pub const MOST_METRES: u32 = 500_000;
}

/// Hours of the week in a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daypart {
    /// IANA name, `Europe/Berlin`.
    pub zone: String,
    /// One bit per hour, Monday 00:00 to 01:00 first.
    pub hours: [u64; 3],
}

impl Daypart {
    /// Whether an hour of the week, 0 to 167, is in it.
    #[inline]
    pub fn contains(&self, hour: u8) -> bool {
        self.hours.get(usize::from(hour / 64)).is_some_and(|hours| hours >> (hour % 64) & 1 == 1)
    }
}

/// What must and what must not be; an empty inclusion includes everything.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule<T> {
    /// One of these, if there are any.
    pub include: Vec<T>,
    /// None of these.
    pub exclude: Vec<T>,
}

impl<T> Default for Rule<T> {
    fn default() -> Self {
        Rule { include: Vec::new(), exclude: Vec::new() }
    }
}

/// What a user's segments must be; each list sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentRule {
    /// At least one of these, if there are any.
    pub any: Vec<SegmentId>,
    /// All of these.
    pub all: Vec<SegmentId>,
    /// None of these.
    pub none: Vec<SegmentId>,
}

impl SegmentRule {
    /// Says nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.any.is_empty() && self.all.is_empty() && self.none.is_empty()
    }
}
