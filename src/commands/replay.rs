//! `corebid replay`: sends a capture of `corebid record` again, each request when it came (docs/RECORD.md).

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args as ClapArgs;

use crate::commands::Failure;
use crate::lab::load::{self, Options, Source};
use crate::lab::recording::{MOST, Recorded};
use crate::lab::schedule::is_length;

/// What `corebid replay` is told.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The capture
    file: PathBuf,
    /// Where to, http://HOST:PORT: each request goes to its own exchange there
    #[arg(long)]
    url: String,
    /// So many times as fast
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    speed: f64,
    /// So many times, one after the other
    #[arg(long = "loop", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
    /// All requests to this exchange instead
    #[arg(long)]
    exchange: Option<String>,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The CPU of the generator
    #[arg(long)]
    core: Option<usize>,
    /// Write an HDR interval log (V2), as HdrHistogram's tools read it
    #[arg(long)]
    hdr: Option<PathBuf>,
    /// Do not send `x-debug: 1`; shed 204s are then not told apart
    #[arg(long)]
    no_debug: bool,
    /// A file that was cut is not replayed
    #[arg(long)]
    strict: bool,
    /// Print one JSON object, as `corebid load` does
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let named = |what: &dyn std::fmt::Display| Failure::new(format!("{}: {what}", args.file.display()));
    if !(args.speed.is_finite() && (0.001..=1000.0).contains(&args.speed)) {
        return Err(Failure::usage(format!("--speed {}: from 0.001 to 1000", args.speed)));
    }
    let file = fs::read(&args.file).map_err(|error| named(&error))?;
    let mut recorded = Recorded::read(&file).map_err(|why| named(&why))?;
    drop(file);
    if let Some(fault) = recorded.cut {
        let count = recorded.recording.requests.len();
        if args.strict {
            return Err(named(&format!("{fault}, after {count} requests; without --strict those are replayed")));
        }
        log::warn!("{}: {fault}; the {count} requests before are replayed", args.file.display());
    }
    if recorded.recording.requests.is_empty() {
        return Err(named(&"it has no requests"));
    }
    if recorded.every > 1 || recorded.lost > 0 {
        log::warn!(
            "{}: one request in {} was captured and {} more were lost: this is less than the load that was",
            args.file.display(),
            recorded.every,
            recorded.lost
        );
    }
    if let Some(exchange) = &args.exchange {
        recorded.recording.requests.iter_mut().for_each(|request| request.exchange.clone_from(exchange));
    }
    if recorded.bytes.saturating_mul(args.times.into()) > MOST {
        return Err(Failure::usage(format!("--loop {}: that is more than 4 GiB of requests", args.times)));
    }
    let recording = recorded.again(args.times, args.speed).map_err(|why| named(&why))?;
    let seconds = (recording.offsets_ns.last().copied().unwrap_or(0) as f64 + 1.0) / 1e9;
    if !is_length(seconds) {
        return Err(Failure::usage(format!("--speed {}: {seconds} s is not a length of time", args.speed)));
    }
    let report = load::run(&Options {
        url: format!("{}/openrtb/", args.url.trim_end_matches('/')),
        seconds,
        connections: args.connections,
        core: args.core,
        source: Source::Recorded(Arc::new(recording)),
        hdr: args.hdr.clone(),
        debug: !args.no_debug,
        ..Options::default()
    })
    .map_err(super::load::failure)?;
    if args.json {
        println!("{}", report.json());
    } else {
        println!("{report}");
    }
    Ok(())
}
