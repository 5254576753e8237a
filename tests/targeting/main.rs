//! Does the index find exactly the campaigns whose definitions say they want an impression?
//!
//! The oracle reads the definitions with strings and sets, campaign by campaign, and shares no code with the index.

mod reference;
mod worlds;

use std::collections::BTreeMap;

use corebid::snapshot::campaign::{
    Campaign, Circle, Daypart, Definition, Flight, Rule, SegmentRule, Shape, Slots, Targeting,
};
use corebid::snapshot::demo::{self, Draw};
use corebid::snapshot::targeting::{Asked, Candidates, Index, Offer, WhyNot, host, why_not, why_nots};
use corebid::units::{AdvertiserId, CampaignId, CpmMicros, Micros, SegmentId, Slot, UnixMillis};
use corebid::wire::openrtb::agent::Os;
use corebid::wire::openrtb::request::{Channel, Point, Size};
use proptest::prelude::*;
use reference::{Fit, Request};

type Listed = BTreeMap<u32, Fit>;

/// A request's texts as the index takes them.
struct Texts<'r> {
    request: &'r Request,
    categories: Vec<&'r [u8]>,
    hours: Vec<u8>,
    deals: Vec<&'r [u8]>,
}

impl<'r> Texts<'r> {
    fn new(request: &'r Request, zones: &[String]) -> Texts<'r> {
        let bytes = |list: &'r [String]| list.iter().map(|text| text.as_bytes()).collect();
        let hour = |zone: &String| request.hours.iter().find(|(known, _)| known == zone).map(|&(_, hour)| hour);
        Texts {
            request,
            categories: bytes(&request.categories),
            hours: zones.iter().map_while(hour).collect(),
            deals: bytes(&request.deals),
        }
    }

    fn asked(&self) -> Asked<'_> {
        let request = self.request;
        Asked {
            country: request.country.as_bytes(),
            region: request.region.as_bytes(),
            city: request.city.as_bytes(),
            zip: request.zip.as_bytes(),
            point: request.point,
            device: request.device,
            os: request.os,
            browser: request.browser,
            carrier: request.carrier.as_bytes(),
            connection: request.connection,
            categories: &self.categories,
            language: request.language.as_bytes(),
            hours: &self.hours,
            channel: request.channel,
            domain: request.domain.as_bytes(),
            bundle: request.bundle.as_bytes(),
            publisher: request.publisher.as_bytes(),
            exchange: request.exchange.as_bytes(),
            now: UnixMillis(request.now * 1000 + 250),
        }
    }

    fn offer(&self) -> Offer<'_> {
        let Request { shapes, floor, deals_only, .. } = self.request;
        Offer { shapes, floor: CpmMicros(*floor), deals: &self.deals, deals_only: *deals_only }
    }
}

fn listed(index: &Index, request: &Request, out: &mut Candidates) -> Listed {
    let texts = Texts::new(request, index.zones());
    index.candidates(&index.query(&texts.asked()), &texts.offer(), out);
    let fit = |c: &corebid::snapshot::targeting::Candidate| Fit {
        shape: usize::from(c.shape),
        creative: usize::from(c.creative),
        deal: c.deal.map(usize::from),
    };
    let listed: Listed = out.iter().map(|c| (c.campaign.0, fit(c))).collect();
    assert_eq!(listed.len(), out.len(), "a campaign is listed twice");
    listed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_finds_what_the_definitions_say(
        campaigns in prop::collection::vec(worlds::campaign(), 0..150),
        requests in prop::collection::vec(worlds::request(), 30),
    ) {
        let index = Index::build(&campaigns);
        let mut out = Candidates::new();
        for request in &requests {
            if campaigns.iter().any(|campaign| reference::on_the_rim(campaign, request)) {
                continue;
            }
            let texts = Texts::new(request, index.zones());
            let (asked, offer) = (texts.asked(), texts.offer());
            let (mut expected, mut below) = (Listed::new(), false);
            for (campaign, ix) in campaigns.iter().zip(0..) {
                let low = campaign.cpm.0 < request.floor;
                match reference::wants(campaign, request) {
                    Some(_) if low => below = true,
                    Some(fit) => drop(expected.insert(ix, fit)),
                    None => {}
                }
                // `explain` gives every reason, and its zones are of no use to a campaign that is off.
                let why: Vec<&str> = why_nots(campaign, index.zones(), &asked, &offer).iter().map(|w| w.label()).collect();
                let mut failing = reference::failing(campaign, request);
                failing.extend(low.then_some("floor"));
                if campaign.enabled {
                    prop_assert_eq!(&why, &failing);
                } else {
                    prop_assert_eq!(why[0], "disabled");
                }
                let first = why_not(campaign, index.zones(), &asked, &offer).map(WhyNot::label);
                prop_assert_eq!(first, why.first().copied());
            }
            prop_assert_eq!(&listed(&index, request, &mut out), &expected, "{:?}", request);
            let matched = index.candidates(&index.query(&asked), &offer, &mut out);
            prop_assert_eq!(matched.below_floor, below && expected.is_empty());
            let offered = &request.shapes[..request.shapes.len().min(19)];
            let shows = |c: &Campaign| c.enabled && c.creatives.iter().any(|c| offered.contains(&c.shape()));
            prop_assert_eq!(matched.shape_known, campaigns.iter().any(shows));
            prop_assert!(!matched.full);
        }
    }
}

