//! The training log as others meet it: what a running bidder leaves in the folder, read back by the Parquet crate, held against what the
//! bidder answered and was told.

mod support;

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::Path;

use corebid::snapshot::features::Schema;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Value, json};
use support::client::{Client, target};
use support::process::{Bidder, Refused};
use support::{Folder, campaign, consent, request};

/// Where an answer to a click leads, and what the page there hands on.
const MARKUP: &str = "<a href='https://shop.example/?t=${CONVERSION_TOKEN}' ping='${CLICK_NOTICE_URL}'>shop</a>";

fn configured(name: &str, training: &str, cap: &str) -> (Folder, String) {
    let folder = Folder::new(name);
    folder.write("profiles.ndjson", "{\"user\":\"u\",\"exchange\":\"generic\",\"segments\":[3,9]}\n");
    let data = format!("profiles = \"profiles.ndjson\"\n[training]\n{training}\n");
    let config = folder.configure("debug_header = true", &data, &campaign(1, cap).replace("<b>1</b>", MARKUP));
    (folder, config)
}

type Line = BTreeMap<String, Field>;

/// The rows of all complete files of a kind, and what stands at their ends. There is nothing else in the folder.
fn read(dir: &Path, kind: &str) -> (Vec<Line>, HashMap<String, String>) {
    let (mut lines, mut told) = (Vec::new(), HashMap::new());
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    for name in names {
        assert!(name.ends_with(".parquet"), "{name}");
        if !name.starts_with(kind) {
            continue;
        }
        let reader = SerializedFileReader::new(File::open(dir.join(name)).unwrap()).unwrap();
        for pair in reader.metadata().file_metadata().key_value_metadata().into_iter().flatten() {
            told.insert(pair.key.clone(), pair.value.clone().unwrap());
        }
        for row in reader.get_row_iter(None).unwrap() {
            lines.push(row.unwrap().get_column_iter().map(|(name, field)| (name.clone(), field.clone())).collect());
        }
    }
    (lines, told)
}

fn text(field: &Field) -> &str {
    match field {
        Field::Str(text) => text,
        other => panic!("{other:?} is no text"),
    }
}

fn long(field: &Field) -> i64 {
    match field {
        Field::Long(number) => *number,
        other => panic!("{other:?} is no long"),
    }
}

fn float(field: &Field) -> f32 {
    match field {
        Field::Float(number) => *number,
        other => panic!("{other:?} is no float"),
    }
}

/// The one bid of an answer.
fn bid(client: &mut Client, body: &[u8]) -> Value {
    client.bid(body).json()["seatbid"][0]["bid"][0].take()
}

fn status(client: &mut Client, method: &str, target: &str) -> u16 {
    client.ask(method, target, "", b"").status
}

/// What stands in the markup between two texts.
fn between<'a>(bid: &'a Value, before: &str, after: &str) -> &'a str {
    let markup = bid["adm"].as_str().unwrap();
    markup.split_once(before).unwrap().1.split_once(after).unwrap().0
}

