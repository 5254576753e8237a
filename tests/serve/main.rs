//! `corebid serve` as others meet it: a process with sockets, files and signals. Nothing in here looks inside.

#![allow(clippy::disallowed_methods, reason = "a test may wait")]

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod booked;
mod files;
mod guards;
mod gzip;
mod life;
mod notices;
mod paths;
mod policy;
mod rate;
mod requests;
