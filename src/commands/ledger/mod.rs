//! `corebid ledger`: the ledger from outside. All of it only reads, takes no lock, and works while `serve` writes.

mod dump;
mod export;
mod verify;

use clap::Subcommand;

use crate::commands::Failure;

/// The ledger.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check every segment, the chain of hashes over all of them, and heads that were told. Exit code 1 if something does
    /// not hold
    Verify(verify::Args),
    /// Print the records, one JSON object a line, oldest first
    Dump(dump::Args),
    /// Copy closed segments out, each with a manifest, for write-once storage. What is there already is compared, never
    /// written over
    Export(export::Args),
}

/// Runs the command.
///
/// # Errors
/// [`Failure`]: the ledger does not hold, or something could not be read or written.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::Verify(args) => verify::run(args),
        Action::Dump(args) => dump::run(args),
        Action::Export(args) => export::run(args),
    }
}
