//! `corebid plan`: what a rate of requests takes (docs/CAPACITY.md).

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use crate::commands::Failure;
use crate::lab::plan::{Costs, Prices, Question, measure, plan};
use crate::limits;

/// What `corebid plan` is told.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Bid requests per second at the peak, over all machines
    #[arg(long)]
    qps: f64,
    /// Of these, on average over a month: what egress, units and the ledger are counted by
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    average: f64,
    /// Bids per request; without it what was measured
    #[arg(long, value_name = "SHARE")]
    bid_share: Option<f64>,
    /// Bids that are billed
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    win_share: f64,
    /// Bytes of a request's body; without it what was measured. CPU time is not scaled by it
    #[arg(long, value_name = "BYTES")]
    body_bytes: Option<f64>,
    /// Users whose profiles are in the store
    #[arg(long, value_name = "N", default_value_t = 0.0)]
    profiles: f64,
    /// Campaigns
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=limits::SLOTS as i64))]
    campaigns: u32,
    /// Advertisers
    #[arg(long, value_name = "N", default_value_t = 100.0)]
    advertisers: f64,
    /// How busy a bid core may be at the peak
    #[arg(long, value_name = "SHARE", default_value_t = 0.6)]
    headroom: f64,
    /// A costs file; without one, costs are measured on this host
    #[arg(long, value_name = "FILE", conflicts_with_all = ["measure", "seconds"])]
    costs: Option<PathBuf>,
    /// Where to write what was measured, as JSON for --costs
    #[arg(long, value_name = "FILE")]
    measure: Option<PathBuf>,
    /// How long to measure
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// Your prices; without a file the made-up example of deploy/prices.toml
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let question = Question {
        qps: args.qps,
        average: args.average,
        bid_share: args.bid_share,
        win_share: args.win_share,
        body_bytes: args.body_bytes,
        profiles: args.profiles,
        campaigns: args.campaigns.into(),
        advertisers: args.advertisers,
        headroom: args.headroom,
    };
    question.check().map_err(Failure::usage)?;
    let prices = match &args.prices {
        Some(path) => Prices::read(path).map_err(Failure::usage)?,
        None => Prices::example(),
    };
    let costs = match &args.costs {
        Some(path) => Costs::read(path).map_err(Failure::usage)?,
        None => measured(args)?,
    };
    if let Some(path) = &args.measure {
        let text = serde_json::to_string_pretty(&costs)? + "\n";
        fs::write(path, text).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    }
    let plan = plan(&question, &costs, &prices);
    if args.json {
        println!("{}", serde_json::to_string(&plan)?);
    } else {
        println!("{plan}");
        if args.prices.is_none() {
            println!("The prices are made up: give yours with --prices (deploy/prices.toml shows the form).");
        }
    }
    Ok(())
}

fn measured(args: &Args) -> Result<Costs, Failure> {
    if !(2.0..=600.0).contains(&args.seconds) {
        return Err(Failure::usage(format!("--seconds {}: from 2 to 600", args.seconds)));
    }
    let dir = std::env::temp_dir().join(format!("corebid-plan-{}", std::process::id()));
    fs::create_dir_all(&dir).map_err(|error| Failure::new(format!("{}: {error}", dir.display())))?;
    let measured = measure::measure(args.seconds, args.campaigns, Path::new(&dir));
    // It was for this run only.
    let _ = fs::remove_dir_all(&dir);
    measured.map_err(|why| Failure::new(format!("cannot measure: {why}; or give --costs FILE")))
}
