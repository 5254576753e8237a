//! The socket side of a bid core: one small trait, two backends, and nothing of HTTP or bidding.
//!
//! A turn of the loop is: [`Net::wait`], then [`Net::next`] until it is empty, then [`Net::send`] for what was answered.
//! What `send` was given goes to the kernel with the next `wait`, in one system call where the backend can.
//!
//! `wait` gathers: it learns of everything that can be read by then. Of that at most [`Net::bound`] is read; the connections beyond
//! wait in an [`intake::Intake`], which says who is next.

mod arrival;
pub mod epoll;
pub mod intake;
pub mod listener;
mod memory;
pub mod steer;
mod table;
pub mod uring;

use std::io;
use std::os::fd::RawFd;

use crate::clock;
use crate::units::Nanos;

pub use listener::Listener;
pub(in crate::bid) use memory::Region;
pub use memory::STAGGER;
pub use steer::Steering;

/// Memory that a backend takes for one connection, bytes: the larger one's.
pub(in crate::bid) const CONNECTION_BYTES: usize =
    if uring::CONNECTION_BYTES > epoll::CONNECTION_BYTES { uring::CONNECTION_BYTES } else { epoll::CONNECTION_BYTES };

/// A connection of this core. Generations tell a connection from the one that had its place before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conn {
    /// Its place in the table, below the number of places it was made with.
    pub index: u32,
    /// How many connections had this place before, modulo 2^28.
    pub generation: u32,
}

/// Whose share of a busy core a connection's requests are taken from. A connection is of the class of its last request; what the
/// numbers stand for is the service's business. 0: nothing was asked yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Class(pub u16);

impl Class {
    /// How many there are: one for each exchange (at most 255), and some for what is none.
    pub const COUNT: usize = 264;

    #[inline]
    fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// When [`Net::wait`] had learned of all that it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gathered {
    /// The moment, by [`Net::clock`].
    pub at: Nanos,
    /// There was nothing to tell at first: it slept, or watched, until there was.
    pub slept: bool,
}

/// What happened on a socket.
#[derive(Debug)]
pub enum Happened {
    /// A connection was accepted.
    Accepted(Conn),
    /// Bytes arrived; read them with [`Net::bytes`], then give the buffer back with [`Net::recycle`].
    Received(Conn, Received),
    /// The peer closed its side, or the connection broke. Said once; nothing more is received.
    Ended(Conn),
    /// A send completed with this many bytes; the memory it was given is free again. 0 bytes: the connection broke.
    Sent(Conn, usize),
    /// Another thread asked for attention: there are orders.
    Woken,
}

/// A filled receive buffer. Given back with [`Net::recycle`].
#[derive(Debug)]
#[must_use = "a buffer that is not recycled is lost"]
pub struct Received {
    /// Which buffer.
    pub(in crate::bid) buffer: u16,
    /// How many bytes.
    pub(in crate::bid) length: u32,
    /// None of them came before: when it was last known that the connection had nothing to be read.
    pub(in crate::bid) since: Nanos,
}

/// How a bid core waits when it has nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Waiting {
    /// Sleep in the kernel at once: least CPU.
    Block,
    /// Spin for about 50 us, then sleep: most of spinning's latency for a fraction of its cost.
    #[default]
    Hybrid,
    /// Never sleep: least latency, a whole core.
    Spin,
}

/// Makes the kernel throw away what was not sent when the descriptor is closed.
fn throw_away_unsent(fd: RawFd) {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    let length = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: the value is readable for `length` bytes for the length of the call. A connection that is gone makes it fail, and
    // nothing is kept for it.
    unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, (&raw const at_once).cast(), length) };
}

/// How long [`Waiting::Hybrid`] spins, ns.
const SPIN_NS: u64 = 50_000;
/// After the descriptors ran out, how long until accepting is tried again, ns. Peers wait in the backlog.
const EXHAUSTED_NS: u64 = 50 * Nanos::MS;

/// Connections of one core.
pub trait Net {
    /// Hands what was queued to the kernel and waits until something happened or `until` has passed. `now` is the
    /// caller's last reading of the clock.
    fn wait(&mut self, now: Nanos, until: Nanos) -> io::Result<Gathered>;

    /// The clock by which this backend tells time.
    #[inline]
    fn clock(&self) -> Nanos {
        clock::boot()
    }

    /// The core was kept away from `from` to now: what is found from now on may have come since then, until the end of the next
    /// [`Net::wait`], which looks at once.
    fn kept(&mut self, _from: Nanos) {}

    /// At most so many receive buffers are filled from the next [`Net::wait`] on to the one after it; at least one.
    fn bound(&mut self, reads: usize);

    /// What was read from a connection were so many requests, the last of this class.
    fn served(&mut self, conn: Conn, class: Class, requests: u32);

    /// How many connections have something to be read and wait for their turn.
    fn waiting(&self) -> usize;

    /// The next thing that happened, until there is none. A turn ends: what arrives meanwhile is told after the next
    /// [`Net::wait`], and so is what was not asked for.
    fn next(&mut self) -> Option<Happened>;

    /// What was received.
    fn bytes(&self, received: &Received) -> &[u8];

    /// Gives a receive buffer back to the kernel.
    fn recycle(&mut self, received: Received);

    /// Which CPU received the last packet of a connection, if that can be told.
    fn receiving_cpu(&mut self, _conn: Conn) -> Option<usize> {
        None
    }

    /// Sends bytes; one send per connection at a time. `Some(sent)` if that is already done, with the meaning of
    /// [`Happened::Sent`]; `None` if it is queued and `Sent` will tell.
    ///
    /// # Safety
    /// `bytes` must stay valid and unchanged until the send is done, or until the backend is dropped.
    unsafe fn send(&mut self, conn: Conn, bytes: *const [u8]) -> Option<usize>;

    /// Stops reading from a connection: its peer waits in TCP. What was received before is still told.
    fn pause(&mut self, conn: Conn);

    /// Reads again.
    fn resume(&mut self, conn: Conn);

    /// Tells the peer that no more will be sent. Reading goes on.
    fn shut(&mut self, conn: Conn);

    /// Once the connection is closed, nothing is kept for its peer, which is told so by a reset: what it has not read would
    /// stay with the kernel until it does.
    fn abandon(&mut self, conn: Conn);

    /// Closes a connection. Nothing more is heard of it, but for the [`Happened::Sent`] of a send under way.
    fn close(&mut self, conn: Conn);

    /// Stops accepting connections; those of the backlog are refused.
    fn stop_accepting(&mut self);

    /// Touches all receive buffers, so that no request waits for a page.
    fn prefault(&mut self);

    /// How often reading had to be asked for again because no receive buffer was free.
    fn rearmed(&self) -> u64;

    /// How many connections were closed as they came, because there was no place for them.
    fn turned_away(&self) -> u64;
}
