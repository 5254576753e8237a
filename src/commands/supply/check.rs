//! `corebid supply check`: what the files at hand say of the path of one request. The request is read, the table made and asked, and the
//! verdict held against the policy by what does it in production.

use std::collections::HashSet;
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
use crate::supply::fetch::names;
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
    /// Where that stands; by default the root domain of the request's site, or the host of the domain that the app or its publisher
    /// has in the request
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
    let policy = match args.policy {
        Asked::Require => Policy::Require,
        Asked::Prefer => Policy::Prefer,
    };
    let verdict = verdict(args).map_err(|failure| super::told(args.json, failure))?;
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

fn verdict(args: &Args) -> Result<Verdict, Failure> {
    let body = &super::read(&args.request)?[..];
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
    let mut path = room.path(&request, args.sender.as_bytes(), country, &mut nodes);
    let place = Place::of(args, body, path.inventory)?;
    // The file is that of whatever the request sells, so also of what it does not name, or not by this domain.
    path.inventory = match path.inventory {
        Inventory::Site(_) if args.domain.is_none() && place.is_known => path.inventory,
        Inventory::Site(_) | Inventory::Unknown => Inventory::Site(place.host.as_bytes()),
        Inventory::App(_) => path.inventory,
    };
    Ok(table(args, &place, path.inventory)?.check(&path, NOW))
}

/// Where the publisher's file stands.
struct Place {
    kind: Kind,
    host: String,
    is_known: bool,
}

impl Place {
    fn of(args: &Args, body: &[u8], inventory: Inventory<'_>) -> Result<Place, Failure> {
        let host = match (&args.domain, inventory) {
            (Some(said), _) => match names::host(said).filter(|host| names::site(host).is_some()) {
                Some(host) => Some(host),
                None => return Err(Failure::usage(format!("--domain {said}: not a domain that somebody can have"))),
            },
            (None, Inventory::Site(site)) => names::site(&String::from_utf8_lossy(site)),
            (None, Inventory::App(_) | Inventory::Unknown) => developer(body),
        };
        if host.is_none() && args.ads_txt.is_some() {
            log::warn!("the request does not say where the file stands: who owns what it sells is for --domain to say");
        }
        let kind = if let Inventory::App(_) = inventory { Kind::AppAdsTxt } else { Kind::AdsTxt };
        Ok(Place { kind, is_known: host.is_some(), host: host.unwrap_or_else(|| NOBODY.to_owned()) })
    }
}

/// A host in one form, be it one or not.
fn host(text: &str) -> String {
    names::host(text).unwrap_or_else(|| text.trim().to_ascii_lowercase())
}

/// The files as the table that is asked on the bid path.
fn table(args: &Args, place: &Place, inventory: Inventory<'_>) -> Result<supply::Supply, Failure> {
    let Place { kind, host: own, is_known } = place;
    let root = names::root(own);
    once("--sellers-json", &args.sellers_json, HashSet::new())?;
    let taken = [own.clone(), root.to_owned()].into_iter().filter(|_| *kind == Kind::AdsTxt).collect();
    once("--partner-ads-txt", &args.partner_ads_txt, taken)?;
    let mut builder = Builder::new(&std::env::temp_dir())?;
    for Named { domain, file } in &args.sellers_json {
        let text = BufReader::new(File::open(file).map_err(|error| super::unreadable(file, &error))?);
        match builder.sellers_json(domain, text, LATER) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => unusable(file, &error.to_string()),
            Err(error) => return Err(super::unreadable(file, &error)),
        }
    }
    // A partner's is its ads.txt, whoever names it (ads.txt 1.1, 3.5.1).
    for Named { domain, file } in &args.partner_ads_txt {
        add(&mut builder, Kind::AdsTxt, &host(domain), file)?;
    }
    if !is_known {
        builder.without_default_owner();
    }
    if let Some(file) = &args.ads_txt {
        if let Inventory::App(bundle) = inventory {
            builder.app(&String::from_utf8_lossy(bundle), own);
        } else if own != root {
            // That a file of a subdomain counts is for its root's to say; here the operator says it.
            let referral = format!("SUBDOMAIN={own}");
            builder.ads_txt(Kind::AdsTxt, root, Body::Good(referral.as_bytes()), LATER)?;
        }
        if file == Path::new("404") {
            builder.ads_txt(*kind, own, Body::Absent, LATER)?;
        } else {
            add(&mut builder, *kind, own, file)?;
        }
    }
    Ok(builder.finish()?)
}

/// Of two files of one domain, which counts would be anybody's guess.
fn once(option: &str, files: &[Named], mut seen: HashSet<String>) -> Result<(), Failure> {
    match files.iter().find(|named| !seen.insert(host(&named.domain))) {
        Some(Named { domain, .. }) => Err(Failure::usage(format!("{option}: there is another file of {domain}"))),
        None => Ok(()),
    }
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
fn developer(body: &[u8]) -> Option<String> {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = ["/app/domain", "/app/publisher/domain"].into_iter().filter_map(|at| request.pointer(at)?.as_str());
    said.filter_map(names::developer).next()
}
