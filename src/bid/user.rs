//! The user behind a request, as far as it may be known.

use crate::bid::comply::Personal;
use crate::bid::frequency::FrequencyShard;
use crate::bid::profile::{Known, ProfileShard};
use crate::profile::value::{Profile, Segments};
use crate::snapshot::campaign::Campaign;
use crate::units::{Day, Now, UserKey};

/// What is known of a user.
#[derive(Debug)]
pub struct User<'s> {
    /// The pseudonym; nobody's without an id, or without leave to use it.
    key: UserKey,
    /// Nothing of nobody.
    known: Known<'s>,
}

impl<'s> User<'s> {
    /// Looks the user up, if there is one, and the token that allows it.
    pub fn know(personal: Option<Personal>, key: UserKey, shard: &'s mut ProfileShard) -> User<'s> {
        match personal {
            Some(personal) => User { key, known: shard.lookup(&personal, key) },
            None => User { key: UserKey::NOBODY, known: Known::Nothing },
        }
    }

    /// The pseudonym, for the notice that will count the impression.
    pub fn key(&self) -> UserKey {
        self.key
    }

    /// The profile, if there is one.
    #[inline]
    pub fn profile(&self) -> Option<Profile<'s>> {
        match self.known {
            Known::Profile(profile) => Some(profile),
            Known::Nothing | Known::Missing => None,
        }
    }

    /// Whether what is behind the shard has to be asked.
    #[inline]
    pub fn is_missing(&self) -> bool {
        matches!(self.known, Known::Missing)
    }

    /// Whether the campaign wants the user. One that asks for segments, or their absence, does not want whom nobody knows.
    #[inline]
    pub fn suits(&self, campaign: &Campaign) -> bool {
        let segments = self.segments();
        if self.is_missing() {
            return campaign.targeting.segments.is_empty();
        }
        campaign.wants(|segment| segments.contains(segment))
    }

    /// Segments; none of a user without a profile.
    #[inline]
    pub fn segments(&self) -> Segments<'s> {
        self.profile().map(|profile| profile.segments).unwrap_or_default()
    }

    /// Whether the campaign may be shown so many `times` more today. A capped campaign is not shown to nobody: what cannot be counted
    /// cannot be capped.
    #[inline]
    pub fn may_see(&self, campaign: &Campaign, times: usize, shard: &FrequencyShard, day: Day, now: Now) -> bool {
        let Some(cap) = campaign.frequency_cap else { return true };
        let Some(before) = usize::from(cap.get()).checked_sub(times.saturating_sub(1)) else { return false };
        // Nor to a user of whom it is not known what was shown elsewhere.
        self.key != UserKey::NOBODY
            && !self.is_missing()
            && !shard.over(self.key, campaign.id, day, before as u16, now.boot)
    }

    /// Counts a bid against the cap, until it is billed or forgotten.
    #[inline]
    pub fn will_see(&self, campaign: &Campaign, shard: &mut FrequencyShard, day: Day, now: Now) {
        if campaign.frequency_cap.is_some() {
            shard.reserve(self.key, campaign.id, day, now.boot);
        }
    }
}
