//! Impressions that count: billed here, told to every core of the node at once, and once they are on disk, to the store of counters,
//! if there is one, from which the other nodes have them.

use std::collections::{HashMap, VecDeque};

use super::Reconciler;
use crate::limits;
use crate::profile::count::{Counted, Delta, Shown};
use crate::profile::shadow::Shadow;
use crate::ring::message::{Claim, Order};
use crate::units::{CampaignId, Now, UserKey};

/// What the reconciliation core knows of it.
#[derive(Debug, Default)]
pub(super) struct Frequency {
    counted: HashMap<CampaignId, Counted>,
    to: To,
}

/// Where counts go beside the cores.
#[derive(Debug)]
enum To {
    /// Nowhere: all of a user's impressions are billed here, so that the estimate is made here.
    Here(Shadow),
    /// To the store, each when so much of the journal is on disk. The store knows better what the estimate takes.
    Store(VecDeque<(u64, Delta)>),
}

impl Default for To {
    fn default() -> Self {
        To::Here(Shadow::default())
    }
}

impl Reconciler {
    /// What the impressions of campaigns count for. What is not in the list counts for nothing.
    pub fn counted(&mut self, list: Vec<Counted>) {
        self.frequency.counted = list.into_iter().map(|counted| (counted.campaign, counted)).collect();
    }

    /// Makes this a node that shares its counts: told once, before the first event. [`Reconciler::next_delta`] is to be emptied.
    pub fn share_counts(&mut self) {
        self.frequency.to = To::Store(VecDeque::new());
    }

    /// The oldest billed impression that the store has not been told of, and that is on disk. A bill that is lost with its disk was
    /// not told, so that its number can be another bill's.
    pub fn next_delta(&mut self) -> Option<Delta> {
        let synced = self.journal.synced();
        let To::Store(waiting) = &mut self.frequency.to else { return None };
        waiting.pop_front_if(|(needs, _)| *needs <= synced).map(|(_, delta)| delta)
    }

    /// A bill was booked under this number.
    pub(super) fn count(&mut self, now: Now, claim: &Claim, number: u64) {
        let Some(counted) = self.frequency.counted.get(&claim.campaign) else { return };
        let &Counted { campaign, advertiser, counters, enough } = counted;
        if claim.user == UserKey::NOBODY || counters.is_empty() {
            return;
        }
        let shown = Shown { campaign, creative: claim.creative.into(), advertiser, counters };
        let delta = Delta { user: claim.user, shown, at: now.wall, number, enough };
        match &mut self.frequency.to {
            To::Here(shadow) => shadow.bill(&delta, &self.gauges.shadow),
            To::Store(waiting) => {
                if waiting.len() == limits::DELTAS {
                    waiting.pop_front();
                    self.gauges.counts_lost.add(1);
                }
                waiting.push_back((self.journal.appended(), delta));
            }
        }
        self.broadcast(Order::Counted { user: claim.user, shown, at: now.wall });
    }
}
