//! How often the gate is wrong: pairs are recorded over a long time, of a binary with itself and with itself slowed down by a known
//! part, and trials drawn from them are judged as the gate judges.
//!
//! A trial is drawn in blocks of neighbours, as the gate makes its pairs one after the other: what drifts on a host stays together in
//! it (the moving-block bootstrap, Künsch 1989). Of pairs of a binary with itself it is drawn which side is called the candidate: they
//! are the same, and a difference of the whole recording, by chance, would else be in each trial.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::lab::drill::{self, Halt};
use crate::lab::gate::judge::{self, METRICS, Verdict};
use crate::lab::gate::run::{self, Pair, Plan, Side};
use crate::lab::gate::stats::{interval, trimmed_mean, wilson};
use crate::lab::gate::{RESAMPLES, STOLEN, print};
use crate::market::random::Random;
use crate::units::Nanos;

/// Pairs that are drawn together.
const BLOCK: usize = 4;

/// A line of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// What the pairs after it were made on.
    Session(Session),
    /// A pair.
    Pair(Recorded),
}

/// A stretch of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The model of the CPU.
    pub cpu: String,
    /// How many there are.
    pub cpus: usize,
    /// The kernel's release.
    pub kernel: String,
    /// When it began, Unix seconds.
    pub began: u64,
    /// Requests per second.
    pub rate: u64,
    /// Length of a run, ms.
    pub run_ms: u64,
    /// Slices of a run.
    pub slices: usize,
}

/// A pair, and how much slower its candidate was made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// `--busy-work` of the candidate, percent.
    pub busy_work: u32,
    /// What both did.
    #[serde(flatten)]
    pub pair: Pair,
}

/// Pairs by what their candidates were slowed down by, percent, each in the order of time.
pub type Pairs = BTreeMap<u32, Vec<Pair>>;

/// Reads a recording.
pub fn read(text: &str) -> Result<(Vec<Session>, Pairs), String> {
    let (mut sessions, mut pairs) = (Vec::new(), Pairs::new());
    for (line, number) in text.lines().zip(1..) {
        match serde_json::from_str(line).map_err(|error| format!("line {number}: {error}"))? {
            Line::Session(session) => sessions.push(session),
            Line::Pair(Recorded { busy_work, pair }) => pairs.entry(busy_work).or_default().push(pair),
        }
    }
    Ok((sessions, pairs))
}

/// What to record.
#[derive(Clone, Debug)]
pub struct Recording<'a> {
    /// The binary, on both sides.
    pub side: &'a Side,
    /// What candidates are slowed down by, percent; as many pairs as of all these together are of the binary with itself.
    pub busy_work: &'a [u32],
    /// How each pair is made.
    pub plan: &'a Plan,
    /// For how long, s.
    pub seconds: f64,
    /// Of the order.
    pub seed: u64,
}

/// Records pairs behind those that a file has. Ctrl-C and SIGTERM end it between two of them, and nothing that was recorded is lost.
/// Returns how many it made.
pub fn record(recording: &Recording<'_>, file: &Path, tell: &mut dyn FnMut(&str)) -> Result<usize, Halt> {
    let Recording { side, busy_work, plan, seconds, seed } = *recording;
    let stage = drill::backstage("gate")?;
    let mut file = append(file)?;
    let mut random = Random::new(seed);
    write(&mut file, &Line::Session(session(plan)))?;
    let end = clock::boot().after((seconds * Nanos::SECOND as f64) as u64);
    let mut made = 0;
    let mut round: Vec<u32> = Vec::new();
    while clock::boot() < end {
        if round.is_empty() {
            round = busy_work.iter().flat_map(|&percent| [0, percent]).collect();
            shuffle(&mut round, &mut random);
        }
        let Some(percent) = round.pop() else { break };
        let mut candidate = Side { name: "candidate", ..side.clone() };
        candidate
            .arguments
            .extend((percent > 0).then(|| ["--busy-work".to_owned(), percent.to_string()]).into_iter().flatten());
        let pair = match run::pair(&stage, [side, &candidate], plan, &mut random) {
            Ok(pair) => pair,
            Err(Halt::Interrupted) => break,
            Err(halt) => return Err(halt),
        };
        write(&mut file, &Line::Pair(Recorded { busy_work: percent, pair }))?;
        made += 1;
        tell(&format!("pair {made}, +{percent} %: {}", print::pair(&pair)));
    }
    Ok(made)
}

/// Opens a recording at its end. A line that was not written whole goes.
fn append(path: &Path) -> io::Result<File> {
    let mut text = fs::read(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(Vec::new()),
        _ => Err(error),
    })?;
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    text.truncate(whole);
    let file = File::options().create(true).append(true).open(path)?;
    file.set_len(whole as u64)?;
    Ok(file)
}

fn write(file: &mut File, line: &Line) -> Result<(), Halt> {
    let mut text = serde_json::to_vec(line).map_err(|error| Halt::failed("a line of the recording", error))?;
    text.push(b'\n');
    Ok(file.write_all(&text)?)
}

