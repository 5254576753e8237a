//! OpenRTB 2.5 and 2.6 `BidRequest`: a borrowed view of the fields in use, filled in one pass.
//!
//! Missing means unknown unless the specification gives a default; unknown fields and enum values are tolerated
//! (2.6, "Versioning"). 2.6 names come first; where 2.5 kept a field under `ext`, both places are read.

mod scan;
mod impression;

use arrayvec::ArrayVec;

use super::agent::{Browser, Os};
use super::chain::SupplyChain;
use super::mime::Mimes;
use crate::limits;
use crate::units::{CpmMicros, Multiplier};
use crate::wire::json::{Raw, Text};
pub use scan::{Parts, ScanError, scan};

/// A `BidRequest` (2.6 section 3.2.1), borrowed from its body. Some 40 KiB, of which only what a request has is ever written: made
/// empty ([`Default`]) where it is to live, filled in place by [`scan`], and not moved.
#[derive(Debug, Default)]
pub struct BidRequest<'a> {
    /// `id`, required, not empty.
    pub id: Text<'a>,
    /// `at`: 1 first price, 2 second price plus (the default).
    pub at: u16,
    /// `tmax`, ms, with network latency; 0 if absent.
    pub tmax: u32,
    /// `test`: not billable. Bid on like any other; the exchange sends no bill.
    pub test: bool,
    /// `allimps`: `imp` names everything there is to show on the page.
    pub all_imps: bool,
    /// `imp`, the first [`limits::IMPS`].
    pub imps: ArrayVec<Imp<'a>, { limits::IMPS }>,
    /// `imp.pmp.deals`, impression by impression, the first [`limits::DEALS`] of the request. One pool: deals are large, and
    /// most impressions have none.
    pub deals: ArrayVec<Deal<'a>, { limits::DEALS }>,
    /// `cur`: an array of strings, or absent (any currency; USD).
    pub cur: Raw<'a>,
    /// `bcat`: an array of strings.
    pub bcat: Raw<'a>,
    /// `acat`: an array of strings; the only categories allowed, if there are any.
    pub acat: Raw<'a>,
    /// `wlang`, or `wlangb`: an array of strings.
    pub wlang: Raw<'a>,
    /// `regs.ext.dsa`. Read by [`Parts::person`].
    pub dsa: Dsa,
    /// `cattax`: the taxonomy of `bcat`; default 1, IAB Content Taxonomy 1.0.
    pub cattax: u16,
    /// `badv`: an array of strings.
    pub badv: Raw<'a>,
    /// `bapp`: an array of strings.
    pub bapp: Raw<'a>,
    /// `wseat`: an array of strings.
    pub wseat: Raw<'a>,
    /// `bseat`: an array of strings.
    pub bseat: Raw<'a>,
    /// Site, app, dooh or nothing; the first of them that is present.
    pub channel: Channel,
    /// `cat`, `sectioncat` and `pagecat` of the site, app or dooh, and `content.cat`: arrays of strings, all of one taxonomy. With
    /// the two below read by [`Parts::content`].
    pub categories: [Raw<'a>; 4],
    /// `cattax` of the site, app or dooh, or of `content` where only that names categories; default 1, IAB Content Taxonomy 1.0.
    pub categories_tax: u16,
    /// `content.language` (ISO 639-1 alpha-2) or `content.langb` (BCP 47) of the site, app or dooh.
    pub content_language: Text<'a>,
    /// `site.domain` or, without it, nothing; `app.domain` is not read. Of `dooh`, its `domain`.
    pub domain: Text<'a>,
    /// `site.page`.
    pub page: Text<'a>,
    /// `app.bundle`.
    pub bundle: Text<'a>,
    /// `publisher.id` of the site, app or dooh.
    pub publisher: Text<'a>,
    /// `device`.
    pub device: Device<'a>,
    /// `user.id`.
    pub user_id: Text<'a>,
    /// `user.buyeruid`.
    pub buyeruid: Text<'a>,
    /// `user.eids`, or `user.ext.eids` in 2.5.
    pub eids: Raw<'a>,
    /// `user.consent`, or `user.ext.consent` in 2.5.
    pub consent: Text<'a>,
    /// `user.geo`, read if `device.geo` names no country.
    pub user_geo: Geo<'a>,
    /// `regs.coppa`.
    pub coppa: bool,
    /// `regs.gdpr`, or `regs.ext.gdpr` in 2.5: yes if either says so; absent is unknown.
    pub gdpr: Option<bool>,
    /// `regs.us_privacy`, or `regs.ext.us_privacy`.
    pub us_privacy: Text<'a>,
    /// `regs.gpp`, or `regs.ext.gpp`.
    pub gpp: Text<'a>,
    /// `regs.gpp_sid`, or `regs.ext.gpp_sid`: an array of integers.
    pub gpp_sid: Raw<'a>,
    /// `regs.ext.gpc`, or `regs.gpc`, is "1" or something else that does not deny it.
    pub gpc: bool,
    /// `regs.us_privacy`, `regs.gpp`, `regs.gpp_sid` or `user.consent` says one thing in its place of 2.6 and another under `ext`.
    pub contradictory: bool,
    /// `source.schain` (2.6), `source.ext.schain` (2.5) or `ext.schain` (2.4). Read by [`Parts::chain`].
    pub schain: SupplyChain<'a>,
    /// `inventorypartnerdomain` of the site, app or dooh, or of its `ext` in 2.5: who shares the inventory with its owner. Read
    /// by [`Parts::chain`].
    pub partner: Text<'a>,
}

