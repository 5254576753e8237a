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
/// Bills are waited for so many quarters after the minute they are of.
const BILLED: usize = 4;
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

/// Watches one campaign on one node: 400 bytes, whatever it spends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runaway {
    fleet: Window<QUARTERS>,
    own: Window<{ QUARTERS + BILLED }>,
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
    /// for the time of the bid, if that was within two minutes: one of a bid made long ago says nothing of the bidding now.
    pub fn billed(&mut self, now: Nanos, age_ms: u64, amount: Micros) {
        self.own.billed(now, age_ms.saturating_mul(Nanos::MS), amount);
    }
}

/// Three ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Quarter {
    spent: i64,
    /// For bids of this quarter.
    billed: i64,
    target: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window<const KEPT: usize> {
    /// When the current quarter began.
    began: Nanos,
    /// At the last observation.
    spent: i64,
    target: i64,
    current: Quarter,
    /// The latest first.
    closed: [Quarter; KEPT],
    day: Day,
    /// How many of them are known; `None` before the first observation.
    known: Option<u8>,
}

impl<const KEPT: usize> Default for Window<KEPT> {
    fn default() -> Self {
        let (current, closed) = (Quarter::default(), [Quarter::default(); KEPT]);
        Window { began: Nanos(0), spent: 0, target: 0, current, closed, day: Day(0), known: None }
    }
}

impl<const KEPT: usize> Window<KEPT> {
    /// What was spent and what was meant in a minute, if that is a runaway.
    fn observe(&mut self, now: Nanos, sight: Sight) -> Option<(Micros, Micros)> {
        let continues = sight.day == self.day && sight.target.0 >= self.target && now.since(self.began) <= GAP_NS;
        let known = match self.known {
            Some(known) if continues => usize::from(known),
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
        let known = (known + 1).min(KEPT);
        self.known = Some(known as u8);
        let least = sight.dearest.0.saturating_mul(limits::RUNAWAY_BIDS);
        let found = self.runaway(known, least);
        if found.is_some() {
            // It takes a moment until the campaign stops; what comes until then, and once it is resumed, is counted anew.
            self.start(now, sight);
        }
        found
    }

    /// The last minute by what was spent; or any minute by what was billed, because bills come in later.
    fn runaway(&self, known: usize, least: i64) -> Option<(Micros, Micros)> {
        let closed = &self.closed[..known];
        // How far it is behind its curve, and was when the minute began.
        let mut behind = self.target.saturating_sub(self.spent);
        let mut began = 0;
        for (index, minute) in closed.windows(QUARTERS).enumerate() {
            for quarter in &closed[began..index + QUARTERS] {
                behind = behind.saturating_sub(quarter.target).saturating_add(quarter.spent);
            }
            began = index + QUARTERS;
            let beyond = behind.max(0).saturating_add(least);
            let mut found = beyond_limit(minute, |quarter| quarter.billed, beyond);
            if index == 0 {
                found = found.or_else(|| beyond_limit(minute, |quarter| quarter.spent, beyond));
            }
            if found.is_some() {
                return found;
            }
        }
        None
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

/// Money and target of a minute, if each of its quarters is above the limit, and the whole by more than `beyond`.
fn beyond_limit(minute: &[Quarter], money: impl Fn(&Quarter) -> i64, beyond: i64) -> Option<(Micros, Micros)> {
    let limit = |target: i64| target.saturating_mul(limits::RUNAWAY_TIMES);
    let (mut spent, mut target) = (0i64, 0i64);
    for quarter in minute {
        if money(quarter) <= limit(quarter.target) {
            return None;
        }
        spent = spent.saturating_add(money(quarter));
        target = target.saturating_add(quarter.target);
    }
    (spent.saturating_sub(limit(target)) > beyond).then_some((Micros(spent), Micros(target)))
}

const _: () = assert!(size_of::<Runaway>() == 400);
