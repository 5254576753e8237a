//! io_uring: multishot accept, multishot receive into a ring of provided buffers, sends submitted together.
//!
//! `DEFER_TASKRUN` keeps the kernel from interrupting the core: completions are made inside `io_uring_enter` only, so the
//! core sees them when it asks. `TASKRUN_FLAG` shows in shared memory that there is something to ask for, which makes
//! spinning free of system calls. Both need Linux 6.1.
//!
//! The kernel has as many receive buffers as the loop will read in a turn. A receive that finds none ends, and its connection waits in
//! the intake; those whose turn it is are armed again just before the next call, which serves them before anything new. So a
//! connection costs one receive in vain, however long it waits.

use std::io;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::register::Restriction;
use io_uring::types::{BufRingEntry, CancelBuilder, Fd, SubmitArgs, TimeoutFlags, Timespec};
use io_uring::{EnterFlags, IoUring, Probe, cqueue, opcode, squeue};

use super::arrival::Gathers;
use super::intake::Intake;
use super::steer::receiving_cpu;
use super::table::{GENERATION, Table};
use super::{
    Class, Conn, EXHAUSTED_NS, Gathered, Happened, Listener, Net, Received, Region, SPIN_NS, Waiting, throw_away_unsent,
};
use crate::clock;
use crate::limits;
use crate::ring::wake::Wakeup;
use crate::units::Nanos;

/// Submissions between two system calls; when they are more they go in two.
const SUBMISSIONS: u32 = 1024;
/// Completions the kernel can leave; it keeps what is more until there is room.
const COMPLETIONS: u32 = 8192;
/// Deferred completions that the kernel makes in one call, at least; from Linux 6.14 on it may leave what is more for the next.
const DEFERRED: usize = 20;
/// The group of the receive buffers.
const GROUP: u16 = 0;

/// What the loop asks of the kernel through the ring.
const OPERATIONS: [(&str, u8); 6] = [
    ("ACCEPT", opcode::AcceptMulti::CODE),
    ("RECV", opcode::RecvMulti::CODE),
    ("SEND", opcode::Send::CODE),
    ("READ", opcode::Read::CODE),
    ("ASYNC_CANCEL", opcode::AsyncCancel::CODE),
    ("TIMEOUT", opcode::Timeout::CODE),
];
/// `IORING_REGISTER_SYNC_CANCEL`, which ends the ring.
const SYNC_CANCEL: u8 = 24;
/// How long it may wait for operations to end.
const LET_GO: Timespec = Timespec::new().sec(1);

/// The operation a completion belongs to: the top four bits of its user data.
const ACCEPT: u64 = 0;
const RECEIVE: u64 = 1;
const SEND: u64 = 2;
const WAKE: u64 = 3;
const CANCEL: u64 = 4;
const ALARM: u64 = 5;

/// A ring of this kernel that can do all that is needed.
pub struct Ring(IoUring);

impl Ring {
    /// Opens a ring on this thread, which must be the one that uses it, and probes what the loop needs.
    ///
    /// # Errors
    /// One sentence that says what is missing; the caller takes the epoll backend instead.
    pub fn open() -> Result<Ring, String> {
        let mut builder = IoUring::builder();
        builder
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_r_disabled()
            .setup_cqsize(COMPLETIONS)
            .dontfork();
        let ring = builder.build(SUBMISSIONS).map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => "io_uring with DEFER_TASKRUN needs Linux 6.1 or later".to_owned(),
            Some(libc::EPERM) => "io_uring is disabled here (kernel.io_uring_disabled, or a seccomp filter)".to_owned(),
            Some(libc::ENOSYS) => "this kernel has no io_uring".to_owned(),
            _ => format!("io_uring_setup failed: {error}"),
        })?;
        let parameters = ring.params();
        if !parameters.is_feature_ext_arg() || !parameters.is_feature_nodrop() || !parameters.is_feature_fast_poll() {
            return Err("io_uring lacks EXT_ARG, NODROP or FAST_POLL; it needs Linux 6.1 or later".to_owned());
        }
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe).map_err(|error| format!("io_uring cannot be probed: {error}"))?;
        match OPERATIONS.iter().find(|(_, code)| !probe.is_supported(*code)) {
            Some((name, _)) => Err(format!("io_uring lacks the operation {name}")),
            None => Ok(Ring(ring)),
        }
    }
}

