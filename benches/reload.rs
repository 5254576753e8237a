//! What a reload of a large campaign file takes, phase by phase, in CPU time of its one thread: `cargo bench --bench reload
//! [-- CAMPAIGNS]`. `scripts/reload` measures what requests notice of one.

use std::time::Duration;

use corebid::clock;
use corebid::secrets::Key;
use corebid::snapshot::campaign::{self, Slots};
use corebid::snapshot::data::{Data, Source};
use corebid::snapshot::demo;
use corebid::snapshot::edge::Files;
use corebid::snapshot::model::Linear;
use corebid::snapshot::rates::Origin;
use corebid::snapshot::{Snapshot, World};

/// As the program itself: a third of what a load does is to allocate.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // As a test, `cargo test` runs it once and small.
    let measures = arguments.iter().any(|argument| argument == "--bench");
    let count =
        arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(if measures { 100_000 } else { 100 });
    let path = std::env::temp_dir().join(format!("corebid-reload-{}.json", std::process::id()));
    let text = demo::file(Some(count));
    std::fs::write(&path, &text).expect("a file for the campaigns");
    println!("{count} campaigns, {:.1} MB of JSON, best of {ROUNDS}", text.len() as f64 / 1e6);
    drop(text);

    let mut times = [Duration::MAX; 5];
    for _ in 0..ROUNDS {
        let mut slots = Slots::new();
        let bytes = timed(&mut times[0], || std::fs::read(&path).expect("the file"));
        let campaigns = timed(&mut times[1], || campaign::parse(&path, bytes, &mut slots).expect("good campaigns"));
        assert_eq!(campaigns.len(), count);
        let snapshot = timed(&mut times[2], || Snapshot::new(1, campaigns, Linear::default(), World::default()));
        let copy = timed(&mut times[3], || snapshot.clone());
        drop(copy);
        timed(&mut times[4], || drop(snapshot));
    }
    for (phase, time) in ["read", "parse", "index", "copy for a core", "free"].iter().zip(times) {
        println!("{phase:16} {:9.1} ms", time.as_secs_f64() * 1e3);
    }

    let source = Source::Files {
        campaigns: path.clone(),
        profiles: None,
        model: None,
        scoring: Default::default(),
        rates: Origin::default(),
        geo: None,
        edge: Files::default(),
        privacy: Default::default(),
        supply: Default::default(),
    };
    let mut data = Data::load(source, &Key([0; 32])).expect("good campaigns");
    let mut whole = Duration::MAX;
    for _ in 0..ROUNDS {
        assert!(timed(&mut whole, || data.reload()).kept.is_empty(), "good campaigns");
    }
    println!("{:16} {:9.1} ms", "whole reload", whole.as_secs_f64() * 1e3);
    let _ = std::fs::remove_file(&path);
}

const ROUNDS: usize = 5;

fn timed<T>(best: &mut Duration, run: impl FnOnce() -> T) -> T {
    let start = clock::thread_cpu();
    let result = run();
    *best = (*best).min(Duration::from_nanos(clock::thread_cpu() - start));
    result
}
