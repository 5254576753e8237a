//! Ways to pace a campaign.

use crate::reconcile::pacing::curve::{Curve, WHOLE};
use crate::reconcile::pacing::{Gains, Manner, Pace, Pacer, Plan, View};
use crate::ring::message::{Order, Participation};
use crate::units::{Micros, UnixMillis};

/// One way to pace.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there are a handful of them")]
pub enum Arm {
    /// No pacing.
    Soon,
    /// The production pacer.
    Pacer(Pacer),
    /// See [`Throttle`].
    Throttle(Throttle),
}

impl Arm {
    /// The production pacer on a curve, or on what it learns.
    pub fn pacer(curve: Option<Curve>, gains: Gains) -> Arm {
        Arm::Pacer(Pacer::new(Plan { manner: Manner::Even, curve }).tuned(gains))
    }

    /// Once a tick.
    pub fn tick(&mut self, now: UnixMillis, view: &View) -> Pace {
        let unlimited = |rate| Pace { rate, allowance: Order::UNPACED, demand: Micros::ZERO };
        match self {
            Arm::Soon => unlimited(Participation::ALWAYS),
            Arm::Pacer(pacer) => pacer.tick(now, view),
            Arm::Throttle(throttle) => unlimited(throttle.tick(now, view)),
        }
    }
}

/// The throttle of Agarwal, Ghosh, Wei and You, "Budget Pacing for Targeted Online Advertisements at LinkedIn" (KDD 2014): once a
/// minute the share of auctions taken part in is made 10 % larger where less was spent than the forecast's share of the budget, else
/// 10 % smaller. The forecast is laid out so that it ends at 22 h.
#[derive(Clone, Debug)]
pub struct Throttle {
    forecast: Curve,
    rate: f64,
    minute: u64,
}

impl Throttle {
    /// With a forecast of the day's supply.
    pub fn new(forecast: Curve) -> Throttle {
        Throttle { forecast, rate: 0.1, minute: 0 }
    }

    fn tick(&mut self, now: UnixMillis, view: &View) -> Participation {
        let minute = now.0 / 60_000;
        if minute > self.minute {
            self.minute = minute;
            let of = |now| self.forecast.at(view.day, now) as f64;
            let end = UnixMillis(view.day.start.0 + 22 * 3_600_000);
            let planned = view.budget.0 as f64 * (of(now) / of(end)).min(1.0);
            let faster = (view.settled.0 as f64) < planned;
            self.rate = (self.rate * if faster { 1.1 } else { 0.9 }).clamp(0.001, 1.0);
        }
        Participation::of(Micros((self.rate * WHOLE as f64) as i64), Micros(WHOLE as i64))
    }
}
