//! Ten times of what a bid core can decide is asked of it. What can be decided in time still is, the rest is answered at once, and
//! when the surge is over so is its effect.

use std::time::{Duration, Instant};

use crate::lab::drill::{Bidder, Books, Client, Drill, Halt, Prometheus, Serve, Stage, campaign};
use crate::lab::load::{self, Options};
use crate::lab::report::{Report, duration};
use crate::topology::Topology;

pub(super) const DRILL: Drill = Drill {
    name: "surge-10x",
    about: "ten times its capacity is asked of a bid core: what can be decided in time is, the rest is shed, and it recovers",
    run,
};

/// Work added to each request, percent of a nominal 7 us: with it a core can do some 1,300 a second, and ten times that is still
/// little for the generator.
const BUSY_WORK: &str = "10000";
/// How often more is asked for than can be done.
const TIMES: u64 = 10;
/// Connections of the exchange in the surge, and in ordinary times.
const MANY: usize = 256;
const FEW: usize = 16;
/// Load well below capacity, as its share.
const ORDINARY: f64 = 0.5;
/// Of the surge; with Prometheus beside it the alert needs longer.
const LENGTH: f64 = 6.0;
const LENGTH_WATCHED: f64 = 15.0;
/// An exchange does not send what it could not send in this time, ms.
const GIVE_UP_MS: f64 = 50.0;
/// Bills called while the surge is on.
const BILLS: usize = 20;
/// How long one look at the time after the surge is.
const LOOK: Duration = Duration::from_millis(200);

fn run(stage: &mut Stage) -> Result<(), Halt> {
    let topology =
        Topology::choose(&Topology::allowed(), None, None).map_err(|error| Halt::Failed(error.to_string()))?;
    let cpu = topology.bid[0];
    let config =
        stage.files().configure("bidder", &format!("cores = [{cpu}]"), "", &campaign(1, 1_000_000, "2.00", ""))?;
    let bidder = Serve::new("bidder", &config).argument("--busy-work").argument(BUSY_WORK).start(stage)?;
    let prometheus = Prometheus::watch(stage, &[bidder.admin])?;
    let base = Options {
        url: bidder.url(),
        core: Some(topology.reconcile).filter(|&other| other != cpu),
        ..Options::default()
    };

    let peak = peak(stage, &base)?;
    let mut books = Books::default();
    let mut client = Client::connect(bidder.address)?;
    books.win(&mut client, BILLS)?;
    let ordinary = Options { rate: (peak * ORDINARY) as u64, connections: FEW, ..base.clone() };
    let calm = stage.load(Options { seconds: 2.0, ..ordinary.clone() })?.wait()?;
    let seen =
        format!("{} shed of {} at {} a second, median {}", calm.shed, calm.sent, ordinary.rate, duration(calm.p50));
    stage.figure("below capacity nothing is shed", calm.shed == 0 && calm.unanswered == 0, seen);

    let length = if prometheus.is_there() { LENGTH_WATCHED } else { LENGTH };
    let surge = Options {
        rate: (peak * TIMES as f64) as u64,
        seconds: length,
        connections: MANY,
        give_up_ms: Some(GIVE_UP_MS),
        ..base.clone()
    };
    stage.saw(format_args!("{} requests a second on {MANY} connections", surge.rate));
    let before = bidder.metrics()?;
    let load = stage.load(surge)?;
    meanwhile(stage, &bidder, &mut books, &mut client, length)?;
    let report = load.wait()?;
    let recovered = recover(stage, &ordinary, calm.p50)?;
    let after = self::peak(stage, &base)?;
    surged(stage, &report, [peak, after], length);
    let shed = bidder.metrics()?.with("corebid_nobid_total", "reason=\"shed\"")
        - before.with("corebid_nobid_total", "reason=\"shed\"");
    let seen = format!("{} answers said `shed`, corebid_nobid_total rose by {shed}", report.shed);
    stage.check("what is shed says so, and is counted", report.shed > 0 && shed >= report.shed as f64, seen);
    let (ok, seen) = recovered;
    stage.figure("the median is back to what it was within 1 s", ok, seen);
    prometheus.fires(stage, "CorebidSurge")?;
    prometheus.clears(stage, "CorebidSurge")?;
    memory(stage, &bidder)?;
    drop(client);
    bidder.stop(stage)?;
    let differences = books.differences(&stage.files().path("bidder"))?;
    let seen = differences.first().cloned().unwrap_or_else(|| format!("{} bills, each once", books.acknowledged()));
    stage.check("the ledger holds every acknowledged bill, and each once", differences.is_empty(), seen);
    Ok(())
}

