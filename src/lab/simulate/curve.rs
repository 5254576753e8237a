//! How spend follows the curve it was meant to follow: what the market expects the bids made so far to cost, against the share
//! of the day's supply that has passed. What bids did cost would say more about luck than about pacing: a budget here is some
//! forty impressions.

use super::market::{self, Campaign};
use super::time::{DAY, Time};

/// Deviations from the curve, as fractions of the daily budget.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deviation {
    /// The most by which spend was ahead.
    pub ahead: f64,
    /// The same while some node's reconciliation stood still, and in the minute after.
    pub ahead_in_stalls: f64,
    /// Root mean square of spend minus target.
    pub rmse: f64,
}

/// All campaigns' curves.
#[derive(Debug)]
pub struct Curves {
    /// Expected spend of today, by campaign.
    spent: Vec<f64>,
    /// Whose budget was changed today: there is no one curve to compare with.
    left_out: Vec<bool>,
    day: u64,
    deviation: Deviation,
    squares: f64,
    looks: u64,
}

impl Curves {
    /// Nothing spent.
    pub fn new(campaigns: usize) -> Curves {
        Curves {
            spent: vec![0.0; campaigns],
            left_out: vec![false; campaigns],
            day: 0,
            deviation: Deviation::default(),
            squares: 0.0,
            looks: 0,
        }
    }

    /// A bid left that is expected to cost so much, micros.
    pub fn bid(&mut self, campaign: usize, at: Time, cost: f64) {
        self.turn(at);
        self.spent[campaign] += cost;
    }

    /// A campaign's budget is changed.
    pub fn leave_out(&mut self, campaign: usize, at: Time) {
        self.turn(at);
        self.left_out[campaign] = true;
    }

    /// Once a tick: where everybody stands. Only paced campaigns count that the supply of the day can spend.
    pub fn look(&mut self, at: Time, campaigns: &[Campaign], stalled: bool) {
        self.turn(at);
        let share = market::supply_share(at);
        for ((spent, left_out), campaign) in self.spent.iter().zip(&self.left_out).zip(campaigns) {
            let budget = campaign.daily.0 as f64;
            if *left_out || !campaign.paced || market::day_of_supply(campaign) < 1.1 * budget {
                continue;
            }
            let off = spent / budget - share;
            let Deviation { ahead, ahead_in_stalls, .. } = &mut self.deviation;
            let most = if stalled { ahead_in_stalls } else { ahead };
            *most = most.max(off);
            self.squares += off * off;
            self.looks += 1;
        }
    }

    /// All deviations so far.
    pub fn deviation(&self) -> Deviation {
        Deviation { rmse: (self.squares / self.looks.max(1) as f64).sqrt(), ..self.deviation }
    }

    fn turn(&mut self, at: Time) {
        if at / DAY != self.day {
            self.day = at / DAY;
            self.spent.fill(0.0);
            self.left_out.fill(false);
        }
    }
}
