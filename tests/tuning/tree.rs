//! Hosts as trees of files: CPUs 0 to 7 on one node, bid cores 1 to 3, a network card `eth0` with a queue for each.

#![allow(unreachable_pub, reason = "a module of a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Folder;

/// The values of a host, by path.
pub type Files = BTreeMap<String, String>;

/// Values as a host for bid cores has them, and as none should: what can be set.
const SETTINGS: &[(&str, &str, &str)] = &[
    ("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc", "hpet"),
    ("/sys/devices/system/cpu/intel_pstate/no_turbo", "1", "0"),
    ("/sys/devices/system/cpu/cpufreq/boost", "0", "1"),
    ("/proc/irq/24/smp_affinity_list", "0,4-7", "0-7"),
    ("/proc/irq/25/smp_affinity_list", "4", "2"),
    ("/proc/irq/40/smp_affinity_list", "0", "1"),
    ("/proc/irq/41/smp_affinity_list", "1", "0-7"),
    ("/proc/irq/42/smp_affinity_list", "2", "1"),
    ("/proc/irq/43/smp_affinity_list", "3", "4"),
    ("/proc/irq/default_smp_affinity", "f1", "ff"),
    ("/sys/devices/virtual/workqueue/cpumask", "f1", "ff"),
    ("/sys/bus/workqueue/devices/writeback/cpumask", "00000000,000000f1", "00000000,000000ff"),
    ("/proc/sys/kernel/watchdog_cpumask", "0,4-7", "0-7"),
    ("/proc/sys/vm/swappiness", "10", "60"),
    ("/proc/sys/kernel/numa_balancing", "0", "1"),
    ("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never", "[always] madvise never"),
    (
        "/sys/kernel/mm/transparent_hugepage/defrag",
        "always defer defer+madvise [madvise] never",
        "[always] defer defer+madvise madvise never",
    ),
    ("/sys/kernel/mm/ksm/run", "0", "1"),
    ("/proc/sys/vm/compaction_proactiveness", "0", "20"),
    ("/proc/sys/net/core/busy_poll", "50", "0"),
    ("/proc/sys/net/core/busy_read", "50", "0"),
    ("/proc/sys/net/core/somaxconn", "4096", "128"),
    ("/proc/sys/net/ipv4/tcp_max_syn_backlog", "8192", "512"),
    ("/proc/sys/net/ipv4/tcp_slow_start_after_idle", "0", "1"),
    ("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999", "40000\t41000"),
    ("/proc/sys/net/core/rmem_max", "212992", "16384"),
    ("/proc/sys/net/core/wmem_max", "212992", "16384"),
    ("/sys/class/net/eth0/queues/rx-0/rps_cpus", "00", "ff"),
    ("/sys/class/net/eth0/queues/rx-1/rps_cpus", "00", "0e"),
    ("/sys/class/net/eth0/queues/rx-2/rps_cpus", "00", "00"),
    ("/sys/class/net/eth0/queues/tx-0/xps_cpus", "02", "01"),
    ("/sys/class/net/eth0/queues/tx-1/xps_cpus", "04", "00"),
    ("/sys/class/net/eth0/queues/tx-2/xps_cpus", "08", "ff"),
    ("/proc/sys/kernel/nmi_watchdog", "0", "1"),
    ("/proc/sys/kernel/timer_migration", "0", "1"),
    ("/proc/sys/vm/stat_interval", "10", "1"),
    ("/proc/sys/kernel/hung_task_timeout_secs", "600", "120"),
    ("/proc/sys/kernel/sched_rt_runtime_us", "950000", "-1"),
    ("/proc/sys/kernel/sched_autogroup_enabled", "0", "1"),
    ("/proc/sys/kernel/io_uring_disabled", "0", "2"),
    ("/proc/sys/fs/nr_open", "1048576", "65536"),
    ("/proc/sys/kernel/perf_event_paranoid", "1", "4"),
];

