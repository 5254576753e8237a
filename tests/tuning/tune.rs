//! `tuning/tune` on trees: what it sets is what the doctor wants, and what it undoes is what was there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::Duration;

use corebid::doctor::cpus::CpuSet;
use corebid::doctor::{self, Options, State};
use proptest::prelude::*;

use crate::tree::{Files, Tree, badly_tuned, settings, tune, well_tuned};

/// What a command ended with, and what it said.
#[track_caller]
fn done(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().expect("an end of its own"), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let (code, stdout, stderr) = done(command);
    assert_eq!(code, 0, "{command:?}: {stdout}{stderr}");
    stdout
}

/// Knobs whose values `tune` sets in files: those that it applies without being asked by name.
fn applied() -> Vec<&'static str> {
    let by_itself = |knob: &doctor::declared::Declared| {
        knob.boot.is_empty()
            && knob.hand.is_empty()
            && knob.severity != doctor::Severity::Choice
            && knob.name != "smt"
            && !knob.file.starts_with("ethtool:")
    };
    doctor::declared::all().filter(by_itself).map(|knob| knob.name).collect()
}

/// Each place of each knob: state, current, wanted.
type Places = BTreeMap<(String, String), (String, String, String)>;

fn told_by_tune(tree: &Tree) -> Places {
    let (code, stdout, stderr) = done(tree.tune().args(["check", "--places"]));
    assert!(code < 2 && stderr.is_empty(), "{stderr}");
    let line = |line: &str| {
        let mut fields = line.splitn(5, '\t').map(str::to_owned);
        let mut next = || fields.next().expect(line);
        let (knob, place, state) = (next(), next(), next());
        // A value may hold tabs: what is wanted is the last.
        let rest = format!("{}\t{}", next(), next());
        let (current, wanted) = rest.rsplit_once('\t').unwrap();
        ((knob, place), (state, current.to_owned(), wanted.to_owned()))
    };
    stdout.lines().map(line).collect()
}

fn told_by_doctor(tree: &Tree) -> Places {
    let options = Options { root: Some(tree.root()), cores: CpuSet::of_list("1-3"), ..Options::default() };
    let report = doctor::examine(&options).unwrap();
    let mut places = Places::new();
    for knob in &report.knobs {
        for place in &knob.places {
            let state = serde_json::to_value(place.state).unwrap().as_str().unwrap().to_owned();
            let said = (state, place.current.clone(), place.wanted.clone());
            places.insert((knob.name.to_owned(), place.path.clone()), said);
        }
    }
    places
}

#[test]
fn the_doctor_and_tune_say_the_same_of_every_place() {
    let mut odd = badly_tuned();
    for (at, (path, ..)) in settings().into_iter().enumerate() {
        odd.insert(path, ["x y", "", "7", "0-", "9999999999999999999", "-3", "garbage", "007"][at % 8].to_owned());
    }
    let mut bare = well_tuned();
    bare.retain(|path, _| !path.contains("cpuidle") && !path.contains("/eth0/") && !path.contains("msi_irqs"));
    for files in [well_tuned(), badly_tuned(), odd, bare] {
        let tree = Tree::of(&files);
        let (doctor, tune) = (told_by_doctor(&tree), told_by_tune(&tree));
        assert!(doctor.len() > 40);
        assert_eq!(doctor, tune);
    }
}

