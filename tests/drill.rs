//! Every drill, gone through: what each checks must hold. One after the other, because they measure and use up the machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

fn corebid(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_corebid")).args(arguments).stdin(Stdio::null()).output().expect("the program")
}

#[track_caller]
fn holds(name: &str) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Output { status, stdout, stderr } = corebid(&["drill", name, "--json"]);
    let report: Value = serde_json::from_slice(&stdout).expect("one JSON object and nothing else");
    let said = String::from_utf8_lossy(&stderr);
    if let Some(missing) = report["halted"].as_str().filter(|halted| halted.starts_with("it needs")) {
        assert_eq!(status.code(), Some(1));
        assert_eq!(said.lines().count(), 1, "{said}");
        return eprintln!("skipped: {name}: {missing}");
    }
    assert_eq!((&report["name"], &report["ok"], status.code()), (&name.into(), &true.into(), Some(0)), "{report:#}");
    let checks = report["checks"].as_array().expect("checks");
    assert!(!checks.is_empty() && checks.iter().all(|check| check["ok"] == true), "{report:#}");
    assert!(said.is_empty(), "{said}");
}

macro_rules! drills {
    ($($test:ident $name:literal)*) => {
        const NAMES: &[&str] = &[$($name),*];
        $(#[test]
        fn $test() {
            holds($name);
        })*
    };
}

drills! {
    an_unreadable_counter "counter-unreadable"
    a_runaway "runaway"
    a_surge "surge-10x"
    copies_of_auctions "duplicate-auctions"
    a_stalled_store "profile-stall"
    a_store_that_is_replaced "profile-failover"
    a_lost_way_in "ingress-lost"
    a_stalled_reconciliation "reconcile-stall"
    a_stalled_core "core-stall"
    a_full_disk "disk-full"
    a_clock_that_is_set "clock-step"
}

#[test]
fn every_drill_is_tested_and_described() {
    let list = String::from_utf8(corebid(&["drill", "--list"]).stdout).unwrap();
    let listed: BTreeSet<&str> = list.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(listed, NAMES.iter().copied().collect::<BTreeSet<_>>());
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/DRILLS.md")).unwrap();
    for name in listed {
        assert!(page.contains(&format!("`{name}`")), "docs/DRILLS.md does not tell of {name}");
    }
}

#[test]
fn a_drill_that_is_not_there_is_bad_usage() {
    let Output { status, stdout, stderr } = corebid(&["drill", "fire"]);
    assert_eq!((status.code(), stdout.len()), (Some(2), 0));
    assert!(String::from_utf8_lossy(&stderr).contains("disk-full"), "it says which there are");
}
