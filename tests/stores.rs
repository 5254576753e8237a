//! Users of a fleet, end to end: real processes, a real Valkey, and DynamoDB Local behind a proxy that notes every call.

#![cfg(feature = "stores")]

mod support;

use std::fs;
use std::path::PathBuf;

use corebid::profile::fetched::FetchOutcome;
use corebid::profile::seal::FleetKeys;
use corebid::profile::sealed::Keyring;
use corebid::profile::source::ProfileSource;
use corebid::profile::value;
use corebid::snapshot::profiles::UserKeys;
use corebid::store::dynamodb::client::Client;
use corebid::store::dynamodb::users::{Keys, Profiles};
use corebid::units::{Region, SegmentId, UserKey};
use support::client::target;
use support::dynamodb::{Proxy, Server as DynamoDb, config, credentials};
use support::process::{Bidder, run};
use support::valkey::Server as Valkey;
use support::{Folder, campaign, eventually, request};

/// Every digit of the key file that [`Folder::configure`] writes is a 2.
const USER_KEY: [u8; 16] = [0x22; 16];

fn key(region: Region, id: &str) -> UserKey {
    UserKeys::new(&USER_KEY).key(region, "generic", id.as_bytes())
}

fn fleet_keys(folder: &Folder) -> PathBuf {
    folder.write_key("fleet.keys", '0');
    folder.write("fleet.keys", format!("7 {}\n", "5a".repeat(32)))
}

/// A node with these stores; every campaign wants segment 9, or is capped at two impressions a day.
fn node(folder: &Folder, number: u8, region: &str, dynamodb: &str, prefix: &str, valkey: &Valkey) -> String {
    let wanting = campaign(1, "[campaigns.targeting]\nsegments = { any = [9] }\n");
    let wanting = wanting.replace("pacing = ", "frequency_cap = 2\npacing = ");
    let path = folder.configure(&format!("node = {number}"), "", &wanting);
    fleet_keys(folder);
    credentials(folder, "AKIDCOREBID");
    let text = fs::read_to_string(&path).unwrap();
    let stores = format!(
        "[stores]\nregion = {region:?}\n[stores.valkey]\naddresses = [\"{}\"]\n[stores.dynamodb]\nendpoint = {dynamodb:?}\n\
         aws_region = \"eu-central-1\"\ncredentials_file = \"credentials\"\ntable_prefix = {prefix:?}\ntimeout_ms = 20000\n\
         [profiles]\nkey_file = \"fleet.keys\"\nfetch_budget_us = 7000\n",
        valkey.address
    );
    folder.write("corebid.toml", format!("{stores}{text}")).display().to_string()
}

fn body(id: &str) -> Vec<u8> {
    request("r", &format!(",\"user\":{{\"id\":\"{id}\"}}"))
}

/// Where the impression of a bid is billed, if there is a bid.
fn bill_of(bidder: &Bidder, id: &str) -> Option<String> {
    let answer = bidder.client().bid(&body(id));
    let burl = |answer: serde_json::Value| answer["seatbid"][0]["bid"][0]["burl"].as_str().unwrap().to_owned();
    (answer.status == 200).then(|| burl(answer.json()))
}

fn bids(bidder: &Bidder, id: &str) -> bool {
    bill_of(bidder, id).is_some()
}

