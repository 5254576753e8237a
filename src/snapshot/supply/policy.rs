//! What a verdict is worth: to whom it is a reason not to bid, and which.

use serde::Deserialize;

use super::{Policy, Verdict};
use crate::wire::openrtb::nobid::NoBidReason;

/// What it means under [`Policy::Require`] that a publisher has no file (404): by ads.txt 1.1 nobody is unauthorized then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoAdsTxt {
    /// As good as being authorized.
    #[default]
    Accept,
    /// As good as a file that cannot be had.
    Refuse,
}

/// What files are worth that have expired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stale {
    /// Nothing: as if they had never been fetched.
    #[default]
    Closed,
    /// What they said.
    Open,
}

impl Policy {
    /// All of them.
    pub const ALL: [Policy; 3] = [Policy::Off, Policy::Prefer, Policy::Require];

    /// Whether inventory of which this is said may be bid on.
    #[inline]
    pub const fn accepts(self, verdict: Verdict, no_ads_txt: NoAdsTxt) -> bool {
        match self {
            Policy::Off => true,
            Policy::Prefer => !matches!(
                verdict,
                Verdict::NotTheSender
                    | Verdict::BlockedNode
                    | Verdict::UnknownSeller
                    | Verdict::WrongSellerType
                    | Verdict::Unauthorized
            ),
            Policy::Require => match verdict {
                Verdict::Verified => true,
                Verdict::Undeclared => matches!(no_ads_txt, NoAdsTxt::Accept),
                _ => false,
            },
        }
    }

    /// The word for it in files.
    pub const fn label(self) -> &'static str {
        match self {
            Policy::Off => "off",
            Policy::Prefer => "prefer",
            Policy::Require => "require",
        }
    }
}

impl Verdict {
    /// Why there is no bid where it is not accepted.
    #[inline]
    pub const fn reason(self) -> Option<NoBidReason> {
        match self {
            Verdict::Verified | Verdict::Undeclared => None,
            Verdict::NoChain | Verdict::Malformed | Verdict::Incomplete | Verdict::NotTheSender => {
                Some(NoBidReason::ChainIncomplete)
            }
            Verdict::BlockedNode
            | Verdict::UnknownSeller
            | Verdict::WrongSellerType
            | Verdict::WrongSellerDomain
            | Verdict::NoSellersJson => Some(NoBidReason::ChainBlocked),
            Verdict::Unauthorized => Some(NoBidReason::AdsTxtViolation),
            Verdict::NoAdsTxt => Some(NoBidReason::AdsTxtUnavailable),
        }
    }

    /// The name used in commands and `explain`.
    pub const fn label(self) -> &'static str {
        match self {
            Verdict::Verified => "verified",
            Verdict::Undeclared => "undeclared",
            Verdict::NoChain => "no_chain",
            Verdict::Malformed => "malformed",
            Verdict::Incomplete => "incomplete",
            Verdict::NotTheSender => "not_the_sender",
            Verdict::BlockedNode => "blocked_node",
            Verdict::UnknownSeller => "unknown_seller",
            Verdict::WrongSellerType => "wrong_seller_type",
            Verdict::WrongSellerDomain => "wrong_seller_domain",
            Verdict::Unauthorized => "unauthorized",
            Verdict::NoSellersJson => "no_sellers_json",
            Verdict::NoAdsTxt => "no_ads_txt",
        }
    }
}
