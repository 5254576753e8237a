//! Tenants: the advertisers on whose behalf something may be read. A [`Tenant`] cannot be made from a number; it comes from the list
//! of those that an operator named, and all data of advertisers is read through a [`Dal`](super::dal::Dal) that holds one.

use std::collections::BTreeSet;

use crate::config::DynamoDb;
use crate::units::AdvertiserId;

/// An advertiser that the operator of this process serves.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tenant(AdvertiserId);

impl Tenant {
    /// Who it is.
    pub fn advertiser(&self) -> AdvertiserId {
        self.0
    }

    /// The partition that holds its data.
    pub(super) fn partition(&self) -> String {
        self.0.0.to_string()
    }
}

/// Who runs a bidder or a tool, and for whom: each tenant is listed, there is no "all".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operator(BTreeSet<AdvertiserId>);

impl Operator {
    /// Of the configuration's `tenants`.
    pub fn of(config: &DynamoDb) -> Operator {
        Operator(config.tenants.iter().map(|tenant| AdvertiserId(*tenant)).collect())
    }

    /// Its tenants.
    pub fn tenants(&self) -> Tenants<'_> {
        Tenants(&self.0)
    }
}

/// The tenants of an operator.
#[derive(Clone, Copy, Debug)]
pub struct Tenants<'o>(&'o BTreeSet<AdvertiserId>);

impl Tenants<'_> {
    /// The tenant with this number; nothing if it is not one of the operator's.
    pub fn of(&self, advertiser: AdvertiserId) -> Option<Tenant> {
        self.0.get(&advertiser).copied().map(Tenant)
    }

    /// Each of them.
    pub fn each(&self) -> impl Iterator<Item = Tenant> {
        self.0.iter().copied().map(Tenant)
    }
}
