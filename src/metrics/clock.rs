//! How far the wall clock was set since the process started. The boot clock is never set, and both run at the same rate, so that what
//! lies between them changes by steps alone.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::clock;
use crate::units::{Nanos, Now};

/// The clocks at the start of the process, as a collector of how far they came apart.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    start: Now,
}

impl Steps {
    /// From now on.
    pub fn begin() -> Steps {
        Steps { start: clock::now() }
    }

    /// How far the wall clock is ahead of where it would be had nobody set it, ms; negative if it was set back.
    pub fn stepped_ms(&self, now: Now) -> i64 {
        let ran = now.boot.since(self.start.boot) / Nanos::MS;
        now.wall.0 as i64 - self.start.wall.0 as i64 - ran as i64
    }
}

impl Collector for Steps {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "How far the wall clock was set since the process started, seconds; negative if it was set back";
        let metric = encoder.encode_descriptor("corebid_clock_step_seconds", help, None, MetricType::Gauge)?;
        ConstGauge::new(self.stepped_ms(clock::now()) as f64 / 1e3).encode(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::UnixMillis;

    #[test]
    fn time_that_passes_is_no_step() {
        let at = |boot_ms: u64, wall: u64| Now { boot: Nanos(boot_ms * Nanos::MS), wall: UnixMillis(wall) };
        let steps = Steps { start: at(5_000, 1_000_000) };
        assert_eq!(steps.stepped_ms(at(65_000, 1_060_000)), 0);
        assert_eq!(steps.stepped_ms(at(65_000, 4_660_000)), 3_600_000);
        assert_eq!(steps.stepped_ms(at(65_000, 0)), -1_060_000);
    }
}
