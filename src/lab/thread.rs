//! What a measuring thread asks of the kernel.

/// This process may run on a core.
pub fn may_pin(core: usize) -> bool {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().any(|id| id.id == core)
}

/// Pins this thread to a core; `false` if this process may not run on it.
pub fn pin(core: usize) -> bool {
    let ours = core_affinity::get_core_ids().unwrap_or_default();
    ours.into_iter().find(|id| id.id == core).is_some_and(core_affinity::set_for_current)
}

/// Asks that this thread's sleeps end on time; the kernel may otherwise round each up by 50 us.
pub fn sleep_sharply() {
    // SAFETY: takes no pointers, and concerns this thread only.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}

/// Runs this thread before every other of its CPU that asked for nothing special (`SCHED_FIFO`), until it ends. Needs
/// `CAP_SYS_NICE`.
pub fn go_first() -> std::io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameters outlive the call, and 0 is this thread.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &parameters) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
