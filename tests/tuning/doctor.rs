//! `corebid doctor` against trees.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use corebid::doctor::cpus::CpuSet;
use corebid::doctor::{self, Knob, Options, Report, Severity, State};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::process::run;
use crate::support::{Folder, campaign};
use crate::tree::{Files, Tree, badly_tuned, well_tuned};

/// Knobs by how much they matter. What is declared must be what is written here and in docs/TUNING.md.
const SEVERITIES: [(Severity, &[&str]); 5] = [
    (
        Severity::High,
        &[
            "allowed-cpus",
            "clocksource",
            "cpu-quota",
            "cstates",
            "governor",
            "io-uring",
            "io-uring-features",
            "irqs",
            "kernel",
            "steal",
        ],
    ),
    (
        Severity::Medium,
        &[
            "adaptive-coalescing",
            "energy-preference",
            "irq-default",
            "irqbalance",
            "isolation",
            "memlock",
            "nic-channels",
            "nic-irqs",
            "nic-node",
            "nmi-watchdog",
            "nofile",
            "nr-open",
            "numa-balancing",
            "numa-node",
            "rmem-max",
            "rps",
            "rx-coalescing",
            "smt",
            "somaxconn",
            "swap",
            "swappiness",
            "thp",
            "throttled",
            "wmem-max",
            "workqueues",
            "writeback",
        ],
    ),
    (
        Severity::Low,
        &[
            "autogroup",
            "compaction",
            "energy-bias",
            "hung-task",
            "ksm",
            "port-range",
            "rcu-nocbs",
            "rt-throttling",
            "skew-tick",
            "slow-start",
            "stat-interval",
            "syn-backlog",
            "thp-defrag",
            "timer-migration",
            "watchdog-cpus",
            "xps",
        ],
    ),
    (
        Severity::Choice,
        &[
            "busy-poll",
            "busy-read",
            "idle-poll",
            "machine-check",
            "mitigations",
            "no-boost",
            "no-turbo",
            "nohz-full",
            "perf-events",
        ],
    ),
    (Severity::Info, &["container", "huge-pages", "virtualization"]),
];

/// What only the kernel itself, or the card, can tell.
const UNSEEN_IN_TREES: [&str; 4] = ["adaptive-coalescing", "io-uring-features", "nic-channels", "rx-coalescing"];

fn examined(tree: &Tree) -> Report {
    let options = Options { root: Some(tree.root()), cores: CpuSet::of_list("1-3"), ..Options::default() };
    doctor::examine(&options).expect("a report")
}

fn states(report: &Report) -> BTreeMap<&str, State> {
    report.knobs.iter().map(|knob| (knob.name, knob.state)).collect()
}

fn knob<'a>(report: &'a Report, name: &str) -> &'a Knob {
    report.knobs.iter().find(|knob| knob.name == name).expect(name)
}

#[test]
fn a_well_tuned_host_is_good() {
    let report = examined(&Tree::of(&well_tuned()));
    for knob in &report.knobs {
        let wanted = if UNSEEN_IN_TREES.contains(&knob.name) { State::Unseen } else { State::Good };
        assert_eq!(knob.state, wanted, "{knob:?}");
    }
    assert_eq!(report.roles.nic.as_deref(), Some("eth0"));
    assert_eq!(report.roles.housekeeping.to_string(), "0,4-7");
}

#[test]
fn on_a_badly_tuned_host_everything_differs() {
    let report = examined(&Tree::of(&badly_tuned()));
    let alike = ["container", "virtualization"];
    for knob in &report.knobs {
        let wanted = match knob.name {
            name if UNSEEN_IN_TREES.contains(&name) => State::Unseen,
            name if alike.contains(&name) => State::Good,
            _ => State::Differs,
        };
        assert_eq!(knob.state, wanted, "{knob:?}");
    }
    for (severity, names) in SEVERITIES {
        let found: BTreeSet<&str> =
            report.knobs.iter().filter(|knob| knob.severity == severity).map(|knob| knob.name).collect();
        assert_eq!(found, names.iter().copied().collect(), "{severity:?}");
    }
    // What is told of some of them.
    let told = |name| (knob(&report, name).current.as_str(), knob(&report, name).wanted.as_str());
    assert_eq!(told("governor"), ("powersave", "performance"));
    assert_eq!(told("irqs"), ("0-7, 2, 1", "0,4-7"));
    assert_eq!(told("nic-irqs"), ("0-7, 1, 4", "1, 2, 3"));
    assert_eq!(told("thp"), ("always", "madvise"));
    assert_eq!(told("swappiness"), ("60", "at most 10"));
    assert_eq!(told("workqueues"), ("ff", "f1"));
    assert_eq!(told("swap"), ("1", "none"));
    assert_eq!(told("cpu-quota"), ("150000 100000 us in /sys/fs/cgroup/system.slice", "no quota"));
    assert_eq!(told("steal"), ("0.99 %", "under 0.1 % of the time"));
    assert_eq!(told("smt"), ("1", "0"));
    assert_eq!(told("nofile"), ("4096", "at least 196864"));
    assert_eq!(knob(&report, "governor").change, "tuning/tune --bid-cores 1-3 apply governor");
    assert!(
        knob(&report, "isolation").change.starts_with("isolcpus=managed_irq,domain,1-3 on the kernel command line")
    );
}

