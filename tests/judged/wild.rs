//! Requests drawn at random: each member there or not, each value likely or not, every rule met and broken.

use corebid::market::random::Random;
use serde_json::{Map, Value, json};

/// One of these.
fn one(random: &mut Random, values: &[Value]) -> Value {
    random.pick(values).clone()
}

/// Some of these, in their order; often none.
fn some(random: &mut Random, values: &[Value], chance: f64) -> Value {
    values.iter().filter(|_| random.chance(chance)).cloned().collect()
}

/// Puts a member there, sometimes.
fn maybe(random: &mut Random, into: &mut Value, key: &str, chance: f64, value: impl FnOnce(&mut Random) -> Value) {
    if random.chance(chance) {
        into[key] = value(random);
    }
}

macro_rules! list {
    ($($value:tt),* $(,)?) => { &[$(json!($value)),*] };
}

pub(crate) fn request(random: &mut Random) -> Value {
    let mut request = json!({ "id": format!("r-{:x}", random.bits()) });
    if random.chance(0.1) {
        request["id"] = one(random, list!["ä/\"<&>'${AUCTION_PRICE}", "a\\b\u{7f}\u{1F9E9}", "]]>"]);
    }
    let imps = [1, 1, 1, 2, 3, 9][random.below(6) as usize];
    request["imp"] = (1..=imps).map(|number| imp(random, number)).collect();
    maybe(random, &mut request, "at", 0.5, |random| one(random, list![1, 2, 3, 500]));
    maybe(random, &mut request, "test", 0.05, |_| json!(1));
    maybe(random, &mut request, "allimps", 0.4, |random| one(random, list![1, 1, 0]));
    maybe(random, &mut request, "cur", 0.3, |random| {
        one(random, list![["USD"], ["EUR"], ["EUR", "USD"], ["JPY", "GBP"], ["XAU"], ["BRL"], ["BRL", "GBP"], []])
    });
    maybe(random, &mut request, "wseat", 0.05, |random| one(random, list![["corebid", "p"], ["other"], []]));
    maybe(random, &mut request, "bseat", 0.05, |random| one(random, list![["corebid"], ["other"]]));
    maybe(random, &mut request, "cattax", 0.15, |random| one(random, list![1, 6, 7]));
    maybe(random, &mut request, "bcat", 0.25, |random| {
        some(random, list!["IAB18", "IAB18-2", "iab7", "IAB9-30", "IAB2", "552", "IAB10-4", "IAB25"], 0.2)
    });
    if request["bcat"].is_null() {
        maybe(random, &mut request, "acat", 0.1, |random| {
            some(random, list!["IAB18", "IAB9", "IAB2", "IAB10", "553"], 0.5)
        });
    }
    maybe(random, &mut request, "badv", 0.2, |random| {
        some(random, list!["plain.example", "RIVAL.example", "loud.example", "native.example", "x.spots.example"], 0.25)
    });
    maybe(random, &mut request, "bapp", 0.1, |_| json!(["com.picky.app"]));
    match random.below(12) {
        0 => request["wlang"] = one(random, list![["en"], ["de", "EN"], ["fr"], []]),
        1 => request["wlangb"] = one(random, list![["en-GB"], ["de-AT", "fr"], ["sv"]]),
        _ => {}
    }
    let (channel, inventory) = inventory(random);
    if !channel.is_empty() {
        request[channel] = inventory;
    }
    maybe(random, &mut request, "device", 0.9, device);
    maybe(random, &mut request, "user", 0.7, |random| {
        let mut user = json!({});
        maybe(random, &mut user, "buyeruid", 0.5, |random| one(random, list!["u1", "u2", "u3", "u4"]));
        maybe(random, &mut user, "id", 0.5, |random| one(random, list!["x1", "x2"]));
        maybe(random, &mut user, "geo", 0.2, |_| json!({ "country": "FRA" }));
        user
    });
    maybe(random, &mut request, "regs", 0.3, |random| {
        one(
            random,
            list![
                { "gdpr": 1 }, { "gdpr": 0 }, { "coppa": 1 }, { "ext": { "gdpr": 1 } }, { "us_privacy": "1YYN" },
                { "us_privacy": "1YNN" }, { "ext": { "gpc": "1" } }, { "gpp_sid": [7], "gpp": "DBAA" }, {},
            ],
        )
    });
    request
}

