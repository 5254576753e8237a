//! The QPS limit of an exchange, on one core: a share of the requests that the node may let pass in a window.
//!
//! A core lets a request pass while fewer than its share did in the last [`limits::QUOTA_WINDOW_NS`]. It counts them in
//! slots of 10 ms, numbered by the machine's boot clock, so that all cores mean the same window: whatever interval of that
//! length is looked at, no core passed more in it than its share, and the shares are never more than the limit together.
//!
//! ```text
//!            oldest                                  now
//!   slots   ┌───┬───┬───┬───┬───┬───┬───┬───┬───┬───┬───┐
//!   (ring)  │ 3 │ 0 │ 2 │ 5 │ 1 │ … │ 4 │ 0 │ 2 │ 2 │ 1 │     used = their sum  <  share
//!           └───┴───┴───┴───┴───┴───┴───┴───┴───┴───┴───┘
//! ```
//!
//! Shares move as money does (`reconcile/quota.rs`): what the core is told to give up goes back as its passes of the last
//! window run out, never before, and is given to another core only then. So nothing is passed twice over a move, and a core
//! that stalls gains nothing by it.
//!
//! A token bucket on top spreads what passes over the window; it only ever refuses, so the bound does not rest on it.

use crate::bid::admit::Exchanges;
use crate::limits;
use crate::ring::message::Event;
use crate::units::{ExchangeId, Nanos};

/// A slot, ns.
const SLOT_NS: u64 = 10 * Nanos::MS;
/// An interval of a window's length begins somewhere in its first slot and so touches one slot more than it is long.
const SLOTS: usize = (limits::QUOTA_WINDOW_NS / SLOT_NS) as usize + 1;
/// Between two reports of what was asked, ns.
const REPORT_NS: u64 = 500 * Nanos::MS;
/// Between two reports while something is to be given back, ns: what is on its way passes nowhere.
const RETURN_NS: u64 = 50 * Nanos::MS;

/// The shares of one bid core, by exchange.
#[derive(Debug)]
pub struct Shares {
    windows: Box<[Option<Window>]>,
    /// Something is to be reported.
    pending: bool,
    next_report: Nanos,
}

impl Shares {
    /// No share yet: an exchange with a limit is refused until the first order comes.
    pub fn new(exchanges: &Exchanges) -> Shares {
        Shares::of(exchanges.iter().map(|exchange| exchange.limited))
    }

    /// As [`Shares::new`]: whether each exchange has a limit, in the order of their ids.
    pub fn of(limited: impl Iterator<Item = bool>) -> Shares {
        let windows = limited.map(|limited| limited.then(Window::default)).collect();
        Shares { windows, pending: false, next_report: Nanos(0) }
    }

    /// Whether one more request of this exchange may pass now; if so, it has.
    #[inline]
    pub fn admit(&mut self, exchange: ExchangeId, now: Nanos) -> bool {
        match &mut self.windows[usize::from(exchange.0)] {
            None => true,
            Some(window) => {
                self.pending = true;
                window.admit(now)
            }
        }
    }

    /// Whether [`Shares::admit`] would refuse a request now; if so, it has, and was counted.
    #[inline]
    pub fn refuses(&mut self, exchange: ExchangeId, now: Nanos) -> bool {
        match &mut self.windows[usize::from(exchange.0)] {
            None => false,
            Some(window) => {
                window.pass_time(now);
                window.is_full(now) && !self.admit(exchange, now)
            }
        }
    }

    /// Carries out [`crate::ring::message::Order::Quota`].
    ///
    /// # Panics
    /// If the exchange has no limit: the reconciliation core has the same configuration.
    pub fn order(&mut self, exchange: ExchangeId, more: u32, keep: u32) {
        let window = self.windows[usize::from(exchange.0)].as_mut().expect("an order for an exchange without a limit");
        window.share = window.share.checked_add(more).expect("a share beyond every limit");
        window.keep = keep;
        window.pace();
        self.pending = true;
        self.next_report = Nanos(0);
    }

    /// Reports, if it is time: calls `send` for each exchange of which there is something to say, as long as it takes it.
    #[inline]
    pub fn report(&mut self, now: Nanos, mut send: impl FnMut(Event) -> bool) {
        if !self.pending || now < self.next_report {
            return;
        }
        self.pending = false;
        let mut again = REPORT_NS;
        for (window, id) in self.windows.iter_mut().zip(0..) {
            let Some(window) = window else { continue };
            window.pass_time(now);
            let returned = window.unneeded();
            if (window.asked > 0 || returned > 0)
                && send(Event::Quota { exchange: ExchangeId(id), asked: window.asked, returned })
            {
                window.share -= returned;
                window.asked = 0;
            }
            if window.share > window.keep {
                (self.pending, again) = (true, RETURN_NS);
            } else {
                window.pace();
            }
            self.pending |= window.asked > 0;
        }
        self.next_report = now.after(again);
    }

    /// When [`Shares::report`] has something to say at the latest.
    #[inline]
    pub fn next_report(&self) -> Nanos {
        if self.pending { self.next_report } else { Nanos::NEVER }
    }
}

