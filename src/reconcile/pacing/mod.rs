//! Pacing: how fast a campaign spends its day's budget. One [`Pacer`] per paced campaign and node, asked once a tick.
//!
//! ```text
//! supply ──► Curve ──► target(now), target(next tick)
//!                          │ error, slope
//! settled + expected ──► PID + slope ──► expected spend of the tick
//!                                           ÷ Returns (spent per reserved)
//!                                           ▼
//!                                        bucket ──► allowance ──► split ──► cores
//!                                           ÷ Demand ──► rate
//! ```
//!
//! What keeps a campaign behind its curve is not the controller, which may be wrong, but the bucket. What is in it is what the
//! cores may reserve until the next tick; a tick that does not come adds nothing. It holds at most 1/288 of the budget, and where
//! few bids are won up to twice that; in both cases less where the campaign is ahead already ([`Pacer::cap`]).
//!
//! Every node computes with the money of the fleet, and takes as its own part of the target, and of what was settled, its share of
//! the fleet's demand. So errors of one node are corrected by all, and the corrections add up to the whole.
//!
//! Numbers are integers: micros with 16 more bits below, so that a tick's share of a small budget is not rounded away.

pub mod curve;
mod demand;
pub mod lane;
mod returns;
pub mod split;

use crate::limits;
use crate::ring::message::Participation;
use crate::snapshot::calendar::BudgetDay;
use crate::snapshot::campaign::{Pacing, Spending};
use crate::units::{Micros, Nanos, UnixMillis};
use curve::{Curve, Share, Supply, WHOLE};
use demand::Demand;
use returns::Returns;

/// Bits below the micros.
const FINE: u32 = 16;

fn fine(money: Micros) -> i128 {
    i128::from(money.0) << FINE
}

/// A tick, ms.
const TICK_MS: u64 = limits::TICK_NS / Nanos::MS;
/// What a campaign may be ahead of its curve for a tick: this part of its daily budget, 0.35 %.
const AHEAD: i128 = 288;
/// What may stand on cores that hear nothing for the length of a lease, whatever the curve needs: 0.69 %.
const STALLED: i128 = 144;
/// While a dear bid is saved for, this part of what each tick adds is put aside.
const SAVED: i128 = 2;
/// A campaign that is behind spends at most this much faster than what it has left needs: no bursts when supply returns. One that is
/// [`Manner::Fast`] is not behind as long as it is faster than that.
const CATCH_UP: i128 = 3;
/// How much faster than the curve [`Manner::Fast`] spends: it is done when half of a day's supply has come.
const FAST: u64 = 2;
/// The integral adds or takes at most this part of the slope.
const INTEGRAL_PART: i128 = 2;
/// Ticks over which the error is smoothed for its derivative.
const SMOOTHED: i128 = 16;

/// How a campaign is to spend. One that spends as soon as possible has no pacer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Along the curve.
    Even,
    /// At most twice as fast as the curve, until the budget is spent.
    Fast,
}

/// What is ordered of a pacer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How to spend.
    pub manner: Manner,
    /// The curve to follow; without it, that of the day before, and on the first day a flat one.
    pub curve: Option<Curve>,
}

impl Plan {
    /// What a campaign file orders; `None` for a campaign that spends as soon as possible.
    pub fn of(spending: &Spending) -> Option<Plan> {
        let manner = match spending.pacing {
            Pacing::Even => Manner::Even,
            Pacing::Fast => Manner::Fast,
            Pacing::Asap => return None,
        };
        Some(Plan { manner, curve: spending.curve.as_deref().and_then(Curve::of_hours) })
    }
}

/// The controller's constants, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gains {
    /// An error is made up for in so many ticks.
    pub proportional: u32,
    /// An error that stays so long counts twice; 0 for never.
    pub integral: u32,
    /// A change of the error counts as if it went on for so long.
    pub derivative: u32,
}

impl Default for Gains {
    /// As tuned on five days of real traffic (docs/PACING.md).
    fn default() -> Self {
        Gains { proportional: 24, integral: 720, derivative: 120 }
    }
}

