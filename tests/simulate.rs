//! The simulation, as a user runs it: short runs of each mode, every canary, the same run twice, and the recount by another
//! program. The seed rotates with the day and is printed; COREBID_SEED sets it.

use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

fn seed() -> u64 {
    let days = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    let seed = std::env::var("COREBID_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(days);
    println!("COREBID_SEED={seed}");
    seed
}

fn simulate(args: &str) -> Output {
    let args = format!("simulate --json --no-shrink {args}");
    Command::new(env!("CARGO_BIN_EXE_corebid")).args(args.split_whitespace()).output().expect("corebid runs")
}

fn figures(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("no JSON ({error}): {}", String::from_utf8_lossy(&output.stderr));
    })
}

/// It must end without a violation.
fn clean(args: &str) -> Value {
    let output = simulate(args);
    let figures = figures(&output);
    assert_eq!((output.status.code(), figures["violations"].as_u64()), (Some(0), Some(0)), "{args}: {figures:#}");
    figures
}

#[test]
fn without_faults_nothing_is_lost_or_overspent() {
    for mode in ["strict", "quantile"] {
        let figures = clean(&format!("--seed {} --campaigns 6 --faults none --mode {mode}", seed()));
        assert_eq!(figures["campaign_days"], 6);
        assert_eq!(figures["overspend"], 0.0);
        assert!(figures["bids"].as_u64() >= Some(6 * 1_000), "{figures:#}");
        assert!(figures["bills"].as_u64() > Some(100), "{figures:#}");
        assert!(figures["faults"].as_object().unwrap().values().all(|count| count == 0));
    }
}

#[test]
fn with_all_faults_nothing_is_lost_and_strict_overspends_nothing() {
    for mode in ["strict", "quantile"] {
        let figures = clean(&format!("--seed {} --campaigns 6 --mode {mode}", seed()));
        assert!(mode != "strict" || figures["overspend"] == 0.0, "{figures:#}");
        for (name, count) in figures["faults"].as_object().unwrap() {
            // Few campaigns win so rarely that a short window of a notice fault may meet nobody.
            let rare = name.starts_with("notice-") || name == "win-jump";
            assert!(rare || count.as_u64() > Some(0), "{name} did not happen: {figures:#}");
        }
    }
}

#[test]
fn every_canary_is_caught() {
    for canary in 1..=5 {
        let output = simulate(&format!("--seed {} --campaigns 12 --days 1 --canary {canary}", seed()));
        assert_eq!(output.status.code(), Some(1), "canary {canary}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(figures(&output)["violations"].as_u64() > Some(0), "canary {canary}");
    }
}

/// The function library as the authority, for as long as it takes until everything that can go wrong with a server has.
#[test]
#[cfg(feature = "stores")]
fn the_function_library_loses_nothing_and_says_what_the_state_machine_says() {
    let faults = ["authority-crash", "failover", "wipe", "message-loss", "message-duplication", "node-crash"];
    let seed = seed();
    let until = "--campaigns 3 --mode strict --until 43500";
    let figures = clean(&format!("--authority functions --seed {seed} {until} --faults {}", faults.join(",")));
    assert!(figures["bills"].as_u64() > Some(5), "{figures:#}");
    for fault in faults {
        assert!(figures["faults"][fault].as_u64() > Some(0), "{fault} did not happen: {figures:#}");
    }
}

/// The checkers see through it too.
#[test]
#[cfg(feature = "stores")]
fn a_broken_protocol_is_caught_with_the_function_library() {
    let output = simulate("--authority functions --seed 1 --campaigns 4 --canary 2");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed: u64| simulate(&format!("--seed {seed} --campaigns 3 --until 20000")).stdout;
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

/// Another program, from the trace alone, finds what the checkers find; and notices when the trace says otherwise.
#[test]
fn a_recount_agrees() {
    let folder = std::env::temp_dir().join(format!("corebid-recount-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("trace.ndjson");
    let recount = || {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/recount");
        let output = Command::new("python3").arg(script).arg("--json").arg(&path).output().expect("python3 runs");
        (output.status.code(), figures(&output)["violations"].as_u64().unwrap())
    };
    let traced = |extra: &str| {
        simulate(&format!("--seed 11 --campaigns 4 --mode strict {extra} --trace {}", path.display())).status.code()
    };
    assert_eq!(traced("--faults none"), Some(0));
    assert_eq!(recount(), (Some(0), 0));
    let text = std::fs::read_to_string(&path).unwrap();
    // One booking dropped, and one booked twice.
    let booking = text.lines().find(|line| line.contains(r#""k":"booked""#)).unwrap();
    std::fs::write(&path, text.replacen(&format!("{booking}\n"), "", 1)).unwrap();
    assert!(recount().1 > 0);
    std::fs::write(&path, text.replacen(booking, &format!("{booking}\n{booking}"), 1)).unwrap();
    assert!(recount().1 > 0);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn help_names_faults_and_canaries() {
    let output = Command::new(env!("CARGO_BIN_EXE_corebid")).args(["simulate", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let figures = clean("--seed 1 --campaigns 1 --until 60 --faults none");
    for name in figures["faults"].as_object().unwrap().keys() {
        assert!(help.contains(name), "--help does not name {name}");
    }
    assert_eq!(simulate("--faults no-such-fault").status.code(), Some(2));
}
