//! How long does a match take, and does it grow with the candidates or with the campaigns?
//!
//! Run with `cargo bench --bench matching`. Campaigns have three to six overlapping predicates of every kind the index knows,
//! and segments; requests are drawn from the same laws (Zipf's, as in `corebid::snapshot::demo`). For each number of
//! campaigns the time to build, the index's size and the number of candidates are printed; then the least thread CPU time of
//! many passes over all requests: `query` (once per request), `candidates` (once per impression), both for those requests
//! with 6 to 12 candidates (so that numbers of campaigns can be compared at the same number of candidates), and the whole
//! match, the segments of a user who is in 125 of them included.

use std::hint::black_box;

use corebid::clock::thread_cpu;
use corebid::snapshot::campaign::{Campaign, Circle, Daypart, Rule, Shape, Slots, Targeting};
use corebid::snapshot::demo::{self, Draw};
use corebid::snapshot::targeting::{Asked, Candidates, Index, Offer};
use corebid::units::{CpmMicros, SegmentId, UnixMillis};
use corebid::wire::openrtb::agent::{Browser, Os};
use corebid::wire::openrtb::request::{Channel, Point};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const REQUESTS: usize = 4096;
const SEGMENTS: usize = 125;
const EXCHANGES: [&str; 6] = ["generic", "north", "south", "east", "west", "tv"];
const LANGUAGES: [&str; 8] = ["en", "de", "fr", "ja", "pt", "hi", "it", "es"];
const CARRIERS: [&str; 12] =
    ["Verizon", "AT&T", "T-Mobile", "Vodafone", "O2", "Orange", "Docomo", "Vivo", "Jio", "Rogers", "TIM", "Movistar"];
const ZONES: [&str; 4] = ["America/New_York", "Europe/London", "Europe/Berlin", "Asia/Tokyo"];
/// Cities with their country, region, a postal code, and where they are.
const CITIES: [(&str, &str, &str, &str, i32, i32); 8] = [
    ("USA", "NY", "New York", "10001", 40_712_000, -74_006_000),
    ("USA", "CA", "Los Angeles", "90001", 34_052_000, -118_243_000),
    ("USA", "IL", "Chicago", "60601", 41_878_000, -87_629_000),
    ("GBR", "ENG", "London", "SW1A 1AA", 51_507_000, -127_000),
    ("DEU", "BE", "Berlin", "10115", 52_520_000, 13_405_000),
    ("FRA", "IDF", "Paris", "75001", 48_856_000, 2_352_000),
    ("JPN", "13", "Tokyo", "100-0001", 35_676_000, 139_650_000),
    ("BRA", "SP", "Sao Paulo", "01000-000", -23_550_000, -46_633_000),
];

/// One of a list by Zipf's law.
fn one<T: Copy>(draw: &mut Draw, list: &[T]) -> T {
    list[draw.zipf(list.len(), 0.9)]
}

/// One or more of what is drawn, each once.
fn some<T: PartialEq>(draw: &mut Draw, most: usize, value: impl Fn(&mut Draw) -> T) -> Vec<T> {
    let mut list = Vec::new();
    for _ in 0..1 + draw.below(most) {
        let value = value(draw);
        if !list.contains(&value) {
            list.push(value);
        }
    }
    list
}

fn rule<T: PartialEq>(draw: &mut Draw, most: usize, value: impl Fn(&mut Draw) -> T) -> Rule<T> {
    let out = draw.chance(0.1);
    let list = some(draw, most, value);
    if out { Rule { include: vec![], exclude: list } } else { Rule { include: list, exclude: vec![] } }
}

fn category(draw: &mut Draw) -> String {
    let top = 1 + draw.zipf(26, 0.9);
    if draw.chance(0.5) { format!("IAB{top}") } else { format!("IAB{top}-{}", 1 + draw.zipf(20, 0.9)) }
}

fn near(draw: &mut Draw, (lat, lon): (i32, i32)) -> Point {
    let mut aside = || draw.below(400_001) as i32 - 200_000;
    Point { lat: lat + aside(), lon: lon + aside() }
}

/// The campaigns of the demo with predicates of our own: creatives of any size, two to five more predicates.
fn campaigns(count: usize) -> Vec<Campaign> {
    let mut campaigns = demo::synthetic(count, &mut Slots::new());
    for (at, campaign) in campaigns.iter_mut().enumerate() {
        let mut draw = Draw::new(0x7A26_E751 ^ (at as u64) << 20);
        let mut targeting = Targeting { segments: campaign.targeting.segments.clone(), ..Targeting::default() };
        let mut kinds: Vec<usize> = (0..20).collect();
        for place in (1..kinds.len()).rev() {
            kinds.swap(place, draw.below(place + 1));
        }
        // Inventory is the commonest predicate: four kinds of twenty stand for it, places have five. Beyond the first
        // thousand campaigns all name some, of all there is: a large book is one of many particular campaigns.
        let many = at >= 1000;
        if many {
            targeting.sites.include = some(&mut draw, 3, |draw| demo::site(draw.below(demo::SITES)));
            targeting.bundles.include = some(&mut draw, 3, |draw| demo::bundle(draw.below(demo::BUNDLES)));
            kinds.retain(|&kind| kind < INVENTORY);
        }
        let wanted = 2 + draw.below(4) - usize::from(many);
        kinds.into_iter().take(wanted).for_each(|kind| predicate(&mut draw, kind, &mut targeting));
        campaign.targeting = targeting;
    }
    campaigns
}