/// Enables the ring, for what the loop does with it and nothing else: no seccomp filter sees what goes through a ring.
fn restrict(ring: &IoUring) -> io::Result<()> {
    let operations = OPERATIONS.iter().map(|(_, code)| Restriction::sqe_op(*code));
    let others =
        [Restriction::sqe_flags_allowed(squeue::Flags::BUFFER_SELECT.bits()), Restriction::register_op(SYNC_CANCEL)];
    let mut allowed: Vec<Restriction> = operations.chain(others).collect();
    ring.submitter().register_restrictions(&mut allowed)?;
    ring.submitter().register_enable_rings()
}

struct Socket {
    fd: OwnedFd,
    /// A receive is with the kernel.
    armed: bool,
    /// Reading is wanted; without it the peer waits.
    wanted: bool,
    /// A send is with the kernel.
    sending: bool,
    /// The end was told.
    ended: bool,
    /// Closed by the owner; the place is kept until the kernel has let go of it.
    closing: bool,
    class: Class,
    /// What the gather of this number finds may have been there since then, though gathers were made in between.
    unread: (u32, Nanos),
    /// What came while reading was not wanted came after this.
    paused: Nanos,
}

/// Memory of one connection, bytes.
pub(super) const CONNECTION_BYTES: usize = Table::<Socket>::PLACE_BYTES + Intake::PLACE_BYTES;

/// The connections of one core on io_uring.
pub struct Uring {
    // Dropped first, by `drop`: the kernel must let go of the memory below, or it is left to it.
    ring: ManuallyDrop<IoUring>,
    buffers: ManuallyDrop<Buffers>,
    listener: Option<Listener>,
    wakeup: Wakeup,
    /// Where the kernel puts the count of the eventfd; nobody reads it.
    wakes: Box<u64>,
    /// When the alarm that is with the kernel goes off, and that time as the kernel reads it.
    alarm_at: Nanos,
    alarm: Box<Timespec>,
    sockets: Table<Socket>,
    waiting: Waiting,
    /// Whether the kernel knows multishot receive and accept.
    multishot: bool,
    accepting: bool,
    /// When accepting is tried again after descriptors ran out.
    accept_at: Nanos,
    gathers: Gathers,
    /// Connections whose receive found no buffer.
    intake: Intake,
    rearmed: u64,
    /// The kernel takes submissions from the thread that opened the ring only.
    _here: PhantomData<*const ()>,
}

impl Uring {
    /// Serves at most `places` connections of `listener` on `ring`.
    ///
    /// # Errors
    /// What the kernel says about mapping memory or registering buffers.
    pub fn new(ring: Ring, listener: Listener, wakeup: Wakeup, waiting: Waiting, places: usize) -> io::Result<Uring> {
        let buffers = Buffers::register(&ring.0)?;
        restrict(&ring.0)?;
        let mut uring = Uring {
            ring: ManuallyDrop::new(ring.0),
            buffers: ManuallyDrop::new(buffers),
            listener: Some(listener),
            wakeup,
            wakes: Box::new(0),
            alarm_at: Nanos::NEVER,
            alarm: Box::new(Timespec::new()),
            sockets: Table::new(places),
            waiting,
            multishot: true,
            accepting: false,
            accept_at: Nanos::NEVER,
            gathers: Gathers::new(clock::boot()),
            intake: Intake::new(places),
            rearmed: 0,
            _here: PhantomData,
        };
        uring.arm_accept();
        uring.arm_wakeup();
        Ok(uring)
    }

