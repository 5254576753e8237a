//! The sum invariant of each advertiser, on each tick: its leases are added up anew and compared with all the running sums that
//! money was granted by. A sum that differs names its advertiser, who is stopped; the others go on.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::units::{AdvertiserId, CampaignId, Day, Micros};

/// A running sum: one day of a campaign, or its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Booked bills.
    pub settled: Micros,
    /// What leases could still be billed for.
    pub charged: Micros,
    /// What both together may not exceed.
    pub ceiling: Micros,
}

/// The authority's books, as this check reads them.
pub trait Accounts {
    /// All leases that are not closed: the campaign and day that pay, and granted less settled less released.
    fn leases(&self) -> impl Iterator<Item = (CampaignId, Day, Micros)>;
    /// All days of campaigns that have an account.
    fn days(&self) -> impl Iterator<Item = (CampaignId, Day, Sum)>;
    /// All campaigns, each with its advertiser.
    fn campaigns(&self) -> impl Iterator<Item = (CampaignId, AdvertiserId, Sum)>;
    /// What each advertiser's campaigns have settled and are charged together; one with nothing may be missing.
    fn advertisers(&self) -> impl Iterator<Item = (AdvertiserId, Micros)>;
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Sums compared.
    pub sums: u64,
    /// Those whose sums are wrong, by number.
    pub wrong: Vec<AdvertiserId>,
    /// Campaigns with leases or days, and no account to name an advertiser by: the books themselves cannot be trusted.
    pub strays: Vec<CampaignId>,
}

impl Checked {
    /// Whether everything adds up.
    pub fn is_right(&self) -> bool {
        self.wrong.is_empty() && self.strays.is_empty()
    }
}

/// Keeps its memory from tick to tick.
#[derive(Debug, Default)]
pub struct Sums {
    /// By campaign and day, from the leases. Wide, so that no wrong number can overflow it.
    charged: HashMap<(CampaignId, Day), i128, FixedState>,
    campaigns: HashMap<CampaignId, Recount, FixedState>,
    advertisers: HashMap<AdvertiserId, i128, FixedState>,
}

/// Of a campaign, from its leases and days.
#[derive(Clone, Copy, Debug, Default)]
struct Recount {
    charged: i128,
    /// On days that still have an account: no more than in its life.
    settled: i128,
    wrong: bool,
}

impl Sums {
    /// Adds everything up.
    pub fn check(&mut self, accounts: &impl Accounts) -> Checked {
        self.charged.clear();
        self.campaigns.clear();
        self.advertisers.clear();
        let mut checked = Checked::default();
        for (campaign, day, charge) in accounts.leases() {
            *self.charged.entry((campaign, day)).or_default() += i128::from(charge.0);
            let recount = self.campaigns.entry(campaign).or_default();
            recount.charged += i128::from(charge.0);
            // One lease's loss must not hide in another's gain.
            recount.wrong |= charge < Micros::ZERO;
        }
        for (campaign, day, sum) in accounts.days() {
            let charged = self.charged.remove(&(campaign, day)).unwrap_or_default();
            let recount = self.campaigns.entry(campaign).or_default();
            recount.settled += i128::from(sum.settled.0);
            recount.wrong |= !sum.holds(charged);
            checked.sums += 1;
        }
        // Charged on a day that has no account.
        for (campaign, _) in self.charged.keys() {
            self.campaigns.entry(*campaign).or_default().wrong = true;
        }
        for (campaign, advertiser, sum) in accounts.campaigns() {
            let recount = self.campaigns.remove(&campaign).unwrap_or_default();
            if recount.wrong || !sum.holds(recount.charged) || recount.settled > i128::from(sum.settled.0) {
                checked.wrong.push(advertiser);
            }
            *self.advertisers.entry(advertiser).or_default() += i128::from(sum.settled.0) + recount.charged;
            checked.sums += 1;
        }
        for (advertiser, committed) in accounts.advertisers() {
            if self.advertisers.remove(&advertiser).unwrap_or_default() != i128::from(committed.0) {
                checked.wrong.push(advertiser);
            }
            checked.sums += 1;
        }
        let missing = self.advertisers.iter().filter(|(_, committed)| **committed != 0);
        checked.wrong.extend(missing.map(|(advertiser, _)| *advertiser));
        checked.wrong.sort_unstable();
        checked.wrong.dedup();
        checked.strays.extend(self.campaigns.keys());
        checked.strays.sort_unstable();
        checked
    }
}

impl Sum {
    fn holds(self, charged: i128) -> bool {
        let committed = i128::from(self.settled.0) + charged;
        i128::from(self.charged.0) == charged && self.settled >= Micros::ZERO && committed <= i128::from(self.ceiling.0)
    }
}
