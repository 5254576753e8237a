//! Memory that stays: a bid core that waits for a page from a disk is late for thousands of requests.

use std::io;

/// To lock memory beyond the limit; capability(7).
const CAP_IPC_LOCK: u32 = 14;

/// Locks everything this process has, and will have, as it comes to be used. What is larger than memory, the base of profiles,
/// takes itself out.
///
/// All or nothing: a process of which a part is locked still waits for the rest. And with a limit, a map beyond it would fail in
/// the middle of serving; so there has to be none, or the process `keeps` a capability by which none holds.
///
/// # Errors
/// What the limit is, and where to set it.
pub fn lock(keeps: bool) -> Result<(), String> {
    if raise() != libc::RLIM_INFINITY && !(keeps && is_exempt()) {
        let limit = limit().rlim_max;
        return Err(format!(
            "memory is not locked: the limit is {} KiB; let LimitMEMLOCK=infinity (systemd) or `ulimit -l unlimited` lift it",
            limit / 1024
        ));
    }
    let flags = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;
    // SAFETY: no pointer is passed.
    match unsafe { libc::mlockall(flags) } {
        0 => Ok(()),
        _ => Err(format!("memory is not locked: {}", io::Error::last_os_error())),
    }
}

/// Whether no limit holds for this process: it has `CAP_IPC_LOCK`.
fn is_exempt() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = effective.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    capabilities.is_some_and(|capabilities| capabilities & 1 << CAP_IPC_LOCK != 0)
}

/// Raises the limit of locked memory as far as this process may; returns what it is then.
fn raise() -> libc::rlim_t {
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    let most = limit().rlim_max;
    let hard = libc::rlimit { rlim_cur: most, rlim_max: most };
    for wanted in [unlimited, hard] {
        // SAFETY: the limit is readable for the length of the call.
        if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &wanted) } == 0 {
            break;
        }
    }
    limit().rlim_cur
}

fn limit() -> libc::rlimit {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is writable for the length of the call. If it failed, nothing could be locked.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) };
    limit
}
