//! The settings of a host: `corebid doctor`, which tells them, and `tuning/tune`, which makes them and takes them back. Both are held
//! against trees of files that stand for hosts, and against each other; `tune` also against the kernel, in a network namespace of
//! the test's own.

#![allow(clippy::disallowed_methods, reason = "a test may wait")]

#[path = "../support/mod.rs"]
mod support;

mod deployed;
mod doctor;
mod namespaces;
mod tree;
mod tune;