/// The same of each bid core.
const OF_BID_CORES: &[(&str, &str, &str)] = &[
    ("/sys/devices/system/cpu/cpuN/cpufreq/scaling_governor", "performance", "powersave"),
    ("/sys/devices/system/cpu/cpuN/cpufreq/energy_performance_preference", "performance", "balance_power"),
    ("/sys/devices/system/cpu/cpuN/power/energy_perf_bias", "0", "6"),
    ("/sys/devices/system/cpu/cpuN/cpuidle/state2/disable", "1", "0"),
    ("/sys/devices/system/machinecheck/machinecheckN/ignore_ce", "1", "0"),
];

/// What cannot be set by writing to it, good and bad.
const FACTS: &[(&str, &str, &str)] = &[
    ("/sys/devices/system/cpu/isolated", "1-3", ""),
    ("/sys/devices/system/cpu/nohz_full", "1-3", "(null)"),
    (
        "/proc/cmdline",
        "BOOT_IMAGE=/vmlinuz root=/dev/sda1 rcu_nocbs=1-3 skew_tick=1 idle=halt idle=poll mitigations=off",
        "BOOT_IMAGE=/vmlinuz root=/dev/sda1 xskew_tick=1 rcu_nocbs=3 mitigations=auto",
    ),
    (
        "/proc/swaps",
        "Filename\tType\tSize\tUsed\tPriority",
        "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition 1 0 -2",
    ),
    ("/proc/812/comm", "sshd", "irqbalance"),
    ("/proc/sys/kernel/osrelease", "6.8.0-45-generic", "5.15.0-122-generic"),
    ("/proc/self/status", "Name:\tcorebid\nCpus_allowed_list:\t0-7", "Name:\tcorebid\nCpus_allowed_list:\t0,4-7"),
    (
        "/proc/self/limits",
        "Limit  Soft Limit  Hard Limit  Units\nMax open files  1024  1048576  files\nMax locked memory  65536  unlimited  bytes",
        "Limit  Soft Limit  Hard Limit  Units\nMax open files  1024  4096  files\nMax locked memory  65536  65536  bytes",
    ),
    ("/sys/fs/cgroup/system.slice/cpu.max", "max 100000", "150000 100000"),
    ("/proc/stat", "cpu  900 0 50 8000 20 0 30 0 0 0", "cpu  900 0 50 8000 20 0 30 90 0 0"),
    ("/sys/devices/system/node/node0/cpulist", "0-7", "0-1,4-7"),
    ("/sys/devices/system/node/node1/cpulist", "8-15", "2-3,8-15"),
    ("/proc/sys/vm/nr_hugepages", "0", "512"),
];

/// What is the same on both.
const SAME: &[(&str, &str)] = &[
    ("/sys/devices/system/cpu/online", "0-7"),
    ("/sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet acpi_pm "),
    ("/proc/1/comm", "systemd"),
    ("/proc/1/cgroup", "0::/init.scope"),
    ("/proc/self/cgroup", "0::/system.slice/corebid.service"),
    ("/sys/fs/cgroup/system.slice/corebid.service/cpu.max", "max 100000"),
    ("/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vme tsc avx2"),
    ("/proc/net/route", "Iface\tDestination\tGateway\nlo\t0000007F\t0\neth0\t00000000\t010200C0"),
    ("/sys/class/net/eth0/device/numa_node", "0"),
    ("/proc/irq/24/nvme0q0/empty", ""),
    ("/proc/irq/25/ttyS0/empty", ""),
    ("/proc/irq/40/eth0-config/empty", ""),
    ("/proc/irq/41/eth0-TxRx-0/empty", ""),
    ("/proc/irq/42/eth0-TxRx-1/empty", ""),
    ("/proc/irq/43/eth0-TxRx-2/empty", ""),
    ("/sys/class/net/eth0/device/msi_irqs/40", "msix"),
    ("/sys/class/net/eth0/device/msi_irqs/41", "msix"),
    ("/sys/class/net/eth0/device/msi_irqs/42", "msix"),
    ("/sys/class/net/eth0/device/msi_irqs/43", "msix"),
];

