//! `corebid load`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use crate::commands::Failure;
use crate::lab::capacity;
use crate::lab::load::{self, Options, Source};
use crate::lab::plot::{self, Curve};
use crate::lab::report::{Report, grouped};
use crate::lab::schedule::Arrivals;

/// What `corebid load` is told.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Where to, http://HOST:PORT/openrtb/EXCHANGE
    #[arg(long)]
    url: String,
    /// Requests per second, by schedule: latency counts from the intended send time
    #[arg(long, required_unless_present_any = ["saturate", "ramp", "find_capacity"], conflicts_with = "saturate")]
    rate: Option<u64>,
    /// Requests per second that rise or fall evenly over the run
    #[arg(long, value_name = "FROM..TO", value_parser = ramp, conflicts_with_all = ["rate", "saturate", "find_capacity"])]
    ramp: Option<(u64, u64)>,
    /// In which order requests arrive at that rate: constant, poisson, burst:COUNT (so many at once), burst:COUNT@MS (so many at
    /// once every MS, what is left of the rate evenly between)
    #[arg(long, default_value = "constant", conflicts_with = "saturate")]
    arrivals: Arrivals,
    /// How long; of each step when searching
    #[arg(long)]
    seconds: f64,
    /// Seconds before that in which requests are sent and nothing is counted
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS")]
    warm_up: f64,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Requests under way on one connection
    #[arg(long, default_value_t = 1)]
    pipeline: usize,
    /// The CPU of the generator
    #[arg(long)]
    core: Option<usize>,
    /// CPUs, with a generator on each: they share the schedule and the connections
    #[arg(long, value_name = "CPU,…", value_delimiter = ',', conflicts_with = "core")]
    cores: Vec<usize>,
    /// Request bodies, one JSON document a line; several files are mixed by their weights. Without it the built-in corpus
    #[arg(long, value_name = "FILE[:WEIGHT]")]
    corpus: Vec<String>,
    /// What is drawn is drawn from this: Poisson arrivals, the order of corpora
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write an HDR interval log (V2), as HdrHistogram's tools read it
    #[arg(long)]
    hdr: Option<PathBuf>,
    /// Write the percentile curve as SVG
    #[arg(long, value_name = "SVG")]
    plot: Option<PathBuf>,
    /// Show the percentile curve, also where stdout is no terminal
    #[arg(long, conflicts_with = "json")]
    terminal: bool,
    /// Closed loop: every connection always has a request under way. For capacity, never for latency
    #[arg(long)]
    saturate: bool,
    /// The largest rate with p99 below this time, for example 2ms or 800us: doubles from --rate (1000), then closes in
    #[arg(long, value_name = "TIME", value_parser = time_us, conflicts_with_all = ["saturate", "hdr", "plot", "terminal"])]
    find_capacity: Option<f64>,
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

/// Rate at which a search begins.
const FIRST_RATE: u64 = 1000;

/// `FROM..TO`.
fn ramp(text: &str) -> Result<(u64, u64), String> {
    let ends = text.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    match ends {
        Some((from, to)) if to > 0 => Ok((from, to)),
        _ => Err(format!("`{text}` is not of the form FROM..TO, requests per second, TO at least 1")),
    }
}

/// A time with its unit, `us` or `ms`; a bare number is microseconds.
fn time_us(text: &str) -> Result<f64, String> {
    let (digits, scale) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1000.0),
        None => (text.strip_suffix("us").unwrap_or(text), 1.0),
    };
    match digits.parse::<f64>() {
        Ok(time) if time > 0.0 && time.is_finite() => Ok(time * scale),
        _ => Err(format!("`{text}` is not a time such as 2ms or 800us")),
    }
}