/// What a pacer is told each tick. Money and counts of "since the last tick" are this node's own.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// The budget day.
    pub day: BudgetDay,
    /// The campaign's budget for it.
    pub budget: Micros,
    /// What the fleet has settled of it, as of a few seconds ago.
    pub settled: Micros,
    /// What this node expects to be billed of its bids that are silent so far.
    pub silent: Micros,
    /// What was billed of this node's bids since the last tick.
    pub billed: Micros,
    /// Maximum prices reserved since the last tick.
    pub reserved: Micros,
    /// What one bid costs at most; above 0.
    pub bid: Micros,
    /// What a dearer bid costs that is to be saved for; nothing if there is none.
    pub dear: Micros,
    /// Offers that could have been made since the last tick, money aside ([`crate::ring::message::Event::Chances`]).
    pub chances: u64,
    /// Those that were let through.
    pub taken: u64,
    /// This node's part of the fleet's demand, in 1/2^32.
    pub share: Share,
}

/// What the cores of a node may do until the next tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// In how many auctions the campaign takes part.
    pub rate: Participation,
    /// What it may reserve, maximum prices added up.
    pub allowance: Micros,
    /// What it would reserve if it took part in every auction, for [`split::split`].
    pub demand: Micros,
}

/// In how many auctions to take part to reserve an allowance where `demand` is what all of them would take. Two standard deviations
/// more of what comes by chance: where a tick has one bid, half of the ticks would see none.
fn rate(allowance: Micros, demand: Micros, bid: Micros) -> Participation {
    let deviation = (allowance.0 as u128 * bid.0 as u128).isqrt();
    let aim = allowance.0.saturating_add(2 * i64::try_from(deviation).unwrap_or(i64::MAX / 2));
    Participation::of(Micros(aim), demand)
}

/// Where a target starts: from what was spent when the day began, the budget changed, or the node started, the rest of the budget
/// follows the rest of the curve.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    day: BudgetDay,
    budget: Micros,
    /// Of the curve.
    at: Share,
    /// By the fleet, fine.
    spent: i128,
}

impl Anchor {
    /// What the fleet is to have spent where the curve is at `at`, fine.
    fn target(&self, at: Share) -> i128 {
        let left = (fine(self.budget) - self.spent).max(0);
        match WHOLE - self.at {
            0 => self.spent + left,
            rest => self.spent + left * i128::from(at.saturating_sub(self.at)) / i128::from(rest),
        }
    }
}

/// Paces one campaign on one node.
#[derive(Clone, Debug)]
pub struct Pacer {
    plan: Plan,
    gains: Gains,
    /// Followed today.
    curve: Curve,
    supply: Supply,
    anchor: Option<Anchor>,
    returns: Returns,
    demand: Demand,
    /// What may be reserved, fine. Below nothing where cores reserved while an order was on its way to them.
    bucket: i128,
    /// What of the bucket is put aside for a dear bid, fine.
    saved: i128,
    /// Nothing more went into the bucket at the last tick, because nothing was taken out.
    full: bool,
    /// Sum of errors, fine.
    integral: i128,
    /// Fine.
    smoothed_error: Option<i128>,
    last_silent: Micros,
}

impl Pacer {
    /// A pacer of a campaign of which nothing is known.
    pub fn new(plan: Plan) -> Pacer {
        Pacer {
            curve: plan.curve.clone().unwrap_or_else(Curve::flat),
            plan,
            gains: Gains::default(),
            supply: Supply::default(),
            anchor: None,
            returns: Returns::default(),
            demand: Demand::default(),
            bucket: 0,
            saved: 0,
            full: false,
            integral: 0,
            smoothed_error: None,
            last_silent: Micros::ZERO,
        }
    }

    /// The same with other constants.
    #[must_use]
    pub fn tuned(self, gains: Gains) -> Pacer {
        Pacer { gains, ..self }
    }

