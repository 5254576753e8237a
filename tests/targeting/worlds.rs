//! Random campaigns and requests that meet: both draw from the same short vocabularies, mostly from the head of each.

use corebid::snapshot::campaign::{
    Ad, Campaign, Circle, Creative, Daypart, Definition, Flight, NativeAd, Rule, SegmentRule, Shape, StreamAd,
    Targeting,
};
use corebid::units::{AdvertiserId, CampaignId, CpmMicros, Micros, Slot, UnixMillis};
use corebid::wire::openrtb::agent::{Browser, Os};
use corebid::wire::openrtb::mime::Mimes;
use corebid::wire::openrtb::request::{Channel, Point, Size};
use proptest::prelude::*;
use proptest::sample::{Index as Pick, select, subsequence};

use super::reference::Request;

/// Few enough values to meet often, and more than have bits of their own in the index.
fn countries() -> Vec<String> {
    (b'A'..=b'Z').flat_map(|a| [b'A', b'B', b'C'].map(|b| format!("{}{}X", a as char, b as char))).collect()
}

/// Parts of the first countries.
fn within(parts: &[&str]) -> Vec<String> {
    countries().iter().take(4).flat_map(|country| parts.iter().map(move |part| format!("{country}-{part}"))).collect()
}

const REGIONS: [&str; 3] = ["CA", "NY", "7"];
const CITIES: [&str; 5] = ["Springfield", "San Jose", "Winston-Salem", "Z", "CA"];
const ZIPS: [&str; 6] = ["94103", "SW1A 1AA", "75 001", "100-0001", "7", "AD500"];

/// Those below one another come first: a campaign that lists both must not be listed twice.
fn domains() -> Vec<String> {
    let mut domains =
        ["news.com", "a.news.com", "com", "b.a.news.com", "bnews.com", "x.site1.example"].map(String::from).to_vec();
    domains.extend((0..70).map(|n| format!("site{n}.example")));
    domains
}

fn categories() -> Vec<String> {
    let mut categories = ["IAB1", "IAB1-5", "iab1-6", "IAB2", "IAB2-1"].map(String::from).to_vec();
    categories.extend((3..20).flat_map(|n| [format!("IAB{n}"), format!("IAB{n}-1")]));
    categories
}

fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

const LANGUAGES: [&str; 12] = ["en", "de", "fr", "es", "zh", "ja", "pt", "it", "nl", "pl", "sv", "tr"];
const ZONES: [&str; 4] = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"];
/// Centres of circles and whereabouts of requests: two near one another, a pole, and both sides of the antimeridian.
const SPOTS: [(i32, i32); 6] = [
    (52_520_000, 13_405_000),
    (52_400_000, 13_050_000),
    (89_999_000, 10_000_000),
    (-16_500_000, 179_990_000),
    (-16_500_000, -179_990_000),
    (0, 0),
];

fn shapes() -> Vec<Shape> {
    let mut shapes: Vec<Shape> = (0..60).map(|n| Shape::Banner(Size { w: 100 + n * 10, h: 50 + n % 7 })).collect();
    shapes.insert(1, Shape::Video);
    shapes.insert(4, Shape::Audio);
    shapes.insert(6, Shape::Native);
    shapes
}

/// A creative of a shape.
pub(super) fn creative(shape: Shape) -> Creative {
    let blank = |size| Creative::banner("x".into(), size, "<b>", None).unwrap();
    let stream = StreamAd {
        duration: 15,
        mimes: Mimes::default(),
        size: Size::default(),
        files: [].into(),
        skippable: false,
        api: 0,
        versions: vec![],
    };
    let ad = match shape {
        Shape::Banner(size) => return blank(size),
        Shape::Video => Ad::Video(stream),
        Shape::Audio => Ad::Audio(stream),
        Shape::Native => {
            let Ad::Banner(banner) = blank(Size { w: 1, h: 1 }).ad else { panic!("a banner") };
            Ad::Native(Box::new(NativeAd {
                titles: vec![],
                images: vec![],
                data: vec![],
                rest: banner.markup.clone(),
                trackers: banner.markup,
            }))
        }
    };
    Creative { ad, ..blank(Size { w: 1, h: 1 }) }
}

/// Some of `values`; mostly the first, so that requests and campaigns meet, and often none.
fn some<T: Clone + std::fmt::Debug + 'static>(values: Vec<T>) -> BoxedStrategy<Vec<T>> {
    let all = values.len();
    let head = values[..all.min(5)].to_vec();
    let most = head.len().min(3);
    prop_oneof![
        8 => Just(Vec::new()),
        4 => subsequence(head, 1..=most),
        1 => subsequence(values, 1..=all.min(70)),
    ]
    .boxed()
}

fn rule<T: Clone + std::fmt::Debug + 'static>(values: Vec<T>) -> BoxedStrategy<Rule<T>> {
    (some(values.clone()), prop_oneof![5 => Just(Vec::new()).boxed(), 1 => some(values)])
        .prop_map(|(include, exclude)| Rule { include, exclude })
        .boxed()
}

