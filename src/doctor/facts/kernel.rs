//! The kernel, and what it can do.

use super::{Fact, Ground, Reading, Scope, Severity};
use crate::bid::net::uring::Ring;

/// Where the release of the kernel is.
pub(in crate::doctor) const RELEASE: &str = "/proc/sys/kernel/osrelease";

/// The first release whose io_uring has all that the loop needs.
const FIRST: (u32, u32) = (6, 1);

pub(super) static KERNEL: Fact = Fact {
    name: "kernel",
    group: "kernel",
    severity: Severity::High,
    scope: Scope::Host,
    why: "The io_uring backend needs DEFER_TASKRUN, which came with 6.1; with an older kernel the bidder serves by epoll.",
    cost: "A reboot.",
    change: "install a later kernel, then reboot",
    undo: "boot the one before",
    source: "src/bid/net/uring.rs",
    read: |ground| {
        let wanted = format!("{}.{} or later", FIRST.0, FIRST.1);
        let Some(release) = ground.host.line(RELEASE) else {
            return Reading::unseen("/proc/sys/kernel/osrelease cannot be read", wanted);
        };
        let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Reading::of((major, minor) >= FIRST, release, wanted),
            _ => Reading::unseen("/proc/sys/kernel/osrelease names no release", wanted),
        }
    },
};

pub(super) static IO_URING: Fact = Fact {
    name: "io-uring-features",
    group: "kernel",
    severity: Severity::High,
    scope: Scope::Process,
    why: "A ring was opened as a bid core opens it: multishot accept and receive, provided buffers, deferred task work. Without it epoll serves, at more CPU per request.",
    cost: "What kernel, sysctl (io-uring) or seccomp filter of the container takes away has to be given back.",
    change: "by what is named as missing: kernel, kernel.io_uring_disabled, or the container's seccomp profile",
    undo: "the same back",
    source: "src/bid/net/uring.rs; docs/decisions/0002-the-loop.md",
    read: features,
};

fn features(ground: &Ground<'_>) -> Reading {
    let wanted = "a ring with all that the loop needs";
    if !ground.host.is_this() {
        return Reading::unseen("only the kernel itself can tell, and this is a tree", wanted);
    }
    match Ring::open() {
        Ok(_) => Reading::of(true, wanted, wanted),
        Err(missing) => Reading::of(false, missing, wanted),
    }
}
