//! The shortest run that still fails: fewer days, campaigns, nodes and cores, then fewer mishaps. Each attempt is a process of its
//! own, as the code under test may end it. Bounded by time: a failure that takes long to find takes long to shrink.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::{Args, Mode, planned};
use crate::lab::simulate::summary::Summary;

/// How long to look at most.
const PATIENCE: Duration = Duration::from_secs(60);
/// Trace lines that are shown.
const SHOWN: usize = 25;
/// Simulated seconds after a violation at which a run may end.
const AFTER: u64 = 2;

/// The command that runs this again.
pub(super) fn command(args: &Args) -> String {
    format!("corebid {}", arguments(args).join(" "))
}

fn arguments(args: &Args) -> Vec<String> {
    let mode = if args.mode == Mode::Strict { "strict" } else { "quantile" };
    let mut list: Vec<String> = vec!["simulate".into()];
    let mut option = |name: &str, value: String| list.extend([format!("--{name}"), value]);
    option("seed", args.seed.to_string());
    option("days", args.days.to_string());
    option("nodes", args.nodes.to_string());
    option("cores", args.cores.to_string());
    option("campaigns", args.campaigns.to_string());
    option("mode", mode.into());
    let authority = args.authority.to_possible_value();
    option("authority", authority.map_or_else(String::new, |value| value.get_name().into()));
    option("faults", args.faults.clone());
    if let Some(only) = &args.only {
        // An empty list would take what follows for its own.
        let only: Vec<_> = only.iter().map(u32::to_string).collect();
        option("only", if only.is_empty() { "0".into() } else { only.join(",") });
    }
    if args.size > 1 {
        list.extend(["--size".into(), args.size.to_string()]);
    }
    if args.told {
        list.push("--told".into());
    }
    let mut option = |name: &str, value: String| list.extend([format!("--{name}"), value]);
    if let Some(canary) = args.canary {
        option("canary", canary.to_string());
    }
    if let Some(until) = args.until {
        option("until", until.to_string());
    }
    list
}

/// When a run fails, in simulated seconds.
struct Fails {
    at: Option<u64>,
    what: String,
}

fn attempt(args: &Args, extra: &[String]) -> Option<Fails> {
    let program = std::env::current_exe().ok()?;
    let output = Command::new(program)
        .args(arguments(args))
        .args(["--json", "--no-shrink"])
        .args(extra)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    if output.status.code() != Some(1) {
        return None;
    }
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let what = summary["first_violations"].get(0).and_then(|first| first.as_str()).unwrap_or_default();
    Some(Fails { at: summary["first_violation_s"].as_u64(), what: what.into() })
}

/// Looks for it, and prints the command that runs it and the trace of what it is about.
#[allow(clippy::disallowed_methods, reason = "a tool that bounds its own time")]
pub(super) fn shrink(args: &Args, summary: &Summary) {
    let ends = Instant::now() + PATIENCE;
    let mut best = args.clone();
    let mut fails =
        Fails { at: summary.first_violation_s, what: summary.first_violations.first().cloned().unwrap_or_default() };
    let mut accept = |mut candidate: Args| {
        if Instant::now() >= ends {
            return None;
        }
        let found = attempt(&candidate, &[])?;
        if let Some(at) = found.at {
            candidate.until = Some(at + AFTER);
            candidate.days = candidate.days.min((at / 86_400 + 1) as u32);
        }
        fails = found;
        Some(candidate)
    };
    if let Some(at) = summary.first_violation_s {
        let days = args.days.min((at / 86_400 + 1) as u32);
        best = accept(Args { days, until: Some(at + AFTER), ..args.clone() }).unwrap_or(best);
    }
    while best.campaigns > 1
        && let Some(smaller) = accept(Args { campaigns: best.campaigns / 2, ..best.clone() })
    {
        best = smaller;
    }
    for (nodes, cores) in [(1, 1), (2, 1), (2, 2)] {
        if (nodes < best.nodes || cores < best.cores)
            && let Some(smaller) = accept(Args { nodes, cores, ..best.clone() })
        {
            best = smaller;
            break;
        }
    }
    // Delta debugging: parts of the plan are left out while it fails all the same.
    let mut numbers: Vec<u32> = planned(&best).iter().map(|mishap| mishap.number).collect();
    let mut part = numbers.len();
    while part > 0 && Instant::now() < ends {
        let mut from = 0;
        while from < numbers.len() && Instant::now() < ends {
            let to = (from + part).min(numbers.len());
            let kept: Vec<u32> = numbers[..from].iter().chain(&numbers[to..]).copied().collect();
            match accept(Args { only: Some(kept.clone()), ..best.clone() }) {
                Some(smaller) => (best, numbers) = (smaller, kept),
                None => from = to,
            }
        }
        part /= 2;
    }
    eprintln!("shortest run found: {}", command(&best));
    for mishap in planned(&best) {
        let (at, lasts) = (mishap.at / 1_000_000_000, mishap.lasts / 1_000_000_000);
        eprintln!(
            "  {:<20} number {} at {at} s, dice {:#x}, {lasts} s",
            mishap.fault.name(),
            mishap.number,
            mishap.dice
        );
    }
    eprintln!("  {}", fails.what);
    excerpt(&best, &fails.what);
}

/// Prints the trace of the run, as far as it is about what the violation names.
fn excerpt(args: &Args, what: &str) {
    let path = std::env::temp_dir().join(format!("corebid-simulate-{}.ndjson", std::process::id()));
    let found = attempt(args, &["--trace".into(), path.display().to_string()]);
    if found.is_some()
        && let Ok(text) = std::fs::read_to_string(&path)
    {
        // Ids and leases are long numbers; campaigns and days are not worth a search.
        let told = what.split_once(") ").map_or(what, |(_, told)| told);
        let names: Vec<&str> = told.split(|c: char| !c.is_ascii_digit()).filter(|number| number.len() > 6).collect();
        let about = |line: &&str| names.iter().any(|name| line.contains(name)) || line.contains("\"k\":\"violated\"");
        let lines: Vec<&str> = text.lines().filter(about).collect();
        for line in &lines[lines.len().saturating_sub(SHOWN)..] {
            eprintln!("  {line}");
        }
    }
    let _ = std::fs::remove_file(&path);
}