    /// Queues a submission; if the queue is full, what is in it goes to the kernel first.
    #[inline]
    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: every entry made here names a descriptor that is open until its completion was seen, and memory that
        // stays valid until then: a provided buffer, `wakes`, `alarm`, or what the caller of `send` vouches for.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            let submitted = self.ring.submit();
            assert!(submitted.is_ok() || interrupted(&submitted), "the kernel takes no submissions: {submitted:?}");
        }
    }

    fn arm_accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        let fd = Fd(listener.fd());
        let entry = if self.multishot {
            opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build()
        } else {
            let none = std::ptr::null_mut();
            opcode::Accept::new(fd, none, none.cast()).flags(libc::SOCK_CLOEXEC).build()
        };
        self.accepting = true;
        self.push(&entry.user_data(ACCEPT << 60));
    }

    fn arm_wakeup(&mut self) {
        let count = (&raw mut *self.wakes).cast();
        let entry = opcode::Read::new(Fd(self.wakeup.fd()), count, size_of::<u64>() as u32).build();
        self.push(&entry.user_data(WAKE << 60));
    }

    fn arm_receive(&mut self, conn: Conn, fd: RawFd) {
        let entry = if self.multishot {
            opcode::RecvMulti::new(Fd(fd), GROUP).build()
        } else {
            opcode::Recv::new(Fd(fd), std::ptr::null_mut(), limits::RECEIVE_BUFFER as u32)
                .buf_group(GROUP)
                .build()
                .flags(squeue::Flags::BUFFER_SELECT)
        };
        self.push(&entry.user_data(user_data(RECEIVE, conn)));
    }

    /// Whether the kernel has something to tell that it has not told.
    #[inline]
    fn is_due(&mut self) -> bool {
        let queue = self.ring.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    /// Submits, and lets the kernel run all that it deferred, without waiting. `false`: there was more than the queue of completions
    /// has room for.
    #[inline]
    fn poll(&mut self) -> io::Result<bool> {
        let mut queued = self.ring.submission().len();
        loop {
            if queued == 0 && !self.is_due() {
                return Ok(true);
            }
            let before = self.ring.completion().len();
            let flags = EnterFlags::GETEVENTS.bits();
            // SAFETY: no argument is passed.
            settle(unsafe { self.ring.submitter().enter::<libc::sigset_t>(queued as u32, 0, flags, None) })?;
            let now = self.ring.completion().len();
            // What is due after fewer has come since.
            if now.saturating_sub(before) < queued + DEFERRED {
                return Ok(true);
            }
            if now >= COMPLETIONS as usize / 2 {
                return Ok(!self.is_due());
            }
            queued = 0;
        }
    }

    /// Submits and sleeps until there is a completion or `until`.
    ///
    /// A wait with a time of its own sets the timer of the CPU and sets it back, which on a virtual machine leaves it twice. The loop
    /// wants to be woken some milliseconds ahead, over and over, and mostly something happens before; so one alarm stands for all
    /// waits until it goes off, if it does so in time.
    fn sleep(&mut self, now: Nanos, until: Nanos) -> io::Result<()> {
        if self.alarm_at == Nanos::NEVER && until != Nanos::NEVER {
            self.arm_alarm(until);
        } else if until < self.alarm_at {
            let time = Duration::from_nanos(until.since(now)).into();
            return settle(self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&time)));
        }
        settle(self.ring.submit_and_wait(1))
    }

    fn arm_alarm(&mut self, at: Nanos) {
        (self.alarm_at, *self.alarm) = (at, Duration::from_nanos(at.0).into());
        let entry =
            opcode::Timeout::new(&raw const *self.alarm).flags(TimeoutFlags::ABS | TimeoutFlags::BOOTTIME).build();
        self.push(&entry.user_data(ALARM << 60));
    }

    /// Watches the rings in shared memory until there is a completion (`true`) or `until`.
    fn spin(&mut self, until: Nanos) -> io::Result<bool> {
        let mut rounds = 0u32;
        loop {
            if !self.ring.completion().is_empty() {
                return Ok(true);
            }
            self.poll()?;
            rounds += 1;
            if rounds.is_multiple_of(32) && clock::boot() >= until {
                return Ok(!self.ring.completion().is_empty());
            }
            std::hint::spin_loop();
        }
    }

    /// Waits as it is set to, if there is nothing to tell. The flags: it had to wait; it has learned of everything.
    fn gather(&mut self, now: Nanos, until: Nanos) -> io::Result<(bool, bool)> {
        let complete = self.poll()?;
        if !self.ring.completion().is_empty() || !self.intake.is_empty() {
            return Ok((false, complete));
        }
        match self.waiting {
            Waiting::Block => self.sleep(now, until)?,
            Waiting::Hybrid => {
                if !self.spin(until.min(now.after(SPIN_NS)))? {
                    self.sleep(clock::boot(), until)?;
                }
            }
            Waiting::Spin => self.spin(until).map(drop)?,
        }
        // What came at once with what woke it.
        let complete = self.ring.completion().len() < DEFERRED || self.poll()?;
        Ok((true, complete))
    }

    /// Lends the kernel the buffers that may be filled, and arms those who are next.
    fn take_in(&mut self, now: Nanos) {
        self.buffers.lend();
        for _ in 0..self.buffers.lent() {
            let Some((conn, since)) = self.intake.pop(now) else { return };
            let Some(socket) = self.sockets.get(conn) else { continue };
            socket.armed = true;
            socket.unread = (self.gathers.serial, since);
            self.rearmed += 1;
            let fd = socket.fd.as_raw_fd();
            self.arm_receive(conn, fd);
        }
    }

    fn accepted(&mut self, result: i32, flags: u32) -> Option<Happened> {
        let mut happened = None;
        if result >= 0 {
            // SAFETY: the kernel just opened this descriptor for us.
            let fd = unsafe { OwnedFd::from_raw_fd(result) };
            let raw = fd.as_raw_fd();
            let socket = Socket {
                fd,
                armed: true,
                wanted: true,
                sending: false,
                ended: false,
                closing: false,
                class: Class::default(),
                unread: (self.gathers.serial.wrapping_add(1), self.gathers.since),
                paused: self.gathers.at,
            };
            // Without a place the descriptor is dropped, which closes the connection.
            if let Some(conn) = self.sockets.insert(socket) {
                self.arm_receive(conn, raw);
                happened = Some(Happened::Accepted(conn));
            }
        }
        if !cqueue::more(flags) {
            self.accepting = false;
            match -result {
                libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM => {
                    self.accept_at = clock::boot().after(EXHAUSTED_NS);
                }
                libc::EINVAL if self.multishot && self.listener.is_some() => {
                    self.multishot = false;
                    self.arm_accept();
                }
                libc::ECANCELED => {}
                _ => self.arm_accept(),
            }
        }
        happened
    }

    fn received(&mut self, conn: Conn, result: i32, flags: u32) -> Option<Happened> {
        let buffer = cqueue::buffer_select(flags);
        if buffer.is_some() {
            self.buffers.filled_one();
        }
        let gathers = &self.gathers;
        let socket = self.sockets.get(conn)?;
        let closing = socket.closing;
        let ends = result == 0 || (result < 0 && !matches!(-result, libc::ENOBUFS | libc::ECANCELED | libc::EINTR));
        let ends = ends && !(result == -libc::EINVAL && self.multishot);
        let told = socket.ended || closing;
        let since = if socket.unread.0 == gathers.serial { socket.unread.1 } else { gathers.since };
        let mut rearm = None;
        if !cqueue::more(flags) {
            socket.armed = false;
            if ends {
                socket.ended = true;
            }
            if !told && !ends && socket.wanted {
                if result == -libc::ENOBUFS {
                    self.intake.push(conn, socket.class, since);
                } else {
                    socket.armed = true;
                    // What follows a buffer that it did not fill came later.
                    let rest =
                        if result > 0 && (result as usize) < limits::RECEIVE_BUFFER { gathers.at } else { since };
                    socket.unread = (gathers.serial.wrapping_add(1), rest);
                    rearm = Some(socket.fd.as_raw_fd());
                }
            }
        }
        if let Some(fd) = rearm {
            self.multishot &= result != -libc::EINVAL;
            self.arm_receive(conn, fd);
        }
        if closing {
            self.release(conn);
        }
        match buffer {
            Some(buffer) if result > 0 && !closing => {
                Some(Happened::Received(conn, Received { buffer, length: result as u32, since }))
            }
            Some(buffer) => {
                self.buffers.take_back(buffer);
                (ends && !told).then_some(Happened::Ended(conn))
            }
            None => (ends && !told).then_some(Happened::Ended(conn)),
        }
    }

    fn sent(&mut self, conn: Conn, result: i32) -> Option<Happened> {
        let socket = self.sockets.get(conn)?;
        socket.sending = false;
        if socket.closing {
            self.release(conn);
        }
        Some(Happened::Sent(conn, usize::try_from(result).unwrap_or(0)))
    }

    /// Gives up the place of a closed connection once the kernel has let go of it.
    fn release(&mut self, conn: Conn) {
        if self.sockets.get(conn).is_some_and(|socket| socket.closing && !socket.armed && !socket.sending) {
            self.sockets.remove(conn);
            // A descriptor is free again.
            if self.accept_at != Nanos::NEVER {
                self.accept_at = Nanos(0);
            }
        }
    }
}

