//! One thread of another process that stands still: what a signal cannot do, a debugger can (ptrace(2)). It asks nothing of root
//! where the other process is this one's child.

use std::io;
use std::ptr;

use crate::lab::drill::Halt;

/// A thread that stands still until this is dropped, which must be on the thread that made it.
#[derive(Debug)]
pub(super) struct Held {
    thread: libc::pid_t,
    /// The kernel knows the holder by its thread.
    _here: std::marker::PhantomData<*const ()>,
}

impl Held {
    /// Holds a thread, by its number in /proc.
    pub(super) fn hold(thread: libc::pid_t) -> Result<Held, Halt> {
        ask(libc::PTRACE_SEIZE, thread)?;
        let held = Held { thread, _here: std::marker::PhantomData };
        ask(libc::PTRACE_INTERRUPT, thread)?;
        // It may be let go only once it stands.
        let mut status = 0;
        // SAFETY: `status` is valid and writable for the length of the call; the thread is traced by this one, so that its number is
        // not given to another.
        match unsafe { libc::waitpid(thread, &mut status, libc::__WALL) } {
            -1 => Err(Halt::failed("waiting for a thread to stop", io::Error::last_os_error())),
            _ => Ok(held),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = ask(libc::PTRACE_DETACH, self.thread);
    }
}

fn ask(request: libc::c_uint, thread: libc::pid_t) -> Result<(), Halt> {
    let none = ptr::null_mut::<libc::c_void>();
    // SAFETY: these requests read and write no memory of this process; without options and signals both pointers are null.
    match unsafe { libc::ptrace(request, thread, none, none) } {
        -1 => Err(Halt::failed("holding a thread with ptrace", io::Error::last_os_error())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn state(process: u32) -> String {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("a process");
        stat.rsplit(") ").next().expect("a state")[..1].to_owned()
    }

    #[test]
    fn a_thread_stands_still_and_goes_on() {
        let mut child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().expect("sleep");
        let held = Held::hold(child.id() as i32).expect("a child may be held");
        assert_eq!(state(child.id()), "t");
        drop(held);
        assert_ne!(state(child.id()), "t");
        child.kill().expect("a child that runs");
        child.wait().expect("its end");
    }
}
