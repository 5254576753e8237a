//! What requests cost on this host: a bidder with the demo's campaigns in this process, the load generator against it until it is
//! saturated, then a market for a while, whose notices are counted.

use std::path::Path;
use std::time::Duration;

use super::Costs;
use crate::bid::busy::BusyWork;
use crate::bounds::{self, Bound, Loaded};
use crate::config::Config;
use crate::lab::drill::{Client, threads};
use crate::lab::load::{self, Options};
use crate::launch::{Launch, Node};
use crate::market::{corpus, exchange};
use crate::metrics::core::CoreMetrics;
use crate::reconcile::record::{Marks, Record, RecordId};
use crate::snapshot::data::Source;
use crate::topology::Topology;
use crate::units::{BidId, CampaignId, CpmMicros, LeaseId, Micros, ReservationId, UnixMillis};
use crate::wire::openrtb::nobid::NoBidReason;

/// Requests that are asked one by one, to see how long answers are.
const SEEN: usize = 500;
/// How long the bidder may take to start.
const START: Duration = Duration::from_secs(20);
/// A profile of a user in 40 segments with a consent record (docs/PROFILES.md), bytes.
const PROFILE_BYTES: f64 = 175.0;
/// The longest URL of a notice is most of it; its request line, `Host`, `Accept` and user agent are the rest, bytes.
const NOTICE_REST: f64 = 160.0;

/// What could not be done, in one line.
pub type Failed = String;

/// Measures for about `seconds`, half of it with load and half with a market, with the built-in campaigns or `campaigns` synthetic ones.
/// `dir` is for the ledger.
///
/// # Errors
/// The bidder does not start, or nothing could be asked of it.
pub fn measure(seconds: f64, campaigns: u32, dir: &Path) -> Result<Costs, Failed> {
    let topology = Topology::choose(&Topology::allowed(), None, None).map_err(|error| error.to_string())?;
    let mut config = Config::demo(dir);
    config.server.listen.set_port(0);
    // Whoever waits by spinning is always busy.
    config.server.wait = crate::bid::net::Waiting::Block;
    config.server.cores = topology.bid.first().map(|core| vec![*core]);
    config.server.reconcile_core = Some(topology.reconcile);
    let source = if campaigns == 0 { Source::BuiltIn } else { Source::Synthetic(campaigns as usize) };
    let node = Launch { config: config.clone(), source, make_keys: true, busy_work: BusyWork::NONE }
        .start()
        .map_err(|error| error.to_string())?;
    let loaded = node.loaded;
    let measured = funded(&node).and_then(|()| ask(&node, seconds / 2.0, topology.reconcile));
    let asked = measured.and_then(|measured| {
        let market = hold(&node, seconds / 2.0, topology.reconcile)?;
        Ok((measured, market))
    });
    let drained = node.drain().map_err(|error| error.to_string());
    let ((load, seen), notices_per_bill) = asked?;
    drained?;
    let connections = bounds::connections(&config, bounds::descriptors(), 1);
    let bound = Bound::of(&config, 1, connections, Loaded { before: 0, after: 0, ..loaded });
    let grown = loaded.after.saturating_sub(loaded.before) as f64;
    Ok(Costs {
        cpu_us_per_request: load.cpu_us,
        cpu_us_per_notice: load.cpu_us,
        bid_share: load.bid_share,
        filtered_share: load.filtered_share,
        notices_per_bill,
        body_bytes: load.body_bytes,
        request_head_bytes: load.head_bytes,
        bid_bytes: seen.bid_bytes,
        nobid_bytes: seen.nobid_bytes,
        notice_bytes: seen.notice_bytes + NOTICE_REST,
        notice_answer_bytes: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".len() as f64,
        ledger_bytes_per_bill: bill_bytes(),
        core_bytes: bound.core() as f64,
        process_bytes: bound.process() as f64,
        campaign_bytes: 2.0 * grown / loaded.campaigns.max(1) as f64,
        profile_bytes: PROFILE_BYTES,
        measured_on: host(seconds, loaded.campaigns, load.shed_share),
    })
}

/// What load shows.
struct Load {
    cpu_us: f64,
    bid_share: f64,
    filtered_share: f64,
    /// Requests that were not decided, of those that were answered.
    shed_share: f64,
    body_bytes: f64,
    head_bytes: f64,
}

/// How long answers and notices are.
struct Seen {
    bid_bytes: f64,
    nobid_bytes: f64,
    notice_bytes: f64,
}

fn funded(node: &Node) -> Result<(), Failed> {
    const STEP: Duration = Duration::from_millis(2);
    for _ in 0..START.as_millis() / STEP.as_millis() {
        if node.is_funded() {
            return Ok(());
        }
        #[allow(clippy::disallowed_methods, reason = "a person waits here, not a request")]
        std::thread::sleep(STEP);
    }
    Err(format!("the bidder had no lease after {} s; is the disk writable?", START.as_secs()))
}

