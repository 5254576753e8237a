//! `corebid demo`: the bidder on its embedded default, a market on loopback, and what happens.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;

use crate::bid::busy::BusyWork;
use crate::commands::Failure;
use crate::config::Config;
use crate::config::shading::Shading;
use crate::launch::{Launch, Node};
use crate::market::summary::{Second, Summary, render};
use crate::market::{corpus, exchange};
use crate::reconcile::gauges::Gauges;
use crate::shading::Arm;
use crate::snapshot::campaign::{Campaign, Goal};
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
    /// How the built-in campaigns pay: by click, as the built-in click model says how likely one is; or by impression
    #[arg(long, value_enum, default_value_t = Pay::Click, conflicts_with = "campaigns")]
    pay: Pay,
    /// How bids are shaded in first-price auctions
    #[arg(long, value_enum, default_value_t = Shade::Lognormal)]
    shading: Shade,
    /// Part of a core's time that scoring may take, in 1/1,000; with 0 every impression is valued at the average
    #[arg(long, value_name = "PER_MILLE", default_value_t = 250, value_parser = clap::value_parser!(u16).range(0..=1000))]
    time_share: u16,
    /// Log what bids were made with, and what came of them, in this folder, for `scripts/train`
    #[arg(long, value_name = "DIR")]
    training: Option<PathBuf>,
    /// Only requests that a plain banner campaign would bid on, instead of the usual mix of an exchange
    #[arg(long)]
    plain: bool,
    /// How many different requests there are
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    bodies: u32,
    /// Print one JSON object at the end and nothing before
    #[arg(long)]
    json: bool,
}

/// What the built-in campaigns pay for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Pay {
    Click,
    Impression,
}

/// The arms of shading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Shade {
    None,
    Mode,
    Logistic,
    Lognormal,
    Empirical,
}

impl Shade {
    /// In a demo of a minute, bids are judged after seconds: the market tells of a win at once.
    fn config(self) -> Shading {
        let arm = match self {
            Shade::None => Arm::None,
            Shade::Mode => Arm::Mode,
            Shade::Logistic => Arm::Logistic,
            Shade::Lognormal => Arm::LogNormal,
            Shade::Empirical => Arm::Empirical,
        };
        Shading { arm, explore: 0.02, judge_seconds: 5, ..Shading::default() }
    }
}

/// How long the bidder may take to start.
const START: Duration = Duration::from_secs(10);

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let dir = Scratch::new()?;
    let mut config = Config::demo(&dir.0);
    config.server.listen.set_port(0);
    config.score.time_share = args.time_share;
    config.training.dir.clone_from(&args.training);
    for exchange in &mut config.exchanges {
        exchange.shading = args.shading.config();
    }
    let source = match (args.campaigns, args.pay) {
        (Some(count), _) => Source::Synthetic(count as usize),
        (None, Pay::Click) => Source::Scored,
        (None, Pay::Impression) if args.training.is_some() => Source::Told,
        (None, Pay::Impression) => Source::BuiltIn,
    };
    let topology = Topology::choose(&Topology::allowed(), None, None)?;
    let node = Launch { config, source, make_keys: true, busy_work: BusyWork::NONE }.start()?;
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
            corpus: Some(match args.plain {
                true => corpus::plain(1, args.bodies as usize),
                false => corpus::corpus(1, args.bodies as usize),
            }),
            goals: goals(&node),
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

/// What a click is worth to the campaigns that pay by it, by `cid`.
fn goals(node: &Node) -> BTreeMap<String, Micros> {
    let each = |campaign: &Campaign| match campaign.goal {
        Goal::Cpc(each) => Some((campaign.id.0.to_string(), each)),
        Goal::Cpm | Goal::Cpa(_) => None,
    };
    node.campaigns().iter().filter_map(each).collect()
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
