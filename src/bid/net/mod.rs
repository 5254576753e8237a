//! The socket side of a bid core: one small trait, two backends, and nothing of HTTP or bidding.
//!
//! A turn of the loop is: [`Net::wait`], then [`Net::next`] until it is empty, then [`Net::send`] for what was answered.
//! What `send` was given goes to the kernel with the next `wait`, in one system call.

pub mod epoll;
pub mod uring;

use std::io;

use crate::units::Nanos;

/// A connection of this core. Generations tell a connection from the one that had its place before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conn {
    /// Its place in the table, below [`crate::limits::CONNECTIONS`].
    pub index: u32,
    /// How many connections had this place before.
    pub generation: u32,
}

/// What happened on a socket.
#[derive(Debug)]
pub enum Happened {
    /// A connection was accepted.
    Accepted(Conn),
    /// Bytes arrived; read them with [`Net::bytes`], then give the buffer back with [`Net::recycle`].
    Received(Conn, Received),
    /// The peer closed its side, or the connection broke.
    Ended(Conn),
    /// A send completed with this many bytes; the memory it was given is free again. 0 bytes: the connection broke.
    Sent(Conn, usize),
    /// Another thread asked for attention: there are orders.
    Woken,
}

/// A filled receive buffer. Given back with [`Net::recycle`].
#[derive(Debug)]
pub struct Received {
    /// Which buffer.
    pub(in crate::bid) buffer: u16,
    /// How many bytes.
    pub(in crate::bid) length: u32,
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

/// Connections of one core.
pub trait Net {
    /// Hands what was queued to the kernel and waits until something happened or `until` has passed.
    fn wait(&mut self, until: Nanos) -> io::Result<()>;

    /// The next thing that happened, until there is none.
    fn next(&mut self) -> Option<Happened>;

    /// What was received.
    fn bytes(&self, received: &Received) -> &[u8];

    /// Gives a receive buffer back to the kernel.
    fn recycle(&mut self, received: Received);

    /// Queues bytes to be sent; one send per connection at a time.
    ///
    /// # Safety
    /// `bytes` must stay valid and unchanged until [`Happened::Sent`] for this connection, or until the backend is dropped.
    unsafe fn send(&mut self, conn: Conn, bytes: *const [u8]);

    /// Stops reading from a connection: its peer waits in TCP.
    fn pause(&mut self, conn: Conn);

    /// Reads again.
    fn resume(&mut self, conn: Conn);

    /// Closes a connection. Nothing more is heard of it, but for the [`Happened::Sent`] of a send under way.
    fn close(&mut self, conn: Conn);

    /// Stops accepting connections.
    fn stop_accepting(&mut self);
}
