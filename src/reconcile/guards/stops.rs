//! What is stopped, and why: campaigns, and advertisers with all their campaigns.

use std::collections::BTreeMap;
use std::fmt;

use crate::authority::message::Why;
use crate::units::{AdvertiserId, CampaignId, UnixMillis};

/// What can be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// One campaign.
    Campaign(CampaignId),
    /// All campaigns of an advertiser, those to come included.
    Advertiser(AdvertiserId),
}

impl Scope {
    /// Its two numbers on record: 0 a campaign, 1 an advertiser; and which.
    pub const fn code(self) -> (u8, u32) {
        match self {
            Scope::Campaign(campaign) => (0, campaign.0),
            Scope::Advertiser(advertiser) => (1, advertiser.0),
        }
    }

    /// What was recorded as [`Scope::code`].
    pub const fn from_code(scope: u8, id: u32) -> Option<Scope> {
        match scope {
            0 => Some(Scope::Campaign(CampaignId(id))),
            1 => Some(Scope::Advertiser(AdvertiserId(id))),
            _ => None,
        }
    }

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
        write!(f, "{} {}", self.word(), self.code().1)
    }
}

impl Why {
    /// All of them, in the order of their numbers.
    pub const ALL: [Why; 4] = [Why::Operator, Why::Runaway, Why::Jump, Why::Mismatch];

    /// The reason whose number this is.
    pub fn from_code(code: u8) -> Option<Why> {
        Why::ALL.get(usize::from(code)).copied()
    }

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
    /// Since when.
    pub since: UnixMillis,
}

/// The log line: what happened and what to do.
impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stop { scope, why, .. } = self;
        write!(f, "{scope} is stopped: {}; then `corebid resume --{} {}`", why.advice(), scope.word(), scope.code().1)
    }
}

/// All that is stopped. The first reason stays until it is resumed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stops(BTreeMap<Scope, (Why, UnixMillis)>);

impl Stops {
    /// Stops something. Returns whether it was not stopped before.
    pub fn stop(&mut self, stop: Stop) -> bool {
        let mut new = false;
        self.0.entry(stop.scope).or_insert_with(|| {
            new = true;
            (stop.why, stop.since)
        });
        new
    }

    /// Lets it go on. Returns why it was stopped, if it was.
    pub fn resume(&mut self, scope: Scope) -> Option<Why> {
        self.0.remove(&scope).map(|(why, _)| why)
    }

    /// Why something is stopped by itself.
    pub fn why(&self, scope: Scope) -> Option<Why> {
        self.0.get(&scope).map(|(why, _)| *why)
    }

    /// Why a campaign may not bid: it is stopped, or its advertiser is.
    pub fn of(&self, campaign: CampaignId, advertiser: AdvertiserId) -> Option<Why> {
        self.why(Scope::Campaign(campaign)).or_else(|| self.why(Scope::Advertiser(advertiser)))
    }

    /// Everything that is stopped: campaigns, then advertisers, by number.
    pub fn iter(&self) -> impl Iterator<Item = Stop> {
        self.0.iter().map(|(scope, (why, since))| Stop { scope: *scope, why: *why, since: *since })
    }
}
