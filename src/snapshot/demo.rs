//! Campaigns without a file: plain ones of every format for `--demo`, and any number of particular ones for `--demo=N`; and the
//! names they are made of, for whoever makes requests that should meet them. [`file`] writes the same campaigns as a campaign
//! file.
//!
//! Everything is drawn by Zipf's law, as traffic is: the first names of each list are the most wanted and the most seen.

mod file;
pub mod model;

pub use file::file;

use crate::snapshot::campaign::native::{ImagePart, NativeParts};
use crate::snapshot::campaign::vast::{Event, Media, Spot, Vast};
use crate::snapshot::campaign::{
    Campaign, Creative, Daypart, Definition, Flight, Goal, Order, Rule, SegmentRule, Slots, Spending, Targeting,
    XHTML_BANNER,
};
use crate::splitmix;
use crate::units::{AdvertiserId, CampaignId, CpmMicros, Micros, SegmentId};
use crate::wire::openrtb::agent::{Browser, Os};
use crate::wire::openrtb::request::{Channel, Size};

/// Banner sizes, the commonest first (IAB fixed sizes and the mobile ones in use).
pub const SIZES: [Size; 20] = {
    const fn size(w: u16, h: u16) -> Size {
        Size { w, h }
    }
    [
        size(300, 250),
        size(320, 50),
        size(728, 90),
        size(160, 600),
        size(300, 600),
        size(970, 250),
        size(320, 100),
        size(336, 280),
        size(468, 60),
        size(320, 480),
        size(480, 320),
        size(300, 50),
        size(970, 90),
        size(120, 600),
        size(250, 250),
        size(200, 200),
        size(768, 1024),
        size(1024, 768),
        size(300, 1050),
        size(234, 60),
    ]
};

/// Countries (ISO 3166-1 alpha-3) and some of their subdivisions (ISO 3166-2), the largest first.
pub const COUNTRIES: [(&str, &[&str]); 24] = [
    ("USA", &["CA", "TX", "NY", "FL", "IL", "PA", "OH", "GA", "WA", "MA"]),
    ("GBR", &["ENG", "SCT", "WLS", "NIR"]),
    ("DEU", &["NW", "BY", "BW", "BE", "HH"]),
    ("FRA", &["IDF", "ARA", "PAC", "OCC"]),
    ("JPN", &["13", "27", "14", "23"]),
    ("BRA", &["SP", "RJ", "MG"]),
    ("IND", &["MH", "DL", "KA", "TN"]),
    ("CAN", &["ON", "QC", "BC", "AB"]),
    ("ITA", &["25", "62", "21"]),
    ("ESP", &["MD", "CT", "AN"]),
    ("AUS", &["NSW", "VIC", "QLD"]),
    ("MEX", &["CMX", "JAL", "NLE"]),
    ("NLD", &["NH", "ZH"]),
    ("KOR", &["11", "26"]),
    ("POL", &["14", "12"]),
    ("SWE", &["AB", "O"]),
    ("TUR", &["34", "06"]),
    ("IDN", &["JK", "JB"]),
    ("ARG", &["B", "C"]),
    ("CHE", &["ZH", "GE"]),
    ("AUT", &["9", "6"]),
    ("BEL", &["VLG", "WAL"]),
    ("PRT", &["11", "13"]),
    ("ZAF", &["GP", "WC"]),
];

/// AdCOM device types, the commonest first: phone, computer, tablet, connected TV, mobile or tablet.
pub const DEVICES: [u8; 5] = [4, 2, 5, 3, 1];

/// Operating systems, the commonest first.
pub const SYSTEMS: [Os; 6] = [Os::Android, Os::Ios, Os::Windows, Os::MacOs, Os::Linux, Os::Roku];

/// Browsers, the commonest first.
pub const BROWSERS: [Browser; 6] =
    [Browser::Chrome, Browser::Safari, Browser::Edge, Browser::Samsung, Browser::Firefox, Browser::WebView];

/// Languages of content (ISO 639-1), the commonest first.
pub const LANGUAGES: [&str; 8] = ["en", "de", "fr", "es", "pt", "ja", "pl", "it"];

