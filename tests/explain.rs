//! `corebid explain`: what it says of a request, and that the server says the same.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::Stdio;

use corebid::bid::{Ask, Outcome};
use corebid::commands::explain;
use corebid::config::Config;
use corebid::lab::bench::Bench;
use corebid::market::corpus::{self, Length, Mix};
use corebid::secrets::Key;
use corebid::snapshot::data::{Data, Source};
use serde_json::{Value, json};
use support::client::Answer;
use support::process::{Bidder, corebid, run};
use support::{Folder, campaign, micros, request, samples};

/// Explains a request given on standard input.
fn explained(arguments: &[&str], body: &[u8]) -> Value {
    let mut command = corebid();
    command.args(["explain", "--json", "--request", "-"]).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout.iter().filter(|&&byte| byte == b'\n').count(), 1, "one object, one line");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Why each campaign does not bid, by id; `null` for one that does.
fn why_not(explanation: &Value) -> Vec<(u64, &str)> {
    let campaigns = explanation["campaigns"].as_array().unwrap();
    campaigns
        .iter()
        .map(|campaign| (campaign["id"].as_u64().unwrap(), campaign["why_not"].as_str().unwrap_or("bids")))
        .collect()
}

/// Six campaigns, each with its own fate.
fn six() -> String {
    let dear = |text: String, cpm: &str| text.replace("cpm = 2.00", &format!("cpm = {cpm}"));
    [
        dear(campaign(1, ""), "3.00"),
        dear(campaign(2, ""), "2.00"),
        campaign(3, "[campaigns.targeting]\ncountries = [\"FRA\"]\n"),
        campaign(4, "cat = [\"IAB7\"]\n"),
        campaign(5, "[campaigns.targeting]\nsegments = { any = [9] }\n"),
        campaign(6, "frequency_cap = 1\n"),
    ]
    .concat()
}

#[test]
fn each_campaign_is_told_why_not() {
    let folder = Folder::new("explain");
    let config = folder.configure("", "", &six());
    let body = request("r", ",\"bcat\":[\"IAB7\"]");
    let said = explained(&["--config", &config], &body);
    assert_eq!((&said["outcome"], &said["reason"], &said["status"]), (&"bid".into(), &Value::Null, &200.into()));
    let why = why_not(&said);
    let of = |id: u64| why.iter().find(|(found, _)| *found == id).unwrap().1;
    assert_eq!(why.len(), 6);
    assert_eq!((of(1), of(2), of(4), of(5), of(6)), ("bids", "outbid", "blocked", "no_segment", "frequency_cap"));
    assert!(of(3).contains("place") || of(3).contains("countr"), "{}", of(3));
    let stages = "admit scan comply match know cap afford score price choose reserve answer";
    assert_eq!(said["stages"], stages.split(' ').map(Value::from).collect::<Value>());
    let bid = &said["response"]["seatbid"][0]["bid"][0];
    assert_eq!((&bid["cid"], &bid["price"]), (&"1".into(), &said["price"]));
    let Value::Number(price) = &said["price"] else { panic!("{said}") };
    assert!((1..=3_000_000).contains(&micros(price)));
    let prices: Vec<bool> =
        said["campaigns"].as_array().unwrap().iter().map(|campaign| campaign["price"].is_number()).collect();
    assert_eq!(prices, [true, true, false, false, false, false], "only who came to the price has one");

    let none = explained(&["--config", &config], &request("r", ",\"cur\":[\"EUR\"]"));
    assert_eq!(
        (&none["outcome"], &none["reason"], &none["status"]),
        (&"no_bid".into(), &"currency".into(), &204.into())
    );
    assert_eq!(none["stages"], serde_json::json!(["admit", "scan", "comply"]));
    assert_eq!(
        (&none["price"], &none["response"], none["campaigns"].as_array().unwrap().len()),
        (&Value::Null, &Value::Null, 0)
    );
    let broken = explained(&["--config", &config], b"{");
    assert_eq!(
        (&broken["outcome"], &broken["reason"], &broken["status"]),
        (&"broken".into(), &Value::Null, &400.into())
    );
}