impl<'a> BidRequest<'a> {
    /// The deals of one of its impressions.
    #[inline]
    pub fn deals_of(&self, imp: &Imp<'_>) -> &[Deal<'a>] {
        let DealRange { first, count } = imp.deals;
        &self.deals[first as usize..][..count as usize]
    }

    /// The place that applies: the device's, or the user's where only that has a country. Known after [`Parts::inventory`].
    #[inline]
    pub fn place(&self) -> &Geo<'a> {
        if self.user_geo.country.is_empty() { &self.device.geo } else { &self.user_geo }
    }
}

/// What a bid has to disclose under the Digital Services Act (IAB Tech Lab, DSA Transparency extension).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dsa {
    /// `dsarequired`: 0 not required, 1 supported, 2 and 3 required; 0 if absent.
    pub required: u8,
    /// `pubrender`: whether the publisher shows it: 0 it cannot, 1 it can, 2 it does.
    pub publisher_renders: Option<u8>,
    /// `datatopub` is 1 or 2: user parameters may be sent; 0 if absent.
    pub wants_parameters: bool,
}

impl Dsa {
    /// Whether a bid without it is not accepted.
    #[inline]
    pub const fn is_required(self) -> bool {
        self.required >= 2
    }

    /// Whether a bid with it is.
    #[inline]
    pub const fn is_supported(self) -> bool {
        self.required >= 1
    }
}

/// Whose inventory it is; exactly one in a valid request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channel {
    /// None of the three objects.
    #[default]
    Unknown,
    /// `site`.
    Site,
    /// `app`.
    App,
    /// `dooh`.
    Dooh,
}

/// `Imp` (2.6 section 3.2.4).
#[derive(Clone, Debug, Default)]
pub struct Imp<'a> {
    /// `id`, required, not empty.
    pub id: Text<'a>,
    /// `banner`, if present.
    pub banner: Option<Banner>,
    /// `video`, if present.
    pub video: Option<Stream<'a>>,
    /// `audio`, if present.
    pub audio: Option<Stream<'a>>,
    /// `native`, if present.
    pub native: Option<Native<'a>>,
    /// `bidfloor`, rounded up to a micro; default 0.
    pub floor: CpmMicros,
    /// `bidfloorcur`; default USD, given here as empty.
    pub floor_cur: Text<'a>,
    /// `secure`: `Some(true)` demands HTTPS; absent is unknown, and non-secure may be assumed.
    pub secure: Option<bool>,
    /// `pmp.private_auction`.
    pub private_auction: bool,
    /// `pmp.deals`: which of [`BidRequest::deals`]; [`BidRequest::deals_of`] finds them.
    pub deals: DealRange,
    /// `qty.multiplier`: people who see one showing of a screen (2.6 section 3.2.31); 1 if absent.
    pub multiplier: Multiplier,
    /// `tagid`.
    pub tagid: Text<'a>,
    /// `instl`.
    pub interstitial: bool,
}

