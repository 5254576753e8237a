//! A corpus of bid requests: deterministic, realistic in shape, and with a mix that is chosen in one table.
//!
//! Each request belongs to a [`Class`], which says at which stage a bidder with untargeted campaigns for common sizes is
//! expected to say no. The weights of [`MIX`] give about 3 % bids; of the no-bids about 90 % pass admission and are
//! scanned, 57 % reach the match and 13 % the model.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::market::random::Random;
use crate::market::vocabulary as words;

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
    /// Video or native only.
    Format,
    /// Private auctions for deals of others.
    DealsOnly,
    /// A floor in a currency without a rate.
    FloorCurrency,
    /// For seats of others.
    Seat,
    /// Not in US dollars.
    Currency,
    /// Neither site nor app.
    Inventory,
    /// `tmax` leaves no time.
    ShortTmax,
}

/// The weights of the classes and the floors that make them. Tuned against the demo campaigns (0.50 to 8.00 USD).
#[derive(Clone, Debug)]
pub struct Mix {
    /// Weight of each class.
    pub classes: Vec<(Class, u32)>,
    /// Floors of bids, in thousandths of a USD CPM: lowest and highest.
    pub low_floor: (u64, u64),
    /// Floors of [`Class::ScoredBelowFloor`].
    pub scored_floor: (u64, u64),
    /// Floors of [`Class::HopelessFloor`].
    pub hopeless_floor: (u64, u64),
    /// `tmax` of [`Class::ShortTmax`], ms.
    pub short_tmax: (u64, u64),
}

/// The weights of the built-in corpus, in thousandths.
const MIX: [(Class, u32); 12] = [
    (Class::Bid, 34),
    (Class::ScoredBelowFloor, 130),
    (Class::HopelessFloor, 90),
    (Class::OddSize, 120),
    (Class::Blocked, 20),
    (Class::Format, 130),
    (Class::DealsOnly, 40),
    (Class::FloorCurrency, 20),
    (Class::Seat, 170),
    (Class::Currency, 130),
    (Class::Inventory, 26),
    (Class::ShortTmax, 90),
];

impl Default for Mix {
    fn default() -> Mix {
        Mix {
            classes: MIX.to_vec(),
            low_floor: (10, 300),
            scored_floor: (7_300, 7_900),
            hopeless_floor: (12_000, 40_000),
            short_tmax: (1, 5),
        }
    }
}

