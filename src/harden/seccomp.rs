//! The system calls that serving makes, and no others.
//!
//! What is not on the list is answered `ENOSYS`, as a kernel would that does not have it: libraries have an answer to that, another
//! way or an error that is handled, so a call that was forgotten costs what needs it and not the process. `EPERM` would be the end
//! of things that have another way, as threads have when there is no `clone3`. What only an intruder calls kills the process, and
//! the kernel's log says so.
//!
//! io_uring passes by: its operations are no system calls. A bid core's ring is restricted by itself (`bid/net/uring.rs`); those of
//! the reconciliation core are glommio's, and Landlock holds for them.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter_all_threads,
};

/// Files, memory, threads, time and sockets, on every architecture.
const CALLS: &[libc::c_long] = &[
    // Files.
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_lseek,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    // Sockets.
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
    // Waiting.
    libc::SYS_io_uring_enter,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    libc::SYS_futex,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_restart_syscall,
    // Time, where it is not in the vDSO.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_setitimer,
    // Memory.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_munlock,
    libc::SYS_membarrier,
    // Threads and signals.
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_getcpu,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // What the process is.
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrusage,
    libc::SYS_getrandom,
    libc::SYS_uname,
    libc::SYS_sysinfo,
];

/// Older names of the same, which other architectures never had.
#[cfg(target_arch = "x86_64")]
const OLDER: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_epoll_wait,
    libc::SYS_time,
    libc::SYS_getrlimit,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[libc::c_long] = &[];

/// What serving never calls, nor any library for it, and who has taken the process over calls first.
const HOSTILE: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
];

/// `IORING_REGISTER_SYNC_CANCEL`, which ends a bid core's ring.
const SYNC_CANCEL: u64 = 24;

/// Refuses what is not on the list, in all threads. Returns what holds.
///
/// # Errors
/// The kernel has no seccomp, or one of the threads could not follow.
pub fn refuse() -> Result<String, String> {
    // The hostile first: the second filter would refuse a third.
    apply_filter_all_threads(&kill()?).map_err(failed)?;
    apply_filter_all_threads(&allow(SeccompAction::Errno(libc::ENOSYS as u32))?).map_err(failed)?;
    Ok(format!("{} system calls left", rules()?.len()))
}

/// Lets the kernel's log tell what is not on the list. Returns what holds.
///
/// # Errors
/// As [`refuse`].
pub fn log() -> Result<String, String> {
    apply_filter_all_threads(&allow(SeccompAction::Log)?).map_err(failed)?;
    Ok("system calls off the list are logged by the kernel".to_owned())
}

fn failed(error: impl std::fmt::Display) -> String {
    format!("system calls are not refused: {error}")
}

/// The calls of the list, each with what its arguments may be.
fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, String> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = CALLS.iter().chain(OLDER).map(|&call| (call, vec![])).collect();
    // Nothing that was written is executed.
    let plain = masked(2, libc::PROT_EXEC as u64, 0)?;
    rules.insert(libc::SYS_mmap, vec![all([plain.clone()])?]);
    rules.insert(libc::SYS_mprotect, vec![all([plain])?]);
    // Threads, and no processes.
    rules.insert(libc::SYS_clone, vec![all([masked(0, libc::CLONE_THREAD as u64, libc::CLONE_THREAD as u64)?])?]);
    // TCP and UDP; of the kernel's own sockets the one by which the resolver learns what addresses there are.
    let mut sockets = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        sockets.push(all([equal(0, family)?])?);
    }
    sockets.push(all([equal(0, libc::AF_NETLINK)?, equal(2, libc::NETLINK_ROUTE)?])?);
    rules.insert(libc::SYS_socket, sockets);
    // How tokio hears of signals.
    rules.insert(libc::SYS_socketpair, vec![all([equal(0, libc::AF_UNIX)?])?]);
    // Names of threads and of memory.
    rules.insert(libc::SYS_prctl, vec![all([equal(0, libc::PR_SET_NAME)?])?, all([equal(0, libc::PR_SET_VMA)?])?]);
    // Limits are read, not set.
    rules.insert(libc::SYS_prlimit64, vec![all([equal(0, 0)?, condition(2, SeccompCmpOp::Eq, 0)?])?]);
    // Signals to this process: how it aborts.
    let process = std::process::id() as i32;
    rules.insert(libc::SYS_tgkill, vec![all([equal(0, process)?])?]);
    rules.insert(libc::SYS_io_uring_register, vec![all([condition(1, SeccompCmpOp::Eq, SYNC_CANCEL)?])?]);
    // Non-blocking sockets, how long an answer of DNS is, and whether the log is a terminal.
    let controls = [libc::FIONBIO, libc::FIONREAD, libc::TCGETS];
    let controls = controls.map(|control| all([condition(1, SeccompCmpOp::Eq, control)?]));
    rules.insert(libc::SYS_ioctl, controls.into_iter().collect::<Result<_, _>>()?);
    Ok(rules)
}

