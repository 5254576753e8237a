//! What a look at a list costs, with lists far larger than the caches near a core: a million domains, a hundred thousand
//! networks, two thousand bots; and what the rules cost that need no list. Every question to a list is another one, so that
//! nothing is in a cache because it was just asked.

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;

use corebid::bid::edge::impossible::{Agents, Contradiction, Said};
use corebid::bid::edge::velocity::{Source, Velocity};
use corebid::limits;
use corebid::market::random::Random;
use corebid::snapshot::edge::{Edge, Files};
use corebid::wire::json::Text;
use corebid::wire::openrtb::agent::Os;
use criterion::{Criterion, criterion_group, criterion_main};

const DOMAINS: u32 = 1_000_000;
const NETWORKS: u32 = 100_000;
const BOTS: u32 = 2_000;
/// Passes over all questions; a build for debugging only shows that it works.
const PASSES: u32 = if cfg!(debug_assertions) { 1 } else { 30 };
/// Questions of each kind.
const QUESTIONS: usize = 1 << 18;

fn domain(random: &mut Random) -> String {
    let top = random.pick(&["com", "net", "org", "de", "co.uk", "info"]);
    format!("{:x}-{:x}.{top}", random.below(1 << 20), random.below(1 << 16))
}

fn write(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("corebid-bench-{}-{name}", std::process::id()));
    std::fs::write(&path, text).expect("room for a list");
    path
}

/// The lists, read from files as the bidder reads them.
fn lists() -> Arc<Edge> {
    let (mut domains, mut networks, mut bots) = (String::new(), String::new(), String::new());
    let mut random = Random::new(1);
    for _ in 0..DOMAINS {
        domains += &domain(&mut random);
        domains += "\n";
    }
    for _ in 0..NETWORKS {
        let bits = random.bits();
        match random.chance(0.2) {
            true => writeln!(networks, "{}/48", Ipv6Addr::from(0x2000 << 112 | u128::from(bits >> 4) << 64)),
            false => writeln!(networks, "{}/{}", Ipv4Addr::from(bits as u32), random.between(20, 28)),
        }
        .expect("a string takes it");
    }
    for _ in 0..BOTS {
        writeln!(bots, "{:x}bot/{}", random.below(1 << 30), random.below(9)).expect("a string takes it");
    }
    let files = Files {
        blocked_domains: Some(write("domains", &domains)),
        blocked_bundles: None,
        bots: Some(write("bots", &bots)),
        data_centers: Some(write("networks", &networks)),
    };
    let start = corebid::clock::boot();
    let mut kept = Vec::new();
    let edge = Edge::load(&files, &Arc::default(), &mut kept);
    assert!(kept.is_empty(), "lists without a mistake: {kept:?}");
    let took = corebid::clock::boot().since(start) / 1_000_000;
    println!(
        "{} domains in {} bytes, {} ranges of addresses; all lists read in {took} ms",
        edge.domains.len(),
        edge.domains.bytes(),
        edge.data_centers.len()
    );
    files.iter().for_each(|file| drop(std::fs::remove_file(file)));
    edge
}

/// On a busy machine the mean says how busy it was; the least CPU time of many passes says what a look takes.
fn least<Q>(name: &str, questions: &[Q], mut look: impl FnMut(&Q) -> bool) {
    let mut pass = || {
        let start = corebid::clock::thread_cpu();
        let found = questions.iter().filter(|question| black_box(look(question))).count();
        (corebid::clock::thread_cpu() - start, found)
    };
    let (least, found) = (0..PASSES).map(|_| pass()).min().expect("passes");
    println!("{name}: least {:.1} ns, {found} of {} found", least as f64 / questions.len() as f64, questions.len());
}

