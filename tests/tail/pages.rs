//! Takes pages of a program that runs away, as a machine that is short of memory does.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;

/// A program of its own, which nobody else runs: pages that others have mapped stay.
pub(crate) fn copy(program: &Path, to: &Path) -> Command {
    fs::copy(program, to).unwrap();
    // What is not on the disk yet stays, too.
    File::open(to).unwrap().sync_all().unwrap();
    let mut command = Command::new(to);
    command.env_remove("COREBID_LOG");
    command
}

/// Takes all pages away that a process has of a file (`process_madvise`, `MADV_PAGEOUT`). They are on the disk.
pub(crate) fn take_away(process: u32, file: &Path) -> io::Result<()> {
    // SAFETY: no pointer is passed.
    let process_fd = unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) };
    if process_fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it, and nobody else has it.
    let process_fd = unsafe { OwnedFd::from_raw_fd(process_fd as i32) };
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
    for line in maps.lines().filter(|line| line.ends_with(&*file.to_string_lossy())) {
        let number = |text: &str| usize::from_str_radix(text, 16).unwrap();
        let (from, to) = line.split(' ').next().and_then(|range| range.split_once('-')).unwrap();
        let range = libc::iovec { iov_base: number(from) as *mut libc::c_void, iov_len: number(to) - number(from) };
        // SAFETY: the address is another process's, and is not touched here.
        let done = unsafe {
            libc::syscall(libc::SYS_process_madvise, process_fd.as_raw_fd(), &range, 1usize, libc::MADV_PAGEOUT, 0)
        };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Page faults of the bid core's thread that waited for a disk (proc_pid_stat(5)).
pub(crate) fn major_faults(process: u32) -> u64 {
    for task in fs::read_dir(format!("/proc/{process}/task")).unwrap().map(Result::unwrap) {
        let stat = fs::read_to_string(task.path().join("stat")).unwrap();
        let (name, rest) = stat.rsplit_once(") ").unwrap();
        if name.ends_with("(bid-0") {
            // Its state is the third field, and this is the twelfth.
            return rest.split(' ').nth(9).unwrap().parse().unwrap();
        }
    }
    panic!("no bid core");
}
