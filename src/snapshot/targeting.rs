//! Targeting: from a request to the campaigns that want it, at a cost that follows the answer, not the number of campaigns.
//!
//! Scanning every campaign costs about a nanosecond each: nothing for a hundred, too much for a hundred thousand. A list
//! per value ("campaigns for USA") is no better where everybody is in USA. So [`Index::build`] makes a tree. Each inner node
//! asks one question (which inventory? which place? which size?), has a child per answer that a campaign names and one for
//! the campaigns that do not ask; the question is the one that leaves the fewest campaigns to look at. A request follows its
//! own answers and the "do not ask" branch. What is left in a leaf is a handful of [`Entry`]s, one cache line each, side by
//! side, the dearest first: what the path has not settled is settled by their bit masks, and only where a value is too
//! rare for a bit of its own by its campaign's sorted codes ([`Rules`]).
//!
//! The user's segments are not looked at: the profile is loaded only if a candidate asks for it
//! ([`Campaign::needs_user`](crate::snapshot::campaign::Campaign::needs_user)).
//!
//! docs/decisions/0007-targeting-index.md says what else was considered.

mod build;
pub(crate) mod codes;
mod explain;

pub use codes::{DOMAIN_BYTES, LABELS};
pub use explain::{WhyNot, why_not};

use arrayvec::ArrayVec;

use crate::limits;
use crate::units::{CampaignIx, CpmMicros, UnixMillis};
use crate::snapshot::campaign::Shape;
use crate::wire::openrtb::agent::{Browser, Os};
use crate::wire::openrtb::request::{Channel, Point};
use codes::{Dictionary, Dimension, UNNAMED};

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

/// A request in an index's own codes. Made once per request with [`Index::query`], good for that index only.
#[derive(Clone, Debug)]
pub struct Query {
    inventory: ArrayVec<u32, { LABELS + 1 }>,
    place: ArrayVec<u32, 2>,
    publisher: u32,
    exchange: u32,
    device: u32,
    channel: u32,
    inventory_bits: u64,
    place_bits: u64,
    plain_bits: u64,
    /// Everything of this request that a campaign could exclude, a Bloom filter of one hash.
    excluded_bits: u64,
    seconds: u32,
}

