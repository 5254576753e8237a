//! Ids that are made without asking anyone, grow, and are never repeated: of reservations, and of the ledger's records.

use crate::units::{ReservationId, UnixMillis};

/// Start of the Snowflake clock: 2024-01-01T00:00:00Z. 41 bits of milliseconds last from here to 2093.
pub const EPOCH: UnixMillis = ReservationId::EPOCH;
/// Workers there can be: 10 bits.
pub const WORKERS: u16 = 1 << 10;

const SEQUENCE_BITS: u32 = 12;
const WORKER_BITS: u32 = 10;
const _: () = assert!(SEQUENCE_BITS + WORKER_BITS == ReservationId::BELOW_MILLIS);
/// 41 bits of milliseconds over 12 of sequence: the moving part of an id, without the worker between them.
const STEPS: u64 = 1 << (41 + SEQUENCE_BITS);

/// Reservation ids: 41 bits of milliseconds since [`EPOCH`], 10 of worker, 12 of sequence.
///
/// Milliseconds and sequence count as one number that only grows. So a clock that steps back repeats nothing (the
/// sequence runs on from where it was), and the 4,097th id of a millisecond borrows from the next one instead of waiting.
#[derive(Debug)]
pub struct Snowflake {
    worker: u64,
    /// The next id's milliseconds and sequence are at least this.
    next: u64,
}

impl Snowflake {
    /// Ids of `worker`, none of them earlier than `not_before`: what an earlier process of this worker may have used
    /// up to (it may have run on a clock that was ahead of ours).
    ///
    /// # Panics
    /// If `worker` is not below [`WORKERS`].
    pub fn new(worker: u16, not_before: UnixMillis) -> Self {
        assert!(worker < WORKERS, "worker {worker} does not fit 10 bits");
        Self { worker: u64::from(worker), next: step(not_before) }
    }

    /// The next id. `wall` is this loop turn's time; several ids may be made at one time.
    #[inline]
    pub fn next(&mut self, wall: UnixMillis) -> ReservationId {
        let step = self.next.max(step(wall));
        assert!(step < STEPS, "the Snowflake clock has run out");
        self.next = step + 1;
        let (ms, sequence) = (step >> SEQUENCE_BITS, step & ((1 << SEQUENCE_BITS) - 1));
        ReservationId(ms << (WORKER_BITS + SEQUENCE_BITS) | self.worker << SEQUENCE_BITS | sequence)
    }
}

/// The first step of a millisecond; times before the epoch count as the epoch.
#[inline]
fn step(wall: UnixMillis) -> u64 {
    wall.0.saturating_sub(EPOCH.0) << SEQUENCE_BITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(id: ReservationId) -> (u64, u64, u64) {
        (EPOCH.0 + (id.0 >> 22), id.0 >> 12 & 0x3ff, id.0 & 0xfff)
    }

    #[test]
    fn an_id_carries_time_worker_and_sequence() {
        let mut ids = Snowflake::new(1023, EPOCH);
        let now = UnixMillis(1_767_225_600_123);
        assert_eq!(parts(ids.next(now)), (now.0, 1023, 0));
        assert_eq!(parts(ids.next(now)), (now.0, 1023, 1));
        let later = ids.next(UnixMillis(now.0 + 5));
        assert_eq!((parts(later), later.made()), ((now.0 + 5, 1023, 0), UnixMillis(now.0 + 5)));
    }

    #[test]
    fn a_full_millisecond_borrows_from_the_next() {
        let mut ids = Snowflake::new(7, EPOCH);
        let now = UnixMillis(EPOCH.0 + 1_000);
        let last = (0..4096).map(|_| ids.next(now)).last().unwrap();
        assert_eq!(parts(last), (now.0, 7, 4095));
        assert_eq!(parts(ids.next(now)), (now.0 + 1, 7, 0));
    }

    #[test]
    fn a_restart_on_a_clock_that_went_back_repeats_nothing() {
        let mut first = Snowflake::new(1, EPOCH);
        let last = first.next(UnixMillis(EPOCH.0 + 50_000));
        let mut second = Snowflake::new(1, UnixMillis(EPOCH.0 + 50_001));
        assert!(second.next(UnixMillis(EPOCH.0 + 10_000)) > last);
    }

    proptest! {
        #[test]
        fn ids_grow_whatever_the_clock_does(steps in prop::collection::vec((-5_000i64..5_000, 1usize..6_000), 1..20)) {
            let mut ids = Snowflake::new(3, EPOCH);
            let (mut wall, mut last) = (EPOCH.0 as i64 + 1_000_000, None);
            for (step, count) in steps {
                wall += step;
                for _ in 0..count {
                    let id = ids.next(UnixMillis(wall as u64));
                    prop_assert!(Some(id) > last);
                    prop_assert_eq!(parts(id).1, 3);
                    last = Some(id);
                }
            }
        }
    }
}
