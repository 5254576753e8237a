//! What the process may take.

use super::{Fact, Ground, Reading, Scope, Severity};
use crate::doctor::cpus::CpuSet;
use crate::limits;

pub(super) static CPUS: Fact = Fact {
    name: "allowed-cpus",
    group: "cpu",
    severity: Severity::High,
    scope: Scope::Process,
    why: "A bid core is pinned to its CPU, and the start ends where that is not among those that the process may use. Isolated CPUs have to be given to it by name.",
    cost: "None.",
    change: "CPUAffinity= of the unit, or cpuset.cpus of its cgroup, with all CPUs of the bidder",
    undo: "the line out again",
    source: "deploy/systemd/corebid.service",
    read: |ground| {
        let wanted = &ground.roles.bid;
        let status = ground.process("status").unwrap_or_default();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        match list.and_then(|list| CpuSet::of_list(list.trim())) {
            Some(allowed) => Reading::of(allowed.covers(wanted), &allowed, wanted),
            None => Reading::unseen("the status of the process cannot be read", wanted),
        }
    },
};

pub(super) static QUOTA: Fact = Fact {
    name: "cpu-quota",
    group: "cpu",
    severity: Severity::High,
    scope: Scope::Process,
    why: "A cgroup that has used its quota stands still until the period is over, up to 100 ms: every request in it is late. The stall meter calls it throttle.",
    cost: "The process may take all of its CPUs.",
    change: "no CPUQuota= in the unit; in Kubernetes no CPU limit, or whole CPUs by the static CPU manager",
    undo: "the limit back",
    source: "Linux, Documentation/admin-guide/cgroup-v2.rst (cpu.max)",
    read: quota,
};

/// The least that any cgroup above the process leaves it.
fn quota(ground: &Ground<'_>) -> Reading {
    let wanted = "no quota";
    let Some(groups) = ground.process("cgroup") else {
        return Reading::unseen("the cgroup of the process cannot be read", wanted);
    };
    let mut read = false;
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let second = controllers.is_empty();
        if !second && !controllers.split(',').any(|controller| controller == "cpu") {
            continue;
        }
        let mount = if second { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/cpu" };
        // In a container the path may be one that only its host has: what is mounted is then its own.
        let mut folder = if path.contains("..") { "" } else { path.trim_end_matches('/') };
        loop {
            let file = |name: &str| ground.host.line(&format!("{mount}{folder}/{name}"));
            let found = if second { file("cpu.max") } else { file("cpu.cfs_quota_us") };
            if let Some(found) = found {
                let first = found.split_ascii_whitespace().next().unwrap_or_default();
                match first.parse::<i64>() {
                    Ok(quota) if quota > 0 => {
                        return Reading::of(false, format!("{found} us in {mount}{folder}"), wanted);
                    }
                    Err(_) if first != "max" => {
                        return Reading::unseen("the cgroup has no quota that can be understood", wanted);
                    }
                    _ => read = true,
                }
            }
            match folder.rsplit_once('/') {
                Some((above, _)) => folder = above,
                None => break,
            }
        }
        // The root of the second version has no such file: there nothing is bounded.
        read |= second && path == "/" && ground.host.has("/sys/fs/cgroup/cgroup.controllers");
    }
    if read { Reading::of(true, wanted, wanted) } else { Reading::unseen("no cgroup tells", wanted) }
}

pub(super) static MEMLOCK: Fact = Fact {
    name: "memlock",
    group: "memory",
    severity: Severity::Medium,
    scope: Scope::Process,
    why: "corebid locks its memory, and a registered buffer is counted too; with a limit it locks nothing, or does not start where [process] requires it.",
    cost: "What is locked is not swapped, and nobody else has it.",
    change: "LimitMEMLOCK=infinity in the unit; ulimit -l unlimited in a shell",
    undo: "the limit back",
    source: "src/harden/memory.rs; docs/HARDENING.md",
    read: |ground| {
        let wanted = "unlimited";
        match limit(ground, "Max locked memory") {
            Some(limit) if limit == wanted => Reading::of(true, &limit, wanted),
            Some(limit) => match limit.parse::<u64>() {
                Ok(bytes) => Reading::of(false, format!("{bytes} bytes"), wanted),
                Err(_) => Reading::unseen("the limits of the process cannot be understood", wanted),
            },
            None => Reading::unseen("the limits of the process cannot be read", wanted),
        }
    },
};

pub(super) static NOFILE: Fact = Fact {
    name: "nofile",
    group: "network",
    severity: Severity::Medium,
    scope: Scope::Process,
    why: "Every connection is a descriptor, and a bid core holds up to 65,536; with fewer the oldest silent ones are closed for new ones.",
    cost: "Memory of the kernel for each connection that there is.",
    change: "LimitNOFILE=1048576 in the unit; ulimit -n in a shell",
    undo: "the limit back",
    source: "src/limits.rs; docs/HOSTILE.md",
    read: |ground| {
        let needed = limits::CONNECTIONS * ground.roles.bid.len() + limits::RESERVED_DESCRIPTORS;
        let wanted = format!("at least {needed}");
        match limit(ground, "Max open files") {
            Some(limit) if limit == "unlimited" => Reading::of(true, &limit, wanted),
            Some(limit) => match limit.parse::<usize>() {
                Ok(number) => Reading::of(number >= needed, number, wanted),
                Err(_) => Reading::unseen("the limits of the process cannot be understood", wanted),
            },
            None => Reading::unseen("the limits of the process cannot be read", wanted),
        }
    },
};

/// A hard limit, to which corebid raises itself.
fn limit(ground: &Ground<'_>, name: &str) -> Option<String> {
    let limits = ground.process("limits")?;
    let values = limits.lines().find_map(|line| line.strip_prefix(name))?;
    values.split_ascii_whitespace().nth(1).map(str::to_owned)
}