/// Categories of content (IAB Content Taxonomy 1.0), the commonest first.
pub const CONTENT: [&str; 10] = ["IAB1", "IAB12", "IAB17", "IAB19", "IAB9", "IAB3", "IAB13", "IAB5", "IAB8", "IAB20"];

/// Durations of videos and audio spots, seconds, the commonest first.
pub const DURATIONS: [u16; 4] = [15, 30, 6, 20];

/// Hours of the week, and the zones they are meant in.
const DAYPARTS: [(&str, &str); 4] = [
    ("America/New_York", "06-24"),
    ("Europe/Berlin", "mon-fri 06-23, sat-sun 08-02"),
    ("Asia/Tokyo", "mon-sun 05-03"),
    ("UTC", "mon-sat, sun 04-22"),
];

/// How many domains [`site`] knows.
pub const SITES: usize = FIRST.len() * SECOND.len();
/// How many bundles [`bundle`] knows.
pub const BUNDLES: usize = SITES;
/// How many segments [`segment`] knows.
pub const SEGMENTS: usize = 500;

const FIRST: [&str; 64] = [
    "daily", "world", "city", "home", "sport", "auto", "tech", "food", "travel", "money", "game", "music", "movie",
    "kids", "garden", "health", "style", "photo", "book", "art", "film", "news", "radio", "river", "north", "south",
    "east", "west", "green", "blue", "red", "silver", "gold", "open", "free", "quick", "smart", "happy", "sunny",
    "royal", "metro", "coast", "valley", "harbor", "island", "forest", "desert", "prairie", "summit", "bridge",
    "castle", "market", "village", "street", "corner", "window", "bright", "clear", "early", "late", "local", "grand",
    "prime", "urban",
];
const SECOND: [&str; 80] = [
    "post",
    "times",
    "herald",
    "journal",
    "tribune",
    "gazette",
    "review",
    "digest",
    "report",
    "bulletin",
    "chronicle",
    "mail",
    "wire",
    "press",
    "today",
    "weekly",
    "hour",
    "minute",
    "point",
    "view",
    "scope",
    "lens",
    "watch",
    "guide",
    "talk",
    "voice",
    "echo",
    "pulse",
    "beat",
    "line",
    "feed",
    "stream",
    "board",
    "forum",
    "spot",
    "place",
    "zone",
    "hub",
    "base",
    "camp",
    "lab",
    "works",
    "shop",
    "store",
    "deals",
    "trade",
    "cart",
    "list",
    "finder",
    "match",
    "play",
    "quest",
    "saga",
    "clash",
    "crush",
    "dash",
    "run",
    "jump",
    "puzzle",
    "cards",
    "chess",
    "words",
    "trivia",
    "arcade",
    "racer",
    "farm",
    "builder",
    "chef",
    "pilot",
    "ranger",
    "notes",
    "tasks",
    "focus",
    "sleep",
    "fit",
    "yoga",
    "walk",
    "ride",
    "trail",
    "map",
];

/// A site's domain by rank, below [`SITES`]; 0 is the largest.
pub fn site(rank: usize) -> String {
    format!("{}{}.example", FIRST[rank % FIRST.len()], SECOND[rank / FIRST.len() % SECOND.len()])
}

/// An app's bundle by rank, below [`BUNDLES`]; 0 is the largest.
pub fn bundle(rank: usize) -> String {
    format!("com.{}.{}", SECOND[rank / FIRST.len() % SECOND.len()], FIRST[rank % FIRST.len()])
}

/// A segment by rank, below [`SEGMENTS`]; 0 is the largest.
pub fn segment(rank: usize) -> SegmentId {
    SegmentId(1000 + rank as u32)
}

