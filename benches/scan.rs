//! The scan of a bid request, by level of instructions: `cargo bench --bench scan`. `benches/scan-rivals` has the comparison.

use std::hint::black_box;

use corebid::limits;
use corebid::wire::json::{Level, Scratch};
use corebid::wire::openrtb::request::{BidRequest, scan};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

mod bodies;

/// Enough different bodies that no branch predictor learns them by heart.
fn corpus(sizes: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    (0..2_000)
        .map(|seed| bodies::body(seed).into_bytes())
        .filter(|body| sizes.contains(&body.len()))
        .take(500)
        .collect()
}

fn bodies_scanned(criterion: &mut Criterion) {
    for (name, sizes) in [("1.5-2.5 KB", 1_500..2_500), ("2.5-5 KB", 2_500..5_000)] {
        let corpus = corpus(sizes);
        let mut group = criterion.benchmark_group(format!("scan/{name}"));
        group.throughput(Throughput::Elements(corpus.len() as u64));
        for &level in Level::ALL.iter().filter(|level| level.is_available()) {
            let mut scratch = Scratch::with_level(limits::BODY_BYTES, level);
            group.bench_function(BenchmarkId::from_parameter(format!("{level:?}")), |bencher| {
                bencher.iter(|| {
                    for body in &corpus {
                        let mut request = BidRequest::default();
                        assert!(scan(black_box(body), &mut scratch, &mut request).is_ok());
                        black_box(&request);
                    }
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, bodies_scanned);
criterion_main!(benches);
