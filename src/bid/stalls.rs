//! When a core was kept from its loop of late, to tell what came too late for that from what was too much.

use crate::units::Nanos;
use crate::wire::openrtb::nobid::NoBidReason;

/// Stalls that are remembered; a request that lay through an older one counts as shed.
const REMEMBERED: usize = 16;

/// The last stalls of a core.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stalls {
    /// From and to, in a ring.
    recent: [(Nanos, Nanos); REMEMBERED],
    next: usize,
    /// The end of the last.
    ended: Nanos,
}

impl Stalls {
    /// The core was kept away from `from` to `to`, later than before.
    pub fn note(&mut self, from: Nanos, to: Nanos) {
        self.recent[self.next] = (from, to);
        self.next = (self.next + 1) % REMEMBERED;
        self.ended = to;
    }

    /// Whether a request that came then lay unread while the core was kept away, or may have.
    #[inline]
    pub fn delayed(&self, arrived: Nanos) -> bool {
        arrived < self.ended
    }

    /// Why a request is refused that came at `arrived` and is as old as `limit_ns` or older `now`: it came during a stall, or it lay
    /// through one without which it would be young enough; otherwise for having queued.
    pub fn reason(&self, now: Nanos, arrived: Nanos, limit_ns: u64) -> NoBidReason {
        let to_blame = |&(from, to): &(Nanos, Nanos)| {
            arrived < to && (arrived >= from || now.since(arrived).saturating_sub(to.since(from)) < limit_ns)
        };
        if self.delayed(arrived) && self.recent.iter().any(to_blame) { NoBidReason::Stalled } else { NoBidReason::Shed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_came_during_a_stall_or_is_late_for_it_is_told_from_what_queued() {
        let ms = |ms: u64| Nanos(Nanos::SECOND).after(ms * Nanos::MS);
        let mut stalls = Stalls::default();
        let limit = 8 * Nanos::MS;
        assert_eq!(stalls.reason(ms(30), ms(10), limit), NoBidReason::Shed);
        stalls.note(ms(10), ms(15));
        for (arrived, now, reason) in [
            (12, 30, NoBidReason::Stalled), // came during it
            (10, 18, NoBidReason::Stalled), // at its beginning
            (15, 30, NoBidReason::Shed),    // after it
            (9, 18, NoBidReason::Stalled),  // before it, and nothing else kept it
            (5, 18, NoBidReason::Shed),     // 13 ms old, of which the stall took 5
            (6, 18, NoBidReason::Stalled),  // 12 ms, and 7 without it
        ] {
            assert_eq!(stalls.reason(ms(now), ms(arrived), limit), reason, "{arrived} to {now}");
        }
        assert!(stalls.delayed(ms(14)) && !stalls.delayed(ms(15)));
    }

    proptest! {
        /// Held against all stalls there ever were, moment by moment.
        #[test]
        fn it_remembers_what_matters(gaps in proptest::collection::vec((0u64..30, 1u64..20), 0..60), ago in 0u64..200) {
            let (mut stalls, mut all, mut time) = (Stalls::default(), Vec::new(), 1_000);
            for (gap, length) in gaps {
                stalls.note(Nanos(time + gap), Nanos(time + gap + length));
                all.push(time + gap..time + gap + length);
                time += gap + length;
            }
            let (now, arrived, limit) = (time, time - ago, 40);
            if all.len() > REMEMBERED && arrived < all[all.len() - REMEMBERED].start {
                return Ok(());
            }
            let away = |stall: &std::ops::Range<u64>| stall.clone().count() as u64;
            let during = all.iter().any(|stall| stall.contains(&arrived));
            let through = all.iter().any(|stall| arrived < stall.start && ago.saturating_sub(away(stall)) < limit);
            let expected = if during || through { NoBidReason::Stalled } else { NoBidReason::Shed };
            prop_assert_eq!(stalls.reason(Nanos(now), Nanos(arrived), limit), expected);
        }
    }
}
