//! What can be stopped, why, and what the log says of it.

use std::fmt;

use crate::authority::books::Scope;
use crate::authority::message::Why;

impl Scope {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Scope::Campaign(_) => "campaign",
            Scope::Advertiser(_) => "advertiser",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.word(), self.numbers().1)
    }
}

impl Why {
    /// All of them, in the order of their numbers.
    pub const ALL: [Why; 4] = [Why::Operator, Why::Runaway, Why::Jump, Why::Mismatch];

    /// Its name in metrics, in JSON and on the command line.
    pub const fn label(self) -> &'static str {
        match self {
            Why::Operator => "operator",
            Why::Runaway => "runaway",
            Why::Jump => "jump",
            Why::Mismatch => "mismatch",
        }
    }

    /// What happened, and what is to be looked at before it may go on: the middle of a log line.
    const fn advice(self) -> &'static str {
        match self {
            Why::Operator => "an operator said so",
            Why::Runaway => {
                "it spent more than three times its target for a minute; look at its price, its targeting and its pacing, \
                 and whether its bills are of impressions that were shown"
            }
            Why::Jump => {
                "its bids are won or billed far more often than before; look whether the exchange changed its auction or \
                 its notices, and whether the price is meant"
            }
            Why::Mismatch => {
                "its accounts do not add up, so what it has left is not known; keep the data directory, run `corebid ledger \
                 verify` on a copy, and report it"
            }
        }
    }
}

/// Something that was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What.
    pub scope: Scope,
    /// Why.
    pub why: Why,
}

/// The log line: what happened and what to do.
impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stop { scope, why } = self;
        let (word, id) = (scope.word(), scope.numbers().1);
        write!(f, "{scope} is stopped: {}; to let it bid again: `corebid resume --{word} {id}`", why.advice())
    }
}
