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
    /// The core was kept away from then on, after the last one perhaps, which then has not found what came meanwhile.
    kept: Option<Nanos>,
}

impl Gathers {
    pub(super) fn new(now: Nanos) -> Gathers {
        Gathers { since: now, at: now, serial: 0, kept: None }
    }

    /// The next one begins.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.serial = self.serial.wrapping_add(1);
    }

    /// It has found everything, or, if not `complete`, as much as there was room for.
    #[inline]
    pub(super) fn end(&mut self, gathered: Gathered, complete: bool) -> Gathered {
        let before = self.kept.take().map_or(self.at, |kept| kept.min(self.at));
        self.since = if gathered.slept { gathered.at } else { before };
        if complete {
            self.at = gathered.at;
        }
        gathered
    }

    /// The last one ended late: what it found may have come since `from`. So may what the next one finds: a process is stopped on
    /// its way out of the kernel, when the gather is over.
    pub(super) fn kept(&mut self, from: Nanos) {
        self.since = self.since.min(from);
        self.kept = Some(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_late_wait_did_not_find_is_as_old_when_the_next_does() {
        let gathered = |at, slept| Gathered { at: Nanos(at), slept };
        let mut gathers = Gathers::new(Nanos(90));
        gathers.end(gathered(100, false), true);
        // It was stopped from 100 to 150, on its way out of the kernel.
        gathers.end(gathered(150, true), true);
        gathers.kept(Nanos(100));
        assert_eq!(gathers.since, Nanos(100));
        gathers.end(gathered(151, false), true);
        assert_eq!(gathers.since, Nanos(100));
        gathers.end(gathered(152, false), true);
        assert_eq!(gathers.since, Nanos(151));
    }
}