/// `FILE` or `FILE:WEIGHT`; a file whose name ends like a weight is found by `FILE:1`.
fn corpus(text: &str) -> (PathBuf, u32) {
    match text.rsplit_once(':').and_then(|(path, weight)| Some((path, weight.parse().ok()?))) {
        Some((path, weight)) => (path.into(), weight),
        None => (text.into(), 1),
    }
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let options = Options {
        url: args.url.clone(),
        rate: args.rate.or(args.ramp.map(|(_, to)| to)).unwrap_or(FIRST_RATE),
        ramp_from: args.ramp.map(|(from, _)| from),
        arrivals: args.arrivals,
        seconds: args.seconds,
        warm_up: args.warm_up,
        connections: args.connections,
        pipeline: args.pipeline,
        core: args.core,
        cores: args.cores.clone(),
        source: match args.corpus.as_slice() {
            [] => Source::BuiltIn,
            files => Source::Corpora(files.iter().map(|text| corpus(text)).collect()),
        },
        seed: args.seed,
        hdr: args.hdr.clone(),
        saturate: args.saturate,
        debug: !args.no_debug,
        gzip: args.gzip,
        give_up_ms: args.give_up,
        live: None,
    };
    if let Some(below_us) = args.find_capacity {
        return find(args, &options, below_us);
    }
    let report = load::run(&options).map_err(failure)?;
    if let Some(path) = &args.plot {
        write_plot(path, &report, &args.url)?;
    }
    if args.json {
        println!("{}", report.json());
        return Ok(());
    }
    println!("{report}");
    let columns = plot::columns();
    if args.terminal || columns.is_some() {
        println!("\n{}", plot::terminal(&curve(&report, ""), columns.unwrap_or(80)));
    }
    Ok(())
}

pub(super) fn failure(error: load::Error) -> Failure {
    match error {
        load::Error::Target(_) | load::Error::Option(..) | load::Error::Pin(_) => Failure::usage(error),
        error => Failure::new(error),
    }
}

fn find(args: &Args, options: &Options, below_us: f64) -> Result<(), Failure> {
    let found = capacity::find(options, below_us, |step| {
        if !args.json {
            println!("{step}");
        }
    })
    .map_err(failure)?;
    match args.json {
        true => println!("{}", serde_json::to_string(&found)?),
        false => println!("\n{found}"),
    }
    match found.capacity {
        Some(_) => Ok(()),
        None => Err(Failure::new(format!("{}: no rate held p99 below {below_us} us twice", args.url))),
    }
}

fn curve(report: &Report, name: &str) -> Curve {
    Curve { name: name.to_owned(), points: report.measured.curve() }
}

fn write_plot(path: &Path, report: &Report, url: &str) -> Result<(), Failure> {
    let title = match report.saturated {
        true => "Latency from the send time (closed loop)",
        false => "Latency from the intended send time",
    };
    let (rate, answered) = (grouped(report.achieved_rate.round() as u64), grouped(report.answered));
    let (arrivals, connections) = (&report.arrivals, report.connections);
    let about = format!("{url}: {answered} answers, {rate} a second, {arrivals} arrivals, {connections} connections");
    fs::write(path, plot::svg(title, &about, &[curve(report, url)]))
        .map_err(|error| Failure::new(format!("--plot {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_on_the_command_line_is_read() {
        assert_eq!(ramp("0..500"), Ok((0, 500)));
        assert!(["", "5", "5..", "..5", "5..0", "-1..5", "a..b"].iter().all(|text| ramp(text).is_err()));
        for (text, us) in [("2ms", 2000.0), ("800us", 800.0), ("1500", 1500.0), ("0.5ms", 500.0)] {
            assert_eq!(time_us(text).map(|time| time.to_bits()), Ok(f64::to_bits(us)), "{text}");
        }
        assert!(["", "ms", "0", "-1ms", "inf", "2s"].iter().all(|text| time_us(text).is_err()));
        assert_eq!(corpus("a.ndjson"), ("a.ndjson".into(), 1));
        assert_eq!(corpus("a.ndjson:3"), ("a.ndjson".into(), 3));
        assert_eq!(corpus("dir:with/a"), ("dir:with/a".into(), 1));
    }
}
