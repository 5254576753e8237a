//! What it costs a bid core to note every request, so that those that take too long can be explained (docs/TAIL.md).
//!
//! * `cargo bench --profile quick --bench flight`: CPU time of a decision of the demo's mix, watched by nobody and noted as the server
//!   does, in turn; each request is a turn of its own, which is the dearest way. And what one reading of the ticks and of the clock takes.
//! * `valgrind --tool=callgrind BINARY count plain|noted N`: instructions of N decisions, by difference of two N.

use std::hint::black_box;
use std::path::Path;

use corebid::bid::Ask;
use corebid::bid::flight::{FlightRecorder, Tail};
use corebid::bid::probe::Blind;
use corebid::clock;
use corebid::config::Config;
use corebid::lab::bench::Bench;
use corebid::market::corpus::{self, Length, Mix};
use corebid::metrics::flight::Ended;
use corebid::metrics::stalls::Round;
use corebid::metrics::stalls::witness::Witness;
use corebid::ring::spsc;
use corebid::secrets::Key;
use corebid::snapshot::data::{Data, Source};
use corebid::units::{ExchangeId, Nanos};

/// Bodies that it goes round in, and once around is what is timed.
const BODIES: usize = 512;
/// Pairs of rounds, plain and noted.
const PAIRS: usize = 400;

struct Core {
    bench: Bench,
    bodies: Vec<Vec<u8>>,
    recorder: FlightRecorder,
    witness: Witness,
}

impl Core {
    fn new() -> Core {
        let config = Config::demo(Path::new("unused"));
        let data = Data::load(Source::demo(Some(1_000)), &Key([7; 32])).expect("built-in campaigns");
        let bench = Bench::new(&config, &data).expect("a bid core");
        let bodies = corpus::generate(7, BODIES, &Mix::default(), Length::USUAL).map(|(_, body)| body).collect();
        let (told, _) = spsc::ring(4);
        let (stalls, _) = spsc::ring(4);
        let recorder = FlightRecorder::new(Tail { threshold_ns: Nanos::MS, told });
        Core { bench, bodies, recorder, witness: Witness::open(stalls) }
    }

    /// Decides so many times.
    fn run(&mut self, noted: bool, times: usize) {
        let now = self.bench.now().boot;
        let round = Round { from: now, woke: now, ended: now, kept_ns: 0, requests: 1, usual_ns: 9_000 };
        let Core { bench, bodies, recorder, witness } = self;
        for body in bodies.iter().cycle().take(times) {
            let ask = Ask { exchange: b"generic", body, arrived: now };
            if noted {
                recorder.begin_turn();
                recorder.begin();
                black_box(bench.handle_with(ask, recorder.stamps()));
                recorder.ends(Ended::Bid);
                recorder.end(Some(ExchangeId(0)), body.len(), now, now, 0);
                recorder.is_telling(0);
                recorder.end_turn(&round, 0, witness);
            } else {
                black_box(bench.handle_with(ask, &mut Blind));
            }
        }
    }

    /// CPU time of one, ns.
    fn time(&mut self, noted: bool) -> f64 {
        let before = clock::thread_cpu();
        self.run(noted, BODIES);
        (clock::thread_cpu() - before) as f64 / BODIES as f64
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn reading(what: &str, read: impl Fn() -> u64) {
    const TIMES: u64 = 1_000_000;
    let before = clock::thread_cpu();
    (0..TIMES).for_each(|_| _ = black_box(read()));
    println!("{what}: {:.1} ns", (clock::thread_cpu() - before) as f64 / TIMES as f64);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let mut core = Core::new();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["count", which, times] => core.run(which == "noted", times.parse().expect("a number")),
        _ => {
            let (mut plain, mut differences) = (Vec::new(), Vec::new());
            for pair in 0..PAIRS + 20 {
                let first = pair % 2 == 0;
                let (one, other) = (core.time(first), core.time(!first));
                let (noted, blind) = if first { (one, other) } else { (other, one) };
                // The first ones fill the caches.
                if pair >= 20 {
                    plain.push(blind);
                    differences.push(noted - blind);
                }
            }
            let (plain, more) = (median(plain), median(differences));
            println!("a decision: {plain:.0} ns; noted: {more:+.0} ns, {:+.2} %", more * 100.0 / plain);
            reading("a reading of the ticks", clock::ticks);
            reading("a reading of the clock", || clock::boot().0);
        }
    }
}
