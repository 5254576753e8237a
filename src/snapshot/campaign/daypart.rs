//! Dayparts: hours of the week, and the time zone they are meant in.
//!
//! ```text
//! mon-fri 09-17, sat 10-14      hours of some days; the last hour is the one that ends at 17:00
//! sun                           a whole day
//! 06-09                         of every day
//! fri-mon 22-02                 both may wrap: hours past midnight are the next day's
//! ```

use super::Daypart;
use crate::snapshot::calendar;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Daypart {
    /// Reads a zone and hours.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(zone: &str, text: &str) -> Result<Daypart, String> {
        let zone = calendar::named(zone).map_err(|unknown| unknown.to_string())?;
        let mut hours = [0u64; 3];
        for span in text.split(',') {
            let (days, of_day) = read(span.trim())
                .ok_or_else(|| format!("{:?} is not hours of the week (mon-fri 09-17)", span.trim()))?;
            for day in wrap(days, 7) {
                for hour in of_day.0..of_day.1 {
                    let hour = (day * 24 + hour) % 168;
                    hours[hour / 64] |= 1 << (hour % 64);
                }
            }
        }
        Ok(Daypart { zone, hours })
    }
}

/// First and last day, and first hour and the one after the last, which is up to 47 when it is the next day's.
type Span = ((usize, usize), (usize, usize));

fn read(span: &str) -> Option<Span> {
    const WEEK: (usize, usize) = (0, 6);
    const DAY: (usize, usize) = (0, 24);
    match span.split_once(char::is_whitespace) {
        Some((of_week, of_day)) => Some((days(of_week)?, hours(of_day.trim_start())?)),
        None if span.starts_with(|c: char| c.is_ascii_digit()) => Some((WEEK, hours(span)?)),
        None => Some((days(span)?, DAY)),
    }
}

fn days(text: &str) -> Option<(usize, usize)> {
    let day = |name: &str| DAYS.iter().position(|known| known.eq_ignore_ascii_case(name));
    match text.split_once('-') {
        Some((first, last)) => Some((day(first)?, day(last)?)),
        None => day(text).map(|day| (day, day)),
    }
}

fn hours(text: &str) -> Option<(usize, usize)> {
    let hour = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<usize>().ok())?.filter(|&hour| hour <= 24)
    };
    let (from, to) = text.split_once('-')?;
    match (hour(from)?, hour(to)?) {
        (24, _) => None,
        (from, to) if from == to => None,
        (from, to) if from < to => Some((from, to)),
        (from, to) => Some((from, to + 24)),
    }
}

/// From the first to the last, both included, around the end if need be.
fn wrap((first, last): (usize, usize), of: usize) -> impl Iterator<Item = usize> {
    let count = (last + of - first) % of + 1;
    (0..count).map(move |step| (first + step) % of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> Vec<u8> {
        let daypart = Daypart::parse("UTC", text).unwrap();
        (0..168).filter(|&hour| daypart.contains(hour)).collect()
    }

    #[test]
    fn hours_are_those_that_are_written() {
        let of = |day: u8, from: u8, to: u8| (from..to).map(move |hour| day * 24 + hour);
        let office: Vec<u8> = (0..5).flat_map(|day| of(day, 9, 17)).chain(of(5, 10, 14)).collect();
        assert_eq!(hours("mon-fri 09-17, sat 10-14"), office);
        assert_eq!(hours("SUN"), of(6, 0, 24).collect::<Vec<_>>());
        assert_eq!(hours("06-09").len(), 21);
        assert_eq!(hours("mon-sun 00-24").len(), 168);
        // Sunday night ends on Monday morning.
        assert_eq!(hours("sun 22-02"), [0, 1, 166, 167]);
        assert_eq!(hours("sun-mon 23-01"), [0, 23, 24, 167]);
        assert_eq!(hours("fri-mon").len(), 4 * 24);
        assert_eq!(hours("mon 08-10, mon 09-11"), [8, 9, 10]);
    }

    #[test]
    fn what_is_not_hours_is_refused() {
        for text in [
            "",
            "mon,",
            "mo",
            "mon 9-17",
            "mon 09",
            "mon 09-25",
            "mon 24-24",
            "mon 09-09",
            "mon-",
            "1-2",
            "09:00-17:00",
        ] {
            assert!(Daypart::parse("UTC", text).is_err(), "{text}");
        }
        assert!(Daypart::parse("Mars/Olympus", "mon").unwrap_err().contains("no time zone of the IANA database"));
        assert!(Daypart::parse("", "mon").is_err());
        assert_eq!(Daypart::parse("europe/berlin", "mon").unwrap().zone, "Europe/Berlin");
    }
}