impl Net for Uring {
    fn wait(&mut self, now: Nanos, until: Nanos) -> io::Result<Gathered> {
        let mut until = until;
        if self.accept_at != Nanos::NEVER {
            if now >= self.accept_at {
                self.accept_at = Nanos::NEVER;
                if !self.accepting {
                    self.arm_accept();
                }
            } else {
                until = until.min(self.accept_at);
            }
        }
        if !self.ring.completion().is_empty() {
            // The last turn ended before it had looked at all that was gathered: this one goes on with it.
            settle(self.ring.submit())?;
            return Ok(Gathered { at: clock::boot(), slept: false });
        }
        self.gathers.begin();
        self.take_in(now);
        let (slept, complete) = self.gather(now, until)?;
        Ok(self.gathers.end(Gathered { at: clock::boot(), slept }, complete))
    }

    fn kept(&mut self, from: Nanos) {
        self.gathers.kept(from);
    }

    fn bound(&mut self, reads: usize) {
        self.buffers.bound = reads.clamp(1, limits::RECEIVE_BUFFERS);
    }

    #[inline]
    fn served(&mut self, conn: Conn, class: Class, requests: u32) {
        if let Some(socket) = self.sockets.get(conn) {
            self.intake.served(&mut socket.class, class, requests);
        }
    }

