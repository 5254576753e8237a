//! Bid requests like those of exchanges, 1.5 to 5 KB, the same in every run: eids, schain, several formats, block lists,
//! deals, native markup with its escapes, names that are not ASCII. Each has one of eight orders of fields.

/// A reproducible source of choices (xorshift64*).
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The same seed, the same choices.
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `n`, which is above 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % n
    }

    /// One of these.
    pub(crate) fn pick<'t>(&mut self, choices: &[&'t str]) -> &'t str {
        choices[self.below(choices.len())]
    }

    /// `length` hexadecimal digits.
    fn hex(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(b"0123456789abcdef"[self.below(16)])).collect()
    }

    /// A quoted, hyphenated identifier of 36 characters.
    fn uuid(&mut self) -> String {
        format!("\"{}-{}-{}-{}-{}\"", self.hex(8), self.hex(4), self.hex(4), self.hex(4), self.hex(12))
    }
}

fn quoted(text: impl std::fmt::Display) -> String {
    format!("\"{text}\"")
}

fn list(count: usize, mut element: impl FnMut(usize) -> String) -> String {
    format!("[{}]", (0..count).map(&mut element).collect::<Vec<_>>().join(","))
}

/// An object whose fields stand in an order that depends on `order`.
fn object(order: usize, fields: &[(&str, String)]) -> String {
    let mut fields: Vec<_> = fields.iter().filter(|(_, value)| !value.is_empty()).collect();
    let turn = order % fields.len().max(1);
    fields.rotate_left(turn);
    if order & 4 != 0 {
        fields.reverse();
    }
    let members: Vec<_> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

const SIZES: [(u16, u16); 6] = [(300, 250), (320, 50), (728, 90), (300, 600), (970, 250), (160, 600)];
const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36",
];

/// One bid request.
pub(crate) fn body(seed: u64) -> String {
    let dice = &mut Dice::new(seed);
    let order = dice.below(8);
    let imps = list(1 + dice.below(3), |n| imp(dice, order, n));
    let app = dice.below(2) == 0;
    let publisher = object(
        order,
        &[
            ("id", quoted(dice.below(1_000_000))),
            ("name", quoted("A Publisher")),
            ("domain", quoted("publisher.example")),
        ],
    );
    let content = object(
        order,
        &[
            ("id", quoted(dice.hex(12))),
            ("title", quoted(dice.pick(&["Weather", "Nachrichten für München", "天気", "Sports daily"]))),
            ("cat", list(3, |n| quoted(format!("IAB{}-{n}", n + 1)))),
            ("language", quoted("en")),
            ("livestream", "0".into()),
        ],
    );
    let inventory = if app {
        object(
            order,
            &[
                ("id", quoted(dice.hex(8))),
                ("name", quoted("Some Game: \\\"Deluxe\\\"")),
                ("bundle", quoted(format!("com.example.game{}", dice.below(1000)))),
                ("storeurl", quoted("https:\\/\\/play.google.com\\/store\\/apps\\/details?id=com.example.game")),
                ("cat", list(2, |n| quoted(format!("IAB9-{n}")))),
                ("ver", quoted("4.2.1")),
                ("publisher", publisher),
                ("content", content),
            ],
        )
    } else {
        object(
            order,
            &[
                ("id", quoted(dice.hex(8))),
                ("domain", quoted(format!("news{}.example.com", dice.below(1000)))),
                ("page", quoted(format!("https://news.example.com/2026/11/story-{}?utm_source=feed", dice.hex(10)))),
                ("ref", quoted("https://www.google.com/")),
                ("mobile", "1".into()),
                ("publisher", publisher),
                ("content", content),
            ],
        )
    };
    let deal_free = dice.below(4) != 0;
    object(
        order,
        &[
            ("id", dice.uuid()),
            ("at", "1".into()),
            ("tmax", format!("{}", 80 + dice.below(200))),
            ("imp", imps),
            (if app { "app" } else { "site" }, inventory),
            ("device", device(dice, order)),
            ("user", user(dice, order)),
            (
                "regs",
                object(
                    order,
                    &[
                        ("coppa", "0".into()),
                        ("ext", format!("{{\"gdpr\":{},\"us_privacy\":\"1YNN\"}}", dice.below(2))),
                    ],
                ),
            ),
            ("source", source(dice, order)),
            ("cur", "[\"USD\"]".into()),
            ("bcat", list(4 + dice.below(12), |n| quoted(format!("IAB{}-{}", 1 + n % 25, n)))),
            (
                "badv",
                if deal_free { list(dice.below(20), |n| quoted(format!("blocked{n}.example"))) } else { String::new() },
            ),
            ("ext", "{\"exchange\":{\"v\":2,\"hints\":[1,2.5,-3e-1,true,null]},\"ssp\":\"example\"}".into()),
        ],
    )
}

