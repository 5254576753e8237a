//! `corebid demo`.
use crate::commands::Failure;
use clap::Args as ClapArgs;

/// Args
#[derive(Debug, ClapArgs)]
pub struct Args {}

/// Runs it.
pub fn run(_: &Args) -> Result<(), Failure> {
    Ok(())
}
