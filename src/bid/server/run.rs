//! Starting a core's loop on the backend the host has.

use std::io;

use super::meter::Meter;
use super::{Counters, Server, Service};
use crate::bid::alarm::Bell;
use crate::bid::net::epoll::Epoll;
use crate::bid::net::uring::{Ring, Uring};
use crate::bid::net::{Listener, Net, Waiting};
use crate::limits;
use crate::ring::wake::Wakeup;
use crate::units::Nanos;

/// How a core talks to the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// io_uring, Linux 6.1 and later; epoll where it is missing or disabled.
    #[default]
    IoUring,
    /// epoll.
    Epoll,
}

/// How a core's loop runs.
#[derive(Clone, Copy, Debug)]
pub struct CoreNet {
    /// The backend wanted.
    pub backend: Backend,
    /// How it waits.
    pub waiting: Waiting,
    /// Connections at most, up to [`limits::CONNECTIONS`]: who comes beyond them is closed at once.
    pub connections: usize,
    /// Idle time after which a connection is closed, ns.
    pub idle_ns: u64,
    /// Time from the first bytes of a request until it has to be whole, ns.
    pub request_ns: u64,
    /// Time from the moment when answers are given to the kernel until it has to have taken them, ns.
    pub unread_ns: u64,
    /// The longest a drain takes, ns.
    pub drain_ns: u64,
    /// Tells of a panic elsewhere in the process.
    pub bell: Option<Bell>,
    /// The CPU whose connections are steered to this core ([`crate::bid::net::steer`]), if they are: it is counted whether they come.
    pub steered_from: Option<usize>,
    /// Whether all buffers are touched before the loop begins, so that no request waits for a page.
    pub prefault: bool,
}

impl Default for CoreNet {
    fn default() -> CoreNet {
        CoreNet {
            backend: Backend::default(),
            waiting: Waiting::default(),
            connections: limits::CONNECTIONS,
            idle_ns: limits::IDLE_NS,
            request_ns: limits::REQUEST_NS,
            unread_ns: limits::UNREAD_NS,
            drain_ns: 3 * Nanos::SECOND,
            bell: None,
            steered_from: None,
            prefault: false,
        }
    }
}

/// Runs the loop on the calling thread until the service drains it. The listener is bound before
/// ([`Listener::bind`], once per core), and already takes connections into its backlog; `wakeup` is the other end of a
/// [`crate::ring::wake::Waker`]. `started` is called once the loop can answer.
///
/// # Errors
/// What the kernel says about memory, epoll, or waiting. A missing io_uring is logged and replaced by epoll.
pub fn run_core<S: Service>(
    core: &CoreNet,
    listener: Listener,
    wakeup: Wakeup,
    service: S,
    started: impl FnOnce(),
) -> io::Result<Counters> {
    if core.backend == Backend::IoUring {
        match Ring::open() {
            Ok(ring) => {
                return run(
                    core,
                    Uring::new(ring, listener, wakeup, core.waiting, core.connections)?,
                    service,
                    started,
                );
            }
            Err(missing) => log::warn!("{missing}; serving with epoll instead"),
        }
    }
    run(core, Epoll::new(listener, wakeup, core.waiting, core.connections)?, service, started)
}

fn run<N: Net, S: Service>(core: &CoreNet, net: N, service: S, started: impl FnOnce()) -> io::Result<Counters> {
    let mut server = Server::new(net, service, core)?;
    if core.prefault {
        server.prefault();
    }
    started();
    server.run()?;
    Ok(server.counters())
}

impl<N: Net, S: Service> Server<N, S> {
    /// Touches all buffers, so that no request waits for a page.
    fn prefault(&mut self) {
        self.net.prefault();
        self.desk.answers.prefault();
        // Nobody is served yet, so this is no stall.
        self.now.boot = self.net.clock();
        self.meter = Meter::new(self.now.boot);
    }
}
