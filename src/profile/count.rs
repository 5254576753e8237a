//! Impressions of a user, as a cap counts them.

use crate::units::{AdvertiserId, CampaignId};

/// How often a user was shown something within a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Of what.
    pub of: CountOf,
    /// Over what time.
    pub window: Window,
    /// Which of those times: hours, days or weeks since 1970-01-01 UTC; 0 for a lifetime.
    pub period: u32,
    /// Billed impressions.
    pub times: u16,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CountOf {
    /// All impressions of a campaign.
    Campaign(CampaignId),
    /// Those of one of its creatives, by its place in the campaign.
    Creative(CampaignId, u16),
    /// Those of all campaigns of an advertiser.
    Advertiser(AdvertiserId),
}

/// Over what time is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Window {
    /// An hour.
    Hour = 0,
    /// A day.
    Day = 1,
    /// Seven days.
    Week = 2,
    /// For ever.
    Lifetime = 3,
}