/// Initial values: of each setting one of those that are good, bad, or something else.
fn initial() -> impl Strategy<Value = Files> {
    let settings = settings();
    proptest::collection::vec((0_u8..3, 0_u32..2_000), settings.len()).prop_map(move |chosen| {
        let mut files = badly_tuned();
        for ((path, good, bad), (which, other)) in settings.iter().zip(chosen) {
            let value = match which {
                0 => (*good).to_owned(),
                1 => (*bad).to_owned(),
                _ if good.parse::<i64>().is_ok() => other.to_string(),
                _ => (*bad).to_owned(),
            };
            files.insert(path.clone(), value);
        }
        files
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 40, ..ProptestConfig::default() })]

    /// Applied, all is good by the doctor; undone, the tree is what it was, to the byte. Twice applied is no other thing.
    #[test]
    fn what_is_applied_is_good_and_what_is_undone_is_as_before(files in initial(), twice in any::<bool>(), drift in any::<u16>()) {
        let tree = Tree::of(&files);
        let before = tree.bytes();
        succeeds(tree.tune().arg("apply"));
        if twice {
            // Somebody else meddles, and it is applied again.
            tree.put("/proc/sys/vm/swappiness", format!("{drift}\n").as_bytes());
            tree.put("/proc/irq/24/smp_affinity_list", b"0-7\n");
            succeeds(tree.tune().arg("apply"));
        }
        let mine = applied();
        for ((knob, place), (state, current, _)) in told_by_doctor(&tree) {
            prop_assert!(!mine.contains(&knob.as_str()) || state == "good", "{knob} {place}: {state} {current}");
        }
        succeeds(tree.tune().arg("undo"));
        let after = tree.bytes();
        if twice {
            // What tune never found wanting, it had not recorded before the meddling: it puts back what it found then.
            for (path, bytes) in &before {
                let meddled = path.ends_with("vm/swappiness") || path.ends_with("24/smp_affinity_list");
                prop_assert!(meddled || after[path] == *bytes, "{}", path.display());
            }
        } else {
            prop_assert_eq!(&after, &before);
        }
        prop_assert_eq!(fs::read_dir(tree.state()).unwrap().count(), 0, "records left");
    }

    /// Killed at any moment, an apply can be undone.
    #[test]
    fn a_killed_apply_is_undone(files in initial(), after_us in 0_u64..120_000) {
        let tree = Tree::of(&files);
        let before = tree.bytes();
        let mut apply = tree.tune().arg("apply").stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(after_us));
        let _ = apply.kill();
        apply.wait().unwrap();
        succeeds(tree.tune().arg("undo"));
        prop_assert_eq!(tree.bytes(), before);
    }
}

#[test]
fn the_first_record_stays() {
    let tree = Tree::of(&badly_tuned());
    let before = tree.bytes();
    succeeds(tree.tune().args(["apply", "swappiness", "irqs"]));
    tree.put("/proc/sys/vm/swappiness", b"77\n");
    succeeds(tree.tune().args(["apply", "swappiness"]));
    assert_eq!(fs::read_to_string(tree.path("/proc/sys/vm/swappiness")).unwrap(), "10\n");
    succeeds(tree.tune().arg("undo"));
    assert_eq!(tree.bytes(), before);
}

#[test]
fn a_choice_is_made_by_name_only() {
    let tree = Tree::of(&badly_tuned());
    let value = |path: &str| fs::read_to_string(tree.path(path)).unwrap().trim().to_owned();
    succeeds(tree.tune().arg("apply"));
    assert_eq!(value("/sys/devices/system/cpu/intel_pstate/no_turbo"), "0");
    assert_eq!(value("/sys/devices/system/cpu/cpu5/online"), "1");
    succeeds(tree.tune().args(["apply", "no-turbo", "busy-poll"]));
    assert_eq!(value("/sys/devices/system/cpu/intel_pstate/no_turbo"), "1");
    assert_eq!(value("/proc/sys/net/core/busy_poll"), "50");
    succeeds(tree.tune().args(["undo", "no-turbo"]));
    assert_eq!(value("/sys/devices/system/cpu/intel_pstate/no_turbo"), "0");
    assert_eq!(value("/proc/sys/net/core/busy_poll"), "50");
    // Named in the settings, it is made with the others, and what is to be left alone is.
    let conf = tree.beside("tune.conf");
    fs::write(&conf, "bid_cores=1-3\nalso='no-boost smt'\nskip='ksm'\n").unwrap();
    tree.put("/sys/kernel/mm/ksm/run", b"1\n");
    let (code, _, stderr) = done(tree.tune().env("TUNE_CONF", &conf).arg("apply"));
    assert_eq!((code, stderr.is_empty()), (0, true), "{stderr}");
    assert_eq!(value("/sys/devices/system/cpu/cpufreq/boost"), "0");
    assert_eq!(value("/sys/devices/system/cpu/cpu5/online"), "0");
    assert_eq!(value("/sys/kernel/mm/ksm/run"), "1");
}

