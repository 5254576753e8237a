//! Slots: where a campaign's money sits, for as long as the process lives.

use std::collections::HashMap;

use crate::limits;
use crate::units::{CampaignId, Slot};

/// Gives each campaign id one dense slot, always the same one; a slot is never given to another campaign, so a reload that
/// drops a campaign and a later one that brings it back move no money.
#[derive(Clone, Debug, Default)]
pub struct Slots(HashMap<CampaignId, Slot>);

impl Slots {
    /// No campaign has been seen.
    pub fn new() -> Slots {
        Slots::default()
    }

    /// The campaign's slot; `None` when all [`limits::SLOTS`] are given out to others.
    pub fn slot(&mut self, campaign: CampaignId) -> Option<Slot> {
        let next = self.0.len();
        match self.0.get(&campaign) {
            Some(&slot) => Some(slot),
            None if next < limits::SLOTS => {
                self.0.insert(campaign, Slot(next as u32));
                Some(Slot(next as u32))
            }
            None => None,
        }
    }

    /// How many slots are given out.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is given out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_for_life() {
        let mut slots = Slots::new();
        assert_eq!(slots.slot(CampaignId(70)), Some(Slot(0)));
        assert_eq!(slots.slot(CampaignId(7)), Some(Slot(1)));
        assert_eq!(slots.slot(CampaignId(70)), Some(Slot(0)));
        for id in 0..limits::SLOTS as u32 {
            slots.slot(CampaignId(1000 + id));
        }
        assert_eq!(slots.len(), limits::SLOTS);
        assert_eq!(slots.slot(CampaignId(u32::MAX)), None);
        assert_eq!(slots.slot(CampaignId(7)), Some(Slot(1)));
    }
}
