//! `corebid gate` (docs/GATE.md).

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand, value_parser};
use serde_json::json;

use crate::clock;
use crate::commands::Failure;
use crate::lab::gate::calibrate::{self, Recording, Trials};
use crate::lab::gate::judge::Verdict;
use crate::lab::gate::run::{Cpus, Plan, Side};
use crate::lab::gate::{self, Options, Vote};
use crate::lab::schedule::is_length;

/// What `corebid gate` is told.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// The corebid that is known
    #[arg(long, value_name = "BIN", required = true)]
    baseline: Option<PathBuf>,
    /// The corebid that is judged
    #[arg(long, value_name = "BIN", required = true)]
    candidate: Option<PathBuf>,
    /// Pairs of runs
    #[arg(long, value_name = "N", default_value_t = PAIRS, value_parser = value_parser!(u32).range(1..=500))]
    pairs: u32,
    #[command(flatten)]
    runs: Runs,
    /// The ratio of CPU time, and of latency, from which on the candidate is too slow
    #[arg(long, value_name = "X", default_value_t = TOLERANCE)]
    tolerance: f64,
    /// What `serve` of the baseline is told besides, in one word
    #[arg(long, value_name = "ARGS", default_value = "", allow_hyphen_values = true)]
    baseline_args: String,
    /// What `serve` of the candidate is told besides, in one word
    #[arg(long, value_name = "ARGS", default_value = "", allow_hyphen_values = true)]
    candidate_args: String,
    /// Fail if instructions cannot be counted; without this they are where there is valgrind
    #[arg(long, conflicts_with = "no_instructions")]
    instructions: bool,
    /// Count no instructions
    #[arg(long)]
    no_instructions: bool,
    /// Requests whose instructions are counted: rounds of the 512 that `corebid instructions` has
    #[arg(long, value_name = "N", default_value_t = 2048, value_parser = value_parser!(u64).range(1..=1_000_000))]
    counted: u64,
    /// The ratio of instructions from which on there are too many
    #[arg(long, value_name = "X", default_value_t = 1.005)]
    instruction_tolerance: f64,
    /// Makes the order within pairs, and the bootstrap, the same again
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write a report for CI systems that show test results
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a report for a merge request
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How each run is made.
#[derive(Debug, ClapArgs)]
struct Runs {
    /// Requests per second: well below what the slower of the two can do
    #[arg(long, value_name = "R", default_value_t = 20_000, value_parser = value_parser!(u64).range(1..))]
    rate: u64,
    /// How long each run is measured
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    seconds: f64,
    /// Slices in which the two of a pair take turns
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u32).range(1..=1000))]
    slices: u32,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: usize,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Record pairs of a binary with itself, and with itself slowed down, to calibrate the gate with
    Record(Record),
    /// How often the gate is wrong, by trials drawn from recorded pairs
    Resample(Resample),
}

#[derive(Debug, ClapArgs)]
struct Record {
    /// The recording; what is there stays
    file: PathBuf,
    /// The corebid
    #[arg(long, value_name = "BIN")]
    binary: PathBuf,
    /// For how long
    #[arg(long, value_name = "M")]
    minutes: f64,
    /// What candidates are slowed down by, percent
    #[arg(long, value_name = "PCT", value_delimiter = ',', default_values_t = [2, 5, 10], value_parser = value_parser!(u32).range(1..=100))]
    busy_work: Vec<u32>,
    #[command(flatten)]
    runs: Runs,
}

#[derive(Debug, ClapArgs)]
struct Resample {
    /// The recording
    file: PathBuf,
    /// Trials of each slow-down
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = value_parser!(u32).range(1..=100_000))]
    trials: u32,
    /// Pairs in a trial
    #[arg(long, value_name = "N", default_value_t = PAIRS, value_parser = value_parser!(u32).range(1..=500))]
    pairs: u32,
    /// The tolerance of the gate
    #[arg(long, value_name = "X", default_value_t = TOLERANCE)]
    tolerance: f64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Pairs of runs, unless told otherwise: the run takes some five minutes.
pub const PAIRS: u32 = 72;
/// What is tolerated, unless told otherwise.
pub const TOLERANCE: f64 = 1.03;
/// Of trials: they are the same on every machine.
const TRIALS_SEED: u64 = 41;
/// How long each process is asked before it is measured, s.
const WARM_UP: f64 = 0.5;
/// Runs are at least as long, s: a shorter one says nothing.
const SHORTEST: f64 = 0.2;
/// How the process ends when nothing is decided.
const INCONCLUSIVE: u8 = 3;

/// Compares two binaries, records, or calibrates.
pub fn run(args: &Args) -> Result<(), Failure> {
    match (&args.action, &args.baseline, &args.candidate) {
        (Some(Action::Record(args)), ..) => record(args),
        (Some(Action::Resample(args)), ..) => resample(args),
        (None, Some(baseline), Some(candidate)) => compare(args, baseline, candidate),
        (None, ..) => Err(Failure::usage("it takes --baseline BIN and --candidate BIN")),
    }
}

