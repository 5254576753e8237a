//! `corebid simulate`: the money under virtual time, with everything going wrong.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;

use clap::ValueEnum;

use crate::commands::Failure;
use crate::lab::simulate::authority::Keeper;
use crate::lab::simulate::faults::{self, Fault};
use crate::lab::simulate::summary::Summary;
use crate::lab::simulate::trace::Trace;
use crate::lab::simulate::world::World;
use crate::lab::simulate::{Options, canary, run as simulate};

mod shrink;

/// How much money silent bids hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Every silent bid its maximum price: nothing is overspent
    Strict,
    /// All silent bids together the 1 - 1e-6 quantile of what will be billed
    Quantile,
}

/// Simulates nodes, bid cores and the authority under virtual time.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = after_help(), after_long_help = after_help())]
pub struct Args {
    /// The same seed gives the same run
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Days of 17,280 ticks
    #[arg(long, value_name = "D", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=200))]
    days: u32,
    /// Nodes
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    nodes: u16,
    /// Bid cores of each node
    #[arg(long, value_name = "C", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    cores: u8,
    /// Campaigns that share the cluster
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    campaigns: u32,
    /// So many times the usual auctions and budgets: 6,000 auctions a day and campaign, budgets of some 17, 85 and 650 impressions
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    size: u32,
    /// How much money silent bids hold
    #[arg(long, value_enum, default_value_t = Mode::Quantile)]
    mode: Mode,
    /// All exchanges tell of every loss within five seconds; otherwise most are silent
    #[arg(long)]
    told: bool,
    /// Who keeps the accounts
    #[arg(long, value_enum, default_value_t = Keeper::Rust)]
    authority: Keeper,
    /// What goes wrong: names from the list below, separated by commas; all, or none; `all,-win-jump` is all but that
    #[arg(long, value_name = "LIST|all|none", default_value = "all")]
    faults: String,
    /// Writes what the checkers were told, one JSON object a line, for scripts/recount
    #[arg(long, value_name = "F.ndjson")]
    trace: Option<PathBuf>,
    /// Breaks the protocol in one of the ways below; the run must fail
    #[arg(long, value_name = "1..5", value_parser = clap::value_parser!(u8).range(1..=5))]
    canary: Option<u8>,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
    /// Of the planned mishaps only these, by number (a replay says which)
    #[arg(long, value_name = "LIST", value_delimiter = ',', num_args = 0..)]
    only: Option<Vec<u32>>,
    /// Ends the run after so many simulated seconds
    #[arg(long, value_name = "S")]
    until: Option<u64>,
    /// Does not look for the shortest run that fails
    #[arg(long)]
    no_shrink: bool,
}

/// The names that the options take.
fn after_help() -> String {
    let mut text = String::from("Faults:\n");
    for fault in Fault::ALL {
        text += &format!("  {:<22}{}\n", fault.name(), fault.about().trim());
    }
    text += "\nCanaries:\n";
    for (number, about) in canary::ALL {
        text += &format!("  {number}  {about}\n");
    }
    text + "\nExit code 1: a violation, that of a canary included. docs/SIMULATION.md says what is checked."
}

/// The run so far, for when the code under test stops it with an assertion.
static SO_FAR: Mutex<Option<(Summary, bool, Args)>> = Mutex::new(None);

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let options = options(args)?;
    // What the machines complain of is what the nemesis does to them.
    log::set_max_level(log::LevelFilter::Off);
    let trace = match &args.trace {
        Some(path) => Trace::to(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?,
        None => Trace::default(),
    };
    // An assertion of the code under test is a violation as any other.
    std::panic::set_hook(Box::new(|panic| {
        let so_far = SO_FAR.lock().ok().and_then(|mut so_far| so_far.take());
        let Some((mut summary, json, args)) = so_far else {
            eprintln!("corebid: {panic}");
            std::process::exit(1);
        };
        let message = panic.payload_as_str().unwrap_or("an assertion");
        let place = panic.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        summary.violations += 1;
        summary.first_violations.push(format!("assertion: {message} ({place})"));
        let code = tell(&args, &summary, json);
        std::process::exit(i32::from(code));
    }));
    let note = |world: &World| {
        if let Ok(mut so_far) = SO_FAR.lock() {
            *so_far = Some((Summary::of(world), args.json, args.clone()));
        }
    };
    let summary = simulate(options, trace, note)?;
    match tell(args, &summary, args.json) {
        0 => Ok(()),
        code => Err(Failure { message: format!("{} violations", summary.violations), code }),
    }
}

/// Prints what came of it; returns the exit code.
fn tell(args: &Args, summary: &Summary, json: bool) -> u8 {
    if json {
        println!("{}", serde_json::to_string(summary).unwrap_or_default());
    } else {
        print!("{}", summary.text());
    }
    if summary.violations == 0 {
        return 0;
    }
    eprintln!("replay: {}", shrink::command(args));
    if !args.no_shrink {
        shrink::shrink(args, summary);
    }
    1
}

fn options(args: &Args) -> Result<Options, Failure> {
    let faults = match args.faults.as_str() {
        "all" => Fault::ALL.iter().copied().collect(),
        "none" | "" => BTreeSet::new(),
        list => {
            let mut faults = BTreeSet::new();
            for name in list.split(',').map(str::trim) {
                let (name, less) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
                let named = match (name, Fault::named(name)) {
                    ("all", _) => Fault::ALL.to_vec(),
                    (_, Some(fault)) => vec![fault],
                    (_, None) => {
                        let message = "corebid simulate --help lists the names";
                        return Err(Failure::usage(format!("--faults: there is no {name:?}; {message}")));
                    }
                };
                if less {
                    faults.retain(|fault| !named.contains(fault));
                } else {
                    faults.extend(named);
                }
            }
            faults
        }
    };
    Ok(Options {
        seed: args.seed,
        days: args.days,
        nodes: args.nodes,
        cores: args.cores,
        campaigns: args.campaigns,
        strict: args.mode == Mode::Strict,
        size: args.size,
        told: args.told,
        faults,
        only: args.only.as_ref().map(|only| only.iter().copied().collect()),
        canary: args.canary,
        authority: args.authority,
        until: args.until.map(|seconds| seconds * crate::lab::simulate::time::SECOND),
    })
}

/// What is planned for a run, by number.
fn planned(args: &Args) -> Vec<faults::Mishap> {
    let Ok(options) = options(args) else { return Vec::new() };
    let mut plan = faults::plan(options.seed, options.days);
    plan.retain(|mishap| {
        let only = options.only.as_ref().is_none_or(|only| only.contains(&mishap.number));
        let before = options.until.is_none_or(|until| mishap.at <= until);
        only && before && options.may(mishap.fault)
    });
    plan
}
