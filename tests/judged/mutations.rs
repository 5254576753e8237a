//! The judge itself: whatever is changed in a good response, or in the request it was good for, must be found.

use serde_json::{Value, json};

use crate::bidder::Bidder;

/// A request, what is changed in it or in its response, and words of what the judge must say.
struct Good {
    exchange: &'static str,
    request: Value,
    bids: usize,
    /// In the response: pointer, value (null takes the member away), words.
    answers: Vec<(&'static str, Value, &'static str)>,
    /// In the request.
    asks: Vec<(&'static str, Value, &'static str)>,
}

const BID: &str = "/seatbid/0/bid/0";

/// Sets what a JSON pointer says, members that are not there included.
fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("nothing at {parent}"));
    match (parent, name.parse::<usize>()) {
        (Value::Array(list), Ok(at)) => list[at] = value,
        (Value::Object(object), _) if value.is_null() => drop(object.remove(name)),
        (object, _) => object[name] = value,
    }
}

fn hold(good: Good) {
    let mut bidder = Bidder::broad();
    let Good { exchange, request, bids, answers, asks } = good;
    let response = bidder.response(exchange, request.to_string().as_bytes()).expect("a bid");
    let judge = bidder.judge(exchange);
    assert_eq!(judge.verdict(&request, &response), Ok(bids), "{response}");
    for (pointer, value, words) in answers {
        let mut bad = response.clone();
        // `~` is the first bid; `@` before a pointer takes the value from there.
        let pointer = pointer.replacen('~', BID, 1);
        let value = match value.as_str().and_then(|text| text.strip_prefix('@')) {
            Some(from) => response.pointer(from).expect("a value to copy").clone(),
            None => value,
        };
        set(&mut bad, &pointer, value);
        found(judge.verdict(&request, &bad), &format!("response {pointer}"), words);
    }
    for (pointer, value, words) in asks {
        let mut other = request.clone();
        set(&mut other, pointer, value.clone());
        found(judge.verdict(&other, &response), &format!("request {pointer} {value}"), words);
    }
}

#[track_caller]
fn found(verdict: Result<usize, String>, what: &str, words: &str) {
    match verdict {
        Err(wrong) => assert!(wrong.contains(words), "{what}: found {wrong:?}, not {words:?}"),
        Ok(_) => panic!("{what} passed ({words})"),
    }
}

fn banner(id: &str, w: u64, h: u64) -> Value {
    json!({ "id": id, "banner": { "w": w, "h": h }, "bidfloor": 0.5 })
}

