//! When bytes came, as far as a receive without timestamps can tell (docs/decisions/0028-arrival.md).
//!
//! What a gather finds came after the gather before it, which had found everything until then. If the core slept in between, it came
//! when the core woke. What was found and not read goes on waiting since when it was found.

use super::Gathered;
use crate::units::Nanos;

/// The gathers of a backend.
#[derive(Debug)]
pub(super) struct Gathers {
    /// What the last one found came after this.
    pub(super) since: Nanos,
    /// When the last complete one was.
    pub(super) at: Nanos,
    /// Which one it is, counted from the first.
    pub(super) serial: u32,
}

impl Gathers {
    pub(super) fn new(now: Nanos) -> Gathers {
        Gathers { since: now, at: now, serial: 0 }
    }

    /// The next one begins.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.serial = self.serial.wrapping_add(1);
    }

    /// It has found everything, or, if not `complete`, as much as there was room for.
    #[inline]
    pub(super) fn end(&mut self, gathered: Gathered, complete: bool) -> Gathered {
        self.since = if gathered.slept { gathered.at } else { self.at };
        if complete {
            self.at = gathered.at;
        }
        gathered
    }
}
