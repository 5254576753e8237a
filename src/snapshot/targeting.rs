//! Targeting: from a request to the campaigns that want it, at a cost that follows the answer, not the number of campaigns.
//!
//! Scanning every campaign costs about a nanosecond each: nothing for a hundred, too much for a hundred thousand. A list
//! per value ("campaigns for USA") is no better where everybody is in USA. So [`Index::build`] makes a tree. Each inner node
//! asks one question (which inventory? which place? which size?), has a child per answer that a campaign names and one for
//! the campaigns that do not ask; the question is the one that leaves the fewest campaigns to look at. A request follows its
//! own answers and the "do not ask" branch. What is left in a leaf is a handful of entries of 32 bytes, side by side, the
//! dearest first, whose bits turn most of the wrong campaigns away ([`entry`]); only what the path and the bits leave open
//! is asked of the campaign's own lists ([`rules`]).
//!
//! Deals come before everything: a campaign that names deals stands under each of them and nowhere else.
//!
//! The user's segments are not looked at: the profile is loaded only if a candidate asks for it
//! ([`Campaign::needs_user`](crate::snapshot::campaign::Campaign::needs_user)).
//!
//! docs/decisions/0007-targeting-index.md says what else was considered.

mod build;
pub(crate) mod codes;
mod entry;
mod explain;
mod globe;
mod matching;
mod names;
mod query;
mod rules;

pub use codes::{DOMAIN_BYTES, LABELS};
pub use explain::{WhyNot, below, why_not, why_nots};
pub use query::Query;

use arrayvec::ArrayVec;

use crate::limits;
use crate::snapshot::campaign::Shape;
use crate::units::{CampaignIx, CpmMicros, UnixMillis};
use crate::wire::openrtb::agent::{Browser, Os};
use crate::wire::openrtb::request::{Channel, Point};
use codes::{Dictionary, Dimension};
use entry::Entry;
use globe::LEVELS;
use rules::Rules;

/// What a request says about itself, in plain values; empty or 0 is unknown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// ISO 3166-1 alpha-3 country of the device.
    pub country: &'a [u8],
    /// ISO 3166-2 subdivision, with or without a country and hyphen before it.
    pub region: &'a [u8],
    /// The city's name.
    pub city: &'a [u8],
    /// The postal code.
    pub zip: &'a [u8],
    /// Where on the globe.
    pub point: Option<Point>,
    /// AdCOM device type.
    pub device: u8,
    /// Operating system.
    pub os: Os,
    /// Browser.
    pub browser: Browser,
    /// The carrier's name.
    pub carrier: &'a [u8],
    /// AdCOM connection type.
    pub connection: u8,
    /// Categories of the inventory, at most [`limits::CATEGORIES`].
    pub categories: &'a [&'a [u8]],
    /// Language of the content, or else of the device; the part before a hyphen counts.
    pub language: &'a [u8],
    /// The hour of the week, 0 to 167, in each of [`Index::zones`].
    pub hours: &'a [u8],
    /// Site, app or other.
    pub channel: Channel,
    /// The site's domain; counts if the channel is a site.
    pub domain: &'a [u8],
    /// The app's bundle; counts if the channel is an app.
    pub bundle: &'a [u8],
    /// The publisher's id.
    pub publisher: &'a [u8],
    /// The exchange's name in the configuration.
    pub exchange: &'a [u8],
    /// The wall clock, for flights.
    pub now: UnixMillis,
}

/// The host in a URL, for sites that name a page and no domain; empty if there is none.
pub fn host(url: &[u8]) -> &[u8] {
    let Some(scheme) = memchr::memmem::find(url, b"://") else { return &[] };
    let authority = &url[scheme + 3..];
    let end = authority.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\')).unwrap_or(authority.len());
    let authority = &authority[..end];
    let host = authority.iter().rposition(|&byte| byte == b'@').map_or(authority, |at| &authority[at + 1..]);
    host.iter().position(|&byte| byte == b':').map_or(host, |port| &host[..port])
}

/// One impression: the shapes it takes, best first, and its floor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offer<'a> {
    /// Shapes offered; the first [`limits::SHAPES`] count.
    pub shapes: &'a [Shape],
    /// The least it could sell for, by whatever creative and deal.
    pub floor: CpmMicros,
    /// Ids of its deals; the first [`limits::DEALS`] count.
    pub deals: &'a [&'a [u8]],
    /// It is sold to deals only.
    pub deals_only: bool,
}

