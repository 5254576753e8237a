//! Immutable data, built off the bid path, checked once, handed to each core as an owned box and swapped between two requests.

use std::sync::Arc;

pub mod document;

pub mod campaign;
pub mod demo;
pub mod model;
pub mod profiles;
pub mod targeting;
pub mod marks;
pub mod edge;
pub mod data;

/// All that a bid core decides with and never changes.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts up with every published snapshot.
    pub version: u64,
    /// The campaigns, by [`crate::units::CampaignIx`].
    pub campaigns: Vec<campaign::Campaign>,
    /// Which of them want a request.
    pub targeting: targeting::Index,
    /// What a user is worth to them.
    pub model: model::Linear,
    /// Whom they are not asked about.
    pub edge: Arc<edge::Edge>,
}

impl Snapshot {
    /// A campaign of this snapshot.
    #[inline]
    pub fn campaign(&self, index: crate::units::CampaignIx) -> &campaign::Campaign {
        &self.campaigns[index.0 as usize]
    }

    /// A snapshot of these campaigns: builds the index.
    pub fn new(version: u64, campaigns: Vec<campaign::Campaign>, model: model::Linear) -> Snapshot {
        Snapshot { version, targeting: targeting::Index::build(&campaigns), campaigns, model, edge: Arc::default() }
    }
}