    fn waiting(&self) -> usize {
        self.intake.len()
    }

    fn next(&mut self) -> Option<Happened> {
        loop {
            let completion = self.ring.completion().next()?;
            let (data, result, flags) = (completion.user_data(), completion.result(), completion.flags());
            let conn = Conn { index: data as u32, generation: (data >> 32) as u32 & GENERATION };
            let happened = match data >> 60 {
                RECEIVE => self.received(conn, result, flags),
                SEND => self.sent(conn, result),
                ACCEPT => self.accepted(result, flags),
                WAKE => {
                    self.arm_wakeup();
                    Some(Happened::Woken)
                }
                ALARM => {
                    self.alarm_at = Nanos::NEVER;
                    None
                }
                _ => None,
            };
            if happened.is_some() {
                return happened;
            }
        }
    }

    #[inline]
    fn bytes(&self, received: &Received) -> &[u8] {
        self.buffers.filled(received)
    }

    #[inline]
    fn recycle(&mut self, received: Received) {
        self.buffers.take_back(received.buffer);
    }

    #[inline]
    unsafe fn send(&mut self, conn: Conn, bytes: *const [u8]) -> Option<usize> {
        let Some(socket) = self.sockets.get(conn) else { return Some(0) };
        assert!(!socket.sending, "two sends at a time");
        socket.sending = true;
        let fd = Fd(socket.fd.as_raw_fd());
        let entry = opcode::Send::new(fd, bytes.cast(), bytes.len() as u32)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .user_data(user_data(SEND, conn));
        self.push(&entry);
        None
    }

