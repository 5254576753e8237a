//! Supply paths through the whole decision: where a chain is read, whose policy asks for one, and what is answered where it does
//! not hold. What the table says of a path is asked in tests of its own.

#![allow(clippy::disallowed_methods, reason = "a test may wait")]

mod support;

use std::fs;

use corebid::bid::{Ask, Outcome};
use corebid::clock;
use corebid::commands::explain;
use corebid::config::{Config, ConfigError};
use corebid::lab::bench::Bench;
use corebid::limits;
use corebid::secrets::Key;
use corebid::snapshot::data::{Data, Kept, Source};
use corebid::snapshot::supply::{Body, Builder, Kind, Policy, Supply};
use corebid::units::UnixMillis;
use corebid::wire::openrtb::nobid::NoBidReason::{self, *};
use serde_json::{Value, json};
use support::process::Bidder;
use support::{Folder, campaign, eventually};

const BIDS: Option<NoBidReason> = None;

/// The exchange, in the configuration and in the table.
const SENDER: &str = "ssp.example";

/// What is known: the sellers of three systems, and of these publishers: `news.example` has the file given, `gone.example` answers
/// 404, `old.example` had a file until an hour ago, `never.example` was never asked, `dev.example` makes an app, and
/// `managed.example` has a manager in the USA.
fn table(folder: &Folder, news: &str) -> Supply {
    const HOUR: u64 = 3_600_000;
    let now = clock::wall();
    let (later, before) = (UnixMillis(now.0 + HOUR), UnixMillis(now.0 - HOUR));
    let mut builder = Builder::new(&folder.path("")).unwrap();
    let sellers = [
        ("pub-1", "PUBLISHER", "news.example"),
        ("odd \"1\"/2", "PUBLISHER", "news.example"),
        ("unlisted", "PUBLISHER", "news.example"),
        ("gone-1", "PUBLISHER", "gone.example"),
        ("old-1", "PUBLISHER", "old.example"),
        ("never-1", "PUBLISHER", "never.example"),
        ("dev-1", "PUBLISHER", "dev.example"),
        ("manager", "INTERMEDIARY", "manager.example"),
        ("first", "INTERMEDIARY", "first.example"),
        ("blocked", "INTERMEDIARY", "blocked.example"),
        ("secretive", "INTERMEDIARY", "secretive.example"),
    ];
    let file = |sellers: &[(&str, &str, &str)]| {
        let seller =
            |(id, kind, domain): &(&str, &str, &str)| json!({ "seller_id": id, "seller_type": kind, "domain": domain });
        json!({ "version": "1.0", "sellers": sellers.iter().map(seller).collect::<Vec<_>>() }).to_string()
    };
    builder.sellers_json(SENDER, file(&sellers).as_bytes(), later).unwrap();
    let first = file(&[("pub-2", "PUBLISHER", "news.example")]);
    builder.sellers_json("first.example", first.as_bytes(), later).unwrap();
    builder.sellers_json("blocked.example", first.as_bytes(), later).unwrap();
    builder.block("blocked.example", None).unwrap();
    let mut publisher = |kind, domain: &str, file: &str, expires| {
        builder.ads_txt(kind, domain, Body::Good(file.as_bytes()), expires).unwrap();
    };
    publisher(Kind::AdsTxt, "news.example", news, later);
    publisher(Kind::AdsTxt, "old.example", "ssp.example, old-1, DIRECT\n", before);
    publisher(Kind::AppAdsTxt, "dev.example", "ssp.example, dev-1, DIRECT\n", later);
    let managed = "managerdomain=manager.example, US\nssp.example, manager, RESELLER\n";
    publisher(Kind::AdsTxt, "managed.example", managed, later);
    builder.ads_txt(Kind::AdsTxt, "gone.example", Body::Absent, later).unwrap();
    builder.app("com.dev.app", "dev.example");
    builder.finish().unwrap()
}