/// A bill's record in the ledger. Commits are whole blocks, so that a ledger with few bills grows by more.
fn bill_bytes() -> f64 {
    let bill = Record::Billed {
        reservation: ReservationId(0),
        lease: LeaseId(0),
        campaign: CampaignId(0),
        bid: BidId([0; 16]),
        price: CpmMicros(0),
        amount: Micros(0),
        expires: UnixMillis(0),
        wall: UnixMillis(0),
        marks: Marks::BILLED,
    };
    let mut bytes = Vec::new();
    bill.encode(RecordId(0), &mut bytes);
    bytes.len() as f64
}

fn mean(sum: f64, count: f64) -> f64 {
    if count > 0.0 { sum / count } else { 0.0 }
}

/// CPU time of the bid threads of this process, ns.
fn bid_ns() -> Result<u64, Failed> {
    let threads = threads(std::process::id()).map_err(|error| error.to_string())?;
    Ok(threads.iter().filter(|thread| thread.name.starts_with("bid-")).map(|thread| thread.ran_ns).sum())
}

/// Saturates the bid core. Its thread never sleeps then, so that what it costs to go to sleep and wake, which is the more the less
/// there is to do, is not in the figure.
fn ask(node: &Node, seconds: f64, core: usize) -> Result<(Load, Seen), Failed> {
    let seen = see(node)?;
    let sum = |read: fn(&CoreMetrics) -> u64| node.metrics.iter().map(|core| read(core)).sum::<u64>() as f64;
    let counts = || {
        [
            sum(|core| core.requests.get()),
            sum(|core| core.bids.get()),
            sum(CoreMetrics::filtered),
            sum(|core| core.received_bytes.get()),
            sum(|core| core.nobid(NoBidReason::Shed).get() + core.nobid(NoBidReason::Stalled).get()),
        ]
    };
    let counted = counts();
    let before = bid_ns()?;
    load::run(&Options {
        url: format!("http://{}/openrtb/generic", node.address),
        seconds,
        saturate: true,
        debug: false,
        core: Some(core),
        ..Options::default()
    })
    .map_err(|error| error.to_string())?;
    let ran = bid_ns()? - before;
    let mut counts = counts();
    counts.iter_mut().zip(counted).for_each(|(after, before)| *after -= before);
    let [requests, bids, filtered, bytes, shed] = counts;
    // What is turned away unread costs next to nothing, and is nothing of the mix.
    let decided = requests - shed;
    if decided <= 0.0 {
        return Err("the bidder decided nothing; is something else on these CPUs?".into());
    }
    let corpus = corpus::built_in();
    let body_bytes = mean(corpus.iter().map(|body| body.len() as f64).sum(), corpus.len() as f64);
    let load = Load {
        cpu_us: ran as f64 / 1000.0 / decided,
        bid_share: bids / decided,
        filtered_share: filtered / decided,
        shed_share: shed / requests,
        body_bytes,
        head_bytes: (bytes / requests - body_bytes).max(0.0),
    };
    Ok((load, seen))
}

/// Asks some requests one by one and looks at the answers.
fn see(node: &Node) -> Result<Seen, Failed> {
    let mut client = Client::connect(node.address).map_err(|error| error.to_string())?;
    let (mut bids, mut bid_bytes, mut noes, mut no_bytes, mut urls, mut url_bytes) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for body in corpus::built_in().iter().take(SEEN) {
        let body = String::from_utf8_lossy(body);
        let fields = "Content-Type: application/json\r\nx-openrtb-version: 2.6\r\n";
        let answer = client.ask("POST", "/openrtb/generic", fields, &body).map_err(|error| error.to_string())?;
        let bytes = (answer.head.len() + 4 + answer.body.len()) as f64;
        if answer.status != 200 {
            (noes, no_bytes) = (noes + 1.0, no_bytes + bytes);
            continue;
        }
        (bids, bid_bytes) = (bids + 1.0, bid_bytes + bytes);
        let json = answer.json();
        let bid = &json["seatbid"][0]["bid"][0];
        for url in ["nurl", "burl", "lurl"].iter().filter_map(|name| bid[name].as_str()) {
            (urls, url_bytes) = (urls + 1.0, url_bytes + url.len() as f64);
        }
    }
    Ok(Seen {
        bid_bytes: mean(bid_bytes, bids),
        nobid_bytes: mean(no_bytes, noes),
        notice_bytes: mean(url_bytes, urls),
    })
}

/// Notices for each bill, in a market that settles what it buys.
fn hold(node: &Node, seconds: f64, core: usize) -> Result<f64, Failed> {
    let summary = exchange::run(
        &exchange::Options {
            url: format!("http://{}/openrtb/generic", node.address),
            seconds,
            core: Some(core),
            ..exchange::Options::default()
        },
        |_| {},
    )
    .map_err(|error| error.to_string())?;
    let notices = summary.notices;
    Ok(mean((notices.wins + notices.bills + notices.losses) as f64, notices.billed as f64))
}

/// Where this is, in a line.
fn host(seconds: f64, campaigns: usize, shed: f64) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("CPU", |(_, name)| name);
    format!(
        "{}, {} CPUs, Linux {}, loopback: one bid core saturated by the built-in corpus, {campaigns} campaigns, {seconds} s \
         in all, {:.1} % of the requests shed",
        model.trim(),
        Topology::allowed().len(),
        read("/proc/sys/kernel/osrelease").trim(),
        shed * 100.0
    )
}
