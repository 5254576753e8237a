//! Listening sockets: bound before the cores run, one per core on one port, so that the kernel spreads the connections.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::limits;

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A listening socket of one core.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Binds and listens: [`Listener::reserve`], then [`Listener::listen`].
    ///
    /// # Errors
    /// What they say.
    pub fn bind(address: SocketAddr) -> io::Result<Listener> {
        let listener = Listener::reserve(address)?;
        listener.listen()?;
        Ok(listener)
    }

    /// Binds, with `SO_REUSEPORT` so that every core has a socket of its own, and with `TCP_NODELAY` and bounds on what the
    /// kernel keeps for who does not read, and of what the loop has not read, which accepted connections inherit. Port 0 takes a free one: bind the other cores to
    /// [`Listener::address`].
    ///
    /// # Errors
    /// What the kernel says: the address is in use by another user, or is not this machine's.
    pub fn reserve(address: SocketAddr) -> io::Result<Listener> {
        let listener = Listener::open(address, true)?;
        let fd = listener.fd();
        set(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
        set(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, limits::SOCKET_SEND_BYTES as i32)?;
        // Before listening: the window that a peer is offered follows from it.
        set(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, limits::SOCKET_RECEIVE_BYTES as i32)?;
        Ok(listener)
    }

    /// Binds where nobody listens, and shares it with nobody who comes to.
    ///
    /// # Errors
    /// As [`Listener::reserve`]; and somebody listens there, though it be the same user.
    pub(super) fn claim(address: SocketAddr) -> io::Result<Listener> {
        Listener::open(address, false)
    }

    fn open(address: SocketAddr, shared: bool) -> io::Result<Listener> {
        let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        // SAFETY: no pointer is passed.
        let fd = check(unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
        // SAFETY: `fd` was just opened and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        set(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
        set(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, i32::from(shared))?;
        match address {
            SocketAddr::V4(v4) => {
                let name = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                    sin_zero: [0; 8],
                };
                name_socket(fd.as_raw_fd(), &name)?;
            }
            SocketAddr::V6(v6) => {
                let name = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                name_socket(fd.as_raw_fd(), &name)?;
            }
        }
        Ok(Listener(TcpListener::from(fd)))
    }

    /// Lets peers connect: they wait in the backlog until the loop takes them.
    ///
    /// # Errors
    /// What the kernel says: somebody else has come to listen there.
    pub fn listen(&self) -> io::Result<()> {
        // SAFETY: no pointer is passed.
        check(unsafe { libc::listen(self.fd(), BACKLOG) }).map(drop)
    }

    /// The address it is bound to, with the port the kernel chose.
    ///
    /// # Errors
    /// What `getsockname` says; never for a bound socket.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    pub(super) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        self.0.set_nonblocking(true)
    }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Sets an option whose value the kernel reads as a `T`.
pub(super) fn set<T>(fd: RawFd, level: i32, option: i32, value: T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is readable for `length` bytes for the length of the call.
    check(unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), length) }).map(drop)
}

fn name_socket<T>(fd: RawFd, name: &T) -> io::Result<()> {
    // SAFETY: `name` is a socket address readable for its size for the length of the call.
    check(unsafe { libc::bind(fd, std::ptr::from_ref(name).cast(), size_of::<T>() as libc::socklen_t) }).map(drop)
}
