//! The gate, on real processes and on the machine as it is: no test here takes a time for granted. What is planted is far larger than
//! what a busy machine makes of it.

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::process::{corebid, run};
use support::{Folder, campaign};

const BINARY: &str = env!("CARGO_BIN_EXE_corebid");
/// Little enough for a build without optimisation beside other work.
const SMALL: [&str; 8] = ["--rate", "300", "--seconds", "0.4", "--slices", "2", "--connections", "8"];

fn two_cpus() -> bool {
    let enough = std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() >= 2);
    if !enough {
        eprintln!("skipped: the gate needs two CPUs");
    }
    enough
}

/// Compares this binary with itself; the exit code, the report, what was said on stderr.
#[track_caller]
fn gate(more: &[&str]) -> (Option<i32>, Value, String) {
    let sides = ["gate", "--baseline", BINARY, "--candidate", BINARY, "--json"];
    let (code, stdout, stderr) = run(&[&sides[..], &SMALL, more].concat());
    let report = serde_json::from_str(&stdout).unwrap_or(Value::Null);
    (code, report, stderr)
}

#[test]
fn a_binary_does_not_fail_against_itself_and_fails_when_it_is_slowed_down() {
    if !two_cpus() {
        return;
    }
    let folder = Folder::new("gate");
    let (junit, markdown) = (folder.text("gate.xml"), folder.text("gate.md"));
    let reports = ["--pairs", "6", "--no-instructions", "--junit", &junit, "--markdown", &markdown];
    let (code, report, stderr) = gate(&[&reports[..], &["--tolerance", "1.5"]].concat());
    let verdict = report["verdict"].as_str().expect(&stderr);
    assert_eq!(code, Some(if verdict == "pass" { 0 } else { 3 }), "{stderr}");
    assert!(["pass", "inconclusive"].contains(&verdict), "{report:#}");
    let names: Vec<_> = report["metrics"].as_array().unwrap().iter().map(|metric| metric["name"].clone()).collect();
    assert_eq!(names, ["cpu_per_request", "p50", "p99", "p999"]);

    // 700 us more for each request that is decided; on a machine that has no time, some are turned away instead.
    let (code, report, stderr) = gate(&[&reports[..], &["--candidate-args", "--busy-work 10000"]].concat());
    assert_eq!((code, &report["verdict"]), (Some(1), &"fail".into()), "{stderr}{report:#}");
    let cpu = &report["metrics"][0];
    let number = |name: &str| cpu[name].as_f64().unwrap();
    assert!(number("low") > 1.0 && number("low") <= number("ratio") && number("ratio") <= number("high"), "{cpu}");
    assert!(number("ratio") > 1.03 && number("p") < 0.07, "pairs that all agree: {cpu}");
    assert!(number("candidate") > number("baseline"), "{cpu}");
    let last = stderr.lines().last().unwrap();
    assert!(last.starts_with("corebid: fail: ") && last.contains("cpu_per_request +"), "{stderr}");
    let xml = fs::read_to_string(junit).unwrap();
    let document = roxmltree::Document::parse(&xml).unwrap();
    assert!(document.descendants().any(|node| node.has_tag_name("failure")), "{xml}");
    assert!(fs::read_to_string(markdown).unwrap().starts_with("## Performance gate: fail\n"));
}

/// One percent more requests are one percent more instructions: one pair of runs decides nothing, the counts do.
#[test]
fn a_percent_more_instructions_is_seen() {
    if !two_cpus() {
        return;
    }
    // One campaign: the demo's profiles are long in the making under callgrind.
    let folder = Folder::new("gate-counted");
    let config = format!("--config {}", folder.configure("", "", &campaign(1, "")));
    let slower = format!("{config} --busy-work 1");
    let counted = ["--pairs", "1", "--instructions", "--counted", "512"];
    let (code, report, stderr) =
        gate(&[&counted[..], &["--baseline-args", &config, "--candidate-args", &slower]].concat());
    if stderr.contains("it needs the program `valgrind`") {
        return eprintln!("skipped: {stderr}");
    }
    assert_eq!((code, &report["verdict"]), (Some(1), &"fail".into()), "{stderr}");
    let vote = &report["metrics"][4];
    assert_eq!((&vote["name"], &vote["verdict"], &vote["p"]), (&"instructions".into(), &"fail".into(), &0.0.into()));
    let ratio = vote["ratio"].as_f64().unwrap();
    assert!((1.007..1.014).contains(&ratio), "{vote}");
    assert_eq!((&vote["low"], &vote["high"]), (&vote["ratio"], &vote["ratio"]));
}

