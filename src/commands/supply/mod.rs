//! `corebid supply`: who may sell what, and what each way to us is worth.

mod build;
mod fetch;
mod check;
mod parse;
mod paths;
#[cfg(feature = "stores")]
mod push;

use std::io::{self, Read};
use std::path::Path;

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
    /// Whether a request was sold by who may sell it, by the files given: exit code 0 if it passes, 1 if not or if that
    /// cannot be told
    Check(check::Args),
    /// What an ads.txt, app-ads.txt or sellers.json says, and which of its lines say nothing
    Parse(parse::Args),
    /// Fetch ads.txt, app-ads.txt and sellers.json into a folder, and keep them current
    Fetch(fetch::Args),
    /// Compile what was fetched into the table that a bidder loads
    Build(build::Args),
    /// What each supply path of a running bidder brings and costs: win rate, price, duplicates, cost per win
    Paths(paths::Args),
    /// Put what was fetched into DynamoDB, for an advertiser's bidders to have
    #[cfg(feature = "stores")]
    Push(push::Args),
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::Check(args) => check::run(args),
        Action::Parse(args) => parse::run(args),
        Action::Fetch(args) => fetch::run(args),
        Action::Build(args) => build::run(args),
        Action::Paths(args) => paths::run(args),
        #[cfg(feature = "stores")]
        Action::Push(args) => push::run(args),
    }
}

/// Compiles a folder of `corebid supply fetch` into the table that a bidder loads.
///
/// # Errors
/// The folder cannot be read or the table not be written.
#[cfg(feature = "stores")]
pub(crate) fn make_table(from: &Path, to: &Path) -> Result<(), Failure> {
    build::make(from, to, None).map(|_| ())
}

/// A file; `-` is standard input.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = if path.as_os_str() == "-" {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text).map(|_| text)
    } else {
        std::fs::read(path)
    };
    read.map_err(|error| unreadable(path, &error))
}

/// A failure of a command that prints an object even then, if it was asked for one.
fn told(json: bool, failure: Failure) -> Failure {
    if json {
        println!("{}", serde_json::json!({ "error": failure.message }));
    }
    failure
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{}: cannot read it: {error}", path.display()))
}