#[test]
fn siblings_that_are_both_bid_cores_are_not_taken_offline() {
    let mut files = well_tuned();
    files.insert("/sys/devices/system/cpu/cpu2/topology/thread_siblings_list".into(), "2-3".into());
    files.insert("/sys/devices/system/cpu/cpu3/online".into(), "1".into());
    let tree = Tree::of(&files);
    let before = tree.bytes();
    let (code, _, stderr) = done(tree.tune().args(["apply", "smt"]));
    assert_eq!(code, 1);
    assert!(stderr.contains("siblings:2"), "{stderr}");
    succeeds(tree.tune().arg("undo"));
    assert_eq!(tree.bytes(), before);
}

#[test]
fn check_ends_with_1_where_something_differs() {
    let good = Tree::of(&well_tuned());
    let table = succeeds(good.tune().arg("check"));
    assert!(table.lines().skip(1).all(|line| !line.starts_with("differs")), "{table}");
    let bad = Tree::of(&badly_tuned());
    assert_eq!(done(bad.tune().arg("check")).0, 1);
    assert_eq!(done(bad.tune().args(["check", "thp"])).0, 1);
    // A choice differs, and is no fault unless it was asked for.
    let mut files = well_tuned();
    files.insert("/sys/devices/system/cpu/intel_pstate/no_turbo".into(), "0".into());
    let choice = Tree::of(&files);
    assert_eq!(done(choice.tune().arg("check")).0, 0);
    assert_eq!(done(choice.tune().args(["check", "no-turbo"])).0, 1);
}

#[test]
fn the_printed_script_does_the_same() {
    let (applied, scripted) = (Tree::of(&badly_tuned()), Tree::of(&badly_tuned()));
    let before = scripted.bytes();
    let script = scripted.beside("tune.sh");
    fs::write(&script, succeeds(scripted.tune().arg("print"))).unwrap();
    assert!(scripted.bytes() == before && !scripted.state().exists(), "print changes nothing");
    let sh = |verb: &str| {
        let mut command = Command::new("sh");
        command.arg(&script).arg(verb).env("ROOT", scripted.root());
        command
    };
    succeeds(applied.tune().arg("apply"));
    succeeds(&mut sh("apply"));
    assert_eq!(scripted.bytes(), applied.bytes());
    succeeds(&mut sh("undo"));
    assert_eq!(scripted.bytes(), before);
    assert_eq!(done(&mut sh("neither")).0, 2);
    // What cannot be set is told in it.
    let text = fs::read_to_string(&script).unwrap();
    assert!(text.contains("isolcpus=managed_irq,domain,1-3") && text.contains("systemctl disable --now irqbalance"));
}

#[test]
fn what_cannot_be_had_is_said() {
    let tree = Tree::of(&badly_tuned());
    for (arguments, code, said) in [
        (&["check", "nonsense"][..], 2, "there is no knob nonsense"),
        (&["mend"], 2, "there is no command mend"),
        (&["check", "--bid-cores", "9"], 2, "CPU 9 is not online"),
        (&["check", "--bid-cores", "1-"], 2, "no list of CPUs"),
        (&["check", "--housekeeping", "1"], 2, "it is a bid core"),
        (&["check", "--nic", "../eth0"], 2, "no name of a network card"),
        (&["check", "--what"], 2, "there is no option --what"),
        (&["apply", "isolation"], 1, "kernel command line: isolcpus="),
        (&["apply", "nic-channels"], 1, "cannot be seen here"),
    ] {
        let (ended, _, stderr) = done(tree.tune().args(arguments));
        assert_eq!((ended, stderr.lines().count()), (code, 1), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("tune: ") && stderr.contains(said), "{arguments:?}: {stderr}");
    }
    assert_eq!(done(&mut tune()).0, 2);
    assert!(succeeds(tune().arg("list")).contains("mitigations"));
    // A file that does not take its value is told, and the others are set.
    tree.put("/proc/sys/vm/swappiness", b"60\n");
    fs::remove_file(tree.path("/proc/sys/kernel/nmi_watchdog")).unwrap();
    let (code, _, stderr) = done(tree.tune().arg("apply"));
    assert_eq!((code, stderr.as_str()), (0, ""), "what is not there is no fault");
    assert_eq!(fs::read_to_string(tree.path("/proc/sys/vm/swappiness")).unwrap(), "10\n");
}

