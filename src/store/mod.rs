//! Where things are kept. [`embedded`] is the default: a directory, and nothing else installed.
//!
//! ```text
//! journal ──► writer ──► disk         one commit at a time: written, synced, then durable
//!               │
//!               └──► anchor           the head of the chain, to places off the host
//! embedded ◄── commit ◄── files       at start; [`verify`] and [`export`] read the same way
//! ```

pub mod anchor;
pub mod commit;
pub mod disk;
pub mod embedded;
pub mod export;
pub mod journal;
pub mod memory;
pub mod verify;
pub mod writer;
#[cfg(feature = "stores")]
pub mod dynamodb;
#[cfg(feature = "stores")]
pub mod valkey;