const NEWS: &str = "ssp.example, pub-1, DIRECT\nssp.example, odd \"1\"/2, DIRECT\nfirst.example, pub-2, DIRECT\n\
                    ssp.example, first, RESELLER\nssp.example, blocked, RESELLER\nblocked.example, pub-2, DIRECT\n\
                    ssp.example, secretive, RESELLER\nsecretive.example, pub-3, DIRECT\nssp.example, gone-1, DIRECT\n";

/// A folder with a table and a configuration; `supply` ends `[supply]`, `exchange` ends that of the exchange.
fn configure(folder: &Folder, supply: &str, exchange: &str, campaigns: &str) -> String {
    table(folder, NEWS).write(&folder.path("supply.bin")).unwrap();
    let config = folder.configure("debug_header = true", "", campaigns);
    let text = fs::read_to_string(&config).unwrap();
    let text = format!("[supply]\n{supply}\n{text}no_bid = \"nbr\"\n{exchange}\n");
    fs::write(&config, text).unwrap();
    config
}

const TABLE: &str = "table = \"supply.bin\"\n";
const DOMAIN: &str = "domain = \"ssp.example\"\n";

fn bench(config: &str) -> Bench {
    let config = Config::load(config.as_ref()).unwrap();
    let data = Data::load(Source::files(&config), &Key([0; 32])).unwrap();
    data.check(&config).unwrap();
    Bench::new(&config, &data).unwrap()
}

/// How a request ends, and the code the exchange is told.
fn ends(bench: &mut Bench, body: &str) -> (Option<NoBidReason>, u64) {
    assert!(serde_json::from_str::<Value>(body).is_ok(), "{body}");
    let ask = Ask { exchange: b"generic", body: body.as_bytes(), arrived: bench.now().boot };
    match bench.handle(ask) {
        Outcome::Bid { .. } => (None, 0),
        Outcome::NoBid(reason) => {
            let said: Value =
                serde_json::from_slice(bench.refusal(ask, reason).expect("a response with a code")).unwrap();
            (Some(reason), said["nbr"].as_u64().unwrap())
        }
        Outcome::Broken | Outcome::Parked(_) => panic!("broken: {body}"),
    }
}

/// A request of a site with these members of `source`; `more` are members of the request.
fn site(domain: &str, source: &str, more: &str) -> String {
    format!(
        "{{\"id\":\"r\",\"imp\":[{{\"id\":\"1\",\"banner\":{{\"w\":300,\"h\":250}}}}],\
         \"site\":{{\"domain\":\"{domain}\"}},\"source\":{{{source}}}{more}}}"
    )
}

fn node(asi: &str, sid: &str) -> String {
    format!("{{\"asi\":\"{asi}\",\"sid\":\"{sid}\",\"hp\":1}}")
}

fn chain_of(nodes: &[String]) -> String {
    format!("\"schain\":{{\"complete\":1,\"ver\":\"1.0\",\"nodes\":[{}]}}", nodes.join(","))
}

/// A complete chain of one node: an account at the exchange.
fn direct(sid: &str) -> String {
    chain_of(&[node(SENDER, sid)])
}

/// A chain of these members, of a site whose seller is in order.
fn members(members: &str) -> String {
    site("news.example", &format!("\"schain\":{{{members}}}"), "")
}