fn session(plan: &Plan) -> Session {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = text("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, model)| model);
    Session {
        cpu: model.unwrap_or("unknown").to_owned(),
        cpus: crate::topology::Topology::allowed().len(),
        kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        began: clock::wall().0 / 1000,
        rate: plan.rate,
        run_ms: (plan.seconds * 1000.0) as u64,
        slices: plan.slices,
    }
}

/// Fisher and Yates's.
fn shuffle(items: &mut [u32], random: &mut Random) {
    for last in (1..items.len()).rev() {
        items.swap(last, random.below(last as u64 + 1) as usize);
    }
}

/// How trials are made.
#[derive(Clone, Copy, Debug)]
pub struct Trials {
    /// Of each slow-down.
    pub trials: usize,
    /// Pairs in a trial.
    pub pairs: usize,
    /// The gate's.
    pub tolerance: f64,
    /// Of the draws.
    pub seed: u64,
}

/// What trials of one slow-down said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Power {
    /// What candidates were slowed down by, percent; 0 for pairs of a binary with itself.
    pub busy_work: u32,
    /// Pairs that were recorded.
    pub recorded: usize,
    /// The ratio of CPU time over all of them, and its 95 % interval.
    pub ratio: [f64; 3],
    /// Trials.
    pub trials: usize,
    /// In which the verdict was `fail`.
    pub fail: usize,
    /// In which it was `pass`.
    pub pass: usize,
    /// In which a metric showed a difference at all, whatever is tolerated: by the metrics' order.
    pub seen: [usize; METRICS.len()],
    /// In which any did.
    pub any: usize,
}

/// Draws trials of each slow-down from what was recorded.
pub fn resample(recorded: &Pairs, how: Trials) -> Vec<Power> {
    recorded.iter().map(|(&busy_work, pairs)| power(busy_work, pairs, how)).collect()
}

fn power(busy_work: u32, pairs: &[Pair], how: Trials) -> Power {
    let mut random = Random::of(how.seed, u64::from(busy_work));
    let pairs: Vec<Pair> = pairs.iter().copied().filter(|pair| pair.host.stolen <= STOLEN).collect();
    let logs: Vec<f64> = pairs.iter().map(|pair| (pair.candidate.cpu_us / pair.baseline.cpu_us).ln()).collect();
    let (low, high) = interval(&logs, RESAMPLES, &mut random);
    let ratio = [trimmed_mean(&logs), low, high].map(f64::exp);
    let mut power = Power {
        busy_work,
        recorded: pairs.len(),
        ratio,
        trials: how.trials,
        fail: 0,
        pass: 0,
        seen: [0; METRICS.len()],
        any: 0,
    };
    if pairs.is_empty() {
        power.trials = 0;
    }
    for _ in 0..power.trials {
        let drawn = draw(&pairs, how.pairs, busy_work == 0, &mut random);
        let metrics = judge::metrics(&drawn, how.tolerance, RESAMPLES, random.bits());
        match judge::verdict(&metrics) {
            Verdict::Fail => power.fail += 1,
            Verdict::Pass => power.pass += 1,
            Verdict::Inconclusive => {}
        }
        for (seen, metric) in power.seen.iter_mut().zip(&metrics) {
            *seen += usize::from(metric.differs());
        }
        power.any += usize::from(metrics.iter().any(judge::Metric::differs));
    }
    power
}

fn draw(pairs: &[Pair], count: usize, same: bool, random: &mut Random) -> Vec<Pair> {
    let mut drawn = Vec::with_capacity(count + BLOCK);
    while drawn.len() < count {
        let from = random.below(pairs.len() as u64) as usize;
        drawn.extend((from..from + BLOCK).map(|at| pairs[at % pairs.len()]));
    }
    drawn.truncate(count);
    if same {
        // Which of two that are the same is called the candidate is nobody's choice, but neighbours keep what they have in common.
        for block in drawn.chunks_mut(BLOCK) {
            if random.chance(0.5) {
                block.iter_mut().for_each(|pair| std::mem::swap(&mut pair.baseline, &mut pair.candidate));
            }
        }
    }
    drawn
}

/// The table of docs/GATE.md.
pub fn table(powers: &[Power]) -> String {
    let mut text = String::from(
        "| slowed down by | pairs recorded | CPU ratio of all of them | verdict `fail` | `pass` | CPU differs | p50 differs | p99 differs | \
         p99.9 differs | any differs |\n|---|---:|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for power in powers {
        let share = |hits: usize| {
            let (low, high) = wilson(hits, power.trials);
            let percent = 100.0 * hits as f64 / power.trials.max(1) as f64;
            format!("{percent:.1} % ({:.1} to {:.1})", low * 100.0, high * 100.0)
        };
        let name = if power.busy_work == 0 { "nothing (A/A)".to_owned() } else { format!("{} %", power.busy_work) };
        let [ratio, low, high] = power.ratio;
        let _ = write!(text, "| {name} | {} | {ratio:.4} ({low:.4} to {high:.4}) ", power.recorded);
        for hits in [power.fail, power.pass].into_iter().chain(power.seen).chain([power.any]) {
            let _ = write!(text, "| {} ", share(hits));
        }
        text += "|\n";
    }
    text
}

#[cfg(test)]
mod tests;
