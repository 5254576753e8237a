//! OpenRTB 2.5 and 2.6 `BidRequest`: a borrowed view of the fields in use, filled in one pass.
//!
//! Missing means unknown unless the specification gives a default; unknown fields and enum values are tolerated
//! (2.6, "Versioning"). 2.6 names come first; where 2.5 kept a field under `ext`, both places are read.

mod scan;

use arrayvec::ArrayVec;

use crate::limits;
use crate::units::CpmMicros;
use crate::wire::json::{Raw, Text};
pub use scan::{Parts, ScanError, scan};

/// A `BidRequest` (2.6 section 3.2.1), borrowed from its body. 9 KiB, of which only what a request has is ever written: made
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
    /// `imp`, the first [`limits::IMPS`].
    pub imps: ArrayVec<Imp<'a>, { limits::IMPS }>,
    /// `cur`: an array of strings, or absent (any currency; USD).
    pub cur: Raw<'a>,
    /// `bcat`: an array of strings.
    pub bcat: Raw<'a>,
    /// `acat`: an array of strings; the only categories allowed, if there are any.
    pub acat: Raw<'a>,
    /// `wlang`, or `wlangb`: an array of strings.
    pub wlang: Raw<'a>,
    /// `regs.ext.dsa.dsarequired`; from 2 on, a bid without DSA information is not accepted.
    pub dsa_required: u8,
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
    /// `site.domain` or, without it, nothing; `app.domain` is not read.
    pub domain: Text<'a>,
    /// `site.page`.
    pub page: Text<'a>,
    /// `app.bundle`.
    pub bundle: Text<'a>,
    /// `site.publisher.id` or `app.publisher.id`.
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
    /// `user.geo`.
    pub user_geo: Geo<'a>,
    /// `regs.coppa`.
    pub coppa: bool,
    /// `regs.gdpr`, or `regs.ext.gdpr` in 2.5; absent is unknown.
    pub gdpr: Option<bool>,
    /// `regs.us_privacy`, or `regs.ext.us_privacy`.
    pub us_privacy: Text<'a>,
    /// `regs.gpp`, or `regs.ext.gpp`.
    pub gpp: Text<'a>,
    /// `regs.gpp_sid`, or `regs.ext.gpp_sid`: an array of integers.
    pub gpp_sid: Raw<'a>,
    /// `regs.ext.gpc` is "1" (or 1).
    pub gpc: bool,
    /// `source.schain` (2.6), `source.ext.schain` (2.5) or `ext.schain` (2.4).
    pub schain: Raw<'a>,
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
    /// `video` is present.
    pub video: bool,
    /// `audio` is present.
    pub audio: bool,
    /// `native` is present.
    pub native: bool,
    /// `bidfloor`, rounded up to a micro; default 0.
    pub floor: CpmMicros,
    /// `bidfloorcur`; default USD, given here as empty.
    pub floor_cur: Text<'a>,
    /// `secure`: `Some(true)` demands HTTPS; absent is unknown, and non-secure may be assumed.
    pub secure: Option<bool>,
    /// `pmp.private_auction`.
    pub private_auction: bool,
    /// `pmp.deals` as it stands.
    pub deals: Raw<'a>,
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
    /// `ua`.
    pub ua: Text<'a>,
    /// `ip`.
    pub ip: Text<'a>,
    /// `ipv6`.
    pub ipv6: Text<'a>,
    /// `devicetype` (AdCOM list "Device Types"); 0 is unknown.
    pub kind: u8,
    /// `os`.
    pub os: Text<'a>,
    /// `language`.
    pub language: Text<'a>,
    /// `ifa`.
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
    /// `city`.
    pub city: Text<'a>,
    /// `zip`.
    pub zip: Text<'a>,
}