const BANNER: Shape = Shape::Banner(Size { w: 300, h: 250 });

fn one(id: u32, targeting: Targeting) -> Campaign {
    let definition = Definition {
        app: None,
        id: CampaignId(id),
        advertiser: AdvertiserId(1),
        name: "c".into(),
        enabled: true,
        daily_budget: Micros(1),
        spending: Default::default(),
        flight: Flight::ALWAYS,
        cpm: CpmMicros(1_000_000 + i64::from(id)),
        goal: Default::default(),
        adomain: vec![],
        cat: vec![],
        cat_in: vec![],
        competes: vec![],
        together: false,
        supply: Default::default(),
        frequency: Vec::new(),
        dsa: None,
        creatives: vec![worlds::creative(BANNER)],
        targeting,
    };
    Campaign::new(Slot(id), definition)
}

fn plain(n: u32) -> Vec<Campaign> {
    (0..n).map(|id| one(id, Targeting::default())).collect()
}

fn request() -> Request {
    Request { now: 1000, shapes: vec![BANNER], ..Request::default() }
}

/// Whether a lone campaign with this targeting is found, checked against the oracle.
fn found(targeting: &Targeting, request: &Request) -> bool {
    let campaigns = [one(0, targeting.clone())];
    let index = Index::build(&campaigns);
    let found = !listed(&index, request, &mut Candidates::new()).is_empty();
    assert_eq!(found, reference::wants(&campaigns[0], request).is_some(), "{targeting:?} {request:?}");
    found
}

fn include(names: &[&str]) -> Rule<String> {
    Rule { include: names.iter().map(|&name| name.into()).collect(), exclude: vec![] }
}

fn exclude(names: &[&str]) -> Rule<String> {
    Rule { include: vec![], exclude: names.iter().map(|&name| name.into()).collect() }
}

#[test]
fn more_candidates_than_there_is_room_for_are_said() {
    let index = Index::build(&plain(3000));
    let mut out = Candidates::new();
    let query = index.query(&Asked { now: UnixMillis(1), ..Asked::default() });
    let offer = Offer { shapes: &[BANNER], ..Offer::default() };
    let matched = index.candidates(&query, &offer, &mut out);
    assert!(matched.full && out.is_full());
    // Those who want everything are in one leaf, the dearest first.
    assert_eq!(out[0].campaign.0, 2999);
    let matched = index.candidates(&query, &Offer { floor: CpmMicros(1_002_000), ..offer }, &mut out);
    assert!(!matched.full && out.len() == 1000);
}

#[test]
fn an_empty_index_knows_no_shape_and_asks_nothing() {
    let index = Index::build(&[]);
    let mut out = Candidates::new();
    let offer = Offer { shapes: &[BANNER], deals: &[b"deal"], ..Offer::default() };
    let matched = index.candidates(&index.query(&Asked::default()), &offer, &mut out);
    assert!(!matched.shape_known && out.is_empty());
    assert!(!index.asks_agent() && !index.asks_content() && !index.asks_place_details() && !index.asks_carrier());
    assert!(!index.asks_connection() && !index.asks_deals() && index.zones().is_empty());
}

