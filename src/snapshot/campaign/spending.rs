//! How a campaign's money is spent: how fast, how much in all, on which clock, and how careful with bids nobody answered.

use crate::units::Micros;

/// How fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pacing {
    /// As supply comes, over the whole day.
    #[default]
    Even,
    /// At most twice as fast as that, until the budget is spent.
    Fast,
    /// As soon as possible.
    Asap,
}

impl Pacing {
    /// All of them.
    pub const ALL: [Pacing; 3] = [Pacing::Even, Pacing::Fast, Pacing::Asap];

    /// Its word in a campaign file.
    pub const fn label(self) -> &'static str {
        match self {
            Pacing::Even => "even",
            Pacing::Fast => "fast",
            Pacing::Asap => "asap",
        }
    }
}

/// What is held for bids that are silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The maximum price of each: the budget is never exceeded.
    Strict,
    /// What all together will be billed with a chance of one in a million of more.
    #[default]
    Quantile,
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 2] = [Mode::Strict, Mode::Quantile];

    /// Its word in a campaign file.
    pub const fn label(self) -> &'static str {
        match self {
            Mode::Strict => "strict",
            Mode::Quantile => "quantile",
        }
    }
}

/// How a campaign's money is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spending {
    /// What it may spend in all, over all days; `None` for no limit but the daily one.
    pub total: Option<Micros>,
    /// How fast it spends.
    pub pacing: Pacing,
    /// Weights of the 24 hours of the budget day, in millionths, some above 0; `None` to learn them. Only where it is paced.
    pub curve: Option<Box<[u32; 24]>>,
    /// The time zone of its budget days: an IANA name, `Europe/Berlin`.
    pub zone: String,
    /// What it holds for silent bids.
    pub mode: Mode,
    /// What silent bids may exceed the budget by if all were billed, as a part of the daily budget in millionths; `None` for no
    /// such limit. Only with [`Mode::Quantile`].
    pub tolerance: Option<u32>,
}

/// The zone of budget days where none is named.
pub const UTC: &str = "UTC";

impl Default for Spending {
    fn default() -> Self {
        Spending {
            total: None,
            pacing: Pacing::default(),
            curve: None,
            zone: UTC.to_owned(),
            mode: Mode::default(),
            tolerance: None,
        }
    }
}

impl Spending {
    /// Unpaced, and all else by default.
    pub fn asap() -> Spending {
        Spending { pacing: Pacing::Asap, ..Spending::default() }
    }
}