/// The campaigns of one snapshot, arranged by what they target. Built off the bid path.
#[derive(Clone, Debug)]
pub struct Index {
    dictionaries: [Dictionary; Dimension::COUNT],
    nodes: Vec<Node>,
    children: Vec<Child>,
    entries: Vec<Entry>,
    rules: Vec<Rules>,
    codes: Vec<u32>,
    root: u32,
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

/// A campaign in a leaf: one cache line.
///
/// ```text
///  0        8        16       24       32       40    44    48    52    56      57            64
///  ┌────────┬────────┬────────┬────────┬────────┬─────┬─────┬─────┬─────┬───────┬─────────────┐
///  │invent. │ place  │excluded│ sizes  │ plain  │ cpm │ ix  │start│ end │ check │ creatives   │
///  └────────┴────────┴────────┴────────┴────────┴─────┴─────┴─────┴─────┴───────┴─────────────┘
/// ```
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Entry {
    /// Included inventory; [`ANY`] if there is no inclusion, or the path has settled it.
    inventory: u64,
    /// Included places, likewise.
    place: u64,
    /// Bloom filter of what is excluded: inventory, places, publishers.
    excluded: u64,
    /// Sizes it has creatives for.
    sizes: u64,
    /// Device (16 bits), channel (4), exchange (44): what is allowed. A request has one bit in each.
    plain: u64,
    /// The most it bids, micros per thousand.
    cpm: u32,
    campaign: u32,
    /// Flight, Unix seconds.
    start: u32,
    end: u32,
    /// Bits of dimensions whose rules the masks do not settle, and [`MORE_CREATIVES`].
    check: u8,
    /// Size codes of the first creatives; [`NO_CREATIVE`] fills up.
    creatives: [u8; CREATIVES],
}

const _: () = assert!(size_of::<Entry>() == 64);

/// The bit of "any" in inventory and place masks; every request has it.
const ANY: u64 = 1 << 63;
/// Codes below this have a bit of their own in a mask; the others share it.
const SHARED: u32 = 62;
/// The same for exchanges, which have 44 bits; the last is for an exchange no campaign names.
const SHARED_EXCHANGE: u32 = 42;
const UNNAMED_EXCHANGE: u32 = 43;
const EXCHANGE_SHIFT: u32 = 20;
const CHANNEL_SHIFT: u32 = 16;
/// Device types have 16 bits; those from 15 on share the last.
const DEVICES: u32 = 15;
/// Size codes of an entry: room for this many.
const CREATIVES: usize = 7;
const NO_CREATIVE: u8 = u8::MAX;
/// In [`Entry::check`]: the entry does not name all sizes of its campaign.
const MORE_CREATIVES: u8 = 1 << Dimension::Size as u8;

/// What a campaign includes and excludes, as sorted codes in [`Index::codes`]; its creatives' size codes in their order.
#[derive(Clone, Copy, Debug, Default)]
struct Rules {
    include: [Span; 4],
    exclude: [Span; 4],
    creatives: Span,
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    length: u32,
}

#[inline]
fn own_bit(code: u32) -> u64 {
    1 << code.min(SHARED)
}

#[inline]
fn exchange_bit(code: u32) -> u64 {
    let bit = if code == UNNAMED { UNNAMED_EXCHANGE } else { code.min(SHARED_EXCHANGE) };
    1 << (EXCHANGE_SHIFT + bit)
}

#[inline]
fn device_code(kind: u8) -> u32 {
    u32::from(kind).min(DEVICES)
}

#[inline]
fn excluded_bit(dimension: Dimension, code: u32) -> u64 {
    let spread = (code + 1).wrapping_mul(0x9E37_79B1) ^ (dimension as u32 + 1).wrapping_mul(0x85EB_CA6B);
    1 << (spread.wrapping_mul(0xC2B2_AE35) >> 26)
}

/// The sizes of an offer that any campaign has, in codes.
struct Sizes {
    /// Code and place among the offered.
    known: ArrayVec<(u32, u8), { limits::SHAPES }>,
    bits: u64,
}

impl Index {
    /// The time zones that campaigns name, by the code that [`Asked::hours`] goes by.
    pub fn zones(&self) -> &[String] {
        &[]
    }

    /// Whether a campaign is particular about more of the place than country and region.
    pub fn asks_place_details(&self) -> bool {
        false
    }

    /// Whether a campaign is particular about operating systems or browsers.
    pub fn asks_agent(&self) -> bool {
        false
    }

    /// Whether a campaign is particular about categories or languages.
    pub fn asks_content(&self) -> bool {
        false
    }

    /// A request in this index's codes.
    pub fn query(&self, asked: &Asked<'_>) -> Query {
        let look_up = |dimension: Dimension, hash: u64| self.dictionaries[dimension as usize].code(hash);
        let mut query = Query {
            inventory: ArrayVec::new(),
            place: ArrayVec::new(),
            publisher: UNNAMED,
            exchange: look_up(Dimension::Exchange, codes::exchange(asked.exchange)),
            device: device_code(asked.device),
            channel: asked.channel as u32,
            inventory_bits: ANY,
            place_bits: ANY,
            plain_bits: 0,
            excluded_bits: 0,
            seconds: u32::try_from(asked.now.0 / 1000).unwrap_or(u32::MAX),
        };
        let mut inventory = |hash: u64| {
            let code = look_up(Dimension::Inventory, hash);
            if code != UNNAMED {
                query.inventory.push(code);
                query.inventory_bits |= own_bit(code);
                query.excluded_bits |= excluded_bit(Dimension::Inventory, code);
            }
        };
        match asked.channel {
            Channel::Site => codes::domains(asked.domain, inventory),
            Channel::App if !asked.bundle.is_empty() => inventory(codes::bundle(asked.bundle)),
            _ => {}
        }
        if !asked.country.is_empty() {
            let country = codes::country(asked.country);
            let mut place = |hash: u64| {
                let code = look_up(Dimension::Place, hash);
                if code != UNNAMED {
                    query.place.push(code);
                    query.place_bits |= own_bit(code);
                    query.excluded_bits |= excluded_bit(Dimension::Place, code);
                }
            };
            place(country);
            let subdivision = codes::subdivision(asked.region);
            if !subdivision.is_empty() {
                place(codes::region(country, subdivision));
            }
        }
        if !asked.publisher.is_empty() {
            query.publisher = look_up(Dimension::Publisher, codes::publisher(asked.publisher));
            if query.publisher != UNNAMED {
                query.excluded_bits |= excluded_bit(Dimension::Publisher, query.publisher);
            }
        }
        query.plain_bits = 1 << query.device | 1 << (CHANNEL_SHIFT + query.channel) | exchange_bit(query.exchange);
        query
    }