impl Mix {
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

/// Bodies with the class each was made for. Line `i` depends on the seed and `i` alone.
pub fn generate(seed: u64, count: usize, mix: &Mix, length: Length) -> impl Iterator<Item = (Class, Vec<u8>)> {
    (0..count as u64).map(move |index| {
        let mut random = Random::of(seed, index);
        let class = mix.classes[random.weighted(mix.classes.iter().map(|(_, weight)| *weight))].0;
        (class, Writer { random, mix, class, length, json: String::with_capacity(length.1 + 256) }.write())
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

/// Writes one request, in the order in which exchanges write them. The words are JSON already, escapes included.
struct Writer<'a> {
    random: Random,
    mix: &'a Mix,
    class: Class,
    length: Length,
    json: String,
}

/// `write!` into a string cannot fail.
macro_rules! put {
    ($to:expr, $($format:tt)*) => { $to.json.write_fmt(format_args!($($format)*)).expect("memory") };
}

impl Writer<'_> {
    fn write(mut self) -> Vec<u8> {
        // 2.5 has the newer fields under `ext`.
        let old = self.random.chance(0.4);
        let app = self.random.chance(0.45);
        let private = self.random.chance(0.12);
        let wanted = self.random.between(self.length.0 as u64, self.length.1 as u64) as usize;
        put!(self, "{{\"id\":\"{:016x}{:016x}\"", self.random.next(), self.random.next());
        self.terms();
        self.impressions();
        match self.class {
            Class::Inventory => {}
            _ if app => self.app(),
            _ => self.site(),
        }
        self.device(app);
        self.source(old);
        self.regs(old, private);
        self.user(old, private, wanted);
        self.json.push('}');
        self.json.into_bytes()
    }

    /// `at`, `tmax`, `cur`, seats, blocks.
    fn terms(&mut self) {
        let tmax = match self.class {
            Class::ShortTmax => self.random.between(self.mix.short_tmax.0, self.mix.short_tmax.1),
            _ => *self.random.pick(&[80, 100, 120, 150, 200, 250, 300, 500]),
        };
        put!(self, ",\"at\":{},\"tmax\":{tmax}", self.random.between(1, 2));
        match self.class {
            Class::Currency => put!(
                self,
                ",\"cur\":{}",
                *self.random.pick(&["[\"EUR\"]", "[\"GBP\",\"EUR\"]", "[\"JPY\"]", "[\"BRL\"]"])
            ),
            _ if self.random.chance(0.7) => {
                put!(self, ",\"cur\":{}", *self.random.pick(&["[\"USD\"]", "[\"USD\"]", "[\"EUR\",\"USD\"]"]))
            }
            _ => {}
        }
        if self.class == Class::Seat {
            put!(
                self,
                ",\"wseat\":[\"agency-{}\",\"seat-{}\"]",
                self.random.below(90) + 10,
                self.random.below(9000) + 1000
            );
        }
        if self.class == Class::Blocked {
            let categories: Vec<String> = (1..=26).map(|number| format!("\"IAB{number}\"")).collect();
            put!(self, ",\"bcat\":[{}]", categories.join(","));
        } else if self.random.chance(0.5) {
            put!(
                self,
                ",\"bcat\":[\"IAB25\",\"IAB26\",\"IAB7-39\",\"IAB9-9\"],\"badv\":[\"blocked{}.example\"]",
                self.random.below(50)
            );
        }
    }

    /// `imp`: usually one, sometimes up to three.
    fn impressions(&mut self) {
        let count = match self.random.below(100) {
            0..85 => 1,
            85..95 => 2,
            _ => 3,
        };
        put!(self, ",\"imp\":[");
        for number in 1..=count {
            if number > 1 {
                if self.json.len() > self.length.1 / 4 {
                    break;
                }
                self.json.push(',');
            }
            self.impression(number);
        }
        self.json.push(']');
    }

    fn impression(&mut self, number: u64) {
        put!(self, "{{\"id\":\"{number}\"");
        match self.class {
            Class::Format if self.random.chance(0.6) => self.video(),
            Class::Format => self.native(),
            Class::OddSize => {
                let (w, h) = *self.random.pick(words::ODD_SIZES);
                self.banner(w, h);
            }
            _ => {
                let (w, h) = *self.random.pick(words::SIZES);
                self.banner(w, h);
            }
        }
        let (low, high) = match self.class {
            Class::ScoredBelowFloor => self.mix.scored_floor,
            Class::HopelessFloor => self.mix.hopeless_floor,
            _ => self.mix.low_floor,
        };
        let floor = self.random.between(low, high);
        put!(self, ",\"bidfloor\":{}.{:03}", floor / 1000, floor % 1000);
        match self.class {
            Class::FloorCurrency => put!(self, ",\"bidfloorcur\":\"{}\"", *self.random.pick(&["THB", "ISK", "KES"])),
            _ if self.random.chance(0.6) => put!(self, ",\"bidfloorcur\":\"USD\""),
            _ => {}
        }
        put!(self, ",\"tagid\":\"{}-{}\",\"secure\":1", *self.random.pick(words::TAGS), self.random.below(400));
        if self.class == Class::DealsOnly {
            put!(
                self,
                ",\"pmp\":{{\"private_auction\":1,\"deals\":[{{\"id\":\"deal-{}\",\"bidfloor\":4.5,\"wseat\":[\"agency-{}\"],\"at\":3}}]}}",
                self.random.below(10_000),
                self.random.below(100)
            );
        }
        if self.random.chance(0.3) {
            put!(self, ",\"exp\":{}", self.random.between(1, 12) * 300);
        }
        put!(self, ",\"ext\":{{\"gpid\":\"/1234/{}/{}\"}}}}", *self.random.pick(words::TAGS), self.random.below(400));
    }

    fn banner(&mut self, w: u16, h: u16) {
        put!(self, ",\"banner\":{{\"w\":{w},\"h\":{h}");
        if self.random.chance(0.6) {
            put!(self, ",\"format\":[{{\"w\":{w},\"h\":{h}}}");
            for _ in 0..self.random.below(3) {
                let sizes = if self.class == Class::OddSize { words::ODD_SIZES } else { words::SIZES };
                let (w, h) = *self.random.pick(sizes);
                put!(self, ",{{\"w\":{w},\"h\":{h}}}");
            }
            self.json.push(']');
        }
        if self.class == Class::Blocked {
            put!(self, ",\"btype\":[1,2,3,4],\"battr\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]");
        } else if self.random.chance(0.5) {
            put!(
                self,
                ",\"btype\":[1],\"battr\":[{}]",
                *self.random.pick(&["1,2", "1,2,8,9", "13,14,15,16,17", "3,6"])
            );
        }
        put!(
            self,
            ",\"pos\":{},\"topframe\":{},\"api\":[3,5,6,7],\"mimes\":[\"text/html\",\"image/jpeg\"]}}",
            *self.random.pick(&[0, 1, 3]),
            self.random.below(2)
        );
    }

    fn video(&mut self) {
        put!(
            self,
            ",\"video\":{{\"mimes\":[\"video/mp4\",\"video/webm\",\"application/javascript\"],\"minduration\":5,\"maxduration\":{},\"protocols\":[2,3,5,6,7,8],\"w\":640,\"h\":{},\"startdelay\":0,\"plcmt\":{},\"linearity\":1,\"skip\":1,\"playbackmethod\":[1,2],\"api\":[1,2,7]}}",
            *self.random.pick(&[15, 30, 60]),
            *self.random.pick(&[360, 480]),
            self.random.between(1, 4)
        );
    }

    fn native(&mut self) {
        put!(
            self,
            ",\"native\":{{\"request\":\"{{\\\"ver\\\":\\\"1.2\\\",\\\"context\\\":1,\\\"plcmttype\\\":{},\\\"assets\\\":[{{\\\"id\\\":1,\\\"required\\\":1,\\\"title\\\":{{\\\"len\\\":{}}}}},{{\\\"id\\\":2,\\\"required\\\":1,\\\"img\\\":{{\\\"type\\\":3,\\\"wmin\\\":600,\\\"hmin\\\":314}}}}]}}\",\"ver\":\"1.2\",\"api\":[3]}}",
            self.random.between(1, 4),
            *self.random.pick(&[40, 70, 90])
        );
    }

    fn site(&mut self) {
        let domain = *self.random.pick(words::DOMAINS);
        put!(
            self,
            ",\"site\":{{\"id\":\"site-{}\",\"name\":\"{}\",\"domain\":\"{domain}\",\"cat\":[\"{}\",\"{}\"],\"page\":\"https:\\/\\/www.{domain}\\/{}\\/{}.html?ref=a%20b&x={}\",\"ref\":\"https://search.example/?q={}\",\"mobile\":{}",
            self.random.below(500),
            *self.random.pick(words::NAMES),
            *self.random.pick(words::CATEGORIES),
            *self.random.pick(words::CATEGORIES),
            *self.random.pick(words::TAGS),
            self.random.below(100_000),
            self.random.below(1000),
            *self.random.pick(words::TAGS),
            self.random.below(2)
        );
        self.publisher(domain);
        put!(
            self,
            ",\"content\":{{\"language\":\"{}\",\"title\":\"{}\"}}}}",
            *self.random.pick(words::LANGUAGES),
            *self.random.pick(words::TITLES)
        );
    }

    fn app(&mut self) {
        let bundle = *self.random.pick(words::BUNDLES);
        put!(
            self,
            ",\"app\":{{\"id\":\"app-{}\",\"name\":\"{}\",\"bundle\":\"{bundle}\",\"domain\":\"studio{}.example\",\"storeurl\":\"https://play.store.example/apps/details?id={bundle}\",\"cat\":[\"{}\"],\"ver\":\"{}.{}.{}\",\"paid\":0",
            self.random.below(500),
            *self.random.pick(words::NAMES),
            self.random.below(60),
            *self.random.pick(words::CATEGORIES),
            self.random.below(9),
            self.random.below(20),
            self.random.below(30)
        );
        self.publisher("studio.example");
        put!(self, ",\"keywords\":\"{}\"}}", *self.random.pick(words::TITLES));
    }

    fn publisher(&mut self, domain: &str) {
        put!(
            self,
            ",\"publisher\":{{\"id\":\"pub-{}\",\"name\":\"{}\",\"domain\":\"{domain}\"}}",
            self.random.below(200),
            *self.random.pick(words::NAMES)
        );
    }

    fn device(&mut self, app: bool) {
        let (agent, os, kind) = match app {
            true => *self.random.pick(words::APP_AGENTS),
            false => *self.random.pick(words::WEB_AGENTS),
        };
        let (country, region, city, zip) = *self.random.pick(words::PLACES);
        let sharp = self.random.below(1_000_000);
        put!(
            self,
            ",\"device\":{{\"ua\":\"{agent}\",\"ip\":\"{}.{}.{}.{}\",\"geo\":{{\"country\":\"{country}\",\"region\":\"{region}\",\"city\":\"{city}\",\"zip\":\"{zip}\",\"lat\":{}.{sharp:06},\"lon\":-{}.{sharp:06},\"type\":2,\"utcoffset\":{}}},\"devicetype\":{kind},\"os\":\"{os}\",\"osv\":\"{}.{}\",\"language\":\"{}\",\"connectiontype\":{},\"w\":{},\"h\":{},\"js\":1,\"dnt\":0,\"lmt\":{}",
            *self.random.pick(&[81, 92, 101, 176, 203]),
            self.random.below(256),
            self.random.below(256),
            self.random.between(1, 254),
            self.random.below(60),
            self.random.below(120),
            *self.random.pick(&[-480, -300, 0, 60, 120]),
            self.random.between(9, 17),
            self.random.below(7),
            *self.random.pick(words::LANGUAGES),
            *self.random.pick(&[0, 2, 4, 5, 6, 7]),
            *self.random.pick(&[390, 412, 768, 1440, 1920]),
            *self.random.pick(&[844, 915, 1024, 900, 1080]),
            u8::from(self.random.chance(0.05))
        );
        if app {
            put!(
                self,
                ",\"ifa\":\"{}\",\"make\":\"Acme\",\"model\":\"Phone {}\",\"carrier\":\"310-{:03}\"",
                uuid(&mut self.random),
                self.random.between(5, 15),
                self.random.below(999)
            );
        }
        self.json.push('}');
    }

    /// `source` with the supply chain, where the version keeps it.
    fn source(&mut self, old: bool) {
        let mut nodes = format!("{{\"asi\":\"exchange.example\",\"sid\":\"{}\",\"hp\":1}}", self.random.below(100_000));
        for _ in 0..self.random.below(3) {
            let _ = write!(
                nodes,
                ",{{\"asi\":\"reseller{}.example\",\"sid\":\"r{}\",\"rid\":\"{:08x}\",\"hp\":1}}",
                self.random.below(40),
                self.random.below(10_000),
                self.random.next() as u32
            );
        }
        let chain = format!("\"schain\":{{\"complete\":1,\"ver\":\"1.0\",\"nodes\":[{nodes}]}}");
        let chain = if old { format!("\"ext\":{{{chain}}}") } else { chain };
        put!(self, ",\"source\":{{\"fd\":1,\"tid\":\"{}\",{chain}}}", uuid(&mut self.random));
    }

    /// `regs`: `private` requests are under GDPR without consent, or of children.
    fn regs(&mut self, old: bool, private: bool) {
        let gdpr = u8::from(private && self.random.chance(0.8));
        let coppa = u8::from(private && gdpr == 0);
        let fields = format!("\"gdpr\":{gdpr},\"us_privacy\":\"{}\"", *self.random.pick(&["1---", "1YNN", "1-N-"]));
        let fields = if old { format!("\"ext\":{{{fields}}}") } else { fields };
        put!(self, ",\"regs\":{{\"coppa\":{coppa},{fields}}}");
    }

    /// `user`, and in it as many segments as make the body as long as it should be.
    fn user(&mut self, old: bool, private: bool, wanted: usize) {
        put!(self, ",\"user\":{{\"id\":\"u{}\"", self.random.zipf(USERS));
        if self.random.chance(0.7) {
            put!(self, ",\"buyeruid\":\"b{:016x}\"", self.random.next());
        }
        if self.random.chance(0.2) {
            put!(
                self,
                ",\"yob\":{},\"gender\":\"{}\"",
                self.random.between(1950, 2006),
                *self.random.pick(&["M", "F", "O"])
            );
        }
        if !private && self.random.chance(0.7) && self.json.len() + 250 < wanted {
            let ids = self.ids(wanted);
            match old {
                true => put!(self, ",\"ext\":{{{ids}}}"),
                false => put!(self, ",{ids}"),
            }
        }
        put!(
            self,
            ",\"data\":[{{\"id\":\"dmp{}\",\"name\":\"{}\",\"segment\":[",
            self.random.below(9),
            *self.random.pick(words::NAMES)
        );
        let mut separator = "";
        while self.json.len() + 60 < wanted {
            put!(
                self,
                "{separator}{{\"id\":\"s{}\",\"name\":\"{}\"}}",
                self.random.below(5000),
                *self.random.pick(words::SEGMENTS)
            );
            separator = ",";
        }
        put!(self, "]}}]}}");
    }

    /// `eids`, at most as many as fit.
    fn ids(&mut self, wanted: usize) -> String {
        let mut ids = String::from("\"eids\":[");
        let room = (wanted - self.json.len()) as u64 / 125;
        let count = self.random.between(1, room.clamp(1, 6));
        for (index, source) in words::EID_SOURCES.iter().take(count as usize).enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let _ = write!(
                ids,
                "{comma}{{\"source\":\"{source}\",\"uids\":[{{\"id\":\"{}\",\"atype\":{}}}]}}",
                uuid(&mut self.random),
                self.random.between(1, 3)
            );
        }
        ids.push(']');
        ids
    }
}

fn uuid(random: &mut Random) -> String {
    let (a, b) = (random.next(), random.next());
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;
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
            assert_eq!(class == Class::Inventory, request["site"].is_null() && request["app"].is_null(), "{class:?}");
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
                assert_eq!(class == Class::Format, imp["banner"].is_null(), "{class:?}");
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
    fn the_mix_reaches_the_stages_it_should() {
        let mut counts = BTreeMap::new();
        for (class, _) in generate(1, BUILT_IN, &Mix::default(), Length::USUAL) {
            *counts.entry(class).or_insert(0) += 1;
        }
        let of = |classes: &[Class]| f64::from(classes.iter().map(|class| counts[class]).sum::<i32>());
        let no_bids = BUILT_IN as f64 - of(&[Class::Bid]);
        let admitted = no_bids - of(&[Class::ShortTmax]);
        let matched = admitted - of(&[Class::Currency, Class::Seat, Class::Inventory]);
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
}