#[test]
fn an_index_asks_for_what_campaigns_are_particular_about() {
    let asks = |targeting: Targeting| {
        let index = Index::build(&[one(0, targeting)]);
        [
            index.asks_agent(),
            index.asks_content(),
            index.asks_place_details(),
            index.asks_carrier(),
            index.asks_connection(),
        ]
    };
    let any = Targeting::default;
    let none = [false; 5];
    let circle = Circle { centre: Point::default(), metres: 1 };
    assert_eq!(asks(Targeting { countries: include(&["USA"]), regions: include(&["DEU-BE"]), ..any() }), none);
    for (targeting, at) in [
        (Targeting { os: Rule { include: vec![], exclude: vec![Os::Ios] }, ..any() }, 0),
        (Targeting { categories: exclude(&["IAB1"]), ..any() }, 1),
        (Targeting { languages: include(&["en"]), ..any() }, 1),
        (Targeting { cities: exclude(&["USA-Reno"]), ..any() }, 2),
        (Targeting { zips: include(&["USA-1"]), ..any() }, 2),
        (Targeting { circles: Rule { include: vec![], exclude: vec![circle] }, ..any() }, 2),
        (Targeting { carriers: include(&["x"]), ..any() }, 3),
        (Targeting { connections: vec![2], ..any() }, 4),
    ] {
        let mut expected = none;
        expected[at] = true;
        assert_eq!(asks(targeting.clone()), expected, "{targeting:?}");
    }
}

#[test]
fn circles_hold_at_poles_and_across_the_antimeridian() {
    let within = |lat: i32, lon: i32, metres: u32, at: (i32, i32)| {
        let circles = Rule { include: vec![Circle { centre: Point { lat, lon }, metres }], exclude: vec![] };
        let request = Request { point: Some(Point { lat: at.0, lon: at.1 }), ..request() };
        let out =
            Targeting { circles: Rule { include: vec![], exclude: circles.include.clone() }, ..Targeting::default() };
        let inside = found(&Targeting { circles, ..Targeting::default() }, &request);
        assert_ne!(inside, found(&out, &request));
        inside
    };
    // One degree of a great circle is 111,195 metres.
    assert!(within(90_000_000, 0, 111_200, (89_000_000, 137_000_000)));
    assert!(!within(90_000_000, 0, 111_190, (89_000_000, 137_000_000)));
    assert!(within(-89_500_000, 20_000_000, 111_200, (-89_500_000, -160_000_000)));
    assert!(!within(-89_500_000, 20_000_000, 111_190, (-89_500_000, -160_000_000)));
    assert!(within(0, 179_600_000, 111_200, (0, -179_400_000)));
    assert!(!within(0, 179_600_000, 111_190, (0, -179_400_000)));
    assert!(within(0, 180_000_000, 1, (0, -180_000_000)));
    assert!(within(10_000_000, -180_000_000, 100, (10_000_000, 180_000_000)));
    assert!(within(52_520_000, 13_405_000, 1, (52_520_008, 13_405_000)));
    assert!(!within(52_520_000, 13_405_000, 1, (52_520_010, 13_405_000)));
    // Nowhere is in no circle.
    let circles = Rule { include: vec![Circle { centre: Point::default(), metres: 500_000 }], exclude: vec![] };
    assert!(!found(&Targeting { circles, ..Targeting::default() }, &request()));
}

#[test]
fn places_are_one_list() {
    let usa = Request { country: "usa".into(), region: "US-CA".into(), zip: "sw1a 1aa".into(), ..request() };
    let wants = |targeting: Targeting| found(&targeting, &usa);
    let any = Targeting::default;
    assert!(wants(Targeting { countries: include(&["DEU"]), regions: include(&["USA-CA"]), ..any() }));
    assert!(wants(Targeting { countries: include(&["USA"]), regions: include(&["USA-CA", "DEU-BE"]), ..any() }));
    assert!(wants(Targeting { zips: include(&["USA-SW 1A1AA"]), cities: include(&["USA-London"]), ..any() }));
    assert!(!wants(Targeting { zips: include(&["GBR-SW1A1AA"]), ..any() }));
    assert!(!wants(Targeting { countries: include(&["USA"]), zips: exclude(&["USA-SW1A1AA"]), ..any() }));
    assert!(!wants(Targeting { cities: include(&["USA-CA"]), ..any() }), "a region is no city");
    let nowhere = Targeting { countries: exclude(&["USA"]), ..any() };
    assert!(found(&nowhere, &request()), "what is not said is not excluded");
    assert!(!found(
        &Targeting { cities: include(&["-Paris"]), ..any() },
        &Request { city: "Paris".into(), ..request() }
    ));
}