    /// Lists the campaigns that want an impression of the query's request and bid at least its floor, in no particular
    /// order. `out` is cleared first. Allocates nothing.
    pub fn candidates(&self, query: &Query, offer: &Offer<'_>, out: &mut Candidates) -> Matched {
        out.clear();
        let mut matched = Matched::default();
        let sizes = self.sizes(offer);
        matched.shape_known = !sizes.known.is_empty();
        // Prices are at most 32 bits of micros: a floor beyond that is above them all, and one below 0 below them all.
        let floor = u32::try_from(offer.floor.0.max(0)).unwrap_or(u32::MAX);
        if !matched.shape_known || self.root == NONE {
            return matched;
        }
        // Each inner node takes one off and puts at most its answers and "any" on, and no path asks the same twice.
        const STACK: usize = (LABELS + 2) + 3 + 4 * 2 + (limits::SHAPES + 1);
        let mut stack: ArrayVec<(u32, u8), STACK> = ArrayVec::new();
        stack.push((self.root, ANY_SIZE));
        while let Some((at, by_size)) = stack.pop() {
            let node = &self.nodes[at as usize];
            if node.asks == LEAF {
                let entries = &self.entries[node.start as usize..][..node.extent as usize];
                self.look(entries, query, &sizes, by_size, floor, out, &mut matched);
                continue;
            }
            if node.any != NONE {
                stack.push((node.any, by_size));
            }
            let mut follow = |code: u32, by_size: u8| {
                if let Some(child) = self.child(node, code) {
                    stack.push((child, by_size));
                }
            };
            const INVENTORY: u8 = Dimension::Inventory as u8;
            const PLACE: u8 = Dimension::Place as u8;
            const PUBLISHER: u8 = Dimension::Publisher as u8;
            const EXCHANGE: u8 = Dimension::Exchange as u8;
            const DEVICE: u8 = Dimension::Device as u8;
            const CHANNEL: u8 = Dimension::Channel as u8;
            match node.asks {
                INVENTORY => query.inventory.iter().for_each(|&code| follow(code, by_size)),
                PLACE => query.place.iter().for_each(|&code| follow(code, by_size)),
                PUBLISHER => follow(query.publisher, by_size),
                EXCHANGE => follow(query.exchange, by_size),
                DEVICE => follow(query.device, by_size),
                CHANNEL => follow(query.channel, by_size),
                _ => sizes.known.iter().for_each(|&(code, place)| follow(code, place)),
            }
        }
        matched.below_floor &= out.is_empty();
        matched
    }

    fn sizes(&self, offer: &Offer<'_>) -> Sizes {
        let offered = &offer.shapes[..offer.shapes.len().min(limits::SHAPES)];
        let mut sizes = Sizes { known: ArrayVec::new(), bits: 0 };
        for (shape, place) in offered.iter().zip(0..) {
            let code = self.dictionaries[Dimension::Size as usize].code(codes::shape(*shape));
            if code != UNNAMED && !sizes.known.iter().any(|&(known, _)| known == code) {
                sizes.known.push((code, place));
                sizes.bits |= own_bit(code);
            }
        }
        sizes
    }

    #[inline]
    fn child(&self, node: &Node, code: u32) -> Option<u32> {
        if node.present & 1 << (code % 64) == 0 {
            return None;
        }
        let table = &self.children[node.start as usize..][..=node.extent as usize];
        let mut at = place_of(code, node.extent);
        loop {
            let child = table[at as usize];
            if child.node == NONE {
                return None;
            }
            if child.code == code {
                return Some(child.node);
            }
            at = (at + 1) & node.extent;
        }
    }