fn compare(args: &Args, baseline: &Path, candidate: &Path) -> Result<(), Failure> {
    is_tolerance("--tolerance", args.tolerance)?;
    is_tolerance("--instruction-tolerance", args.instruction_tolerance)?;
    let vote = match (args.instructions, args.no_instructions) {
        (true, _) => Vote::Required,
        (_, true) => Vote::Never,
        _ => Vote::IfPossible,
    };
    let options = Options {
        sides: [
            side("baseline", baseline, ("--baseline-args", &args.baseline_args))?,
            side("candidate", candidate, ("--candidate-args", &args.candidate_args))?,
        ],
        pairs: args.pairs as usize,
        plan: plan(&args.runs)?,
        tolerance: args.tolerance,
        vote,
        counted: args.counted,
        instruction_tolerance: args.instruction_tolerance,
        seed: args.seed.unwrap_or_else(|| clock::wall().0),
    };
    let report = gate::compare(&options, &mut tell)?;
    for (file, text) in [(&args.junit, report.junit()), (&args.markdown, report.markdown())] {
        if let Some(file) = file {
            std::fs::write(file, text).map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
        }
    }
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    let message = format!("{}: {}", report.verdict.label(), report.reason);
    match report.verdict {
        Verdict::Pass => Ok(()),
        Verdict::Fail => Err(Failure { message, code: 1 }),
        Verdict::Inconclusive => Err(Failure { message, code: INCONCLUSIVE }),
    }
}

fn record(args: &Record) -> Result<(), Failure> {
    if !is_length(args.minutes) {
        return Err(Failure::usage(format!("--minutes {}: not a length of time", args.minutes)));
    }
    let side = side("baseline", &args.binary, ("--binary", ""))?;
    let plan = plan(&args.runs)?;
    let (busy_work, seconds, seed) = (args.busy_work.as_slice(), args.minutes * 60.0, clock::wall().0);
    let recording = Recording { side: &side, busy_work, plan: &plan, seconds, seed };
    let made = calibrate::record(&recording, &args.file, &mut tell)?;
    println!("{made} pairs recorded to {}", args.file.display());
    Ok(())
}

fn resample(args: &Resample) -> Result<(), Failure> {
    is_tolerance("--tolerance", args.tolerance)?;
    let place = args.file.display();
    let text = std::fs::read_to_string(&args.file).map_err(|error| Failure::new(format!("{place}: {error}")))?;
    let (sessions, pairs) = calibrate::read(&text).map_err(|why| Failure::new(format!("{place}: {why}")))?;
    let how = Trials {
        trials: args.trials as usize,
        pairs: args.pairs as usize,
        tolerance: args.tolerance,
        seed: TRIALS_SEED,
    };
    let powers = calibrate::resample(&pairs, how);
    if args.json {
        println!(
            "{}",
            json!({ "sessions": sessions, "pairs": args.pairs, "tolerance": args.tolerance, "powers": powers })
        );
    } else {
        print!("{}", calibrate::table(&powers));
    }
    Ok(())
}

fn tell(what: &str) {
    eprintln!("{what}");
}

fn is_tolerance(option: &str, ratio: f64) -> Result<(), Failure> {
    match (1.0..100.0).contains(&ratio) {
        true => Ok(()),
        false => Err(Failure::usage(format!("{option} {ratio}: a ratio of 1 or more, such as 1.03"))),
    }
}

fn plan(runs: &Runs) -> Result<Plan, Failure> {
    let Runs { rate, seconds, slices, connections } = *runs;
    if !is_length(seconds) || seconds < SHORTEST {
        return Err(Failure::usage(format!("--seconds {seconds}: at least {SHORTEST}")));
    }
    if connections == 0 {
        return Err(Failure::usage("--connections 0: at least one"));
    }
    let cpus = Cpus::choose()?;
    Ok(Plan { rate, seconds, connections, slices: slices as usize, warm_up: WARM_UP, cpus })
}

/// What is the gate's own to say of `serve`.
const OURS: [&str; 3] = ["--listen", "--admin", "--data"];

fn side(name: &'static str, binary: &Path, (option, arguments): (&str, &str)) -> Result<Side, Failure> {
    gate::is_program(binary).map_err(|why| Failure::usage(format!("--{name} {why}")))?;
    let Some(arguments) = shlex::split(arguments) else {
        return Err(Failure::usage(format!("{option}: a quote is not closed in `{arguments}`")));
    };
    // It is run in folders that are not this one.
    let side = Side { name, binary: binary.canonicalize()?, arguments };
    match OURS.iter().find(|ours| side.says(ours)) {
        Some(ours) => Err(Failure::usage(format!("{option}: {ours} is chosen by the gate"))),
        None => Ok(side),
    }
}