/// `Banner` (2.6 section 3.2.6).
#[derive(Clone, Debug, Default)]
pub struct Banner {
    /// Sizes offered, in density-independent pixels: `w` x `h` first, then `format[]` (those with a `w` and `h` above 0), the
    /// first [`limits::SIZES`].
    pub sizes: ArrayVec<Size, { limits::SIZES }>,
    /// `btype`: bit n is set when value n (0 to 63) is in the list.
    pub btype: u64,
    /// `battr`: bit n is set when value n (0 to 63) is in the list.
    pub battr: u64,
    /// `pos`; 0 is unknown.
    pub pos: u8,
}

/// `Video` (2.6 section 3.2.7) or `Audio` (3.2.8): the same questions about a file that takes time.
#[derive(Clone, Debug)]
pub struct Stream<'a> {
    /// `mimes`, required.
    pub mimes: Mimes,
    /// `minduration`, seconds; default 0.
    pub min_duration: u16,
    /// `maxduration`, seconds; `u16::MAX` if absent.
    pub max_duration: u16,
    /// `rqddurs`, seconds: the only durations taken, if there are any; excludes the two above.
    pub exact_durations: ArrayVec<u16, { limits::DURATIONS }>,
    /// `protocols` (AdCOM list "Creative Subtypes"), with `protocol` of old: bit n for value n; 0 if absent.
    pub protocols: u64,
    /// `linearity`: 1 linear, 2 overlay; 0 if absent (any).
    pub linearity: u8,
    /// `placement` (2.5); 0 if absent.
    pub placement: u8,
    /// `plcmt` (2.6); 0 if absent.
    pub plcmt: u8,
    /// `startdelay`, seconds; 0 pre-roll, -1 mid-roll, -2 post-roll; absent is unknown.
    pub start_delay: Option<i32>,
    /// `skip`: whether the player lets people skip.
    pub skip: Option<bool>,
    /// `w` and `h` of the player; 0 if absent.
    pub size: Size,
    /// `minbitrate`, kbit/s; 0 if absent.
    pub min_bitrate: u32,
    /// `maxbitrate`, kbit/s; `u32::MAX` if absent.
    pub max_bitrate: u32,
    /// `delivery` (AdCOM list "Delivery Methods"): bits; 0 if absent (any).
    pub delivery: u64,
    /// `api` (AdCOM list "API Frameworks"): bits; 0 if absent (none is supported).
    pub api: u64,
    /// `battr`: bits.
    pub battr: u64,
    /// `pos`; 0 is unknown.
    pub pos: u8,
    /// The pod it is part of, if it is.
    pub pod: Option<Pod<'a>>,
    /// `mincpmpersec` and `durfloors`.
    pub floors: TimeFloors,
}

impl Default for Stream<'_> {
    /// All of it absent.
    fn default() -> Self {
        Stream {
            mimes: Mimes::default(),
            min_duration: 0,
            max_duration: u16::MAX,
            exact_durations: ArrayVec::new(),
            protocols: 0,
            linearity: 0,
            placement: 0,
            plcmt: 0,
            start_delay: None,
            skip: None,
            size: Size::default(),
            min_bitrate: 0,
            max_bitrate: u32::MAX,
            delivery: 0,
            api: 0,
            battr: 0,
            pos: 0,
            pod: None,
            floors: TimeFloors::default(),
        }
    }
}

/// A pod: ads played one after the other (2.6 section 7.6).
#[derive(Clone, Copy, Debug, Default)]
pub struct Pod<'a> {
    /// `podid`.
    pub id: Text<'a>,
    /// `slotinpod`: 0 any, 1 first, -1 last, 2 first or last.
    pub slot: i8,
    /// `poddur`, seconds, of the dynamic part; 0 if the pod is structured and this is one slot of it.
    pub duration: u16,
    /// `maxseq`: ads that fit in the dynamic part; `u8::MAX` if absent.
    pub most_ads: u8,
}

impl Pod<'_> {
    /// Whether the bidder may fill the time with as many ads as fit (2.6 section 7.6.3).
    #[inline]
    pub fn is_dynamic(&self) -> bool {
        self.duration > 0
    }
}

/// Floors that depend on how long an ad is (2.6 section 7.11): one of the two, or neither.
#[derive(Clone, Debug, Default)]
pub struct TimeFloors {
    /// `mincpmpersec`, per second, rounded up to a micro; 0 if absent.
    pub per_second: CpmMicros,
    /// `durfloors`: the floor for a range of durations.
    pub spans: ArrayVec<DurationFloor, { limits::DURATION_FLOORS }>,
}