#[test]
fn a_category_stands_for_those_below_it() {
    let of = |categories: &[&str]| Request { categories: categories.iter().map(|&c| c.into()).collect(), ..request() };
    let some = |names: &[&str]| Targeting { categories: include(names), ..Targeting::default() };
    let none = |names: &[&str]| Targeting { categories: exclude(names), ..Targeting::default() };
    assert!(found(&some(&["IAB1"]), &of(&["iab1-5"])) && found(&some(&["IAB1-5"]), &of(&["IAB2", "IAB1-5"])));
    assert!(
        !found(&some(&["IAB1-5"]), &of(&["IAB1", "IAB1-6"])) && !found(&some(&["IAB1"]), &of(&["IAB10", "IAB11-1"]))
    );
    assert!(!found(&none(&["IAB1"]), &of(&["IAB2", "IAB1-5"])) && found(&none(&["IAB1-5"]), &of(&["IAB1"])));
    assert!(!found(&some(&["IAB1"]), &of(&[])) && found(&none(&["IAB1"]), &of(&[])));
    let many: Vec<String> = (0..40).map(|n| format!("IAB{n}")).collect();
    let many = of(&many.iter().map(|name| &name[..]).collect::<Vec<_>>());
    assert!(found(&some(&["IAB31"]), &many) && !found(&some(&["IAB32"]), &many), "the first 32 count");
}

#[test]
fn hours_are_of_the_campaign_s_own_zone() {
    let mut hours = [0; 3];
    for hour in [0usize, 63, 64, 167] {
        hours[hour / 64] |= 1u64 << (hour % 64);
    }
    let targeting = Targeting { daypart: Some(Daypart { zone: "B".into(), hours }), ..Targeting::default() };
    for hour in 0..=255u8 {
        let at = Request { hours: vec![("A".into(), 1), ("B".into(), hour)], ..request() };
        assert_eq!(found(&targeting, &at), [0, 63, 64, 167].contains(&hour), "{hour}");
    }
    assert!(!found(&targeting, &request()), "a zone without an hour is outside");
    // Codes of zones are places in the list.
    let other = Targeting { daypart: Some(Daypart { zone: "A".into(), hours: [1, 0, 0] }), ..Targeting::default() };
    let index = Index::build(&[one(0, targeting), one(1, other)]);
    assert_eq!(index.zones(), ["A", "B"]);
    let at = Request { hours: vec![("A".into(), 1), ("B".into(), 63)], ..request() };
    assert_eq!(listed(&index, &at, &mut Candidates::new()).into_keys().collect::<Vec<_>>(), [0]);
}

#[test]
fn deals_are_for_those_who_name_them() {
    let named =
        |deals: &[&str]| Targeting { deals: deals.iter().map(|&deal| deal.into()).collect(), ..Targeting::default() };
    let campaigns = [one(0, named(&["b", "c"])), one(1, named(&["C"])), one(2, Targeting::default())];
    let index = Index::build(&campaigns);
    let deals = |deals: &[&str], deals_only| {
        let deals = deals.iter().map(|&deal| deal.into()).collect();
        let listed = listed(&index, &Request { deals, deals_only, ..request() }, &mut Candidates::new());
        listed.into_iter().map(|(campaign, fit)| (campaign, fit.deal)).collect::<Vec<_>>()
    };
    assert_eq!(deals(&[], false), [(2, None)]);
    assert_eq!(deals(&[], true), []);
    assert_eq!(deals(&["a", "c", "b"], false), [(0, Some(1)), (2, None)]);
    assert_eq!(deals(&["b", "C"], true), [(0, Some(0)), (1, Some(1))]);
    let late: Vec<String> = (0..32).map(|n| format!("x{n}")).collect();
    let late: Vec<&str> = late.iter().map(|deal| &deal[..]).chain(["b"]).collect();
    assert_eq!(deals(&late, true), [], "the first 32 count");
}

