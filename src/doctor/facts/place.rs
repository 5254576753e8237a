//! The machine: whose it is, and where its parts are.

use super::{Fact, Ground, Reading, Scope, Severity};
use crate::doctor::cpus::CpuSet;
use crate::doctor::surroundings::Virtual;

pub(super) static STEAL: Fact = Fact {
    name: "steal",
    group: "cpu",
    severity: Severity::High,
    scope: Scope::Hardware,
    why: "Time that a CPU of a guest had work and the hypervisor ran somebody else, since boot. Nothing in the guest can help it.",
    cost: "A machine, or CPUs, of one's own.",
    change: "a dedicated host, or pinned virtual CPUs",
    undo: "the shared one back",
    source: "proc_stat(5)",
    read: |ground| {
        let wanted = "under 0.1 % of the time";
        let stat = ground.host.text("/proc/stat").unwrap_or_default();
        let total = stat.lines().find_map(|line| line.strip_prefix("cpu "));
        let counts =
            total.map(|line| line.split_ascii_whitespace().map(str::parse::<u64>).collect::<Result<Vec<_>, _>>());
        match counts {
            // User time has the guests' in it already.
            Some(Ok(counts)) if counts.len() >= 8 => {
                let all: u128 = counts[..8].iter().map(|&count| u128::from(count)).sum();
                let share = counts[7] as f64 / (all as f64).max(1.0);
                Reading::of(share < 0.001, format!("{:.2} %", share * 100.0), wanted)
            }
            _ => Reading::unseen("/proc/stat does not tell it", wanted),
        }
    },
};

pub(super) static THROTTLED: Fact = Fact {
    name: "throttled",
    group: "cpu",
    severity: Severity::Medium,
    scope: Scope::Hardware,
    why: "How often bid cores were slowed down because they were too hot, since boot.",
    cost: "Cooling.",
    change: "cooling, or no-turbo",
    undo: "no-turbo: tuning/tune undo no-turbo",
    source: "Linux, arch/x86/kernel/cpu/mce (thermal_throttle)",
    read: |ground| {
        let mut times: u128 = 0;
        for cpu in ground.roles.bid.iter() {
            let path = format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle/core_throttle_count");
            match ground.host.line(&path).and_then(|line| line.parse::<u64>().ok()) {
                Some(count) => times += u128::from(count),
                None => return Reading::unseen(&format!("{path} tells no number, or is not there"), "never"),
            }
        }
        Reading::of(times == 0, if times == 0 { "never".to_owned() } else { format!("{times} times") }, "never")
    },
};

/// The nodes of memory that have these CPUs.
fn nodes(ground: &Ground<'_>, cpus: &CpuSet) -> Option<Vec<usize>> {
    let paths = ground.host.paths("/sys/devices/system/node/node*/cpulist");
    let mut nodes = Vec::new();
    let mut found = 0;
    for path in &paths {
        let number = path.split("/node").last()?.split('/').next()?.parse().ok()?;
        let of_node = ground.host.cpus(path)?;
        let here = cpus.iter().filter(|&cpu| of_node.has(cpu)).count();
        found += here;
        if here > 0 {
            nodes.push(number);
        }
    }
    (found == cpus.len()).then_some(nodes)
}

pub(super) static NODE: Fact = Fact {
    name: "numa-node",
    group: "memory",
    severity: Severity::Medium,
    scope: Scope::Host,
    why: "Bid cores share the snapshot and the base of profiles; on another node each read of them goes over the link between sockets.",
    cost: "Fewer bid cores to one process; a process for each node takes the others.",
    change: "server.cores on one node; a second process for the second node",
    undo: "server.cores as before",
    source: "Linux, Documentation/admin-guide/mm/numa_memory_policy.rst",
    read: |ground| match nodes(ground, &ground.roles.bid).as_deref() {
        Some([one]) => Reading::of(true, format!("node {one}"), "one node"),
        Some(several) => Reading::of(false, format!("nodes {several:?}"), "one node"),
        None => Reading::unseen("/sys/devices/system/node does not tell it", "one node"),
    },
};

