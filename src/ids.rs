//! Ids that are made without asking anyone, grow, and are never repeated: of reservations, and of the ledger's records.

use crate::limits;
use crate::units::{Nanos, Now, ReservationId, UnixMillis};

/// Start of the Snowflake clock: 2024-01-01T00:00:00Z. 41 bits of milliseconds last from here to 2093.
pub const EPOCH: UnixMillis = ReservationId::EPOCH;
/// Workers there can be: 10 bits.
pub const WORKERS: u16 = 1 << 10;

const SEQUENCE_BITS: u32 = 12;
const WORKER_BITS: u32 = 10;
const _: () = assert!(SEQUENCE_BITS + WORKER_BITS == ReservationId::BELOW_MILLIS);
/// 41 bits of milliseconds over 12 of sequence: the moving part of an id, without the worker between them.
const STEPS: u64 = 1 << (41 + SEQUENCE_BITS);
/// The time that one id takes up, ns: 4,096 to a millisecond, rounded up so that what is counted as time is never less.
pub const ID_NS: u64 = Nanos::MS.div_ceil(1 << SEQUENCE_BITS);

/// No clock is right that is further ahead of the last id, ms: 15 years. Less than the 1,024 weeks by which a GPS receiver may be
/// wrong, and a process that was stopped for longer has other troubles.
const LEAD_MS: u64 = 15 * 366 * UnixMillis::DAY;

/// Whether a clock may be right, where all ids so far were made before `not_before`, or none was ([`EPOCH`] or earlier). An id
/// made by a wrong one is for ever: all that come have to be later.
pub fn believes(wall: UnixMillis, not_before: UnixMillis) -> bool {
    wall.0 <= not_before.0.max(EPOCH.0).saturating_add(LEAD_MS)
}

/// Reservation ids: 41 bits of milliseconds since [`EPOCH`], 10 of worker, 12 of sequence.
///
/// Milliseconds and sequence count as one number that only grows. So a clock that steps back repeats nothing (the
/// sequence runs on from where it was), and the 4,097th id of a millisecond borrows from the next one instead of waiting.
///
/// What is borrowed is bounded by [`limits::IDS_BORROWED_NS`], and counted on the boot clock. On the wall clock a step
/// back by an hour looks like an hour borrowed, although no id was made too many; nobody can set the boot clock, so on
/// it only too many ids are too many.
#[derive(Debug)]
pub struct Snowflake {
    worker: u64,
    /// The next id's milliseconds and sequence are at least this.
    next: u64,
    /// The boot time that the ids made so far take up.
    used_up: Nanos,
}

impl Snowflake {
    /// Ids of `worker`, none of them earlier than `not_before`: what an earlier process of this worker may have used
    /// up to (it may have run on a clock that was ahead of ours).
    ///
    /// # Panics
    /// If `worker` is not below [`WORKERS`].
    pub fn new(worker: u16, not_before: UnixMillis) -> Self {
        assert!(worker < WORKERS, "worker {worker} does not fit 10 bits");
        Self { worker: u64::from(worker), next: first_step(not_before), used_up: Nanos(0) }
    }

    /// Whether `count` ids can be made in this loop turn.
    #[inline]
    pub fn has(&self, count: usize, now: Now) -> bool {
        let count = count as u64;
        self.used_up.max(now.boot).after(count * ID_NS) <= now.boot.after(limits::IDS_BORROWED_NS)
            && self.step(now) + count <= STEPS
    }

    /// The next id. `now` is this loop turn's time; several ids may be made at one time. `None` if too much is borrowed
    /// from the future already, and when the 41 bits are used up: there is no bid without an id, and no waiting for one.
    #[inline]
    pub fn next(&mut self, now: Now) -> Option<ReservationId> {
        if !self.has(1, now) {
            return None;
        }
        self.used_up = self.used_up.max(now.boot).after(ID_NS);
        Some(self.take(self.step(now)))
    }

