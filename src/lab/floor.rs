//! The floor: the network loop of a bid core with the decision replaced by a constant 204. What `serve` costs above it is
//! the decision.

use std::io;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::bid::net::{Listener, Waiting};
use crate::bid::server::{Backend, CoreNet, Counters, Served, Service, Token, Turn, run_core};
use crate::ring::wake::{self, Wake as _};
use crate::units::{Nanos, Now};
use crate::wire::http::{self, answer};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The processor the thread is pinned to; `None` leaves it to the kernel.
    pub core: Option<usize>,
    /// How the core waits.
    pub waiting: Waiting,
    /// The backend.
    pub backend: Backend,
}

/// Answers every request with 204, and nothing else.
#[derive(Debug, Default)]
pub struct FloorService<'a> {
    stop: Option<&'a AtomicBool>,
}

impl<'a> FloorService<'a> {
    /// A floor that drains once `stop` is set and its core was woken.
    pub fn until(stop: &'a AtomicBool) -> FloorService<'a> {
        FloorService { stop: Some(stop) }
    }
}

impl Service for FloorService<'_> {
    #[inline]
    fn request(&mut self, _: Now, _: Nanos, _: Token, request: &http::Request<'_>, response: &mut [u8]) -> Served {
        Served::Done(answer::no_content(response, request.persistence).unwrap_or(0))
    }

    #[inline]
    fn turn(&mut self, _: Now, _: &Counters, _: &mut Vec<Token>) -> Turn {
        match self.stop {
            Some(stop) if stop.load(Ordering::Relaxed) => Turn::Drain,
            _ => Turn::Continue,
        }
    }

    fn resume(&mut self, _: Now, _: Token, response: &mut [u8]) -> Served {
        Served::Done(answer::no_content(response, http::Persistence::Keep).unwrap_or(0))
    }

    fn forget(&mut self, _: Token) {}

    fn withdrawn(&mut self, _: Now) {}

    fn wake_at(&self, _: Now) -> Nanos {
        Nanos::NEVER
    }
}

/// Runs the floor on a thread named `bid-0` until SIGTERM or SIGINT, and drains it. Prints `ready` on stdout once it
/// answers.
///
/// # Errors
/// The address cannot be bound, the processor does not exist, or the kernel refuses what the loop needs.
pub fn run(options: &Options) -> io::Result<Counters> {
    let listener = Listener::bind(options.listen)?;
    let (waker, wakeup) = wake::pair()?;
    let signals = Signals::block()?;
    let stop = AtomicBool::new(false);
    let core = CoreNet { backend: options.backend, waiting: options.waiting, ..CoreNet::default() };
    let pin = options.core.map(|id| core_affinity::CoreId { id });

    thread::scope(|scope| {
        let bid = thread::Builder::new().name("bid-0".to_owned()).spawn_scoped(scope, || {
            if pin.is_some_and(|pin| !core_affinity::set_for_current(pin)) {
                signals.interrupt();
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "the processor to pin to does not exist"));
            }
            let counters = run_core(&core, listener, wakeup, FloorService::until(&stop), || {
                println!("ready");
                let _ = io::stdout().flush();
            });
            signals.interrupt();
            counters
        })?;
        signals.wait()?;
        stop.store(true, Ordering::Relaxed);
        waker.wake();
        bid.join().unwrap_or_else(|_| Err(io::Error::other("the bid thread panicked")))
    })
}

/// SIGTERM and SIGINT as a descriptor, with a second one by which another thread can end the wait.
struct Signals {
    signals: OwnedFd,
    interrupt: OwnedFd,
}

impl Signals {
    /// Blocks both signals in this thread and those it starts, and makes them readable.
    fn block() -> io::Result<Signals> {
        // SAFETY: the set is initialised by `sigemptyset` before it is read; the descriptors are fresh and checked.
        unsafe {
            let mut set = std::mem::zeroed::<libc::sigset_t>();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGTERM);
            libc::sigaddset(&raw mut set, libc::SIGINT);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            let signals = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC);
            if signals < 0 {
                return Err(io::Error::last_os_error());
            }
            let signals = OwnedFd::from_raw_fd(signals);
            let interrupt = libc::eventfd(0, libc::EFD_CLOEXEC);
            if interrupt < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Signals { signals, interrupt: OwnedFd::from_raw_fd(interrupt) })
        }
    }

    fn interrupt(&self) {
        let one = 1u64;
        // SAFETY: the eight bytes of `one` are readable for the length of the call.
        unsafe { libc::write(self.interrupt.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
    }

    fn wait(&self) -> io::Result<()> {
        let watch = |fd: &OwnedFd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut fds = [watch(&self.signals), watch(&self.interrupt)];
        loop {
            // SAFETY: both entries are writable for the length of the call.
            if unsafe { libc::poll(fds.as_mut_ptr(), 2, -1) } >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}
