//! Addresses and users that ask too often: through the whole decision, and against the whole history of each source.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use corebid::bid::Outcome;
use corebid::bid::edge::velocity::Velocity;
use corebid::clock;
use corebid::config::{self, Config};
use corebid::limits;
use corebid::market::random::Random;
use corebid::secrets::Key;
use corebid::snapshot::data::{Data, Source};
use corebid::units::{Nanos, Now};
use corebid::wire::openrtb::nobid::NoBidReason;
use proptest::prelude::*;

use crate::node::{Core, core};

/// A core that limits, with data that bid on everything below.
fn limited(per_ip: Option<u32>, per_user: Option<u32>, more: impl FnOnce(&mut Config)) -> Core {
    let mut config = Config::demo(std::path::Path::new(""));
    config.edge.velocity = Some(config::Velocity { per_ip, per_user, seconds: 10 });
    more(&mut config);
    core(&config, &Data::load(Source::BuiltIn, &Key([0; 32])).unwrap())
}

/// A request with these members of `device`, and more of its own.
fn request(device: &str, more: &str) -> String {
    format!(
        "{{\"id\":\"r\",\"imp\":[{{\"id\":\"1\",\"bidfloor\":0.01,\"banner\":{{\"w\":300,\"h\":250}}}}],\
         \"site\":{{\"domain\":\"news.example\"}},\"device\":{{{device}}}{more}}}"
    )
}

fn ip(ip: &str) -> String {
    request(&format!("\"ip\":\"{ip}\""), "")
}

/// How many of `times` requests at this moment get a bid; the others are too many.
fn bids(core: &mut Core, now: Now, body: &str, times: u32) -> u32 {
    (0..times)
        .filter(|_| match core.decide(now, body) {
            Outcome::Bid { .. } => true,
            Outcome::NoBid(NoBidReason::Velocity) => false,
            other => panic!("{other:?} for {body}"),
        })
        .count() as u32
}

fn later(now: Now, seconds: u64) -> Now {
    Now { boot: now.boot.after(seconds * Nanos::SECOND), ..now }
}

#[test]
fn an_address_has_its_limit_and_a_quiet_window_restores_it() {
    let mut core = limited(Some(5), None, |_| ());
    let now = clock::now();
    assert_eq!(bids(&mut core, now, &ip("203.0.113.9"), 20), 5);
    // Others are others; the same address in another writing is not.
    assert_eq!(bids(&mut core, now, &ip("203.0.113.8"), 5), 5);
    assert_eq!(bids(&mut core, now, &request("\"ipv6\":\"::ffff:203.0.113.9\"", ""), 1), 0);
    // Keeping at it keeps it out, a window without a request lets it in, and two windows forget it.
    for second in 1..30 {
        assert_eq!(bids(&mut core, later(now, second), &ip("203.0.113.9"), 1), 0, "{second}");
    }
    assert_eq!(bids(&mut core, later(now, 41), &ip("203.0.113.9"), 1), 1);
    assert_eq!(bids(&mut core, later(now, 41 + 20), &ip("203.0.113.9"), 9), 5);
}

#[test]
fn an_ipv6_subscriber_is_counted_whole() {
    let mut core = limited(Some(5), None, |_| ());
    let now = clock::now();
    let host = |network: u16, host: u16| request(&format!("\"ipv6\":\"2001:db8:1:{network:x}::{host:x}\""), "");
    let passed: u32 = (1..=20).map(|number| bids(&mut core, now, &host(7, number), 1)).sum();
    assert_eq!(passed, 5);
    assert_eq!(bids(&mut core, now, &host(8, 1), 9), 5);
}

#[test]
fn who_is_no_single_subscriber_is_not_counted() {
    let mut core = limited(Some(2), None, |_| ());
    let now = clock::now();
    for address in ["203.0.113.0", "2001:db8:1:7::", "10.0.0.7", "100.64.3.4", "::1", "", "unknown"] {
        assert_eq!(bids(&mut core, now, &ip(address), 9), 9, "{address:?}");
    }
    // An exchange that tests is no crowd.
    assert_eq!(bids(&mut core, now, &request("\"ip\":\"203.0.113.9\"", ",\"test\":1"), 9), 9);
    // The address that is somebody's counts, whichever field it is in.
    assert_eq!(bids(&mut core, now, &request("\"ip\":\"10.0.0.7\",\"ipv6\":\"2001:db8:1:7::1\"", ""), 9), 2);
}

