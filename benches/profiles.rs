//! The profile shard: what a hit costs, in the caches and beyond them; what a profile takes; and how often each way of
//! forgetting finds a user again, at equal bytes.
//!
//! `cargo bench --bench profiles`

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

#[path = "rivals/mod.rs"]
mod rivals;

use std::hint::black_box;
use std::time::Instant;

use corebid::bid::profile::cache::Cache;
use corebid::market::random::Random;
use corebid::profile::value::{self, Profile};
use corebid::units::{SegmentId, UserKey};
use rivals::{Clock, Lru, Policy, Shipped, TinyLfu};

/// A build for debugging only shows that it works.
const SMALL: bool = cfg!(debug_assertions);

fn user(n: u64) -> UserKey {
    UserKey(Random::of(7, n).bits().max(1))
}

/// How many segments a user is in: 8 to 120, most in few.
fn many(n: u64) -> usize {
    let mut random = Random::of(8, n);
    8 + (112.0 * random.unit() * random.unit()) as usize
}

/// Segments of a user: ids to 20,000, the popular ones low.
fn segments(n: u64) -> Vec<SegmentId> {
    let mut random = Random::of(9, n);
    (0..many(n)).map(|_| SegmentId((20_000.0 * random.unit() * random.unit()) as u32)).collect()
}

fn value(n: u64) -> Vec<u8> {
    let mut value = Vec::new();
    value::write(&mut segments(n), &mut Vec::new(), None, &mut value).expect("it fits");
    value
}

/// A cache with the users `0..`, until something would have to leave.
fn full(bytes: usize) -> (Cache, u64) {
    let mut cache = Cache::new(bytes);
    let mut users = 0;
    while cache.evictions() == 0 {
        cache.keep(user(users), &value(users), 0);
        users += 1;
    }
    (cache, users)
}

/// One pass over users in an order that no cache can follow; ns each.
fn hits(cache: &mut Cache, users: u64, tests: u32) -> f64 {
    let asked: Vec<UserKey> = {
        let mut random = Random::new(3);
        (0..if SMALL { 1000 } else { 4_000_000 }).map(|_| user(random.below(users))).collect()
    };
    let (start, mut found) = (Instant::now(), 0u64);
    for user in &asked {
        let Some(place) = cache.find(black_box(*user)) else { continue };
        let profile = Profile::read_checked(cache.ask(place)).unwrap_or_default();
        for test in 0..tests {
            found += u64::from(profile.segments.contains(SegmentId(black_box(test * 997))));
        }
        found += profile.segments.len() as u64;
    }
    black_box(found);
    start.elapsed().as_nanos() as f64 / asked.len() as f64
}

fn latency() {
    for (what, bytes) in [("in the second-level cache", 512 << 10), ("over ten times 32 MiB", 400 << 20)] {
        let bytes = if SMALL { 512 << 10 } else { bytes };
        let (mut cache, users) = full(bytes);
        let held = cache.held() + cache.tables();
        let plain = (0..users).filter(|n| cache.find(user(*n)).is_some()).map(|n| value(n).len()).sum::<usize>();
        let kept = cache.users();
        println!(
            "{what}: {kept} profiles of {:.0} bytes take {:.0} each, tables and all, in {:.1} MB; a hit {:.0} ns, with 10 \
             questions for a segment {:.0} ns",
            plain as f64 / kept as f64,
            held as f64 / kept as f64,
            held as f64 / 1e6,
            hits(&mut cache, users, 0).min(hits(&mut cache, users, 0)),
            hits(&mut cache, users, 10).min(hits(&mut cache, users, 10)),
        );
    }
}

