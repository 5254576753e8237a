//! `corebid plan` as a command: what it measures here, what it prints, what it refuses.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

fn plan(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corebid"));
    let Output { status, stdout, stderr } =
        command.arg("plan").args(arguments).env_remove("COREBID_LOG").output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn costs_are_measured_on_this_host_and_can_be_asked_again() {
    let folder = std::env::temp_dir().join(format!("corebid-plan-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let costs = folder.join("costs.json").display().to_string();
    let (code, stdout, stderr) =
        plan(&["--qps", "100000", "--seconds", "4", "--campaigns", "0", "--measure", &costs, "--json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let measured: Value = serde_json::from_str(&stdout).unwrap();
    let input = |name: &str| {
        let inputs = measured["inputs"].as_array().unwrap();
        let found = inputs.iter().find(|input| input["name"] == name).unwrap_or_else(|| panic!("no {name}"));
        (found["value"].as_f64().unwrap(), found["from"].as_str().unwrap().to_owned())
    };
    // Wide enough for a debug build on a busy machine; each is what a bidder cannot be without.
    for (name, least, most) in [
        ("cpu_us_per_request", 0.5, 5_000.0),
        ("bid_share", 0.005, 0.9),
        ("body_bytes", 500.0, 5_000.0),
        ("request_head_bytes", 60.0, 400.0),
        ("bid_bytes", 300.0, 10_000.0),
        ("nobid_bytes", 26.0, 200.0),
        ("notice_bytes", 200.0, 1_000.0),
        ("notices_per_bill", 1.0, 100.0),
        ("filtered_share", 0.05, 0.95),
    ] {
        let (value, from) = input(name);
        assert!((least..=most).contains(&value) && from == "measured", "{name} = {value}, {from}");
    }
    for (name, least, most) in [("ledger_bytes_per_bill", 60.0, 200.0), ("core_bytes", 1e8, 1e9)] {
        let (value, from) = input(name);
        assert!((least..=most).contains(&value) && from == "bound", "{name} = {value}, {from}");
    }
    assert!(measured["cores"].as_f64().unwrap() >= 1.0 && measured["measured_on"].as_str().unwrap().contains("Linux"));
    let (code, stdout, _) = plan(&["--qps", "100000", "--campaigns", "0", "--costs", &costs, "--json"]);
    let again = serde_json::from_str(&stdout).unwrap();
    assert!(code == Some(0) && is_the_same(&measured, &again), "{measured:#}\n{again:#}");
    let (code, stdout, _) = plan(&["--qps", "100000", "--costs", &costs]);
    assert!(
        code == Some(0) && stdout.contains("bid_cores = ceil(busy / headroom)") && stdout.contains("made up"),
        "{stdout}"
    );
    fs::remove_dir_all(&folder).unwrap();
}

/// The same but for the last digits that reading decimals costs.
fn is_the_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-12 * a.abs()
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_the_same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_the_same(a, b)))
        }
        _ => a == b,
    }
}

#[test]
fn mistakes_end_with_2_and_a_line() {
    for (arguments, said) in [
        (&["--qps", "0"][..], "--qps"),
        (&["--qps", "10", "--headroom", "1"], "--headroom"),
        (&["--qps", "10", "--costs", "/nowhere/costs.json"], "/nowhere/costs.json"),
        (&["--qps", "10", "--prices", "/dev/null"], "missing field"),
        (&["--qps", "10", "--seconds", "1"], "--seconds"),
    ] {
        let (code, stdout, stderr) = plan(arguments);
        assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(2), "", 1), "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    }
}
