//! `corebid explain`: the decision for one request, without a network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde::Serialize;

use crate::bid::admit::Exchanges;
use crate::bid::asked::{self, Unescaped};
use crate::bid::eligible::Scene;
use crate::bid::sale::Sale;
use crate::bid::offers::Offer;
use crate::bid::probe::Probe;
use crate::bid::{Ask, Outcome};
use crate::commands::Failure;
use crate::config::{Config, Exchange};
use crate::lab::bench::Bench;
use crate::limits;
use crate::metrics::stage::Stage;
use crate::secrets::Key;
use crate::snapshot::calendar::Hours;
use crate::snapshot::data::{Data, Source};
use crate::snapshot::targeting::why_not;
use crate::units::{CpmMicros, Now};
use crate::wire::json;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{BidRequest, scan};

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
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, conflicts_with = "config")]
    demo: Option<Option<u32>>,
    /// The exchange it is taken to come from; by default the first of the configuration
    #[arg(long)]
    exchange: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The decision and how it came about.
#[derive(Debug, Serialize)]
struct Explanation {
    /// `bid`, `no_bid` or `broken`.
    outcome: &'static str,
    /// The HTTP status of the answer.
    status: u16,
    /// Why there is no bid.
    reason: Option<&'static str>,
    /// The IAB code of the reason.
    nbr: Option<u16>,
    /// CPM of the (first) bid, as it stands in the response.
    price: Option<serde_json::Value>,
    /// The stages that were entered, in order.
    stages: Vec<&'static str>,
    /// Each campaign, for each impression with a banner.
    campaigns: Vec<Considered>,
    /// The bid response.
    response: Option<serde_json::Value>,
}

#[derive(Debug, Serialize)]
struct Considered {
    id: u32,
    name: String,
    imp: String,
    /// The first thing that was in the way; null for the winner.
    why_not: Option<&'static str>,
    /// What it would have bid, if it came that far, CPM.
    price: Option<f64>,
}

/// Remembers what happened to each offer.
#[derive(Debug, Default)]
struct Witness {
    stages: Vec<&'static str>,
    dropped: BTreeMap<(u8, u32), NoBidReason>,
    priced: BTreeMap<(u8, u32), CpmMicros>,
}

impl Probe for Witness {
    fn enter(&mut self, stage: Stage) {
        self.stages.push(stage.label());
    }

    fn dropped(&mut self, offer: &Offer, reason: NoBidReason) {
        self.dropped.insert((offer.imp, offer.campaign.0), reason);
    }