/// The segments as they are, and as differences in variable length: bytes, and what a question costs.
fn representation() {
    let lists: Vec<Vec<u32>> = (0..if SMALL { 100 } else { 20_000 })
        .map(|n| {
            let mut list: Vec<u32> = segments(n).into_iter().map(|id| id.0).collect();
            list.sort_unstable();
            list.dedup();
            list
        })
        .collect();
    let packed: Vec<Vec<u8>> = lists
        .iter()
        .map(|list| {
            let (mut out, mut before) = (Vec::new(), 0);
            for id in list {
                let mut rest = id - before;
                while rest >= 0x80 {
                    out.push(rest as u8 | 0x80);
                    rest >>= 7;
                }
                out.push(rest as u8);
                before = *id;
            }
            out
        })
        .collect();
    let values: Vec<Vec<u8>> = (0..lists.len() as u64).map(value).collect();
    let ask = |has: &dyn Fn(usize, u32) -> bool| {
        let (start, mut found) = (Instant::now(), 0u32);
        let mut random = Random::new(5);
        for at in 0..lists.len() {
            for _ in 0..10 {
                found += u32::from(has(at, random.below(20_000) as u32));
            }
        }
        (start.elapsed().as_nanos() as f64 / (10 * lists.len()) as f64, found)
    };
    let (plain, a) = ask(&|at, id| {
        Profile::read_checked(&values[at]).is_some_and(|profile| profile.segments.contains(SegmentId(id)))
    });
    let (walked, b) = ask(&|at, id| {
        let (mut sum, mut part, mut shift) = (0, 0, 0);
        for byte in &packed[at] {
            part |= u32::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                sum += part;
                if sum >= id {
                    return sum == id;
                }
                (part, shift) = (0, 0);
            }
        }
        false
    });
    assert_eq!(a, b);
    let bytes = |lists: &mut dyn Iterator<Item = usize>| lists.sum::<usize>() as f64 / values.len() as f64;
    println!(
        "segments, {:.0} a user: 4 bytes each {:.0} bytes, a question {plain:.0} ns; differences {:.0} bytes, {walked:.0} ns",
        bytes(&mut lists.iter().map(Vec::len)),
        bytes(&mut lists.iter().map(|list| 4 * list.len())),
        bytes(&mut packed.iter().map(Vec::len)),
    );
}

/// Users by Zipf's law with this exponent; every `scan`th request, if not 0, and now and then a long run, is of a user who comes
/// once.
fn trace(users: u64, requests: usize, exponent: f64, scan: usize) -> Vec<u64> {
    let mut random = Random::new(11);
    let power = 1.0 - exponent;
    let most = (users as f64 + 1.0).powf(power) - 1.0;
    let mut once = users;
    (0..requests)
        .map(|at| {
            if scan > 0 && (at % scan == 0 || at % 200_000 < 60_000) {
                once += 1;
                return once;
            }
            ((((random.unit() * most) + 1.0).powf(1.0 / power)) as u64).saturating_sub(1).min(users - 1)
        })
        .collect()
}

fn hit_rates() {
    let (users, requests) = if SMALL { (10_000, 20_000) } else { (1_000_000, 4_000_000) };
    for (name, exponent, scan) in
        [("Zipf 0.8", 0.8, 0), ("Zipf 0.99", 0.99, 0), ("Zipf 0.8 and scans", 0.8, 4), ("Zipf 0.99 and scans", 0.99, 4)]
    {
        let trace = trace(users, requests, exponent, scan);
        for bytes in [4 << 20, 32 << 20] {
            let mut policies: [(&str, Box<dyn Policy>); 4] = [
                ("CLOCK", Box::new(Clock::new(bytes))),
                ("LRU", Box::new(Lru::new(bytes))),
                ("S3-FIFO (shipped)", Box::new(Shipped::new(bytes))),
                ("W-TinyLFU", Box::new(TinyLfu::new(bytes))),
            ];
            print!("{name}, {} MiB:", bytes >> 20);
            for (name, policy) in &mut policies {
                // The first third warms it up.
                let (warm, counted) = trace.split_at(requests / 3);
                warm.iter().for_each(|n| _ = policy.ask(*n));
                let hits = counted.iter().filter(|n| policy.ask(**n)).count();
                print!("  {name} {:.1} %", 100.0 * hits as f64 / counted.len() as f64);
            }
            println!();
        }
    }
}

fn main() {
    representation();
    latency();
    hit_rates();
}