/// An `ethtool` that keeps what it is told in files, and kills who changes channels while `armed` is there.
const ETHTOOL: &str = r#"#!/bin/bash
cd "${0%/*}" || exit 1
case $1 in
-l) printf 'Channel parameters for %s:\nPre-set maximums:\nCombined:\t16\nCurrent hardware settings:\nCombined:\t%s\n' "$2" "$(<combined)" ;;
-c) printf 'Coalesce parameters for %s:\nAdaptive RX: %s  TX: on\nrx-usecs:\t%s\nrx-frames:\tn/a\n' "$2" "$(<adaptive-rx)" "$(<rx-usecs)" ;;
-L) if [ -e armed ]; then kill -9 "$PPID"; fi; echo "$4" >"$3" ;;
-C) echo "$4" >"$3" ;;
esac
"#;

#[test]
fn the_card_is_set_and_set_back_also_after_a_kill_in_between() {
    let tree = Tree::of(&badly_tuned());
    let ethtool = tree.beside("ethtool");
    fs::write(&ethtool, ETHTOOL).unwrap();
    fs::set_permissions(&ethtool, fs::Permissions::from_mode(0o755)).unwrap();
    let card = [("combined", "16\n"), ("adaptive-rx", "on\n"), ("rx-usecs", "50\n")];
    for (name, value) in card {
        fs::write(tree.beside(name), value).unwrap();
    }
    let is = |name: &str| fs::read_to_string(tree.beside(name)).unwrap();
    let tune = || {
        let mut command = tree.tune();
        command.env("TUNE_ETHTOOL", &ethtool);
        command
    };
    let before = tree.bytes();
    succeeds(tune().arg("apply"));
    // What resets the link is done by name only, and what hangs by it is to be done after it.
    assert_eq!((is("combined"), is("adaptive-rx"), is("rx-usecs")), ("16\n".into(), "off\n".into(), "0\n".into()));
    let again = "run tune print again";
    assert!(!succeeds(tune().arg("print")).contains(again));
    assert!(succeeds(tune().args(["print", "nic-channels"])).contains(again));
    succeeds(tune().args(["apply", "nic-channels"]));
    assert_eq!(is("combined"), "3\n");
    succeeds(tune().arg("undo"));
    assert_eq!(tree.bytes(), before);
    assert_eq!(is("combined"), "16\n");

    fs::write(tree.beside("armed"), "").unwrap();
    let card_knobs = ["adaptive-coalescing", "nic-channels", "rx-coalescing"];
    assert_eq!(tune().arg("apply").args(card_knobs).output().unwrap().status.code(), None, "killed in between");
    fs::remove_file(tree.beside("armed")).unwrap();
    // What comes before it was set, and what comes after was not.
    assert_eq!((is("adaptive-rx"), is("rx-usecs")), ("off\n".into(), "50\n".into()));
    succeeds(tune().arg("undo"));
    assert_eq!(tree.bytes(), before);
    for (name, value) in card {
        assert_eq!(is(name), value, "{name}");
    }
}

#[test]
fn every_state_has_its_word_in_both() {
    let states = [State::Good, State::Differs, State::Unseen, State::NotApplicable];
    let words = states.map(|state| serde_json::to_value(state).unwrap().as_str().unwrap().to_owned());
    let tree = Tree::of(&badly_tuned());
    let table = done(tree.tune().arg("check")).1;
    for line in table.lines().skip(1) {
        assert!(words.iter().any(|word| line.starts_with(&format!("{word} "))), "{line}");
    }
}