/// Kinds of predicates from here on are inventory.
const INVENTORY: usize = 16;

fn predicate(draw: &mut Draw, kind: usize, targeting: &mut Targeting) {
    let city = |draw: &mut Draw| one(draw, &CITIES);
    match kind {
        0 => targeting.countries = rule(draw, 2, |draw| draw.place().0.to_owned()),
        1 => {
            targeting.regions = rule(draw, 3, |draw| {
                let (country, region) = draw.place();
                format!("{country}-{region}")
            });
        }
        2 => targeting.cities = rule(draw, 2, |draw| format!("{}-{}", city(draw).0, city(draw).2)),
        3 => targeting.zips = rule(draw, 3, |draw| format!("{}-{}", city(draw).0, city(draw).3)),
        4 => {
            targeting.circles = rule(draw, 2, |draw| {
                let (.., lat, lon) = city(draw);
                Circle { centre: near(draw, (lat, lon)), metres: 1_000 << draw.below(7) }
            });
        }
        5 => targeting.devices = some(draw, 2, Draw::device),
        6 => targeting.os = rule(draw, 2, |draw| one(draw, &Os::NAMED).0),
        7 => targeting.browsers = rule(draw, 2, |draw| one(draw, &Browser::NAMED).0),
        8 => targeting.carriers = rule(draw, 2, |draw| one(draw, &CARRIERS).to_owned()),
        9 => targeting.connections = some(draw, 2, |draw| 1 + draw.zipf(7, 0.9) as u8),
        10 => targeting.categories = rule(draw, 4, category),
        11 => targeting.languages = rule(draw, 2, |draw| one(draw, &LANGUAGES).to_owned()),
        12 => targeting.exchanges = rule(draw, 2, |draw| one(draw, &EXCHANGES).to_owned()),
        13 => targeting.publishers = rule(draw, 3, |draw| format!("pub-{}", draw.zipf(3000, 0.8))),
        14 => targeting.deals = some(draw, 2, |draw| format!("deal-{}", draw.zipf(2000, 0.8))),
        15 => {
            let start = draw.below(12);
            let hours = (0..168).filter(|hour| (start..start + 12).contains(&(hour % 24)));
            let hours = hours.fold([0; 3], |mut bits: [u64; 3], hour| {
                bits[hour / 64] |= 1 << (hour % 64);
                bits
            });
            targeting.daypart = Some(Daypart { zone: one(draw, &ZONES).to_owned(), hours });
        }
        _ => {
            targeting.sites = rule(draw, 6, |draw| demo::site(draw.site()));
            if draw.chance(0.6) {
                targeting.bundles = rule(draw, 6, |draw| demo::bundle(draw.site()));
            }
        }
    }
}

struct Request {
    place: (&'static str, &'static str, &'static str, &'static str, Option<Point>),
    device: u8,
    os: Os,
    browser: Browser,
    carrier: &'static str,
    connection: u8,
    categories: Vec<String>,
    language: &'static str,
    hours: Vec<u8>,
    app: bool,
    domain: String,
    bundle: String,
    publisher: String,
    exchange: &'static str,
    shapes: Vec<Shape>,
    deals: Vec<String>,
    segments: Vec<SegmentId>,
}

fn requests(count: usize) -> Vec<Request> {
    let mut draw = Draw::new(7);
    let request = |_| {
        let draw = &mut draw;
        let place = if draw.chance(0.4) {
            let (country, region, city, zip, lat, lon) = one(draw, &CITIES);
            (country, region, city, zip, Some(near(draw, (lat, lon))))
        } else {
            let (country, region) = draw.place();
            (country, region, "", "", None)
        };
        let rank = draw.site();
        let mut segments: Vec<SegmentId> = Vec::new();
        while segments.len() < SEGMENTS {
            let segment = draw.segment();
            if !segments.contains(&segment) {
                segments.push(segment);
            }
        }
        segments.sort_unstable();
        Request {
            place,
            device: draw.device(),
            os: one(draw, &Os::NAMED).0,
            browser: one(draw, &Browser::NAMED).0,
            carrier: one(draw, &CARRIERS),
            connection: 1 + draw.zipf(7, 0.9) as u8,
            categories: some(draw, 3, category),
            language: one(draw, &LANGUAGES),
            hours: ZONES.iter().map(|_| draw.below(168) as u8).collect(),
            app: draw.chance(0.4),
            domain: format!("www.{}", demo::site(rank)),
            bundle: demo::bundle(rank),
            publisher: format!("pub-{}", draw.zipf(3000, 0.8)),
            exchange: one(draw, &EXCHANGES),
            shapes: some(draw, 3, |draw| Shape::Banner(draw.size())),
            deals: if draw.chance(0.2) {
                some(draw, 3, |draw| format!("deal-{}", draw.zipf(2000, 0.8)))
            } else {
                vec![]
            },
            segments,
        }
    };
    (0..count).map(request).collect()
}