fn imp(random: &mut Random, number: u64) -> Value {
    let mut imp = json!({ "id": number.to_string() });
    let formats = random.below(20);
    if matches!(formats, 0..=11) {
        imp["banner"] = banner(random);
    }
    if matches!(formats, 9..=15) {
        imp["video"] = stream(random, list!["video/mp4", "video/WEBM", "video/ogg", "application/javascript"]);
    }
    if matches!(formats, 11 | 16 | 17) {
        imp["audio"] = stream(random, list!["audio/mpeg", "audio/mp4", "audio/ogg"]);
    }
    if matches!(formats, 10 | 11 | 18 | 19) {
        imp["native"] = native(random);
    }
    maybe(random, &mut imp, "bidfloor", 0.6, floor);
    maybe(random, &mut imp, "bidfloorcur", 0.3, currency);
    maybe(random, &mut imp, "secure", 0.4, |random| one(random, list![1, 1, 0]));
    maybe(random, &mut imp, "pmp", 0.35, |random| {
        let ids = ["deal-1", "deal-2", "deal-3", "deal-fixed", "deal-guaranteed", "deal-9"];
        let named: Vec<&str> = ids.into_iter().filter(|_| random.chance(0.4)).collect();
        let mut pmp = json!({ "deals": named.into_iter().map(|id| deal(random, id)).collect::<Vec<_>>() });
        maybe(random, &mut pmp, "private_auction", 0.4, |random| one(random, list![1, 0]));
        pmp
    });
    maybe(random, &mut imp, "qty", 0.1, |random| json!({ "multiplier": one(random, list![30.3, 0.25, 1, 1000]) }));
    imp
}

/// Floors at every depth, and with more digits than a bid can have.
fn floor(random: &mut Random) -> Value {
    match random.below(6) {
        0 => json!(0),
        1 => json!(random.between(1, 20)),
        2 => json!(random.unit() * 12.0),
        3 => json!(random.unit() * 1000.0),
        4 => json!((random.unit() * 8e6).round() / 1e6),
        _ => json!(random.unit() / 1000.0),
    }
}

fn currency(random: &mut Random) -> Value {
    one(random, list!["USD", "EUR", "JPY", "GBP", "XAU", "BRL", "eur"])
}

fn deal(random: &mut Random, id: &str) -> Value {
    let mut deal = json!({ "id": id });
    maybe(random, &mut deal, "bidfloor", 0.7, floor);
    maybe(random, &mut deal, "bidfloorcur", 0.3, currency);
    match id {
        "deal-fixed" => deal["at"] = json!(3),
        "deal-guaranteed" => deal["guar"] = json!(1),
        _ => maybe(random, &mut deal, "at", 0.3, |random| one(random, list![1, 2, 3])),
    }
    maybe(random, &mut deal, "wseat", 0.2, |random| one(random, list![["corebid", "seat-e"], ["other"], []]));
    maybe(random, &mut deal, "wadomain", 0.15, |random| {
        one(random, list![["deals9.example", "Deals11.EXAMPLE"], ["example"], []])
    });
    time_floors(random, &mut deal);
    deal
}

fn time_floors(random: &mut Random, object: &mut Value) {
    match random.below(10) {
        0 => object["mincpmpersec"] = json!((random.unit() * 1e6).round() / 1e6),
        1 => {
            let span = |random: &mut Random, from: u64, to: u64| json!({ "mindur": from, "maxdur": to, "bidfloor": floor(random) });
            object["durfloors"] =
                json!([span(random, 0, 15), span(random, 15, 30), { "mindur": 31, "bidfloor": floor(random) }]);
        }
        _ => {}
    }
}

fn banner(random: &mut Random) -> Value {
    let sizes = list![
        { "w": 300, "h": 250 }, { "w": 728, "h": 90 }, { "w": 320, "h": 50 }, { "w": 300, "h": 600 },
        { "w": 160, "h": 600 }, { "w": 1, "h": 1 }, { "wratio": 16, "hratio": 9 },
    ];
    let mut banner = json!({});
    maybe(random, &mut banner, "format", 0.6, |random| some(random, sizes, 0.4));
    if random.chance(0.6) {
        let size = one(random, &sizes[..4]);
        (banner["w"], banner["h"]) = (size["w"].clone(), size["h"].clone());
    }
    maybe(random, &mut banner, "btype", 0.2, |random| some(random, list![1, 2, 3, 4], 0.3));
    maybe(random, &mut banner, "battr", 0.2, |random| some(random, list![1, 3, 6, 13], 0.3));
    maybe(random, &mut banner, "pos", 0.3, |random| one(random, list![0, 1, 3]));
    banner
}

fn stream(random: &mut Random, mimes: &[Value]) -> Value {
    let mut stream = json!({ "mimes": some(random, mimes, 0.6) });
    maybe(random, &mut stream, "minduration", 0.4, |random| one(random, list![0, 5, 10, 16, 120]));
    maybe(random, &mut stream, "maxduration", 0.5, |random| one(random, list![6, 15, 30, 60, 150]));
    maybe(random, &mut stream, "rqddurs", 0.15, |random| some(random, list![6, 10, 15, 20, 30], 0.5));
    maybe(random, &mut stream, "protocols", 0.6, |random| some(random, list![2, 3, 5, 6, 7, 8, 11], 0.5));
    maybe(random, &mut stream, "linearity", 0.2, |random| one(random, list![1, 1, 2]));
    maybe(random, &mut stream, "skip", 0.3, |random| one(random, list![0, 1]));
    maybe(random, &mut stream, "api", 0.4, |random| some(random, list![1, 2, 7], 0.6));
    maybe(random, &mut stream, "battr", 0.2, |random| some(random, list![1, 13], 0.5));
    maybe(random, &mut stream, "minbitrate", 0.15, |random| one(random, list![100, 700, 5000]));
    maybe(random, &mut stream, "maxbitrate", 0.15, |random| one(random, list![100, 700, 5000]));
    if random.chance(0.3) {
        stream["podid"] = json!("pod");
        maybe(random, &mut stream, "slotinpod", 0.5, |random| one(random, list![0, 1, (-1), 2]));
        maybe(random, &mut stream, "poddur", 0.7, |random| one(random, list![12, 30, 60, 90]));
        maybe(random, &mut stream, "maxseq", 0.5, |random| one(random, list![1, 2, 3]));
    }
    time_floors(random, &mut stream);
    stream
}

