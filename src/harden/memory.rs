//! Memory that stays: a bid core that waits for a page from a disk is late for thousands of requests.

use std::io;

/// Locks everything this process has, and will have, as it comes to be used. What is larger than memory, the base of profiles,
/// takes itself out.
///
/// All or nothing: a process of which a part is locked still waits for the rest. And with a limit, a map beyond it would fail in
/// the middle of serving, so the limit has to be infinite; root raises it.
///
/// # Errors
/// What the limit is, and where to set it.
pub fn lock() -> Result<(), String> {
    if raise() != libc::RLIM_INFINITY {
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