fn circle() -> impl Strategy<Value = Circle> {
    let metres = select(vec![1u32, 500, 5_000, 9_000, 30_000, 60_000, 400_000, Circle::MOST_METRES]);
    (select(&SPOTS[..]), metres).prop_map(|((lat, lon), metres)| Circle { centre: Point { lat, lon }, metres })
}

fn circles() -> BoxedStrategy<Rule<Circle>> {
    let list = || prop_oneof![5 => Just(vec![]), 1 => prop::collection::vec(circle(), 1..4)];
    (list(), prop_oneof![3 => Just(vec![]).boxed(), 1 => list().boxed()])
        .prop_map(|(include, exclude)| Rule { include, exclude })
        .boxed()
}

fn daypart() -> impl Strategy<Value = Option<Daypart>> {
    // A week has 168 hours.
    let hours = any::<[u64; 3]>().prop_map(|[a, b, c]| [a, b, c & 0xFF_FFFF_FFFF]);
    let daypart = (select(&ZONES[..]), hours).prop_map(|(zone, hours)| Daypart { zone: zone.into(), hours });
    prop::option::weighted(0.15, daypart)
}

fn targeting() -> impl Strategy<Value = Targeting> {
    let text = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<String>>();
    let places = (rule(countries()), rule(within(&REGIONS)), rule(within(&CITIES)), rule(within(&ZIPS)), circles());
    let inventory = (rule(domains()), rule(numbered("app.bundle", 70)), rule(numbered("pub", 50)));
    let supply = (
        rule(numbered("exchange", 60)),
        prop_oneof![4 => Just(vec![]), 1 => subsequence(numbered("deal", 12), 1..4)],
        rule(categories()),
        rule(text(&LANGUAGES)),
    );
    let user = (
        prop_oneof![2 => Just(vec![]), 1 => subsequence(vec![1, 2, 4, 5], 1..=3)],
        rule(Os::NAMED.map(|(os, _)| os).to_vec()),
        rule(Browser::NAMED.map(|(browser, _)| browser).to_vec()),
        rule(numbered("Carrier ", 20)),
        prop_oneof![4 => Just(vec![]), 1 => subsequence(vec![1, 2, 3, 6, 7], 1..=3)],
    );
    let channels =
        prop_oneof![2 => Just(vec![]), 1 => subsequence(vec![Channel::Site, Channel::App, Channel::Dooh], 1..=2)];
    (places, inventory, supply, user, channels, daypart()).prop_map(
        |(places, inventory, supply, user, channels, daypart)| {
            let (countries, regions, cities, zips, circles) = places;
            let (sites, bundles, publishers) = inventory;
            let (exchanges, deals, categories, languages) = supply;
            let (devices, os, browsers, carriers, connections) = user;
            Targeting {
                countries,
                regions,
                cities,
                zips,
                circles,
                devices,
                os,
                browsers,
                carriers,
                connections,
                channels,
                sites,
                bundles,
                publishers,
                categories,
                languages,
                exchanges,
                deals,
                daypart,
                segments: SegmentRule::default(),
            }
        },
    )
}

/// Most campaigns say little, so that many are candidates: all but a few parts are dropped.
fn thin(mut targeting: Targeting, keep: u32) -> Targeting {
    let drop = |bit: u32| keep >> bit & 1 == 0;
    macro_rules! clear {
        ($($bit:literal $field:ident),*) => { $(if drop($bit) { targeting.$field = Default::default(); })* };
    }
    clear!(0 countries, 1 regions, 2 cities, 3 zips, 4 circles, 5 devices, 6 os, 7 browsers, 8 carriers, 9 connections);
    clear!(10 channels, 11 sites, 12 bundles, 13 publishers, 14 categories, 15 languages, 16 exchanges, 17 deals, 18 daypart);
    targeting
}

prop_compose! {
    pub(super) fn campaign()(
        targeting in targeting(),
        keep in prop_oneof![
            1 => Just(0),
            6 => (any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(a, b, c)| a & b & c),
            2 => any::<u32>(),
        ],
        shapes in prop_oneof![
            4 => subsequence(shapes()[..5].to_vec(), 1..=3),
            1 => subsequence(shapes(), 1..=12),
        ].prop_shuffle(),
        enabled in prop::bool::weighted(0.95),
        flight in prop_oneof![3 => Just((0, u64::from(u32::MAX))), 1 => (900..1_000u64, 1_000..1_100u64)],
        cpm in 1..10i64,
    ) -> Campaign {
        Campaign::new(Slot(0), Definition {
            app: None,
            id: CampaignId(0),
            advertiser: AdvertiserId(1),
            name: "c".into(),
            enabled,
            daily_budget: Micros(1),
            spending: Default::default(),
            flight: Flight { start: UnixMillis(flight.0 * 1000), end: UnixMillis(flight.1 * 1000) },
            cpm: CpmMicros(cpm * 500_000),
            goal: Default::default(),
            adomain: vec![],
            cat: vec![],
            cat_in: vec![],
            competes: vec![],
            together: false,
            supply: Default::default(),
            frequency: Vec::new(),
            dsa: None,
            creatives: shapes.into_iter().map(creative).collect(),
            targeting: thin(targeting, keep),
        })
    }
}

