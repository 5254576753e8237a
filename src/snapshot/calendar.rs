//! The advertiser's clock: which hour of the week it is in the time zones that campaigns name.
//!
//! A zone is a table of its offsets from UTC over the years a snapshot may serve, made off the bid path from the time zone
//! database built into the program, so that every node of a fleet has the same. A bid core keeps the hours of all zones in
//! [`Hours`] and works them out again only when one of them ends.

mod days;

pub use days::{BudgetDay, Days};

use std::fmt;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZoneDatabase};

use crate::limits;
use crate::units::UnixMillis;

/// Hours of a week, from Monday 00:00.
pub const WEEK: usize = 168;

const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;
/// How far before its making a calendar is right: clocks step back.
const BEFORE: u64 = UnixMillis::DAY;
/// How far after it; then each zone stays as it last was. A process makes a new calendar with every reload.
const AFTER: u64 = 5 * 366 * UnixMillis::DAY;
/// 1970-01-01 was a Thursday, this many hours into its week.
const EPOCH: i64 = 3 * 24;

/// The offset from UTC in force from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    from: UnixMillis,
    /// Seconds east of UTC.
    offset: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Zone {
    name: String,
    /// In order of time; the first is in force before itself, too.
    changes: Vec<Change>,
}

impl Zone {
    /// The hour of the week at `now`, and the first moment at which it may be another.
    fn hour(&self, now: UnixMillis) -> (u8, UnixMillis) {
        let next = self.changes.partition_point(|change| change.from <= now);
        let offset = i64::from(self.changes[next.saturating_sub(1)].offset);
        let local = (now.0 / SECOND) as i64 + offset;
        let hour = (local.div_euclid(3600) + EPOCH).rem_euclid(WEEK as i64);
        let rest = HOUR - local.rem_euclid(3600) as u64 * SECOND - now.0 % SECOND;
        let change = self.changes.get(next).map_or(u64::MAX, |change| change.from.0);
        (hour as u8, UnixMillis(change.min(now.0.saturating_add(rest))))
    }
}

/// The time zones of one snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    zones: Vec<Zone>,
}

/// A name that is no time zone, and what may have been meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownZone {
    name: String,
    meant: Vec<String>,
}

impl fmt::Display for UnknownZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no time zone of the IANA database", self.name)?;
        match &self.meant[..] {
            [] => f.write_str(", such as Europe/Berlin"),
            meant => write!(f, "; there is {}", meant.join(", ")),
        }
    }
}

impl std::error::Error for UnknownZone {}

impl Calendar {
    /// The calendar of these zones of the IANA database, each with its place as code; right from a day before `now` to five
    /// years after it.
    ///
    /// # Errors
    /// The first that is no zone.
    pub fn of(now: UnixMillis, names: &[String]) -> Result<Calendar, UnknownZone> {
        let database = TimeZoneDatabase::bundled();
        Ok(Calendar { zones: names.iter().map(|name| zone(&database, now, name)).collect::<Result<_, _>>()? })
    }

    /// Works out the hour of the week in every zone.
    pub fn hours(&self, now: UnixMillis, out: &mut Hours) {
        let mut until = UnixMillis(u64::MAX);
        for (hour, zone) in out.hours.iter_mut().zip(&self.zones) {
            let (at, end) = zone.hour(now);
            *hour = at;
            until = until.min(end);
        }
        (out.from, out.until) = (now, until);
    }
}

/// A zone (any case: `Europe/Berlin`) over the years that a calendar of `now` is for.
fn zone(database: &TimeZoneDatabase, now: UnixMillis, name: &str) -> Result<Zone, UnknownZone> {
    let zone = database.get(name).map_err(|_| unknown(database, name))?;
    let at = |millis: u64| Timestamp::from_millisecond(i64::try_from(millis).unwrap_or(i64::MAX));
    let (Ok(from), Ok(to)) = (at(now.0.saturating_sub(BEFORE)), at(now.0.saturating_add(AFTER))) else {
        return Err(UnknownZone { name: name.to_owned(), meant: Vec::new() });
    };
    let change = |time: Timestamp, offset: Offset| Change {
        from: UnixMillis(u64::try_from(time.as_millisecond()).unwrap_or(0)),
        offset: offset.seconds(),
    };
    let first = change(from, zone.to_offset(from));
    let later = zone.following(from).take_while(|next| next.timestamp() <= to);
    let changes = std::iter::once(first).chain(later.map(|next| change(next.timestamp(), next.offset()))).collect();
    Ok(Zone { name: name.to_owned(), changes })
}

/// The name of a zone as the database writes it.
///
/// # Errors
/// There is none; what may have been meant.
pub fn named(name: &str) -> Result<String, UnknownZone> {
    let database = TimeZoneDatabase::bundled();
    let known = database.get(name).map_err(|_| unknown(&database, name))?;
    Ok(known.iana_name().unwrap_or(name).to_owned())
}

fn unknown(database: &TimeZoneDatabase, name: &str) -> UnknownZone {
    UnknownZone { name: name.to_owned(), meant: similar(database, name) }
}

/// Zones whose last part is that of `name` or holds it, or whose letters are the same: at most three.
fn similar(database: &TimeZoneDatabase, name: &str) -> Vec<String> {
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_ascii_lowercase();
    let last = letters(name.rsplit('/').next().unwrap_or(name));
    let zones = database.available().map(|zone| zone.as_str().to_owned());
    let place = |zone: &String| letters(zone.rsplit('/').next().unwrap_or(zone));
    if last.len() < 3 {
        return Vec::new();
    }
    zones.filter(|zone| place(zone).contains(&last) || letters(zone) == letters(name)).take(3).collect()
}

