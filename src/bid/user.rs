//! The user behind a request, as far as it may be known.

use crate::bid::comply::Personal;
use crate::bid::frequency::{FrequencyShard, Seen};
use crate::bid::profile::{Known, ProfileShard};
use crate::profile::value::{Profile, Segments};
use crate::snapshot::campaign::Campaign;
use crate::units::{Now, UserKey};

/// What is known of a user.
#[derive(Debug)]
pub struct User<'s> {
    /// The pseudonym; nobody's without an id, or without leave to use it.
    key: UserKey,
    /// Nothing of nobody.
    known: Known<'s>,
    /// Whether it is known what the fleet showed the user.
    counted: bool,
}

impl<'s> User<'s> {
    /// Looks the user up, if there is one, and the token that allows it.
    pub fn know(
        personal: Option<Personal>,
        key: UserKey,
        shard: &'s mut ProfileShard,
        counts: &FrequencyShard,
    ) -> User<'s> {
        match personal {
            Some(personal) => User { key, known: shard.lookup(&personal, key), counted: !counts.lacks(key) },
            None => User { key: UserKey::NOBODY, known: Known::Nothing, counted: true },
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
        !self.counted || matches!(self.known, Known::Missing)
    }

    /// Whether the campaign wants the user. One that asks for segments, or their absence, does not want whom nobody knows.
    #[inline]
    pub fn suits(&self, campaign: &Campaign) -> bool {
        let segments = self.segments();
        if matches!(self.known, Known::Missing) {
            return campaign.targeting.segments.is_empty();
        }
        campaign.wants(|segment| segments.contains(segment))
    }

    /// Segments; none of a user without a profile.
    #[inline]
    pub fn segments(&self) -> Segments<'s> {
        self.profile().map(|profile| profile.segments).unwrap_or_default()
    }

    /// Whether a creative of the campaign may be shown so many `times` more under all of its caps. A capped campaign is not shown to
    /// nobody: what cannot be counted cannot be capped.
    #[inline]
    pub fn may_see(&self, campaign: &Campaign, creative: u8, times: usize, seen: &Seen<'_>) -> bool {
        if campaign.frequency.is_empty() {
            return true;
        }
        let shown = campaign.shown(creative);
        // Nor to a user of whom it is not known what was shown elsewhere.
        self.key != UserKey::NOBODY
            && !self.is_missing()
            && campaign
                .frequency
                .iter()
                .all(|cap| seen.times(shown.of(cap.per), cap.window) as usize + times <= usize::from(cap.times.get()))
    }

    /// Counts a bid against the caps, until it is billed or forgotten.
    #[inline]
    pub fn will_see(&self, campaign: &Campaign, creative: u8, shard: &mut FrequencyShard, now: Now) {
        let shown = campaign.shown(creative);
        if !shown.counters.is_empty() {
            shard.reserve(self.key, &shown, &campaign.counted.enough, now);
        }
    }
}
