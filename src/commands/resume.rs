//! `corebid stop` and `corebid resume`: whether a campaign, or an advertiser, may bid.

use clap::Args as ClapArgs;

use crate::admin::operator::Changed;
use crate::commands::Failure;
use crate::commands::admin::{self, Admin};

/// What `corebid stop` and `corebid resume` are told.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    of: Of,
    /// The admin port of the bidder
    #[arg(long, value_name = "URL", default_value = admin::DEFAULT)]
    admin: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
struct Of {
    /// The campaign
    #[arg(long, value_name = "N")]
    campaign: Option<u32>,
    /// The advertiser, with all its campaigns
    #[arg(long, value_name = "N")]
    advertiser: Option<u32>,
}

/// Stops it.
pub fn stop(args: &Args) -> Result<(), Failure> {
    change(args, "stop")
}

/// Resumes it.
pub fn resume(args: &Args) -> Result<(), Failure> {
    change(args, "resume")
}

fn change(args: &Args, verb: &str) -> Result<(), Failure> {
    let (kind, id) = match args.of {
        Of { campaign: Some(id), .. } => ("campaigns", id),
        Of { advertiser, .. } => ("advertisers", advertiser.unwrap_or_default()),
    };
    let changed: Changed = Admin(&args.admin).post(&format!("/api/{kind}/{id}/{verb}"))?;
    if args.json {
        println!("{}", serde_json::to_string(&changed)?);
    } else {
        println!("{}", told(&changed, verb));
    }
    Ok(())
}

fn told(changed: &Changed, verb: &str) -> String {
    let Changed { scope, id, before, stopped } = changed;
    match (verb, before, stopped) {
        ("stop", Some(why), _) => format!("{scope} {id} was stopped before ({why})"),
        ("stop", None, _) => format!("{scope} {id} is stopped; `corebid resume --{scope} {id}` lets it bid again"),
        (_, before, Some(why)) => {
            let was = if before.is_some() { "is resumed" } else { "was not stopped" };
            format!("{scope} {id} {was}, but its advertiser is stopped ({why}): it makes no bids")
        }
        (_, Some(why), None) => format!("{scope} {id} is resumed (it was stopped: {why})"),
        (_, None, None) => format!("{scope} {id} was not stopped"),
    }
}
