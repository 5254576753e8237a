//! What a feature can be made of.

use std::fmt;

use crate::profile::count::{Per, Window};
use crate::units::SegmentId;
use crate::wire::openrtb::agent::{Browser, Os};

/// Where a value comes from. Nothing here tells one device or household from another: no id, no address, no user agent as it
/// stands, no point on the globe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The hour of the day, UTC, 0 to 23.
    Hour,
    /// The day of the week, UTC, 0 (Monday) to 6.
    Weekday,
    /// The exchange, by its name in the configuration.
    Exchange,
    /// `at`: 1 first price, 2 second price.
    Auction,
    /// How many impressions the request has.
    Impressions,
    /// Site, app or screen: [`CHANNELS`].
    Channel,
    /// `device.devicetype` (AdCOM list "Device Types").
    Device,
    /// `device.connectiontype` (AdCOM list "Connection Types").
    Connection,
    /// The operating system ([`Os::NAMED`]).
    Os,
    /// The browser ([`Browser::NAMED`]).
    Browser,
    /// `device.language`, in either case.
    Language,
    /// `device.carrier`, in either case.
    Carrier,
    /// The country, ISO 3166-1 alpha-3 in either case; where the request has none, that of the address.
    Country,
    /// `geo.region`, in either case. A region of the same name in another country is the same: cross it with the country.
    Region,
    /// The domain of the site or screen, in either case; of a site that names none, the host of its page.
    Domain,
    /// `app.bundle`.
    Bundle,
    /// `publisher.id`.
    Publisher,
    /// In how many segments the user is. Of a user who is known.
    Segments,
    /// Whether the user is in a segment. Of a user who is known.
    Segment(SegmentId),
    /// Width of what would be shown, px; of video, of its player.
    Width,
    /// The same, height.
    Height,
    /// The same, width times height.
    Area,
    /// `banner.pos` or `video.pos` (AdCOM list "Placement Positions").
    Position,
    /// Banner, video, audio or native: [`FORMATS`].
    Format,
    /// `imp.instl`.
    Interstitial,
    /// `imp.tagid`.
    Tag,
    /// What the impression costs at least, CPM in the account's currency; 0 without a floor.
    Floor,
    /// The id of the deal; missing in the open auction.
    Deal,
    /// How long the ad plays, s.
    Seconds,
    /// The campaign's id.
    Campaign,
    /// The creative's id (`bid.crid`).
    Creative,
    /// The advertiser's id.
    Advertiser,
    /// The most the campaign bids, CPM in the account's currency.
    MaxCpm,
    /// Impressions of the campaign, the creative or the advertiser's campaigns that the user has been shown, or may have by bids
    /// that are still open, in the current window. Of a user who is known, and of a campaign that is counted so: by a cap of its
    /// own or, of an advertiser, of one of the advertiser's campaigns.
    Shown(Per, Window),
}

/// What a source's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Number,
    /// A code of a list, which has names for some.
    Code(&'static [&'static str]),
    /// A text; whether letters mean the same in either case.
    Text {
        /// They do.
        caseless: bool,
    },
}

/// Names of [`Source::Channel`], from code 1.
pub const CHANNELS: [&str; 3] = ["site", "app", "dooh"];
/// Names of [`Source::Format`], from code 1: `bid.mtype` of OpenRTB 2.6.
pub const FORMATS: [&str; 4] = ["banner", "video", "audio", "native"];
const OS: [&str; Os::NAMED.len()] = {
    let (mut names, mut at) = ([""; Os::NAMED.len()], 0);
    while at < names.len() {
        assert!(Os::NAMED[at].0 as usize == at + 1, "names stand in the order of their codes");
        names[at] = Os::NAMED[at].1;
        at += 1;
    }
    names
};
const BROWSERS: [&str; Browser::NAMED.len()] = {
    let (mut names, mut at) = ([""; Browser::NAMED.len()], 0);
    while at < names.len() {
        assert!(Browser::NAMED[at].0 as usize == at + 1, "names stand in the order of their codes");
        names[at] = Browser::NAMED[at].1;
        at += 1;
    }
    names
};

/// As a schema names it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Segment(SegmentId(id)) => write!(f, "segment {id}"),
            Source::Shown(per, window) => write!(f, "shown {} {}", per.label(), window.label()),
            plain => {
                let known = Source::NAMED.iter().find(|(source, _)| source == plain);
                f.write_str(known.expect("every other source has a name").1)
            }
        }
    }
}

impl Source {
    /// Those that a name alone says, with their names in a schema.
    pub const NAMED: [(Source, &'static str); 33] = [
        (Source::Hour, "hour"),
        (Source::Weekday, "weekday"),
        (Source::Exchange, "exchange"),
        (Source::Auction, "auction"),
        (Source::Impressions, "impressions"),
        (Source::Channel, "channel"),
        (Source::Device, "device"),
        (Source::Connection, "connection"),
        (Source::Os, "os"),
        (Source::Browser, "browser"),
        (Source::Language, "language"),
        (Source::Carrier, "carrier"),
        (Source::Country, "country"),
        (Source::Region, "region"),
        (Source::Domain, "domain"),
        (Source::Bundle, "bundle"),
        (Source::Publisher, "publisher"),
        (Source::Segments, "segments"),
        (Source::Width, "width"),
        (Source::Height, "height"),
        (Source::Area, "area"),
        (Source::Position, "position"),
        (Source::Format, "format"),
        (Source::Interstitial, "interstitial"),
        (Source::Tag, "tag"),
        (Source::Floor, "floor"),
        (Source::Deal, "deal"),
        (Source::Seconds, "seconds"),
        (Source::Campaign, "campaign"),
        (Source::Creative, "creative"),
        (Source::Advertiser, "advertiser"),
        (Source::MaxCpm, "max_cpm"),
        (Source::Shown(Per::Campaign, Window::Day), "shown"),
    ];

    /// What its value is.
    pub const fn kind(self) -> Kind {
        match self {
            Source::Channel => Kind::Code(&CHANNELS),
            Source::Format => Kind::Code(&FORMATS),
            Source::Os => Kind::Code(&OS),
            Source::Browser => Kind::Code(&BROWSERS),
            Source::Language | Source::Carrier | Source::Country | Source::Region | Source::Domain => {
                Kind::Text { caseless: true }
            }
            Source::Exchange | Source::Bundle | Source::Publisher | Source::Tag | Source::Deal | Source::Creative => {
                Kind::Text { caseless: false }
            }
            _ => Kind::Number,
        }
    }

    /// Whether it depends on the offer, and not on the request alone.
    pub const fn varies(self) -> bool {
        matches!(
            self,
            Source::Width
                | Source::Height
                | Source::Area
                | Source::Position
                | Source::Format
                | Source::Interstitial
                | Source::Tag
                | Source::Floor
                | Source::Deal
                | Source::Seconds
                | Source::Campaign
                | Source::Creative
                | Source::Advertiser
                | Source::MaxCpm
                | Source::Shown(..)
        )
    }

    /// Whether it says something of the user: only told of one who may be known.
    pub const fn is_personal(self) -> bool {
        matches!(self, Source::Segments | Source::Segment(_) | Source::Shown(..))
    }

    /// The name of a code of [`Kind::Code`]; nothing for 0, and what has none.
    #[inline]
    pub fn name_of(names: &'static [&'static str], code: u8) -> &'static str {
        usize::from(code).checked_sub(1).and_then(|at| names.get(at)).copied().unwrap_or("")
    }
}
