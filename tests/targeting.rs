//! Does the index find exactly the campaigns whose definitions say they want an impression?
//!
//! The oracle reads the definitions with strings and sets, campaign by campaign, and shares no code with the index.

use std::collections::BTreeMap;

use corebid::snapshot::campaign::{Campaign, Creative, Definition, Flight, Rule, SegmentRule, Slots, Targeting};
use corebid::snapshot::demo::{self, Draw};
use corebid::snapshot::targeting::{Asked, Candidates, Index, Offer, WhyNot, host, why_not};
use corebid::units::{AdvertiserId, CampaignId, CpmMicros, Micros, SegmentId, Slot, UnixMillis};
use corebid::wire::openrtb::request::{Channel, Size};
use proptest::prelude::*;
use proptest::sample::{Index as Pick, subsequence};

/// A request, owned.
#[derive(Clone, Debug)]
struct Request {
    country: String,
    region: String,
    device: u8,
    channel: Channel,
    domain: String,
    bundle: String,
    publisher: String,
    exchange: String,
    now: u64,
    sizes: Vec<Size>,
    floor: i64,
}

impl Request {
    fn asked(&self) -> Asked<'_> {
        Asked {
            country: self.country.as_bytes(),
            region: self.region.as_bytes(),
            device: self.device,
            channel: self.channel,
            domain: self.domain.as_bytes(),
            bundle: self.bundle.as_bytes(),
            publisher: self.publisher.as_bytes(),
            exchange: self.exchange.as_bytes(),
            now: UnixMillis(self.now * 1000 + 250),
        }
    }

    fn offer(&self) -> Offer<'_> {
        Offer { sizes: &self.sizes, floor: CpmMicros(self.floor) }
    }
}

/// The campaign's creative and size for this request, if it wants it.
fn naive(campaign: &Campaign, request: &Request) -> Option<(usize, Size)> {
    let t = &campaign.targeting;
    let now = request.now * 1000;
    if !campaign.enabled || now < campaign.flight.start.0 || now >= campaign.flight.end.0 {
        return None;
    }
    if !t.channels.is_empty() && !t.channels.contains(&request.channel) {
        return None;
    }
    if !t.devices.is_empty() && !t.devices.contains(&request.device) {
        return None;
    }
    let country = request.country.to_uppercase();
    let region = format!("{country}-{}", request.region.rsplit('-').next().unwrap().to_uppercase());
    let places = [t.countries.include.clone(), t.regions.include.clone()].concat();
    let not_places = [t.countries.exclude.clone(), t.regions.exclude.clone()].concat();
    if !places.is_empty() && !places.contains(&country) && !places.contains(&region)
        || not_places.contains(&country)
        || not_places.contains(&region)
    {
        return None;
    }
    let dotted = format!(".{}", request.domain.to_lowercase());
    let on = |site: &String| request.channel == Channel::Site && dotted.ends_with(&format!(".{site}"));
    let in_app = |bundle: &String| request.channel == Channel::App && *bundle == request.bundle;
    let some_included = !t.sites.include.is_empty() || !t.bundles.include.is_empty();
    if some_included && !t.sites.include.iter().any(on) && !t.bundles.include.iter().any(in_app)
        || t.sites.exclude.iter().any(on)
        || t.bundles.exclude.iter().any(in_app)
    {
        return None;
    }
    for (rule, value) in [(&t.publishers, &request.publisher), (&t.exchanges, &request.exchange)] {
        if !rule.include.is_empty() && !rule.include.contains(value) || rule.exclude.contains(value) {
            return None;
        }
    }
    request.sizes.iter().find_map(|size| {
        let creative = campaign.creatives.iter().position(|creative| creative.size == *size)?;
        Some((creative, *size))
    })
}

/// Few enough values to meet often, and more than the 62 and 42 that have bits of their own in the masks.
fn countries() -> Vec<String> {
    (b'A'..=b'Z').flat_map(|a| [b'A', b'B', b'C'].map(|b| format!("{}{}X", a as char, b as char))).collect()
}

fn regions() -> Vec<String> {
    countries()
        .iter()
        .take(4)
        .flat_map(|country| ["CA", "NY", "7"].map(|region| format!("{country}-{region}")))
        .collect()
}

/// Those below one another come first: a campaign that lists both must not be listed twice.
fn domains() -> Vec<String> {
    let mut domains =
        ["news.com", "a.news.com", "com", "b.a.news.com", "bnews.com", "x.site1.example"].map(String::from).to_vec();
    domains.extend((0..70).map(|n| format!("site{n}.example")));
    domains
}

fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

fn sizes() -> Vec<Size> {
    (0..80).map(|n| Size { w: 100 + n * 10, h: 50 + n % 7 }).collect()
}

