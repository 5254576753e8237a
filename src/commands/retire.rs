//! `corebid retire`: gives up what a node still holds that will not come back. docs/GUARDS.md says when, and what it risks.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::admin::operator::Retired;
use crate::commands::Failure;
use crate::commands::admin::{self, Admin};
use crate::reconcile::offline;
use crate::units::NodeId;

/// What `corebid retire` is told.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The node's number (`server.node` of its configuration)
    node: u16,
    /// The admin port of a bidder that holds the authority
    #[arg(long, value_name = "URL", default_value = admin::DEFAULT, conflicts_with = "data")]
    admin: String,
    /// The data directory of such a bidder, if it does not run
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let retired = match &args.data {
        Some(dir) => Retired::of(NodeId(args.node), offline::retire(dir, NodeId(args.node))?),
        None => Admin(&args.admin).post(&format!("/api/nodes/{}/retire", args.node))?,
    };
    if args.json {
        println!("{}", serde_json::to_string(&retired)?);
    } else {
        println!("{}", told(&retired));
    }
    Ok(())
}

fn told(retired: &Retired) -> String {
    let Retired { node, leases, micros } = retired;
    let (whole, part) = (micros / 1_000_000, micros % 1_000_000);
    format!(
        "node {node} is retired: {leases} leases given up, {whole}.{part:06} free again after the last bill can come"
    )
}