fn native(random: &mut Random) -> Value {
    let mut assets = Vec::new();
    let kinds = list![
        { "title": { "len": 25 } }, { "title": { "len": 90 } }, { "title": { "len": 3 } }, { "title": {} },
        { "img": { "type": 3, "wmin": 200, "hmin": 200 } }, { "img": { "type": 3, "w": 180, "h": 120, "mimes": ["image/jpeg"] } },
        { "img": { "type": 1, "w": 80, "h": 80 } }, { "img": { "wmin": 600, "hmin": 314, "mimes": ["image/png", "image/gif"] } },
        { "data": { "type": 1, "len": 25 } }, { "data": { "type": 2, "len": 20 } }, { "data": { "type": 2 } },
        { "data": { "type": 12, "len": 10 } }, { "data": { "type": 8 } }, { "video": { "mimes": ["video/mp4"] } },
    ];
    for number in 0..random.between(1, 6) {
        let mut asset = one(random, kinds);
        asset["id"] = json!(number as i64 - 1);
        maybe(random, &mut asset, "required", 0.6, |random| one(random, list![1, 0]));
        assets.push(asset);
    }
    let mut request = json!({ "ver": "1.2", "assets": assets });
    maybe(random, &mut request, "eventtrackers", 0.5, |random| {
        one(
            random,
            list![[{ "event": 1, "methods": [1, 2] }], [{ "event": 1, "methods": [2] }], [{ "event": 2, "methods": [1] }], []],
        )
    });
    if random.chance(0.2) {
        request = json!({ "native": request });
    }
    let mut native = match random.below(8) {
        0 => json!({ "request": request }),
        _ => json!({ "request": request.to_string() }),
    };
    maybe(random, &mut native, "battr", 0.2, |random| some(random, list![1, 3], 0.5));
    native
}

fn inventory(random: &mut Random) -> (&'static str, Value) {
    let mut inventory = json!({});
    let channel = match random.below(20) {
        0..=10 => "site",
        11..=16 => "app",
        17 | 18 => "dooh",
        _ => "",
    };
    match channel {
        "app" => maybe(random, &mut inventory, "bundle", 0.9, |random| {
            one(random, list!["com.example.news", "com.example.other"])
        }),
        _ => maybe(random, &mut inventory, "domain", 0.8, |random| {
            one(
                random,
                list!["news.example", "www.NEWS.example", "forum.news.example", "badnews.example", "other.example"],
            )
        }),
    }
    maybe(random, &mut inventory, "page", 0.3, |_| json!("https://a.news.example:443/x?y=1"));
    maybe(random, &mut inventory, "publisher", 0.5, |random| {
        one(random, list![{ "id": "pub-9" }, { "id": "pub-1" }, {}])
    });
    maybe(random, &mut inventory, "cat", 0.5, |random| {
        some(random, list!["IAB17", "IAB17-44", "iab17-2", "IAB19-6", "IAB1"], 0.3)
    });
    maybe(random, &mut inventory, "content", 0.4, |random| {
        let mut content = Map::new();
        if random.chance(0.7) {
            content.insert("language".into(), one(random, list!["en", "EN", "de", "fr"]));
        }
        if random.chance(0.4) {
            content.insert("cat".into(), some(random, list!["IAB17", "IAB17-44", "IAB19-6"], 0.5));
        }
        content.into()
    });
    (channel, inventory)
}

fn device(random: &mut Random) -> Value {
    let mut device = json!({ "ua": "Mozilla/5.0", "ip": "192.0.2.7" });
    maybe(random, &mut device, "devicetype", 0.8, |random| one(random, list![1, 2, 3, 4, 5, 7]));
    maybe(random, &mut device, "connectiontype", 0.5, |random| one(random, list![0, 1, 2, 6, 7]));
    maybe(random, &mut device, "language", 0.5, |random| one(random, list!["en", "de"]));
    maybe(random, &mut device, "lmt", 0.2, |random| one(random, list![0, 1]));
    maybe(random, &mut device, "geo", 0.7, |random| {
        one(
            random,
            list![
                { "country": "FRA" }, { "country": "DEU", "region": "BY" }, { "country": "DEU", "region": "BE" },
                { "country": "USA", "region": "CA" }, {}, { "country": "deu" },
            ],
        )
    });
    device
}
