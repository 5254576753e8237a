//! Budget days of an advertiser: from midnight to midnight on the clock of a time zone, 23 to 25 hours long where the clock
//! changes.

use std::sync::Arc;

use jiff::tz::TimeZoneDatabase;

use super::{Change, SECOND, UnknownZone, zone};
use crate::units::{Day, UnixMillis};

/// One budget day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetDay {
    /// Its date in the zone, as days since 1970-01-01.
    pub day: Day,
    /// Its first moment.
    pub start: UnixMillis,
    /// The first moment after it: later than `start`.
    pub end: UnixMillis,
}

impl BudgetDay {
    /// Whether it is this day.
    #[inline]
    pub fn contains(&self, now: UnixMillis) -> bool {
        self.start <= now && now < self.end
    }
}

/// The budget days of one time zone. They follow one another without a gap, and their numbers only rise: where a clock is set back
/// across midnight, the day that had begun goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Days {
    /// In order of time; the first is in force before itself, too.
    changes: Arc<[Change]>,
}

impl Default for Days {
    fn default() -> Self {
        Days::utc()
    }
}

impl Days {
    /// Those of UTC.
    pub fn utc() -> Days {
        Days { changes: [Change { from: UnixMillis(0), offset: 0 }].into() }
    }

    /// Those of a zone of the IANA database, right from a day before `now` to five years after it.
    ///
    /// # Errors
    /// There is no such zone.
    pub fn of(now: UnixMillis, name: &str) -> Result<Days, UnknownZone> {
        Ok(Days { changes: zone(&TimeZoneDatabase::bundled(), now, name)?.changes.into() })
    }

    /// The budget day of a moment: a search among some ten changes of the clock. What asks often keeps the answer until its end.
    pub fn at(&self, now: UnixMillis) -> BudgetDay {
        let day = self.date(now);
        BudgetDay { day, start: self.first_of(day, now), end: self.first_after(day, now) }
    }

    /// The latest date that the zone's clock has shown by `now`.
    fn date(&self, now: UnixMillis) -> Day {
        let next = self.changes.partition_point(|change| change.from <= now);
        let at = next.saturating_sub(1);
        let shown = date_of(now, self.changes[at]);
        // Just before the clock was set back it may have shown a later one.
        let before = at.checked_sub(1).map(|last| date_of(UnixMillis(self.changes[at].from.0 - 1), self.changes[last]));
        Day(before.map_or(shown, |before| before.max(shown)).max(0) as u32)
    }

    /// The first moment after `now` whose date is later than `day`.
    fn first_after(&self, day: Day, now: UnixMillis) -> UnixMillis {
        let mut at = self.changes.partition_point(|change| change.from <= now).saturating_sub(1);
        loop {
            let midnight = midnight(i64::from(day.0) + 1, self.changes[at]);
            match self.changes.get(at + 1) {
                // The clock jumps over midnight, or away from it.
                Some(next) if next.from <= midnight => {
                    if date_of(next.from, *next) > i64::from(day.0) {
                        return next.from;
                    }
                    at += 1;
                }
                _ => return midnight,
            }
        }
    }

    /// The first moment whose date is `day`, which `now` is in.
    fn first_of(&self, day: Day, now: UnixMillis) -> UnixMillis {
        // Two days back is in the day before, however the clock changed.
        let before = UnixMillis(now.0.saturating_sub(2 * UnixMillis::DAY));
        let last = self.date(before);
        let mut start = self.first_after(last, before);
        let mut reached = self.date(start);
        while reached < day {
            start = self.first_after(reached, start);
            reached = self.date(start);
        }
        start
    }
}

/// The date that a clock shows.
fn date_of(now: UnixMillis, change: Change) -> i64 {
    ((now.0 / SECOND) as i64 + i64::from(change.offset)).div_euclid(86_400)
}