/// Advertisers' domains.
const ADVERTISERS: [&str; 12] = [
    "acme-shoes.example",
    "bluebank.example",
    "cargolines.example",
    "deltafoods.example",
    "everphone.example",
    "fairinsure.example",
    "gardenia.example",
    "hotelist.example",
    "ionmotors.example",
    "juniper-tea.example",
    "kitelearn.example",
    "lumen-games.example",
];
/// Their categories (IAB Content Taxonomy 1.0).
const CATEGORIES: [&str; 12] = [
    "IAB18", "IAB13", "IAB20", "IAB8", "IAB19-6", "IAB13-6", "IAB10-4", "IAB20-12", "IAB2", "IAB8-5", "IAB5", "IAB9-30",
];

/// Enough for 10^8 bids that are never billed at any price here, and small enough that sums cannot overflow.
const BUDGET: Micros = Micros(10_000_000_000_000);

/// Reproducible draws: SplitMix64.
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// Draws that follow from a seed.
    pub fn new(seed: u64) -> Draw {
        Draw(seed)
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        splitmix::next(&mut self.0)
    }

    /// Uniform within 0 to 1, 1 excluded.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A whole number below `n`, which must not be 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// A rank below `n` whose probability falls as the power `s` of rank + 1 (by the continuous law; `s` is not 1).
    pub fn zipf(&mut self, n: usize, s: f64) -> usize {
        let power = 1.0 - s;
        let most = (n as f64 + 1.0).powf(power) - 1.0;
        let rank = (self.unit() * most + 1.0).powf(1.0 / power) as usize - 1;
        rank.min(n - 1)
    }

    /// A size.
    pub fn size(&mut self) -> Size {
        SIZES[self.zipf(SIZES.len(), 1.2)]
    }

    /// A country and one of its subdivisions.
    pub fn place(&mut self) -> (&'static str, &'static str) {
        let (country, regions) = COUNTRIES[self.zipf(COUNTRIES.len(), 1.1)];
        (country, regions[self.zipf(regions.len(), 0.7)])
    }

    /// A device type.
    pub fn device(&mut self) -> u8 {
        DEVICES[self.zipf(DEVICES.len(), 1.2)]
    }

    /// An operating system.
    pub fn os(&mut self) -> Os {
        SYSTEMS[self.zipf(SYSTEMS.len(), 1.2)]
    }

    /// A browser.
    pub fn browser(&mut self) -> Browser {
        BROWSERS[self.zipf(BROWSERS.len(), 1.2)]
    }

    /// A language of content.
    pub fn language(&mut self) -> &'static str {
        LANGUAGES[self.zipf(LANGUAGES.len(), 1.2)]
    }

    /// A category of content.
    pub fn category(&mut self) -> &'static str {
        CONTENT[self.zipf(CONTENT.len(), 0.8)]
    }

    /// The duration of a video or an audio spot, seconds.
    pub fn duration(&mut self) -> u16 {
        DURATIONS[self.zipf(DURATIONS.len(), 1.2)]
    }

    /// A site's rank.
    pub fn site(&mut self) -> usize {
        self.zipf(SITES, 0.6)
    }

    /// A segment.
    pub fn segment(&mut self) -> SegmentId {
        segment(self.zipf(SEGMENTS, 0.8))
    }
}

/// The top of the rate card: what the dearest demo campaigns bid.
pub const TOP_CPM: CpmMicros = CpmMicros(8_000_000);

/// Campaigns for `--demo`, without targeting or cap: two banners for each of [`SIZES`], a video and an audio spot for each of
/// [`DURATIONS`], and two native ads. Half of each bid [`TOP_CPM`], the others from 0.50 to 7.50 USD.
pub fn built_in(slots: &mut Slots) -> Vec<Campaign> {
    plain().map(|plan| plan.campaign(slots)).collect()
}

/// The same campaigns, told of clicks on their banners and native ads.
pub fn told(slots: &mut Slots) -> Vec<Campaign> {
    plain().map(|plan| plan.told().campaign(slots)).collect()
}

/// The same, of which those for banners and native ads pay by click: so much that an impression is
/// worth half of what they bid otherwise where clicks are as likely as on `average`, and they bid up to twice as much as otherwise
/// where they are likelier.
pub fn by_click(slots: &mut Slots, average: f64) -> Vec<Campaign> {
    plain().map(|plan| plan.by_click(average).campaign(slots)).collect()
}