    fn pause(&mut self, conn: Conn) {
        let Some(socket) = self.sockets.get(conn) else { return };
        let armed = socket.armed && socket.wanted;
        socket.wanted = false;
        // The last gather found all until then, or somebody who waited.
        socket.paused = self.intake.remove(conn).unwrap_or(self.gathers.at);
        if armed {
            let entry = opcode::AsyncCancel::new(user_data(RECEIVE, conn)).build().user_data(CANCEL << 60);
            self.push(&entry);
        }
    }

    fn resume(&mut self, conn: Conn) {
        let Some(socket) = self.sockets.get(conn) else { return };
        socket.wanted = true;
        // A receive that is being cancelled is armed again by its last completion.
        socket.unread = (self.gathers.serial.wrapping_add(1), socket.paused);
        if !socket.armed && !socket.ended && !socket.closing && !self.intake.holds(conn) {
            socket.armed = true;
            let fd = socket.fd.as_raw_fd();
            self.arm_receive(conn, fd);
        }
    }

    fn shut(&mut self, conn: Conn) {
        if let Some(socket) = self.sockets.get(conn) {
            // SAFETY: the descriptor is open; a connection that is gone makes it fail, which nobody needs to know.
            unsafe { libc::shutdown(socket.fd.as_raw_fd(), libc::SHUT_WR) };
        }
    }

    fn abandon(&mut self, conn: Conn) {
        if let Some(socket) = self.sockets.get(conn) {
            throw_away_unsent(socket.fd.as_raw_fd());
        }
    }

    fn close(&mut self, conn: Conn) {
        let Some(socket) = self.sockets.get(conn) else { return };
        socket.closing = true;
        socket.wanted = false;
        self.intake.remove(conn);
        if socket.armed || socket.sending {
            // Ends the operations that are with the kernel.
            // SAFETY: the descriptor is open.
            unsafe { libc::shutdown(socket.fd.as_raw_fd(), libc::SHUT_RDWR) };
        }
        self.release(conn);
    }

    fn stop_accepting(&mut self) {
        if self.accepting {
            let entry = opcode::AsyncCancel::new(ACCEPT << 60).build().user_data(CANCEL << 60);
            self.push(&entry);
        }
        self.accept_at = Nanos::NEVER;
        if let Some(listener) = self.listener.take() {
            // The pending accept holds the socket open until it is cancelled; this refuses new peers at once.
            // SAFETY: the descriptor is open until `listener` is dropped.
            unsafe { libc::shutdown(listener.fd(), libc::SHUT_RDWR) };
        }
    }

    fn prefault(&mut self) {
        self.buffers.memory.prefault();
    }

    fn receiving_cpu(&mut self, conn: Conn) -> Option<usize> {
        receiving_cpu(self.sockets.get(conn)?.fd.as_raw_fd())
    }

    fn rearmed(&self) -> u64 {
        self.rearmed
    }

    fn turned_away(&self) -> u64 {
        self.sockets.turned_away()
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        for socket in self.sockets.iter() {
            // SAFETY: the descriptor is open.
            unsafe { libc::shutdown(socket.fd.as_raw_fd(), libc::SHUT_RDWR) };
        }
        let _ = self.poll();
        // Waits until no operation is left that could touch our memory, but not for ever: an operation that cannot be cancelled is not to
        // keep the process from its end.
        let cancelled = self.ring.submitter().register_sync_cancel(Some(LET_GO), CancelBuilder::any());
        // SAFETY: nobody uses the ring after this.
        unsafe { ManuallyDrop::drop(&mut self.ring) };
        // That there was nothing to cancel is an error, and fine. With others (the time passed, or a signal came) the kernel may yet write
        // where it was told to, so that memory is never freed. What it may yet read of a send goes nowhere: the sockets are shut.
        if let Err(error) = cancelled
            && error.kind() != io::ErrorKind::NotFound
        {
            log::warn!("the kernel has not let go of the receive buffers, which are left to it: {error}");
            mem::forget((mem::take(&mut self.wakes), mem::take(&mut self.alarm)));
            return;
        }
        // SAFETY: the kernel has let go of them, and nobody uses them after this.
        unsafe { ManuallyDrop::drop(&mut self.buffers) };
    }
}