pub(super) static NIC_NODE: Fact = Fact {
    name: "nic-node",
    group: "network",
    severity: Severity::Medium,
    scope: Scope::Hardware,
    why: "A network card writes packets into the memory, and mostly the cache, of the node that it is plugged into.",
    cost: "The choice of CPUs.",
    change: "server.cores on the node of the card",
    undo: "server.cores as before",
    source: "Linux, Documentation/networking/scaling.rst",
    read: |ground| {
        let wanted = "the node of the bid cores";
        let Some(nic) = &ground.roles.nic else { return Reading::not_applicable("no network card is known", wanted) };
        let path = format!("/sys/class/net/{nic}/device/numa_node");
        match ground.host.line(&path).and_then(|line| line.parse::<i64>().ok()) {
            Some(-1) => Reading::not_applicable("the machine has one node, or does not say which", wanted),
            Some(node) => match nodes(ground, &ground.roles.bid) {
                Some(nodes) => {
                    let holds = nodes.iter().all(|&of_bid| i64::try_from(of_bid) == Ok(node));
                    Reading::of(holds, format!("card on node {node}, bid cores on {nodes:?}"), wanted)
                }
                None => Reading::unseen("/sys/devices/system/node does not tell the nodes of bid cores", wanted),
            },
            None => Reading::unseen(&format!("{path} tells no number, or is not there"), wanted),
        }
    },
};

pub(super) static HUGE_PAGES: Fact = Fact {
    name: "huge-pages",
    group: "memory",
    severity: Severity::Info,
    scope: Scope::Host,
    why: "Huge pages that are reserved serve only who asks for them by mmap or hugetlbfs. corebid does not: it asks for transparent ones (thp).",
    cost: "Reserved pages are taken from everybody else.",
    change: "vm.nr_hugepages = 0, unless another program wants them",
    undo: "vm.nr_hugepages as before",
    source: "Linux, Documentation/admin-guide/mm/hugetlbpage.rst; docs/decisions/0016-supply-table.md",
    read: |ground| match ground.host.line("/proc/sys/vm/nr_hugepages").and_then(|line| line.parse::<u64>().ok()) {
        Some(pages) => Reading::of(pages == 0, format!("{pages} reserved"), "0 reserved"),
        None => Reading::unseen("/proc/sys/vm/nr_hugepages cannot be read", "0 reserved"),
    },
};

pub(super) static VIRTUALIZATION: Fact = Fact {
    name: "virtualization",
    group: "host",
    severity: Severity::Info,
    scope: Scope::Hardware,
    why: "In a virtual machine clock, idle states, caches and the CPU itself are shared, by rules that the guest does not see. No latency measured there says much of bare metal.",
    cost: "A machine of one's own.",
    change: "bare metal for what is measured and for what has to be in time",
    undo: "nothing to undo",
    source: "systemd-detect-virt(1)",
    read: |ground| {
        let wanted = "bare metal";
        match ground.surroundings.virtualization {
            Virtual::BareMetal => Reading::of(true, wanted, wanted),
            Virtual::Guest(kind) => Reading::of(false, format!("a virtual machine (kind: {kind})"), wanted),
            Virtual::Unseen => Reading::unseen("neither processor nor firmware tells", wanted),
        }
    },
};

pub(super) static CONTAINER: Fact = Fact {
    name: "container",
    group: "host",
    severity: Severity::Info,
    scope: Scope::Process,
    why: "What belongs to the host cannot be set from a container, and its /proc may show less. Limits of CPU and memory come from outside.",
    cost: "None.",
    change: "run tuning/tune on the host of the container",
    undo: "tuning/tune undo there",
    source: "container_interface of systemd; the marks that Docker and Podman leave",
    read: |ground| match &ground.surroundings.container {
        Some(kind) => Reading::of(false, kind, "none"),
        // Not every runtime leaves a mark: none seen is not none.
        None if ground.host.line("/proc/1/comm").is_some_and(|comm| comm == "systemd" || comm == "init") => {
            Reading::of(true, "none", "none")
        }
        None => Reading::unseen("no mark of one, and the first process is no init", "none"),
    },
};
