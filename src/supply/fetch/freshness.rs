//! How long a copy may be relied on, and when a host that failed is asked again.

use std::time::{Duration, SystemTime};

use ureq::http::HeaderMap;

use crate::limits;
use crate::units::UnixMillis;

/// How long what was got now may be relied on: `Cache-Control: max-age` less `Age`, else `Expires`, else seven days (ads.txt 1.1,
/// 3.6; sellers.json, "Expiration"). Never less than `least`: a copy must last until the next round has checked it. Never
/// more than [`limits::SUPPLY_LIFE_MOST`].
pub fn life(headers: &HeaderMap, least: Duration) -> Duration {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let control = headers.get_all("cache-control").into_iter().filter_map(|value| value.to_str().ok());
    let mut max_age = None;
    for directive in control.flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let name = name.trim().to_ascii_lowercase();
        let seconds = match name.as_str() {
            // A delta that is too large to read is as good as for ever (RFC 9111, 1.2.2).
            "max-age" => value.trim().trim_matches('"').parse().ok(),
            "no-store" | "no-cache" => Some(0),
            _ => None,
        };
        max_age = max_age.min(seconds).or(max_age).or(seconds);
    }
    let given = match max_age {
        Some(seconds) => {
            let age = text("age").and_then(|age| age.trim().parse().ok()).unwrap_or(0);
            Some(Duration::from_secs(u64::saturating_sub(seconds, age)))
        }
        // A date that is none means: expired (RFC 9111, 5.3).
        None => text("expires").map(|expires| {
            let date =
                text("date").and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or_else(SystemTime::now);
            let expires = httpdate::parse_http_date(expires).unwrap_or(date);
            expires.duration_since(date).unwrap_or_default()
        }),
    };
    given.unwrap_or(limits::SUPPLY_LIFE).clamp(least, limits::SUPPLY_LIFE_MOST.max(least))
}

/// What `Retry-After` says, at most [`limits::BACK_OFF_MOST`] (RFC 9110, 10.2.3).
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).unwrap_or_default(),
    };
    Some(wait.min(limits::BACK_OFF_MOST))
}

/// How long a file is left alone after this many failures in a row, the first being 1: doubling, and between half and the
/// whole of it by name, so that hosts that failed together do not come back together.
pub fn back_off(failures: u32, domain: &str) -> Duration {
    let doubled = limits::BACK_OFF.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(limits::BACK_OFF_MOST);
    let spread = crc32fast::hash(domain.as_bytes()).wrapping_mul(failures | 1);
    doubled / 2 + (doubled / 2).mul_f64(f64::from(spread) / f64::from(u32::MAX))
}

/// A time from now.
pub fn after(now: UnixMillis, wait: Duration) -> UnixMillis {
    UnixMillis(now.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_copy_lives_as_long_as_its_headers_say() {
        const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        let cases: &[(&[(&'static str, &str)], u64)] = &[
            (&[], 7 * DAY),
            (&[("cache-control", "public")], 7 * DAY),
            (&[("cache-control", "public, max-age=86400")], DAY),
            (&[("cache-control", "Max-Age=\"86400\"")], DAY),
            (&[("cache-control", "max-age=86400"), ("age", "3600")], 23 * HOUR),
            (&[("cache-control", "max-age=60")], 2 * HOUR),
            (&[("cache-control", "no-cache")], 2 * HOUR),
            (&[("cache-control", "max-age=86400"), ("cache-control", "no-store")], 2 * HOUR),
            (&[("cache-control", "max-age=31536000")], 30 * DAY),
            (&[("cache-control", "max-age=99999999999999999999")], 7 * DAY),
            (&[("cache-control", "max-age=nonsense")], 7 * DAY),
            (&[("date", DATE), ("expires", "Mon, 07 Nov 1994 08:49:37 GMT")], DAY),
            (&[("date", DATE), ("expires", DATE)], 2 * HOUR),
            (&[("date", DATE), ("expires", "0")], 2 * HOUR),
            (
                &[("date", DATE), ("expires", "Mon, 07 Nov 1994 08:49:37 GMT"), ("cache-control", "max-age=172800")],
                2 * DAY,
            ),
        ];
        for (lines, seconds) in cases {
            assert_eq!(life(&headers(lines), Duration::from_secs(2 * HOUR)).as_secs(), *seconds, "{lines:?}");
        }
    }

    #[test]
    fn a_host_may_say_when_to_come_back() {
        assert_eq!(retry_after(&headers(&[])), None);
        assert_eq!(retry_after(&headers(&[("retry-after", "120")])), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(&headers(&[("retry-after", "9999999999")])), Some(Duration::from_secs(DAY)));
        assert_eq!(retry_after(&headers(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")])), Some(Duration::ZERO));
        assert_eq!(retry_after(&headers(&[("retry-after", "soon")])), None);
    }

    #[test]
    fn failures_are_waited_out_longer_and_longer_to_a_day() {
        for domain in ["a.example", "b.example", "c.example"] {
            for failures in 1..40 {
                let whole = (30 * 60 * (1_u64 << (failures - 1).min(20))).min(DAY);
                let wait = back_off(failures, domain).as_secs();
                assert!((whole / 2..=whole).contains(&wait), "{domain}, {failures}: {wait} of {whole}");
            }
        }
        assert_ne!(back_off(1, "a.example"), back_off(1, "b.example"));
    }
}