#[inline]
fn user_data(operation: u64, conn: Conn) -> u64 {
    operation << 60 | u64::from(conn.generation) << 32 | u64::from(conn.index)
}

fn interrupted(result: &io::Result<usize>) -> bool {
    let code = result.as_ref().err().and_then(io::Error::raw_os_error);
    matches!(code, Some(libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ETIME))
}

/// Time that passed, a signal, and completions that first have to be read are no errors.
fn settle(result: io::Result<usize>) -> io::Result<()> {
    if interrupted(&result) { Ok(()) } else { result.map(drop) }
}

/// The receive buffers and the ring by which they are provided to the kernel.
struct Buffers {
    memory: Region,
    /// [`limits::RECEIVE_BUFFERS`] entries; the tail lies in the first one's reserved field.
    ring: Region,
    tail: u16,
    /// Those that the kernel does not have; the one used last, warm in the cache, is lent first.
    free: Vec<u16>,
    /// How many the kernel has, and how many it is to have.
    lent: usize,
    bound: usize,
}

impl Buffers {
    fn register(ring: &IoUring) -> io::Result<Buffers> {
        let count = limits::RECEIVE_BUFFERS;
        let memory = Region::map(count, limits::RECEIVE_BUFFER)?;
        let mut buffers = Buffers {
            memory,
            ring: Region::map(1, count * size_of::<BufRingEntry>())?,
            tail: 0,
            free: (0..count as u16).rev().collect(),
            lent: 0,
            bound: count,
        };
        // SAFETY: the mapping is page-aligned, long enough for `count` entries, and outlives the io_uring (see `Uring`).
        unsafe {
            let entries = buffers.ring.start(0) as u64;
            ring.submitter().register_buf_ring_with_flags(entries, count as u16, GROUP, 0)?;
        }
        buffers.lend();
        Ok(buffers)
    }

    #[inline]
    fn filled(&self, received: &Received) -> &[u8] {
        assert!(received.length as usize <= self.memory.size());
        // SAFETY: a buffer named by a `Received` was filled to its length and is not the kernel's until it is provided
        // again, which takes the `Received`.
        unsafe { std::slice::from_raw_parts(self.memory.start(received.buffer), received.length as usize) }
    }

    /// How many buffers the kernel has to fill.
    #[inline]
    fn lent(&self) -> usize {
        self.lent
    }

    /// The kernel has filled one.
    #[inline]
    fn filled_one(&mut self) {
        self.lent -= 1;
    }

    #[inline]
    fn take_back(&mut self, buffer: u16) {
        self.free.push(buffer);
    }

    /// Gives buffers to the kernel until it has as many as it is to have.
    #[inline]
    fn lend(&mut self) {
        let entries: *mut BufRingEntry = self.ring.start(0).cast();
        let before = self.tail;
        while self.lent < self.bound
            && let Some(buffer) = self.free.pop()
        {
            let place = usize::from(self.tail) % limits::RECEIVE_BUFFERS;
            // SAFETY: the entry is inside the ring and, by the tail, not the kernel's; only its three fields are written, as the
            // tail shares the first entry.
            unsafe {
                let entry = &mut *entries.add(place);
                entry.set_addr(self.memory.start(buffer) as u64);
                entry.set_len(self.memory.size() as u32);
                entry.set_bid(buffer);
            }
            self.tail = self.tail.wrapping_add(1);
            self.lent += 1;
        }
        if self.tail != before {
            // SAFETY: the tail is an aligned u16 inside the ring, written with release as the kernel reads it with acquire.
            unsafe {
                let tail = BufRingEntry::tail(entries).cast_mut();
                AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
            }
        }
    }
}