/// One of the values, mostly one of the first, sometimes none.
fn one(values: Vec<String>) -> BoxedStrategy<String> {
    let all = values.clone();
    prop_oneof![
        1 => Just(String::new()),
        6 => any::<Pick>().prop_map(move |at| values[at.index(5.min(values.len()))].clone()),
        2 => any::<Pick>().prop_map(move |at| all[at.index(all.len())].clone()),
    ]
    .boxed()
}

fn names(values: &[&str]) -> BoxedStrategy<String> {
    one(values.iter().map(|&value| value.to_owned()).collect())
}

fn point() -> impl Strategy<Value = Option<Point>> {
    // From a hair beside the centres to beyond the largest circle.
    let aside = || prop_oneof![-12..=12i32, -90_000..=90_000i32, -5_000_000..=5_000_000i32];
    let near = (select(&SPOTS[..]), aside(), aside()).prop_map(|((lat, lon), north, east)| {
        let lon = (i64::from(lon) + i64::from(east) + 180_000_000).rem_euclid(360_000_000) - 180_000_000;
        Point { lat: (lat + north).clamp(-90_000_000, 90_000_000), lon: lon as i32 }
    });
    prop::option::weighted(0.7, near)
}

prop_compose! {
    fn somewhere()(
        country in one([countries(), vec!["aax".into(), "ZZZ".into()]].concat()),
        region in names(&["CA", "ny", "AA-7", "", "QQ"]),
        city in names(&["SPRINGFIELD", "San Jose", "winston-salem", "CA", "Paris"]),
        zip in names(&["94103", "sw1a1aa", "7 5001", "100-0001", " ", "00000"]),
        point in point(),
    ) -> Request {
        Request { country, region, city, zip, point, ..Request::default() }
    }
}

prop_compose! {
    fn someone()(
        place in somewhere(),
        device in 0..20u8,
        os in select([&[Os::Unknown][..], &Os::NAMED.map(|(os, _)| os)].concat()[..7].to_vec()),
        browser in select([&[Browser::Unknown][..], &Browser::NAMED.map(|(browser, _)| browser)].concat()[..7].to_vec()),
        carrier in one(numbered("CARRIER ", 22)),
        connection in 0..10u8,
        language in names(&["en", "DE", "fr-CA", "zh-Hant", "es", "tlh", "e"]),
        hours in prop::collection::vec(0..=170u8, ZONES.len()),
    ) -> Request {
        let hours = ZONES.iter().map(|&zone| zone.to_owned()).zip(hours).collect();
        Request { device, os, browser, carrier, connection, language, hours, ..place }
    }
}

prop_compose! {
    pub(super) fn request()(
        someone in someone(),
        categories in prop::collection::vec(one([categories(), vec!["iab1-7".into(), "IAB".into(), "-1".into()]].concat()), 0..5),
        channel in prop_oneof![
            4 => Just(Channel::Site), 3 => Just(Channel::App), 1 => Just(Channel::Dooh), 1 => Just(Channel::Unknown),
        ],
        domain in one(domains()),
        below in prop_oneof![4 => Just(""), 2 => Just("www."), 1 => Just("A.b.C."), 1 => Just("x")],
        bundle in one(numbered("app.bundle", 80)),
        publisher in one(numbered("pub", 60)),
        exchange in one(numbered("exchange", 60)),
        now in 850..1_150u64,
        mut shapes in prop_oneof![
            3 => subsequence(shapes()[..7].to_vec(), 1..=4),
            1 => subsequence(shapes(), 1..=22),
        ].prop_shuffle(),
        twice in prop::bool::weighted(0.1),
        floor in prop_oneof![3 => Just(0), 1 => 0..6_000_000i64, 1 => Just(i64::MAX)],
        deals in prop_oneof![
            2 => Just(vec![]),
            1 => subsequence(numbered("deal", 14), 0..4),
            1 => prop::collection::vec(one(numbered("deal", 14)), 0..20),
        ].prop_shuffle(),
        deals_only in prop::bool::weighted(0.2),
    ) -> Request {
        if twice && shapes.len() < 16 {
            shapes.push(shapes[0]);
        }
        let domain = if domain.is_empty() { domain } else { format!("{below}{domain}") };
        Request {
            categories, channel, domain, bundle, publisher, exchange, now, shapes, floor, deals, deals_only, ..someone
        }
    }
}