#[test]
fn banners() {
    let request = json!({
        "id": "r", "cur": ["USD"], "wseat": ["corebid"], "bseat": ["x"], "bcat": ["IAB25"], "badv": ["x.example"], "site": {},
        "imp": [{ "id": "1", "banner": { "w": 300, "h": 250, "btype": [4], "battr": [9] }, "bidfloor": 0.5, "secure": 1 }],
    });
    hold(Good {
        exchange: "generic",
        request,
        bids: 1,
        answers: vec![
            ("/id", json!("other"), "another request's"),
            ("/id", json!(""), "where a text belongs"),
            ("/cur", json!("EUR"), "does not take"),
            ("/cur", Value::Null, "where a text belongs"),
            ("/bidid", json!("x"), "no member"),
            ("/seatbid", json!([]), "one seat"),
            ("/seatbid/0/bid", json!([]), "without a bid"),
            ("/seatbid/0/seat", json!("other"), "another's seat"),
            ("/seatbid/0/group", json!(1), "all or nothing"),
            ("/seatbid/0/group", json!(0), "group that is none"),
            ("~/more", json!(1), "no member"),
            ("~/id", json!("7"), "128 bits"),
            ("~/impid", json!("2"), "no impression"),
            ("~/cid", json!("999"), "no campaign"),
            ("~/cid", json!("2"), "no creative"),
            ("~/crid", json!("other"), "no creative"),
            ("~/crid", json!("plain-728x90"), "not the creative's size"),
            ("~/price", json!(0), "whole millionths"),
            ("~/price", json!("5"), "whole millionths"),
            ("~/price", json!(1.000_000_5), "whole millionths"),
            ("~/price", json!(0.499_999), "below the floor"),
            ("~/price", json!(9.500_001), "above the campaign's"),
            ("~/dealid", json!("deal-1"), "not offered"),
            ("~/mtype", json!(2), "mtype"),
            ("~/mtype", Value::Null, "mtype"),
            ("~/w", json!(301), "not offered"),
            ("~/h", Value::Null, "not offered"),
            ("~/dur", json!(15), "only what plays"),
            ("~/protocol", json!(3), "only what plays"),
            ("~/attr", json!([3]), "creative's attributes"),
            ("~/iurl", Value::Null, "preview"),
            ("~/language", json!("de"), "creative's language"),
            ("~/adomain", json!(["plain.example"]), "campaign's domains"),
            ("~/bundle", json!("x"), "campaign's app"),
            ("~/cat", json!(["IAB18"]), "campaign's categories"),
            ("~/cattax", json!(6), "campaign's categories"),
            ("~/adm", json!("<img src=HTTP://x?${AUCTION_PRICE}>"), "insecure"),
            ("~/adm", json!("${AUCTION_PRICE}${CLICK_URL}"), "CLICK_URL"),
            ("~/adm", json!("${AUCTION_PRICE}${AUCTION_IMP_ID}"), "AUCTION_IMP_ID"),
            ("~/adm", json!("%%WINNING_PRICE%%"), "another exchange's"),
            ("~/adm", json!("<b>"), "price macro is lost"),
            ("~/adm", json!("${AUCTION_PRICE}/notice/bill/"), "bill in the markup"),
            ("~/adm", json!(""), "not asked for"),
            ("~/adm", Value::Null, "no markup"),
            ("~/nurl", Value::Null, "where a text belongs"),
            ("~/burl", json!("@/seatbid/0/bid/0/nurl"), "another kind"),
            ("~/lurl", json!("ftp://x/notice/loss/?p=${AUCTION_PRICE}"), "no URL"),
            ("~/lurl", json!("http://x/notice/loss/?p="), "not one price"),
            ("~/lurl", json!("http://x/notice/loss/?p=${AUCTION_PRICE}&l=${AUCTION_REASON}"), "nobody knows"),
            ("~/nurl", json!("http://x/notice/win/?p=${AUCTION_PRICE}&l=${AUCTION_LOSS}"), "nobody knows"),
            ("~/lurl", json!(format!("http://x/notice/loss/{}?p=${{AUCTION_PRICE}}", "x".repeat(1900))), "longer than"),
        ],
        asks: vec![
            ("/cur", json!(["EUR"]), "does not take"),
            ("/wseat", json!(["x"]), "not invited"),
            ("/bseat", json!(["corebid"]), "blocked seat"),
            ("/bcat", json!(["iab18-2"]), "blocked category"),
            ("/bcat", json!(["IAB18"]), "blocked category"),
            ("/cattax", json!(9), "said in the taxonomy"),
            ("/acat", json!(["IAB18-2"]), "not allowed"),
            ("/badv", json!(["PLAIN.example"]), "blocked advertiser"),
            ("/wlang", json!(["de"]), "language"),
            ("/wlangb", json!(["sv-SE"]), "language"),
            ("/imp/0/banner", Value::Null, "not offered"),
            ("/imp/0/banner/btype", json!([2]), "creative type"),
            ("/imp/0/bidfloor", json!(9.6), "below the floor"),
            ("/imp/0/bidfloorcur", json!("XAU"), "below the floor"),
            ("/imp/0/bidfloorcur", json!("BRL"), "without a rate"),
            ("/imp/0/pmp", json!({ "private_auction": 1 }), "private auction"),
        ],
    });
}