    /// Another order: at once, from what is spent.
    pub fn order(&mut self, plan: Plan) {
        if plan == self.plan {
            return;
        }
        if let Some(curve) = &plan.curve {
            self.curve = curve.clone();
        }
        self.plan = plan;
        self.anchor = None;
    }

    /// The curve it follows today.
    pub fn curve(&self) -> &Curve {
        &self.curve
    }

    /// Follows a curve that was learnt elsewhere, unless one is ordered.
    pub fn follow(&mut self, curve: Curve) {
        if self.plan.curve.is_none() {
            self.curve = curve;
            self.anchor = None;
        }
    }

    /// What the fleet is to have spent by `now`; nothing before the first tick.
    pub fn target(&self, now: UnixMillis) -> Micros {
        let target = self.anchor.map_or(0, |anchor| anchor.target(self.place(anchor.day, now)));
        Micros((target >> FINE) as i64)
    }

    /// Once a tick.
    ///
    /// # Panics
    /// If what one bid costs is not above 0.
    pub fn tick(&mut self, now: UnixMillis, view: &View) -> Pace {
        assert!(view.bid > Micros::ZERO, "a bid of nothing");
        self.learn(now, view);
        let share = |money: i128| (money * i128::from(view.share)) >> 32;
        let anchor = self.anchored(now, view);
        let (at, next) = (self.place(view.day, now), self.place(view.day, UnixMillis(now.0 + TICK_MS)));
        let target = anchor.target(at);
        let slope = share(anchor.target(next) - target);
        // Behind is above nothing.
        let error = share(target) - share(fine(view.settled)) - fine(view.silent);
        let needed = share(self.needed(now, view));
        let most = match self.plan.manner {
            Manner::Even => CATCH_UP * needed,
            Manner::Fast => needed,
        };
        let want = self.control(error, slope, most);
        let reserving = |spend: i128| (spend << FINE) / self.returns.share(view.bid);
        let limit = share(fine(view.budget) / AHEAD).max(share(fine(view.bid))).max(1);
        let reserve = reserving(want);
        let cap = Self::cap(view, limit, -error, 2 * reserving(needed));
        let filled = self.bucket - fine(view.reserved) + reserve;
        self.full = filled >= cap;
        self.bucket = filled.clamp(-cap, cap);
        let (allowance, piece) = self.given(view, reserve);
        let demand = self.demand.per_tick(view.bid);
        // Nothing is wanted, or less than a bid so far: it stays in the bucket.
        if want == 0 || allowance < view.bid {
            return Pace { rate: Participation::NEVER, allowance: Micros::ZERO, demand };
        }
        Pace { rate: rate(allowance, demand, piece), allowance, demand }
    }

    /// What of the bucket the cores get, and the least piece of it that is worth giving. While a dear bid is saved for, bids of the
    /// usual price go on with what is not put aside; when there is enough, all of it is for whoever comes first.
    fn given(&mut self, view: &View, reserve: i128) -> (Micros, Micros) {
        let dear = fine(view.dear);
        self.saved = match dear > fine(view.bid) && self.bucket < dear {
            true => (self.saved + reserve / SAVED).min(self.bucket.max(0)),
            false => 0,
        };
        let allowance = Micros(((self.bucket - self.saved) >> FINE) as i64);
        (allowance, if allowance >= view.dear { view.dear.max(view.bid) } else { view.bid })
    }

    /// What the tick brought.
    fn learn(&mut self, now: UnixMillis, view: &View) {
        // What was looked for in the tick that ends now, under the day it began in.
        let day = self.anchor.map_or(view.day, |anchor| anchor.day);
        self.supply.note(day, UnixMillis(now.0.saturating_sub(TICK_MS / 2)), view.chances);
        self.demand.note(view.chances, view.taken, view.reserved);
        let spent = fine(view.billed) + fine(view.silent) - fine(self.last_silent);
        self.last_silent = view.silent;
        self.returns.note(view.reserved, spent, view.bid);
    }

