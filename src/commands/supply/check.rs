//! `corebid supply check`: what the files at hand say of the path of one request. The request is read, the table made and asked, and the
//! verdict held against the policy by what does it in production.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::bid::asked;
use crate::bid::supply::{Nodes, Room};
use crate::commands::Failure;
use crate::limits;
use crate::snapshot::country;
use crate::snapshot::supply::{self, Body, Builder, Inventory, Kind, NoAdsTxt, Policy, Verdict};
use crate::supply::ads_txt::Refusal;
use crate::units::UnixMillis;
use crate::wire::json::Scratch;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{BidRequest, Parts};

/// What `corebid supply check` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file with one BidRequest; `-` is standard input
    #[arg(long, value_name = "F")]
    request: PathBuf,
    /// The domain of the exchange that sent it
    #[arg(long, value_name = "DOMAIN")]
    sender: String,
    /// The sellers.json of an advertising system
    #[arg(long, value_name = "ASI=F", num_args = 1.., value_parser = named)]
    sellers_json: Vec<Named>,
    /// The publisher's ads.txt, or the developer's app-ads.txt for an app; `404` if there is none (`./404` is a file)
    #[arg(long, value_name = "F|404")]
    ads_txt: Option<PathBuf>,
    /// Where that stands; by default the domain of the request's site, or what the app or its publisher says is its domain
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// The file of a partner that the publisher's file names
    #[arg(long, value_name = "DOMAIN=F", num_args = 1.., value_parser = named)]
    partner_ads_txt: Vec<Named>,
    /// What is asked of the path
    #[arg(long, value_enum, default_value = "require")]
    policy: Asked,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Asked {
    Require,
    Prefer,
}

/// A file of a domain.
#[derive(Clone, Debug)]
struct Named {
    domain: String,
    file: PathBuf,
}

fn named(text: &str) -> Result<Named, String> {
    match text.split_once('=') {
        Some((domain, file)) if !domain.trim().is_empty() && !file.is_empty() => {
            Ok(Named { domain: domain.trim().to_owned(), file: file.into() })
        }
        _ => Err("a domain and a file are wanted, DOMAIN=FILE".to_owned()),
    }
}

/// The files at hand are not too old.
const NOW: UnixMillis = UnixMillis(0);
const LATER: UnixMillis = UnixMillis(1);

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let body = super::read(&args.request)?;
    let policy = match args.policy {
        Asked::Require => Policy::Require,
        Asked::Prefer => Policy::Prefer,
    };
    let verdict = verdict(args, &body)?;
    let passes = policy.accepts(verdict, NoAdsTxt::Accept);
    let word = match verdict {
        _ if passes => "pass",
        Verdict::NoSellersJson | Verdict::NoAdsTxt => "unknown",
        _ => "fail",
    };
    let nbr = verdict.reason().filter(|_| !passes).map(NoBidReason::nbr);
    if args.json {
        println!("{}", json!({ "verdict": word, "reason": verdict.label(), "nbr": nbr }));
    } else {
        println!("{word}: {}{}", verdict.label(), nbr.map_or(String::new(), |nbr| format!(" (nbr {nbr})")));
    }
    if passes { Ok(()) } else { Err(Failure::new(format!("the path does not pass: {}", verdict.label()))) }
}

fn verdict(args: &Args, body: &[u8]) -> Result<Verdict, Failure> {
    let broken = |error| Failure::new(format!("{}: {error}", args.request.display()));
    if body.len() > limits::BODY_BYTES {
        return Err(broken(format!("over {} bytes", limits::BODY_BYTES)));
    }
    let (mut scratch, mut request) = (Scratch::new(limits::BODY_BYTES), BidRequest::default());
    let not_one = |_| broken("not a BidRequest".to_owned());
    let mut parts = Parts::open(body, &mut scratch, &mut request).map_err(not_one)?;
    parts.inventory(&mut request).map_err(not_one)?;
    parts.chain(&mut request);
    let country = country::alpha2(asked::country(&request, None));
    let (mut room, mut nodes) = (Room::default(), Nodes::new());
    let path = room.path(&request, args.sender.as_bytes(), country, &mut nodes);
    Ok(table(args, body, path.inventory)?.check(&path, NOW))
}

/// The files as the table that is asked on the bid path.
fn table(args: &Args, body: &[u8], inventory: Inventory<'_>) -> Result<supply::Supply, Failure> {
    let mut builder = Builder::new(&std::env::temp_dir())?;
    for Named { domain, file } in &args.sellers_json {
        let text = BufReader::new(File::open(file).map_err(|error| super::unreadable(file, &error))?);
        match builder.sellers_json(domain, text, LATER) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => unusable(file, &error.to_string()),
            Err(error) => return Err(super::unreadable(file, &error)),
        }
    }
    let kind = match inventory {
        Inventory::App(_) => Kind::AppAdsTxt,
        Inventory::Site(_) | Inventory::Unknown => Kind::AdsTxt,
    };
    if let Some(file) = &args.ads_txt {
        let said = args.domain.clone();
        let host = match inventory {
            Inventory::Site(site) => said.unwrap_or_else(|| String::from_utf8_lossy(site).into_owned()),
            Inventory::App(bundle) => {
                let developer = said.unwrap_or_else(|| developer(body));
                builder.app(&String::from_utf8_lossy(bundle), &developer);
                developer
            }
            Inventory::Unknown => NOBODY.to_owned(),
        };
        if file == Path::new("404") {
            builder.ads_txt(kind, &host, Body::Absent, LATER)?;
        } else {
            add(&mut builder, kind, &host, file)?;
        }
    }
    for Named { domain, file } in &args.partner_ads_txt {
        add(&mut builder, kind, domain, file)?;
    }
    Ok(builder.finish()?)
}

fn add(builder: &mut Builder, kind: Kind, host: &str, file: &Path) -> Result<(), Failure> {
    let text = super::read(file)?;
    if let Some(refused) = builder.ads_txt(kind, host, Body::Good(&text), LATER)?.refused.map(Refusal::label) {
        unusable(file, refused);
    }
    Ok(())
}

/// As with the crawler, a file that is none is no answer.
fn unusable(file: &Path, what: &str) {
    log::warn!("{}: {what}; it counts as if it could not be had", file.display());
}

/// Where nobody's file stands (RFC 2606).
const NOBODY: &str = "nobody.invalid";

/// Where the app-ads.txt of an app stands is said by its store; offline, what the request says comes nearest.
fn developer(body: &[u8]) -> String {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = ["/app/domain", "/app/publisher/domain"].into_iter().filter_map(|at| request.pointer(at)?.as_str());
    said.map(str::trim).find(|domain| !domain.is_empty()).map_or_else(
        || {
            log::warn!(
                "the request does not say where the app-ads.txt stands: who owns the app is for --domain to say"
            );
            NOBODY.to_owned()
        },
        str::to_owned,
    )
}
