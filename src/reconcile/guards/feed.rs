//! Feed lag: how old the oldest event is that is not on disk, or that the authority has not answered for. A node whose lag is
//! past [`limits::FEED_LAG_NS`] spends what nobody can see, so its leases are revoked; it goes on by itself when the lag is gone.

use crate::limits;
use crate::units::Nanos;

/// What a node does about its lag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// All leases of the node are to be revoked: the lag, ns.
    Revoke(u64),
    /// The lag is gone: how long the node was stopped, ns.
    Resume(u64),
}

/// Watches the lag of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedLag {
    stopped_at: Option<Nanos>,
}

impl FeedLag {
    /// Looks at the age of the oldest event that is not on disk, and of the oldest that no answer of the authority covers; ns,
    /// 0 where there is none. Called once a tick, and more often where that costs nothing.
    pub fn tick(&mut self, now: Nanos, unsynced: u64, unreported: u64) -> Option<Change> {
        let lag = unsynced.max(unreported);
        match self.stopped_at {
            None if lag > limits::FEED_LAG_NS => {
                self.stopped_at = Some(now);
                Some(Change::Revoke(lag))
            }
            Some(at) if lag <= limits::FEED_CLEAR_NS => {
                self.stopped_at = None;
                Some(Change::Resume(now.since(at)))
            }
            _ => None,
        }
    }

    /// Whether the node may spend, as far as this guard is concerned.
    pub fn is_clear(&self) -> bool {
        self.stopped_at.is_none()
    }
}
