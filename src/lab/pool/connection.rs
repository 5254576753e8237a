//! One connection: its socket, what is on its way, and the bytes that did not fit.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::Duration;

use super::Flight;

/// What a connection can do.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing: it failed, or was never opened.
    Broken,
    /// The handshake is under way.
    Opening(TcpStream),
    /// Requests and answers.
    Open(TcpStream),
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) state: State,
    /// Requests without an answer, in the order they were sent.
    pub(super) flights: VecDeque<Flight>,
    /// The beginning of an answer.
    pub(super) partial: Vec<u8>,
    /// Bytes the socket did not take yet.
    unsent: Vec<u8>,
}

impl Connection {
    pub(super) fn broken(depth: usize) -> Connection {
        Connection {
            state: State::Broken,
            flights: VecDeque::with_capacity(depth),
            partial: Vec::new(),
            unsent: Vec::new(),
        }
    }

    pub(super) fn opened(&mut self, stream: TcpStream) {
        self.state = State::Open(stream);
    }

    pub(super) fn broke(&mut self) {
        self.state = State::Broken;
        self.partial.clear();
        self.unsent.clear();
    }

    /// The socket takes no more bytes at the moment.
    pub(super) fn is_blocked(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Writes what the socket takes and keeps the rest.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let State::Open(stream) = &mut self.state else { return Err(io::ErrorKind::NotConnected.into()) };
        let written = match self.unsent.is_empty() {
            true => write_some(stream, bytes)?,
            false => 0,
        };
        self.unsent.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    /// Writes what was kept.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let State::Open(stream) = &mut self.state else { return Err(io::ErrorKind::NotConnected.into()) };
        let written = write_some(stream, &self.unsent)?;
        self.unsent.drain(..written);
        Ok(())
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Open(stream) => stream.read(buffer),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The handshake ended: well, or with the error it returns.
    pub(super) fn finish_opening(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.state, State::Broken) {
            State::Opening(stream) => {
                if let Some(error) = stream.take_error()? {
                    return Err(error);
                }
                stream.set_nodelay(true)?;
                self.state = State::Open(stream);
                Ok(())
            }
            other => {
                self.state = other;
                Ok(())
            }
        }
    }
}

fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
        result => result,
    }
}

/// Connects, waiting for the handshake.
pub(super) fn open_within(address: SocketAddr, time: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, time)?;
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Starts to connect; the socket is writable when the handshake has ended.
pub(super) fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: takes no pointers.
    let socket = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let result = match address {
        SocketAddr::V4(address) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: `raw` is a whole socket address of the length that is passed, alive for the call.
            unsafe { libc::connect(socket.as_raw_fd(), (&raw const raw).cast(), size_of_val(&raw) as libc::socklen_t) }
        }
        SocketAddr::V6(address) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: address.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                sin6_scope_id: address.scope_id(),
            };
            // SAFETY: as above.
            unsafe { libc::connect(socket.as_raw_fd(), (&raw const raw).cast(), size_of_val(&raw) as libc::socklen_t) }
        }
    };
    let error = io::Error::last_os_error();
    match result {
        0 => Ok(TcpStream::from(socket)),
        _ if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(TcpStream::from(socket)),
        _ => Err(error),
    }
}