#[test]
fn pages() {
    let request = json!({ "id": "r", "site": {}, "imp": [banner("1", 300, 250), banner("2", 728, 90)] });
    hold(Good {
        exchange: "generic",
        request: request.clone(),
        bids: 2,
        answers: vec![
            ("~/id", json!("@/seatbid/0/bid/1/id"), "one id"),
            ("~/impid", json!("2"), "two bids for one impression"),
            ("/seatbid/0/bid/1", json!("@/seatbid/0/bid/0"), "one id"),
        ],
        asks: vec![],
    });
    let mut whole = request.clone();
    whole["allimps"] = json!(1);
    hold(Good {
        exchange: "generic",
        request: whole,
        bids: 2,
        answers: vec![
            ("/seatbid/0/group", Value::Null, "part of a page"),
            ("/seatbid/0/bid/1/cid", json!("1"), "no creative"),
            ("/seatbid/0/bid", json!([]), "without a bid"),
        ],
        asks: vec![
            ("/allimps", json!(0), "may show more"),
            ("/imp", json!([banner("1", 300, 250), banner("2", 728, 90), banner("3", 1, 1)]), "not the whole page"),
        ],
    });
    // Two competitors, put side by side; and one campaign, put there twice.
    let mut bidder = Bidder::broad();
    let mut alone = |id: &str, w: u64, h: u64, badv: &[&str]| {
        let request = json!({ "id": "r", "site": {}, "badv": badv, "imp": [banner(id, w, h)] });
        bidder.response("generic", request.to_string().as_bytes()).expect("a bid")["seatbid"][0]["bid"][0].clone()
    };
    let loud = alone("1", 300, 250, &["plain.example", "rival.example", "picky12.example", "picky15.example"]);
    let rival = alone("2", 728, 90, &["plain.example", "loud.example"]);
    let twice = [alone("1", 300, 250, &[]), alone("2", 728, 90, &[])];
    assert_eq!((&loud["cid"], &rival["cid"]), (&json!("2"), &json!("3")));
    for (bids, words) in [(json!([loud, rival]), "competitors"), (json!(twice), "bids twice")] {
        let response = json!({ "id": "r", "cur": "USD", "seatbid": [{ "seat": "corebid", "bid": bids }] });
        found(bidder.judge("generic").verdict(&request, &response), "side by side", words);
    }
}

#[test]
fn deals() {
    let deal = json!({ "id": "deal-fixed", "at": 3, "bidfloor": 2.5, "bidfloorcur": "EUR", "wseat": ["seat-e"], "wadomain": ["example"] });
    let request = json!({
        "id": "r", "site": {}, "imp": [{
            "id": "1", "banner": { "w": 300, "h": 250 }, "bidfloor": 0.5, "pmp": { "deals": [deal, { "id": "deal-1", "bidfloor": 1 }, { "id": "deal-9" }] }
        }],
    });
    hold(Good {
        exchange: "euro",
        request,
        bids: 4,
        answers: vec![
            ("~/price", json!(2.500_001), "the deal fixes"),
            ("~/price", json!(2.499_999), "below the floor"),
            ("~/dealid", json!("deal-2"), "not offered"),
            ("~/dealid", Value::Null, "more bids than one"),
            ("~/dealid", json!("deal-9"), "does not name"),
            ("/seatbid/0/bid/3/dealid", json!("deal-fixed"), "more bids than one"),
            ("~/price", json!(20), "above the campaign's"),
        ],
        asks: vec![
            ("/imp/0/pmp/private_auction", json!(1), "private auction"),
            ("/imp/0/pmp/deals/0/wseat", json!(["x"]), "other seats"),
            ("/imp/0/pmp/deals/0/wadomain", json!(["x.example"]), "other advertisers"),
            ("/imp/0/pmp/deals/0/bidfloor", json!(2.4), "the deal fixes"),
            ("/imp/0/pmp/deals/0/bidfloorcur", json!("USD"), "the deal fixes"),
        ],
    });
}

