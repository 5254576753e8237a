//! A rate over time, and when it has brought a given number of requests.

use crate::units::Nanos;

/// A level for some time, then a straight line. Requests per second, and seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    from: f64,
    /// Change of the rate in the second part, per second.
    slope: f64,
    level: f64,
    /// Requests of the first part.
    of_level: f64,
}

impl Rate {
    /// `from` for `level` seconds, then from `from` to `to` in `length` seconds, and on along the same line.
    pub(super) fn new(from: f64, to: f64, level: f64, length: f64) -> Rate {
        let slope = if length > 0.0 { (to - from) / length } else { 0.0 };
        Rate { from, slope, level, of_level: from * level }
    }

    /// When `requests` have come, ns after the start; infinite if so many never do.
    ///
    /// On the line `from * t + slope * t^2 / 2 = requests`. This form of the root loses no digits where the slope is small, and
    /// on a level it is `requests / from` exactly. A double holds nanoseconds exactly for 100 days.
    #[inline]
    pub(super) fn when(&self, requests: f64) -> f64 {
        let more = requests - self.of_level;
        let seconds = if more < 0.0 {
            requests / self.from
        } else {
            let sum = self.from + (self.from * self.from + 2.0 * self.slope * more).sqrt();
            match more > 0.0 {
                true if sum > 0.0 => self.level + 2.0 * more / sum,
                false if self.from > 0.0 || self.slope > 0.0 => self.level,
                _ => f64::INFINITY,
            }
        };
        seconds * Nanos::SECOND as f64
    }
}
