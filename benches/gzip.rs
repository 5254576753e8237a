//! gzip of bid requests, unpacked and packed, beside flate2 with zlib-rs: `cargo bench --bench gzip` (decision 0011).

use std::hint::black_box;
use std::io::Write;

use corebid::limits;
use corebid::wire::gzip::{Deflater, Inflater};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flate2::write::GzEncoder;
use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress};

mod bodies;

/// Header and trailer of a member without optional fields, bytes.
const HEADER: usize = 10;
const TRAILER: usize = 8;

/// Documents of about 2 KB, and of about 20 KB put together from them.
fn corpora() -> [(&'static str, Vec<Vec<u8>>); 2] {
    let short: Vec<Vec<u8>> =
        (0..2_000).map(|seed| bodies::body(seed).into_bytes()).filter(|body| body.len() < 2_500).take(200).collect();
    let long = short.chunks(10).map(|chunk| chunk.concat()).collect();
    [("2 KB", short), ("20 KB", long)]
}

fn packed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

fn gzip(criterion: &mut Criterion) {
    for (name, corpus) in corpora() {
        let members: Vec<Vec<u8>> = corpus.iter().map(|body| packed(body)).collect();
        let mut group = criterion.benchmark_group(format!("inflate/{name}"));
        group.throughput(Throughput::Elements(corpus.len() as u64));
        let mut inflater = Inflater::new(limits::BODY_BYTES);
        group.bench_function(BenchmarkId::from_parameter("corebid"), |bencher| {
            bencher.iter(|| {
                for member in &members {
                    black_box(inflater.inflate(member).is_ok());
                }
            });
        });
        let mut decoder = Decompress::new(false);
        let mut out = vec![0; limits::BODY_BYTES];
        group.bench_function(BenchmarkId::from_parameter("zlib-rs"), |bencher| {
            bencher.iter(|| {
                for member in &members {
                    decoder.reset(false);
                    let stream = &member[HEADER..member.len() - TRAILER];
                    let end = decoder.decompress(stream, &mut out, FlushDecompress::Finish);
                    let mut crc = Crc::new();
                    crc.update(&out[..decoder.total_out() as usize]);
                    black_box((end.is_ok(), crc.sum()));
                }
            });
        });
        group.finish();

        let mut group = criterion.benchmark_group(format!("deflate/{name}"));
        group.throughput(Throughput::Elements(corpus.len() as u64));
        let mut deflater = Deflater::new(limits::ANSWER_BUFFER);
        group.bench_function(BenchmarkId::from_parameter("corebid"), |bencher| {
            bencher.iter(|| {
                for body in &corpus {
                    black_box(deflater.deflate(body, usize::MAX).is_some());
                }
            });
        });
        let mut encoder = Compress::new(Compression::fast(), false);
        group.bench_function(BenchmarkId::from_parameter("zlib-rs"), |bencher| {
            bencher.iter(|| {
                for body in &corpus {
                    encoder.reset();
                    black_box(encoder.compress(body, &mut out, FlushCompress::Finish).is_ok());
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, gzip);
criterion_main!(benches);