#[test]
fn spots() {
    let video = json!({
        "mimes": ["video/mp4"], "minduration": 5, "maxduration": 30, "protocols": [3, 7], "skip": 1, "linearity": 1,
        "maxbitrate": 3000, "mincpmpersec": 0.01,
    });
    hold(Good {
        exchange: "generic",
        request: json!({ "id": "r", "site": {}, "imp": [{ "id": "1", "video": video, "secure": 1 }] }),
        bids: 1,
        answers: vec![
            ("~/dur", json!(15), "creative's duration"),
            ("~/dur", Value::Null, "only what plays"),
            ("~/protocol", json!(3), "another version"),
            ("~/protocol", json!(2), "not offered"),
            ("~/slotinpod", json!(0), "dynamic pod"),
            ("~/mtype", json!(3), "mtype"),
            ("~/adm", json!("<VAST version=\"4.0\"><Ad>"), "no VAST"),
            ("~/adm", json!("<VAST version=\"4.0\"><Ad><Wrapper/></Ad></VAST>"), "wrapper"),
            ("~/adm", json!("<VAST version=\"4.0\"><InLine/></VAST>"), "without an impression"),
            (
                "~/adm",
                json!("<VAST version=\"4.0\"><InLine><Impression/><Duration>00:00:15</Duration></InLine></VAST>"),
                "another duration",
            ),
            (
                "~/adm",
                json!("<VAST version=\"4.0\"><InLine><Impression/><Duration>00:00:30</Duration></InLine></VAST>"),
                "no media file",
            ),
        ],
        asks: vec![
            ("/imp/0/video/maxduration", json!(29), "too short or too long"),
            ("/imp/0/video/minduration", json!(31), "too short or too long"),
            ("/imp/0/video/rqddurs", json!([15, 20]), "not asked for"),
            ("/imp/0/video/protocols", json!([2]), "not offered"),
            ("/imp/0/video/linearity", json!(2), "overlay"),
            ("/imp/0/video/mimes", json!(["video/ogg"]), "no file"),
            ("/imp/0/video/maxbitrate", json!(1000), "no file"),
            ("/imp/0/video/mincpmpersec", json!(0.8), "below the floor"),
            ("/imp/0/video/poddur", json!(60), "dynamic pod only"),
        ],
    });
    let pod = json!({ "mimes": ["video/mp4"], "podid": "p", "poddur": 60, "maxseq": 3 });
    hold(Good {
        exchange: "generic",
        request: json!({ "id": "r", "site": {}, "imp": [{ "id": "1", "video": pod }] }),
        bids: 3,
        answers: vec![("~/slotinpod", Value::Null, "dynamic pod")],
        asks: vec![
            ("/imp/0/video/poddur", json!(10), "more seconds"),
            ("/imp/0/video/maxseq", json!(2), "more ads"),
            ("/imp/0/video/durfloors", json!([{ "mindur": 15, "bidfloor": 30 }]), "below the floor"),
        ],
    });
    let audio = json!({ "mimes": ["audio/mpeg"], "maxduration": 20 });
    hold(Good {
        exchange: "yen",
        request: json!({ "id": "r", "site": {}, "imp": [{ "id": "1", "audio": audio, "bidfloor": 100, "bidfloorcur": "JPY" }] }),
        bids: 1,
        answers: vec![
            ("~/burl", json!("https://x/notice/bill/?p=${AUCTION_PRICE}"), "not asked for"),
            ("~/nurl", json!("https://x/notice/win/?p=${AUCTION_PRICE}"), "not asked for"),
            ("/cur", json!("USD"), "above the campaign's"),
        ],
        asks: vec![
            ("/imp/0/bidfloorcur", json!("USD"), "below the floor"),
            ("/imp/0/bidfloorcur", Value::Null, "below the floor"),
        ],
    });
}

#[test]
fn natives() {
    let wanted = |title: u64, width: u64| {
        json!({ "ver": "1.2", "eventtrackers": [{ "event": 1, "methods": [1] }], "assets": [
            { "id": 1, "required": 1, "title": { "len": title } },
            { "id": 2, "required": 1, "img": { "type": 3, "wmin": width, "hmin": 100 } },
            { "id": 3, "data": { "type": 2 } },
        ] })
    };
    let request = wanted(20, 200);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut request = request.clone();
        change(&mut request);
        Value::from(request.to_string())
    };
    let untracked = changed(&|request| request["eventtrackers"] = json!([]));
    let four = changed(&|request| {
        request["assets"].as_array_mut().unwrap().push(json!({ "id": 9, "required": 1, "title": { "len": 9 } }))
    });
    let icon = changed(&|request| request["assets"][1]["img"]["type"] = json!(1));
    let data = changed(&|request| request["assets"][2]["data"]["type"] = json!(1));
    let none = changed(&|request| request["assets"] = json!([request["assets"][0], request["assets"][1]]));
    let with = |assets: Value| json!(json!({ "assets": assets, "link": { "url": "https://x" } }).to_string());
    let title = json!({ "id": 1, "title": { "text": "Lamps" } });
    hold(Good {
        exchange: "generic",
        request: json!({ "id": "r", "app": {}, "imp": [{ "id": "1", "secure": 1, "native": { "request": request.to_string(), "battr": [3] } }] }),
        bids: 1,
        answers: vec![
            ("~/adm", json!("{"), "no native ad"),
            ("~/adm", json!("{}"), "required asset"),
            ("~/adm", with(json!([title])), "required asset"),
            ("~/adm", with(json!([title, title])), "answered twice"),
            (
                "~/adm",
                with(json!([{ "id": 2, "img": { "type": 3, "w": 300, "h": 250, "url": "http://x/x.png" } }])),
                "no secure one",
            ),
        ],
        asks: vec![
            ("/imp/0/native/request", json!(wanted(4, 200).to_string()), "too long"),
            ("/imp/0/native/request", json!(wanted(20, 2000).to_string()), "another size"),
            ("/imp/0/native/request", untracked, "nobody asked for"),
            ("/imp/0/native/request", four, "missing"),
            ("/imp/0/native/request", icon, "another type"),
            ("/imp/0/native/request", data, "other data"),
            ("/imp/0/native/request", none, "nobody asked for"),
            ("/imp/0/native/battr", json!([1]), "blocked attribute"),
        ],
    });
}