#[test]
fn a_user_is_counted_only_if_it_may_be_known() {
    let now = clock::now();
    let users = [
        ("\"ip\":\"203.0.113.9\"", ",\"user\":{\"id\":\"u1\"}"),
        ("", ",\"user\":{\"buyeruid\":\"u1\"}"),
        ("\"ifa\":\"u1\"", ""),
    ];
    let mut core = limited(None, Some(3), |_| ());
    for (device, user) in users {
        // Each kind of id is a name space of its own; addresses are not limited here.
        assert_eq!(bids(&mut core, now, &request(device, user), 9), 3, "{device}{user}");
    }
    assert_eq!(bids(&mut core, now, &ip("203.0.113.9"), 9), 9);
    for regs in ["{\"coppa\":1}", "{\"gpp\":\"DBAA\",\"gpp_sid\":[7]}", "{\"us_privacy\":\"1YYN\"}"] {
        let mut core = limited(None, Some(3), |_| ());
        for (device, user) in users {
            let body = request(device, &format!("{user},\"regs\":{regs}"));
            assert_eq!(bids(&mut core, now, &body, 9), 9, "{body}");
        }
        // Nor did it count when it could not be known.
        assert_eq!(bids(&mut core, now, &request(users[2].0, ""), 9), 3);
    }
    // The address is counted all the same: against fraud, and without a law that asks for leave.
    let mut core = limited(Some(3), Some(3), |_| ());
    assert_eq!(bids(&mut core, now, &request("\"ip\":\"203.0.113.9\",\"lmt\":1", ""), 9), 3);
}

#[test]
fn who_was_turned_away_before_is_not_counted() {
    let mut core = limited(Some(3), Some(3), |config| {
        config.exchanges[0].countries.exclude = vec!["PRK".into()];
        config.edge.impossible_devices = true;
    });
    let now = clock::now();
    let device = "\"ip\":\"203.0.113.9\",\"ifa\":\"u\"";
    for (refused, reason) in [
        (request(device, ",\"cur\":[\"XXX\"]"), NoBidReason::Currency),
        (request(&format!("{device},\"geo\":{{\"country\":\"PRK\"}}"), ""), NoBidReason::GeoFilter),
        (request(&format!("{device},\"os\":\"Roku\",\"ua\":\"x (iPhone)\""), ""), NoBidReason::ImpossibleDevice),
    ] {
        for _ in 0..9 {
            assert_eq!(core.decide(now, &refused), Outcome::NoBid(reason), "{refused}");
        }
    }
    assert_eq!(bids(&mut core, now, &request(device, ""), 9), 3);
}

/// A flood of sources, each once, over a table that holds a tenth of them: those who come too often are found among them, and
/// nobody else is turned away.
#[test]
fn a_flood_pushes_out_its_own_and_turns_away_nobody_else() {
    const LIMIT: u32 = 20;
    const FLOOD: usize = 10 * limits::VELOCITY;
    const HEAVY: u32 = 1000;
    let mut table = Velocity::new(Some(LIMIT), 60);
    let mut random = Random::new(7);
    let (mut now, mut refused) = (Nanos(1), HashMap::<u32, u32>::new());
    for number in 0..FLOOD {
        now = now.after(20_000);
        // One in ten requests is of one of a thousand who come 260 times in the 52 seconds of the flood.
        let source = if number.is_multiple_of(10) { random.below(HEAVY.into()) as u32 } else { HEAVY + number as u32 };
        if table.over(Ipv4Addr::from_bits(source), now) {
            *refused.entry(source).or_default() += 1;
        }
    }
    assert!(refused.keys().all(|&source| source < HEAVY), "somebody who came once was turned away");
    let of_heavy: u32 = refused.values().sum();
    println!("{} of {HEAVY} found, {of_heavy} of {} requests of theirs turned away", refused.len(), FLOOD / 10);
    assert_eq!(refused.len(), HEAVY as usize);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Against all that each source ever asked: who was never over the limit in any window is never turned away, and who
    /// was over twice the limit in the last window always is. In between it depends on what came before.
    #[test]
    fn between_the_limit_and_twice_the_limit(
        limit in 1u32..30,
        seconds in 1u32..20,
        steps in prop::collection::vec((0u8..6, 0u64..3_000), 1..600),
    ) {
        let window = u64::from(seconds) * Nanos::SECOND;
        let mut table = Velocity::new(Some(limit), seconds);
        let mut history: HashMap<u8, Vec<Nanos>> = HashMap::new();
        let mut ever_over: HashMap<u8, bool> = HashMap::new();
        let mut now = Nanos(1);
        for (source, ms) in steps {
            now = now.after(ms * Nanos::MS / 8);
            let times = history.entry(source).or_default();
            times.push(now);
            let last = times.iter().filter(|&&time| now.since(time) < window).count() as u32;
            let ever = ever_over.entry(source).or_default();
            *ever |= last > limit;
            let over = table.over(source, now);
            prop_assert!(!over || *ever, "{} in the last window, never more than {}", last, limit);
            prop_assert!(over || last <= 2 * limit, "{} in the last window of {}", last, limit);
        }
    }
}
