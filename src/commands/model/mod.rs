//! `corebid model`: models from outside: taken in, asked, looked at.

mod import;
mod predict;
mod rollout;
mod show;

use clap::Subcommand;

use crate::commands::Failure;

/// Models.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read a model of LightGBM or XGBoost, check all of it, and write it as the file that `serve` maps. Exit code 1 and a
    /// reason if it cannot be taken
    Import(import::Args),
    /// Print the raw score of each row, classes separated by commas
    Predict(predict::Args),
    /// Print what a model is
    Show(show::Args),
    /// The arms that a running bidder serves: their shares, their models
    Arms(rollout::Args),
    /// Have a running bidder serve the rollout again that it served before, at once; its file is passed over until it changes
    Rollback(rollout::Args),
}

/// Runs the command.
///
/// # Errors
/// [`Failure`]: a model or a row is none, something could not be read or written, or a bidder does not do it.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::Import(args) => import::run(args),
        Action::Predict(args) => predict::run(args),
        Action::Show(args) => show::run(args),
        Action::Arms(args) => rollout::arms(args),
        Action::Rollback(args) => rollout::roll_back(args),
    }
}
