//! Peers that mean harm: what they send, how slowly, how much of it, over how many connections. Each shape gets the answer of
//! docs/HOSTILE.md, memory stays within the bound that `serve` tells at start, and who behaves is answered all the while.

#![allow(clippy::disallowed_methods, reason = "a test may wait")]

use std::net::TcpStream;
use std::os::fd::AsRawFd;

#[path = "../support/mod.rs"]
mod support;

mod crowd;
mod memory;
mod patience;
mod shapes;
mod witness;

/// The same test on both backends.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod io_uring { $(#[test] fn $name() { super::$name("io_uring"); })* }
        mod epoll { $(#[test] fn $name() { super::$name("epoll"); })* }
    };
}
pub(crate) use on_both;

/// Tests that take thousands of descriptors take turns.
pub(crate) static CROWD: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Lets the kernel keep next to nothing for a peer that does not read.
pub(crate) fn take_little(stream: &TcpStream) {
    let small = 4096i32;
    // SAFETY: the option is an int, readable for its size for the length of the call; the descriptor is open.
    unsafe {
        let (value, length) = ((&raw const small).cast(), size_of::<i32>() as libc::socklen_t);
        libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, value, length);
    }
}
