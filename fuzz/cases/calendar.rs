//! Hours of the week: the first eight bytes are two times, then a zone and, after a semicolon, hours. An hour is in a daypart if one
//! of its spans says so; the hour of the week in a zone is what jiff says, from a day before a calendar was made to five years after.

use corebid::snapshot::calendar::{Calendar, Hours};
use corebid::snapshot::campaign::Daypart;
use corebid::units::UnixMillis;
use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;

const DAY: u64 = 86_400_000;

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Some((times, text)) = input.split_first_chunk::<8>() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let (zone, hours) = text.split_once(';').unwrap_or((text, "mon"));
    match Daypart::parse(zone, hours) {
        Ok(daypart) => {
            let spans: Vec<_> = hours.split(',').map(|span| span_of(span.trim()).expect("checked")).collect();
            for hour in 0..168u8 {
                assert_eq!(daypart.contains(hour), spans.iter().any(|span| span(hour.into())), "{hours:?} at {hour}");
            }
        }
        Err(what) => {
            assert!(!what.is_empty() && !what.contains('\n') || zone.contains('\n') || hours.contains('\n'), "{what}")
        }
    }
    // From 1990 to 2126.
    let millis = |bytes: &[u8]| u64::from(u32::from_le_bytes(*bytes.first_chunk().expect("four bytes")));
    let made = UnixMillis(631_152_000_000 + millis(times) * 1000);
    let now = UnixMillis(made.0 - DAY + millis(&times[4..]) * 1000 % (5 * 365 * DAY));
    match (Calendar::of(made, &[zone.to_owned()]), TimeZoneDatabase::bundled().get(zone)) {
        (Ok(calendar), Ok(zone)) => {
            let mut hours = Hours::default();
            hours.refresh(&calendar, 1, now);
            let there = Timestamp::from_millisecond(now.0.cast_signed()).expect("a time").to_zoned(zone);
            let expected = i32::from(there.weekday().to_monday_zero_offset()) * 24 + i32::from(there.hour());
            assert_eq!(hours.each()[0], expected as u8, "{there}");
        }
        (Err(error), Err(_)) => assert!(!error.to_string().is_empty()),
        (calendar, zone) => panic!("{calendar:?} for {zone:?}"),
    }
}

/// Which hours of the week a span says, one by one.
fn span_of(span: &str) -> Option<impl Fn(usize) -> bool> {
    let (days, hours) = match span.split_once(char::is_whitespace) {
        Some((days, hours)) => (days, hours.trim()),
        None if span.starts_with(|letter: char| letter.is_ascii_digit()) => ("mon-sun", span),
        None => (span, "00-24"),
    };
    let day = |name: &str| {
        ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].iter().position(|day| name.eq_ignore_ascii_case(day))
    };
    let (first, last) = days.split_once('-').unwrap_or((days, days));
    let (first, last) = (day(first)?, day(last)?);
    let (from, to) = hours.split_once('-')?;
    let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
    let on = move |day: usize| if first <= last { (first..=last).contains(&day) } else { day >= first || day <= last };
    Some(move |hour: usize| {
        let (day, hour) = (hour / 24, hour % 24);
        if from < to {
            on(day) && (from..to).contains(&hour)
        } else {
            on(day) && hour >= from || on((day + 6) % 7) && hour < to
        }
    })
}