fn imp(dice: &mut Dice, order: usize, number: usize) -> String {
    let (w, h) = SIZES[dice.below(SIZES.len())];
    let banner = object(
        order,
        &[
            ("w", w.to_string()),
            ("h", h.to_string()),
            ("format", list(1 + dice.below(5), |n| format!("{{\"w\":{},\"h\":{}}}", SIZES[n].0, SIZES[n].1))),
            ("btype", "[1,4]".into()),
            ("battr", "[1,2,3,6,9,10,14]".into()),
            ("pos", dice.below(4).to_string()),
            ("mimes", "[\"image/jpeg\",\"image/png\",\"text/html\"]".into()),
            ("api", "[3,5,6,7]".into()),
        ],
    );
    let kind = dice.below(4);
    let video = "{\"mimes\":[\"video/mp4\",\"application/javascript\"],\"minduration\":5,\"maxduration\":30,\"protocols\":[2,3,5,6],\
                 \"w\":640,\"h\":480,\"startdelay\":0,\"linearity\":1,\"skip\":1,\"playbackmethod\":[1,2],\"api\":[1,2,7]}";
    let native = "{\"ver\":\"1.2\",\"request\":\"{\\\"ver\\\":\\\"1.2\\\",\\\"context\\\":1,\\\"assets\\\":[{\\\"id\\\":1,\\\"required\\\":1,\
                  \\\"title\\\":{\\\"len\\\":90}},{\\\"id\\\":2,\\\"img\\\":{\\\"type\\\":3,\\\"wmin\\\":300}}]}\",\"api\":[3,5]}";
    let deals = "{\"private_auction\":0,\"deals\":[{\"id\":\"deal-1\",\"bidfloor\":2.5,\"bidfloorcur\":\"USD\",\"at\":1,\"wseat\":[\"7\"]}]}";
    object(
        order,
        &[
            ("id", quoted(number + 1)),
            ("banner", if kind == 3 { String::new() } else { banner }),
            ("video", if kind == 1 { video.into() } else { String::new() }),
            ("native", if kind == 3 { native.into() } else { String::new() }),
            ("pmp", if dice.below(4) == 0 { deals.into() } else { String::new() }),
            ("tagid", quoted(format!("/1234567/slot_{}", dice.below(100)))),
            ("bidfloor", format!("{}.{:02}", dice.below(3), dice.below(100))),
            ("bidfloorcur", quoted("USD")),
            ("secure", "1".into()),
            ("instl", "0".into()),
            ("displaymanager", quoted("GOOGLE")),
            (
                "ext",
                format!(
                    "{{\"gpid\":\"/1234567/slot#{}\",\"data\":{{\"pbadslot\":\"/1234567/slot\"}},\"skadn\":{{\"versions\":[\"2.0\",\"4.0\"]}}}}",
                    number
                ),
            ),
        ],
    )
}

fn device(dice: &mut Dice, order: usize) -> String {
    let geo = object(
        order,
        &[
            ("country", quoted(dice.pick(&["USA", "DEU", "FRA", "JPN"]))),
            ("region", quoted(dice.pick(&["CA", "BY", "IDF", "13"]))),
            ("city", quoted(dice.pick(&["Los Angeles", "M\u{fc}nchen", "Paris", "Berlin"]))),
            ("zip", quoted(10_000 + dice.below(80_000))),
            ("lat", format!("{}.{:04}", dice.below(80), dice.below(10_000))),
            ("lon", format!("-{}.{:04}", dice.below(170), dice.below(10_000))),
            ("type", "2".into()),
        ],
    );
    object(
        order,
        &[
            ("ua", quoted(dice.pick(&AGENTS))),
            ("ip", quoted(format!("203.0.113.{}", dice.below(256)))),
            ("geo", geo),
            ("devicetype", dice.pick(&["1", "2", "4", "5"]).into()),
            ("make", quoted("Samsung")),
            ("model", quoted("SM-S918B")),
            ("os", quoted(dice.pick(&["Android", "iOS", "Windows"]))),
            ("osv", quoted("14")),
            ("language", quoted("en")),
            ("connectiontype", dice.below(7).to_string()),
            ("ifa", dice.uuid()),
            ("lmt", "0".into()),
            ("dnt", "0".into()),
            ("w", "1080".into()),
            ("h", "2340".into()),
            ("pxratio", "2.625".into()),
            ("js", "1".into()),
        ],
    )
}

fn user(dice: &mut Dice, order: usize) -> String {
    let sources = ["id5-sync.com", "liveramp.com", "adserver.org", "uidapi.com", "pubcid.org", "criteo.com"];
    let eids = list(dice.below(6), |n| {
        let (id, atype) = (dice.uuid(), 1 + dice.below(3));
        format!(
            "{{\"source\":\"{}\",\"uids\":[{{\"id\":{id},\"atype\":{atype},\"ext\":{{\"linkType\":2}}}}]}}",
            sources[n]
        )
    });
    let consent = format!("CP{}AAHABBENAAFgAAAAAAAAAAqIAAAAAAA", dice.hex(20));
    let ext = object(order, &[("consent", quoted(consent)), ("eids", eids)]);
    object(order, &[("id", quoted(dice.hex(16))), ("buyeruid", dice.uuid()), ("yob", "1985".into()), ("ext", ext)])
}

fn source(dice: &mut Dice, order: usize) -> String {
    let nodes = list(1 + dice.below(3), |n| {
        let (rid, sid) = (dice.uuid(), dice.below(100_000));
        format!("{{\"asi\":\"exchange{n}.example\",\"sid\":\"{sid}\",\"hp\":1,\"rid\":{rid}}}")
    });
    let chain = format!("{{\"schain\":{{\"complete\":1,\"ver\":\"1.0\",\"nodes\":{nodes}}}}}");
    object(order, &[("tid", dice.uuid()), ("fd", "0".into()), ("ext", chain)])
}