fn allow(otherwise: SeccompAction) -> Result<BpfProgram, String> {
    program(rules()?, otherwise, SeccompAction::Allow)
}

fn kill() -> Result<BpfProgram, String> {
    let hostile = HOSTILE.iter().map(|&call| (call, vec![])).collect();
    program(hostile, SeccompAction::Allow, SeccompAction::KillProcess)
}

fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, String> {
    let arch = std::env::consts::ARCH.try_into().map_err(failed)?;
    let filter = SeccompFilter::new(rules, otherwise, matched, arch).map_err(failed)?;
    filter.try_into().map_err(|error: seccompiler::BackendError| failed(error))
}

fn all<const N: usize>(conditions: [SeccompCondition; N]) -> Result<SeccompRule, String> {
    SeccompRule::new(conditions.into()).map_err(failed)
}

fn equal(argument: u8, value: i32) -> Result<SeccompCondition, String> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, u64::from(value as u32)).map_err(failed)
}

fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompCondition, String> {
    condition(argument, SeccompCmpOp::MaskedEq(mask), value)
}

fn condition(argument: u8, compare: SeccompCmpOp, value: u64) -> Result<SeccompCondition, String> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, compare, value).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use seccompiler::apply_filter;
    use std::io::Error;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::thread;

    /// Told to the child of `what_only_an_intruder_calls_ends_the_process`.
    const CHILD: &str = "COREBID_TEST_HOSTILE";

    /// A filter holds for a thread and what it starts, so a thread of a test is a process in small.
    #[test]
    fn what_is_on_the_list_works_and_what_is_not_does_not() {
        let file = std::env::temp_dir().join(format!("corebid-seccomp-{}", std::process::id()));
        let place = file.clone();
        let tried = thread::spawn(move || {
            apply_filter(&allow(SeccompAction::Errno(libc::ENOSYS as u32)).unwrap()).unwrap();
            std::fs::write(&place, "written").unwrap();
            assert_eq!(std::fs::read_to_string(&place).unwrap(), "written");
            assert_eq!(thread::spawn(|| 7).join().unwrap(), 7, "threads start without clone3");
            assert!(std::net::TcpListener::bind("127.0.0.1:0").is_ok());

            let map = |protection| {
                // SAFETY: a new anonymous mapping touches nothing that exists; it is left to the end of the process.
                let at = unsafe {
                    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                    libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0)
                };
                at != libc::MAP_FAILED
            };
            assert!(map(libc::PROT_READ | libc::PROT_WRITE));
            assert!(!map(libc::PROT_READ | libc::PROT_EXEC), "memory that can be executed");

            // SAFETY: no pointer is passed that anything could be written to, and what is refused does nothing.
            let refused = unsafe {
                [
                    libc::syscall(libc::SYS_io_uring_setup, 1, 0),
                    libc::syscall(libc::SYS_memfd_create, c"x".as_ptr(), 0),
                    libc::syscall(libc::SYS_kill, libc::getpid(), 0),
                    libc::syscall(libc::SYS_tgkill, 1, 1, 0),
                    libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0),
                    libc::syscall(libc::SYS_io_uring_register, 0, 0, 0, 0),
                    libc::syscall(libc::SYS_prctl, libc::PR_SET_DUMPABLE, 1, 0, 0, 0),
                    libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0).into(),
                    libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER).into(),
                    libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0).into(),
                ]
            };
            assert_eq!(refused, [-1; 10]);
            assert_eq!(Error::last_os_error().raw_os_error(), Some(libc::ENOSYS));
        });
        let tried = tried.join();
        let _ = std::fs::remove_file(&file);
        tried.unwrap();
    }

    #[test]
    fn what_only_an_intruder_calls_ends_the_process() {
        if std::env::var_os(CHILD).is_some() {
            apply_filter(&kill().unwrap()).unwrap();
            // SAFETY: the call ends the process before it reads what it was given.
            unsafe { libc::execv(c"/bin/true".as_ptr(), [std::ptr::null()].as_ptr()) };
            return;
        }
        let name = "harden::seccomp::tests::what_only_an_intruder_calls_ends_the_process";
        let mut child = Command::new(std::env::current_exe().unwrap());
        let ended = child.args(["--exact", name]).env(CHILD, "1").output().unwrap();
        assert_eq!(ended.status.signal(), Some(libc::SIGSYS), "{}", String::from_utf8_lossy(&ended.stdout));
    }
}
