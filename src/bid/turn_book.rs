//! The bid requests that a turn of the loop has answered, and the times of each: how long it waited before it was framed (queue
//! age), and from there until its answer was on its way (service time). Kept until the turn's answers are submitted, when it is known.
//!
//! Requests of one read and one exchange have the same times: a turn of a hundred requests makes a handful of entries.

use crate::bid::response_rate::Rates;
use crate::limits;
use crate::metrics::core::CoreMetrics;
use crate::units::{ExchangeId, Nanos};

/// Entries of one turn; when there are more, those before are settled with the time at hand.
const ENTRIES: usize = 512;
/// Turns that the mean service time is over, about.
const TURNS: u64 = 8;

/// Bid requests that were answered, alike in their times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Of this exchange; none if nobody knows the path they came to.
    pub exchange: Option<ExchangeId>,
    /// The earliest moment at which they may have come.
    pub arrived: Nanos,
    /// When they were framed.
    pub framed: Nanos,
    /// Until when their answer had to be on its way.
    pub due: Nanos,
    /// They waited for a profile in between, which says nothing of the next request.
    pub parked: bool,
}

/// What this turn has answered.
#[derive(Debug)]
pub struct TurnBook {
    answers: Vec<(Answered, u64)>,
    /// How long a request took lately from being framed to its answer being on its way, ns; at most [`limits::QUEUE_NS`].
    service_ns: u64,
    /// A request that took longer than this, from the earliest moment at which it may have come, is told of, ns.
    long_ns: u64,
    /// How many of this turn did.
    long: u64,
}

impl TurnBook {
    /// Nothing yet. Takes all its memory. Requests that take `long_ns` or more are counted.
    pub fn new(long_ns: u64) -> TurnBook {
        TurnBook { answers: Vec::with_capacity(ENTRIES), service_ns: 0, long_ns, long: 0 }
    }

    /// How many requests took long, of those settled since this was last asked.
    #[inline]
    pub fn take_long(&mut self) -> u64 {
        std::mem::take(&mut self.long)
    }

    /// A bid request was answered.
    #[inline]
    pub fn answered(&mut self, answered: Answered, rates: &mut Rates, metrics: &CoreMetrics) {
        match self.answers.last_mut() {
            Some((last, count)) if *last == answered => *count += 1,
            _ => {
                if self.answers.len() == ENTRIES {
                    self.settle(answered.framed, rates, metrics);
                }
                self.answers.push((answered, 1));
            }
        }
    }

    /// The answers are on their way: each in time, or too late.
    pub fn settle(&mut self, now: Nanos, rates: &mut Rates, metrics: &CoreMetrics) {
        let (mut requests, mut sum) = (0, 0u64);
        for (Answered { exchange, arrived, framed, due, parked }, count) in self.answers.drain(..) {
            let service_ns = now.since(framed);
            if now.since(arrived) >= self.long_ns {
                self.long += count;
            }
            metrics.queue.record_many(framed.since(arrived), count);
            metrics.service.record_many(service_ns, count);
            if let Some(exchange) = exchange {
                rates.answered(exchange, count, now > due, metrics);
            }
            if !parked {
                requests += count;
                sum = sum.saturating_add(service_ns.saturating_mul(count));
            }
        }
        if let Some(mean) = sum.checked_div(requests) {
            // One stolen moment is no reason to give up what comes after it.
            let mean = mean.min(limits::QUEUE_NS);
            self.service_ns = (self.service_ns * (TURNS - 1) + mean) / TURNS;
        }
    }

    /// How long the next request will take, by those before it, ns.
    #[inline]
    pub fn service_ns(&self) -> u64 {
        self.service_ns
    }
}

impl Default for TurnBook {
    fn default() -> TurnBook {
        TurnBook::new(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> Nanos {
        Nanos(Nanos::SECOND + us * 1_000)
    }

    fn answered(arrived: u64, framed: u64) -> Answered {
        let (exchange, due) = (Some(ExchangeId(0)), at(arrived + 8_000));
        Answered { exchange, arrived: at(arrived), framed: at(framed), due, parked: false }
    }

    #[test]
    fn queue_age_and_service_time_are_told_apart() {
        let metrics = CoreMetrics::new(false);
        let (mut book, mut rates) = (TurnBook::default(), Rates::new(1));
        for _ in 0..3 {
            book.answered(answered(0, 100), &mut rates, &metrics);
        }
        book.answered(answered(40, 100), &mut rates, &metrics);
        assert_eq!(metrics.service.sum(), 0);
        book.settle(at(350), &mut rates, &metrics);
        assert_eq!((metrics.queue.sum(), metrics.service.sum()), (360_000, 1_000_000));
        assert_eq!(metrics.service.counts().map(|(_, count)| count).sum::<u64>(), 4);
        book.settle(at(900), &mut rates, &metrics);
        assert_eq!(metrics.service.sum(), 1_000_000);
    }

    #[test]
    fn those_that_took_long_are_counted() {
        let metrics = CoreMetrics::new(false);
        let (mut book, mut rates) = (TurnBook::new(1_000_000), Rates::new(1));
        for (arrived, times) in [(0, 3), (50, 2), (51, 4)] {
            (0..times).for_each(|_| book.answered(answered(arrived, 100), &mut rates, &metrics));
        }
        book.settle(at(1_050), &mut rates, &metrics);
        assert_eq!((book.take_long(), book.take_long()), (5, 0));
    }

    #[test]
    fn every_answer_is_counted_once_however_many_there_are() {
        let metrics = CoreMetrics::new(false);
        let (mut book, mut rates) = (TurnBook::default(), Rates::new(1));
        for index in 0..10 * ENTRIES as u64 + 1 {
            book.answered(answered(index, index + 10), &mut rates, &metrics);
        }
        book.settle(at(100_000), &mut rates, &metrics);
        assert_eq!(metrics.queue.counts().map(|(_, count)| count).sum::<u64>(), 10 * ENTRIES as u64 + 1);
        assert_eq!(metrics.queue.sum(), (10 * ENTRIES as u64 + 1) * 10_000);
    }

    #[test]
    fn the_service_time_follows_the_last_turns_and_one_of_them_is_not_all() {
        let metrics = CoreMetrics::new(false);
        let (mut book, mut rates) = (TurnBook::default(), Rates::new(1));
        let mut turn = |book: &mut TurnBook, us| {
            book.answered(answered(0, 0), &mut rates, &metrics);
            book.settle(at(us), &mut rates, &metrics);
        };
        (0..100).for_each(|_| turn(&mut book, 200));
        assert!((190_000..=200_000).contains(&book.service_ns()));
        turn(&mut book, 1_000_000);
        assert!(book.service_ns() < limits::QUEUE_NS / 4);
        (0..40).for_each(|_| turn(&mut book, 200));
        assert!(book.service_ns() < 220_000);
        for _ in 0..40 {
            book.answered(Answered { parked: true, ..answered(0, 0) }, &mut rates, &metrics);
            book.settle(at(5_000), &mut rates, &metrics);
        }
        assert!(book.service_ns() < 220_000);
    }
}
