//! One pair of runs: baseline and candidate started anew, asked the same by turns, and ended.
//!
//! A run is a process. What differs from start to start, where code and memory happen to lie, is in the difference between two runs,
//! and no number of requests averages it out: so a pair takes two new processes, and says one thing. Both live at the same time and
//! are asked in slices, in the order A B B A A B B A or the other way round. A host that is slower for some seconds is slower for
//! both. The one that is not asked sleeps.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::lab::drill::{Bidder, Halt, Serve, Stage, Thread, threads};
use crate::lab::gate::stats::median;
use crate::lab::load::{self, Options};
use crate::lab::report::Report;
use crate::market::random::Random;
use crate::metrics::stalls::cpus::Stat;
use crate::topology::Topology;

/// What is asked of both, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Requests per second.
    pub rate: u64,
    /// How long each of a pair is measured, s.
    pub seconds: f64,
    /// Connections to either.
    pub connections: usize,
    /// Slices in which each of a pair is asked.
    pub slices: usize,
    /// How long each is asked before that, s.
    pub warm_up: f64,
    /// Where they run.
    pub cpus: Cpus,
}

/// The CPUs of a pair: one is the bid core's alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpus {
    /// Of both bidders' one bid core.
    pub bid: usize,
    /// Of their reconciliation core.
    pub reconcile: usize,
    /// Of the generator: one of its own where there is a third.
    pub load: usize,
}

impl Cpus {
    /// Those that this process may use.
    pub fn choose() -> Result<Cpus, Halt> {
        let allowed = Topology::allowed();
        let chosen = Topology::choose(&allowed, None, None)
            .ok()
            .and_then(|topology| Some((*topology.bid.first()?, topology.reconcile)));
        match chosen {
            Some((bid, reconcile)) if bid != reconcile => {
                let third = allowed.iter().copied().find(|cpu| ![bid, reconcile].contains(cpu));
                Ok(Cpus { bid, reconcile, load: third.unwrap_or(reconcile) })
            }
            _ => Err(Halt::Missing("two CPUs: one for the bid core, one for the generator".into())),
        }
    }
}

/// One of the two that are compared.
#[derive(Clone, Debug)]
pub struct Side {
    /// `baseline` or `candidate`.
    pub name: &'static str,
    /// The program.
    pub binary: PathBuf,
    /// What `serve` is told besides; `--demo` and `--wait block` unless it says something else.
    pub arguments: Vec<String>,
}

impl Side {
    /// Whether its arguments give this option.
    pub fn says(&self, option: &str) -> bool {
        self.arguments.iter().any(|word| word.split('=').next() == Some(option))
    }

    /// The arguments of `serve`, but for the addresses, which are told apart.
    fn serve(&self, stage: &Stage, cpus: Cpus) -> Result<Serve, Halt> {
        let data = stage.files().within(self.name)?;
        let mut serve = match self.says("--config") {
            true => Serve::bare(self.name, &data),
            false if self.says("--demo") => Serve::bare(self.name, &data),
            false => Serve::demo(self.name, &data),
        };
        for (option, value) in
            [("--wait", "block"), ("--cores", &cpus.bid.to_string()), ("--reconcile-core", &cpus.reconcile.to_string())]
        {
            if !self.says(option) {
                serve = serve.argument(option).argument(value);
            }
        }
        Ok(self.arguments.iter().fold(serve.program(&self.binary), |serve, argument| serve.argument(argument)))
    }
}

/// What one run was seen to do. Times are in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// CPU time of the bid threads for each request that was answered.
    pub cpu_us: f64,
    /// Median latency; of each percentile the median over the slices, so that a slice that the host spoiled does not speak for all.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// 99.9th percentile.
    pub p999_us: f64,
    /// Requests sent.
    pub sent: u64,
    /// Requests answered.
    pub answered: u64,
    /// Answers with bids.
    pub bids: u64,
}

/// What the host did meanwhile: the floor below which no latency is told from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// How late the generator sent what it could have sent, 99th percentile, us: the worst of the slices.
    pub lag_p99_us: f64,
    /// What the machine did to the generator's thread: how long who comes at any moment waits for its turn, 99th percentile, us, the
    /// worst of the slices.
    pub hiccup_p99_us: f64,
    /// Share of the bid core's CPU that the hypervisor gave to others.
    pub stolen: f64,
    /// Share of the time that bid threads were ready and others ran on their CPU.
    pub waited: f64,
    /// Slices in which the generator was itself the limit.
    pub limited: u32,
}

/// What a pair said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The one that is known.
    pub baseline: Run,
    /// The one that is judged.
    pub candidate: Run,
    /// Of both together.
    pub host: Host,
}

/// One of a pair, running.
#[derive(Debug)]
struct Server {
    bidder: Bidder,
    cpu_ns: u64,
    waited_ns: u64,
    reports: Vec<Report>,
}

/// A bid thread that wants its CPU for more than this share of the time while it is asked nothing spins …
const SPINNING: f64 = 0.9;
/// … if it gets it for more than this: one that sleeps may wait long for its turn on a busy machine, and has little to do then.
const WORKING: f64 = 0.05;

