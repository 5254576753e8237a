//! A corpus of bid requests: deterministic, realistic in shape, and with a mix that is chosen in one table.
//!
//! Each request belongs to a [`Class`], which says at which stage a bidder with untargeted campaigns for common sizes is
//! expected to say no. The weights of [`Mix`] give about 3 % bids; of the no-bids about 90 % pass admission and are
//! scanned, 57 % reach the match and 10 to 22 % the model, by how many of the dearest campaigns want segments that few users have.

mod writer;

use std::io::{self, Write};

use crate::market::random::Random;

/// What a request is made to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// A common banner with a low floor: a bid.
    Bid,
    /// Its floor is just below the dearest campaigns: they match and are scored, and the price does not reach it.
    ScoredBelowFloor,
    /// Its floor is above every campaign.
    HopelessFloor,
    /// A banner in sizes nobody has.
    OddSize,
    /// Every creative type, attribute and top-level category is blocked.
    Blocked,
    /// Overlay videos, and native placements with a video of their own: no creative fits.
    Unfit,
    /// Private auctions for deals of others.
    DealsOnly,
    /// A floor in a currency without a rate.
    FloorCurrency,
    /// For seats of others.
    Seat,
    /// Not in US dollars.
    Currency,
    /// `tmax` leaves no time.
    ShortTmax,
    /// A video with a low floor, sometimes by the second or by its duration.
    Video,
    /// An audio spot with a low floor.
    Audio,
    /// A native placement with a low floor.
    Native,
    /// A choice of formats, and several impressions of the page, which are all there are.
    Several,
    /// Deals beside the open auction, or without it.
    Deals,
    /// A pod of videos, filled by the bidder or slot by slot.
    Pod,
    /// A screen out of home, seen by many.
    Screen,
    /// Currencies that need a rate.
    Foreign,
}

/// Where an impression is, as far as that should be chosen and not drawn.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    /// Its only size.
    pub size: (u16, u16),
    /// Its floor, in thousandths of a USD CPM: lowest and highest.
    pub floor: (u64, u64),
    /// Site or app; drawn if `None`.
    pub inventory: Option<Inventory>,
    /// Country (ISO 3166-1 alpha-3) and region (ISO 3166-2 without the country); drawn if `None`.
    pub place: Option<(String, String)>,
    /// AdCOM device type; drawn if `None`.
    pub device: Option<u8>,
}

/// Whose impression it is.
#[derive(Clone, Debug)]
pub enum Inventory {
    /// A site, by its domain.
    Site(String),
    /// An app, by its bundle.
    App(String),
}

/// The weights of the classes and the floors that make them. The demo campaigns bid 0.50 to 8.00 USD.
#[derive(Clone, Debug)]
pub struct Mix {
    /// Weight of each class.
    pub classes: Vec<(Class, u32)>,
    /// Floors of bids, in thousandths of a USD CPM: lowest and highest.
    pub low_floor: (u64, u64),
    /// Where [`Class::ScoredBelowFloor`] happens: each floor a little below the dearest campaign that wants the placement,
    /// and above what the model makes of it.
    pub scored: Vec<Placement>,
    /// Where [`Class::Bid`] happens; anywhere, in common sizes and with [`Mix::low_floor`], if empty.
    pub bids: Vec<Placement>,
    /// Floors of [`Class::HopelessFloor`].
    pub hopeless_floor: (u64, u64),
    /// `tmax` of [`Class::ShortTmax`], ms.
    pub short_tmax: (u64, u64),
}

/// The weights of the built-in corpus, in thousandths.
const MIX: [(Class, u32); 11] = [
    (Class::Bid, 29),
    (Class::ScoredBelowFloor, 215),
    (Class::HopelessFloor, 60),
    (Class::OddSize, 85),
    (Class::Blocked, 20),
    (Class::Unfit, 130),
    (Class::DealsOnly, 40),
    (Class::FloorCurrency, 20),
    (Class::Seat, 155),
    (Class::Currency, 156),
    (Class::ShortTmax, 90),
];

/// Common sizes, and floors just below the top of the rate card ([`crate::snapshot::demo::TOP_CPM`]), which no score below
/// the fold brings a price to.
const SCORED: [((u16, u16), (u64, u64)); 2] = [((300, 250), (7_900, 7_999)), ((320, 50), (7_900, 7_999))];