/// Some of `values`; mostly the first, so that requests and campaigns meet, and often none.
fn some(values: Vec<String>) -> impl Strategy<Value = Vec<String>> {
    let all = values.len();
    let head = values[..all.min(5)].to_vec();
    prop_oneof![
        5 => Just(Vec::new()),
        4 => subsequence(head.clone(), 1..=head.len().min(3)),
        1 => subsequence(values, 1..=all.min(70)),
    ]
}

fn rule(values: Vec<String>) -> impl Strategy<Value = Rule<String>> {
    (some(values.clone()), prop_oneof![3 => Just(Vec::new()).boxed(), 1 => some(values).boxed()])
        .prop_map(|(include, exclude)| Rule { include, exclude })
}

fn targeting() -> impl Strategy<Value = Targeting> {
    (
        (rule(countries()), rule(regions()), rule(domains()), rule(numbered("app.bundle", 70))),
        (rule(numbered("pub", 50)), rule(numbered("exchange", 60))),
        prop_oneof![Just(vec![]), subsequence(vec![1, 2, 4, 5], 1..=3)],
        prop_oneof![Just(vec![]), subsequence(vec![Channel::Site, Channel::App], 1..=2)],
    )
        .prop_map(|((countries, regions, sites, bundles), (publishers, exchanges), devices, channels)| Targeting {
            countries,
            regions,
            devices,
            channels,
            sites,
            bundles,
            publishers,
            exchanges,
            segments: SegmentRule::default(),
        })
}

prop_compose! {
    fn campaign()(
        targeting in prop_oneof![1 => Just(Targeting::default()).boxed(), 6 => targeting().boxed()],
        creatives in prop_oneof![
            4 => subsequence(sizes()[..4].to_vec(), 1..=3),
            1 => subsequence(sizes(), 1..=12),
        ].prop_shuffle(),
        enabled in prop::bool::weighted(0.95),
        flight in prop_oneof![3 => Just((0, u64::from(u32::MAX))), 1 => (900..1_000u64, 1_000..1_100u64)],
        cpm in 1..10i64,
    ) -> Campaign {
        Campaign::new(Slot(0), Definition {
            id: CampaignId(0),
            advertiser: AdvertiserId(1),
            name: "c".into(),
            enabled,
            daily_budget: Micros(1),
            flight: Flight { start: UnixMillis(flight.0 * 1000), end: UnixMillis(flight.1 * 1000) },
            cpm: CpmMicros(cpm * 500_000),
            adomain: vec![],
            cat: vec![],
            frequency_cap: None,
            creatives: creatives.iter().map(|&size| Creative::new("x".into(), size, "<b>", None).unwrap()).collect(),
            targeting,
        })
    }
}

/// One of the values, mostly one of the first, sometimes none.
fn one(values: Vec<String>) -> impl Strategy<Value = String> {
    let all = values.clone();
    prop_oneof![
        1 => Just(String::new()),
        6 => any::<Pick>().prop_map(move |at| values[at.index(5.min(values.len()))].clone()),
        2 => any::<Pick>().prop_map(move |at| all[at.index(all.len())].clone()),
    ]
}

prop_compose! {
    fn request()(
        country in one([countries(), vec!["aax".into(), "ZZZ".into()]].concat()),
        region in one(["CA", "ny", "AA-7", "", "QQ"].map(String::from).to_vec()),
        device in 0..20u8,
        channel in prop_oneof![
            4 => Just(Channel::Site), 3 => Just(Channel::App), 1 => Just(Channel::Dooh), 1 => Just(Channel::Unknown),
        ],
        domain in one(domains()),
        below in prop_oneof![4 => Just(""), 2 => Just("www."), 1 => Just("A.b.C."), 1 => Just("x")],
        bundle in one(numbered("app.bundle", 80)),
        publisher in one(numbered("pub", 60)),
        exchange in one(numbered("exchange", 60)),
        now in 850..1_150u64,
        mut sizes in prop_oneof![
            3 => subsequence(sizes()[..4].to_vec(), 1..=4),
            1 => subsequence(sizes(), 1..=16),
        ].prop_shuffle(),
        twice in prop::bool::weighted(0.1),
        floor in prop_oneof![2 => Just(0), 1 => 0..6_000_000i64, 1 => Just(i64::MAX)],
    ) -> Request {
        if twice && sizes.len() < 16 {
            sizes.push(sizes[0]);
        }
        let domain = if domain.is_empty() { domain } else { format!("{below}{domain}") };
        Request { country, region, device, channel, domain, bundle, publisher, exchange, now, sizes, floor }
    }
}

type Listed = BTreeMap<u32, (usize, Size)>;

