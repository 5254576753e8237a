//! Valkey: leases and frequency counters.

pub mod frequency;