/// Bills one impression.
fn show(bidder: &Bidder, id: &str) {
    let url = eventually("a bid", || bill_of(bidder, id));
    assert_eq!(bidder.client().get(&target(&url, "0.5")).status, 200);
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Puts sealed profiles with segment 9 into the store.
fn keep(folder: &Folder, client: &Client, users: &[UserKey]) {
    let mut plain = Vec::new();
    value::write(&mut vec![SegmentId(9)], &mut Vec::new(), None, &mut plain).unwrap();
    let fleet = FleetKeys::read(&fleet_keys(folder)).unwrap();
    let keyring = Keyring::new(fleet, Keys::new(client.clone()));
    for &user in users {
        let sealed = wait(keyring.seal(user, &plain)).unwrap();
        wait(Profiles::new(client.clone()).put(user, &sealed)).unwrap();
    }
}

#[test]
fn a_fleet_knows_counts_and_forgets_its_users_together() {
    let (dynamodb, valkey) = (DynamoDb::shared(), Valkey::start(&[]));
    let (one, other) = (Folder::new("stores-one"), Folder::new("stores-other"));
    let client = Client::new(&config(&one, &dynamodb.url(), "fleet", &[])).unwrap();
    wait(client.make_tables()).unwrap();
    let (alice, bob) = (key(Region::Eu, "alice"), key(Region::Eu, "bob"));
    keep(&one, &client, &[alice, bob]);
    let configs =
        [(&one, 1), (&other, 2)].map(|(at, number)| node(at, number, "eu", &dynamodb.url(), "fleet", &valkey));
    let [first, second] = configs.map(|config| Bidder::start(&["--config", &config]));

    // A profile of DynamoDB, for which a request waited; nobody else is in the segment.
    for node in [&first, &second] {
        eventually("a bid for who is in the segment", || bids(node, "bob").then_some(()));
        assert!(node.metric("corebid_parked_total", "") > 0);
        assert!(!bids(node, "carol"));
    }

    // Two impressions, one on each machine, are all that the cap allows, on both.
    show(&first, "alice");
    show(&second, "alice");
    let counts = format!("freq:{{{}}}", alice.text());
    eventually("both impressions in Valkey", || {
        let field: Option<u64> = redis::from_redis_value(valkey.ask(&["HGET", &counts, "cd1"])).unwrap();
        (field? % 65536 == 2).then_some(())
    });
    for node in [&first, &second] {
        eventually("a cap that is reached", || (!bids(node, "alice")).then_some(()));
        assert!(node.metric("corebid_frequency_told_total", "") == 1);
    }

    // Erased on one, gone on both, and from the stores.
    let admin = format!("http://{}", first.admin);
    let (code, said, error) = run(&["erase", "--admin", &admin, "generic:bob", "--json"]);
    assert_eq!(code, Some(0), "{error}");
    let receipt: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(receipt["wiped"], serde_json::json!(["cores", "key", "counters", "fleet"]));
    assert!(!bids(&first, "bob"));
    eventually("a fleet that has forgotten", || (!bids(&second, "bob")).then_some(()));
    let (code, _, error) = run(&["erase", "--admin", &admin, "generic:alice"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(valkey.text(&["EXISTS", &counts]), "0");
    let keys = wait(corebid::profile::keys::KeyStore::get(&Keys::new(client.clone()), &[alice, bob])).unwrap();
    assert!(keys.is_empty());
    let sealed = wait(Profiles::new(client).fetch(&[bob]));
    assert!(matches!(&sealed[..], [(_, FetchOutcome::Profile(_))]), "a value that nobody can open");
    first.stop();
    second.stop();
}

#[test]
fn nothing_of_a_user_leaves_for_another_region() {
    let (dynamodb, valkey) = (DynamoDb::shared(), Valkey::start(&[]));
    let folder = Folder::new("stores-region");
    let proxy = Proxy::new(dynamodb.port, "abroad", None, None);
    let client = Client::new(&config(&folder, &dynamodb.url(), "abroad", &[])).unwrap();
    wait(client.make_tables()).unwrap();
    // It stands there by mistake, and is not used.
    keep(&folder, &client, &[key(Region::Eu, "dora")]);
    let path = node(&folder, 3, "other", &proxy.url(), "abroad", &valkey);
    // A second campaign, for whoever it is.
    let open = fs::read_to_string(folder.path("campaigns.toml")).unwrap() + &campaign(2, "");
    folder.write("campaigns.toml", open);
    let bidder = Bidder::start(&["--config", &path]);
    for _ in 0..3 {
        let answer =
            eventually("a contextual bid", || Some(bidder.client().bid(&body("dora"))).filter(|it| it.status == 200));
        assert_eq!(answer.json()["seatbid"][0]["bid"][0]["cid"], "2");
    }
    let (code, _, error) = run(&["erase", "--admin", &format!("http://{}", bidder.admin), "generic:dora"]);
    assert_eq!(code, Some(0), "{error}");
    let dora = key(Region::Eu, "dora").text();
    assert!(!proxy.calls().is_empty(), "the list of erased users, at least");
    for call in proxy.calls() {
        assert!(!call.body.to_string().contains(&dora), "{call:?}");
    }
    // The leases are there, and nothing of users.
    assert_eq!(valkey.ask(&["KEYS", "freq:*"]), redis::Value::Array(Vec::new()));
    assert!(bidder.metric("corebid_fetch_users_total", "") > 0, "it was asked for, within the process");
    bidder.stop();
}