#[test]
fn the_server_says_the_same() {
    let folder = Folder::new("agrees");
    let bidder = Bidder::demo(&folder.text("data"), "io_uring");
    let mut client = bidder.client();
    // Two of each kind the corpus has, and what is no request.
    let mut requests: Vec<Vec<u8>> = Vec::new();
    let mut seen: BTreeMap<corpus::Class, usize> = BTreeMap::new();
    for (class, body) in corpus::generate(5, 400, &Mix::default(), Length::USUAL) {
        let count = seen.entry(class).or_default();
        *count += 1;
        if *count <= 2 {
            requests.push(body);
        }
    }
    requests.extend([request("r", ""), b"{".to_vec(), b"[]".to_vec(), b"{\"id\":\"r\"}".to_vec(), Vec::new()]);
    let bids = |response: &Value| -> Vec<Value> {
        let fields = |bid: &Value| {
            let mut fields = ["impid", "cid", "crid", "w", "h", "price"].map(|key| bid[key].clone()).to_vec();
            // Random, but for one bid always the same: the first eight bytes of its id.
            let id = u64::from_str_radix(&bid["id"].as_str().unwrap()[..16], 16).unwrap().swap_bytes().to_string();
            fields.push(bid["adm"].as_str().unwrap().replace(&id, "CACHEBUSTER").into());
            fields.into()
        };
        response["seatbid"][0]["bid"].as_array().unwrap().iter().map(fields).collect()
    };
    let mut kinds = BTreeSet::new();
    for body in &requests {
        // The model knows the hour, so that a price may change between two answers: asked before and after.
        let (before, said, after) = (client.debug(body), explained(&["--demo"], body), client.debug(body));
        let shown = String::from_utf8_lossy(body);
        kinds.insert(said["reason"].as_str().unwrap_or("-").to_owned());
        let agrees = |live: &Answer| {
            let same = said["status"] == live.status && said["reason"].as_str() == live.reason();
            same && (live.status != 200 || bids(&said["response"]) == bids(&live.json()))
        };
        assert!(agrees(&before) || agrees(&after), "{shown}\n{said}\n{after:?}");
    }
    assert!(kinds.len() > 6, "{kinds:?}");
    bidder.stop();
}

#[test]
fn people_can_read_it_and_mistakes_are_named() {
    let folder = Folder::new("explain-text");
    let path = folder.write("request.json", request("r", ""));
    let path = path.display().to_string();
    let (code, text, _) = run(&["explain", "--demo", "--request", &path]);
    assert_eq!(code, Some(0));
    for word in ["outcome", "stages", "campaigns", "price"] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
    let (code, text, stderr) = run(&["explain", "--demo", "--request", &folder.text("absent.json")]);
    assert_eq!((code, text.as_str(), stderr.lines().count()), (Some(1), "", 1));
    assert!(stderr.contains("absent.json"));
    let (code, _, stderr) = run(&["explain", "--demo", "--request", &path, "--exchange", "nobody"]);
    assert_eq!((code, stderr.lines().count()), (Some(2), 1), "{stderr}");
    assert_eq!(explained(&["--demo=50"], &request("r", ""))["campaigns"].as_array().unwrap().len(), 50);
}

/// The node of a stage.
fn node<'e>(explanation: &'e Value, stage: &str) -> &'e Value {
    let tree = explanation["tree"].as_array().unwrap();
    tree.iter().find(|node| node["stage"] == stage).unwrap_or_else(|| panic!("no {stage} in {explanation}"))
}

/// The lines of a stage that are about a campaign or an impression, in numbers.
fn lines<'e>(explanation: &'e Value, stage: &str, key: &str) -> Vec<&'e Value> {
    node(explanation, stage)["details"].as_array().unwrap().iter().filter(|line| line.get(key).is_some()).collect()
}

