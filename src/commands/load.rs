//! `corebid load`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::commands::Failure;
use crate::lab::load::{self, Options};

/// What `corebid load` is told.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Where to, http://HOST:PORT/openrtb/EXCHANGE
    #[arg(long)]
    url: String,
    /// Requests per second, by schedule: latency counts from the intended send time
    #[arg(long, required_unless_present = "saturate", conflicts_with = "saturate")]
    rate: Option<u64>,
    /// How long
    #[arg(long)]
    seconds: f64,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Requests under way on one connection
    #[arg(long, default_value_t = 1)]
    pipeline: usize,
    /// The CPU of the generator
    #[arg(long)]
    core: Option<usize>,
    /// Request bodies, one JSON document a line; without it the built-in corpus
    #[arg(long)]
    corpus: Option<PathBuf>,
    /// Write an HDR interval log (V2), as HdrHistogram's tools read it
    #[arg(long)]
    hdr: Option<PathBuf>,
    /// Closed loop: every connection always has a request under way. For capacity, never for latency
    #[arg(long)]
    saturate: bool,
    /// Do not send `x-debug: 1`; shed 204s are then not told apart
    #[arg(long)]
    no_debug: bool,
    /// Send the bodies in gzip, compressed before the run, and accept answers in gzip
    #[arg(long)]
    gzip: bool,
    /// Drop a request that could not be sent within so many ms of when it was due, as an exchange does, and count it `unsent`
    #[arg(long, value_name = "MS", conflicts_with = "saturate")]
    give_up: Option<f64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let report = load::run(&Options {
        url: args.url.clone(),
        rate: args.rate.unwrap_or(0),
        seconds: args.seconds,
        connections: args.connections,
        pipeline: args.pipeline,
        core: args.core,
        corpus: args.corpus.clone(),
        hdr: args.hdr.clone(),
        saturate: args.saturate,
        debug: !args.no_debug,
        gzip: args.gzip,
        give_up_ms: args.give_up,
        live: None,
    })
    .map_err(|error| match error {
        load::Error::Target(_) | load::Error::Option(..) | load::Error::Pin(_) => Failure::usage(error),
        error => Failure::new(error),
    })?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}
