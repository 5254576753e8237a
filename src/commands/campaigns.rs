//! `corebid campaigns`: campaigns of a file into DynamoDB, from where every bidder of the fleet has them within seconds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Subcommand;

use crate::commands::{Failure, stores};
use crate::snapshot::campaign;
use crate::store::dynamodb::campaigns;
use crate::store::dynamodb::dal::Dal;
use crate::store::dynamodb::tenant::Operator;
use crate::units::{AdvertiserId, CampaignId};

/// Campaigns that a fleet has from DynamoDB.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make an advertiser's campaigns those of a campaign file: what is not in it is removed
    Push(Push),
}

#[derive(Debug, clap::Args)]
struct Push {
    /// The configuration (docs/CONFIGURATION.md); the advertiser must be one of its tenants
    #[arg(long)]
    config: PathBuf,
    /// Whose campaigns they are; the file's of other advertisers are left out
    #[arg(long, value_name = "NUMBER")]
    advertiser: u32,
    /// The campaign file, TOML or JSON
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let Action::Push(args) = &args.action;
    let list: BTreeMap<CampaignId, String> = campaign::split(&args.file)?
        .into_iter()
        .filter(|(_, advertiser, _)| advertiser.0 == args.advertiser)
        .map(|(campaign, _, json)| (campaign, json))
        .collect();
    let (client, from, runtime) = stores::connect(&args.config)?;
    let operator = Operator::of(&from);
    let tenant = operator.tenants().of(AdvertiserId(args.advertiser));
    let tenant = tenant.ok_or_else(|| stores::no_tenant(&args.config, args.advertiser))?;
    let (written, removed) = runtime.block_on(campaigns::write(&Dal::new(&client, &tenant), &list))?;
    match args.json {
        true => println!("{}", serde_json::json!({ "campaigns": list.len(), "written": written, "removed": removed })),
        false => println!("{} campaigns: {written} written, {removed} removed", list.len()),
    }
    Ok(())
}
