//! The disk of the ledger is full: what cannot be written is not acknowledged, and money that cannot be booked is not spent.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::lab::drill::{Bidder, Books, Client, Drill, Halt, Process, Prometheus, Serve, Stage, campaign, program};
use crate::limits;

pub(super) const DRILL: Drill = Drill {
    name: "disk-full",
    about: "the ledger's disk fills up: bills are answered 503, bidding ends, and both go on when there is room",
    run,
};

/// The disk, MiB: each bill by itself takes a block of 4 KiB, and bids go on until the leases end.
const SIZE: u32 = 32;
/// Bids before the disk is full; half of them are billed then, the others while it is.
const BIDS: usize = 40;
/// What the operator's alarm looks at.
const ALARM: &str = "corebid_reconcile_ledger_failing";

fn run(stage: &mut Stage) -> Result<(), Halt> {
    let disk = Disk::mount(stage)?;
    let config = stage.files().configure("disk", "", "", &campaign(1, 1000, "2.00", ""))?;
    let bidder = disk.within(Serve::new("bidder", &config)).start(stage)?;
    let prometheus = Prometheus::watch(stage, &[bidder.admin])?;
    let mut books = Books::default();
    let mut client = Client::connect(bidder.address)?;
    books.win(&mut client, BIDS)?;
    for sale in 0..BIDS / 2 {
        books.bill(&mut client, sale)?;
    }
    let seen = format!("{} bids, {} bills acknowledged", books.sales.len(), books.acknowledged());
    stage.check("bids are made and billed before", books.acknowledged() == BIDS / 2, seen);

    let filled = disk.fill()?;
    stage.saw(format_args!("the disk of {SIZE} MiB is full: {filled} bytes of others"));
    full(stage, &bidder, &mut books, &mut client)?;

    prometheus.fires(stage, "CorebidLedgerUnwritable")?;
    disk.clear()?;
    stage.saw("there is room again");
    stage.reaches("the alarm is over", Duration::from_secs(5), || alarm(&bidder, 0.0))?;
    prometheus.clears(stage, "CorebidLedgerUnwritable")?;
    let mut again = books.clone();
    stage.reaches("bids are made again", lease_end(), || {
        let answer = again.ask(&mut client);
        let text =
            answer.map_or_else(|error| error.to_string(), |answer| format!("{} {}", answer.status, answer.reason()));
        (text.starts_with("200"), text)
    })?;
    books = again;
    for sale in BIDS / 2..books.sales.len() {
        books.bill(&mut client, sale)?;
    }
    let (acknowledged, bids) = (books.acknowledged(), books.sales.len());
    stage.check("every bill is acknowledged now", acknowledged == bids, format_args!("{acknowledged} of {bids}"));
    drop(client);
    bidder.stop(stage)?;
    let differences = books.differences(&disk.data)?;
    let seen = differences.first().cloned().unwrap_or_else(|| format!("{bids} bills, each once"));
    stage.check("the ledger holds every acknowledged bill, and each once", differences.is_empty(), seen);
    Ok(())
}

/// What must hold while nothing can be written.
fn full(stage: &mut Stage, bidder: &Bidder, books: &mut Books, client: &mut Client) -> Result<(), Halt> {
    // What fits into a block that is there already is still written.
    let unsafe_from = stage.until("a bill that is not acknowledged", Duration::from_secs(10), || {
        let sale = (BIDS / 2..BIDS).find(|&sale| books.sales[sale].calls == 0)?;
        (books.bill(client, sale).ok()? == 503).then_some(sale)
    })?;
    let mut statuses = Vec::new();
    for sale in unsafe_from + 1..(unsafe_from + 4).min(BIDS) {
        statuses.push(books.bill(client, sale)?);
    }
    let all = statuses.iter().all(|&status| status == 503);
    stage.check("bills are answered 503, so that the exchange calls again", all, format_args!("503 and {statuses:?}"));
    stage.reaches("the alarm is given", Duration::from_secs(2), || alarm(bidder, 1.0))?;
    let metrics = bidder.metrics()?;
    let failures = metrics.sum("corebid_reconcile_commit_failures_total");
    stage.check("commits that failed are counted", failures > 0.0, format_args!("{failures}"));
    let line = bidder.process.log().lines().find(|line| line.contains("cannot be written")).map(str::to_owned);
    stage.check("the log says what is wrong", line.is_some(), line.unwrap_or_default());
    let grants = |bidder: &Bidder| Ok::<_, Halt>(bidder.metrics()?.sum("corebid_reconcile_grants_total"));
    let before = grants(bidder)?;
    let mut made = 0;
    stage.reaches("bidding ends when the leases have run out", lease_end(), || match books.ask(client) {
        Ok(answer) => {
            made += usize::from(answer.status == 200);
            (answer.reason() == "no_lease", format!("{} {}, {made} bids meanwhile", answer.status, answer.reason()))
        }
        Err(error) => (false, error.to_string()),
    })?;
    let after = grants(bidder)?;
    stage.check("nothing is granted meanwhile", after <= before, format_args!("{before} grants before, {after} after"));
    Ok(())
}