    /// Today's anchor: a new one on a new day, or for another budget.
    fn anchored(&mut self, now: UnixMillis, view: &View) -> Anchor {
        let known = self.anchor.filter(|anchor| anchor.day.day == view.day.day && anchor.budget == view.budget);
        if let Some(anchor) = known {
            return anchor;
        }
        if let Some(old) = self.anchor.filter(|old| old.day.day != view.day.day) {
            let supply = std::mem::take(&mut self.supply);
            if self.plan.curve.is_none() && old.day.day < view.day.day {
                self.curve = supply.curve(&self.curve);
            }
        }
        (self.integral, self.smoothed_error) = (0, None);
        let silent = (fine(view.silent) << 32) / i128::from(view.share.max(1));
        let spent = fine(view.settled) + silent.min(fine(view.budget));
        let anchor = Anchor { day: view.day, budget: view.budget, at: self.place(view.day, now), spent };
        *self.anchor.insert(anchor)
    }

    /// Where the curve is.
    fn place(&self, day: BudgetDay, now: UnixMillis) -> Share {
        let at = self.curve.at(day, now);
        match self.plan.manner {
            Manner::Even => at,
            Manner::Fast => (at * FAST).min(WHOLE),
        }
    }

    /// What is to be spent in the next tick, from nothing to `most`.
    fn control(&mut self, error: i128, slope: i128, most: i128) -> i128 {
        let Gains { proportional, integral, derivative } = self.gains;
        let smoothed = self.smoothed_error.unwrap_or(error);
        let smoothed = smoothed + (error - smoothed) / SMOOTHED;
        self.smoothed_error = Some(smoothed);
        let change = (error - smoothed) / SMOOTHED;
        let proportional = i128::from(proportional.max(1));
        let summed = match i128::from(integral) {
            0 => 0,
            integral => self.integral / integral,
        };
        let want = slope + (error + summed + change * i128::from(derivative)) / proportional;
        // No integration further into where the actuator cannot follow.
        let stuck = if error > 0 { self.full || want >= most } else { want <= 0 };
        if integral > 0 && !stuck {
            let bound = i128::from(integral) * proportional * slope / INTEGRAL_PART;
            self.integral = (self.integral + error).clamp(-bound, bound);
        }
        want.clamp(0, most)
    }

    /// What the bucket holds at most, of a campaign that is `ahead` of its curve by so much, or behind: `limit`, 1/288 of the budget,
    /// less what it is ahead. Where so few bids are won that the curve cannot be followed with that, what two ticks of it take (`needed`), up to
    /// 1/144: beyond, a campaign spends less than its curve, because when the win rate jumps all of it is spent. One bid in any
    /// case, or nothing could be bought of a small budget.
    fn cap(view: &View, limit: i128, ahead: i128, needed: i128) -> i128 {
        let left = (limit - ahead).clamp(0, limit);
        if left == 0 {
            return 0;
        }
        let stalled = (fine(view.budget) / STALLED * i128::from(view.share)) >> 32;
        (limit.max(needed.min(stalled)) * left / limit).max(fine(view.bid))
    }

    /// What the fleet spends in the next tick if it spends what it has left along the rest of the curve; if it is to be fast, at
    /// least so much faster than the whole budget would be spent along the whole of it. Fine.
    fn needed(&self, now: UnixMillis, view: &View) -> i128 {
        let silent = (fine(view.silent) << 32) / i128::from(view.share.max(1));
        let left = (fine(view.budget) - fine(view.settled) - silent).max(0);
        let (at, next) = (self.curve.at(view.day, now), self.curve.at(view.day, UnixMillis(now.0 + TICK_MS)));
        let tick = i128::from(next.saturating_sub(at));
        let even = match WHOLE.saturating_sub(at) {
            0 => left,
            rest => left * tick / i128::from(rest),
        };
        match self.plan.manner {
            Manner::Even => even,
            Manner::Fast => even.max((fine(view.budget) * tick * i128::from(FAST)) >> 32).min(left),
        }
    }
}