/// When a clock that is never changed begins a date.
fn midnight(date: i64, change: Change) -> UnixMillis {
    UnixMillis(u64::try_from(date * 86_400 - i64::from(change.offset)).unwrap_or(0) * SECOND)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    const MADE: UnixMillis = UnixMillis(1_767_355_200_000); // 2026-01-02T12:00:00Z

    /// Midnight to midnight as the library has it, and the date.
    fn library(zone: &TimeZone, now: UnixMillis) -> BudgetDay {
        let local = Timestamp::from_millisecond(now.0 as i64).unwrap().to_zoned(zone.clone());
        let start = local.start_of_day().unwrap();
        let end = local.date().tomorrow().unwrap().to_zoned(zone.clone()).unwrap();
        let epoch = jiff::civil::date(1970, 1, 1);
        BudgetDay {
            day: Day((local.date() - epoch).get_days() as u32),
            start: UnixMillis(start.timestamp().as_millisecond() as u64),
            end: UnixMillis(end.timestamp().as_millisecond() as u64),
        }
    }

    #[test]
    fn days_of_every_zone_are_those_of_the_library_around_each_change() {
        let (mut short, mut long) = (0, 0);
        for name in TimeZoneDatabase::bundled().available() {
            let zone = TimeZone::get(name.as_str()).unwrap();
            let days = Days::of(MADE, name.as_str()).unwrap();
            for change in days.changes.iter() {
                for by in [-90_000_000i64, -7_200_000, -1, 0, 1, 3_600_000, 90_000_000] {
                    let now = UnixMillis(change.from.0.saturating_add_signed(by).max(MADE.0));
                    let day = days.at(now);
                    assert_eq!(day, library(&zone, now), "{} at {}", name.as_str(), now.0);
                    let hours = (day.end.0 - day.start.0) / 3_600_000;
                    (short, long) = (short + u32::from(hours == 23), long + u32::from(hours == 25));
                }
            }
        }
        assert!(short > 100 && long > 100, "{short} days of 23 hours, {long} of 25");
    }

    proptest! {
        #[test]
        fn days_follow_one_another(after in 0u64..4 * 365 * UnixMillis::DAY, pick in any::<prop::sample::Index>()) {
            let names: Vec<_> = TimeZoneDatabase::bundled().available().map(|name| name.as_str().to_owned()).collect();
            let name = &names[pick.index(names.len())];
            let days = Days::of(MADE, name).unwrap();
            let mut day = days.at(UnixMillis(MADE.0 + after));
            for _ in 0..5 {
                let next = days.at(day.end);
                prop_assert_eq!((next.start, next.day), (day.end, Day(day.day.0 + 1)), "{}", name);
                prop_assert_eq!(days.at(UnixMillis(next.end.0 - 1)), next, "{}", name);
                day = next;
            }
        }
    }

    #[test]
    fn utc_has_no_changes() {
        let day = Days::utc().at(MADE);
        assert_eq!((day.day, day.end), (MADE.day(), MADE.day().end()));
        assert_eq!(day.start.0 % UnixMillis::DAY, 0);
    }

    /// Set back across midnight, a clock shows a date again; the budget day that had begun goes on.
    #[test]
    fn a_clock_set_back_across_midnight_repeats_no_day() {
        let (hour, noon) = (3600 * SECOND, 1000 * UnixMillis::DAY + UnixMillis::DAY / 2);
        let midnight = noon - noon % UnixMillis::DAY + UnixMillis::DAY;
        let changes = [
            Change { from: UnixMillis(0), offset: 0 },
            Change { from: UnixMillis(midnight + hour / 2), offset: -3600 },
        ];
        let days = Days { changes: changes.into() };
        let first = days.at(UnixMillis(noon));
        assert_eq!(first.end.0, midnight);
        for minutes in [0, 29, 30, 45, 90, 600] {
            let day = days.at(UnixMillis(midnight + minutes * 60_000));
            assert_eq!((day.day.0, day.start.0), (first.day.0 + 1, midnight), "{minutes}");
            assert_eq!(day.end.0, midnight + UnixMillis::DAY + hour, "{minutes}");
        }
    }
}