/// The most decisions in time a second, over several numbers of connections that each always wait for one answer.
fn peak(stage: &Stage, base: &Options) -> Result<f64, Halt> {
    const SECONDS: f64 = 1.5;
    let mut peak: f64 = 0.0;
    for connections in [2, 4, 6, 8] {
        let options = Options { saturate: true, connections, seconds: SECONDS, ..base.clone() };
        let report = stage.load(options)?.wait()?;
        peak = peak.max(report.in_time as f64 / SECONDS);
    }
    stage.saw(format_args!("capacity: {peak:.0} decisions in time a second"));
    if peak < 10.0 {
        return Err(Halt::Failed(format!("the bidder decides only {peak} requests a second")));
    }
    Ok(peak)
}

/// Bills and scrapes while the surge is on.
fn meanwhile(
    stage: &mut Stage,
    bidder: &Bidder,
    books: &mut Books,
    client: &mut Client,
    length: f64,
) -> Result<(), Halt> {
    stage.pause(Duration::from_secs(1))?;
    let (mut slowest_bill, mut slowest_scrape) = (Duration::ZERO, Duration::ZERO);
    let (mut bills, mut scrapes) = (0, 0);
    // The last second is left to the surge alone.
    let between = Duration::from_secs_f64((length - 2.0) / BILLS as f64).min(Duration::from_millis(200));
    for sale in 0..BILLS.min(books.sales.len()) {
        let (status, took) = timed(|| books.bill(client, sale));
        bills += usize::from(status? == 200);
        slowest_bill = slowest_bill.max(took);
        let (answer, took) = timed(|| bidder.get("/metrics"));
        scrapes += usize::from(answer?.status == 200);
        slowest_scrape = slowest_scrape.max(took);
        stage.pause(between)?;
    }
    let (bill_ms, scrape_ms) = (slowest_bill.as_millis(), slowest_scrape.as_millis());
    stage.check(
        "notices are acknowledged meanwhile",
        bills == BILLS,
        format_args!("{bills} of {BILLS}, the slowest in {bill_ms} ms"),
    );
    stage.check(
        "the admin port answers meanwhile",
        scrapes == BILLS,
        format_args!("{scrapes} of {BILLS} scrapes, the slowest in {scrape_ms} ms"),
    );
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a drill looks at its own watch")]
fn timed<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = act();
    (done, start.elapsed())
}

/// `peaks`: before the surge, and after it. A machine that has other tenants is not as fast at one time as at another, by more than
/// what is allowed to be lost; what it could have done in between is taken for their mean.
fn surged(stage: &mut Stage, report: &Report, peaks: [f64; 2], length: f64) {
    stage.saw(format_args!(
        "{} sent, {} not sent: {} decided in time, {} shed, {} stalled; generator {:.0} % busy",
        report.sent,
        report.unsent,
        report.in_time,
        report.shed,
        report.stalled,
        report.generator_busy * 100.0
    ));
    let offered = (report.sent + report.unsent) as f64 / length / peaks[0];
    stage.figure("ten times the capacity is asked for", offered >= 9.5, format_args!("{offered:.1} times"));
    let seen = format!("{} sent, {} answered", report.sent, report.answered);
    stage.check("every request that was sent is answered", report.unanswered == 0, seen);
    let peak = (peaks[0] + peaks[1]) / 2.0;
    let share = report.in_time as f64 / length / peak;
    let seen = format!("{:.0} a second, {:.1} % of {peak:.0}", report.in_time as f64 / length, share * 100.0);
    stage.figure("decisions in time are at least 90 % of capacity", share >= 0.9, seen);
}

/// Whether the median of ordinary load is back, and when: looked at [`LOOK`] by [`LOOK`].
fn recover(stage: &Stage, ordinary: &load::Options, before: f64) -> Result<(bool, String), Halt> {
    let start = stage.elapsed();
    let mut medians = Vec::new();
    while stage.elapsed() - start < Duration::from_secs(1) {
        let report = stage.load(Options { seconds: LOOK.as_secs_f64(), ..ordinary.clone() })?.wait()?;
        medians.push(duration(report.p50));
        if report.p50 <= before * 1.5 {
            let after = (stage.elapsed() - start).as_millis();
            return Ok((true, format!("{} before; {} in the {after} ms after", duration(before), medians.join(", "))));
        }
    }
    Ok((false, format!("{} before; {} in the second after", duration(before), medians.join(", "))))
}

/// What the bidder takes, against what it said at its start that it could.
fn memory(stage: &mut Stage, bidder: &Bidder) -> Result<(), Halt> {
    let log = bidder.process.log();
    let bound = log.lines().find_map(|line| line.split_once("memory bound ")?.1.split(' ').next()?.parse::<u64>().ok());
    let resident = bidder.resident_bytes()? >> 20;
    let Some(bound) = bound else {
        return Err(Halt::Failed("the bidder does not say how much memory it may take".into()));
    };
    stage.check(
        "its memory is within the bound it told at its start",
        resident <= bound,
        format_args!("{resident} of {bound} MiB"),
    );
    Ok(())
}
