//! `[exchange.shading]`: how an exchange's first-price auctions are bid in.

use serde::Deserialize;

use crate::shading::Arm;
use crate::shading::explore::Share;

/// `[exchange.shading]`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shading {
    /// How bids are shaded.
    pub arm: Arm,
    /// Which of its auctions are first price.
    pub auctions: Auctions,
    /// The share of bids that are made to learn from.
    pub explore: f64,
    /// The age at which a bid counts as what it has come to, s.
    pub judge_seconds: u32,
    /// What a bid has come to of which nothing was heard by then.
    pub silence: Silence,
}

impl Default for Shading {
    fn default() -> Shading {
        Shading {
            arm: Arm::None,
            auctions: Auctions::AsRequested,
            explore: 0.01,
            judge_seconds: 60,
            silence: Silence::Lost,
        }
    }
}

impl Shading {
    /// The share of bids that are made to learn from.
    #[inline]
    pub fn share(&self) -> Share {
        Share::of(self.explore)
    }

    /// The rules that a type cannot hold.
    pub(super) fn check(&self) -> Result<(), String> {
        if !(0.0..=0.5).contains(&self.explore) {
            return Err(format!("exchange.shading.explore {}: 0 to 0.5", self.explore));
        }
        if !(1..=3600).contains(&self.judge_seconds) {
            return Err(format!("exchange.shading.judge_seconds {}: 1 to 3600", self.judge_seconds));
        }
        Ok(())
    }
}

/// Which auctions of an exchange are first price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Auctions {
    /// Those whose request says so (`at` 1).
    #[serde(rename = "requested")]
    AsRequested,
    /// All, whatever requests say.
    #[serde(rename = "first_price")]
    FirstPrice,
}

/// What a bid has come to of which nothing was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Silence {
    /// It lost: the exchange tells of every win, to this node.
    Lost,
    /// Nobody knows.
    Unknown,
}
