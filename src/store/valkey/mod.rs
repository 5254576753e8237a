//! Valkey: leases and frequency counters.