/// The same program counts the same, to a thousandth of a percent of what it decides.
#[test]
fn instructions_are_the_same_on_every_run() {
    let folder = Folder::new("counted");
    let config = folder.configure("", "", &campaign(1, ""));
    let count = || {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", BINARY]);
        let output = command.args(["instructions", "--config", &config, "--count", "64", "--json"]).output().ok()?;
        let stderr = String::from_utf8(output.stderr).unwrap();
        let decided: Value = serde_json::from_slice(&output.stdout).expect(&stderr);
        assert_eq!(decided["requests"], 64);
        let count = stderr.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok());
        Some(count.expect(&stderr))
    };
    let Some(first) = count() else { return eprintln!("skipped: there is no valgrind") };
    let second = count().unwrap();
    assert!(first.abs_diff(second) * 10_000 < first, "{first} {second}");
}

#[test]
fn what_cannot_be_compared_is_told_in_a_line() {
    let folder = Folder::new("gate-refused");
    let empty = folder.write("empty", "");
    let no_program = empty.display().to_string();
    for (arguments, code, said) in [
        (vec!["--baseline", BINARY], 2, "--candidate"),
        (vec!["--baseline", "/nowhere", "--candidate", BINARY], 2, "--baseline /nowhere: No such file"),
        (vec!["--baseline", BINARY, "--candidate", &no_program], 2, "not a program"),
        (vec!["--baseline", BINARY, "--candidate", BINARY, "--tolerance", "0.97"], 2, "--tolerance 0.97"),
        (vec!["--baseline", BINARY, "--candidate", BINARY, "--seconds", "0"], 2, "--seconds 0"),
        (vec!["--baseline", BINARY, "--candidate", BINARY, "--candidate-args", "--data x"], 2, "--data is chosen by"),
        (vec!["--baseline", BINARY, "--candidate", BINARY, "--candidate-args", "'"], 2, "a quote is not closed"),
        (vec!["resample", "/nowhere"], 1, "/nowhere: No such file"),
        (vec!["resample", &format!("{}/Cargo.toml", env!("CARGO_MANIFEST_DIR"))], 1, "Cargo.toml: line 1: "),
    ] {
        let (ended, stdout, stderr) = run(&[&["gate"], &arguments[..]].concat());
        assert_eq!(ended, Some(code), "{arguments:?}: {stderr}");
        assert!(stdout.is_empty() && stderr.contains(said), "{arguments:?}: {stderr}");
    }
    if !two_cpus() {
        return;
    }
    // What is a program and no bidder; and a bidder that will not start, whose last line is told.
    let common = ["gate", "--no-instructions", "--pairs", "1", "--baseline", BINARY, "--candidate"];
    let (code, _, stderr) = run(&[&common[..], &["/bin/false"], &SMALL].concat());
    assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.starts_with("corebid: candidate did not start (exit status: 1)"), "{stderr}");
    let (code, _, stderr) = run(&[&common[..], &[BINARY, "--candidate-args", "--demo --score=3"], &SMALL].concat());
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("candidate did not start (exit status: 2)"), "{stderr}");
}

/// CPU time is busy time only where a bidder sleeps.
#[test]
fn a_bidder_that_spins_is_refused() {
    if !two_cpus() {
        return;
    }
    let (code, _, stderr) = gate(&["--pairs", "1", "--no-instructions", "--baseline-args", "--wait spin"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("the baseline uses its CPU while it is asked nothing"), "{stderr}");
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    if !two_cpus() {
        return;
    }
    let folder = Folder::new("gate-interrupted");
    let place = folder.text("tmp");
    fs::create_dir(&place).unwrap();
    // A program that starts the bidder as a child of its own, as a wrapper does.
    let wrapper = folder.write("wrapper", format!("#!/bin/sh\n'{BINARY}' \"$@\"\n"));
    fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = corebid();
    command.args(["gate", "--no-instructions", "--pairs", "100", "--baseline"]).arg(&wrapper).arg("--candidate");
    command.arg(&wrapper).args(SMALL).env("TMPDIR", &place).stderr(Stdio::piped()).stdout(Stdio::null());
    let mut gate = command.spawn().unwrap();
    let mut stderr = BufReader::new(gate.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with("pair 1 of 100: CPU "), "{line}");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "the gate has one folder");
    // SAFETY: no pointer is passed; the process is this one's child and was not waited for.
    assert_eq!(unsafe { libc::kill(gate.id() as libc::pid_t, libc::SIGINT) }, 0);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(gate.wait().unwrap().code(), Some(1));
    assert_eq!(rest.lines().last(), Some("corebid: interrupted"), "{rest}");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0, "and took it away");
    support::eventually("the end of its bidders", || running(&place).is_empty().then_some(()));
}

