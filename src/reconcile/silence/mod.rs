//! What silence means: per exchange, the chance that a bid that has been silent for so long is billed after all.
//!
//! Most exchanges do not say that a bid was lost, so the money of a bid stands against the budget until it is certain that
//! nobody will bill it. What tells earlier is how those before it fared. Where wins are notified at auction time, a bid that
//! has been silent for seconds is almost surely lost; where only bills come, minutes after, it is not: the same measurement
//! finds both.
//!
//! What is not known counts as certain: an exchange whose bids have not been watched to the end of H2 holds nearly full
//! prices, as after a start, or after the clock was set. `docs/decisions/0021-quantile.md` derives the limits.

mod limits;
pub(super) mod quantile;
mod watch;

use crate::units::{ExchangeKey, Nanos, Now, UnixMillis};
use watch::Watch;

/// How a bid's silence ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was won, or billed without a word of that.
    Sold,
    /// It was lost, and a loss is the exchange's last word.
    Lost,
}

/// The wall clock and the boot clock may part by this between two looks, ms: adjusting is far slower, setting is not.
const STEP_MS: i64 = 500;

/// What is known of every exchange.
#[derive(Clone, Debug)]
pub struct Silence {
    /// By key.
    watches: Vec<(ExchangeKey, Watch)>,
    /// How far the wall clock is ahead of the boot clock, ms.
    ahead: i64,
}

impl Silence {
    /// Nothing is known of the exchanges, which are given with their H2 in ms.
    pub fn new(now: Now, exchanges: &[(ExchangeKey, u64)]) -> Self {
        let mut watches: Vec<_> = exchanges.iter().map(|(key, h2)| (*key, Watch::new(now.wall, *h2))).collect();
        watches.sort_by_key(|(key, _)| *key);
        watches.dedup_by_key(|(key, _)| *key);
        Self { watches, ahead: ahead(now) }
    }

    /// A bid was made that may be billed until `expires`, and nothing has been heard of it.
    pub fn reserved(&mut self, now: Now, exchange: ExchangeKey, expires: UnixMillis) {
        if let Some(watch) = self.watch(now, exchange) {
            watch.reserved(now.wall, expires);
        }
    }

    /// The silence of such a bid ended: to be called once for a bid, at the first word that ends it. The word may overtake
    /// [`Silence::reserved`].
    pub fn left(&mut self, now: Now, exchange: ExchangeKey, expires: UnixMillis, ending: Ending) {
        if let Some(watch) = self.watch(now, exchange) {
            watch.left(now.wall, expires, ending);
        }
    }

    /// Once a tick: what was seen since the last one becomes part of what is known.
    pub fn tick(&mut self, now: Now) {
        self.watch_clock(now);
        self.ahead = ahead(now);
        for (_, watch) in &mut self.watches {
            watch.tick(now);
        }
    }

    /// An upper limit of the chance that a bid is billed that has been silent so far and was made between `youngest` and
    /// `oldest` ms ago. 1 for an exchange that nothing is known of.
    pub fn chance(&self, exchange: ExchangeKey, youngest: u64, oldest: u64) -> f64 {
        self.known(exchange).map_or(1.0, |watch| watch.chance(youngest, oldest))
    }

    /// The most likely value of that chance, for pacing: of what nothing is known, nothing is expected, because what is billed
    /// corrects it.
    pub fn expected(&self, exchange: ExchangeKey, age: u64) -> f64 {
        self.known(exchange).map_or(0.0, |watch| watch.expected(age))
    }

    /// How long ago a bid was made, ms, by the wall clock; for ever of an exchange that nothing is known of.
    pub fn age(&self, now: Now, exchange: ExchangeKey, expires: UnixMillis) -> u64 {
        let made = self.known(exchange).map(|watch| expires.0.saturating_sub(watch.h2()));
        made.map_or(u64::MAX, |made| now.wall.0.saturating_sub(made))
    }

    /// Whether bids at the exchange are won far more often than they used to be. While that lasts, and for a minute more,
    /// their chance is 1.
    pub fn jumped(&self, exchange: ExchangeKey) -> bool {
        self.known(exchange).is_some_and(Watch::jumped)
    }

    /// The exchanges where they are.
    pub fn jumps(&self) -> impl Iterator<Item = ExchangeKey> {
        self.watches.iter().filter(|(_, watch)| watch.jumped()).map(|(key, _)| *key)
    }

    fn known(&self, exchange: ExchangeKey) -> Option<&Watch> {
        let at = self.watches.binary_search_by_key(&exchange, |(key, _)| *key).ok()?;
        Some(&self.watches[at].1)
    }

    fn watch(&mut self, now: Now, exchange: ExchangeKey) -> Option<&mut Watch> {
        self.watch_clock(now);
        let at = self.watches.binary_search_by_key(&exchange, |(key, _)| *key).ok()?;
        Some(&mut self.watches[at].1)
    }

    /// When the wall clock was set, ages that it measures are wrong, and what was learnt from them may be.
    fn watch_clock(&mut self, now: Now) {
        if (ahead(now) - self.ahead).abs() > STEP_MS {
            self.ahead = ahead(now);
            for (_, watch) in &mut self.watches {
                *watch = Watch::new(now.wall, watch.h2());
            }
        }
    }
}

fn ahead(now: Now) -> i64 {
    now.wall.0 as i64 - (now.boot.0 / Nanos::MS) as i64
}

#[cfg(test)]
mod tests;
