//! What crossing between threads costs: rtrb, which [`corebid::ring::spsc`] stands on, beside crossbeam's `ArrayQueue`.
//!
//! `cargo bench --bench ring`

use std::hint::black_box;
use std::thread;

use corebid::ring::message::Event;
use corebid::ring::spsc;
use corebid::units::{LeaseId, Micros, Slot};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossbeam_queue::ArrayQueue;

const PLACES: usize = 4096;
const STREAM: u64 = 100_000;

fn event() -> Event {
    Event::Returned { slot: Slot(7), lease: LeaseId(9), credit: Micros(2_500) }
}

/// A push and a pop by one thread, everything in its cache: the least a message can cost.
fn push_pop(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("push_pop");
    let (mut sender, mut receiver) = spsc::ring(PLACES);
    group.bench_function("rtrb", |bench| {
        bench.iter(|| {
            let _ = sender.offer(black_box(event()));
            black_box(receiver.take())
        });
    });
    let queue = ArrayQueue::new(PLACES);
    group.bench_function("crossbeam", |bench| {
        bench.iter(|| {
            let _ = queue.push(black_box(event()));
            black_box(queue.pop())
        });
    });
    group.finish();
}

/// A stream from one thread to another.
fn stream(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream");
    group.throughput(Throughput::Elements(STREAM)).sample_size(20);
    group.bench_function("rtrb_drained_in_chunks", |bench| {
        bench.iter(|| {
            let (mut sender, mut receiver) = spsc::ring(PLACES);
            let producer = thread::spawn(move || {
                for _ in 0..STREAM {
                    while sender.offer(event()).is_err() {
                        thread::yield_now();
                    }
                }
            });
            let mut seen = 0;
            while seen < STREAM {
                match receiver.drain(1024, |event| {
                    black_box(event);
                }) {
                    0 => thread::yield_now(),
                    taken => seen += taken as u64,
                }
            }
            producer.join().unwrap();
        });
    });
    group.bench_function("crossbeam", |bench| {
        bench.iter(|| {
            let queue = std::sync::Arc::new(ArrayQueue::new(PLACES));
            let theirs = queue.clone();
            let producer = thread::spawn(move || {
                for _ in 0..STREAM {
                    while theirs.push(event()).is_err() {
                        thread::yield_now();
                    }
                }
            });
            let mut seen = 0;
            while seen < STREAM {
                match queue.pop() {
                    Some(event) => {
                        black_box(event);
                        seen += 1;
                    }
                    None => thread::yield_now(),
                }
            }
            producer.join().unwrap();
        });
    });
    group.finish();
}

criterion_group!(benches, push_pop, stream);
criterion_main!(benches);
