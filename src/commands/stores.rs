//! `corebid stores`: what an operator does before a fleet is started.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::commands::Failure;
use crate::config::{Config, DynamoDb};
use crate::store::dynamodb::client::Client;
use crate::store::dynamodb::tables::Table;

/// The stores of a fleet.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the tables that are missing
    Init(Where),
    /// Whether every table is there: exit code 1 if one is not
    Check(Where),
}

#[derive(Debug, clap::Args)]
struct Where {
    /// The configuration (docs/CONFIGURATION.md)
    #[arg(long)]
    config: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::Init(at) => init(at),
        Action::Check(at) => check(at),
    }
}

/// A client, its configuration, and a thread's worth of runtime for it.
pub(super) fn connect(path: &Path) -> Result<(Client, DynamoDb, tokio::runtime::Runtime), Failure> {
    let from = Config::load(path)?.stores.dynamodb;
    let none = || Failure::usage(format!("{}: there is no [stores.dynamodb] in it", path.display()));
    let from = from.ok_or_else(none)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok((Client::new(&from)?, from, runtime))
}

fn init(at: &Where) -> Result<(), Failure> {
    let (client, _, runtime) = connect(&at.config)?;
    let made = runtime.block_on(client.make_tables())?;
    let names: Vec<_> = made.iter().map(|table| client.table(*table)).collect();
    match (at.json, names.is_empty()) {
        (true, _) => println!("{}", serde_json::json!({ "made": names })),
        (false, true) => println!("every table is there"),
        (false, false) => println!("made {}", names.join(", ")),
    }
    Ok(())
}

fn check(at: &Where) -> Result<(), Failure> {
    let (client, _, runtime) = connect(&at.config)?;
    let mut missing = Vec::new();
    for table in Table::ALL {
        if !runtime.block_on(client.has_table(table))? {
            missing.push(client.table(table));
        }
    }
    if at.json {
        println!("{}", serde_json::json!({ "missing": missing }));
    }
    match missing.is_empty() {
        true if !at.json => println!("every table is there"),
        true => {}
        false => {
            let what = format!("no table {}: `corebid stores init` makes what is missing", missing.join(", "));
            return Err(Failure::new(what));
        }
    }
    Ok(())
}

pub(super) fn no_tenant(config: &Path, advertiser: u32) -> Failure {
    let config = config.display();
    Failure::usage(format!("{config}: advertiser {advertiser} is not one of stores.dynamodb.tenants"))
}
