//! `corebid supply fetch`: the crawler.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use ureq::tls::{PemItem, parse_pem};

use crate::clock;
use crate::commands::Failure;
use crate::commands::supply::build;
use crate::supply::fetch::client::{Client, Connection};
use crate::supply::fetch::report::Report;
use crate::supply::fetch::targets::{self, Targets};
use crate::supply::fetch::{self, Options};
use crate::supply::store::{Status, Writer};

/// What is fetched, from where, and how fast.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to fetch, one a line: `site DOMAIN`, `app BUNDLE DEVELOPER_URL`, `seller ASI`; `#` starts a comment
    #[arg(long, value_name = "FILE")]
    targets: PathBuf,
    /// Where the files are kept. A folder that is there already is brought up to date
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on for ever, a round beginning this long after the last began (`1h`, `90m`; a minute to a week). The targets are read again
    /// for each
    #[arg(long, value_name = "DURATION", value_parser = interval)]
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
    /// Compile the table that a bidder loads after each round, as `corebid supply build` does. One that is there is replaced when the
    /// new one is whole
    #[arg(long, value_name = "OUT")]
    build: Option<PathBuf>,
    /// With --build: systems never to buy from, see `corebid supply build`. Read again for each round
    #[arg(long, value_name = "FILE", requires = "build")]
    blocked: Option<PathBuf>,
    /// Print one JSON object per round
    #[arg(long)]
    json: bool,
}

/// Runs it.
#[allow(clippy::disallowed_methods, reason = "a tool may wait")]
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut crawl = Crawl::new(args)?;
    loop {
        let began = clock::boot();
        let any = crawl.round()?;
        let Some(every) = args.every else {
            let report = args.out.join("report.ndjson");
            let nothing = || Failure::new(format!("nothing could be fetched: see {}", report.display()));
            return any.then_some(()).ok_or_else(nothing);
        };
        let used = Duration::from_nanos(clock::boot().0 - began.0);
        std::thread::sleep(every.saturating_sub(used));
        crawl.read_targets_again();
    }
}

/// The rounds of one run.
struct Crawl<'a> {
    args: &'a Args,
    targets: Targets,
    client: Client,
    options: Options,
    writer: Writer,
}

impl<'a> Crawl<'a> {
    /// Refuses at once what would else be refused when a round is over.
    fn new(args: &'a Args) -> Result<Crawl<'a>, Failure> {
        let targets = read(&args.targets)?;
        if let Some(table) = &args.build {
            build::check(table, args.blocked.as_deref())?;
        }
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
        let writer = Writer::open(&args.out).map_err(|error| in_folder(args, error))?;
        Ok(Crawl { args, targets, client, options, writer })
    }

    /// A round, and the table of what is in the folder then: whether a file is in hand.
    fn round(&mut self) -> Result<bool, Failure> {
        let args = self.args;
        let report = fetch::round(&mut self.writer, &self.targets, &self.options, &self.client)
            .map_err(|error| in_folder(args, error))?;
        let table = match self.build() {
            // A bidder goes on with the table it has.
            Err(Failure { message, .. }) if args.every.is_some() => {
                log::error!("{message}; the table stays what it was");
                None
            }
            made => made?,
        };
        tell(args, &report, table)?;
        Ok(report.any)
    }

    /// The table, if one is wanted, and if there is anything to make it of: an empty one would take the place of a good one.
    fn build(&self) -> Result<Option<build::Report>, Failure> {
        let Some(table) = &self.args.build else { return Ok(None) };
        if self.writer.store().entries().all(|entry| entry.status == Status::Unavailable) {
            log::warn!("{}: there is no file to make it of; it stays what it was", table.display());
            return Ok(None);
        }
        build::make(&self.args.out, table, self.args.blocked.as_deref()).map(Some)
    }

    fn read_targets_again(&mut self) {
        match read(&self.args.targets) {
            Ok(targets) => self.targets = targets,
            Err(Failure { message, .. }) => log::error!("{message}; the targets stay what they were"),
        }
    }
}

fn in_folder(args: &Args, error: io::Error) -> Failure {
    Failure::new(format!("{}: {error}", args.out.display()))
}

/// What is printed of a round with --json.
#[derive(serde::Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    round: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<build::Report>,
}

fn tell(args: &Args, report: &Report, table: Option<build::Report>) -> Result<(), Failure> {
    for error in &report.first_errors {
        eprintln!("{error}");
    }
    let first = report.first_errors.len() as u64;
    if report.errors > first {
        eprintln!("and {} more: see {}", report.errors - first, args.out.join("report.ndjson").display());
    }
    if args.json {
        println!("{}", serde_json::to_string(&Told { round: report, table })?);
        return Ok(());
    }
    println!("{report}");
    if let (Some(table), Some(path)) = (&table, &args.build) {
        build::print(table, path);
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

/// Hosts are not asked all the time, and a copy must last until the next round but one (at most thirty days).
fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    let bounds = Duration::from_secs(60)..=Duration::from_secs(7 * 24 * 3600);
    if bounds.contains(&interval) { Ok(interval) } else { Err("1m to 168h are possible".to_owned()) }
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    /// Each round asks for what the targets say then, and for what they said last while they cannot be read.
    #[test]
    fn the_targets_are_read_again_for_each_round() {
        let folder = std::env::temp_dir().join(format!("corebid-rounds-{}", std::process::id()));
        let (targets, out) = (folder.join("targets"), folder.join("out"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&targets, "site a.example").unwrap();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        // Nobody answers there, which a report tells of whom it is said.
        let resolve = "*=127.0.0.1:1".to_owned();
        let line =
            ["fetch", "--every", "1h", "--targets", &path(&targets), "--out", &path(&out), "--resolve", &resolve]
                .map(str::to_owned);
        let Line { args } = Line::parse_from(line);
        let mut crawl = Crawl::new(&args).unwrap();
        for (text, wanted) in [("site b.example", "a"), ("sight c.example", "b"), ("site d.example", "b"), ("", "d")] {
            assert!(!crawl.round().unwrap());
            let report = std::fs::read_to_string(out.join("report.ndjson")).unwrap();
            assert!(report.lines().count() == 1 && report.contains(&format!("\"{wanted}.example\"")), "{report}");
            std::fs::write(&targets, text).unwrap();
            crawl.read_targets_again();
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn rounds_are_a_minute_to_a_week_apart() {
        for (text, is_possible) in [
            ("0s", false),
            ("59s", false),
            ("1m", true),
            ("90m", true),
            ("168h", true),
            ("169h", false),
            ("-1h", false),
        ] {
            assert_eq!(interval(text).is_ok(), is_possible, "{text}");
        }
    }
}