#[test]
fn what_was_bid_and_what_became_of_it() {
    let (folder, config) = configured("training", "dir = \"learn\"", "frequency_cap = 100\n");
    let bidder = Bidder::start(&["--config", &config]);
    let mut client = bidder.client();
    let bids: Vec<Value> = (0..5).map(|_| bid(&mut client, &request("r", ",\"user\":{\"id\":\"u\"}"))).collect();
    // Won, billed, clicked twice and converted; won and billed; lost; clicked before anything else is heard; silent.
    let url = |bid: &Value, notice: &str, price: &str| target(bid[notice].as_str().unwrap(), price);
    let click = |bid: &Value| {
        let url = between(bid, "ping='", "'");
        url[url.find("/notice/").unwrap()..].to_owned()
    };
    let conversion = |bid: &Value| format!("/notice/conversion/{}", between(bid, "?t=", "'"));
    let tell = [
        url(&bids[0], "nurl", "0.5"),
        url(&bids[0], "burl", "0.5"),
        click(&bids[0]),
        click(&bids[0]),
        conversion(&bids[0]),
        url(&bids[1], "nurl", "0.25"),
        url(&bids[1], "burl", "0.25"),
        url(&bids[2], "lurl", ""),
        click(&bids[3]),
    ];
    let spent = [0, 500, 500, 500, 500, 500, 750, 750, 750];
    for (at, target) in tell.iter().enumerate() {
        let method = if at % 2 == 0 { "GET" } else { "POST" };
        assert_eq!(status(&mut client, method, target), 200, "{target}");
        assert_eq!(bidder.booked("spend_micros"), spent[at], "only bills move money: {target}");
    }
    assert_eq!((bidder.booked("clicks"), bidder.booked("conversions"), bidder.booked("duplicates")), (2, 1, 1));
    assert_eq!((bidder.booked("wins"), bidder.booked("bills"), bidder.booked("losses")), (2, 2, 1));
    let counted =
        ["win", "bill", "loss", "click", "conversion"].map(|kind| bidder.metric("corebid_notices_total", kind));
    assert_eq!(counted, [2, 2, 1, 3, 1]);
    // One kind's token is no other's, and what is not ours is nobody's.
    let (told, mut changed) = (conversion(&bids[4]), conversion(&bids[4]).into_bytes());
    let digit = changed.len() - 5;
    changed[digit] = if changed[digit] == b'A' { b'B' } else { b'A' };
    let moved = click(&bids[4]).replace("/click/", "/conversion/");
    let billed = click(&bids[4]).replace("/click/", "/bill/") + "?p=1";
    for target in [String::from_utf8(changed).unwrap(), moved, billed, told.replace("/conversion/", "/click/")] {
        assert_eq!(status(&mut client, "GET", &target), 403, "{target}");
    }
    bidder.stop();

    let (rows, told) = read(&folder.path("learn"), "rows-");
    assert_eq!(
        rows.iter().map(|row| text(&row["bid_id"])).collect::<Vec<_>>(),
        bids.iter().map(|bid| bid["id"].as_str().unwrap()).collect::<Vec<_>>()
    );
    let schema = Schema::parse(&told["corebid.schema"]).unwrap();
    assert_eq!(told["corebid.fingerprint"], format!("{:016x}", schema.fingerprint()));
    let names: Vec<String> = schema.names().map(|name| format!("f.{name}")).collect();
    assert_eq!(rows[0].len(), 8 + names.len());
    for (row, before) in rows.iter().zip(0u8..) {
        assert!(names.iter().all(|name| matches!(row[name], Field::Float(_))));
        assert_eq!((text(&row["exchange"]), text(&row["arm"])), ("generic", ""));
        assert_eq!((&row["campaign"], &row["creative"]), (&Field::Int(1), &Field::Int(0)));
        assert!((1..=2_000_000).contains(&long(&row["price_cpm_micros"])), "{row:?}");
        assert!(float(&row["predicted"]).is_nan());
        assert_eq!((float(&row["f.width"]), float(&row["f.height"]), float(&row["f.area"])), (300.0, 250.0, 75_000.0));
        assert_eq!((float(&row["f.device"]), float(&row["f.channel"]), float(&row["f.floor"])), (2.0, 1.0, 0.01));
        assert!(
            float(&row["f.shown"]) <= f32::from(before),
            "bids of this user before, on one core or another: {row:?}"
        );
        assert!((float(&row["f.segments"]) - 2.0).abs() < 1e-6 && float(&row["f.connection"]).is_nan());
    }
    let (outcomes, _) = read(&folder.path("learn"), "outcomes-");
    let mut became: Vec<Vec<(&str, i64)>> = vec![Vec::new(); 5];
    for outcome in &outcomes {
        let of = bids.iter().position(|bid| bid["id"] == text(&outcome["bid_id"])).unwrap();
        assert!(long(&outcome["time_ms"]) >= long(&rows[of]["time_ms"]));
        became[of].push((text(&outcome["kind"]), long(&outcome["micros"])));
    }
    assert_eq!(
        became,
        [
            vec![("win", 0), ("bill", 500), ("click", 0), ("conversion", 0)],
            vec![("win", 0), ("bill", 250)],
            vec![("loss", 0)],
            vec![("click", 0)],
            vec![],
        ]
    );
}

/// Which bids are logged is in their ids, and so nothing is logged of what becomes of the others.
#[test]
fn one_bid_in_so_many_with_all_that_becomes_of_it() {
    let (folder, config) = configured("training-sample", "dir = \"learn\"\nsample = 4", "");
    let bidder = Bidder::start(&["--config", &config]);
    let mut client = bidder.client();
    let bids: Vec<Value> = (0..120).map(|_| bid(&mut client, &request("r", ""))).collect();
    for bid in &bids {
        assert_eq!(status(&mut client, "GET", &target(bid["nurl"].as_str().unwrap(), "0.5")), 200);
    }
    bidder.stop();
    let is_taken =
        |bid: &&Value| u64::from_str_radix(&bid["id"].as_str().unwrap()[16..], 16).unwrap().is_multiple_of(4);
    let mut taken: Vec<&str> = bids.iter().filter(is_taken).map(|bid| bid["id"].as_str().unwrap()).collect();
    assert!((10..60).contains(&taken.len()));
    taken.sort_unstable();
    for kind in ["rows-", "outcomes-"] {
        let (lines, _) = read(&folder.path("learn"), kind);
        let mut logged: Vec<&str> = lines.iter().map(|line| text(&line["bid_id"])).collect();
        logged.sort_unstable();
        assert_eq!(logged, taken, "{kind}");
    }
}

