//! Campaigns: what was ordered, and the pieces of an answer that never change, rendered once.
//!
//! A campaign keeps what an answer needs as finished JSON, so that writing a bid is a handful of copies. Macros in markup
//! (`${AUCTION_PRICE}` and the like) stay as they are: the exchange fills them in.

mod file;
mod slots;

pub use file::{load, parse};
pub use slots::Slots;

use std::num::NonZeroU16;

use crate::limits;
use crate::snapshot::document::FileError;
use crate::snapshot::marks;
use crate::units::{AdvertiserId, CampaignId, CpmMicros, Micros, SegmentId, Slot, UnixMillis};
use crate::wire::openrtb::request::{Channel, Size};

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
    /// What it may spend in a UTC day.
    pub daily_budget: Micros,
    /// When it runs.
    pub flight: Flight,
    /// The most it bids, per thousand impressions; 1 micro to [`MAX_CPM`].
    pub cpm: CpmMicros,
    /// Domains of the advertiser, lower-case (`bid.adomain`).
    pub adomain: Vec<String>,
    /// IAB content categories of the creative (`bid.cat`).
    pub cat: Vec<String>,
    /// Impressions per user and UTC day; `None` for no cap.
    pub frequency_cap: Option<NonZeroU16>,
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
    /// See [`Definition::flight`].
    pub flight: Flight,
    /// See [`Definition::cpm`].
    pub cpm: CpmMicros,
    /// See [`Definition::adomain`].
    pub adomain: Vec<String>,
    /// See [`Definition::cat`].
    pub cat: Vec<String>,
    /// See [`Definition::frequency_cap`].
    pub frequency_cap: Option<NonZeroU16>,
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
}

impl Campaign {
    /// Renders a definition.
    ///
    /// # Panics
    /// If the price is not within 1 to [`MAX_CPM`], or there are no creatives or more than 255: [`load`] refuses such files.
    pub fn new(slot: Slot, definition: Definition) -> Campaign {
        let Definition { id, advertiser, name, enabled, daily_budget, flight, cpm, .. } = definition;
        let Definition { adomain, cat, frequency_cap, creatives, targeting, .. } = definition;
        assert!(cpm.0 > 0 && cpm <= MAX_CPM, "campaign {}: a price of {} micros CPM", id.0, cpm.0);
        assert!((1..=255).contains(&creatives.len()), "campaign {}: {} creatives", id.0, creatives.len());
        Campaign {
            slot,
            marks: marks::of_campaign(&adomain, &cat),
            cid_json: json_bytes(&id.0.to_string()),
            adomain_json: json_bytes(&adomain),
            cat_json: json_bytes(&cat),
            id,
            advertiser,
            name,
            enabled,
            daily_budget,
            flight,
            cpm,
            adomain,
            cat,
            frequency_cap,
            creatives,
            targeting,
        }
    }

    /// Whether only the user's profile tells if the campaign wants a request.
    #[inline]
    pub fn needs_user(&self) -> bool {
        !self.targeting.segments.is_empty()
    }

    /// Whether the campaign wants a user with these segments, which must be sorted. Nobody's segments are `&[]`.
    #[inline]
    pub fn wants(&self, segments: &[SegmentId]) -> bool {
        let has = |segment: &SegmentId| segments.binary_search(segment).is_ok();
        let SegmentRule { any, all, none } = &self.targeting.segments;
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

/// One banner.
#[derive(Clone, Debug, PartialEq)]
pub struct Creative {
    /// `bid.crid`.
    pub id: String,
    /// `bid.w` and `bid.h`.
    pub size: Size,
    /// Creative type of OpenRTB 2.6 list 5.2 (now AdCOM), held against `banner.btype`: 2 is an XHTML banner.
    pub btype: u8,
    /// Creative attributes (`bid.attr`), held against `banner.battr`: bit n for value n.
    pub attr: u64,
    /// Everything it loads comes over HTTPS (`imp.secure`).
    pub secure: bool,
    /// `bid.adm`: the markup as a JSON string, quotes included.
    pub adm_json: Box<[u8]>,
    /// `bid.crid`: the id as a JSON string, quotes included.
    pub crid_json: Box<[u8]>,
}

/// An XHTML banner ad, the default creative type.
pub const XHTML_BANNER: u8 = 2;

impl Creative {
    /// Renders a banner. Without a declaration it is secure if its markup names no plain `http:` address.
    ///
    /// # Errors
    /// The markup is empty or longer than [`limits::MARKUP_BYTES`], or than twice that once escaped for JSON.
    pub fn new(id: String, size: Size, markup: &str, secure: Option<bool>) -> Result<Creative, String> {
        if markup.is_empty() {
            return Err("the markup is empty".to_owned());
        }
        if markup.len() > limits::MARKUP_BYTES {
            return Err(format!("{} bytes of markup; the most is {}", markup.len(), limits::MARKUP_BYTES));
        }
        let adm_json = json_bytes(markup);
        if adm_json.len() > 2 * limits::MARKUP_BYTES {
            let most = 2 * limits::MARKUP_BYTES;
            return Err(format!("{} bytes of markup once escaped for JSON; the most is {most}", adm_json.len()));
        }
        let secure = secure.unwrap_or_else(|| !markup.to_ascii_lowercase().contains("http:"));
        Ok(Creative { crid_json: json_bytes(&id), id, size, btype: XHTML_BANNER, attr: 0, secure, adm_json })
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
    /// Countries: ISO 3166-1 alpha-3, upper-case. A place is included if its country **or** its region is.
    pub countries: Rule<String>,
    /// Regions: country, hyphen, and ISO 3166-2 subdivision, upper-case (`USA-CA`).
    pub regions: Rule<String>,
    /// AdCOM device types, 1 to 14; empty for any.
    pub devices: Vec<u8>,
    /// Sites, apps; empty for any.
    pub channels: Vec<Channel>,
    /// Domains of sites, lower-case; each stands for its subdomains too. Inventory is included if its domain **or** its
    /// bundle is.
    pub sites: Rule<String>,
    /// Bundles of apps.
    pub bundles: Rule<String>,
    /// Publisher ids, as the exchange sends them.
    pub publishers: Rule<String>,
    /// Exchanges, by their name in the configuration.
    pub exchanges: Rule<String>,
    /// The user's segments.
    pub segments: SegmentRule,
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