/// What is in the way of a campaign: `stage why: detail`.
fn why_nots(explanation: &Value, id: u64) -> Vec<String> {
    let campaign = explanation["campaigns"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap();
    let line = |why: &Value| {
        let text = |key: &str| why[key].as_str().unwrap_or_default().to_owned();
        format!("{} {}: {}", text("stage"), text("why"), text("detail"))
    };
    campaign["why_nots"].as_array().unwrap().iter().map(line).collect()
}

/// What must hold of every explanation, by arithmetic and by comparison with the answer.
fn check(said: &Value) {
    let stages: Vec<&Value> = said["tree"].as_array().unwrap().iter().map(|node| &node["stage"]).collect();
    assert_eq!(stages, said["stages"].as_array().unwrap().iter().collect::<Vec<_>>());
    for node in said["tree"].as_array().unwrap() {
        assert_ne!(node["decided"], "", "{} decided nothing: {said}", node["stage"]);
    }
    // Who bids is who is in the answer, and everybody else is told why, the decision's reason first.
    let bytes = said["bytes"].as_str().unwrap();
    assert_eq!(said["length"], bytes.len());
    let empty = Vec::new();
    let bids = said["response"].pointer("/seatbid/0/bid").and_then(Value::as_array).unwrap_or(&empty);
    let mut answered: Vec<(String, String)> = bids
        .iter()
        .map(|bid| (bid["impid"].as_str().unwrap().to_owned(), bid["cid"].as_str().unwrap().to_owned()))
        .collect();
    let mut bidding = Vec::new();
    for one in said["campaigns"].as_array().unwrap() {
        let whys = one["why_nots"].as_array().unwrap();
        assert_eq!(one["why_not"], whys.first().map_or(Value::Null, |why| why["why"].clone()), "{one}");
        if whys.is_empty() {
            bidding.push((one["imp"].as_str().unwrap().to_owned(), one["id"].to_string()));
        }
    }
    answered.sort();
    bidding.sort();
    assert_eq!(answered, bidding, "{said}");
    if said["stages"].as_array().unwrap().iter().any(|stage| stage == "price") {
        for line in lines(said, "price", "score") {
            let of = |key: &str| i128::from(line[key].as_i64().unwrap());
            assert_eq!(of("scaled_micros"), of("cpm_micros") * of("score") / 65_536, "{line}");
            assert_eq!(line["clears"], of("price_micros") > 0 && of("price_micros") >= of("floor_micros"), "{line}");
        }
    }
    if said["outcome"] == "bid" {
        for (line, bid) in lines(said, "reserve", "campaign").iter().zip(bids) {
            let of = |key: &str| i128::from(line[key].as_i64().unwrap());
            let product = of("bid_price_micros") * of("rate_billionths") * of("multiplier_millionths");
            let divisor = 1_000 * 1_000_000_000 * 1_000_000;
            assert_eq!(of("money_micros"), (product + divisor - 1) / divisor, "{line}");
            let Value::Number(price) = &bid["price"] else { panic!("{bid}") };
            assert_eq!(of("bid_price_micros"), i128::from(micros(price)), "{line}");
        }
        for (line, bid) in lines(said, "answer", "bytes").iter().zip(bids) {
            for (key, length) in line["bytes"].as_object().unwrap() {
                assert_eq!(length, bid[key].as_str().unwrap().len(), "{key} of {bid}");
            }
        }
    }
}

/// Every sample and every kind of request of the market ends as the bench, which nobody watches, ends it.
#[test]
fn it_ends_as_the_decision_does() {
    let mut requests: Vec<Vec<u8>> = samples();
    // The market bids seldom.
    let bids = if requests.is_empty() { 10 } else { 100 };
    requests.extend(corpus::generate(7, 400, &Mix::default(), Length::USUAL).map(|(_, body)| body));
    requests.extend([b"{".to_vec(), b"[]".to_vec(), Vec::new(), request("r", "")]);
    let config = Config::demo(std::path::Path::new(""));
    let mut outcomes = BTreeMap::<String, usize>::new();
    for count in [None, Some(300)] {
        let data = Data::load(Source::demo(count), &Key([0; 32])).unwrap();
        let mut decides = Bench::new(&config, &data).unwrap();
        let mut explains = Bench::new(&config, &data).unwrap();
        for body in &requests {
            let ask = Ask { exchange: b"generic", body, arrived: decides.now().boot };
            let (outcome, reason) = match decides.handle(ask) {
                Outcome::Bid { .. } => ("bid", None),
                Outcome::NoBid(reason) => ("no_bid", Some(reason.label())),
                Outcome::Broken | Outcome::Parked(_) => ("broken", None),
            };
            let said = serde_json::to_value(explain::explain(&mut explains, &config.exchanges[0], body)).unwrap();
            let shown = String::from_utf8_lossy(body);
            assert_eq!((said["outcome"].as_str(), said["reason"].as_str()), (Some(outcome), reason), "{shown}");
            check(&said);
            *outcomes.entry(reason.unwrap_or(outcome).to_owned()).or_default() += 1;
        }
    }
    assert!(outcomes.len() > 8 && outcomes["bid"] > bids, "{outcomes:?}");
}

/// A request with one impression; `imp` and `more` are members of the impression and of the request.
fn with_imp(imp: &str, more: &str) -> Vec<u8> {
    format!("{{\"id\":\"r\",\"imp\":[{{\"id\":\"1\",{imp}}}]{more}}}").into_bytes()
}

const BANNER: &str = r#""banner":{"w":300,"h":250}"#;

/// `deal.at` 3 fixes the price, so that the whole sum can be done by hand: the floor of 1.50 EUR is 1.50 x 1.0842 = 1.6263 USD,
/// that is bid, and in EUR it is 1.50 again; one impression costs 1.6263 / 1000, in millionths rounded up 1,627.
#[test]
fn a_deal_in_another_currency_adds_up() {
    let folder = Folder::new("explain-deal");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let as_of = jiff::Timestamp::from_second(now - 60).unwrap();
    folder.write("rates.toml", format!("base = \"USD\"\nas_of = {as_of}\n[rates]\nEUR = 1.0842\n"));
    let campaigns = [
        campaign(1, "[campaigns.targeting]\ndeals = [\"d1\"]\n"),
        campaign(2, ""),
        campaign(3, "[campaigns.targeting]\ndeals = [\"d2\", \"d3\"]\n"),
        campaign(4, "[campaigns.targeting]\ndeals = [\"d4\"]\n"),
    ];
    let config = folder.configure("", "rates = \"rates.toml\"", &campaigns.concat());
    let deals = r#""pmp":{"private_auction":1,"deals":[{"id":"d1","bidfloor":1.5,"bidfloorcur":"EUR","at":3},
        {"id":"d3","wseat":["others"]},{"id":"d4","wadomain":["other.example"]}]}"#;
    let body = with_imp(&format!("{BANNER},{deals}"), r#","site":{"domain":"a.example"},"cur":["EUR"]"#);
    let said = explained(&["--config", &config], &body);
    check(&said);
    assert_eq!((&said["outcome"], &said["price"]), (&"bid".into(), &json!(1.5)), "{said}");
    let price = lines(&said, "price", "score")[0];
    assert_eq!((&price["price_micros"], &price["floor_micros"]), (&1_626_300.into(), &1_626_300.into()));
    let floor = json!({
        "from": "deal", "deal": "d1", "said_micros": 1_500_000, "currency": "EUR", "rate_billionths": 1_084_200_000,
    });
    assert_eq!(price["floor"], floor);
    let text = price["text"].as_str().unwrap();
    assert!(text.contains("by its deal 1.6263, clears the floor 1.50 EUR x 1.0842 = 1.6263 USD (deal d1)"), "{text}");
    let money = lines(&said, "reserve", "campaign")[0];
    assert_eq!((&money["bid_price_micros"], &money["money_micros"]), (&1_500_000.into(), &1_627.into()));
    let text = money["text"].as_str().unwrap();
    assert!(text.contains("1.6263 / 1.0842 = 1.50; 1.50 x 1.0842 / 1000 = 0.001627 USD reserved"), "{text}");
    assert_eq!(why_nots(&said, 2), ["match deal: only deals may be bid on"]);
    let third = "match deal: d2 is not offered; d3 is not for our seat, or its floor in a currency without a rate";
    assert_eq!(why_nots(&said, 3), [third]);
    assert_eq!(why_nots(&said, 4), ["match blocked: deal d4 is for other advertisers (wadomain)"]);
}