#[test]
fn a_chain_is_found_and_judged_whatever_it_looks_like() {
    let folder = Folder::new("supply");
    let config = configure(&folder, &format!("{TABLE}policy = \"require\""), DOMAIN, &campaign(1, ""));
    let mut bench = bench(&config);
    let news = |nodes: &[String]| site("news.example", &chain_of(nodes), "");
    let good = node(SENDER, "pub-1");
    let one = |node: &str| members(&format!("\"complete\":1,\"ver\":\"1.0\",\"nodes\":[{node}]"));
    let ext = format!("\"ext\":{{{}}}", direct("pub-1"));
    let (incomplete, blocked) = (Some(ChainIncomplete), Some(ChainBlocked));
    let app = |more: &str| site("x", &direct("dev-1"), "").replace("\"site\":{\"domain\":\"x\"}", more);
    let in_country = |country: &str| {
        let geo = format!(",\"device\":{{\"geo\":{{\"country\":\"{country}\"}}}}");
        site("managed.example", &direct("manager"), &geo)
    };
    for (body, wanted, nbr) in [
        // The three places, the first that has one.
        (site("news.example", &direct("pub-1"), ""), BIDS, 0),
        (site("news.example", &ext, ""), BIDS, 0),
        (site("news.example", "", &format!(",{ext}")), BIDS, 0),
        (site("news.example", &format!("\"schain\":null,{ext}"), ""), BIDS, 0),
        (site("news.example", &format!("\"schain\":{{}},{ext}"), ""), incomplete, 16),
        (site("news.example", "", ""), incomplete, 16),
        (site("news.example", "", ",\"ext\":7"), incomplete, 16),
        (site("news.example", "", "").replace("{}", "[]"), incomplete, 16),
        // A chain of version 1.
        (members(&format!("\"complete\":1,\"nodes\":[{good}]")), BIDS, 0),
        (members(&format!("\"complete\":1,\"ver\":\"1.3\",\"nodes\":[{good}]")), BIDS, 0),
        (members(&format!("\"complete\":1,\"ver\":\"2.0\",\"nodes\":[{good}]")), incomplete, 16),
        (members(&format!("\"complete\":1,\"ver\":1,\"nodes\":[{good}]")), incomplete, 16),
        (members(&format!("\"complete\":0,\"nodes\":[{good}]")), incomplete, 16),
        (members(&format!("\"complete\":2,\"nodes\":[{good}]")), incomplete, 16),
        (members(&format!("\"complete\":\"1\",\"nodes\":[{good}]")), incomplete, 16),
        (members(&format!("\"nodes\":[{good}]")), incomplete, 16),
        (members("\"complete\":1,\"nodes\":[]"), incomplete, 16),
        (members("\"complete\":1,\"nodes\":\"none\""), incomplete, 16),
        (site("news.example", "\"schain\":[]", ""), incomplete, 16),
        // Nodes.
        (one(&good.replace(",\"hp\":1", ",\"hp\":0")), incomplete, 16),
        (one(&good.replace(",\"hp\":1", "")), incomplete, 16),
        (one(&good.replace("\"pub-1\"", "1")), incomplete, 16),
        (one(&good.replace("\"pub-1\"", "\"\"")), incomplete, 16),
        (one(&good.replace(SENDER, "")), incomplete, 16),
        (one(&node(SENDER, &"1".repeat(65))), incomplete, 16),
        (one(&node(SENDER, &"1".repeat(64))), blocked, 17),
        (one("null"), incomplete, 16),
        (news(&vec![good.clone(); 17]), incomplete, 16),
        (news(&vec![good.clone(); 16]), blocked, 17),
        (news(&[node("first.example", "pub-2"), node(SENDER, "first")]), BIDS, 0),
        (news(&[node(SENDER, "first"), node("first.example", "pub-2")]), incomplete, 16),
        (one(&node("other.example", "pub-1")), incomplete, 16),
        (one(&node(SENDER, "nobody")), blocked, 17),
        (one(&node(SENDER, "PUB-1")), blocked, 17),
        (one(&node(SENDER, "first")), blocked, 17),
        (one(&node(SENDER, "gone-1")), blocked, 17),
        (news(&[node("blocked.example", "pub-2"), node(SENDER, "blocked")]), blocked, 17),
        // Escapes of JSON are not part of a name.
        (one(&node("ssp\\u002eexample", "\\u0070ub-1")), BIDS, 0),
        (one(&node("\\u0053SP.example", "odd \\\"1\\\"\\/2")), BIDS, 0),
        (one(&node(SENDER, "odd \\u00221\\u0022\\u002f2")), BIDS, 0),
        (news(&[node("f\\u0069rst.example", "pub\\u002d2"), node(SENDER, "\\u0066irst")]), BIDS, 0),
        (one(&node(SENDER, &"\\u0070".repeat(limits::CHAIN_BYTES + 1))), incomplete, 16),
        // Whose inventory it is.
        (site("www.news.example", &direct("pub-1"), ""), BIDS, 0),
        (
            members(&format!("\"complete\":1,\"nodes\":[{good}]")).replace("\"domain\":\"", "\"page\":\"https:\\/\\/"),
            BIDS,
            0,
        ),
        (members(&format!("\"complete\":1,\"nodes\":[{good}]")).replace("\"site\"", "\"dooh\""), BIDS, 0),
        (site("gone.example", &direct("gone-1"), ""), BIDS, 0),
        (site("never.example", &direct("never-1"), ""), Some(AdsTxtUnavailable), 11),
        (site("old.example", &direct("old-1"), ""), Some(AdsTxtUnavailable), 11),
        (app("\"app\":{\"bundle\":\"com.dev.app\"}"), BIDS, 0),
        (app("\"app\":{\"bundle\":\"com.other.app\"}"), Some(AdsTxtUnavailable), 11),
        // A file for sites says nothing of apps.
        (app("\"site\":{\"domain\":\"dev.example\"}"), Some(AdsTxtUnavailable), 11),
        // A manager of one country manages in no other.
        (in_country("USA"), BIDS, 0),
        (in_country("usa"), BIDS, 0),
        (in_country("CAN"), blocked, 17),
        (in_country(""), blocked, 17),
        // It is asked before the campaigns are, and after the terms of the request.
        (site("never.example", &direct("never-1"), "").replace("300", "301"), Some(AdsTxtUnavailable), 11),
        (site("never.example", &direct("never-1"), ",\"cur\":[\"EUR\"]"), Some(Currency), 0),
    ] {
        assert_eq!(ends(&mut bench, &body), (wanted, nbr), "{body}");
    }
}

