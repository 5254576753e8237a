//! Peers that mean harm: what they send, how slowly, how much of it, over how many connections. Each shape gets the answer of
//! docs/HOSTILE.md, memory stays within the bound that `serve` tells at start, and who behaves is answered all the while.

#![allow(clippy::disallowed_methods, reason = "a test may wait")]

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
