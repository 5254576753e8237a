//! The longest rounds, or requests, of the last minutes, of one core.

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

/// What took time, and was over at some time.
pub trait Lasted {
    /// When it was over.
    fn ended(&self) -> Nanos;

    /// How long it took, ns.
    fn length_ns(&self) -> u64;
}

impl Lasted for Row {
    fn ended(&self) -> Nanos {
        self.long.round.ended
    }

    fn length_ns(&self) -> u64 {
        self.long.length_ns()
    }
}

/// Keeps, of each minute, as many of the longest as are told of all.
#[derive(Debug)]
pub struct Longest<R>(VecDeque<(u64, Vec<R>)>);

impl<R> Default for Longest<R> {
    fn default() -> Longest<R> {
        Longest(VecDeque::new())
    }
}

impl<R: Lasted + Copy> Longest<R> {
    /// One more.
    pub fn push(&mut self, row: R) {
        let minute = row.ended().0 / MINUTE_NS;
        self.forget(row.ended());
        let at = self.0.partition_point(|(of, _)| *of < minute);
        if self.0.get(at).is_none_or(|(of, _)| *of != minute) {
            self.0.insert(at, (minute, Vec::with_capacity(TOLD + 1)));
        }
        let rows = &mut self.0[at].1;
        let place = rows.partition_point(|kept| kept.length_ns() >= row.length_ns());
        rows.insert(place, row);
        rows.truncate(TOLD);
    }

    /// The longest that are left, the longest first.
    pub fn rows(&mut self, now: Nanos) -> Vec<R> {
        self.forget(now);
        let mut rows: Vec<R> = self.0.iter().flat_map(|(_, rows)| rows).copied().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.length_ns()));
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
        let round = Round { from, woke: from, ended: Nanos(ended), kept_ns: length, requests: 0, usual_ns: 0 };
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