fn plain() -> impl Iterator<Item = Plan> {
    let banners = (0..2 * SIZES.len()).map(|at| (Show::Banner(vec![SIZES[at % SIZES.len()]]), at < SIZES.len()));
    let spots = DURATIONS
        .iter()
        .enumerate()
        .flat_map(|(at, &duration)| [(Show::Video(duration), at % 2 == 0), (Show::Audio(duration), at % 2 == 0)]);
    let native = [(Show::Native, true), (Show::Native, false)];
    let campaign = |(at, (show, top)): (usize, (Show, bool))| {
        let spread = CpmMicros(500_000 + 7_000_000 * (at as i64 * 7 % 20) / 19);
        let cpm = if top { TOP_CPM } else { spread };
        Plan::new(at as u32 + 1, at * 5 % ADVERTISERS.len(), cpm, &show, Targeting::default())
    };
    banners.chain(spots).chain(native).enumerate().map(campaign)
}

/// Campaigns for `--demo=N`: a format (banners of a few sizes mostly) and two to five more predicates each, over places, devices,
/// channel, inventory, segments, and for some operating system, browser, language, category or hours; drawn so that campaigns
/// overlap. Campaign `i` is the same for every `n`. Those beyond the first thousand always
/// name inventory, as a large book of campaigns does, so that requests find few more candidates among many more campaigns.
///
/// Ends early when the slots run out ([`crate::limits::SLOTS`]).
pub fn synthetic(n: usize, slots: &mut Slots) -> Vec<Campaign> {
    (0..n.min(crate::limits::SLOTS - slots.len())).map(|at| particular(at).campaign(slots)).collect()
}

fn particular(at: usize) -> Plan {
    let mut draw = Draw::new(0xC0_4E_B1_D0 ^ (at as u64) << 20);
    let mut sizes = vec![draw.size()];
    for _ in 0..draw.below(3) {
        let size = draw.size();
        if !sizes.contains(&size) {
            sizes.push(size);
        }
    }
    let mut targeting = Targeting::default();
    let mut left = 2 + draw.below(4);
    // Inventory first where it is a must; the others in a random order until there are enough.
    let mut kinds = [3, 0, 1, 2, 4];
    let from = usize::from(at >= 1000);
    for place in (from + 1..kinds.len()).rev() {
        kinds.swap(place, from + draw.below(place - from + 1));
    }
    let fine = draw.chance(0.25);
    for kind in kinds {
        if left == 0 {
            break;
        }
        left -= 1;
        match kind {
            // The last predicate of some is a finer one.
            0..=2 | 4 if left == 0 && fine => finer(&mut draw, &mut targeting),
            0 => places(&mut draw, &mut targeting),
            1 => targeting.devices = distinct((0..1 + draw.below(2)).map(|_| draw.device())),
            2 => targeting.channels = vec![if draw.chance(0.6) { Channel::Site } else { Channel::App }],
            3 => inventory(&mut draw, &mut targeting, at >= 1000),
            _ => {
                let any = distinct((0..1 + draw.below(4)).map(|_| draw.segment()));
                targeting.segments = SegmentRule { any, ..SegmentRule::default() };
            }
        }
    }
    // A site list on apps only, or the reverse, would want nothing.
    if let [channel] = targeting.channels[..] {
        let other = if channel == Channel::Site { &mut targeting.bundles } else { &mut targeting.sites };
        *other = Rule::default();
    }
    let cpm = if draw.chance(0.15) { TOP_CPM } else { CpmMicros(500_000 + (draw.unit() * 6_500_000.0) as i64) };
    let advertiser = draw.below(ADVERTISERS.len());
    let show = match draw.below(100) {
        0..3 => Show::Video(draw.duration()),
        3 => Show::Audio(draw.duration()),
        4 | 5 => Show::Native,
        _ => Show::Banner(sizes),
    };
    Plan::new(at as u32 + 1, advertiser, cpm, &show, targeting)
}