/// The example of OpenRTB 2.6 for screens: 2.50 CPM for 30.3 impressions are 0.07575 USD.
#[test]
fn a_screen_costs_what_the_standard_says() {
    let folder = Folder::new("explain-dooh");
    let text = campaign(1, "[campaigns.targeting]\ndeals = [\"d\"]\n").replace("cpm = 2.00", "cpm = 9.00");
    let config = folder.configure("", "", &text);
    let imp = format!(r#"{BANNER},"qty":{{"multiplier":30.3}},"pmp":{{"deals":[{{"id":"d","bidfloor":2.5,"at":3}}]}}"#);
    let said = explained(&["--config", &config], &with_imp(&imp, r#","dooh":{"id":"s"}"#));
    check(&said);
    let money = lines(&said, "reserve", "campaign")[0];
    assert_eq!((&money["multiplier_millionths"], &money["money_micros"]), (&30_300_000.into(), &75_750.into()));
    let text = money["text"].as_str().unwrap();
    assert!(text.ends_with("2.50; 2.50 x 30.30 / 1000 = 0.07575 USD reserved"), "{text}");
}

/// A campaign with one creative of another format.
fn showing(id: u32, creative: &str) -> String {
    let text = campaign(id, "");
    let (before, rest) = text.split_once("creatives = [").unwrap();
    let (_, after) = rest.split_once("]\n").unwrap();
    format!("{before}creatives = [{creative}]\n{after}").replace("cpm = 2.00", "cpm = 20.00")
}

/// 15 seconds at 0.10 a second are a floor of 1.50; and every question of the player is answered.
#[test]
fn videos_are_told_what_the_player_does_not_take() {
    let folder = Folder::new("explain-video");
    let video = |id: &str, seconds: u32, more: &str| {
        format!(
            "{{ id = \"{id}\", format = \"video\", duration = {seconds}, {more}media = [{{ url = \"https://v.example/a\", \
             mime = \"video/mp4\", w = 640, h = 360 }}] }}"
        )
    };
    let campaigns =
        [showing(1, &video("fits", 15, "")), showing(2, &video("long", 30, "skip = 5, api = [7], attr = [3], "))];
    let config = folder.configure("", "", &campaigns.concat());
    let imp = r#""video":{"mimes":["video/webm","video/mp4"],"protocols":[3,7],"maxduration":15,"minduration":5,"skip":0,
        "battr":[3],"mincpmpersec":0.1},"bidfloor":0.3"#;
    let said = explained(&["--config", &config], &with_imp(imp, r#","app":{"bundle":"b"}"#));
    check(&said);
    assert_eq!(said["outcome"], "bid", "{said}");
    let price = lines(&said, "price", "score")[0];
    assert_eq!((&price["floor_micros"], &price["floor"]["from"]), (&1_500_000.into(), &"imp by time".into()));
    let wanted = [
        "match no_creative: creative long: plays 30 s, wanted 5 to 15 s",
        "match no_creative: creative long: can be skipped, and skip is 0",
        "match no_creative: creative long: needs api [7]",
        "match blocked: creative long: battr 3 is blocked",
    ];
    assert_eq!(why_nots(&said, 2), wanted);
    let body = with_imp(&imp.replace("[3,7]", "[1]").replace("video/mp4", "video/ogg"), "");
    let said = explained(&["--config", &config], &body);
    assert_eq!(said["reason"], "no_creative");
    let first = why_nots(&said, 1);
    assert_eq!(first.len(), 2, "{first:?}");
    assert!(first[0].ends_with("none of its types is among mimes") && first[1].ends_with("wanted [1]"), "{first:?}");
}

#[test]
fn native_ads_are_told_which_asset_is_missing() {
    let folder = Folder::new("explain-native");
    let native = |id: &str, title: &str| {
        format!("{{ id = \"{id}\", format = \"native\", click = \"https://a.example/\", titles = [\"{title}\"] }}")
    };
    let config = folder.configure(
        "",
        "",
        &[showing(1, &native("short", "Shoes")), showing(2, &native("long", "Shoes for all"))].concat(),
    );
    let imp =
        r#""native":{"request":"{\"ver\":\"1.2\",\"assets\":[{\"id\":4,\"required\":1,\"title\":{\"len\":5}}]}"}"#;
    let said = explained(&["--config", &config], &with_imp(imp, ""));
    check(&said);
    assert_eq!(said["outcome"], "bid", "{said}");
    let missing = "match no_creative: creative long: nothing for asset 4: a title of at most 5 characters";
    assert_eq!(why_nots(&said, 2), [missing]);
}

/// The decision stops at the first predicate that fails; the explanation does not.
#[test]
fn every_failing_predicate_is_named() {
    let folder = Folder::new("explain-all");
    let all = "cat = [\"IAB7-1\"]\n[campaigns.targeting]\ncountries = [\"FRA\"]\ndevices = [\"tv\"]\nsites = [\"x.example\"]\n\
               segments = { any = [9], all = [4, 5] }\n";
    let blocked = campaign(1, all).replace("markup =", "attr = [3], btype = 4, markup =");
    let config = folder.configure("", "", &[blocked, campaign(2, "")].concat());
    let imp = r#""banner":{"w":300,"h":250,"btype":[4],"battr":[3]},"bidfloor":3"#;
    let more = r#","site":{"domain":"n.example"},"device":{"devicetype":2,"geo":{"country":"USA"}},"bcat":["IAB1","IAB7"],
        "badv":["a1.example"]"#;
    let said = explained(&["--config", &config], &with_imp(imp, more));
    check(&said);
    assert_eq!((&said["reason"], said["campaigns"].as_array().unwrap().len()), (&"floor_above".into(), 2));
    let wanted = [
        "match device: device type 2",
        "match place: place USA",
        "match inventory: site n.example",
        "match floor: its CPM 2.00 is below the least floor 3.00",
        "match blocked: creative c1: btype 4 is blocked",
        "match blocked: creative c1: battr 3 is blocked",
        "match blocked: bcat IAB7",
        "match blocked: badv a1.example",
    ];
    assert_eq!(why_nots(&said, 1), wanted);
    assert_eq!(why_nots(&said, 2), ["match floor: its CPM 2.00 is below the least floor 3.00"]);
    // Where somebody wants the request the user is looked up, and segments are told too.
    let said = explained(&["--config", &config], &with_imp(&imp.replace("\"bidfloor\":3", "\"bidfloor\":0"), more));
    assert_eq!(said["outcome"], "bid");
    assert_eq!(why_nots(&said, 1).last().unwrap(), "know no_segment: the user is in none of 9; not in 4, 5");
    // One campaign, and all there is to say of it.
    let one = explained(&["--config", &config, "--campaign", "2"], &with_imp(imp, more));
    assert_eq!(one["campaigns"].as_array().unwrap().len(), 1);
    let path = folder.write("r.json", with_imp(imp, more)).display().to_string();
    let (code, text, _) = run(&["explain", "--config", &config, "--request", &path, "--campaign", "1"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("\n    - match blocked: bcat IAB7\n"), "{text}");
    let (code, _, stderr) = run(&["explain", "--config", &config, "--request", &path, "--campaign", "99"]);
    assert_eq!((code, stderr.lines().count()), (Some(2), 1), "{stderr}");
}

/// A hundred thousand campaigns are summed up, not listed.
#[test]
fn a_terminal_holds_it() {
    let folder = Folder::new("explain-short");
    let path = folder.write("request.json", request("r", "")).display().to_string();
    let (code, text, _) = run(&["explain", "--demo=3000", "--request", &path]);
    assert_eq!(code, Some(0));
    assert!(text.lines().count() < 200, "{} lines", text.lines().count());
    assert!(text.contains("more; --json lists them all"), "{text}");
}

/// Some exchanges get a body with their own code for the reason; a test is answered and costs nothing.
#[test]
fn refusals_and_tests_are_shown_as_they_go_out() {
    let folder = Folder::new("explain-nbr");
    let path = folder.configure("", "", &campaign(1, ""));
    let text = std::fs::read_to_string(&path).unwrap() + "no_bid = \"nbr\"\n";
    let config = folder.write("nbr.toml", text).display().to_string();
    let said = explained(&["--config", &config], &request("r", ",\"wseat\":[\"others\"]"));
    check(&said);
    assert_eq!((&said["outcome"], &said["status"], &said["reason"]), (&"no_bid".into(), &200.into(), &"seat".into()));
    let body: Value = serde_json::from_str(said["bytes"].as_str().unwrap()).unwrap();
    assert_eq!((&body["id"], &body["nbr"]), (&"r".into(), &said["nbr"]));
    assert!(node(&said, "comply")["decided"].as_str().unwrap().starts_with("no: seat"), "{said}");

    let said = explained(&["--config", &path], &request("r", ",\"test\":1"));
    check(&said);
    assert_eq!((&said["outcome"], &lines(&said, "reserve", "campaign")[0]["held"]), (&"bid".into(), &false.into()));
}
