//! `corebid supply build`: the files that `corebid supply fetch` keeps, compiled into the table that a bidder loads.

use std::io::{self, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use crate::clock;
use crate::commands::Failure;
use crate::snapshot::supply::{Body, Builder, Counts, Kind, Read};
use crate::supply::store::{Entry, Kind as Fetched, Status, Store};

/// What `corebid supply build` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder of `corebid supply fetch`
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// The table to write; one that is there is replaced when the new one is whole
    #[arg(value_name = "OUT")]
    to: PathBuf,
    /// Systems never to buy from: a line is an asi, or an asi and a seller's id; `#` starts a comment
    #[arg(long, value_name = "FILE")]
    blocked: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How a build went.
#[derive(Debug, Default, serde::Serialize)]
pub(super) struct Report {
    /// ads.txt and app-ads.txt files in the table, those that are known to be absent included.
    domains: u64,
    /// Of these, those that are known to be absent.
    absent: u64,
    /// Files that were asked for and never had.
    unavailable: u64,
    /// Files that are not what their name says.
    refused: u64,
    /// ads.txt files of subdomains that their root's file does not name, and of nobody's partners: left out.
    unreferred: u64,
    /// Partners and subdomains beyond those that are kept of one file; the verdict on who they might name is that nothing is known.
    left_out: u64,
    /// Records of all files.
    records: u64,
    /// The same without repetitions and placeholders.
    pairs: u64,
    /// Lines, and entries of a sellers.json, that could not be understood.
    skipped: u64,
    /// sellers.json files in the table.
    systems: u64,
    /// Their sellers.
    sellers: u64,
    /// Apps with a developer.
    apps: u64,
    /// Blocked systems and sellers.
    blocked: u64,
    /// Of the table.
    bytes: u64,
    seconds: f64,
    /// The most memory the process had, bytes; absent where the system does not tell.
    peak_bytes: Option<u64>,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let report = make(&args.from, &args.to, args.blocked.as_deref())?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report, &args.to);
    }
    Ok(())
}

/// Refuses what [`make`] would refuse whatever is in the folder: a list that cannot be read, a table that has no place.
pub(super) fn check(to: &Path, blocked: Option<&Path>) -> Result<(), Failure> {
    let folder = folder(to);
    if !folder.is_dir() {
        return Err(Failure::usage(format!("{}: no folder for the table", folder.display())));
    }
    if let Some(path) = blocked {
        block(&mut Builder::new(folder)?, path).map_err(|Failure { message, .. }| Failure::usage(message))?;
    }
    Ok(())
}

/// Compiles a folder of `corebid supply fetch` and puts the table in its place.
pub(super) fn make(from: &Path, to: &Path, blocked: Option<&Path>) -> Result<Report, Failure> {
    let start = clock::boot();
    let at = |path: &Path, error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", path.display()));
    let store = Store::open(from).map_err(|error| match error.kind() {
        ErrorKind::NotFound => at(from, &"no folder of `corebid supply fetch`"),
        _ => at(from, &error),
    })?;
    let folder = folder(to);
    let mut builder = Builder::new(folder)?;
    let mut report = Report::default();
    for entry in store.entries() {
        add(&mut builder, &store, entry, &mut report)?;
    }
    store.apps().for_each(|(bundle, developer)| builder.app(bundle, developer));
    if let Some(path) = blocked {
        report.blocked = block(&mut builder, path)?;
    }
    report.unreferred = tell_unreferred(&builder);
    let supply = builder.finish().map_err(|error| at(folder, &error))?;
    supply.write(to).map_err(|error| at(to, &format!("cannot write it: {error}")))?;

    let Counts { files, pairs, systems, sellers, apps } = supply.counts();
    let bytes = supply.bytes() as u64;
    let seconds = clock::boot().since(start) as f64 / 1e9;
    Ok(Report { domains: files, pairs, systems, sellers, apps, bytes, seconds, peak_bytes: peak(), ..report })
}

