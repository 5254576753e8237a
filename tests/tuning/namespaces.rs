//! `tuning/tune` on a real kernel: the network settings of a namespace that the test makes, and that ends with it.

use std::fs;
use std::process::Command;

use crate::support::Folder;

/// Puts odd values into the namespace, applies, and undoes; prints what is there after each step. Its own `/sys`, so that `lo` there is the
/// namespace's too.
const SCRIPT: &str = r#"
set -u
tune() { bash "$TUNE" --bid-cores 0 --housekeeping '' --nic lo --conf /dev/null --state "$STATE" "$@" >&2 || echo "tune $1 failed"; }
files='net/core/somaxconn net/ipv4/tcp_max_syn_backlog net/ipv4/tcp_slow_start_after_idle net/ipv4/ip_local_port_range'
show() {
    for file in $files; do read -r value <"/proc/sys/$file"; echo "$1 ${file##*/} $value"; done
    if [ "$SYS" = yes ]; then read -r value </sys/class/net/lo/queues/rx-0/rps_cpus; echo "$1 rps $value"; fi
}
knobs='somaxconn syn-backlog slow-start port-range'
SYS=no
if mount -t sysfs sysfs /sys 2>/dev/null && echo 1 >/sys/class/net/lo/queues/rx-0/rps_cpus; then SYS=yes; knobs="$knobs rps"; fi
echo 100 >/proc/sys/net/core/somaxconn
echo 200 >/proc/sys/net/ipv4/tcp_max_syn_backlog
echo 1 >/proc/sys/net/ipv4/tcp_slow_start_after_idle
echo '40000 40100' >/proc/sys/net/ipv4/ip_local_port_range
show before
tune apply $knobs
show applied
tune undo
show undone
"#;

#[test]
fn a_namespace_is_tuned_and_back() {
    let folder = Folder::new("namespace");
    let mut unshare = Command::new("unshare");
    // Who is not root may be root in a user namespace.
    if !is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let output = unshare
        .args(["--net", "--mount", "bash", "-c", SCRIPT])
        .env("TUNE", format!("{}/tuning/tune", env!("CARGO_MANIFEST_DIR")))
        .env("STATE", folder.path("state"))
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return eprintln!("skipped: no unshare: {error}"),
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("unshare failed") || stderr.contains("Operation not permitted") {
        return eprintln!("skipped: this kernel makes no namespaces here: {stderr}");
    }
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(!stdout.contains("failed"), "{stdout}{stderr}");
    let at = |moment: &str| -> Vec<String> {
        let of = |line: &&str| line.starts_with(moment);
        stdout.lines().filter(of).map(|line| line[moment.len() + 1..].replace('\t', " ")).collect()
    };
    let before = at("before");
    let set =
        ["somaxconn 100", "tcp_max_syn_backlog 200", "tcp_slow_start_after_idle 1", "ip_local_port_range 40000 40100"];
    assert_eq!(before[..4], set, "{stderr}");
    let wanted = [
        "somaxconn 4096",
        "tcp_max_syn_backlog 4096",
        "tcp_slow_start_after_idle 0",
        "ip_local_port_range 32768 60999",
    ];
    assert_eq!(at("applied")[..4], wanted, "{stderr}");
    assert_eq!(at("undone"), before, "{stderr}");
    match before.get(4) {
        Some(mask) => {
            assert!(mask.ends_with('1'), "{mask}");
            assert!(at("applied")[4].trim_start_matches("rps ").chars().all(|digit| "0,".contains(digit)));
        }
        None => eprintln!("left out: the /sys of the namespace cannot be mounted"),
    }
    assert_eq!(fs::read_dir(folder.path("state")).unwrap().count(), 0);
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}
