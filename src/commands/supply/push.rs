//! `corebid supply push`: what `corebid supply fetch` keeps, into DynamoDB.

use std::path::PathBuf;

use crate::commands::{Failure, stores};
use crate::store::dynamodb::dal::Dal;
use crate::store::dynamodb::sellers;
use crate::store::dynamodb::tenant::Operator;
use crate::units::AdvertiserId;

/// What `corebid supply push` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration (docs/CONFIGURATION.md); the advertiser must be one of its tenants
    #[arg(long)]
    config: PathBuf,
    /// Whose bidders are to have it
    #[arg(long, value_name = "NUMBER")]
    advertiser: u32,
    /// The folder of `corebid supply fetch`
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let (client, from, runtime) = stores::connect(&args.config)?;
    let operator = Operator::of(&from);
    let tenant = operator.tenants().of(AdvertiserId(args.advertiser));
    let tenant = tenant.ok_or_else(|| stores::no_tenant(&args.config, args.advertiser))?;
    let (written, removed) = runtime.block_on(sellers::push(&Dal::new(&client, &tenant), &args.from))?;
    match args.json {
        true => println!("{}", serde_json::json!({ "written": written, "removed": removed })),
        false => println!("{written} items written, {removed} removed"),
    }
    Ok(())
}
