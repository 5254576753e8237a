//! `corebid supply …`: who sells to us, and what it is worth.

mod paths;

use clap::Subcommand;

use crate::commands::Failure;

/// Supply chains and supply paths.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// What each supply path of a running bidder brings and costs: win rate, price, duplicates, cost per win
    Paths(paths::Args),
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::Paths(args) => paths::run(args),
    }
}