impl Default for Mix {
    fn default() -> Mix {
        Mix {
            classes: MIX.to_vec(),
            low_floor: (10, 300),
            scored: SCORED.map(|(size, floor)| Placement { size, floor, ..Placement::default() }).to_vec(),
            bids: Vec::new(),
            hopeless_floor: (12_000, 40_000),
            short_tmax: (1, 5),
        }
    }
}

impl Mix {
    /// Every format, deals, pods, screens and foreign currencies: each deserves a bid of campaigns that have such creatives,
    /// name such deals and know such rates.
    pub fn formats() -> Mix {
        let classes = [
            (Class::Bid, 3),
            (Class::Video, 4),
            (Class::Audio, 2),
            (Class::Native, 3),
            (Class::Several, 3),
            (Class::Deals, 3),
            (Class::Pod, 3),
            (Class::Screen, 2),
            (Class::Foreign, 2),
        ];
        Mix { classes: classes.to_vec(), ..Mix::default() }
    }

    /// Plain banner requests only: common sizes, low floors, nothing that disqualifies.
    pub fn plain() -> Mix {
        Mix { classes: vec![(Class::Bid, 1)], ..Mix::default() }
    }
}

/// How long bodies are, bytes: lowest and highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length(pub usize, pub usize);

impl Length {
    /// What exchanges usually send.
    pub const USUAL: Length = Length(1_620, 2_450);
    /// With many ids, sizes and a long supply chain.
    pub const LARGE: Length = Length(2_600, 4_950);
}

/// Users of the corpus: `u0` to `u99999`, Zipf distributed.
pub const USERS: u64 = 100_000;
/// Lines of the built-in corpus.
const BUILT_IN: usize = 4096;

/// The corpus `load` and `demo` use when they are given none.
pub fn built_in() -> Vec<Vec<u8>> {
    corpus(1, BUILT_IN)
}

/// `count` bodies of 1.5 to 2.5 KB in the default mix.
pub fn corpus(seed: u64, count: usize) -> Vec<Vec<u8>> {
    generate(seed, count, &Mix::default(), Length::USUAL).map(|(_, body)| body).collect()
}

/// `count` plain valid banner requests of 1.5 to 2.5 KB: with untargeted campaigns for common sizes, each deserves a bid.
pub fn plain(seed: u64, count: usize) -> Vec<Vec<u8>> {
    generate(seed, count, &Mix::plain(), Length::USUAL).map(|(_, body)| body).collect()
}

/// `count` bodies of 2.5 to 5 KB in the default mix.
pub fn large(seed: u64, count: usize) -> Vec<Vec<u8>> {
    generate(seed, count, &Mix::default(), Length::LARGE).map(|(_, body)| body).collect()
}

/// `count` bodies of 2.5 to 5 KB of every format and way to sell ([`Mix::formats`]).
pub fn formats(seed: u64, count: usize) -> Vec<Vec<u8>> {
    generate(seed, count, &Mix::formats(), Length::LARGE).map(|(_, body)| body).collect()
}

/// Bodies with the class each was made for. Line `i` depends on the seed and `i` alone.
pub fn generate(seed: u64, count: usize, mix: &Mix, length: Length) -> impl Iterator<Item = (Class, Vec<u8>)> {
    (0..count as u64).map(move |index| {
        let mut random = Random::of(seed, index);
        let class = mix.classes[random.weighted(mix.classes.iter().map(|(_, weight)| *weight))].0;
        (class, writer::request(random, mix, class, length))
    })
}

