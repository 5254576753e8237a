//! Valkey: leases and frequency counters.
//!
//! ```text
//! client ── topology     which server has the slot
//!   │
//!   └────── endpoint ── library        one server: connection, password, functions
//! ```
//!
//! [`Valkey`] runs on a tokio runtime of one thread and stays on it. What can go wrong is a [`Failure`].

pub mod client;
pub mod failure;
pub mod frequency;
pub mod lease;
pub mod library;
pub mod servers;
pub mod topology;
mod endpoint;

pub use client::{Answered, Server, Valkey};
pub use failure::Failure;
pub use library::Library;
pub use topology::{ShardId, slot_of};

/// A command and its arguments.
pub use redis::Cmd as Call;
/// What a server answers.
pub use redis::Value;
