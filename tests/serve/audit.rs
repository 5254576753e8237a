//! The compliance log: what is in it, what never is, and that nobody waits for it.

use std::fs;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::process::{Bidder, Refused};
use crate::support::{Folder, campaign, eventually, request};

/// A folder with a configuration whose `[audit]` says this.
fn configured(name: &str, audit: &str) -> (Folder, String) {
    let folder = Folder::new(name);
    let data = format!("[audit]\n{audit}\n");
    let config = folder.configure("debug_header = true", &data, &campaign(1, ""));
    (folder, config)
}

/// On one core, so that its count is the count of all.
fn start(config: &str) -> Bidder {
    let cpu = corebid::topology::Topology::allowed().last().unwrap().to_string();
    Bidder::start(&["--config", config, "--cores", &cpu])
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

/// The log once a bidder is gone: what was in its rings is written before it ends.
fn kept(folder: &Folder, bidder: Bidder) -> Vec<Value> {
    bidder.stop();
    lines(&fs::read_to_string(folder.path("compliance.ndjson")).unwrap())
}

/// Every text in a document, names of members left out.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|one| texts(one, found)),
        Value::Object(members) => members.values().for_each(|one| texts(one, found)),
        _ => {}
    }
}

/// A request that says everything that could tell who is behind it.
fn telling(regs: &Value) -> Value {
    json!({
        "id": "the-auction-id-7f3a", "test": 0, "tmax": 500,
        "imp": [{"id": "the-impression-1", "tagid": "the-tag-9", "banner": {"w": 300, "h": 250}, "bidfloor": 0.01}],
        "site": {"id": "the-site-4", "domain": "private-diary.example", "page": "https://private-diary.example/me?mail=jo@x.example",
                 "ref": "https://where-from.example/q", "publisher": {"id": "the-publisher-3"}, "keywords": "the-keyword"},
        "device": {"ua": "Mozilla/5.0 (Telling; rv:99.0)", "ip": "203.0.113.77", "ipv6": "2001:db8::77:1", "ifa": "6D92078A-8246-4BA4-AE5B-76104861E7DC",
                   "didsha1": "aabbccddee", "carrier": "the-carrier", "model": "the-model", "language": "qq", "devicetype": 2,
                   "geo": {"country": "DEU", "region": "the-region", "city": "the-city", "zip": "10115", "lat": 52.53, "lon": 13.38}},
        "user": {"id": "the-user-id", "buyeruid": "our-user-id", "yob": 1987, "gender": "the-gender", "consent": "CPtellingConsentString",
                 "eids": [{"source": "ids.example", "uids": [{"id": "the-eid", "atype": 1}]}],
                 "data": [{"id": "the-data", "segment": [{"id": "the-segment"}]}]},
        "regs": regs,
        "source": {"tid": "the-transaction", "schain": {"ver": "1.0", "complete": 1,
                   "nodes": [{"asi": "seller-of-this.example", "sid": "the-account", "hp": 1}]}}
    })
}

#[test]
fn why_a_request_was_treated_as_it_was_and_nothing_of_the_person() {
    let (folder, config) = configured("audit", "file = \"compliance.ndjson\"\nsample = 1");
    let bidder = start(&config);
    let mut client = bidder.client();
    let strict = telling(&json!({"gdpr": 1, "coppa": 1, "ext": {"dsa": {"dsarequired": 1}}}));
    let free = telling(&json!({"gdpr": 0, "us_privacy": "1YYN", "gpp_sid": [7, 8], "gpp": "DBABtellingGppString"}));
    let mut silent = telling(&json!({}));
    silent["user"].as_object_mut().unwrap().remove("consent");
    let asked = [&strict, &free, &silent];
    let answers = asked.map(|body| client.debug(body.to_string().as_bytes()));
    assert_eq!(answers.each_ref().map(|answer| answer.status), [204, 200, 204]);
    client.debug(&request("r", ""));
    assert_eq!(client.bid(b"{").status, 400);
    client.ask("POST", "/openrtb/nobody", "", b"{}");

    let log = kept(&folder, bidder);
    let ends: Vec<_> = log.iter().map(|line| (&line["exchange"], &line["outcome"], &line["reason"])).collect();
    let (generic, none) = (json!("generic"), Value::Null);
    let [bid, no_bid, broken] = ["bid", "no_bid", "broken"].map(|end| json!(end));
    let [consent, unknown] = ["no_consent", "unknown_exchange"].map(|reason| json!(reason));
    assert_eq!(
        ends,
        [
            (&generic, &no_bid, &consent),
            (&generic, &bid, &none),
            (&generic, &no_bid, &consent),
            (&generic, &bid, &none),
            (&generic, &broken, &none),
            (&none, &no_bid, &unknown),
        ]
    );
    let [strict, free, silent, plain, broken, ..] = &log[..] else { panic!("{log:?}") };
    assert_eq!(
        (&strict["gdpr"], &strict["consent"], &strict["personal"]),
        (&json!("yes"), &json!("unreadable"), &json!(false))
    );
    assert_eq!((&strict["opt_outs"], &strict["purposes"]), (&json!(["coppa"]), &json!([])));
    assert_eq!(
        (&strict["dsa_required"], &strict["channel"], &strict["country"]),
        (&json!(1), &json!("site"), &json!("DEU"))
    );
    assert_eq!((&free["gdpr"], &free["consent"], &free["sections"]), (&json!("no"), &json!("unasked"), &json!([7, 8])));
    assert_eq!((&free["opt_outs"], &free["purposes"]), (&json!(["us_privacy", "gpp"]), &json!([2, 7])));
    assert_eq!((&silent["gdpr"], &silent["consent"]), (&json!("by_country"), &json!("absent")));
    assert_eq!((&plain["gdpr"], &plain["personal"], &plain["opt_outs"]), (&json!("unsaid"), &json!(true), &json!([])));
    assert_eq!(broken.as_object().unwrap().len(), 3, "time, exchange, outcome: {broken}");

    // The country is all that is taken over.
    let written = fs::read_to_string(folder.path("compliance.ndjson")).unwrap();
    let mut telling = vec!["203.0.113".to_owned(), "52.53".to_owned(), "1987".to_owned()];
    asked.into_iter().for_each(|body| texts(body, &mut telling));
    telling.retain(|text| text != "DEU");
    assert!(telling.len() > 90, "{}", telling.len());
    for text in telling {
        // A version or a language is too short to be looked for among numbers and words.
        assert!(!written.contains(&text) || text.len() < 4, "{text} is in the log\n{written}");
    }
}

