//! Copies of auctions, against the exact truth: which auction each request belongs to, and when it was last bid on where.

use std::collections::HashMap;

use corebid::bid::Outcome;
use corebid::clock;
use corebid::config::Config;
use corebid::secrets::Key;
use corebid::snapshot::data::{Data, Source};
use corebid::units::Nanos;
use corebid::wire::openrtb::nobid::NoBidReason;

use crate::node::{Core, core};

/// One auction as a path puts it: ids, floors and the order of sizes are the path's own.
fn copy(auction: u32, path: u32, floor: f64) -> String {
    let (user, site) = (auction % 97, auction / 97 % 13);
    let sizes = ["{\"w\":300,\"h\":250}", "{\"w\":728,\"h\":90}"];
    let (first, second) = if path.is_multiple_of(2) { (sizes[0], sizes[1]) } else { (sizes[1], sizes[0]) };
    let more =
        ["", ",{\"id\":\"2\",\"bidfloor\":900,\"banner\":{\"w\":320,\"h\":50}}"][(auction / 97 / 13 % 2) as usize];
    // Users with an advertising id, and users known by address and agent only.
    let device = match user % 2 {
        0 => format!("\"ifa\":\"id-{user}\",\"ip\":\"198.51.100.{path}\""),
        _ => format!("\"ip\":\"203.0.113.{user}\",\"ua\":\"Mozilla/5.0\""),
    };
    format!(
        "{{\"id\":\"{path}-{auction}\",\"imp\":[{{\"id\":\"{path}\",\"tagid\":\"t{path}\",\"bidfloor\":{floor},\
         \"banner\":{{\"format\":[{first},{second}]}}}}{more}],\"site\":{{\"domain\":\"site{site}.example\"}},\
         \"device\":{{{device}}}}}"
    )
}

#[test]
fn a_core_catches_exactly_the_copies_of_what_it_bid_on() {
    const AUCTIONS: u32 = 97 * 13 * 2;
    const WINDOW: u64 = 200 * Nanos::MS;
    let data = Data::load(Source::BuiltIn, &Key([0; 32])).unwrap();
    let mut config = Config::demo(std::path::Path::new(""));
    config.edge.duplicates_ms = Some(200);
    for (cores, paths) in [(1u32, 3u32), (2, 3), (4, 5)] {
        let mut bid_on: Vec<HashMap<u32, Nanos>> = vec![HashMap::new(); cores as usize];
        let mut node: Vec<Core> = (0..cores).map(|_| core(&config, &data)).collect();
        let mut now = clock::now();
        let (mut copies, mut caught, mut shadowed) = (0, 0, 0);
        // Three rounds over all auctions, each longer than the window: the same user comes back and is no copy.
        for (turn, auction) in (0..3).flat_map(|_| 0..AUCTIONS).enumerate() {
            for path in 0..paths {
                now.boot = now.boot.after(Nanos::MS);
                // Some first paths ask too much: they get no bid, and must not shadow the next.
                let floor = if path == 0 && auction % 5 == 0 { 900.0 } else { 0.01 };
                let on = (turn as u32 * 7 + path * path * 3) % cores;
                let truth = &mut bid_on[on as usize];
                let is_copy = truth.get(&auction).is_some_and(|&at| now.boot.since(at) < WINDOW);
                copies += u32::from(path > 0);
                let outcome = node[on as usize].decide(now, &copy(auction, path, floor));
                match outcome {
                    Outcome::Bid { .. } if !is_copy && floor < 1.0 => drop(truth.insert(auction, now.boot)),
                    Outcome::NoBid(NoBidReason::Duplicate) if is_copy => caught += 1,
                    Outcome::NoBid(NoBidReason::FloorAbove) if floor > 1.0 => shadowed += 1,
                    other => panic!("auction {auction}, path {path}, a copy {is_copy}: {other:?}"),
                }
            }
        }
        let looked_up: u64 = node.iter().map(|core| core.metrics.fingerprints.get()).sum();
        println!(
            "{cores} cores, {paths} paths: {caught} of {copies} copies caught, {looked_up} looked up, {shadowed} too dear"
        );
        assert!(caught > 0 && (cores > 1 || caught + shadowed >= copies * 9 / 10));
        assert!(looked_up >= u64::from(caught));
    }
}

#[test]
fn switched_off_or_unknown_nobody_is_a_copy() {
    let data = Data::load(Source::BuiltIn, &Key([0; 32])).unwrap();
    let mut config = Config::demo(std::path::Path::new(""));
    let mut off = core(&config, &data);
    config.edge.duplicates_ms = Some(200);
    let mut on = core(&config, &data);
    let now = clock::now();
    let is_bid = |outcome| matches!(outcome, Outcome::Bid { .. });
    for path in 0..3 {
        assert!(is_bid(off.decide(now, &copy(2, path, 0.01))));
        // Without a user, without a place, or with an id that may not be used: not told from others.
        let whole = copy(2, path, 0.01);
        for (from, to) in [("\"ifa\"", "\"x\""), ("\"domain\"", "\"x\""), ("\"ifa\"", "\"lmt\":1,\"ifa\"")] {
            assert!(whole.contains(from));
            assert!(is_bid(on.decide(now, &whole.replace(from, to))), "{from} -> {to}");
        }
    }
    assert_eq!(on.metrics.fingerprints.get(), 0);
    // What differs in user, place or offer is another auction.
    assert!(is_bid(on.decide(now, &copy(2, 0, 0.01))));
    for (from, to) in
        [("id-2", "id-3"), ("site0", "site1"), ("\"w\":300", "\"w\":320"), ("\"w\":728,\"h\":90", "\"w\":1,\"h\":1")]
    {
        let whole = copy(2, 1, 0.01);
        assert!(whole.contains(from));
        assert_ne!(on.decide(now, &whole.replace(from, to)), Outcome::NoBid(NoBidReason::Duplicate), "{from}");
    }
    assert_eq!(on.decide(now, &copy(2, 1, 0.01)), Outcome::NoBid(NoBidReason::Duplicate));
}
