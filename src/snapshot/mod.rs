//! Immutable data, built off the bid path, checked once, handed to each core as an owned box and swapped between two requests.
//! What is large in it is shared by the boxes of all cores: nobody writes to it, and a bid core neither makes nor drops a
//! reference.

pub mod document;

pub mod campaign;
pub mod demo;
pub mod model;
pub mod profiles;
pub mod targeting;
pub mod marks;
pub mod data;

use std::sync::Arc;

/// All that a bid core decides with and never changes.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts up with every published snapshot.
    pub version: u64,
    /// The campaigns, by [`crate::units::CampaignIx`].
    pub campaigns: Arc<[campaign::Campaign]>,
    /// Which of them want a request.
    pub targeting: Arc<targeting::Index>,
    /// What a user is worth to them.
    pub model: model::Linear,
}

impl Snapshot {
    /// A campaign of this snapshot.
    #[inline]
    pub fn campaign(&self, index: crate::units::CampaignIx) -> &campaign::Campaign {
        &self.campaigns[index.0 as usize]
    }

    /// A snapshot of these campaigns: builds the index.
    pub fn new(version: u64, campaigns: Vec<campaign::Campaign>, model: model::Linear) -> Snapshot {
        let targeting = Arc::new(targeting::Index::build(&campaigns));
        Snapshot { version, campaigns: campaigns.into(), targeting, model }
    }

    /// Whether another snapshot shares data with this one, so that dropping this one frees little.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.campaigns) > 1 || Arc::strong_count(&self.targeting) > 1
    }
}
