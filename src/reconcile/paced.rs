//! Paced campaigns: their lanes, ticked, and watched for what spends far too fast.

use super::guards::runaway::{Runaway, Sight, Trip};
use super::pacing::Plan;
use super::pacing::lane::{Lane, Standing};
use super::{Line, Reconciler};
use crate::authority::message::Why;
use crate::ring::message::{Order, Participation, Reserved};
use crate::snapshot::calendar::{BudgetDay, Days};
use crate::units::{CoreId, Micros, Now, Slot, UnixMillis};

/// How a campaign spends, beside how much.
#[derive(Clone, Debug)]
pub struct Spends {
    /// The campaign's slot.
    pub slot: Slot,
    /// Its pacing; `None` as soon as possible.
    pub plan: Option<Plan>,
    /// Its budget days.
    pub days: Days,
}

/// What is kept for a campaign beside its money.
#[derive(Clone, Debug, Default)]
pub(super) struct Manner {
    pub(super) days: Option<Days>,
    pub(super) paced: Option<Box<Paced>>,
}

/// A paced campaign on this node.
#[derive(Clone, Debug)]
pub(super) struct Paced {
    pub(super) lane: Lane,
    runaway: Runaway,
    /// What this node's bids were worth when they were made, and this node's share of the target, since the day began.
    worth: f64,
    target: f64,
    last_target: Micros,
    day: Option<BudgetDay>,
    /// The dearest reservation of the day.
    dearest: Micros,
}

impl Paced {
    fn new(slot: Slot, plan: Plan, cores: u8) -> Paced {
        Paced {
            lane: Lane::new(slot, plan, cores),
            runaway: Runaway::default(),
            worth: 0.0,
            target: 0.0,
            last_target: Micros::ZERO,
            day: None,
            dearest: Micros::ZERO,
        }
    }
}

impl Reconciler {
    /// How campaigns spend: told before [`Reconciler::campaigns`]. One that is not named spends as soon as possible, in days of UTC.
    pub fn spends(&mut self, list: Vec<Spends>) {
        let slots = list.iter().map(|spends| spends.slot.0 as usize + 1).max().unwrap_or(0);
        self.manners.resize(self.manners.len().max(slots), Manner::default());
        for Spends { slot, plan, days } in list {
            let manner = &mut self.manners[slot.0 as usize];
            manner.days = Some(days);
            let order = match (plan, &mut manner.paced) {
                (Some(plan), Some(paced)) => {
                    paced.lane.pacer().order(plan);
                    continue;
                }
                (Some(plan), none) => {
                    let paced = none.insert(Box::new(Paced::new(slot, plan, self.settings.cores)));
                    paced.lane.rest()
                }
                (None, paced) => match paced.take() {
                    Some(_) => Order::Pace { slot, rate: Participation::ALWAYS, allowance: Order::UNPACED },
                    None => continue,
                },
            };
            self.out.iter_mut().for_each(|orders| orders.push_back(order));
        }
    }

    /// The budget day of a campaign at a time.
    pub(super) fn budget_day(&self, slot: Slot, wall: UnixMillis) -> BudgetDay {
        match self.manners.get(slot.0 as usize).and_then(|manner| manner.days.as_ref()) {
            Some(days) => days.at(wall),
            None => BudgetDay {
                day: wall.day(),
                start: UnixMillis(wall.0 - wall.0 % UnixMillis::DAY),
                end: wall.day().end(),
            },
        }
    }

    pub(super) fn paced(&mut self, slot: Slot) -> Option<&mut Paced> {
        self.manners.get_mut(slot.0 as usize)?.paced.as_deref_mut()
    }

    /// A core's count of what came by.
    pub(super) fn came_by(&mut self, slot: Slot, core: CoreId, chances: u32, taken: u32, dearest: Micros) {
        if let Some(paced) = self.paced(slot) {
            paced.lane.came_by(core, chances, taken, dearest);
        }
    }

    /// A core reserved money of a campaign.
    pub(super) fn took_part(&mut self, reserved: &Reserved) {
        let chance = self.silence.expected(reserved.exchange, 0);
        if let Some(paced) = self.paced(reserved.slot) {
            paced.lane.reserved(reserved.price);
            paced.worth += reserved.price.0 as f64 * chance;
            paced.dearest = paced.dearest.max(reserved.price);
        }
    }

    /// A bid of this process was billed, this long after it was made.
    pub(super) fn was_billed(&mut self, now: Now, slot: Slot, age_ms: u64, amount: Micros) {
        if let Some(paced) = self.paced(slot) {
            paced.lane.billed(amount);
            paced.runaway.billed(now.boot, age_ms, amount);
        }
    }

