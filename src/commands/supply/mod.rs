//! `corebid supply`: who may sell what, offline.

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
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::Parse(args) => parse::run(args),
    }
}