#[test]
fn the_witness_tells_the_path_and_the_verdict() {
    let folder = Folder::new("supply-told");
    let path = configure(&folder, &format!("{TABLE}policy = \"require\""), DOMAIN, &campaign(1, ""));
    let config = Config::load(path.as_ref()).unwrap();
    let nodes = [node("first.example", "pub\\u002d2"), node(SENDER, "first")];
    let more = ",\"device\":{\"geo\":{\"country\":\"CAN\"}}";
    let body = site("news.example", &chain_of(&nodes), more);
    for (place, partner) in [
        ("\"site\":{\"inventorypartnerdomain\":\"Partner.example\",", "Partner.example"),
        ("\"site\":{\"ext\":{\"inventorypartnerdomain\":\"p\\u002eexample\"},", "p.example"),
        ("\"site\":{\"inventorypartnerdomain\":1,", ""),
        ("\"site\":{", ""),
    ] {
        let body = body.replace("\"site\":{", place);
        let said =
            serde_json::to_value(explain::explain(&mut bench(&path), &config.exchanges[0], body.as_bytes())).unwrap();
        let comply = said["tree"].as_array().unwrap().iter().find(|node| node["stage"] == "comply").unwrap();
        let told = comply["details"].as_array().unwrap().iter().find(|detail| detail["supply"].is_string()).unwrap();
        let wanted = json!({
            "text": told["text"], "supply": "verified", "policy": "require", "sender": SENDER, "country": "CA",
            "sellers": ["first.example/pub-2", "ssp.example/first"], "site": "news.example", "partner": partner,
        });
        assert_eq!(told, &wanted, "{body}");
        assert!(told["text"].as_str().unwrap().contains("verified"));
    }
}