    /// What a paced campaign would reserve if it took part in every auction.
    pub(super) fn paced_demand(&self, slot: Slot) -> Option<Micros> {
        Some(self.manners.get(slot.0 as usize)?.paced.as_ref()?.lane.demand())
    }

    /// Paces every campaign of which it is known what the fleet has spent, and stops those that spend far too fast.
    pub(super) fn pace(&mut self, now: Now) {
        for at in 0..self.manners.len() {
            self.pace_one(now, Slot(at as u32));
        }
    }

    /// Paces one of them: each tick, and when what the fleet has spent of its day is heard for the first time.
    pub(super) fn pace_one(&mut self, now: Now, slot: Slot) {
        let at = slot.0 as usize;
        let Some(line) = self.lines.get(at).copied().flatten().filter(Line::is_known) else { return };
        let own = line.lease.and_then(|lease| self.owns.get(&lease));
        let silent = own.map_or(Micros::ZERO, |own| own.holds.expected(&self.silence, now.boot));
        let Some(paced) = self.manners.get_mut(at).and_then(|manner| manner.paced.as_deref_mut()) else { return };
        let price = line.funding.price;
        let standing =
            Standing { day: line.day, budget: line.budget, settled: line.settled, silent, price, share: line.share };
        for (core, order) in paced.lane.tick(now.wall, &standing) {
            self.out[usize::from(core.0)].push_back(order);
        }
        let share = f64::from(line.share) / 1e6;
        let target = paced.lane.pacer().target(now.wall);
        if paced.day.map(|day| day.day) != Some(line.day.day) {
            let spent = line.settled.plus(line.expected);
            (paced.worth, paced.target) = (spent.0 as f64 * share, target.0 as f64 * share);
            (paced.day, paced.dearest) = (Some(line.day), Micros::ZERO);
        } else {
            paced.target += target.minus(paced.last_target).0.max(0) as f64 * share;
        }
        paced.last_target = target;
        let dearest = paced.dearest.max(price.per_impression());
        let [spent, target] = [paced.worth, paced.target].map(|sum| Micros(sum as i64));
        let trip = paced.runaway.own(now.boot, Sight { day: line.day.day, spent, target, dearest });
        self.tripped(slot, trip);
    }

    /// The authority's view of a paced campaign.
    pub(super) fn seen(&mut self, now: Now, slot: Slot) {
        let Some(line) = self.lines[slot.0 as usize] else { return };
        let Some(paced) = self.paced(slot) else { return };
        let dearest = paced.dearest.max(line.funding.price.per_impression());
        let (spent, target) = (line.settled.plus(line.expected), paced.lane.pacer().target(now.wall));
        let trip = paced.runaway.fleet(now.boot, Sight { day: line.day.day, spent, target, dearest });
        self.tripped(slot, trip);
    }

    fn tripped(&mut self, slot: Slot, trip: Option<Trip>) {
        let Some(trip) = trip else { return };
        let campaign = self.lines[slot.0 as usize].map_or(0, |line| line.funding.campaign.0);
        log::error!("campaign {campaign} {trip}");
        self.halt(slot, Why::Runaway);
    }

    /// Stops a campaign here at once, and everywhere with the next report.
    pub(super) fn halt(&mut self, slot: Slot, why: Why) {
        if let Some(line) = &mut self.lines[slot.0 as usize] {
            (line.stop, line.stopped) = (Some(why), Some(why));
            self.revoke_all(slot);
        }
    }

    /// Silent bids should hold far more than there is, because an exchange's bids are won far more often than before: beyond a
    /// hundredth of the day's budget the campaign is stopped. Only what it bid there counts: a lack for another reason is not a
    /// jump's.
    pub(super) fn watch_jumps(&mut self) {
        let jumps: Vec<_> = self.silence.jumps().collect();
        if jumps.is_empty() {
            return;
        }
        for slot in self.slots() {
            let Some(line) = self.lines[slot.0 as usize].filter(|line| line.stopped.is_none()) else { continue };
            let Some(own) = line.lease.and_then(|lease| self.owns.get(&lease)) else { continue };
            let bid_there = jumps.iter().fold(Micros::ZERO, |sum, at| sum.plus(own.holds.silent_at(*at)));
            let lacks = own.needs().min(bid_there).minus(line.available.max(Micros::ZERO));
            if lacks.0 > line.funding.daily.0 / 100 {
                let campaign = line.funding.campaign.0;
                let by = lacks.0 as f64 / 1e6;
                log::error!(
                    "campaign {campaign} has {by:.6} less than its silent bids may cost since the win rate jumped"
                );
                self.halt(slot, Why::Jump);
            }
        }
    }
}