/// A host on which everything is as wanted.
pub fn well_tuned() -> Files {
    host(|good, _| good)
}

/// One on which nothing is.
pub fn badly_tuned() -> Files {
    let mut files = host(|_, bad| bad);
    // 1, a bid core, and 5 are threads of one core.
    files.insert("/sys/devices/system/cpu/cpu1/topology/thread_siblings_list".into(), "1,5".into());
    files.insert("/sys/devices/system/cpu/cpu5/online".into(), "1".into());
    files
}

fn host(choose: impl Fn(&'static str, &'static str) -> &'static str) -> Files {
    let mut files: Files = SAME.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    for (path, good, bad) in SETTINGS.iter().chain(FACTS) {
        files.insert((*path).to_owned(), choose(good, bad).to_owned());
    }
    for cpu in 0..8 {
        let folder = format!("/sys/devices/system/cpu/cpu{cpu}");
        for (path, good, bad) in OF_BID_CORES {
            // The other cores are nobody's business: there even a well tuned host has what a bid core should not.
            let value = if (1..4).contains(&cpu) { choose(good, bad) } else { bad };
            files.insert(path.replace('N', &cpu.to_string()), value.to_owned());
        }
        for (state, latency) in [(0, "0"), (1, "2"), (2, "133")] {
            files.insert(format!("{folder}/cpuidle/state{state}/latency"), latency.to_owned());
            files.entry(format!("{folder}/cpuidle/state{state}/disable")).or_insert_with(|| "0".to_owned());
        }
        files.insert(format!("{folder}/topology/thread_siblings_list"), cpu.to_string());
        files.insert(format!("{folder}/thermal_throttle/core_throttle_count"), choose("0", "17").to_owned());
    }
    files
}

/// Paths that `tune apply` may write to, with the value that a host for bid cores has there and one that none should have.
pub fn settings() -> Vec<(String, &'static str, &'static str)> {
    let of_cores = (1..4).flat_map(|cpu| {
        OF_BID_CORES.iter().map(move |(path, good, bad)| (path.replace('N', &cpu.to_string()), *good, *bad))
    });
    SETTINGS.iter().map(|(path, good, bad)| ((*path).to_owned(), *good, *bad)).chain(of_cores).collect()
}

/// A tree on disk, with a place for the records of `tune` beside it.
#[derive(Debug)]
pub struct Tree {
    folder: Folder,
}

impl Tree {
    pub fn of(files: &Files) -> Tree {
        let tree = Tree { folder: Folder::new("tree") };
        tree.write(files);
        tree
    }

    pub fn write(&self, files: &Files) {
        for (path, value) in files {
            self.put(path, format!("{value}\n").as_bytes());
        }
    }

    pub fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path("root")
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path("state")
    }

    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// Every file with its bytes.
    pub fn bytes(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn walk(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => walk(&entry.path(), found),
                    false => drop(found.insert(entry.path(), fs::read(entry.path()).unwrap())),
                }
            }
        }
        let mut found = BTreeMap::new();
        walk(&self.root(), &mut found);
        let below = |path: PathBuf| path.strip_prefix(self.root()).unwrap().to_owned();
        found.into_iter().map(|(path, bytes)| (below(path), bytes)).collect()
    }

    /// `tune` on this tree.
    pub fn tune(&self) -> Command {
        let mut command = tune();
        command.env("TUNE_ROOT", self.root()).env("TUNE_STATE", self.state());
        command.args(["--bid-cores", "1-3"]);
        command
    }
}

/// `tuning/tune`, with nothing from outside.
pub fn tune() -> Command {
    let mut command = Command::new("bash");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/tune"));
    for name in ["TUNE_ROOT", "TUNE_STATE", "TUNE_CONF", "TUNE_ETHTOOL"] {
        command.env_remove(name);
    }
    command
}