    /// The next id, however far ahead of the clock: for what is written down and cannot be refused. A clock that
    /// [cannot be right](believes) is not followed: ids go on from the last one.
    ///
    /// # Panics
    /// When the 41 bits are used up.
    pub fn following(&mut self, wall: UnixMillis) -> ReservationId {
        let last = UnixMillis(EPOCH.0 + (self.next >> SEQUENCE_BITS));
        let step = if believes(wall, last) { self.next.max(first_step(wall)) } else { self.next };
        assert!(step < STEPS, "the Snowflake clock has run out");
        self.take(step)
    }

    fn take(&mut self, step: u64) -> ReservationId {
        self.next = step + 1;
        let (ms, sequence) = (step >> SEQUENCE_BITS, step & ((1 << SEQUENCE_BITS) - 1));
        ReservationId(ms << (WORKER_BITS + SEQUENCE_BITS) | self.worker << SEQUENCE_BITS | sequence)
    }

    #[inline]
    fn step(&self, now: Now) -> u64 {
        self.next.max(first_step(now.wall))
    }
}

/// The first step of a millisecond; times before the epoch count as the epoch, those after the 41 bits as their end.
#[inline]
fn first_step(wall: UnixMillis) -> u64 {
    wall.0.saturating_sub(EPOCH.0).min(STEPS >> SEQUENCE_BITS) << SEQUENCE_BITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOOT: Nanos = Nanos(3_600 * Nanos::SECOND);
    /// What can be borrowed at one time.
    const MOST: u64 = limits::IDS_BORROWED_NS / ID_NS;

    fn parts(id: ReservationId) -> (u64, u64, u64) {
        (EPOCH.0 + (id.0 >> 22), id.0 >> 12 & 0x3ff, id.0 & 0xfff)
    }

    fn at(wall: u64) -> Now {
        Now { boot: BOOT, wall: UnixMillis(wall) }
    }

    fn at_once(ids: &mut Snowflake, now: Now) -> Vec<ReservationId> {
        std::iter::from_fn(|| ids.next(now)).collect()
    }

    #[test]
    fn an_id_carries_time_worker_and_sequence() {
        let mut ids = Snowflake::new(1023, EPOCH);
        let now = at(1_767_225_600_123);
        assert_eq!(parts(ids.next(now).unwrap()), (now.wall.0, 1023, 0));
        assert_eq!(parts(ids.next(now).unwrap()), (now.wall.0, 1023, 1));
        let later = ids.next(at(now.wall.0 + 5)).unwrap();
        assert_eq!((parts(later), later.made()), ((now.wall.0 + 5, 1023, 0), UnixMillis(now.wall.0 + 5)));
    }

    #[test]
    fn a_full_millisecond_borrows_from_the_next() {
        let mut ids = Snowflake::new(7, EPOCH);
        let now = at(EPOCH.0 + 1_000);
        let last = (0..4096).map(|_| ids.next(now).unwrap()).last().unwrap();
        assert_eq!(parts(last), (now.wall.0, 7, 4095));
        assert_eq!(parts(ids.next(now).unwrap()), (now.wall.0 + 1, 7, 0));
    }

    #[test]
    fn a_second_is_borrowed_and_no_more_until_time_has_passed() {
        let mut ids = Snowflake::new(7, EPOCH);
        let now = at(EPOCH.0 + 1_000);
        assert!(ids.has(MOST as usize, now) && !ids.has(MOST as usize + 1, now));
        let made = at_once(&mut ids, now);
        assert_eq!(made.len() as u64, MOST);
        let ahead = made.last().unwrap().made().0 - now.wall.0;
        assert!((990..1_000).contains(&ahead), "{ahead} ms ahead");
        // The wall clock pays nothing back, whichever way it is set; only time that passes does.
        for wall in [0, EPOCH.0, now.wall.0 + 900, now.wall.0 + 3_600_000] {
            assert_eq!((ids.next(at(wall)), ids.has(1, at(wall))), (None, false));
        }
        let later = Now { boot: BOOT.after(100 * Nanos::MS), wall: now.wall };
        let again = at_once(&mut ids, later);
        assert_eq!(again.len() as u64, 100 * Nanos::MS / ID_NS);
        assert!(made.last() < again.first());
    }

    /// Two thousand bids a second for three hours, over which the clock stands two hours back.
    #[test]
    fn a_clock_set_back_by_hours_stops_nothing() {
        let mut ids = Snowflake::new(7, EPOCH);
        let start = EPOCH.0 + 100 * 3_600_000;
        let mut last = ids.next(at(start)).unwrap();
        for ms in 1..3 * 3_600_000 {
            let now = Now { boot: BOOT.after(ms * Nanos::MS), wall: UnixMillis(start - 2 * 3_600_000 + ms) };
            for _ in 0..2 {
                let id = ids.next(now).expect("no id is too many");
                assert!(id > last);
                last = id;
            }
        }
        assert_eq!(last.made().0, start + 3_600_000 - 1, "back on the clock");
    }

    #[test]
    fn the_last_of_41_bits_is_an_id_and_then_there_is_none() {
        let end = EPOCH.0 + (1 << 41);
        let mut ids = Snowflake::new(1, UnixMillis(end - 1));
        assert!(ids.has(4096, at(0)) && !ids.has(4097, at(0)));
        let made = at_once(&mut ids, at(0));
        assert_eq!((made.len(), parts(made[4095])), (4096, (end - 1, 1, 4095)));
        assert_eq!(made[4095].0, (1 << 63) - 1 - (1022 << 12), "all 63 bits but the worker's");
        for wall in [0, end, u64::MAX] {
            assert_eq!(Snowflake::new(1, UnixMillis(end)).next(at(wall)), None);
            assert_eq!(ids.next(at(wall)), None);
        }
    }

    #[test]
    fn a_clock_of_another_century_is_not_followed() {
        let mut ids = Snowflake::new(1, EPOCH);
        let today = UnixMillis(EPOCH.0 + 3 * 366 * UnixMillis::DAY);
        let before = ids.following(today);
        for wall in [today.0 + LEAD_MS + 1_000, EPOCH.0 + (1 << 41), u64::MAX] {
            assert!(!believes(UnixMillis(wall), before.made()));
            assert!((0..10_000).all(|_| ids.following(UnixMillis(wall)).made().0 < today.0 + 20));
        }
        let after = ids.following(UnixMillis(today.0 + 366 * UnixMillis::DAY));
        assert_eq!(after.made().0, today.0 + 366 * UnixMillis::DAY, "right again");
        // The first of all may be made years after the epoch.
        assert!(
            believes(UnixMillis(EPOCH.0 + LEAD_MS), UnixMillis(0)) && !believes(UnixMillis(u64::MAX), UnixMillis(0))
        );
    }

    #[test]
    fn a_restart_on_a_clock_that_went_back_repeats_nothing() {
        let mut first = Snowflake::new(1, EPOCH);
        let last = first.next(at(EPOCH.0 + 50_000));
        let mut second = Snowflake::new(1, UnixMillis(EPOCH.0 + 50_001));
        assert!(second.next(at(EPOCH.0 + 10_000)) > last);
    }

    proptest! {
        #[test]
        fn ids_grow_whatever_the_clock_does(
            steps in prop::collection::vec((-5_000i64..5_000, 0u64..1_000, 1usize..6_000), 1..20),
        ) {
            let mut ids = Snowflake::new(3, EPOCH);
            let (mut wall, mut boot, mut last) = (EPOCH.0 as i64 + 1_000_000, BOOT, None);
            let (mut highest, mut made) = (wall as u64, 0u64);
            for (step, passed, count) in steps {
                wall += step;
                boot = boot.after(passed * Nanos::MS);
                highest = highest.max(wall as u64);
                let now = Now { boot, wall: UnixMillis(wall as u64) };
                for _ in 0..count {
                    let has = ids.has(1, now);
                    let id = ids.next(now);
                    prop_assert_eq!(has, id.is_some());
                    let Some(id) = id else { break };
                    prop_assert!(Some(id) > last);
                    prop_assert_eq!(parts(id).1, 3);
                    last = Some(id);
                    made += 1;
                    // Never further ahead of the latest time seen than the ids made take up.
                    prop_assert!(id.made().0 <= highest + made / 4096);
                    prop_assert!(made * 1_000_000 / 4096 <= boot.since(BOOT) + limits::IDS_BORROWED_NS);
                }
            }
        }
    }
}
