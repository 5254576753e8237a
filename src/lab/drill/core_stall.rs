//! A bid core is kept from its work: the process is stopped, then something else has its CPU.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::drill::{Bidder, Drill, Halt, Metrics, Prometheus, Serve, Stage};
use crate::lab::{self, load};
use crate::topology::Topology;

pub(super) const DRILL: Drill = Drill {
    name: "core-stall",
    about: "a bid core is stopped, then crowded out: every request is answered once, and the late ones say why",
    run,
};

/// Several times the deadline.
const HELD: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(150);
const TIMES: u32 = 10;
/// Requests a second, far below what a core can do.
const RATE: u64 = 400;

fn run(stage: &mut Stage) -> Result<(), Halt> {
    let allowed = Topology::allowed();
    let topology = Topology::choose(&allowed, None, None).map_err(|error| Halt::Failed(error.to_string()))?;
    let cpu = topology.bid[0];
    let data = stage.files().within("bidder")?;
    // One bid core, so that its stall is everybody's.
    let bidder = Serve::demo("bidder", &data).argument("--cores").argument(cpu.to_string()).start(stage)?;
    let prometheus = Prometheus::watch(stage, &[bidder.admin])?;
    let load = stage.load(load::Options {
        url: bidder.url(),
        rate: RATE,
        seconds: 300.0,
        connections: 16,
        core: Some(topology.reconcile).filter(|&other| other != cpu),
        ..load::Options::default()
    })?;
    stage.pause(Duration::from_secs(1))?;
    let before = bidder.metrics()?;

    for _ in 0..TIMES {
        bidder.process.signal(libc::SIGSTOP)?;
        stage.pause(HELD)?;
        bidder.process.signal(libc::SIGCONT)?;
        stage.pause(PAUSE)?;
    }
    stage.saw(format_args!("the process was stopped {TIMES} times for {} ms", HELD.as_millis()));
    let stopped = attributed(stage, &bidder, &before, "off_cpu")?;

    match hold(cpu) {
        Ok(()) => {
            for _ in 1..TIMES {
                stage.pause(PAUSE)?;
                hold(cpu)?;
            }
            stage.saw(format_args!("CPU {cpu} was taken {TIMES} times for {} ms", HELD.as_millis()));
            attributed(stage, &bidder, &stopped, "run_delay")?;
        }
        Err(error) => stage.saw(format_args!("without real-time priority its CPU {cpu} is not to be taken: {error}")),
    }
    prometheus.fires(stage, "CorebidCoreStalled")?;

    let longest = bidder.get("/api/stalls")?.json()["stalls"][0].take();
    let seconds = longest["seconds"].as_f64().unwrap_or(0.0);
    stage.figure("/api/stalls lists the longest first", seconds >= HELD.as_secs_f64() * 0.8, &longest);
    let report = load.end()?;
    stage.saw(format_args!(
        "{} requests: {} decided in time, {} stalled, {} shed, {} after 8 ms",
        report.sent, report.in_time, report.stalled, report.shed, report.late
    ));
    let faults = report.faults;
    let once = report.unanswered == 0 && faults == lab::pool::Faults::default();
    let seen = format!("{} sent, {} answered, {faults:?}", report.sent, report.answered);
    stage.check("every request is answered, once, and no connection ends", once, seen);
    let after = bidder.metrics()?;
    let (told, counted) = (report.stalled, after.with("corebid_nobid_total", "reason=\"stalled\""));
    let same = told as f64 - counted;
    let seen = format!("{told} answers said so, corebid_nobid_total {counted}");
    stage.figure("requests too old because of a stall are answered 204 `stalled`", told > 0 && same.abs() < 0.5, seen);
    prometheus.clears(stage, "CorebidCoreStalled")?;
    bidder.stop(stage)
}

/// The stall meter knows of the stalls since `before`, and names this cause for at least half of them: on a machine that is busy with
/// something else others crowd in.
fn attributed(stage: &mut Stage, bidder: &Bidder, before: &Metrics, cause: &str) -> Result<Metrics, Halt> {
    let label = format!("cause=\"{cause}\"");
    let what = format!("the stall meter counts them, as `{cause}`");
    stage.reaches(&what, Duration::from_secs(2), || match bidder.metrics() {
        Ok(now) => {
            let more = |name: &str, label: &str| now.with(name, label) - before.with(name, label);
            let stalls = more("corebid_stalls_total", &label);
            let seconds = more("corebid_stall_seconds_total", "");
            let requests = more("corebid_stalled_requests_total", "");
            let times = f64::from(TIMES);
            let ok = stalls >= times * 0.5 && seconds >= times * HELD.as_secs_f64() * 0.8 && requests > 0.0;
            (ok, format!("{stalls} stalls, {seconds:.3} s by all causes, {requests} requests in them"))
        }
        Err(halt) => (false, halt.to_string()),
    })?;
    bidder.metrics()
}

/// Takes a CPU from all who run there as threads do, for [`HELD`].
fn hold(cpu: usize) -> io::Result<()> {
    let hog = thread::Builder::new().name("hog".into()).spawn(move || {
        if !lab::thread::pin(cpu) {
            return Err(io::Error::other(format!("CPU {cpu} is not ours")));
        }
        lab::thread::go_first()?;
        #[allow(clippy::disallowed_methods, reason = "the one that is late is measured elsewhere")]
        let start = Instant::now();
        while start.elapsed() < HELD {
            std::hint::spin_loop();
        }
        Ok(())
    })?;
    hog.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
