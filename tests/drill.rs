//! Every drill, gone through: what each checks must hold, but for figures, which are told and belong to a machine that does nothing
//! else. Those that use up the machine go alone, the others beside each other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{PoisonError, RwLock};

use serde_json::Value;

fn corebid(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_corebid")).args(arguments).stdin(Stdio::null()).output().expect("the program")
}

#[track_caller]
fn holds(name: &str) {
    static MACHINE: RwLock<()> = RwLock::new(());
    let alone = ["surge-10x", "core-stall"].contains(&name);
    let _alone = alone.then(|| MACHINE.write().unwrap_or_else(PoisonError::into_inner));
    let _beside = (!alone).then(|| MACHINE.read().unwrap_or_else(PoisonError::into_inner));
    let Output { status, stdout, stderr } = corebid(&["drill", name, "--json", "--patience", "10"]);
    let report: Value = serde_json::from_slice(&stdout).expect("one JSON object and nothing else");
    let said = String::from_utf8_lossy(&stderr);
    if let Some(missing) = report["halted"].as_str().filter(|halted| halted.starts_with("it needs")) {
        assert_eq!(status.code(), Some(1));
        assert_eq!(said.lines().count(), 1, "{said}");
        return eprintln!("skipped: {name}: {missing}");
    }
    assert_eq!((&report["name"], report.get("halted")), (&name.into(), None), "{report:#}");
    let checks = report["checks"].as_array().expect("checks");
    let (missed, broken): (Vec<_>, Vec<_>) =
        checks.iter().filter(|check| check["ok"] != true).partition(|check| check["figure"] == true);
    assert!(!checks.is_empty() && broken.is_empty(), "{report:#}");
    missed.iter().for_each(|figure| eprintln!("{name}: not on this machine now: {figure}"));
    let held = missed.is_empty();
    assert_eq!((report["ok"].as_bool(), status.code()), (Some(held), Some(i32::from(!held))), "{report:#}");
    assert_eq!(said.is_empty(), held, "{said}");
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