/// A campaign that wants an impression, as far as can be told without the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The campaign.
    pub campaign: CampaignIx,
    /// Which of the offered shapes it fills: the first that it has a creative for.
    pub shape: u8,
    /// The first of its creatives in this shape.
    pub creative: u8,
    /// Which of the offered deals it bids for: the first that it names; `None` if it bids in the open auction.
    pub deal: Option<u8>,
}

/// The candidates of one impression.
pub type Candidates = ArrayVec<Candidate, { limits::CANDIDATES }>;

/// What a match says beside its candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// Some campaign of the index has a creative of an offered shape.
    pub shape_known: bool,
    /// Nothing is listed, but a campaign would be if it were not for the floor.
    pub below_floor: bool,
    /// More campaigns want it than [`limits::CANDIDATES`]; some are not listed.
    pub full: bool,
}

/// The campaigns of one snapshot, arranged by what they target. Built off the bid path, never changed.
#[derive(Clone, Debug)]
pub struct Index {
    dictionaries: [Dictionary; Dimension::NAMED],
    /// Bits of the dimensions that some campaign is particular about.
    asks: u16,
    needs: Needs,
    zones: Vec<String>,
    nodes: Vec<Node>,
    children: Vec<Child>,
    entries: Vec<Entry>,
    rules: Rules,
    /// Asks for the deal: the trees of the campaigns that name one.
    deals: Node,
    /// The tree of those that name none.
    open: u32,
}

const _: () = {
    const fn crosses_cores<T: Send + Sync>() {}
    crosses_cores::<Index>();
};

/// Parts of places that some campaign asks for.
#[derive(Clone, Copy, Debug, Default)]
struct Needs {
    cities: bool,
    zips: bool,
    circles: bool,
    /// Grids in which circles are covered.
    levels: [bool; LEVELS],
}

/// No child.
const NONE: u32 = u32::MAX;
/// In [`Node::asks`]: the node asks nothing, it holds entries.
const LEAF: u8 = u8::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    /// Of a leaf: nothing. Of others: bit `code % 64` of every child's code, so that most absent children are not looked for.
    present: u64,
    /// The first of its entries, or of its hash table of children.
    start: u32,
    /// How many entries, or the table's size minus one.
    extent: u32,
    /// The child with the campaigns that do not ask.
    any: u32,
    /// A [`Dimension`] or [`LEAF`].
    asks: u8,
}

#[derive(Clone, Copy, Debug)]
struct Child {
    code: u32,
    /// [`NONE`] in an empty place of the table.
    node: u32,
}

/// A place in one of the index's lists.
fn small(value: usize) -> u32 {
    u32::try_from(value).ok().filter(|&value| value != NONE).expect("an index of at most 2^32 - 2 parts")
}

impl Index {
    /// The time zones that campaigns name, by the code that [`Asked::hours`] goes by; at most [`limits::ZONES`].
    pub fn zones(&self) -> &[String] {
        &self.zones
    }

    /// Whether a campaign asks for the operating system or the browser.
    #[inline]
    pub fn asks_agent(&self) -> bool {
        self.asks & (Dimension::Os.bit() | Dimension::Browser.bit()) != 0
    }

    /// Whether a campaign asks for categories or the language.
    #[inline]
    pub fn asks_content(&self) -> bool {
        self.asks & (Dimension::Category.bit() | Dimension::Language.bit()) != 0
    }

    /// Whether a campaign asks for the city, the postal code or the point on the globe.
    #[inline]
    pub fn asks_place_details(&self) -> bool {
        self.needs.cities | self.needs.zips | self.needs.circles
    }

    /// Whether a campaign asks for the carrier.
    #[inline]
    pub fn asks_carrier(&self) -> bool {
        self.asks & Dimension::Carrier.bit() != 0
    }

    /// Whether a campaign asks for the connection type.
    #[inline]
    pub fn asks_connection(&self) -> bool {
        self.asks & Dimension::Connection.bit() != 0
    }

    /// Whether a campaign names deals.
    #[inline]
    pub fn asks_deals(&self) -> bool {
        self.asks & Dimension::Deal.bit() != 0
    }

    /// Nodes, entries and bytes: what the index is made of.
    pub fn extent(&self) -> Extent {
        let bytes = size_of_val(&self.nodes[..])
            + size_of_val(&self.children[..])
            + size_of_val(&self.entries[..])
            + self.rules.bytes()
            + self.dictionaries.iter().map(Dictionary::bytes).sum::<usize>();
        Extent { nodes: self.nodes.len(), entries: self.entries.len(), bytes }
    }
}

/// How large an index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Nodes of the tree.
    pub nodes: usize,
    /// Entries in its leaves; a campaign may be in several.
    pub entries: usize,
    /// Bytes of it all.
    pub bytes: usize,
}
