//! Writes one bid request of a class, in the order in which exchanges write its fields.

use std::fmt::Write as _;

use super::{Class, Inventory, Length, Mix, Placement, USERS};
use crate::market::random::Random;
use crate::market::vocabulary as words;
use crate::snapshot::demo;

/// A request of this class and of a length in these bounds.
pub(super) fn request(mut random: Random, mix: &Mix, class: Class, length: Length) -> Vec<u8> {
    let chosen = match class {
        Class::ScoredBelowFloor => mix.scored.as_slice(),
        Class::Bid => mix.bids.as_slice(),
        _ => &[],
    };
    let placement = if chosen.is_empty() { None } else { Some(random.pick(chosen)) };
    Writer { random, mix, class, placement, length, json: String::with_capacity(length.1 + 256) }.write()
}

/// A request being written. The words are JSON already, escapes included.
struct Writer<'a> {
    random: Random,
    mix: &'a Mix,
    class: Class,
    placement: Option<&'a Placement>,
    length: Length,
    json: String,
}

/// `linearity` of a video before, between or after the content.
const LINEAR: u8 = 1;
/// The same of one that lies over it.
const OVERLAY: u8 = 2;
/// An asset that natives of images and texts do not have, as it stands in a string.
const ITS_OWN_VIDEO: &str = r#",{\"id\":3,\"required\":1,\"video\":{\"mimes\":[\"video/mp4\"],\"minduration\":5,\"maxduration\":30,\"protocols\":[2,3]}}"#;

/// `write!` into a string cannot fail.
macro_rules! put {
    ($to:expr, $($format:tt)*) => { $to.json.write_fmt(format_args!($($format)*)).expect("memory") };
}