    fn priced(&mut self, offer: &Offer) {
        self.priced.insert((offer.imp, offer.campaign.0), offer.price);
    }
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let body = read(&args.request)?;
    let (config, data) = match &args.config {
        Some(path) => {
            let config = Config::load(path)?;
            let data = Data::load(Source::files(&config), &Key::read(&config.data.user_key_file)?)?;
            (config, data)
        }
        None => (Config::demo(Path::new("")), Data::load(Source::demo(args.demo.flatten()), &Key([0; 32]))?),
    };
    let exchange = args.exchange.clone().unwrap_or_else(|| config.exchanges[0].name.clone());
    let Some(exchange) = config.exchanges.iter().find(|known| known.name == exchange) else {
        return Err(Failure::usage(format!("--exchange {exchange}: the configuration has no exchange of that name")));
    };
    let explanation = explain(&config, data, exchange, &body)?;
    if args.json {
        println!("{}", serde_json::to_string(&explanation)?);
    } else {
        print(&explanation);
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

fn explain(config: &Config, data: Data, exchange: &Exchange, body: &[u8]) -> Result<Explanation, Failure> {
    let mut bench = Bench::new(config, &data)?;
    let now = bench.now();
    let mut witness = Witness::default();
    let ask = Ask { exchange: exchange.path.as_bytes(), body, arrived: now.boot };
    let (outcome, response) = bench.handle_with(ask, &mut witness);
    let response: Option<serde_json::Value> = response.and_then(|bytes| serde_json::from_slice(bytes).ok());
    let (name, status, reason) = match outcome {
        Outcome::Bid { .. } => ("bid", 200, None),
        Outcome::NoBid(reason) => ("no_bid", 204, Some(reason)),
        Outcome::Broken => ("broken", 400, None),
    };
    let price = response.as_ref().and_then(|response| response.pointer("/seatbid/0/bid/0/price").cloned());
    Ok(Explanation {
        outcome: name,
        status,
        reason: reason.map(NoBidReason::label),
        nbr: reason.map(|reason| exchange.rules.nbr(reason)),
        price,
        campaigns: considered(&bench, config, &exchange.name, body, now, &witness, response.as_ref()),
        stages: witness.stages,
        response,
    })
}

/// What became of every campaign, for every impression: the index lists only those that want it, so the others are asked
/// predicate by predicate.
fn considered(
    bench: &Bench,
    config: &Config,
    exchange: &str,
    body: &[u8],
    now: Now,
    witness: &Witness,
    response: Option<&serde_json::Value>,
) -> Vec<Considered> {
    let mut scanner = json::Scratch::new(limits::BODY_BYTES);
    let mut request = BidRequest::default();
    if scan(body, &mut scanner, &mut request).is_err() || !witness.stages.contains(&Stage::Match.label()) {
        return Vec::new();
    }
    let exchanges = Exchanges::new(config);
    let Some(exchange) = exchanges.by_name(exchange) else { return Vec::new() };
    let bids: Vec<(&str, &str)> = response
        .and_then(|response| response.pointer("/seatbid/0/bid")?.as_array())
        .map(|bids| bids.iter().filter_map(|bid| Some((bid["impid"].as_str()?, bid["cid"].as_str()?))).collect())
        .unwrap_or_default();
    let mut unescaped = Unescaped::default();
    let scene = Scene { snapshot: bench.snapshot(), exchange, now };
    let categories = asked::categories(&request);
    let mut hours = Hours::default();
    hours.refresh(&scene.snapshot.calendar, scene.snapshot.version, now.wall);
    let asked = unescaped.asked(&request, scene, None, &categories, hours.each());
    let mut considered = Vec::new();
    for (at, imp) in request.imps.iter().enumerate() {
        let mut room = [0; 256];
        let imp_id = String::from_utf8_lossy(imp.id.unescape(&mut room).unwrap_or(imp.id.raw)).into_owned();
        let sold = Sale::of(&request, imp, &scene);
        for (index, campaign) in bench.snapshot().campaigns.iter().enumerate() {
            let key = (at as u8, index as u32);
            let won = bids.iter().any(|&(imp, cid)| imp == imp_id && cid == campaign.id.0.to_string());
            let why_not = match (&sold, witness.dropped.get(&key)) {
                (Err(reason), _) => Some(reason.label()),
                (_, Some(reason)) => Some(reason.label()),
                (Ok(sale), None) => {
                    let offer = sale.offer();
                    match why_not(campaign, bench.snapshot().targeting.zones(), &asked, &offer) {
                        Some(why) => Some(why.label()),
                        None => (!won).then_some("outbid"),
                    }
                }
            };
            considered.push(Considered {
                id: campaign.id.0,
                name: campaign.name.clone(),
                imp: imp_id.clone(),
                why_not,
                price: witness.priced.get(&key).map(|price| price.0 as f64 / 1e6),
            });
        }
    }
    considered
}

fn print(explanation: &Explanation) {
    let Explanation { outcome, status, reason, nbr, price, stages, campaigns, response } = explanation;
    println!("outcome   {outcome} ({status})");
    if let (Some(reason), Some(nbr)) = (reason, nbr) {
        println!("reason    {reason} (nbr {nbr})");
    }
    if let Some(price) = price {
        println!("price     {price} CPM");
    }
    println!("stages    {}", stages.join(" > "));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for campaign in campaigns {
        *counts.entry(campaign.why_not.unwrap_or("bids")).or_default() += 1;
    }
    if !counts.is_empty() {
        println!(
            "campaigns {}",
            counts.iter().map(|(why, count)| format!("{why} {count}")).collect::<Vec<_>>().join(", ")
        );
        const SHOWN: usize = 40;
        let of_interest = campaigns.iter().filter(|campaign| campaign.price.is_some());
        let others = campaigns.iter().filter(|campaign| campaign.price.is_none());
        for campaign in of_interest.chain(others).take(SHOWN) {
            let price = campaign.price.map_or("-".into(), |price| format!("{price:.4}"));
            let why = campaign.why_not.unwrap_or("bids");
            println!("  {:>8}  imp {:<12} {:>10}  {:<16} {}", campaign.id, campaign.imp, price, why, campaign.name);
        }
        if campaigns.len() > SHOWN {
            println!("  ... {} more; --json lists them all", campaigns.len() - SHOWN);
        }
    }
    if let Some(response) = response {
        println!("{}", serde_json::to_string_pretty(response).unwrap_or_default());
    }
}