fn listed(index: &Index, request: &Request, out: &mut Candidates) -> Listed {
    index.candidates(&index.query(&request.asked()), &request.offer(), out);
    let listed: Listed = out.iter().map(|c| (c.campaign.0, (usize::from(c.creative), c.size))).collect();
    assert_eq!(listed.len(), out.len(), "a campaign is listed twice");
    listed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_index_finds_what_the_definitions_say(
        campaigns in prop::collection::vec(campaign(), 0..150),
        requests in prop::collection::vec(request(), 30),
    ) {
        let index = Index::build(&campaigns);
        let mut out = Candidates::new();
        for request in &requests {
            let (mut expected, mut below) = (Listed::new(), false);
            for (campaign, ix) in campaigns.iter().zip(0..) {
                let wants = naive(campaign, request);
                let low = campaign.cpm.0 < request.floor;
                if let Some(fit) = wants {
                    if low { below = true } else { expected.insert(ix, fit); }
                }
                let expected_why = wants.is_some() && !low;
                prop_assert_eq!(why_not(campaign, &request.asked(), &request.offer()).is_none(), expected_why);
                if wants.is_some() && low {
                    prop_assert_eq!(why_not(campaign, &request.asked(), &request.offer()), Some(WhyNot::Floor));
                }
            }
            prop_assert_eq!(&listed(&index, request, &mut out), &expected, "{:?}", request);
            let matched = index.candidates(&index.query(&request.asked()), &request.offer(), &mut out);
            prop_assert_eq!(matched.below_floor, below && expected.is_empty());
            let known = campaigns.iter().any(|c| c.creatives.iter().any(|c| request.sizes.contains(&c.size)));
            prop_assert_eq!(matched.size_known, known);
            prop_assert!(!matched.full);
        }
    }
}

fn plain(n: usize) -> Vec<Campaign> {
    let creative = Creative::new("x".into(), Size { w: 300, h: 250 }, "<b>", None).unwrap();
    (0..n as u32)
        .map(|id| {
            Campaign::new(
                Slot(id),
                Definition {
                    id: CampaignId(id),
                    advertiser: AdvertiserId(1),
                    name: "c".into(),
                    enabled: true,
                    daily_budget: Micros(1),
                    flight: Flight::ALWAYS,
                    cpm: CpmMicros(1_000_000 + i64::from(id)),
                    adomain: vec![],
                    cat: vec![],
                    frequency_cap: None,
                    creatives: vec![creative.clone()],
                    targeting: Targeting::default(),
                },
            )
        })
        .collect()
}

#[test]
fn more_candidates_than_there_is_room_for_are_said() {
    let index = Index::build(&plain(3000));
    let mut out = Candidates::new();
    let query = index.query(&Asked { now: UnixMillis(1), ..Asked::default() });
    let offer = Offer { sizes: &[Size { w: 300, h: 250 }], floor: CpmMicros(0) };
    let matched = index.candidates(&query, &offer, &mut out);
    assert!(matched.full && out.is_full());
    // Those who want everything are in one leaf, the dearest first.
    assert_eq!(out[0].campaign.0, 2999);
    let matched = index.candidates(&query, &Offer { floor: CpmMicros(1_002_000), ..offer }, &mut out);
    assert!(!matched.full && out.len() == 1000);
}

#[test]
fn an_empty_index_knows_no_size() {
    let index = Index::build(&[]);
    let mut out = Candidates::new();
    let offer = Offer { sizes: &[Size { w: 300, h: 250 }], floor: CpmMicros(0) };
    let matched = index.candidates(&index.query(&Asked::default()), &offer, &mut out);
    assert!(!matched.size_known && out.is_empty());
}

#[test]
fn segments_are_asked_of_the_profile() {
    let mut campaign = plain(1).remove(0);
    let ids = |list: &[u32]| list.iter().map(|&id| SegmentId(id)).collect::<Vec<_>>();
    assert!(!campaign.needs_user() && campaign.wants(&[]));
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
        assert_eq!(campaign.wants(&ids(segments)), wants, "{segments:?}");
    }
    campaign.targeting.segments = SegmentRule { none: ids(&[7]), ..SegmentRule::default() };
    assert!(campaign.wants(&[]), "an unknown user is in no segment");
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

/// What the benches measure is right, too: the demo's own campaigns and requests, against their definitions.
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
                publisher: String::new(),
                exchange: "generic".into(),
                now: 1_767_225_600,
                sizes: (0..1 + draw.below(3)).map(|_| draw.size()).collect(),
                floor: 500_000,
            };
            let expected: Listed =
                campaigns.iter().zip(0..).filter_map(|(c, ix)| Some((ix, naive(c, &request)?))).collect();
            assert_eq!(listed(&index, &request, &mut out), expected, "{request:?}");
            found += expected.len();
        }
        assert!((1..=30).contains(&(found / REQUESTS)), "{} candidates a request", found / REQUESTS);
    }
}