#[test]
fn one_request_in_so_many_is_recorded() {
    let (folder, config) = configured("audit-sample", "file = \"compliance.ndjson\"\nsample = 7");
    let bidder = start(&config);
    let mut client = bidder.client();
    // The 7th, 14th and 21st are told from the others by their end.
    for number in 1..=22 {
        match number % 7 {
            0 => assert_eq!(client.bid(b"{").status, 400),
            _ => drop(client.bid(&request("r", ",\"regs\":{\"gdpr\":1}"))),
        }
    }
    let log = kept(&folder, bidder);
    assert_eq!(log.iter().map(|line| &line["outcome"]).collect::<Vec<_>>(), ["broken"; 3]);
}

#[test]
fn the_file_is_bounded_and_goes_on_after_a_restart() {
    const BYTES: u64 = 65_536;
    let audit = format!("file = \"compliance.ndjson\"\nsample = 1\nmax_bytes = {BYTES}\nkeep = 2");
    let (folder, config) = configured("audit-turns", &audit);
    let bidder = start(&config);
    let mut client = bidder.client();
    client.debug(&request("r", ""));
    let first = kept(&folder, bidder);

    let bidder = start(&config);
    let mut client = bidder.client();
    let mut asked = first.len();
    let written = |bidder: &Bidder| bidder.metric("corebid_audit_written_total", "") as usize;
    for _ in 0..12 {
        for _ in 0..100 {
            assert_eq!(client.bid(&request("r", ",\"regs\":{\"gdpr\":1}")).status, 204);
        }
        asked += 100;
        eventually("the records written", || (written(&bidder) + first.len() == asked).then_some(()));
    }
    bidder.stop();
    let read = |name: &str| fs::read_to_string(folder.path(name)).unwrap_or_default();
    let files = ["compliance.ndjson.2", "compliance.ndjson.1", "compliance.ndjson"].map(read);
    assert!(files.iter().all(|text| text.len() as u64 <= BYTES && text.ends_with('\n')));
    assert!(!files[1].is_empty() && !folder.path("compliance.ndjson.3").exists());
    let total: usize = files.iter().map(|text| lines(text).len()).sum();
    let length: usize = files.iter().map(String::len).sum();
    assert!(total == asked || length as u64 > BYTES, "{total} of {asked} lines");
}

/// Nobody bids less because a disk is full; the alarm stands, and goes when the file can be written again.
#[test]
fn a_full_disk_does_not_keep_from_bidding() {
    let (folder, config) = configured("audit-full", "file = \"compliance.ndjson\"\nsample = 1");
    let path = folder.path("compliance.ndjson");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let bidder = start(&config);
    let mut client = bidder.client();
    let bid = |client: &mut Client| assert_eq!(client.debug(&request("r", "")).status, 200);
    bid(&mut client);
    eventually("the alarm", || (bidder.metric("corebid_audit_failing", "") == 1).then_some(()));
    let before = bidder.metric("corebid_audit_unwritten_total", "");
    assert!(before > 0, "{}", bidder.log());
    // The gauge stands before the line is written.
    let said = "compliance.ndjson: cannot write the compliance log";
    eventually("the alarm in the log", || bidder.log().contains(said).then_some(()));
    bid(&mut client);
    eventually("another record lost", || (bidder.metric("corebid_audit_unwritten_total", "") > before).then_some(()));
    assert_eq!(bidder.log().matches("cannot write the compliance log").count(), 1, "said once");

    fs::remove_file(&path).unwrap();
    bid(&mut client);
    eventually("the end of the alarm", || (bidder.metric("corebid_audit_failing", "") == 0).then_some(()));
    let log = kept(&folder, bidder);
    assert_eq!((log.len(), &log[0]["outcome"]), (1, &json!("bid")));
}

#[test]
fn a_file_that_cannot_be_written_stops_the_start() {
    for (audit, said) in [
        ("file = \"nowhere/compliance.ndjson\"", "nowhere/compliance.ndjson: cannot write the compliance log"),
        ("file = \"data\"", "data: cannot write the compliance log"),
        ("sample = 0", "corebid.toml"),
        ("max_bytes = 100", "audit.max_bytes 100"),
    ] {
        let (_folder, config) = configured("audit-mistakes", audit);
        let Refused { code, stderr } = Bidder::try_start(&["--config", &config]).unwrap_err();
        assert_eq!(code, Some(1));
        assert!(stderr.lines().last().unwrap().contains(said), "{audit}: {stderr}");
    }
}