/// What no list says: does the device exist, and how often did its address come? Twice as many addresses come as are counted.
fn watches(criterion: &mut Criterion) {
    let devices: Vec<_> = include_str!("../tests/data/devices.tsv")
        .lines()
        .filter_map(|line| {
            let (kind, rest) = line.split_once('\t')?;
            let (os, ua) = rest.split_once('\t')?;
            Some((kind.parse().ok()?, Os::named(Text { raw: os.as_bytes(), escaped: false }), ua.as_bytes()))
        })
        .collect();
    let mut agents = Agents::default();
    let exists = |(kind, os, ua): &(u8, Os, &[u8])| Contradiction::of(*kind, *os, Said::of(ua)).is_some();
    let exists_as_known = |(kind, os, ua): &(u8, Os, &[u8])| Contradiction::of(*kind, *os, agents.of(ua)).is_some();
    let mut random = Random::new(2);
    let mut addresses = |v6: bool| -> Vec<String> {
        let one = |_| match v6 {
            true => Ipv6Addr::from(0x2000 << 112 | u128::from(random.bits() >> 4) << 64 | 1).to_string(),
            false => Ipv4Addr::from(random.bits() as u32).to_string(),
        };
        (0..2 * limits::VELOCITY).map(one).collect()
    };
    let (v4, v6) = (addresses(false), addresses(true));
    let mut velocity = Velocity::new(Some(100), 60);
    let now = corebid::clock::boot();
    let mut over = |text: &String| Source::of(text.as_bytes()).is_some_and(|source| velocity.over(source, now));
    least("impossible", &devices.repeat(1000), exists);
    least("impossible_known", &devices.repeat(1000), exists_as_known);
    least("velocity_v4", &v4, &mut over);
    least("velocity_v6", &v6, &mut over);
    let mut group = criterion.benchmark_group("edge");
    let mut next = devices.iter().cycle();
    group.bench_function("impossible", |bench| bench.iter(|| exists(next.next().expect("endless"))));
    for (name, addresses) in [("velocity_v4", &v4), ("velocity_v6", &v6)] {
        let mut next = addresses.iter().cycle();
        group.bench_function(name, |bench| bench.iter(|| over(next.next().expect("endless"))));
    }
    group.finish();
}

fn looks(criterion: &mut Criterion) {
    let edge = lists();
    let mut random = Random::new(1);
    let mut listed: Vec<String> = (0..DOMAINS).map(|_| domain(&mut random)).collect();
    for at in 0..QUESTIONS {
        let other = random.below(DOMAINS.into()) as usize;
        listed.swap(at, other);
    }
    listed.truncate(QUESTIONS);
    let below: Vec<String> = listed.iter().map(|domain| format!("www.{domain}")).collect();
    let free: Vec<String> = (0..QUESTIONS).map(|_| format!("www.{}", domain(&mut random).replace('-', "."))).collect();
    let v4: Vec<String> = (0..QUESTIONS).map(|_| Ipv4Addr::from(random.bits() as u32).to_string()).collect();
    let v6: Vec<String> = (0..QUESTIONS)
        .map(|_| Ipv6Addr::from(0x2000 << 112 | u128::from(random.bits() >> 4) << 64).to_string())
        .collect();
    let agents: Vec<String> = (0..1024)
        .map(|_| {
            let version = random.between(90, 140);
            format!(
                "Mozilla/5.0 (Linux; Android {}; SM-G{}) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/{version}.0.{}.{} Mobile Safari/537.36",
                random.between(9, 15),
                random.below(1000),
                random.below(7000),
                random.below(200)
            )
        })
        .collect();
    let mut group = criterion.benchmark_group("edge");
    type Look = fn(&Edge, &[u8]) -> bool;
    let looks: [(&str, &[String], Look); 6] = [
        ("domain_hit", &listed, |edge, text| edge.domains.covers(text)),
        ("domain_hit_below", &below, |edge, text| edge.domains.covers(text)),
        ("domain_miss", &free, |edge, text| edge.domains.covers(text)),
        ("address_v4", &v4, |edge, text| edge.data_centers.hold(text)),
        ("address_v6", &v6, |edge, text| edge.data_centers.hold(text)),
        ("agent_no_bot", &agents, |edge, text| edge.bots.is_bot(text)),
    ];
    for (name, questions, look) in looks {
        least(name, questions, |text| look(&edge, text.as_bytes()));
        let mut next = questions.iter().cycle();
        group.bench_function(name, |bench| {
            bench.iter(|| look(&edge, next.next().expect("endless").as_bytes()));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .sample_size(20);
    targets = watches, looks
}
criterion_main!(benches);
