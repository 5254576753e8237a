//! What the operator and the law allow: budgets, caps, segments, consent.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::notices::{Bid, decimal};
use crate::support::client::Answer;
use crate::support::process::Bidder;
use crate::support::{Folder, campaign, eventually, impression, micros, request};

/// Longer than a tick of the reconciliation core, after which it would have granted what there is.
const TICK_AND_MORE: Duration = Duration::from_secs(7);

/// One CPU for the one bid core: caps are exact there, and a loopback client always meets it.
fn cpu() -> String {
    corebid::topology::Topology::allowed().last().unwrap().to_string()
}

fn price(answer: &Answer) -> i64 {
    match &answer.json()["seatbid"][0]["bid"][0]["price"] {
        Value::Number(price) => micros(price),
        other => panic!("{other} is no price"),
    }
}

fn cids(answer: &Answer) -> Vec<u32> {
    if answer.status == 204 {
        eprintln!("no bid: {:?}", answer.reason());
        return Vec::new();
    }
    let bids = answer.json()["seatbid"][0]["bid"].take();
    bids.as_array().unwrap().iter().map(|bid| bid["cid"].as_str().unwrap().parse().unwrap()).collect()
}

/// Bids nobody bills: what they promise stays within the budget, across cores and across a power cut.
#[test]
fn a_budget_is_never_promised_twice() {
    const BUDGET: i64 = 10_000;
    const MOST: i64 = 2_000;
    let folder = Folder::new("budget");
    let config = folder.configure("debug_header = true", "", &campaign(1, "daily_budget = 0.01\n"));
    let cpus = corebid::topology::Topology::allowed();
    let cores = cpus[..cpus.len().min(2)].iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let start = || Bidder::start(&["--config", &config, "--cores", &cores]);
    // Asks over new connections, hence on all cores, until there is no bid for a while.
    let promised = |bidder: &Bidder| {
        let (mut sum, mut silent) = (0, Instant::now());
        while silent.elapsed() < TICK_AND_MORE {
            let answer = bidder.client().debug(&request("r", ""));
            if answer.status == 200 {
                let price = price(&answer);
                assert!(price <= MOST * 1000);
                sum += impression(price);
                silent = Instant::now();
            } else {
                assert_eq!(answer.reason(), Some("budget"));
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        sum
    };
    let bidder = start();
    let sum = promised(&bidder);
    assert!(sum <= BUDGET, "{sum} micros promised");
    assert!(sum > 0 && bidder.metric("corebid_nobid_total", "reason=\"budget\"") > 0);
    eprintln!("{sum} of {BUDGET} micros promised on cores {cores}");
    bidder.kill();

    // What was leased may still be billed, so the next process must not have it.
    let bidder = start();
    let again = promised(&bidder);
    assert!(sum + again <= BUDGET, "{sum} micros promised before the cut, {again} after it");
    bidder.stop();
}

/// Bills below the bid free the rest, and all of it together stays within the budget.
#[test]
fn a_budget_is_spent_and_not_overspent() {
    const BUDGET: i64 = 40_000;
    let folder = Folder::new("spent");
    let config = folder.configure("debug_header = true", "", &campaign(1, "daily_budget = 0.04\n"));
    let bidder = Bidder::start(&["--config", &config, "--cores", &cpu()]);
    let mut client = bidder.client();
    let (mut spent, mut silent) = (0, Instant::now());
    while silent.elapsed() < TICK_AND_MORE {
        let answer = client.debug(&request("r", ""));
        if answer.status == 200 {
            let half = price(&answer) / 2;
            let url = answer.json()["seatbid"][0]["bid"][0]["burl"].as_str().unwrap().to_owned();
            assert_eq!(client.get(&crate::support::client::target(&url, &decimal(half))).status, 200);
            spent += impression(half);
            silent = Instant::now();
        } else {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    assert_eq!(bidder.booked("spend_micros") as i64, spent);
    // Less than one bid at the full price is left over.
    assert!(spent <= BUDGET && spent > BUDGET - 2 * 2_000, "{spent} of {BUDGET}");
    bidder.stop();
}

/// A screen of many viewers costs more in one bid than a core is granted before its demand is known: grants follow, and the
/// budget goes to screens as to anything else.
#[test]
fn a_screen_of_many_viewers_is_bid_on_within_a_small_budget() {
    let folder = Folder::new("screen");
    let screen = campaign(1, "daily_budget = 10\n").replace("cpm = 2.00", "cpm = 2.50");
    let config = folder.configure("debug_header = true", "", &screen);
    let bidder = Bidder::start(&["--config", &config, "--cores", &cpu()]);
    let mut client = bidder.client();
    let plain = String::from_utf8(request("r", "")).unwrap();
    let body = plain.replace("\"bidfloor\"", "\"qty\":{\"multiplier\":30.3},\"bidfloor\"");
    let first = client.debug(body.as_bytes());
    assert_eq!(first.reason(), Some("budget"), "2.50 CPM for 30.3 viewers is 0.075750, the first grant less");
    for _ in 0..5 {
        let bid = eventually("a bid on the screen", || Some(client.debug(body.as_bytes())).filter(|a| a.status == 200));
        assert_eq!(cids(&bid), [1]);
    }
    bidder.stop();
}

#[test]
fn a_user_sees_a_capped_campaign_as_often_as_the_cap_says() {
    let folder = Folder::new("cap");
    let config = folder.configure("debug_header = true", "", &campaign(1, "frequency_cap = 2\n"));
    let bidder = Bidder::start(&["--config", &config, "--cores", &cpu()]);
    let mut client = bidder.client();
    let of = |user: &str| request("r", &format!(",\"user\":{{\"id\":\"{user}\"}}"));
    for user in ["u1", "u2"] {
        for _ in 0..2 {
            assert_eq!(client.debug(&of(user)).status, 200, "{user}");
        }
        for _ in 0..3 {
            assert_eq!(client.debug(&of(user)).reason(), Some("frequency_cap"), "{user}");
        }
    }
    // A billed impression counts once, not once for the bid and once for the bill.
    let answer = client.debug(&of("u3"));
    let url = answer.json()["seatbid"][0]["bid"][0]["burl"].as_str().unwrap().to_owned();
    assert_eq!(client.get(&crate::support::client::target(&url, "0.1")).status, 200);
    assert_eq!(client.debug(&of("u3")).status, 200);
    assert_eq!(client.debug(&of("u3")).reason(), Some("frequency_cap"));
    // Nobody cannot be counted, so nobody is shown it.
    assert_eq!(client.debug(&request("r", "")).reason(), Some("frequency_cap"));
    bidder.stop();
}

/// A segment campaign, a capped one and an open one, dearest first, for users that have a profile and that have none.
const THREE: [(u32, &str, &str); 3] = [
    (1, "cpm = 3.00", "[campaigns.targeting]\nsegments = { any = [1003] }\n"),
    (2, "cpm = 2.50", "frequency_cap = 1\n"),
    (3, "cpm = 2.00", ""),
];

fn three() -> String {
    THREE.iter().map(|&(id, cpm, more)| campaign(id, more).replace("cpm = 2.00", cpm)).collect()
}

#[test]
fn segments_come_from_the_profile_file() {
    let folder = Folder::new("segments");
    folder.write(
        "profiles.ndjson",
        "{\"user\":\"in\",\"segments\":[7,1003]}\n{\"user\":\"out\",\"segments\":[7]}\n\n{\"user\":\"there\",\"exchange\":\"generic\",\"segments\":[1003]}\n\
         {\"user\":\"elsewhere\",\"exchange\":\"other\",\"segments\":[1003]}\n",
    );
    let only = campaign(1, THREE[0].2);
    let config = folder.configure("debug_header = true", "profiles = \"profiles.ndjson\"", &only);
    let bidder = Bidder::start(&["--config", &config]);
    let mut client = bidder.client();
    let mut reason = |key: &str, user: &str| {
        let answer = client.debug(&request("r", &format!(",\"user\":{{\"{key}\":\"{user}\"}}")));
        answer.reason().map(str::to_owned)
    };
    // `buyeruid` is our own id and means the same user everywhere.
    assert_eq!(reason("buyeruid", "in"), None);
    assert_eq!(reason("id", "there"), None);
    for (key, user) in [("buyeruid", "out"), ("buyeruid", "unknown"), ("id", "elsewhere"), ("id", "unknown")] {
        assert_eq!(reason(key, user).as_deref(), Some("no_segment"), "{key} {user}");
    }
    bidder.stop();
}

/// Without leave the user is not looked up, not counted, and not told apart.
#[test]
fn without_consent_a_bid_is_contextual() {
    let folder = Folder::new("consent");
    folder.write("profiles.ndjson", "{\"user\":\"in\",\"segments\":[1003]}\n");
    let config = folder.configure("debug_header = true", "profiles = \"profiles.ndjson\"", &three());
    let bidder = Bidder::start(&["--config", &config, "--cores", &cpu()]);
    let mut client = bidder.client();
    let user = ",\"user\":{\"buyeruid\":\"in\"}";
    let restricted = [
        ",\"regs\":{\"coppa\":1}",
        ",\"regs\":{\"us_privacy\":\"1YYN\"}",
        ",\"regs\":{\"gpp\":\"DBABMA~1\",\"gpp_sid\":[7]}",
        ",\"regs\":{\"ext\":{\"gpc\":\"1\"}}",
    ];
    for more in restricted {
        for _ in 0..3 {
            assert_eq!(cids(&client.debug(&request("r", &format!("{user}{more}")))), [3], "{more}");
        }
    }
    // Nobody under the GDPR has consented to a bidder that is no vendor.
    for more in [",\"regs\":{\"gdpr\":1}", ",\"regs\":{\"ext\":{\"gdpr\":1}}"] {
        let answer = client.debug(&request("r", &format!("{user}{more}")));
        assert_eq!(answer.reason(), Some("no_consent"), "{more}");
    }
    let lookups = bidder.metric("corebid_profile_hits_total", "") + bidder.metric("corebid_profile_misses_total", "");
    assert_eq!(lookups, 0, "a profile was looked up without leave");
    // Nor was the cap of 1 touched: with leave the user still has it.
    assert_eq!(cids(&client.debug(&request("r", &format!("{user},\"regs\":{{\"gdpr\":0}}")))), [1]);
    folder.write("campaigns.toml", three().replace("1003", "1004"));
    bidder.signal(libc::SIGHUP);
    eventually("the capped campaign", || (cids(&client.debug(&request("r", user))) == [2]).then_some(()));
    assert_eq!(cids(&client.debug(&request("r", user))), [3]);
    bidder.stop();
}

/// The bills of contextual bids count for nobody.
#[test]
fn a_contextual_bill_is_booked_like_any_other() {
    let folder = Folder::new("contextual");
    let bidder = Bidder::demo(&folder.text("data"), "epoll");
    let mut client = bidder.client();
    let answer = client.debug(&request("r", ",\"user\":{\"id\":\"u\"},\"regs\":{\"coppa\":1}"));
    let url = answer.json()["seatbid"][0]["bid"][0]["burl"].as_str().unwrap().to_owned();
    assert_eq!(client.get(&crate::support::client::target(&url, "0.1")).status, 200);
    let _ = Bid::get(&mut client);
    assert_eq!((bidder.booked("bills"), bidder.booked("spend_micros")), (1, 100));
    bidder.stop();
}