/// The folder of the table.
fn folder(to: &Path) -> &Path {
    to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Adds a file of the store. One that is not what it should be is told and left out: the others are none the worse for it.
fn add(builder: &mut Builder, store: &Store, entry: &Entry, report: &mut Report) -> Result<(), Failure> {
    let of = |error: &io::Error| Failure::new(format!("{} of {}: {error}", entry.kind.file(), entry.domain));
    let kind = match entry.kind {
        Fetched::AdsTxt => Kind::AdsTxt,
        Fetched::AppAdsTxt => Kind::AppAdsTxt,
        Fetched::SellersJson => return add_sellers(builder, store, entry, report),
    };
    let text;
    let body = match entry.status {
        Status::Good => match store.body(entry) {
            Ok(body) => {
                text = body;
                Body::Good(&text)
            }
            // The crawler replaced it a moment ago, or the disk lost it.
            Err(error) if [ErrorKind::NotFound, ErrorKind::InvalidData].contains(&error.kind()) => {
                log::warn!("{} of {}: {error}; it counts as one that cannot be had", entry.kind.file(), entry.domain);
                report.refused += 1;
                Body::Unavailable
            }
            Err(error) => return Err(of(&error)),
        },
        Status::Absent => Body::Absent,
        Status::Unavailable => {
            report.unavailable += 1;
            Body::Unavailable
        }
    };
    report.absent += u64::from(body == Body::Absent);
    let Read { records, skipped, left_out, refused } =
        builder.ads_txt(kind, &entry.domain, body, entry.expires).map_err(|error| of(&error))?;
    if let Some(why) = refused {
        let (file, host) = (entry.kind.file(), &entry.domain);
        log::warn!("{file} of {host}: {}; it counts as one that cannot be had", why.label());
    }
    if left_out > 0 {
        log::warn!("{} of {}: {left_out} partners or subdomains too many; left out", entry.kind.file(), entry.domain);
    }
    report.left_out += left_out;
    report.refused += u64::from(refused.is_some());
    report.records += records;
    report.skipped += skipped;
    Ok(())
}

/// Hosts that are named one by one where something is left out.
const NAMED: usize = 20;

/// Warns of files that are for nothing: how many there are.
fn tell_unreferred(builder: &Builder) -> u64 {
    let unreferred = builder.unreferred();
    for host in unreferred.iter().take(NAMED) {
        log::warn!("ads.txt of {host}: no SUBDOMAIN of its root domain's file and nobody's partner; left out");
    }
    if unreferred.len() > NAMED {
        log::warn!("{} more are left out for the same reason", unreferred.len() - NAMED);
    }
    unreferred.len() as u64
}

fn add_sellers(builder: &mut Builder, store: &Store, entry: &Entry, report: &mut Report) -> Result<(), Failure> {
    if entry.status != Status::Good {
        report.unavailable += 1;
        return Ok(());
    }
    let read = |file| builder.sellers_json(&entry.domain, BufReader::with_capacity(1 << 16, file), entry.expires);
    match store.reader(entry).and_then(read) {
        Ok(summary) => report.skipped += summary.unnamed,
        Err(error) if [ErrorKind::NotFound, ErrorKind::InvalidData].contains(&error.kind()) => {
            log::warn!("sellers.json of {}: {error}; left out", entry.domain);
            report.refused += 1;
        }
        Err(error) => return Err(Failure::new(format!("sellers.json of {}: {error}", entry.domain))),
    }
    Ok(())
}

/// Reads a list of whom to block: how many there are.
fn block(builder: &mut Builder, path: &Path) -> Result<u64, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("{}: cannot read it: {error}", path.display())))?;
    let mut blocked = 0;
    for (line, number) in text.lines().zip(1..) {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (None, ..) => continue,
            (Some(asi), sid, None) => builder.block(asi, sid)?,
            _ => {
                let what = "write an asi, or an asi and a seller's id";
                return Err(Failure::new(format!("{}:{number}: {line:?} is neither: {what}", path.display())));
            }
        }
        blocked += 1;
    }
    Ok(blocked)
}

/// For people.
pub(super) fn print(report: &Report, to: &Path) {
    let Report { domains, absent, unavailable, refused, records, pairs, skipped, .. } = report;
    println!("domains    {domains} ({absent} of them declare nothing)");
    println!("records    {records}, {pairs} without repetitions");
    println!("sellers    {} of {} systems", report.sellers, report.systems);
    println!("apps       {}", report.apps);
    println!("blocked    {}", report.blocked);
    println!("skipped    {skipped} lines; {refused} files are not what they should be, {unavailable} were never had");
    println!("left out   {} files that nobody refers to, {} names too many", report.unreferred, report.left_out);
    println!("table      {} bytes in {}", report.bytes, to.display());
    let peak = report.peak_bytes.map_or_else(|| "unknown".to_owned(), |bytes| format!("{} MB", bytes / 1_000_000));
    println!("took       {:.1} s, {peak} of memory at most", report.seconds);
}

/// The most memory this process had (`VmHWM`, proc(5)), bytes.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