#[test]
fn exchanges() {
    let request = json!({ "id": "r", "site": {}, "imp": [banner("1", 300, 250)] });
    for (exchange, answers) in [
        ("pubnx", vec![("~/iurl", Value::Null, "requires iurl"), ("~/adomain", json!([]), "requires adomain")]),
        ("xandr", vec![("~/adm", json!("x"), "not asked for"), ("~/adid", Value::Null, "no markup")]),
        ("google", vec![("~/nurl", json!("https://x/notice/win/?p=${AUCTION_PRICE}"), "not one price")]),
        ("openx", vec![("~/adm", json!("${AUCTION_PRICE}${AUCTION_PRICE:OXCRYPT}"), "another exchange's")]),
    ] {
        hold(Good { exchange, request: request.clone(), bids: 1, answers, asks: vec![] });
    }
}

/// A campaign that wants something in particular, and requests that are not that.
#[test]
fn targets() {
    let banners = |w: u64, h: u64| json!([{ "id": "1", "banner": { "w": w, "h": h } }]);
    let site = json!({ "domain": "a.news.example", "cat": ["IAB17-2"], "content": { "language": "en" } });
    let device = json!({ "devicetype": 4, "connectiontype": 2, "geo": { "country": "DEU", "region": "BE" } });
    let base = json!({ "id": "r", "site": site, "device": device, "user": { "buyeruid": "u1" }, "regs": { "gdpr": 0 },
        "badv": ["plain.example", "loud.example", "rival.example"] });
    let with = |w: u64, h: u64, more: Value| {
        let mut request = base.clone();
        request["imp"] = banners(w, h);
        for (key, value) in more.as_object().unwrap() {
            set(&mut request, &format!("/{key}"), value.clone());
        }
        request
    };
    let not = "does not want";
    let cases = [
        (
            with(300, 250, json!({})),
            vec![
                ("/user/buyeruid", json!("u2"), not),
                ("/regs", json!({ "gdpr": 1 }), "has no consent"),
                ("/device/lmt", json!(1), not),
            ],
        ),
        (
            with(300, 250, json!({ "user": Value::Null })),
            vec![("/site/domain", json!("forum.news.example"), not), ("/site/domain", json!("badnews.example"), not)],
        ),
        (
            with(728, 90, json!({})),
            vec![
                ("/device/geo/region", json!("BY"), not),
                ("/device/geo/country", json!("USA"), not),
                ("/device/geo", Value::Null, not),
            ],
        ),
        (
            with(320, 50, json!({ "site": Value::Null, "app": {}, "user": Value::Null })),
            vec![
                ("/app", Value::Null, not),
                ("/device/devicetype", json!(2), not),
                ("/device/connectiontype", json!(6), not),
                ("/bapp", json!(["com.picky.app"]), "blocked app"),
            ],
        ),
        (
            with(320, 50, json!({})),
            vec![("/user", Value::Null, "not be counted"), ("/regs", json!({ "coppa": 1 }), "not be counted")],
        ),
        (
            with(300, 600, json!({})),
            vec![
                ("/site/cat", json!(["IAB17-44"]), not),
                ("/site/cat", json!(["IAB1"]), not),
                ("/site/content/language", json!("de"), not),
                ("/site/cattax", json!(6), not),
            ],
        ),
        (
            with(300, 250, json!({ "site": Value::Null, "dooh": {}, "user": Value::Null })),
            vec![("/dooh", Value::Null, not), ("/dooh/publisher", json!({ "id": "pub-9" }), not)],
        ),
    ];
    for (request, asks) in cases {
        hold(Good { exchange: "generic", request, bids: 1, answers: vec![], asks });
    }
}