/// Makes a pair of runs.
pub fn pair(stage: &Stage, sides: [&Side; 2], plan: &Plan, random: &mut Random) -> Result<Pair, Halt> {
    let first = random.below(2) as usize;
    let mut servers: [Option<Server>; 2] = [None, None];
    for at in [first, 1 - first] {
        let bidder = sides[at].serve(stage, plan.cpus)?.start(stage)?;
        servers[at] = Some(Server { bidder, cpu_ns: 0, waited_ns: 0, reports: Vec::new() });
    }
    let [Some(baseline), Some(candidate)] = servers else { unreachable!("both were started") };
    let mut servers = [baseline, candidate];
    for at in [first, 1 - first] {
        ask(stage, &servers[at], plan, plan.warm_up)?;
    }
    let mut stat = Stat::open()?;
    let stolen = |stat: &mut Stat| -> Result<u64, Halt> {
        Ok(stat.read(clock::boot())?.cpus.get(plan.cpus.bid).map_or(0, |cpu| cpu.stolen_ns))
    };
    let (began, stolen_before) = (clock::boot(), stolen(&mut stat)?);
    for slice in 0..plan.slices {
        // A B, B A, A B, …
        let first = if slice % 2 == 0 { first } else { 1 - first };
        for at in [first, 1 - first] {
            measure(stage, &mut servers, at, sides, plan)?;
        }
    }
    let length = clock::boot().since(began) as f64;
    let [baseline, candidate] = &servers;
    let reports = || baseline.reports.iter().chain(&candidate.reports);
    let worst = |of: fn(&Report) -> f64| reports().map(of).fold(0.0, f64::max);
    let host = Host {
        lag_p99_us: worst(|report| report.send_lag_p99),
        hiccup_p99_us: worst(|report| report.hiccup_p99),
        stolen: rounded(stolen(&mut stat)?.saturating_sub(stolen_before) as f64 / length),
        waited: rounded((baseline.waited_ns + candidate.waited_ns) as f64 / length),
        limited: reports().filter(|report| report.bottleneck).count() as u32,
    };
    let pair = Pair { baseline: baseline.sum(), candidate: candidate.sum(), host };
    for (run, side) in [(pair.baseline, sides[0]), (pair.candidate, sides[1])] {
        if run.answered == 0 {
            return Err(Halt::Failed(format!("the {} answered none of {} requests", side.name, run.sent)));
        }
    }
    for (server, side) in servers.into_iter().zip(sides) {
        server.bidder.process.kill();
        fs::remove_dir_all(stage.files().path(side.name))?;
    }
    Ok(pair)
}

impl Server {
    fn sum(&self) -> Run {
        let total = |of: fn(&Report) -> u64| self.reports.iter().map(of).sum::<u64>();
        let middle = |of: fn(&Report) -> f64| median(&self.reports.iter().map(of).collect::<Vec<_>>());
        let answered = total(|report| report.answered);
        Run {
            cpu_us: rounded(self.cpu_ns as f64 / 1000.0 / answered.max(1) as f64),
            p50_us: middle(|report| report.p50),
            p99_us: middle(|report| report.p99),
            p999_us: middle(|report| report.p999),
            sent: total(|report| report.sent + report.unsent),
            answered,
            bids: total(|report| report.status.get(&200).copied().unwrap_or(0)),
        }
    }

    /// CPU time of its bid threads, and how long they waited for the CPU, ns.
    fn times(&self, name: &str) -> Result<(u64, u64), Halt> {
        let found: Vec<Thread> =
            family(self.bidder.process.id()).into_iter().filter_map(|id| threads(id).ok()).flatten().collect();
        let mut bids = found.iter().filter(|thread| thread.name.starts_with("bid-")).peekable();
        if bids.peek().is_none() {
            return Err(Halt::Failed(format!("the {name} has no thread `bid-N`: is it a bidder, and still there?")));
        }
        Ok(bids.fold((0, 0), |(ran, waited), thread| (ran + thread.ran_ns, waited + thread.waited_ns)))
    }
}

/// Four decimals: what is recorded need not say more.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// A process and its descendants: what is given as a binary may be a script that starts one.
fn family(process: u32) -> Vec<u32> {
    let mut found = vec![process];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        next += 1;
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        found.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
    }
    found
}

fn ask(stage: &Stage, server: &Server, plan: &Plan, seconds: f64) -> Result<Report, Halt> {
    stage.pause(std::time::Duration::ZERO)?;
    load::run(&Options {
        url: server.bidder.url(),
        rate: plan.rate,
        seconds,
        connections: plan.connections,
        core: Some(plan.cpus.load),
        ..Options::default()
    })
    .map_err(|error| Halt::failed("load", error))
}

/// A slice of one, while the other sleeps.
fn measure(stage: &Stage, servers: &mut [Server; 2], at: usize, sides: [&Side; 2], plan: &Plan) -> Result<(), Halt> {
    let times = |servers: &[Server; 2], at: usize| servers[at].times(sides[at].name);
    let (before, idle_before) = (times(servers, at)?, times(servers, 1 - at)?);
    let began = clock::boot();
    let report = ask(stage, &servers[at], plan, plan.seconds / plan.slices as f64)?;
    let length = clock::boot().since(began) as f64;
    let (after, idle_after) = (times(servers, at)?, times(servers, 1 - at)?);
    // On a CPU, or waiting for one: where others want it too, who spins does not get it all.
    let (ran, waited) = (idle_after.0 - idle_before.0, idle_after.1 - idle_before.1);
    if (ran + waited) as f64 > SPINNING * length && ran as f64 > WORKING * length {
        let name = sides[1 - at].name;
        return Err(Halt::Failed(format!(
            "the {name} uses its CPU while it is asked nothing: CPU time is busy time only with `--wait block`"
        )));
    }
    let server = &mut servers[at];
    server.cpu_ns += after.0 - before.0;
    server.waited_ns += after.1 - before.1;
    server.reports.push(report);
    Ok(())
}