/// A path of each kind, the reason not to bid on it under `require`, and whether `prefer` lets it through.
fn paths() -> Vec<(String, Option<NoBidReason>, bool)> {
    let news = |source: &str| site("news.example", source, "");
    let resold = |asi: &str, sid: &str, account: &str| news(&chain_of(&[node(asi, sid), node(SENDER, account)]));
    let part = |chain: String| news(&chain.replace("\"complete\":1", "\"complete\":0"));
    vec![
        (news(&direct("pub-1")), BIDS, true),
        (resold("first.example", "pub-2", "first"), BIDS, true),
        (news(""), Some(ChainIncomplete), true),
        (news("\"schain\":1"), Some(ChainIncomplete), true),
        (part(direct("pub-1")), Some(ChainIncomplete), true),
        // That it is a part makes what is wrong with it no better.
        (part(chain_of(&[node("first.example", "pub-2")])), Some(ChainIncomplete), false),
        (part(chain_of(&[node("blocked.example", "pub-2"), node(SENDER, "blocked")])), Some(ChainBlocked), false),
        (part(direct("nobody")), Some(ChainBlocked), false),
        (news(&direct("nobody").replace("\"hp\":1", "\"hp\":0")), Some(ChainBlocked), false),
        (news(&direct("pub-1").replace("\"hp\":1", "\"hp\":0")), Some(ChainIncomplete), true),
        (part(direct("unlisted")), Some(AdsTxtViolation), false),
        (news(&chain_of(&[node("first.example", "pub-2")])), Some(ChainIncomplete), false),
        (resold("blocked.example", "pub-2", "blocked"), Some(ChainBlocked), false),
        (news(&direct("nobody")), Some(ChainBlocked), false),
        (news(&direct("first")), Some(ChainBlocked), false),
        (news(&direct("gone-1")), Some(ChainBlocked), true),
        (news(&direct("unlisted")), Some(AdsTxtViolation), false),
        (resold("secretive.example", "pub-3", "secretive"), Some(ChainBlocked), true),
        (site("never.example", &direct("never-1"), ""), Some(AdsTxtUnavailable), true),
    ]
}

#[test]
fn the_stricter_of_an_exchange_and_a_campaign_holds() {
    let folder = Folder::new("supply-policies");
    for exchange in Policy::ALL {
        for own in Policy::ALL {
            let campaigns = campaign(1, &format!("supply = \"{}\"", own.label()));
            let key = format!("{DOMAIN}supply = \"{}\"", exchange.label());
            let mut bench = bench(&configure(&folder, TABLE, &key, &campaigns));
            for (body, required, preferred) in paths() {
                let accepts = |policy| match policy {
                    Policy::Off => true,
                    Policy::Prefer => preferred,
                    Policy::Require => required == BIDS,
                };
                let wanted = match (accepts(exchange), accepts(own)) {
                    (false, _) => required,
                    (true, false) => Some(UnverifiedSupply),
                    (true, true) => BIDS,
                };
                let nbr = match wanted {
                    BIDS => 0,
                    Some(ChainIncomplete) => 16,
                    Some(ChainBlocked | UnverifiedSupply) => 17,
                    Some(AdsTxtViolation) => 12,
                    Some(AdsTxtUnavailable) => 11,
                    Some(other) => panic!("{other:?}"),
                };
                assert_eq!(ends(&mut bench, &body), (wanted, nbr), "{exchange:?} {own:?} {body}");
            }
        }
    }
}