/// Writes one body a line.
pub fn write_ndjson(bodies: &[Vec<u8>], out: &mut impl Write) -> io::Result<()> {
    for body in bodies {
        out.write_all(body)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::vocabulary as words;
    use serde_json::Value;
    use std::collections::BTreeMap;

    fn parsed(mix: &Mix, length: Length) -> Vec<(Class, Value)> {
        let lines = generate(3, 2000, mix, length);
        lines.map(|(class, body)| (class, serde_json::from_slice(&body).expect("JSON"))).collect()
    }

    #[test]
    fn bodies_are_deterministic_and_as_long_as_they_should_be() {
        assert_eq!(corpus(5, 50), corpus(5, 50));
        assert_eq!(corpus(5, 50)[..10], corpus(5, 10)[..]);
        assert_ne!(corpus(5, 1), corpus(6, 1));
        for (seed, (bodies, low, high)) in
            [(corpus(1, 4096), 1500, 2500), (plain(1, 1000), 1500, 2500), (large(1, 1000), 2500, 5000)]
                .into_iter()
                .enumerate()
        {
            for body in &bodies {
                assert!(
                    (low..=high).contains(&body.len()),
                    "{seed}: {} bytes: {}",
                    body.len(),
                    String::from_utf8_lossy(body)
                );
            }
        }
    }

    #[test]
    fn every_class_is_what_it_says() {
        let list = |value: &Value| -> Vec<String> {
            value
                .as_array()
                .map(|items| items.iter().map(|item| item.as_str().expect("a string").to_owned()).collect())
                .unwrap_or_default()
        };
        for (class, request) in parsed(&Mix::default(), Length::USUAL) {
            assert!(request["id"].is_string());
            let imps = request["imp"].as_array().expect("imp");
            assert!(!imps.is_empty() && imps.iter().all(|imp| imp["id"].is_string()));
            let floors = imps.iter().map(|imp| imp["bidfloor"].as_f64().expect("a floor"));
            let (cur, wseat) = (list(&request["cur"]), list(&request["wseat"]));
            assert_eq!(class == Class::Currency, !cur.is_empty() && !cur.contains(&"USD".to_owned()), "{class:?}");
            assert_eq!(class == Class::Seat, !wseat.is_empty(), "{class:?}");
            assert!(request["dooh"].is_null());
            assert!(request["site"].is_null() || request["app"].is_null());
            assert_eq!(class == Class::ShortTmax, request["tmax"].as_u64().expect("tmax") < 8, "{class:?}");
            assert_eq!(class == Class::HopelessFloor, floors.clone().all(|floor| floor > 8.0), "{class:?}");
            assert_eq!(
                class == Class::ScoredBelowFloor,
                floors.clone().all(|floor| floor > 1.0 && floor < 8.0),
                "{class:?}"
            );
            let banner_sizes = |imp: &Value| {
                let pair = |size: &Value| Some((size["w"].as_u64()? as u16, size["h"].as_u64()? as u16));
                let more = imp["banner"]["format"].as_array().into_iter().flatten();
                more.chain([&imp["banner"]]).filter_map(pair).collect::<Vec<_>>()
            };
            for imp in imps {
                assert_eq!(class == Class::Unfit, imp["banner"].is_null(), "{class:?}");
                assert_eq!(class == Class::DealsOnly, imp["pmp"]["private_auction"] == 1, "{class:?}");
                let sizes = banner_sizes(imp);
                assert_eq!(
                    class == Class::OddSize,
                    !sizes.is_empty() && sizes.iter().all(|size| words::ODD_SIZES.contains(size)),
                    "{class:?}"
                );
                let usd = imp["bidfloorcur"].is_null() || imp["bidfloorcur"] == "USD";
                assert_eq!(class == Class::FloorCurrency, !usd, "{class:?}");
            }
        }
    }

    #[test]
    fn the_formats_are_there() {
        let lines = parsed(&Mix::formats(), Length::LARGE);
        let count = |class: Class, test: &dyn Fn(&Value) -> bool| {
            let of_class: Vec<_> = lines.iter().filter(|(other, _)| *other == class).collect();
            let found = of_class.iter().filter(|(_, request)| test(&request["imp"][0]) || test(request)).count();
            assert!(found > 20, "{class:?}: {found}");
            found == of_class.len()
        };
        assert!(count(Class::Video, &|imp| imp["video"]["mimes"].is_array()));
        assert!(!count(Class::Video, &|imp| imp["video"]["mincpmpersec"].is_number()));
        assert!(!count(Class::Video, &|imp| imp["video"]["durfloors"].is_array()));
        assert!(count(Class::Audio, &|imp| imp["audio"]["mimes"].is_array()));
        assert!(count(Class::Native, &|imp| imp["native"]["request"].is_string()));
        assert!(count(Class::Several, &|imp| imp["banner"].is_object() && imp["native"].is_object()));
        assert!(!count(Class::Several, &|request| request["allimps"] == 1));
        assert!(count(Class::Deals, &|imp| imp["pmp"]["deals"][0]["id"].is_string()));
        assert!(!count(Class::Deals, &|imp| imp["pmp"]["private_auction"] == 1));
        assert!(count(Class::Pod, &|imp| imp["video"]["podid"].is_string()));
        assert!(!count(Class::Pod, &|imp| imp["video"]["poddur"].is_u64()));
        assert!(count(Class::Screen, &|request| request["dooh"].is_object() || request["qty"].is_object()));
        assert!(
            count(Class::Foreign, &|request| request["cur"].is_array() && request["cur"] != serde_json::json!(["USD"]))
        );
    }

    #[test]
    fn the_mix_reaches_the_stages_it_should() {
        let mut counts = BTreeMap::new();
        for (class, _) in generate(1, BUILT_IN, &Mix::default(), Length::USUAL) {
            *counts.entry(class).or_insert(0) += 1;
        }
        let of = |classes: &[Class]| f64::from(classes.iter().map(|class| counts[class]).sum::<i32>());
        let no_bids = BUILT_IN as f64 - of(&[Class::Bid]);
        let admitted = no_bids - of(&[Class::ShortTmax]);
        let matched = admitted - of(&[Class::Currency, Class::Seat]);
        assert!(admitted / no_bids > 0.82, "scanned {}", admitted / no_bids);
        assert!(matched / no_bids > 0.52, "matched {}", matched / no_bids);
        assert!(of(&[Class::ScoredBelowFloor]) / no_bids > 0.11);
        assert!((0.025..0.04).contains(&(of(&[Class::Bid]) / BUILT_IN as f64)));
    }

    #[test]
    fn there_are_old_and_new_requests_sites_apps_escapes_and_unicode() {
        let lines = parsed(&Mix::default(), Length::USUAL);
        let count = |test: &dyn Fn(&Value) -> bool| lines.iter().filter(|(_, request)| test(request)).count();
        for (what, found) in [
            ("site", count(&|r| r["site"].is_object())),
            ("app", count(&|r| r["app"].is_object())),
            ("2.6 chain", count(&|r| r["source"]["schain"].is_object())),
            ("2.5 chain", count(&|r| r["source"]["ext"]["schain"].is_object())),
            ("2.6 ids", count(&|r| r["user"]["eids"].is_array())),
            ("2.5 ids", count(&|r| r["user"]["ext"]["eids"].is_array())),
            ("several imps", count(&|r| r["imp"].as_array().is_some_and(|imps| imps.len() > 1))),
            ("gdpr", count(&|r| r["regs"]["gdpr"] == 1)),
            ("coppa", count(&|r| r["regs"]["coppa"] == 1)),
            ("unicode", count(&|r| !r.to_string().is_ascii())),
        ] {
            assert!(found > 20, "{what}: {found}");
        }
        assert!(corpus(1, 100).iter().any(|body| body.contains(&b'\\')));
    }

    #[test]
    fn a_placement_is_where_it_was_put() {
        let at = Placement {
            size: (320, 50),
            floor: (1_234, 1_234),
            inventory: Some(Inventory::App("com.daily.post".into())),
            place: Some(("DEU".into(), "BY".into())),
            device: Some(5),
        };
        let mix = Mix { bids: vec![at.clone()], ..Mix::plain() };
        for (_, request) in parsed(&mix, Length::USUAL) {
            assert!(request["site"].is_null());
            assert_eq!(request["app"]["bundle"], "com.daily.post");
            assert_eq!(
                (&request["device"]["geo"]["country"], &request["device"]["geo"]["region"]),
                (&"DEU".into(), &"BY".into())
            );
            assert_eq!(request["device"]["devicetype"], 5);
            for imp in request["imp"].as_array().expect("imp") {
                assert_eq!((&imp["bidfloor"], &imp["banner"]["w"]), (&1.234.into(), &320.into()));
                assert!(imp["banner"]["format"].as_array().is_none_or(|sizes| sizes.len() == 1));
            }
        }
        let mix = Mix {
            bids: vec![Placement { inventory: Some(Inventory::Site("a.example".into())), ..at }],
            ..Mix::plain()
        };
        assert!(parsed(&mix, Length::USUAL).iter().all(|(_, request)| request["site"]["domain"] == "a.example"));
    }
}