/// The hour of the week in each zone of a snapshot, kept by a bid core: most of the time an array read.
#[derive(Clone, Debug)]
pub struct Hours {
    /// The snapshot they were worked out for; 0 is none.
    version: u64,
    /// They hold from here …
    from: UnixMillis,
    /// … to before here.
    until: UnixMillis,
    hours: [u8; limits::ZONES],
}

impl Default for Hours {
    fn default() -> Self {
        Hours { version: 0, from: UnixMillis(0), until: UnixMillis(0), hours: [0; limits::ZONES] }
    }
}

impl Hours {
    /// Makes them those of `now` in the zones of a snapshot's calendar, if they are not: once a quarter of an hour at most.
    /// `version` is the snapshot's, above 0.
    #[inline]
    pub fn refresh(&mut self, calendar: &Calendar, version: u64, now: UnixMillis) {
        if self.version != version || now < self.from || self.until <= now {
            calendar.hours(now, self);
            self.version = version;
        }
    }

    /// The hour of the week in each zone, 0 to 167, 0 being Monday 00:00 to 01:00.
    #[inline]
    pub fn each(&self) -> &[u8] {
        &self.hours
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    const MADE: UnixMillis = UnixMillis(1_767_355_200_000); // 2026-01-02T12:00:00Z, a Friday

    /// What the library says, by its own calendar.
    fn library(zone: &TimeZone, now: UnixMillis) -> u8 {
        let local = Timestamp::from_millisecond(now.0 as i64).unwrap().to_zoned(zone.clone());
        local.weekday().to_monday_zero_offset() as u8 * 24 + local.hour() as u8
    }

    fn names() -> Vec<String> {
        TimeZoneDatabase::bundled().available().map(|name| name.as_str().to_owned()).collect()
    }

    #[test]
    fn every_zone_agrees_with_the_library_around_each_of_its_changes() {
        let calendar = Calendar::of(MADE, &names()).unwrap();
        let (mut hours, mut changes) = (Hours::default(), 0);
        for (code, name) in names().into_iter().enumerate() {
            let zone = TimeZone::get(&name).unwrap();
            let around = calendar.zones[code].changes.clone();
            changes += around.len() - 1;
            for now in around.iter().flat_map(|change| {
                [-7_200_000i64, -1, 0, 1, 1_799_999, 1_800_000, 3_600_000]
                    .map(|by| change.from.0.saturating_add_signed(by))
            }) {
                calendar.hours(UnixMillis(now), &mut hours);
                assert_eq!(hours.each()[code], library(&zone, UnixMillis(now)), "{name} at {now}");
            }
        }
        assert!(calendar.zones.len() > 400 && changes > 1000, "{} zones, {changes} changes", calendar.zones.len());
    }

    proptest! {
        #[test]
        fn kept_hours_are_those_of_the_library(
            steps in prop::collection::vec((0u64..5 * 365 * 24 * 3_600_000, 0i64..4_000_000, any::<bool>()), 1..20),
            pick in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        ) {
            let names = names();
            // Of half and three quarter hours, and of half an hour's summer time, always.
            let odd = ["Asia/Kathmandu", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Chatham", "America/St_Johns"];
            let drawn = pick.iter().map(|at| names[at.index(names.len())].clone());
            let named: Vec<String> = odd.into_iter().map(str::to_owned).chain(drawn).collect();
            let calendar = Calendar::of(MADE, &named).unwrap();
            let mut hours = Hours::default();
            for (jump, step, back) in steps {
                // A jump, then a small step to either side, so that hours are both kept and given up.
                for now in [MADE.0 + jump, (MADE.0 + jump).saturating_add_signed(if back { -step } else { step })] {
                    hours.refresh(&calendar, 1, UnixMillis(now));
                    for (name, &hour) in named.iter().zip(hours.each()) {
                        prop_assert_eq!(hour, library(&TimeZone::get(name).unwrap(), UnixMillis(now)), "{} {}", name, now);
                    }
                }
            }
        }
    }

    #[test]
    fn another_snapshot_has_its_own_hours() {
        let of = |zones: &[&str]| {
            let zones: Vec<String> = zones.iter().map(|zone| (*zone).to_owned()).collect();
            Calendar::of(MADE, &zones).unwrap()
        };
        let mut hours = Hours::default();
        hours.refresh(&of(&["UTC", "Asia/Tokyo"]), 1, MADE);
        assert_eq!(hours.each()[..2], [4 * 24 + 12, 4 * 24 + 21]);
        hours.refresh(&of(&["UTC", "america/new_york"]), 2, MADE);
        assert_eq!(hours.each()[1], 4 * 24 + 7);
    }

    #[test]
    fn a_wrong_zone_is_told_what_may_be_meant() {
        assert_eq!(named("europe/berlin").as_deref(), Ok("Europe/Berlin"));
        let wrong = |name: &str| named(name).unwrap_err().to_string();
        assert_eq!(wrong("Berlin"), "\"Berlin\" is no time zone of the IANA database; there is Europe/Berlin");
        assert!(wrong("America/NewYork").contains("America/New_York"), "{}", wrong("America/NewYork"));
        assert!(wrong("Mars/Olympus").ends_with("such as Europe/Berlin"));
        assert!(wrong("").ends_with("such as Europe/Berlin"));
    }
}
