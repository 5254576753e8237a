//! `corebid doctor`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::commands::Failure;
use crate::config::Config;
use crate::doctor::cpus::CpuSet;
use crate::doctor::{self, Options, roles};

/// What `corebid doctor` is told.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The configuration of the bidder, for its cores
    #[arg(long)]
    config: Option<PathBuf>,
    /// CPUs of the bid cores, 1-3 or 1,2,3; by default as `serve` chooses
    #[arg(long, value_name = "LIST", value_parser = list)]
    cores: Option<CpuSet>,
    /// CPU of the reconciliation core
    #[arg(long, value_name = "N")]
    reconcile_core: Option<usize>,
    /// CPUs for everything else; by default all that are no bid cores
    #[arg(long, value_name = "LIST", value_parser = list)]
    housekeeping: Option<CpuSet>,
    /// The network card that exchanges come by; by default that of the default route
    #[arg(long, value_name = "NAME", value_parser = nic)]
    nic: Option<String>,
    /// A tree with the /proc and /sys of a host, instead of this one
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// The process whose limits and CPUs count, such as a running bidder; by default this one
    #[arg(long)]
    pid: Option<u32>,
    /// Everything of every knob, also of those that are good
    #[arg(long)]
    all: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn list(text: &str) -> Result<CpuSet, String> {
    CpuSet::of_list(text).filter(|cpus| !cpus.is_empty()).ok_or_else(|| "no list of CPUs, as 1-3 or 1,2,3".to_owned())
}

fn nic(name: &str) -> Result<String, String> {
    roles::is_nic(name).then(|| name.to_owned()).ok_or_else(|| "no name of a network card".to_owned())
}

/// Looks, and prints.
pub fn run(args: &Args) -> Result<(), Failure> {
    let mut options = Options {
        cores: args.cores.clone(),
        reconcile_core: args.reconcile_core,
        housekeeping: args.housekeeping.clone(),
        nic: args.nic.clone(),
        root: args.root.clone(),
        pid: args.pid,
    };
    if let Some(path) = &args.config {
        let server = Config::load(path)?.server;
        options.cores = options.cores.or_else(|| server.cores.map(CpuSet::from_iter));
        options.reconcile_core = options.reconcile_core.or(server.reconcile_core);
    }
    if let Some(root) = options.root.as_deref().filter(|root| !root.is_dir()) {
        return Err(Failure::usage(format!("--root {}: no folder", root.display())));
    }
    let report = doctor::examine(&options).map_err(Failure::usage)?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.text(args.all));
    }
    Ok(())
}