/// Purposes 9 and 10, where the GDPR applies; and nothing of the user without leave to know them.
#[test]
fn nothing_is_learnt_without_leave() {
    let list = |purposes: &str| consent::VENDOR_LIST.replace("[1,2,3,4,7,9,10]", purposes);
    let run = |name: &str, purposes: &str, requests: &[Value]| {
        let (folder, config) =
            configured(name, "dir = \"learn\"\n[privacy]\nvendor = 1\nvendor_list = \"vendor-list.json\"", "");
        folder.write("vendor-list.json", list(purposes));
        let cpu = corebid::topology::Topology::allowed().last().unwrap().to_string();
        let bidder = Bidder::start(&["--config", &config, "--cores", &cpu]);
        let mut client = bidder.client();
        for request in requests {
            let answer = client.bid(request.to_string().as_bytes());
            assert_eq!(answer.status, 200, "{request}");
            let bid = answer.json()["seatbid"][0]["bid"][0].take();
            assert_eq!(status(&mut client, "GET", &target(bid["nurl"].as_str().unwrap(), "0.5")), 200);
        }
        let forbidden = bidder.metric("corebid_training_forbidden_total", "");
        bidder.stop();
        let logged = |kind: &str| read(&folder.path("learn"), kind).0;
        (forbidden, logged("rows-"), logged("outcomes-"))
    };
    let asked = |regs: Value, consent: &str, lmt: u8| {
        json!({
            "id": "r", "imp": [{ "id": "1", "banner": { "w": 300, "h": 250 } }], "site": { "domain": "news.example" },
            "device": { "lmt": lmt }, "user": { "id": "u", "consent": consent }, "regs": regs,
        })
    };
    let gdpr = || json!({ "gdpr": 1 });
    let all = asked(gdpr(), consent::ALL, 0);

    // A vendor that declares 9 and not 10, or 10 and not 9: whatever the user consents to.
    for purposes in ["[1,2,3,4,7,9]", "[1,2,3,4,7,10]"] {
        let (forbidden, rows, outcomes) = run("training-vendor", purposes, std::slice::from_ref(&all));
        assert_eq!((forbidden, rows.len(), outcomes.len()), (1, 0, 0), "{purposes}");
    }
    // Leave to learn, with and without leave to know who it is.
    for (string, segments) in [(consent::ALL, Some(2.0)), (consent::CONTEXTUAL, None)] {
        let (forbidden, rows, outcomes) = run("training-leave", "[1,2,3,4,7,9,10]", &[asked(gdpr(), string, 0)]);
        assert_eq!((forbidden, rows.len(), outcomes.len()), (0, 1, 1), "{segments:?}");
        let said = float(&rows[0]["f.segments"]);
        assert_eq!(Some(said).filter(|said| !said.is_nan()), segments);
        assert!(!float(&rows[0]["f.domain"]).is_nan());
    }
    // Opted out of, by whatever signal; the GDPR need not apply.
    let out = [
        asked(json!({ "gdpr": 0 }), "", 1),
        asked(json!({ "gdpr": 0, "coppa": 1 }), "", 0),
        asked(json!({ "gdpr": 0, "us_privacy": "1YYN" }), "", 0),
    ];
    let (forbidden, rows, outcomes) = run("training-out", "[1,2,3,4,7,9,10]", &out);
    assert_eq!((forbidden, rows.len(), outcomes.len()), (3, 0, 0));
}

#[test]
fn a_mistake_stops_the_start() {
    let refused = |name: &str, training: &str, prepare: fn(&Folder)| {
        let (folder, config) = configured(name, training, "");
        prepare(&folder);
        match Bidder::try_start(&["--config", &config]) {
            Err(Refused { code, stderr }) => {
                assert_eq!(code, Some(1), "{stderr}");
                stderr
            }
            Ok(_) => panic!("{training} was taken"),
        }
    };
    let log = refused("training-file", "dir = \"learn\"", |folder| drop(folder.write("learn", "")));
    assert!(log.contains("cannot write the training log"), "{log}");
    let log = refused("training-schema", "dir = \"learn\"\nfeatures = \"schema.toml\"", |folder| {
        folder.write("schema.toml", "features = [\n{ name = \"colour\" }]\n");
    });
    assert!(log.contains("schema.toml:2: `colour` is no source"), "{log}");
    let log = refused("training-bytes", "dir = \"learn\"\nmax_bytes = 1", |_| {});
    assert!(log.contains("training.max_bytes 1: at least 65536"), "{log}");
}