fn finer(draw: &mut Draw, targeting: &mut Targeting) {
    match draw.below(5) {
        0 => targeting.os.include = vec![draw.os()],
        1 => targeting.browsers.include = vec![draw.browser()],
        2 => targeting.languages.include = distinct((0..1 + draw.below(2)).map(|_| draw.language().to_owned())),
        3 => targeting.categories.include = distinct((0..1 + draw.below(3)).map(|_| draw.category().to_owned())),
        _ => {
            let (zone, hours) = DAYPARTS[draw.below(DAYPARTS.len())];
            targeting.daypart = Some(Daypart::parse(zone, hours).expect("a zone and hours"));
        }
    }
}

fn places(draw: &mut Draw, targeting: &mut Targeting) {
    match draw.below(10) {
        0..5 => targeting.countries.include = distinct((0..1 + draw.below(2)).map(|_| draw.place().0.to_owned())),
        5..9 => {
            let regions = (0..1 + draw.below(3)).map(|_| {
                let (country, region) = draw.place();
                format!("{country}-{region}")
            });
            targeting.regions.include = distinct(regions);
        }
        _ => targeting.countries.exclude = distinct((0..2).map(|_| draw.place().0.to_owned())),
    }
}

fn inventory(draw: &mut Draw, targeting: &mut Targeting, many: bool) {
    if !many && draw.chance(0.15) {
        targeting.sites.exclude = distinct((0..3).map(|_| site(draw.site())));
        return;
    }
    let rank = |draw: &mut Draw| if many { draw.below(SITES) } else { draw.site() };
    targeting.sites.include = distinct((0..1 + draw.below(4)).map(|_| site(rank(draw))));
    targeting.bundles.include = distinct((0..1 + draw.below(4)).map(|_| bundle(rank(draw))));
}

fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// What a demo campaign shows.
enum Show {
    /// Banners of these sizes.
    Banner(Vec<Size>),
    /// A video of so many seconds.
    Video(u16),
    /// An audio spot of so many seconds.
    Audio(u16),
    /// A native ad.
    Native,
}

impl Show {
    fn ads(&self, id: u32, domain: &str) -> Vec<(Order, Ad)> {
        let cdn = format!("https://cdn.{domain}/{id}");
        let order = |what: &str| Order {
            id: format!("{id}-{what}"),
            click: Some(format!("https://{domain}/c/{id}?i=${{AUCTION_IMP_ID}}")),
            ..Order::default()
        };
        let seen = format!("https://{domain}/i/{id}?p=${{AUCTION_PRICE}}&r=${{CACHEBUSTER}}");
        let media = |name: &str, mime: &str, size, bitrate| Media {
            url: format!("{cdn}/{name}"),
            mime: mime.to_owned(),
            size,
            bitrate,
            streaming: false,
        };
        let spot = |duration, media| Spot {
            duration,
            title: domain.to_owned(),
            media,
            trackers: vec![(Event::Impression, seen.clone())],
            ..Spot::default()
        };
        let ad = match self {
            Show::Banner(sizes) => {
                let banner = |&Size { w, h }: &Size| {
                    let markup = format!(
                        "<a href=\"${{CLICK_URL}}\" target=\"_blank\"><img src=\"{cdn}/{w}x{h}.png\" width=\"{w}\" \
                         height=\"{h}\" alt=\"{domain}\"></a><img src=\"{seen}\" width=\"1\" height=\"1\" alt=\"\">"
                    );
                    (order(&format!("{w}x{h}")), Ad::Banner(Size { w, h }, markup))
                };
                return sizes.iter().map(banner).collect();
            }
            Show::Video(duration) => {
                let media = vec![
                    media("1080.mp4", "video/mp4", Size { w: 1920, h: 1080 }, 4000),
                    media("360.mp4", "video/mp4", Size { w: 640, h: 360 }, 800),
                    media("360.webm", "video/webm", Size { w: 640, h: 360 }, 700),
                ];
                (order("video"), Ad::Video(spot(*duration, media)))
            }
            Show::Audio(duration) => {
                let media = vec![
                    media("spot.mp3", "audio/mpeg", Size::default(), 128),
                    media("spot.m4a", "audio/mp4", Size::default(), 96),
                ];
                (order("audio"), Ad::Audio(spot(*duration, media)))
            }
            Show::Native => {
                let image = |kind, w, h| ImagePart {
                    kind,
                    size: Size { w, h },
                    mime: "image/png".to_owned(),
                    url: format!("{cdn}/{w}x{h}.png"),
                };
                let parts = NativeParts {
                    titles: vec![format!("All there is, and more of it, at {domain}"), "All there is".to_owned()],
                    images: vec![image(1, 64, 64), image(1, 128, 128), image(3, 1200, 627), image(3, 300, 250)],
                    data: vec![(1, domain.to_owned()), (2, "Look and see.".to_owned()), (12, "Look".to_owned())],
                    impressions: vec![seen],
                    clicks: Vec::new(),
                };
                (order("native"), Ad::Native(parts))
            }
        };
        vec![ad]
    }
}

