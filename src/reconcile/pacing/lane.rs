//! One paced campaign on one node: its pacer, and between two ticks what its cores did.

use super::curve::{Share, WHOLE};
use super::split::{CorePace, split};
use super::{Pacer, Plan, View};
use crate::ring::message::Order;
use crate::snapshot::calendar::BudgetDay;
use crate::units::{CoreId, CpmMicros, Day, Micros, Slot, UnixMillis};

/// What a lane is told of its campaign each tick, beside what its cores did.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// The budget day.
    pub day: BudgetDay,
    /// The campaign's budget for it.
    pub budget: Micros,
    /// What the fleet has settled of it.
    pub settled: Micros,
    /// What this node expects to be billed of its bids of that day that are silent.
    pub silent: Micros,
    /// The campaign's highest bid.
    pub price: CpmMicros,
    /// This node's part of the fleet's demand, in millionths.
    pub share: u32,
}

/// A paced campaign.
#[derive(Clone, Debug)]
pub struct Lane {
    pacer: Pacer,
    slot: Slot,
    /// By core, since the last tick.
    chances: Vec<u32>,
    taken: u64,
    reserved: Micros,
    billed: Micros,
    /// The dearest single bid that an allowance did not reach for, today.
    dearest: Micros,
    day: Day,
    turn: u64,
    demand: Micros,
    paces: Vec<CorePace>,
}

impl Lane {
    /// A campaign that is paced from now on. Until the first [`Lane::tick`] its cores must be at rest: [`Lane::rest`].
    pub fn new(slot: Slot, plan: Plan, cores: u8) -> Lane {
        Lane {
            pacer: Pacer::new(plan),
            slot,
            chances: vec![0; usize::from(cores)],
            taken: 0,
            reserved: Micros::ZERO,
            billed: Micros::ZERO,
            dearest: Micros::ZERO,
            day: Day::default(),
            turn: 0,
            demand: Micros::ZERO,
            paces: vec![CorePace::REST; usize::from(cores)],
        }
    }

    /// Its pacer.
    pub fn pacer(&mut self) -> &mut Pacer {
        &mut self.pacer
    }

    /// The order that keeps a core from spending until the first tick: to be sent before the first grant.
    pub fn rest(&self) -> Order {
        let CorePace { rate, allowance } = CorePace::REST;
        Order::Pace { slot: self.slot, rate, allowance }
    }

    /// [`crate::ring::message::Event::Chances`].
    pub fn came_by(&mut self, core: CoreId, chances: u32, taken: u32, dearest: Micros) {
        let here = &mut self.chances[usize::from(core.0)];
        *here = here.saturating_add(chances);
        self.taken += u64::from(taken);
        self.dearest = self.dearest.max(dearest);
    }

    /// What it would reserve until the next tick if it took part in every auction.
    pub fn demand(&self) -> Micros {
        self.demand
    }

    /// A core reserved this.
    pub fn reserved(&mut self, price: Micros) {
        self.reserved = self.reserved.plus(price);
    }

    /// A bid of this node was billed.
    pub fn billed(&mut self, amount: Micros) {
        self.billed = self.billed.plus(amount);
    }

    /// Once a tick: an order for each core.
    pub fn tick(&mut self, now: UnixMillis, standing: &Standing) -> impl Iterator<Item = (CoreId, Order)> + '_ {
        let &Standing { day, budget, settled, silent, price, share } = standing;
        if std::mem::replace(&mut self.day, day.day) < day.day {
            self.dearest = Micros::ZERO;
        }
        let bid = price.per_impression().max(self.dearest).max(Micros(1));
        let view = View {
            day,
            budget,
            settled,
            silent,
            billed: std::mem::take(&mut self.billed),
            reserved: std::mem::take(&mut self.reserved),
            bid,
            chances: self.chances.iter().map(|chances| u64::from(*chances)).sum(),
            taken: std::mem::take(&mut self.taken),
            share: (Share::from(share) * WHOLE) / 1_000_000,
        };
        let pace = self.pacer.tick(now, &view);
        self.turn += 1;
        self.demand = pace.demand;
        // Slots differ, so that the small campaigns of a node are not all on one core.
        let turn = self.turn.wrapping_add(u64::from(self.slot.0) << 8);
        split(&pace, bid, turn, &self.chances, &mut self.paces);
        self.chances.fill(0);
        let slot = self.slot;
        self.paces
            .iter()
            .zip(0..)
            .map(move |(&CorePace { rate, allowance }, core)| (CoreId(core), Order::Pace { slot, rate, allowance }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::pacing::Manner;
    use crate::ring::message::Participation;

    #[test]
    fn what_cores_did_counts_once() {
        let mut lane = Lane::new(Slot(3), Plan { manner: Manner::Even, curve: None }, 2);
        assert_eq!(lane.rest(), Order::Pace { slot: Slot(3), rate: Participation::NEVER, allowance: Micros::ZERO });
        let start = UnixMillis(20_000 * UnixMillis::DAY);
        let day = BudgetDay { day: start.day(), start, end: start.day().end() };
        let standing = Standing {
            day,
            budget: Micros(1_000_000_000),
            settled: Micros::ZERO,
            silent: Micros::ZERO,
            price: CpmMicros(2_000_000),
            share: 1_000_000,
        };
        let allowed = |lane: &mut Lane, tick: u64| -> Vec<i64> {
            let orders = lane.tick(UnixMillis(start.0 + tick * 5_000), &standing);
            orders
                .map(|(_, order)| match order {
                    Order::Pace { slot: Slot(3), allowance, .. } => allowance.0,
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        let first: i64 = allowed(&mut lane, 0).iter().sum();
        assert!((50_000..60_000).contains(&first), "a tick's share of a thousand a day: {first}");
        // What is reserved is gone from the next allowance, once.
        lane.came_by(CoreId(1), 100, 27, Micros::ZERO);
        lane.reserved(Micros(first));
        lane.billed(Micros(first));
        let second = allowed(&mut lane, 1);
        assert_eq!(second[0], 0, "nothing came by there");
        assert!((50_000..125_000).contains(&second[1]), "{second:?}");
        let third: i64 = allowed(&mut lane, 2).iter().sum();
        assert!(third > second[1], "nothing was reserved: {third}");
        // A dearer bid than the campaign's price is what is saved for.
        lane.came_by(CoreId(0), 1, 0, Micros(10_000_000));
        assert_eq!(allowed(&mut lane, 3), [0, 0]);
    }
}
