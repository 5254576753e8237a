//! Bid shading: in a first-price auction the winner pays what it bids, so that who bids the value keeps nothing. What is best is
//! between: the bid with the most of `(value - bid) · P(win | bid)`.
//!
//! [`curve`] is `P` and that maximum, on the bid path; [`evidence`] what is seen of a [`cell`] on the [`grid`] of prices, [`fit`] makes a
//! curve of it, [`learn`] does so for all cells. Pure: the [reconciliation core](crate::reconcile) brings what bids came to, and sends
//! curves to the bid cores. Money is whole before it comes here and after; between, chances are floats.

pub mod cell;
pub mod curve;
pub mod evidence;
pub mod explore;
pub mod fit;
pub mod grid;
pub mod learn;
pub mod levels;
pub mod normal;
pub mod starts;

/// How bids are shaded: the form that the curve is taken to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// Not at all.
    #[default]
    None,
    /// Down to the price to beat that is seen most.
    Mode,
    /// A logistic distribution of the logarithm of the price to beat.
    Logistic,
    /// A normal one.
    LogNormal,
    /// The distribution as it was seen.
    Empirical,
}

impl Arm {
    /// All of them.
    pub const ALL: [Arm; 5] = [Arm::None, Arm::Mode, Arm::Logistic, Arm::LogNormal, Arm::Empirical];

    /// Its name in configurations and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Arm::None => "none",
            Arm::Mode => "mode",
            Arm::Logistic => "logistic",
            Arm::LogNormal => "lognormal",
            Arm::Empirical => "empirical",
        }
    }
}
