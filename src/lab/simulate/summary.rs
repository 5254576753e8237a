//! What a run comes to.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::check::Violation;
use super::market;
use super::time::{BEGIN, DAY, MS, SECOND, wall};
use super::world::World;

/// The figures of a run; fractions are of the daily budget.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The seed.
    pub seed: u64,
    /// `strict` or `quantile`.
    pub mode: &'static str,
    /// What must not be and was.
    pub violations: u64,
    /// The first of them.
    pub first_violations: Vec<String>,
    /// When the first was, seconds into the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_violation_s: Option<u64>,
    /// Campaigns times days.
    pub campaign_days: u64,
    /// Bids that left.
    pub bids: u64,
    /// Bids that won.
    pub wins: u64,
    /// Bills booked by the authority.
    pub bills: u64,
    /// Accounts checked.
    pub checks: u64,
    /// How often each fault did something.
    pub faults: BTreeMap<&'static str, u64>,
    /// The most any campaign-day was billed in time beyond what it may cost.
    pub overspend: f64,
    /// Campaign-days that were.
    pub overspent_days: u64,
    /// Of them so many by more than 0.1 %, 1 % and 10 % of the budget.
    pub overspent_by: [u64; 3],
    /// The mean of what campaign-days spent of their budgets, where the supply of the day is at least a tenth more.
    pub delivered: f64,
    /// The mean of what campaign-days left of their budgets.
    pub underspend: f64,
    /// The most that any was ahead of the supply-weighted curve.
    pub ahead_of_curve: f64,
    /// The same while a node's reconciliation stood still, and the minute after.
    pub ahead_of_curve_in_stalls: f64,
    /// Root mean square of spend minus target, over ticks and campaigns.
    pub curve_rmse: f64,
    /// Bills after H2, or after a loss that was final, of all budgets.
    pub late_excess: f64,
    /// Impressions beyond a frequency cap: the simulation has no users, so there are none.
    pub over_cap: f64,
    /// Bills that only a lost node knew of.
    pub forgone: u64,
    /// Bids that were ready after their lease had run out.
    pub withdrawn: u64,
}

impl Summary {
    /// Of a run as it stands.
    pub fn of(world: &World) -> Summary {
        let options = world.options();
        let checker = &world.checker;
        let first_day = (BEGIN.0 / 86_400_000) as u32;
        let days = |day: u32| (first_day..first_day + options.days).contains(&day);
        let (mut over, mut overspent, mut under, mut budgets) = (0.0f64, 0, 0.0, 0.0);
        let (mut overspent_by, mut delivered, mut deliverable) = ([0; 3], 0.0, 0.0);
        for (campaign, _, sums) in checker.market.days().filter(|(_, day, _)| days(*day)) {
            let budget = sums.budget.max(1) as f64;
            let beyond = (sums.spent - sums.ceiling) as f64 / budget;
            over = over.max(beyond);
            for (count, limit) in overspent_by.iter_mut().zip([0.001, 0.01, 0.1]) {
                *count += u64::from(beyond > limit);
            }
            let supply = world.campaigns().get(campaign as usize - 1).map_or(0.0, market::day_of_supply);
            if supply >= 1.1 * budget {
                delivered += sums.spent as f64 / budget;
                deliverable += 1.0;
            }
            overspent += u64::from(sums.spent > sums.ceiling);
            under += (sums.budget - sums.spent).max(0) as f64 / budget;
            budgets += budget;
        }
        let campaign_days = u64::from(options.campaigns) * u64::from(options.days);
        let deviation = world.curves.deviation();
        let first = checker.first();
        Summary {
            seed: options.seed,
            mode: if options.strict { "strict" } else { "quantile" },
            violations: checker.violations(),
            first_violations: first.iter().map(told).collect(),
            first_violation_s: first.first().map(|violation| violation.at / SECOND),
            campaign_days,
            bids: world.bids,
            wins: world.wins,
            bills: checker.journal.bookings() as u64,
            checks: checker.checks(),
            faults: world.faults.iter().map(|(fault, count)| (fault.name(), *count)).collect(),
            overspend: over.max(0.0),
            overspent_days: overspent,
            overspent_by,
            delivered: delivered / f64::max(deliverable, 1.0),
            underspend: under / campaign_days as f64,
            ahead_of_curve: deviation.ahead.max(0.0),
            ahead_of_curve_in_stalls: deviation.ahead_in_stalls.max(0.0),
            curve_rmse: deviation.rmse,
            late_excess: checker.market.excess() as f64 / f64::max(budgets, 1.0),
            over_cap: 0.0,
            forgone: checker.market.forgone(),
            withdrawn: world.withdrawn,
        }
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let percent = |share: f64| format!("{:.4} %", share * 100.0);
        let _ = writeln!(out, "seed {}, {}", self.seed, self.mode);
        let _ = writeln!(out, "  campaign-days   {:>12}", self.campaign_days);
        let _ = writeln!(out, "  bids            {:>12}  ({} withdrawn)", self.bids, self.withdrawn);
        let _ = writeln!(out, "  wins            {:>12}", self.wins);
        let _ = writeln!(out, "  bills booked    {:>12}", self.bills);
        let _ = writeln!(out, "  accounts checked{:>12}", self.checks);
        let _ = writeln!(out, "  overspend       {:>12}  on {} days", percent(self.overspend), self.overspent_days);
        let _ = writeln!(out, "  by > 0.1, 1, 10 %{:>11}", format!("{:?}", self.overspent_by));
        let _ = writeln!(out, "  delivered       {:>12}  where the supply allows it", percent(self.delivered));
        let _ = writeln!(out, "  underspend      {:>12}", percent(self.underspend));
        let _ = writeln!(
            out,
            "  ahead of curve  {:>12}  ({} in stalls)",
            percent(self.ahead_of_curve),
            percent(self.ahead_of_curve_in_stalls)
        );
        let _ = writeln!(out, "  curve rmse      {:>12}", percent(self.curve_rmse));
        let _ = writeln!(out, "  late excess     {:>12}", percent(self.late_excess));
        let _ = writeln!(out, "  faults");
        for (name, count) in &self.faults {
            let _ = writeln!(out, "    {name:<22}{count:>10}");
        }
        for violation in &self.first_violations {
            let _ = writeln!(out, "  VIOLATION {violation}");
        }
        let _ = writeln!(out, "violations: {}", self.violations);
        out
    }
}

/// Day and time of day, rule, what.
fn told(violation: &Violation) -> String {
    let Violation { at, rule, what } = violation;
    let (day, second) = (at / DAY, at % DAY / SECOND);
    let (hour, minute, second, ms) = (second / 3600, second / 60 % 60, second % 60, at % SECOND / MS);
    format!("day {day} {hour:02}:{minute:02}:{second:02}.{ms:03} (wall {}) {rule}: {what}", wall(*at).0)
}
