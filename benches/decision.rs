//! Times of the operations that `scripts/instructions` counts.

#[path = "cases/mod.rs"]
#[allow(dead_code, reason = "each bench uses its own cases")]
mod cases;

use criterion::{Criterion, criterion_group, criterion_main};

fn decision(criterion: &mut Criterion) {
    for case in cases::CASES {
        let mut operation = (case.make)();
        criterion.bench_function(case.name, |bencher| bencher.iter(&mut operation));
    }
}

criterion_group!(benches, decision);
criterion_main!(benches);
