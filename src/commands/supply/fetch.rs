//! `corebid supply fetch`: the crawler.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use ureq::tls::{PemItem, parse_pem};

use crate::clock;
use crate::commands::Failure;
use crate::supply::fetch::client::{Client, Connection};
use crate::supply::fetch::report::Report;
use crate::supply::fetch::targets::{self, Targets};
use crate::supply::fetch::{self, Options};
use crate::supply::store::Writer;

/// What is fetched, from where, and how fast.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to fetch, one a line: `site DOMAIN`, `app BUNDLE DEVELOPER_URL`, `seller ASI`; `#` starts a comment
    #[arg(long, value_name = "FILE")]
    targets: PathBuf,
    /// Where the files are kept. A folder that is there already is brought up to date
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on for ever, a round beginning this long after the last began (`1h`, `90m`). The targets are read again for each
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    every: Option<Duration>,
    /// Files under way at a time; of one host always one
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    /// Seconds that a publisher's file may take from the first byte of the request to the last of the answer; a sellers.json may
    /// take ten times as many
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Megabits per second, all hosts together
    #[arg(long, value_name = "MBIT", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    bandwidth: u64,
    /// Gigabytes after which a round begins no further file
    #[arg(long, value_name = "GB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    max_gigabytes: u64,
    /// Do not ask again for what was got this recently: after a round that was cut short
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s")]
    fresh: Duration,
    /// Ask also for files that failed and whose time has not come
    #[arg(long)]
    force: bool,
    /// A URL or an address at which the hosts can reach you; stands in the user agent
    #[arg(long, value_name = "TEXT", value_parser = contact)]
    contact: Option<String>,
    /// Certificates (PEM) to trust instead of Mozilla's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// An address for a name, or with `*` for every name, instead of the DNS's. It may be a private one
    #[arg(long, value_name = "DOMAIN=IP:PORT", value_parser = fixed)]
    resolve: Vec<(String, SocketAddr)>,
    /// Connect to private, loopback and link-local addresses too: any publisher can then make this host ask its neighbours
    #[arg(long)]
    allow_private: bool,
    /// Print one JSON object per round
    #[arg(long)]
    json: bool,
}

/// Runs it.
#[allow(clippy::disallowed_methods, reason = "a tool may wait")]
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut targets = read(&args.targets)?;
    let client = Client::new(Connection {
        private: args.allow_private,
        fixed: HashMap::from_iter(args.resolve.iter().cloned()),
        roots: args.ca.as_deref().map(roots).transpose()?,
        contact: args.contact.clone(),
        idle: usize::from(args.concurrency),
    });
    let options = Options {
        concurrency: usize::from(args.concurrency),
        timeout: Duration::from_secs(args.timeout),
        rate: args.bandwidth * 1_000_000 / 8,
        bytes: args.max_gigabytes.saturating_mul(1_000_000_000),
        least_life: 2 * args.every.unwrap_or(Duration::from_secs(3600)),
        fresh: args.fresh,
        force: args.force,
    };
    let in_folder = |error| Failure::new(format!("{}: {error}", args.out.display()));
    let mut writer = Writer::open(&args.out).map_err(in_folder)?;
    loop {
        let began = clock::boot();
        let report = fetch::round(&mut writer, &targets, &options, &client).map_err(in_folder)?;
        tell(args, &report)?;
        let Some(every) = args.every else {
            return if report.any {
                Ok(())
            } else {
                Err(Failure::new(format!("nothing could be fetched: see {}", args.out.join("report.ndjson").display())))
            };
        };
        let used = Duration::from_nanos(clock::boot().0 - began.0);
        std::thread::sleep(every.saturating_sub(used));
        match read(&args.targets) {
            Ok(now) => targets = now,
            Err(Failure { message, .. }) => log::error!("{message}; the targets stay what they were"),
        }
    }
}

fn tell(args: &Args, report: &Report) -> Result<(), Failure> {
    for error in &report.first_errors {
        eprintln!("{error}");
    }
    let first = report.first_errors.len() as u64;
    if report.errors > first {
        eprintln!("and {} more: see {}", report.errors - first, args.out.join("report.ndjson").display());
    }
    if args.json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}

fn read(path: &Path) -> Result<Targets, Failure> {
    let in_file = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| in_file(&error))?;
    let targets = targets::read(&text).map_err(|error| Failure::usage(format!("{}:{error}", path.display())))?;
    if targets.files.is_empty() { Err(in_file(&"no targets")) } else { Ok(targets) }
}

fn roots(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let in_file = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", path.display()));
    let text = std::fs::read(path).map_err(|error| in_file(&error))?;
    let mut roots = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| in_file(&error))? {
            roots.push(certificate.der().to_vec());
        }
    }
    if roots.is_empty() { Err(in_file(&"no certificate")) } else { Ok(roots) }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    Duration::try_from(duration).map_err(|_| "shorter than nothing".to_owned())
}

fn contact(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        Ok(text.to_owned())
    } else {
        Err("only visible ASCII may stand in a header".to_owned())
    }
}

fn fixed(text: &str) -> Result<(String, SocketAddr), String> {
    let (name, address) = text.split_once('=').ok_or("DOMAIN=IP:PORT is wanted")?;
    let address = address.parse().map_err(|_| format!("{address}: not an IP:PORT"))?;
    Ok((name.to_ascii_lowercase(), address))
}
