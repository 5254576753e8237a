//! For how long the process was throttled: the CPU quota of its cgroup, or of one above it, was used up (`cpu.stat` of cgroups(7),
//! either version).

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The files that tell, held open from the start: of the process's cgroup, and of those above it that it can see.
#[derive(Debug, Default)]
pub struct Quota(Vec<File>);

impl Quota {
    /// Of this process. Where nothing can be read, nothing was throttled.
    pub fn open() -> Quota {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let folders = folders(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        Quota(folders.iter().filter_map(|folder| File::open(folder.join("cpu.stat")).ok()).collect())
    }

    /// Since these cgroups were made, all CPUs together, ns.
    pub fn throttled_ns(&self) -> u64 {
        let mut text = [0; 1024];
        let mut sum = 0u64;
        for file in &self.0 {
            if let Ok(length) = file.read_at(&mut text, 0) {
                sum = sum.saturating_add(parse(&String::from_utf8_lossy(&text[..length])));
            }
        }
        sum
    }
}

/// Version 1 counts in ns, version 2 in us.
fn parse(text: &str) -> u64 {
    let of = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.trim().parse::<u64>().ok())
    };
    of("throttled_time").or_else(|| Some(of("throttled_usec")?.saturating_mul(1_000))).unwrap_or(0)
}

/// The folders of the cgroup that has the CPU controller, and of those above it.
fn folders(mounts: &str, cgroups: &str) -> Vec<PathBuf> {
    let is_cpu = |controllers: &str| controllers.split(',').any(|controller| controller == "cpu");
    let mut folders = Vec::new();
    for mount in mounts.lines() {
        // proc_pid_mountinfo(5): number, parent, device, root, mount point, options, optional fields, a hyphen, type, source, options.
        let Some((place, kind)) = mount.split_once(" - ") else { continue };
        let (place, kind): (Vec<&str>, Vec<&str>) = (place.split(' ').collect(), kind.split(' ').collect());
        let (&[_, _, _, root, point, ..], &[kind, _, options]) = (&place[..], &kind[..]) else { continue };
        let ours = cgroups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let same = match kind {
                "cgroup" => is_cpu(options) && is_cpu(controllers),
                "cgroup2" => controllers.is_empty(),
                _ => false,
            };
            same.then_some(path)
        });
        let Some(path) = ours else { continue };
        // What lies outside of what is mounted is not to be seen.
        let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
        folders.extend(below.ancestors().map(|folder| Path::new(point).join(folder)));
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroup_and_those_above_it_are_found_in_either_version() {
        let mounts = "29 22 0:25 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                      30 22 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      31 22 0:27 /pod /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let paths = |cgroups: &str| {
            let found = folders(mounts, cgroups);
            found.iter().map(|path| path.display().to_string().trim_end_matches('/').to_owned()).collect::<Vec<_>>()
        };
        let v1 = ["/sys/fs/cgroup/cpu/a/b", "/sys/fs/cgroup/cpu/a", "/sys/fs/cgroup/cpu"];
        assert_eq!(paths("4:memory:/x\n3:cpu,cpuacct:/a/b\n"), v1);
        assert_eq!(paths("0::/pod/c:d\n"), ["/sys/fs/cgroup/unified/c:d", "/sys/fs/cgroup/unified"]);
        assert_eq!(paths("4:memory:/x\n"), [""; 0]);
    }

    #[test]
    fn both_versions_come_to_nanoseconds() {
        assert_eq!(parse("nr_periods 3\nnr_throttled 2\nthrottled_time 80000000\n"), 80_000_000);
        assert_eq!(parse("usage_usec 9\nnr_throttled 2\nthrottled_usec 80000\n"), 80_000_000);
        assert_eq!(parse("usage_usec 9\nuser_usec 3\n"), 0);
    }
}