#[test]
fn what_is_not_there_is_not_good() {
    let nothing: Files = [("/sys/devices/system/cpu/online".to_owned(), "0-7".to_owned())].into();
    let report = examined(&Tree::of(&nothing));
    for knob in &report.knobs {
        assert!(matches!(knob.state, State::Unseen | State::NotApplicable), "{knob:?}");
    }
    // One file at a time: whoever was good by it is not any more.
    let tree = Tree::of(&well_tuned());
    let before = examined(&tree);
    let paths: BTreeSet<&str> =
        before.knobs.iter().flat_map(|knob| &knob.places).map(|place| place.path.as_str()).collect();
    for path in paths.into_iter().filter(|path| path.starts_with('/')) {
        let bytes = fs::read(tree.path(path)).unwrap();
        fs::remove_file(tree.path(path)).unwrap();
        for knob in &examined(&tree).knobs {
            let unread = knob.places.iter().any(|place| place.path == path);
            assert!(!(unread && knob.state == State::Good), "{} without {path}", knob.name);
        }
        tree.put(path, &bytes);
    }
}

#[test]
fn a_host_without_cpus_is_refused() {
    let tree = Tree::of(&Files::new());
    fs::create_dir_all(tree.root()).unwrap();
    let options = |cores| Options { root: Some(tree.root()), cores: CpuSet::of_list(cores), ..Options::default() };
    assert!(doctor::examine(&options("1-3")).unwrap_err().contains("/sys/devices/system/cpu/online"));
    tree.write(&well_tuned());
    assert_eq!(doctor::examine(&options("7-8")).unwrap_err(), "CPU 8 is not online; there are 0-7");
}

#[test]
fn a_virtual_machine_is_told_and_what_it_hides() {
    let mut files = well_tuned();
    files.insert("/proc/cpuinfo".into(), "processor\t: 0\nflags\t\t: fpu vme tsc hypervisor avx2".into());
    files.insert("/sys/class/dmi/id/sys_vendor".into(), "QEMU".into());
    files.retain(|path, _| !path.contains("cpufreq") && !path.contains("cpuidle") && !path.contains("machinecheck"));
    let report = examined(&Tree::of(&files));
    assert_eq!(knob(&report, "virtualization").current, "a virtual machine (kind: qemu)");
    for name in ["governor", "cstates", "energy-preference", "no-boost"] {
        let knob = knob(&report, name);
        assert_eq!(knob.state, State::Unseen, "{name}");
        assert!(knob.note.as_ref().is_some_and(|note| note.contains("the hypervisor's host decides")), "{knob:?}");
    }
    // A guest is shown processors: whether two of them are one core, only the host knows.
    assert!(knob(&report, "smt").places.is_empty() && knob(&report, "smt").state == State::Unseen);
    let text = report.text(false);
    assert!(text.contains("Linux 6.8.0-45-generic, a virtual machine (kind: qemu)"), "{text}");
    assert!(text.contains("CANNOT BE SEEN HERE"), "{text}");
    // The name of who rents the machine out does not make it virtual.
    files.insert("/proc/cpuinfo".into(), "processor\t: 0\nflags\t\t: fpu vme tsc avx2".into());
    files.insert("/sys/class/dmi/id/sys_vendor".into(), "Amazon EC2".into());
    assert_eq!(knob(&examined(&Tree::of(&files)), "virtualization").state, State::Good);
    // An ARM processor has no such flag: the firmware is all there is.
    files.insert("/proc/cpuinfo".into(), "processor\t: 0\nFeatures\t: fp asimd".into());
    assert_eq!(knob(&examined(&Tree::of(&files)), "virtualization").current, "a virtual machine (kind: amazon)");
    files.insert("/sys/class/dmi/id/product_name".into(), "m7g.metal".into());
    assert_eq!(knob(&examined(&Tree::of(&files)), "virtualization").state, State::Good);
}