    /// Goes through a leaf. `by_size` is the offered size the path was chosen by, or [`ANY_SIZE`].
    #[inline]
    fn look(
        &self,
        entries: &[Entry],
        query: &Query,
        sizes: &Sizes,
        by_size: u8,
        floor: u32,
        out: &mut Candidates,
        matched: &mut Matched,
    ) {
        for entry in entries {
            // The dearest come first: below the floor all that is left to learn is whether anybody is there.
            let low = entry.cpm < floor;
            if low && (matched.below_floor || !out.is_empty()) {
                return;
            }
            let fits = (entry.inventory & query.inventory_bits != 0)
                & (entry.place & query.place_bits != 0)
                & (entry.sizes & sizes.bits != 0)
                & (query.plain_bits & !entry.plain == 0)
                & (entry.start <= query.seconds)
                & (query.seconds < entry.end);
            if !fits || !self.settled(entry, query) {
                continue;
            }
            // A campaign with several of the offered sizes is met under each: it is listed under the first.
            let Some((place, creative)) = self.creative(entry, sizes) else { continue };
            if by_size != ANY_SIZE && by_size != place {
                continue;
            }
            if low {
                matched.below_floor = true;
                continue;
            }
            let candidate = Candidate { campaign: CampaignIx(entry.campaign), shape: place, creative, deal: None };
            if out.try_push(candidate).is_err() {
                matched.full = true;
                return;
            }
        }
    }

    /// What the masks leave open: values without a bit of their own, and exclusions that may be hit.
    #[inline]
    fn settled(&self, entry: &Entry, query: &Query) -> bool {
        let check = entry.check & !MORE_CREATIVES;
        let maybe_excluded = entry.excluded & query.excluded_bits != 0;
        (check == 0 && !maybe_excluded) || self.settle(entry.campaign, check, maybe_excluded, query)
    }

    #[cold]
    fn settle(&self, campaign: u32, check: u8, maybe_excluded: bool, query: &Query) -> bool {
        let rules = &self.rules[campaign as usize];
        let one = |code: &u32| if *code == UNNAMED { 0 } else { 1 };
        let asked: [&[u32]; 4] = [
            &query.inventory,
            &query.place,
            &std::slice::from_ref(&query.publisher)[..one(&query.publisher)],
            &std::slice::from_ref(&query.exchange)[..one(&query.exchange)],
        ];
        let hits = |span: Span, asked: &[u32]| {
            let codes = &self.codes[span.start as usize..][..span.length as usize];
            asked.iter().any(|code| codes.binary_search(code).is_ok())
        };
        Dimension::ALL[..4].iter().zip(asked).all(|(&dimension, asked)| {
            let included = check & dimension.bit() == 0
                || rules.include[dimension as usize].length == 0
                || hits(rules.include[dimension as usize], asked);
            let open = maybe_excluded || check & dimension.bit() != 0;
            included && !(open && hits(rules.exclude[dimension as usize], asked))
        })
    }

    /// The first offered size the campaign has a creative for, by its place, and that creative.
    #[inline]
    fn creative(&self, entry: &Entry, sizes: &Sizes) -> Option<(u8, u8)> {
        sizes.known.iter().find_map(|&(code, place)| {
            if entry.sizes & own_bit(code) == 0 {
                return None;
            }
            let at = if entry.check & MORE_CREATIVES == 0 {
                entry.creatives.iter().position(|&of| u32::from(of) == code)
            } else {
                let span = self.rules[entry.campaign as usize].creatives;
                self.codes[span.start as usize..][..span.length as usize].iter().position(|&of| of == code)
            };
            at.map(|at| (place, at as u8))
        })
    }

    /// Nodes, entries and bytes: what the index is made of.
    pub fn extent(&self) -> Extent {
        let bytes = size_of_val(&self.nodes[..])
            + size_of_val(&self.children[..])
            + size_of_val(&self.entries[..])
            + size_of_val(&self.rules[..])
            + size_of_val(&self.codes[..]);
        Extent { nodes: self.nodes.len(), entries: self.entries.len(), bytes }
    }
}

/// The path did not ask for the size.
const ANY_SIZE: u8 = u8::MAX;
const _: () = assert!(limits::SHAPES < ANY_SIZE as usize);

#[inline]
fn place_of(code: u32, mask: u32) -> u32 {
    code.wrapping_mul(0x9E37_79B1) >> 7 & mask
}

/// How large an index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Nodes of the tree.
    pub nodes: usize,
    /// Entries in its leaves; a campaign may be in several.
    pub entries: usize,
    /// Bytes of it all, the dictionaries aside.
    pub bytes: usize,
}
