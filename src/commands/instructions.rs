//! `corebid instructions`: the decision on one thread, so many times, for callgrind to count (docs/GATE.md).
//!
//! Nothing of it depends on time or chance: bodies come from a seed, and the clocks of the bench stand. So two counts differ by what
//! two programs do.

use clap::{Args as ClapArgs, value_parser};
use serde::Serialize;

use crate::bid::{Ask, Outcome};
use crate::commands::Failure;
use crate::commands::serve::{self, asked};
use crate::lab::bench::Bench;
use crate::market::corpus;
use crate::secrets::Key;
use crate::snapshot::data::{Data, Source};
use crate::units::UnixMillis;

/// Bodies it goes round in: more than a branch predictor learns by heart.
const BODIES: usize = 512;
/// When everything happens: noon of 2026-01-14 UTC, a Wednesday.
const NOON: UnixMillis = UnixMillis(1_768_392_000_000);

/// What `corebid instructions` is told.
#[derive(Debug, ClapArgs)]
#[group(skip)]
pub struct Args {
    /// How many requests to decide; with `--busy-work PCT`, so many percent more
    #[arg(long, default_value_t = 2048, value_parser = value_parser!(u64).range(1..=100_000_000))]
    count: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    serve: serve::Args,
}

/// What was decided.
#[derive(Debug, Serialize)]
struct Decided {
    /// Requests.
    requests: u64,
    /// Of these, with bids.
    bids: u64,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let (config, source) = asked(&args.serve)?;
    let key = match &source {
        Source::Files { .. } => Key::read(&config.data.user_key_file)?,
        _ => Key([0; 32]),
    };
    let data = Data::load(source, &key)?;
    data.check(&config)?;
    let mut bench = Bench::new(&config, &data)?;
    bench.stand_at(NOON);
    let bodies = corpus::corpus(1, BODIES);
    let exchange = config.exchanges[0].path.as_bytes();
    let requests = args.count + (args.count as f64 * args.serve.busy_work / 100.0).round() as u64;
    let mut bids = 0;
    for body in bodies.iter().cycle().take(requests as usize) {
        let outcome = bench.handle(Ask { exchange, body, arrived: bench.now().boot });
        bids += u64::from(matches!(outcome, Outcome::Bid { .. }));
    }
    let decided = Decided { requests, bids };
    if args.json {
        println!("{}", serde_json::to_string(&decided)?);
    } else {
        println!("{requests} requests decided, {bids} with bids");
    }
    Ok(())
}