/// What one campaign does not take is left to the others, and the least of them says why.
#[test]
fn a_campaign_that_asks_for_more_leaves_the_rest_to_others() {
    let folder = Folder::new("supply-others");
    let campaigns = [(1, "require", "3.00"), (2, "prefer", "2.50"), (3, "off", "2.00")].map(|(id, supply, cpm)| {
        campaign(id, &format!("supply = \"{supply}\"")).replace("cpm = 2.00", &format!("cpm = {cpm}"))
    });
    let path = configure(&folder, TABLE, DOMAIN, &campaigns.concat());
    let config = Config::load(path.as_ref()).unwrap();
    let mut bench = bench(&path);
    for (body, required, preferred) in paths() {
        let said = serde_json::to_value(explain::explain(&mut bench, &config.exchanges[0], body.as_bytes())).unwrap();
        let winner = if required == BIDS {
            "1"
        } else if preferred {
            "2"
        } else {
            "3"
        };
        assert_eq!(said["response"]["seatbid"][0]["bid"][0]["cid"], winner, "{body}");
        let why: Vec<&str> = said["campaigns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|campaign| campaign["why_not"].as_str().unwrap_or(""))
            .collect();
        let (unverified, outbid) = ("unverified_supply", "outbid");
        let wanted = match winner {
            "1" => ["", outbid, outbid],
            "2" => [unverified, "", outbid],
            _ => [unverified, unverified, ""],
        };
        assert_eq!(why, wanted, "{body}");
    }
}

#[test]
fn expired_files_and_missing_ones_count_as_the_configuration_says() {
    let folder = Folder::new("supply-stale");
    let old = site("old.example", &direct("old-1"), "");
    let gone = site("gone.example", &direct("gone-1"), "");
    for (settings, policy, wanted) in [
        ("", "require", [Some(AdsTxtUnavailable), BIDS]),
        ("stale = \"closed\"\nno_ads_txt = \"accept\"", "require", [Some(AdsTxtUnavailable), BIDS]),
        ("stale = \"open\"", "require", [BIDS, BIDS]),
        ("no_ads_txt = \"refuse\"", "require", [Some(AdsTxtUnavailable), Some(AdsTxtUnavailable)]),
        ("no_ads_txt = \"refuse\"", "prefer", [BIDS, BIDS]),
        ("no_ads_txt = \"refuse\"", "off", [BIDS, BIDS]),
    ] {
        let supply = format!("{TABLE}policy = \"{policy}\"\n{settings}");
        let mut by_exchange = bench(&configure(&folder, &supply, DOMAIN, &campaign(1, "")));
        let campaigns = campaign(1, &format!("supply = \"{policy}\""));
        let mut by_campaign = bench(&configure(&folder, &format!("{TABLE}{settings}"), DOMAIN, &campaigns));
        for (body, wanted) in [&old, &gone].into_iter().zip(wanted) {
            let nbr = if wanted == BIDS { 0 } else { 11 };
            assert_eq!(ends(&mut by_exchange, body), (wanted, nbr), "{settings} {policy} {body}");
            let (wanted, nbr) = wanted.map_or((BIDS, 0), |_| (Some(UnverifiedSupply), 17));
            assert_eq!(ends(&mut by_campaign, body), (wanted, nbr), "{settings} {policy} {body}");
        }
    }
}

/// Where nobody asks, a table is not needed, a chain may be what it likes, and nothing is said of it.
#[test]
fn nobody_asks_nothing_is_read() {
    let folder = Folder::new("supply-off");
    let path = configure(&folder, "", "", &campaign(1, "supply = \"off\""));
    let config = Config::load(path.as_ref()).unwrap();
    let mut bench = bench(&path);
    for (body, ..) in paths() {
        assert_eq!(ends(&mut bench, &body), (BIDS, 0), "{body}");
        let said = explain::explain(&mut bench, &config.exchanges[0], body.as_bytes());
        assert!(!serde_json::to_string(&said).unwrap().contains("\"supply\":"), "{body}");
    }
}

#[test]
fn what_a_policy_needs_is_missed_at_the_start() {
    let folder = Folder::new("supply-start");
    let start = |supply: &str, exchange: &str, own: &str| -> Result<(), String> {
        let config = Config::load(configure(&folder, supply, exchange, &campaign(1, own)).as_ref());
        let config = config.map_err(|ConfigError(what)| what)?;
        Data::load(Source::files(&config), &Key([0; 32])).map(|_| ()).map_err(|error| error.to_string())
    };
    let asks = "supply = \"prefer\"";
    assert_eq!(start(TABLE, "", ""), Ok(()));
    assert_eq!(start(TABLE, DOMAIN, asks), Ok(()));
    assert_eq!(start("policy = \"require\"\ntable = \"supply.bin\"", DOMAIN, ""), Ok(()));
    for (supply, exchange, own, said) in [
        ("policy = \"require\"", DOMAIN, "", "supply.policy is require but supply.table is missing"),
        (
            "",
            "domain = \"ssp.example\"\nsupply = \"prefer\"",
            "",
            "exchange \"generic\": supply is prefer but supply.table is missing",
        ),
        (
            "table = \"supply.bin\"\npolicy = \"prefer\"",
            "",
            "",
            "exchange \"generic\": supply is prefer but its domain is missing",
        ),
        ("", DOMAIN, asks, "campaigns.toml: campaign 1: supply is prefer but supply.table is missing"),
        (TABLE, "", asks, "campaign 1: supply is prefer but the domain of exchange \"generic\" is missing"),
        (TABLE, "domain = \"https://ssp.example\"", "", "exchange.domain \"https://ssp.example\" of \"generic\""),
        (TABLE, "domain = \"ssp\"", "", "exchange.domain \"ssp\""),
        ("table = \"nowhere.bin\"", DOMAIN, "", "nowhere.bin"),
        ("policy = \"maybe\"", DOMAIN, "", "maybe"),
        ("stale = \"ajar\"", DOMAIN, "", "ajar"),
        (TABLE, DOMAIN, "supply = \"maybe\"", "campaign 1: supply: \"maybe\" is no policy"),
    ] {
        let error = start(supply, exchange, own).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

/// Campaigns that come to ask what cannot be answered are not taken up.
#[test]
fn campaigns_that_cannot_be_answered_are_kept_out_by_a_reload() {
    let folder = Folder::new("supply-reload");
    let config = Config::load(configure(&folder, TABLE, "", &campaign(1, "")).as_ref()).unwrap();
    let mut data = Data::load(Source::files(&config), &Key([0; 32])).unwrap();
    folder.write("campaigns.toml", campaign(2, "supply = \"require\""));
    let kept: Vec<Kept> = data.reload().kept;
    assert!(
        matches!(&kept[..], [Kept { what: "campaigns", error, serving: true }] if error.what.contains("domain of exchange")),
        "{kept:?}"
    );
    assert_eq!(data.campaigns()[0].id.0, 1);
}

/// The table is swapped under a running core, and a damaged one is not.
#[test]
fn a_new_table_is_taken_up_and_a_damaged_one_is_not() {
    let folder = Folder::new("supply-swap");
    let config = configure(&folder, &format!("{TABLE}policy = \"require\""), DOMAIN, &campaign(1, ""));
    let bidder = Bidder::start(&["--config", &config]);
    let mut client = bidder.client();
    let body = site("news.example", &direct("pub-1"), "");
    let mut reason = || client.debug(body.as_bytes()).reason().map(str::to_owned);
    eventually("a bid", || reason().is_none().then_some(()));
    let replace = |news: &str| {
        table(&folder, news).write(&folder.path("next.bin")).unwrap();
        fs::rename(folder.path("next.bin"), folder.path("supply.bin")).unwrap();
    };
    replace("ssp.example, somebody else, DIRECT\n");
    eventually("the new table", || (reason().as_deref() == Some("ads_txt_violation")).then_some(()));
    let bytes = fs::read(folder.path("supply.bin")).unwrap();
    folder.write("supply.bin", &bytes[..bytes.len() - 1]);
    let said = format!("{}: ", folder.text("supply.bin"));
    eventually("the damage in the log", || bidder.log().contains(&said).then_some(()));
    assert!(bidder.log().contains("the old sellers keep serving"), "{}", bidder.log());
    assert_eq!(reason().as_deref(), Some("ads_txt_violation"));
    replace(NEWS);
    eventually("the good table", || reason().is_none().then_some(()));
    bidder.stop();
}