/// The processes whose command line has this word.
fn running(word: &str) -> Vec<String> {
    let commands = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let path = entry.ok()?.path().join("cmdline");
        Some(String::from_utf8_lossy(&fs::read(path).ok()?).into_owned())
    });
    commands.filter(|command| command.contains(word)).collect()
}

/// A short recording of pairs is drawn from like a long one.
#[test]
fn what_is_recorded_can_be_drawn_from() {
    if !two_cpus() {
        return;
    }
    let folder = Folder::new("gate-recorded");
    let file = folder.text("runs.ndjson");
    let (code, _, stderr) =
        run(&[&["gate", "record", &file, "--binary", BINARY, "--minutes", "0.05", "--busy-work", "50"], &SMALL[..]]
            .concat());
    assert_eq!(code, Some(0), "{stderr}");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("{\"session\":{\"cpu\":") && text.lines().count() >= 2, "{text}");
    let (code, stdout, stderr) = run(&["gate", "resample", &file, "--trials", "10", "--json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let drawn: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(drawn["sessions"][0]["rate"], 300);
    let recorded: u64 = drawn["powers"].as_array().unwrap().iter().map(|row| row["recorded"].as_u64().unwrap()).sum();
    assert!((recorded as usize) < text.lines().count(), "all that the host did not spoil");
}

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What docs/GATE.md says of false alarms and power is what the committed recording says.
#[test]
fn the_published_table_is_that_of_the_recording() {
    let page = file("docs/GATE.md");
    let (_, rest) = page.split_once("<!-- gate resample -->\n").expect("its place");
    let (published, _) = rest.split_once("<!-- end -->").expect("its end");
    let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/gate-runs.ndjson");
    if !recording.is_file() {
        return assert_eq!(published, "", "what is published has a recording");
    }
    let (code, drawn, stderr) = run(&["gate", "resample", &recording.display().to_string()]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(published, drawn, "scripts/gate-calibrate --table writes it");
}

/// The workflows call programs and options that there are, and name what those write.
#[test]
fn workflows_call_what_is_there() {
    let (_, help, _) = run(&["gate", "--help"]);
    for name in ["deploy/ci/github.yml", "deploy/ci/gitlab.yml", "deploy/ci/Jenkinsfile"] {
        let text = file(name);
        if name.ends_with(".yml") {
            let documents =
                yaml_rust2::YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(documents.len(), 1, "{name}");
        }
        let call =
            text.lines().find(|line| line.contains("scripts/gate ")).unwrap_or_else(|| panic!("{name} calls nothing"));
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/gate").is_file());
        let options: BTreeSet<&str> = call.split([' ', '\'']).filter(|word| word.starts_with("--")).collect();
        for option in ["--junit", "--markdown"] {
            assert!(options.contains(option), "{name}: {call}");
        }
        for option in options {
            assert!(help.contains(option), "{name}: {option} is no option of gate");
        }
        let written = call.split([' ', '\'']).filter(|word| word.ends_with(".xml") || word.ends_with(".md"));
        assert!(
            written.into_iter().all(|report| text.matches(report).count() > 1),
            "{name} writes what it does not show"
        );
    }
    let github = &yaml_rust2::YamlLoader::load_from_str(&file("deploy/ci/github.yml")).unwrap()[0];
    let steps = github["jobs"]["gate"]["steps"].as_vec().expect("steps");
    for step in steps {
        let action = step["uses"].as_str();
        assert!(action.is_some() != step["run"].as_str().is_some(), "{step:?}");
        assert!(
            action.is_none_or(|action| action.split_once("@v").is_some_and(|(_, major)| major.parse::<u8>().is_ok()))
        );
    }
    let gitlab = &yaml_rust2::YamlLoader::load_from_str(&file("deploy/ci/gitlab.yml")).unwrap()[0]["performance gate"];
    assert_eq!(gitlab["allow_failure"]["exit_codes"].as_i64(), Some(3), "inconclusive is no failure");
}