/// What a creative is made of.
enum Ad {
    Banner(Size, String),
    Video(Spot),
    Audio(Spot),
    Native(NativeParts),
}

impl Ad {
    fn render(&self, order: Order) -> Creative {
        let creative = match self {
            Ad::Banner(size, markup) => order.banner(*size, XHTML_BANNER, markup),
            Ad::Video(spot) => order.video(spot, Vast::Inline),
            Ad::Audio(spot) => order.audio(spot, Vast::Inline),
            Ad::Native(parts) => order.native(parts),
        };
        creative.expect("a demo creative is right")
    }
}

/// A campaign before it is rendered: what it is made from, and what its lines in a file are made from.
struct Plan {
    id: u32,
    /// A place in [`ADVERTISERS`].
    advertiser: usize,
    cpm: CpmMicros,
    goal: Goal,
    targeting: Targeting,
    ads: Vec<(Order, Ad)>,
}

impl Plan {
    fn new(id: u32, advertiser: usize, cpm: CpmMicros, show: &Show, targeting: Targeting) -> Plan {
        Plan { id, advertiser, cpm, goal: Goal::Cpm, targeting, ads: show.ads(id, ADVERTISERS[advertiser]) }
    }

    fn told(mut self) -> Plan {
        for (_, ad) in &mut self.ads {
            match ad {
                Ad::Banner(_, markup) => *markup = markup.replace("<a ", "<a ping=\"${CLICK_NOTICE_URL}\" "),
                Ad::Native(parts) => parts.clicks = vec!["${CLICK_NOTICE_URL}".to_owned()],
                Ad::Video(_) | Ad::Audio(_) => {}
            }
        }
        self
    }

    fn by_click(self, average: f64) -> Plan {
        if let Some((_, Ad::Video(_) | Ad::Audio(_))) = self.ads.first() {
            return self;
        }
        let each = self.cpm.0 as f64 / 2.0 / 1000.0 / average;
        Plan { goal: Goal::Cpc(Micros(each as i64)), cpm: CpmMicros(self.cpm.0 * 2), ..self.told() }
    }

    fn name(&self) -> String {
        format!("{} {}", ADVERTISERS[self.advertiser], self.id)
    }

    fn campaign(self, slots: &mut Slots) -> Campaign {
        let definition = Definition {
            id: CampaignId(self.id),
            advertiser: AdvertiserId(self.advertiser as u32 + 1),
            name: self.name(),
            enabled: true,
            daily_budget: BUDGET,
            spending: Spending::asap(),
            flight: Flight::ALWAYS,
            cpm: self.cpm,
            goal: self.goal,
            adomain: vec![ADVERTISERS[self.advertiser].to_owned()],
            cat: vec![CATEGORIES[self.advertiser].to_owned()],
            cat_in: Vec::new(),
            app: None,
            competes: Vec::new(),
            together: false,
            supply: Default::default(),
            frequency: Vec::new(),
            dsa: None,
            creatives: self.ads.into_iter().map(|(order, ad)| ad.render(order)).collect(),
            targeting: self.targeting,
        };
        let slot = slots.slot(CampaignId(self.id)).expect("as many slots as demo campaigns");
        Campaign::new(slot, definition)
    }
}
