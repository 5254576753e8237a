//! The scanner beside serde_json, simd-json and sonic-rs, one after the other on every body, in one run.
//!
//! `cargo run --release -- [NDJSON [NAME]]` prints nanoseconds per body: the median of 200 rounds over each corpus.
//! The rivals deserialise the same fields into borrowed structs; lists and subtrees read later are `&RawValue` where a
//! library has one.

use std::hint::black_box;
use std::time::Instant;

use corebid::wire::json::{Level, Scratch};
use corebid::wire::openrtb::request::{BidRequest, scan};

#[path = "../../bodies.rs"]
mod bodies;
mod typed;

fn corpora() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let path = std::env::args().nth(1);
    let samples =
        path.map(|path| std::fs::read_to_string(path).expect("a readable file of bodies")).unwrap_or_default();
    let samples: Vec<_> = samples.lines().map(|line| line.as_bytes().to_vec()).collect();
    let generated: Vec<_> = (0..1000).map(|seed| bodies::body(seed).into_bytes()).collect();
    let (small, large) = generated.into_iter().partition(|body| body.len() < 2500);
    vec![("samples", samples), ("generated < 2.5 KB", small), ("generated 2.5-5 KB", large)]
}

fn main() {
    let mut levels: Vec<_> = Level::ALL
        .iter()
        .filter(|level| level.is_available())
        .map(|&level| Scratch::with_level(1 << 20, level))
        .collect();
    for (name, corpus) in corpora() {
        if corpus.is_empty() {
            continue;
        }
        let bytes: usize = corpus.iter().map(Vec::len).sum();
        println!("{name}: {} bodies, {} bytes each on average", corpus.len(), bytes / corpus.len());
        let mut contestants: Vec<(String, Box<dyn FnMut(&[u8]) -> bool + '_>)> = Vec::new();
        for scratch in &mut levels {
            contestants.push((
                format!("corebid {scratch_level:?}", scratch_level = scratch.level()),
                Box::new(move |body| {
                    let mut request = BidRequest::default();
                    scan(body, scratch, &mut request).is_ok() & (black_box(&request).imps.len() > 0)
                }),
            ));
        }
        contestants.push((
            "serde_json, typed".into(),
            Box::new(|body| black_box(serde_json::from_slice::<typed::BidRequest<'_>>(body)).is_ok()),
        ));
        contestants.push((
            "sonic-rs, typed".into(),
            Box::new(|body| black_box(sonic_rs::from_slice::<typed::BidRequest<'_>>(body)).is_ok()),
        ));
        let (mut copy, mut buffers) = (Vec::new(), simd_json::Buffers::default());
        contestants.push((
            "simd-json, typed (with the copy it needs)".into(),
            Box::new(move |body| {
                copy.clear();
                copy.extend_from_slice(body);
                black_box(simd_json::serde::from_slice_with_buffers::<typed::Owned<'_>>(&mut copy, &mut buffers))
                    .is_ok()
            }),
        ));
        let (mut copy, mut buffers) = (Vec::new(), simd_json::Buffers::default());
        contestants.push((
            "simd-json, tape only (with the copy)".into(),
            Box::new(move |body| {
                copy.clear();
                copy.extend_from_slice(body);
                black_box(simd_json::to_tape_with_buffers(&mut copy, &mut buffers)).is_ok()
            }),
        ));
        contestants.push((
            "serde_json, IgnoredAny (checks only)".into(),
            Box::new(|body| black_box(serde_json::from_slice::<serde::de::IgnoredAny>(body)).is_ok()),
        ));
        contestants.push(("single pass (checks only)".into(), Box::new(|body| black_box(single::check(body)))));
        if let Some(only) = std::env::args().nth(2) {
            contestants.retain(|(name, _)| name.contains(&only));
        }
        let mut times = vec![Vec::new(); contestants.len()];
        let mut failed = vec![0; contestants.len()];
        for round in 0..201 {
            for (n, (_, run)) in contestants.iter_mut().enumerate() {
                let start = Instant::now();
                let mut ok = 0;
                for body in &corpus {
                    ok += usize::from(run(black_box(body)));
                }
                if round > 0 {
                    times[n].push(start.elapsed().as_nanos() as f64 / corpus.len() as f64);
                }
                failed[n] = corpus.len() - ok;
            }
        }
        for (n, (name, _)) in contestants.iter().enumerate() {
            times[n].sort_by(f64::total_cmp);
            let median = times[n][times[n].len() / 2];
            let (low, high) = (times[n][0], times[n][times[n].len() * 9 / 10]);
            println!(
                "  {name:<44} {median:>8.0} ns   (least {low:.0}, p90 {high:.0}; {:.2} GB/s){}",
                bytes as f64 / corpus.len() as f64 / median,
                if failed[n] > 0 { format!("   {} refused", failed[n]) } else { String::new() }
            );
        }
    }
}
mod single;
