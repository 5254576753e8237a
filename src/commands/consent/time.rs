//! Times of consent strings.

use std::fmt;

use serde::{Serialize, Serializer};

/// A time: tenths of a second since 1970, as a string holds it in 36 bits. Printed as ISO 8601 with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deciseconds(pub u64);

impl fmt::Display for Deciseconds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).ok().and_then(|tenths| tenths.checked_mul(100));
        match millis.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok()) {
            Some(time) => write!(out, "{}", time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ")),
            None => out.write_str("beyond the calendar"),
        }
    }
}

impl Serialize for Deciseconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
