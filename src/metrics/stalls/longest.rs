//! The longest rounds of the last minutes, of one core.

use std::collections::VecDeque;

use super::Long;
use super::cause::Shares;
use crate::units::{Nanos, UnixMillis};

/// How many are told.
pub const TOLD: usize = 16;
/// For how many whole minutes they are kept, and the minute that runs.
pub const MINUTES: u64 = 5;
const MINUTE_NS: u64 = 60 * Nanos::SECOND;

/// A long round and what took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// When it began.
    pub began: UnixMillis,
    /// As the core told it.
    pub long: Long,
    /// What took it.
    pub shares: Shares,
}

/// Keeps, of each minute, as many of the longest as are told of all.
#[derive(Debug, Default)]
pub struct Longest(VecDeque<(u64, Vec<Row>)>);

impl Longest {
    /// One more.
    pub fn push(&mut self, row: Row) {
        let minute = row.long.round.ended.0 / MINUTE_NS;
        self.forget(row.long.round.ended);
        let at = self.0.partition_point(|(of, _)| *of < minute);
        if self.0.get(at).is_none_or(|(of, _)| *of != minute) {
            self.0.insert(at, (minute, Vec::with_capacity(TOLD + 1)));
        }
        let rows = &mut self.0[at].1;
        let place = rows.partition_point(|kept| kept.long.length_ns() >= row.long.length_ns());
        rows.insert(place, row);
        rows.truncate(TOLD);
    }

    /// The longest that are left, the longest first.
    pub fn rows(&mut self, now: Nanos) -> Vec<Row> {
        self.forget(now);
        let mut rows: Vec<Row> = self.0.iter().flat_map(|(_, rows)| rows).copied().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.long.length_ns()));
        rows.truncate(TOLD);
        rows
    }

    fn forget(&mut self, now: Nanos) {
        let oldest = (now.0 / MINUTE_NS).saturating_sub(MINUTES);
        while self.0.front().is_some_and(|(minute, _)| *minute < oldest) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::stalls::Round;
    use proptest::prelude::*;

    fn row(ended: u64, length: u64) -> Row {
        let from = Nanos(ended - length);
        let round = Round { from, woke: from, ended: Nanos(ended), kept_ns: length, requests: 0 };
        let long = Long { round, cpu: 0, window_ns: length, spent: None };
        Row { began: UnixMillis(0), long, shares: Shares::default() }
    }

    proptest! {
        /// Against all rounds there were, sorted.
        #[test]
        fn it_keeps_the_longest_of_the_last_minutes(
            steps in proptest::collection::vec((0u64..40, 1u64..1_000), 0..200),
            idle in 0u64..600,
        ) {
            let (mut longest, mut all, mut second) = (Longest::default(), Vec::new(), 10);
            for (number, (gap, length)) in steps.into_iter().enumerate() {
                second += gap;
                // No two of a length, so that the order is one.
                let row = row(second * Nanos::SECOND, length * 1_000 + number as u64);
                longest.push(row);
                all.push(row);
            }
            let now = Nanos((second + idle) * Nanos::SECOND);
            all.retain(|row| row.long.round.ended.0 / MINUTE_NS + MINUTES >= now.0 / MINUTE_NS);
            all.sort_by_key(|row| std::cmp::Reverse(row.long.length_ns()));
            all.truncate(TOLD);
            prop_assert_eq!(longest.rows(now), all);
        }
    }
}