#[derive(Debug)]
struct Window {
    /// Requests that may pass per window. Only an order makes it more, only a report less.
    share: u32,
    /// What of the share is to stay here.
    keep: u32,
    /// The sum of `slots`; never more than `share`.
    used: u32,
    /// Requests since the last report, passed or not.
    asked: u32,
    /// The number of the newest slot, and where it stands.
    newest: u64,
    at: usize,
    slots: Box<[u32; SLOTS]>,
    /// The bucket: what a request takes, how much may be taken ahead, and until when it is taken, ns.
    interval: u64,
    ahead: u64,
    taken: Nanos,
}

impl Default for Window {
    fn default() -> Self {
        Window {
            share: 0,
            keep: 0,
            used: 0,
            asked: 0,
            newest: 0,
            at: 0,
            slots: Box::new([0; SLOTS]),
            interval: 0,
            ahead: 0,
            taken: Nanos(0),
        }
    }
}

impl Window {
    #[inline]
    fn admit(&mut self, now: Nanos) -> bool {
        self.asked = self.asked.saturating_add(1);
        self.pass_time(now);
        if self.is_full(now) {
            return false;
        }
        self.taken = self.taken.max(now).after(self.interval);
        self.slots[self.at] += 1;
        self.used += 1;
        true
    }

    /// Nothing may pass now. After [`Window::pass_time`].
    #[inline]
    fn is_full(&self, now: Nanos) -> bool {
        self.used >= self.share || self.keep == 0 || self.taken > now.after(self.ahead)
    }

    /// Empties the slots that time has moved past. A time before the newest slot, which the boot clock does not show, would
    /// count as that slot's.
    #[inline]
    fn pass_time(&mut self, now: Nanos) {
        let slot = now.0 / SLOT_NS;
        let passed = slot.saturating_sub(self.newest).min(SLOTS as u64);
        for _ in 0..passed {
            self.at = if self.at + 1 == SLOTS { 0 } else { self.at + 1 };
            self.used -= std::mem::take(&mut self.slots[self.at]);
        }
        self.newest = self.newest.max(slot);
    }

    /// What is to go back and was not used in the last window.
    fn unneeded(&self) -> u32 {
        assert!(self.used <= self.share, "more passed than the share");
        self.share - self.share.min(self.keep.max(self.used))
    }

    /// The bucket goes by what the core is to keep, whatever it holds: so a core that gives up passes no more than it will,
    /// another takes up as it gives, and the node passes as many as ever. It fills 4 % faster than the share allows, so that
    /// a lull is made up for, and 1 % slower while something is to be given back. It holds a hundredth of the share, or four
    /// requests where that is less: what passes at once leaves a gap when the window has moved past it.
    fn pace(&mut self) {
        let keep = u64::from(self.keep.max(1));
        self.interval = match self.share > self.keep {
            true => limits::QUOTA_WINDOW_NS * 101 / (100 * keep),
            false => limits::QUOTA_WINDOW_NS * 25 / (26 * keep),
        };
        let depth = (keep / 100).max(4).min(keep / 5).max(1);
        self.ahead = (depth - 1) * self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXCHANGE: ExchangeId = ExchangeId(0);

    #[test]
    fn without_a_share_nothing_passes_and_without_a_limit_everything() {
        let mut shares = Shares::of([true, false].into_iter());
        assert!(!shares.admit(EXCHANGE, Nanos(1)));
        assert!(shares.admit(ExchangeId(1), Nanos(1)));
        shares.order(EXCHANGE, 1, 1);
        assert!(shares.admit(EXCHANGE, Nanos(2)) && !shares.admit(EXCHANGE, Nanos(3)));
        // It comes back when the window is over, whether or not the core ran meanwhile.
        let over = Nanos(2).after(limits::QUOTA_WINDOW_NS + SLOT_NS);
        assert!(shares.admit(EXCHANGE, over) && !shares.admit(EXCHANGE, over));
    }

    #[test]
    fn what_was_used_is_returned_only_when_it_has_run_out() {
        let mut shares = Shares::of(std::iter::once(true));
        shares.order(EXCHANGE, 500, 500);
        let passed = (0..20).filter(|_| shares.admit(EXCHANGE, Nanos(0))).count();
        assert_eq!(passed, 5, "a hundredth at once");
        let mut reports = Vec::new();
        let mut report = |shares: &mut Shares, ms: u64| {
            shares.report(Nanos(ms * Nanos::MS), |event| {
                reports.push(event);
                true
            });
            std::mem::take(&mut reports)
        };
        let said = |asked, returned| vec![Event::Quota { exchange: EXCHANGE, asked, returned }];
        shares.order(EXCHANGE, 0, 3);
        assert_eq!(report(&mut shares, 1), said(20, 495));
        assert_eq!(report(&mut shares, 2), [], "too soon");
        assert_eq!(report(&mut shares, 5_000), []);
        assert!(shares.next_report() < Nanos::NEVER, "the rest is still to be returned");
        assert_eq!(report(&mut shares, 10_100), said(0, 2));
        assert_eq!(shares.next_report(), Nanos::NEVER);
    }
}