/// What is wanted of the clock, and whether the doctor and `tune` say the same of it.
#[test]
fn a_clock_is_wanted_that_the_host_offers() {
    const FOLDER: &str = "/sys/devices/system/clocksource/clocksource0";
    let guest = "processor\t: 0\nflags\t\t: fpu vme tsc hypervisor avx2";
    let metal = "processor\t: 0\nflags\t\t: fpu vme tsc avx2";
    for (cpu, offered, current, state, wanted) in [
        (metal, "tsc hpet acpi_pm ", "hpet", State::Differs, "tsc"),
        (metal, "hpet acpi_pm ", "hpet", State::Differs, "none offered"),
        (guest, "kvm-clock tsc acpi_pm ", "kvm-clock", State::Good, "kvm-clock"),
        (guest, "tsc kvm-clock ", "tsc", State::Good, "kvm-clock"),
        (guest, "hyperv_clocksource_tsc_page acpi_pm ", "acpi_pm", State::Differs, "hyperv_clocksource_tsc_page"),
        (guest, "tsc hpet acpi_pm ", "acpi_pm", State::Differs, "none offered"),
    ] {
        let mut files = well_tuned();
        files.insert("/proc/cpuinfo".into(), cpu.into());
        files.insert(format!("{FOLDER}/available_clocksource"), offered.into());
        files.insert(format!("{FOLDER}/current_clocksource"), current.into());
        let tree = Tree::of(&files);
        let report = examined(&tree);
        let clock = knob(&report, "clocksource");
        assert_eq!((clock.state, clock.current.as_str(), clock.wanted.as_str()), (state, current, wanted), "{offered}");
        let word = serde_json::to_value(state).unwrap().as_str().unwrap().to_owned();
        let told = tree.tune().args(["check", "--places", "clocksource"]).output().unwrap();
        let expected = format!("clocksource\t{FOLDER}/current_clocksource\t{word}\t{current}\t{wanted}\n");
        assert_eq!(String::from_utf8(told.stdout).unwrap(), expected);
        // What is not offered is not tried, and told.
        let applied = tree.tune().args(["apply", "clocksource"]).output().unwrap();
        let now = fs::read_to_string(tree.path(&format!("{FOLDER}/current_clocksource"))).unwrap();
        let settable = wanted != "none offered";
        assert_eq!(applied.status.success(), settable || state == State::Good, "{applied:?}");
        assert_eq!(now.trim_end(), if state == State::Differs && settable { wanted } else { current });
        assert_eq!(clock.change.contains("none that user space can read is offered"), !settable, "{}", clock.change);
    }
}

#[test]
fn a_container_is_told_and_what_is_its_hosts() {
    let mut files = badly_tuned();
    files.insert("/.dockerenv".into(), String::new());
    files.insert("/proc/1/comm".into(), "corebid".into());
    let report = examined(&Tree::of(&files));
    assert_eq!(report.surroundings.container.as_deref(), Some("docker"));
    let note = |name| knob(&report, name).note.clone();
    assert_eq!(note("swappiness").as_deref(), Some("of the container's host: set it there"));
    // A network namespace is the container's own.
    assert_eq!(note("somaxconn"), None);
    assert!(report.text(false).contains("In a container most of this belongs to its host"));
    // Its processes are not its host's.
    let mut tuned = well_tuned();
    tuned.insert("/run/systemd/container".into(), "lxc".into());
    let report = examined(&Tree::of(&tuned));
    assert_eq!(report.surroundings.container.as_deref(), Some("lxc"));
    assert_eq!(knob(&report, "irqbalance").state, State::Unseen);
    // Without a mark and without an init nobody knows.
    files.remove("/.dockerenv");
    assert_eq!(knob(&examined(&Tree::of(&files)), "container").state, State::Unseen);
    files.insert("/proc/1/cgroup".into(), "0::/kubepods/besteffort/pod1/abc".into());
    assert_eq!(knob(&examined(&Tree::of(&files)), "container").current, "kubepods");
}