/// What law a request says it is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Law {
    /// None that keeps anything from us.
    Neither,
    /// It is of a child.
    Child,
    /// The GDPR, with a consent string, long or short, or without.
    Gdpr(Option<[&'static str; 2]>),
}

impl Writer<'_> {
    fn write(mut self) -> Vec<u8> {
        // 2.5 has the newer fields under `ext`.
        let old = self.random.chance(0.4);
        let app = match self.placement.and_then(|placement| placement.inventory.as_ref()) {
            Some(inventory) => matches!(inventory, Inventory::App(_)),
            None => self.random.chance(0.45),
        };
        let law = self.draw_law();
        let wanted = self.random.between(self.length.0 as u64, self.length.1 as u64) as usize;
        put!(self, "{{\"id\":\"{:016x}{:016x}\"", self.random.bits(), self.random.bits());
        self.terms();
        self.impressions();
        match self.class {
            Class::Screen => {
                put!(self, ",\"dooh\":{{\"id\":\"screen-{}\",\"venuetype\":[\"retail\"]}}", self.random.below(500))
            }
            _ if app => self.app(),
            _ => self.site(),
        }
        self.device(app);
        self.source(old);
        self.regs(old, law);
        self.user(old, law, wanted);
        self.json.push('}');
        self.json.into_bytes()
    }

    /// Draws by the laws of the demo campaigns, so that requests meet them.
    fn draw(&mut self) -> demo::Draw {
        demo::Draw::new(self.random.bits())
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
            Class::Foreign => {
                put!(self, ",\"cur\":{}", *self.random.pick(&["[\"EUR\"]", "[\"GBP\",\"EUR\"]", "[\"JPY\",\"EUR\"]"]))
            }
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
        let count = match (self.class, self.random.below(100)) {
            (Class::Several, drawn) => 2 + drawn / 50,
            (_, 0..85) => 1,
            (_, 85..95) => 2,
            _ => 3,
        };
        if self.class == Class::Several && self.random.chance(0.5) {
            put!(self, ",\"allimps\":1");
        }
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
            Class::Unfit if self.random.chance(0.6) => self.video(OVERLAY, ""),
            Class::Unfit => self.native(ITS_OWN_VIDEO),
            Class::Video => {
                let floors = self.time_floors();
                self.video(LINEAR, &floors);
            }
            Class::Audio => self.audio(),
            Class::Native => self.native(""),
            Class::Several => {
                let (w, h) = *self.random.pick(words::SIZES);
                self.banner(w, h);
                self.native("");
                if self.random.chance(0.5) {
                    self.video(LINEAR, "");
                }
            }
            Class::Pod => {
                let slot = *self.random.pick(&[
                    ",\"podid\":\"pod-1\",\"poddur\":60,\"maxseq\":4",
                    ",\"podid\":\"pod-1\",\"poddur\":30",
                    ",\"podid\":\"pod-1\",\"slotinpod\":1,\"rqddurs\":[15,30]",
                ]);
                self.video(LINEAR, slot);
            }
            Class::OddSize => {
                let (w, h) = *self.random.pick(words::ODD_SIZES);
                self.banner(w, h);
            }
            _ => {
                let (w, h) = self.placement.map_or_else(|| *self.random.pick(words::SIZES), |placement| placement.size);
                self.banner(w, h);
            }
        }
        let (low, high) = match (self.placement, self.class) {
            (Some(placement), _) => placement.floor,
            (None, Class::HopelessFloor) => self.mix.hopeless_floor,
            (None, _) => self.mix.low_floor,
        };
        let floor = self.random.between(low, high);
        put!(self, ",\"bidfloor\":{}.{:03}", floor / 1000, floor % 1000);
        match self.class {
            Class::FloorCurrency => put!(self, ",\"bidfloorcur\":\"{}\"", *self.random.pick(&["THB", "ISK", "KES"])),
            Class::Foreign => put!(self, ",\"bidfloorcur\":\"{}\"", *self.random.pick(&["EUR", "GBP", "USD"])),
            _ if self.random.chance(0.6) => put!(self, ",\"bidfloorcur\":\"USD\""),
            _ => {}
        }
        if self.class == Class::Screen {
            put!(self, ",\"qty\":{{\"multiplier\":{},\"sourcetype\":1}}", *self.random.pick(&["30.3", "12", "0.75"]));
        }
        if self.class == Class::Deals {
            self.deals();
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
            let more = if self.placement.is_some() { 0 } else { self.random.below(3) };
            for _ in 0..more {
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
            // Where it must score badly, it is below the fold.
            if self.class == Class::ScoredBelowFloor { 3 } else { *self.random.pick(&[0, 1, 3]) },
            self.random.below(2)
        );
    }

    /// Deals that campaigns may name, in the open auction or alone.
    fn deals(&mut self) {
        put!(self, ",\"pmp\":{{\"private_auction\":{},\"deals\":[", self.random.below(2));
        for (number, (id, more)) in words::DEALS.iter().enumerate() {
            if number > 0 {
                if self.random.chance(0.5) {
                    continue;
                }
                self.json.push(',');
            }
            put!(self, "{{\"id\":\"{id}\",\"bidfloor\":{}.{:02}{more}}}", self.random.below(4), self.random.below(100));
        }
        self.json.push_str("]}");
    }

    /// Floors that go by the second or by the duration, or not.
    fn time_floors(&mut self) -> String {
        match self.random.below(4) {
            0 => format!(",\"mincpmpersec\":0.0{}", self.random.between(1, 9)),
            1 => ",\"durfloors\":[{\"mindur\":0,\"maxdur\":15,\"bidfloor\":0.5},{\"mindur\":16,\"bidfloor\":1.25}]"
                .to_owned(),
            _ => String::new(),
        }
    }

    fn audio(&mut self) {
        put!(
            self,
            ",\"audio\":{{\"mimes\":[\"audio/mpeg\",\"audio/mp4\"],\"minduration\":5,\"maxduration\":{},\"protocols\":[2,3,7],\"feed\":{}}}",
            *self.random.pick(&[30, 60]),
            self.random.between(1, 3)
        );
    }

    /// A video of this linearity, with `more` members.
    fn video(&mut self, linearity: u8, more: &str) {
        put!(
            self,
            ",\"video\":{{\"mimes\":[\"video/mp4\",\"video/webm\",\"application/javascript\"],\"minduration\":5,\"maxduration\":{},\"protocols\":[2,3,5,6,7,8],\"w\":640,\"h\":{},\"startdelay\":0,\"plcmt\":{},\"linearity\":{linearity},\"skip\":1,\"playbackmethod\":[1,2],\"api\":[1,2,7]{more}}}",
            *self.random.pick(&[15, 30, 60]),
            *self.random.pick(&[360, 480]),
            self.random.between(1, 4)
        );
    }

    /// A native placement, with `more` assets.
    fn native(&mut self, more: &str) {
        put!(
            self,
            ",\"native\":{{\"request\":\"{{\\\"ver\\\":\\\"1.2\\\",\\\"context\\\":1,\\\"plcmttype\\\":{},\\\"assets\\\":[{{\\\"id\\\":1,\\\"required\\\":1,\\\"title\\\":{{\\\"len\\\":{}}}}},{{\\\"id\\\":2,\\\"required\\\":1,\\\"img\\\":{{\\\"type\\\":3,\\\"wmin\\\":600,\\\"hmin\\\":314}}}}{more}]}}\",\"ver\":\"1.2\",\"api\":[3]}}",
            self.random.between(1, 4),
            *self.random.pick(&[40, 70, 90])
        );
    }

    fn site(&mut self) {
        let domain = match self.placement.and_then(|placement| placement.inventory.as_ref()) {
            Some(Inventory::Site(domain)) => domain.as_str(),
            _ => &demo::site(self.draw().site()),
        };
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
        let bundle = match self.placement.and_then(|placement| placement.inventory.as_ref()) {
            Some(Inventory::App(bundle)) => bundle.as_str(),
            _ => &demo::bundle(self.draw().site() % demo::BUNDLES),
        };
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
        let kind = self.placement.and_then(|placement| placement.device).unwrap_or(kind);
        let (country, region, city, zip) = match self.placement.and_then(|placement| placement.place.as_ref()) {
            Some((country, region)) => (country.as_str(), region.as_str(), "Springfield", "00000"),
            None => {
                let (country, region) = self.draw().place();
                (country, region, "Springfield", "00000")
            }
        };
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
        let mut nodes = String::new();
        for _ in 0..self.random.below(3) {
            let _ = write!(
                nodes,
                "{{\"asi\":\"reseller{}.example\",\"sid\":\"r{}\",\"rid\":\"{:08x}\",\"hp\":1}},",
                self.random.below(40),
                self.random.below(10_000),
                self.random.bits() as u32
            );
        }
        // Who sends a request comes last.
        let _ = write!(nodes, "{{\"asi\":\"exchange.example\",\"sid\":\"{}\",\"hp\":1}}", self.random.below(100_000));
        let chain = format!("\"schain\":{{\"complete\":1,\"ver\":\"1.0\",\"nodes\":[{nodes}]}}");
        let chain = if old { format!("\"ext\":{{{chain}}}") } else { chain };
        put!(self, ",\"source\":{{\"fd\":1,\"tid\":\"{}\",{chain}}}", uuid(&mut self.random));
    }

    /// Whose law a request is under.
    fn draw_law(&mut self) -> Law {
        match self.random.below(1000) {
            0..880 => Law::Neither,
            880..904 => Law::Child,
            904..925 => Law::Gdpr(None),
            925..970 => Law::Gdpr(Some(words::CONSENT)),
            970..990 => Law::Gdpr(Some(words::CONSENT_CONTEXTUAL)),
            _ => Law::Gdpr(Some(words::CONSENT_WITHOUT_ADS)),
        }
    }

    /// `regs`.
    fn regs(&mut self, old: bool, law: Law) {
        let gdpr = u8::from(matches!(law, Law::Gdpr(_)));
        let coppa = u8::from(law == Law::Child);
        let fields = format!("\"gdpr\":{gdpr},\"us_privacy\":\"{}\"", *self.random.pick(&["1---", "1YNN", "1-N-"]));
        let fields = if old { format!("\"ext\":{{{fields}}}") } else { fields };
        put!(self, ",\"regs\":{{\"coppa\":{coppa},{fields}}}");
    }

    /// `user`, and in it as many segments as make the body as long as it should be.
    fn user(&mut self, old: bool, law: Law, wanted: usize) {
        let user = self.random.zipf(USERS);
        put!(self, ",\"user\":{{\"id\":\"x{user}\"");
        if self.random.chance(0.7) {
            put!(self, ",\"buyeruid\":\"u{user}\"");
        }
        if self.random.chance(0.2) {
            put!(
                self,
                ",\"yob\":{},\"gender\":\"{}\"",
                self.random.between(1950, 2006),
                *self.random.pick(&["M", "F", "O"])
            );
        }
        let ids = match law {
            Law::Gdpr(Some([long, short])) => {
                let consent = if self.json.len() + long.len() + 100 < wanted { long } else { short };
                Some(format!("\"consent\":\"{consent}\""))
            }
            Law::Neither if self.random.chance(0.7) && self.json.len() + 250 < wanted => Some(self.ids(wanted)),
            _ => None,
        };
        match ids {
            Some(ids) if old => put!(self, ",\"ext\":{{{ids}}}"),
            Some(ids) => put!(self, ",{ids}"),
            None => {}
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
    let (a, b) = (random.bits(), random.bits());
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    )
}