/// `DurFloors` (2.6 section 3.2.35).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DurationFloor {
    /// `mindur`, seconds; 0 if absent.
    pub min: u16,
    /// `maxdur`, seconds; `u16::MAX` if absent.
    pub max: u16,
    /// `bidfloor`, rounded up to a micro.
    pub floor: CpmMicros,
}

/// `Native` (2.6 section 3.2.9).
#[derive(Clone, Copy, Debug, Default)]
pub struct Native<'a> {
    /// `request`: a JSON document in a string, or the object itself as it stands; read when somebody wants it
    /// ([`super::native`]).
    pub request: Text<'a>,
    /// `battr`: bits.
    pub battr: u64,
}

/// Neighbours in [`BidRequest::deals`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DealRange {
    /// The first.
    pub first: u8,
    /// How many.
    pub count: u8,
}

/// `Deal` (2.6 section 3.2.12).
#[derive(Clone, Debug, Default)]
pub struct Deal<'a> {
    /// `id`, required; one without is not kept.
    pub id: Text<'a>,
    /// `bidfloor`, rounded up to a micro; default 0.
    pub floor: CpmMicros,
    /// `bidfloorcur`; default USD, given here as empty, and never inherited from the impression.
    pub floor_cur: Text<'a>,
    /// `at`: 1, 2, or 3 (the floor is the agreed price); 0 if absent, and the request's holds.
    pub at: u16,
    /// `guar`: the bidder must bid.
    pub guaranteed: bool,
    /// `wseat`: an array of strings.
    pub wseat: Raw<'a>,
    /// `wadomain`: an array of strings.
    pub wadomain: Raw<'a>,
    /// `mincpmpersec` and `durfloors`.
    pub floors: TimeFloors,
}

/// Width and height.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Size {
    /// Width.
    pub w: u16,
    /// Height.
    pub h: u16,
}

/// `Device` (2.6 section 3.2.18).
#[derive(Clone, Debug, Default)]
pub struct Device<'a> {
    /// `ua`. Read by [`Parts::agent`].
    pub ua: Text<'a>,
    /// `ip`.
    pub ip: Text<'a>,
    /// `ipv6`.
    pub ipv6: Text<'a>,
    /// `devicetype` (AdCOM list "Device Types"); 0 is unknown.
    pub kind: u8,
    /// By `sua` (or 2.5's `ext.sua`), `os` and `ua`, in this order of belief. Read by [`Parts::agent`].
    pub os: Os,
    /// By `sua` and `ua`, in this order. Read by [`Parts::agent`].
    pub browser: Browser,
    /// `carrier`.
    pub carrier: Text<'a>,
    /// `language`.
    pub language: Text<'a>,
    /// `ifa`; nothing if it is of zeros.
    pub ifa: Text<'a>,
    /// `connectiontype`; 0 is unknown.
    pub connection: u8,
    /// `lmt`.
    pub lmt: bool,
    /// `dnt`.
    pub dnt: bool,
    /// `geo`.
    pub geo: Geo<'a>,
}

/// `Geo` (2.6 section 3.2.19).
#[derive(Clone, Copy, Debug, Default)]
pub struct Geo<'a> {
    /// `country`, ISO 3166-1 alpha-3.
    pub country: Text<'a>,
    /// `region`, ISO 3166-2 without the country (or as sent).
    pub region: Text<'a>,
    /// `city`. This and what follows is read by [`Parts::place_details`], of the place that applies.
    pub city: Text<'a>,
    /// `zip`.
    pub zip: Text<'a>,
    /// `lat` and `lon`, if both are given and on the globe.
    pub point: Option<Point>,
}

/// A place on the globe, in millionths of a degree, rounded up: a tenth of a metre.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// North, -90,000,000 to 90,000,000.
    pub lat: i32,
    /// East, -180,000,000 to 180,000,000.
    pub lon: i32,
}

impl Point {
    /// From degrees; `None` for what is on no globe.
    pub fn from_degrees(lat: f64, lon: f64) -> Option<Point> {
        let micro = |degrees: f64, most: f64| (degrees.abs() <= most).then(|| (degrees * 1e6).round() as i32);
        Some(Point { lat: micro(lat, 90.0)?, lon: micro(lon, 180.0)? })
    }
}