#[test]
fn creatives_beyond_the_first_are_found_among_many() {
    // Some 280 shapes: more than a byte counts, and campaigns with more creatives than a record holds.
    let shape = |n: u16| Shape::Banner(Size { w: n, h: 1 });
    let mut campaigns = plain(30);
    for (at, campaign) in campaigns.iter_mut().enumerate() {
        let first = at as u16 * 10;
        campaign.creatives = (first..first + 2 + at as u16).map(|n| worlds::creative(shape(n + 1))).collect();
    }
    let index = Index::build(&campaigns);
    let mut out = Candidates::new();
    for n in 0..340 {
        let request = Request { shapes: vec![shape(5000), shape(n), shape(n / 2)], ..request() };
        let wants = |(ix, campaign)| Some((ix, reference::wants(campaign, &request)?));
        let expected: Listed = (0..).zip(&campaigns).filter_map(wants).collect();
        assert_eq!(listed(&index, &request, &mut out), expected, "{n}");
    }
}

#[test]
fn segments_are_asked_of_the_profile() {
    let mut campaign = plain(1).remove(0);
    let ids = |list: &[u32]| list.iter().map(|&id| SegmentId(id)).collect::<Vec<_>>();
    assert!(!campaign.needs_user() && campaign.wants(|_| false));
    campaign.targeting.segments = SegmentRule { any: ids(&[1, 2]), all: ids(&[5, 9]), none: ids(&[7]) };
    assert!(campaign.needs_user());
    for (segments, wants) in [
        (&[2, 5, 9][..], true),
        (&[1, 2, 5, 8, 9, 100], true),
        (&[5, 9], false),
        (&[1, 5], false),
        (&[1, 5, 7, 9], false),
        (&[], false),
    ] {
        assert_eq!(campaign.wants(|segment| segments.contains(&segment.0)), wants, "{segments:?}");
    }
    campaign.targeting.segments = SegmentRule { none: ids(&[7]), ..SegmentRule::default() };
    assert!(campaign.wants(|_| false), "an unknown user is in no segment");
}

#[test]
fn hosts_are_found_in_pages() {
    for (url, domain) in [
        ("https://news.example.com/a?b=http://c.d", "news.example.com"),
        ("http://user:secret@example.com:8080/", "example.com"),
        ("https://example.com", "example.com"),
        ("https://example.com?x", "example.com"),
        ("example.com/page", ""),
        ("", ""),
        ("://", ""),
    ] {
        assert_eq!(host(url.as_bytes()), domain.as_bytes(), "{url}");
    }
}

/// The demo's own campaigns and requests, against their definitions.
#[test]
fn demo_requests_find_a_handful_of_the_demo_campaigns() {
    for n in [1_000, 3_000] {
        let campaigns = demo::synthetic(n, &mut Slots::new());
        let index = Index::build(&campaigns);
        let mut out = Candidates::new();
        let mut draw = Draw::new(7);
        let mut found = 0;
        const REQUESTS: usize = 300;
        for _ in 0..REQUESTS {
            let (country, region) = draw.place();
            let rank = draw.site();
            let request = Request {
                country: country.into(),
                region: region.into(),
                device: draw.device(),
                channel: if draw.chance(0.4) { Channel::App } else { Channel::Site },
                domain: format!("www.{}", demo::site(rank)),
                bundle: demo::bundle(rank),
                exchange: "generic".into(),
                now: 1_767_225_600,
                shapes: (0..1 + draw.below(3)).map(|_| Shape::Banner(draw.size())).collect(),
                ..Request::default()
            };
            let wants = |(ix, campaign)| Some((ix, reference::wants(campaign, &request)?));
            let expected: Listed = (0..).zip(&campaigns).filter_map(wants).collect();
            assert_eq!(listed(&index, &request, &mut out), expected, "{request:?}");
            found += expected.len();
        }
        assert!((1..=30).contains(&(found / REQUESTS)), "{} candidates a request", found / REQUESTS);
    }
}
