//! `corebid supply`: who may sell what.

mod build;
mod fetch;
mod parse;

use clap::Subcommand;

use crate::commands::Failure;

/// Supply chains and the files they are checked against.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// What an ads.txt, app-ads.txt or sellers.json says, and which of its lines say nothing
    Parse(parse::Args),
    /// Fetch ads.txt, app-ads.txt and sellers.json into a folder, and keep them current
    Fetch(fetch::Args),
    /// Compile what was fetched into the table that a bidder loads
    Build(build::Args),
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::Parse(args) => parse::run(args),
        Action::Fetch(args) => fetch::run(args),
        Action::Build(args) => build::run(args),
    }
}
