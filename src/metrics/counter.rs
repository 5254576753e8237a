//! A counter with one writer.
//!
//! The writer adds with a plain load and a plain store, as cheap as a `u64` in a register's reach; readers see some recent
//! value. No read-modify-write, hence no locked bus cycle on a bid core. Two writers would lose counts: the owner of the
//! struct a counter lives in is its only writer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A 64-bit counter or gauge, written by one thread and read by any.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`; the owner only.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Sets the value; the owner only.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Some recent value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