/// A lease, and a tick until the next is there.
fn lease_end() -> Duration {
    Duration::from_nanos(limits::LEASE_NS + limits::TICK_NS)
}

fn alarm(bidder: &Bidder, wanted: f64) -> (bool, String) {
    match bidder.metrics() {
        Ok(metrics) => {
            let value = metrics.sum(ALARM);
            ((value - wanted).abs() < 0.5, format!("{ALARM} {value}"))
        }
        Err(halt) => (false, halt.to_string()),
    }
}

/// A small disk in memory. It is mounted for a process that does nothing else, and for those that join it: nobody else sees it,
/// and it is gone with them.
struct Disk {
    /// Keeps it mounted.
    _holder: Process,
    join: Vec<String>,
    /// Where the ledger is, as seen from outside.
    data: PathBuf,
}

impl Disk {
    fn mount(stage: &Stage) -> Result<Disk, Halt> {
        for name in ["unshare", "nsenter", "mount"] {
            program(name, "install util-linux")?;
        }
        let at = stage.files().within("disk")?;
        // Without root, a user namespace of our own lets us mount.
        let ours = fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
        let (apart, together): (&[&str], &[&str]) = if ours {
            (&["--mount"], &["--mount"])
        } else {
            (&["--user", "--map-root-user", "--mount"], &["--user", "--preserve-credentials", "--mount"])
        };
        let script = format!("mount -t tmpfs -o size={SIZE}m corebid \"$0\" && echo mounted && exec sleep 600");
        let mut command = Command::new("unshare");
        command.args(apart).args(["sh", "-c", &script]).arg(&at);
        let mut holder = Process::start(stage, "disk", &mut command)?;
        let mounted = stage.until("a small disk", Duration::from_secs(10), || {
            (holder.log().contains("mounted") || holder.ended().is_some()).then(|| holder.log())
        })?;
        if !mounted.contains("mounted") {
            let why = mounted.trim().replace('\n', "; ");
            return Err(Halt::Missing(format!("leave to mount a small disk, as root or in a user namespace: {why}")));
        }
        let mut join: Vec<String> = ["nsenter", "--target"].map(String::from).into();
        join.push(holder.id().to_string());
        join.extend(together.iter().map(|word| (*word).to_owned()));
        join.push("--".into());
        let data = outside(holder.id(), &at);
        Ok(Disk { _holder: holder, join, data })
    }

    /// A bidder that sees it.
    fn within(&self, serve: Serve) -> Serve {
        let join: Vec<&str> = self.join.iter().map(String::as_str).collect();
        serve.through(&join)
    }

    /// Fills it with what is not ours: how many bytes that took.
    fn fill(&self) -> Result<u64, Halt> {
        let mut file = File::create(self.data.join("others"))?;
        let chunk = [0; 4096];
        let mut filled = 0;
        while file.write_all(&chunk).is_ok() {
            filled += chunk.len() as u64;
        }
        Ok(filled)
    }

    fn clear(&self) -> Result<(), Halt> {
        Ok(fs::remove_file(self.data.join("others"))?)
    }
}

/// A path as a process sees it.
fn outside(process: u32, path: &Path) -> PathBuf {
    Path::new("/proc").join(process.to_string()).join("root").join(path.strip_prefix("/").unwrap_or(path))
}
