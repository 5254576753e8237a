//! A limit of events per second. A second's worth may come at once; after that they are let through evenly.

use std::num::NonZeroU32;

use crate::units::Nanos;

/// How much may come at once, as time at the limit's pace, ns.
const BURST: u64 = Nanos::SECOND;

/// The limit (a GCRA: it remembers one time instead of a number of tokens).
#[derive(Debug)]
pub(super) struct Bucket {
    /// Between two events at the limit's pace, ns.
    interval: u64,
    /// When all that was let through would have come at that pace.
    until: Nanos,
}

impl Bucket {
    pub(super) fn new(per_second: NonZeroU32) -> Bucket {
        Bucket { interval: (Nanos::SECOND / u64::from(per_second.get())).max(1), until: Nanos(0) }
    }

    /// Lets an event through, or not.
    pub(super) fn take(&mut self, now: Nanos) -> bool {
        let has_room = self.wait(now) == 0;
        if has_room {
            self.until = self.until.max(now).after(self.interval);
        }
        has_room
    }

    /// How long until the next event is let through, ns.
    pub(super) fn wait(&self, now: Nanos) -> u64 {
        self.until.max(now).after(self.interval).since(now.after(BURST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_second_at_once_and_then_evenly() {
        let mut bucket = Bucket::new(NonZeroU32::new(4).unwrap());
        let start = Nanos(100 * Nanos::SECOND);
        let taken = (0..10).filter(|_| bucket.take(start)).count();
        assert_eq!((taken, bucket.wait(start)), (4, Nanos::SECOND / 4));
        assert!(!bucket.take(start.after(Nanos::SECOND / 4 - 1)));
        assert!(bucket.take(start.after(Nanos::SECOND / 4)) && !bucket.take(start.after(Nanos::SECOND / 4)));
    }

    proptest! {
        /// However they come: in any span no more than its share and a second's besides, and a patient one is let through.
        #[test]
        fn no_span_has_more_than_its_share(rate in 1u32..50, gaps in prop::collection::vec(0u64..400_000_000, 1..300)) {
            let mut bucket = Bucket::new(NonZeroU32::new(rate).unwrap());
            let (mut now, mut taken) = (Nanos(1), Vec::new());
            for gap in gaps {
                now = now.after(gap);
                let wait = bucket.wait(now);
                if bucket.take(now) {
                    taken.push(now);
                } else {
                    prop_assert!(wait > 0 && wait <= Nanos::SECOND / u64::from(rate));
                }
            }
            for first in 0..taken.len() {
                for last in first..taken.len() {
                    let span = taken[last].since(taken[first]);
                    let share = u64::from(rate) + span * u64::from(rate) / Nanos::SECOND + 1;
                    prop_assert!((last - first) as u64 <= share);
                }
            }
        }
    }
}
