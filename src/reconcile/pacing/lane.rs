//! One paced campaign on one node: its pacer, and between two ticks what its cores did.

use super::curve::{Share, WHOLE};
use super::split::{CorePace, split};
use super::{AHEAD, Pacer, Plan, View};
use crate::ring::message::Order;
use crate::snapshot::calendar::BudgetDay;
use crate::units::{CoreId, CpmMicros, Micros, Slot, UnixMillis};

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

/// Ticks for which a dear bid is saved for after one was last asked for: five minutes.
const REMEMBERED: u32 = 60;

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
    /// The dearest single bid that an allowance did not reach for: since the last tick, and what is saved for.
    beyond: Micros,
    dear: Micros,
    /// Ticks since the latter was asked for.
    unasked: u32,
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
            beyond: Micros::ZERO,
            dear: Micros::ZERO,
            unasked: 0,
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
        self.beyond = self.beyond.max(dearest);
    }

    /// What is saved for: a bid that a tick's bound reaches for. A dearer one is no bid of this campaign, and must not keep it from
    /// those that are.
    fn dear(&mut self, standing: &Standing) -> Micros {
        let reach = i128::from(standing.budget.0) * i128::from(standing.share) / 1_000_000 / AHEAD;
        let reach = Micros(i64::try_from(reach).unwrap_or(i64::MAX));
        let beyond = std::mem::take(&mut self.beyond);
        self.unasked += 1;
        if self.unasked > REMEMBERED || self.dear > reach {
            self.dear = Micros::ZERO;
        }
        if beyond <= reach && beyond > Micros::ZERO {
            (self.dear, self.unasked) = (self.dear.max(beyond), 0);
        }
        self.dear
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
        let dear = self.dear(standing);
        let bid = price.per_impression().max(Micros(1));
        let view = View {
            day,
            budget,
            settled,
            silent,
            billed: std::mem::take(&mut self.billed),
            reserved: std::mem::take(&mut self.reserved),
            bid,
            dear,
            chances: self.chances.iter().map(|chances| u64::from(*chances)).sum(),
            taken: std::mem::take(&mut self.taken),
            share: (Share::from(share) * WHOLE) / 1_000_000,
        };
        let pace = self.pacer.tick(now, &view);
        self.turn += 1;
        self.demand = pace.demand;
        // Slots differ, so that the small campaigns of a node are not all on one core.
        let turn = self.turn.wrapping_add(u64::from(self.slot.0) << 8);
        let piece = if pace.allowance >= dear { dear.max(bid) } else { bid };
        split(&pace, piece, turn, &self.chances, &mut self.paces);
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
    }

    /// A campaign of a thousand a day on one core that sees 100 bids at the usual price each tick, of which all are billed, and
    /// one dear bid. Returns what was spent in an hour, and on how many dear bids.
    fn hour(dear: Micros) -> (Micros, u32) {
        let mut lane = Lane::new(Slot(3), Plan { manner: Manner::Even, curve: None }, 1);
        let start = UnixMillis(20_000 * UnixMillis::DAY);
        let day = BudgetDay { day: start.day(), start, end: start.day().end() };
        let price = CpmMicros(2_000_000);
        let (budget, mut spent, mut dears) = (Micros(1_000_000_000), Micros::ZERO, 0);
        for tick in 0..720 {
            let standing = Standing { day, budget, settled: spent, silent: Micros::ZERO, price, share: 1_000_000 };
            let orders: Vec<_> = lane.tick(UnixMillis(start.0 + tick * 5_000), &standing).collect();
            let [(_, Order::Pace { mut allowance, .. })] = orders[..] else { panic!("{orders:?}") };
            let (bid, mut taken, mut beyond) = (price.per_impression(), 0, Micros::ZERO);
            for price in std::iter::once(dear).chain([bid; 100]) {
                if price > allowance {
                    beyond = beyond.max(price);
                    continue;
                }
                (allowance, spent) = (allowance.minus(price), spent.plus(price));
                (taken, dears) = (taken + 1, dears + u32::from(price == dear));
                lane.reserved(price);
                lane.billed(price);
            }
            lane.came_by(CoreId(0), 101, taken, beyond);
        }
        (spent, dears)
    }

    /// A screen of very many people, or a page of very many impressions.
    #[test]
    fn a_bid_beyond_a_ticks_bound_keeps_no_other_bid_away() {
        let (usual, _) = hour(Micros(1));
        for dear in [4_000_000, 10_000_000, 100_000_000, 2_000_000_000, i64::from(u32::MAX)] {
            let (spent, dears) = hour(Micros(dear));
            assert_eq!(dears, 0);
            assert!(spent.0 > usual.0 * 99 / 100, "{spent:?} of {usual:?} with {dear}");
        }
    }

    #[test]
    fn a_dear_bid_is_saved_for_while_others_go_on() {
        let (usual, _) = hour(Micros(1));
        // Half of a tick's 58,000 is put aside: 18 and 104 ticks.
        for (dear, times) in [(500_000, 20..80), (3_000_000, 4..14)] {
            let (spent, dears) = hour(Micros(dear));
            assert!(times.contains(&dears), "{dears} times {dear}");
            assert!(
                spent.0 > usual.0 * 9 / 10 && spent.0 - i64::from(dears) * dear > usual.0 / 4,
                "{spent:?}, {dears}"
            );
        }
    }

    #[test]
    fn what_is_asked_for_no_more_is_forgotten() {
        let mut lane = Lane::new(Slot(3), Plan { manner: Manner::Even, curve: None }, 1);
        let start = UnixMillis(20_000 * UnixMillis::DAY);
        let day = BudgetDay { day: start.day(), start, end: start.day().end() };
        let (budget, settled, silent) = (Micros(288_000_000), Micros::ZERO, Micros::ZERO);
        let standing = Standing { day, budget, settled, silent, price: CpmMicros(2_000_000), share: 1_000_000 };
        lane.came_by(CoreId(0), 1, 0, Micros(900_000));
        assert!((0..=REMEMBERED).all(|_| lane.dear(&standing) == Micros(900_000)));
        assert_eq!(lane.dear(&standing), Micros::ZERO);
        // Within the bound of another budget, or another share of it.
        lane.came_by(CoreId(0), 1, 0, Micros(900_000));
        assert_eq!(lane.dear(&standing), Micros(900_000));
        assert_eq!(lane.dear(&Standing { share: 800_000, ..standing }), Micros::ZERO);
    }
}
