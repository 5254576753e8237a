//! `corebid demo`: the bidder on its embedded default, a market on loopback, and what happens.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;

use crate::commands::Failure;
use crate::config::Config;
use crate::launch::{Launch, Node};
use crate::market::exchange;
use crate::market::summary::{Second, Summary, render};
use crate::reconcile::gauges::Gauges;
use crate::snapshot::data::Source;
use crate::topology::Topology;
use crate::units::{Micros, Slot};

/// What `corebid demo` is told.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// How long
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Bid requests per second
    #[arg(long, default_value_t = 2_000)]
    rate: u64,
    /// N synthetic campaigns with overlapping predicates instead of the built-in ones
    #[arg(long, value_name = "N")]
    campaigns: Option<u32>,
    /// Print one JSON object at the end and nothing before
    #[arg(long)]
    json: bool,
}

/// How long the bidder may take to start.
const START: Duration = Duration::from_secs(10);

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let dir = Scratch::new()?;
    let mut config = Config::demo(&dir.0);
    config.server.listen.set_port(0);
    let topology = Topology::choose(&Topology::allowed(), None, None)?;
    let node = Launch { config, source: Source::demo(args.campaigns), make_keys: true, busy_work: 0 }.start()?;
    wait_until_funded(&node)?;
    if !args.json {
        println!("bidder on http://{}, {} campaigns; the market opens\n", node.address, node.campaigns().len());
        println!("{}", Second::HEADER);
    }
    let held = exchange::run(
        &exchange::Options {
            url: format!("http://{}/openrtb/generic", node.address),
            rate: args.rate,
            seconds: args.seconds,
            // The bid core keeps its CPU to itself where there are two.
            core: Some(topology.reconcile),
            ..exchange::Options::default()
        },
        |second| {
            if !args.json {
                println!("{second}");
                let _ = std::io::stdout().flush();
            }
        },
    );
    let (gauges, slots) = (node.gauges.clone(), slots(&node));
    node.drain()?;
    let booked = booked(&gauges, &slots);
    let summary = Summary { booked: Some(booked), ..held? };
    if args.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        print!("{}", render(&summary));
    }
    match summary.agrees() {
        Some(false) if summary.notices.undelivered == 0 => {
            Err(Failure::new("the bidder's books differ from the market's"))
        }
        _ => Ok(()),
    }
}

fn wait_until_funded(node: &Node) -> Result<(), Failure> {
    const STEP: Duration = Duration::from_millis(2);
    for _ in 0..START.as_millis() / STEP.as_millis() {
        if node.is_funded() {
            return Ok(());
        }
        #[allow(clippy::disallowed_methods, reason = "a person waits here, not a request")]
        std::thread::sleep(STEP);
    }
    Err(Failure::new(format!("the bidder had no lease after {} s; is the disk writable?", START.as_secs())))
}

/// The slots of the campaigns, by `cid`.
fn slots(node: &Node) -> Vec<(String, Slot)> {
    node.campaigns().iter().map(|campaign| (campaign.id.0.to_string(), campaign.slot)).collect()
}

/// What the bidder has booked for every campaign that was billed, as its authority said last.
fn booked(gauges: &Gauges, slots: &[(String, Slot)]) -> BTreeMap<String, Micros> {
    let spent = slots.iter().map(|(cid, slot)| (cid.clone(), gauges.spend(*slot)));
    spent.filter(|(_, spent)| *spent != Micros::ZERO).collect()
}

/// A folder that goes when the demo does.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch, Failure> {
        let dir = std::env::temp_dir().join(format!("corebid-demo-{}", std::process::id()));
        std::fs::create_dir_all(&dir).map_err(|error| Failure::new(format!("{}: {error}", dir.display())))?;
        Ok(Scratch(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
