//! The runaway breaker: a campaign that spends more than three times its target for a minute.
//!
//! Two signals, and either alone trips it, because a signal that is broken must not hide a runaway. [`Signal::Fleet`]: what the
//! authority has settled, with what all nodes expect of silent bids. [`Signal::Own`]: what this node's own bids are worth, taken at
//! the time of the bid, or what was billed for them, whichever is more.
//!
//! ```text
//!        one window per signal, four quarters of 15 s
//!   ├───────┼───────┼───────┼───────┤   trips when it closes a quarter and
//!    > 3x    > 3x    > 3x    > 3x        each quarter is above three times its target, and
//!   └────────── S > 3 T + … ────────┘   the whole is by the least, and by what the campaign was behind its curve
//! ```
//!
//! Each quarter: a burst (bills that waited for a broken line, a group of auctions) is over sooner than a runaway. What it was behind:
//! a campaign may catch up as fast as its pacing lets it. The least ([`limits::RUNAWAY_BIDS`] times its dearest bid): one impression
//! may be many times a small campaign's target. Campaigns without a pacing target are not watched.

use std::fmt;

use crate::limits;
use crate::units::{Day, Micros, Nanos};

const QUARTERS: usize = 4;
/// A quarter closes with the first observation after this; half a tick early, so that a tick's jitter does not make it longer.
const QUARTER_NS: u64 = limits::RUNAWAY_NS / QUARTERS as u64;
const CLOSES_NS: u64 = QUARTER_NS - limits::TICK_NS / 2;
/// With a quarter longer than this nothing is known of how the spending was spread: the window starts over.
const GAP_NS: u64 = 2 * QUARTER_NS;

/// Who saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The authority, over all nodes.
    Fleet,
    /// This node, of its own bids.
    Own,
}

/// What a campaign has spent of its budget day, and what it was meant to have spent by now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// The day. A new day starts over.
    pub day: Day,
    /// Since the day began, or since the process did. It may fall: what is expected is estimated anew.
    pub spent: Micros,
    /// The pacing curve's value, from where `spent` began. It falls only when the budget is cut, which starts over.
    pub target: Micros,
    /// What a bid of the campaign costs at most.
    pub dearest: Micros,
}

/// The campaign is to be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    /// Who saw it.
    pub signal: Signal,
    /// What it spent within [`limits::RUNAWAY_NS`].
    pub spent: Micros,
    /// What it was meant to spend.
    pub target: Micros,
}

impl fmt::Display for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.signal {
            Signal::Fleet => "by the authority's count",
            Signal::Own => "by this node's own count",
        };
        let money = |money: Micros| money.0 as f64 / 1e6;
        write!(f, "spent {:.6} in a minute against a target of {:.6}, {by}", money(self.spent), money(self.target))
    }
}

/// Watches one campaign on one node: 304 bytes, whatever it spends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runaway {
    fleet: Window,
    own: Window,
}

impl Runaway {
    /// Told with each answer of the authority: settled and expected on all nodes, against the campaign's curve.
    pub fn fleet(&mut self, now: Nanos, sight: Sight) -> Option<Trip> {
        self.fleet.observe(now, sight).map(|(spent, target)| Trip { signal: Signal::Fleet, spent, target })
    }

    /// Told each tick: the sum over this node's bids of what each was expected to cost when it was made, against this node's share of
    /// the curve. A process that starts in the middle of a day starts with its share of what was spent and meant until then, so that
    /// what the campaign is behind is known.
    pub fn own(&mut self, now: Nanos, sight: Sight) -> Option<Trip> {
        self.own.observe(now, sight).map(|(spent, target)| Trip { signal: Signal::Own, spent, target })
    }

    /// Told of each bill of this node's own bids, `age_ms` after the bid (H2 less what is left until the claim expires). It counts
    /// for the time of the bid: one of a bid made long ago says nothing of the bidding now.
    pub fn billed(&mut self, now: Nanos, age_ms: u64, amount: Micros) {
        self.own.billed(now, age_ms.saturating_mul(Nanos::MS), amount);
    }
}

/// Time of some ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Quarter {
    spent: i64,
    billed: i64,
    target: i64,
}

impl Quarter {
    fn plus(self, other: Quarter) -> Quarter {
        Quarter {
            spent: self.spent.saturating_add(other.spent),
            billed: self.billed.saturating_add(other.billed),
            target: self.target.saturating_add(other.target),
        }
    }

    /// By how much it is above the limit.
    fn beyond(self) -> i64 {
        self.most().saturating_sub(self.target.saturating_mul(limits::RUNAWAY_TIMES))
    }

    fn most(self) -> i64 {
        self.spent.max(self.billed)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Window {
    /// When the current quarter began.
    began: Nanos,
    /// At the last observation.
    spent: i64,
    target: i64,
    current: Quarter,
    /// The latest first.
    closed: [Quarter; QUARTERS],
    day: Day,
    /// How many of them are known; `None` before the first observation.
    known: Option<u8>,
}

impl Window {
    /// What was spent and what was meant in this window, if that is a runaway.
    fn observe(&mut self, now: Nanos, sight: Sight) -> Option<(Micros, Micros)> {
        let continues = sight.day == self.day && sight.target.0 >= self.target && now.since(self.began) <= GAP_NS;
        let known = match self.known {
            Some(known) if continues => known,
            _ => {
                self.start(now, sight);
                return None;
            }
        };
        self.current.spent = self.current.spent.saturating_add(sight.spent.0.saturating_sub(self.spent));
        self.current.target = self.current.target.saturating_add(sight.target.0.saturating_sub(self.target));
        (self.spent, self.target) = (sight.spent.0, sight.target.0);
        if now.since(self.began) < CLOSES_NS {
            return None;
        }
        self.closed.rotate_right(1);
        self.closed[0] = std::mem::take(&mut self.current);
        self.began = now;
        let known = (known + 1).min(QUARTERS as u8);
        self.known = Some(known);
        if usize::from(known) < QUARTERS || self.closed.iter().any(|quarter| quarter.beyond() <= 0) {
            return None;
        }
        let whole = self.closed.into_iter().fold(Quarter::default(), Quarter::plus);
        let behind = (self.target.saturating_sub(whole.target)).saturating_sub(self.spent.saturating_sub(whole.spent));
        let least = sight.dearest.0.saturating_mul(limits::RUNAWAY_BIDS);
        if whole.beyond() <= behind.max(0).saturating_add(least) {
            return None;
        }
        // It takes a moment until the campaign stops; what comes until then, and what comes after it was resumed, is counted anew.
        self.start(now, sight);
        Some((Micros(whole.most()), Micros(whole.target)))
    }

    fn start(&mut self, now: Nanos, sight: Sight) {
        let (spent, target) = (sight.spent.0, sight.target.0);
        *self = Window { began: now, spent, target, day: sight.day, known: Some(0), ..Window::default() };
    }

    fn billed(&mut self, now: Nanos, age: u64, amount: Micros) {
        // Bids of the current quarter were made since it began; each quarter before it took about as long as it should.
        let quarter = match age.checked_sub(now.since(self.began)) {
            None | Some(0) => &mut self.current,
            Some(before) => {
                let index = (before - 1) / QUARTER_NS;
                if index >= u64::from(self.known.unwrap_or(0)) {
                    return;
                }
                &mut self.closed[index as usize]
            }
        };
        quarter.billed = quarter.billed.saturating_add(amount.0);
    }
}

const _: () = assert!(size_of::<Runaway>() == 304);
