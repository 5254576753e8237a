//! `corebid explain`: the decision for one request, without a network.
//!
//! The production path decides, and reports to a [`Witness`] what it sees; nothing is decided a second time.

mod arithmetic;
mod obstacles;
mod print;
mod witness;

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde::Serialize;
use serde_json::{Value, json};

use crate::bid::{Ask, Outcome};
use crate::commands::Failure;
use crate::commands::serve::demo;
use crate::config::{Config, Exchange};
use crate::lab::bench::Bench;
use crate::secrets::Key;
use crate::snapshot::data::{Data, Source};
use crate::wire::openrtb::nobid::NoBidReason;
use witness::{Considered, Node, Told, Witness, count};

/// What `corebid explain` is told.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// A file with one BidRequest; `-` is standard input
    #[arg(long)]
    request: PathBuf,
    /// The configuration
    #[arg(long, required_unless_present = "demo")]
    config: Option<PathBuf>,
    /// The built-in campaigns, or N synthetic ones
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, conflicts_with = "config", value_parser = demo())]
    demo: Option<Option<u32>>,
    /// The exchange it is taken to come from; by default the first of the configuration
    #[arg(long)]
    exchange: Option<String>,
    /// Only this campaign, and all there is to say of it
    #[arg(long, value_name = "ID")]
    campaign: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The decision and how it came about.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// `bid`, `no_bid` or `broken`.
    outcome: &'static str,
    /// The HTTP status of the answer.
    status: u16,
    /// Why there is no bid.
    reason: Option<&'static str>,
    /// The exchange's code for the reason.
    nbr: Option<u16>,
    /// CPM of the (first) bid, as it stands in the response.
    price: Option<Value>,
    /// The stages that were entered, in order.
    stages: Vec<&'static str>,
    /// What was decided at each of them.
    tree: Vec<Node>,
    /// Each campaign, for each impression.
    campaigns: Vec<Considered>,
    /// The body of the answer, read.
    response: Option<Value>,
    /// The body of the answer, as it goes out; empty if there is none.
    bytes: String,
    /// How long that is.
    length: usize,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let body = read(&args.request)?;
    let (mut config, data) = match &args.config {
        Some(path) => {
            let config = Config::load(path)?;
            let data = Data::load(Source::files(&config), &Key::read(&config.data.user_key_file)?)?;
            (config, data)
        }
        None => (Config::demo(Path::new("")), Data::load(Source::demo(args.demo.flatten()), &Key([0; 32]))?),
    };
    data.check(&config)?;
    // What is explained is what is best by what is known, and no draw.
    config.exchanges.iter_mut().for_each(|exchange| exchange.shading.explore = 0.0);
    let exchange = args.exchange.clone().unwrap_or_else(|| config.exchanges[0].name.clone());
    let Some(exchange) = config.exchanges.iter().find(|known| known.name == exchange) else {
        return Err(Failure::usage(format!("--exchange {exchange}: the configuration has no exchange of that name")));
    };
    if let Some(id) = args.campaign
        && !data.campaigns().iter().any(|campaign| campaign.id.0 == id)
    {
        return Err(Failure::usage(format!("--campaign {id}: there is no campaign of that number")));
    }
    let mut explanation = explain(&mut Bench::new(&config, &data)?, exchange, &body);
    if let Some(id) = args.campaign {
        explanation.campaigns.retain(|campaign| campaign.id == id);
    }
    if args.json {
        println!("{}", serde_json::to_string(&explanation)?);
    } else {
        print!("{}", print::tree(&explanation, args.campaign.is_some()));
    }
    Ok(())
}

fn read(path: &PathBuf) -> Result<Vec<u8>, Failure> {
    let read = if path.as_os_str() == "-" {
        let mut body = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut body).map(|_| body)
    } else {
        std::fs::read(path)
    };
    read.map_err(|error| Failure::new(format!("{}: cannot read the request: {error}", path.display())))
}

/// Decides, and explains. `exchange` is one of the configuration that the bench was made with.
pub fn explain(bench: &mut Bench, exchange: &Exchange, body: &[u8]) -> Explanation {
    let mut witness = Witness::default();
    let ask = Ask { exchange: exchange.path.as_bytes(), body, arrived: bench.now().boot };
    let (outcome, written) = bench.handle_with(ask, &mut witness);
    let written = written.map(<[u8]>::to_vec);
    let (name, status, reason, bytes) = match outcome {
        Outcome::Bid { .. } => ("bid", 200, None, written),
        // Some exchanges are agreed to get a body that says why.
        Outcome::NoBid(reason) => match bench.refusal(ask, reason).map(<[u8]>::to_vec) {
            Some(refusal) => ("no_bid", 200, Some(reason), Some(refusal)),
            None => ("no_bid", 204, Some(reason), None),
        },
        Outcome::Broken => ("broken", 400, None, None),
        Outcome::Parked(_) => unreachable!("a bench has no store to ask"),
    };
    let bytes = bytes.unwrap_or_default();
    let response: Option<Value> = serde_json::from_slice(&bytes).ok();
    let bids: &[Value] =
        response.as_ref().and_then(|body| body.pointer("/seatbid/0/bid")?.as_array()).map_or(&[], Vec::as_slice);
    let mut told = witness.finish(bids.len(), outcome, &exchange.name);
    answered(&mut told, bids, bytes.len());
    Explanation {
        outcome: name,
        status,
        reason: reason.map(NoBidReason::label),
        nbr: reason.map(|reason| exchange.rules.nbr(reason)),
        price: bids.first().map(|bid| bid["price"].clone()),
        stages: told.stages,
        tree: told.tree,
        campaigns: told.campaigns,
        response,
        length: bytes.len(),
        bytes: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// The answer, bid by bid.
fn answered(told: &mut Told, bids: &[Value], length: usize) {
    if bids.is_empty() {
        return;
    }
    let lengths = |bid: &Value| {
        let of = |key: &str| bid[key].as_str().map(str::len);
        let named: Vec<(&str, usize)> =
            ["nurl", "burl", "lurl", "adm"].into_iter().filter_map(|key| Some((key, of(key)?))).collect();
        let each: Vec<String> = named.iter().map(|(key, length)| format!("{key} {length}")).collect();
        let text = |key: &str| bid[key].as_str().unwrap_or_default().to_owned();
        let (imp, campaign, creative) = (text("impid"), text("cid"), text("crid"));
        let line = format!("imp {imp}, campaign {campaign}, creative {creative}: bytes of {}", each.join(", "));
        let bytes: serde_json::Map<String, Value> =
            named.into_iter().map(|(key, length)| (key.to_owned(), length.into())).collect();
        (line, json!({ "imp": imp, "campaign": campaign, "creative": creative, "bytes": bytes }))
    };
    told.answer(format!("{} in {length} bytes", count(bids.len(), "bid")), bids.iter().map(lengths));
}
