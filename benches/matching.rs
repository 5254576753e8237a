//! How long does a match take, and does it grow with the candidates or with the campaigns?
//!
//! Run with `cargo bench --bench matching`. Requests are drawn from the law the synthetic campaigns are drawn from. For each
//! number of campaigns the mean number of candidates and the index's size are printed, then `query` (once per request) and
//! `candidates` (once per impression) are measured over all requests; `like` takes only requests with 3 to 8 candidates, so
//! that numbers of campaigns can be compared at the same number of candidates. The least thread CPU time of a hundred passes is
//! printed as well.

use std::hint::black_box;

use corebid::snapshot::campaign::Slots;
use corebid::snapshot::demo::{self, Draw};
use corebid::snapshot::targeting::{Asked, Candidates, Index, Offer, Query};
use corebid::units::{CpmMicros, UnixMillis};
use corebid::wire::openrtb::request::{Channel, Size};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

struct Request {
    country: &'static str,
    region: &'static str,
    device: u8,
    app: bool,
    domain: String,
    bundle: String,
    sizes: Vec<Size>,
}

fn requests(count: usize) -> Vec<Request> {
    let mut draw = Draw::new(7);
    let request = |_| {
        let (country, region) = draw.place();
        let rank = draw.site();
        Request {
            country,
            region,
            device: draw.device(),
            app: draw.chance(0.4),
            domain: format!("www.{}", demo::site(rank)),
            bundle: demo::bundle(rank),
            sizes: (0..1 + draw.below(3)).map(|_| draw.size()).collect(),
        }
    };
    (0..count).map(request).collect()
}

impl Request {
    fn asked(&self) -> Asked<'_> {
        Asked {
            country: self.country.as_bytes(),
            region: self.region.as_bytes(),
            device: self.device,
            channel: if self.app { Channel::App } else { Channel::Site },
            domain: self.domain.as_bytes(),
            bundle: self.bundle.as_bytes(),
            publisher: b"pub-1",
            exchange: b"generic",
            now: UnixMillis(1_767_225_600_000),
        }
    }

    fn offer(&self) -> Offer<'_> {
        Offer { sizes: &self.sizes, floor: CpmMicros(500_000) }
    }
}

fn matching(criterion: &mut Criterion) {
    let requests = requests(4096);
    let mut group = criterion.benchmark_group("matching");
    for n in [1_000, 10_000, 100_000] {
        let index = Index::build(&demo::synthetic(n, &mut Slots::new()));
        let mut out = Candidates::new();
        let all: Vec<(Query, &Request)> =
            requests.iter().map(|request| (index.query(&request.asked()), request)).collect();
        let mut counts: Vec<usize> = Vec::new();
        let mut like: Vec<(Query, &Request)> = Vec::new();
        for (query, request) in &all {
            index.candidates(query, &request.offer(), &mut out);
            counts.push(out.len());
            if (3..=8).contains(&out.len()) {
                like.push((query.clone(), request));
            }
        }
        counts.sort_unstable();
        let mean = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
        println!(
            "{n} campaigns: candidates mean {mean:.1}, median {}, p95 {}, most {}; {} alike; {:?}",
            counts[counts.len() / 2],
            counts[counts.len() * 95 / 100],
            counts[counts.len() - 1],
            like.len(),
            index.extent()
        );
        group.throughput(Throughput::Elements(requests.len() as u64));
        group.bench_function(format!("query/{n}"), |bench| {
            bench.iter(|| requests.iter().for_each(|request| drop(black_box(index.query(&request.asked())))));
        });
        let run = |set: &[(Query, &Request)], out: &mut Candidates| {
            for (query, request) in set {
                black_box(index.candidates(query, &request.offer(), out));
            }
        };
        // On a busy machine the mean says how busy it was; the least CPU time of many passes says what the work takes.
        let mut least = |set: &[(Query, &Request)]| {
            let pass = |_| {
                let start = corebid::clock::thread_cpu();
                run(set, &mut out);
                corebid::clock::thread_cpu() - start
            };
            (0..100).map(pass).min().unwrap_or(0) as f64 / set.len() as f64
        };
        println!("{n} campaigns: least CPU time {:.0} ns, of those alike {:.0} ns", least(&all), least(&like));
        group.bench_function(format!("candidates/{n}"), |bench| bench.iter(|| run(&all, &mut out)));
        group.throughput(Throughput::Elements(like.len() as u64));
        group.bench_function(format!("like/{n}"), |bench| bench.iter(|| run(&like, &mut out)));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2))
        .sample_size(20);
    targets = matching
}
criterion_main!(benches);