/// A request's lists of texts as slices.
struct Texts<'r> {
    request: &'r Request,
    categories: Vec<&'r [u8]>,
    deals: Vec<&'r [u8]>,
}

impl Texts<'_> {
    fn new(request: &Request) -> Texts<'_> {
        Texts {
            request,
            categories: request.categories.iter().map(|text| text.as_bytes()).collect(),
            deals: request.deals.iter().map(|text| text.as_bytes()).collect(),
        }
    }

    fn asked(&self) -> Asked<'_> {
        let request = self.request;
        let (country, region, city, zip, point) = request.place;
        Asked {
            country: country.as_bytes(),
            region: region.as_bytes(),
            city: city.as_bytes(),
            zip: zip.as_bytes(),
            point,
            device: request.device,
            os: request.os,
            browser: request.browser,
            carrier: request.carrier.as_bytes(),
            connection: request.connection,
            categories: &self.categories,
            language: request.language.as_bytes(),
            hours: &request.hours,
            channel: if request.app { Channel::App } else { Channel::Site },
            domain: request.domain.as_bytes(),
            bundle: request.bundle.as_bytes(),
            publisher: request.publisher.as_bytes(),
            exchange: request.exchange.as_bytes(),
            now: UnixMillis(1_767_225_600_000),
        }
    }

    fn offer(&self) -> Offer<'_> {
        Offer { shapes: &self.request.shapes, floor: CpmMicros(500_000), deals: &self.deals, deals_only: false }
    }
}

/// On a busy machine the mean says how busy it was; the least CPU time of many passes says what the work takes. Nanoseconds.
fn least(of: usize, mut pass: impl FnMut()) -> f64 {
    let once = |_| {
        let start = thread_cpu();
        pass();
        thread_cpu() - start
    };
    (0..60).map(once).min().unwrap_or(0) as f64 / of.max(1) as f64
}

fn matching(criterion: &mut Criterion) {
    let requests = requests(REQUESTS);
    let texts: Vec<Texts<'_>> = requests.iter().map(Texts::new).collect();
    let mut group = criterion.benchmark_group("matching");
    for n in [1_000, 5_000, 10_000, 100_000] {
        let campaigns = campaigns(n);
        let start = thread_cpu();
        let index = Index::build(&campaigns);
        println!("{n} campaigns: built in {:.0} ms; {:?}", (thread_cpu() - start) as f64 / 1e6, index.extent());
        let mut out = Candidates::new();
        let queries: Vec<_> = texts.iter().map(|texts| (index.query(&texts.asked()), texts.offer())).collect();
        let (mut counts, mut like, mut full) = (Vec::new(), Vec::new(), 0);
        for (at, (query, offer)) in queries.iter().enumerate() {
            full += usize::from(index.candidates(query, offer, &mut out).full);
            counts.push(out.len());
            if (6..=12).contains(&out.len()) {
                like.push(at);
            }
        }
        counts.sort_unstable();
        let mean = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
        println!(
            "{n} campaigns: candidates mean {mean:.1}, median {}, p95 {}, most {}; {full} full; {} with 6 to 12",
            counts[counts.len() / 2],
            counts[counts.len() * 95 / 100],
            counts[counts.len() - 1],
            like.len(),
        );
        let asked = least(REQUESTS, || {
            for texts in &texts {
                black_box(index.query(&texts.asked()));
            }
        });
        let all = least(REQUESTS, || {
            for (query, offer) in &queries {
                black_box(index.candidates(query, offer, &mut out));
            }
        });
        let alike = least(like.len(), || {
            for &at in &like {
                let (query, offer) = &queries[at];
                black_box(index.candidates(query, offer, &mut out));
            }
        });
        let whole = least(REQUESTS, || {
            for texts in &texts {
                index.candidates(&index.query(&texts.asked()), &texts.offer(), &mut out);
                let segments = &texts.request.segments;
                let wants = |campaign: &Campaign| campaign.wants(|segment| segments.binary_search(&segment).is_ok());
                black_box(out.iter().filter(|c| wants(&campaigns[c.campaign.0 as usize])).count());
            }
        });
        println!(
            "{n} campaigns: query {asked:.0} ns, candidates {all:.0} ns, of those with 6 to 12 {alike:.0} ns; \
             with 125 segments in all {whole:.0} ns",
        );
        group.throughput(Throughput::Elements(REQUESTS as u64));
        group.bench_function(format!("candidates/{n}"), |bench| {
            bench.iter(|| {
                for (query, offer) in &queries {
                    black_box(index.candidates(query, offer, &mut out));
                }
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2))
        .sample_size(20);
    targets = matching
}
criterion_main!(benches);