#[test]
fn a_deep_idle_state_does_not_count_while_somebody_forbids_it() {
    let mut files = badly_tuned();
    files.remove("/dev/cpu_dma_latency");
    let tree = Tree::of(&files);
    tree.put("/dev/cpu_dma_latency", &3_u32.to_le_bytes());
    assert_eq!(knob(&examined(&tree), "cstates").current, "/dev/cpu_dma_latency is held at 3 us");
    assert_eq!(knob(&examined(&tree), "cstates").state, State::Good);
    tree.put("/dev/cpu_dma_latency", &2_000_000_000_u32.to_le_bytes());
    assert_eq!(knob(&examined(&tree), "cstates").state, State::Differs);
}

#[test]
fn with_fewer_queues_than_bid_cores_none_works_for_the_others() {
    let mut files = well_tuned();
    files.retain(|path, _| !path.contains("x-2/") && !path.contains("/irq/43/"));
    let report = examined(&Tree::of(&files));
    assert_eq!(knob(&report, "nic-irqs").wanted, "0,4-7");
    // A host on which every CPU is a bid core has no place to put anything else.
    let tree = Tree::of(&files);
    let options = Options { root: Some(tree.root()), cores: CpuSet::of_list("0-7"), ..Options::default() };
    let report = doctor::examine(&options).unwrap();
    assert_eq!(states(&report)["irqs"], State::NotApplicable);
    assert_eq!(states(&report)["nic-irqs"], State::Differs);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Whatever files hold, a report comes of it.
    #[test]
    fn garbage_is_no_value(seed in proptest::collection::vec(any::<u8>(), 1..64), junk in any::<bool>()) {
        let files = badly_tuned();
        let tree = Tree::of(&files);
        for (at, path) in files.keys().filter(|path| !path.ends_with("cpu/online")).enumerate() {
            // Bytes that no text has, or any bytes, from another place of the seed for each file.
            let turned = seed.iter().cycle().skip(at % seed.len()).take(seed.len());
            let bytes: Vec<u8> = turned.map(|byte| if junk { byte | 0x80 } else { *byte }).collect();
            tree.put(path, &bytes);
        }
        let report = examined(&tree);
        let _ = report.text(true);
        prop_assert!(serde_json::to_string(&report).is_ok());
        for knob in &report.knobs {
            let told = junk && knob.places.iter().any(|place| place.path.starts_with('/'));
            // Lists of idle states and of processes are there, whatever is in them.
            prop_assert!(!told || matches!(knob.state, State::Unseen | State::NotApplicable), "{:?}", knob);
        }
    }
}

#[test]
fn the_command_prints_what_the_contract_says() {
    let (code, stdout, stderr) = run(&["doctor", "--json"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&stdout).expect("one JSON object");
    let knobs = report["knobs"].as_array().expect("knobs");
    assert!(knobs.len() >= 20);
    for knob in knobs {
        for key in ["name", "current", "wanted", "severity", "why", "cost", "change", "undo", "state", "source"] {
            let text = knob[key].as_str().unwrap_or_else(|| panic!("{key} of {knob}"));
            assert!(!text.is_empty() || ["current", "wanted"].contains(&key), "{key} of {knob}");
        }
    }
    let (code, text, _) = run(&["doctor"]);
    assert_eq!(code, Some(0));
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    let (_, all, _) = run(&["doctor", "--all"]);
    for knob in knobs {
        let name = knob["name"].as_str().unwrap();
        assert!(text.contains(name) && all.contains(&format!("\n  {name} ")), "{name}");
    }
    for wrong in [&["doctor", "--cores", "4095"][..], &["doctor", "--root", "/nowhere"], &["doctor", "--cores", "x"]] {
        assert_eq!(run(wrong).0, Some(2), "{wrong:?}");
    }
}

#[test]
fn the_configuration_says_which_cores() {
    let (tree, folder) = (Tree::of(&well_tuned()), Folder::new("doctor"));
    let config = folder.configure("cores = [2, 3]\nreconcile_core = 1", "", &campaign(1, ""));
    let root = tree.root().display().to_string();
    let (code, stdout, stderr) = run(&["doctor", "--config", &config, "--root", &root, "--json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((report["bid"].as_str(), report["housekeeping"].as_str()), (Some("2-3"), Some("0-1,4-7")));
}

/// docs/TUNING.md has a row for each knob, with its severity.
#[test]
fn every_knob_is_in_the_document() {
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/TUNING.md")).unwrap();
    for (severity, names) in SEVERITIES {
        for name in names {
            let severity = format!("{severity:?}").to_lowercase();
            assert!(document.contains(&format!("| `{name}` | {severity} |")), "{name} {severity}");
        }
    }
}
